"""Versions go from alias to alias past the gate, and nothing is half done, whatever goes wrong."""

import json
import logging
import random
import re
import shutil
import sys
import time
import urllib.request
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import psutil
import pytest
from fastapi.testclient import TestClient
from problems import MADE, make_params, make_project
from servers import free_port, running
from tracked import check, client_of, copy_of, in_git, named, replace_file, web_server

from laptop_pricing.kit import cli
from laptop_pricing.kit.data.split import is_held_out
from laptop_pricing.kit.data.table import KEY
from laptop_pricing.kit.errors import StepFailed, UserError
from laptop_pricing.kit.files import checksum
from laptop_pricing.kit.modeling.bundle import load_bundle
from laptop_pricing.kit.modeling.task import task_of
from laptop_pricing.kit.modeling.train import read_processed, train
from laptop_pricing.kit.project import Project
from laptop_pricing.kit.serving.api import create_app
from laptop_pricing.kit.serving.port import open_port
from laptop_pricing.kit.serving.quotelog import QuoteLog, log_files, read_log
from laptop_pricing.kit.serving.replay import replay_quotes
from laptop_pricing.kit.serving.served import Source
from laptop_pricing.kit.serving.server import follow
from laptop_pricing.kit.sharing.report import report
from laptop_pricing.kit.tracking.registry import (
    fetch_bundle,
    list_versions,
    promote,
    register_result,
)
from laptop_pricing.kit.tracking.runs import track

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def results(trained, tmp_path_factory):
    """A poor model and a good one, committed, each in a project of its own. Read only."""
    folder = tmp_path_factory.mktemp("promotion")
    good = in_git(copy_of(trained(MADE), folder / "good"))
    poor = make_project(folder / "poor", MADE, model={"alpha": 1e6})
    shutil.copytree(good.processed, poor.processed)
    train(poor)
    return in_git(poor), good


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The address of a local database, whose files lie beside it."""
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("store")
    uri = f"sqlite:///{(folder / 'runs.db').as_posix()}"
    MlflowClient(uri).create_experiment(MADE.name, (folder / "artifacts").as_uri())
    return uri


@dataclass
class Team:
    """Both projects under a name of the test's own, and a client."""

    poor: Project
    good: Project
    client: Any
    name: str

    def version(self, number):
        return self.client.get_model_version(self.name, number)

    def state(self):
        found = self.client.search_model_versions(f"name = '{self.name}'")
        return self.aliases(), {version.version: version.tags for version in found}

    def aliases(self):
        found = self.client.get_registered_model(self.name).aliases
        return {alias: str(version) for alias, version in found.items()}

    def refused(self, error, match, project, to, **given):
        """A promotion is refused in one line, and leaves aliases and tags as they were."""
        before = self.state()
        with pytest.raises(error, match=match) as caught:
            promote(project, to, **given)
        assert "\n" not in str(caught.value) and self.state() == before

    def in_production(self):
        """The good model, promoted all the way."""
        version = register_result(self.good)
        for to in ("stag", "prod"):
            promote(self.good, to)
        return version

    @contextmanager
    def spoilt(self, *names):
        """Files of version 1 are those of the poor model, or damaged, for a while."""
        uri = self.client.get_run(self.version("1").run_id).info.artifact_uri
        paths = [Path(uri.removeprefix("file://")) / name for name in names]
        before = {path: path.read_text("utf-8") for path in paths}
        for path, content in before.items():
            other = self.poor.models / path.name
            replace_file(path, other.read_text("utf-8") if other.exists() else f"{content}#")
        try:
            yield
        finally:
            for path, content in before.items():
                replace_file(path, content)


@pytest.fixture
def team(results, store, monkeypatch, request):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    name = re.sub(r"\W+", " ", request.node.name)
    return Team(*(named(project, name) for project in results), client_of(results[0]), name)


# Registering.


