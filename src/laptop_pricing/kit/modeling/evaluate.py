"""How good a model is, by nested, grouped cross-validation.

Every choice is made inside the training part of a fold, and no group of equal rows is on both
sides of one: G. C. Cawley and N. L. C. Talbot, "On over-fitting in model selection and subsequent
selection bias in performance evaluation", JMLR 11, 2010.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, Optional

import numpy as np
import pandas as pd
from scipy.stats import t as student
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from ..data.table import GROUP, features, records
from ..files import render
from ..params import TrainParams
from ..problem import Problem
from ..workers import Workers
from .bundle import Neighbours
from .search import search, shares_sums
from .task import figure, outputs, task_of

MIN_SLICE_ROWS = 30
LEARNING_SHARES = (0.125, 0.25, 0.5)
DRAWS = 2000
MOST_MEASURED = 2000  # rows of a fold whose distance is measured


class Fold(NamedTuple):
    """One fold of one seed, and the model for it where that is fitted already."""

    seed: int
    fold: int
    train: np.ndarray  # positions of rows
    test: np.ndarray
    fitted: Any = None


def fit(model: Any, problem: Problem, table: pd.DataFrame) -> Any:
    """A copy of the model, fitted on a processed table; a search by folds gets the groups."""
    told = {"groups": table[GROUP]} if isinstance(model, BaseSearchCV) else {}
    X, target = features(problem.features, table), task_of(problem).learned(table)
    if shares_sums(model):
        return search(model, X, target, **told)
    return clone(model).fit(X, target, **told)


def baselines(problem: Problem) -> dict[str, Any]:
    """The models beside which every model is measured: one knows no feature, the other is plain."""
    words = [
        [*c.allowed, *([np.nan] if c.unknown else [])]
        for c in problem.features
        if c.kind == "category"
    ]
    fill = SimpleImputer(strategy="median", add_indicator=True)
    encode = make_column_transformer(
        (
            OneHotEncoder(categories=words, sparse_output=False),
            make_column_selector(dtype_include="category"),
        ),
        (make_pipeline(fill, StandardScaler()), make_column_selector(dtype_include="number")),
        remainder="passthrough",
    )
    task = task_of(problem)
    trivial, plain = task.plain_models()
    return {task.trivial: trivial, task.plain: make_pipeline(encode, plain)}


def cross_validate(
    model: Any,
    problem: Problem,
    table: pd.DataFrame,
    params: TrainParams,
    name: str = "",
    share: float = 1.0,
    folds: Optional[Sequence[Fold]] = None,
    workers: Workers = Workers(),
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Nested cross-validation over all rows of a processed table, by its groups.

    Below 1, only that `share` of the groups of a training part is learned from. The `folds` are
    drawn by the seeds of `params`, unless they are given. On several processors they run together.

    Returns
    -------
    folds
        One line per seed and fold: the training ``rows``, and the metrics.
    predictions
        One line per seed and row: ``row``, ``seed``, ``fold``, ``actual``, ``predicted`` by a model
        that saw no row of that group, and ``distance``: in how many fields the nearest row that it
        saw differs; where rows are many, of some. Of classes, actual is the place of one, predicted
        that of the likeliest, and ``chance_of_...`` the chance of each.
    """
    folds = [Fold(*fold) for fold in task_of(problem).folds(table, params)] if not folds else folds
    validate = partial(_validate_fold, model, problem, table, share)
    done = workers.fits(validate, folds, f"Cross-validating {name}".strip())
    lines, parts = zip(*done)
    predictions = pd.concat(parts).sort_values(["seed", "row"], ignore_index=True)
    return pd.DataFrame(lines), predictions


