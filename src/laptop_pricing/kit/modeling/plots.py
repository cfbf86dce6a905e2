"""The plots: PNG in reports/figures, and their data in reports/plots for ``dvc plots``.

Each ``draw_`` function returns a figure and the data that it shows.
"""

from collections.abc import Mapping
from typing import Any, Optional

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter, StrMethodFormatter

from ..files import atomic_path, write_text
from ..problem import Problem
from ..project import Project
from .gate import Comparison
from .interval import LEVELS, THIRDS, offers

Plot = tuple[Figure, pd.DataFrame]
SHARES = {"lowest_5": 0.05, "lowest_25": 0.25, "median": 0.5, "highest_25": 0.75, "highest_5": 0.95}

_BLUE, _LIGHT, _RED, _GREY, _GREEN = "#2563a8", "#7aa6d6", "#c2410c", "#6b7280", "#15803d"
_AMOUNT = StrMethodFormatter("{x:,.0f}")
_PERCENT = PercentFormatter(1, decimals=0)
_TICKS = tuple(digit * 10**power for power in range(9) for digit in (1, 2, 5))


def save_plots(project: Project, plots: Mapping[str, Plot]) -> None:
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
    target, unit = problem.target.name, problem.target.unit
    figure, axes = _figure(
        f"Each {target}, predicted by a model that never saw that {problem.item}"
    )
    ends = np.array(_target_axes(axes, points["actual"], points["predicted"]))
    axes.fill_between(
        ends, ends * 0.85, ends * 1.15, color=_GREY, alpha=0.15, linewidth=0, label="within 15 %"
    )
    axes.plot(ends, ends, color=_GREY, linewidth=1, label="exact")
    axes.scatter(points["actual"], points["predicted"], s=12, alpha=0.5, color=_BLUE, linewidths=0)
    axes.set(xlabel=f"actual {target}, {unit}", ylabel=f"predicted {target}, {unit}")
    axes.legend(frameon=False, loc="upper left")
    return figure, points


def draw_intervals(problem: Problem, covered: pd.DataFrame) -> Plot:
    """The 90 % interval along the prediction, and the values outside it, of the first seed."""
    points = covered[covered["seed"] == covered["seed"].min()].sort_values("predicted")
    points = points[["row", "actual", "predicted", "third", "low", "high", "inside"]]
    target, unit = problem.target.name, problem.target.unit
    figure, axes = _figure(f"Does the 90 % interval hold 90 % of the {problem.items}?")
    _target_axes(axes, points["predicted"], points["actual"])
    for inside, colour in ((True, _BLUE), (False, _RED)):
        part = points[points["inside"] == inside]
        label = f"{'inside' if inside else 'outside'}: {len(part) / len(points):.1%}"
        axes.scatter(
            part["predicted"], part["actual"], s=12, color=colour, linewidths=0, label=label
        )
    for third in THIRDS:
        part = points[points["third"] == third]
        axes.fill_between(
            part["predicted"],
            part["low"],
            part["high"],
            color=_GREY,
            alpha=0.2,
            linewidth=0,
            label=f"{third} third: {part['inside'].mean():.1%} inside",
        )
    axes.set(xlabel=f"predicted {target}, {unit}", ylabel=f"actual {target}, {unit}")
    axes.legend(frameon=False, loc="upper left")
    return figure, points


