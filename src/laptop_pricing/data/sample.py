"""The built-in synthetic sample: laptops that never existed, in the raw file's own spelling.

It has the real dataset's columns, quirks and rough frequencies, and prices made of factors and
noise. It stands in where the dataset cannot be had, and feeds tests and benchmarks; figures
measured on it say nothing about real laptops.

Only integers are drawn, from NumPy's legacy generator, whose stream is frozen [1]_, so that one
seed gives the same bytes on every Python and system.

References
----------
.. [1] NumPy Enhancement Proposal 19, "Random number generator policy".
"""

import numpy as np
import pandas as pd
from tqdm import tqdm

from laptop_pricing.data.schema import COLUMNS, PROCESSOR_MAKER
from laptop_pricing.files import atomic_path

BLOCK_ROWS = 50_000
SEED = 2025

# Choice: weight. The weights follow the real frequencies, in round numbers.
_BRAND = {
    "ASUS": 30,
    "DELL": 18,
    "Lenovo": 18,
    "HP": 17,
    "acer": 6,
    "MSI": 6,
    "APPLE": 3,
    "Avita": 2,
}
_PROCESSOR = {
    "Core i5": 35,
    "Core i3": 20,
    "Core i7": 13,
    "Ryzen 5": 10,
    "Ryzen 7": 7,
    "Ryzen 3": 4,
    "Ryzen 9": 3,
    "Celeron Dual": 4,
    "Pentium Quad": 3,
    "Core i9": 1,
}
_GENERATION = {"11th": 53, "10th": 32, "8th": 7, "Not Available": 5, "7th": 1, "9th": 1, "12th": 1}
_RAM = {8: 52, 4: 27, 16: 20, 32: 1}
_RAM_TYPE = {"DDR4": 86, "LPDDR4X": 7, "LPDDR4": 3, "LPDDR3": 2, "DDR5": 1, "DDR3": 1}
_STORAGE = {(512, 0): 47, (256, 0): 17, (0, 1024): 14, (1024, 0): 12, (256, 1024): 5, (0, 512): 5}
_GRAPHICS = {0: 70, 4: 16, 2: 8, 6: 4, 8: 2}
_WEIGHT = {"Casual": 65, "ThinNlight": 35}
_WARRANTY = {1: 62, 0: 34, 2: 3, 3: 1}
_STARS = {4: 77, 3: 17, 5: 3, 2: 2, 1: 1}

# Price factors, in thousandths of the base price.
_BASE_BRL = 2_700
_FACTORS = {
    "brand": {"APPLE": 1600, "MSI": 1150, "DELL": 1080, "HP": 1030, "Avita": 800, "acer": 950},
    "processor_name": {
        "Celeron Dual": 620,
        "Pentium Quad": 720,
        "Core i3": 900,
        "Ryzen 3": 900,
        "Core i5": 1250,
        "Ryzen 5": 1200,
        "M1": 1500,
        "Core i7": 1650,
        "Ryzen 7": 1550,
        "Ryzen 9": 2100,
        "Core i9": 2500,
    },
    "ram_gb": {4: 850, 16: 1350, 32: 1900},
    "ssd": {256: 1050, 512: 1150, 1024: 1400},
    "graphic_card_gb": {2: 1080, 4: 1150, 6: 1300, 8: 1500},
    "weight": {"ThinNlight": 1060, "Gaming": 1120},
    "touchscreen": {True: 1080},
    "msoffice": {True: 1030},
    "warranty": {1: 1020, 2: 1060, 3: 1090},
}


