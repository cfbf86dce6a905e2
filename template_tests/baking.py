"""Projects made from this repository by cookiecutter, for the tests."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from cookiecutter.main import cookiecutter
from environments import ROOT


def run(folder, *command, timeout=300, **variables):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "DVC_NO_ANALYTICS": "1"} | variables
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def check(folder, *command, **variables):
    done = run(folder, *command, **variables)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def take_snapshot(folder):
    """This repository as it is now, all of it committed, in `folder`."""
    names = check(ROOT, "git", "ls-files", "-co", "--exclude-standard", "-z").split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    check(folder, "git", "init", "-q", "-b", "main")
    check(folder, "git", "add", "-A")
    author = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    check(folder, "git", *author, "commit", "-qm", "snapshot")


def bake(template, folder, **answers):
    return Path(
        cookiecutter(str(template), no_input=True, output_dir=str(folder), extra_context=answers)
    )


def tracked(folder):
    return {name for name in check(folder, "git", "ls-files", "-z").split("\0") if name}


def content(folder):
    return {name: (folder / name).read_bytes() for name in tracked(folder)}


def ready(project):
    """The project, and the variables with which its commands are found without an install."""
    pins = [
        re.findall(r"^\w[^ ]*==.*$", (folder / "requirements.txt").read_text("utf-8"), re.MULTILINE)
        for folder in (project, ROOT)
    ]
    assert pins[0] == pins[1] != [], "another environment is needed"
    command = project.parent / "bin" / project.name
    command.parent.mkdir()
    command.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -m {project.name.replace("-", "_")} "$@"\n'
    )
    command.chmod(0o755)
    path = os.pathsep.join([str(command.parent), str(Path(sys.executable).parent)])
    variables = {"PYTHONPATH": str(project / "src")}
    return project, variables | {"PATH": os.pathsep.join([path, os.environ["PATH"]])}
