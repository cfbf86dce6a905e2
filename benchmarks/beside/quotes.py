"""The whole quote of our server, for the servers that have no other model."""

from pathlib import Path

from laptop_pricing.kit.modeling.bundle import load_bundle
from laptop_pricing.kit.modeling.quote import quote_rows
from laptop_pricing.problem import PROBLEM

BUNDLE = load_bundle(Path(__file__).parents[2] / "models", PROBLEM)


def quote(case):
    """Read the cells of a case, and answer with a prediction and its reasons."""
    return vars(quote_rows(PROBLEM, BUNDLE, [PROBLEM.read_row(case)[0]])[0])
