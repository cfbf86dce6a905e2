"""What a reviewer wants to know about a pull request: data, params, the model beside the base's."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pandas as pd

from ..errors import ProjectError, UserError
from ..files import render, write_text
from ..modeling import drift
from ..modeling.bundle import Bundle, load_bundle
from ..modeling.gate import Comparison, compare_on_holdout, criteria, objections
from ..modeling.plots import draw_comparison, save_figure
from ..modeling.task import task_of
from ..modeling.train import read_processed
from ..process import git
from ..project import Project
from .storage import fetch, open_repo

BASES, OUTPUT = ("stag", "main"), Path("report.md")
DRIFTED = 0.2  # a large shift of the population stability index
MOVED = 0.04  # of a slice's error, as a share


class Report(NamedTuple):
    """Whether to promote a change, and why not; without a `comparison` there is a `problem`."""

    base: str
    commit: str  # the base's
    promote: bool
    objections: list[str]
    comparison: Optional[Comparison]
    problem: str


def report(
    project: Project, base: Optional[str] = None, output: Path = OUTPUT, plot_url: str = ""
) -> Report:
    """Compare the trained project with a branch; write Markdown, and its plot beside it.

    The change is for the branch `base`, by default stag or else main; ``prod`` is the version that
    serves. Where readers do not find the plot beside the report, but at `plot_url`, a link is
    written and no image.
    """
    base, commit = _serving(project) if base == "prod" else _base(project.root, base)
    candidate = load_bundle(project.models, project.problem, project.trusted)
    (table, now), metrics = read_processed(project), candidate.metadata["metrics"]
    has_model = git(project.root, "rev-parse", "-q", "--verify", f"{commit}:./dvc.lock")
    parts: dict[str, Any] = {"comparison": None, "was": None}
    problem = "" if has_model else "it has no model yet"
    try:
        parts |= _compare(project, commit, candidate, table) if has_model else {}
    except ProjectError as error:
        problem = str(error)
    against = objections(project.problem, metrics, parts["comparison"], project.params)
    against += [f"not compared with {base}: {problem}"] if has_model and problem else []
    found = Report(base, commit, not against, against, parts["comparison"], problem)
    diff = open_repo(project).params.diff(a_rev=commit).get("diff", {})
    parts |= {"params": diff.get("params.yaml", {}), "now": now, "metrics": metrics}
    parts |= {"drifted": DRIFTED, "moved": MOVED, "criteria": criteria(metrics, project.params)}
    plot = output.with_suffix(".png")
    places = {"plot": plot.name, "plot_url": plot_url}
    task = task_of(project.problem)
    parts |= {"task": task, "evidence": task.evidence(metrics)}
    text = render("report.md", r=found, problem=project.problem, **places, **parts)
    if found.comparison:
        save_figure(draw_comparison(project.problem, found.comparison), plot)
    write_text(output, text)
    return found


def _serving(project: Project) -> tuple[str, str]:
    """The alias of what serves, and the commit of the version that holds it."""
    from ..tracking.registry import list_versions

    held = list_versions(project).explode("aliases").set_index("aliases")["commit"].get("prod", "")
    commit = git(project.root, "rev-parse", "-q", "--verify", f"{held}^{{commit}}")
    if not commit:
        problem = f"commit {held[:7]} is not here" if held else "no version holds this alias"
        raise UserError("prod", problem, "git fetch, or name a branch as --base")
    return "prod", commit


def _base(root: Path, base: Optional[str]) -> tuple[str, str]:
    """The branch's name and commit, here or at the origin."""
    for name in [base] if base else BASES:
        for revision in (name, f"origin/{name}"):
            query = ("rev-parse", "-q", "--verify", "--end-of-options", f"{revision}^{{commit}}")
            if commit := git(root, *query):
                return name, commit
    wanted = base or BASES[0]  # the remedy serves in a clone of a single branch, too
    remedy = f"git fetch origin {wanted}:refs/remotes/origin/{wanted}, or name another --base"
    raise UserError(base or " or ".join(BASES), "no such branch here", remedy)


def _compare(
    project: Project, commit: str, candidate: Bundle, table: pd.DataFrame
) -> dict[str, Any]:
    """What the pipeline made at a commit, from DVC's cache or its remote, beside what is here."""
    problem = project.problem
    with tempfile.TemporaryDirectory() as folder:
        base = replace(project, root=Path(folder), given_params=project.params)
        for path in (base.models, base.processed, base.plots):
            fetch(project, commit, path.relative_to(base.root).as_posix(), path)
        champion = load_bundle(base.models, problem, project.trusted)
        old_table, was = read_processed(base)
        files = [p.plots / "slices.csv" for p in (base, project)]
        before, now = (pd.read_csv(file, dtype={"slice": str}) for file in files)
    kept = ["by", "slice", task_of(problem).error_name]
    before, now = (lines.rename(columns={kept[-1]: "error"}) for lines in (before[kept], now))
    slices = now.merge(before, on=["by", "slice"], suffixes=("", "_was"))
    slices["moved"] = abs(slices["error"] / slices["error_was"] - 1)
    return {
        "was": was,
        "comparison": compare_on_holdout(problem, candidate, champion, table),
        "slices": slices[slices["moved"] > MOVED].sort_values("moved", ascending=False),
        "drift": _drift([*problem.names, problem.target.name], old_table, table),
    }


def _drift(names: Sequence[str], was: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """The columns whose population stability index says that they drifted."""
    found = drift.compare(drift.make_reference(was[names]), now)
    return found[found["psi"] > DRIFTED].sort_values("psi", ascending=False)
