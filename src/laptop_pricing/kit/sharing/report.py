"""What a reviewer wants to know about a pull request: data, params, the model beside the base's."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from ..errors import ProjectError, UserError
from ..files import atomic_path, render, write_text
from ..modeling.bundle import Bundle, load_bundle
from ..modeling.gate import Comparison, compare_on_holdout, criteria, objections
from ..modeling.plots import draw_comparison
from ..modeling.train import read_processed
from ..process import git
from ..project import Project
from .storage import fetch, open_repo

BASES = ("stag", "main")
DRIFTED = 0.2  # of the population stability index: a large shift
BINS = 10
MOVED = 0.005  # of a slice's MAPE
SMALL_EFFECT = 0.01  # of the logarithm, nearer to 0 than which a factor's sign says nothing


@dataclass(frozen=True)
class Report:
    """What is to be done with a change, and why; without a `comparison` there is a `problem`."""

    base: str
    commit: str  # the base's
    objections: list[str]  # why not to promote
    comparison: Optional[Comparison] = None
    problem: str = ""

    @property
    def promote(self) -> bool:
        return not self.objections


def report(
    project: Project,
    base: Optional[str] = None,
    output: Path = Path("report.md"),
    plot_url: str = "",
) -> Report:
    """Compare the trained project with a branch; write Markdown, and its plot beside it.

    Parameters
    ----------
    base
        The branch that the change is for; by default stag, or else main.
    plot_url
        Where readers find the plot, if not beside the report: a link is written, and no image.
    """
    root, problem = project.root, project.problem
    base, commit = _base(root, base)
    candidate, (table, now) = load_bundle(project.models, problem, project.trusted), read_processed(
        project
    )
    metrics, plot = candidate.metadata["metrics"], output.with_suffix(".png")
    params = open_repo(project).params.diff(a_rev=commit).get("diff", {}).get("params.yaml", {})
    comparison, was, why = None, None, "it has no model yet"
    parts: dict[str, Any] = {}
    if has_model := git(root, "rev-parse", "-q", "--verify", f"{commit}:./dvc.lock"):
        try:
            comparison, was, parts = _compare(project, commit, candidate, table)
        except ProjectError as error:
            why = str(error)
    against = objections(metrics, comparison, project.params)
    if has_model and not comparison:
        against.append(f"not compared with {base}: {why}")
    found = Report(base, commit, against, comparison, "" if comparison else why)
    limits = {"drifted": DRIFTED, "moved": MOVED, "criteria": criteria(metrics, project.params)}
    data = {"now": now, "was": was, "params": params, "metrics": metrics, "problem": problem}
    text = render(
        "report.md", r=found, plot=plot.name, plot_url=plot_url, **limits, **data, **parts
    )
    if comparison:
        with atomic_path(plot) as part:
            draw_comparison(comparison).savefig(part, format="png", dpi=110)
    write_text(output, text)
    return found


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
) -> tuple[Comparison, dict[str, Any], dict[str, Any]]:
    """What the pipeline made at a commit, from DVC's cache or its remote, beside what is here."""
    problem = project.problem
    with tempfile.TemporaryDirectory() as folder:
        was = replace(project, root=Path(folder))
        for path in (was.models, was.processed, was.plots):
            fetch(project, commit, path.relative_to(was.root).as_posix(), path)
        champion = load_bundle(was.models, problem, project.trusted)
        old_table, old_summary = read_processed(was)
        before, now = (
            pd.read_csv(p.plots / "slices.csv", dtype={"slice": str}) for p in (was, project)
        )
    slices = now.merge(before[["by", "slice", "MAPE"]], on=["by", "slice"], suffixes=("", "_was"))
    slices["moved"] = abs(slices["MAPE"] - slices["MAPE_was"])
    slices = slices[slices["moved"] > MOVED].sort_values("moved", ascending=False)
    drift = _drift([*problem.names, problem.target.name], old_table, table)
    parts = {"drift": drift, "slices": slices}
    parts["flipped"] = _flipped(problem.names, champion, candidate, table)
    return compare_on_holdout(problem, candidate, champion, table), old_summary, parts


def _drift(names: Sequence[str], was: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """The columns that drifted by their population stability index: ``column``, ``psi``.

    After N. Siddiqi, "Credit Risk Scorecards", 2006: sum of (p - q) ln(p / q) over the categories,
    or over the tenths of the numbers before.
    """
    lines = []
    for name in names:
        before, after = was[name], now[name]
        if is_numeric_dtype(before) and before.nunique() > BINS:
            edges = np.unique(before.quantile(np.linspace(0, 1, BINS + 1)[1:-1]))
            before, after = (pd.Series(np.searchsorted(edges, side)) for side in (before, after))
        counts = pd.DataFrame({"p": before.value_counts(), "q": after.value_counts()}).fillna(0)
        shares = (counts + 0.5) / (counts + 0.5).sum()
        index = ((shares["q"] - shares["p"]) * np.log(shares["q"] / shares["p"])).sum()
        lines.append((name, index))
    drift = pd.DataFrame(lines, columns=["column", "psi"])
    return drift[drift["psi"] > DRIFTED].sort_values("psi", ascending=False)


def _flipped(
    names: Sequence[str], champion: Bundle, candidate: Bundle, table: pd.DataFrame
) -> Optional[pd.DataFrame]:
    """The values of a field that raised the target before and lower it now, or the other way."""
    old, new = (bundle.explain(table) for bundle in (champion, candidate))
    if old is None or new is None:
        return None
    lines = []
    for i, name in enumerate(names):
        effects = np.log(pd.DataFrame({"before": old[1][:, i], "now": new[1][:, i]}, table.index))
        for value, (before, now) in effects.groupby(table[name]).mean().iterrows():
            if before * now < 0 and min(abs(before), abs(now)) > SMALL_EFFECT:
                lines.append((name, value, np.exp(before), np.exp(now)))
    return pd.DataFrame(lines, columns=["field", "value", "before", "now"])