def test_a_result_is_one_version_with_its_facts_and_its_card(team):
    number = register_result(team.good)
    version, (_, summary) = team.version(number), read_processed(team.good)
    metrics = json.loads(team.good.metrics.read_text("utf-8"))
    assert version.tags == {
        "commit": check(team.good, "git", "rev-parse", "HEAD"),
        "data_md5": checksum(team.good.raw, "md5"),
        "model_sha256": checksum(team.good.models / "model.json", "sha256"),
        "MAPE": f"{metrics['cv']['MAPE']['mean']:.4f}",
    }
    assert version.run_id == track(team.good).run_id and version.status == "READY"
    card = version.description
    assert f"{summary['rows']} rows, md5 {summary['raw_md5']}" in card and MADE.caveat in card
    assert "| district " in card and "| rent band " in card and len(card) < 5_000
    assert register_result(team.good) == number == "1" and team.aliases() == {"devl": "1"}
    assert register_result(team.poor) == "2" and team.aliases() == {"devl": "2"}
    # Defect 6 of the known projects: the latest run of any experiment is registered.
    assert register_result(team.good) == "1" and team.aliases() == {"devl": "1"}


@pytest.mark.parametrize(
    "change, said",
    [
        ("echo >> dvc.yaml", "^dvc.yaml: uncommitted; a version needs a commit; git add"),
        ("mkdir src; touch src/features.py", "^src/features.py: uncommitted"),
        ("git rm -q --cached metrics.json && git commit -qm without", "^metrics.json: uncommitted"),
        ("sed -i 's/\"alpha\": 2/\"alpha\": 5/' params.yaml && git commit -qam 'no dvc repro'",
         "^train: not what dvc.lock says; dvc repro or dvc checkout"),
        ("rm models/cases.json; echo >> models/cases.json", "^train: not what dvc.lock says"),
        ("rm -rf .git", "no commit to register a version of"),
    ],
)  # fmt: skip
def test_what_its_commit_cannot_make_again_is_not_registered(team, tmp_path, change, said):
    project = copy_of(team.good, tmp_path / "copy")
    check(project, "sh", "-c", f"touch 'a note of mine'; {change}")  # the note is no matter
    with pytest.raises(UserError, match=said):
        register_result(project)
    assert team.client.search_registered_models(f"name = '{team.name}'") == []


# Promoting.


def test_a_version_goes_from_alias_to_alias_and_is_what_prod_predicts_by(team, store, tmp_path):
    register_result(team.poor)
    promote(team.poor, "stag", force="the first one")
    version = team.in_production()
    assert team.aliases() == dict.fromkeys(("devl", "stag", "prod"), version)
    before = team.state()
    again = promote(team.good, "prod")
    assert not again.new and not again.back and again.objections == [] and team.state() == before
    md5 = checksum(team.good.raw, "md5")
    commit = check(team.good, "git", "rev-parse", "HEAD")
    table = list_versions(team.good)
    assert table.pop("MAPE").str.fullmatch(r"0\.\d{4}").all()
    assert table.pop("time").between(1000 * (time.time() - 600), 1000 * time.time()).all()
    other = [check(team.poor, "git", "rev-parse", "HEAD"), md5]
    facts = [[version, ["devl", "stag", "prod"], commit, md5], ["1", [], *other]]
    assert table.to_numpy().tolist() == facts
    mlflow.set_tracking_uri(store)
    rows = read_processed(team.good)[0][list(MADE.names)]
    loaded = mlflow.pyfunc.load_model(f"models:/{team.name}@prod").predict(rows)
    np.testing.assert_array_equal(loaded, load_bundle(team.good.models).predict(rows))
    found, folder = fetch_bundle(team.good, team.name, "prod", tmp_path)
    assert found == version
    for path in team.good.models.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()
    register_result(team.poor)  # MLflow's own note beside what it loads does no harm
    assert promote(team.good, "prod", version=version).version == version


