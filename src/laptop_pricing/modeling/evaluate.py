"""How good the model is: R2, MAPE, MAE and MSE by nested, grouped cross-validation.

Every choice, alpha included, is made inside the training part of a fold, and no specification is
on both sides of one [1]_.

References
----------
.. [1] G. C. Cawley and N. L. C. Talbot, "On over-fitting in model selection and subsequent
   selection bias in performance evaluation", JMLR 11, 2010.
"""

import numpy as np
import pandas as pd
from sklearn.metrics import (
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    r2_score,
)
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from laptop_pricing.data.schema import BANDS, SLICED_BY, TARGET
from laptop_pricing.data.split import grouped_folds
from laptop_pricing.modeling.pipeline import fit_pipeline

METRICS = ("R2", "MAPE", "MAE", "MSE")
MIN_SLICE_ROWS = 30
LEARNING_SHARES = (0.125, 0.25, 0.5)


def score(actual, predicted):
    """The four metrics of one prediction.

    Parameters
    ----------
    actual, predicted : array-like, shape (n_rows,)
        Prices.

    Returns
    -------
    dict of float
        ``R2``; ``MAPE`` as a fraction; ``MAE`` in the unit of the prices; ``MSE``
        in its square.
    """
    return {
        "R2": float(r2_score(actual, predicted)),
        "MAPE": float(mean_absolute_percentage_error(actual, predicted)),
        "MAE": float(mean_absolute_error(actual, predicted)),
        "MSE": float(mean_squared_error(actual, predicted)),
    }


@threadpool_limits.wrap(limits=1)  # more threads would wait for each other on tables of this size
def cross_validate(table, params, fit=fit_pipeline):
    """Nested cross-validation over all rows, grouped by specification.

    Parameters
    ----------
    table : DataFrame
        The processed table.
    params : TrainParams
    fit : callable, optional
        ``fit(table, params)`` gives a fitted model with ``predict``.

    Returns
    -------
    folds : DataFrame
        One line per seed and fold: the metrics.
    predictions : DataFrame
        One line per seed and row: ``row``, ``seed``, ``fold``, ``actual`` and ``predicted``
        price, the latter by a model that saw no row of that specification.

    Raises
    ------
    ValueError
        If a specification is on both sides of a fold.
    """
    splits = list(grouped_folds(table["specification"], params.folds, params.seeds))
    folds, predictions = [], []
    for seed, fold, train, test in tqdm(splits, "Cross-validating", disable=None, leave=False):
        train, test = table.iloc[train], table.iloc[test]
        shared = set(train["specification"]) & set(test["specification"])
        if shared:
            raise ValueError(f"{len(shared)} specifications on both sides of fold {fold}")
        predicted = fit(train, params).predict(test)
        folds.append({"seed": seed, "fold": fold} | score(test[TARGET], predicted))
        predictions.append(
            pd.DataFrame(
                {
                    "row": test.index,
                    "seed": seed,
                    "fold": fold,
                    "actual": test[TARGET].to_numpy(),
                    "predicted": predicted,
                }
            )
        )
    predictions = pd.concat(predictions).sort_values(["seed", "row"], ignore_index=True)
    return pd.DataFrame(folds), predictions


def summarise(folds):
    """Mean and standard deviation of each metric over the folds.

    Returns
    -------
    dict
        ``{"R2": {"mean": ..., "sd": ...}, ...}``
    """
    return {
        name: {"mean": float(folds[name].mean()), "sd": float(folds[name].std(ddof=0))}
        for name in METRICS
    }


def price_bands(prices):
    """The band of each price, in words: a categorical Series."""
    edges = (*BANDS, np.inf)
    bands = [
        f"{low:,} and more" if high == np.inf else f"{low:,} to {high:,}"
        for low, high in zip(edges, edges[1:])
    ]
    return pd.cut(prices, edges, labels=bands, right=False)


def slices(predictions, table):
    """MAPE and MAE by ``SLICED_BY`` and by price band.

    Parameters
    ----------
    predictions : DataFrame
        From :func:`cross_validate`.
    table : DataFrame
        The processed table.

    Returns
    -------
    DataFrame
        ``by``, ``slice``, ``rows``, ``MAPE``, ``MAE``; slices with fewer than 30 rows have
        figures that say little and are left out.
    """
    error = (predictions["predicted"] - predictions["actual"]).abs()
    frame = pd.DataFrame(
        {
            "row": predictions["row"],
            "MAPE": error / predictions["actual"],
            "MAE": error,
            SLICED_BY: predictions["row"].map(table[SLICED_BY]),
            f"{TARGET} band": price_bands(predictions["actual"]),
        }
    )
    parts = []
    for by in (SLICED_BY, f"{TARGET} band"):
        part = frame.groupby(by, observed=True).agg(
            rows=("row", "nunique"), MAPE=("MAPE", "mean"), MAE=("MAE", "mean")
        )
        parts.append(part.rename_axis("slice").reset_index().assign(by=by))
    found = pd.concat(parts, ignore_index=True)
    found = found[found["rows"] >= MIN_SLICE_ROWS]
    return found[["by", "slice", "rows", "MAPE", "MAE"]].reset_index(drop=True)


def noise_floor(table):
    """The error that remains for rows of one specification with different prices.

    Parameters
    ----------
    table : DataFrame
        The processed table.

    Returns
    -------
    tuple of float
        MAPE of each such row when priced at the median of its specification: with its own
        price among them, which is too good, and without, which is too bad. No model that sees
        the specification alone can be expected below the first. NaN where there are none.
    """
    groups = [g[TARGET] for _, g in table.groupby("specification") if len(g) > 1]
    if not groups:
        return np.nan, np.nan
    within = [abs(g.median() / price - 1) for g in groups for price in g]
    without = [abs(g.drop(row).median() / g[row] - 1) for g in groups for row in g.index]
    return float(np.mean(within)), float(np.mean(without))


def learning_curve(table, params, folds):
    """How the error falls as the training part grows, over the folds of the first seed.

    Parameters
    ----------
    table : DataFrame
        The processed table.
    params : TrainParams
    folds : DataFrame
        From :func:`cross_validate`: the last point, where nothing is left out.

    Returns
    -------
    DataFrame
        One line per share of the training part and fold: ``share``, ``rows`` and the metrics.
        Specifications are drawn whole.
    """
    splits = list(grouped_folds(table["specification"], params.folds, params.seeds[:1]))
    steps = [(share, *split) for share in LEARNING_SHARES for split in splits]
    lines = []
    for share, seed, fold, train, test in tqdm(steps, "Learning curve", disable=None, leave=False):
        train, test = table.iloc[train], table.iloc[test]
        groups = np.random.default_rng(seed).permutation(train["specification"].unique())
        drawn = groups[: max(2, round(share * len(groups)))]
        part = train[train["specification"].isin(drawn)]
        found = score(test[TARGET], fit_pipeline(part, params).predict(test))
        lines.append({"share": share, "fold": fold, "rows": len(part)} | found)
    whole = folds[folds["seed"] == params.seeds[0]].assign(share=1.0)
    whole["rows"] = [len(train) for _, _, train, _ in splits]
    return pd.concat([pd.DataFrame(lines), whole], join="inner", ignore_index=True)
