"""Tables of text for a problem: its raw dataset, or rows to be predicted."""

import re
from pathlib import Path
from typing import Any, Optional

import pandas as pd
from pyarrow import ArrowException

from ..errors import UserError
from ..problem import Problem
from .source import open_source, read_csv, reason

# What a spreadsheet runs: it begins so, and is no number (OWASP, "CSV Injection").
_FORMULA = re.compile(r"(?![+-]\d*([.,]?\d+(e[+-]?\d+)?)?\Z)[=+@\t\r\n＝＋－＠-]", re.IGNORECASE)


def read_dataset(
    path: Path, problem: Problem, median_target: Optional[tuple[float, float]]
) -> pd.DataFrame:
    """The raw dataset as text, under clean names; numbers in another unit are told by their median.

    Without `median_target` no median is looked at.
    """
    text, target = read_csv(path), problem.target
    names = {column.raw_name: column.name for column in problem.columns}
    if missing := [name for name in names if name not in text]:
        raise UserError(path, f"column missing: {', '.join(missing)}; expected the dataset")
    if unknown := [repr(name) for name in text if name not in {*names, *problem.left_out}]:
        remedy = "remove it, or name it in left_out of problem.py"
        raise UserError(path, f"column unknown: {', '.join(unknown)}", remedy)
    if text.empty:
        raise UserError(path, "a header without rows; expected the dataset")
    text = text[[*names]].set_axis([*names.values()], axis=1)
    values = {cell: target.parse(cell) for cell in text[target.name].unique()}
    known = text[target.name].map(values).dropna()
    if known.empty:
        raise UserError(path, f"no readable {target.name}; expected {target.rule}")
    if median_target is None:
        return text
    if not target.numeric:
        found = f"is for numbers; {target.name} is a {target.kind}"
        raise UserError("params.yaml: preprocess.median_target", found, "take it out")
    median, (low, high) = known.astype(float).median(), median_target
    if not low <= median <= high:
        found = f"median {target.name} {median:,.6g}; expected {low:,g} to {high:,g} {target.unit}"
        remedy = "convert it, or change preprocess.median_target if it is right"
        raise UserError(path, found, remedy)
    return text


def read_rows(path: Path, problem: Problem) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows to be predicted: the file as it is, and its features as text, which may be blank."""
    try:
        parquet = path.suffix.lower() == ".parquet"  # keeps the types of its other columns
        given = pd.read_parquet(path) if parquet else open_source(path).read()
    except (ArrowException, OSError) as error:
        raise UserError(path, reason(error)) from None
    given = given.reset_index(drop=given.index.names == [None])
    if given.empty:
        raise UserError(path, f"no rows; expected at least one {problem.item}")
    text = pd.DataFrame(index=given.index)
    for c in problem.features:
        known = (c.name.casefold(), c.raw_name.casefold())
        names = [name for name in given if str(name).strip().casefold() in known]
        if len(names) > 1:
            raise UserError(path, f"column found twice: {', '.join(names)}", "keep one of them")
        if not names and not c.optional:
            raise UserError(path, f"column missing: {c.name} ({c.rule})", "add it")
        cells = given[names[0]] if names else pd.Series("", given.index)
        text[c.name] = cells.map(str).where(cells.notna(), "")
    return given, text


def escape_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` with a ``'`` before each text and name that a spreadsheet would run as a formula."""

    def safe(cell: Any) -> Any:
        return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell

    texts, escaped = frame.select_dtypes(["object", "string", "category"]), frame.copy()
    escaped[texts.columns] = texts.map(safe)
    return escaped.rename(columns=safe)
