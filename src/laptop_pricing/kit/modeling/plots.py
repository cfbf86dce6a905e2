"""The plots: PNG in reports/figures, and their data in reports/plots for ``dvc plots``.

A title says what the data show. Figures that metrics.json holds are taken from there, so that they
are the same in the summary. Most ``draw_`` functions return a figure and the data that it shows.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, Optional

import numpy as np
import pandas as pd
from matplotlib import style, ticker
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from ..files import atomic_path, write_text
from ..problem import Problem
from ..project import Project
from .gate import Comparison
from .task import task_of

Plot = tuple[Figure, pd.DataFrame]
SHARES = {"lowest_5": 0.05, "lowest_25": 0.25, "median": 0.5, "highest_25": 0.75, "highest_5": 0.95}
MOST_LINES = 25  # of a figure that names each
RANGES = "Line: nine in ten rows. Thick: the middle half. Dot: the median"

BLUE, LIGHT, RED, GREY, GREEN = "#2563a8", "#7aa6d6", "#c2410c", "#6b7280", "#15803d"
COLOURS = (BLUE, RED, GREEN, "#a16207", "#7c3aed", "#0891b2", GREY, "#db2777", LIGHT, "#111827")
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "svg.hashsalt": "kit",  # else an SVG has other ids each time
}
styled = style.context(STYLE, after_reset=True)  # whatever the matplotlibrc of a machine
PERCENT = ticker.PercentFormatter(1)
BAND: dict[str, Any] = {"color": GREY, "alpha": 0.2, "linewidth": 0}


def save_plots(project: Project, **plots: Plot) -> None:
    """Write all plots by their names."""
    for name, (figure, data) in plots.items():
        text = data.round(6).to_csv(index=False, lineterminator="\n")
        write_text(project.plots / f"{name}.csv", text)
        save_figure(figure, project.figures / f"{name}.png")


@styled
def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure for print, the same bytes each time."""
    with atomic_path(path) as part:
        figure.savefig(part, format="png", dpi=300, metadata={"Software": None})


@styled
def draw_predictions(problem: Problem, predictions: pd.DataFrame) -> Plot:
    """Predicted against actual values of the first seed, and how near half of all are."""
    points = predictions[predictions["seed"] == predictions["seed"].min()]
    points = points[["row", "actual", "predicted"]].round(2)
    task = task_of(problem)
    half = float(task.errors(predictions["actual"], predictions["predicted"]).median())
    near = f"within {task.tell_error(half)} of the actual {in_text(problem.target.label)}"
    note = f"One dot per {problem.item}, predicted by a model that never saw it"
    figure, axes = figure_of(f"Half of the predictions are {near}", note)
    ends = _target_axes(problem, axes, points, "actual", "predicted")
    off = half * ends if problem.relative else half
    axes.fill_between(ends, ends - off, ends + off, label="half of the predictions", **BAND)
    axes.plot(ends, ends, color=GREY, linewidth=1, label="exact")
    axes.scatter("actual", "predicted", data=points, label="", color=BLUE, **_dots(points))
    finish(figure, axes)
    return figure, points


@styled
def draw_intervals(problem: Problem, covered: pd.DataFrame, found: Any) -> Plot:
    """The 90 % interval along the prediction, and the values outside it, of the first seed.

    `found` is ``interval`` of metrics.json, where all seeds count.
    """
    points = covered[covered["seed"] == covered["seed"].min()]
    places = points["predicted"].astype("float32")  # equal on every processor
    points = points.loc[places.sort_values(kind="stable").index]
    points = points[["row", "actual", "predicted", "third", "low", "high", "inside"]]
    thirds = ", ".join(f"{name} {share:.1%}" for name, share in found["thirds"].items())
    title = f"The 90% interval holds {found['coverage']:.1%} of the {problem.items}"
    note = f"By thirds of the prediction: {thirds}. One dot per {problem.item}"
    figure, axes = figure_of(title, note)
    _target_axes(problem, axes, points, "predicted", "actual")
    axes.fill_between("predicted", "low", "high", data=points, label="90% interval", **BAND)
    for inside, colour in ((True, BLUE), (False, RED)):
        part, label = points[points["inside"] == inside], "inside" if inside else "outside"
        dots = _dots(points)
        axes.scatter("predicted", "actual", data=part, label=label, color=colour, **dots)
    finish(figure, axes)
    return figure, points


