"""Whether the service is still asked what its model learned, and whether its intervals still hold.

The log of quotes is compared with the reference in the bundle, and with the outcomes, where they
are known.
"""

import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple, Optional, Union

import pandas as pd

from ..errors import UserError
from ..files import render, write_text
from ..modeling import drift
from ..modeling.bundle import Bundle, load_bundle
from ..modeling.drift_plots import as_svg, draw_drift, draw_outcomes
from ..modeling.task import task_of
from ..params import MonitorParams
from ..problem import Problem
from ..project import Project
from .export import stored_quotes
from .outcomes import ID, Outcomes, compare_outcomes, missed_targets, read_outcomes
from .schemas import answer_kind

_DAMAGED = (AttributeError, LookupError, TypeError, ValueError)
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


class Monitored(NamedTuple):
    """What the log says."""

    quotes: pd.DataFrame  # a line each
    drift: pd.DataFrame  # of :func:`drift.compare`, with ``drifted``
    outcomes: Optional[Outcomes]
    notes: list[str]
    alarms: list[str]


def parse_since(text: str) -> float:
    """The seconds since 1970 of ``2026-11-01``, or of ``7d``, ``36h`` or ``2w`` ago."""
    try:
        if ago := re.fullmatch(r"(\d{1,6})([hdw])", text):
            length = timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            return (datetime.now(timezone.utc) - length).timestamp()
        return datetime.fromisoformat(text).timestamp()
    except (OverflowError, ValueError):
        expected = "expected a date as 2026-11-01, or a time as 7d, 36h or 2w"
        raise UserError("--since", f"found {text}; {expected}") from None


def monitor(
    project: Project,
    place: Union[str, Path],
    since: float,
    output: Path,
    outcomes: Optional[Path] = None,
) -> Monitored:
    """Compare the quotes of a log with what the model in models/ learned; write an HTML report.

    The log lies in a folder, or was exported to `place`. `outcomes` is a CSV or Parquet file with
    the columns ``quote_id`` and the target's.
    """
    bundle = load_bundle(project.models, project.problem, project.trusted)
    params = project.params.monitor
    if "reference" not in bundle.metadata:
        raise UserError(project.models, "has no reference: made before", "run dvc repro -f")
    quotes, notes = read_quotes(project.problem, place, since)
    lines, alarms, found = pd.DataFrame(), list[str](), None
    if len(quotes) >= params.least_quotes:
        lines = find_drift(project.problem, bundle, quotes, params)
        for line in lines[lines["drifted"]].itertuples():
            alarms.append(f"{line.quantity} drifted: PSI {line.psi:.2f}")
    else:
        few = f"{len(quotes)} quotes; {params.least_quotes} or more say whether there is drift"
        notes.append(few)
    if outcomes:
        actual = read_outcomes(project.problem, outcomes)
        found = compare_outcomes(project.problem, quotes, actual, params)
        alarms += missed_targets(project, found)
        notes += [f"{found.others} outcomes are of other quotes"] if found.others else []
    monitored = Monitored(quotes, lines, found, notes, alarms)
    write_text(output, _page(project, bundle, monitored))
    return monitored


def read_quotes(
    problem: Problem, place: Union[str, Path], since: float
) -> tuple[pd.DataFrame, list[str]]:
    """The quotes of a log since a time, oldest first; and what could not be read, in words.

    The columns are the features, ``prediction``, ``warnings`` (whether there was one), ``time``,
    ``sha256`` of the model, and the ``answer``.
    """
    lines, damaged, kind = [], 0, answer_kind(problem)
    for logged in stored_quotes(place, since=since):
        try:
            answer = kind.model_validate_json(logged.answer)
            case = json.loads(logged.asked)["case"]
            fields = {name: case.get(name) for name in problem.names}
            told = {drift.PREDICTION: answer.prediction, drift.WARNINGS: any(answer.warnings)}
            told |= {"time": logged.time, "sha256": logged.sha256, "answer": answer}
            lines.append({ID: logged.quote_id} | fields | told)
        except _DAMAGED:
            damaged += 1
    others = (drift.PREDICTION, drift.WARNINGS, "time", "sha256", "answer")
    quotes = pd.DataFrame(lines, columns=[ID, *problem.names, *others])
    notes = [f"{damaged} damaged lines in the log"] if damaged else []
    return quotes.sort_values(ID, ignore_index=True), notes


def find_drift(
    problem: Problem, bundle: Bundle, quotes: pd.DataFrame, params: MonitorParams
) -> pd.DataFrame:
    """:func:`drift.compare` with ``drifted``: a shift that is large, and hardly chance.

    The chance of one false alarm or more is ``false_alarms`` at most, by Bonferroni's correction.
    Of predictions those of the bundle's own model count, if they are enough.
    """
    own = quotes["sha256"] == bundle.sha256
    table = drift.quantities(problem, quotes, quotes[drift.PREDICTION], quotes[drift.WARNINGS])
    reference = dict(bundle.metadata["reference"])
    of_model = {drift.PREDICTION: reference.pop(drift.PREDICTION)}
    lines = drift.compare(reference, table)
    if own.sum() >= params.least_quotes:
        lines = pd.concat([lines, drift.compare(of_model, table[own])])
    certain = lines["p"] < params.false_alarms / len(lines)
    lines["drifted"] = certain & (lines["psi"] >= params.least_psi)
    return lines.sort_values("psi", ascending=False, ignore_index=True)


def _page(project: Project, bundle: Bundle, found: Monitored) -> str:
    """The report: all in one file."""
    problem, task = project.problem, task_of(project.problem)
    pictures = {}
    if len(found.drift):
        pictures["drift"] = as_svg(draw_drift(problem, found.drift))
    if found.outcomes and len(found.outcomes.lines):
        misses, low = ~found.outcomes.lines["inside"], found.outcomes.misses_low
        most = project.params.monitor.most_misses
        pictures["outcomes"] = as_svg(draw_outcomes(misses.to_numpy(), low, most))
    others = int((found.quotes["sha256"] != bundle.sha256).sum())
    facts = {"sha256": bundle.sha256, "others": others, "params": project.params.monitor}
    promised = getattr(project.params.criteria, task.error_name)
    facts |= {"task": task, "promised": promised, "pictures": pictures}
    return render("monitor.html", r=found, problem=problem, day=_day, **facts)


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M")
