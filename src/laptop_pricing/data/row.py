"""One row to be priced, as a person types it or as JSON says it -> typed, checked values."""

from reprlib import Repr
from types import SimpleNamespace
from typing import NamedTuple

from laptop_pricing.data.schema import CONTRADICTIONS, ROW_RULES, SPECIFICATION

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60  # characters


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
        return {}, [Failure("", _SHORT.repr(cells), "it is an object with one entry per field")]
    row, failures = {}, []
    for column in SPECIFICATION:
        cell = cells.get(column.name)
        blank = cell is None or (isinstance(cell, str) and not cell.strip())
        row[column.name] = column.default if blank else column.read(cell)
        if row[column.name] is None:
            found = _SHORT.repr(cell) if column.name in cells else "nothing"
            failures.append(Failure(column.name, found, column.rule))
    for name in [name for name in cells if name not in row]:
        shown = _SHORT.repr(name)[1:-1]
        failures.append(Failure(shown, "an unknown field", f"one of {', '.join(row)}"))
    if not failures:
        values = SimpleNamespace(**row)
        broken = (rule.text for rule in ROW_RULES if not rule.holds(values))
        failures = [Failure("", "", text) for text in broken]
    return row, failures


def contradictions(row):
    """What is doubtful in a row, in words."""
    values = SimpleNamespace(**row)
    return [rule.text for rule in CONTRADICTIONS if rule.holds(values)]
