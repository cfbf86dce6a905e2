"""What suits a table: which errors count, slices and bands, and the model that is better on it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Optional

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import GridSearchCV, GroupKFold

from ..data.table import GROUP
from ..modeling.evaluate import baselines, cross_validate
from ..modeling.factor_ridge import FactorRidge
from ..params import TrainParams
from ..problem import Problem

TRIED_ROWS = 5_000  # on which the models are compared
NEARLY = 0.01  # so much worse may a simpler model be
ALPHAS = (0.01, 0.1, 1, 10, 100)


def relative(target: pd.Series) -> bool:
    """Whether errors count as shares: above zero, not near it, and more even on a log scale."""
    if target.min() <= 0 or target.quantile(0.02) < 0.1 * target.median():
        return False
    return bool(abs(np.log(target).skew()) < abs(target.skew()))


def bands(target: pd.Series) -> tuple[float, ...]:
    """Round lower ends of some five bands that hold equally many rows."""
    edges = target.quantile([0, 0.2, 0.4, 0.6, 0.8])
    edges.iloc[0] = min(0.0, edges.iloc[0]) if target.min() >= 0 else np.floor(target.min())
    rounded = {float(f"{edge:.2g}") for edge in edges}
    return tuple(int(edge) if edge.is_integer() else edge for edge in sorted(rounded))


def slice_field(problem: Problem, table: pd.DataFrame) -> str:
    """The field by which errors are reported: its few values are frequent, and differ most.

    Blank where there is none.
    """
    best, most = "", -1.0
    for column in problem.features:
        sizes = table[column.name].value_counts()
        if 2 <= len(sizes) <= 15 and sizes.median() >= 30:
            means = table.groupby(column.name)[problem.target.name].mean()
            spread = float((sizes / sizes.sum() * (means - means.mean()) ** 2).sum())
            best, most = (column.name, spread) if spread > most else (best, most)
    return best


def boosted(problem: Problem) -> HistGradientBoostingRegressor:
    """What ``model.py`` builds where a Ridge of this kind falls behind."""
    rising = {c.name: 1 for c in problem.features if c.numeric and c.monotonic}
    loss = "gamma" if problem.relative else "squared_error"
    return HistGradientBoostingRegressor(loss=loss, monotonic_cst=rising, random_state=0)


def factor_ridge(problem: Problem, crossed: tuple[str, ...], knots: int) -> GridSearchCV:
    """What ``model.py`` builds else, but that its inner folds also choose among weights."""
    return GridSearchCV(
        FactorRidge(problem.features, crossed, knots=knots),
        {"alpha": ALPHAS, "link": links(problem), "weighted": [False]},
        scoring="neg_mean_absolute_error",
        cv=GroupKFold(3, shuffle=True, random_state=0),
    )


def links(problem: Problem) -> list[str]:
    """What the model may be a sum of, among which the inner folds choose."""
    return ["log", "identity"] if problem.relative else ["identity"]


def weights(problem: Problem) -> list[bool]:
    """Whether rows may weigh 1 / target, likewise."""
    return [False, True] if problem.relative else [False]


class Choice(NamedTuple):
    """A model that was tried, and its mean absolute error."""

    name: str
    error: float
    crossed: Optional[tuple[str, ...]] = ()  # None: boosted trees
    knots: int = 5


def compare(problem: Problem, table: pd.DataFrame) -> tuple[list[Choice], float]:
    """The models that might be taken, the simplest first; and the error of the median.

    All over the same folds of some rows.
    """
    kept = table[GROUP].drop_duplicates().sample(frac=1, random_state=0)
    rows = table[table[GROUP].isin(kept.head(TRIED_ROWS))].head(TRIED_ROWS)
    strongest = (problem.slice_by,) if problem.slice_by else ()
    tried = [Choice("Ridge on straight lines", np.nan, (), 2), Choice("Ridge on knots", np.nan)]
    if strongest:
        tried.append(Choice(f"Ridge on knots, crossed with {strongest[0]}", np.nan, strongest))
    tried.append(Choice("boosted trees", np.nan, None))
    measured, few = [], len(rows) <= 1_000  # whose folds differ much
    params = TrainParams(folds=3, seeds=(0, 1, 2) if few else (0,))
    for choice in tried:
        model: Any = boosted(problem)
        if choice.crossed is not None:
            model = factor_ridge(problem, choice.crossed, choice.knots)
        folds, _ = cross_validate(model, problem, rows, params, choice.name)
        measured.append(choice._replace(error=float(folds["MAE"].mean())))
    median, _ = cross_validate(baselines(problem)["median"], problem, rows, params, "median")
    return measured, float(median["MAE"].mean())


def take(tried: Sequence[Choice]) -> Choice:
    """The simplest that is as good as the best, or nearly so."""
    best = min(choice.error for choice in tried)
    return next(choice for choice in tried if choice.error <= best * (1 + NEARLY))


def with_choices(problem: Problem, table: pd.DataFrame) -> Problem:
    """The problem with its errors, slices and bands chosen for a table."""
    column, target = problem.target, table[problem.target.name]
    errors: Any = "absolute"
    if relative(target):
        errors, low = "relative", float(f"{target.min() / 2:.1g}")
        low = max(1, int(low)) if column.kind == "integer" else low
        column = replace(column, low=max(column.low, low))
    chosen = replace(problem, errors=errors, bands=bands(target), target=column)
    return replace(chosen, slice_by=slice_field(chosen, table))
