"""From data to a tracked model with real Git and real DVC, as a user does it in a clone."""

import re
import shutil

import pytest
from outputs import LEAST, TASK
from projects import call, commit, make_project, ours

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def first_run(tmp_path_factory, sample_csv):
    """A project in which ``run`` has run once, and what it said. Read only."""
    root = make_project(tmp_path_factory.mktemp("first run") / "my project", sample_csv)
    said = ours(root, "run")
    commit(root, "trained")
    return root, said


@pytest.fixture
def project(first_run, tmp_path):
    """A copy of that project."""
    return shutil.copytree(first_run[0], tmp_path / "my project", symlinks=True)


def status(root):
    return call(root, "git", "status", "--porcelain")


def files(root, *folders):
    """The bytes of all files below some folders, by path."""
    paths = [path for folder in folders for path in (root / folder).rglob("*") if path.is_file()]
    return {path.relative_to(root): path.read_bytes() for path in paths}


def test_run_goes_from_data_to_a_tracked_model(first_run, sample_csv):
    root, said = first_run
    assert re.search(r"new run \w{32} in ", said)
    assert re.search(rf"{TASK.score_name} +-?\d\.\d+ ± \d\.\d+ +> {LEAST:g} met", said)
    raw = [path.read_bytes() for path in (root / "data" / "raw").glob("*.csv")]
    assert raw == [sample_csv.read_bytes()]
    for made in (
        "models/metadata.json",
        "metrics.json",
        "dvc.lock",
        "mlflow.db",
        "reports/figures",
    ):
        assert (root / made).exists()


def test_a_second_run_has_nothing_to_do(first_run):
    root, said = first_run
    run_id = re.search(r"new run (\w{32})", said)[1]
    again = ours(root, "run")
    assert "Running stage" not in again
    assert f"tracked before, as run {run_id}" in again
    assert status(root) == "" and "up to date" in call(root, "dvc", "status")


def test_a_clone_pulls_the_same_files_from_a_folder(project, tmp_path):
    call(project, "dvc", "remote", "add", "-d", "storage", tmp_path / "storage")
    commit(project, "shared")
    call(project, "dvc", "push")
    call(tmp_path, "git", "clone", "-q", project, "clone")
    clone = tmp_path / "clone"
    call(clone, "dvc", "pull")
    made = files(project, "data/raw", "data/processed", "models", "reports")
    assert len(made) > 10
    assert files(clone, "data/raw", "data/processed", "models", "reports") == made
    assert "up to date" in call(clone, "dvc", "status") and status(clone) == ""
