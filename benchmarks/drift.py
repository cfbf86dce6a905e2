"""How soon ``monitor`` finds drift, and how often it sees some where there is none.

Weeks of quotes are drawn from the processed table, with replacement; the reference is drawn for
each year, too, since the rows that a model learned from are themselves a sample::

    python benchmarks/drift.py

prints two tables in about two minutes. Needs a model and a processed table
(``laptop-pricing run``).
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from laptop_pricing.kit.data.table import records
from laptop_pricing.kit.modeling import drift
from laptop_pricing.kit.modeling.bundle import Bundle, load_bundle
from laptop_pricing.kit.modeling.quote import quote_rows
from laptop_pricing.kit.modeling.train import read_processed
from laptop_pricing.kit.project import open_project
from laptop_pricing.kit.serving.monitor import find_drift
from laptop_pricing.model import build_model
from laptop_pricing.problem import PROBLEM

ROOT = Path(__file__).resolve().parent.parent
WEEKS, QUOTES, SIZES = 52, 500, (100, 200, 300, 500)


def more_of_a_brand(rows: pd.DataFrame, some: np.ndarray) -> pd.DataFrame:
    return rows.assign(brand=rows["brand"].mask(some < 0.15, "MSI"))


def more_memory(rows: pd.DataFrame, some: np.ndarray) -> pd.DataFrame:
    return rows.assign(ram_gb=rows["ram_gb"].mask(some < 0.25, 2 * rows["ram_gb"]))


def terabytes(rows: pd.DataFrame, some: np.ndarray) -> pd.DataFrame:
    return rows.assign(hdd=rows["hdd"].mask(some < 0.5, rows["hdd"] // 1024))


def unknown_generation(rows: pd.DataFrame, some: np.ndarray) -> pd.DataFrame:
    return rows.assign(processor_gnrtn=rows["processor_gnrtn"].mask(some < 0.25, "Not Available"))


SHIFTS: dict[str, Callable[[pd.DataFrame, np.ndarray], pd.DataFrame]] = {
    "15 % of the quotes become MSI": more_of_a_brand,
    "a quarter has twice the memory": more_memory,
    "half tells the disk in TB, not GB": terabytes,
    "a quarter loses the generation": unknown_generation,
}


def asked(bundle: Bundle, rows: pd.DataFrame) -> pd.DataFrame:
    """The quotes for some rows, as ``monitor`` reads them from a log."""
    quotes = quote_rows(PROBLEM, bundle, records(rows, PROBLEM.names))
    said = {
        drift.PREDICTION: [quote.prediction for quote in quotes],
        drift.WARNINGS: [bool(quote.warnings) for quote in quotes],
    }
    return rows[list(PROBLEM.names)].assign(**said, sha256=bundle.sha256)


def drifted(bundle: Bundle, learned: pd.DataFrame, quotes: pd.DataFrame, params) -> bool:
    """Whether monitor would raise an alarm, had the model learned from these quotes' rows."""
    known = drift.quantities(PROBLEM, learned, learned[drift.PREDICTION], learned[drift.WARNINGS])
    reference = {"reference": drift.make_reference(known)}
    bundle = replace(bundle, metadata=bundle.metadata | reference)
    return bool(find_drift(PROBLEM, bundle, quotes, params)["drifted"].any())


def main():
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--years", type=int, default=20)
    years = parser.parse_args().years
    project = open_project(PROBLEM, build_model, ROOT)
    params, bundle = project.params.monitor, load_bundle(project.models, PROBLEM)
    table, random = read_processed(project)[0], np.random.default_rng(0)

    def draw(rows, size):
        return rows.iloc[random.integers(len(rows), size=size)]

    whole, alarms = asked(bundle, table), []
    for _ in range(years):
        learned = draw(whole, len(whole))
        weeks = [drifted(bundle, learned, draw(whole, QUOTES), params) for _ in range(WEEKS)]
        alarms.append(sum(weeks))
    print("| years | weeks of 500 quotes | false alarms | share of weeks | wanted |")
    print("|---|---|---|---|---|")
    share = sum(alarms) / (years * WEEKS)
    print(f"| {years} | {years * WEEKS} | {sum(alarms)} | {share:.2%} | below 1 % |\n")
    print(f"| weeks of {WEEKS} in which it is found | {' | '.join(map(str, SIZES))} quotes |")
    print(f"|---{'|---' * len(SIZES)}|")
    for name, shift in SHIFTS.items():
        found = []
        for size in SIZES:
            weeks = [draw(table, size) for _ in range(WEEKS)]
            weeks = [asked(bundle, shift(rows, random.random(size))) for rows in weeks]
            hits = [drifted(bundle, draw(whole, len(whole)), week, params) for week in weeks]
            found.append(str(sum(hits)))
        print(f"| {name} | {' | '.join(found)} |")
    print(f"\nMeasured on {date.today()} by `python benchmarks/drift.py`.")


if __name__ == "__main__":
    main()
