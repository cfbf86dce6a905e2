"""The figures of the notebooks: of a table, of models side by side, and of one quote.

As in ``plots.py``, titles say what the data show.
"""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pandas.api.types import is_numeric_dtype

from ..problem import Problem, amount
from .plots import (
    BAND,
    BLUE,
    GREEN,
    GREY,
    LIGHT,
    MOST_LINES,
    PERCENT,
    RANGES,
    RED,
    SHARES,
    draw_bars,
    draw_ranges,
    figure_of,
    finish,
    in_text,
    name_lines,
    number_axis,
    styled,
)
from .task import task_of

MOST_VALUES = 12  # of a field whose values have a bar each


@styled
def draw_target(problem: Problem, values: pd.Series) -> Figure:
    """How often each class or size of the target occurs, in the data or among predictions."""
    label, rows = problem.target.axis, len(values)
    if problem.classes:
        names: dict[Any, str] = {name: name for name in problem.classes}
        names |= {problem.target.read(name): name for name in names}
        counts = values.map(names).value_counts().reindex(list(problem.classes), fill_value=0)
        title = f"{counts.idxmin()} is the rarest: {counts.min() / rows:.1%} of the rows"
        told = [f"{count:,} ({count / rows:.1%})" for count in counts]
        return draw_sizes(title, dict(counts), told, f"Rows by {in_text(label)}")
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    title = f"{problem.target.label}: half are above {amount(middle)}"
    title += f", nine in ten from {amount(low)} to {amount(high)}"
    figure, axes = figure_of(title, "", 3.2)
    spaced = np.geomspace if problem.relative else np.linspace
    bins = spaced(values.min(), values.max(), 40) if values.nunique() > 1 else 1
    axes.hist(values, bins=bins, color=BLUE)
    number_axis(axes.xaxis, values.min(), values.max(), log=problem.relative)
    axes.axvline(middle, color=RED, label=f"median {amount(middle)}")
    axes.set(xlabel=label, ylabel="Rows")
    finish(figure, axes)
    return figure


@styled
def draw_sizes(title: str, sizes: Mapping[str, float], told: Sequence[str], label: str) -> Figure:
    """A bar for each of a few sizes, with what is `told` about it."""
    figure, axes = figure_of(title, "", 0.7 + 0.3 * len(sizes))
    draw_bars(axes, sizes, list(sizes.values()), told)
    ends = min([0, *sizes.values()]), max([1e-9, *sizes.values()])
    axes.set(xlabel=label, xlim=(1.02 * ends[0], 1.02 * ends[1]))
    axes.xaxis.set_major_formatter("{x:,.10g}")
    finish(figure, axes)
    return figure


def in_parts(problem: Problem, table: pd.DataFrame) -> pd.DataFrame:
    """The features, each in few parts: numbers of many values in tenths of the rows."""
    parts = table[[*problem.names]].copy()
    for column in problem.features:
        if column.numeric and parts[column.name].nunique() > MOST_VALUES:
            tenths = pd.qcut(parts[column.name], 10, duplicates="drop")
            names = [f"up to {interval.right:,.6g}" for interval in tenths.cat.categories]
            parts[column.name] = tenths.cat.rename_categories(names)
    return parts


def explained(problem: Problem, table: pd.DataFrame) -> pd.Series:
    """The share of the target's variance that each field alone explains, the largest first.

    Of the logarithm, if errors are relative; each of several classes is a column of 1 and 0.
    """
    target = table[problem.target.name]
    seen = pd.get_dummies(target) if problem.classes else target.to_frame()
    seen = np.log(seen) if problem.relative else seen.astype(float)
    parts, shares = in_parts(problem, table), {}
    for name in problem.names:
        groups = seen.groupby(parts[name], observed=True, dropna=False)
        left = seen - groups.transform("mean")
        shares[name] = 1 - left.var().sum() / seen.var().sum()
    return pd.Series(shares).sort_values(ascending=False, kind="stable")


