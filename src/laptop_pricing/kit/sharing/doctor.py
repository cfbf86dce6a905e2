"""Each link of the chain from code to storage and servers: is it whole, and if not, what to do.

No check changes anything but one object in the remote, which it takes away again.
"""

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any

from .. import seal
from ..errors import StepFailed, UserError, without_credentials
from ..process import git, last_line
from ..project import Project
from . import storage

LOCAL, ENVIRONMENT = ".dvc/config.local", ".env"  # hold secrets
BRANCHES = ("devl", "stag", "main")
SECRET_HOOKS = ("env-file", "dvc-config", "env-example", "private-keys", "secrets")
State = tuple[str, ...]  # of a link, without its name


@dataclass(frozen=True)
class Link:
    """What was found: ``state`` is ok, warning or broken; ``fix`` says what to do."""

    name: str
    state: str
    found: str
    fix: str = ""


def examine(project: Project) -> Iterator[Link]:
    """Check link after link; each comes as soon as it is known, without secrets."""
    for link in _links(project):
        yield Link(*map(without_credentials, astuple(link)))


def _links(project: Project) -> Iterator[Link]:
    checks = {"Python": _python, "packages": _packages, "Git": _branches, "secrets": _secrets}
    for name, check in checks.items():
        yield Link(name, *check(project.root))
    yield Link("kit", *_kit())
    try:
        repo = storage.open_repo(project)
    except StepFailed as error:
        yield Link("DVC", "broken", f"{error.place}: {error.problem}", error.remedy)
    else:
        yield (remote := check_remote(repo, project.name))
        reached = remote.state != "broken" and repo.config["core"].get("remote")
        yield from _objects(project.name, repo, bool(reached))
    yield Link("MLflow", *_mlflow(project))


def _python(root: Path) -> State:
    if sys.prefix == sys.base_prefix:
        return "warning", f"{python_version()}, no virtual environment", "use .venv"
    return "ok", python_version()


def _packages(root: Path) -> State:
    from packaging.requirements import InvalidRequirement, Requirement

    lock, wrong = root / "requirements.txt", []
    if not lock.is_file():
        return "broken", "no requirements.txt", "git checkout requirements.txt"
    for line in lock.read_text(encoding="utf-8").splitlines():
        with suppress(InvalidRequirement):  # an option, a comment, -e .
            wanted, found = Requirement(re.sub(r"(\s+#.*|\s*\\)$", "", line).strip()), "missing"
            if wanted.marker and not wanted.marker.evaluate():
                continue
            with suppress(PackageNotFoundError):
                found = version(wanted.name)
            if found == "missing" or not wanted.specifier.contains(found, prereleases=True):
                wrong.append(f"{wanted.name} {found}, locked {wanted.specifier}")
    if wrong:
        return "broken", _first(wrong), "pip install -r requirements.txt"
    return "ok", "as requirements.txt locks them"


def _first(items: list[str]) -> str:
    return items[0] + (f" and {len(items) - 1} more" if len(items) > 1 else "")


def _branches(root: Path) -> State:
    if not git(root, "rev-parse", "--git-dir"):
        return "broken", "not a repository", "git init, or clone the project"
    known = git(root, "for-each-ref", "--format=%(refname:short)", "refs").splitlines()
    current = git(root, "symbolic-ref", "--short", "-q", "HEAD") or "no branch"
    missing = [name for name in BRANCHES if not {name, f"origin/{name}"} & set(known)]
    if missing:
        made = "; ".join(f"git branch {name}" for name in missing)
        fix = f"{made}; git push -u origin {' '.join(missing)}"
        return "warning", f"on {current}; no branch {', '.join(missing)}", fix
    return "ok", f"on {current}; {', '.join(BRANCHES)} are there"


def _secrets(root: Path) -> State:
    """By the project's own commit hooks, over all that Git tracks."""
    for path in (root / ENVIRONMENT, root / LOCAL):
        if os.name == "posix" and path.exists() and path.stat().st_mode & 0o077:
            name = path.relative_to(root)
            return "broken", f"others may read {name}", f"chmod 600 {name}"
    paths = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    environment = os.environ | {"PATH": paths}
    for hook in SECRET_HOOKS:
        command = [sys.executable, "-m", "pre_commit", "run", hook, "--all-files", "--color=never"]
        if subprocess.run(command, cwd=root, env=environment, capture_output=True).returncode:
            fix = f"pre-commit run {hook} --all-files shows where; then withdraw that secret"
            return "broken", f"pre-commit's hook {hook} fails", fix
    return "ok", "none tracked by Git"


def _kit() -> State:
    number = (seal.KIT / "VERSION").read_text(encoding="utf-8").strip()
    if edited := seal.edited():
        fix = "put the team's code outside kit/, or take kit/ again from the template"
        return "warning", f"{number}, edited: {_first(edited)}", fix
    return "ok", f"{number}, as it was released"


