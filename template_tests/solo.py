"""A project of one person, made from the working tree, in which real Git and real DVC run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from environments import ROOT

PROJECT = (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore", ".gitattributes")
PROJECT += ("params.yaml", "dvc.yaml", "src")
BIN = Path(sys.executable).parent


def change_params(root, **changes):
    """Set keys such as ``train__folds`` in params.yaml."""
    path = root / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        section, _, name = key.partition("__")
        params[section][name] = value
    path.write_text(yaml.safe_dump(params), encoding="utf-8")


def call(root, *command, **environment):
    """Run a program in `root` without a terminal."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=root,
        env=os.environ | {"CI": "", "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"} | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )


def ours(root, *arguments, **environment):
    return call(root, sys.executable, "-m", "laptop_pricing", *arguments, **environment)


def git_status(root):
    return call(root, "git", "status", "--porcelain").stdout


def commit(root, message):
    call(root, "git", "add", "-A")
    done = call(root, "git", "commit", "-qm", message)
    assert done.returncode == 0, done.stdout + done.stderr


def make_project(root, sample_csv):
    """A Git repository with the project's pipeline, quick params, and a sample as its source."""
    for name in PROJECT:
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, target)
    (root / "data.dvc").write_text("outs:\n- path: data/raw\n", encoding="utf-8")
    change_params(
        root,
        ingest__source=str(sample_csv),
        ingest__md5=None,
        train__folds=2,
        train__inner_folds=2,
        train__seeds=[0],
        train__alphas=[1.0, 10.0],
    )
    call(root, "git", "init", "-q", "-b", "devl")
    for name, value in (("user.name", "tester"), ("user.email", "tester@localhost")):
        call(root, "git", "config", name, value)
    commit(root, "start")
    return root
