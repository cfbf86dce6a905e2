"""A commit run again elsewhere, with real Git and real DVC, and compared with its promises."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import yaml
from repos import copy_of, dvc, make_repo, team, write
from solo import call, commit, git_status

pytestmark = pytest.mark.services

PIPELINE = """
stages:
  table:
    cmd: python src/table.py
    deps: [data/raw, src/table.py]
    params: [preprocess]
    outs: [data/processed]
  fit:
    cmd: python src/fit.py
    deps: [data/processed, src/fit.py]
    params: [train.folds]
    outs: [models]
    metrics: [{metrics.json: {cache: false}}]
"""
TABLE = """
import pathlib, time
text = pathlib.Path("data/raw/flats.csv").read_text(encoding="utf-8")
pathlib.Path("data/processed").mkdir()
pathlib.Path("data/processed/table").write_text(text.upper(), encoding="utf-8")
"""
FIT = """
import json, pathlib, time
from figures import figures
time.sleep(int(pathlib.Path("params.yaml").read_text().count("slow")) * 60)
text = pathlib.Path("data/processed/table").read_text(encoding="utf-8")
pathlib.Path("models").mkdir()
pathlib.Path("models/model").write_text(text[:100], encoding="utf-8")
pathlib.Path("metrics.json").write_text(json.dumps(figures(text), indent=2) + "\\n")
"""
FIGURES = "def figures(text):\n    return {'cv': {'MAPE': {'mean': %s + len(text) / 1e9}}}\n"
FILES = {"dvc.yaml": PIPELINE, "src/table.py": TABLE, "src/fit.py": FIT}
FILES |= {"src/figures.py": FIGURES % 0.1, "requirements.txt": "numpy==2.2.6\n"}


def append(path, text):
    write(path, path.read_text(encoding="utf-8") + text)


@pytest.fixture(scope="module")
def history(tmp_path_factory, _settings):
    """A project whose tags are commits: nothing, good, tampered, and changed (HEAD). Read only."""
    project = make_repo(tmp_path_factory.mktemp("history") / "my project", files=FILES)
    root = project.root
    call(root, "git", "tag", "nothing")
    dvc(project, "repro", "-q")
    commit(root, "trained")
    call(root, "git", "tag", "good")

    good = (root / "metrics.json").read_text(encoding="utf-8")
    write(root / "metrics.json", json.dumps({"cv": {"MAPE": {"mean": 0.001}}}, indent=2) + "\n")
    commit(root, "better than it is")
    call(root, "git", "tag", "tampered")

    write(root / "metrics.json", good)
    append(root / "src" / "fit.py", "# Another fit\n")
    write(root / "src" / "figures.py", FIGURES % 0.2)
    append(root / "requirements.txt", "scipy\n")
    params = json.loads((root / "params.yaml").read_text(encoding="utf-8"))
    params["train"]["folds"] = 7
    write(root / "params.yaml", json.dumps(params, indent=2))
    commit(root, "another fit, which has not run")
    return project


@pytest.fixture
def project(history, tmp_path):
    return copy_of(history, tmp_path / "copy")


def state(root):
    """What has to stay: the status, commits, worktrees, and all files but DVC's own."""
    asked = (["show-ref", "--head"], ["worktree", "list"])
    said = [call(root, "git", *what).stdout for what in asked]
    skipped = {".git", "__pycache__", "tmp"}
    files = {
        path: path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not skipped & set(path.relative_to(root).parts)
    }
    return git_status(root), said, files


def reproduce(project, *revision, run=team, **environment):
    """Run it; see that project and cache stay as they are, and that no temporary file does."""
    temp = project.root.parent / "temp"
    temp.mkdir()
    before = state(project.root)
    os.utime(project.root / "dvc.yaml", (1, 1))  # what git status would note in the index
    index = (project.root / ".git" / "index").read_bytes()
    folders = {"TMPDIR": str(temp), "TEMP": str(temp)}
    done = run(project, "reproduce", *revision, **folders, **environment)
    assert (project.root / ".git" / "index").read_bytes() == index
    assert state(project.root) == before
    assert list(temp.iterdir()) == []
    return done


def test_an_older_commit_is_identical_though_code_and_requirements_have_moved_on(project):
    done = reproduce(project, "good", GIT_DIR="another.git")  # as in a hook of another repository
    assert done.returncode == 0, done.stdout + done.stderr
    md5 = re.search("md5: (.*)", (project.root / "data.dvc").read_text(encoding="utf-8"))[1]
    same = rf"commit \w{{7}}, data md5 {md5}, all of dvc.lock and metrics.json\n"
    assert re.search(same, done.stdout)
    assert re.search(r"requirements.txt of \w{7} is not today's", done.stdout)


