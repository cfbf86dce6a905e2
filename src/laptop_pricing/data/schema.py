"""COLUMNS: the one vocabulary. Nothing else in the project lists brands or processors.

Each record says how a column is called and spelled in the raw file, what it may hold, and what to
assume when the seller does not know. The checks of the table, the options of ``quote`` and the data
dictionary are made from it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass


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
    default: object = None

    @property
    def rule(self):
        """What the column may hold, in words."""
        if self.kind == "category":
            return f"one of {', '.join(self.allowed)}"
        if self.kind == "flag":
            return "Yes or No"
        number = "a whole number" if self.kind == "integer" else "a number"
        unit = f" of {self.unit}" if self.unit else ""
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
        match = re.fullmatch(rf"([0-9]{{1,9}}(?:\.[0-9]{{1,9}})?){unit}", text)
        if match is None:
            return None
        number = float(match[1])
        if self.kind == "number":
            return number
        return int(number) if number.is_integer() else None

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
        plural = "s" if self.unit in ("year", "star") and value != 1 else ""
        return f"{value} {self.unit}{plural}"


COLUMNS = (
    Column(
        name="brand",
        raw_name="brand",
        kind="category",
        description="Maker of the laptop",
        allowed=("acer", "APPLE", "ASUS", "Avita", "DELL", "HP", "Lenovo", "MSI"),
    ),
    Column(
        name="processor_brand",
        raw_name="processor_brand",
        kind="category",
        description="Maker of the processor",
        allowed=("AMD", "Intel", "M1"),
    ),
    Column(
        name="processor_name",
        raw_name="processor_name",
        kind="category",
        description="Family of the processor",
        allowed=(
            "Celeron Dual",
            "Core i3",
            "Core i5",
            "Core i7",
            "Core i9",
            "M1",
            "Pentium Quad",
            "Ryzen 3",
            "Ryzen 5",
            "Ryzen 7",
            "Ryzen 9",
        ),
    ),
    Column(
        name="processor_gnrtn",
        raw_name="processor_gnrtn",
        kind="category",
        description="Generation of the processor",
        allowed=("4th", "7th", "8th", "9th", "10th", "11th", "12th", "Not Available"),
        default="Not Available",
    ),
    Column(
        name="ram_gb",
        raw_name="ram_gb",
        kind="integer",
        description="Main memory",
        unit="GB",
        low=1,
        high=128,
    ),
    Column(
        name="ram_type",
        raw_name="ram_type",
        kind="category",
        description="Type of the main memory",
        allowed=("DDR3", "DDR4", "DDR5", "LPDDR3", "LPDDR4", "LPDDR4X"),
    ),
    Column(
        name="ssd",
        raw_name="ssd",
        kind="integer",
        description="Solid-state disk, 0 for none",
        unit="GB",
        high=8192,
    ),
    Column(
        name="hdd",
        raw_name="hdd",
        kind="integer",
        description="Hard disk, 0 for none",
        unit="GB",
        high=8192,
    ),
    Column(
        name="os",
        raw_name="os",
        kind="category",
        description="Operating system",
        allowed=("DOS", "Mac", "Windows"),
    ),
    Column(
        name="os_bit",
        raw_name="os_bit",
        kind="category",
        description="Word size of the operating system",
        allowed=("32-bit", "64-bit"),
    ),
    Column(
        name="graphic_card_gb",
        raw_name="graphic_card_gb",
        kind="integer",
        description="Memory of the graphics card, 0 for none of its own",
        unit="GB",
        high=24,
    ),
    Column(
        name="weight",
        raw_name="weight",
        kind="category",
        description="Build of the laptop",
        allowed=("Casual", "Gaming", "ThinNlight"),
    ),
    Column(
        name="warranty",
        raw_name="warranty",
        kind="integer",
        description="Warranty, 0 for none",
        unit="year",
        high=5,
        words=(("No warranty", 0),),
    ),
    Column(
        name="touchscreen",
        raw_name="Touchscreen",
        kind="flag",
        description="Whether the screen takes touches",
    ),
    Column(
        name="msoffice",
        raw_name="msoffice",
        kind="flag",
        description="Whether Microsoft Office is included",
        default=False,
    ),
    Column(
        name="price",
        raw_name="Price",
        kind="number",
        description="Price",
        unit="BRL",
        low=500,
        high=60_000,
    ),
    Column(
        name="rating",
        raw_name="rating",
        kind="integer",
        description="Mean rating by buyers; not known before the sale",
        unit="star",
        low=1,
        high=5,
    ),
    Column(
        name="ratings",
        raw_name="Number of Ratings",
        kind="integer",
        description="How many buyers rated; not known before the sale",
        high=10_000_000,
    ),
    Column(
        name="reviews",
        raw_name="Number of Reviews",
        kind="integer",
        description="How many buyers wrote a review; not known before the sale",
        high=10_000_000,
    ),
)

TARGET = "price"

# What a seller can say about a laptop: the features, and what makes two rows the same laptop.
SPECIFICATION = COLUMNS[:15]
FEATURES = tuple(column.name for column in SPECIFICATION)


@dataclass(frozen=True)
class RowRule:
    """A rule over several columns of one row.

    Parameters
    ----------
    text : str
        What must hold, or for a contradiction what was found, in words.
    holds : callable
        From a table to a boolean Series.
    """

    text: str
    holds: Callable


# A row that breaks one of these cannot be.
ROW_RULES = (
    RowRule("the laptop has an SSD or an HDD", lambda t: (t.ssd > 0) | (t.hdd > 0)),
    RowRule("an APPLE runs Mac", lambda t: (t.brand != "APPLE") | (t.os == "Mac")),
)

# A row for which one of these holds is doubtful: it is kept, and counted.
CONTRADICTIONS = (
    RowRule(
        "Ryzen 7 or 9 with 4 GB of RAM or less",
        lambda t: t.processor_name.isin(["Ryzen 7", "Ryzen 9"]) & (t.ram_gb <= 4),
    ),
    RowRule(
        "M1 with DDR memory or an Intel generation",
        lambda t: (t.processor_name == "M1")
        & (t.ram_type.isin(["DDR3", "DDR4", "DDR5"]) | (t.processor_gnrtn != "Not Available")),
    ),
    RowRule(
        "32-bit system with more than 4 GB of RAM",
        lambda t: (t.os_bit == "32-bit") & (t.ram_gb > 4),
    ),
    RowRule(
        "processor of another maker than it says",
        lambda t: t.processor_brand
        != t.processor_name.map(
            lambda name: {"Ryzen": "AMD", "M1": "M1"}.get(str(name).split(" ")[0], "Intel")
        ),
    ),
)

# Like CONTRADICTIONS, for columns that only the dataset has.
DATASET_CONTRADICTIONS = (
    RowRule("stars without a rating", lambda t: (t.ratings == 0) & (t.rating > 0)),
)
