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

Plot = tuple[Figure, pd.DataFrame]
SHARES = {"lowest_5": 0.05, "lowest_25": 0.25, "median": 0.5, "highest_25": 0.75, "highest_5": 0.95}

_BLUE, _LIGHT, _RED, _GREY, _GREEN = "#2563a8", "#7aa6d6", "#c2410c", "#6b7280", "#15803d"
_PERCENT = PercentFormatter(1, decimals=0)
_BAND: dict[str, Any] = {"color": _GREY, "alpha": 0.2, "linewidth": 0}


def save_plots(project: Project, **plots: Plot) -> None:
    """Write all plots by their names."""
    for name, (figure, data) in plots.items():
        text = data.round(6).to_csv(index=False, lineterminator="\n")
        write_text(project.plots / f"{name}.csv", text)
        with atomic_path(project.figures / f"{name}.png") as part:
            figure.savefig(part, format="png", dpi=120, metadata={"Software": None})


def draw_predictions(problem: Problem, predictions: pd.DataFrame) -> Plot:
    """Predicted against actual values of the first seed, on logarithmic axes."""
    points = predictions[predictions["seed"] == predictions["seed"].min()]
    points = points[["row", "actual", "predicted"]].round(2)
    title = f"Each {problem.target.name}, predicted by a model that never saw that {problem.item}"
    figure, axes = _figure(title)
    ends = _target_axes(problem, axes, points, "actual", "predicted")
    axes.fill_between(ends, 0.85 * ends, 1.15 * ends, label="within 15 %", **_BAND)
    axes.plot(ends, ends, color=_GREY, linewidth=1, label="exact")
    axes.scatter("actual", "predicted", s=12, data=points, alpha=0.5, color=_BLUE, label="")
    axes.legend(frameon=False, loc="upper left")
    return figure, points


def draw_intervals(problem: Problem, covered: pd.DataFrame) -> Plot:
    """The 90 % interval along the prediction, and the values outside it, of the first seed."""
    points = covered[covered["seed"] == covered["seed"].min()].sort_values("predicted")
    points = points[["row", "actual", "predicted", "third", "low", "high", "inside"]]
    figure, axes = _figure(f"Does the 90 % interval hold 90 % of the {problem.items}?")
    _target_axes(problem, axes, points, "predicted", "actual")
    for inside, colour in ((True, _BLUE), (False, _RED)):
        part = points[points["inside"] == inside]
        label = f"{'inside' if inside else 'outside'}: {len(part) / len(points):.1%}"
        axes.scatter("predicted", "actual", s=12, data=part, color=colour, label=label)
    for third, part in points.groupby("third", observed=True):
        label = f"{third} third: {part['inside'].mean():.1%} inside"
        axes.fill_between("predicted", "low", "high", data=part, label=label, **_BAND)
    axes.legend(frameon=False, loc="upper left")
    return figure, points


def draw_slices(problem: Problem, slices: pd.DataFrame, promised: float) -> Plot:
    """MAPE by ``slice_by`` and by band of the target, one bar each."""
    figure, axes = _figure(f"Mean error by {problem.slice_by} and by {problem.target.name} band")
    colours = [_BLUE if by == problem.slice_by else _LIGHT for by in slices["by"]]
    bars = axes.barh(slices.index, slices["MAPE"], color=colours)
    axes.bar_label(bars, fmt="{:.1%}", padding=4)
    labels = [f"{s} ({n} rows)" for s, n in zip(slices["slice"], slices["rows"])]
    axes.set_yticks(slices.index, labels)
    axes.invert_yaxis()
    axes.axvline(promised, color=_RED, linestyle="--", label=f"promised: {promised:.0%}")
    axes.set(xlabel="MAPE", xlim=(0, 1.15 * max([promised, *slices["MAPE"]])))
    axes.xaxis.set_major_formatter(_PERCENT)
    axes.legend(frameon=False)
    return figure, slices


def draw_learning_curve(curve: pd.DataFrame, floor: tuple[float, ...], promised: float) -> Plot:
    """MAPE against the number of training rows, beside the noise of the target itself."""
    curve = curve.groupby("share", as_index=False)[["rows", "R2", "MAPE"]].mean()
    figure, axes = _figure("What more rows would bring")
    axes.plot("rows", "MAPE", data=curve, marker="o", color=_BLUE)
    for rows, value in zip(curve["rows"], curve["MAPE"]):
        axes.annotate(f"{value:.1%}", (rows, value), (0, 8), textcoords="offset points")
    axes.axhline(promised, color=_RED, linestyle="--", label=f"promised: {promised:.0%}")
    low, high, own = floor
    if np.isfinite(floor).all():
        axes.axhspan(low, high, label="noise of rows that appear more than once", **_BAND)
        axes.axhline(own, color=_GREY, linewidth=1, label=f"the model's error on them: {own:.1%}")
    top = 1.2 * max([promised, *curve["MAPE"]])
    axes.set(xlabel="training rows", ylabel="MAPE", xlim=(0, None), ylim=(0, top))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(frameon=False, loc="lower right")
    return figure, curve


def draw_factors(problem: Problem, factors: Optional[pd.DataFrame]) -> Plot:
    """By how much each field moves the prediction, over all rows."""
    figure, axes = _figure(f"What raises and what lowers the {problem.target.name}")
    if factors is None:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "This model gives no reasons", ha="center", va="center")
        return figure, pd.DataFrame(columns=["name", *SHARES])
    order = factors.apply(np.log).abs().mean().sort_values(kind="stable").index[::-1]
    axes.boxplot(factors[order], whis=(5, 95), showfliers=False)
    axes.set_xticks(range(1, len(order) + 1), order, rotation=45, ha="right")
    axes.axhline(1, color=_GREY, linewidth=1)
    axes.set(ylabel=f"factor on the {problem.target.name}; box: the middle half, whiskers: 90 %")
    shares = factors[order].quantile(list(SHARES.values())).T.set_axis(list(SHARES), axis=1)
    return figure, shares.reset_index(names="name")  # "field" is a column of DVC's own


def draw_comparison(comparison: Comparison) -> Figure:
    """The relative error of each held-out row: the candidate's against the champion's."""
    errors = comparison.errors
    figure, axes = _figure("Errors on the hold-out: below the line the candidate is better")
    better = errors["candidate"] < errors["champion"]
    colours = np.where(better, _GREEN, _RED)
    axes.axline((0, 0), slope=1, color=_GREY, linewidth=1)
    axes.scatter("champion", "candidate", s=14, data=errors, color=colours)
    axes.set(xlabel="champion", ylabel="candidate", xlim=(0, None), ylim=(0, None))
    axes.xaxis.set_major_formatter(_PERCENT)
    axes.yaxis.set_major_formatter(_PERCENT)
    return figure


def _figure(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=12)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _target_axes(problem: Problem, axes: Axes, points: pd.DataFrame, x: str, y: str) -> np.ndarray:
    """Both axes logarithmic and labelled, over the same values: gives their ends."""
    ends = np.array([0.9 * points[[x, y]].min(axis=None), 1.1 * points[[x, y]].max(axis=None)])
    target = f"{problem.target.name}, {problem.target.unit}"
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    axes.set(xlabel=f"{x} {target}", ylabel=f"{y} {target}")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return ends
