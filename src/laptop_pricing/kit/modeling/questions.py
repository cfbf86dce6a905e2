"""The questions that a factor model asks of a training table, as a matrix, and back again.

A case answers questions: is its brand A? does its size reach 8? is it a class up the ladder?
(Between two levels the answer is a fraction.) A model adds what each answer is worth, alone and
together with each answer about the crossed fields.

**A step up never lowers the sum**, for every combination, by construction. A question about a level
or a ladder of a monotonic field is *rising*; its coefficient is zero or more; and together with a
free question F (is it brand A?) it enters twice, as "reaches 8 and F" and as "reaches 8 and not F",
both with coefficients of zero or more. So a step may be worth more to one brand than to another,
but less than nothing to none. Folded together these are plain coefficients of products.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.linalg import block_diag

from ..problem import Column
from .factors import Levels

_DECIMALS = 9  # of the coefficients, so that processors whose last bits differ agree


class Questions:
    """What is asked about a case, and what the answers make of a table.

    Parameters
    ----------
    columns : sequence of Column
        The features.
    X : DataFrame
        The training rows, with the columns by name.
    crossed : sequence of str
        Names of the fields that change what every other is worth.
    knots : int
        A number without levels gets so many quantiles of its values; with 2, a straight line.

    Attributes
    ----------
    levels : Levels
    bounded : ndarray of bool, shape (n_columns,)
        Whose coefficients may not be negative.
    n_terms : int
        Questions, and pairs of them.
    n_columns : int
        Those, and the terms that enter a second time.
    fixed : bool
        Whether they are the same whatever the rows.
    """

    def __init__(self, columns: Sequence[Column], X: Any, crossed: Sequence[str], knots: int):
        names = [column.name for column in columns]
        if len(set(crossed) & set(names)) < len(crossed):
            allowed = f"different ones of {', '.join(names)}"
            raise ValueError(f"crossed: found {list(crossed)}; expected {allowed}")
        if not isinstance(knots, int) or not 2 <= knots <= 100:
            raise ValueError(f"knots: found {knots!r}; expected a number from 2 to 100")
        self.levels, rising, self._straight = _questions(columns, X, knots)
        levels = self.levels
        self.fixed = knots == 2 or not any(c.numeric and not c.levels for c in columns)
        first, second = np.triu_indices(len(rising), 1)
        is_crossed = np.isin([levels.names[owner] for owner in levels.owner], list(crossed))
        used = (levels.owner[first] != levels.owner[second]) & (
            is_crossed[first] | is_crossed[second]
        )
        self._first, self._second = first, second = first[used], second[used]
        # With a free question a rising one enters a second time: where the free one is not true.
        self._size, self.n_terms = len(rising), len(rising) + len(first)
        mixed = np.flatnonzero(rising[first] != rising[second])
        self._step = np.where(rising[first], first, second)[mixed]
        self._pair = self._size + mixed
        self.n_columns = self.n_terms + len(mixed)
        either = rising[first] | rising[second]
        self.bounded = np.concatenate([rising, either, np.ones(len(mixed), bool)])

    def terms(self, X: Any) -> np.ndarray:
        """The answers, and the products of pairs: shape (n_rows, n_terms)."""
        answers = self.levels.of_table(X) @ self.levels.answers.T
        return np.hstack([answers, answers[:, self._first] * answers[:, self._second]])

    def scales(self, deviations: np.ndarray) -> np.ndarray:
        """What each term is divided by, given the standard deviations of the answers."""
        scales = np.where(self._straight, deviations[: self._size], 1)
        scales[scales == 0] = 1  # the same answer everywhere
        return np.concatenate([scales, scales[self._first] * scales[self._second]])

    def twice(self, terms: np.ndarray) -> np.ndarray:
        """With those that enter a second time: shape (..., n_columns)."""
        return np.concatenate([terms, terms[..., self._step] - terms[..., self._pair]], axis=-1)

    def matrix(self, X: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The columns, scaled and centred, shape (n_rows, n_columns), and means and scales."""
        terms = self.terms(X)
        scales = self.scales(terms[:, : self._size].std(axis=0))
        terms /= scales
        means = terms.mean(axis=0)
        terms -= means
        return self.twice(terms), means * scales, scales

    def numbers(
        self, coef: np.ndarray, intercept: float, means: np.ndarray, scales: np.ndarray
    ) -> dict[str, Any]:
        """What :class:`Factors` takes: ``intercept``, ``worth``, ``means`` and ``pairs``.

        `coef` has one coefficient per column of the matrix, or per term.
        """
        # Rounded before the sums, which would not stay above zero otherwise, and after them.
        worth, second_time = np.split(coef.round(_DECIMALS), [self.n_terms])
        if len(second_time):
            np.add.at(worth, self._step, second_time)
            worth[self._pair] -= second_time
        worth = (worth / scales).round(_DECIMALS)
        size, places = self._size, (self._first.tolist(), self._second.tolist())
        pairs = zip(*places, worth[size:].tolist(), means[size:].tolist())
        return {
            "intercept": float(np.round(intercept, _DECIMALS)),
            "worth": worth[:size].tolist(),
            "means": means[:size].tolist(),
            "pairs": [list(pair) for pair in pairs if pair[2]],
        }


def count_terms(columns: Sequence[Column], X: Any, crossed: Sequence[str], knots: int) -> int:
    """How many terms a model would have that crosses one field, or none."""
    levels, rising, _ = _questions(columns, X, knots)
    own = int(np.isin([levels.names[owner] for owner in levels.owner], list(crossed)).sum())
    return len(rising) + own * (len(rising) - own)


def _questions(
    columns: Sequence[Column], X: Any, knots: int
) -> tuple[Levels, np.ndarray, np.ndarray]:
    """The levels of each field; of each question whether "yes" never lowers the prediction.

    And of each whether it is about a straight line.
    """
    fields = []
    rising: list[bool] = []
    straight: list[bool] = []
    levels: list[Any]
    for column in columns:
        if column.kind == "category":
            ladders = column.ladders or tuple((value,) for value in column.allowed)
            levels = [value for ladder in ladders for value in ladder]
            answers: Any = block_diag(*(np.tri(len(ladder)) for ladder in ladders))
            up = [i > 0 and column.monotonic for ladder in ladders for i in range(len(ladder))]
        else:
            line = column.numeric and knots == 2
            levels = [*([] if line else column.levels)] or _quantiles(column, X, knots)
            answers = np.tri(len(levels))[:, 1:]
            up = [column.numeric and column.monotonic] * (len(levels) - 1)
        if column.unknown:  # a level with a question of its own
            levels, answers, up = [*levels, None], block_diag(answers, 1), [*up, False]
        told = {"name": column.name, "levels": levels, "numeric": column.numeric}
        if column.numeric and knots == 2:
            told["straight"] = True
        fields.append(told | {"answers": answers.astype(int).tolist()})
        rising += up
        straight += [column.numeric and knots == 2] * len(up)
    return Levels(fields), np.array(rising), np.array(straight)


def _quantiles(column: Column, X: Any, count: int) -> list[Any]:
    if column.kind == "flag":
        return [False, True]
    values = np.asarray(X[column.name], dtype=float)
    known = values[~np.isnan(values)]
    shares = np.linspace(0, 1, count)
    levels = np.unique(np.quantile(known if len(known) else [0.0], shares)).tolist()
    return levels if len(levels) > 1 else [levels[0], levels[0] + 1]
