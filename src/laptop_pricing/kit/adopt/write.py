"""Findings and choices -> problem.py, params.yaml and model.py, as a person would write them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ..files import render
from ..modeling.task import task_of
from ..problem import Column, Problem
from .choose import ALPHAS, Choice, links, weights
from .look import Finding

_WIDTH = 100  # letters of a line


class Choices(NamedTuple):
    """What was chosen beside the columns."""

    source: str  # for params.yaml
    model: Choice
    target: pd.Series  # its values, as a model learns them
    trivial: float  # the error of the model that knows no feature
    rows: int


def files(problem: Problem, findings: Sequence[Finding], choices: Choices) -> dict[str, str]:
    """The texts by path below the package's folder, or below the project's for params.yaml."""
    late = {column.name for column in problem.late}
    lines: list[dict[str, Any]] = [
        {"code": _code(f.column), "check": f.check, "why": f.why, "name": f.column.name}
        for f in findings
        if f.column and f.column.name != problem.target.name
    ]
    makers = sorted({f.column.kind for f in findings if f.column})
    told = {
        "p": problem,
        "source": Path(choices.source).name,
        "imports": ["Problem", *makers],
        "features": [line for line in lines if line["name"] not in late],
        "late": [line for line in lines if line["name"] in late],
        "left_out": [finding for finding in findings if finding.decision == "left out"],
        "target": _code(problem.target),
    }
    import black

    code, mode = render("problem.jinja", **told), black.Mode(line_length=_WIDTH)
    found = {"problem.py": black.format_str(code, mode=mode)}
    found["params.yaml"] = render("params.jinja", **_params(problem, choices))
    task, boosted = task_of(problem).name, choices.model.crossed is None
    loss = "gamma" if problem.relative else "squared_error"
    if boosted or task == "classification":
        found["model.py"] = render("model.jinja", task=task, boosted=boosted, loss=loss)
    return found


def _params(problem: Problem, choices: Choices) -> Mapping[str, Any]:
    task, median = task_of(problem), float(choices.target.median())
    middle = abs(median) or float(choices.target.std())
    promised = choices.trivial
    if not problem.classes:  # the error that counts may be another than that of the choice
        promised = float(task.errors(choices.target, median).mean())
    cells = choices.rows * len(problem.features) * len(problem.classes)  # of numbers none
    few = choices.rows <= 2_000 and cells <= 200_000
    repeated = 5 if few else 2 if choices.rows <= 10_000 else 1
    repeated = 1 if cells > 500_000 else repeated
    return {
        "name": problem.name,
        "source": choices.source,
        "median": (median - 0.7 * middle, median + 2 * middle),
        "crossed": choices.model.crossed,
        "knots": choices.model.knots,
        "alphas": ALPHAS,
        "links": links(problem),
        "weights": weights(problem),
        "seeds": range(repeated),
        "task": task,
        "classes": problem.classes,
        "promised": promised,
        "tolerance": 0.05 * promised,
    }


def _code(column: Column) -> str:
    """The call that makes a column."""
    given: list[str] = [_text(column.name), _text(column.description)]
    if column.kind == "category":
        given.append(_tuple(column.allowed))
    elif column.numeric:
        given += [_text(column.unit), _number(column.low), _number(column.high)]
    if column.levels:
        given.append(f"levels={_tuple(column.levels)}")
    if column.ladders:
        given.append(f"ladders=({', '.join(map(_tuple, column.ladders))},)")
    if not column.monotonic:
        given.append("monotonic=False")
    if column.unknown:
        given.append("unknown=True")
    if column.raw_name != column.name:
        given.append(f"raw_name={_text(column.raw_name)}")
    return f"{column.kind}({', '.join(given)})"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _tuple(values: Sequence[Any]) -> str:
    parts = [_text(value) if isinstance(value, str) else _number(value) for value in values]
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def _number(value: float) -> str:
    return f"{value:_}" if abs(value) >= 10_000 else f"{value}"
