"""Bundle and table -> prices, by the same compiled model as a single quote."""

from pathlib import Path

import pandas as pd

from laptop_pricing.data.read import read_rows, write_csv
from laptop_pricing.data.schema import CONTRADICTIONS, SPECIFICATION, TARGET
from laptop_pricing.data.validate import validate
from laptop_pricing.errors import UserError
from laptop_pricing.files import atomic_path
from laptop_pricing.modeling.bundle import load_compiled
from laptop_pricing.modeling.interval import interval

PREDICTION, LOW, HIGH = f"predicted_{TARGET}", f"{TARGET}_low", f"{TARGET}_high"


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
    prices = bundle.compiled.prices(table)
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
    bundle = load_compiled(models)
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
            write_csv(priced, part)
        else:
            priced.to_parquet(part, index=False)
    return prices, contradictions(table)


def contradictions(table):
    """What is doubtful in `table`, in words, with how many rows it concerns."""
    counts = {rule.text: int(rule.holds(table).sum()) for rule in CONTRADICTIONS}
    return [f"{text} ({count} of {len(table)} rows)" for text, count in counts.items() if count]


def _broken(failure):
    if failure["column"]:
        return f"{failure['column']}: found {failure['value']!r}; expected {failure['rule']}"
    return f"expected that {failure['rule']}"
