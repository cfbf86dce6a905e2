"""What data.dvc and dvc.lock promise, and whether it is there and intact.

DVC itself trusts what lies in its cache, and objects that it has seen before.
"""

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass

from laptop_pricing.errors import StepFailed
from laptop_pricing.files import checksum, short
from laptop_pricing.programs import dvc_defaults
from laptop_pricing.settings import Workspace

ROOM = 1 << 20  # bytes; with fewer left, a disk is full
FULL = "the disk is full: make room there, then run again"
_DIRECTORY = ".dir"


@dataclass(frozen=True)
class Store:
    """A place of DVC objects: the cache or the remote."""

    name: str
    fs: object
    path_of: object

    def read(self, oid):
        """The bytes of an object in blocks.

        Raises
        ------
        FileNotFoundError
        """
        with self.fs.open(self.path_of(oid), "rb") as file:
            while block := file.read(1 << 20):
                yield block


@dataclass(frozen=True)
class Holding:
    """What a store has of the promised objects: their names (md5), by condition."""

    intact: tuple
    missing: tuple
    corrupt: tuple


def open_repo(workspace):
    """DVC's view of the workspace.

    Raises
    ------
    StepFailed
        If DVC cannot read its files.
    """
    import sqlite3

    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        _set_defaults(workspace)
        repo = Repo(str(workspace.root))
        repo.index.check_graph()
        return repo
    except (DvcException, OSError, sqlite3.Error) as error:
        full = f"; {FULL}" if _is_full(workspace) else ""
        raise StepFailed(f"dvc: {error}{full}") from None


def _is_full(workspace):
    return shutil.disk_usage(workspace.root).free < ROOM


def remedy(workspace: Workspace) -> str:
    """What to do about a DVC that failed, as far as its own traces tell."""
    from dvc.lock import Lock, LockError

    if _is_full(workspace):
        return FULL
    folder = workspace.root / ".dvc" / "tmp"
    locks = [folder / "rwlock", folder / "lock"]
    try:
        with Lock(str(locks[1])):  # DVC lets go of it while a stage runs
            pids = re.findall(r'"pid": (\d+)', locks[0].read_text(encoding="utf-8"))
    except LockError:
        pids = locks[1].read_text(encoding="utf-8").split()
    except OSError:
        pids = []
    if pids:
        return (
            f"process {pids[0]} is at work here: wait until it ends, or end it, then run again; "
            f"if no DVC has that number, delete {short(locks[0])} first"
        )
    return "put it right, then run again"


def _set_defaults(workspace):
    for name, value in dvc_defaults(workspace.root).items():
        os.environ.setdefault(name, value)


def cache(repo):
    """DVC's cache as a store."""
    odb = repo.cache.local
    return Store("cache", odb.fs, odb.oid_to_path)


def remote(repo):
    """The default remote as a store; DVC's exception if there is none."""
    odb = repo.cloud.get_remote_odb()
    return Store("remote", odb.fs, odb.oid_to_path)


def promised(repo):
    """The path and the object of everything in data.dvc and dvc.lock that DVC stores.

    Returns
    -------
    dict of str to str
        Path below the project's folder to md5; that of a folder ends in ``.dir``.
    """
    return {
        os.path.relpath(out.fs_path, repo.root_dir): out.hash_info.value
        for out in repo.index.outs
        if out.use_cache and out.hash_info
    }


def inspect(oids, *stores):
    """Read every promised object of each store and compare it with its name.

    Parameters
    ----------
    oids : iterable of str
        Objects. What a folder's object lists is inspected, too, if any of the stores has it.
    *stores : Store

    Returns
    -------
    list of Holding
        One for each store.
    """
    wanted, listed = list(dict.fromkeys(oids)), []
    conditions = [{} for _ in stores]
    for oid in wanted:
        listing = None
        for store, found in zip(stores, conditions):
            found[oid], content = _condition(store, oid)
            listing = listing or content
        listed += [entry["md5"] for entry in json.loads(listing)] if listing else []
    for oid in dict.fromkeys(listed):
        for store, found in zip(stores, conditions):
            found[oid], _ = _condition(store, oid)
    return [
        Holding(*(tuple(o for o in found if found[o] == c) for c in Holding.__annotations__))
        for found in conditions
    ]


