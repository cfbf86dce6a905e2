"""Files as found -> tables of text: the raw dataset, or rows to be predicted."""

import csv
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import UserError
from ..problem import Column, Problem

_FORMULA = r"^([=+@\t\r]|-[^\d.])"  # a spreadsheet runs what begins so; a negative number is none


def read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV (UTF-8, commas, a header) with every cell as the text that it is.

    The csv module alone refuses a line with too few cells and a quote that never ends.

    Raises
    ------
    UserError
        If the file is no such table.
    """
    rows = []
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            for row in filter(None, lines):  # no empty lines
                if rows and len(row) != len(rows[0]):
                    found = f"found {len(row)} cells; expected {len(rows[0])} as in the header"
                    raise UserError(f"{path}: line {lines.line_num}", found, "correct that line")
                rows.append(row)
    except UnicodeDecodeError as error:
        byte = f"found byte 0x{error.object[error.start]:02x}; expected UTF-8 text"
        raise UserError(path, byte, "save the file as UTF-8") from None
    except OSError as error:
        raise UserError(path, _why(error)) from None
    except csv.Error as error:
        raise UserError(f"{path}: line {lines.line_num}", f"not readable as CSV: {error}") from None
    if not rows:
        raise UserError(path, "the file is empty; expected a CSV with a header")
    header = [name.strip() for name in rows[0]]
    _refuse_twice(path, header)
    return pd.DataFrame(rows[1:], columns=header, dtype=object)


def _why(error: OSError) -> str:
    return "no such file" if isinstance(error, FileNotFoundError) else f"{error.strerror or error}"


def _refuse_twice(path: Path, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(path, f"column found twice: {', '.join(twice)}", "keep one of each")


def read_dataset(path: Path, problem: Problem, median_target: tuple[float, float]) -> pd.DataFrame:
    """Read the raw dataset: a CSV that has exactly the columns of the problem.

    Parameters
    ----------
    median_target
        Lowest and highest believable median of the target. A file in another unit has the same
        columns and is told by it.

    Returns
    -------
    DataFrame of str
        Columns under their clean names, in the problem's order; at least one row.

    Raises
    ------
    UserError
        If it is not that file.
    """
    text = read_csv(path)
    expected = [column.raw_name for column in problem.columns]
    missing = [name for name in expected if name not in text]
    unknown = [repr(name) for name in text if name not in expected]
    if missing:
        raise UserError(path, f"column missing: {', '.join(missing)}; found {_list(text)}")
    if unknown:
        raise UserError(path, f"column unknown: {', '.join(unknown)}", "remove it")
    if text.empty:
        raise UserError(path, "a header without rows; expected the dataset")
    text = text[expected].set_axis([column.name for column in problem.columns], axis=1)
    target = problem.target
    cells = text[target.name]
    values = cells.map({cell: target.parse(cell) for cell in cells.unique()}).dropna()
    if values.empty:
        raise UserError(path, f"no readable {target.name}; expected {target.rule}")
    median, (low, high) = values.astype(float).median(), median_target
    if not low <= median <= high:
        raise UserError(
            path,
            f"median {target.name} {median:,.6g}; expected {low:,g} to {high:,g} {target.unit}",
            "convert it, or change preprocess.median_target if it is right",
        )
    return text


def _list(text: pd.DataFrame) -> str:
    names = ", ".join(map(repr, text.columns))
    return names if len(names) <= 80 else names[:80] + " ..."


def read_rows(path: Path, problem: Problem) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read rows to be predicted: CSV or Parquet, raw or clean names and spelling.

    Returns
    -------
    given
        The file as it is.
    text : DataFrame of str
        The features under their clean names; the default where a cell is blank or a column missing.

    Raises
    ------
    UserError
        If the file cannot be read, or lacks a column that has no default.
    """
    path = Path(path)
    readers = {".csv": read_csv, ".parquet": _read_parquet}
    ending = path.suffix.lower()
    if ending not in readers:
        raise UserError(path, f"found {ending or 'no ending'}; expected .csv or .parquet")
    given = readers[ending](path)
    if given.empty:
        raise UserError(path, f"no rows; expected at least one {problem.item}")
    text = {column.name: _cells(path, given, column) for column in problem.features}
    return given, pd.DataFrame(text)


def _cells(path: Path, given: pd.DataFrame, column: Column) -> pd.Series:
    known = {column.name.casefold(), column.raw_name.casefold()}
    names = [name for name in given if str(name).strip().casefold() in known]
    if len(names) > 1:
        raise UserError(path, f"column found twice: {', '.join(names)}", "keep one of them")
    if not names and column.default is None:
        raise UserError(path, f"column missing: {column.name} ({column.rule})", "add it")
    cells = given[names[0]].map(_as_text) if names else pd.Series("", index=given.index)
    if column.default is None:
        return cells
    return cells.where(cells.str.strip() != "", column.spell(column.default))


def _as_text(cell: Any) -> str:
    return "" if pd.api.types.is_scalar(cell) and pd.isna(cell) else str(cell)


def _read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow

    try:
        given = pd.read_parquet(path)
    except FileNotFoundError:
        raise UserError(path, "no such file") from None
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(path, f"not readable as Parquet: {str(error).splitlines()[0]}") from None
    return given.reset_index(drop=given.index.names == [None])


def escape_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` with a ``'`` before each text that a spreadsheet would run as a formula."""
    text = {name: frame[name].replace(_FORMULA, r"'\1", regex=True) for name in frame}
    return frame.assign(**text)
