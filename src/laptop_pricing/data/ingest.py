"""The step ``ingest``: a source (https URL, s3:// URL or path) -> data/raw."""

import errno
import re
import shutil
import threading
import urllib.parse
from pathlib import Path

from tqdm import tqdm

from laptop_pricing.data.read import read_csv, read_dataset
from laptop_pricing.data.schema import RAW_FILE
from laptop_pricing.errors import DataUnavailable, UserError, without_credentials
from laptop_pricing.files import atomic_path, checksum, write_json

SOURCE_FILE = "source.json"
MAX_BYTES = 4 << 30
_SOCKET_TIMEOUT_S = 10


def ingest(source, workspace, params, may_shrink=lambda question: False):
    """Fetch the dataset, check that it is the expected CSV, and only then replace data/raw.

    A file that is cut at the end of a line is a good CSV. It is told by ``ingest.md5``, where it
    comes from ``ingest.source``, and by how many rows it has of those there are already.

    Parameters
    ----------
    source : str
        ``https://...``, ``s3://bucket/key`` or the path of a file.
    workspace : Workspace
    params : Params
    may_shrink : callable, optional
        Asked whether a file may replace one that has more than twice its rows.

    Returns
    -------
    dict
        ``rows``, ``md5`` and ``source`` (without credentials).

    Raises
    ------
    DataUnavailable
        If the source does not answer in time or does not have the file.
    UserError
        If the source is misspelled, or what it has is not the expected CSV.
    """
    name = public_name(source)
    with atomic_path(workspace.raw, folder=workspace.interim) as part:
        _fetch(source, name, part, params.ingest.timeout_s)
        try:
            text = read_dataset(part, params.preprocess.median_price)
        except UserError as error:
            raise UserError(str(error).replace(str(part), name)) from None
        found = {"rows": len(text), "md5": checksum(part, "md5"), "source": name}
        promised = params.ingest.md5 if source == params.ingest.source else None
        if promised not in (None, found["md5"]):
            raise UserError(
                f"{name}: found md5 {found['md5']} ({len(text)} rows); expected {promised}; "
                "try again, or change ingest.md5 if the source has a new version"
            )
        rows = _rows(workspace.raw)
        shrunk = f"{name}: found {len(text)} rows, data/raw has {rows}"
        if 2 * len(text) < rows and not may_shrink(f"{shrunk}. Replace it?"):
            raise UserError(f"{shrunk}; expected half as many or more; is it meant? Add --shrink")
    write_json(workspace.interim / SOURCE_FILE, found)
    return found


def _rows(path):
    try:
        return len(read_csv(path))
    except UserError:  # there is none, or it is worth nothing
        return 0


def public_name(source):
    """`source` without user, password and query, which may hold secrets."""
    if "://" not in source:
        return source
    return without_credentials(source.partition("?")[0])


def _fetch(source, name, target, timeout_s):
    """Copy the source to `target`; whatever it does, it is given up after `timeout_s`."""
    scheme = source.partition("://")[0] if "://" in source else ""
    if scheme not in ("", "http", "https", "s3"):
        raise UserError(f"{name}: found {scheme}://; expected https://, s3:// or a path")
    copy = {"": _copy_path, "s3": _copy_s3}.get(scheme, _copy_http)
    if scheme:
        _check_address(source, name)

    failures = []

    def work():
        try:
            copy(source, name, target)
        except BaseException as error:  # handed on to the caller's thread
            failures.append(error)

    # No socket timeout bounds a server that drips its answer byte by byte; a deadline does.
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        raise DataUnavailable(f"{name}: not here after {timeout_s:g} s; given up")
    if failures:
        raise failures[0]


def _check_address(source, name):
    try:
        url = urllib.parse.urlsplit(source)
        good = url.hostname and (url.port or True) and not re.search(r"[\s\x00-\x1f]", source)
        good = good and (url.scheme != "s3" or url.path.strip("/"))
    except ValueError:
        good = False
    if "@" in source.partition("://")[2].partition("/")[0]:
        raise UserError(f"{name}: found a user name in the address; expected one without")
    if not good:
        form = "s3://bucket/path" if source.startswith("s3:") else "https://host/path"
        raise UserError(f"{name}: not a well-formed address; expected {form}/file.csv")


def _copy_path(source, name, target):
    try:
        shutil.copyfile(Path(source).expanduser(), target)
    except FileNotFoundError:
        raise UserError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{name}: found a folder; expected a CSV file") from None
    except (OSError, RuntimeError, ValueError) as error:
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise
        raise UserError(
            f"{name}: not readable: {getattr(error, 'strerror', None) or error}"
        ) from None


def _copy_http(source, name, target):
    import requests

    try:
        with requests.get(source, stream=True, timeout=_SOCKET_TIMEOUT_S) as answer:
            if not answer.ok:
                raise DataUnavailable(
                    f"{name}: the server answered {answer.status_code} {answer.reason}"
                )
            _write(answer.iter_content(1 << 16), name, target)
    except (requests.exceptions.InvalidURL, UnicodeError):
        raise UserError(f"{name}: not a well-formed address") from None
    except requests.RequestException as error:
        raise DataUnavailable(f"{name}: not reachable: {_reason(error)}") from None


def _reason(error):
    """The innermost cause, without the address, which may hold secrets."""
    while error.__context__ is not None:
        error = error.__context__
    return getattr(error, "strerror", None) or type(error).__name__


def _copy_s3(source, name, target):
    import boto3
    import botocore.exceptions
    from botocore.config import Config

    bucket, _, key = source.removeprefix("s3://").partition("/")
    config = Config(
        connect_timeout=_SOCKET_TIMEOUT_S,
        read_timeout=_SOCKET_TIMEOUT_S,
        retries={"total_max_attempts": 2},
    )
    try:
        body = boto3.client("s3", config=config).get_object(Bucket=bucket, Key=key)["Body"]
        _write(body.iter_chunks(1 << 16), name, target)
    except botocore.exceptions.ParamValidationError:
        raise UserError(f"{name}: not a bucket and key that S3 knows") from None
    except botocore.exceptions.ClientError as error:
        answer = error.response["Error"]
        raise DataUnavailable(
            f"{name}: S3 answered {answer['Code']}: {answer.get('Message', '')}"
        ) from None
    except (botocore.exceptions.BotoCoreError, ConnectionError, TimeoutError) as error:
        raise DataUnavailable(f"{name}: {error}") from None


def _write(blocks, name, target):
    progress = tqdm(desc="Downloading", unit="B", unit_scale=True, disable=None, leave=False)
    with open(target, "wb") as file, progress:
        for block in blocks:
            progress.update(len(block))
            if file.tell() + len(block) > MAX_BYTES:
                raise UserError(f"{name}: larger than {MAX_BYTES:,} bytes; expected {RAW_FILE}")
            file.write(block)
