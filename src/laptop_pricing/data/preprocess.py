"""The step ``preprocess``: data/raw -> data/processed.

Nothing is coerced and nothing is dropped in silence: rows that break the schema go to rejected.csv
with their reason, exact duplicates are removed and counted, contradictions are kept and counted.
"""

import csv

from laptop_pricing.data.read import read_dataset
from laptop_pricing.data.schema import (
    COLUMNS,
    CONTRADICTIONS,
    DATASET_CONTRADICTIONS,
    FEATURES,
)
from laptop_pricing.data.split import specification_key
from laptop_pricing.data.validate import validate
from laptop_pricing.errors import UserError
from laptop_pricing.files import atomic_path, checksum, short, write_json, write_text

TABLE_FILE = "table.parquet"
REJECTED_FILE = "rejected.csv"
SUMMARY_FILE = "summary.json"


def preprocess(workspace, params):
    """Clean the raw dataset.

    Writes to data/processed: ``table.parquet`` (the distinct rows under the schema's names,
    ``key``, its specification as found, and ``specification``, the number of its group of equal
    rows; the index ``row`` is the position in the raw file),
    ``rejected.csv`` (row, column, value, rule) and ``summary.json`` (the counts).

    Parameters
    ----------
    workspace : Workspace
    params : PreprocessParams

    Returns
    -------
    dict
        The content of summary.json.

    Raises
    ------
    UserError
        If the raw file is not the expected one, or more than ``max_rejected`` of its rows
        break the schema. rejected.csv is written nevertheless.
    """
    text = read_dataset(workspace.raw, params.median_price)
    table, failures = validate(text, COLUMNS)
    folder = workspace.processed
    # Quoted throughout, since Python's versions differ in which cells they quote by themselves.
    lines = failures.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_ALL)
    write_text(folder / REJECTED_FILE, lines)

    rejected = len(text) - len(table)
    if rejected > params.max_rejected * len(text):
        first = failures.iloc[0]
        cell = f"{first['column']} {first['value']!r}" if first["column"] else "the row"
        raise UserError(
            f"{short(workspace.raw)}: {rejected} of {len(text)} rows rejected, more than "
            f"preprocess.max_rejected = {params.max_rejected:g}; the first is row {first['row']}: "
            f"found {cell}; expected {first['rule']}; "
            f"see {short(folder / REJECTED_FILE)}"
        )

    duplicated = table.duplicated()
    table = table[~duplicated].rename_axis("row")
    table["key"] = specification_key(text.loc[table.index])
    table["specification"] = table.groupby(list(FEATURES)).ngroup()
    summary = {
        "rows": len(text),
        "rejected": rejected,
        "duplicates": int(duplicated.sum()),
        "kept": len(table),
        "specifications": int(table["specification"].nunique()),
        "contradictions": {
            rule.text: int(rule.holds(table).sum())
            for rule in CONTRADICTIONS + DATASET_CONTRADICTIONS
        },
        "raw_md5": checksum(workspace.raw, "md5"),
    }
    with atomic_path(folder / TABLE_FILE) as part:
        table.to_parquet(part)
    write_json(folder / SUMMARY_FILE, summary)
    return summary
