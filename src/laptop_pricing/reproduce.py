"""Run a commit's pipeline again, elsewhere, and compare with what that commit promises."""

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from laptop_pricing import NAME
from laptop_pricing.errors import DataUnavailable, StepFailed, UserError
from laptop_pricing.programs import git, git_environment, run_dvc
from laptop_pricing.settings import Workspace


def reproduce(workspace, revision="HEAD", say=print, warn=print):
    """Run the pipeline of a commit with its own code and data, in a temporary Git worktree.

    Parameters
    ----------
    workspace : Workspace
        Stays as it is; DVC's cache gains the raw data if they come from the remote.
    revision : str, optional
        A commit, branch or tag.
    say, warn : callable, optional
        Get one line before each step, and for each thing to know.

    Returns
    -------
    str
        What came out as the commit has it.

    Raises
    ------
    StepFailed
        With the first thing that did not; DataUnavailable if the data cannot be had.
    UserError
        If there is no such commit, or it promises nothing.
    """
    root = workspace.root
    prefix = git(root, "rev-parse", "--show-prefix", problem=f"{root}: not in a Git repository")
    unknown = f"{revision!r}: no such commit; expected a commit, branch or tag"
    query = ("rev-parse", "--verify", "--end-of-options")
    commit = git(root, *query, f"{revision}^{{commit}}", problem=unknown)
    short = commit[:7]
    promised = {}
    for file in ("dvc.lock", "metrics.json", "data.dvc"):
        absent = f"{short} has no {file}; name a commit made after {NAME} run"
        promised[file] = _parse(git(root, "show", f"{commit}:./{file}", problem=absent), file)
    md5 = promised["data.dvc"]["outs"][0].get("md5")
    if not md5:
        raise UserError(f"data.dvc of {short} names no data; name a commit made after {NAME} run")
    if commit == git(root, *query, "HEAD") and git(root, "status", "--porcelain"):
        warn("uncommitted changes are not part of what is checked")
    if git(root, "diff", "--name-only", commit, "--", "requirements.txt"):
        warn(f"requirements.txt of {short} is not today's: library versions may make a difference")
    say(f"Checking {short} out into a temporary worktree")
    with _worktree(root, commit) as tree:
        copy = Workspace(tree / prefix)
        path = os.pathsep.join([str(copy.root / "src"), os.environ.get("PYTHONPATH", "")])
        memory = tree.parent / "dvc"
        environment = git_environment() | {"PYTHONPATH": path, "DVC_SITE_CACHE_DIR": str(memory)}
        say(f"Getting its data, md5 {md5}")
        _get_data(root, copy, environment)
        shutil.rmtree(memory)  # DVC trusts what it fetched; now it has to look
        # Emptied, lest what no stage makes passes for identical.
        (copy.root / "dvc.lock").write_text("schema: '2.0'\n", encoding="utf-8")
        copy.metrics.write_text("{}\n", encoding="utf-8")
        say("Reproducing its pipeline: dvc repro -f")
        # --no-commit: the results stay out of the user's cache
        if run_dvc(copy, "repro", "-f", "--no-commit", environment=environment).returncode:
            raise StepFailed(f"{short}: dvc repro failed for the reason above")
        found = {f: _parse((copy.root / f).read_text("utf-8"), f) for f in promised}
    _compare(promised, found, short)
    return f"commit {short}, data md5 {md5}, all of dvc.lock and metrics.json"


@contextmanager
def _worktree(root, commit):
    """A checkout that is gone afterwards, whatever happens."""
    with tempfile.TemporaryDirectory(prefix=f"{NAME}-", ignore_cleanup_errors=True) as folder:
        tree = Path(folder).resolve() / "tree"
        # No hooks: those of dvc install would check every output out.
        add = ("-c", f"core.hooksPath={folder}", "worktree", "add", "--quiet", "--detach")
        try:
            git(root, *add, tree, commit, problem=f"git worktree add {tree} failed")
            yield tree
        finally:
            git(root, "worktree", "remove", "--force", "--force", tree)  # twice: even if locked


def _get_data(root, copy, environment):
    """Fill data/raw of `copy` from the cache, or else the remote, of the user's DVC."""
    from dvc.config import Config, ConfigError

    local = copy.root / ".dvc" / "config.local"
    local.touch(mode=0o600)  # for it may hold credentials
    try:
        users = Config(str(root / ".dvc")).read()  # its relative paths resolved
        with Config(str(local.parent)).edit("local") as config:
            config.update(users)
            config["cache"].setdefault("dir", str(root / ".dvc" / "cache"))
    except ConfigError as error:
        raise UserError(f".dvc/config: {error}; mend it") from None
    for command in ("checkout", "pull"):
        done = run_dvc(copy, command, "data.dvc", capture=True, environment=environment)
        if not done.returncode:
            return
    said = done.stderr.strip().partition("\n")[0]
    raise DataUnavailable(
        f"data.dvc: not in the DVC cache, and dvc pull says: {said}; "
        f"add the remote that has the data, or {NAME} ingest the same CSV and {NAME} run"
    )


def _compare(promised, found, short):
    """Fail with the first difference, causes before what the stages made of them."""
    differences = [
        f"{name} promised {was.get(name, 'nothing')}, found {now.get(name, 'nothing')}"
        for was, now in zip(_tables(promised), _tables(found))
        for name in was | now
        if was.get(name, "nothing") != now.get(name, "nothing")
    ]
    if differences:
        text, *more = differences
        figures = [other for other in more if other.startswith("metrics.json")]
        text += f"; {len(more)} more" if more else ""
        text += f", among them {figures[0]}" if figures else ""
        raise StepFailed(f"{short} is not reproduced: {text}")


def _tables(files):
    """What the files say, flat: causes, what the stages made of them, figures."""
    stages = files["dvc.lock"].get("stages") or {}
    made = {out["path"] for stage in stages.values() for out in stage.get("outs", ())}
    causes, effects = {}, {}
    for name, stage in stages.items():
        causes[f"{name}: the command"] = stage["cmd"]
        causes |= _leaves(stage.get("params", {}), f"{name}: ")
        for item in stage.get("deps", []) + stage.get("outs", []):
            path, md5 = f"{name}: {item['path']}", f"md5 {item.get('md5')}"
            if item["path"] in made:
                effects[f"{path} came out differently:"] = md5
            else:
                causes[f"{path} is not what dvc.lock was made with:"] = md5
    return causes, effects, _leaves(files["metrics.json"], "metrics.json: ")


def _leaves(value, name):
    """Nested tables as one: ``cv.MAPE.mean``."""
    if not isinstance(value, dict):
        return {name[:-1]: value}
    return {k: v for key in value for k, v in _leaves(value[key], f"{name}{key}.").items()}


def _parse(text, file):
    try:
        return dict(YAML(typ="safe", pure=True).load(text))  # JSON is YAML, too
    except (YAMLError, TypeError, ValueError) as error:
        raise UserError(f"{file}: not as dvc repro writes it: {error}") from None
