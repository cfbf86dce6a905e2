"""The plots of ``monitor``."""

from io import StringIO
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..problem import Problem
from .plots import BLUE, GREY, PERCENT, RED, figure_of, finish, name_lines, styled

MOST_BINS = 10  # of a panel


@styled
def draw_drift(problem: Problem, lines: pd.DataFrame) -> Figure:
    """The share of each bin in the reference and in the quotes, one panel per quantity."""
    lines = lines.assign(label=lines["quantity"].replace(problem.labels))
    drifted = lines.loc[lines["drifted"], "label"]
    told = f": {', '.join(drifted)}" if 0 < len(drifted) <= 5 else ""
    rows, grid = -(-len(lines) // 2), {"ncols": 2, "squeeze": False}
    title = f"{len(drifted)} of {len(lines)} quantities drifted{told}"
    figure, panels = figure_of(title, "", 2.4 * rows, nrows=rows, **grid)
    for axes in panels.flat[len(lines) :]:
        axes.set_axis_off()
    for axes, line in zip(panels.flat, lines.itertuples()):
        was, now = (counts / counts.sum() for counts in (line.was, line.now))
        used = np.sort(np.argsort(-np.maximum(was, now), kind="stable")[:MOST_BINS])
        used = used[(was + now)[used] > 0]
        colour = RED if line.drifted else BLUE
        axes.barh(np.arange(len(used)) - 0.2, was[used], 0.4, color=GREY, label="learned")
        axes.barh(np.arange(len(used)) + 0.2, now[used], 0.4, color=colour, label="asked")
        name_lines(axes, [line.labels[place] for place in used], rows=1)
        axes.xaxis.set_major_formatter(PERCENT)
        word = ", drifted" if line.drifted else ""
        axes.set_title(f"{fill(line.label, 28)}\nPSI {line.psi:.2f}{word}")
    finish(figure, panels[0, 0])
    return figure


@styled
def draw_outcomes(misses: np.ndarray, low: np.ndarray, most: float) -> Figure:
    """The share of misses so far along the outcomes, and what it certainly exceeds."""
    title = f"{1 - misses.mean():.1%} of the {len(misses):,} outcomes were inside"
    figure, axes = figure_of(f"{title} their 90% interval or set", "", 3.6)
    at = np.arange(1, len(misses) + 1)
    axes.plot(at, np.cumsum(misses) / at, color=BLUE, label="misses so far")
    axes.plot(at, np.maximum(low, 0), color=GREY, label="certainly more than")
    axes.axhline(most, color=RED, linestyle="--", label=f"alarm above {most:.0%}")
    axes.set(xlabel="Outcomes, the oldest first", ylabel="Share of misses", ylim=(0, 1))
    axes.yaxis.set_major_formatter(PERCENT)
    finish(figure, axes)
    return figure


@styled
def as_svg(figure: Figure) -> str:
    """A figure as SVG, to stand in HTML."""
    with StringIO() as text:
        figure.savefig(text, format="svg", metadata={"Date": None})
        return text.getvalue()[text.getvalue().index("<svg") :]
