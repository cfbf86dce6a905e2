"""What a Ridge has to know of its training rows: few rows themselves, of many only sums.

The sums add up: those of a table are those of its parts, and those of the training part of a fold
are those of the other folds. So one pass over a table of any size is enough for all its fits.
"""

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add
from typing import Any, NamedTuple, Optional, Union

import numpy as np

from .questions import Questions
from .ridge import fit_ridges, solve_products

_BLOCK = 10_000  # rows at a time, which bounds the memory
Start = Optional[np.ndarray]
_TARGETS = ("identity", "log")  # the last columns of the products, after a column of ones


class Solution(NamedTuple):
    """What a fit found, and what has to be known to read it."""

    coef: np.ndarray  # for each column of the questions, as centred and scaled
    intercept: float
    unit: float  # of the target, in which the coefficients are
    least: float  # the lowest target
    means: np.ndarray  # of the terms
    scales: np.ndarray


class Rows(NamedTuple):
    """Few rows: fewer than half of the columns, so that the solution is quicker by rows."""

    questions: Questions
    y: np.ndarray
    sample_weight: np.ndarray
    matrix: np.ndarray  # as the questions give it, with
    means: np.ndarray
    scales: np.ndarray

    def solve(
        self, alphas: Sequence[float], link: str, weighted: bool, start: Start = None
    ) -> list[Solution]:
        """For each penalty the Ridge on the target or its logarithm.

        If they are `weighted`, rows weigh 1 / target. From `start`, the coefficients for similar
        rows, it is found in less time.
        """
        unit = _unit(self.y.std(), link)
        weights = self.sample_weight * (np.median(self.y) / self.y if weighted else 1)
        aim = np.log(self.y) if link == "log" else self.y / unit
        solved = fit_ridges(self.matrix, aim, self.questions.bounded, alphas, weights, start)
        told = (unit, self.y.min(), self.means, self.scales)
        return [Solution(coef, intercept, *told) for coef, intercept in solved]


class Sums(NamedTuple):
    """Many rows."""

    questions: Questions
    rows: int
    least: float
    median: float  # of the target, or nearly: it only scales the weights
    plain: np.ndarray  # sums of the terms and the target, and of their squares: two lines
    products: dict[bool, np.ndarray]  # by whether rows weigh 1 / target: of all columns

    def __add__(self, other: Any) -> "Sums":
        return self._replace(
            rows=self.rows + other.rows,
            least=min(self.least, other.least),
            plain=self.plain + other.plain,
            products={way: own + other.products[way] for way, own in self.products.items()},
        )

    def solve(
        self, alphas: Sequence[float], link: str, weighted: bool, start: Start = None
    ) -> list[Solution]:
        """As :meth:`Rows.solve`, to rounding errors."""
        questions, size = self.questions, self.questions.n_terms
        means, squares = self.plain / self.rows
        deviations = np.sqrt(np.maximum(squares - means**2, 0))
        scales, unit = questions.scales(deviations), _unit(deviations[-1], link)
        heaviness = self.median if weighted else 1.0
        total = self.products[weighted]
        at = size + 1 + _TARGETS.index(link)
        centre = total[:, size] / total[size, size]  # the weighted means
        centred = heaviness * (total - np.outer(centre, total[size]))
        products = centred[:size, :size] / scales / scales[:, np.newaxis]
        targets = questions.twice(centred[:size, at] / unit / scales)
        products = questions.twice(questions.twice(products).T)
        shift = questions.twice((centre[:size] - means[:-1]) / scales)
        told = (unit, self.least, means[:-1], scales)
        return [
            Solution(coef, float(centre[at] / unit - shift @ coef), *told)
            for coef in solve_products(products, targets, questions.bounded, alphas, start)
        ]


def gather(
    questions: Questions, X: Any, y: np.ndarray, weightings: Sequence[bool], sample_weight: Any = 1
) -> Union[Rows, Sums]:
    """What is to be known of the rows, for each of the `weightings` in which they will be used."""
    if len(y) <= questions.n_columns // 2:
        return Rows(questions, y, sample_weight * np.ones(len(y)), *questions.matrix(X))
    return gather_sums(questions, X, y, weightings, sample_weight)


def gather_sums(
    questions: Questions, X: Any, y: np.ndarray, weightings: Sequence[bool], sample_weight: Any = 1
) -> Sums:
    """The sums of rows, however few."""
    weights, median = sample_weight * np.ones(len(y)), float(np.median(y))
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(y), _BLOCK)]
    return add_up(
        sums_of(
            questions, questions.terms(X.iloc[rows]), y[rows], weightings, weights[rows], median
        )
        for rows in blocks
    )


def sums_of(
    questions: Questions,
    terms: np.ndarray,
    y: np.ndarray,
    weightings: Sequence[bool],
    sample_weight: Any = 1,
    median: float = np.nan,
) -> Sums:
    """The sums of some rows, given their terms."""
    with np.errstate(divide="ignore", invalid="ignore"):  # who needs a logarithm says so elsewhere
        columns = np.column_stack([terms, np.ones(len(y)), y, np.log(y)])
        roots = {way: np.sqrt(sample_weight / y if way else sample_weight) for way in weightings}
    known = np.column_stack([terms, y])
    products = {}
    for way, root in roots.items():
        scaled = columns * np.reshape(root, (-1, 1))
        products[way] = scaled.T @ scaled
    plain = np.array([known.sum(axis=0), np.einsum("ij,ij->j", known, known)])
    return Sums(questions, len(y), y.min(initial=np.inf), median, plain, products)


def add_up(parts: Iterable[Sums]) -> Sums:
    """The sums of several parts together."""
    return reduce(add, parts)


def _unit(deviation: float, link: str) -> float:
    return float(f"{deviation:.6g}") or 1.0 if link == "identity" else 1.0
