"""What Git and DVC merge of data.dvc, dvc.lock and metrics.json, as docs/branches.md has it."""

import shutil
import sys
from pathlib import Path

import pytest
from environments import ROOT
from pages import blocks
from solo import call, commit, git_status, make_project

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(sys.platform == "win32", reason="the page's commands are of a POSIX shell"),
]

(ONCE,) = blocks("branches.md", "Once per clone")
RAW = Path("data", "raw")


def type_(root, block):
    done = call(root, "bash", "-e", "-c", block)
    assert done.returncode == 0, done.stdout + done.stderr


def write(root, **files):
    """Files of data/raw, registered and committed."""
    (root / RAW).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (root / RAW / name).unlink(missing_ok=True)
        (root / RAW / name).write_text(content, encoding="utf-8")
    assert call(root, "dvc", "add", "-q", RAW).returncode == 0
    commit(root, f"data: {', '.join(files)}")


def switch(root, *branch):
    assert call(root, "git", "switch", "-q", *branch).returncode == 0
    assert call(root, "dvc", "checkout", "-q", "data.dvc").returncode == 0


@pytest.fixture(scope="module")
def started(tmp_path_factory, sample_csv):
    """A project with one file of data, in a clone that is set up as the page says. Read only."""
    root = make_project(tmp_path_factory.mktemp("merging") / "project", sample_csv)
    type_(root, ONCE)
    write(root, one="1\n")
    return root


@pytest.fixture
def project(started, tmp_path):
    return Path(shutil.copytree(started, tmp_path / "project", symlinks=True))


def test_contributors_set_the_same_driver():
    (line,) = [line for line in ONCE.splitlines() if "merge.dvc.driver" in line]
    assert line in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()


def test_files_of_both_sides_are_merged(project):
    switch(project, "-c", "theirs")
    write(project, two="2\n")
    switch(project, "devl")
    write(project, three="3\n")
    done = call(project, "git", "merge", "--no-edit", "theirs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert call(project, "dvc", "checkout", "-q", "data.dvc").returncode == 0
    assert {path.name for path in (project / RAW).iterdir()} == {"one", "two", "three"}
    assert git_status(project) == ""
    assert "up to date" in call(project, "dvc", "status", "data.dvc").stdout


def test_two_versions_of_one_file_are_a_conflict_and_theirs_can_be_taken(project):
    switch(project, "-c", "theirs")
    write(project, one="theirs\n")
    switch(project, "devl")
    write(project, one="ours\n")
    pointer = (project / "data.dvc").read_bytes()
    done = call(project, "git", "merge", "--no-edit", "theirs")
    assert done.returncode == 1 and "CONFLICT (content)" in done.stdout
    assert "unable to auto-merge" in done.stderr
    assert git_status(project) == "UU data.dvc\n"
    assert (project / "data.dvc").read_bytes() == pointer, "ours, and no marks in it"

    theirs = blocks("branches.md", "A conflict")[2].splitlines()
    assert theirs[:3] == ["git checkout --theirs data.dvc", "git add data.dvc", "dvc pull data.dvc"]
    type_(project, "\n".join([*theirs[:2], "dvc checkout data.dvc", theirs[-1]]))
    assert (project / RAW / "one").read_text(encoding="utf-8") == "theirs\n"
    assert git_status(project) == ""


@pytest.mark.parametrize("name", ["dvc.lock", "metrics.json"])
def test_two_results_are_never_merged_line_by_line(project, name):
    """Changes far apart, which Git would merge, make a result that no run has had."""
    lines = [f"{i}: 0\n" for i in range(40)]

    def save(*changes):
        for i in changes:
            lines[i] = f"{i}: 1\n"
        (project / name).write_text("".join(lines), encoding="utf-8")
        call(project, "git", "add", "-f", name)
        call(project, "git", "commit", "-qm", f"{name} {changes}")
        return (project / name).read_bytes()

    save()
    call(project, "git", "switch", "-q", "-c", "theirs")
    save(2)
    call(project, "git", "switch", "-q", "devl")
    lines[2] = "2: 0\n"
    ours = save(38)
    done = call(project, "git", "merge", "--no-edit", "theirs")
    assert done.returncode == 1 and f"Merge conflict in {name}" in done.stdout
    assert (project / name).read_bytes() == ours