def test_versions_are_a_table_that_fits_a_terminal_and_is_markdown(team, capsys):
    team.poor, second = team.poor, None
    for project in (team.poor, team.good):
        second = register_result(project)
    promote(team.good, "stag")
    promote(team.good, "prod")
    promote(team.good, "stag", version="1", force="to see two lines")
    told = {}
    for aliased in (False, True):
        cli._print_versions(team.good, aliased)
        told[aliased] = capsys.readouterr().out.splitlines()
    head, rule, *rows = told[False]
    assert re.sub(" +", " ", head) == "| version | aliases | registered | MAPE | commit | data |"
    assert re.fullmatch(r"\|( -+ \|){6}", rule)
    assert {len(line) for line in told[False]} == {len(head)} and len(head) <= 80
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
    assert [row[:2] for row in cells] == [[second, "devl, prod"], ["1", "stag"]]
    commit = check(team.good, "git", "rev-parse", "HEAD")[:7]
    assert cells[0][4:] == [commit, checksum(team.good.raw, "md5")[:7]]
    when = time.mktime(time.strptime(cells[0][2], "%Y-%m-%d %H:%M"))
    assert time.time() - 600 < when <= time.time()
    assert told[True] == told[False]
    register_result(team.poor)  # devl goes back to it
    promote(team.good, "stag", version=second)
    cli._print_versions(team.good, aliased=True)
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_a_better_model_takes_over_and_says_by_how_much(team):
    """Promoted where another model was trained last: the candidate itself is scored."""
    register_result(team.poor)
    promote(team.poor, "stag", force="the first one")
    better = register_result(team.good)
    found = promote(team.poor, "stag")
    assert found[:2] + found[3:] == (better, [], False, True)
    assert found.comparison.difference < found.comparison.high < 0
    table = read_processed(team.good)[0]
    rows = table[is_held_out(table[KEY])]
    for project, said in ((team.good, "candidate"), (team.poor, "champion")):
        expected = task_of(MADE).score(rows["rent"], load_bundle(project.models).predict(rows))
        assert getattr(found.comparison, said) == pytest.approx(expected)


def test_the_gate_leaves_every_alias_where_it_was_and_force_keeps_its_reason(team):
    first = team.in_production()
    worse = register_result(team.poor)
    said = f"version {worse}: not promoted to {{}}: .*MAPE on the hold-out .*worse by .*tolerance"
    team.refused(StepFailed, said.format("stag"), team.poor, "stag")
    assert team.aliases() == {"devl": worse, "stag": first, "prod": first}
    found = promote(team.poor, "stag", force="a recall")
    assert found.new and any("MAPE on the hold-out" in line for line in found.objections)
    assert team.version(worse).tags["forced_stag"] == "a recall" and team.aliases()["stag"] == worse
    # What never held an alias goes through its gate, by name as well.
    for given in ({}, {"version": worse}):
        team.refused(StepFailed, said.format("prod"), team.poor, "prod", **given)


def test_missed_criteria_are_reason_enough_where_there_is_no_champion(team):
    register_result(team.good)
    strict = replace(team.good, given_params=make_params(MADE, criteria={"MAPE": 0.0001}))
    said = "not promoted to stag: MAPE .*, target < 0.0001; no alias moved"
    team.refused(StepFailed, said, strict, "stag")
    promote(team.good, "stag", force="to be sure")
    assert "forced_stag" not in team.version("1").tags, "the reason was not needed"


def test_the_way_back_needs_no_gate_and_no_data(team, tmp_path):
    register_result(team.poor)
    for to in ("stag", "prod"):
        promote(team.poor, to, force="the first one")
    new = team.in_production()
    found = promote(replace(team.good, root=tmp_path), "prod", version="1")
    assert found.back and found.new
    assert team.aliases() == {"devl": new, "stag": new, "prod": "1"}


class Slow(Project):
    """A project whose owner looks at its params while somebody else promotes."""

    @property
    def params(self):
        self.build_model()
        return self.given_params


def test_two_people_at_once_get_one_line(team):
    team.in_production()
    other = register_result(team.poor)
    move = (team.name, "stag", other)
    slow = Slow(
        team.poor.problem,
        lambda: team.client.set_registered_model_alias(*move),
        team.poor.root,
        given_params=team.poor.params,
    )
    said = f"^stag: was given to version {other} meanwhile, by somebody else; look at it"
    with pytest.raises(StepFailed, match=said):
        promote(slow, "stag", force="a recall")
    assert not {"held_stag", "forced_stag"} & team.version(other).tags.keys()


