"""The step ``ingest``: a source (https URL, s3:// URL or path) -> data/raw."""

import asyncio
import errno
import os
import re
import shutil
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataUnavailable, StepFailed, UserError
from ..files import atomic_path, checksum, short
from ..problem import Problem
from ..project import Project
from .parts import work_folder
from .read import check_dataset, dataset_tables
from .source import ENDINGS, csv_tables, open_source, reason
from .table import validate

_MISSPELLED = "expected https://host/path, s3://bucket/path or a path; no user, no spaces"


def ingest(project: Project, source: str, shrink: bool = False) -> dict[str, Any]:
    """Fetch the dataset, check that it is the expected one, and only then replace data/raw.

    The `source` is ``https://...``, ``s3://bucket/key`` or the path of a file or folder, as
    :func:`open_source` reads them. With `shrink` it may have less than half the rows of what it
    replaces. Gives ``rows``, the ``md5`` of data/raw, ``source`` and ``notes``.
    """
    with atomic_path(project.raw, folder=project.interim) as part:
        found, fetched = _get(project, source, part)
        name, rows, md5 = found["source"], found["rows"], checksum(part, "md5")
        params = project.params.ingest
        expected = params.md5 if source == params.source else None
        if expected not in (None, fetched or md5):
            problem = f"found md5 {fetched or md5} ({rows} rows); expected {expected}"
            raise UserError(
                name, problem, "try again, or change ingest.md5 if the file has changed"
            )
        before = 0
        with suppress(UserError):  # no dataset yet, or a damaged one
            before = sum(map(len, csv_tables(project.raw)))
        if 2 * rows < before and not shrink:
            problem = f"found {rows} rows; data/raw has {before}"
            raise UserError(name, problem, "add --shrink if that is right")
    return found | {"md5": md5}


def append(project: Project, source: str) -> dict[str, Any]:
    """Add to data/raw the rows of a source that it does not have; until then it stays as it is.

    A row is there already if one of data/raw, or an earlier one of the source, has the same cells.
    Gives ``rows`` and ``md5`` of data/raw, how many rows were ``added``, how many of these will be
    set ``aside``, and how many were ``known``; ``source`` and ``notes``.
    """
    raw, problem, aside = project.raw, project.problem, 0
    if not raw.is_file():
        raise UserError(short(raw), "no dataset to append to", "dvc pull, or leave out --append")
    with work_folder(project.interim / "append", raw) as work:
        path, changed = work / "rows.csv", raw.stat().st_mtime_ns
        found, _ = _get(project, source, path)
        name, rows = found["source"], found["rows"]
        names, given = (next(csv_tables(file, size=1)).column_names for file in (raw, path))
        if differ := sorted({*names} ^ {*given}):
            told = f"only one of it and {short(raw)} has the columns: {', '.join(differ)}"
            raise UserError(name, told, f"give it the columns {', '.join(names)}")
        before, new = _compare(problem, raw, path)
        if added := int(new.sum()):
            with atomic_path(raw, folder=project.interim) as part:
                shutil.copyfile(raw, part)
                aside = _add(problem, path, new, names, part)
                try:
                    check_dataset(part, problem, None)
                except UserError as error:  # such as a carriage return in a cell
                    raise UserError(name, f"cannot be added: {error.problem}") from None
                if raw.stat().st_mtime_ns != changed:
                    raise StepFailed(short(raw), "changed meanwhile, by somebody else", "try again")
    counts = {"rows": before + added, "added": added, "known": rows - added, "aside": aside}
    return found | counts | {"md5": checksum(raw, "md5")}


def _compare(problem: Problem, raw: Path, path: Path) -> tuple[int, np.ndarray]:
    """How many rows data/raw has, and which of those in `path` are new: by hashes."""

    def hashes(file: Path) -> Iterator[np.ndarray]:
        for table in dataset_tables(file, problem):
            yield pd.util.hash_pandas_object(table.to_pandas(), index=False).to_numpy()

    rows, own = 0, np.concatenate([*hashes(path)])
    distinct, first = np.unique(own, return_index=True)
    known = np.zeros(len(distinct), bool)
    for block in hashes(raw):
        rows += len(block)
        places = np.searchsorted(distinct, block).clip(max=len(distinct) - 1)
        known[places[distinct[places] == block]] = True
    new = np.zeros(len(own), bool)
    new[first[~known]] = True
    return rows, new


