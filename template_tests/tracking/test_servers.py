"""Runs, models and datasets on real servers: each version, with the locked client and an older."""

import json
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from environments import ROOT
from mlflow_servers import (
    CLIENTS,
    READER,
    SERVERS,
    WRITER,
    Server,
    call,
    client_python,
    locked,
    mlflow_server,
)
from servers import free_port

from laptop_pricing.data.schema import FEATURES
from laptop_pricing.errors import StepFailed
from laptop_pricing.files import checksum
from laptop_pricing.modeling.bundle import load_bundle, read_metadata
from laptop_pricing.modeling.train import read_processed
from laptop_pricing.settings import PARAMS_FILE, Workspace
from laptop_pricing.tracking.registry import register, set_alias

pytestmark = pytest.mark.services

PATIENCE_S = 12
CLIENT_S = 120
PROGRAM = Path(__file__).with_name("use_registry.py")
IDENTITY = {
    "GIT_AUTHOR_NAME": "Test",
    "GIT_AUTHOR_EMAIL": "test@example.org",
    "GIT_COMMITTER_NAME": "Test",
    "GIT_COMMITTER_EMAIL": "test@example.org",
}


@pytest.fixture(scope="session")
def project(trained, tmp_path_factory):
    """A trained workspace on a branch, its dataset committed with DVC. Read only."""
    root = Path(shutil.copytree(trained.root, tmp_path_factory.mktemp("project") / "project"))
    for name in (PARAMS_FILE, ".gitignore"):
        shutil.copyfile(ROOT / name, root / name)
    (root / "dvc.lock").write_text("schema: '2.0'\n", encoding="utf-8")
    (root / "data.dvc").write_text("outs:\n- path: data/raw\n", encoding="utf-8")
    _run(["git", "init", "-q", "--initial-branch=devl"], root)
    dvc = [client_python("locked"), "-m", "dvc"]
    _run([*dvc, "init", "-q"], root)
    _run([*dvc, "config", "core.analytics", "false"], root)
    _run([*dvc, "commit", "-q", "-f", "data.dvc"], root)
    _run(["git", "add", "."], root)
    _run(["git", "commit", "-q", "--no-gpg-sign", "-m", "start"], root)
    return Workspace(root)


