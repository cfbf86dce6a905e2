"""New projects at work: as it is, each does its main job and passes its tests, on each storage.

And after years: a newer kit takes the place of the older one, beside the team's own edits.
"""

import json
import os
import re
import shutil
import sys
from pathlib import Path

import dagshub_server
import pytest
import servers
from baking import bake, check, ready, run
from environments import ROOT, install
from solo import change_params

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("own_home")]

TOKEN = "token-of-ana"
S3_SECRET = "hunter2"
CONNECT = 'bike-fares connect dagshub "$DAGSHUB_REPOSITORY"'


def does_its_main_job(project, laptop_csv, **variables):
    """From the real CSV to a tracked model that is pushed; what `run` said."""
    check(project, "bike-fares", "ingest", laptop_csv, **variables)
    said = check(project, "bike-fares", "run", **variables)
    check(project, "dvc", "push", **variables)
    assert re.search(r"Rows +823 read, 21 duplicates, 0 rejected", said), said
    assert re.search(r"new run \w{32} in bike-fares", said)
    author = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    check(project, "git", "add", "-A")
    check(project, "git", *author, "commit", "-qm", "the first model")
    return said


def test_freshly_installed_by_the_commands_that_it_names(snapshot, tmp_path):
    """README's test command installs and tests; then the main job, on the sample.

    What is pinned is there before, so that pip installs the project alone; .ci/run begins without.
    """
    project = bake(snapshot, tmp_path, project_name="Bike fares")
    check(project, sys.executable, "-m", "venv", ".venv")
    pins = (project / "requirements.txt").read_text("utf-8").replace("-e .", "#")
    (tmp_path / "pins.txt").write_text(pins, encoding="utf-8")
    install(project / ".venv" / "bin" / "python", "--requirement", tmp_path / "pins.txt")
    readme = (project / "README.md").read_text("utf-8")
    command = re.search(r"^python3 -m venv .*/pytest$", readme, re.MULTILINE)[0]
    environment = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = run(project, "sh", "-c", command, timeout=1200, **environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 80, done.stdout[-500:]

    said = check(project, ".venv/bin/bike-fares", "run", "--sample")
    assert re.search(r"\[sample\].*MAPE +0\.\d+ ± 0\.\d+", said), said
    assert re.search(r"new run \w{32} in bike-fares", said), said
    assert check(project, "git", "status", "--porcelain") == ""


def test_on_s3(snapshot, tmp_path, laptop_csv):
    store = tmp_path / "s3"
    (store / "acme-bikes").mkdir(parents=True)
    answers = {"project_name": "Bike fares", "storage": "s3://acme-bikes"}
    project, variables = ready(bake(snapshot, tmp_path, **answers))
    change_params(project, train__seeds=[0])
    key = "test-id"
    variables |= {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": S3_SECRET}
    variables |= {"AWS_EC2_METADATA_DISABLED": "true"}
    with servers.s3_server(store, (key, S3_SECRET)) as address:
        connect = ("connect", "s3", "acme-bikes", "--endpoint-url", address)
        check(project, "bike-fares", *connect, **variables)
        said = does_its_main_job(project, laptop_csv, **variables)
    assert re.search(r"R2 +0\.7\d+ .* > 0\.6 met", said) and re.search(r"MAPE .* met", said)
    theirs, ours = (json.loads((root / "metrics.json").read_text()) for root in (project, ROOT))
    assert theirs["holdout"]["MAPE"] == ours["holdout"]["MAPE"]  # whatever the number of seeds
    assert S3_SECRET not in check(project, "git", "grep", "-n", "acme-bikes", "HEAD")
    assert len(list((store / "acme-bikes" / "dvc" / "files" / "md5").rglob("*"))) > 20


def test_on_dagshub(snapshot, tmp_path, laptop_csv):
    """Against the stand-in, with a real MLflow server behind it."""
    answers = {"project_name": "Bike fares", "storage": "dagshub://acme"}
    project, variables = ready(bake(snapshot, tmp_path, **answers))
    change_params(project, train__seeds=[0], train__folds=3)
    (tmp_path / "mlflow").mkdir()
    with (
        servers.mlflow_server(tmp_path / "mlflow") as mlflow,
        dagshub_server.start(
            tmp_path / "hub", TOKEN, "ana", "acme/bike-fares", mlflow=mlflow
        ) as hub,
    ):
        variables |= {"DAGSHUB_CLIENT_HOST": hub.address, "DAGSHUB_USER_TOKEN": TOKEN}
        variables |= {"DAGSHUB_CLIENT_TOKENS_CACHE": str(tmp_path / "tokens")}
        variables |= {"AWS_EC2_METADATA_DISABLED": "true"}
        said = check(project, "bike-fares", "connect", "dagshub", "acme/bike-fares", **variables)
        assert TOKEN not in said
        does_its_main_job(project, laptop_csv, **variables)
        said = check(project, "bike-fares", "track", **variables)
        assert "this result has its run already" in said and hub.address in said

        clone = tmp_path / "ci"  # as the workflow that registers does it
        check(tmp_path, "git", "clone", "-q", project, clone)
        assert CONNECT in (clone / ".github/workflows/promote.yml").read_text("utf-8")
        variables |= {"PYTHONPATH": str(clone / "src"), "DAGSHUB_REPOSITORY": "acme/bike-fares"}
        said = check(clone, "bash", "-c", CONNECT, **variables, CI="true")
        assert TOKEN not in said and check(clone, "git", "status", "--porcelain") == ""
        check(clone, "dvc", "pull", **variables)
        server = {"MLFLOW_TRACKING_URI": f"{hub.address}/acme/bike-fares.mlflow"}
        server |= {"MLFLOW_TRACKING_USERNAME": "ana", "MLFLOW_TRACKING_PASSWORD": TOKEN}
        said = check(clone, "bike-fares", "register", **variables, **server)
        assert "version 1 of bike-fares: alias devl" in said
    assert run(project, "git", "grep", TOKEN, "HEAD").returncode == 1
    assert len(list((tmp_path / "hub" / "s3" / "dvc").rglob("*"))) > 20


def test_a_newer_kit_replaces_the_folder_whole(snapshot, tmp_path):
    """By no tool; what the team wrote outside of it stays, and goes on working."""
    project, variables = ready(bake(snapshot, tmp_path, project_name="Bike fares"))
    package = project / "src" / "bike_fares"
    newer = tmp_path / "newer" / "bike_fares"
    shutil.copytree(package, newer)
    (newer / "kit" / "VERSION").write_text("1.1.0\n")
    (newer / "kit" / "added.py").touch()
    (newer / "kit" / "sharing" / "reproduce.py").unlink()
    check(newer.parent, sys.executable, "-m", "bike_fares.kit.seal", PYTHONPATH=".")

    problem = (package / "problem.py").read_text("utf-8")
    assert 'item="laptop"' in problem
    problem = problem.replace('item="laptop"', 'item="bike"')
    (package / "problem.py").write_text(problem, encoding="utf-8")
    (package / "kit" / "files.py").open("a").write("# ours\n")
    assert re.search(
        r"warning +kit: .*edited: files\.py",
        run(project, "bike-fares", "doctor", **variables).stdout,
    )

    shutil.rmtree(package / "kit")
    shutil.copytree(newer / "kit", package / "kit")
    doctor = run(project, "bike-fares", "doctor", **variables).stdout
    assert re.search(r"ok +kit: .*1\.1\.0", doctor), doctor
    assert 'item="bike"' in (package / "problem.py").read_text("utf-8")
    done = run(project, sys.executable, "-m", "pytest", "-q", "tests/test_problem.py", **variables)
    assert done.returncode == 0, done.stdout[-2000:]
