"""The main job with real Git and real DVC, on a problem of another kind."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
from problems import MADE, build_plain, make_project, write_raw
from repos import SECRET, copy_of, dvc, make_repo, write
from solo import call, commit, git_status

from laptop_pricing.kit.errors import DataUnavailable, StepFailed, UserError
from laptop_pricing.kit.workflow import open_result, run, run_sample

pytestmark = pytest.mark.services

NOWHERE = "http://127.0.0.1:9/flats.csv"


def new_repo(folder, source="", **changes):
    """A project without data, whose source is a file beside it."""
    write_raw(MADE, folder / "flats.csv")
    source = source or str(folder / "flats.csv")
    ingest = {"source": source, "timeout_s": 100}
    return make_repo(folder / "my project", raw=False, ingest=ingest, train={"folds": 2}, **changes)


def set_params(project, **changes):
    path = project.root / "params.yaml"
    params = json.loads(path.read_text(encoding="utf-8"))
    for section, values in changes.items():
        params[section] |= values
    write(path, json.dumps(params, indent=2))
    return replace(project)  # which has not read them yet


@pytest.fixture(scope="module")
def first_run(tmp_path_factory, _settings):
    """A project in which ``run`` has run once, and its result. Read only."""
    project = new_repo(tmp_path_factory.mktemp("first run"))
    said = []
    result = run(project, said.append)
    status = git_status(project.root)
    commit(project.root, "trained")
    return project, result, said, status


@pytest.fixture
def trained_project(first_run, tmp_path):
    project = copy_of(first_run[0], tmp_path / "copy")
    for path in project.root.glob("mlflow.db*"):
        path.unlink()
    return project


def test_run_goes_from_nothing_to_a_tracked_model_and_says_what_to_commit(first_run):
    project, result, said, status = first_run
    assert result.project is project and result.tracked.new and not result.problem
    assert result.data["rows"] == 400 and result.metrics["cv"]["R2"]["mean"] > 0.5
    assert said[0].startswith("Getting the data: /") and "dvc repro" in said[1]
    for made in ("models/metadata.json", "metrics.json", "dvc.lock", "reports/figures/slices.png"):
        assert (project.root / made).is_file()
    assert result.data_changed
    (command,) = result.to_commit
    added = re.fullmatch(r'git add (.*) && git commit -m "Result of flat-rents run"', command)[1]
    names = re.findall(r"/(data\.dvc|dvc\.lock|metrics\.json)\b", added)
    assert names == ["data.dvc", "dvc.lock", "metrics.json"]
    assert {line.split()[-1] for line in status.splitlines()} == set(names)


def test_a_second_run_has_nothing_to_do(first_run, capfd):
    again = run(first_run[0], lambda text: None)
    assert not again.tracked.new and again.tracked.run_id == first_run[1].tracked.run_id
    assert not again.data_changed and again.to_commit == ()
    assert "Running stage" not in capfd.readouterr().out
    assert git_status(first_run[0].root) == ""


def test_changed_data_are_announced_and_to_be_committed(trained_project):
    lines = trained_project.raw.read_text(encoding="utf-8").splitlines()
    write(trained_project.raw, "\n".join(lines[:-20]) + "\n")
    result = run(trained_project)
    assert result.data_changed and "data.dvc" in result.to_commit[0]
    assert call(trained_project.root, "git", "diff", "HEAD", "--", "data.dvc").stdout


def test_the_cache_gives_the_data_back_without_a_network(trained_project):
    shutil.rmtree(trained_project.root / "data")
    set_params(trained_project, ingest={"source": NOWHERE})
    assert run(trained_project).tracked
    assert git_status(trained_project.root) == " M params.yaml\n"


def test_data_come_from_the_dvc_remote_where_there_is_one_and_only_there(trained_project, tmp_path):
    root, clone = trained_project.root, tmp_path / "clone"
    dvc(trained_project, "remote", "add", "-d", "store", tmp_path / "store")
    dvc(trained_project, "push")
    commit(root, "shared")
    call(tmp_path, "git", "clone", "-q", root, clone)
    project, said = replace(trained_project, root=clone), []
    assert run(project, said.append).tracked
    assert said[0] == "Getting the data: dvc pull data.dvc" and git_status(clone) == ""
    for folder in (clone / "data", clone / ".dvc" / "cache", tmp_path / "store" / "files"):
        shutil.rmtree(folder)
    with pytest.raises(DataUnavailable, match="dvc pull: data.dvc: missing there .*; flat-rents d"):
        run(project)
    dvc(project, "remote", "modify", "store", "url", "s3://team/dvc")
    dvc(project, "remote", "modify", "store", "endpointurl", "http://127.0.0.1:9")
    with pytest.raises(DataUnavailable, match="DVC remote: store: s3://team/dvc: .*; "):
        run(project)


@pytest.mark.parametrize("others", [["mine.csv"], []])
def test_without_data_it_is_said_and_nothing_is_touched(tmp_path, others):
    project = new_repo(tmp_path, NOWHERE)
    for name in others:
        write(project.raw.with_name(name), "a\n")
    error = UserError if others else DataUnavailable
    told = "data/raw: found mine.csv; expected flats.csv; move it" if others else "127.0.0.1:9"
    with pytest.raises(error, match=told):
        run(project)
    assert git_status(project.root) == ""
    made = {path.name for path in project.root.iterdir()}
    assert made.isdisjoint({"models", "metrics.json", "mlflow.db", "reports", ".scratch"})


def test_the_sample_stands_in_touches_nothing_and_stays_off_the_teams_server(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    project = new_repo(tmp_path, NOWHERE)
    project = set_params(project, preprocess={"median_target": [1e7, 1e8]})
    commit(project.root, "another unit")
    result = run_sample(project)
    assert result.tracked and result.project.root == project.root / ".scratch" / "sample"
    assert (result.project.root / "mlflow.db").is_file() and result.to_commit == ()
    assert git_status(project.root) == ""
    made = {path.name for path in project.root.iterdir()}
    assert made.isdisjoint({"models", "metrics.json", "mlflow.db", "reports", "data"})


def test_notebooks_open_the_result_or_else_the_sample(tmp_path, monkeypatch, trained_project):
    said = []
    monkeypatch.chdir(trained_project.root / "data")
    write(trained_project.root / ".env", "FLATS_TEST=from the file\n")
    monkeypatch.setenv("FLATS_TEST", "")
    monkeypatch.delenv("FLATS_TEST")
    project = open_result(MADE, build_plain, said.append)
    assert project.root == trained_project.root and os.environ["FLATS_TEST"] == "from the file"
    assert said == ["The project's own data and model, in my project/"]
    fresh = make_project(tmp_path / "fresh", MADE, raw=False, train={"folds": 2})
    monkeypatch.chdir(fresh.root)
    scratch = open_result(MADE, build_plain, said.append)
    assert (scratch.models / "metadata.json").is_file() and scratch.root != fresh.root
    assert said[-1].endswith("Its figures say nothing about flats.")
    made = (scratch.models / "metadata.json").stat()
    again = open_result(MADE, build_plain)
    assert (again.models / "metadata.json").stat() == made


def test_a_server_that_is_down_costs_one_line_and_a_later_track(trained_project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{SECRET}@127.0.0.1:9")
    result = run(trained_project)
    assert result.tracked is None and SECRET not in result.problem
    assert "not tracked: the server does not answer" in result.problem
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert run(trained_project).tracked.new


def test_a_step_that_fails_is_one_line(trained_project):
    write(trained_project.root / "src" / "team" / "model.py", "1 / 0\n")
    with pytest.raises(StepFailed, match="^dvc repro failed for the reason above; put it right"):
        run(trained_project)


def test_a_corrupt_cache_is_refused(trained_project):
    path, *_ = [p for p in (trained_project.root / ".dvc/cache").rglob("*") if p.is_file()]
    path.chmod(0o644)
    path.write_bytes(b"spoilt")
    with pytest.raises(StepFailed, match="corrupt in DVC's cache; delete it, then dvc pull or"):
        run(trained_project)


def test_beside_another_dvc_it_says_whom_to_wait_for(trained_project):
    slow = (
        (trained_project.root / "dvc.yaml")
        .read_text("utf-8")
        .replace("python -m team preprocess", "python -c 'import time; time.sleep(100)'")
    )
    write(trained_project.root / "dvc.yaml", slow)
    lock = trained_project.root / ".dvc" / "tmp" / "rwlock"
    other = start("-m", "dvc", "repro", cwd=trained_project.root)
    try:
        wait(lambda: lock.is_file() and "pid" in lock.read_text("utf-8"), other)
        with pytest.raises(
            StepFailed, match="process .* is at work here: wait .*, or end it, .* delete .*rwlock"
        ):
            run(trained_project)
    finally:
        kill(other)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid(), reason="root mounts a small disk")
def test_on_a_full_disk_it_says_so(trained_project, tmp_path):
    (tmp_path / "disk").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", tmp_path / "disk"]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no small disk here")
    try:
        project = copy_of(trained_project, tmp_path / "disk" / "copy")
        set_params(project, model={"alpha": 3})
        left = shutil.disk_usage(tmp_path / "disk").free
        (tmp_path / "disk" / "filler").write_bytes(bytes(left - 300_000))
        with pytest.raises(StepFailed, match="the disk is full: make room there, then run again$"):
            run(project)
        (tmp_path / "disk" / "filler").unlink()
        assert run(project).metrics
    finally:
        # Lazily: a file there was seen held open until pytest ended.
        subprocess.run(["umount", "-l", tmp_path / "disk"], check=True)


def test_training_again_elsewhere_changes_no_byte(first_run, tmp_path):
    clone = tmp_path / "clone"
    call(tmp_path, "git", "clone", "-q", first_run[0].root, clone)
    project = replace(first_run[0], root=clone)
    project.raw.parent.mkdir(parents=True)
    shutil.copyfile(first_run[0].raw, project.raw)
    dvc(project, "repro", "-f")
    assert git_status(clone) == ""


@pytest.fixture
def endless_source():
    """A server that sends the start of a CSV and then nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nDistrict,heating\n")
            connections.append(connection)

        connections = []
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/flats.csv"
        for connection in connections:
            connection.close()


def start(*arguments, cwd):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, *arguments], cwd=cwd, start_new_session=True, **quiet)


def wait(reached, process):
    deadline = time.monotonic() + 120
    while not reached():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


def kill(process):
    """Kill a process and its children, and see them end."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.killpg(process.pid, 0)
            time.sleep(0.05)


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process group")
@pytest.mark.parametrize(
    "reached", ["interim/.*.part", "processed/rejected.csv", "processed/summary.json"]
)
def test_killed_half_way_run_goes_on(tmp_path, endless_source, reached):
    ingesting = reached.startswith("interim")
    project = new_repo(tmp_path, endless_source if ingesting else "")
    process = start("-m", "team", "run", cwd=project.root)
    wait(lambda: any((project.root / "data").glob(reached)), process)
    kill(process)
    assert not (project.models / "metadata.json").exists()
    if ingesting:
        assert not project.raw.exists()
        project = set_params(project, ingest={"source": str(tmp_path / "flats.csv")})
    assert run(project).tracked
    assert "up to date" in dvc(project, "status")
