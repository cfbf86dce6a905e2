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
        decimals = r"(?:\.0+)?" if self.kind == "integer" else r"(?:\.[0-9]+)?"
        match = re.fullmatch(rf"([0-9]{{1,9}}{decimals}){unit}", text)
        if match is None:
            return None
        return int(float(match[1])) if self.kind == "integer" else float(match[1])

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


def _category(name, description, allowed, **more):
    return Column(
        name, more.pop("raw_name", name), "category", description, allowed=allowed, **more
    )


def _integer(name, description, unit, low, high, **more):
    raw_name = more.pop("raw_name", name)
    return Column(name, raw_name, "integer", description, unit, low=low, high=high, **more)


def _flag(name, description, **more):
    return Column(name, more.pop("raw_name", name), "flag", description, **more)


_BRANDS = ("acer", "APPLE", "ASUS", "Avita", "DELL", "HP", "Lenovo", "MSI")
_INTEL = ("Celeron Dual", "Pentium Quad", "Core i3", "Core i5", "Core i7", "Core i9")
_AMD = ("Ryzen 3", "Ryzen 5", "Ryzen 7", "Ryzen 9")
_GENERATIONS = ("4th", "7th", "8th", "9th", "10th", "11th", "12th", "Not Available")
_RAM_TYPES = ("DDR3", "DDR4", "DDR5", "LPDDR3", "LPDDR4", "LPDDR4X")
PROCESSOR_MAKER = dict.fromkeys(_INTEL, "Intel") | dict.fromkeys(_AMD, "AMD") | {"M1": "M1"}
_MANY = 10_000_000

# What a seller can say about a laptop: the features, and what makes two rows the same laptop.
# fmt: off
SPECIFICATION = (
    _category("brand", "Maker of the laptop", _BRANDS),
    _category("processor_brand", "Maker of the processor", ("AMD", "Intel", "M1")),
    _category("processor_name", "Family of the processor", (*_INTEL, *_AMD, "M1"),
              ladders=(_INTEL, _AMD, ("M1",))),
    _category("processor_gnrtn", "Generation of the processor", _GENERATIONS,
              default="Not Available"),
    _integer("ram_gb", "Main memory", "GB", 1, 128, levels=(4, 8, 16, 32)),
    _category("ram_type", "Type of the main memory", _RAM_TYPES),
    _integer("ssd", "Solid-state disk, 0 for none", "GB", 0, 8192,
             levels=(0, 128, 256, 512, 1024, 2048)),
    _integer("hdd", "Hard disk, 0 for none", "GB", 0, 8192, levels=(0, 512, 1024, 2048)),
    _category("os", "Operating system", ("DOS", "Mac", "Windows")),
    _category("os_bit", "Word size of the operating system", ("32-bit", "64-bit")),
    _integer("graphic_card_gb", "Memory of the graphics card, 0 for none of its own", "GB", 0, 24,
             levels=(0, 2, 4, 6, 8)),
    _category("weight", "Build of the laptop", ("Casual", "Gaming", "ThinNlight")),
    _integer("warranty", "Warranty, 0 for none", "year", 0, 5, words=(("No warranty", 0),),
             levels=(0, 1, 2, 3)),
    _flag("touchscreen", "Whether the screen takes touches", raw_name="Touchscreen"),
    _flag("msoffice", "Whether Microsoft Office is included", default=False),
)
_PRICE = Column("price", "Price", "number", "Price", "BRL", low=500, high=60_000)
# The raw file has these columns and no others.
COLUMNS = (
    *SPECIFICATION,
    _PRICE,
    _integer("rating", "Mean rating by buyers, not known before the sale", "star", 1, 5),
    _integer("ratings", "Buyers who rated, not known before the sale", "", 0, _MANY,
             raw_name="Number of Ratings"),
    _integer("reviews", "Buyers who wrote, not known before the sale", "", 0, _MANY,
             raw_name="Number of Reviews"),
)
# fmt: on

RAW_FILE = "laptop-price-brl.csv"
FEATURES = tuple(column.name for column in SPECIFICATION)
TARGET, UNIT = _PRICE.name, _PRICE.unit
ITEM, ITEMS = "laptop", "laptops"  # what a row is about, in words

# Errors are reported by band of the target, from each of these to the next, and by this field.
BANDS = (0, 2_500, 4_000, 6_000, 10_000, 15_000)
SLICED_BY = "brand"

# What whoever uses a prediction has to know about the data.
CAVEAT = (
    "The prices look like converted list prices of new laptops (INR x 0.067), not like second-hand "
    "purchases."
)

# One laptop, as a person describes it.
EXAMPLE = {
    "brand": "dell",
    "processor_brand": "intel",
    "processor_name": "core i5",
    "ram_gb": "8",
    "ram_type": "ddr4",
    "ssd": "512",
    "hdd": "0",
    "os": "windows",
    "os_bit": "64-bit",
    "graphic_card_gb": "0",
    "weight": "casual",
    "warranty": "1",
    "touchscreen": "no",
}


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
        lambda t: t.processor_brand != t.processor_name.map(PROCESSOR_MAKER),
    ),
)

# Like CONTRADICTIONS, for columns that only the dataset has.
DATASET_CONTRADICTIONS = (
    RowRule("stars without a rating", lambda t: (t.ratings == 0) & (t.rating > 0)),
)
