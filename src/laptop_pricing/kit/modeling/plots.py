"""The plots: PNG in reports/figures, and their data in reports/plots for ``dvc plots``.

Each ``draw_`` function but the last returns a figure and the data that it shows.
"""

from typing import Any, Optional

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, PercentFormatter, StrMethodFormatter

from ..files import atomic_path, write_text
from ..problem import Problem
from ..project import Project
from .gate import Comparison
from .task import task_of

Plot = tuple[Figure, pd.DataFrame]
SHARES = {"lowest_5": 0.05, "lowest_25": 0.25, "median": 0.5, "highest_25": 0.75, "highest_5": 0.95}

BLUE, LIGHT, RED, GREY, GREEN = "#2563a8", "#7aa6d6", "#c2410c", "#6b7280", "#15803d"
PERCENT = PercentFormatter(1, decimals=0)
_BAND: dict[str, Any] = {"color": GREY, "alpha": 0.2, "linewidth": 0}


def save_plots(project: Project, **plots: Plot) -> None:
    """Write all plots by their names."""
    for name, (figure, data) in plots.items():
        text = data.round(6).to_csv(index=False, lineterminator="\n")
        write_text(project.plots / f"{name}.csv", text)
        with atomic_path(project.figures / f"{name}.png") as part:
            figure.savefig(part, format="png", dpi=120, metadata={"Software": None})


def draw_predictions(problem: Problem, predictions: pd.DataFrame) -> Plot:
    """Predicted against actual values of the first seed."""
    points = predictions[predictions["seed"] == predictions["seed"].min()]
    points = points[["row", "actual", "predicted"]].round(2)
    title = f"Each {problem.target.name}, predicted by a model that never saw that {problem.item}"
    figure, axes = figure_of(title)
    ends = _target_axes(problem, axes, points, "actual", "predicted")
    if problem.relative:
        axes.fill_between(ends, 0.85 * ends, 1.15 * ends, label="within 15 %", **_BAND)
    axes.plot(ends, ends, color=GREY, linewidth=1, label="exact")
    axes.scatter("actual", "predicted", s=12, data=points, alpha=0.5, color=BLUE, label="")
    axes.legend(frameon=False, loc="upper left")
    return figure, points


def draw_intervals(problem: Problem, covered: pd.DataFrame) -> Plot:
    """The 90 % interval along the prediction, and the values outside it, of the first seed."""
    points = covered[covered["seed"] == covered["seed"].min()]
    points = points.sort_values("predicted", kind="stable")  # the same on every processor
    points = points[["row", "actual", "predicted", "third", "low", "high", "inside"]]
    figure, axes = figure_of(f"Does the 90 % interval hold 90 % of the {problem.items}?")
    _target_axes(problem, axes, points, "predicted", "actual")
    for inside, colour in ((True, BLUE), (False, RED)):
        part = points[points["inside"] == inside]
        label = f"{'inside' if inside else 'outside'}: {len(part) / len(points):.1%}"
        axes.scatter("predicted", "actual", s=12, data=part, color=colour, label=label)
    for third, part in points.groupby("third", observed=True):
        label = f"{third} third: {part['inside'].mean():.1%} inside"
        axes.fill_between("predicted", "low", "high", data=part, label=label, **_BAND)
    axes.legend(frameon=False, loc="upper left")
    return figure, points


def draw_slices(problem: Problem, slices: pd.DataFrame, promised: Optional[float]) -> Plot:
    """The mean error by ``slice_by`` and by band of the target, one bar each."""
    task = task_of(problem)
    name, ways = task.error_name, list(filter(None, (problem.slice_by, task.by_target)))
    figure, axes = figure_of(f"Mean error by {' and by '.join(ways)}")
    colours = [BLUE if by == problem.slice_by else LIGHT for by in slices["by"]]
    bars = axes.barh(slices.index, slices[name], color=colours)
    axes.bar_label(bars, fmt=task.tell_error, padding=4)
    labels = [f"{s} ({n} rows)" for s, n in zip(slices["slice"], slices["rows"])]
    axes.set_yticks(slices.index, labels)
    axes.invert_yaxis()
    _promise(problem, axes.axvline, promised)
    axes.set(xlim=(0, 1.15 * max([promised or 0, *slices[name], 1e-9])))
    _error_axis(problem, axes.xaxis)
    if promised:
        axes.legend(frameon=False)
    return figure, slices


