"""What a reviewer wants to know about a pull request: data, params, the model beside the base's."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype
from ruamel.yaml import YAML

from laptop_pricing import NAME, storage
from laptop_pricing.data.schema import FEATURES, TARGET, UNIT
from laptop_pricing.errors import StepFailed, UserError
from laptop_pricing.files import atomic_path, write_text
from laptop_pricing.modeling.bundle import load_bundle
from laptop_pricing.modeling.gate import (
    Comparison,
    compare_on_holdout,
    criteria,
    objections,
)
from laptop_pricing.modeling.plots import draw_comparison
from laptop_pricing.modeling.train import read_processed
from laptop_pricing.programs import git
from laptop_pricing.settings import PARAMS_FILE, Workspace

DRIFTED = 0.2  # of the population stability index: a large shift
BINS = 10
BASES = ("stag", "origin/stag", "main", "origin/main")  # the first that is there, by default
MOVED = 0.005  # of a slice's MAPE
SMALL_EFFECT = 0.01  # of the log price, nearer to 0 than which a factor's sign says nothing


@dataclass(frozen=True)
class Report:
    """What there is to say, before it is put into words.

    Parameters
    ----------
    base, commit : str
        The base's name and its commit.
    promote : bool
    objections : list of str
        Why not to promote.
    problem : str
        Why there is nothing to compare with, or empty.
    params : list of (str, object, object)
        Name, before, now.
    data : dict of (object, object)
        ``rows``, ``md5``: before and now.
    drift : DataFrame
        ``column``, ``psi``, highest first.
    comparison : Comparison or None
    slices : DataFrame
        ``by``, ``slice``, ``rows``, ``before``, ``now``: out-of-fold MAPE.
    flipped : DataFrame
        ``field``, ``value``, ``before``, ``now``: mean factors that crossed 1.
    """

    base: str
    commit: str
    promote: bool
    objections: list
    problem: str
    params: list
    data: dict
    drift: pd.DataFrame
    comparison: Comparison
    slices: pd.DataFrame
    flipped: pd.DataFrame


def default_base(root: Path) -> str:
    """The first of `BASES` that Git has here; a UserError if it has none."""
    for name in BASES:
        if _commit(root, name):
            return name
    raise UserError(f"found none of {', '.join(BASES)}; {_fetching('stag')}, or name a --base")


def report(workspace, params, base, output, plot_url=""):
    """Write the report as Markdown, and its plot beside it.

    Parameters
    ----------
    workspace : Workspace
        Trained: the candidate.
    params : Params
    base : str
        The branch that the change is for, such as ``stag``.
    output : Path
        Such as ``report.md``; the plot is ``report.png`` then.
    plot_url : str, optional
        Where readers find the plot, if not beside the report: a link is written, and no image.

    Returns
    -------
    Report

    Raises
    ------
    UserError
        If there is no such branch, or nothing is trained here.
    """
    found = examine(workspace, params, base)
    plot = f"{output.stem}.png" if found.comparison is not None else ""
    text = "\n".join(_lines(workspace, found, params, plot, plot_url)) + "\n"
    if plot:
        with atomic_path(output.with_name(plot)) as part:
            draw_comparison(found.comparison).savefig(part, format="png", dpi=110)
    write_text(output, text)
    return found


def examine(workspace, params, base):
    """Compare the workspace with a branch.

    Returns
    -------
    Report
    """
    root = workspace.root
    commit = _commit(root, base) or _commit(root, f"origin/{base}")
    if not commit:
        raise UserError(f"{base!r}: no such branch here; {_fetching(base)}")
    candidate = load_bundle(workspace.models)
    table, summary = read_processed(workspace)
    now = pd.read_csv(workspace.plots / "slices.csv")
    nothing = pd.DataFrame()
    has_model = git(root, "rev-parse", "-q", "--verify", f"{commit}:./dvc.lock")
    with tempfile.TemporaryDirectory() as folder:
        try:
            if not has_model:
                raise UserError("it has no model yet")
            was = _fetch(workspace, commit, Path(folder))
            champion, (old_table, old_summary) = load_bundle(was.models), read_processed(was)
            comparison, problem = compare_on_holdout(candidate, champion, table), ""
            slices = _slices(pd.read_csv(was.plots / "slices.csv"), now)
            drift, flipped = _drift(old_table, table), _flipped(champion, candidate, table)
            data = {"rows": (old_summary["rows"], summary["rows"])}
            data["md5"] = old_summary["raw_md5"], summary["raw_md5"]
        except (StepFailed, UserError) as error:
            comparison, problem = None, str(error)
            slices = drift = flipped = nothing
            data = {"rows": ("unknown", summary["rows"]), "md5": ("unknown", summary["raw_md5"])}
    against = objections(candidate.metadata["metrics"], comparison, params)
    if problem and has_model:
        against.append(f"not compared with {base}: {problem}")
    return Report(
        base=base,
        commit=commit,
        promote=not against,
        objections=against,
        problem=problem,
        params=_params(workspace, commit),
        data=data,
        drift=drift,
        comparison=comparison,
        slices=slices,
        flipped=flipped,
    )


def _fetching(branch):
    """Makes origin/`branch` even in a clone of a single branch."""
    return f"git fetch origin {branch}:refs/remotes/origin/{branch}"


def _commit(root, name):
    return git(root, "rev-parse", "-q", "--verify", "--end-of-options", f"{name}^{{commit}}")


def _fetch(workspace, commit, folder):
    """What the pipeline made at a commit, from DVC's cache or its remote, as a workspace."""
    was = Workspace(folder)
    for path in (was.models, was.processed, was.plots):
        storage.fetch(workspace, commit, path.relative_to(folder).as_posix(), path)
    return was


