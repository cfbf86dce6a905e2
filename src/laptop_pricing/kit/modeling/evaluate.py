"""How good a model is: R2, MAPE, MAE and MSE by nested, grouped cross-validation.

Every choice is made inside the training part of a fold, and no group of equal rows is on both
sides of one [1]_.

References
----------
.. [1] G. C. Cawley and N. L. C. Talbot, "On over-fitting in model selection and subsequent
   selection bias in performance evaluation", JMLR 11, 2010.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import (
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    r2_score,
)
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from ..data.split import grouped_folds
from ..data.table import GROUP, features
from ..params import TrainParams
from ..problem import Problem
from .neighbours import Neighbours

METRICS = ("R2", "MAPE", "MAE", "MSE")
MIN_SLICE_ROWS = 30
LEARNING_SHARES = (0.125, 0.25, 0.5)
DRAWS = 2000


def score(actual: Any, predicted: Any) -> dict[str, float]:
    """The metrics of one prediction: MAPE is a fraction, MAE in the unit of the target."""
    return {
        "R2": float(r2_score(actual, predicted)),
        "MAPE": float(mean_absolute_percentage_error(actual, predicted)),
        "MAE": float(mean_absolute_error(actual, predicted)),
        "MSE": float(mean_squared_error(actual, predicted)),
    }


def fit(model: Any, problem: Problem, table: pd.DataFrame) -> Any:
    """A copy of the model, fitted on a processed table; a search by folds gets the groups."""
    told = {"groups": table[GROUP]} if isinstance(model, BaseSearchCV) else {}
    return clone(model).fit(features(problem.features, table), table[problem.target.name], **told)


def baselines(problem: Problem) -> dict[str, Any]:
    """The models beside which every model is measured: the median, and a plain Ridge."""
    categories = [c for c in problem.features if c.kind == "category"]
    one_hot = OneHotEncoder(categories=[list(c.allowed) for c in categories])
    plain = make_column_transformer(
        (one_hot, [c.name for c in categories]),
        (StandardScaler(), [c.name for c in problem.features if c.numeric]),
        ("passthrough", [c.name for c in problem.features if c.kind == "flag"]),
    )
    return {"median": DummyRegressor(strategy="median"), "ridge": make_pipeline(plain, Ridge(1.0))}


@threadpool_limits.wrap(limits=1)  # more threads would wait for each other on tables of this size
def cross_validate(
    model: Any, problem: Problem, table: pd.DataFrame, params: TrainParams, name: str = ""
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Nested cross-validation over all rows of a processed table, by its groups.

    Returns
    -------
    folds
        One line per seed and fold: the metrics.
    predictions
        One line per seed and row: ``row``, ``seed``, ``fold``, ``actual``, ``predicted`` by a model
        that saw no row of that group, and ``distance``: in how many fields the nearest row that it
        saw differs.
    """
    splits = list(grouped_folds(table[GROUP], params.folds, params.seeds))
    folds, parts = [], []
    progress = tqdm(splits, f"Cross-validating {name}".strip(), disable=None, leave=False)
    for seed, fold, train, test in progress:
        seen, unseen = table.iloc[train], table.iloc[test]
        shared = set(seen[GROUP]) & set(unseen[GROUP])
        if shared:
            raise ValueError(f"{len(shared)} groups on both sides of fold {fold}")
        predicted = fit(model, problem, seen).predict(features(problem.features, unseen))
        actual = unseen[problem.target.name].to_numpy()
        folds.append({"seed": seed, "fold": fold} | score(actual, predicted))
        part = pd.DataFrame({"row": unseen.index, "seed": seed, "fold": fold, "actual": actual})
        distance = Neighbours.of(problem, seen).distances(unseen)
        parts.append(part.assign(predicted=predicted, distance=distance))
    predictions = pd.concat(parts).sort_values(["seed", "row"], ignore_index=True)
    return pd.DataFrame(folds), predictions


