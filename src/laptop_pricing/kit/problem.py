"""The contract: what a project says about its problem, and how one cell is understood.

A team describes its table once, as a :class:`Problem`. The checks of the table, the REST API, the
command line, the form and the data dictionary are all made from it, and :meth:`Column.read` is the
only place where a cell is read.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from functools import cached_property
from reprlib import Repr
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple, Optional, Union

Value = Union[str, int, float, bool]
Kind = Literal["category", "integer", "number", "flag"]

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60  # characters
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,3})?"
_DIGITS = 40  # a cell with a longer number is not one
_NOTHING = {"", "-", "?", "n/a", "na", "nan", "none", "null", "unknown"}  # unless a column has it


class Refused(Enum):
    """What :meth:`Column.read` gives for a cell that is not what the column may hold."""

    REFUSED = 0


REFUSED = Refused.REFUSED


@dataclass(frozen=True)
class Column:
    """One column of the dataset; :func:`category`, :func:`flag` and so on make one."""

    name: str  # in the clean table
    kind: Kind
    description: str  # for people: a label, and after a comma what else to know
    unit: str = ""  # of the numbers, as the raw file spells it in the singular
    allowed: tuple[str, ...] = ()  # the categories, spelled as in the raw file
    low: float = 0  # the smallest number, and the largest: both are included
    high: float = 0
    words: tuple[tuple[str, int], ...] = ()  # numbers that are written out, such as "None" for 0
    levels: tuple[float, ...] = ()  # the usual sizes, ascending: each step has a worth of its own
    ladders: tuple[tuple[str, ...], ...] = ()  # families of categories, each from least to best
    monotonic: bool = True  # a step up the levels or ladders never lowers the prediction
    default: Optional[Value] = None  # what holds where nothing is said
    unknown: bool = False  # or whether a model learns what nothing means; else it has to be said
    raw_name: str = ""  # in the raw file, where it is another

    def __post_init__(self) -> None:
        object.__setattr__(self, "raw_name", self.raw_name or self.name)

    @property
    def numeric(self) -> bool:
        return self.kind in ("integer", "number")

    @property
    def label(self) -> str:
        """What people call it: its description up to a comma."""
        return self.description.partition(",")[0]

    @property
    def axis(self) -> str:
        """Its label and unit: Age (years)."""
        unit = re.sub("^[a-z]{2,}[a-rt-z]$", r"\g<0>s", self.unit)
        if not unit:
            return self.label
        return f"{self.label[:-1]}, {unit})" if self.label[-1:] == ")" else f"{self.label} ({unit})"

    @property
    def rule(self) -> str:
        """What the column may hold, in words."""
        if self.kind == "category":
            return f"one of {', '.join(self.allowed)}"
        if self.kind == "flag":
            return "Yes or No"
        number = "a whole number" if self.kind == "integer" else "a number"
        plural = "" if self.unit.isupper() else "s"
        unit = f" of {self.unit}{plural}" if self.unit else ""
        return f"{number}{unit} from {self.low} to {self.high}"

    @property
    def optional(self) -> bool:
        """Whether nothing need be said."""
        return self.unknown or self.default is not None

    def read(self, cell: object) -> Union[Value, None, Refused]:
        """Read one cell: text, raw ("8 GB") or clean ("8"), or a value of the column's own kind.

        What says nothing, such as a blank or "n/a", gives the default, or None for unknown. REFUSED
        is what the column may not hold. Nothing is coerced: true is no number.
        """
        value = self.parse(cell) if isinstance(cell, str) else cell
        if value is None and says_nothing(cell):
            return self.default if self.optional else REFUSED
        if self.kind == "category":
            return value if isinstance(value, str) else REFUSED
        if self.kind == "flag":
            return value if isinstance(value, bool) else REFUSED
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return REFUSED
        if not self.low <= value <= self.high:  # nor is NaN
            return REFUSED
        if self.kind == "number":
            return float(value)
        return int(value) if value == int(value) else REFUSED

    def parse(self, text: str) -> Optional[Value]:
        """Read text whatever its case and spaces; the number may lie outside the range."""
        text = " ".join(text.split()).casefold()
        if self.kind == "flag":
            return {"yes": True, "true": True, "no": False, "false": False}.get(text)
        if self.kind == "category" or text in self._spellings:
            return self._spellings.get(text)
        match = self._pattern.fullmatch(text) if len(text) <= _DIGITS else None
        if match is None or self.kind == "number":
            return match and float(match[1])
        value = Decimal(match[1])  # exact, where a float would round a fraction away
        return int(value) if value == int(value) else None

    def spell(self, value: Optional[Value]) -> str:
        """Write `value` as the raw file does: the inverse of :meth:`read`."""
        if value is None:
            return "unknown"
        if self.kind == "category":
            return str(value)
        if self.kind == "flag":
            return "Yes" if value else "No"
        for word, number in self.words:
            if value == number:
                return word
        if self.kind == "number" or not self.unit:
            return str(int(value)) if float(value).is_integer() else str(value)
        plural = "" if self.unit.isupper() or value == 1 else "s"
        return f"{value} {self.unit}{plural}"

    @cached_property
    def _spellings(self) -> dict[str, Value]:
        spelled: dict[str, Value] = {value.casefold(): value for value in self.allowed}
        return spelled | {word.casefold(): value for word, value in self.words}

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        unit = rf"(?:[ -]?{re.escape(self.unit.casefold())}s?)?" if self.unit else ""
        return re.compile(f"({_NUMBER}){unit}", re.ASCII)


def says_nothing(cell: object) -> bool:
    """Whether a cell is blank, or one of the usual words for not known."""
    return cell is None or (isinstance(cell, str) and cell.strip().casefold() in _NOTHING)


def category(name: str, description: str, allowed: Sequence[str], **more: Any) -> Column:
    """A column that holds one of a few words."""
    return Column(name, "category", description, allowed=tuple(allowed), **more)


def flag(name: str, description: str, **more: Any) -> Column:
    """A column of yes and no."""
    return Column(name, "flag", description, **more)


def integer(name: str, description: str, unit: str, low: int, high: int, **more: Any) -> Column:
    """A column of whole numbers."""
    return Column(name, "integer", description, unit, low=low, high=high, **more)


def number(name: str, description: str, unit: str, low: float, high: float, **more: Any) -> Column:
    """A column of numbers with decimals."""
    return Column(name, "number", description, unit, low=low, high=high, **more)


def amount(value: float) -> str:
    """A number of the target as people read it: 12,346, but 5.13."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def among(values: Any, words: Sequence[Value]) -> Any:
    """Whether a column's values, or one value, are among `words`."""
    first, *others = words
    found = values == first
    for word in others:
        found = found | (values == word)
    return found


