"""Versions go from alias to alias past the gate, and nothing is half done, whatever goes wrong."""

import http.server
import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from environments import ROOT
from solo import call, change_params, commit, make_project, ours

from laptop_pricing.data.schema import FEATURES
from laptop_pricing.errors import StepFailed, UserError
from laptop_pricing.files import checksum
from laptop_pricing.modeling import gate
from laptop_pricing.modeling.bundle import MODEL_FILE, load_bundle, read_metadata
from laptop_pricing.modeling.train import read_processed
from laptop_pricing.settings import PARAMS_FILE, Workspace, load_params
from laptop_pricing.tracking import promotion
from laptop_pricing.tracking.promotion import holders, promote, register_result
from laptop_pricing.tracking.registry import register
from laptop_pricing.tracking.runs import track

pytestmark = pytest.mark.services

POOR = {"train__crossed": [], "train__alphas": [60.0], "criteria__MAPE": 0.5, "criteria__R2": 0.0}
REGISTERED = "laptop-pricing"


def trained(root):
    done = call(root, "dvc", "repro", "-q")
    assert done.returncode == 0, done.stderr
    commit(root, "trained")
    return Workspace(root)


@pytest.fixture(scope="module")
def workspaces(tmp_path_factory, sample_csv):
    """A poor model and a good one, committed, each in a workspace of its own. Read only."""
    folder = tmp_path_factory.mktemp("promotion")
    root = make_project(folder / "poor", sample_csv)
    change_params(root, **POOR)
    done = ours(root, "ingest", sample_csv)
    assert done.returncode == 0, done.stderr
    poor = trained(root)
    root = Path(shutil.copytree(root, folder / "good", symlinks=True))
    change_params(root, train__crossed=["processor_name"], train__alphas=[1.0, 10.0])
    return poor, trained(root)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The address of a local database, whose files lie beside it."""
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("store")
    uri = f"sqlite:///{(folder / 'runs.db').as_posix()}"
    MlflowClient(uri).create_experiment("laptop-pricing", (folder / "artifacts").as_uri())
    return uri


@pytest.fixture
def team(workspaces, store, monkeypatch, request):
    """Both workspaces and a client, with a registered model of the test's own."""
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    name = request.node.name.replace("/", " ")
    monkeypatch.setattr(promotion, "NAME", name)
    return Team(*workspaces, MlflowClient(store), name)


class Team:
    def __init__(self, poor, good, client, name):
        self.poor, self.good, self.client, self.name = poor, good, client, name

    def register(self, workspace):
        return register_result(workspace, self.params(workspace))

    def promote(self, workspace, to, *arguments, **named):
        return promote(workspace, self.params(workspace), to, *arguments, **named)

    @staticmethod
    def params(workspace):
        return load_params(workspace.root / PARAMS_FILE)

    def version(self, number):
        return self.client.get_model_version(self.name, number)

    def aliases(self):
        found = self.client.get_registered_model(self.name).aliases
        return {alias: str(version) for alias, version in found.items()}

    def refused(self, error, match, workspace, to, **named):
        """A promotion is refused in one line, and leaves aliases and tags as they were."""
        before = self.aliases(), self.tags()
        with pytest.raises(error, match=match) as caught:
            self.promote(workspace, to, **named)
        assert "\n" not in str(caught.value)
        assert (self.aliases(), self.tags()) == before

    def tags(self):
        found = self.client.search_model_versions(f"name = '{self.name}'")
        return {str(version.version): version.tags for version in found}

    def in_production(self):
        """The good model, promoted all the way."""
        version = self.register(self.good)
        for to in ("stag", "prod"):
            self.promote(self.good, to)
        return version


def copy(workspace, tmp_path):
    return Workspace(Path(shutil.copytree(workspace.root, tmp_path / "copy", symlinks=True)))


# Registering.