@styled
def draw_slices(problem: Problem, slices: pd.DataFrame, promised: Optional[float]) -> Plot:
    """The mean error by ``slice_by`` and by band of the target, a panel for each."""
    task = task_of(problem)
    name, labels = task.error_name, problem.labels | {task.by_target: problem.target.axis}
    parts = {str(by): part for by, part in slices.groupby("by", sort=False)}
    if problem.slice_by in parts:
        largest = parts[problem.slice_by].nlargest(MOST_LINES, "rows")
        parts[problem.slice_by] = largest.sort_values(name, kind="stable")
    title = "No slice has enough rows for a figure"
    for by, part in [*parts.items()][:1]:
        ends = part.sort_values(name, kind="stable").iloc[[0, -1]]
        told = [f"{task.tell_error(v)} for {s}" for v, s in zip(ends[name], ends["slice"])]
        title = f"{labels[by]}: mean {task.error_word} from {told[0]} to {told[1]}"
    sizes = [1 + len(part) for part in parts.values()] or [1]
    grid: dict[str, Any] = {"gridspec_kw": {"height_ratios": sizes}, "squeeze": False}
    figure, panels = figure_of(
        title, "", 0.8 + 0.3 * sum(sizes), nrows=len(sizes), sharex=True, **grid
    )
    for axes, (by, part) in zip(panels[:, 0], parts.items()):
        rows = [f"{task.tell_error(v)}, {n:,} rows" for v, n in zip(part[name], part["rows"])]
        draw_bars(axes, part["slice"], part[name], rows)
        _promise(problem, axes.axvline, promised)
        axes.set(title=labels[by], xlim=(0, 1.05 * max([promised or 0, *slices[name], 1e-9])))
    _error_axis(problem, panels[-1, 0].xaxis)
    finish(figure, panels[-1, 0])
    return figure, slices


@styled
def draw_learning_curve(
    problem: Problem, curve: pd.DataFrame, floor: tuple[float, ...], promised: Optional[float]
) -> Plot:
    """The mean error against the number of training rows, beside the noise of the target."""
    task = task_of(problem)
    name = task.error_name
    curve = curve.groupby("share", as_index=False)[["rows", task.score_name, name]].mean()
    told, rows = [task.tell_error(v) for v in curve[name]], [f"{n:,.0f}" for n in curve["rows"]]
    title = f"With {rows[-1]} training rows the mean {task.error_word} is {told[-1]}"
    title += f", with {rows[-2]} it is {told[-2]}" if len(told) > 1 else ""
    figure, axes = figure_of(title)
    axes.plot("rows", name, data=curve, marker="o", color=BLUE, label="")
    white = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # no line strikes a label
    for at, value, text in zip(curve["rows"], curve[name], told):
        place = {"xytext": (3, 7), "textcoords": "offset points"}
        axes.annotate(text, (at, value), bbox=white, **place)
    _promise(problem, axes.axhline, promised)
    low, high, own = floor
    if np.isfinite(floor).all():
        noise = f"noise of repeated rows: {task.tell_error(low)} to {task.tell_error(high)}"
        axes.axhspan(low, high, label=noise, **BAND)
        mean = f"mean {task.error_word} of repeated rows: {task.tell_error(own)}"
        axes.axhline(own, color=GREY, linewidth=1, label=mean)
    top = 1.2 * max([promised or 0, *curve[name], 1e-9])
    axes.set(xlabel="Training rows", xlim=(0, 1.05 * curve["rows"].max()), ylim=(0, top))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    _error_axis(problem, axes.yaxis)
    finish(figure, axes)
    return figure, curve


