"""Versions go from alias to alias past the gate, and nothing is half done, whatever goes wrong."""

import json
import re
import shutil
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pytest
from problems import MADE, make_params, make_project
from tracked import check, client_of, copy_of, in_git, named, replace_file, web_server

from laptop_pricing.kit.data.split import is_held_out
from laptop_pricing.kit.data.table import KEY
from laptop_pricing.kit.errors import StepFailed, UserError
from laptop_pricing.kit.files import checksum
from laptop_pricing.kit.modeling.bundle import load_bundle
from laptop_pricing.kit.modeling.evaluate import score
from laptop_pricing.kit.modeling.train import read_processed, train
from laptop_pricing.kit.project import Project
from laptop_pricing.kit.tracking.promotion import holders, promote, register_result
from laptop_pricing.kit.tracking.registry import register
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

    def register(self, project):
        """As ``register_result`` does, without its look at Git and DVC."""
        bundle = load_bundle(project.models)
        tags = {"data_md5": bundle.metadata["data_md5"], "model_sha256": bundle.sha256}
        version = register(project, track(project).run_id, self.name, "# Card", tags)
        self.client.set_registered_model_alias(self.name, "devl", version)
        return version

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
        version = self.register(self.good)
        for to in ("stag", "prod"):
            promote(self.good, to)
        return version

    def artifact(self, version, name):
        uri = self.client.get_run(self.version(version).run_id).info.artifact_uri
        return Path(uri.removeprefix("file://")) / name


@pytest.fixture
def team(results, store, monkeypatch, request):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    name = re.sub(r"\W+", " ", request.node.name)
    return Team(*(named(project, name) for project in results), client_of(results[0]), name)


def moved(project, folder):
    """A copy, named as the project."""
    return replace(
        project, root=Path(shutil.copytree(project.root, folder / "copy", symlinks=True))
    )


# Registering.


def test_a_result_is_one_version_with_its_facts_and_its_card(team):
    number = register_result(team.good)
    version, (_, summary) = team.version(number), read_processed(team.good)
    metrics = json.loads(team.good.metrics.read_text("utf-8"))
    assert version.tags == {
        "commit": check(team.good, "git", "rev-parse", "HEAD"),
        "dvc_lock": check(team.good, "git", "rev-parse", "HEAD:dvc.lock"),
        "data_md5": checksum(team.good.raw, "md5"),
        "model_sha256": checksum(team.good.models / "model.json", "sha256"),
        "MAPE": f"{metrics['cv']['MAPE']['mean']:.4f}",
    }
    assert version.run_id == track(team.good).run_id and version.status == "READY"
    card = version.description
    assert f"{summary['rows']} rows, md5 {summary['raw_md5']}" in card and MADE.caveat in card
    assert "| district " in card and "| rent band " in card and len(card) < 5_000
    assert register_result(team.good) == number == "1" and team.aliases() == {"devl": "1"}
    assert team.register(team.poor) == "2" and team.aliases() == {"devl": "2"}
    # Defect 6 of the known projects: the latest run of any experiment is registered.
    assert register_result(team.good) == "1" and team.aliases() == {"devl": "1"}


_WITHOUT = "git rm -q --cached {0} && git commit -qm 'without {0}'"


@pytest.mark.parametrize(
    "change, said",
    [
        ("echo >> dvc.yaml", "^dvc.yaml: uncommitted; a version is told by its commit; git add"),
        ("mkdir src; touch src/features.py", "^src/features.py: uncommitted"),
        (_WITHOUT.format("metrics.json"), "^metrics.json: uncommitted"),
        (_WITHOUT.format("dvc.lock"), "^dvc.lock: uncommitted"),
        ("echo /dvc.lock >> .gitignore; git add . ; " + _WITHOUT.format("dvc.lock"),
         "^dvc.lock: not committed; dvc repro"),
        ("sed -i 's/\"alpha\": 2/\"alpha\": 5/' params.yaml && git commit -qam 'no dvc repro'",
         "^train: not what dvc.lock says; dvc repro or dvc checkout"),
        ("rm models/cases.json; echo >> models/cases.json", "^train: not what dvc.lock says"),
        ("rm -rf .git", "no commit to register a version of"),
    ],
)  # fmt: skip
def test_what_its_commit_cannot_make_again_is_not_registered(team, tmp_path, change, said):
    project = moved(team.good, tmp_path)
    check(project, "sh", "-c", f"touch 'a note of mine'; {change}")  # the note is no matter
    with pytest.raises(UserError, match=said):
        register_result(project)
    assert team.client.search_registered_models(f"name = '{team.name}'") == []


# Promoting.


