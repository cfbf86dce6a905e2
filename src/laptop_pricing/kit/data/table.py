"""Text as found -> typed, validated rows, and the cells that broke a rule."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..problem import Column, RowRule

GROUP, KEY = "group", "key"  # columns of the processed table beside those of the problem
_TYPES = {"category": "object", "integer": "int64", "number": "float64", "flag": "bool"}
_AGAIN = "the header stands once; this row is the header again"


def validate(
    text: pd.DataFrame, columns: Sequence[Column], rules: Sequence[RowRule] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Type every cell of `text`, which is under clean names, and hold every row against the rules.

    Gives the typed rows that break no rule, in order and under their old index; and the failures:
    ``row`` (the index), ``column``, ``value`` (as found) and ``rule`` of every cell that was not
    read, and of every rule that a row of good cells breaks.
    """
    typed = pd.DataFrame({c.name: _read_cells(c, text[c.name]) for c in columns}, text.index)
    bad = typed.isna()
    headers = _headers(text[bad.any(axis=1)], columns)
    lines = [(row, "", "", _AGAIN) for row in headers]
    for c in columns:
        cells = text.loc[bad[c.name], c.name].drop(headers)
        lines += [(row, c.name, cell, c.rule) for row, cell in cells.items()]
    good = typed.dropna().astype({c.name: _TYPES[c.kind] for c in columns})
    for rule in rules if len(good) else ():
        lines += [(row, "", "", rule.text) for row in good.index[~rule.holds(good)]]
    failures = pd.DataFrame(lines, columns=["row", "column", "value", "rule"])
    failures = failures.sort_values(["row", "column"], kind="stable", ignore_index=True)
    return good.drop(index=failures["row"].unique(), errors="ignore"), failures


def _read_cells(column: Column, cells: pd.Series) -> np.ndarray:
    codes, distinct = pd.factorize(cells)
    values = np.empty(len(distinct), dtype=object)
    values[:] = [column.read(cell) for cell in distinct]
    return values[codes]


def _headers(text: pd.DataFrame, columns: Sequence[Column]) -> pd.Index:
    """The rows that repeat the header, by raw or clean names."""
    again = pd.Series(True, text.index)
    for c in columns:
        words = [c.name, c.raw_name, *([] if c.default is None else [c.spell(c.default)])]
        again &= text[c.name].str.strip().str.casefold().isin([word.casefold() for word in words])
    return text.index[again]


def features(columns: Sequence[Column], table: pd.DataFrame) -> pd.DataFrame:
    """What a model is fitted on: the features, categories as pandas categoricals."""
    kinds = {c.name: pd.CategoricalDtype(list(c.allowed)) for c in columns if c.kind == "category"}
    return table[[c.name for c in columns]].astype(kinds)


def doubts(rules: Sequence[RowRule], table: pd.DataFrame) -> dict[str, int]:
    """How many rows of a table each of the rules holds for."""
    return {rule.text: int(rule.holds(table).sum()) for rule in rules}
