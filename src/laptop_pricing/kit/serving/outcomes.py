"""What became of quotes: do the intervals still hold, and are the errors within their target?"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..data.read import as_frame, row_tables
from ..errors import UserError
from ..modeling.interval import COVERAGE
from ..modeling.task import task_of
from ..params import MonitorParams
from ..problem import REFUSED, Failure, Problem
from ..project import Project

ID = "quote_id"
MOST_TESTED = 10_000  # outcomes, the last ones
LEAST = 30  # outcomes for a mean error


class Outcomes(NamedTuple):
    """What is known of some quotes."""

    lines: pd.DataFrame  # in the order of time: quote_id, time, actual, inside, error
    coverage: float  # the share of intervals, or sets, that hold the actual value
    error: float  # the mean: MAPE, MAE or log loss
    error_low: float  # its lower confidence bound
    misses_low: np.ndarray  # the lower confidence bound of the share of misses, after each
    others: int  # outcomes of quotes that are not among these


def read_outcomes(problem: Problem, path: Path) -> pd.Series:
    """The actual targets by quote_id, from a CSV or Parquet file with these two columns.

    Of a quote that appears twice the last outcome counts. A UserError names the first bad cell.
    """
    given = pd.concat(map(as_frame, row_tables(path, problem)), ignore_index=True)
    target, columns = problem.target, []
    for wanted in ((ID,), (target.name, target.raw_name)):
        names = [name for name in given if name in wanted]
        if len(names) != 1:
            found = f"found the columns {', '.join(map(str, given))}"
            raise UserError(path, f"{found}; expected {ID} and {target.name}")
        columns.append(given[names[0]].map(str))
    actual = columns[1].map(target.read)
    if refused := [i for i, value in enumerate(actual) if value is REFUSED]:
        cell = repr(columns[1][refused[0]])
        place = f"{path}: row {refused[0] + 1}"
        raise UserError(place, str(Failure(target.name, cell, target.rule)))
    ids = columns[0].str.strip().str.lower()
    return pd.Series(actual.to_numpy(), ids)[lambda found: ~found.index.duplicated(keep="last")]


def compare_outcomes(
    problem: Problem, quotes: pd.DataFrame, actual: pd.Series, params: MonitorParams
) -> Outcomes:
    """Hold outcomes against what was said, as :func:`monitor.read_quotes` gives it.

    The bound of the misses holds at every moment (A. Podkopaev and A. Ramdas, "Tracking the
    risk of a deployed model and detecting harmful distribution shifts", ICLR 2022).
    """
    from mapie.exchangeability_testing import RiskMonitoring
    from scipy.stats import norm

    known = quotes[quotes[ID].isin(actual.index)].tail(MOST_TESTED)
    values = actual.reindex(known[ID])
    judged = [_judge(problem, said, value) for said, value in zip(known["answer"], values)]
    inside, errors = np.array(judged).reshape(-1, 2).T
    level = params.false_alarms
    watch = RiskMonitoring(
        "accuracy", test_level=2 * level, threshold=params.most_misses, warn=False
    )
    watch.update(np.ones(len(inside), int), inside.astype(int))  # of a hit the risk is 0
    low = -np.inf
    if len(errors) >= LEAST:
        low = errors.mean() - norm.ppf(1 - level) * errors.std(ddof=1) / np.sqrt(len(errors))
    lines = known[[ID, "time"]].assign(
        actual=values.to_numpy(), inside=inside.astype(bool), error=errors
    )
    return Outcomes(
        lines.reset_index(drop=True),
        float(inside.mean()) if len(inside) else np.nan,
        float(errors.mean()) if len(errors) else np.nan,
        float(low),
        watch.online_risk_lower_bound_sequence_history,
        len(actual) - len(known),
    )


def _judge(problem: Problem, said: Any, actual: Any) -> tuple[bool, float]:
    """Whether the interval or set of an answer holds the actual value, and the error."""
    task = task_of(problem)
    if not problem.classes:
        inside = said.interval.low <= actual <= said.interval.high
        return inside, float(task.errors(float(actual), said.prediction))
    names = {problem.target.read(name): name for name in problem.classes}
    place = problem.classes.index(names[actual])
    chances = np.array([[said.chances[name] for name in problem.classes]])
    return names[actual] in said.set, float(task.errors([place], chances)[0])


def missed_targets(project: Project, found: Outcomes) -> list[str]:
    """What the outcomes say against the model for certain, in words."""
    task, params, texts = task_of(project.problem), project.params, []
    if len(found.misses_low) and found.misses_low[-1] > params.monitor.most_misses:
        held = f"the {COVERAGE:.0%} intervals or sets held {found.coverage:.1%}"
        texts.append(f"{held} of {len(found.lines)} outcomes")
    target = getattr(params.criteria, task.error_name)
    if target and found.error_low > target:
        told = f"{task.error_name} of the outcomes {task.tell_error(found.error)}"
        texts.append(f"{told}; target {task.tell_error(target)}")
    return texts