def test_head_is_identical_with_data_that_only_a_remote_has(history, tmp_path):
    clone, store = tmp_path / "clone", tmp_path / "store"
    call(tmp_path, "git", "clone", "-q", history.root, clone)
    call(clone, "git", "checkout", "-q", "-b", "mine", "good")
    shutil.copytree(history.root / ".dvc" / "cache" / "files", store / "files")
    call(clone, "dvc", "remote", "add", "--local", "-d", "store", "../store")  # relative
    hook = clone / ".git" / "hooks" / "post-checkout"
    write(hook, "#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    append(clone / "src" / "fit.py", "# not committed\n")
    done = reproduce(replace(history, root=clone))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"commit \w{7}, data md5", done.stdout)
    assert "uncommitted changes are not part of what is checked" in done.stdout


def test_changed_code_and_params_without_a_new_dvc_lock_are_named_with_the_figures(project):
    done = reproduce(project)
    assert done.returncode == 1
    assert re.search(r"StepFailed: \w{7}: not reproduced: what differs", done.stderr)
    assert re.search(r"modified: +src/fit\.py", done.stdout)
    assert re.search(r"modified: +train\.folds", done.stdout)
    assert re.search(r"metrics\.json +cv\.MAPE\.mean +0\.1\S* +0\.2\S*", done.stdout)
    assert not re.search(r"modified: +src/table\.py", done.stdout)
    assert "requirements" not in done.stdout and "uncommitted" not in done.stdout


def test_a_figure_that_the_pipeline_does_not_give_is_named(project):
    done = reproduce(project, "tampered")
    assert done.returncode == 1
    assert re.search(r"metrics\.json +cv\.MAPE\.mean +0\.001 +0\.1", done.stdout)
    assert '-      "mean": 0.001' in done.stdout and "modified" not in done.stdout


def test_what_no_stage_makes_any_more_is_not_taken_for_identical(project):
    call(project.root, "git", "checkout", "-q", "-b", "half", "good")
    pipeline = yaml.safe_load((project.root / "dvc.yaml").read_text(encoding="utf-8"))
    del pipeline["stages"]["fit"]
    write(project.root / "dvc.yaml", yaml.safe_dump(pipeline))
    commit(project.root, "half a pipeline")
    done = reproduce(project)
    assert done.returncode == 1
    assert "-    cmd: python src/fit.py" in done.stdout and "not reproduced" in done.stderr


def test_stages_in_the_order_of_another_day_make_no_difference(project):
    call(project.root, "git", "checkout", "-q", "-b", "turned", "good")
    lock = (project.root / "dvc.lock").read_text(encoding="utf-8")
    head, table, fit = re.split(r"(?m)^(?=  \w+:$)", lock)
    assert "fit:" in fit + table
    write(project.root / "dvc.lock", head + fit + table)
    commit(project.root, "turned")
    assert reproduce(project).returncode == 0


def test_data_in_a_spoilt_cache_are_not_taken_for_those_promised(project):
    cached = (path for path in (project.root / ".dvc/cache/files").rglob("*") if path.is_file())
    (data,) = (path for path in cached if path.read_bytes().startswith(b"District"))
    data.chmod(0o644)
    data.write_bytes(b"".join(data.read_bytes().splitlines(keepends=True)[:-20]))
    data.chmod(0o444)
    done = reproduce(project, "good")
    assert done.returncode == 1
    assert re.search(r"table:\n\tchanged deps:\n\t\tmodified: +data/raw", done.stdout)


def test_data_that_are_nowhere_are_asked_for(project):
    shutil.rmtree(project.root / ".dvc" / "cache")
    done = reproduce(project, "good")
    assert done.returncode == 1
    asked = r"DataUnavailable: data/raw of \w{7}: .*; neither cache nor remote has it: dvc push"
    assert re.search(asked, done.stderr)


@pytest.mark.skipif(sys.platform == "win32", reason="interrupts a process group")
def test_interrupted_it_cleans_up(project):
    call(project.root, "git", "checkout", "-q", "-b", "slow", "good")
    append(project.root / "src" / "table.py", "time.sleep(60)\n")
    commit(project.root, "slow")

    def interrupted(project, *arguments, **environment):
        process = subprocess.Popen(
            [sys.executable, "-m", "team", *arguments],
            cwd=project.root,
            env=os.environ | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 120
        while not list((project.root.parent / "temp").glob("*/tree/data/processed/*")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        return process.wait(timeout=60)

    assert reproduce(project, run=interrupted) != 0


@pytest.mark.parametrize(
    "revision, told",
    [
        ("nothing", r"\w{7} has no dvc.lock; name a commit made after flat-rents run"),
        ("no-such", "'no-such': no such commit; expected a commit, branch or tag"),
    ],
)
def test_what_promises_nothing_is_refused(project, revision, told):
    done = team(project, "reproduce", revision)
    assert done.returncode == 1 and re.fullmatch(f"UserError: {told}.*\n", done.stderr)


def test_outside_a_git_repository_it_is_refused(project, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.root.parent))
    shutil.rmtree(project.root / ".git")
    done = team(project, "reproduce")
    assert re.search("UserError: .*not in a Git repository", done.stderr)
