"""A commit run again elsewhere, with real Git and real DVC, and compared with its promises."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from solo import call, commit, git_status, make_project, ours

from laptop_pricing.errors import StepFailed
from laptop_pricing.reproduce import _compare

PIPELINE = "src/laptop_pricing/modeling/pipeline.py"
# Makes other figures than dvc.lock and metrics.json promise.
OTHER_FIGURES = """

_as_before = write_json


def write_json(target, value):
    _as_before(target, value | {"changed": 1})
"""


def append(path, text):
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


@pytest.fixture(scope="module")
def history(tmp_path_factory, sample_csv):
    """A project whose tags are commits: nothing, good, tampered, changed (HEAD). Read only."""
    root = make_project(tmp_path_factory.mktemp("history") / "my project", sample_csv)
    call(root, "git", "tag", "nothing")
    (root / "requirements.txt").write_text("numpy==2.2.6\n", encoding="utf-8")
    done = ours(root, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    commit(root, "trained")
    call(root, "git", "tag", "good")

    good = (root / "metrics.json").read_text(encoding="utf-8")
    figures = json.loads(good)
    figures["cv"]["MAPE"]["mean"] = 0.001
    (root / "metrics.json").write_text(json.dumps(figures), encoding="utf-8")
    commit(root, "better than it is")
    call(root, "git", "tag", "tampered")

    (root / "metrics.json").write_text(good, encoding="utf-8")
    append(root / PIPELINE, "# Another pipeline\n")
    append(root / "src" / "laptop_pricing" / "files.py", OTHER_FIGURES)
    append(root / "requirements.txt", "scipy\n")
    commit(root, "another pipeline, which has not run")
    call(root, "git", "tag", "changed")
    return root


@pytest.fixture
def project(history, tmp_path):
    """A copy of that project."""
    runs = shutil.ignore_patterns("mlflow.db", "mlartifacts")
    return Path(shutil.copytree(history, tmp_path / "my project", symlinks=True, ignore=runs))


def state(root):
    """What has to stay: the status, commits, worktrees, and all files but DVC's own."""
    said = [
        call(root, "git", *what).stdout for what in (["show-ref", "--head"], ["worktree", "list"])
    ]
    skipped = {".git", "__pycache__", "cache", "tmp"}
    files = {
        path: path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not skipped & set(path.relative_to(root).parts)
    }
    return git_status(root), said, files


def cached(root):
    return {path for path in (root / ".dvc" / "cache").rglob("*") if path.is_file()}


def reproduce(root, *revision, run=ours, **environment):
    """Run the command; see that the project stays as it is, and that no temporary file does."""
    temp = root.parent / "temp"
    temp.mkdir()
    before = state(root)
    os.utime(root / "dvc.yaml", (1, 1))  # what git status would note in the index
    index = (root / ".git" / "index").read_bytes()
    done = run(root, "reproduce", *revision, TMPDIR=str(temp), TEMP=str(temp), **environment)
    assert (root / ".git" / "index").read_bytes() == index
    assert state(root) == before
    assert list(temp.iterdir()) == []
    return done


@pytest.mark.services
def test_an_older_commit_is_identical_though_code_and_requirements_have_moved_on(project):
    done = reproduce(project, "good", GIT_DIR="another.git")  # as in a hook of another repository
    assert done.returncode == 0, done.stdout + done.stderr
    md5 = re.search("md5: (.*)", (project / "data.dvc").read_text(encoding="utf-8"))[1]
    assert re.search(rf"identical: commit \w{{7}}, data md5 {md5}, all of dvc.lock", done.stdout)
    assert re.search(r"Warning: requirements.txt of \w{7} is not today's", done.stderr)


@pytest.mark.services
def test_head_is_identical_with_data_that_only_a_remote_has(history, tmp_path):
    clone, store = tmp_path / "clone", tmp_path / "store"
    call(tmp_path, "git", "clone", "-q", history, clone)
    call(clone, "git", "checkout", "-q", "-b", "mine", "good")
    shutil.copytree(history / ".dvc" / "cache" / "files", store / "files")
    call(clone, "dvc", "remote", "add", "--local", "-d", "store", "../store")  # relative
    hook = clone / ".git" / "hooks" / "post-checkout"
    hook.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    append(clone / PIPELINE, "# not committed\n")
    done = reproduce(clone)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "identical: " in done.stdout
    assert "Warning: uncommitted changes are not part of what is checked" in done.stderr
    assert len(cached(clone)) == 2  # the folder data/raw and its file, and no result


@pytest.mark.services
def test_changed_code_without_a_new_dvc_lock_is_named_before_what_follows_from_it(project):
    done = reproduce(project)
    assert done.returncode == 1
    assert re.search(
        rf"Error: \w{{7}} is not reproduced: train: {PIPELINE} is not what dvc.lock was made with: "
        r"promised md5 \w{32}, found md5 \w{32}; \d+ more, "
        "among them metrics.json: changed promised nothing, found 1\n",
        done.stderr,
    )
    assert "requirements" not in done.stderr and "uncommitted" not in done.stderr