def _add(problem: Problem, path: Path, new: np.ndarray, names: list[str], target: Path) -> int:
    """Write the new rows of `path` below those of `target`; how many of them break the schema."""
    with open(target, "rb+") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"" if file.read() in (b"\n", b"\r") else b"\n")
    start, bad, clean = 0, 0, {column.raw_name: column.name for column in problem.columns}
    for table in csv_tables(path):
        block = table.select(names).to_pandas()[new[start : start + len(table)]]
        block.to_csv(target, mode="a", header=False, index=False, lineterminator="\n")
        failures = validate(block.rename(columns=clean), problem.columns, problem.rules)[1]
        start, bad = start + len(table), bad + failures["row"].nunique()
    return bad


def _get(project: Project, source: str, target: Path) -> tuple[dict[str, Any], str]:
    """Fetch and check: the rows, notes and name of a source, and its MD5 if it was no plain CSV."""
    scheme, mark, address = source.partition("://") if "://" in source else ("", "", source)
    host, slash, path = (address.partition("?")[0] if mark else address).partition("/")
    # What is shown and written holds neither a user nor a query, which may be secrets.
    name, params = scheme + mark + host.rpartition("@")[2] + slash + path, project.params
    malformed = mark and (not host or "@" in host or re.search(r"\s", address))
    if malformed or scheme not in ("", "http", "https", "s3"):
        raise UserError(name, _MISSPELLED)
    try:
        notes, fetched = _write_csv(source, name, scheme, target, params.ingest.timeout_s)
        rows = check_dataset(target, project.problem, params.preprocess.median_target)
    except UserError as error:
        error.place = error.place.replace(str(target), name)
        raise
    return {"rows": rows, "source": name, "notes": notes}, fetched


def _write_csv(
    source: str, name: str, scheme: str, target: Path, timeout_s: float
) -> tuple[list[str], str]:
    """Fetch the source as a plain CSV: in what it was none, and then the MD5 of what it was."""
    if not scheme and os.path.isdir(folder := os.path.expanduser(source)):
        opened, fetched = open_source(Path(folder)), ""
    else:
        _fetch(source, name, scheme, target, timeout_s)
        ending = Path(name).suffix.lower()
        opened = open_source(target, ending if ending in ENDINGS else ".csv")
        fetched = checksum(target, "md5") if opened.notes else ""
    if opened.notes:
        opened.write(target)
    return opened.notes, fetched


def _fetch(source: str, name: str, scheme: str, target: Path, timeout_s: float) -> None:
    """Copy the source, by fsspec, which gives up after `timeout_s` whatever a server does."""
    import aiohttp
    import certifi
    import fsspec
    from botocore.exceptions import BotoCoreError, ParamValidationError

    options: dict[str, Any] = {"skip_instance_cache": True}
    if scheme.startswith("http"):
        authorities = ssl.create_default_context()  # the system's, and certifi's
        authorities.load_verify_locations(certifi.where())
        client = {"trust_env": True, "timeout": aiohttp.ClientTimeout(total=timeout_s)}
        options |= {"encoded": True, "ssl": authorities, "client_kwargs": client}
    try:
        if scheme:
            fsspec.filesystem(scheme, **options).get_file(source, target, timeout=timeout_s)
        else:
            shutil.copyfile(Path(source).expanduser(), target)
    except asyncio.TimeoutError:
        raise DataUnavailable(name, f"not here after {timeout_s:g} s; given up") from None
    except (ValueError, RuntimeError, ParamValidationError):
        raise UserError(name, _MISSPELLED) from None
    except aiohttp.ClientResponseError as error:
        raise DataUnavailable(name, f"the server answered {error.status} {error.message}") from None
    except (OSError, aiohttp.ClientError, BotoCoreError) as error:
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise
        hidden = scheme[:4] == "http" and isinstance(error, FileNotFoundError)  # it has the query
        why = "the server answered 404" if hidden else reason(error)
        raise (DataUnavailable if scheme else UserError)(name, why) from None
