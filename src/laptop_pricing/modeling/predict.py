"""Bundle and rows -> prices. The only way to a prediction."""

from pathlib import Path

import pandas as pd

from laptop_pricing.data.read import fill_default, read_laptops
from laptop_pricing.data.schema import CONTRADICTIONS, SPECIFICATION
from laptop_pricing.data.validate import validate
from laptop_pricing.errors import UserError
from laptop_pricing.files import atomic_path
from laptop_pricing.modeling.bundle import load_bundle

PREDICTION = "predicted_price"


def predict(bundle, table):
    """Price every row.

    Parameters
    ----------
    bundle : Bundle
    table : DataFrame, shape (n_rows, 15 or more)
        Validated rows with the columns of ``SPECIFICATION``.

    Returns
    -------
    Series of float, shape (n_rows,)
        Prices in BRL, under the index of `table`.
    """
    return pd.Series(bundle.model.predict(table), index=table.index, name=PREDICTION)


def predict_file(models, source, target):
    """Price the laptops of a file.

    Parameters
    ----------
    models : Path
        Folder of the bundle.
    source, target : Path
        ``.csv`` or ``.parquet``; `target` gets the columns of `source` and
        ``predicted_price`` in BRL.

    Returns
    -------
    prices : Series of float
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
    found, text = read_laptops(source, SPECIFICATION)
    table, failures = validate(text, SPECIFICATION)
    if len(failures):
        first = failures.iloc[0]
        more = f" ({len(failures)} such cells in all)" if len(failures) > 1 else ""
        raise UserError(f"{source}: row {first['row']}{more}: {_broken(first)}; nothing was priced")
    prices = predict(bundle, table)
    priced = found.assign(**{PREDICTION: prices.round(2)})
    with atomic_path(target) as part:
        if target.suffix.lower() == ".csv":
            priced.to_csv(part, index=False, lineterminator="\n")
        else:
            priced.to_parquet(part, index=False)
    return prices, contradictions(table)


def quote(models, cells):
    """Price one laptop.

    Parameters
    ----------
    models : Path
        Folder of the bundle.
    cells : dict of str
        Text by column name, as a person types it; blank where the seller does not know.

    Returns
    -------
    price : float
        BRL.
    warnings : list of str
        Contradictions in the description.

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
    return float(predict(load_bundle(models), table).iloc[0]), contradictions(table)


def contradictions(table):
    """What is doubtful in `table`, in words, with how many rows it concerns."""
    counts = {rule.text: int(rule.holds(table).sum()) for rule in CONTRADICTIONS}
    return [f"{text} ({count} of {len(table)} rows)" for text, count in counts.items() if count]


def _broken(failure):
    if failure["column"]:
        return f"{failure['column']}: found {failure['value']!r}; expected {failure['rule']}"
    return f"expected that {failure['rule']}"
