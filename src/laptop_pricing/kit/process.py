"""Git and DVC, run as programs."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Optional, Union

from .errors import UserError
from .project import Project

RESULT = ("params.yaml", "data.dvc", "dvc.lock", "metrics.json")  # belong in one commit
_OF_HOOKS = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"}


def git(root: Path, *arguments: Union[str, Path], problem: str = "") -> str:
    """What Git prints in the folder `root`, stripped; nothing if it fails.

    If there is a `problem`, what it means that Git fails, a UserError says so then.
    """
    command = ["git", "--no-optional-locks", *arguments]  # reading leaves the index alone
    try:
        done = subprocess.run(command, cwd=root, env=git_environment(), capture_output=True)
    except OSError as error:
        if problem:
            raise UserError("git", str(error.strerror), "install Git") from None
        return ""
    if problem and done.returncode:
        raise UserError("", f"{problem} ({last_line(done.stderr.decode(errors='replace'))})")
    return "" if done.returncode else done.stdout.decode(errors="replace").strip()


def git_environment() -> dict[str, str]:
    """Ours, without what Git tells a hook about the repository that it works for."""
    return {name: value for name, value in os.environ.items() if name not in _OF_HOOKS}


def dvc_environment(root: Path) -> dict[str, str]:
    """What DVC has to be told, unless the environment says otherwise.

    Not to ask a storage that never answers thirty times; and to keep its index where nobody else
    may write, since who writes it runs code (CVE-2025-69872 of diskcache).
    """
    index = root / ".dvc" / "tmp" / "index"
    if index.parents[1].is_dir():
        index.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {"AWS_MAX_ATTEMPTS": "1", "DVC_SITE_CACHE_DIR": str(index)}


def run_dvc(
    project: Project,
    *arguments: str,
    capture: bool = False,
    environment: Optional[Mapping[str, str]] = None,
) -> subprocess.CompletedProcess[str]:
    """DVC of this very environment, whose stages then find our command, activated or not."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    variables = dvc_environment(project.root) | dict(environment or os.environ) | {"PATH": path}
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
