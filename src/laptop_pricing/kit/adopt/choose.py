"""What suits a table: which errors count, slices and bands, and the model that is better on it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import GridSearchCV, GroupKFold

from ..data.table import GROUP
from ..modeling.evaluate import baselines, cross_validate
from ..modeling.factor_ridge import FactorRidge
from ..params import TrainParams
from ..problem import Problem

TRIED_ROWS = 2_000  # on which the models are compared
ALPHAS = (0.1, 0.4, 1, 4, 16, 64)
_FOLDS = TrainParams(folds=3, seeds=(0,))


def relative(target: pd.Series) -> bool:
    """Whether errors count as shares: above zero, not near it, and more even on a log scale."""
    if target.min() <= 0 or target.quantile(0.02) < 0.1 * target.median():
        return False
    return bool(abs(np.log(target).skew()) < abs(target.skew()))


def bands(target: pd.Series) -> tuple[float, ...]:
    """Round lower ends of some five bands that hold equally many rows."""
    edges = target.quantile([0, 0.2, 0.4, 0.6, 0.8])
    edges.iloc[0] = min(0.0, edges.iloc[0]) if target.min() >= 0 else np.floor(target.min())
    return tuple(sorted({float(f"{edge:.2g}") for edge in edges}))


def slice_field(problem: Problem, table: pd.DataFrame) -> str:
    """The field by which errors are reported: its few values are frequent, and differ most."""
    best, most = problem.names[0], -1.0
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
    return HistGradientBoostingRegressor(
        loss=loss, learning_rate=0.05, monotonic_cst=rising, random_state=0
    )


def factor_ridge(problem: Problem, crossed: tuple[str, ...]) -> GridSearchCV:
    """What ``model.py`` builds else, with what the inner folds choose from."""
    both = [True, False] if problem.relative else [False]
    grid = {"alpha": ALPHAS, "link": ["log", "identity"] if problem.relative else ["identity"]}
    return GridSearchCV(
        FactorRidge(problem.features, crossed),
        grid | {"weighted": both},
        scoring=problem.scoring,
        cv=GroupKFold(3, shuffle=True, random_state=0),
    )


def compare(problem: Problem, table: pd.DataFrame) -> dict[str, tuple[Any, float]]:
    """The mean error of each model that might be taken, over the same folds of some rows."""
    kept = table[GROUP].drop_duplicates().sample(frac=1, random_state=0)
    rows = table[table[GROUP].isin(kept.head(TRIED_ROWS))].head(TRIED_ROWS)
    strongest = slice_field(problem, table)
    models: dict[str, tuple[Any, Any]] = {
        "ridge": ((), factor_ridge(problem, ())),
        f"ridge, crossed with {strongest}": (
            (strongest,),
            factor_ridge(problem, (strongest,)),
        ),
        "boosted trees": (None, boosted(problem)),
    }
    found = {}
    for name, (crossed, model) in models.items():
        folds, _ = cross_validate(model, problem, rows, _FOLDS, name)
        found[name] = (crossed, float(folds[problem.error_name].mean()))
    return found


def with_choices(problem: Problem, table: pd.DataFrame) -> Problem:
    """The problem with its errors, slices and bands chosen for a table."""
    target = table[problem.target.name]
    errors: Any = "relative" if relative(target) else "absolute"
    chosen = replace(problem, errors=errors, bands=bands(target))
    return replace(chosen, slice_by=slice_field(chosen, table))


def evaluate_median(problem: Problem, table: pd.DataFrame) -> pd.Series:
    """The mean error of the median, over the same folds."""
    return cross_validate(baselines(problem)["median"], problem, table, _FOLDS)[0][
        problem.error_name
    ]
