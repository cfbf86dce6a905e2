"""How far a price may be off, and what to offer because of it.

The ratios actual / predicted of rows that the model had not seen say how far. They are taken
per tercile of the predicted price, since dear things vary more: split conformal prediction [1]_
with a group per tercile (Mondrian [2]_).

References
----------
.. [1] J. Lei et al., "Distribution-free predictive inference for regression", JASA 113, 2018.
.. [2] V. Vovk, A. Gammerman and G. Shafer, "Algorithmic Learning in a Random World", 2005.
"""

from typing import NamedTuple

import numpy as np

from laptop_pricing.data.schema import TARGET
from laptop_pricing.errors import UserError

COVERAGE = 0.9
LEVELS = np.arange(1, 100) / 100
RISKS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
TERCILES = ("low", "middle", "high")


def calibrate(predictions):
    """Learn the ratios actual / predicted from out-of-fold predictions.

    Parameters
    ----------
    predictions : DataFrame
        ``actual`` and ``predicted`` from
        :func:`~laptop_pricing.modeling.evaluate.cross_validate`.

    Returns
    -------
    dict
        ``edges``: the two predicted prices between the terciles; ``ratios``: for each
        tercile the quantiles of the ratio at 0.01, 0.02, ... 0.99.

    Raises
    ------
    UserError
        If there are no terciles, since too many predictions are equal.
    """
    edges = predictions["predicted"].quantile([1 / 3, 2 / 3])
    ratios = predictions["actual"] / predictions["predicted"]
    bands = np.searchsorted(edges, predictions["predicted"], side="right")
    _expect(len({*bands}) == 3)
    return {
        "edges": [float(edge) for edge in edges],
        "ratios": [
            [float(q) for q in np.quantile(ratios[bands == band], LEVELS)] for band in range(3)
        ],
    }


def _expect(terciles: bool) -> None:
    if not terciles:
        raise UserError(
            f"found the same predicted {TARGET} for a third of the rows or more; expected some "
            f"that differ; is the {TARGET} constant in the data, or train.alphas too high?"
        )


def ratios_of(calibration, prices):
    """The quantiles of actual / predicted that hold for each price.

    Parameters
    ----------
    calibration : dict
        From :func:`calibrate`.
    prices : array-like, shape (n_rows,)
        Predicted.

    Returns
    -------
    ndarray, shape (n_rows, 99)
    """
    bands = np.searchsorted(calibration["edges"], prices, side="right")
    return np.array(calibration["ratios"])[bands]


def interval(calibration, prices):
    """The range that holds 90 % of the actual prices.

    Parameters
    ----------
    calibration, prices
        As for :func:`ratios_of`.

    Returns
    -------
    ndarray, shape (n_rows, 2)
        Low and high.
    """
    outside = (1 - COVERAGE) / 2
    ends = np.searchsorted(LEVELS, (outside - 1e-9, 1 - outside - 1e-9))
    return np.asarray(prices)[:, np.newaxis] * ratios_of(calibration, prices)[:, ends]


def coverage(predictions):
    """How many actual prices lie in their interval, with intervals from the other folds.

    Parameters
    ----------
    predictions : DataFrame
        As for :func:`calibrate`, with ``seed`` and ``fold``.

    Returns
    -------
    DataFrame
        One line per prediction: ``tercile`` (of its seed's predictions), ``low`` and ``high``,
        ``inside``.

    Raises
    ------
    UserError
        As for :func:`calibrate`.
    """
    import pandas as pd

    parts = []
    for _, drawn in predictions.groupby("seed"):
        _expect(drawn["predicted"].quantile(np.linspace(0, 1, 4)).is_unique)
        tercile = pd.qcut(drawn["predicted"], 3, labels=TERCILES)
        for _, fold in drawn.groupby("fold"):
            low, high = interval(calibrate(drawn.drop(fold.index)), fold["predicted"]).T
            inside = (low <= fold["actual"]) & (fold["actual"] <= high)
            found = {"tercile": tercile[fold.index], "low": low, "high": high, "inside": inside}
            parts.append(fold.assign(**found))
    return pd.concat(parts).sort_index()


def summarise_coverage(covered):
    """Share of prices inside their interval and median relative width, in all and per tercile.

    Returns
    -------
    dict
    """
    width = (covered["high"] - covered["low"]) / covered["predicted"]
    return {
        "coverage": float(covered["inside"].mean()),
        "width": float(width.median()),
        "terciles": {
            name: float(covered.loc[covered["tercile"] == name, "inside"].mean())
            for name in TERCILES
        },
    }


class Offer(NamedTuple):
    """What to offer, and what it leads to.

    Parameters
    ----------
    risk : float
        Accepted share of deals that miss the margin.
    offer : float
        The highest one at that risk.
    losing : float
        Share of deals that sell below the offer; 0 and 1 stand for less than 0.01 and more than
        0.99.
    expected_margin : float
        Share of the selling price that is kept over many such deals.
    """

    risk: float
    offer: float
    losing: float
    expected_margin: float


def offers(calibration, price, margin, risks=RISKS):
    """The highest offer at each risk, and what it leads to.

    Parameters
    ----------
    calibration : dict
        From :func:`calibrate`.
    price : float
        Predicted.
    margin : float
        Wanted share of the selling price, from 0 to below 1.
    risks : sequence of float
        Accepted shares of deals that miss the margin, from 0.01 to 0.99.

    Returns
    -------
    list of Offer
    """
    sold = price * ratios_of(calibration, [price])[0]
    offer = (1 - margin) * np.interp(risks, LEVELS, sold)
    losing = np.interp(offer, sold, LEVELS, left=0, right=1)
    lines = np.column_stack([risks, offer, losing, 1 - offer / sold.mean()])
    return [Offer(*line) for line in lines.tolist()]
