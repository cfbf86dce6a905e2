"""``GridSearchCV`` of a :class:`FactorRidge`: all fits on the same rows share their sums."""

from collections.abc import Iterator, Sequence
from typing import Any, Union

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import check_scoring
from sklearn.model_selection import GridSearchCV, ParameterGrid, check_cv

from .factor_ridge import FactorRidge
from .sums import Rows, Sums, add_up, gather, gather_sums

SOLVED = {"alpha", "link", "weighted"}  # the params that only the solution of the sums needs


def shares_sums(model: Any) -> bool:
    """Whether a model is such a search, over such params alone."""
    return (
        type(model) is GridSearchCV
        and isinstance(model.estimator, FactorRidge)
        and {name for candidate in ParameterGrid(model.param_grid) for name in candidate} <= SOLVED
    )


def search(model: GridSearchCV, X: pd.DataFrame, y: pd.Series, groups: pd.Series) -> GridSearchCV:
    """A copy of the search, fitted: what ``fit`` gives, but for ``cv_results_``."""
    chosen = choose(model, X, y, groups)
    chosen.best_estimator_ = clone(model.estimator).set_params(**chosen.best_params_).fit(X, y)
    return chosen


def choose(model: GridSearchCV, X: pd.DataFrame, y: pd.Series, groups: pd.Series) -> GridSearchCV:
    """A copy of the search that knows the best params, but has not fitted the estimator."""
    candidates = list(ParameterGrid(model.param_grid))
    copies = [clone(model.estimator).set_params(**candidate) for candidate in candidates]
    for copy in copies:
        copy.check(y.min())
    score, scores = check_scoring(model.estimator, model.scoring), []
    weightings = sorted({copy.weighted for copy in copies})
    folds, starts = list(check_cv(model.cv).split(X, y, groups)), dict[Any, np.ndarray]()
    for (_, test), rows in zip(folds, _training_parts(model.estimator, folds, X, y, weightings)):
        fit_each(copies, rows, starts)
        scores.append([score(copy, X.iloc[test], y.iloc[test]) for copy in copies])
    means = np.mean(scores, axis=0)
    chosen, best = clone(model), int(means.argmax())
    chosen.best_index_, chosen.best_params_, chosen.best_score_ = (
        best,
        candidates[best],
        means[best],
    )
    return chosen


def _training_parts(
    estimator: FactorRidge, folds: Any, X: pd.DataFrame, y: pd.Series, weightings: Sequence[bool]
) -> Iterator[Union[Rows, Sums]]:
    """What has to be known of the training part of each fold: its rows, or their sums.

    Questions that do not depend on the rows are the same for all, so that the sums over the other
    folds are those of a training part.
    """
    asked, values = estimator.questions(X), y.to_numpy(float)
    if asked.fixed and min(len(train) for train, _ in folds) > asked.n_columns // 2:
        parts = [gather_sums(asked, X.iloc[test], values[test], weightings) for _, test in folds]
        for i, (train, _) in enumerate(folds):
            total = add_up(parts[:i] + parts[i + 1 :])
            yield total._replace(median=float(np.median(values[train])))
    else:
        for train, _ in folds:
            own = X.iloc[train]
            yield gather(estimator.questions(own), own, values[train], weightings)


def fit_each(
    copies: Sequence[FactorRidge], rows: Union[Rows, Sums], starts: dict[Any, np.ndarray]
) -> None:
    """Fit estimators that differ in what only the solution needs, on the same rows.

    `starts` are coefficients for similar rows, by link and weighting, and get those for these.
    """
    ways: dict[Any, list[FactorRidge]] = {}
    for copy in copies:
        ways.setdefault((copy.link, copy.weighted), []).append(copy)
    for (link, weighted), own in ways.items():
        start = starts.get((link, weighted))
        solutions = rows.solve([copy.alpha for copy in own], link, weighted, start)
        starts[link, weighted] = solutions[0].coef
        for copy, solution in zip(own, solutions):
            copy.take(rows.questions, solution)
