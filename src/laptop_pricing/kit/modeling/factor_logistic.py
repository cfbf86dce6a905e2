"""The default classifier: logistic regression with an L2 penalty, exact in its factors on the odds.

It asks the same :class:`Questions` as the Ridge. Of two classes, a step up never lowers the chance
of the second; of several, each class has a score of its own, and no such promise is made.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

from ..problem import Column
from .factors import ClassFactors
from .questions import Questions
from .ridge import check_alpha, fit_ridge

_SMALL = 300  # coefficients, for which Newton's method is quick, and exact to the last digit
_MOST_STEPS = 100
_CLOSE = 1e-8  # of the gradient
_GAIN = 1e-10  # of the objective, as a share: less is a rounding error
_LEAST_CHANCE = 1e-15
_LEAST_WEIGHT = 1e-9


class FactorLogistic(ClassifierMixin, BaseEstimator):
    """Logistic regression whose answers to rising questions never lower a chance.

    Parameters
    ----------
    columns : sequence of Column
        The features.
    crossed : sequence of str
        Names of the fields that change what every other is worth.
    alpha : float
        The penalty on half of the squared coefficients, 0.001 or more: 1 / C of scikit-learn's
        ``LogisticRegression``.
    knots : int
        As of :class:`FactorRidge`.

    Attributes
    ----------
    classes_ : ndarray
        The classes that the training rows have, sorted.
    factors_ : ClassFactors
        All that was learned; chances and reasons come from it.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        crossed: Sequence[str] = (),
        alpha: float = 1.0,
        knots: int = 5,
    ) -> None:
        self.columns = columns
        self.crossed = crossed
        self.alpha = alpha
        self.knots = knots

    def fit(self, X: Any, y: Any) -> "FactorLogistic":
        """Fit on a table with the columns by name; a ValueError if there is one class."""
        check_alpha(self.alpha)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"the target: found {self.classes_.tolist()}; expected two classes")
        asked = Questions(self.columns, X, self.crossed, self.knots)
        matrix, *scaling = asked.matrix(X)
        if len(self.classes_) == 2 and asked.bounded.any():
            lines: Any = [fit_logistic(matrix, codes, asked.bounded, self.alpha)]
        else:
            small = asked.n_terms * len(self.classes_) <= _SMALL
            solver = LogisticRegression(C=1 / self.alpha, tol=_CLOSE, max_iter=10_000)
            solver.set_params(solver="newton-cholesky" if small else "lbfgs")
            solver.fit(matrix[:, : asked.n_terms], codes)
            lines = zip(solver.coef_, solver.intercept_)
        scores = [asked.numbers(*line, *scaling) for line in lines]
        classes, fields = self.classes_.tolist(), asked.levels.fields
        self.factors_ = ClassFactors({"classes": classes, "fields": fields, "scores": scores})
        self.n_features_in_ = len(self.columns)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """The chances: ndarray, shape (n_rows, n_classes)."""
        check_is_fitted(self)
        return self.factors_.predict_proba(X)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable classes: ndarray, shape (n_rows,)."""
        likeliest = self.predict_proba(X).argmax(axis=1)
        return self.classes_[likeliest]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Minus the log loss, by which ``GridSearchCV`` chooses; new classes have no chance."""
        places = np.searchsorted(self.classes_, y).clip(max=len(self.classes_) - 1)
        own = self.predict_proba(X)[np.arange(len(places)), places]
        own = np.where(self.classes_[places] == np.asarray(y), own, 0)
        return float(np.log(np.maximum(own, _LEAST_CHANCE)).mean())


def fit_logistic(
    X: np.ndarray, y: Any, bounded: np.ndarray, alpha: float
) -> tuple[np.ndarray, float]:
    """Coefficients and intercept of a logistic regression; the `bounded` ones are zero or more.

    `y` is 0 or 1. The minimum of the negative log-likelihood plus alpha / 2 times the squared
    coefficients, by Newton's method: each step is a weighted Ridge under the same bounds (T.
    Hastie, R. Tibshirani and J. Friedman, "The Elements of Statistical Learning", 2009, section
    4.4.1), and is halved until it lowers the objective.
    """
    y = np.asarray(y, dtype=float)

    def objective(coef: np.ndarray, scores: np.ndarray) -> float:
        loss = np.logaddexp(0, scores).sum() - y @ scores
        return float(loss + alpha / 2 * (coef @ coef))

    share = y.mean()
    coef, intercept = np.zeros(X.shape[1]), float(np.log(share / (1 - share)))
    scores = np.full(len(y), intercept)
    lowest = objective(coef, scores)
    for _ in range(_MOST_STEPS):
        chance = expit(scores)
        weight = np.maximum(chance * (1 - chance), _LEAST_WEIGHT)
        aim = fit_ridge(X, scores + (y - chance) / weight, bounded, alpha, weight)
        full = X @ aim[0] + aim[1]
        step = 1.0
        while step > _GAIN:
            nearer = coef + step * (aim[0] - coef)
            found = scores + step * (full - scores)
            reached = objective(nearer, found)
            if reached <= lowest:
                break
            step /= 2
        else:
            return coef, intercept
        gained, lowest = lowest - reached, reached
        coef, scores = nearer, found
        intercept += step * (aim[1] - intercept)
        if gained <= _GAIN * abs(lowest):
            return coef, intercept
    raise ValueError(f"no solution after {_MOST_STEPS} steps; try an alpha over {alpha}")
