"""Fresh projects for the tests: the repository's own files, in a Git and DVC repository apart."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from conftest import ROOT
from outputs import LEAST, TASK
from ruamel.yaml import YAML

import laptop_pricing
from laptop_pricing.kit.project import PARAMS_FILE

FILES = (".dvc/.gitignore", ".dvcignore", ".env.example", ".gitattributes", ".gitignore")
FILES += (".pre-commit-config.yaml", "dvc.yaml", "requirements.txt", PARAMS_FILE, "src")
PACKAGE = laptop_pricing.__name__
BIN = Path(sys.executable).parent

# Quick params, any unit, and criteria that any model meets.
QUICK = {
    "preprocess": {"median_target": None},
    "train": {"folds": 2, "seeds": [0]},
    "criteria": {TASK.score_name: LEAST, TASK.error_name: 1e12},
}
QUICK_MODEL = {"inner_folds": 2, "alphas": [2.0, 8.0]}  # where the model has such


def make_project(root, source):
    """A project in which nothing has run yet, whose data come from the file `source`."""
    for name in FILES:
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, target)
    (root / ".dvc" / "config").write_text("[core]\n    autostage = true\n", encoding="utf-8")
    (root / "data.dvc").write_text("outs:\n- path: data/raw\n", encoding="utf-8")
    params, yaml = root / PARAMS_FILE, YAML()
    settings = yaml.load(params.read_text(encoding="utf-8"))
    settings["criteria"].clear()
    for section, values in (QUICK | {"ingest": {"source": str(source), "md5": None}}).items():
        settings[section].update(values)
    model = settings["model"]
    model.update({name: value for name, value in QUICK_MODEL.items() if name in model})
    with open(params, "w", encoding="utf-8") as file:
        yaml.dump(settings, file)
    call(root, "git", "init", "-q", "-b", "devl")
    for name, value in (("user.name", "tester"), ("user.email", "tester@localhost")):
        call(root, "git", "config", name, value)
    commit(root, "start")
    for branch in ("stag", "main"):
        call(root, "git", "branch", branch)
    return root


def call(root, *command, code=0):
    """Run a program in `root`, and expect an exit code. Returns what it printed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=root,
        env=os.environ | {"CI": "", "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def ours(root, *arguments, code=0):
    """Run our command in `root`."""
    return call(root, sys.executable, "-m", PACKAGE, *arguments, code=code)


def commit(root, message):
    call(root, "git", "add", "-A")
    call(root, "git", "-c", "commit.gpgsign=false", "commit", "-qm", message)
