"""Runs, models and datasets on real servers: each version, with the locked client and an older."""

import json
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path

import mlflow_servers
import pandas as pd
import pytest
from environments import ROOT
from mlflow_servers import READER, WRITER, Server, call, client_python
from servers import free_port

from laptop_pricing.kit.files import checksum
from laptop_pricing.kit.modeling.bundle import load_bundle, read_metadata
from laptop_pricing.kit.modeling.train import read_processed
from laptop_pricing.kit.project import PARAMS_FILE, Project
from laptop_pricing.problem import PROBLEM

pytestmark = pytest.mark.services

PATIENCE_S = 12
CLIENT_S = 120
PROGRAM = Path(__file__).with_name("use_registry.py")
IDENTITY = {f"GIT_{who}_NAME": "Test" for who in ("AUTHOR", "COMMITTER")}
IDENTITY |= {f"GIT_{who}_EMAIL": "test@example.org" for who in ("AUTHOR", "COMMITTER")}


@pytest.fixture(scope="session")
def project(trained, tmp_path_factory):
    """A trained project on a branch, its dataset committed with DVC. Read only."""
    root = Path(shutil.copytree(trained.root, tmp_path_factory.mktemp("project") / "project"))
    for name in (PARAMS_FILE, ".gitignore"):
        shutil.copyfile(ROOT / name, root / name)
    (root / "dvc.lock").write_text("schema: '2.0'\n", encoding="utf-8")
    (root / "data.dvc").write_text("outs:\n- path: data/raw\n", encoding="utf-8")
    dvc = [client_python("locked"), "-m", "dvc"]
    for command in (
        ["git", "init", "-q", "--initial-branch=devl"],
        [*dvc, "init", "-q"],
        [*dvc, "config", "core.analytics", "false"],
        [*dvc, "commit", "-q", "-f", "data.dvc"],
        ["git", "add", "."],
        ["git", "commit", "-q", "--no-gpg-sign", "-m", "start"],
    ):
        _run(command, root)
    return replace(trained, root=root, given_params=None)