def test_a_promotion_that_broke_off_is_completed_by_another(team):
    """The alias moved, the mark did not come: what is not marked has no free way back."""
    version = register_result(team.good)
    team.client.set_registered_model_alias(team.name, "stag", version)
    assert not promote(team.good, "stag").new
    assert team.version(version).tags["held_stag"] == "true"


# What cannot be promoted.


def test_a_version_that_was_registered_by_hand_is_not_promoted_but_registered_beside_it(team):
    run = team.client.get_run(track(team.good).run_id)
    team.client.create_registered_model(team.name)
    source = f"{run.info.artifact_uri}/model"
    team.client.create_model_version(team.name, source, run_id=run.info.run_id)
    said = "version 1: only half registered; run .* register on its commit"
    team.refused(UserError, said, team.good, "stag", version="1")
    assert register_result(team.good) == register_result(team.good) == "2"
    assert promote(team.good, "stag").version == "2"


def test_a_report_compares_with_what_serves(team, tmp_path):
    register_result(team.good)
    with pytest.raises(UserError, match="^prod: no version holds this alias; git fetch, or"):
        report(team.good, "prod", tmp_path / "report.md")
    team.in_production()
    found = report(team.good, "prod", tmp_path / "report.md")
    assert (found.base, found.commit) == ("prod", check(team.good, "git", "rev-parse", "HEAD"))
    assert found.comparison.difference == 0 and found.promote
    assert "this change against `prod`" in (tmp_path / "report.md").read_text("utf-8")
    with pytest.raises(
        UserError, match=rf"^prod: commit {found.commit[:7]} is not here; git fetch"
    ):
        report(team.poor, "prod", tmp_path / "report.md")


def test_what_is_not_there_is_named(team, tmp_path):
    for call in (lambda: promote(team.good, "stag"), lambda: list_versions(team.good)):
        with pytest.raises(UserError, match="^no registered model .* on the server; run .* regist"):
            call()
    register_result(team.good)
    for version in ("99", "none"):
        said = f"version {version}: .* has no such version"
        team.refused(UserError, said, team.good, "stag", version=version)
    team.refused(UserError, "^no version holds stag; name one by --version", team.good, "prod")
    for name, alias in ((team.name, "nobody"), ("unknown", "prod")):
        with pytest.raises(StepFailed, match=f": {name}@{alias} not fetched: [^\n]*$"):
            fetch_bundle(team.good, name, alias, tmp_path)


def test_with_other_data_in_the_project_it_is_said_which_are_wanted(team, tmp_path):
    register_result(team.good)
    project = copy_of(team.good, tmp_path / "copy")
    summary = read_processed(project)[1] | {"raw_md5": "0" * 32}
    replace_file(project.processed / "summary.json", json.dumps(summary))
    md5 = team.version("1").tags["data_md5"]
    said = f"version 1: was made from data md5 {md5}; found {'0' * 32}; git switch"
    team.refused(UserError, said, project, "stag")


@pytest.mark.parametrize(
    "names",
    [
        [f"model/data/models/{name}" for name in ("model.json", "cases.json", "metadata.json")],
        ["model/MLmodel"],
    ],
    ids=["bundle", "loader"],
)
def test_other_bytes_than_those_tracked_are_refused(team, tmp_path, names):
    """Also in what ``models:/NAME@prod`` loads."""
    register_result(team.good)
    said = "version 1: not the bytes that were tracked"
    with team.spoilt(*names):
        team.refused(StepFailed, said, team.good, "stag")
        with pytest.raises(StepFailed, match=said):
            fetch_bundle(team.good, team.name, "devl", tmp_path)


@pytest.mark.parametrize(
    "lost, said",
    [(["model/MLmodel"], "not the bytes that"), ([], "hold-out rule is .*v1.*champion's .*v0")],
)
def test_a_champion_that_cannot_be_compared_is_an_objection_that_force_answers(
    team, tmp_path, lost, said
):
    champion = copy_of(team.good, tmp_path / "copy")
    if not lost:
        path = champion.models / "metadata.json"
        replace_file(path, path.read_text("utf-8").replace('"rule": "v1"', '"rule": "v0"'))
        check(champion, "sh", "-c", "dvc commit -q -f; git commit -qam 'another rule'")
    register_result(champion)
    promote(champion, "stag")
    register_result(team.poor)
    with team.spoilt(*lost):
        team.refused(StepFailed, f"not compared with 1: .*{said}", team.poor, "stag")
        assert promote(team.poor, "stag", force="the old one is lost").new