def test_a_version_names_its_run_data_commit_and_lock(team):
    version = team.version(team.register(team.good))
    root, metadata = team.good.root, read_metadata(team.good.models)
    head = call(root, "git", "rev-parse", "HEAD", "HEAD:dvc.lock").stdout.split()
    assert version.tags == {
        "commit": head[0],
        "dvc_lock": head[1],
        "data_md5": checksum(team.good.raw, "md5"),
        "model_sha256": checksum(team.good.models / MODEL_FILE, "sha256"),
        "MAPE": f"{metadata['metrics']['cv']['MAPE']['mean']:.4f}",
    }
    assert version.run_id == track(team.good, team.params(team.good)).run_id
    assert version.status == "READY" and team.aliases() == {"devl": "1"}


def test_its_description_is_the_model_card(team):
    card = team.version(team.register(team.good)).description
    metrics = json.loads(team.good.metrics.read_text(encoding="utf-8"))
    for name in ("R2", "MAPE", "MAE"):
        cv, holdout = metrics["cv"][name], metrics["holdout"][name]
        line = f"| {name} | {cv['mean']:,.4g} ± {cv['sd']:,.2g} | {holdout:,.4g} |"
        assert line in card.splitlines()
    _, summary = read_processed(team.good)
    assert f"{summary['rows']} rows, md5 {summary['raw_md5']}" in card
    assert "not like second-hand" in card and "90 % interval held" in card
    assert "| brand ASUS |" in card and len(card) < 5_000


def test_a_result_is_one_version_however_often_it_is_registered(team):
    assert team.register(team.good) == team.register(team.good) == "1"
    assert list(team.tags()) == ["1"]
    assert team.register(team.poor) == "2" and team.aliases() == {"devl": "2"}
    assert team.register(team.good) == "1" and team.aliases() == {"devl": "1"}


def test_a_version_that_was_made_by_hand_is_completed(team):
    run = track(team.good, team.params(team.good)).run_id
    bare = register(team.good, run, team.name)
    assert team.version(bare).tags == {}
    team.refused(UserError, "only half registered", team.good, "stag", version=bare)
    assert team.register(team.good) == bare
    assert "## Use" in team.version(bare).description
    assert team.promote(team.good, "stag").new


def test_uncommitted_changes_are_not_registered(team, tmp_path):
    workspace = copy(team.good, tmp_path)
    with open(workspace.root / "dvc.yaml", "a", encoding="utf-8") as file:
        file.write("# a note\n")
    with pytest.raises(UserError, match="^dvc.yaml: uncommitted; .*git commit, then register"):
        team.register(workspace)
    assert team.client.search_registered_models(f"name = '{team.name}'") == []


def test_a_lock_that_is_not_in_git_is_not_registered(team, tmp_path):
    workspace = copy(team.good, tmp_path)
    call(workspace.root, "git", "rm", "-q", "--cached", "dvc.lock")
    call(workspace.root, "git", "commit", "-qm", "without the lock")
    with pytest.raises(UserError, match="^dvc.lock: uncommitted"):
        team.register(workspace)


def test_a_model_that_is_not_what_the_lock_says_is_not_registered(team, tmp_path):
    workspace = copy(team.good, tmp_path)
    for file in team.poor.models.iterdir():
        (workspace.models / file.name).unlink()
        shutil.copyfile(file, workspace.models / file.name)
    with pytest.raises(UserError, match="^models/.*: not what dvc.lock says; dvc repro"):
        team.register(workspace)


def test_params_that_did_not_make_the_model_are_not_registered_with_it(team, tmp_path):
    workspace = copy(team.good, tmp_path)
    change_params(workspace.root, train__alphas=[5.0])
    commit(workspace.root, "other params, no dvc repro")
    with pytest.raises(UserError, match="^train: not what dvc.lock says; dvc repro"):
        team.register(workspace)


def test_without_a_commit_or_a_model_there_is_nothing_to_register(team, tmp_path):
    workspace = Workspace(tmp_path)
    shutil.copyfile(ROOT / PARAMS_FILE, tmp_path / PARAMS_FILE)
    with pytest.raises(UserError, match="no commit to register a version of"):
        team.register(workspace)


