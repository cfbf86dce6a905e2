"""The default model: Ridge regression on the target or its logarithm, exact in its reasons.

It asks the :class:`Questions` of a table, so that a step up never lowers the prediction.
"""

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ..problem import Column
from .factors import Explanation, Factors
from .questions import Questions
from .ridge import check_alpha, fit_ridge


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
        asked = Questions(self.columns, X, self.crossed, self.knots)
        coef, intercept = fit_ridge(asked.matrix, linked, asked.bounded, self.alpha, weights)
        numbers = {
            "fields": asked.levels.fields,
            "link": self.link,
            "unit": unit,
            "least": float(y.min()) if additive and y.min() > 0 else None,
        }
        self.factors_ = Factors(numbers | asked.numbers(coef, intercept))
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
        check_alpha(self.alpha)
        if self.link not in ("log", "identity"):
            raise ValueError(f"link: found {self.link!r}; expected log or identity")
        if (self.link == "log" or self.weighted) and not (y > 0).all():
            needed = "log and weights need numbers above zero"
            raise ValueError(f"the target: found {y.min():g}; {needed}")
