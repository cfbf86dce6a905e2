"""Bundle and rows -> prices. The only way to a prediction."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from laptop_pricing.data.read import fill_default, read_rows
from laptop_pricing.data.schema import CONTRADICTIONS, SPECIFICATION, TARGET
from laptop_pricing.data.validate import validate
from laptop_pricing.errors import UserError
from laptop_pricing.files import atomic_path
from laptop_pricing.modeling.bundle import load_bundle
from laptop_pricing.modeling.factors import base_price, factors
from laptop_pricing.modeling.interval import interval, offers

PREDICTION, LOW, HIGH = f"predicted_{TARGET}", f"{TARGET}_low", f"{TARGET}_high"
_BLOCK = 10_000  # rows at a time, which bounds the memory


@dataclass(frozen=True)
class Quote:
    """A price and what it rests on.

    Parameters
    ----------
    price, low, high : float
        The price and the interval that holds 90 % of the actual prices.
    base : float
        Price of the average row, which the factors multiply.
    factors : Series of float
        By field.
    offers : DataFrame or None
        From :func:`~laptop_pricing.modeling.interval.offers`, if a margin was given.
    warnings : list of str
        Contradictions in the description.
    """

    price: float
    low: float
    high: float
    base: float
    factors: pd.Series
    offers: pd.DataFrame
    warnings: list


def predict(bundle, table):
    """Price every row.

    Parameters
    ----------
    bundle : Bundle
    table : DataFrame, shape (n_rows, ...)
        Validated rows with the columns of ``SPECIFICATION``.

    Returns
    -------
    DataFrame, shape (n_rows, 3)
        The columns ``PREDICTION`` and, for the interval that holds 90 % of the actual prices,
        ``LOW`` and ``HIGH``; under the index of `table`.
    """
    starts = tqdm(range(0, len(table), _BLOCK), "Predicting", disable=None, leave=False, delay=1)
    blocks = (table.iloc[start : start + _BLOCK] for start in starts)
    prices = np.concatenate([bundle.model.predict(block) for block in blocks])
    low, high = interval(bundle.metadata["calibration"], prices).T
    return pd.DataFrame({PREDICTION: prices, LOW: low, HIGH: high}, index=table.index)


def predict_file(models, source, target):
    """Price the rows of a file.

    Parameters
    ----------
    models : Path
        Folder of the bundle.
    source, target : Path
        ``.csv`` or ``.parquet``; `target` gets the columns of `source` and those of
        :func:`predict`.

    Returns
    -------
    prices : DataFrame
        From :func:`predict`.
    warnings : list of str
        Contradictions in the rows.

    Raises
    ------
    UserError
        If a row breaks the schema; nothing is written then.
    """
    source, target = Path(source), Path(target)
    if target.suffix.lower() not in (".csv", ".parquet"):
        raise UserError(
            f"{target}: found {target.suffix or 'no ending'}; expected .csv or .parquet"
        )
    if target.resolve() == source.resolve():
        raise UserError(f"{target}: input and output are the same file; name another output")
    bundle = load_bundle(models)
    found, text = read_rows(source, SPECIFICATION)
    table, failures = validate(text, SPECIFICATION)
    if len(failures):
        first = failures.iloc[0]
        more = f" ({len(failures)} such cells in all)" if len(failures) > 1 else ""
        raise UserError(f"{source}: row {first['row']}{more}: {_broken(first)}; nothing was priced")
    prices = predict(bundle, table)
    priced = found.drop(columns=prices.columns, errors="ignore").join(prices.round(2))
    with atomic_path(target) as part:
        if target.suffix.lower() == ".csv":
            priced.to_csv(part, index=False, lineterminator="\n")
        else:
            priced.to_parquet(part, index=False)
    return prices, contradictions(table)


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
    text = pd.DataFrame(
        {c.name: fill_default(c, pd.Series([cells.get(c.name, "")])) for c in SPECIFICATION}
    )
    table, failures = validate(text, SPECIFICATION)
    if len(failures):
        raise UserError("; ".join(_broken(failure) for _, failure in failures.iterrows()))
    bundle = load_bundle(models)
    price, low, high = (float(value) for value in predict(bundle, table).iloc[0])
    possible = None
    if margin is not None:
        risks = {} if risk is None else {"risks": (risk,)}
        possible = offers(bundle.metadata["calibration"], price, margin, **risks)
    return Quote(
        price=price,
        low=low,
        high=high,
        base=base_price(bundle.model),
        factors=factors(bundle.model, table).iloc[0],
        offers=possible,
        warnings=contradictions(table),
    )


def contradictions(table):
    """What is doubtful in `table`, in words, with how many rows it concerns."""
    counts = {rule.text: int(rule.holds(table).sum()) for rule in CONTRADICTIONS}
    return [f"{text} ({count} of {len(table)} rows)" for text, count in counts.items() if count]


def _broken(failure):
    if failure["column"]:
        return f"{failure['column']}: found {failure['value']!r}; expected {failure['rule']}"
    return f"expected that {failure['rule']}"
