"""The default model: Ridge regression on the target or its logarithm, exact in its reasons.

A case answers questions: is its brand A? does its size reach 8? is it a class up the ladder?
(Between two levels the answer is a fraction.) The model adds what each answer is worth, alone and
together with each answer about the crossed fields.

**A step up never lowers the prediction**, for every combination, by construction. A question about
a level or a ladder of a monotonic field is *rising*; its coefficient is zero or more; and together
with a free question F (is it brand A?) it enters twice, as "reaches 8 and F" and as "reaches 8 and
not F", both with coefficients of zero or more. So a step may be worth more to one brand than to
another, but less than nothing to none. Folded together these are plain coefficients of products.
"""

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
from scipy.linalg import block_diag
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ..problem import Column
from .factors import Explanation, Factors, Levels
from .ridge import fit_ridge

_DECIMALS = 9  # of the coefficients, so that processors whose last bits differ agree


class FactorRidge(RegressorMixin, BaseEstimator):
    """Ridge whose answers to rising questions never lower a prediction.

    Parameters
    ----------
    columns : sequence of Column
        The features.
    crossed : sequence of str
        Names of the fields that change what every other is worth.
    alpha : float
        The penalty, 0.001 or more: below, equal columns leave no unique solution.
    link : {"log", "identity"}
        What is a sum: the logarithm of the target, which has to be above zero, or the target. A
        target above zero is then never predicted below the lowest one seen.
    weighted : bool
        Whether rows weigh 1 / target, as in the mean absolute percentage error.
    knots : int
        A number without levels gets so many quantiles of its training values. With 2, each number
        enters as a straight line, whatever its levels, penalised as if it were standardised.

    Attributes
    ----------
    factors_ : Factors
        All that was learned; predictions and reasons come from it.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        crossed: Sequence[str] = (),
        alpha: float = 8.0,
        link: str = "log",
        weighted: bool = True,
        knots: int = 5,
    ) -> None:
        self.columns = columns
        self.crossed = crossed
        self.alpha = alpha
        self.link = link
        self.weighted = weighted
        self.knots = knots

    def fit(self, X: Any, y: Any, sample_weight: Optional[Any] = None) -> "FactorRidge":
        """Fit on a table with the columns by name; a ValueError if the target does not allow it."""
        y = np.asarray(y, dtype=float)
        self._check(y)
        additive = self.link == "identity"
        unit = float(f"{y.std():.6g}") or 1.0 if additive else 1.0
        linked = y / unit if additive else np.log(y)
        weights = np.median(y) / y if self.weighted else np.ones(len(y))
        if sample_weight is not None:
            weights = weights * np.asarray(sample_weight, dtype=float)
        levels, rising, straight = _questions(self.columns, X, self.knots)
        answers = levels.of_table(X) @ levels.answers.T
        scales = np.where(straight, answers.std(axis=0), 1)
        scales[scales == 0] = 1  # the same answer everywhere
        first, second = np.triu_indices(len(rising), 1)
        crossed = np.isin([levels.names[owner] for owner in levels.owner], list(self.crossed))
        used = (levels.owner[first] != levels.owner[second]) & (crossed[first] | crossed[second])
        first, second = first[used], second[used]
        terms = np.hstack([answers, answers[:, first] * answers[:, second]])
        scales = np.concatenate([scales, scales[first] * scales[second]])
        terms /= scales
        means = terms.mean(axis=0)
        # With a free question a rising one enters a second time: where the free one is not true.
        size, mixed = len(rising), np.flatnonzero(rising[first] != rising[second])
        step, pair = np.where(rising[first], first, second)[mixed], size + mixed
        X = np.hstack([terms - means, (terms - means)[:, step] - (terms - means)[:, pair]])
        bounded = np.concatenate([rising, rising[first] | rising[second], np.ones(len(pair), bool)])
        coef, intercept = fit_ridge(X, linked, bounded, self.alpha, weights)
        # Rounded before the sums, which would not stay above zero otherwise, and after them.
        worth, second_time = np.split(coef.round(_DECIMALS), [terms.shape[1]])
        np.add.at(worth, step, second_time)
        worth[pair] -= second_time
        worth = (worth / scales).round(_DECIMALS)
        means = means * scales
        pairs = zip(first.tolist(), second.tolist(), worth[size:].tolist(), means[size:].tolist())
        numbers = {
            "fields": levels.fields,
            "link": self.link,
            "unit": unit,
            "least": float(y.min()) if additive and y.min() > 0 else None,
            "intercept": float(np.round(intercept, _DECIMALS)),
            "worth": worth[:size].tolist(),
            "means": means[:size].tolist(),
            "pairs": [list(pair) for pair in pairs if pair[2]],
        }
        self.factors_ = Factors(numbers)
        self.n_features_in_ = len(self.columns)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The predictions: ndarray, shape (n_rows,)."""
        check_is_fitted(self)
        return self.factors_.predict(X)

    def explain(self, X: Any) -> Explanation:
        """The average prediction, and each field's factor on it, or term; in :class:`Factors`."""
        check_is_fitted(self)
        return self.factors_.explain(X)

    def _check(self, y: np.ndarray) -> None:
        names, alpha = [column.name for column in self.columns], self.alpha
        if len(set(self.crossed) & set(names)) < len(self.crossed):
            allowed = f"different ones of {', '.join(names)}"
            raise ValueError(f"crossed: found {list(self.crossed)}; expected {allowed}")
        if not isinstance(alpha, (int, float)) or not 0.001 <= alpha <= 1e12:
            raise ValueError(f"alpha: found {alpha!r}; expected a penalty from 0.001 to 1e12")
        if not isinstance(self.knots, int) or not 2 <= self.knots <= 100:
            raise ValueError(f"knots: found {self.knots!r}; expected a number from 2 to 100")
        if self.link not in ("log", "identity"):
            raise ValueError(f"link: found {self.link!r}; expected log or identity")
        if (self.link == "log" or self.weighted) and not (y > 0).all():
            needed = "log and weights need numbers above zero"
            raise ValueError(f"the target: found {y.min():g}; {needed}")


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
