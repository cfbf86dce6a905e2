"""A prediction, how far it may be off, its reasons, and what to offer: with NumPy alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ..problem import Problem
from .bundle import Bundle
from .factors import Explanation
from .interval import RISKS, Offer, interval, offers

FEW_ROWS, BIASED = 30, 0.08  # of a slice: what a quote warns of


@dataclass(frozen=True)
class Quote:
    """A prediction and what it rests on."""

    prediction: float
    low: float  # of the interval that held 90 % of the actual values
    high: float
    base: Optional[float]  # the average prediction; None where the model gives no reasons
    factors: Optional[dict[str, float]]  # by field: the base times all of them is the prediction
    terms: Optional[dict[str, float]]  # by field: or the base plus all of them is
    distance: int  # in how many fields the nearest training case differs
    typical_error: float  # at that distance: a share of the actual value, or in its unit
    offers: Optional[list[Offer]]  # if a margin was given
    warnings: list[str]  # what is doubtful in the case, or weak in the model


def quote_rows(
    problem: Problem,
    bundle: Bundle,
    rows: Sequence[Mapping[str, Any]],
    margin: Optional[float] = None,
    risk: Optional[float] = None,
) -> list[Quote]:
    """Predict a few cases: typed values by field, as :meth:`Problem.read_row` gives them.

    `margin` is the wanted share of the sale, `risk` the accepted share of deals that miss it.
    """
    calibration = bundle.metadata["calibration"]
    predicted, explained = bundle.predict_rows(rows)
    ends = interval(calibration, predicted).tolist()
    distances = bundle.neighbours.distances(rows)
    risks = RISKS if risk is None else (risk,)
    return [
        Quote(
            prediction=value,
            low=ends[i][0],
            high=ends[i][1],
            **_reasons(problem, explained, i),
            distance=distances[i],
            typical_error=error_at(bundle.metadata, distances[i]),
            offers=None if margin is None else offers(calibration, value, margin, risks),
            warnings=problem.doubts(row) + weak_spots(problem, bundle.metadata, row),
        )
        for i, (row, value) in enumerate(zip(rows, predicted.tolist()))
    ]


def _reasons(problem: Problem, explained: Optional[Explanation], i: int) -> dict[str, Any]:
    if explained is None:
        return {"base": None, "factors": None, "terms": None}
    effects = dict(zip(problem.names, explained.effects[i].tolist()))
    factors, terms = (None, effects) if explained.additive else (effects, None)
    return {"base": explained.base, "factors": factors, "terms": terms}


def error_at(metadata: Mapping[str, Any], distance: int) -> float:
    """The mean error of predictions whose nearest training case was as far away."""
    known = metadata["distances"]
    near = [line for line in known if line["distance"] <= distance] or known[:1]
    return float(near[-1]["error"])


def weak_spots(problem: Problem, metadata: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    """What the evidence says against predictions for this slice."""
    if not problem.slice_by:
        return []
    value = "unknown" if row[problem.slice_by] is None else str(row[problem.slice_by])
    name, known = f"{problem.slice_by} {value}", metadata["slices"].get(value, {"rows": 0})
    if known["rows"] < FEW_ROWS:
        return [f"{name}: only {known['rows']} rows in the data"]
    if abs(known.get("ratio", 1) - 1) > BIASED:
        return [f"{name}: predictions add up to {known['ratio']:.0%} of the actual values"]
    return []