def write_sample(path, rows, seed=SEED):
    """Write a sample of `rows` laptops as CSV, in memory that does not grow with them.

    Parameters
    ----------
    path : Path
    rows : int
        From 1 to 10 million and beyond.
    seed : int, optional
        Another seed, other laptops.
    """
    blocks = -(-rows // BLOCK_ROWS)
    with atomic_path(path) as part, open(part, "w", encoding="utf-8", newline="") as file:
        progress = tqdm(sample_blocks(rows, seed), "Sample", blocks, disable=None, leave=False)
        for i, block in enumerate(progress):
            block.to_csv(file, index=False, header=i == 0, lineterminator="\n")


def sample_blocks(rows, seed=SEED):
    """The sample in blocks.

    Parameters
    ----------
    rows : int
    seed : int, optional

    Yields
    ------
    DataFrame of str, shape (up to BLOCK_ROWS, 19)
        Raw names and spelling.
    """
    random = np.random.RandomState(seed)
    for start in range(0, rows, BLOCK_ROWS):
        table = _block(random, min(BLOCK_ROWS, rows - start))
        yield pd.DataFrame({c.raw_name: _spell(c, table[c.name]) for c in COLUMNS})


def _block(random, rows):
    def chance(percent):
        return random.randint(0, 100, rows, dtype=np.int64) < percent

    def draw(weights):
        bounds = np.cumsum(list(weights.values()))
        drawn = random.randint(0, bounds[-1], rows, dtype=np.int64)
        return pd.Series(list(weights)).take(np.searchsorted(bounds, drawn, side="right")).array

    t = pd.DataFrame({"brand": draw(_BRAND), "processor_name": draw(_PROCESSOR)})
    apple = t["brand"] == "APPLE"
    t["processor_name"] = t["processor_name"].mask(apple, "M1").mask(apple & chance(15), "Core i5")
    t["processor_brand"] = t["processor_name"].map(PROCESSOR_MAKER)
    unknown = (t["processor_brand"] == "AMD") & chance(95)
    t["processor_gnrtn"] = pd.Series(draw(_GENERATION)).mask(unknown, "Not Available")
    small = t["processor_name"].isin(["Celeron Dual", "Pentium Quad"])
    t["ram_gb"] = pd.Series(draw(_RAM)).mask(small, 4)
    t["ram_type"] = draw(_RAM_TYPE)
    storage = pd.Series(draw(_STORAGE))
    t["ssd"], t["hdd"] = storage.str[0].astype("int64"), storage.str[1].astype("int64")
    t["os"] = pd.Series("Windows", t.index).mask(chance(2), "DOS").mask(apple, "Mac")
    t["os_bit"] = pd.Series("64-bit", t.index).mask(chance(13) & ~apple, "32-bit")
    t["graphic_card_gb"] = pd.Series(draw(_GRAPHICS)).mask(small | apple, 0)
    gaming = (t["graphic_card_gb"] >= 4) & chance(25)
    t["weight"] = pd.Series(draw(_WEIGHT)).mask(gaming, "Gaming")
    t["warranty"] = draw(_WARRANTY)
    t["touchscreen"], t["msoffice"] = chance(12), chance(34)

    # One laptop in four is listed again, by another seller at another price.
    again = np.arange(rows)
    earlier = random.randint(0, rows, rows, dtype=np.int64)
    t = t.iloc[np.where(chance(22), earlier, again)].reset_index(drop=True)
    t["price"] = _price(random, t)
    t["rating"] = draw(_STARS)
    t["ratings"] = random.randint(0, 60, rows, dtype=np.int64) ** 2 // 4
    unrated = chance(30)
    t.loc[unrated, ["rating", "ratings"]] = [3, 0]
    t["reviews"] = t["ratings"] // 8

    # A few rows are there twice, price and all.
    twice = np.where(chance(2), np.maximum(again - 1, 0), again)
    return t.iloc[twice].reset_index(drop=True)


def _price(random, t):
    price = np.full(len(t), _BASE_BRL * 1000, dtype=np.int64)
    for name, factors in _FACTORS.items():
        price = price * t[name].map(factors).fillna(1000).to_numpy(np.int64) // 1000
    noise = sum(random.randint(0, 161, len(t), dtype=np.int64) for _ in range(4))
    return np.clip(price * (680 + noise) // 1_000_000, 600, 55_000)


def _spell(column, values):
    return values.map({value: column.spell(value) for value in values.unique()})
