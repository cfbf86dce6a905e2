"""How far a prediction may be off, and what to offer because of it.

The errors of rows that the model had not seen say how far: the log ratios actual / predicted where
errors are relative, else the differences. Each is divided by the spread that is usual at its
prediction, and the quantiles of what results, times the spread at a new prediction, are its
interval: normalised conformal prediction (J. Lei et al.,
"Distribution-free predictive inference for regression", JASA 113, 2018, section 5.2). The residuals
come from cross-validation, so that 90 % is measured and not guaranteed (V. Vovk, "Cross-conformal
predictors", Annals of Mathematics and Artificial Intelligence 74, 2015).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..problem import Problem

if TYPE_CHECKING:
    import pandas as pd

COVERAGE = 0.9
LEVELS = np.arange(1, 100) / 100
RISKS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
THIRDS = ("low", "middle", "high")
_SCALES: dict[str, Any] = {"relative": (np.log, np.exp), "absolute": (np.asarray, np.asarray)}
QUARTERS = 4
_OUTSIDE = (1 - COVERAGE) / 2
_LEAST = 1e-6  # of a spread, as a share: a model may be exact


def calibrate(problem: Problem, predictions: "pd.DataFrame") -> dict[str, Any]:
    """Learn spread and quantiles from the ``actual`` and ``predicted`` of rows not seen.

    Gives ``spread``: the mean absolute error in each quarter of the predictions, ``at`` the median
    prediction of each, between which it is interpolated; ``scores``: the quantiles of error /
    spread at LEVELS; ``ends``: those of the interval; ``errors``: as the problem's.
    """
    scale, unscale = _SCALES[problem.errors]
    places = scale(predictions["predicted"].to_numpy(float))
    off = scale(predictions["actual"].to_numpy(float)) - places
    order = np.array_split(np.argsort(places, kind="stable"), QUARTERS)
    at = np.array([np.median(places[part]) for part in order])
    least = _LEAST * (1 if problem.relative else max(np.abs(places).max(), _LEAST))
    spread = np.array([max(np.abs(off[part]).mean(), least) for part in order])
    scores = off / np.interp(places, at, spread)
    rows = predictions["row"].nunique()
    outward = np.array([-1, 1]) * _OUTSIDE / rows  # (n + 1) / n of the rows on either side
    low, high = np.quantile(scores, np.clip([_OUTSIDE, 1 - _OUTSIDE] + outward, 0, 1))
    for i in range(1, QUARTERS):  # rising faster, the low end would fall as the prediction rises
        most = spread[i - 1] - (at[i] - at[i - 1]) / low if low < 0 else np.inf
        spread[i] = min(spread[i], most)
    return {
        "errors": problem.errors,
        "spread": {"at": unscale(at).tolist(), "is": spread.tolist()},
        "scores": np.quantile(scores, LEVELS).tolist(),
        "ends": [float(low), float(high)],
    }


def interval(calibration: Mapping[str, Any], predicted: Any) -> np.ndarray:
    """The range that holds 90 % of the actual values: low and high, shape (n_rows, 2)."""
    return _scaled(calibration, predicted, calibration["ends"])


def _scaled(calibration: Mapping[str, Any], predicted: Any, scores: Any) -> np.ndarray:
    scale, unscale = _SCALES[calibration["errors"]]
    places = scale(np.asarray(predicted, dtype=float))[:, np.newaxis]
    spread = np.interp(places, scale(calibration["spread"]["at"]), calibration["spread"]["is"])
    return unscale(places + spread * np.asarray(scores))


def coverage(problem: Problem, predictions: "pd.DataFrame") -> "pd.DataFrame":
    """How many actual values lie in their interval, with intervals from the other folds.

    Gives `predictions` with ``third`` (of its seed's predictions), ``low``, ``high``, ``inside``.
    """
    import pandas as pd

    parts = []
    for _, drawn in predictions.groupby("seed"):
        # Equal with every processor and pandas, which differ in last bits.
        rank = drawn["predicted"].astype("float32").rank(method="first").astype(int)
        codes = (3 * rank - 1) // len(drawn)
        third = pd.Series(pd.Categorical.from_codes(codes, THIRDS, ordered=True), drawn.index)
        for _, fold in drawn.groupby("fold"):
            low, high = interval(calibrate(problem, drawn.drop(fold.index)), fold["predicted"]).T
            inside = fold["actual"].between(low, high)
            parts.append(fold.assign(third=third[fold.index], low=low, high=high, inside=inside))
    return pd.concat(parts).sort_index()


def summarise_coverage(problem: Problem, covered: "pd.DataFrame") -> dict[str, Any]:
    """Share of values inside their interval, median width (as an error), share inside per third."""
    width = covered["high"] - covered["low"]
    width = width / covered["predicted"] if problem.relative else width
    thirds = covered.groupby("third", observed=True)["inside"].mean()
    return {
        "coverage": float(covered["inside"].mean()),
        "width": float(width.median()),
        "thirds": thirds.to_dict(),
    }


@dataclass(frozen=True)
class Offer:
    """What to offer, and what it leads to."""

    risk: float  # accepted share of deals that miss the margin
    offer: float  # the highest one at that risk
    losing: float  # share of deals that sell below it; 0 is less than 0.01, 1 more than 0.99
    expected_margin: float  # share of the sale that is kept over many such deals


def offers(
    calibration: Mapping[str, Any], predicted: float, margin: float, risks: Sequence[float] = RISKS
) -> list[Offer]:
    """The highest offer at each risk (0.01 to 0.99), and what it leads to.

    `margin` is the wanted share of the sale, from 0 to below 1.
    """
    sold = _scaled(calibration, [predicted], calibration["scores"])[0]
    offer = (1 - margin) * np.interp(risks, LEVELS, sold)
    losing = np.interp(offer, sold, LEVELS, left=0, right=1)
    lines = np.column_stack([risks, offer, losing, 1 - offer / sold.mean()])
    return [Offer(*line) for line in lines.tolist()]