@pytest.mark.services
def test_a_figure_that_the_pipeline_does_not_give_is_named(project):
    done = reproduce(project, "tampered")
    assert done.returncode == 1
    figure = r"metrics.json: cv.MAPE.mean promised 0.001, found 0\.\d+"
    assert re.search(rf"is not reproduced: {figure}\n", done.stderr)


@pytest.mark.services
def test_what_no_stage_makes_any_more_is_not_taken_for_identical(project):
    call(project, "git", "checkout", "-q", "-b", "half", "good")
    pipeline = yaml.safe_load((project / "dvc.yaml").read_text(encoding="utf-8"))
    del pipeline["stages"]["train"], pipeline["plots"]
    (project / "dvc.yaml").write_text(yaml.safe_dump(pipeline), encoding="utf-8")
    commit(project, "half a pipeline")
    done = reproduce(project)
    assert done.returncode == 1
    assert "the command promised laptop-pricing train, found nothing" in done.stderr
    assert re.search(r"metrics.json: cv.R2.mean promised 0\.\d+, found nothing", done.stderr)


@pytest.mark.services
def test_data_in_a_spoilt_cache_are_not_taken_for_those_promised(project):
    (data,) = (path for path in cached(project) if path.read_bytes().startswith(b"brand,"))
    data.chmod(0o644)
    data.write_bytes(b"".join(data.read_bytes().splitlines(keepends=True)[:-20]))
    data.chmod(0o444)
    done = reproduce(project, "good")
    assert done.returncode == 1
    assert "preprocess: data/raw is not what dvc.lock was made with: promised md5" in done.stderr


@pytest.mark.services
def test_data_that_are_nowhere_are_asked_for(project):
    shutil.rmtree(project / ".dvc" / "cache")
    done = reproduce(project, "good")
    assert done.returncode == 1
    assert "not in the DVC cache, and dvc pull says: No remote provided" in done.stderr
    assert "add the remote that has the data, or laptop-pricing ingest" in done.stderr


@pytest.mark.services
@pytest.mark.skipif(sys.platform == "win32", reason="interrupts a process group")
def test_interrupted_it_cleans_up(project):
    def interrupted(root, *arguments, **environment):
        process = subprocess.Popen(
            [sys.executable, "-m", "laptop_pricing", *arguments],
            cwd=root,
            env=os.environ | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 120
        while not list((root.parent / "temp").glob("*/tree/data/processed/*")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        return process.wait(timeout=60)

    assert reproduce(project, "good", run=interrupted) == 130


@pytest.mark.services
def test_what_promises_nothing_is_refused(project):
    for revision, found in (
        ("nothing", "has no dvc.lock; name a commit made after laptop-pricing run"),
        ("no-such", "'no-such': no such commit; expected a commit, branch or tag"),
    ):
        done = ours(project, "reproduce", revision)
        assert done.returncode == 2
        assert found in done.stderr and len(done.stderr.splitlines()) == 1


def test_outside_a_git_repository_it_is_refused(workspace):
    done = ours(workspace.root, "reproduce")
    assert done.returncode == 2
    assert "not in a Git repository" in done.stderr


def files(**changes):
    """The promises of a small pipeline."""
    values = {"code": "c1", "folds": 3, "table": "t1", "model": "m1", "R2": 0.7} | changes
    make = {"cmd": "make", "deps": [{"path": "make.py", "md5": "x1"}]}
    make["outs"] = [{"path": "table", "md5": values["table"]}]
    fit = {"cmd": "fit", "params": {"params.yaml": {"train": {"folds": values["folds"]}}}}
    fit["deps"] = [
        {"path": "table", "md5": values["table"]},
        {"path": "fit.py", "md5": values["code"]},
    ]
    fit["outs"] = [{"path": "model", "md5": values["model"]}]
    metrics = {"cv": {"R2": {"mean": values["R2"]}}, "rows": 9}
    return {"dvc.lock": {"stages": {"fit": fit, "make": make}}, "metrics.json": metrics}


@pytest.mark.parametrize(
    "changes, text",
    [
        (
            {"table": "t2", "code": "c2"},
            "fit: fit.py is not what dvc.lock was made with: promised "
            "md5 c1, found md5 c2; 2 more",
        ),
        ({"folds": 4}, "fit: params.yaml.train.folds promised 3, found 4"),
        (
            {"model": "m2", "R2": 0.6},
            "fit: model came out differently: promised md5 m1, found md5 "
            "m2; 1 more, among them metrics.json: cv.R2.mean promised 0.7, found 0.6",
        ),
        ({"R2": 0.6}, "metrics.json: cv.R2.mean promised 0.7, found 0.6"),
    ],
)
def test_causes_are_named_before_effects_and_figures(changes, text):
    with pytest.raises(StepFailed) as failed:
        _compare(files(), files(**changes), "abc1234")
    assert str(failed.value) == f"abc1234 is not reproduced: {text}"
    _compare(files(**changes), files(**changes), "abc1234")


def test_a_stage_that_is_gone_is_a_difference():
    found = files()
    del found["dvc.lock"]["stages"]["make"]
    with pytest.raises(StepFailed, match="make: the command promised make, found nothing; "):
        _compare(files(), found, "abc1234")