# Promoting.


def test_a_version_goes_from_alias_to_alias(team):
    version = team.register(team.good)
    assert team.promote(team.good, "stag").version == version
    assert team.aliases() == {"devl": version, "stag": version}
    assert team.promote(team.good, "prod").objections == []
    assert team.aliases() == dict.fromkeys(("devl", "stag", "prod"), version)
    found = [(h.alias, h.version, h.data_md5) for h in holders(team.good)]
    md5 = checksum(team.good.raw, "md5")
    assert found == [(alias, version, md5) for alias in ("devl", "stag", "prod")]


def test_a_better_model_takes_over_and_says_by_how_much(team):
    team.register(team.poor)
    team.promote(team.poor, "stag")
    better = team.register(team.good)
    found = team.promote(team.good, "stag")
    assert (found.version, found.new, found.back, found.objections) == (better, True, False, [])
    assert found.comparison.difference < found.comparison.high < 0
    assert team.aliases() == {"devl": better, "stag": better}


def test_promoting_again_changes_nothing(team):
    team.register(team.good)
    assert team.promote(team.good, "stag").new
    before = team.tags()
    assert not team.promote(team.good, "stag").new
    assert team.tags() == before


def test_the_gate_leaves_every_alias_where_it_was(team):
    first = team.in_production()
    worse = team.register(team.poor)
    team.refused(
        StepFailed,
        f"version {worse} is not promoted to stag: MAPE on the hold-out .*worse by .*tolerance",
        team.poor,
        "stag",
    )
    assert team.aliases() == {"devl": worse, "stag": first, "prod": first}


def test_missed_criteria_are_reason_enough_where_there_is_no_champion(team):
    team.register(team.poor)
    strict = team.params(team.good).criteria.model_copy(update={"MAPE": 0.0001})
    params = team.params(team.poor).model_copy(update={"criteria": strict})
    with pytest.raises(StepFailed, match="not promoted to stag: MAPE .*, promised < 0.0001; the"):
        promote(team.poor, params, "stag")
    assert list(team.aliases()) == ["devl"]


def test_force_keeps_its_reason(team):
    team.in_production()
    worse = team.register(team.poor)
    found = team.promote(team.poor, "stag", force="a recall of last week's data")
    assert found.new and "MAPE on the hold-out" in found.objections[0]
    assert team.version(worse).tags["forced_stag"] == "a recall of last week's data"
    assert team.aliases()["stag"] == worse


def test_a_reason_that_was_not_needed_is_not_kept(team):
    version = team.register(team.good)
    team.promote(team.good, "stag", force="to be sure")
    assert "forced_stag" not in team.version(version).tags


def test_the_way_back_needs_no_gate_and_no_data(team, tmp_path):
    team.register(team.poor)
    team.promote(team.poor, "stag")
    old = team.promote(team.poor, "prod").version
    team.register(team.good)
    team.promote(team.good, "stag")
    new = team.promote(team.good, "prod").version
    empty = Workspace(tmp_path)
    found = promote(empty, team.params(team.good), "prod", version=old)
    assert found.back and found.new
    assert team.aliases() == {"devl": new, "stag": new, "prod": old}


def test_what_never_held_the_alias_goes_through_the_gate(team):
    team.in_production()
    worse = team.register(team.poor)
    team.promote(team.poor, "stag", force="to look at it")
    team.refused(StepFailed, f"version {worse} is not promoted to prod", team.poor, "prod")
    named = {"version": worse}
    team.refused(StepFailed, f"version {worse} is not promoted to prod", team.poor, "prod", **named)


