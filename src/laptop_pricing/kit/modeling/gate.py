"""May a model take another's place? Both are scored on the same rows, which neither has seen.

The rows are those of the frozen hold-out rule. The errors are compared row by row, since both
models find the same rows hard; the interval of the difference comes from a bootstrap in which
equal rows are drawn together.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

import numpy as np
import pandas as pd

from ..data.split import is_held_out
from ..data.table import GROUP, KEY
from ..errors import UserError
from ..params import Params
from ..problem import Problem
from .bundle import Bundle
from .evaluate import bootstrap, by_slice, large
from .task import HIGHER, task_of


@dataclass(frozen=True)
class Comparison:
    """A candidate beside the champion, on the hold-out."""

    candidate: dict[str, float]  # from the task's score
    champion: dict[str, float]
    difference: float  # mean error of the candidate less that of the champion
    low: float  # its 95 % interval
    high: float
    slices: pd.DataFrame  # by, slice, rows, difference; those with 30 rows or more
    errors: pd.DataFrame  # candidate, champion: the error of each row


class Criterion(NamedTuple):
    """A success criterion beside what was measured."""

    name: str
    mean: float
    sd: float
    promised: str
    met: bool


def compare_on_holdout(
    problem: Problem, candidate: Bundle, champion: Bundle, table: pd.DataFrame
) -> Comparison:
    """Score two bundles on the held-out rows of a table; refused if one may have seen them."""
    task = task_of(problem)
    ours, theirs = (bundle.metadata["holdout"] for bundle in (candidate, champion))
    if ours != theirs:
        rules = f"the candidate's hold-out rule is {ours}, the champion's {theirs}"
        remedy = "--force REASON promotes without a comparison"
        raise UserError("", f"{rules}: no rows that neither has seen", remedy)
    unseen = table[is_held_out(table[KEY])]
    actual = task.learned(unseen)
    predicted = {"candidate": candidate.predict(unseen), "champion": champion.predict(unseen)}
    found = {name: task.errors(actual, p) for name, p in predicted.items()}
    errors = pd.DataFrame(found, unseen.index)
    more = errors["candidate"] - errors["champion"]
    sums, sizes = bootstrap(more.groupby(unseen[GROUP]).agg(["sum", "size"]).to_numpy())
    low, high = np.quantile(sums / sizes, [0.025, 0.975])
    figures = {"rows": ("more", "size"), "difference": ("more", "mean")}
    slices = by_slice(problem, more.to_frame("more"), unseen, actual, figures)
    return Comparison(
        **{name: task.score(actual, p) for name, p in predicted.items()},
        difference=float(more.mean()),
        low=float(low),
        high=float(high),
        slices=large(slices),
        errors=errors,
    )


def criteria(metrics: Mapping[str, Any], params: Params) -> list[Criterion]:
    """The success criteria beside the content of metrics.json."""
    check_criteria(metrics["cv"], params)
    lines = []
    for name, limit in params.criteria.model_dump(exclude_none=True).items():
        higher, measured = name in HIGHER, metrics["cv"][name]
        met = measured["mean"] > limit if higher else measured["mean"] < limit
        promised = f"{'>' if higher else '<'} {limit:g}"
        lines.append(Criterion(name, **measured, promised=promised, met=met))
    return lines


def check_criteria(measured: Iterable[str], params: Params) -> None:
    """Refuse a success criterion that is not among the metrics that are measured."""
    for name in params.criteria.model_dump(exclude_none=True):
        if name not in measured:
            problem = f"not measured for this kind of target; expected one of {', '.join(measured)}"
            raise UserError(f"params.yaml: criteria.{name}", problem, "name one of these")


def unbeaten(problem: Problem, metrics: Mapping[str, Any], *names: str) -> list[str]:
    """Which plain models, all or those of `names`, the model does not beat on the same folds.

    By more than the noise, the trivial one has to be worse in something, and none better in
    anything.
    """
    task = task_of(problem)
    found, gains = [], {
        task.score_name: -1,
        task.error_name: 1,
    }  # the sign of what others have more
    for name in names or metrics["baselines"]:
        other = metrics["baselines"][name]
        ahead = [
            sign * other[n]["more"] / (other[n]["margin"] or 1e-12) for n, sign in gains.items()
        ]
        if min(ahead) < -1 or (name == task.trivial and max(ahead) <= 1):
            told = ", ".join(f"{n} {other[n]['mean']:.4g}" for n in gains)
            ours = ", ".join(f"{n} {metrics['cv'][n]['mean']:.4g}" for n in gains)
            found.append(f"{ours}: does not beat a plain model ({name}) on the same folds: {told}")
    return found


def objections(
    problem: Problem,
    metrics: Mapping[str, Any],
    comparison: Optional[Comparison],
    params: Params,
) -> list[str]:
    """Why a candidate with these metrics should not be promoted; nothing if it should."""
    missed = [c for c in criteria(metrics, params) if not c.met]
    found = [f"{c.name} {c.mean:.4g}, target {c.promised}" for c in missed]
    found += unbeaten(problem, metrics)
    if comparison is None:
        return found
    name, limits, worse = task_of(problem).error_name, params.promote, comparison.difference
    if worse > limits.tolerance:
        found.append(
            f"{name} on the hold-out {comparison.candidate[name]:.4f}, the champion's "
            f"{comparison.champion[name]:.4f}: worse by {worse:.4f}, more than "
            f"promote.tolerance = {limits.tolerance:g}"
        )
    return found + [
        f"{line.by} {line.slice} ({line.rows} rows): {name} worse by {line.difference:.4f}, "
        f"more than promote.slice_tolerance = {limits.slice_tolerance:g}"
        for line in comparison.slices.itertuples()
        if line.difference > limits.slice_tolerance
    ]
