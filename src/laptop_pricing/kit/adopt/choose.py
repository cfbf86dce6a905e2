"""What suits a table: which errors count, slices and bands, and the model that is better on it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Optional

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.model_selection import GridSearchCV, GroupKFold

from ..data.split import StratifiedGroups
from ..data.table import GROUP, features
from ..modeling.evaluate import cross_validate
from ..modeling.factor_logistic import FactorLogistic
from ..modeling.factor_ridge import FactorRidge
from ..modeling.questions import count_terms
from ..modeling.task import task_of
from ..params import TrainParams
from ..problem import Problem

TRIED_ROWS = 5_000  # on which the models are compared
MOST_TERMS = 1_500  # of a model that is tried: more take minutes
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
    shares = pd.get_dummies(table[[problem.target.name]], dtype=float)  # a number, or each class
    for column in problem.features:
        sizes = table[column.name].value_counts()
        if 2 <= len(sizes) <= 15 and sizes.median() >= 30:
            means = shares.groupby(table[column.name]).mean()
            weights = (sizes / sizes.sum()).reindex(means.index)
            spread = float(((means - means.mean()) ** 2).mul(weights, axis=0).to_numpy().sum())
            best, most = (column.name, spread) if spread > most else (best, most)
    return best


def boosted(problem: Problem) -> HistGradientBoostingRegressor:
    """What ``model.py`` builds where a Ridge of this kind falls behind."""
    rising = {c.name: 1 for c in problem.features if c.numeric and c.monotonic}
    loss = "gamma" if problem.relative else "squared_error"
    return HistGradientBoostingRegressor(loss=loss, monotonic_cst=rising, random_state=0)


def boosted_classes(problem: Problem) -> HistGradientBoostingClassifier:
    """The same for classes; it stops before it is surer than it may be."""
    return HistGradientBoostingClassifier(early_stopping=True, random_state=0)


def factor_ridge(problem: Problem, crossed: tuple[str, ...], knots: int) -> GridSearchCV:
    """What ``model.py`` builds else, but that its inner folds also choose among weights."""
    return GridSearchCV(
        FactorRidge(problem.features, crossed, knots=knots),
        {"alpha": ALPHAS, "link": links(problem), "weighted": [False]},
        scoring="neg_mean_absolute_error",
        cv=GroupKFold(3, shuffle=True, random_state=0),
    )


def factor_logistic(problem: Problem, crossed: tuple[str, ...], knots: int) -> GridSearchCV:
    """The same for classes."""
    return GridSearchCV(
        FactorLogistic(problem.features, crossed, knots=knots),
        {"alpha": ALPHAS},
        cv=StratifiedGroups(3, shuffle=True, random_state=0),
    )


class Kind(NamedTuple):
    """What is tried for a task, and by which metric it is compared."""

    factors: str
    make_factors: Callable[..., Any]
    make_boosted: Callable[..., Any]
    metric: str
    in_words: str


KINDS = {  # by the task's name
    "regression": Kind("Ridge", factor_ridge, boosted, "MAE", "Mean absolute error"),
    "classification": Kind(
        "logistic regression", factor_logistic, boosted_classes, "log_loss", "Log loss"
    ),
}


def links(problem: Problem) -> list[str]:
    """What the model may be a sum of, among which the inner folds choose."""
    return ["log", "identity"] if problem.relative else ["identity"]


def weights(problem: Problem) -> list[bool]:
    """Whether rows may weigh 1 / target, likewise."""
    return [False, True] if problem.relative else [False]


class Choice(NamedTuple):
    """A model that was tried, and its error."""

    name: str
    error: float
    crossed: Optional[tuple[str, ...]] = ()  # one field, or none; None: boosted trees
    knots: int = 5


def compare(problem: Problem, table: pd.DataFrame) -> tuple[list[Choice], float]:
    """The models that might be taken, the simplest first; and the error of the trivial one.

    All over the same folds of some rows.
    """
    kept = table[GROUP].drop_duplicates().sample(frac=1, random_state=0)
    rows = table[table[GROUP].isin(kept.head(TRIED_ROWS))].head(TRIED_ROWS)
    strongest = (problem.slice_by,) if problem.slice_by else ()
    task = task_of(problem)
    kind = KINDS[task.name]
    tried = [
        Choice(f"{kind.factors} on straight lines", np.nan, (), 2),
        Choice(f"{kind.factors} on knots", np.nan),
    ]
    if strongest:
        name = f"{kind.factors} on knots, crossed with {strongest[0]}"
        tried.append(Choice(name, np.nan, strongest))
    cases, scores = features(problem.features, rows), max(1, len(problem.classes) - 1)
    sizes = [count_terms(problem.features, cases, c.crossed or (), c.knots) * scores for c in tried]
    tried = [c for c, size in zip(tried, sizes) if c.knots == 2 or size <= MOST_TERMS]
    tried.append(Choice("boosted trees", np.nan, None))
    measured, few = [], len(rows) <= 1_000  # whose folds differ much
    params = TrainParams(folds=3, seeds=(0, 1, 2) if few else (0,))
    for choice in tried:
        if choice.crossed is None:
            model = kind.make_boosted(problem)
        else:
            model = kind.make_factors(problem, choice.crossed, choice.knots)
        folds, _ = cross_validate(model, problem, rows, params, choice.name)
        measured.append(choice._replace(error=float(folds[kind.metric].mean())))
    trivial, _ = cross_validate(task.plain_models()[0], problem, rows, params, task.trivial)
    return measured, float(trivial[kind.metric].mean())


def take(tried: Sequence[Choice]) -> Choice:
    """The simplest that is as good as the best, or nearly so."""
    best = min(choice.error for choice in tried)
    return next(choice for choice in tried if choice.error <= best * (1 + NEARLY))


def with_choices(problem: Problem, table: pd.DataFrame) -> Problem:
    """The problem with its errors, slices and bands chosen for a table."""
    column, target = problem.target, table[problem.target.name]
    if problem.classes:
        return replace(problem, slice_by=slice_field(problem, table))
    errors: Any = "absolute"
    if relative(target):
        errors, low = "relative", float(f"{target.min() / 2:.1g}")
        low = max(1, int(low)) if column.kind == "integer" else low
        column = replace(column, low=max(column.low, low))
    chosen = replace(problem, errors=errors, bands=bands(target), target=column)
    return replace(chosen, slice_by=slice_field(chosen, table))