@threadpool_limits.wrap(limits=1)  # more threads would wait for each other on tables of this size
def _validate_fold(
    model: Any, problem: Problem, table: pd.DataFrame, share: float, fold: Fold
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The line and the predictions of one fold."""
    task = task_of(problem)
    seen, unseen = table.iloc[fold.train], table.iloc[fold.test]
    if shared := set(seen[GROUP]) & set(unseen[GROUP]):
        raise ValueError(f"{len(shared)} groups on both sides of fold {fold.fold}")
    if share < 1:
        random = np.random.default_rng(fold.seed)
        kept = [
            random.permutation(groups)[: max(2, round(share * len(groups)))]
            for groups in task.strata(seen)
        ]
        seen = seen[seen[GROUP].isin(np.concatenate(kept))]
    if share < 1 or not fold.fitted:  # a smaller part gets the penalty of the whole, where known
        model = getattr(fold.fitted, "best_estimator_", fold.fitted) or model
        fold = fold._replace(fitted=fit(model, problem, seen))
    found = outputs(fold.fitted, features(problem.features, unseen), problem.classes)
    actual = task.learned(unseen).to_numpy()
    place = {"seed": fold.seed, "fold": fold.fold}
    line = place | {"rows": len(seen)} | task.score(actual, found)
    said = {"actual": actual} | task.columns(found)
    predictions = pd.DataFrame({"row": unseen.index} | place | said)
    step = -(-len(unseen) // MOST_MEASURED)
    cases = records(unseen.iloc[::step], problem.names)
    distances = pd.Series(Neighbours.of(problem, seen).distances(cases), predictions.index[::step])
    return line, predictions.assign(distance=distances)


def learning_curve(
    model: Any,
    problem: Problem,
    table: pd.DataFrame,
    params: TrainParams,
    folds: pd.DataFrame,
    drawn: Optional[Sequence[Fold]] = None,
    workers: Workers = Workers(),
) -> pd.DataFrame:
    """How the error falls as the training part grows: smaller parts in folds of the first seed.

    Gives lines as the `folds` of :func:`cross_validate`, which are the last point, with ``share``.
    """
    first, parts = params.model_copy(update={"seeds": params.seeds[:1]}), []
    drawn = [fold for fold in drawn or () if fold.seed == params.seeds[0]]
    for share in LEARNING_SHARES:
        with suppress(ValueError):  # the model may need more rows than a small part has
            part, _ = cross_validate(model, problem, table, first, "parts", share, drawn, workers)
            parts.append(part.assign(share=share))
    return pd.concat([*parts, folds.assign(share=1.0)], ignore_index=True)


def summarise(folds: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Mean and standard deviation of each metric over the folds."""
    return {
        name: {"mean": float(folds[name].mean()), "sd": float(folds[name].std(ddof=0))}
        for name in folds
        if name not in ("seed", "fold", "rows")
    }


def against(
    problem: Problem, folds: pd.DataFrame, others: pd.DataFrame, params: TrainParams
) -> dict[str, dict[str, float]]:
    """How much higher score and mean error of another model are, over the same folds.

    Gives ``mean``, and for the difference to `folds` ``more`` and ``margin``: half of its 95 %
    interval, by the corrected resampled t-test of C. Nadeau and Y. Bengio, "Inference for the
    generalization error", Machine Learning 52, 2003.
    """
    lines, task = {}, task_of(problem)
    for name in (task.score_name, task.error_name):
        more = others[name] - folds[name]
        variance = more.var(ddof=1) * (1 / len(more) + 1 / (params.folds - 1))
        margin = student.ppf(0.975, len(more) - 1) * np.sqrt(variance)
        means = {"mean": float(others[name].mean()), "more": float(more.mean())}
        lines[name] = means | {"margin": float(margin)}
    return lines


def bootstrap(sums: np.ndarray) -> np.ndarray:
    """Sums over groups drawn with replacement, from the sums of each: shape (n_sums, DRAWS).

    B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 8.
    """
    random, n = np.random.default_rng(0), len(sums)
    drawn = (sums[random.integers(n, size=n)].sum(axis=0) for _ in range(DRAWS))  # one at a time
    return np.array(list(drawn)).T


def sampling_interval(
    problem: Problem, predictions: pd.DataFrame, groups: pd.Series
) -> dict[str, list[float]]:
    """The 95 % intervals of pooled metrics of the first seed if other rows had been drawn."""
    task, first = task_of(problem), predictions[predictions["seed"] == predictions["seed"].min()]
    terms = pd.DataFrame(task.sums(first["actual"], task.outputs_in(first)), first.index)
    draws = task.from_sums(bootstrap(terms.groupby(first["row"].map(groups)).sum().to_numpy()))
    return {name: np.quantile(found, [0.025, 0.975]).tolist() for name, found in draws.items()}


def by_slice(
    problem: Problem, frame: pd.DataFrame, table: pd.DataFrame, actual: pd.Series, figures: Any
) -> pd.DataFrame:
    """What :meth:`DataFrameGroupBy.agg` makes of `frame`, about the same rows, in each slice.

    A ``slice`` holds one value of the field ``slice_by``, if there is one, or one band or class of
    the `actual` target; ``by`` says of which.
    """
    names = {}
    if problem.slice_by:
        field = table[problem.slice_by]
        names[problem.slice_by] = field.astype(object).where(field.notna(), "unknown").astype(str)
    task = task_of(problem)
    names[task.by_target] = task.bands(actual)
    parts = {by: frame.groupby(name, observed=True).agg(**figures) for by, name in names.items()}
    return pd.concat(parts, names=["by", "slice"]).reset_index()


def slices(problem: Problem, predictions: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The errors in each slice; where they are relative, ``ratio`` is predicted over actual."""
    task = task_of(problem)
    found = task.row_figures(predictions["actual"], task.outputs_in(predictions))
    ways: dict[str, Any] = dict.fromkeys(found, "mean")
    ways |= dict.fromkeys(("predicted", "actual"), "sum") if problem.relative else {}
    figures = {"rows": ("row", "nunique")} | {name: (name, way) for name, way in ways.items()}
    rows = table.loc[predictions["row"]].set_axis(predictions.index)
    lines = by_slice(problem, predictions.assign(**found), rows, predictions["actual"], figures)
    if not problem.relative:
        return lines
    ratio = lines.pop("predicted") / lines.pop("actual")
    return lines.assign(ratio=ratio)


def large(lines: pd.DataFrame) -> pd.DataFrame:
    """The slices with enough rows for figures that say something."""
    return lines[lines["rows"] >= MIN_SLICE_ROWS].reset_index(drop=True)


def noise_floor(
    problem: Problem, table: pd.DataFrame, predictions: pd.DataFrame
) -> tuple[float, ...]:
    """The error that remains where equal cases have different targets; NaN where there are none.

    The mean over the rows that appear more than once: when predicted by the median of their group
    with themselves in it, which is too good; without, which is too bad; and the model's own.
    """
    return task_of(problem).noise_floor(table, predictions)


def model_card(problem: Problem, metadata: Any, summary: Any, lines: Any, commit: str) -> str:
    """What a model is for, from what it was made, how good it is and where it ends, as Markdown.

    `summary` and `lines` are the contents of summary.json and of plots/slices.csv. A version's
    description may have 5,000 characters. After M. Mitchell et al., "Model cards for model
    reporting", FAT* 2019.
    """
    told = {"m": metadata, "s": summary, "slices": lines.to_dict("records"), "commit": commit}
    task = task_of(problem)
    told |= {"task": task, "evidence": task.evidence(metadata["metrics"])}
    return render("card.md", problem=problem, figure=figure, least=MIN_SLICE_ROWS, **told)