def test_a_server_that_is_down_or_has_no_registry_is_one_line(team, monkeypatch, tmp_path):
    def no_registry(path):
        unknown = b'{"error_code": "ENDPOINT_NOT_FOUND", "message": "none"}'
        return (200, b"{}") if "experiments/search" in path else (404, unknown)

    with web_server(no_registry) as port:
        for place, reason in ((9, "the server does not answer"), (port, "found no MLflow server")):
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{place}")
            for call, said in (
                (lambda: promote(team.good, "stag"), "not promoted"),
                (lambda: list_versions(team.good), "versions not read"),
                (lambda: fetch_bundle(team.good, "m", "prod", tmp_path), "m@prod not fetched"),
            ):
                with pytest.raises(StepFailed, match=f": {said}: {reason}[^\n]*; [^\n]*$"):
                    call()


# Serving.


@pytest.fixture
def warned(caplog, monkeypatch):
    """``caplog`` of the server's warnings, whoever has set up its logger, or switched it off."""
    logger = logging.getLogger("uvicorn.error")
    monkeypatch.setattr(logger, "disabled", False)  # MLflow does, when it makes a database
    logger.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO, logger.name):
        yield caplog
    logger.removeHandler(caplog.handler)


def test_a_server_follows_an_alias_and_keeps_the_last_good_model(team, monkeypatch, warned):
    register_result(team.poor)
    for to in ("stag", "prod"):
        promote(team.poor, to, force="the first one")
    source = Source(team.good.problem, f"models:/{team.name}@prod", team.good)
    assert source.try_fetch() is None
    served = source.load()
    assert (
        served.model.version == "1" and served.model.sha256 == load_bundle(team.poor.models).sha256
    )
    assert served.origin == f"models:/{team.name}@prod, version 1" and source.newer() is None
    team.in_production()
    assert source.newer() is None, "the watcher has not looked yet"
    assert source.try_fetch() is None
    newer = source.newer()
    assert newer.model.version == "2" and newer.model.sha256 == load_bundle(team.good.models).sha256
    assert source.newer() is None
    with team.spoilt("model/MLmodel"):
        promote(team.good, "prod", version="1")
        assert "not the bytes" in str(source.try_fetch())
        assert source.try_fetch() and "not fetched" in warned.text and source.newer() is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    again = Source(team.good.problem, f"models:/{team.name}@prod", team.good)
    follow(again)  # as after a start while the registry is down
    assert again.load().model.version == "2"
    with pytest.raises(StepFailed, match="does not answer"):
        follow(Source(team.good.problem, f"models:/{team.name}@stag", team.good))


PROGRAM = """
import sys
from dataclasses import replace

sys.path.insert(0, {here!r})
from problems import MADE, build_plain
from laptop_pricing.kit.cli import make_cli

make_cli(replace(MADE, name={name!r}), build_plain)()
"""


def test_a_running_server_changes_its_model_and_loses_no_request(team, store, tmp_path):
    register_result(team.poor)
    for to in ("stag", "prod"):
        promote(team.poor, to, force="the first one")
    program, port = tmp_path / "program.py", free_port()
    here = str(Path(__file__).parents[1])
    program.write_text(PROGRAM.format(here=here, name=team.name), encoding="utf-8")
    command = [sys.executable, program, "serve", "--model", f"models:/{team.name}@prod"]
    address = f"http://127.0.0.1:{port}"
    log = team.good.root / "serve.log"  # in the project, where the command runs
    with running([*command, "--port", port], f"{address}/healthz", log) as server:

        def ask():
            asked = urllib.request.Request(
                f"{address}/v1/quote", json.dumps(dict(MADE.example)).encode()
            )
            with urllib.request.urlopen(asked, timeout=9) as answer:
                return json.load(answer)["model"]["version"]

        assert ask() == "1"
        team.in_production()
        versions, end = [], time.monotonic() + 60
        while "2" not in versions[-1:]:
            versions.append(ask())
            time.sleep(0.01)
            assert time.monotonic() < end
        assert sorted(set(versions)) == ["1", "2"] and versions == sorted(versions)
        watcher, *_ = psutil.Process(server.pid).children()
        server.kill()
        server.wait()
        with open_port("127.0.0.1", port):  # nobody else listens
            pass
        watcher.wait(10)
    shutil.rmtree(team.good.quotes)
    log.unlink()


