"""What data.dvc and dvc.lock name, and whether it is there and intact.

DVC itself trusts what lies in its cache, and objects that it has seen before.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import DataUnavailable, StepFailed
from ..files import checksum
from ..process import dvc_environment
from ..project import Project

CONDITIONS = ("intact", "missing", "corrupt")


@contextmanager
def _dvc(project: Project, place: str, remedy: str, kind: type[StepFailed]) -> Iterator[None]:
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexDirError

    try:
        os.environ.update(dvc_environment(project.root) | dict(os.environ))
        yield
    except (DvcException, DataIndexDirError, OSError, sqlite3.Error) as error:
        raise kind(place, str(error), remedy) from None


def open_repo(project: Project) -> Any:
    """DVC's view of the project, a ``dvc.repo.Repo``; StepFailed if DVC cannot read its files."""
    from dvc.repo import Repo

    with _dvc(project, "dvc", "correct dvc.yaml, data.dvc or .dvc/config", StepFailed):
        repo = Repo(str(project.root))
        repo.index.check_graph()
        return repo


def promised(repo: Any) -> dict[str, str]:
    """The md5 of everything that DVC stores, by path; that of a folder, its list, ends in .dir."""
    outs = [out for out in repo.index.outs if out.use_cache and out.hash_info]
    return {os.path.relpath(out.fs_path, repo.root_dir): out.hash_info.value for out in outs}


def inspect(repo: Any, **stores: Any) -> dict[str, dict[str, list[str]]]:
    """Read all that they name, and what its folders list, in DVC's object databases by name.

    Returns the objects by store and by condition: intact, missing or corrupt.
    """
    found: dict[str, dict[str, list[str]]] = {s: {c: [] for c in CONDITIONS} for s in stores}
    wanted = list(dict.fromkeys(promised(repo).values()))
    known = set(wanted)
    for oid in wanted:  # it grows
        listing = b""
        for name, store in stores.items():
            condition, content = _read(store, oid)
            found[name][condition].append(oid)
            listing = listing or content
        listed = {entry["md5"] for entry in json.loads(listing or b"[]")} - known
        wanted += sorted(listed)
        known |= listed
    return found


def _read(store: Any, oid: str) -> tuple[str, bytes]:
    """The condition of an object; and the content of a folder's intact one."""
    digest, content = hashlib.md5(usedforsecurity=False), b""
    try:
        with store.fs.open(store.oid_to_path(oid), "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
                content += block if oid.endswith(".dir") else b""
    except FileNotFoundError:
        return "missing", b""
    intact = digest.hexdigest() == oid.removesuffix(".dir")
    return ("intact", content) if intact else ("corrupt", b"")


def check_cache(project: Project) -> None:
    """Refuse a cache that has a corrupt object: DVC would hand it out as if it were sound."""
    repo = open_repo(project)
    for oid in inspect(repo, cache=repo.cache.local)["cache"]["corrupt"]:
        path, remedy = repo.cache.local.oid_to_path(oid), "delete it, then dvc pull or dvc repro -f"
        raise StepFailed(path, "corrupt in DVC's cache", remedy)


def repair_remote(repo: Any) -> int:
    """Upload what the remote lacks or has corrupt and the cache has intact; how many objects.

    ``dvc push`` does not: where a folder's listing is there, it takes the files for granted.
    """
    here, there = repo.cache.local, repo.cloud.get_remote_odb()
    found = inspect(repo, here=here, there=there)
    wanted = set(found["here"]["intact"]) - set(found["there"]["intact"])
    for oid in sorted(wanted, key=lambda oid: oid.endswith(".dir")):  # listings last
        if there.fs.protocol == "local":
            there.fs.makedirs(there.fs.parent(there.oid_to_path(oid)), exist_ok=True)
        there.fs.put_file(here.oid_to_path(oid), there.oid_to_path(oid))
    return len(wanted)


def changed(repo: Any) -> list[str]:
    """The named paths whose files in the workspace are others, or not all there."""
    files = {path: oid for path, oid in promised(repo).items() if not oid.endswith(".dir")}
    for path, oid in promised(repo).items():
        listing = json.loads(_read(repo.cache.local, oid)[1] or b"[]")
        files |= {os.path.join(path, entry["relpath"]): entry["md5"] for entry in listing}
    paths = {name: Path(repo.root_dir, name) for name in files}
    return [n for n, p in paths.items() if not p.is_file() or checksum(p, "md5") != files[n]]


def fetch(project: Project, revision: str, path: str, target: Path) -> None:
    """Copy what DVC has at `path` of a commit, from the cache or else the remote, to `target`."""
    from dvc.api import DVCFileSystem

    remedy = (
        "neither cache nor remote has it: dvc push where it was made, or connect to that remote"
    )
    with _dvc(project, f"{path} of {revision[:7]}", remedy, DataUnavailable):
        target.parent.mkdir(parents=True, exist_ok=True)
        DVCFileSystem(str(project.root), rev=revision).get(path, str(target), recursive=True)