@dataclass(frozen=True)
class RowRule:
    """A rule over several columns of one row.

    `holds` takes a table and gives a boolean Series, or takes one row of plain values and gives a
    boolean. So it compares, joins by ``&`` and ``|``, and asks :func:`among`; it uses no method.
    What is unknown is NaN to it, which is equal to nothing, and neither less nor more.
    """

    text: str  # what must hold, or for a warning what was found
    holds: Callable[[Any], Any]


class Failure(NamedTuple):
    """What is wrong with a row; `field` is blank where it is the row as a whole."""

    field: str
    found: str
    expected: str

    def __str__(self) -> str:
        if not self.field:
            return f"expected that {self.expected}"
        return f"{self.field}: found {self.found}; expected {self.expected}"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is predicted from what."""

    name: str  # of the project: its command, its registered model
    item: str  # what a row is about, in words
    items: str
    raw_file: str  # in data/raw
    features: tuple[Column, ...]  # known when a prediction is asked for; equal ones make equal rows
    target: Column  # a number; or a flag or category, which makes a classification
    example: Mapping[str, str]  # one case as a person describes it
    slice_by: str  # the feature by which errors are reported; blank: by the target alone
    bands: tuple[float, ...] = (0,)  # lower ends of the target's bands by which they are reported
    errors: Literal["relative", "absolute"] = "relative"  # which count: relative ones ask for a
    # target above zero, and intervals are shares of the prediction; absolute ones suit any number
    bought: bool = False  # whether predictions say what to offer: shows offers at a margin
    caveat: str = ""  # what whoever uses a prediction has to know about the data
    late: tuple[Column, ...] = ()  # in the file, but known only afterwards: never features
    left_out: tuple[str, ...] = ()  # raw names of further columns of the file, which nobody reads
    rules: tuple[RowRule, ...] = ()  # a row that breaks one is set aside
    warnings: tuple[RowRule, ...] = ()  # a row for which one holds is doubtful: kept and counted
    late_warnings: tuple[RowRule, ...] = ()  # the same, about the target or late columns
    words: Mapping[str, str] = field(default_factory=dict)  # the form's translations

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The features' names."""
        return tuple(column.name for column in self.features)

    @cached_property
    def labels(self) -> dict[str, str]:
        """What people call the columns, with units, by name."""
        return {column.name: column.axis for column in self.columns}

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """All columns of the raw file, in its order."""
        return (*self.features, self.target, *self.late)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The classes of a classification, as the raw file spells them; of numbers none."""
        return {"category": self.target.allowed, "flag": ("No", "Yes")}.get(self.target.kind, ())

    @property
    def relative(self) -> bool:
        """Whether an error counts as a share of the actual value."""
        return self.errors == "relative" and self.target.numeric

    @property
    def key_variable(self) -> str:
        """The environment variable that holds the REST API's key."""
        return f"{self.name.upper().replace('-', '_')}_API_KEY"

    @property
    def signing_variable(self) -> str:
        """The environment variable that holds the key by which bundles are signed."""
        return f"{self.name.upper().replace('-', '_')}_SIGNING_KEY"

    def read_row(self, cells: object) -> tuple[dict[str, Any], list[Failure]]:
        """Typed values of all features from text or values by field, and all that is wrong.

        A field that has a default, or may be unknown, may be missing, blank or None.
        """
        if not isinstance(cells, Mapping):
            return {}, [Failure("", _SHORT.repr(cells), "it is an object with one entry per field")]
        row: dict[str, Any] = {}
        failures = []
        for column in self.features:
            cell = cells.get(column.name)
            value = column.read(cell)
            row[column.name] = None if value is REFUSED else value
            if value is REFUSED:
                found = _SHORT.repr(cell) if column.name in cells else "nothing"
                failures.append(Failure(column.name, found, column.rule))
        for name in [name for name in cells if name not in row]:
            known = f"one of {', '.join(row)}"
            failures.append(Failure(_SHORT.repr(name)[1:-1], "an unknown field", known))
        return row, failures or self.broken_rules(row)

    def broken_rules(self, row: Mapping[str, Any]) -> list[Failure]:
        """The rules that a row of typed values breaks."""
        values = _comparable(row)
        return [Failure("", "", rule.text) for rule in self.rules if not rule.holds(values)]

    def doubts(self, row: Mapping[str, Any]) -> list[str]:
        """What is doubtful in a row of typed values, in words."""
        values = _comparable(row)
        return [rule.text for rule in self.warnings if rule.holds(values)]


def _comparable(row: Mapping[str, Any]) -> SimpleNamespace:
    """A row as a rule sees it."""
    if None in row.values():
        nan = float("nan")
        row = {name: nan if value is None else value for name, value in row.items()}
    return SimpleNamespace(**row)
