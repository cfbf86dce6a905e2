"""Text as found -> typed, validated rows, and the cells that broke a rule."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..problem import REFUSED, Column, RowRule

GROUP, KEY = "group", "key"  # columns of the processed table beside those of the problem
_TYPES = {"category": "object", "integer": "int64", "number": "float64", "flag": "bool"}
_UNKNOWN_TYPES = {"integer": "float64", "flag": "boolean"}
_AGAIN = "the header stands once; this row is the header again"


def validate(
    text: pd.DataFrame, columns: Sequence[Column], rules: Sequence[RowRule] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Type every cell of `text`, which is under clean names, and hold every row against the rules.

    Gives the typed rows that break no rule, in order and under their old index; and the failures:
    ``row`` (the index), ``column``, ``value`` (as found) and ``rule`` of every cell that was not
    read, and of every rule that a row of good cells breaks.
    """
    cells, refusals = {}, {}
    for c in columns:
        codes, distinct = pd.factorize(text[c.name], use_na_sentinel=False)
        values = [c.read(cell) for cell in distinct]
        refusals[c.name] = np.array([value is REFUSED for value in values], bool)[codes]
        values = [False if value is REFUSED else value for value in values]  # of any type
        cells[c.name] = pd.Series(values, dtype=_dtype(c)).take(codes).set_axis(text.index)
    refused = pd.DataFrame(refusals, text.index)
    bad = refused[refused.any(axis=1)]
    rows = text.loc[bad.index].astype(object)
    good = pd.DataFrame(cells, text.index).drop(bad.index)
    header = pd.Series(True, rows.index)
    for c in columns:
        words = [c.name, c.raw_name, *([""] if c.optional else [])]
        header &= rows[c.name].str.strip().str.casefold().isin([word.casefold() for word in words])
    lines = [(row, "", "", _AGAIN) for row in rows.index[header]]
    for c in columns:
        cells = rows.loc[bad[c.name] & ~header, c.name]
        lines += [(row, c.name, cell, c.rule) for row, cell in cells.items()]
    for rule in rules if len(good) else ():
        lines += [(row, "", "", rule.text) for row in good.index[~_held(rule, good)]]
    failures = pd.DataFrame(lines, columns=["row", "column", "value", "rule"])
    failures = failures.sort_values(["row", "column"], kind="stable", ignore_index=True)
    return good.drop(index=failures["row"].unique(), errors="ignore"), failures


def by_cell(function: Callable[[Any], Any], cells: pd.Series) -> np.ndarray:
    """What a function gives for each cell; it is asked once about those that are equal."""
    codes, distinct = pd.factorize(cells, use_na_sentinel=False)
    return pd.Series([function(cell) for cell in distinct], dtype=object).to_numpy()[codes]


def _dtype(column: Column) -> str:
    """The type of a column, which holds what is unknown, too."""
    types = _TYPES | _UNKNOWN_TYPES if column.unknown else _TYPES
    return types[column.kind]


def records(table: pd.DataFrame, names: Sequence[str]) -> list[dict[str, Any]]:
    """The rows as :meth:`Problem.read_row` gives them: what is unknown is None."""
    values = table[list(names)].astype(object)
    return values.where(values.notna(), None).to_dict("records")  # type: ignore[return-value]


def features(columns: Sequence[Column], table: pd.DataFrame) -> pd.DataFrame:
    """What a model is fitted on: categories as pandas categoricals, what is unknown as NaN."""
    types: dict[str, Any] = {
        c.name: pd.CategoricalDtype(list(c.allowed)) for c in columns if c.kind == "category"
    }
    types |= {c.name: "float64" for c in columns if c.unknown and c.kind == "flag"}
    return table[[c.name for c in columns]].astype(types)


def doubts(rules: Sequence[RowRule], table: pd.DataFrame) -> dict[str, int]:
    """How many rows of a table each of the rules holds for."""
    return {rule.text: int(_held(rule, table).sum()) for rule in rules}


def _held(rule: RowRule, table: pd.DataFrame) -> pd.Series:
    """For which rows a rule holds; a comparison with what is unknown does not."""
    return rule.holds(table).fillna(False).astype(bool)
