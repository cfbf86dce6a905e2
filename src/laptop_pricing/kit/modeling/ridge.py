"""Ridge regression in which chosen coefficients are zero or more."""

from typing import Any

import numpy as np
from scipy.linalg import solve

_TOLERANCE = 1e-10
_PATIENCE = 5
_MOST_FITS = 1000


def check_alpha(alpha: Any) -> None:
    """A ValueError says what is no penalty."""
    if not isinstance(alpha, (int, float)) or not 0.001 <= alpha <= 1e12:
        raise ValueError(f"alpha: found {alpha!r}; expected a penalty from 0.001 to 1e12")


def fit_ridge(
    X: np.ndarray, y: Any, bounded: np.ndarray, alpha: float, sample_weight: np.ndarray
) -> tuple[np.ndarray, float]:
    """Coefficients and intercept of a Ridge in which the `bounded` ones may not be negative.

    The minimum of scikit-learn's ``Ridge(positive=True)``, but exact and of chosen coefficients
    only. Block principal pivoting (J. Kim and H. Park, "Fast nonnegative matrix factorization: an
    active-set-like method and comparisons", SIAM J. Sci. Comput. 33(6), 2011, algorithm 1) guesses
    which of them are zero, solves the ordinary Ridge without those, lets every coefficient that
    then breaks a condition of optimality change sides, and repeats; some seven solutions in all.

    The solutions are found in the dual, by a matrix of rows: from one to the next only the columns
    that changed sides are put into it or taken out. A ValueError says that `alpha` is so small for
    these columns that rounding errors decide who is zero.
    """
    y = np.asarray(y, dtype=float)
    used = np.ptp(X, axis=0) > 0
    column_mean = np.average(X, axis=0, weights=sample_weight)
    mean = np.average(y, weights=sample_weight)
    root = np.sqrt(sample_weight)
    X, y = (X - column_mean) * root[:, np.newaxis], (y - mean) * root
    if len(X) > X.shape[1]:  # fewer rows give the same products of columns
        triangle: Any = np.linalg.qr(np.column_stack([X, y]), mode="r")
        X, y = triangle[:, :-1], triangle[:, -1]
    kernel, penalty = np.zeros((len(X), len(X))), alpha * np.eye(len(X))
    inside = changed = used
    fewest, patience = X.shape[1] + 1, _PATIENCE
    for _ in range(_MOST_FITS):
        for columns, sign in ((inside & changed, 1), (~inside & changed, -1)):
            part = X[:, columns]
            kernel += sign * (part @ part.T)
        along = X.T @ solve(kernel + penalty, y, assume_a="pos")
        coef, slope = np.where(inside, along, 0), np.where(inside, 0, alpha * along)
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
