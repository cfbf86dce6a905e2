"""Each link of the chain from code to storage and servers: is it whole, and if not, what to do.

No check changes anything but one object in the remote, which it takes away again.
"""

import importlib.metadata
import os
import re
import stat
import sys
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass

from laptop_pricing import NAME, storage
from laptop_pricing.connect import ENVIRONMENT, LOCAL
from laptop_pricing.errors import StepFailed, UserError, without_credentials
from laptop_pricing.programs import git, last_line

BRANCHES = ("devl", "stag", "main")
PYTHONS = ((3, 10), (3, 13))
SECRET_HOOKS = ("env-file", "dvc-config", "env-example", "private-keys", "secrets")


@dataclass(frozen=True)
class Link:
    """What was found: ``state`` is ok, warning or broken; ``fix`` says what to do."""

    name: str
    state: str
    found: str
    fix: str = ""


def examine(workspace):
    """Check link after link.

    Parameters
    ----------
    workspace : Workspace

    Yields
    ------
    Link
        As soon as it is known. Without secrets.
    """
    for check in (_python, _packages, _branches, _secrets):
        yield _clean(check(workspace))
    try:
        repo = storage.open_repo(workspace)
    except StepFailed as error:
        yield Link("DVC", "broken", str(error), "mend .dvc/config, .dvc/config.local or dvc.yaml")
    else:
        reached = check_remote(repo)
        yield _clean(reached)
        with_remote = reached.state != "broken" and repo.config["core"].get("remote")
        for link in _data(repo, with_remote):
            yield _clean(link)
    yield _clean(_mlflow(workspace))


def _clean(link):
    return Link(**{name: without_credentials(text) for name, text in asdict(link).items()})


def _python(workspace):
    found = f"{sys.version_info.major}.{sys.version_info.minor}"
    (low, high), version = PYTHONS, sys.version_info[:2]
    if not low <= version <= high:
        return Link("Python", "broken", found, "make .venv anew with Python 3.10 to 3.13")
    if sys.prefix == sys.base_prefix:
        return Link("Python", "warning", f"{found}, no virtual environment", "use .venv")
    return Link("Python", "ok", found)


def _packages(workspace):
    """Whether the installed packages are those of requirements.txt."""
    from packaging.requirements import InvalidRequirement, Requirement

    lock, wrong = workspace.root / "requirements.txt", []
    try:
        lines = lock.read_text(encoding="utf-8").splitlines()
    except OSError:
        return Link("packages", "broken", "no requirements.txt", "git checkout requirements.txt")
    for line in lines:
        try:
            wanted = Requirement(re.sub(r"(\s+#.*|\s*\\)$", "", line).strip())
        except InvalidRequirement:  # an option, a comment, -e .
            continue
        if wanted.marker and not wanted.marker.evaluate():
            continue
        try:
            version = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            version = "missing"
        if version == "missing" or not wanted.specifier.contains(version, prereleases=True):
            wrong.append(f"{wanted.name} {version}, locked {wanted.specifier}")
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        return Link("packages", "broken", wrong[0] + more, "pip install -r requirements.txt")
    return Link("packages", "ok", "as requirements.txt locks them")


def _branches(workspace):
    if not git(workspace.root, "rev-parse", "--git-dir"):
        return Link("Git", "broken", "not a repository", "git init, or clone the project")
    known = git(workspace.root, "for-each-ref", "--format=%(refname:short)", "refs").splitlines()
    names = {name.removeprefix("origin/") for name in known}
    missing = [branch for branch in BRANCHES if branch not in names]
    current = git(workspace.root, "symbolic-ref", "--short", "-q", "HEAD") or "no branch"
    if missing:
        fix = f"git branch {missing[0]}, git push -u origin {missing[0]}"
        return Link("Git", "warning", f"on {current}; no branch {', '.join(missing)}", fix)
    return Link("Git", "ok", f"on {current}; {', '.join(BRANCHES)} are there")