def _params(workspace, commit):
    text = git(workspace.root, "show", f"{commit}:./{PARAMS_FILE}")
    yaml = YAML(typ="safe", pure=True)
    was, now = (
        _flat(yaml.load(content) or {})
        for content in (text, (workspace.root / PARAMS_FILE).read_text("utf-8"))
    )
    names = list(dict.fromkeys([*was, *now]))
    return [(n, was.get(n, "none"), now.get(n, "none")) for n in names if was.get(n) != now.get(n)]


def _flat(value, name=""):
    if not isinstance(value, dict):
        return {name: value}
    return {
        k: v
        for key in value
        for k, v in _flat(value[key], f"{name}.{key}" if name else key).items()
    }


def _drift(was, now):
    """The population stability index of each column and the target, highest first.

    After N. Siddiqi, "Credit Risk Scorecards", 2006: sum of (p - q) ln(p / q) over the categories,
    or over the tenths of the numbers before.
    """
    found = {}
    for name in [*FEATURES, TARGET]:
        before, after = was[name], now[name]
        if is_numeric_dtype(before) and before.nunique() > BINS:
            edges = np.unique(before.quantile(np.linspace(0, 1, BINS + 1)[1:-1]))
            before, after = np.searchsorted(edges, before), np.searchsorted(edges, after)
        counts = pd.DataFrame(
            {"p": pd.Series(before).value_counts(), "q": pd.Series(after).value_counts()}
        )
        p, q = ((counts[side].fillna(0) + 0.5).pipe(lambda s: s / s.sum()) for side in "pq")
        found[name] = float(((q - p) * np.log(q / p)).sum())
    drift = pd.DataFrame({"column": found.keys(), "psi": found.values()})
    return drift.sort_values("psi", ascending=False, ignore_index=True)


def _slices(was, now):
    both = was.merge(now, on=["by", "slice"], suffixes=("_was", ""))
    return pd.DataFrame(
        {
            "by": both["by"],
            "slice": both["slice"],
            "rows": both["rows"],
            "before": both["MAPE_was"],
            "now": both["MAPE"],
        }
    )


def _flipped(champion, candidate, table):
    """The values of a field that raised the price before and lower it now, or the other way."""
    lines = []
    old, new = (np.log(bundle.compiled.factors(table)) for bundle in (champion, candidate))
    for i, name in enumerate(FEATURES):
        effects = pd.DataFrame({"before": old[:, i], "now": new[:, i]}, table.index)
        means = effects.groupby(table[name]).mean()
        for value, (before, now) in means.iterrows():
            if before * now < 0 and min(abs(before), abs(now)) > SMALL_EFFECT:
                lines.append((name, value, float(np.exp(before)), float(np.exp(now))))
    return pd.DataFrame(lines, columns=["field", "value", "before", "now"])


