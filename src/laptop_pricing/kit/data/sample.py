"""A synthetic sample of any problem, in the raw file's own spelling; the same bytes everywhere."""

import math
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import UserError
from ..files import atomic_path
from ..problem import Column, Problem, Value

BLOCK_ROWS = 50_000
SEED = 2025
Draw = Callable[..., Any]  # (high, shape): integers below `high`, from a frozen stream (NEP 19)


def write_sample(problem: Problem, path: Path, rows: int, seed: int = SEED) -> None:
    """Write `rows` made-up items as CSV, in memory that does not grow with them."""
    with atomic_path(path) as part, open(part, "w", encoding="utf-8", newline="") as file:
        for i, block in enumerate(sample_blocks(problem, rows, seed)):
            block.to_csv(file, index=False, header=i == 0, lineterminator="\n")


def sample_blocks(problem: Problem, rows: int, seed: int = SEED) -> Iterator[pd.DataFrame]:
    """The sample in blocks of text, of up to BLOCK_ROWS rows, under raw names."""
    draw: Draw = partial(np.random.RandomState(seed).randint, 0, dtype=np.int64)
    for start in range(0, rows, BLOCK_ROWS):
        size = min(BLOCK_ROWS, rows - start)
        table, here = _cases(draw, problem, size), np.arange(size)
        # One case in four is listed again at another target; a few rows are there twice, whole.
        earlier = draw(size, size)
        table = table.take(np.where(draw(100, size) < 22, earlier, here))
        table[problem.target.name] = _targets(draw, problem, table)
        for column in problem.late:
            table[column.name] = _choose(draw, column, size)
        table = table.take(np.maximum(here - (draw(100, size) < 2), 0)).reset_index(drop=True)
        yield pd.DataFrame({c.raw_name: table[c.name].map(cache(c.spell)) for c in problem.columns})


def _cases(draw: Draw, problem: Problem, rows: int) -> pd.DataFrame:
    """Typed features: rows that keep the rules, nearly all without a doubt."""
    size, drawn = max(rows, 1000), pd.DataFrame()
    for _ in range(300):
        cells = {c.name: _choose(draw, c, size) for c in problem.features}
        # Typed as some: pandas 3 reads words as its own type, in which unknown is NaN.
        table = pd.DataFrame({n: pd.Series(some, dtype=some.dtype) for n, some in cells.items()})
        doubtful = np.any([rule.holds(table) for rule in problem.warnings], axis=0)
        good = np.all([rule.holds(table) for rule in problem.rules], axis=0)
        drawn = pd.concat([drawn, table[good & (~doubtful | (draw(100, size) < 2))]])
        if len(drawn) >= rows:
            return drawn.head(rows)
    raise UserError("problem.py: rules, warnings", "hardly a row drawn at random keeps them all")


def _choose(draw: Draw, column: Column, rows: int) -> np.ndarray:
    """Values of a column; those of a category are the rarer the later they stand."""
    values = _values(column)
    bounds = np.cumsum(np.arange(len(values), 0, -1) ** (0 if column.numeric else 1))
    places = np.searchsorted(bounds, draw(bounds[-1], rows), side="right")
    chosen = np.array(values, object if column.kind == "category" else None)[places]
    if column.unknown:
        chosen = chosen.astype(object)
        chosen[draw(100, rows) < 5] = None
    return chosen


def _values(column: Column) -> list[Value]:
    if not column.numeric:
        return list(column.allowed) or [False, True]
    between = [float(f"{n:.4g}") for n in np.linspace(column.low, column.high, 12)[1:-1]]
    numbers = column.levels or (column.low, *between, column.high)
    return sorted({int(n) if column.kind == "integer" else float(n) for n in numbers})


def _targets(draw: Draw, problem: Problem, table: pd.DataFrame) -> np.ndarray:
    """An effect for each value of each feature, in thousandths, and 10 % noise.

    The product of all, or for absolute errors the sum; classes part the sum, by equally many rows.
    """
    truth: Draw = partial(np.random.RandomState(SEED).randint, 0, dtype=np.int64)  # for all seeds
    target = problem.target
    low = max(target.low, target.high / 1000) if problem.relative else target.low
    span, count = target.high - low or 1, len(problem.features)
    width = int(1000 * (target.high / low) ** (1 / count)) - 1000 if problem.relative else 1000
    product = np.full(len(table), 1_000_000, dtype=np.int64)
    total = np.zeros(len(table), dtype=np.int64)
    for column in problem.features:
        values = _values(column)
        factors = 1000 + truth(width + 1, len(values))
        for ladder in column.ladders or ([values] if column.numeric else []):
            places = [values.index(value) for value in ladder]
            factors[places] = np.sort(factors[places])[:: 1 if column.monotonic else -1]
        here = table[column.name].map(dict(zip(values, factors))).fillna(1000)
        here = here.to_numpy(np.int64)
        product, total = product * here // 1000, total + here - 1000
    noise = draw(161, (4, len(table))).sum(axis=0)
    sums = total // count + (noise - 320) // 2
    if problem.classes:
        values, ranks = _values(target), np.argsort(np.argsort(sums, kind="stable"))
        return np.array(values, object)[ranks * len(values) // len(ranks)]
    decimals = max(0, 2 - math.floor(math.log10(low if problem.relative else span)))
    if problem.relative:
        exact = low * (product * (680 + noise) // 1000) / 1_000_000
    else:
        exact = low + span * sums / 1000
    rounded = np.clip(exact.round(decimals), target.low, target.high)
    return rounded.astype(np.int64 if target.kind == "integer" else float)
