"""Tables in parts, of which one is in memory at a time: what preprocess leaves, and its means."""

import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Optional

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import ArrowException

from ..errors import UserError
from .table import GROUP

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # consecutive numbers times it are spread evenly


def part_paths(table: Path) -> list[Path]:
    """The files that hold a table, in their order: itself, or all the parts in its folder."""
    if not table.is_dir():
        return [table]
    paths = sorted(table.glob("part-*.parquet"))
    if not paths or [path.name for path in paths] != part_names(len(paths)):
        found = f"found {len(paths)} parts, which are not the whole table"
        raise UserError(table, found, "run dvc repro")
    return paths


def part_names(count: int) -> list[str]:
    """The names of so many parts, each of which says how many there are."""
    return [f"part-{i:05}-of-{count:05}.parquet" for i in range(count)]


def read_part(path: Path, columns: Optional[Sequence[str]] = None) -> pd.DataFrame:
    """One of these files, or some of its columns; the index is the position in the raw file."""
    try:
        return pd.read_parquet(path, columns=columns and list(columns))
    except FileNotFoundError as error:
        raise UserError(error.filename, "no such file", "run dvc repro") from None
    except (ArrowException, OSError, ValueError) as error:
        raise UserError(path, f"damaged: {error}", "run dvc repro") from None


def read_sample(table: Path, share: float) -> pd.DataFrame:
    """Whole groups with about such a share of the rows, in the order of the raw file."""
    parts = []
    for path in part_paths(table):
        part = read_part(path)
        spread = (part[GROUP].to_numpy(np.uint64) * _GOLDEN) >> np.uint64(32)
        parts.append(part[spread < share * 2**32] if share < 1 else part)
    return pd.concat(parts).sort_index()


def numbered(tables: Iterable[pa.Table]) -> Iterator[tuple[int, pa.Table]]:
    """Blocks of rows, each with the position of its first one."""
    row = 0
    for table in tables:
        yield row, table
        row += len(table)


@contextmanager
def work_folder(folder: Path, target: Path) -> Iterator[Path]:
    """Give an empty folder that is removed in the end, and before: a killed run may have left it.

    If its disk is full, that is said of the `target`.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise OSError(error.errno, os.strerror(error.errno), str(target)) from None
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def move(source: Path, target: Path) -> None:
    """Put a finished file or folder in the place of another file or folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        shutil.rmtree(target)
    elif source.is_dir():
        target.unlink(missing_ok=True)
    os.replace(source, target)
