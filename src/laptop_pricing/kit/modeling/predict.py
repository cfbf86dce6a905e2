"""Bundle and table -> predictions, by the same model as a single quote."""

import csv
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from ..data.parts import numbered
from ..data.read import as_frame, escape_formulas, feature_text, row_tables
from ..data.table import doubts, validate
from ..errors import UserError
from ..files import atomic_path
from ..problem import Failure, Problem
from ..project import Project
from ..workers import Workers
from .bundle import Bundle, load_bundle
from .task import task_of


def predict(problem: Problem, bundle: Bundle, table: pd.DataFrame) -> pd.DataFrame:
    """Predict every row of a validated table: the columns are the task's ``cell_names``."""
    found = bundle.predict(table)
    cells = task_of(problem).cells(bundle.metadata["calibration"], found)
    return pd.DataFrame(cells, index=table.index)


def predict_file(
    project: Project, source: Path, target: Path, workers: Workers = Workers()
) -> tuple[pd.DataFrame, list[str]]:
    """Predict the rows of a CSV or Parquet file, and say what is doubtful in them.

    `target` gets the columns of `source` and those of :func:`predict`. If a row breaks the
    contract, nothing is written. Of many rows, every second, fourth and so on is given, so that
    there are up to ``scale.memory_rows``; ``attrs["rows"]`` says how many were predicted.
    """
    problem, most = project.problem, project.params.scale.memory_rows
    if (ending := target.suffix.lower()) not in (".csv", ".parquet"):
        raise UserError(target, f"found {ending or 'no ending'}; expected .csv or .parquet")
    if target.resolve() == source.resolve():
        raise UserError(target, "input and output are the same file", "name another output")
    bundle = load_bundle(project.models, problem, project.trusted)
    function = partial(_predict_block, problem, bundle, source, ending)
    blocks = numbered(row_tables(source, problem, project.params.scale.block_rows))
    rows, step, doubtful, sample = 0, 1, Counter[str](), pd.DataFrame()
    cells, first, writer = 0, pd.DataFrame(), None
    with atomic_path(target) as part, open(part, "wb") as file:
        for done, failures, predictions, counts in workers.map(function, blocks, "blocks"):
            rows, cells = rows + len(predictions), cells + len(failures)
            first = first if len(first) else failures.head(1)
            doubtful.update(counts)
            sample = pd.concat([sample, predictions[predictions.index % step == 0]])
            while len(sample) > most:
                step *= 2
                sample = sample[sample.index % step == 0]
            if isinstance(done, pa.Table):
                writer = writer or pyarrow.parquet.ParquetWriter(file, done.schema)
                writer.write_table(done)
            elif not cells:
                file.write(done)
        if cells:
            row, column, value, rule = first.iloc[0]
            more = f" ({cells} such cells in all)" if cells > 1 else ""
            failure = str(Failure(column, repr(value), rule))
            raise UserError(f"{source}: row {row}{more}", failure, "nothing was predicted")
        if writer:
            writer.close()
    sample.attrs["rows"] = rows
    return sample, [f"{text} ({n} of {rows} rows)" for text, n in doubtful.items() if n]


def _predict_block(
    problem: Problem, bundle: Bundle, source: Path, ending: str, block: tuple[int, pa.Table]
) -> tuple[Any, pd.DataFrame, pd.DataFrame, dict[str, int]]:
    """A block with its predictions, as CSV or as a table; failures, predictions and doubts."""
    row, read = block
    given = as_frame(read, row)
    text = feature_text(source, given, problem)
    table, failures = validate(text, problem.features, problem.rules)
    if len(failures):
        return b"", failures, pd.DataFrame(), {}
    predictions = predict(problem, bundle, table)
    joined = given.drop(columns=predictions.columns, errors="ignore").join(
        predictions.round(task_of(problem).decimals)
    )
    if ending == ".csv":
        escaped, style = escape_formulas(joined), csv.QUOTE_NONNUMERIC
        lines = escaped.to_csv(index=False, header=not row, lineterminator="\n", quoting=style)
        done: Any = lines.encode()
    else:
        schema = pa.Schema.from_pandas(joined, preserve_index=False)
        for name in {*given} - {*predictions}:  # of the type that it has in every block
            schema = schema.set(schema.names.index(name), read.schema.field(name))
        done = pa.Table.from_pandas(joined, schema, preserve_index=False)
    return done, failures, predictions, doubts(problem.warnings, table)