def _secrets(workspace):
    """By the project's own commit hooks, over all that Git tracks."""
    import subprocess

    for name in (ENVIRONMENT, LOCAL):
        path = workspace.root / name
        if os.name == "posix" and path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            return Link("secrets", "broken", f"others may read {name}", f"chmod 600 {name}")
    for hook in SECRET_HOOKS:
        command = [sys.executable, "-m", "pre_commit", "run", hook, "--all-files", "--color=never"]
        path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
        done = subprocess.run(
            command,
            cwd=workspace.root,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            found = f"pre-commit's hook {hook} fails"
            fix = f"pre-commit run {hook} --all-files shows where; then withdraw that secret"
            return Link("secrets", "broken", found, fix)
    return Link("secrets", "ok", "none tracked by Git")


def check_remote(repo):
    """Whether DVC's remote answers, and takes and gives back an object.

    Parameters
    ----------
    repo : dvc.repo.Repo

    Returns
    -------
    Link
    """
    from dvc.config import NoRemoteError

    try:
        name = repo.config["core"].get("remote")
        odb = repo.cloud.get_remote_odb()
        where = f"{name}: {repo.config['remote'][name]['url']}"
    except NoRemoteError:
        fix = f"{NAME} connect s3 BUCKET, or connect dagshub OWNER/REPO"
        return Link("DVC remote", "warning", "none: data and models stay here", fix)
    except Exception as error:  # of DVC's configuration
        return Link("DVC remote", "broken", str(error), "mend .dvc/config and .dvc/config.local")
    folder = odb.fs.parent(odb.fs.parent(odb.path))
    if odb.fs.protocol == "local" and not odb.fs.exists(folder):
        fix = "dvc push makes it; or mend the path in .dvc/config"
        return Link("DVC remote", "warning", f"{where}: no such folder", fix)
    readable, probe = False, odb.fs.join(folder, f"doctor-{uuid.uuid4().hex}")
    try:
        if hasattr(odb.fs.fs, "retries"):
            odb.fs.fs.retries = 1  # s3fs asks a silent storage five times
        with suppress(FileNotFoundError):  # first: an upload to a silent server never ends
            odb.fs.ls(folder)
        readable = True
        odb.fs.pipe_file(probe, b"a trial\n")
        kept = odb.fs.cat_file(probe)
        odb.fs.remove(probe)
    except Exception as error:  # each storage has its own
        text, fix = _storage_problem(error)
        if readable and text == DENIED:
            return Link("DVC remote", "warning", f"{where}: reachable, not writable", fix)
        return Link("DVC remote", "broken", f"{where}: {text}", fix)
    if kept != b"a trial\n":
        return Link("DVC remote", "broken", f"{where}: gives back other bytes", "use another one")
    return Link("DVC remote", "ok", f"{where}: reachable and writable")


DENIED = "access denied"
_PROBLEMS = (
    (
        (
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "Access Key Id",
            "signature",
            "Unauthorized",
        ),
        "the keys are refused",
        f"{NAME} connect again with the right keys",
    ),
    (
        ("NoCredentials", "Unable to locate credentials", "ProfileNotFound", "could not be found"),
        "no keys found",
        f"{NAME} connect, or aws configure --profile NAME",
    ),
    (("ExpiredToken", "token has expired"), "the session has expired", "log in to AWS again"),
    (
        ("NoSuchBucket", "bucket does not exist"),
        "no such bucket",
        f"make it, or {NAME} connect s3 with the right name",
    ),
    (
        ("AccessDenied", "Access Denied", "Forbidden", "Permission denied"),
        DENIED,
        "ask its owner for the right to read and write there",
    ),
    (
        ("Could not connect", "Connect timeout", "Read timeout", "timed out", "Cannot connect"),
        "does not answer",
        "check the network and the address, then try again",
    ),
)


def _storage_problem(error):
    chain, text = error, ""
    while chain is not None:
        text += f" {type(chain).__name__}: {chain}"
        chain = chain.__cause__ or chain.__context__
    for signs, found, fix in _PROBLEMS:
        if any(sign in text for sign in signs):
            return found, fix
    return last_line(str(error))[:200] or type(error).__name__, "see its documentation"


def _data(repo, with_remote):
    """What data.dvc and dvc.lock promise: workspace, cache, remote, every byte read."""
    promised = storage.promised(repo)
    if not promised:
        fix = f"{NAME} run"
        yield Link("data", "warning", "data.dvc and dvc.lock promise nothing yet", fix)
        return
    stores = [storage.cache(repo), *([storage.remote(repo)] if with_remote else [])]
    try:
        local, *remote = storage.inspect(promised.values(), *stores)
    except Exception as error:  # of the storage
        text, fix = _storage_problem(error)
        yield Link("data", "broken", text, fix)
        return
    changed = storage.changed(repo)
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        found = f"{changed[0]}{more}: not as promised"
        fix = "dvc pull if files are missing; dvc repro to make them anew"
        yield Link("workspace", "warning", found, fix)
    elif not local.missing and not local.corrupt:
        yield Link("workspace", "ok", "as data.dvc and dvc.lock promise")
    yield _cache_link(local, stores[0])
    if remote:
        yield _remote_link(remote[0], stores[1], local)


def _cache_link(held, store):
    if held.corrupt:
        found = f"{len(held.corrupt)} of the objects corrupt: {store.path_of(held.corrupt[0])}"
        fix = "delete it, then dvc pull, or dvc repro -f"
        return Link("cache", "broken", found, fix)
    if held.missing:
        found = f"{len(held.missing)} of the objects missing"
        return Link("cache", "warning", found, "dvc pull; or dvc repro")
    return Link("cache", "ok", f"{len(held.intact)} objects, all intact")


def _remote_link(held, store, local):
    if held.corrupt:
        found = f"{len(held.corrupt)} of the objects corrupt: {store.path_of(held.corrupt[0])}"
        fix = f"{NAME} doctor --mend where the cache is intact"
        return Link("remote", "broken", found, fix)
    if held.missing:
        lost = set(held.missing) - set(local.intact)
        found = f"{len(held.missing)} of the objects missing"
        if lost:
            fix = f"{NAME} doctor --mend where they were made; or dvc repro, then doctor --mend"
            return Link("remote", "broken", f"{found}, {len(lost)} of them here, too", fix)
        return Link(
            "remote", "warning", found, f"dvc push; {NAME} doctor --mend if that is not enough"
        )
    return Link("remote", "ok", f"{len(held.intact)} objects, all intact")


def _mlflow(workspace):
    from laptop_pricing.tracking.server import describe

    uri = workspace.tracking_uri
    if uri == workspace.local_tracking_uri:
        fix = "MLFLOW_TRACKING_URI in .env, or connect dagshub"
        return Link("MLflow", "warning", "local: runs stay in mlflow.db", fix)
    try:
        version = describe(workspace)
    except (StepFailed, UserError) as error:
        found, _, fix = str(error).rpartition("; ")
        return Link("MLflow", "broken", found, fix)
    return Link("MLflow", "ok", f"{uri}: {version}")