def draw_residuals(problem: Problem, predictions: pd.DataFrame, bands: pd.Series) -> Plot:
    """By how much the prediction is off, in each band of the prediction.

    Sorted by the actual value even a perfect model would seem too low on the highest ones.
    """
    error = predictions["predicted"] / predictions["actual"] - 1
    shares = error.groupby(bands, observed=True).quantile(list(SHARES.values())).unstack()
    figure, axes = _figure("By how much is the prediction off, from low to high?")
    names = ("whislo", "q1", "med", "q3", "whishi")
    axes.bxp(
        [dict(zip(names, line), label=str(band), fliers=[]) for band, *line in shares.itertuples()],
        showfliers=False,
        patch_artist=True,
        boxprops={"facecolor": "#c7dbf0", "edgecolor": _BLUE},
        medianprops={"color": _BLUE, "linewidth": 2},
    )
    axes.axhline(0, color=_GREY, linewidth=1)
    named = f"predicted {problem.target.name}, {problem.target.unit}"
    axes.set(
        ylabel="predicted / actual - 1",
        xlabel=f"{named}; the box holds the middle half, the whiskers 90 %",
    )
    axes.yaxis.set_major_formatter(_PERCENT)
    axes.tick_params(axis="x", labelsize=8)
    # Numbered, since a plot sorts them as text.
    numbered = [f"{i}: {band}" for i, band in enumerate(shares.index, 1)]
    return figure, shares.set_axis(list(SHARES), axis=1).assign(band=numbered)


def draw_slices(problem: Problem, slices: pd.DataFrame, promised: float) -> Plot:
    """MAPE by ``slice_by`` and by band of the target, one bar each."""
    figure, axes = _figure(f"Mean error by {problem.slice_by} and by {problem.target.name} band")
    rows = slices.iloc[::-1].reset_index(drop=True)
    colours = [_BLUE if by == problem.slice_by else _LIGHT for by in rows["by"]]
    axes.barh(rows.index, rows["MAPE"], color=colours)
    axes.set_yticks(rows.index, [f"{s} ({n} rows)" for s, n in zip(rows["slice"], rows["rows"])])
    for y, value in enumerate(rows["MAPE"]):
        axes.annotate(f"{value:.1%}", (value, y), (4, 0), textcoords="offset points", va="center")
    axes.axvline(promised, color=_RED, linewidth=1, linestyle="--")
    place = ("data", "axes fraction")
    text = f"promised: {promised:.0%}"
    axes.annotate(text, (promised, 1.01), xycoords=place, color=_RED, ha="center")
    axes.set(xlabel="MAPE", xlim=(0, 1.15 * max([promised, *rows["MAPE"]])))
    axes.title.set_position((0.5, 1.05))
    axes.xaxis.set_major_formatter(_PERCENT)
    return figure, slices


def draw_learning_curve(
    curve: pd.DataFrame, floor: tuple[float, float, float], promised: float
) -> Plot:
    """MAPE against the number of training rows, beside the noise of the target itself."""
    curve = curve.groupby("share", as_index=False)[["rows", "R2", "MAPE"]].mean()
    figure, axes = _figure("What more rows would bring")
    axes.plot(curve["rows"], curve["MAPE"], marker="o", color=_BLUE)
    for rows, value in zip(curve["rows"], curve["MAPE"]):
        axes.annotate(
            f"{value:.1%}", (rows, value), (0, 8), textcoords="offset points", ha="center"
        )
    axes.axhline(promised, color=_RED, linewidth=1, linestyle="--")
    _right_label(axes, promised, f"promised: {promised:.0%}", _RED)
    low, high, own = floor
    if np.isfinite(floor).all():
        axes.axhspan(low, high, color=_GREY, alpha=0.2, linewidth=0)
        text = f"rows that appear more than once: noise, and the model's own error ({own:.1%})"
        axes.axhline(own, color=_GREY, linewidth=1)
        _right_label(axes, low, text, _GREY)
    axes.set(
        xlabel="training rows",
        ylabel="MAPE",
        xlim=(0, None),
        ylim=(0, 1.2 * max([promised, *curve["MAPE"]])),
    )
    axes.xaxis.set_major_formatter(_AMOUNT)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    return figure, curve


