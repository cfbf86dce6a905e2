"""The log of quotes as Parquet files in another folder or in S3, where others can look at it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Union

import fsspec
import pyarrow as pa
import pyarrow.parquet

from ..errors import StepFailed, UserError
from .quotelog import Logged, log_files, read_file, read_log

_SCHEMA = pa.schema(
    {"quote_id": pa.string(), "time": pa.float64()}
    | dict.fromkeys(("version", "sha256", "data_md5"), pa.string())
    | dict.fromkeys(("asked", "answer"), pa.binary())
)


def export_quotes(folder: Path, target: str) -> int:
    """Write each file of a log as Parquet to a folder or ``s3://bucket/prefix``; gives the quotes.

    A file that was written before is replaced, and what has left the log since stays there.
    Damaged lines are left out. S3 is asked as the AWS tools are set up.
    """
    quotes = 0
    with _named(target):
        files, root = fsspec.url_to_fs(target, skip_instance_cache=True)
        files.makedirs(root, exist_ok=True)
        for path in log_files(folder):
            lines = [line._asdict() for line in read_file(path) if line.answer]
            quotes += len(lines)
            with files.transaction, files.open(f"{root}/{path.stem}.parquet", "wb") as file:
                pyarrow.parquet.write_table(pa.Table.from_pylist(lines, _SCHEMA), file)
    return quotes


def stored_quotes(
    place: Union[str, Path], quote_id: str = "", since: float = 0
) -> Iterator[Logged]:
    """:func:`read_log` of a folder with a log, or with what :func:`export_quotes` wrote."""
    place = str(place)
    if "://" not in place and log_files(Path(place)):
        yield from read_log(Path(place), quote_id, since)
        return
    with _named(place):
        files, root = fsspec.url_to_fs(place, skip_instance_cache=True)
        paths = sorted(files.glob(f"{root}/*.parquet"))
    if not paths:
        raise UserError(place, "no quotes here", "name the folder that serve was given")
    for path in paths:
        with _named(path), files.open(path) as file:
            table = pyarrow.parquet.ParquetFile(file).read(_SCHEMA.names)
        for line in map(Logged._make, zip(*(column.to_pylist() for column in table.columns))):
            if line.time >= since and quote_id in ("", line.quote_id):
                yield line


@contextmanager
def _named(place: str) -> Iterator[None]:
    """What a storage says against a place, in one line."""
    from botocore.exceptions import BotoCoreError

    try:
        yield
    except (BotoCoreError, KeyError, OSError, ValueError, pa.ArrowException) as error:
        remedy = "check the address, and the keys of the AWS tools"
        raise StepFailed(place, str(error), remedy if "://" in place else "") from None