def test_a_version_goes_from_alias_to_alias_and_is_what_prod_predicts_by(team, store):
    team.register(team.poor)
    promote(team.poor, "stag", force="the first one")
    version = team.in_production()
    assert team.aliases() == dict.fromkeys(("devl", "stag", "prod"), version)
    before = team.state()
    again = promote(team.good, "prod")
    assert not again.new and not again.back and again.objections == [] and team.state() == before
    md5 = checksum(team.good.raw, "md5")
    facts = [(h.alias, h.version, h.data_md5, h.commit) for h in holders(team.good)]
    assert facts == [(alias, version, md5, "unknown") for alias in ("devl", "stag", "prod")]
    mlflow.set_tracking_uri(store)
    rows = read_processed(team.good)[0][list(MADE.names)]
    loaded = mlflow.pyfunc.load_model(f"models:/{team.name}@prod").predict(rows)
    np.testing.assert_array_equal(loaded, load_bundle(team.good.models).predict(rows))
    team.register(team.poor)  # MLflow's own note beside what it loads does no harm
    assert promote(team.good, "prod", version=version).version == version


def test_a_better_model_takes_over_and_says_by_how_much(team):
    """Promoted where another model was trained last: the candidate itself is scored."""
    team.register(team.poor)
    promote(team.poor, "stag", force="the first one")
    better = team.register(team.good)
    found = promote(team.poor, "stag")
    assert found[:2] + found[3:] == (better, [], False, True)
    assert found.comparison.difference < found.comparison.high < 0
    table = read_processed(team.good)[0]
    rows = table[is_held_out(table[KEY])]
    for project, said in ((team.good, "candidate"), (team.poor, "champion")):
        expected = score(rows["rent"], load_bundle(project.models).predict(rows))
        assert getattr(found.comparison, said) == pytest.approx(expected)


def test_the_gate_leaves_every_alias_where_it_was_and_force_keeps_its_reason(team):
    first = team.in_production()
    worse = team.register(team.poor)
    said = (
        f"version {worse}: is not promoted to {{}}: .*MAPE on the hold-out .*worse by .*tolerance"
    )
    team.refused(StepFailed, said.format("stag"), team.poor, "stag")
    assert team.aliases() == {"devl": worse, "stag": first, "prod": first}
    found = promote(team.poor, "stag", force="a recall")
    assert found.new and any("MAPE on the hold-out" in line for line in found.objections)
    assert team.version(worse).tags["forced_stag"] == "a recall" and team.aliases()["stag"] == worse
    # What never held an alias goes through its gate, by name as well.
    for given in ({}, {"version": worse}):
        team.refused(StepFailed, said.format("prod"), team.poor, "prod", **given)


def test_missed_criteria_are_reason_enough_where_there_is_no_champion(team):
    team.register(team.good)
    strict = team.good.with_params(make_params(MADE, criteria={"MAPE": 0.0001}))
    said = "not promoted to stag: MAPE .*, promised < 0.0001; the aliases mean what they meant"
    team.refused(StepFailed, said, strict, "stag")
    promote(team.good, "stag", force="to be sure")
    assert "forced_stag" not in team.version("1").tags, "the reason was not needed"


def test_the_way_back_needs_no_gate_and_no_data(team, tmp_path):
    team.register(team.poor)
    for to in ("stag", "prod"):
        promote(team.poor, to, force="the first one")
    new = team.in_production()
    found = promote(replace(team.good, root=tmp_path), "prod", version="1")
    assert found.back and found.new
    assert team.aliases() == {"devl": new, "stag": new, "prod": "1"}


class Slow(Project):
    """A project whose owner looks at its params while somebody else promotes."""

    def meanwhile(self):
        pass

    @property
    def params(self):
        self.meanwhile()
        return super().params


def test_two_people_at_once_get_one_line(team, monkeypatch):
    first = team.in_production()
    other = team.register(team.poor)
    tags = {name: v for name, v in team.version(first).tags.items() if "held" not in name}
    given = {"run_id": team.version(first).run_id, "tags": tags}
    made = team.client.create_model_version(team.name, team.version(first).source, **given)
    slow = Slow(**{name: getattr(team.good, name) for name in Project.__dataclass_fields__})
    move = (team.name, "stag", other)
    object.__setattr__(slow, "meanwhile", lambda: team.client.set_registered_model_alias(*move))
    said = f"^stag: was given to version {other} meanwhile, by somebody else; look at it"
    with pytest.raises(StepFailed, match=said):
        promote(slow, "stag", version=str(made.version))
    assert team.aliases()["stag"] == other
    assert "held_stag" not in team.version(made.version).tags


def test_a_promotion_that_broke_off_is_completed_by_another(team):
    """The alias moved, the mark did not come: what is not marked has no free way back."""
    version = team.register(team.good)
    team.client.set_registered_model_alias(team.name, "stag", version)
    assert not promote(team.good, "stag").new
    assert team.version(version).tags["held_stag"] == "true"