def _run(command, folder, settings=None):
    """Run a program as a user would whose variables are these and no others of MLflow's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=kept | IDENTITY | (settings or {}),
        capture_output=True,
        text=True,
        timeout=CLIENT_S,
        check=settings is None,
    )


def _copy(project, folder, experiment):
    """A copy of the project with an experiment of its own."""
    file = Path(shutil.copytree(project.root, folder)) / PARAMS_FILE
    line = f"  experiment: {project.params.track.experiment}\n"
    text = file.read_text(encoding="utf-8")
    assert text.count(line) == 1
    file.write_text(text.replace(line, f"  experiment: {experiment}\n"), encoding="utf-8")
    _run(["git", "commit", "-q", "--no-gpg-sign", "-a", "-m", "experiment"], folder)
    return Project(PROBLEM, project.build_model, folder)


@pytest.fixture(
    scope="module", params=mlflow_servers.SERVERS, ids=lambda version: f"server {version}"
)
def server(request, tmp_path_factory):
    with mlflow_servers.mlflow_server(request.param, tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(
    scope="module", params=mlflow_servers.CLIENTS, ids=lambda version: f"client {version}"
)
def client(request):
    """The version of a client."""
    return request.param


def _ours(project, client, settings, *arguments):
    command = [client_python(client), "-m", "laptop_pricing", *arguments]
    return _run(command, project.root, settings)


@dataclass(frozen=True)
class Tracked:
    """A project that a client has tracked on a server, and the run."""

    project: Project
    server: Server
    client: str
    said: str
    run: dict

    @property
    def id(self):
        return self.run["info"]["run_id"]


def _runs(server, experiment):
    path = f"experiments/get-by-name?experiment_name={experiment}"
    found = call(server, WRITER, "GET", path)["experiment"]
    content = {"experiment_ids": [found["experiment_id"]]}
    return call(server, WRITER, "POST", "runs/search", content).get("runs", [])


@pytest.fixture(scope="module")
def tracked(project, server, client, tmp_path_factory):
    copy = _copy(project, tmp_path_factory.mktemp("tracked") / "project", f"items-{client}")
    done = _ours(copy, client, server.settings(WRITER), "track")
    assert (done.returncode, done.stderr) == (0, "")
    (run,) = _runs(server, f"items-{client}")
    return Tracked(copy, server, client, done.stdout, run)


def _pairs(listed):
    return {item["key"]: item["value"] for item in listed}


def _content(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_the_run_is_finished_with_its_params_metrics_tags_and_dataset(tracked):
    run, project = tracked.run, tracked.project
    assert run["info"]["status"] == "FINISHED" and tracked.id in tracked.said
    metadata = read_metadata(project.models)
    params = metadata["chosen"] | {"data_md5": metadata["data_md5"], "model": metadata["model"]}
    params |= {f"train.{name}": value for name, value in metadata["params"]["train"].items()}
    expected = {name: str(value) for name, value in params.items()}
    assert _pairs(run["data"]["params"]).items() >= expected.items()
    metrics = _pairs(run["data"]["metrics"])
    for name, figure in metadata["metrics"]["cv"].items():
        assert (metrics[name], metrics[f"{name}_sd"]) == (figure["mean"], figure["sd"])
    for name, value in metadata["metrics"]["holdout"].items():
        assert metrics[f"holdout_{name}"] == value
    tags = _pairs(run["data"]["tags"])
    commit = _run(["git", "rev-parse", "HEAD"], project.root).stdout.strip()
    assert tags["mlflow.source.git.commit"] == commit
    assert tags["model_sha256"] == load_bundle(project.models).sha256
    assert tags["dvc_lock_md5"] == checksum(project.root / "dvc.lock", "md5")
    (given,) = run["inputs"]["dataset_inputs"]
    dataset = given["dataset"]["name"], given["dataset"]["digest"]
    assert dataset == (project.raw.name, checksum(project.raw, "md5"))
    assert given["tags"] == [{"key": "mlflow.data.context", "value": "train"}]


def test_plots_bundle_and_model_come_back_as_they_were(tracked, monkeypatch, tmp_path):
    from mlflow import MlflowClient

    for name, value in tracked.server.settings(WRITER).items():
        monkeypatch.setenv(name, value)
    reader = MlflowClient(tracked.server.address)
    folder = Path(reader.download_artifacts(tracked.id, "", str(tmp_path)))
    project = tracked.project
    for made, name in (
        (project.models, "model/data/models"),
        (project.figures, "plots/figures"),
        (project.plots, "plots/plots"),
    ):
        assert _content(folder / name) == _content(made) != {}
    assert (folder / "metrics.json").read_bytes() == project.metrics.read_bytes()
    assert (folder / "summary.json").is_file() and (folder / "model" / "MLmodel").is_file()
    assert not list(folder.rglob("*.pkl"))


def test_a_second_track_adds_no_run(tracked):
    done = _ours(tracked.project, tracked.client, tracked.server.settings(WRITER), "track")
    assert "has its run already" in done.stdout and tracked.id in done.stdout, done.stderr
    assert len(_runs(tracked.server, tracked.project.params.track.experiment)) == 1


@pytest.fixture(scope="module")
def used(tracked, promoted, tmp_path_factory):
    """What the program that uses the registries found, and the file of the dataset."""
    root = tmp_path_factory.mktemp("used") / "project"
    shutil.copytree(tracked.project.root, root)
    file = root.parent / "dataset.csv"
    command = [client_python(tracked.client), PROGRAM, file]
    done = _run(command, root, tracked.server.settings(WRITER))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), file  # 2.22 prints addresses, too


def test_the_registered_model_loads_by_its_alias_and_predicts_as_the_bundle(tracked, used):
    found, _ = used
    of = {"locked": mlflow_servers.locked("mlflow")[0].removeprefix("mlflow==")}
    assert found["mlflow"] == of.get(tracked.client, tracked.client)
    table, _ = read_processed(tracked.project)
    expected = load_bundle(tracked.project.models).predict(table)
    assert found["predictions"] == expected.tolist()


def test_the_dataset_is_registered_once_and_loads_by_its_branch(tracked, used):
    (found, file), project = used, tracked.project
    (run,) = _runs(tracked.server, f"{project.params.track.experiment}-datasets")
    run_id = run["info"]["run_id"]
    assert found["entries"] == [[run_id, True], [run_id, False]]
    commit = _run(["git", "rev-parse", "HEAD"], project.root).stdout.strip()
    expected = {"dataset": project.name, "branch": "devl", "commit": commit}
    assert _pairs(run["data"]["tags"]).items() >= expected.items()
    pd.testing.assert_frame_equal(pd.read_csv(file), pd.read_csv(project.raw))


@pytest.fixture(scope="module")
def promoted(tracked, tmp_path_factory):
    """What the commands said, one after the other, to a reader and to the writer."""
    root = tmp_path_factory.mktemp("promoted") / "project"
    shutil.copytree(tracked.project.root, root)
    copy = replace(tracked.project, root=root)
    steps = (
        ("too early", WRITER, "promote --to prod --version 99"),
        ("register", WRITER, "register"),
        ("again", WRITER, "register"),
        ("reader registers", READER, "register"),
        ("reader promotes", READER, "promote --to stag"),
        ("stag", WRITER, "promote --to stag"),
        ("prod", WRITER, "promote --to prod"),
    )
    settings = tracked.server.settings
    return {
        step: _ours(copy, tracked.client, settings(user), *command.split())
        for step, user, command in steps
    }


def test_a_version_is_registered_once_and_promoted_past_the_gate(tracked, promoted):
    """The second client meets the first one's version as the champion."""
    name = tracked.project.name
    for step in ("register", "again", "stag", "prod"):
        assert (promoted[step].returncode, promoted[step].stderr) == (0, ""), step
    assert promoted["register"].stdout == promoted["again"].stdout
    assert ": alias devl" in promoted["register"].stdout
    path = f"registered-models/get?name={name}"
    model = call(tracked.server, WRITER, "GET", path)["registered_model"]
    (version,) = {item["version"] for item in model["aliases"]}
    assert {item["alias"] for item in model["aliases"]} == {"devl", "stag", "prod"}
    assert f"prod: version {version}\n" in promoted["prod"].stdout
    path = f"model-versions/get?name={name}&version={version}"
    found = call(tracked.server, WRITER, "GET", path)["model_version"]
    assert found["run_id"] == tracked.id and "## Quality" in found["description"]
    tags = _pairs(found["tags"])
    assert tags["model_sha256"] == load_bundle(tracked.project.models).sha256
    assert (tags["held_stag"], tags["held_prod"]) == ("true", "true")
    compared = "MAPE on the hold-out" in promoted["prod"].stdout
    assert compared == (version != "1"), "the gate has had both bundles from the server"