def check_remote(repo: Any, command: str) -> Link:
    """Whether DVC's remote answers, and takes and gives back an object."""
    name, remote, trial = repo.config["core"].get("remote"), "DVC remote", b"a trial\n"
    if not name:
        fix = f"{command} connect s3 BUCKET, or {command} connect dagshub OWNER/REPO"
        return Link(remote, "warning", "none: data and models stay here", fix)
    where, readable = f"{name}: {repo.config['remote'].get(name, {}).get('url')}", False
    try:
        odb = repo.cloud.get_remote_odb()
        fs, folder = odb.fs, odb.fs.parent(odb.fs.parent(odb.path))
        if fs.protocol == "local" and not fs.exists(folder):
            fix = "dvc push makes it; or correct the path in .dvc/config"
            return Link(remote, "warning", f"{where}: no such folder", fix)
        if hasattr(fs.fs, "retries"):
            fs.fs.retries = 1  # s3fs asks a silent storage five times
        with suppress(FileNotFoundError):  # first: an upload to a silent server never ends
            fs.ls(folder)
        readable, probe = True, fs.join(folder, f"doctor-{uuid.uuid4().hex}")
        fs.pipe_file(probe, trial)
        kept = fs.cat_file(probe)
        fs.remove(probe)
    except Exception as error:  # each storage has its own
        problem, fix = _explain(error)
        if readable and problem == "access denied":
            return Link(remote, "warning", f"{where}: reachable, not writable", fix)
        return Link(remote, "broken", f"{where}: {problem}", fix)
    if kept != trial:
        return Link(remote, "broken", f"{where}: gives back other bytes", "use another one")
    return Link(remote, "ok", f"{where}: reachable and writable")


def _explain(error: BaseException) -> tuple[str, str]:
    """What is wrong with a storage, and the remedy."""
    chain = [error]
    while cause := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(cause)
    text = " ".join(f"{type(part).__name__}: {part}" for part in chain)
    known = Path(__file__).with_name("storage_problems.json").read_text(encoding="utf-8")
    for line in json.loads(known):
        if any(sign in text for sign in line["signs"]):
            return line["problem"], line["remedy"]
    return last_line(str(error))[:200] or type(error).__name__, "see its documentation"


def _objects(command: str, repo: Any, with_remote: bool) -> Iterator[Link]:
    """What data.dvc and dvc.lock name: workspace, cache, remote, every byte read."""
    if not storage.promised(repo):
        found = "data.dvc and dvc.lock name no data yet"
        yield Link("data", "warning", found, f"{command} run")
        return
    stores = {"cache": repo.cache.local}
    stores |= {"remote": repo.cloud.get_remote_odb()} if with_remote else {}
    try:
        objects = storage.inspect(repo, **stores)
    except Exception as error:  # of the storage
        yield Link("data", "broken", *_explain(error))
        return
    here = objects["cache"]["intact"]
    if changed := storage.changed(repo):
        fix = "dvc pull if files are missing; dvc repro to make them again"
        yield Link("workspace", "warning", f"{_first(changed)}: missing or changed", fix)
    elif not objects["cache"]["missing"] and not objects["cache"]["corrupt"]:
        yield Link("workspace", "ok", "matches data.dvc and dvc.lock")
    repair = f"dvc push; if that is not enough, {command} doctor --repair where the cache is intact"
    fixes = {"cache": "delete what is corrupt; then dvc pull, or dvc repro -f", "remote": repair}
    for name, there in objects.items():
        intact, missing, corrupt = (there[condition] for condition in storage.CONDITIONS)
        lost = set(missing) - set(here) if name == "remote" else set()
        found = f"{len(intact)} objects intact"
        found += f", {len(missing)} missing" if missing else ""
        found += f", {len(lost)} of them here, too" if lost else ""
        paths = ", ".join(map(stores[name].oid_to_path, corrupt))
        found += f", corrupt: {paths}" if corrupt else ""
        state = "broken" if corrupt or lost else "warning" if missing else "ok"
        yield Link(name, state, found, "" if state == "ok" else fixes[name])


def _mlflow(project: Project) -> State:
    if project.tracking_uri == project.local_tracking_uri:
        fix = f"MLFLOW_TRACKING_URI in .env, or {project.name} connect dagshub"
        return "warning", "local: runs stay in mlflow.db", fix
    from ..tracking.server import open_client

    try:
        with open_client(project, "no answer", "check MLFLOW_TRACKING_URI in .env"):
            return "ok", f"{project.tracking_uri}: answers"
    except (StepFailed, UserError) as error:
        return "broken", f"{error.place}: {error.problem}", error.remedy
