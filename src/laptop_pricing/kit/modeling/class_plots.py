"""The plots of a classification, beside those that all tasks have: each a figure and its data."""

from collections.abc import Mapping
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .plots import (
    BLUE,
    COLOURS,
    GREY,
    LIGHT,
    PERCENT,
    RED,
    Plot,
    draw_bars,
    figure_of,
    finish,
    name_lines,
    styled,
)
from .sets import binned, cost_curve

if TYPE_CHECKING:
    from .classification import Classification


@styled
def draw_confusion(task: "Classification", covered: pd.DataFrame, found: Mapping[str, Any]) -> Plot:
    """What is said of the rows of each class, over all seeds; the data of the first.

    `found` is what metrics.json holds.
    """
    first, names = covered[covered["seed"] == covered["seed"].min()], list(task.classes)
    shares = pd.DataFrame(found["confusion"]).T.loc[names, names].to_numpy()
    told, size = [fill(name, 24, max_lines=2, placeholder="…") for name in names], len(names)
    title, label = f"Predictions are {task.right(found)}", task.target.label
    figure, axes = figure_of(title, "Shares of the rows of each class", 2.2 + 0.4 * size)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.5 else "black"
        text = {"ha": "center", "va": "center", "color": colour, "size": 9 if size < 11 else 6}
        axes.text(column, row, f"{share:.0%}", **text)
    turned = {"rotation": 90 if size > 4 else 0}
    axes.set_xticks(range(size), told, **turned, size=9 if size < 4 else 7)
    name_lines(axes, names)
    axes.set(xlabel=f"{label}, predicted", ylabel=f"{label}, actual")
    finish(figure, axes)
    labels = {"actual": first["actual"], "predicted": first["said"]}
    data = {name: codes.map(dict(enumerate(names))) for name, codes in labels.items()}
    return figure, pd.DataFrame({"row": first["row"]} | data)


@styled
def draw_calibration(task: "Classification", covered: pd.DataFrame, found: float) -> Plot:
    """Whether what gets a chance of 30 % comes true in 30 % of the rows.

    `found` is the ``error`` of ``calibration`` in metrics.json.
    """
    chances, lines = task.outputs_in(covered), []
    places = [1] if len(task.classes) == 2 else range(len(task.classes))
    shown = covered["actual"].value_counts().index[: len(COLOURS)]
    note = "One dot per tenth of the rows, by their chance"
    note += f". The {len(shown)} largest classes" if len(shown) < len(task.classes) else ""
    figure, axes = figure_of(f"Chances are off by {found:.3f} on average", note)
    axes.plot((0, 1), (0, 1), color=GREY, linewidth=1, label="exact")
    for place in places:
        said, true, rows = binned(covered["actual"] == place, chances[:, place])
        name, told = task.classes[place], {"predicted": said, "actual": true, "rows": rows}
        if place in shown:
            colour = COLOURS[list(shown).index(place)]
            axes.plot(said, true, marker="o", markersize=4, label=name, color=colour)
        lines.append(pd.DataFrame({"class": name} | told))
    axes.set(xlabel="Predicted chance", ylabel="Share that came true")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PERCENT)
    finish(figure, axes, title=task.target.label, alignment="left")
    return figure, pd.concat(lines)


@styled
def draw_costs(
    task: "Classification", covered: pd.DataFrame, costs: Any, decision: Mapping[str, float]
) -> Plot:
    """The cost per row at each threshold; of several classes, of each way to decide."""
    ways = {"this model": decision["cost"], "the likeliest class": decision["likeliest"]}
    ways |= {"always one class": decision["one_class"]}
    costs_one = f"always one class {decision['one_class']:.3g}"
    title = f"Mistakes cost {decision['cost']:.3g} per row; {costs_one}"
    if "threshold" not in decision:
        figure, axes = figure_of(title, "", 1.8)
        draw_bars(axes, ways, list(ways.values()), [f"{cost:.3g}" for cost in ways.values()])
        axes.set(xlabel="Mean cost per row")
        return figure, pd.DataFrame({"way": list(ways), "cost": list(ways.values())})
    figure, axes = figure_of(title)
    at, cost = cost_curve(covered["actual"], task.outputs_in(covered)[:, 1], costs)
    axes.plot(at, cost, color=BLUE, label="cost at each threshold")
    ours, best = decision["threshold"], decision["best_threshold"]
    axes.axvline(ours, color=RED, linestyle="--", label=f"threshold by the costs: {ours:.0%}")
    axes.axvline(best, color=GREY, linewidth=1, label=f"lowest cost on these rows: {best:.0%}")
    axes.axhline(decision["one_class"], color=LIGHT, label="always one class")
    axes.set(xlabel=f"Chance from which {task.classes[1]} is predicted", ylabel="Mean cost per row")
    axes.set(xlim=(0, 1), ylim=(0, 2 * max(ways.values())))
    axes.xaxis.set_major_formatter(PERCENT)
    finish(figure, axes)
    return figure, pd.DataFrame({"threshold": at, "cost": cost})