def draw_learning_curve(
    problem: Problem, curve: pd.DataFrame, floor: tuple[float, ...], promised: Optional[float]
) -> Plot:
    """The mean error against the number of training rows, beside the noise of the target."""
    task = task_of(problem)
    name = task.error_name
    curve = curve.groupby("share", as_index=False)[["rows", task.score_name, name]].mean()
    figure, axes = figure_of("What more rows would bring")
    axes.plot("rows", name, data=curve, marker="o", color=BLUE, label="")
    for rows, value in zip(curve["rows"], curve[name]):
        text = task.tell_error(value)
        axes.annotate(text, (rows, value), (0, 8), textcoords="offset points")
    _promise(problem, axes.axhline, promised)
    low, high, own = floor
    if np.isfinite(floor).all():
        axes.axhspan(low, high, label="noise of rows that appear more than once", **_BAND)
        said = f"the model's error on them: {task.tell_error(own)}"
        axes.axhline(own, color=GREY, linewidth=1, label=said)
    top = 1.2 * max([promised or 0, *curve[name], 1e-9])
    axes.set(xlabel="training rows", xlim=(0, None), ylim=(0, top))
    _error_axis(problem, axes.yaxis)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, loc="lower right")
    return figure, curve


def draw_factors(problem: Problem, effects: Optional[pd.DataFrame], additive: bool = False) -> Plot:
    """By how much each field moves the prediction, over all rows: by factors, or by terms."""
    figure, axes = figure_of(f"What raises and what lowers the {(task := task_of(problem)).moved}")
    if effects is None:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "This model gives no reasons", ha="center", va="center")
        return figure, pd.DataFrame(columns=["name", *SHARES])
    sizes = effects if additive else effects.apply(np.log)
    order = sizes.abs().mean().sort_values(kind="stable").index[::-1]
    axes.boxplot(effects[order], whis=(5, 95), showfliers=False)
    axes.set_xticks(range(1, len(order) + 1), order, rotation=45, ha="right")
    axes.axhline(0 if additive else 1, color=GREY, linewidth=1)
    what = f"term, {problem.target.unit}" if additive else f"factor on the {task.moved}"
    label = f"{what}; box: the middle half, whiskers: 90 %"
    label = label if len(label) < 70 else label.replace("; ", "\n")  # the figure is no higher
    axes.set(ylabel=label, yscale=task.moved_scale)
    shares = effects[order].quantile(list(SHARES.values())).T.set_axis(list(SHARES), axis=1)
    return figure, shares.reset_index(names="name")  # "field" is a column of DVC's own


def draw_comparison(problem: Problem, comparison: Comparison) -> Figure:
    """The error of each held-out row: the candidate's against the champion's."""
    errors = comparison.errors
    figure, axes = figure_of("Errors on the hold-out: below the line the candidate is better")
    better = errors["candidate"] < errors["champion"]
    colours = np.where(better, GREEN, RED)
    axes.axline((0, 0), slope=1, color=GREY, linewidth=1)
    axes.scatter("champion", "candidate", s=14, data=errors, color=colours)
    axes.set(xlabel="champion", ylabel="candidate", xlim=(0, None), ylim=(0, None))
    if problem.relative:
        axes.xaxis.set_major_formatter(PERCENT)
        axes.yaxis.set_major_formatter(PERCENT)
    return figure


def _promise(problem: Problem, draw_line: Any, promised: Optional[float]) -> None:
    if promised:
        label = f"target: {task_of(problem).tell_error(promised)}"
        draw_line(promised, color=RED, linestyle="--", label=label)


def _error_axis(problem: Problem, axis: Any) -> None:
    unit = "" if problem.relative else f", {problem.target.unit}"
    axis.set_label_text(f"{task_of(problem).error_name}{unit}".rstrip(", "))
    if problem.relative:
        axis.set_major_formatter(PERCENT)


def figure_of(title: str) -> tuple[Figure, Axes]:
    """An empty figure in the style of all."""
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=12)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _target_axes(problem: Problem, axes: Axes, points: pd.DataFrame, x: str, y: str) -> np.ndarray:
    """Both axes labelled, over the same values, and logarithmic for relative errors: their ends."""
    low, high = points[[x, y]].min(axis=None), points[[x, y]].max(axis=None)
    target = f"{problem.target.name}, {problem.target.unit}".rstrip(", ")
    axes.set(xlabel=f"{x} {target}", ylabel=f"{y} {target}")
    if not problem.relative:
        ends = np.array([low, high]) + np.array([-0.05, 0.05]) * (high - low)
        axes.set(xlim=ends, ylim=ends)
        return ends
    ends = np.array([0.9 * low, 1.1 * high])
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return ends
