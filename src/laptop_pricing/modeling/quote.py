"""A price, how far it may be off, why it is what it is, and what to offer: with NumPy alone."""

from dataclasses import dataclass

from laptop_pricing.data.row import contradictions, read_row
from laptop_pricing.data.schema import FEATURES
from laptop_pricing.errors import UserError
from laptop_pricing.modeling.bundle import load_compiled
from laptop_pricing.modeling.interval import RISKS, interval, offers


@dataclass(frozen=True)
class Quote:
    """A price and what it rests on.

    Parameters
    ----------
    price, low, high : float
        The price and the interval that holds 90 % of the actual prices.
    base : float
        Price of the average row, which the factors multiply.
    factors : dict of float
        By field.
    offers : list of Offer or None
        From :func:`~laptop_pricing.modeling.interval.offers`, if a margin was given.
    warnings : list of str
        Contradictions in the description.
    """

    price: float
    low: float
    high: float
    base: float
    factors: dict
    offers: list
    warnings: list


def quote(models, cells, margin=None, risk=None):
    """Price one row.

    Parameters
    ----------
    models : Path
        Folder of the bundle.
    cells : dict of str
        Text by column name, as a person types it; blank where the seller does not know.
    margin : float, optional
        Wanted share of the selling price, for ``offers``.
    risk : float, optional
        Accepted share of deals that miss the margin; by default several.

    Returns
    -------
    Quote

    Raises
    ------
    UserError
        If a cell breaks the schema: all of them, in one line.
    """
    row, failures = read_row(cells)
    if failures:
        raise UserError("; ".join(map(str, failures)))
    return quote_rows(load_compiled(models), [row], margin, risk)[0]


def quote_rows(bundle, rows, margin=None, risk=None):
    """Price rows that were read.

    Parameters
    ----------
    bundle : Bundle
    rows : list of dict
        From :func:`~laptop_pricing.data.row.read_row`.
    margin, risk : float, optional
        As for :func:`quote`.

    Returns
    -------
    list of Quote
    """
    calibration = bundle.metadata["calibration"]
    prices, factors = bundle.compiled.explain(rows)
    ends = interval(calibration, prices)
    risks = RISKS if risk is None else (risk,)
    return [
        Quote(
            price=price,
            low=low,
            high=high,
            base=bundle.compiled.base,
            factors=dict(zip(FEATURES, worth)),
            offers=None if margin is None else offers(calibration, price, margin, risks),
            warnings=contradictions(row),
        )
        for row, price, (low, high), worth in zip(
            rows, prices.tolist(), ends.tolist(), factors.tolist()
        )
    ]
