"""Ridge regression in which chosen coefficients are zero or more."""

from typing import Any

import numpy as np
from scipy.linalg import solve

_TOLERANCE = 1e-10
_PATIENCE = 5
_MOST_FITS = 1000


def fit_ridge(
    X: np.ndarray, y: Any, bounded: np.ndarray, alpha: float, sample_weight: np.ndarray
) -> tuple[np.ndarray, float]:
    """Coefficients and intercept of a Ridge in which the `bounded` ones may not be negative.

    The minimum of scikit-learn's ``Ridge(positive=True)``, but exact and of chosen coefficients
    only. Block principal pivoting (J. Kim and H. Park, "Fast nonnegative matrix factorization: an
    active-set-like method and comparisons", SIAM J. Sci. Comput. 33(6), 2011, algorithm 1) guesses
    which of them are zero, solves the ordinary Ridge without those, lets every coefficient that
    then breaks a condition of optimality change sides, and repeats; some seven solutions in all.
    They are found in the dual, by a matrix of rows, where there are fewer rows than columns; and
    from one to the next only the columns that changed sides are taken out of that matrix or put
    into it. A ValueError says that `alpha` is so small for these columns that rounding errors
    decide who is zero.
    """
    y = np.asarray(y, dtype=float)
    used = np.ptp(X, axis=0) > 0
    column_mean = np.average(X, axis=0, weights=sample_weight)
    mean = np.average(y, weights=sample_weight)
    root = np.sqrt(sample_weight)
    X, y = (X - column_mean) * root[:, np.newaxis], (y - mean) * root
    system = _Dual(X, y, alpha) if len(X) < X.shape[1] else _Primal(X, y, alpha)
    inside = changed = used
    fewest, patience = X.shape[1] + 1, _PATIENCE
    for _ in range(_MOST_FITS):
        coef, slope = system.solve(inside, changed)
        wrong = used & bounded & np.where(inside, coef < -_TOLERANCE, slope > _TOLERANCE)
        if not wrong.any():
            break
        if wrong.sum() < fewest:
            fewest, patience = wrong.sum(), _PATIENCE
        elif patience:
            patience -= 1
        else:  # one at a time cannot go in circles
            wrong[: np.flatnonzero(wrong)[-1]] = False
        inside, changed = inside ^ wrong, wrong
    else:
        raise ValueError(f"no solution after {_MOST_FITS} fits; try an alpha over {alpha}")
    coef = np.where(bounded, coef.clip(min=0), coef)
    return coef, float(mean - column_mean @ coef)


class _Dual:
    """Solves by rows: what is kept is X Xᵀ over the columns inside."""

    def __init__(self, X: np.ndarray, y: np.ndarray, alpha: float) -> None:
        self.X, self.y, self.alpha = X, y, alpha
        self.kernel = np.zeros((len(X), len(X)))

    def solve(self, inside: np.ndarray, changed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The coefficients of the columns inside, and the slope of the loss along the others."""
        for columns, sign in ((inside & changed, 1), (~inside & changed, -1)):
            part = self.X[:, columns]
            self.kernel += sign * (part @ part.T)
        system = self.kernel + self.alpha * np.eye(len(self.y))
        along = self.X.T @ solve(system, self.y, assume_a="pos")
        return np.where(inside, along, 0), np.where(inside, 0, self.alpha * along)


class _Primal:
    """Solves by columns: what is kept is Xᵀ X over all columns."""

    def __init__(self, X: np.ndarray, y: np.ndarray, alpha: float) -> None:
        self.gram, self.moment, self.alpha = X.T @ X, X.T @ y, alpha

    def solve(self, inside: np.ndarray, changed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As for the dual."""
        coef = np.zeros(len(self.moment))
        kept = np.flatnonzero(inside)
        system = self.gram[np.ix_(kept, kept)] + self.alpha * np.eye(len(kept))
        if len(kept):
            coef[kept] = solve(system, self.moment[kept], assume_a="pos")
        return coef, self.moment - self.gram @ coef
