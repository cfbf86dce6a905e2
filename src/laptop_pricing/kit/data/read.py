"""Tables of text for a problem: its raw dataset, or rows to be predicted."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from pyarrow import ArrowException

from ..errors import UserError
from ..problem import Column, Problem
from .parts import part_paths
from .source import BLOCK_ROWS, csv_tables, open_source, reason

# What a spreadsheet runs: it begins so, and is no number (OWASP, "CSV Injection").
_FORMULA = re.compile(r"(?![+-]\d*([.,]?\d+(e[+-]?\d+)?)?\Z)[=+@\t\r\n＝＋－＠-]", re.IGNORECASE)


def read_dataset(
    path: Path, problem: Problem, median_target: Optional[tuple[float, float]]
) -> pd.DataFrame:
    """The raw dataset as text, under clean names; numbers in another unit are told by their median.

    Without `median_target` no median is looked at.
    """
    blocks = [table.to_pandas().astype(object) for table in dataset_tables(path, problem)]
    text = pd.concat(blocks, ignore_index=True)
    counts = target_counts(text[problem.target.name], problem.target)
    check_target(path, problem, counts, median_target)
    return text


def dataset_tables(path: Path, problem: Problem, size: int = BLOCK_ROWS) -> Iterator[pa.Table]:
    """The same in blocks, as :func:`csv_tables` gives them; nobody has looked at the target."""
    names = {column.raw_name: column.name for column in problem.columns}
    for i, table in enumerate(csv_tables(path, size=size)):
        given = table.column_names
        if missing := [name for name in names if name not in given]:
            raise UserError(path, f"column missing: {', '.join(missing)}; expected the dataset")
        if unknown := [repr(name) for name in given if name not in {*names, *problem.left_out}]:
            remedy = "remove it, or name it in left_out of problem.py"
            raise UserError(path, f"column unknown: {', '.join(unknown)}", remedy)
        if not i + len(table):
            raise UserError(path, "a header without rows; expected the dataset")
        yield table.select([*names]).rename_columns([*names.values()])


def check_dataset(
    path: Path, problem: Problem, median_target: Optional[tuple[float, float]]
) -> int:
    """Refuse what :func:`read_dataset` refuses; gives the number of rows."""
    rows, counts = 0, list[pd.Series]()
    for table in dataset_tables(path, problem):
        rows += len(table)
        cells = table[problem.target.name].to_pandas()
        counts = [add_counts([*counts, target_counts(cells, problem.target)])]
    check_target(path, problem, counts[0], median_target)
    return rows


def target_counts(cells: pd.Series, target: Column) -> pd.Series:
    """How often each value of the target occurs that can be read, whatever its range."""
    counts = cells.value_counts()
    counts = counts[counts > 0]
    values = [target.parse(cell) for cell in counts.index]
    counts.index = pd.Index(values, dtype="float64" if target.numeric else object)
    return add_counts([counts[counts.index.notna()]])


def add_counts(blocks: list[pd.Series]) -> pd.Series:
    """The counts of several blocks together, in the order of the values."""
    return pd.concat(blocks).groupby(level=0).sum()


def check_target(
    path: Path,
    problem: Problem,
    counts: pd.Series,
    median_target: Optional[tuple[float, float]],
) -> None:
    """Refuse a dataset by the counts of its targets; see :func:`read_dataset`."""
    target = problem.target
    if counts.empty:
        raise UserError(path, f"no readable {target.name}; expected {target.rule}")
    if median_target is None:
        return
    if not target.numeric:
        found = f"is for numbers; {target.name} is a {target.kind}"
        raise UserError("params.yaml: preprocess.median_target", found, "take it out")
    rows, (low, high) = counts.cumsum().to_numpy(), median_target
    middle = np.searchsorted(rows, [(rows[-1] - 1) // 2, rows[-1] // 2], side="right")
    median = counts.index.to_numpy(float)[middle].mean()
    if not low <= median <= high:
        found = f"median {target.name} {median:,.6g}; expected {low:,g} to {high:,g} {target.unit}"
        remedy = "convert it, or change preprocess.median_target if it is right"
        raise UserError(path, found, remedy)


def read_rows(path: Path, problem: Problem) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows to be predicted: the file as it is, and its features as text, which may be blank."""
    given = pd.concat(map(as_frame, row_tables(path, problem)), ignore_index=True)
    return given, feature_text(path, given, problem)


def row_tables(path: Path, problem: Problem, size: int = BLOCK_ROWS) -> Iterator[pa.Table]:
    """Rows to be predicted, as they are, in blocks of up to `size` rows."""
    rows = 0
    try:
        if path.suffix.lower() == ".parquet":  # keeps the types of its other columns
            tables = (table for file in part_paths(path) for table in _parquet_tables(file, size))
        else:
            blocks = open_source(path, size=size).blocks()
            tables = (pa.Table.from_pandas(block, preserve_index=False) for block in blocks)
        for table in filter(len, tables):
            rows += len(table)
            yield table
    except (ArrowException, OSError) as error:
        raise UserError(path, reason(error)) from None
    if not rows:
        raise UserError(path, f"no rows; expected at least one {problem.item}")


def _parquet_tables(path: Path, size: int) -> Iterator[pa.Table]:
    with open(path, "rb") as file:
        for batch in pyarrow.parquet.ParquetFile(file).iter_batches(size):
            yield pa.Table.from_batches([batch])


def as_frame(table: pa.Table, row: int = 0) -> pd.DataFrame:
    """Rows to be predicted, from `row` on, in which a gap makes no whole number another."""
    given = table.to_pandas(integer_object_nulls=True)
    given = given.reset_index(drop=given.index.names == [None])
    return given.set_axis(given.index + row)


def feature_text(path: Path, given: pd.DataFrame, problem: Problem) -> pd.DataFrame:
    """The features as text, which may be blank, of rows of the file `path`."""
    text = pd.DataFrame(index=given.index)
    for c in problem.features:
        known = (c.name.casefold(), c.raw_name.casefold())
        names = [name for name in given if str(name).strip().casefold() in known]
        if len(names) > 1:
            raise UserError(path, f"column found twice: {', '.join(names)}", "keep one of them")
        if not names and not c.optional:
            raise UserError(path, f"column missing: {c.name} ({c.rule})", "add it")
        cells = given[names[0]] if names else pd.Series("", given.index)
        text[c.name] = cells.astype(object).map(str).where(cells.notna(), "")
    return text


def escape_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` with a ``'`` before each text and name that a spreadsheet would run as a formula."""

    @cache
    def safe_text(cell: str) -> str:
        return f"'{cell}" if _FORMULA.match(cell) else cell

    def safe(cell: Any) -> Any:
        return safe_text(cell) if isinstance(cell, str) else cell

    texts, escaped = frame.select_dtypes(["object", "string", "category"]), frame.copy()
    escaped[texts.columns] = texts.map(safe)
    return escaped.rename(columns=safe)
