"""The plots: PNG in reports/figures, and their data in reports/plots for ``dvc plots``.

Each ``draw_`` function returns a figure and the data that it shows.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter, StrMethodFormatter

from laptop_pricing.data.schema import ITEM, ITEMS, SLICED_BY, TARGET, UNIT
from laptop_pricing.files import atomic_path, write_text
from laptop_pricing.modeling.interval import LEVELS, TERCILES, offers

_BLUE, _RED, _GREY, _GREEN = "#2563a8", "#c2410c", "#6b7280", "#15803d"
_AMOUNT = StrMethodFormatter("{x:,.0f}")
_PERCENT = PercentFormatter(1, decimals=0)
_TICKS = tuple(digit * 10**power for power in range(9) for digit in (1, 2, 5))


def save_plots(workspace, plots):
    """Write all plots.

    Parameters
    ----------
    workspace : Workspace
    plots : dict of (Figure, DataFrame)
        By name.
    """
    for name, (figure, data) in plots.items():
        text = data.round(6).to_csv(index=False, lineterminator="\n")
        write_text(workspace.plots / f"{name}.csv", text)
        with atomic_path(workspace.figures / f"{name}.png") as part:
            figure.savefig(part, format="png", dpi=120, metadata={"Software": None})


def draw_predictions(predictions):
    """Predicted against actual price of the first seed, on logarithmic axes."""
    points = predictions[predictions["seed"] == predictions["seed"].min()]
    points = points[["row", "actual", "predicted"]].round(2)
    figure, axes = _figure(f"Each {TARGET}, predicted by a model that never saw that {ITEM}")
    low, high = _price_axes(axes, points["actual"], points["predicted"])
    ends = np.array([low, high])
    axes.fill_between(
        ends, ends * 0.85, ends * 1.15, color=_GREY, alpha=0.15, linewidth=0, label="within 15 %"
    )
    axes.plot(ends, ends, color=_GREY, linewidth=1, label="exact")
    axes.scatter(points["actual"], points["predicted"], s=12, alpha=0.5, color=_BLUE, linewidths=0)
    axes.set(xlabel=f"actual {TARGET}, {UNIT}", ylabel=f"predicted {TARGET}, {UNIT}")
    axes.legend(frameon=False, loc="upper left")
    return figure, points


def draw_intervals(covered):
    """The 90 % interval along the predicted price, and the prices outside it, of the first seed."""
    points = covered[covered["seed"] == covered["seed"].min()].sort_values("predicted")
    points = points[["row", "actual", "predicted", "tercile", "low", "high", "inside"]]
    figure, axes = _figure(f"Does the 90 % interval hold 90 % of the {ITEMS}?")
    _price_axes(axes, points["predicted"], points["actual"])
    for inside, colour in ((True, _BLUE), (False, _RED)):
        part = points[points["inside"] == inside]
        label = f"{'inside' if inside else 'outside'}: {len(part) / len(points):.1%}"
        axes.scatter(
            part["predicted"], part["actual"], s=12, color=colour, linewidths=0, label=label
        )
    for tercile in TERCILES:
        part = points[points["tercile"] == tercile]
        label = f"{tercile} third: {part['inside'].mean():.1%} inside"
        axes.fill_between(
            part["predicted"],
            part["low"],
            part["high"],
            color=_GREY,
            alpha=0.2,
            linewidth=0,
            label=label,
        )
    axes.set(xlabel=f"predicted {TARGET}, {UNIT}", ylabel=f"actual {TARGET}, {UNIT}")
    axes.legend(frameon=False, loc="upper left")
    return figure, points


def draw_residuals(predictions, bands):
    """By how much the prediction is off, in each band of the predicted price.

    Sorted by the actual price even a perfect model would seem too low on the dear ones.
    """
    error = predictions["predicted"] / predictions["actual"] - 1
    groups = [error[bands == band] for band in bands.cat.categories]
    groups, names = zip(*[(g, b) for g, b in zip(groups, bands.cat.categories) if len(g)])
    figure, axes = _figure(f"By how much is the {TARGET} off, from low to high ({UNIT})?")
    shares = [group.quantile([0.05, 0.25, 0.5, 0.75, 0.95]).to_list() for group in groups]
    boxes = [
        dict(zip(("whislo", "q1", "med", "q3", "whishi"), share), label=name, fliers=[])
        for share, name in zip(shares, names)
    ]
    axes.bxp(
        boxes,
        showfliers=False,
        patch_artist=True,
        boxprops={"facecolor": "#c7dbf0", "edgecolor": _BLUE},
        medianprops={"color": _BLUE, "linewidth": 2},
    )
    axes.axhline(0, color=_GREY, linewidth=1)
    axes.set(
        ylabel="predicted / actual - 1",
        xlabel=f"predicted {TARGET}; the box holds the middle half, the whiskers 90 %",
    )
    axes.yaxis.set_major_formatter(_PERCENT)
    axes.tick_params(axis="x", labelsize=8)
    columns = ["p05", "p25", "p50", "p75", "p95"]
    return figure, pd.DataFrame(shares, columns=columns).assign(band=names)


def draw_slices(slices, criteria_mape):
    """MAPE by ``SLICED_BY`` and by price band, one bar each."""
    figure, axes = _figure(f"Mean error by {SLICED_BY} and by {TARGET} band ({UNIT})")
    rows = slices.iloc[::-1].reset_index(drop=True)
    colours = [_BLUE if by == SLICED_BY else "#7aa6d6" for by in rows["by"]]
    axes.barh(rows.index, rows["MAPE"], color=colours)
    axes.set_yticks(rows.index, [f"{s} ({n} rows)" for s, n in zip(rows["slice"], rows["rows"])])
    for y, value in enumerate(rows["MAPE"]):
        axes.annotate(
            f"{value:.1%}", (value, y), xytext=(4, 0), textcoords="offset points", va="center"
        )
    axes.axvline(criteria_mape, color=_RED, linewidth=1, linestyle="--")
    axes.annotate(
        f"promised: {criteria_mape:.0%}",
        (criteria_mape, 1.01),
        xycoords=("data", "axes fraction"),
        color=_RED,
        ha="center",
    )
    axes.set(xlabel="MAPE", xlim=(0, 1.15 * max([criteria_mape, *rows["MAPE"]])))
    axes.title.set_position((0.5, 1.05))
    axes.xaxis.set_major_formatter(_PERCENT)
    return figure, slices


def draw_learning_curve(curve, floor, criteria_mape):
    """MAPE against the number of training rows, above the noise of the prices themselves."""
    curve = curve.groupby("share", as_index=False)[["rows", "R2", "MAPE"]].mean()
    figure, axes = _figure("What more rows would bring")
    axes.plot(curve["rows"], curve["MAPE"], marker="o", color=_BLUE)
    for rows, value in zip(curve["rows"], curve["MAPE"]):
        axes.annotate(
            f"{value:.1%}", (rows, value), xytext=(0, 8), textcoords="offset points", ha="center"
        )
    axes.axhline(criteria_mape, color=_RED, linewidth=1, linestyle="--")
    _right_label(axes, criteria_mape, f"promised: {criteria_mape:.0%}", _RED)
    if np.isfinite(floor).all():
        axes.axhspan(*floor, color=_GREY, alpha=0.2, linewidth=0)
        text = "noise floor: one specification, different prices; none can be below the band"
        _right_label(axes, floor[0], text, _GREY)
    axes.set(
        xlabel="training rows",
        ylabel="MAPE",
        xlim=(0, None),
        ylim=(0, 1.2 * max([criteria_mape, *curve["MAPE"]])),
    )
    axes.xaxis.set_major_formatter(_AMOUNT)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    return figure, curve


def draw_factors(factors):
    """By how much each field moves the price, over all rows."""
    order = np.log(factors).abs().mean().sort_values().index
    shares = factors[order].quantile([0.05, 0.25, 0.5, 0.75, 0.95])
    figure, axes = _figure(f"What raises and what lowers the {TARGET}")
    for y, name in enumerate(order):
        low, q1, middle, q3, high = shares[name]
        axes.plot([low, high], [y, y], color="#7aa6d6", linewidth=2, solid_capstyle="butt")
        axes.plot([q1, q3], [y, y], color=_BLUE, linewidth=7, solid_capstyle="butt")
        axes.plot(middle, y, "|", color="white", markersize=7)
    axes.axvline(1, color=_GREY, linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(order)), order)
    ends = (min(0.8, shares.min().min() * 0.95), max(1.25, shares.max().max() * 1.05))
    ticks = [t for t in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.2, 1.5, 2, 3) if ends[0] < t]
    axes.set(
        xlabel=f"factor on the {TARGET}; thick: the middle half of the {ITEMS}, thin: 90 %",
        xlim=ends,
    )
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks([t for t in ticks if t < ends[1]])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"x{value:g}"))
    most_first = shares[order[::-1]].T.set_axis(["p05", "p25", "p50", "p75", "p95"], axis=1)
    return figure, most_first.reset_index(names="name")  # "field" is a column of DVC's own


def draw_offers(calibration):
    """What an offer, as a share of the predicted price, leads to in each tercile."""
    middle = np.mean(calibration["edges"])
    prices = (calibration["edges"][0] / 2, middle, calibration["edges"][1] * 2)
    parts = [
        pd.DataFrame(offers(calibration, price, 0, LEVELS))
        .assign(tercile=name, share=lambda t, price=price: t["offer"] / price)
        .drop(columns=["risk", "offer"])
        for name, price in zip(TERCILES, prices)
    ]
    figure, axes = _figure("What an offer risks and brings")
    for part, style in zip(parts, (":", "--", "-")):
        name = part["tercile"].iloc[0]
        axes.plot(part["share"], part["losing"], style, color=_RED, label=f"losing, {name} third")
        axes.plot(
            part["share"],
            part["expected_margin"],
            style,
            color=_GREEN,
            label=f"margin, {name} third",
        )
    axes.axhline(0, color=_GREY, linewidth=1)
    axes.set(
        xlabel="offer / predicted price",
        ylabel="share of deals that lose money; expected margin",
        xlim=(0.6, 1.2),
        ylim=(-0.2, 0.8),
    )
    axes.xaxis.set_major_formatter(_PERCENT)
    axes.yaxis.set_major_formatter(_PERCENT)
    axes.legend(frameon=False, loc="upper left")
    return figure, pd.concat(parts)[["tercile", "share", "losing", "expected_margin"]]


def draw_comparison(comparison):
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


def _figure(title):
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=12, pad=18)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _price_axes(axes, x, y):
    """Both axes logarithmic, over the same prices."""
    low, high = 0.9 * min(x.min(), y.min()), 1.1 * max(x.max(), y.max())
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks([tick for tick in _TICKS if low <= tick <= high])
        axis.set_ticks([], minor=True)
        axis.set_major_formatter(_AMOUNT)
    return low, high


def _right_label(axes, height, text, colour):
    axes.annotate(
        text,
        (1, height),
        xycoords=("axes fraction", "data"),
        xytext=(-4, 4),
        textcoords="offset points",
        color=colour,
        ha="right",
    )
