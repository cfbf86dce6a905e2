"""The step ``ingest``: a source (https URL, s3:// URL or path) -> data/raw."""

import asyncio
import errno
import os
import re
import shutil
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import DataUnavailable, UserError
from ..files import atomic_path, checksum
from ..project import Project
from .read import check_dataset
from .source import ENDINGS, csv_tables, open_source, reason

_MISSPELLED = "expected https://host/path, s3://bucket/path or a path; no user, no spaces"


def ingest(project: Project, source: str, shrink: bool = False) -> dict[str, Any]:
    """Fetch the dataset, check that it is the expected one, and only then replace data/raw.

    The `source` is ``https://...``, ``s3://bucket/key`` or the path of a file or folder, as
    :func:`open_source` reads them. With `shrink` it may have less than half the rows of what it
    replaces. Gives ``rows``, the ``md5`` of data/raw, ``source`` and ``notes``.
    """
    scheme, mark, address = source.partition("://") if "://" in source else ("", "", source)
    host, slash, path = (address.partition("?")[0] if mark else address).partition("/")
    # What is shown and written holds neither a user nor a query, which may be secrets.
    name, params = scheme + mark + host.rpartition("@")[2] + slash + path, project.params
    malformed = mark and (not host or "@" in host or re.search(r"\s", address))
    if malformed or scheme not in ("", "http", "https", "s3"):
        raise UserError(name, _MISSPELLED)
    with atomic_path(project.raw, folder=project.interim) as part:
        try:
            notes, fetched = _write_csv(source, name, scheme, part, params.ingest.timeout_s)
            rows = check_dataset(part, project.problem, params.preprocess.median_target)
        except UserError as error:
            error.place = error.place.replace(str(part), name)
            raise
        md5 = checksum(part, "md5")
        result = {"rows": rows, "md5": md5, "source": name, "notes": notes}
        expected = params.ingest.md5 if source == params.ingest.source else None
        if expected not in (None, fetched or md5):
            found = f"found md5 {fetched or md5} ({rows} rows); expected {expected}"
            raise UserError(name, found, "try again, or change ingest.md5 if the file has changed")
        before = 0
        with suppress(UserError):  # no dataset yet, or a damaged one
            before = sum(map(len, csv_tables(project.raw)))
        if 2 * rows < before and not shrink:
            found = f"found {rows} rows; data/raw has {before}"
            raise UserError(name, found, "add --shrink if that is right")
    return result


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
