"""The main job with real Git and real DVC, as a user runs it in a clone."""

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
from pathlib import Path

import pytest
import yaml
from solo import call, change_params, commit, git_status, make_project, ours

from laptop_pricing.data.schema import RAW_FILE

pytestmark = pytest.mark.services


@pytest.fixture
def project(tmp_path, sample_csv):
    """A project in which nothing has run yet."""
    return make_project(tmp_path / "my project", sample_csv)


@pytest.fixture(scope="module")
def first_run(tmp_path_factory, sample_csv):
    """A project in which ``run`` has run once, and what it said. Read only."""
    root = make_project(tmp_path_factory.mktemp("first run") / "my project", sample_csv)
    done = ours(root, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    commit(root, "trained")
    return root, done


@pytest.fixture
def trained_project(first_run, tmp_path):
    """A copy of that project, without its runs, which stay where they were made."""
    runs = shutil.ignore_patterns("mlflow.db", "mlartifacts")
    return Path(shutil.copytree(first_run[0], tmp_path / "my project", symlinks=True, ignore=runs))


def test_run_goes_from_nothing_to_a_tracked_model(first_run):
    root, done = first_run
    assert re.search(r"Rows +400 read, \d+ duplicates, 0 rejected", done.stdout)
    assert re.search(r"R2 +0\.\d{3} ± 0\.\d{3} +> 0\.6 met", done.stdout)
    assert re.search(r"new run \w{32} in laptop-pricing", done.stdout)
    assert "\x1b" not in done.stdout + done.stderr
    for made in ("models/model.skops", "metrics.json", "dvc.lock", "reports/figures/slices.png"):
        assert (root / made).is_file()


def test_changed_data_are_announced(trained_project, tmp_path):
    lines = (trained_project / "data" / "raw" / RAW_FILE).read_text(encoding="utf-8").splitlines()
    (tmp_path / "fewer.csv").write_text("\n".join(lines[:-20]) + "\n", encoding="utf-8")
    assert ours(trained_project, "ingest", tmp_path / "fewer.csv").returncode == 0
    done = ours(trained_project, "run")
    assert re.search(r"Data +not those registered before: review git diff HEAD -- data.dvc", done.stdout)
    assert call(trained_project, *"git diff HEAD -- data.dvc".split()).stdout


def test_the_first_result_is_reproducible_once_committed_as_run_says(project):
    said = ours(project, "run").stdout
    command = said.splitlines()[-1].removeprefix("Commit it").strip()
    assert command.startswith("git add data.dvc dvc.lock metrics.json && git commit -m ")
    refused = ours(project, "register")
    assert refused.returncode == 2 and ": uncommitted; " in refused.stderr
    call(project, "git", "commit", "-qm", "what DVC has staged")
    refused = ours(project, "register")
    assert refused.returncode == 2 and "metrics.json: uncommitted; " in refused.stderr
    call(project, "git", "reset", "-q", "--soft", "HEAD~1")
    assert call(project, "sh", "-c", command).returncode == 0
    assert git_status(project) == "" and "Commit it" not in ours(project, "run").stdout
    assert ours(project, "register").returncode == 0
    assert "identical: " in ours(project, "reproduce").stdout


def test_the_cache_gives_the_data_back_without_a_network(trained_project):
    shutil.rmtree(trained_project / "data")
    done = ours(trained_project, "run", CI="true")
    assert done.returncode == 0, done.stderr
    assert git_status(trained_project) == ""


def test_another_csv_in_the_raw_folder_is_named(project):
    (project / "data" / "raw").mkdir(parents=True)
    (project / "data" / "raw" / "mine.csv").write_text("a\n", encoding="utf-8")
    done = ours(project, "run")
    assert done.returncode == 2
    assert f"data/raw: found mine.csv; expected {RAW_FILE}" in done.stderr


def test_training_again_elsewhere_changes_no_byte(first_run, sample_csv, tmp_path):
    clone = tmp_path / "clone"
    call(tmp_path, "git", "clone", "-q", first_run[0], clone)
    ours(clone, "ingest", yaml.safe_load((clone / "params.yaml").read_text())["ingest"]["source"])
    done = call(clone, "dvc", "repro", "-f")
    assert done.returncode == 0, done.stderr
    assert git_status(clone) == ""


def test_missed_criteria_exit_with_1_after_the_summary(trained_project):
    change_params(trained_project, criteria__R2=0.999)
    done = ours(trained_project, "run")
    assert done.returncode == 1
    assert re.search(r"R2 .* > 0\.999 missed", done.stdout)
    assert "criteria of params.yaml are missed" in done.stderr


def test_without_data_the_sample_stands_in_and_touches_nothing(project):
    change_params(project, ingest__source="http://127.0.0.1:9/laptops.csv")
    commit(project, "a source that does not answer")
    done = ours(project, "run")
    assert done.returncode == 0, done.stderr
    assert "http://127.0.0.1:9/laptops.csv: not reachable" in done.stderr
    summary = done.stdout[done.stdout.index("[sample]") :].splitlines()
    assert len(summary) > 8 and all(line.startswith("[sample]") for line in summary)
    assert git_status(project) == ""
    made = {path.name for path in project.iterdir()}
    assert made.isdisjoint({"models", "metrics.json", "mlflow.db", "reports"})
    assert not [path for path in (project / "data").rglob("*") if path.is_file()]


def test_in_ci_missing_data_is_a_failure(project):
    change_params(project, ingest__source="http://127.0.0.1:9/laptops.csv")
    done = ours(project, "run", CI="true")
    assert done.returncode == 1
    assert "not reachable" in done.stderr and "[sample]" not in done.stdout


def test_the_sample_misses_criteria_without_failing_and_stays_off_the_teams_server(project):
    change_params(project, criteria__R2=0.999)
    done = ours(project, "run", "--sample", MLFLOW_TRACKING_URI="http://127.0.0.1:9", CI="true")
    assert done.returncode == 0, done.stderr
    assert "missed, not enforced" in done.stdout
    assert (project / ".scratch" / "sample" / "mlflow.db").is_file()


def test_dvc_repro_by_itself_never_falls_back(project):
    done = call(project, "dvc", "repro")
    assert done.returncode != 0
    assert not (project / "models").exists() and not (project / ".scratch").exists()


def test_data_come_from_the_dvc_remote_when_there_is_one(trained_project, tmp_path):
    project, clone = trained_project, tmp_path / "clone"
    call(project, "dvc", "remote", "add", "-d", "store", tmp_path / "store")
    assert call(project, "dvc", "push").returncode == 0
    change_params(project, ingest__source="http://127.0.0.1:9/laptops.csv")
    commit(project, "shared")
    call(project, "git", "clone", "-q", project, clone)
    done = ours(clone, "run", CI="true")
    assert done.returncode == 0, done.stderr
    assert "dvc pull data.dvc" in done.stdout
    assert git_status(clone) == ""


def test_an_unreachable_tracking_server_costs_one_line_and_a_later_track(trained_project):
    server = "http://me:hunter2@127.0.0.1:9"
    done = ours(trained_project, "run", MLFLOW_TRACKING_URI=server)
    assert done.returncode == 1 and "\nModel " in done.stdout
    assert "Error: not tracked: http://127.0.0.1:9: the server does not answer" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    later = ours(trained_project, "track")
    assert later.returncode == 0 and "new run" in later.stdout
    assert "http://127.0.0.1:5000/#/experiments/1?workflowType=machine_learning" in later.stdout


def test_dvc_exp_run_tries_out_other_params(trained_project):
    done = call(trained_project, "dvc", "exp", "run", "-n", "strong", "-S", "train.alphas=[100.0]")
    assert done.returncode == 0, done.stderr
    metadata = json.loads((trained_project / "models" / "metadata.json").read_text())
    assert metadata["alpha"] == 100
    assert "strong" in call(trained_project, "dvc", "exp", "list").stdout


@pytest.fixture
def endless_source():
    """A server that sends the start of a CSV and then nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nbrand,processor_brand\n")
            connections.append(connection)

        connections = []
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/laptops.csv"
        for connection in connections:
            connection.close()


def processed(project):
    return (project / "data" / "processed" / "rejected.csv").is_file()


def training(project):
    return (project / "data" / "processed" / "summary.json").is_file()


def ingesting(project):
    return any((project / "data" / "interim").glob(".*.part"))


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process group")
@pytest.mark.parametrize("reached", [ingesting, processed, training], ids=lambda f: f.__name__)
def test_killed_half_way_run_goes_on(project, endless_source, reached):
    change_params(project, ingest__timeout_s=100.0)
    source = yaml.safe_load((project / "params.yaml").read_text())["ingest"]["source"]
    if reached is ingesting:
        change_params(project, ingest__source=endless_source)
    process = subprocess.Popen(
        [sys.executable, "-m", "laptop_pricing", "run"],
        cwd=project,
        env=os.environ | {"CI": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not reached(project):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    with contextlib.suppress(ProcessLookupError):  # until DVC, too, is no more
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.05)
    assert not (project / "models" / "metadata.json").exists()
    if reached is ingesting:
        assert not (project / "data" / "raw").exists()
        change_params(project, ingest__source=source)

    done = ours(project, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "up to date" in call(project, "dvc", "status").stdout


@pytest.mark.skipif(sys.platform == "win32", reason="stops a process group")
def test_beside_a_dvc_that_outlived_its_run_it_says_what_to_do(trained_project):
    change_params(trained_project, train__alphas=[3.0])
    process = subprocess.Popen(
        [sys.executable, "-m", "laptop_pricing", "run"],
        cwd=trained_project,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    rwlock = trained_project / ".dvc" / "tmp" / "rwlock"
    try:
        while not (rwlock.is_file() and '"pid"' in rwlock.read_text()):
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGSTOP)
        pid = re.search(r'"pid": (\d+)', rwlock.read_text())[1]
        process.kill()
        process.wait()
        done = ours(trained_project, "run")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert f"process {pid} is at work here: wait until it ends, or end it" in last
    assert last.endswith(f"delete {Path('.dvc', 'tmp', 'rwlock')} first")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_at_a_terminal_there_is_progress_and_colour(project):
    import pexpect

    child = pexpect.spawn(
        sys.executable,
        ["-m", "laptop_pricing", "run", "--sample"],
        cwd=str(project),
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"},
        encoding="utf-8",
        timeout=120,
        dimensions=(40, 100),
    )
    child.expect("Cross-validating")
    child.expect(r"\d+%")
    child.expect(r"\x1b\[")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
