"""Ridge regression in which chosen coefficients are zero or more."""

import numpy as np
from sklearn.linear_model import Ridge

_TOLERANCE = 1e-10
_PATIENCE = 5
_MOST_FITS = 1000


def fit_ridge(X, y, bounded, alpha, sample_weight, start=None):
    """Fit a Ridge some of whose coefficients may not be negative.

    The minimum of ``Ridge(positive=True)``, but exact and of chosen coefficients only: block
    principal pivoting [1]_ guesses which of them are zero, fits an ordinary Ridge without those,
    lets every coefficient that then breaks a condition of optimality change sides, and repeats;
    some seven fits in all.

    Parameters
    ----------
    X : ndarray, shape (n_rows, n_columns)
    y : array-like, shape (n_rows,)
    bounded : ndarray of bool, shape (n_columns,)
        Whose coefficients are zero or more.
    alpha : float
        The penalty, above zero.
    sample_weight : ndarray, shape (n_rows,)
    start : ndarray of bool, shape (n_columns,), optional
        The first guess of which coefficients are not zero. It changes the time, not the result.

    Returns
    -------
    Ridge
        Fitted.

    Raises
    ------
    ValueError
        If `alpha` is so small for these columns that rounding errors decide who is zero.

    References
    ----------
    .. [1] J. Kim and H. Park, "Fast nonnegative matrix factorization: an active-set-like method
       and comparisons", SIAM J. Sci. Comput. 33(6), 2011, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> X, y = np.array([[0.0, 1], [1, 0], [1, 1], [0, 0]]), [-1.0, 2, 1, 0]
    >>> fit_ridge(X, y, np.array([False, True]), 1e-9, np.ones(4)).coef_.round(6)
    array([2., 0.])
    """
    y = np.asarray(y, dtype=float)
    used = np.ptp(X, axis=0) > 0
    inside = used.copy() if start is None else used & (start | ~bounded)
    fewest, patience = X.shape[1] + 1, _PATIENCE
    for _ in range(_MOST_FITS):
        kept = X[:, inside] if inside.any() else np.zeros((len(X), 1))
        ridge = Ridge(alpha=alpha).fit(kept, y, sample_weight=sample_weight)
        coef = np.zeros(X.shape[1])
        coef[inside] = ridge.coef_
        slope = X.T @ (sample_weight * (y - ridge.predict(kept))) - alpha * coef
        wrong = used & bounded & np.where(inside, coef < -_TOLERANCE, slope > _TOLERANCE)
        if not wrong.any():
            break
        if wrong.sum() < fewest:
            fewest, patience = wrong.sum(), _PATIENCE
        elif patience:
            patience -= 1
        else:  # one at a time cannot go in circles
            wrong[: np.flatnonzero(wrong)[-1]] = False
        inside ^= wrong
    else:
        raise ValueError(
            f"the Ridge did not settle in {_MOST_FITS} fits; try an alpha over {alpha}"
        )
    ridge.coef_ = np.where(bounded, coef.clip(min=0), coef)
    ridge.n_features_in_ = X.shape[1]
    return ridge
