"""A prediction, how far it may be off, its reasons, and what to offer: with NumPy alone."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ..errors import UserError
from ..problem import Problem
from .bundle import Bundle
from .task import task_of

FEW_ROWS, BIASED = 30, 0.08  # of a slice: what a quote warns of


def quote_rows(
    problem: Problem,
    bundle: Bundle,
    rows: Sequence[Mapping[str, Any]],
    margin: Optional[float] = None,
    risk: Optional[float] = None,
) -> list[Any]:
    """Predict a few cases: typed values by field, as :meth:`Problem.read_row` gives them.

    Gives a ``Quote`` or ``ClassQuote`` for each.

    `margin` is the wanted share of the sale, `risk` the accepted share of deals that miss it.
    """
    task, (found, explained) = task_of(problem), bundle.predict_rows(rows)
    own = task.quotes(bundle.metadata["calibration"], found, explained, margin, risk)
    distances = bundle.neighbours.distances(rows)
    return [
        task.quote(
            **told,
            distance=distance,
            typical_error=error_at(bundle.metadata, distance),
            warnings=warnings_of(problem, bundle.metadata, row),
        )
        for row, told, distance in zip(rows, own, distances)
    ]


def check_quotes(problem: Problem, bundle: Bundle, place: object) -> None:
    """Refuse a bundle that cannot give quotes, or gives some that cannot be: a UserError.

    Asked are the example, and the same with each other word.
    """
    example = problem.read_row(problem.example)[0]
    words = {c.name: c.allowed or (True, False) for c in problem.features if not c.numeric}
    others = [example | {name: word} for name, known in words.items() for word in known]
    margin = 0.2 if problem.bought else None
    try:
        for quote in quote_rows(problem, bundle, [example, *others], margin):
            json.dumps(vars(quote), allow_nan=False, default=vars)
            if not getattr(quote, "low", 0) <= getattr(quote, "high", 0):
                raise ValueError("an interval ends before it begins")
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise UserError(place, f"no quotes from it: {error}", "run dvc repro -f") from None


def error_at(metadata: Mapping[str, Any], distance: int) -> float:
    """The mean error of predictions whose nearest training case was as far away."""
    known = metadata["distances"]
    near = [line for line in known if line["distance"] <= distance] or known[:1]
    return float(near[-1]["error"])


def warnings_of(problem: Problem, metadata: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    """What is doubtful in a case, and what the evidence says against predictions for its slice."""
    doubts = problem.doubts(row)
    if not problem.slice_by:
        return doubts
    value = "unknown" if row[problem.slice_by] is None else str(row[problem.slice_by])
    name, known = f"{problem.slice_by} {value}", metadata["slices"].get(value, {"rows": 0})
    if known["rows"] < FEW_ROWS:
        return [*doubts, f"{name}: only {known['rows']} rows in the data"]
    if abs(known.get("ratio", 1) - 1) > BIASED:
        told = f"{name}: predictions add up to {known['ratio']:.0%} of the actual values"
        return [*doubts, told]
    return doubts
