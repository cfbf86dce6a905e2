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
    """What there is to say, before it is put into words; without a `comparison` the `problem`."""

    base: str
    commit: str  # the base's
    objections: list[str]  # why not to promote
    params: list[dict[str, Any]]  # name, old, new
    now: dict[str, Any]  # the summary of preprocess
    was: Optional[dict[str, Any]] = None  # the base's
    comparison: Optional[Comparison] = None
    problem: str = ""
    drift: Optional[pd.DataFrame] = None  # column, psi; highest first
    slices: Optional[pd.DataFrame] = None  # by, slice, rows, before, now: those that moved
    flipped: Optional[pd.DataFrame] = None  # field, value, before, now; None without factors

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
    examined, plot = examine(project, base), output.with_suffix(".png")
    metrics = load_bundle(project.models, project.problem, project.trusted).metadata["metrics"]
    text = render(
        "report.md",
        name=project.name,
        unit=project.problem.target.unit,
        r=examined,
        metrics=metrics,
        criteria=criteria(metrics, project.params),
        drifted=DRIFTED,
        moved=MOVED,
        plot=plot.name,
        plot_url=plot_url,
    )
    if examined.comparison:
        with atomic_path(plot) as part:
            draw_comparison(examined.comparison).savefig(part, format="png", dpi=110)
    write_text(output, text)
    return examined


def examine(project: Project, base: Optional[str] = None) -> Report:
    """Compare the trained project with a branch."""
    base, commit = _base(project.root, base)
    candidate = load_bundle(project.models, project.problem, project.trusted)
    table, summary = read_processed(project)
    diff = open_repo(project).params.diff(a_rev=commit).get("diff", {})
    params = [{"name": n} | change for n, change in diff.get("params.yaml", {}).items()]
    has_model = git(project.root, "rev-parse", "-q", "--verify", f"{commit}:./dvc.lock")
    parts: dict[str, Any] = {"problem": "it has no model yet"}
    if has_model:
        try:
            parts = _compare(project, commit, candidate, table)
        except ProjectError as error:
            parts = {"problem": str(error)}
    against = objections(candidate.metadata["metrics"], parts.get("comparison"), project.params)
    if has_model and "problem" in parts:
        against.append(f"not compared with {base}: {parts['problem']}")
    return Report(base, commit, against, params, summary, **parts)


def _base(root: Path, base: Optional[str]) -> tuple[str, str]:
    for name in [base] if base else BASES:
        for revision in (name, f"origin/{name}"):
            query = ("rev-parse", "-q", "--verify", "--end-of-options", f"{revision}^{{commit}}")
            if commit := git(root, *query):
                return name, commit
    wanted = base or " or ".join(BASES)
    raise UserError(
        f"--base {wanted}", "no such branch here", f"git fetch origin {base or BASES[0]}"
    )


def _compare(
    project: Project, commit: str, candidate: Bundle, table: pd.DataFrame
) -> dict[str, Any]:
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
    slices = slices.rename(columns={"MAPE": "now", "MAPE_was": "before"})
    slices["moved"] = abs(slices["now"] - slices["before"])
    return {
        "was": old_summary,
        "comparison": compare_on_holdout(problem, candidate, champion, table),
        "drift": _drift([*problem.names, problem.target.name], old_table, table),
        "slices": slices[slices["moved"] > MOVED].sort_values("moved", ascending=False),
        "flipped": _flipped(problem.names, champion, candidate, table),
    }


def _drift(names: list[str], was: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """The population stability index of each column, highest first.

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
        p, q = shares["p"], shares["q"]
        lines.append({"column": name, "psi": float(((q - p) * np.log(q / p)).sum())})
    return pd.DataFrame(lines).sort_values("psi", ascending=False, ignore_index=True)


def _flipped(
    names: Sequence[str], champion: Bundle, candidate: Bundle, table: pd.DataFrame
) -> Optional[pd.DataFrame]:
    """The values of a field that raised the target before and lower it now, or the other way."""
    old, new = (bundle.explain(table) for bundle in (champion, candidate))
    if old is None or new is None:
        return None
    lines = []
    for i, name in enumerate(names):
        effects = pd.DataFrame({"before": old[1][:, i], "now": new[1][:, i]}, table.index)
        effects = np.log(effects)
        for value, (before, now) in effects.groupby(table[name]).mean().iterrows():
            if before * now < 0 and min(abs(before), abs(now)) > SMALL_EFFECT:
                lines.append((name, value, np.exp(before), np.exp(now)))
    return pd.DataFrame(lines, columns=["field", "value", "before", "now"])