def ask_versions(source, projects, dice):
    """Ask 250 quotes of the model of each project once it is what the alias means; the log, ids."""
    register_result(projects[0])
    assert source.try_fetch() is None
    app, log = create_app(source.problem, source.load()), QuoteLog(source.project.quotes)
    app.state.quotes, ids = log, defaultdict(list)
    rows = read_processed(projects[0])[0][list(MADE.names)].astype(object).to_dict("records")
    with TestClient(app) as client:
        for project in projects:
            version = register_result(project)
            assert source.try_fetch() is None
            app.state.served = source.newer() or app.state.served
            for _ in range(250):
                wanted = dice.choice([{}, {"margin": 0.1}, {"margin": 0.2, "risk": 0.3}])
                answer = client.post("/v1/quote", json=dice.choice(rows), params=wanted).json()
                assert answer["model"]["version"] == version
                ids[version].append(answer["quote_id"])
    log.close()
    return log.folder, ids


def test_a_thousand_quotes_of_three_versions_are_the_same_again(team, tmp_path):
    other = make_project(tmp_path / "other", MADE, model={"alpha": 30})
    shutil.copytree(team.good.processed, other.processed)
    train(other)
    other = named(in_git(other), team.name)
    project = replace(team.good, root=tmp_path / "server")  # which has no model of its own
    source = Source(project.problem, f"models:/{team.name}@devl", project)
    folder, ids = ask_versions(source, (team.poor, team.good, other, team.poor), random.Random(0))
    assert {version: len(set(some)) for version, some in ids.items()} == {
        "1": 500,
        "2": 250,
        "3": 250,
    }
    found = replay_quotes(project, folder)
    assert (found.quotes, found.differences) == (1000, [])
    assert sorted(found.models.values()) == ["version 1", "version 2", "version 3"]

    (path,) = log_files(folder)
    changed, cut = ids["1"][7], ids["3"][9]
    (line,) = read_log(folder, changed)
    content, place = path.read_bytes(), line.answer.index(b'"prediction":') + len('"prediction":')
    digit = b"%d" % (int(line.answer[place : place + 1]) % 9 + 1)
    wrong = line.answer[:place] + digit + line.answer[place + 1 :]
    begins = b'{"quote_id":"%s"'
    lines = content.splitlines(keepends=True)
    for i, one in enumerate(lines):
        if one.startswith(begins % changed.encode()):
            lines[i] = one.replace(line.answer, wrong)
        elif one.startswith(begins % cut.encode()):
            lines[i] = one[:200] + b"\n"
    path.write_bytes(b"".join(lines))
    team.client.delete_model_version(team.name, "2")
    found = replay_quotes(project, folder)
    said = dict(line.split(": ", 1) for line in found.differences)
    assert found.quotes == 1000 and said.keys() == {changed, cut, *ids["2"]}
    assert re.fullmatch(r"prediction was [\d.]+, is [\d.]+", said.pop(changed))
    assert said.pop(cut) == "damaged in the log"
    assert set(said.values()) == {f"version 2: {team.name} has no such version"}


def test_a_model_that_gives_no_quotes_does_not_take_over(team, warned):
    models = team.good.models
    source, content = Source(team.good.problem, models), (models / "metadata.json").read_text(
        "utf-8"
    )
    assert source.load()
    spoilt = content.replace('"errors": "relative"', '"errors": "none such"')
    assert spoilt != content
    replace_file(models / "metadata.json", spoilt)
    try:
        assert source.newer() is None and source.newer() is None
        assert "the model stays as it is" in warned.text
    finally:
        replace_file(models / "metadata.json", content)
    assert source.newer() is None
