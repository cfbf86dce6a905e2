"""Bundle and table -> predictions, by the same model as a single quote."""

import csv
from pathlib import Path

import pandas as pd

from ..data.read import escape_formulas, read_rows
from ..data.table import doubts, validate
from ..errors import UserError
from ..files import atomic_path
from ..problem import Failure, Problem
from ..project import Project
from .bundle import Bundle, load_bundle
from .task import task_of


def predict(problem: Problem, bundle: Bundle, table: pd.DataFrame) -> pd.DataFrame:
    """Predict every row of a validated table: the columns are the task's ``cell_names``."""
    found = bundle.predict(table)
    cells = task_of(problem).cells(bundle.metadata["calibration"], found)
    return pd.DataFrame(cells, index=table.index)


def predict_file(project: Project, source: Path, target: Path) -> tuple[pd.DataFrame, list[str]]:
    """Predict the rows of a CSV or Parquet file, and say what is doubtful in them.

    `target` gets the columns of `source` and those of :func:`predict`. If a row breaks the
    contract, nothing is written.
    """
    problem = project.problem
    if (ending := target.suffix.lower()) not in (".csv", ".parquet"):
        raise UserError(target, f"found {ending or 'no ending'}; expected .csv or .parquet")
    if target.resolve() == source.resolve():
        raise UserError(target, "input and output are the same file", "name another output")
    bundle = load_bundle(project.models, problem, project.trusted)
    given, text = read_rows(source, problem)
    table, failures = validate(text, problem.features, problem.rules)
    if len(failures):
        row, column, value, rule = failures.iloc[0]
        more = f" ({len(failures)} such cells in all)" if len(failures) > 1 else ""
        broken = str(Failure(column, repr(value), rule))
        raise UserError(f"{source}: row {row}{more}", broken, "nothing was predicted")
    predictions = predict(problem, bundle, table)
    joined = given.drop(columns=predictions.columns, errors="ignore").join(
        predictions.round(task_of(problem).decimals)
    )
    with atomic_path(target) as part:
        if ending == ".csv":
            escaped = escape_formulas(joined)
            escaped.to_csv(part, index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        else:
            joined.to_parquet(part, index=False)
    counts = doubts(problem.warnings, table)
    return predictions, [f"{text} ({n} of {len(table)} rows)" for text, n in counts.items() if n]
