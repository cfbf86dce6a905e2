"""The default model: Ridge regression on the target or its logarithm, exact in its reasons.

It asks the :class:`Questions` of a table, so that a step up never lowers the prediction.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ..problem import Column
from .factors import Explanation, Factors
from .questions import Questions
from .ridge import check_alpha
from .sums import Solution, gather


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

    def fit(self, X: Any, y: Any, sample_weight: Any = 1) -> "FactorRidge":
        """Fit on a table with the columns by name; a ValueError if the target does not allow it."""
        y = np.asarray(y, dtype=float)
        self.check(y.min())
        rows = gather(self.questions(X), X, y, [self.weighted], sample_weight)
        return self.take(rows.questions, *rows.solve([self.alpha], self.link, self.weighted))

    def questions(self, X: Any) -> Questions:
        """What is asked about rows such as these."""
        return Questions(self.columns, X, self.crossed, self.knots)

    def take(self, asked: Questions, found: Solution) -> "FactorRidge":
        """Be fitted by a solution that has been found."""
        additive = self.link == "identity"
        numbers = {
            "fields": asked.levels.fields,
            "link": self.link,
            "unit": found.unit,
            "least": float(found.least) if additive and found.least > 0 else None,
        }
        told = asked.numbers(found.coef, found.intercept, found.means, found.scales)
        self.factors_ = Factors(numbers | told)
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

    def check(self, least: float) -> None:
        """A ValueError says which param is wrong, or that the lowest target is, for the others."""
        check_alpha(self.alpha)
        if self.link not in ("log", "identity"):
            raise ValueError(f"link: found {self.link!r}; expected log or identity")
        if (self.link == "log" or self.weighted) and not least > 0:
            needed = "log and weights need numbers above zero"
            raise ValueError(f"the target: found {least:g}; {needed}")
