"""One row to be priced, as a person types it or as JSON says it -> typed, checked values."""

from types import SimpleNamespace
from typing import NamedTuple

from laptop_pricing.data.schema import CONTRADICTIONS, ROW_RULES, SPECIFICATION

_LONGEST = 60  # characters of what was found


class Failure(NamedTuple):
    """What is wrong with a row.

    Parameters
    ----------
    field : str
        Blank where it is the row as a whole.
    found, expected : str
        In words.
    """

    field: str
    found: str
    expected: str

    def __str__(self):
        if not self.field:
            return f"expected that {self.expected}"
        return f"{self.field}: found {self.found}; expected {self.expected}"


def read_row(cells):
    """Read a row and hold it against the schema.

    Parameters
    ----------
    cells : dict
        Text or values by field. A field that has a default may be missing, blank or None.

    Returns
    -------
    row : dict
        Typed values of all fields, to be used if there is no failure.
    failures : list of Failure
        All of them.
    """
    if not isinstance(cells, dict):
        return {}, [Failure("", _shown(cells), "it is an object with one entry per field")]
    row, failures = {}, []
    for column in SPECIFICATION:
        cell = cells.get(column.name)
        blank = cell is None or (isinstance(cell, str) and not cell.strip())
        row[column.name] = column.default if blank else column.read(cell)
        if row[column.name] is None:
            found = _shown(cell) if column.name in cells else "nothing"
            failures.append(Failure(column.name, found, column.rule))
    for name in cells.keys() - row.keys():
        failures.append(Failure(_shown(name)[1:-1], "an unknown field", f"one of {', '.join(row)}"))
    if not failures:
        values = SimpleNamespace(**row)
        broken = (rule.text for rule in ROW_RULES if not rule.holds(values))
        failures = [Failure("", "", text) for text in broken]
    return row, failures


def contradictions(row):
    """What is doubtful in a row, in words."""
    values = SimpleNamespace(**row)
    return [rule.text for rule in CONTRADICTIONS if rule.holds(values)]


def _shown(found):
    shown = repr(found)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
