"""The model card: what a model is for, what it was made from, how good it is, where it ends.

After M. Mitchell et al., "Model cards for model reporting", FAT* 2019.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ..files import render
from ..problem import Problem
from .evaluate import MIN_SLICE_ROWS


def model_card(
    problem: Problem,
    metadata: Mapping[str, Any],
    summary: Mapping[str, Any],
    slices: pd.DataFrame,
    commit: str,
) -> str:
    """The card as Markdown, below the 5,000 characters that a version's description may have.

    `summary` and `slices` are the contents of summary.json and of plots/slices.csv.
    """
    metrics = metadata["metrics"]
    return render(
        "card.md",
        target=problem.target.name,
        items=problem.items,
        unit=problem.target.unit,
        caveat=problem.caveat,
        m=metadata,
        s=summary,
        metrics=metrics,
        cv=metrics["cv"],
        rows=metrics["rows"],
        interval=metrics["interval"],
        sha256=metadata["files"][metadata["model_file"]],
        slices=slices.to_dict("records"),
        least=MIN_SLICE_ROWS,
        commit=commit,
    )
