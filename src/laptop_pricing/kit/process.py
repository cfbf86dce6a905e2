"""Git and DVC, run as programs."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Union

from .errors import UserError
from .project import Project

RESULT = ("params.yaml", "data.dvc", "dvc.lock", "metrics.json")  # belong in one commit
_OF_HOOKS = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"}


def git(root: Path, *arguments: Union[str, Path], problem: str = "") -> str:
    """What Git prints in a folder, stripped; if it fails nothing, or `problem` as a UserError."""
    command = ["git", "--no-optional-locks", *arguments]  # reading leaves the index alone
    own = git_environment()
    try:
        done = subprocess.run(
            command, cwd=root, env=own, capture_output=True, encoding="utf-8", errors="replace"
        )
    except OSError as error:
        missing = f"git: {error.strerror}; install Git"
        done = subprocess.CompletedProcess(command, 1, "", missing)
    if problem and done.returncode:
        raise UserError("", f"{problem} ({last_line(done.stderr)})")
    return "" if done.returncode else done.stdout.strip()


def git_environment() -> dict[str, str]:
    """Ours, without what Git tells a hook about the repository that it works for."""
    return {name: value for name, value in os.environ.items() if name not in _OF_HOOKS}


def dvc_environment(root: Path) -> dict[str, str]:
    """What DVC finds in its environment, unless the user has set another.

    It does not ask a storage that never answers thirty times; and its index, which it unpickles
    (CVE-2025-69872), lies where its owner alone may write.
    """
    folder = root / ".dvc" / "tmp" / "site"
    if (root / ".dvc").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    return {"AWS_MAX_ATTEMPTS": "1", "DVC_SITE_CACHE_DIR": str(folder)}


def run_dvc(
    project: Project,
    *arguments: str,
    capture: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> subprocess.CompletedProcess[str]:
    """DVC of this very environment, whose stages then find our command, activated or not."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    variables = dvc_environment(project.root) | dict(environment) | {"PATH": path}
    pipe, command = subprocess.PIPE if capture else None, [sys.executable, "-m", "dvc", *arguments]
    with subprocess.Popen(
        command, cwd=project.root, env=variables, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            out, err = process.communicate()
        except KeyboardInterrupt:  # DVC had it, too: let it put its locks away
            process.wait()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def last_line(text: str) -> str:
    """What a program complained of in the end."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("ERROR: ") if lines else ""
