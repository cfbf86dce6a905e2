"""Logged quotes again, from the models that gave them: are they the same to the last byte?"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, Union

from ..errors import ProjectError, UserError
from ..modeling.bundle import load_bundle
from ..project import Project
from .export import stored_quotes
from .quotelog import Logged
from .served import Served

_BROKEN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class Replayed(NamedTuple):
    """What came of it."""

    quotes: int
    models: dict[str, str]  # SHA-256 -> from where
    differences: list[str]  # in words, one per quote that is not the same


def replay_quotes(project: Project, place: Union[str, Path], quote_id: str = "") -> Replayed:
    """Give the quotes of a log again, or one.

    Each is given by the model that gave it: the one in models/ if it has its SHA-256, else that
    version of the registry. A UserError says that there is no such quote.
    """
    models: dict[str, Union[Served, ProjectError]] = {}
    count, differences = 0, []
    for line in stored_quotes(place, quote_id):
        count += 1
        if not line.answer:
            differences.append(f"{line.quote_id}: damaged in the log")
            continue
        if line.sha256 not in models:
            models[line.sha256] = _model(project, line)
        if differs := _difference(project, models[line.sha256], line):
            differences.append(f"{line.quote_id}: {differs}")
    if quote_id and not count:
        raise UserError(quote_id, "no such quote in the log")
    known = {sha: m.origin for sha, m in models.items() if isinstance(m, Served)}
    return Replayed(count, known, differences)


def _model(project: Project, line: Logged) -> Union[Served, ProjectError]:
    """The model that gave a quote; or why it is not to be had."""
    try:
        bundle = load_bundle(project.models, project.problem, project.trusted)
        if bundle.sha256 == line.sha256:
            return Served.of(project.problem, bundle, "models", line.version)
    except ProjectError:
        pass
    if line.version is None:
        found = f"models/ does not hold the model with SHA-256 {line.sha256[:12]}"
        return UserError("models", found, "git switch to its commit, dvc checkout")
    from ..tracking.registry import fetch_version

    with tempfile.TemporaryDirectory() as temporary:
        try:
            place = fetch_version(project, project.name, line.version, Path(temporary))
            bundle = load_bundle(place, project.problem, project.trusted)
        except ProjectError as error:
            return error
    if bundle.sha256 != line.sha256:
        return UserError(f"version {line.version}", "is another model than the one that answered")
    return Served.of(project.problem, bundle, f"version {line.version}", line.version)


def _difference(project: Project, model: Union[Served, ProjectError], line: Logged) -> str:
    """What is not the same, in words; nothing if all is."""
    if isinstance(model, ProjectError):
        return str(model)
    try:
        asked = json.loads(line.asked)
        row, failures = project.problem.read_row(asked["case"])
        if failures:
            return f"damaged in the log: {failures[0]}"
        wanted = SimpleNamespace(margin=asked["margin"], risk=asked["risk"])
        again, then = model.answer(project.problem, row, wanted), bytes(line.answer)
        if again == then:
            return ""
        before, now = json.loads(then), json.loads(again)
    except _BROKEN as error:
        return f"damaged in the log: {error}"
    return next(_differences(before, now, ""), "other bytes, but the same values")


def _differences(before: Any, now: Any, place: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for name in {**before, **now}:
            inside = f"{place}.{name}".lstrip(".")
            yield from _differences(before.get(name), now.get(name), inside)
    elif before != now:
        yield f"{place} was {before}, is {now}"
