"""The step ``ingest``: a source (https URL, s3:// URL or path) -> data/raw."""

import http.client
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path

from laptop_pricing.data.validate import read_dataset
from laptop_pricing.errors import DataUnavailable, UserError, without_credentials
from laptop_pricing.files import atomic_path, checksum, write_json

SOURCE_FILE = "source.json"
MAX_BYTES = 4 << 30
_BLOCK = 1 << 16
_SOCKET_TIMEOUT_S = 10


def ingest(source, workspace, params):
    """Fetch the dataset, check that it is the expected CSV, and only then replace data/raw.

    Parameters
    ----------
    source : str
        ``https://...``, ``s3://bucket/key`` or the path of a file.
    workspace : Workspace
    params : Params

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
    write_json(workspace.interim / SOURCE_FILE, found)
    return found


def public_name(source):
    """`source` without user, password and query, which may hold secrets."""
    if "://" not in source:
        return source
    return without_credentials(source.partition("?")[0])


def _fetch(source, name, target, timeout_s):
    scheme = source.partition("://")[0] if "://" in source else ""
    try:
        if scheme in ("http", "https"):
            with urllib.request.urlopen(source, timeout=_SOCKET_TIMEOUT_S) as stream:
                _copy(stream, target, name, timeout_s)
        elif scheme == "s3":
            _fetch_s3(source, name, target, timeout_s)
        elif scheme == "":
            shutil.copyfile(Path(source).expanduser(), target)
        else:
            raise UserError(f"{name}: found {scheme}://; expected https://, s3:// or a path")
    except FileNotFoundError:
        raise UserError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{name}: found a folder; expected a CSV file") from None
    except PermissionError:
        raise UserError(f"{name}: no permission to read it") from None
    except urllib.error.HTTPError as error:
        raise DataUnavailable(f"{name}: the server answered {error.code} {error.reason}") from None
    except (
        urllib.error.URLError,
        http.client.HTTPException,
        ConnectionError,
        TimeoutError,
    ) as error:
        reason = getattr(error, "reason", error)
        raise DataUnavailable(f"{name}: not reachable: {reason}") from None
    except ValueError as error:  # urllib's word for a malformed URL
        raise UserError(f"{name}: {error}; expected https://, s3:// or a path") from None


def _copy(stream, target, name, timeout_s):
    deadline = time.monotonic() + timeout_s
    size = 0
    read = getattr(stream, "read1", stream.read)  # read1 gives what is there, so that no server
    with open(target, "wb") as file:  # that drips byte by byte keeps us past the deadline
        while block := read(_BLOCK):
            size += len(block)
            if time.monotonic() > deadline:
                raise DataUnavailable(f"{name}: {size:,} bytes after {timeout_s:g} s; given up")
            if size > MAX_BYTES:
                raise UserError(f"{name}: larger than {MAX_BYTES:,} bytes; expected the laptop CSV")
            file.write(block)
    expected = getattr(stream, "headers", {}).get("Content-Length")
    if expected is not None and size != int(expected):
        raise DataUnavailable(f"{name}: broke off after {size:,} of {expected} bytes")


def _fetch_s3(source, name, target, timeout_s):
    import boto3
    import botocore.exceptions
    from botocore.config import Config

    bucket, _, key = source.removeprefix("s3://").partition("/")
    if not bucket or not key:
        raise UserError(f"{name}: expected s3://bucket/path/file.csv")
    config = Config(
        connect_timeout=_SOCKET_TIMEOUT_S,
        read_timeout=_SOCKET_TIMEOUT_S,
        retries={"total_max_attempts": 2},
    )
    try:
        body = boto3.client("s3", config=config).get_object(Bucket=bucket, Key=key)["Body"]
        _copy(body, target, name, timeout_s)
    except botocore.exceptions.ClientError as error:
        answer = error.response["Error"]
        raise DataUnavailable(
            f"{name}: S3 answered {answer['Code']}: {answer.get('Message', '')}"
        ) from None
    except botocore.exceptions.BotoCoreError as error:
        raise DataUnavailable(f"{name}: {' '.join(str(error).split())}") from None
