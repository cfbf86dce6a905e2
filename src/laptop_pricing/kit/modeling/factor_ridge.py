"""The default model: Ridge regression on the logarithm of the target, exact in its reasons.

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
from scipy.sparse import csc_array
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ..problem import Column
from .factors import Factors, Levels
from .ridge import fit_ridge

_DECIMALS = 9  # of the coefficients, so that processors whose last bits differ agree
_QUANTILES = (0, 0.25, 0.5, 0.75, 1)


class FactorRidge(RegressorMixin, BaseEstimator):
    """Ridge on the log target whose answers to rising questions never lower a prediction.

    Rows are weighted by 1 / target, as the mean absolute percentage error weighs them.

    Parameters
    ----------
    columns : sequence of Column
        The features. A number without levels gets the quartiles of its training values.
    crossed : sequence of str
        Names of the fields that change what every other is worth.
    alpha : float
        The penalty, 0.001 or more: below, equal columns leave no unique solution.

    Attributes
    ----------
    factors_ : Factors
        All that was learned; predictions and reasons come from it.
    """

    def __init__(
        self, columns: Sequence[Column], crossed: Sequence[str] = (), alpha: float = 8.0
    ) -> None:
        self.columns = columns
        self.crossed = crossed
        self.alpha = alpha

    def fit(self, X: Any, y: Any, sample_weight: Optional[Any] = None) -> "FactorRidge":
        """Fit on a table with the columns by name, and a target above zero.

        Raises
        ------
        ValueError
            If a parameter or a target is not as said above.
        """
        y = np.asarray(y, dtype=float)
        self._check(y)
        weights = np.median(y) / y
        if sample_weight is not None:
            weights = weights * np.asarray(sample_weight, dtype=float)
        levels, rising = _questions(self.columns, X)
        answers = levels.of_table(X) @ levels.answers.T
        first, second = np.triu_indices(len(rising), 1)
        crossed = np.isin([levels.names[owner] for owner in levels.owner], list(self.crossed))
        used = (levels.owner[first] != levels.owner[second]) & (crossed[first] | crossed[second])
        first, second = first[used], second[used]
        columns, bounded = _basis(rising, first, second)
        terms = np.hstack([answers, answers[:, first] * answers[:, second]])
        means = terms.mean(axis=0)
        coef, intercept = fit_ridge(
            (terms - means) @ columns, np.log(y), bounded, self.alpha, weights
        )
        # Rounded before the sums, which would not stay above zero otherwise, and after them.
        worth = (columns @ coef.round(_DECIMALS)).round(_DECIMALS)
        size = len(rising)
        pairs = zip(first.tolist(), second.tolist(), worth[size:].tolist(), means[size:].tolist())
        self.factors_ = Factors(
            {
                "fields": levels.fields,
                "intercept": float(np.round(intercept, _DECIMALS)),
                "worth": worth[:size].tolist(),
                "means": means[:size].tolist(),
                "pairs": [list(pair) for pair in pairs if pair[2]],
            }
        )
        self.n_features_in_ = len(self.columns)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The predictions: ndarray, shape (n_rows,)."""
        check_is_fitted(self)
        return self.factors_.predict(X)

    def explain(self, X: Any) -> tuple[float, np.ndarray]:
        """The average prediction, and each field's factor on it; see :meth:`Factors.explain`."""
        check_is_fitted(self)
        return self.factors_.explain(X)

    def _check(self, y: np.ndarray) -> None:
        names = [column.name for column in self.columns]
        unknown = [name for name in self.crossed if name not in names]
        if unknown or len(set(self.crossed)) < len(self.crossed):
            allowed = f"different ones of {', '.join(names)}"
            raise ValueError(f"crossed: found {list(self.crossed)}; expected {allowed}")
        alpha = self.alpha
        if isinstance(alpha, bool) or not isinstance(alpha, (int, float)):
            raise ValueError(f"alpha: found {alpha!r}; expected a number")
        if not 0.001 <= alpha <= 1e12:
            raise ValueError(f"alpha: found {alpha:g}; expected a penalty from 0.001 to 1e12")
        if not (y > 0).all():
            raise ValueError(f"the target: found {y.min():g}; expected numbers above zero")


def _questions(columns: Sequence[Column], X: Any) -> tuple[Levels, np.ndarray]:
    """The levels of each field; and of each question whether "yes" never lowers the prediction."""
    fields = []
    rising: list[bool] = []
    levels: list[Any]
    for column in columns:
        if column.kind == "flag":
            levels, answers, up = [False, True], np.array([[0.0], [1.0]]), [False]
        elif column.kind == "category":
            ladders = column.ladders or tuple((value,) for value in column.allowed)
            levels = [value for ladder in ladders for value in ladder]
            answers = block_diag(*(np.tri(len(ladder)) for ladder in ladders))
            up = [i > 0 and column.monotonic for ladder in ladders for i in range(len(ladder))]
        else:
            levels = list(column.levels) or _quartiles(np.asarray(X[column.name], dtype=float))
            answers = np.tri(len(levels))[:, 1:]
            up = [column.monotonic] * (len(levels) - 1)
        fields.append(
            {
                "name": column.name,
                "levels": levels,
                "numeric": column.numeric,
                "answers": answers.astype(int).tolist(),
            }
        )
        rising += up
    return Levels(fields), np.array(rising)


def _quartiles(values: np.ndarray) -> list[float]:
    levels = np.unique(np.quantile(values, _QUANTILES)).tolist()
    return levels if len(levels) > 1 else [levels[0], levels[0] + 1]


def _basis(
    rising: np.ndarray, first: np.ndarray, second: np.ndarray
) -> tuple[csc_array, np.ndarray]:
    """The columns that are fitted, as sums of the terms: the questions, then pairs of them.

    Returns
    -------
    basis : sparse array, shape (n_terms, n_columns)
        ``terms @ basis`` is what is fitted, ``basis @ coef`` what is kept.
    bounded : ndarray of bool, shape (n_columns,)
        Whose coefficients are zero or more.
    """
    size = len(rising)
    pair = size + np.arange(len(first))
    one_rising = rising[first] != rising[second]
    step = np.where(rising[first], first, second)[one_rising]
    plus = np.concatenate([np.arange(size), pair, step])
    minus = pair[one_rising]  # in the last columns
    column = np.arange(len(plus))
    values = np.repeat([1.0, -1.0], [len(plus), len(minus)])
    rows = np.concatenate([plus, minus])
    columns = np.concatenate([column, column[len(plus) - len(minus) :]])
    bounded = np.concatenate([rising, rising[first] | rising[second], np.ones(len(step), bool)])
    return csc_array((values, (rows, columns)), shape=(size + len(pair), len(plus))), bounded
