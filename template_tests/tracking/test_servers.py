"""Runs, models and datasets on real servers with users: old and new, by old and new clients."""

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

pytestmark = [pytest.mark.services, pytest.mark.slow]

PATIENCE_S = 12
CLIENT_S = 300
PROGRAM = Path(__file__).with_name("use_registry.py")
IDENTITY = {f"GIT_{who}_NAME": "Test" for who in ("AUTHOR", "COMMITTER")}
IDENTITY |= {f"GIT_{who}_EMAIL": "test@example.org" for who in ("AUTHOR", "COMMITTER")}

# (server, client). The locked client on the locked server is what test_dagshub.py has, too.
PAIRS = (("2.7.1", "locked"), ("2.22.5", "locked"), ("locked", "2.22.5"))  # server, client


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


@pytest.fixture(scope="module", params=dict.fromkeys(server for server, _ in PAIRS))
def server(request, tmp_path_factory):
    with mlflow_servers.mlflow_server(request.param, tmp_path_factory.mktemp("server")) as running:
        yield running


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
    known = call(server, WRITER, "GET", path)["experiment"]
    content = {"experiment_ids": [known["experiment_id"]]}
    return call(server, WRITER, "POST", "runs/search", content).get("runs", [])


@pytest.fixture(scope="module")
def tracked(project, server, request, tmp_path_factory):
    client = request.param
    copy = _copy(project, tmp_path_factory.mktemp("tracked") / "project", f"items-{client}")
    done = _ours(copy, client, server.settings(WRITER), "track")
    assert (done.returncode, done.stderr) == (0, "")
    (run,) = _runs(server, f"items-{client}")
    return Tracked(copy, server, client, done.stdout, run)


each_pair = pytest.mark.parametrize("server, tracked", PAIRS, indirect=True)


def _pairs(listed):
    return {item["key"]: item["value"] for item in listed}


def _content(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@each_pair
def test_a_result_is_tracked_once_and_whole(tracked, monkeypatch, tmp_path):
    """Params, metrics, tags, dataset and files arrive as they are."""
    from mlflow import MlflowClient

    run, project, settings = tracked.run, tracked.project, tracked.server.settings(WRITER)
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
    assert tags["model_sha256"] == load_bundle(project.models).sha256
    (given,) = run["inputs"]["dataset_inputs"]
    dataset = given["dataset"]["name"], given["dataset"]["digest"]
    assert dataset == (project.raw.name, checksum(project.raw, "md5"))

    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    reader = MlflowClient(tracked.server.address)
    folder = Path(reader.download_artifacts(tracked.id, "", str(tmp_path)))
    for made, name in (
        (project.models, "model/data/models"),
        (project.figures, "plots/figures"),
        (project.plots, "plots/plots"),
    ):
        assert _content(folder / name) == _content(made) != {}
    assert (folder / "metrics.json").read_bytes() == project.metrics.read_bytes()

    again = _ours(project, tracked.client, settings, "track")
    assert "has its run already" in again.stdout and tracked.id in again.stdout, again.stderr
    assert len(_runs(tracked.server, project.params.track.experiment)) == 1


@each_pair
def test_model_and_dataset_come_back_from_the_registries_by_name(tracked, tmp_path):
    project, settings = tracked.project, tracked.server.settings(WRITER)
    registered = _ours(project, tracked.client, settings, "register")
    assert registered.returncode == 0, registered.stderr
    root = Path(shutil.copytree(project.root, tmp_path / "project"))
    file = tmp_path / "dataset.csv"
    done = _run([client_python(tracked.client), PROGRAM, file], root, settings)
    assert done.returncode == 0, done.stderr
    used = json.loads(done.stdout.splitlines()[-1])  # 2.22 prints addresses, too
    of = {"locked": mlflow_servers.locked("mlflow")[0].removeprefix("mlflow==")}
    assert used["mlflow"] == of.get(tracked.client, tracked.client)
    expected = load_bundle(project.models).predict(read_processed(project)[0])
    assert used["predictions"] == expected.tolist()
    (run,) = _runs(tracked.server, f"{project.params.track.experiment}-datasets")
    run_id = run["info"]["run_id"]
    assert used["entries"] == [[run_id, True], [run_id, False]]
    pd.testing.assert_frame_equal(pd.read_csv(file), pd.read_csv(project.raw))


@each_pair
def test_a_version_is_registered_once_and_promoted_past_the_gate(tracked):
    """The second client meets the first one's version as the champion."""
    project, server, name = tracked.project, tracked.server, tracked.project.name
    done = {
        step: _ours(project, tracked.client, server.settings(user), *step.split()[1:])
        for step, user in (
            ("early promote --to prod --version 99", WRITER),
            ("first register", WRITER),
            ("again register", WRITER),
            ("reader register", READER),
            ("reader promote --to stag", READER),
            ("writer promote --to stag", WRITER),
            ("writer promote --to prod", WRITER),
        )
    }
    early, first, again, *refused, stag, prod = done.values()
    (line,) = early.stderr.splitlines()
    assert early.returncode == 2
    assert f"run {name} register" in line or "has no such version" in line
    for step in refused:
        (line,) = step.stderr.splitlines()
        assert step.returncode == 1 and "ask the server's administrator" in line
    for step in (first, again, stag, prod):
        assert (step.returncode, step.stderr) == (0, ""), step.args
    assert first.stdout == again.stdout and ": alias devl" in first.stdout

    path = f"registered-models/get?name={name}"
    model = call(server, WRITER, "GET", path)["registered_model"]
    (version,) = {item["version"] for item in model["aliases"]}
    assert {item["alias"] for item in model["aliases"]} == {"devl", "stag", "prod"}
    assert f"prod: version {version}\n" in prod.stdout
    path = f"model-versions/get?name={name}&version={version}"
    entry = call(server, WRITER, "GET", path)["model_version"]
    assert entry["run_id"] == tracked.id and "## Quality" in entry["description"]
    tags = _pairs(entry["tags"])
    assert (tags["held_stag"], tags["held_prod"]) == ("true", "true")
    compared = "MAPE on the hold-out" in prod.stdout
    assert compared == (version != "1"), "the gate has had both bundles from the server"


# Faults. Each costs one line and seconds, and the result is sent when the fault is gone.

FAULTS = [  # reader, wrong password, nobody listens, nobody answers
    ({}, READER, "ask the server's administrator for the right to edit"),
    ({"MLFLOW_TRACKING_PASSWORD": "hunter2"}, WRITER, "wrong user name or password; put MLFLOW_"),
    ({"MLFLOW_TRACKING_URI": "closed"}, WRITER, "the server does not answer"),
    ({"MLFLOW_TRACKING_URI": "silent"}, WRITER, "the server does not answer"),
]


@pytest.mark.parametrize("server, client", [PAIRS[0], PAIRS[-1]], indirect=["server"])
def test_a_fault_costs_one_line_and_seconds_and_the_run_is_sent_later(
    project, server, client, tmp_path
):
    experiment = f"faults-{client}"
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
            assert ": not tracked: " in line and said in line
            assert line.endswith(f"run {PROBLEM.name} track later") and len(line) < 400
            assert not [word for word in server.passwords.values() if word in line]
    assert seconds["silent"] - seconds["closed"] < PATIENCE_S
    assert _content(copy.root) == before and _runs(server, experiment) == []
    done = _ours(copy, client, server.settings(WRITER), "track")
    assert (done.returncode, done.stderr) == (0, "")
    assert [run["info"]["status"] for run in _runs(server, experiment)] == ["FINISHED"]