def test_two_people_at_once_get_one_line(team, monkeypatch):
    first = team.in_production()
    other = team.register(team.poor)
    candidate = str(
        team.client.create_model_version(
            team.name,
            team.version(first).source,
            run_id=team.version(first).run_id,
            tags=team.version(first).tags | {"held_stag": "", "held_prod": ""},
        ).version
    )
    for alias in ("stag", "prod"):
        team.client.delete_model_version_tag(team.name, candidate, f"held_{alias}")
    examine = promotion._examine

    def slowly(*arguments):
        found = examine(*arguments)
        team.client.set_registered_model_alias(team.name, "stag", other)
        return found

    monkeypatch.setattr(promotion, "_examine", slowly)
    said = f"^stag was given to version {other} meanwhile, by somebody else"
    with pytest.raises(StepFailed, match=said):
        team.promote(team.good, "stag", version=candidate)
    assert team.aliases()["stag"] == other
    assert "held_stag" not in team.version(candidate).tags


def test_a_promotion_that_broke_off_is_completed_by_another(team, monkeypatch):
    """The alias moved, the mark did not come: what is not marked has no free way back."""
    version = team.register(team.good)
    kind = type(team.client)

    def broken(*arguments):
        raise OSError("the line went dead")

    with monkeypatch.context() as patch:
        patch.setattr(kind, "set_model_version_tag", broken)
        with pytest.raises(StepFailed, match=f"version {version} is stag: .*; promote again"):
            team.promote(team.good, "stag")
    assert team.aliases()["stag"] == version and "held_stag" not in team.version(version).tags
    assert not team.promote(team.good, "stag").new
    assert team.version(version).tags["held_stag"] == "true"


def test_no_alias_moves_when_the_server_refuses_to_move_it(team, monkeypatch):
    version = team.register(team.good)

    def refuse(*arguments):
        raise OSError("Permission denied")

    monkeypatch.setattr(type(team.client), "set_registered_model_alias", refuse)
    before = team.tags()
    with pytest.raises(StepFailed, match="not promoted: .*ask the server's administrator"):
        team.promote(team.good, "stag")
    assert team.aliases() == {"devl": version} and team.tags() == before


# What cannot be promoted.


def test_a_version_without_its_facts_is_half_registered(team):
    version = team.register(team.good)
    team.client.delete_model_version_tag(team.name, version, "model_sha256")
    said = f"version {version}: only half registered \\(ready, no model_sha256\\); run .* register"
    team.refused(UserError, said, team.good, "stag")


def test_a_version_that_is_not_ready_is_half_registered(team, monkeypatch):
    version = team.register(team.good)
    found = team.version(version)
    found._status = "PENDING_REGISTRATION"
    monkeypatch.setattr(type(team.client), "get_model_version", lambda *_: found)
    said = f"version {version}: only half registered \\(pending_registration\\)"
    team.refused(UserError, said, team.good, "stag")


def test_a_version_of_a_deleted_run_is_not_promoted(team):
    version = team.register(team.good)
    run = team.version(version).run_id
    team.client.delete_run(run)
    try:
        said = f"version {version}: its run {run} was deleted; restore it"
        team.refused(UserError, said, team.good, "stag")
    finally:
        team.client.restore_run(run)


@pytest.mark.parametrize("version", ["99", "none"])
def test_an_unknown_version_is_named(team, version):
    team.register(team.good)
    said = f"version {version}: .* has no such version"
    team.refused(UserError, said, team.good, "stag", version=version)


def test_before_anything_is_registered_one_is_told_to_register(team):
    for call_ in (lambda: team.promote(team.good, "stag"), lambda: holders(team.good)):
        with pytest.raises(UserError, match="^no registered model .*; run .* register$"):
            call_()


def test_prod_wants_a_version_that_stag_has(team):
    team.register(team.good)
    team.refused(UserError, "no version holds stag; name one by --version", team.good, "prod")