def _run(command, folder, settings=None):
    """Run a program as a user would whose variables are these and no others of MLflow's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return subprocess.run(
        command,
        cwd=folder,
        env=kept | IDENTITY | (settings or {}),
        capture_output=True,
        text=True,
        timeout=CLIENT_S,
        check=settings is None,
    )


def _copy(project, folder, experiment):
    """A copy of the project with an experiment of its own."""
    workspace = Workspace(Path(shutil.copytree(project.root, folder)))
    file = workspace.root / PARAMS_FILE
    text = file.read_text(encoding="utf-8")
    assert text.count("  experiment: laptop-pricing\n") == 1
    changed = text.replace("  experiment: laptop-pricing\n", f"  experiment: {experiment}\n")
    file.write_text(changed, encoding="utf-8")
    _run(["git", "commit", "-q", "--no-gpg-sign", "-a", "-m", "experiment"], workspace.root)
    return workspace


@pytest.fixture(scope="module", params=SERVERS, ids=lambda version: f"server {version}")
def server(request, tmp_path_factory):
    with mlflow_server(request.param, tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module", params=CLIENTS, ids=lambda version: f"client {version}")
def client(request):
    """The version of a client."""
    return request.param


def _track(workspace, client, settings):
    return _run([client_python(client), "-m", "laptop_pricing", "track"], workspace.root, settings)


@dataclass(frozen=True)
class Tracked:
    """A workspace that a client has tracked on a server."""

    workspace: Workspace
    server: Server
    client: str
    experiment: str
    said: str

    def runs(self, experiment=None):
        return _runs(self.server, experiment or self.experiment)


def _runs(server, experiment):
    path = f"experiments/get-by-name?experiment_name={experiment}"
    found = call(server, WRITER, "GET", path)["experiment"]
    content = {"experiment_ids": [found["experiment_id"]]}
    return call(server, WRITER, "POST", "runs/search", content).get("runs", [])


@pytest.fixture(scope="module")
def tracked(project, server, client, tmp_path_factory):
    experiment = f"laptops-{client}"
    workspace = _copy(project, tmp_path_factory.mktemp("tracked") / "project", experiment)
    done = _track(workspace, client, server.settings(WRITER))
    assert (done.returncode, done.stderr) == (0, "")
    return Tracked(workspace, server, client, experiment, done.stdout)


def _pairs(listed):
    return {item["key"]: item["value"] for item in listed}


def test_the_run_is_finished_with_its_params_metrics_and_tags(tracked):
    (run,) = tracked.runs()
    assert run["info"]["status"] == "FINISHED"
    assert run["info"]["run_id"] in tracked.said
    metadata = read_metadata(tracked.workspace.models)
    params = _pairs(run["data"]["params"])
    assert params["alpha"] == str(metadata["alpha"])
    assert params["data_md5"] == metadata["data_md5"]
    assert {name: params[name] for name in metadata["params"]} == {
        name: str(value) for name, value in metadata["params"].items()
    }
    metrics = _pairs(run["data"]["metrics"])
    for name, figure in metadata["metrics"]["cv"].items():
        assert (metrics[name], metrics[f"{name}_sd"]) == (figure["mean"], figure["sd"])
    for name, value in metadata["metrics"]["holdout"].items():
        assert metrics[f"holdout_{name}"] == value
    tags = _pairs(run["data"]["tags"])
    commit = _run(["git", "rev-parse", "HEAD"], tracked.workspace.root).stdout.strip()
    assert tags["mlflow.source.git.commit"] == commit
    assert tags["model_sha256"] == metadata["model_sha256"]
    assert tags["dvc_lock_md5"] == checksum(tracked.workspace.root / "dvc.lock", "md5")


def test_the_dataset_is_the_runs_input(tracked):
    (run,) = tracked.runs()
    (given,) = run["inputs"]["dataset_inputs"]
    assert given["dataset"]["name"] == tracked.workspace.raw.name
    assert given["dataset"]["digest"] == checksum(tracked.workspace.raw, "md5")
    assert given["tags"] == [{"key": "mlflow.data.context", "value": "train"}]


def test_plots_bundle_and_model_come_back_as_they_were(tracked, monkeypatch, tmp_path):
    from mlflow import MlflowClient

    for name, value in tracked.server.settings(WRITER).items():
        monkeypatch.setenv(name, value)
    (run,) = tracked.runs()
    reader = MlflowClient(tracked.server.address)
    folder = Path(reader.download_artifacts(run["info"]["run_id"], "", str(tmp_path)))
    workspace = tracked.workspace
    for made, name in (
        (workspace.models, "bundle"),
        (workspace.figures, "plots/figures"),
        (workspace.plots, "plots/plots"),
    ):
        assert _content(folder / name) == _content(made) != {}
    assert (folder / "metrics.json").read_bytes() == workspace.metrics.read_bytes()
    assert (folder / "summary.json").is_file() and (folder / "model" / "MLmodel").is_file()


def _content(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_second_track_adds_no_run(tracked):
    (run,) = tracked.runs()
    done = _track(tracked.workspace, tracked.client, tracked.server.settings(WRITER))
    assert (done.returncode, done.stderr) == (0, "")
    assert "has its run already" in done.stdout and run["info"]["run_id"] in done.stdout
    assert [again["info"]["run_id"] for again in tracked.runs()] == [run["info"]["run_id"]]


@pytest.fixture(scope="module")
def used(tracked, tmp_path_factory):
    """What the program that uses the registries found, and the file of the dataset."""
    root = tmp_path_factory.mktemp("used") / "project"
    shutil.copytree(tracked.workspace.root, root)
    (run,) = tracked.runs()
    file = root.parent / "dataset.csv"
    model = f"prices-{tracked.client}"
    command = [client_python(tracked.client), PROGRAM, run["info"]["run_id"], model, file]
    done = _run([str(part) for part in command], root, tracked.server.settings(WRITER))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), file  # 2.22 prints addresses, too


def test_the_client_is_of_the_version_that_is_said(tracked, used):
    of = {"locked": locked("mlflow")[0].removeprefix("mlflow==")}
    assert used[0]["mlflow"] == of.get(tracked.client, tracked.client)


def test_the_registered_model_loads_by_its_alias_and_prices_as_the_bundle(tracked, used):
    found, _ = used
    assert found["versions"] == ["1", "1"]
    table, _ = read_processed(tracked.workspace)
    expected = load_bundle(tracked.workspace.models).model.predict(table[list(FEATURES)])
    assert found["prices"] == expected.tolist()


def test_the_dataset_is_registered_once_and_loads_by_its_branch(tracked, used):
    found, file = used
    (run,) = tracked.runs(f"{tracked.experiment}-datasets")
    run_id = run["info"]["run_id"]
    assert found["entries"] == [[run_id, True], [run_id, False]]
    assert run["info"]["status"] == "FINISHED"
    tags = _pairs(run["data"]["tags"])
    commit = _run(["git", "rev-parse", "HEAD"], tracked.workspace.root).stdout.strip()
    named = (tags["dataset"], tags["branch"], tags["commit"])
    assert named == ("laptop-pricing", "devl", commit)
    (given,) = run["inputs"]["dataset_inputs"]
    assert given["dataset"]["digest"] == checksum(tracked.workspace.raw, "md5")
    pd.testing.assert_frame_equal(pd.read_csv(file), pd.read_csv(tracked.workspace.raw))


@pytest.fixture(scope="module")
def promoted(tracked, tmp_path_factory):
    """What the commands said, one after the other, to a reader and to the writer."""
    root = tmp_path_factory.mktemp("promoted") / "project"
    shutil.copytree(tracked.workspace.root, root)

    def say(user, *arguments):
        command = [client_python(tracked.client), "-m", "laptop_pricing", *arguments]
        return _run(command, root, tracked.server.settings(user))

    return {
        "too early": say(WRITER, "promote", "--to", "prod", "--version", "99"),
        "register": say(WRITER, "register"),
        "again": say(WRITER, "register"),
        "reader registers": say(READER, "register"),
        "reader promotes": say(READER, "promote", "--to", "stag"),
        "stag": say(WRITER, "promote", "--to", "stag"),
        "prod": say(WRITER, "promote", "--to", "prod"),
    }


def test_a_version_is_registered_once_and_promoted_past_the_gate(tracked, promoted):
    """The second client meets the first one's version as the champion."""
    for name in ("register", "again", "stag", "prod"):
        assert (promoted[name].returncode, promoted[name].stderr) == (0, ""), name
    assert promoted["register"].stdout == promoted["again"].stdout
    assert ": alias devl" in promoted["register"].stdout
    path = "registered-models/get?name=laptop-pricing"
    model = call(tracked.server, WRITER, "GET", path)["registered_model"]
    (version,) = {item["version"] for item in model["aliases"]}
    assert {item["alias"] for item in model["aliases"]} == {"devl", "stag", "prod"}
    assert f"prod: version {version}\n" in promoted["prod"].stdout
    path = f"model-versions/get?name=laptop-pricing&version={version}"
    found = call(tracked.server, WRITER, "GET", path)["model_version"]
    (run,) = tracked.runs()
    assert found["run_id"] == run["info"]["run_id"]
    tags = _pairs(found["tags"])
    assert tags["model_sha256"] == checksum(tracked.workspace.models / "model.skops", "sha256")
    assert (tags["held_stag"], tags["held_prod"]) == ("true", "true")
    assert "## Quality" in found["description"]
    compared = "MAPE on the hold-out" in promoted["prod"].stdout
    assert compared == (version != "1"), "the gate has had both bundles from the server"