@styled
def draw_factors(problem: Problem, effects: Optional[pd.DataFrame], additive: bool = False) -> Plot:
    """By how much each field moves the prediction, over all rows: by factors, or by terms."""
    task = task_of(problem)
    if effects is None:
        figure, axes = figure_of("This model gives no reasons")
        axes.set_axis_off()
        return figure, pd.DataFrame(columns=["name", *SHARES])
    sizes = effects if additive else effects.apply(np.log)
    order = sizes.abs().mean().sort_values(kind="stable").index[::-1]
    shares = effects[order].quantile(list(SHARES.values())).T.set_axis(list(SHARES), axis=1)
    moved = in_text(problem.target.label) if additive or not problem.classes else task.moved
    told = "{:+,.3g}" if additive else task.factor_text
    labels = {column.name: column.label for column in problem.features}
    low, high = (told.format(shares.iloc[0][end]) for end in ("lowest_5", "highest_5"))
    title = f"{labels[order[0]]} moves the {moved} most: {low} to {high} for nine in ten"
    shown = shares.head(MOST_LINES)
    note = RANGES
    note += f". {len(shown)} of {len(shares)} fields" if len(shown) < len(shares) else ""
    figure, axes = figure_of(f"{title} {problem.items}", note, 1 + 0.3 * len(shown))
    draw_ranges(axes, [labels[name] for name in shown.index], shown)
    axes.axvline(0 if additive else 1, color=GREY, linewidth=1, zorder=0)
    number_axis(axes.xaxis, shown.min(axis=None), shown.max(axis=None), log=not additive)
    unit = f" ({problem.target.unit})" if problem.target.unit else ""
    axes.set(xlabel=f"Term{unit}" if additive else f"Factor on the {moved}")
    finish(figure, axes)
    return figure, shares.reset_index(names="name")  # "field" is a column of DVC's own


@styled
def draw_comparison(problem: Problem, comparison: Comparison) -> Figure:
    """The error of each held-out row: the candidate's against the champion's."""
    errors = comparison.errors
    better = errors["candidate"] < errors["champion"]
    title = f"The candidate is better on {better.sum():,} of {len(errors):,} held-out rows"
    figure, axes = figure_of(title, "One dot per row: below the line the candidate is better")
    top = max(1.05 * errors.max(axis=None), 1e-9)
    axes.axline((0, 0), slope=1, color=GREY, linewidth=1)
    for won, colour, label in ((True, GREEN, "candidate better"), (False, RED, "not better")):
        part = errors[better == won]
        axes.scatter("champion", "candidate", data=part, color=colour, label=label, **_dots(errors))
    for axis in (axes.xaxis, axes.yaxis):
        _error_axis(problem, axis)
    word = task_of(problem).error_word.capitalize()
    axes.set(xlabel=f"{word} of the champion", ylabel=f"{word} of the candidate")
    axes.set(xlim=(0, top), ylim=(0, top))
    finish(figure, axes)
    return figure


# What the figures share


def figure_of(finding: str, note: str = "", height: float = 4.6, **grid: Any) -> tuple[Figure, Any]:
    """A figure below its finding, and its axes as :meth:`Figure.subplots` returns them."""
    title, note = fill(finding, 76), fill(note, 105)
    above = 0.15 + 0.19 * len(title.splitlines()) + 0.16 * len(note.splitlines())  # inches
    whole = height + above
    figure = Figure(figsize=(7, whole))
    figure.text(0.015, 1 - 0.08 / whole, title, size=11, weight="bold", va="top")
    figure.text(0.015, 1 - (above - 0.02) / whole, note, color=GREY, va="bottom")
    figure.set_layout_engine("constrained", rect=(0.01, 0.01, 0.98, height / whole - 0.01))
    return figure, figure.subplots(**grid)