def _lines(workspace, found, params, plot, plot_url):
    """The Markdown, line by line: the verdict first."""
    verdict = "promote" if found.promote else "do not promote"
    yield f"# {NAME}: this change against `{found.base}`"
    yield ""
    yield f"**Verdict: {verdict}.**" + (" Because:" if found.objections else "")
    yield ""
    if found.objections:
        yield from (*(f"- {text}" for text in found.objections), "")
    metrics = json.loads(workspace.metrics.read_text(encoding="utf-8"))
    if found.comparison is None:
        yield f"There is nothing on `{found.base}` to compare with: {found.problem}"
    else:
        yield from _comparison(found)
    yield from ("", "## Promised and measured", "", "| metric | out of fold | promised |")
    yield "|---|---|---|"
    for name, mean, spread, promised, _ in criteria(metrics, params):
        yield f"| {name} | {mean:.4f} ± {spread:.4f} | {promised} |"
    yield f"| MAE, {UNIT} | {metrics['cv']['MAE']['mean']:,.0f} | |"
    yield f"| 90 % interval holds | {metrics['interval']['coverage']:.1%} | |"
    yield from ("", "## Data", "")
    (rows_was, rows), (md5_was, md5) = found.data["rows"], found.data["md5"]
    if md5 == md5_was:
        yield f"The same as before: {rows} rows, md5 {md5}."
    elif md5_was == "unknown":
        yield f"{rows} rows, md5 {md5}; those of `{found.base}` are unknown."
    else:
        yield f"Changed: {rows_was} → {rows} rows, md5 {md5_was} → {md5}."
        drifted = found.drift[found.drift["psi"] > DRIFTED] if len(found.drift) else found.drift
        if len(drifted):
            yield from ("", "| drifted column | population stability index |", "|---|---|")
            yield from (f"| {line.column} | {line.psi:.2f} |" for line in drifted.itertuples())
        elif len(found.drift):
            yield f"No column drifted (population stability index over {DRIFTED})."
    yield from ("", "## Params", "")
    if found.params:
        yield from ("| param | before | now |", "|---|---|---|")
        yield from (f"| {name} | {was} | {now} |" for name, was, now in found.params)
    else:
        yield "Unchanged."
    if found.comparison is not None:
        yield from _model(found)
    if plot and plot_url:
        yield from ("", f"Errors on the hold-out, both models: [{plot}]({plot_url})")
    elif plot:
        yield from ("", f"![Errors on the hold-out, both models]({plot})")


def _comparison(found):
    """Candidate beside champion, in one table and one sentence."""
    comparison = found.comparison
    yield from (f"| hold-out | `{found.base}` | this change |", "|---|---|---|")
    for name in ("R2", "MAPE", "MAE"):
        digits = ",.0f" if name == "MAE" else ".4f"
        before, now = comparison.champion[name], comparison.candidate[name]
        yield f"| {name} | {before:{digits}} | {now:{digits}} |"
    yield ""
    where = (
        "better"
        if comparison.high < 0
        else "worse" if comparison.low > 0 else "no clear difference"
    )
    yield (
        f"On the {len(comparison.errors)} held-out rows, paired: MAPE {comparison.difference:+.4f} "
        f"(95 % interval {comparison.low:+.4f} to {comparison.high:+.4f}): {where}."
    )


def _model(found):
    """Slices that moved, and factors that changed sign."""
    yield from ("", "## Slices that moved, out of fold", "")
    moved = (found.slices["now"] - found.slices["before"]).abs().sort_values(ascending=False)
    moved = moved[moved > MOVED]
    if len(moved):
        yield from ("| slice | rows | MAPE before | now |", "|---|---|---|---|")
        for line in found.slices.loc[moved.index].itertuples():
            yield f"| {line.by} {line.slice} | {line.rows} | {line.before:.1%} | {line.now:.1%} |"
    else:
        yield f"None by more than {MOVED:.1%}."
    yield from ("", "## Factors that changed sign", "")
    if len(found.flipped):
        yield from ("| field | value | before | now |", "|---|---|---|---|")
        for line in found.flipped.itertuples():
            yield f"| {line.field} | {line.value} | x {line.before:.3f} | x {line.now:.3f} |"
    else:
        yield "None."