def test_with_other_data_in_the_workspace_it_is_said_which_are_wanted(team, tmp_path):
    version = team.register(team.good)
    workspace = copy(team.good, tmp_path)
    path = workspace.processed / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8")) | {"raw_md5": "0" * 32}
    path.unlink()
    path.write_text(json.dumps(summary), encoding="utf-8")
    md5 = team.version(version).tags["data_md5"]
    said = f"version {version} was made from data md5 {md5}; found {'0' * 32}; git switch"
    team.refused(UserError, said, workspace, "stag")


def artifact(team, version, name):
    uri = team.client.get_run(team.version(version).run_id).info.artifact_uri
    return Path(uri.removeprefix("file://")) / name


@pytest.fixture
def replaced(team):
    """A function that puts the poor model's bundle where the good one's was registered."""
    folder = artifact(team, team.register(team.good), "bundle")
    before = {path: path.read_bytes() for path in folder.iterdir()}

    def replace(*names):
        for name in names:
            shutil.copyfile(team.poor.models / name, folder / name)

    yield replace
    for path, content in before.items():
        path.write_bytes(content)


@pytest.mark.parametrize(
    "names, said",
    [
        ([MODEL_FILE], "found SHA-256"),
        ([MODEL_FILE, "compiled.json", "metadata.json"], "not the bytes that were registered"),
    ],
    ids=["model", "all"],
)
def test_other_bytes_than_those_registered_are_refused(team, replaced, names, said):
    replaced(*names)
    team.refused(StepFailed, f"version 1: .*{said}", team.good, "stag")


def test_other_plain_numbers_beside_the_registered_model_are_refused(team):
    """Which quotes are made from; with metadata.json made to fit."""
    folder = artifact(team, team.register(team.good), "bundle")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    shutil.copyfile(team.poor.models / "compiled.json", folder / "compiled.json")
    metadata = json.loads((folder / "metadata.json").read_text("utf-8"))
    metadata["compiled_sha256"] = checksum(folder / "compiled.json", "sha256")
    (folder / "metadata.json").write_text(json.dumps(metadata), "utf-8")
    try:
        team.refused(StepFailed, "version 1: not the bytes that were", team.good, "stag")
    finally:
        for path, content in before.items():
            path.write_bytes(content)


def test_another_copy_for_mlflow_than_the_tracked_one_is_refused(team):
    """What ``models:/NAME@prod`` loads is checked, too."""
    file = artifact(team, team.register(team.good), "model") / "model.pkl"
    before = file.read_bytes()
    file.write_bytes(before + b"more")
    try:
        team.refused(StepFailed, "version 1: not the bytes", team.good, "stag")
    finally:
        file.write_bytes(before)


def test_a_champion_that_cannot_be_scored_is_an_objection_that_force_answers(team, replaced):
    team.promote(team.good, "stag")
    team.register(team.poor)
    replaced(MODEL_FILE, "compiled.json", "metadata.json")
    team.refused(StepFailed, "not compared with 1: version 1: not the bytes", team.poor, "stag")
    assert team.promote(team.poor, "stag", force="the old one is lost").new


def test_another_hold_out_rule_is_an_objection_that_force_answers(team, monkeypatch):
    team.register(team.good)
    team.promote(team.good, "stag")
    team.register(team.poor)

    def other_rule(*_):
        raise UserError("the candidate's hold-out rule is v2, the champion's v1")

    monkeypatch.setattr(gate, "compare_on_holdout", other_rule)
    team.refused(StepFailed, "not compared with 1: .*rule is v2", team.poor, "stag")
    assert team.promote(team.poor, "stag", force="the rule was mended").new


# Servers.