def test_who_may_not_edit_or_comes_too_early_is_told_so_in_one_line(promoted):
    (early,) = promoted["too early"].stderr.splitlines()
    assert promoted["too early"].returncode == 2
    assert "run laptop-pricing register" in early or "has no such version" in early
    for name in ("reader registers", "reader promotes"):
        assert promoted[name].returncode == 1
        (line,) = promoted[name].stderr.splitlines()
        assert "ask the server's administrator" in line


# Faults. Each costs one line and seconds, and the result is sent when the fault is mended.


def _assert_one_line(done, server, *words):
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    for word in ("not tracked", *words, "run laptop-pricing track later"):
        assert word in line
    assert not [word for word in server.passwords.values() if word in line]
    assert len(line) < 400


def _track_timed(workspace, client, settings):
    start = time.monotonic()
    done = _track(workspace, client, settings)
    return done, time.monotonic() - start


def _assert_sent(done, server, experiment):
    assert (done.returncode, done.stderr) == (0, "")
    assert [run["info"]["status"] for run in _runs(server, experiment)] == ["FINISHED"]


@pytest.fixture
def team(project, server, client, tmp_path):
    """A workspace whose experiment is the writer's, with no run in it yet."""
    experiment = f"{client}-{tmp_path.name}"
    call(server, WRITER, "POST", "experiments/create", {"name": experiment})
    return _copy(project, tmp_path / "project", experiment), experiment


