"""The plots of ``monitor``."""

from io import StringIO

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from .plots import BLUE, GREY, PERCENT, RED, figure_of


def draw_drift(lines: pd.DataFrame) -> Figure:
    """The share of each bin in the reference and in the quotes, one panel per quantity."""
    rows = -(-len(lines) // 3)
    figure = Figure(figsize=(12, 2.6 * rows), layout="constrained")
    for place, line in enumerate(lines.itertuples(), 1):
        axes, used = figure.add_subplot(rows, 3, place), (line.was + line.now) > 0
        labels = [label for label, shown in zip(line.labels, used) if shown]
        for shift, counts, colour, name in (
            (-0.2, line.was, GREY, "learned"),
            (0.2, line.now, RED if line.drifted else BLUE, "asked"),
        ):
            at = np.arange(len(labels)) + shift
            axes.barh(at, (counts / counts.sum())[used], 0.4, color=colour, label=name)
        axes.set_yticks(range(len(labels)), labels, fontsize=7)
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(PERCENT)
        axes.spines[["top", "right"]].set_visible(False)
        drifted = " (drifted)" if line.drifted else ""
        axes.set_title(f"{line.quantity}: PSI {line.psi:.2f}{drifted}", fontsize=10)
        axes.legend(frameon=False, fontsize=7)
    return figure


def draw_outcomes(misses: np.ndarray, low: np.ndarray, most: float) -> Figure:
    """The share of misses so far along the outcomes, and what it certainly exceeds."""
    figure, axes = figure_of("How many outcomes were outside their 90 % interval or set?")
    at = np.arange(1, len(misses) + 1)
    axes.plot(at, np.cumsum(misses) / at, color=BLUE, label="misses so far")
    axes.plot(at, np.maximum(low, 0), color=GREY, label="certainly more than")
    axes.axhline(most, color=RED, linestyle="--", label=f"alarm above {most:.0%}")
    axes.set(xlabel="outcomes, the oldest first", ylim=(0, 1))
    axes.yaxis.set_major_formatter(PERCENT)
    axes.legend(frameon=False)
    return figure


def as_svg(figure: Figure) -> str:
    """A figure as SVG, to stand in HTML."""
    with StringIO() as text:
        figure.savefig(text, format="svg", metadata={"Date": None})
        return text.getvalue()[text.getvalue().index("<svg") :]
