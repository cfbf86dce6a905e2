"""What can be said about a column: the words in which data/schema.py describes a dataset."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from operator import or_


@dataclass(frozen=True)
class Column:
    """One column of the dataset.

    Parameters
    ----------
    name : str
        Name in the clean table.
    raw_name : str
        Name in the raw file.
    kind : {"category", "integer", "number", "flag"}
        ``category`` is one of `allowed`, ``integer`` and ``number`` lie from `low` to `high`,
        ``flag`` is yes or no.
    description : str
        One line for people.
    unit : str
        Unit of the numbers, as the raw file spells it in the singular.
    allowed : tuple of str
        The categories, spelled as in the raw file.
    low, high : float
        Smallest and largest number, both included.
    words : tuple of (str, int)
        Numbers that the raw file writes out, such as "No warranty" for 0.
    levels : tuple of int
        Of a number that a seller names: the sizes on the market, in ascending order. The model
        learns what each step from one to the next is worth.
    ladders : tuple of tuple of str
        Of a category: its families, each from the least to the best. Together all of `allowed`.
    monotonic : bool
        Whether a step up its levels or ladders never lowers the price.
    default : str, int or bool, optional
        What holds when the seller does not know. None: the seller has to say.
    """

    name: str
    raw_name: str
    kind: str
    description: str
    unit: str = ""
    allowed: tuple = ()
    low: float = 0
    high: float = 0
    words: tuple = ()
    levels: tuple = ()
    ladders: tuple = ()
    monotonic: bool = True
    default: object = None

    @property
    def rule(self):
        """What the column may hold, in words."""
        if self.kind == "category":
            return f"one of {', '.join(self.allowed)}"
        if self.kind == "flag":
            return "Yes or No"
        number = "a whole number" if self.kind == "integer" else "a number"
        plural = "" if self.unit.isupper() else "s"
        unit = f" of {self.unit}{plural}" if self.unit else ""
        return f"{number}{unit} from {self.low} to {self.high}"

    def parse(self, text):
        """Read one cell, raw ("8 GB") or clean ("8"), whatever its case and spaces.

        Parameters
        ----------
        text : str
            The cell.

        Returns
        -------
        str, int, float, bool or None
            The value, which may still lie outside the allowed range; None where the text
            does not say one. Nothing is guessed.
        """
        text = " ".join(text.split()).casefold()
        if self.kind == "category":
            return {value.casefold(): value for value in self.allowed}.get(text)
        if self.kind == "flag":
            return {"yes": True, "true": True, "no": False, "false": False}.get(text)
        for word, value in self.words:
            if text == word.casefold():
                return value
        unit = rf"(?:[ -]?{self.unit.casefold()}s?)?" if self.unit else ""
        digits = r"[+-]?[0-9]{1,9}(?:\.[0-9]+)?(?:e[+-]?[0-9]{1,2})?"
        match = re.fullmatch(rf"({digits}){unit}", text)
        if match is None:
            return None
        if self.kind == "number":
            return float(match[1])
        number = Decimal(match[1])  # exact: a float has no room for 999999999.000000001
        return int(number) if number == int(number) else None

    def read(self, cell):
        """Read one cell: text as for :meth:`parse`, or a value of the column's own kind.

        Parameters
        ----------
        cell : object
            Such as JSON knows them.

        Returns
        -------
        str, int, float, bool or None
            The value; None where the cell is not what the column may hold. Nothing is coerced:
            true is no number, and 1 is not yes.
        """
        value = self.parse(cell) if isinstance(cell, str) else cell
        if self.kind in ("category", "flag"):
            kind = str if self.kind == "category" else bool
            return value if isinstance(value, kind) else None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        if not self.low <= value <= self.high:  # neither is NaN
            return None
        if self.kind == "integer":
            return int(value) if value == int(value) else None
        return float(value)

    def spell(self, value):
        """Write `value` as the raw file does: the inverse of :meth:`parse`."""
        if self.kind == "category":
            return value
        if self.kind == "flag":
            return "Yes" if value else "No"
        for word, number in self.words:
            if value == number:
                return word
        if self.kind == "number" or not self.unit:
            return str(int(value)) if float(value).is_integer() else str(value)
        plural = "" if self.unit.isupper() or value == 1 else "s"
        return f"{value} {self.unit}{plural}"


def category(name, description, allowed, raw_name=None, **more):
    """A column that holds one of a few words."""
    return Column(name, raw_name or name, "category", description, allowed=allowed, **more)


def flag(name, description, raw_name=None, **more):
    """A column of yes and no."""
    return Column(name, raw_name or name, "flag", description, **more)


def integer(name, description, unit, low, high, raw_name=None, **more):
    """A column of whole numbers."""
    ends = {"low": low, "high": high}
    return Column(name, raw_name or name, "integer", description, unit, **ends, **more)


def number(name, description, unit, low, high, raw_name=None, **more):
    """A column of numbers with decimals."""
    ends = {"low": low, "high": high}
    return Column(name, raw_name or name, "number", description, unit, **ends, **more)


def among(values, words):
    """Whether a column's values, or one value, are among `words`."""
    return reduce(or_, (values == word for word in words))


@dataclass(frozen=True)
class RowRule:
    """A rule over several columns of one row.

    Parameters
    ----------
    text : str
        What must hold, or for a contradiction what was found, in words.
    holds : callable
        From a table to a boolean Series, and from one row of plain values to a boolean. So it
        compares, joins by ``&`` and ``|``, and asks :func:`among`; it uses no method.
    """

    text: str
    holds: Callable
