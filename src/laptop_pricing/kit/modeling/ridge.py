"""Ridge regression in which chosen coefficients are zero or more."""

from collections.abc import Callable, Sequence
from typing import Any, Optional

import numpy as np
from scipy.linalg import cho_factor, cho_solve

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
    only. A ValueError says that `alpha` is so small for these columns that rounding errors decide
    who is zero.
    """
    return fit_ridges(X, y, bounded, [alpha], sample_weight)[0]


def fit_ridges(
    X: np.ndarray,
    y: Any,
    bounded: np.ndarray,
    alphas: Sequence[float],
    sample_weight: np.ndarray,
    start: Optional[np.ndarray] = None,
) -> list[tuple[np.ndarray, float]]:
    """The same for several penalties, in less time: each begins where the one before ended.

    The first begins at `start`, which are coefficients for similar rows.
    """
    y = np.asarray(y, dtype=float)
    column_mean = np.average(X, axis=0, weights=sample_weight)
    mean = np.average(y, weights=sample_weight)
    root = np.sqrt(sample_weight)
    X, y = (X - column_mean) * root[:, np.newaxis], (y - mean) * root
    if len(X) > X.shape[1]:
        solved = solve_products(X.T @ X, X.T @ y, bounded, alphas, start)
    else:
        solved = solve_rows(X, y, bounded, alphas, start)
    return [(coef, float(mean - column_mean @ coef)) for coef in solved]


def solve_rows(
    X: np.ndarray,
    y: np.ndarray,
    bounded: np.ndarray,
    alphas: Sequence[float],
    start: Optional[np.ndarray] = None,
) -> list[np.ndarray]:
    """The coefficients for few centred rows: in the dual, by a matrix of rows.

    From one solution to the next only the columns that changed sides are put into it or taken out.
    """
    kernel, ones = np.zeros((len(X), len(X))), np.eye(len(X))
    before = np.zeros(X.shape[1], bool)

    def solution(inside: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        nonlocal kernel, before
        for columns, sign in ((inside & ~before, 1), (before & ~inside, -1)):
            part = X[:, columns]
            kernel += sign * (part @ part.T)
        before = inside
        along = X.T @ _solve(kernel + alpha * ones, y)
        return np.where(inside, along, 0), alpha * along

    return _pivot(solution, bounded, alphas, _TOLERANCE, start)


def solve_products(
    products: np.ndarray,
    targets: np.ndarray,
    bounded: np.ndarray,
    alphas: Sequence[float],
    start: Optional[np.ndarray] = None,
) -> list[np.ndarray]:
    """The coefficients for many rows, from the sums of the products of their centred columns.

    `products` are those of the columns with each other, X'X, `targets` those with the target, X'y.
    """

    def solution(inside: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        own = np.flatnonzero(inside)
        kernel = products[np.ix_(own, own)]
        kernel.flat[:: len(own) + 1] += alpha
        coef = np.zeros(len(targets))
        coef[own] = _solve(kernel, targets[own])
        return coef, targets - products @ coef

    # Of sums so large the last digits are noise.
    tolerance = max(_TOLERANCE, 1e-14 * products.diagonal().max(initial=0))
    return _pivot(solution, bounded, alphas, tolerance, start)


def _solve(kernel: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The solution of a symmetric, positive definite system, which is lost."""
    factor = cho_factor(kernel.T, lower=True, overwrite_a=True, check_finite=False)
    return cho_solve(factor, right, check_finite=False)


def _pivot(
    solution: Callable[[np.ndarray, float], tuple[np.ndarray, np.ndarray]],
    bounded: np.ndarray,
    alphas: Sequence[float],
    tolerance: float,
    start: Optional[np.ndarray],
) -> list[np.ndarray]:
    """For each penalty the coefficients of which no `bounded` one is negative.

    Block principal pivoting (J. Kim and H. Park, "Fast nonnegative matrix factorization: an
    active-set-like method and comparisons", SIAM J. Sci. Comput. 33(6), 2011, algorithm 1) guesses
    which of them are zero, solves the ordinary Ridge without those, lets every coefficient that
    then breaks a condition of optimality change sides, and repeats; some seven solutions in all.

    `solution` takes which ones are not held at zero, and the penalty; it gives the coefficients,
    and for those that are held at zero how much the error would fall as they rise.
    """
    usable, solved = start is not None and len(start) == len(bounded), []
    inside = ~bounded | (start != 0) if usable else np.ones(len(bounded), bool)
    for alpha in alphas:
        fewest, patience = len(bounded) + 1, _PATIENCE
        for _ in range(_MOST_FITS):
            coef, slope = solution(inside, alpha)
            wrong = bounded & np.where(inside, coef < -_TOLERANCE, slope > tolerance)
            if not wrong.any():
                break
            if wrong.sum() < fewest:
                fewest, patience = wrong.sum(), _PATIENCE
            elif patience:
                patience -= 1
            else:  # one at a time cannot go in circles
                wrong[: np.flatnonzero(wrong)[-1]] = False
            inside = inside ^ wrong
        else:
            raise ValueError(f"no solution after {_MOST_FITS} fits; try an alpha over {alpha}")
        solved.append(np.where(bounded, coef.clip(min=0), coef))
    return solved
