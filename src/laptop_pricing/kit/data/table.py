"""Text as found -> typed, validated rows, and the cells that broke a rule."""

from collections.abc import Sequence

import pandas as pd

from ..problem import Column, RowRule

GROUP, KEY = "group", "key"  # columns of the processed table beside those of the problem
_TYPES = {"category": "object", "integer": "int64", "number": "float64", "flag": "bool"}


def validate(
    text: pd.DataFrame, columns: Sequence[Column], rules: Sequence[RowRule] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Type every cell, and hold every row against the rules.

    Parameters
    ----------
    text
        Cells as found, under the columns' clean names.

    Returns
    -------
    table
        The rows that break no rule, typed, in order and under their old index.
    failures
        ``row`` (the index in `text`), ``column``, ``value`` (as found), ``rule``: one line for
        every cell that was not read, and for every rule that a row of good cells breaks.
    """
    typed = pd.DataFrame({c.name: _read_cells(c, text[c.name]) for c in columns})
    lines = [
        (row, c.name, text.at[row, c.name], c.rule)
        for c in columns
        for row in typed.index[typed[c.name].isna()]
    ]
    good = typed.dropna().astype({c.name: _TYPES[c.kind] for c in columns})
    broken = {rule.text: good.index[~rule.holds(good)] for rule in rules} if len(good) else {}
    lines += [(row, "", "", rule) for rule, rows in broken.items() for row in rows]
    failures = pd.DataFrame(lines, columns=["row", "column", "value", "rule"])
    failures = failures.sort_values(["row", "column"], kind="stable", ignore_index=True)
    return good.drop(index=failures["row"].unique(), errors="ignore"), failures


def _read_cells(column: Column, cells: pd.Series) -> pd.Series:
    values = {cell: column.read(cell) for cell in cells.unique()}
    return cells.map(values).astype(object)


def features(columns: Sequence[Column], table: pd.DataFrame) -> pd.DataFrame:
    """What a model is fitted on: the features, categories as pandas categoricals.

    Returns
    -------
    DataFrame, shape (n_rows, n_features)
    """
    kinds = {c.name: pd.CategoricalDtype(list(c.allowed)) for c in columns if c.kind == "category"}
    return table[[c.name for c in columns]].astype(kinds)


def doubts(rules: Sequence[RowRule], table: pd.DataFrame) -> dict[str, int]:
    """How many rows of a table each of the rules holds for."""
    return {rule.text: int(rule.holds(table).sum()) for rule in rules}
