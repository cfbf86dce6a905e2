"""Programs run in a project of one person, and its params changed."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

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


def git_status(root):
    return call(root, "git", "status", "--porcelain").stdout


def commit(root, message):
    call(root, "git", "add", "-A")
    done = call(root, "git", "commit", "-qm", message)
    assert done.returncode == 0, done.stdout + done.stderr