def test_who_may_not_edit_or_comes_too_early_is_told_so_in_one_line(promoted):
    (early,) = promoted["too early"].stderr.splitlines()
    assert promoted["too early"].returncode == 2
    assert f"run {PROBLEM.name} register" in early or "has no such version" in early
    for name in ("reader registers", "reader promotes"):
        assert promoted[name].returncode == 1
        (line,) = promoted[name].stderr.splitlines()
        assert "ask the server's administrator" in line


# Faults. Each costs one line and seconds, and the result is sent when the fault is gone.

FAULTS = [  # reader, wrong password, nobody listens, nobody answers
    ({}, READER, "ask the server's administrator for the right to edit"),
    ({"MLFLOW_TRACKING_PASSWORD": "hunter2"}, WRITER, "wrong user name or password; put MLFLOW_"),
    ({"MLFLOW_TRACKING_URI": "closed"}, WRITER, "the server does not answer"),
    ({"MLFLOW_TRACKING_URI": "silent"}, WRITER, "the server does not answer"),
]


@pytest.mark.parametrize(
    "server, client",
    [("2.7.1", "locked"), ("2.7.1", "2.22.5"), ("2.22.5", "locked"), ("locked", "locked")],
    indirect=True,
)
def test_a_fault_costs_one_line_and_seconds_and_the_run_is_sent_later(
    project, server, client, tmp_path
):
    experiment = f"{client}-{tmp_path.name}"
    call(server, WRITER, "POST", "experiments/create", {"name": experiment})
    copy = _copy(project, tmp_path / "project", experiment)
    before, seconds = _content(copy.root), {}
    with socket.socket() as listener:  # It accepts, and that is all.
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        places = {"closed": free_port(), "silent": listener.getsockname()[1]}
        for changes, user, said in FAULTS:
            place = changes.get("MLFLOW_TRACKING_URI")
            uri = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{places[place]}"} if place else {}
            start = time.monotonic()
            done = _ours(copy, client, server.settings(user) | changes | uri, "track")
            seconds[place] = time.monotonic() - start
            assert (done.returncode, done.stdout) == (1, "")
            (line,) = done.stderr.splitlines()
            assert f": not tracked: {said}" in line and f"run {PROBLEM.name} track later" in line
            assert not [word for word in server.passwords.values() if word in line]
            assert len(line) < 400
    assert seconds["silent"] - seconds["closed"] < PATIENCE_S
    assert _content(copy.root) == before and _runs(server, experiment) == []
    done = _ours(copy, client, server.settings(WRITER), "track")
    assert (done.returncode, done.stderr) == (0, "")
    assert [run["info"]["status"] for run in _runs(server, experiment)] == ["FINISHED"]