@styled
def draw_features(problem: Problem, table: pd.DataFrame) -> Figure:
    """How often each value of a feature occurs, or each range of a number with many values."""
    most = {name: table[name].value_counts(normalize=True).iloc[:1] for name in problem.names}
    name, top = max(most.items(), key=lambda item: item[1].max())
    value = {c.name: c for c in problem.features}[name].spell(top.index[0])
    title = f"{problem.labels[name]} varies least: {value} in {top.iloc[0]:.0%} of the rows"
    lines, grid = -(-len(problem.names) // 2), {"ncols": 2, "squeeze": False}
    figure, panels = figure_of(title, "", 2.4 * lines, nrows=lines, **grid)
    for axes in panels.flat[len(problem.names) :]:
        axes.set_axis_off()
    for axes, column in zip(panels.flat, problem.features):
        axes.set_title(fill(column.axis, 28))
        values = table[column.name].dropna()
        if column.numeric and values.nunique() > MOST_VALUES:
            axes.hist(values.astype(float), bins=12, color=LIGHT)
            number_axis(axes.xaxis, values.min(), values.max(), log=False)
            continue
        counts = values.value_counts().head(MOST_VALUES)
        counts = counts.sort_index() if is_numeric_dtype(values) else counts
        axes.barh(range(len(counts)), counts, color=LIGHT)
        name_lines(axes, map(column.spell, counts.index), rows=1)
    return figure


@styled
def draw_by_field(problem: Problem, table: pd.DataFrame, name: str) -> Figure:
    """For each value of a field the quantiles of the target, or the share of the last class."""
    groups, target = in_parts(problem, table)[name], problem.target
    groups = groups.astype(object).where(groups.notna(), "unknown")
    named = groups.map(groups.value_counts().map(" ({:,})".format))
    groups = groups.astype(str) + named
    kept, field = groups.value_counts().index[:MOST_LINES], problem.labels[name]
    if problem.classes:
        last = problem.classes[-1]
        shares = (table[target.name].map(target.spell) == last).groupby(groups).mean()[kept]
        shares = shares.sort_values(kind="stable")
        told = [f"{share:.1%}" for share in shares]
        title = f"{field}: {last} from {told[0]} to {told[-1]} of the rows"
        return draw_sizes(title, shares.to_dict(), told, f"Share of {last}")
    lines = table[target.name].groupby(groups).quantile(list(SHARES.values())).unstack()
    lines = lines.set_axis(list(SHARES), axis=1).loc[kept].sort_values("median", kind="stable")
    low, high = (amount(lines["median"].iloc[end]) for end in (0, -1))
    title = f"{field}: median {in_text(target.label)} from {low} to {high}"
    figure, axes = figure_of(title, RANGES, 0.8 + 0.3 * len(lines))
    draw_ranges(axes, lines.index, lines)
    number_axis(axes.xaxis, lines.min(axis=None), lines.max(axis=None), log=problem.relative)
    axes.set(xlabel=target.axis)
    finish(figure, axes)
    return figure


@styled
def draw_scores(
    problem: Problem, scores: Mapping[str, pd.DataFrame], criteria: Any, floor: Sequence[float]
) -> Figure:
    """The mean and the spread of score and error over the folds, a line per model."""
    task = task_of(problem)
    means = pd.DataFrame({name: folds.mean() for name, folds in scores.items()}).T
    spreads = pd.DataFrame({name: folds.std(ddof=0) for name, folds in scores.items()}).T
    best = means[task.error_name].idxmin()
    told = task.tell_error(means.loc[best, task.error_name])
    title = f"{best}: the lowest mean {task.error_word}, {told}"
    grid = {"ncols": 2, "sharey": True}
    note = "Dot: the mean over the folds. Line: its standard deviation"
    figure, panels = figure_of(title, note, 1.2 + 0.3 * len(scores), **grid)
    for axes, name in zip(panels, (task.error_name, task.score_name)):
        promised = getattr(criteria, name)
        if promised is not None:
            axes.axvline(promised, color=RED, linestyle="--", label="target")
        at, colours = range(len(means)), [GREEN if n == best else BLUE for n in means.index]
        axes.hlines(at, means[name] - spreads[name], means[name] + spreads[name], colors=colours)
        axes.scatter(means[name], at, c=colours, zorder=2)
        axes.set(xlabel=name)
        axes.tick_params(axis="y", length=0)
    if problem.relative:
        panels[0].xaxis.set_major_formatter(PERCENT)
    if np.isfinite(floor).all():
        panels[0].axvspan(*floor[:2], label="noise of repeated rows", **BAND)
    name_lines(panels[0], means.index)
    finish(figure, panels[0])
    return figure


@styled
def draw_reasons(problem: Problem, row: Mapping[str, Any], answer: Any) -> Figure:
    """From the average case to a prediction, a bar per field; of classes, from odds to odds."""
    task, terms = task_of(problem), answer.factors or getattr(answer, "terms", None)
    if not terms:
        return figure_of("This model gives no reasons")[0]
    effects, columns = pd.Series(terms), {c.name: c for c in problem.features}
    sizes = np.log(effects) if answer.factors else effects
    effects = effects[sizes.abs().sort_values(ascending=False, kind="stable").index]
    after = answer.base * effects.cumprod() if answer.factors else answer.base + effects.cumsum()
    before = after.shift(fill_value=answer.base)
    told = task.factor_text if answer.factors else "{:+,.3g}"
    first = effects.index[0]
    cause = f"{columns[first].label} {columns[first].spell(row[first])}"
    title = f"{cause} matters most: {told.format(effects.iloc[0])}"
    note = f"{task.why(answer)} a {'factor' if answer.factors else 'term'} per field"
    note = note[:1].upper() + note[1:]
    figure, axes = figure_of(title, note, 1 + 0.28 * len(effects))
    labels = [f"{columns[name].label}: {columns[name].spell(row[name])}" for name in effects.index]
    colours = np.where(after > before, GREEN, RED)
    draw_bars(axes, labels, after - before, [told.format(e) for e in effects], colours, before)
    axes.axvline(answer.base, color=GREY, linestyle=":", label="average")
    axes.axvline(after.iloc[-1], color=BLUE, label=f"this {problem.item}")
    axes.use_sticky_edges = False
    axes.margins(x=0.05)
    low, high = min(after.min(), answer.base), max(after.max(), answer.base)
    number_axis(axes.xaxis, low, high, log=bool(answer.factors))
    odds = f"Odds of {' against '.join(answer.odds)}" if problem.classes else ""
    axes.set(xlabel=odds or problem.target.axis)
    finish(figure, axes)
    return figure
