"""The plots: PNG in reports/figures, and their data in reports/plots for ``dvc plots``."""

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, StrMethodFormatter

from laptop_pricing.files import atomic_path, write_text

_BLUE, _RED, _GREY = "#2563a8", "#c2410c", "#6b7280"
_BRL = StrMethodFormatter("{x:,.0f}")


def save_plots(workspace, predictions, slices, curve, criteria_mape):
    """Draw all plots.

    Parameters
    ----------
    workspace : Workspace
    predictions, slices, curve : DataFrame
        From :mod:`laptop_pricing.modeling.evaluate`.
    criteria_mape : float
        The promised MAPE, drawn as a line.
    """
    first = predictions[predictions["seed"] == predictions["seed"].min()]
    points = first[["row", "actual", "predicted"]].round(2)
    curve = curve.groupby("share", as_index=False)[["rows", "R2", "MAPE"]].agg(
        {"rows": "mean", "R2": "mean", "MAPE": "mean"}
    )
    for name, data in (
        ("predictions", points),
        ("slices", slices.round(6)),
        ("learning_curve", curve.round(6)),
    ):
        write_text(workspace.plots / f"{name}.csv", data.to_csv(index=False, lineterminator="\n"))
    for name, figure in (
        ("predictions", draw_predictions(points)),
        ("slices", draw_slices(slices, criteria_mape)),
        ("learning_curve", draw_learning_curve(curve, criteria_mape)),
    ):
        with atomic_path(workspace.figures / f"{name}.png") as part:
            figure.savefig(part, format="png", dpi=120, metadata={"Software": None})


def draw_predictions(points):
    """Predicted against actual price, on logarithmic axes."""
    figure, axes = _figure("Each price, predicted by a model that never saw that laptop")
    low = points[["actual", "predicted"]].min().min() * 0.9
    high = points[["actual", "predicted"]].max().max() * 1.1
    axes.fill_between(
        [low, high],
        [low * 0.85, high * 0.85],
        [low * 1.15, high * 1.15],
        color=_GREY,
        alpha=0.15,
        linewidth=0,
        label="within 15 %",
    )
    axes.plot([low, high], [low, high], color=_GREY, linewidth=1, label="exact")
    axes.scatter(points["actual"], points["predicted"], s=12, alpha=0.5, color=_BLUE, linewidths=0)
    ticks = [t for t in (1_000, 2_000, 5_000, 10_000, 20_000, 50_000) if low <= t <= high]
    for axis, scale in ((axes.xaxis, axes.set_xscale), (axes.yaxis, axes.set_yscale)):
        scale("log")
        axis.set_ticks(ticks)
        axis.set_ticks([], minor=True)
        axis.set_major_formatter(_BRL)
    axes.set(
        xlabel="actual price, BRL",
        ylabel="predicted price, BRL",
        xlim=(low, high),
        ylim=(low, high),
    )
    axes.legend(frameon=False, loc="upper left")
    return figure


def draw_slices(slices, criteria_mape):
    """MAPE by brand and by price band, one bar each."""
    figure, axes = _figure("Mean error by brand and by price band (BRL)")
    rows = slices.iloc[::-1].reset_index(drop=True)
    colours = [_BLUE if by == "brand" else "#7aa6d6" for by in rows["by"]]
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
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def draw_learning_curve(curve, criteria_mape):
    """MAPE against the number of training rows."""
    figure, axes = _figure("What more rows would bring")
    axes.plot(curve["rows"], curve["MAPE"], marker="o", color=_BLUE)
    for rows, value in zip(curve["rows"], curve["MAPE"]):
        axes.annotate(
            f"{value:.1%}", (rows, value), xytext=(0, -16), textcoords="offset points", ha="center"
        )
    axes.axhline(criteria_mape, color=_RED, linewidth=1, linestyle="--")
    axes.annotate(
        f"promised: {criteria_mape:.0%}",
        (1, criteria_mape),
        xycoords=("axes fraction", "data"),
        xytext=(-4, 4),
        textcoords="offset points",
        color=_RED,
        ha="right",
    )
    axes.set(
        xlabel="training rows",
        ylabel="MAPE",
        xlim=(0, None),
        ylim=(0, 1.2 * max([criteria_mape, *curve["MAPE"]])),
    )
    axes.xaxis.set_major_formatter(_BRL)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def _figure(title):
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=12, pad=18)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