def _condition(store, oid):
    """Intact, missing or corrupt; and the content of a folder's intact object."""
    digest, content = hashlib.md5(usedforsecurity=False), b""
    try:
        for block in store.read(oid):
            digest.update(block)
            content += block if oid.endswith(_DIRECTORY) else b""
    except FileNotFoundError:
        return "missing", None
    if digest.hexdigest() != oid.removesuffix(_DIRECTORY):
        return "corrupt", None
    return "intact", content


def check_cache(workspace):
    """Refuse a cache that has a corrupt object: DVC would hand it out as if it were sound.

    Raises
    ------
    StepFailed
        With the object's path, and what to do.
    """
    repo = open_repo(workspace)
    store = cache(repo)
    (held,) = inspect(promised(repo).values(), store)
    if held.corrupt:
        path = store.path_of(held.corrupt[0])
        raise StepFailed(
            f"{path}: corrupt in DVC's cache; delete it, then dvc pull or dvc repro -f"
        )


def mend_remote(repo):
    """Upload what the remote lacks or has corrupt and the cache has intact.

    ``dvc push`` does not: where a folder's listing is there, it takes the files for granted.

    Returns
    -------
    int
        How many objects.
    """
    here, there = cache(repo), remote(repo)
    mine, theirs = inspect(promised(repo).values(), here, there)
    wanted = set(theirs.missing + theirs.corrupt) & set(mine.intact)
    for oid in sorted(wanted, key=lambda oid: oid.endswith(_DIRECTORY)):  # listings last
        if there.fs.protocol == "local":
            there.fs.makedirs(there.fs.parent(there.path_of(oid)), exist_ok=True)
        there.fs.put_file(here.path_of(oid), there.path_of(oid))
    return len(wanted)


def changed(repo):
    """The promised paths whose files in the workspace are others, or not all there."""
    found = []
    for path, oid in promised(repo).items():
        try:
            files = {path: oid}
            if oid.endswith(_DIRECTORY):
                listing = json.loads(b"".join(cache(repo).read(oid)))
                files = {os.path.join(path, e["relpath"]): e["md5"] for e in listing}
        except (FileNotFoundError, ValueError):
            continue
        for name, md5 in files.items():
            try:
                intact = checksum(os.path.join(repo.root_dir, name), "md5") == md5
            except OSError:
                intact = False
            if not intact:
                found.append(name)
    return found


def outdated(repo):
    """The stages and pointer files that ``dvc status`` finds changed: code, params, data, outputs.

    Raises
    ------
    StepFailed
        If DVC cannot tell.
    """
    from dvc.exceptions import DvcException

    try:
        return [os.path.basename(name).rpartition(":")[2] for name in repo.status()]
    except DvcException as error:
        raise StepFailed(f"dvc status: {error}") from None


def fetch(workspace, revision, path, target):
    """Copy what DVC has at `path` of a commit, from the cache or else the remote.

    Parameters
    ----------
    workspace : Workspace
    revision : str
    path : str
        A folder below the project's, with slashes.
    target : Path
        Made by this call.

    Raises
    ------
    StepFailed
        If the commit has no such output, or it can be had nowhere.
    """
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException

    try:
        _set_defaults(workspace)
        fs = DVCFileSystem(str(workspace.root), rev=revision)
        target.parent.mkdir(parents=True, exist_ok=True)
        fs.get(path, str(target), recursive=True)
    except (DvcException, OSError) as error:
        raise StepFailed(f"{path} of {revision[:7]}: {error}") from None
