"""The step ``preprocess``: data/raw -> data/processed. Nothing is coerced or dropped in silence."""

import csv
from typing import Any

from ..errors import UserError
from ..files import atomic_path, checksum, short, write_json, write_text
from ..problem import Failure, says_nothing
from ..project import Project
from .read import read_dataset
from .split import raw_key
from .table import GROUP, KEY, doubts, validate

TABLE_FILE = "table.parquet"  # the distinct good rows; the index is the position in the raw file
REJECTED_FILE = "rejected.csv"  # row, column, value, rule
SUMMARY_FILE = "summary.json"


def preprocess(project: Project) -> dict[str, Any]:
    """Set bad rows aside, remove exact duplicates, count doubtful rows; gives the summary."""
    problem, params, folder = project.problem, project.params.preprocess, project.processed
    text = read_dataset(project.raw, problem, params.median_target)
    target = problem.target
    labelled = text[target.name].map(
        lambda cell: target.parse(cell) is not None or not says_nothing(cell)
    )
    text, read = text[labelled], len(text)
    table, failures = validate(text, problem.columns, problem.rules)
    # Quoted throughout, since Python's versions differ in which cells they quote by themselves.
    lines = failures.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_ALL)
    write_text(folder / REJECTED_FILE, lines)
    rejected = len(text) - len(table)
    if rejected > params.max_rejected * len(text):
        row, column, value, rule = failures.iloc[0]
        found = f"{rejected} of {len(text)} rows rejected, more than preprocess.max_rejected = "
        found += f"{params.max_rejected:g}; row {row}: {Failure(column, repr(value), rule)}"
        raise UserError(short(project.raw), found, f"see {short(folder / REJECTED_FILE)}")

    duplicated = table.duplicated()
    table = table[~duplicated].rename_axis("row")
    table[KEY] = raw_key(text.loc[table.index], problem.features)
    table[GROUP] = table.groupby(list(problem.names), dropna=False).ngroup()
    summary = {
        "rows": read,
        "without_target": read - len(text),
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
