"""A synthetic sample of any problem, in the raw file's own spelling.

It stands in where the dataset cannot be had, and feeds tests and benchmarks; figures measured on
it say nothing about the real thing. Only integers are drawn, from NumPy's legacy generator, whose
stream is frozen [1]_, so that one seed gives the same bytes on every Python and system.

References
----------
.. [1] NumPy Enhancement Proposal 19, "Random number generator policy".
"""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from ..errors import UserError
from ..files import atomic_path
from ..problem import Column, Problem

BLOCK_ROWS = 50_000
SEED = 2025
_ROUNDS = 300  # of drawing, until the rows that keep all rules are enough
_SPREAD = 12  # values of a number without levels


def write_sample(problem: Problem, path: Path, rows: int, seed: int = SEED) -> None:
    """Write `rows` made-up items as CSV, in memory that does not grow with them."""
    blocks = sample_blocks(problem, rows, seed)
    with atomic_path(path) as part, open(part, "w", encoding="utf-8", newline="") as file:
        progress = tqdm(blocks, "Sample", -(-rows // BLOCK_ROWS), disable=None, leave=False)
        for i, block in enumerate(progress):
            block.to_csv(file, index=False, header=i == 0, lineterminator="\n")


def sample_blocks(problem: Problem, rows: int, seed: int = SEED) -> Iterator[pd.DataFrame]:
    """The sample in blocks of text, of up to BLOCK_ROWS rows, under raw names.

    Raises
    ------
    UserError
        If hardly a row keeps the problem's rules.
    """
    random = np.random.RandomState(seed)
    values = {c.name: _values(c) for c in problem.columns if c is not problem.target}
    truth = np.random.RandomState(SEED)  # what each value is worth, whatever the seed
    ratio = problem.target.high / _lowest(problem.target)
    width = int(1000 * ratio ** (1 / len(problem.features))) - 1000
    worth = [_worth(truth, c, values[c.name], width) for c in problem.features]
    for start in range(0, rows, BLOCK_ROWS):
        size = min(BLOCK_ROWS, rows - start)
        cases = _cases(random, problem, values, size)
        # One case in four is listed again, by somebody else at another target.
        earlier = random.randint(0, size, size, dtype=np.int64)
        cases = cases[np.where(_chance(random, 22, size), earlier, np.arange(size))]
        cells = {
            c.raw_name: _take([c.spell(value) for value in values[c.name]], cases[:, i])
            for i, c in enumerate(problem.features)
        }
        target = _target(random, problem.target, worth, cases)
        cells[problem.target.raw_name] = pd.Series(target).map(problem.target.spell)
        for c in problem.late:
            spelled = [c.spell(value) for value in values[c.name]]
            cells[c.raw_name] = _take(spelled, _draw(random, c, len(spelled), size))
        # A few rows are there twice, target and all.
        twice = np.arange(size) - _chance(random, 2, size)
        yield pd.DataFrame(cells).iloc[np.maximum(twice, 0)].reset_index(drop=True)


def _values(column: Column) -> list:
    if column.kind == "category":
        return list(column.allowed)
    if column.kind == "flag":
        return [False, True]
    spread = np.linspace(column.low, column.high, _SPREAD).tolist()
    if column.kind == "integer":
        return sorted({int(value) for value in column.levels or spread})
    return sorted({float(f"{value:.4g}") for value in column.levels or spread})


def _worth(truth: np.random.RandomState, column: Column, values: list, width: int) -> np.ndarray:
    """The factor of each value, in thousandths; rising where more never lowers the target."""
    worth = truth.randint(0, width + 1, len(values), dtype=np.int64)
    for run in column.ladders or ([tuple(values)] if column.numeric else []):
        places = [values.index(value) for value in run]
        worth[places] = np.sort(worth[places])[:: 1 if column.monotonic else -1]
    return 1000 + worth


def _cases(
    random: np.random.RandomState, problem: Problem, values: dict[str, list], rows: int
) -> np.ndarray:
    """Positions of values, shape (rows, n_features): rows that keep the rules, few doubtful."""
    drawn: list[np.ndarray] = []
    size = max(rows, 1000)
    for _ in range(_ROUNDS):
        cases = np.column_stack(
            [_draw(random, c, len(values[c.name]), size) for c in problem.features]
        )
        table = pd.DataFrame(
            {c.name: _take(values[c.name], cases[:, i]) for i, c in enumerate(problem.features)}
        )
        keep = np.ones(size, dtype=bool)
        for rule in problem.warnings:
            keep &= ~rule.holds(table).to_numpy(bool)
        keep |= _chance(random, 2, size)
        for rule in problem.rules:
            keep &= rule.holds(table).to_numpy(bool)
        drawn.append(cases[keep])
        if sum(map(len, drawn)) >= rows:
            return np.concatenate(drawn)[:rows]
    raise UserError("problem.py: rules, warnings", "hardly a row drawn at random keeps them all")


def _draw(random: np.random.RandomState, column: Column, size: int, rows: int) -> np.ndarray:
    """Positions among a column's `size` values; a category is the rarer the later it stands."""
    weights = np.ones(size, np.int64) if column.numeric else np.arange(size, 0, -1)
    bounds = np.cumsum(weights)
    drawn = random.randint(0, bounds[-1], rows, dtype=np.int64)
    return np.searchsorted(bounds, drawn, side="right")


def _take(values: list, positions: np.ndarray) -> np.ndarray:
    kind = object if isinstance(values[0], str) else None
    return np.array(values, dtype=kind)[positions]


def _chance(random: np.random.RandomState, percent: int, rows: int) -> np.ndarray:
    return random.randint(0, 100, rows, dtype=np.int64) < percent


def _lowest(target: Column) -> float:
    return max(target.low, target.high / 1000)


def _target(
    random: np.random.RandomState, target: Column, worth: list[np.ndarray], cases: np.ndarray
) -> np.ndarray:
    """The product of the factors and a noise of 10 %, inside the target's range."""
    relative = np.full(len(cases), 1_000_000, dtype=np.int64)
    for i, factors in enumerate(worth):
        relative = relative * factors[cases[:, i]] // 1000
    noise = sum(random.randint(0, 161, len(cases), dtype=np.int64) for _ in range(4))
    low = _lowest(target)
    decimals = 0 if target.kind == "integer" else max(0, 2 - math.floor(math.log10(low)))
    value = (low * (relative * (680 + noise) // 1000) / 1_000_000).round(decimals)
    value = np.clip(value, target.low, target.high)
    return value.astype(np.int64) if target.kind == "integer" else value