@pytest.mark.parametrize(
    "server, client",
    [("2.7.1", "locked"), ("2.7.1", "2.22.5"), ("2.22.5", "locked"), ("locked", "locked")],
    indirect=True,
)
def test_who_is_refused_is_told_why_and_can_track_later(server, client, team):
    workspace, experiment = team
    before = _content(workspace.root)
    reader, writer = server.settings(READER), server.settings(WRITER)

    _assert_one_line(
        _track(workspace, client, reader),
        server,
        "ask the server's administrator for the right to edit",
    )
    wrong = writer | {"MLFLOW_TRACKING_PASSWORD": "hunter2"}
    said = ("wrong user name or password", "MLFLOW_TRACKING_USERNAME", ".env")
    _assert_one_line(_track(workspace, client, wrong), server, *said)
    assert _content(workspace.root) == before
    assert _runs(server, experiment) == []

    _assert_sent(_track(workspace, client, writer), server, experiment)


@pytest.mark.parametrize(
    "server, client", [("2.7.1", "locked"), ("2.7.1", "2.22.5")], indirect=True
)
def test_a_server_that_is_down_or_silent_costs_seconds_and_gets_the_run_later(server, client, team):
    workspace, experiment = team
    before = _content(workspace.root)
    writer = server.settings(WRITER)

    down = writer | {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}"}
    done, at_once = _track_timed(workspace, client, down)
    _assert_one_line(done, server, "the server does not answer")
    with socket.socket() as listener:  # It accepts, and that is all.
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        silent = writer | {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{listener.getsockname()[1]}"}
        done, waited = _track_timed(workspace, client, silent)
    _assert_one_line(done, server, "the server does not answer")
    assert waited - at_once < PATIENCE_S  # without what the program needs to start
    assert _content(workspace.root) == before

    _assert_sent(_track(workspace, client, writer), server, experiment)


@pytest.mark.parametrize("client", ["locked"], indirect=True)
def test_a_reader_cannot_change_what_the_team_registered(tracked, used, monkeypatch):
    found, _ = used
    (run,) = tracked.runs()
    call(tracked.server, WRITER, "POST", "registered-models/create", {"name": "empty"})
    for name, value in tracked.server.settings(READER).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StepFailed, match="not registered: .*ask the server's administrator"):
        register(tracked.workspace, run["info"]["run_id"], "empty")
    with pytest.raises(StepFailed, match="champion not set: .*ask the server's administrator"):
        set_alias(tracked.workspace, "prices-locked", "champion", found["versions"][0])
