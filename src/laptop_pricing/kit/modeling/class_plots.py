"""The plots of a classification, beside those that all tasks have: each a figure and its data."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .plots import BLUE, GREY, LIGHT, PERCENT, RED, Plot, figure_of
from .sets import binned, cost_curve

if TYPE_CHECKING:
    from .classification import Classification


def draw_confusion(task: "Classification", covered: pd.DataFrame) -> Plot:
    """What is said of the rows of each class, on average over the seeds; the data of the first."""
    first, names = covered[covered["seed"] == covered["seed"].min()], list(task.classes)
    places = range(len(names))
    counts = pd.crosstab(covered["actual"], covered["said"]) / covered["seed"].nunique()
    counts = counts.reindex(index=places, columns=places, fill_value=0).to_numpy()
    shares = counts / counts.sum(axis=1, keepdims=True)
    right, largest = np.trace(counts) / counts.sum(), counts.sum(axis=1) / counts.sum()
    always = f"always {names[largest.argmax()]} would be {largest.max():.1%}"
    figure, axes = figure_of(f"{right:.1%} of the {task.problem.items} are right; {always}")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        told = f"{share:.1%}\n{counts[row, column]:.0f}"
        colour = "white" if share > 0.5 else "black"
        axes.text(column, row, told, ha="center", va="center", color=colour)
    axes.set_xticks(places, names, rotation=0 if len(names) < 4 else 45)
    axes.set_yticks(places, names)
    axes.set(xlabel=f"said {task.target.name}", ylabel=f"actual {task.target.name}")
    labels = {"actual": first["actual"], "predicted": first["said"]}
    data = {name: codes.map(dict(enumerate(names))) for name, codes in labels.items()}
    return figure, pd.DataFrame({"row": first["row"]} | data)


def draw_calibration(task: "Classification", covered: pd.DataFrame) -> Plot:
    """Whether what gets a chance of 30 % comes true in 30 % of the rows."""
    figure, axes = figure_of("Does a chance of 30 % come true three times in ten?")
    chances, lines = task.outputs_in(covered), []
    for place in [1] if len(task.classes) == 2 else range(len(task.classes)):
        said, true, rows = binned(covered["actual"] == place, chances[:, place])
        name, told = task.classes[place], {"predicted": said, "actual": true, "rows": rows}
        axes.plot(said, true, marker="o", label=name)
        lines.append(pd.DataFrame({"class": name} | told))
    axes.plot((0, 1), (0, 1), color=GREY, linewidth=1, label="exact")
    axes.set(xlabel="chance that was given", ylabel="share that came true")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PERCENT)
    axes.legend(frameon=False, loc="upper left", title=task.target.name)
    return figure, pd.concat(lines)


def draw_costs(
    task: "Classification", covered: pd.DataFrame, costs: Any, decision: Mapping[str, float]
) -> Plot:
    """The cost per row at each threshold; of several classes, of each way to decide."""
    figure, axes = figure_of("What mistakes cost")
    axes.set(ylabel="mean cost per row")
    ways = {"as said": decision["cost"], "the likeliest": decision["likeliest"]}
    ways |= {"always one class": decision["one_class"]}
    if "threshold" not in decision:
        bars = axes.bar(list(ways), list(ways.values()), color=[BLUE, LIGHT, LIGHT])
        axes.bar_label(bars, fmt="{:.3g}", padding=3)
        return figure, pd.DataFrame({"way": list(ways), "cost": list(ways.values())})
    at, cost = cost_curve(covered["actual"], task.outputs_in(covered)[:, 1], costs)
    axes.plot(at, cost, color=BLUE)
    ours, best = decision["threshold"], decision["best_threshold"]
    axes.axvline(ours, color=RED, linestyle="--", label=f"ours, by the costs: {ours:.0%}")
    axes.axvline(best, color=GREY, linewidth=1, label=f"the cheapest for these rows: {best:.0%}")
    axes.axhline(decision["one_class"], color=LIGHT, label="always one class")
    axes.set(xlabel=f"chance of {task.classes[1]} from which on it is said")
    axes.set(ylim=(0, 2 * max(ways.values())))
    axes.xaxis.set_major_formatter(PERCENT)
    axes.legend(frameon=False)
    return figure, pd.DataFrame({"threshold": at, "cost": cost})
