"""Files as found -> tables of text: the raw dataset, or rows to be priced."""

import csv
import re
from pathlib import Path
from typing import Optional

import pandas as pd

from laptop_pricing.data.schema import COLUMNS, ITEM, TARGET, UNIT
from laptop_pricing.errors import UserError

_FORMULA = frozenset("=+-@\t\r\n＝＋－＠")  # how one begins
_SIGNED = re.compile(r"[+-][0-9]*[.,]?[0-9]+(e[+-]?[0-9]+)?", re.IGNORECASE)


def read_csv(path):
    """Read a CSV with every cell as the text that it is.

    Parameters
    ----------
    path : Path
        A UTF-8 file, separated by commas, with a header.

    Returns
    -------
    DataFrame of str
        Rows numbered from 0; surrounding spaces are kept.

    Raises
    ------
    UserError
        If the file is no such table: what was found, what was expected, what to do.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            rows = []
            for row in lines:
                if not row:  # an empty line
                    continue
                if not rows:
                    _check_header(path, row)
                elif len(row) != len(rows[0]):
                    raise UserError(
                        f"{path}: line {lines.line_num} has {len(row)} cells; "
                        f"expected {len(rows[0])} as in the header; mend that line"
                    )
                rows.append(row)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: found a folder; expected a CSV file") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: found byte 0x{error.object[error.start]:02x}; expected UTF-8 text; "
            "save the file as UTF-8"
        ) from None
    except csv.Error as error:
        raise UserError(
            f"{path}: line {lines.line_num}: {error}; expected comma-separated values"
        ) from None
    if not rows:
        raise UserError(f"{path}: the file is empty; expected a CSV with a header")
    header = [name.strip() for name in rows[0]]
    return pd.DataFrame(rows[1:], columns=header, dtype=object)


def _check_header(path, header):
    if header and header[0].lstrip().startswith("<"):
        raise UserError(
            f"{path}: found an HTML page; expected a CSV; is the address that of the raw file?"
        )
    if len(header) == 1:
        for delimiter, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if delimiter in header[0]:
                raise UserError(
                    f"{path}: found cells separated by {name}; expected commas; "
                    "save the file with commas"
                )
    names = [name.strip() for name in header]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise UserError(f"{path}: column found twice: {', '.join(doubled)}; keep one of each")


def read_dataset(path, median_price):
    """Read the raw dataset: a CSV that has exactly the columns of the schema.

    Parameters
    ----------
    path : Path
        The raw file.
    median_price : (float, float)
        Lowest and highest believable median of the target. A file in another currency, or
        another unit, has the same columns and is told by it.

    Returns
    -------
    DataFrame of str, shape (n_rows, len(COLUMNS))
        Named and ordered as COLUMNS; at least one row.

    Raises
    ------
    UserError
        If it is not that file.
    """
    text = read_csv(path)
    expected = [column.raw_name for column in COLUMNS]
    missing = [name for name in expected if name not in text]
    extra = [repr(name) for name in text if name not in expected]
    if missing:
        raise UserError(f"{path}: column missing: {', '.join(missing)}; expected the published CSV")
    if extra:
        raise UserError(f"{path}: column not known: {', '.join(extra)}; remove it")
    if text.empty:
        raise UserError(f"{path}: a header without rows; expected the published CSV")
    text = text[expected]
    text.columns = [column.name for column in COLUMNS]
    _check_median_price(path, text[TARGET], median_price)
    return text


def _check_median_price(path, cells, expected):
    price = next(column for column in COLUMNS if column.name == TARGET)
    prices = cells.map(price.parse).dropna().astype(float)
    if prices.empty:
        raise UserError(f"{path}: no readable {TARGET}; expected {price.rule}")
    median = prices.median()
    low, high = expected
    if not low <= median <= high:
        raise UserError(
            f"{path}: median {TARGET} {median:,.0f}; expected {low:,.0f} to {high:,.0f} {UNIT}; "
            "convert it, or change preprocess.median_price if it is right"
        )


def read_rows(path, columns):
    """Read rows to be priced: CSV or Parquet, raw or clean names and spelling.

    Parameters
    ----------
    path : Path
        File whose name ends in ``.csv`` or ``.parquet``.
    columns : sequence of Column
        The columns that are wanted.

    Returns
    -------
    found : DataFrame
        The file as it is.
    text : DataFrame of str
        The wanted columns under their clean names, defaults filled in where a cell is blank
        or a column is missing.

    Raises
    ------
    UserError
        If the file cannot be read, or lacks a column that has no default.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".csv":
        found = read_csv(path)
    elif suffix == ".parquet":
        found = _read_parquet(path)
    else:
        raise UserError(f"{path}: found {suffix or 'no ending'}; expected .csv or .parquet")
    if found.empty:
        raise UserError(f"{path}: no rows; expected at least one {ITEM}")
    text = {}
    for column in columns:
        known = {column.name.casefold(), column.raw_name.casefold()}
        names = [name for name in found if str(name).strip().casefold() in known]
        if len(names) > 1:
            raise UserError(f"{path}: column found twice: {', '.join(names)}; keep one of them")
        if names:
            cells = found[names[0]].map(_as_text)
        elif column.default is not None:
            cells = pd.Series("", index=found.index)
        else:
            raise UserError(f"{path}: column missing: {column.name} ({column.rule}); add it")
        text[column.name] = fill_default(column, cells)
    return found, pd.DataFrame(text)


def write_csv(table: pd.DataFrame, target: Optional[Path] = None) -> Optional[str]:
    r"""Write a CSV that a spreadsheet can open: what it would take for a formula gets a ``'`` [1]_.

    Numbers stay numbers. Texts are quoted, since a bare ``\r`` in one would begin another line.

    Without a `target` the text is returned.

    References
    ----------
    .. [1] OWASP, "CSV Injection", https://owasp.org/www-community/attacks/CSV_Injection
    """
    texts = table.select_dtypes(["object", "string", "category"])
    safe = table.copy()
    safe[texts.columns] = texts.map(_escaped)
    form = {"index": False, "lineterminator": "\n", "quoting": csv.QUOTE_NONNUMERIC}
    return safe.rename(columns=_escaped).to_csv(target, **form)


def _escaped(cell):
    if isinstance(cell, str) and cell[:1] in _FORMULA and not _SIGNED.fullmatch(cell):
        return f"'{cell}"
    return cell


def _as_text(cell):
    return "" if pd.api.types.is_scalar(cell) and pd.isna(cell) else str(cell)


def _read_parquet(path):
    import pyarrow

    try:
        found = pd.read_parquet(path)
        return found.reset_index(drop=found.index.names == [None])
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (pyarrow.ArrowException, OSError) as error:
        detail = str(error).splitlines()[0]
        raise UserError(f"{path}: not readable as Parquet: {detail}") from None


def fill_default(column, cells):
    """Blank cells become the column's default, where it has one.

    Only for rows to be priced: a dataset's blank cell is an error.
    """
    if column.default is None:
        return cells
    return cells.where(cells.str.strip() != "", column.spell(column.default))
