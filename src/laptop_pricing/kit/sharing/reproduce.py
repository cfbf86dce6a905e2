"""Rerun a commit's pipeline elsewhere and compare the results with its own."""

import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..errors import StepFailed, UserError
from ..process import git, git_environment, run_dvc
from ..project import Project
from .storage import fetch

PROMISES = ("dvc.lock", "metrics.json")
SHOWN = 20  # lines of the difference


def reproduce(project: Project, revision: str = "HEAD", say: Callable[[str], None] = print) -> str:
    """Run the pipeline of a commit with its own code and data in a temporary clone.

    Returns what came out as the commit has it. Else what did not is said, and a StepFailed raised;
    or DataUnavailable; or a UserError if there is no such commit, or it has no results.
    """
    root, query = project.root, ("rev-parse", "--verify", "--end-of-options")
    top = git(root, "rev-parse", "--show-toplevel", problem=f"{root}: not in a Git repository")
    unknown = f"{revision!r}: no such commit; expected a commit, branch or tag"
    commit = git(root, *query, f"{revision}^{{commit}}", problem=unknown)
    short, run = commit[:7], f"name a commit made after {project.name} run"
    for file in (*PROMISES, "data.dvc"):
        pointer = git(root, "show", f"{commit}:./{file}", problem=f"{short} has no {file}; {run}")
    md5 = re.search(r"\bmd5: (\S+)", pointer)
    if not md5:
        raise UserError(f"data.dvc of {short}", "names no data", run)
    if commit == git(root, *query, "HEAD") and git(root, "status", "--porcelain"):
        say("Warning: uncommitted changes are not part of what is checked")
    if git(root, "diff", "--name-only", commit, "--", "requirements.txt"):
        say(f"Warning: requirements.txt of {short} is not today's, so libraries may differ")
    say(f"Checking {short} out into a temporary folder")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        tree = Path(folder).resolve() / "tree"
        # Without hooks: those of dvc install would check every output out.
        git(root, "clone", "-q", "--shared", "-n", top, tree, problem="git clone failed")
        git(tree, "checkout", "-q", "--detach", commit, problem="git checkout failed")
        copy = replace(project, root=tree / root.resolve().relative_to(Path(top).resolve()))
        path = os.pathsep.join([str(copy.root / "src"), os.environ.get("PYTHONPATH", "")])
        own = {"PYTHONPATH": path, "DVC_SITE_CACHE_DIR": str(Path(folder, "dvc"))}
        environment = git_environment() | own
        say(f"Getting its data, md5 {md5[1]}")
        fetch(project, commit, "data/raw", copy.raw.parent)
        _forget(copy)
        say("Reproducing its pipeline: dvc repro -f")
        # --no-commit: the results stay out of the user's cache
        if run_dvc(copy, "repro", "-f", "--no-commit", environment=environment).returncode:
            raise StepFailed(short, "dvc repro failed for the reason above")
        difference = git(copy.root, "diff", "--no-ext-diff", "HEAD", "--", *PROMISES)
        if difference:
            git(copy.root, "checkout", "HEAD", "--", "dvc.lock")  # DVC names what is not as in it
            for what in (("status",), ("metrics", "diff", "HEAD")):
                say(run_dvc(copy, *what, capture=True, environment=environment).stdout)
            say("\n".join(difference.splitlines()[:SHOWN]))
            raise StepFailed(short, "not reproduced: what differs stands above")
    return f"commit {short}, data md5 {md5[1]}, all of dvc.lock and metrics.json"


def _forget(copy: Project) -> None:
    """Empty the outputs, stage by stage, so that one which is not made is not identical."""
    lock = copy.root / "dvc.lock"
    names = re.sub(r"(?m)^    .*\n", "", lock.read_text(encoding="utf-8"))
    lock.write_text(re.sub(r"(?m)^(  \S.*:)$", r"\1 {cmd: none}", names), encoding="utf-8")
    copy.metrics.write_text("{}\n", encoding="utf-8")
