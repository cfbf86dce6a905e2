"""Text as found -> typed, validated rows, and the cells that broke a rule."""

import warnings

import pandas as pd

from laptop_pricing.data.schema import ROW_RULES

_NULLABLE = {"category": "object", "integer": "Int64", "number": "Float64", "flag": "boolean"}
NO_HEADER = "it is not the header again"
_TYPED = {"category": "object", "integer": "int64", "number": "float64", "flag": "bool"}


def validate(text, columns):
    """Type every cell and hold every row against the schema.

    Parameters
    ----------
    text : DataFrame of str
        Cells as found, under the columns' clean names.
    columns : sequence of Column
        The schema's columns that `text` holds.

    Returns
    -------
    table : DataFrame
        The rows that break no rule, typed, in order and under their old index.
    failures : DataFrame
        ``row`` (the index in `text`), ``column``, ``value`` (as found), ``rule``:
        one line for every cell or row rule that was broken.
    """
    import pandera.pandas as pa

    typed = pd.DataFrame({c.name: _parse_cells(c, text[c.name]) for c in columns})
    schema = pa.DataFrameSchema(
        {c.name: pa.Column(nullable=False) for c in columns},
        checks=[
            pa.Check(lambda t, rule=rule: rule.holds(t).fillna(True).astype(bool), name=rule.text)
            for rule in ROW_RULES
        ],
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # pandera's own, from its use of pandas
            schema.validate(typed, lazy=True)
        failures = pd.DataFrame(columns=["row", "column", "value", "rule"])
    except pa.errors.SchemaErrors as error:
        failures = _describe(error.failure_cases, text, columns)
    good = typed.drop(index=failures["row"].unique())
    return good.astype({c.name: _TYPED[c.kind] for c in columns}), failures


def _parse_cells(column, cells):
    values = {cell: column.read(cell) for cell in cells.unique()}
    return cells.map(values).astype(_NULLABLE[column.kind])


def _describe(failure_cases, text, columns):
    rules = {column.name: column.rule for column in columns}
    rows = []
    for case in failure_cases.itertuples():
        if case.schema_context == "Column":
            value = text.at[case.index, case.column]
            rows.append((case.index, case.column, value, rules[case.column]))
        else:
            rows.append((case.index, "", "", case.check))
    failures = pd.DataFrame(rows, columns=["row", "column", "value", "rule"])
    names = {c.name: (c.name, c.raw_name) for c in columns}
    for row in failures["row"].unique():
        if all(text.at[row, name].strip() in known for name, known in names.items()):
            failures.loc[failures["row"] == row, ["column", "value", "rule"]] = "", "", NO_HEADER
    return failures.drop_duplicates().sort_values(["row", "column"], ignore_index=True)
