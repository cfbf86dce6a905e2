"""Git and DVC, run as programs."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from laptop_pricing.errors import UserError

RESULT = ("params.yaml", "data.dvc", "dvc.lock", "metrics.json")  # belong in one commit
_OF_HOOKS = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"}


def git(root, *arguments, problem=""):
    """What Git prints in the folder `root`, stripped; nothing if it fails.

    Parameters
    ----------
    root : Path
    *arguments : str or Path
    problem : str, optional
        What it means if Git fails. Without it a failure is no error.

    Raises
    ------
    UserError
        The `problem`, with Git's last line, or that there is no Git.
    """
    command = ["git", "--no-optional-locks", *arguments]  # reading leaves the index alone
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env=git_environment(),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        if problem:
            raise UserError(f"git: {error.strerror}; install Git") from None
        return ""
    if problem and done.returncode:
        raise UserError(f"{problem} ({last_line(done.stderr)})")
    return done.stdout.strip() if done.returncode == 0 else ""


def git_environment():
    """Ours, without what Git tells a hook about the repository that it works for."""
    return {name: value for name, value in os.environ.items() if name not in _OF_HOOKS}


def dvc_defaults(root: Path) -> dict[str, str]:
    """Variables that DVC needs to find in its environment, where the user has set no others."""
    found = {"AWS_MAX_ATTEMPTS": "1"}  # else a storage that never answers is asked thirty times
    if (root / ".dvc").is_dir():
        # DVC unpickles its index (CVE-2025-69872), by default from a folder that all may write to.
        folder = root / ".dvc" / "tmp" / "site"
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        found["DVC_SITE_CACHE_DIR"] = str(folder)
    return found


def run_dvc(workspace, *arguments, capture=False, environment=None):
    """DVC of this very environment, whose stages then find our command, activated or not.

    Returns
    -------
    subprocess.CompletedProcess
        With ``stdout`` and ``stderr`` as text if `capture`.
    """
    folder = sysconfig.get_path("scripts")
    path = os.pathsep.join([folder, os.environ.get("PATH", "")])
    environment = os.environ if environment is None else environment
    environment = dvc_defaults(workspace.root) | environment | {"PATH": path}
    pipe = subprocess.PIPE if capture else None
    command = [sys.executable, "-m", "dvc", *arguments]
    with subprocess.Popen(
        command, cwd=workspace.root, env=environment, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            out, err = process.communicate()
        except KeyboardInterrupt:  # DVC had it, too: let it put its locks away
            process.wait()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def last_line(text):
    """What a program complained of in the end."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("ERROR: ") if lines else ""