def summarise(folds: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Mean and standard deviation of each metric over the folds."""
    return {
        name: {"mean": float(folds[name].mean()), "sd": float(folds[name].std(ddof=0))}
        for name in METRICS
    }


def against(
    folds: pd.DataFrame, others: pd.DataFrame, params: TrainParams
) -> dict[str, dict[str, float]]:
    """How much higher the metrics of another model are, over the same folds.

    Returns
    -------
    dict
        ``mean``, and for the difference to `folds` ``more`` and ``margin``: half of its 95 %
        interval, by the corrected resampled t-test [1]_.

    References
    ----------
    .. [1] C. Nadeau and Y. Bengio, "Inference for the generalization error", Machine Learning 52,
       2003.
    """
    lines = {}
    for name in ("R2", "MAPE"):
        more = others[name] - folds[name]
        variance = more.var(ddof=1) * (1 / len(more) + 1 / (params.folds - 1))
        margin = student.ppf(0.975, len(more) - 1) * np.sqrt(variance)
        found = others[name].mean(), more.mean(), margin
        lines[name] = dict(zip(("mean", "more", "margin"), map(float, found)))
    return lines


def sampling_interval(predictions: pd.DataFrame, groups: pd.Series) -> dict[str, list[float]]:
    """The 95 % intervals of pooled R2 and MAPE if other rows had been drawn.

    By a bootstrap [1]_ of whole groups over the predictions of the first seed.

    References
    ----------
    .. [1] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 8.
    """
    first = predictions[predictions["seed"] == predictions["seed"].min()]
    actual, error = first["actual"], first["predicted"] - first["actual"]
    terms = {"n": 1.0, "y": actual, "yy": actual**2, "ee": error**2, "ape": abs(error / actual)}
    sums = pd.DataFrame(terms).groupby(first["row"].map(groups)).sum().to_numpy()
    random = np.random.default_rng(0)
    drawn = (sums[random.integers(len(sums), size=len(sums))].sum(axis=0) for _ in range(DRAWS))
    n, y, yy, ee, ape = np.array(list(drawn)).T
    draws = {"R2": 1 - ee / (yy - y**2 / n), "MAPE": ape / n}
    return {name: np.quantile(found, [0.025, 0.975]).tolist() for name, found in draws.items()}


def target_bands(problem: Problem, values: pd.Series) -> pd.Series:
    """The band of each value of the target, in words and in order: a categorical Series."""
    edges = (*problem.bands, np.inf)
    names = [
        f"{low:,} and more" if high == np.inf else f"{low:,} to {high:,}"
        for low, high in zip(edges, edges[1:])
    ]
    return pd.cut(values, edges, labels=names, right=False)


def slices(problem: Problem, predictions: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The errors by ``slice_by`` and by band of the target; ``ratio`` is predicted over actual."""
    by_field, by_band = problem.slice_by, f"{problem.target.name} band"
    error = (predictions["predicted"] - predictions["actual"]).abs()
    frame = predictions.assign(
        MAPE=error / predictions["actual"],
        MAE=error,
        **{
            by_field: predictions["row"].map(table[by_field]).astype(str),
            by_band: target_bands(problem, predictions["actual"]),
        },
    )
    parts = []
    for by in (by_field, by_band):
        groups = frame.groupby(by, observed=True)
        part = groups.agg(rows=("row", "nunique"), MAPE=("MAPE", "mean"), MAE=("MAE", "mean"))
        part["ratio"] = groups["predicted"].sum() / groups["actual"].sum()
        parts.append(part.rename_axis("slice").reset_index().assign(by=by))
    columns = ["by", "slice", "rows", "MAPE", "MAE", "ratio"]
    return pd.concat(parts, ignore_index=True).astype({"slice": str})[columns]


def large(lines: pd.DataFrame) -> pd.DataFrame:
    """The slices with enough rows for figures that say something."""
    return lines[lines["rows"] >= MIN_SLICE_ROWS].reset_index(drop=True)


def noise_floor(
    problem: Problem, table: pd.DataFrame, predictions: pd.DataFrame
) -> tuple[float, float, float]:
    """The error that remains where equal cases have different targets; NaN where there are none.

    MAPE over the rows that appear more than once: when predicted by the median of their group with
    themselves in it, which is too good; without, which is too bad; and the model's own.
    """
    target = problem.target.name
    groups = [g[target] for _, g in table.groupby(GROUP) if len(g) > 1]
    if not groups:
        return np.nan, np.nan, np.nan
    within = [abs(g.median() / value - 1) for g in groups for value in g]
    without = [abs(g.drop(row).median() / g[row] - 1) for g in groups for row in g.index]
    same = predictions[predictions["row"].isin(np.concatenate([g.index for g in groups]))]
    own = (same["predicted"] / same["actual"] - 1).abs().mean()
    return float(np.mean(within)), float(np.mean(without)), float(own)


@threadpool_limits.wrap(limits=1)
def learning_curve(
    model: Any, problem: Problem, table: pd.DataFrame, params: TrainParams, folds: pd.DataFrame
) -> pd.DataFrame:
    """How the error falls as the training part grows, over the folds of the first seed.

    Groups are drawn whole. The last point, where nothing is left out, is that of the `folds` of
    :func:`cross_validate`.
    """
    seeds: Sequence[int] = params.seeds[:1]
    splits = list(grouped_folds(table[GROUP], params.folds, seeds))
    steps = [(share, *split) for share in LEARNING_SHARES for split in splits]
    lines = []
    for share, seed, fold, train, test in tqdm(steps, "Learning curve", disable=None, leave=False):
        seen, unseen = table.iloc[train], table.iloc[test]
        groups = np.random.default_rng(seed).permutation(seen[GROUP].unique())
        drawn = groups[: max(2, round(share * len(groups)))]
        part = seen[seen[GROUP].isin(drawn)]
        predicted = fit(model, problem, part).predict(features(problem.features, unseen))
        scores = score(unseen[problem.target.name], predicted)
        lines.append({"share": share, "fold": fold, "rows": len(part)} | scores)
    whole = folds[folds["seed"] == seeds[0]].assign(share=1.0)
    whole["rows"] = [len(train) for _, _, train, _ in splits]
    return pd.concat([pd.DataFrame(lines), whole], join="inner", ignore_index=True)