def test_a_server_that_is_down_is_one_line(team, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    for call_, failure in (
        (lambda: team.register(team.good), "not tracked"),
        (lambda: team.promote(team.good, "stag"), "not promoted"),
        (lambda: holders(team.good), "aliases not read"),
    ):
        with pytest.raises(StepFailed, match=f"^{failure}: .*the server does not answer"):
            call_()


@pytest.fixture
def no_registry():
    """The address of a server that knows experiments and no registered models."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            known = "experiments/search" in self.path
            body = b"{}" if known else b'{"error_code": "ENDPOINT_NOT_FOUND", "message": "none"}'
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_server_without_a_registry_is_one_line(team, no_registry, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", no_registry)
    for call_ in (lambda: team.promote(team.good, "stag"), lambda: holders(team.good)):
        with pytest.raises(StepFailed, match="found no MLflow server that understands the call"):
            call_()


# Defect 6: the latest run of any experiment is registered, with no gate, and the tests run
# against the previous model.


def test_defect_6_the_workspaces_own_result_is_registered_and_not_the_latest_run(team):
    ours_ = track(team.good, team.params(team.good)).run_id
    experiment = team.client.get_experiment_by_name("laptop-pricing").experiment_id
    latest = team.client.create_run(experiment, run_name="somebody's try").info.run_id
    team.client.set_terminated(latest)
    try:
        assert team.version(team.register(team.good)).run_id == ours_ != latest
    finally:
        team.client.delete_run(latest)


def test_defect_6_nothing_is_promoted_but_past_the_gate(team, monkeypatch):
    team.in_production()
    team.register(team.poor)
    asked = []

    def object_(metrics, comparison, params):
        asked.append(comparison)
        return ["the gate is shut"]

    monkeypatch.setattr(gate, "objections", object_)
    for to in ("stag", "prod"):
        team.refused(StepFailed, "the gate is shut", team.poor, to, version="2")
    assert len(asked) == 2 and None not in asked


def test_defect_6_the_candidate_itself_is_scored(team, monkeypatch):
    """In a workspace that holds another model: the one that trained last."""
    team.register(team.poor)
    team.promote(team.poor, "stag")
    candidate = team.register(team.good)
    scored = []
    compare = gate.compare_on_holdout

    def spy(ours_, theirs, table):
        scored.extend(b.metadata["model_sha256"] for b in (ours_, theirs))
        return compare(ours_, theirs, table)

    monkeypatch.setattr(gate, "compare_on_holdout", spy)
    assert team.promote(team.poor, "stag").version == candidate
    assert scored == [checksum(w.models / MODEL_FILE, "sha256") for w in (team.good, team.poor)]


def test_in_the_end_prod_loads_and_prices_as_the_models_folder(team, store):
    import mlflow.sklearn

    team.register(team.poor)
    team.promote(team.poor, "stag")
    team.promote(team.poor, "prod")
    team.in_production()
    mlflow.set_tracking_uri(store)
    loaded = mlflow.sklearn.load_model(f"models:/{team.name}@prod")
    table = read_processed(team.good)[0][list(FEATURES)]
    expected = load_bundle(team.good.models).model.predict(table)
    np.testing.assert_array_equal(loaded.predict(table), expected)
    assert not np.array_equal(load_bundle(team.poor.models).model.predict(table), expected)


# The commands.


def test_the_commands_say_who_holds_what(workspaces, tmp_path):
    root = copy(workspaces[1], tmp_path).root
    done = ours(root, "register")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"version 1 of {REGISTERED}: alias devl\n| alias | version |")
    for to in ("stag", "prod"):
        done = ours(root, "promote", "--to", to)
        assert done.returncode == 0 and done.stdout.startswith(f"{to}: version 1\n"), done.stderr
    lines = done.stdout.splitlines()[3:]
    commit_ = call(root, "git", "rev-parse", "--short=7", "HEAD").stdout.strip()
    assert [line.split(" | ")[:2] for line in lines] == [
        [f"| {alias}", "1"] for alias in ("devl", "stag", "prod")
    ]
    assert all(f"| {commit_} |" in line for line in lines)
    assert ours(root, "versions").stdout.splitlines()[2:] == lines
    again = ours(root, "promote", "--to", "prod", "--version", 1)
    assert again.stdout.startswith("prod: version 1 has it already\n")
    wrong = ours(root, "promote", "--to", "main")
    assert wrong.returncode == 2 and "'stag', 'prod'" in wrong.stderr
