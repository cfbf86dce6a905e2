"""The step ``preprocess``: data/raw -> data/processed.

Nothing is coerced and nothing is dropped in silence: rows that break a rule go to rejected.csv with
their reason, exact duplicates are removed and counted, doubtful rows are kept and counted.
"""

import csv
from typing import Any

from ..errors import UserError
from ..files import atomic_path, checksum, short, write_json, write_text
from ..project import Project
from .read import read_dataset
from .split import raw_key
from .table import GROUP, KEY, doubts, validate

TABLE_FILE = "table.parquet"
REJECTED_FILE = "rejected.csv"
SUMMARY_FILE = "summary.json"


def preprocess(project: Project) -> dict[str, Any]:
    """Clean the raw dataset.

    Writes to data/processed: ``table.parquet`` (the distinct rows, typed; ``key``, the features as
    found, and ``group``, the number of the set of equal features; the index ``row`` is the position
    in the raw file), ``rejected.csv`` (row, column, value, rule) and ``summary.json``.

    Returns
    -------
    dict
        The content of summary.json: counts of ``rows``, ``rejected``, ``duplicates``, ``kept``,
        ``groups`` and ``doubts`` (by warning), and ``raw_md5``.

    Raises
    ------
    UserError
        If the raw file is not the expected one, or more than ``max_rejected`` of its rows break a
        rule. rejected.csv is written nevertheless.
    """
    problem, params = project.problem, project.params.preprocess
    text = read_dataset(project.raw, problem, params.median_target)
    table, failures = validate(text, problem.columns, problem.rules)
    folder = project.processed
    # Quoted throughout, since Python's versions differ in which cells they quote by themselves.
    lines = failures.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_ALL)
    write_text(folder / REJECTED_FILE, lines)

    rejected = len(text) - len(table)
    if rejected > params.max_rejected * len(text):
        first = failures.iloc[0]
        cell = f"{first['column']} {first['value']!r}" if first["column"] else "the row"
        raise UserError(
            short(project.raw),
            f"{rejected} of {len(text)} rows rejected, more than "
            f"preprocess.max_rejected = {params.max_rejected:g}; the first is row {first['row']}: "
            f"found {cell}; expected {first['rule']}",
            f"see {short(folder / REJECTED_FILE)}",
        )

    duplicated = table.duplicated()
    table = table[~duplicated].rename_axis("row")
    table[KEY] = raw_key(text.loc[table.index], problem.names)
    table[GROUP] = table.groupby(list(problem.names)).ngroup()
    summary = {
        "rows": len(text),
        "rejected": rejected,
        "duplicates": int(duplicated.sum()),
        "kept": len(table),
        "groups": int(table[GROUP].nunique()),
        "doubts": doubts(problem.warnings + problem.late_warnings, table),
        "raw_md5": checksum(project.raw, "md5"),
    }
    with atomic_path(folder / TABLE_FILE) as part:
        table.to_parquet(part)
    write_json(folder / SUMMARY_FILE, summary)
    return summary