def finish(figure: Figure, axes: Axes, **more: Any) -> None:
    """Long labels in several rows, and a legend below the axes, where it hides nothing."""
    axes.set(xlabel=fill(axes.get_xlabel(), 80), ylabel=fill(axes.get_ylabel(), 50))
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        columns = max(1, 100 // (6 + max(map(len, labels))))
        place = {"loc": "outside lower left", "ncols": columns}
        for handle in figure.legend(handles, labels, **place, **more).legend_handles:
            if isinstance(handle, PathCollection):
                handle.set(sizes=[16], alpha=1)  # dots as small as those in the axes are not seen


def draw_bars(
    axes: Axes,
    names: Iterable[Any],
    sizes: Any,
    told: Sequence[str],
    colour: Any = BLUE,
    left: Any = None,
) -> None:
    """Bars from the top: their names on the left, what they amount to on the right."""
    axes.barh(range(len(told)), sizes, color=colour, left=left)
    name_lines(axes, names)
    right = axes.secondary_yaxis("right")
    right.set_yticks(range(len(told)), told)
    right.tick_params(length=0)
    right.spines["right"].set_visible(False)


def draw_ranges(axes: Axes, names: Iterable[Any], shares: pd.DataFrame) -> None:
    """The quantiles SHARES of each line."""
    at = range(len(shares))
    axes.hlines(at, shares["lowest_5"], shares["highest_5"], color=BLUE, linewidth=1)
    axes.hlines(at, shares["lowest_25"], shares["highest_25"], color=LIGHT, linewidth=7)
    axes.scatter(shares["median"], at, color=BLUE, s=16, zorder=3)
    name_lines(axes, names)


def name_lines(axes: Axes, names: Iterable[Any], rows: int = 2) -> None:
    """Name the lines of an axis from the top, long names in up to so many rows."""
    most = 34 * rows - 4
    short = [n if len(n) <= most else f"{n[: most - 16]}…{n[-15:]}" for n in map(str, names)]
    told = [fill(name, 34, max_lines=rows, placeholder="…") for name in short]
    small = 7 if rows == 1 or any("\n" in name for name in told) else 9
    axes.set_yticks(range(len(told)), told, size=small, linespacing=0.95, ma="right")
    axes.set(ylim=(max(len(told), 1) - 0.5, -0.5))
    axes.tick_params(axis="y", length=0)


def number_axis(axis: Any, low: float, high: float, log: bool) -> None:
    """Ticks for numbers from `low` to `high`, on a log scale or not."""
    if log:
        axis.axes.set(**{f"{axis.axis_name}scale": "log"})
        decades = np.log10(high / low)
        several = ticker.LogLocator(subs=(1, 2, 5) if decades < 2.5 else (1,))
        axis.set_major_locator(several if decades > 0.8 else ticker.MaxNLocator(6))
        axis.set_minor_locator(ticker.NullLocator())
    digits = ticker.StrMethodFormatter("{x:,.10g}")
    axis.set_major_formatter(ticker.EngFormatter() if high >= 1e6 else digits)


def in_text(label: str) -> str:
    """A label inside a sentence: Age becomes age, GDP stays."""
    return label[:1].lower() + label[1:] if label[1:2].islower() else label


def _dots(points: pd.DataFrame) -> dict[str, Any]:
    """Dots the smaller, the more there are."""
    return {"s": float(np.clip(8000 / max(len(points), 1), 1, 12)), "alpha": 0.6, "linewidth": 0}


def _promise(problem: Problem, draw_line: Any, promised: Optional[float]) -> None:
    if promised:
        label = f"target: {task_of(problem).tell_error(promised)}"
        draw_line(promised, color=RED, linestyle="--", label=label)


def _error_axis(problem: Problem, axis: Any) -> None:
    task, unit = task_of(problem), "" if problem.relative else problem.target.unit
    name = "" if problem.classes else task.error_name
    more = ", ".join(filter(None, (name, unit)))
    axis.set_label_text(f"Mean {task.error_word}" + f" ({more})" * bool(more))
    if problem.relative:
        axis.set_major_formatter(PERCENT)


def _target_axes(problem: Problem, axes: Axes, points: pd.DataFrame, x: str, y: str) -> np.ndarray:
    """Both axes labelled, over the same values, and logarithmic for relative errors: their ends."""
    low, high = points[[x, y]].min(axis=None), points[[x, y]].max(axis=None)
    ends = np.array([0.9 * low, 1.1 * high])
    if not problem.relative:
        ends = np.array([low, high]) + np.array([-0.05, 0.05]) * (high - low)
    for axis, way in ((axes.xaxis, x), (axes.yaxis, y)):
        number_axis(axis, ends[0], ends[1], log=problem.relative)
        axis.set_label_text(f"{problem.target.axis}, {way}")
    axes.set(xlim=ends, ylim=ends)
    return ends