def draw_factors(problem: Problem, factors: Optional[pd.DataFrame]) -> Plot:
    """By how much each field moves the prediction, over all rows."""
    figure, axes = _figure(f"What raises and what lowers the {problem.target.name}")
    if factors is None:
        axes.text(0.5, 0.5, "This model gives no reasons", ha="center", va="center")
        axes.set_axis_off()
        return figure, pd.DataFrame(columns=["name", *SHARES])
    order = factors.apply(np.log).abs().mean().sort_values(kind="stable").index
    shares = factors[order].quantile(list(SHARES.values())).T.set_axis(list(SHARES), axis=1)
    for y, (low, q1, middle, q3, high) in enumerate(shares.itertuples(index=False)):
        axes.plot([low, high], [y, y], color=_LIGHT, linewidth=2, solid_capstyle="butt")
        axes.plot([q1, q3], [y, y], color=_BLUE, linewidth=7, solid_capstyle="butt")
        axes.plot(middle, y, "|", color="white", markersize=7)
    axes.axvline(1, color=_GREY, linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(order)), order)
    ends = (min(0.8, shares.min().min() * 0.95), max(1.25, shares.max().max() * 1.05))
    ticks = [t for t in (0.3, 0.5, 0.7, 0.8, 0.9, 1, 1.2, 1.5, 2, 3) if ends[0] < t < ends[1]]
    label = f"factor on the {problem.target.name}; thick: the middle half, thin: 90 %"
    axes.set(xlabel=label, xlim=ends)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"x{value:g}"))
    return figure, shares[::-1].reset_index(names="name")  # "field" is a column of DVC's own


def draw_offers(calibration: Mapping[str, Any], predicted: pd.Series) -> Plot:
    """What an offer, as a share of the prediction, leads to in each third of the predictions."""
    figure, axes = _figure("What an offer risks and brings")
    parts = []
    for name, style, level in zip(THIRDS, (":", "--", "-"), (1 / 6, 1 / 2, 5 / 6)):
        value = float(predicted.quantile(level))
        part = pd.DataFrame(offers(calibration, value, 0, LEVELS.tolist()))
        part = part.assign(third=name, share=part["offer"] / value)
        axes.plot(part["share"], part["losing"], style, color=_RED, label=f"losing, {name} third")
        label = f"margin, {name} third"
        axes.plot(part["share"], part["expected_margin"], style, color=_GREEN, label=label)
        parts.append(part[["third", "share", "losing", "expected_margin"]])
    axes.axhline(0, color=_GREY, linewidth=1)
    axes.set(
        xlabel="offer / prediction",
        ylabel="share of deals that lose money; expected margin",
        xlim=(0.6, 1.2),
        ylim=(-0.2, 0.8),
    )
    axes.xaxis.set_major_formatter(_PERCENT)
    axes.yaxis.set_major_formatter(_PERCENT)
    axes.legend(frameon=False, loc="upper left")
    return figure, pd.concat(parts)


def draw_comparison(comparison: Comparison) -> Figure:
    """The relative error of each held-out row: the candidate's against the champion's."""
    errors = comparison.errors
    figure, axes = _figure("Errors on the hold-out: below the line the candidate is better")
    end = 1.05 * errors.to_numpy().max()
    axes.plot([0, end], [0, end], color=_GREY, linewidth=1)
    better = errors["candidate"] < errors["champion"]
    for part, colour in ((errors[better], _GREEN), (errors[~better], _RED)):
        axes.scatter(part["champion"], part["candidate"], s=14, color=colour, linewidths=0)
    axes.set(xlabel="champion", ylabel="candidate", xlim=(0, end), ylim=(0, end))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(_PERCENT)
    return figure


def _figure(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=12, pad=18)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _target_axes(axes: Axes, x: pd.Series, y: pd.Series) -> tuple[float, float]:
    """Both axes logarithmic, over the same values."""
    low, high = 0.9 * min(x.min(), y.min()), 1.1 * max(x.max(), y.max())
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks([tick for tick in _TICKS if low <= tick <= high])
        axis.set_ticks([], minor=True)
        axis.set_major_formatter(_AMOUNT)
    return low, high


def _right_label(axes: Axes, height: float, text: str, colour: str) -> None:
    axes.annotate(
        text,
        (1, height),
        (-4, 4),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        color=colour,
        ha="right",
    )