# What cannot be promoted.


def _pending(team, store):
    with sqlite3.connect(store.removeprefix("sqlite:///")) as database:
        change = "UPDATE model_versions SET status = 'PENDING_REGISTRATION' WHERE name = ?"
        database.execute(change, (team.name,))


@pytest.mark.parametrize(
    "spoil, said",
    [
        (lambda team, _: team.client.delete_model_version_tag(team.name, "1", "model_sha256"),
         r"only half registered \(ready, no model_sha256\); run .* register on its commit"),
        (_pending, r"only half registered \(pending_registration\)"),
        (lambda team, _: team.client.delete_run(team.version("1").run_id), "was deleted; restore"),
    ],
)  # fmt: skip
def test_a_version_that_is_not_whole_is_not_promoted(team, store, spoil, said):
    run = team.version(team.register(team.good)).run_id
    spoil(team, store)
    try:
        team.refused(UserError, f"version 1: .*{said}", team.good, "stag", version="1")
    finally:
        if team.client.get_run(run).info.lifecycle_stage != "active":
            team.client.restore_run(run)


def test_what_is_not_there_is_named(team):
    for call in (lambda: promote(team.good, "stag"), lambda: holders(team.good)):
        with pytest.raises(UserError, match="^no registered model .* on the server; run .* regist"):
            call()
    team.register(team.good)
    for version in ("99", "none"):
        said = f"version {version}: .* has no such version"
        team.refused(UserError, said, team.good, "stag", version=version)
    team.refused(UserError, "^no version holds stag; name one by --version", team.good, "prod")


def test_with_other_data_in_the_project_it_is_said_which_are_wanted(team, tmp_path):
    team.register(team.good)
    project = moved(team.good, tmp_path)
    summary = read_processed(project)[1] | {"raw_md5": "0" * 32}
    replace_file(project.processed / "summary.json", json.dumps(summary))
    md5 = team.version("1").tags["data_md5"]
    said = f"version 1: was made from data md5 {md5}; found {'0' * 32}; git switch"
    team.refused(UserError, said, project, "stag")


BUNDLE = ("model.json", "cases.json", "metadata.json")


@pytest.mark.parametrize(
    "names, said",
    [
        (["bundle/model.json"], "found SHA-256"),
        ([f"bundle/{name}" for name in BUNDLE], "not the bytes that were registered"),
        ([f"model/data/models/{name}" for name in BUNDLE], "not the bytes that were registered"),
        (["model/MLmodel"], "not the bytes that were registered"),
    ],
    ids=["model", "bundle", "copy", "loader"],
)
def test_other_bytes_than_those_registered_are_refused(team, names, said):
    """Also in what ``models:/NAME@prod`` loads."""
    team.register(team.good)
    before = {team.artifact("1", name): team.artifact("1", name).read_text() for name in names}
    for path in before:
        other = team.poor.models / path.name
        replace_file(path, other.read_text() if other.exists() else before[path] + "#")
    try:
        team.refused(StepFailed, f"version 1: .*{said}", team.good, "stag")
    finally:
        for path, content in before.items():
            replace_file(path, content)


@pytest.mark.parametrize("reason", ["lost", "another rule"])
def test_a_champion_that_cannot_be_compared_is_an_objection_that_force_answers(
    team, tmp_path, reason
):
    champion = moved(team.good, tmp_path)
    if reason == "another rule":
        path = champion.models / "metadata.json"
        replace_file(path, path.read_text("utf-8").replace('"rule": "v1"', '"rule": "v0"'))
    team.register(champion)
    promote(champion, "stag")
    team.register(team.poor)
    path = team.artifact("1", "bundle/cases.json")
    before = path.read_text("utf-8")
    if reason == "lost":
        replace_file(path, "{}")
    said = "found SHA-256" if reason == "lost" else "hold-out rule is .*v1.*champion's .*v0"
    try:
        said = f"not compared with 1: .*{said}"
        team.refused(StepFailed, said, team.poor, "stag")
        assert promote(team.poor, "stag", force="the old one is lost").new
    finally:
        replace_file(path, before)


def test_a_server_that_is_down_or_has_no_registry_is_one_line(team, monkeypatch):
    def no_registry(path):
        unknown = b'{"error_code": "ENDPOINT_NOT_FOUND", "message": "none"}'
        return (200, b"{}") if "experiments/search" in path else (404, unknown)

    with web_server(no_registry) as port:
        for place, reason in ((9, "the server does not answer"), (port, "found no MLflow server")):
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{place}")
            for call, said in (
                (lambda: promote(team.good, "stag"), "not promoted"),
                (lambda: holders(team.good), "aliases not read"),
            ):
                with pytest.raises(StepFailed, match=f": {said}: {reason}[^\n]*; [^\n]*$"):
                    call()
