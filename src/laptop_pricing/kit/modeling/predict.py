"""Bundle and table -> predictions, by the same model as a single quote."""

import csv
import os
from collections import Counter
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from pyarrow import feather

from ..data.parts import work_folder, write_blocks
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
    rows, step, doubtful, sample = 0, 1, Counter[str](), pd.DataFrame()
    paths, cells, first = list[Path](), 0, pd.DataFrame()
    with work_folder(project.interim / f"predict-{os.getpid()}", target) as work:
        tables = row_tables(source, problem, project.params.scale.block_rows)
        function = partial(_predict_block, problem, bundle, source, ending)
        for path, failures, predictions, counts in workers.map(
            function, write_blocks(work, tables), "blocks"
        ):
            paths.append(path)
            rows, cells = rows + len(predictions), cells + len(failures)
            first = first if len(first) else failures.head(1)
            doubtful.update(counts)
            sample = pd.concat([sample, predictions[predictions.index % step == 0]])
            while len(sample) > most:
                step *= 2
                sample = sample[sample.index % step == 0]
        if cells:
            row, column, value, rule = first.iloc[0]
            more = f" ({cells} such cells in all)" if cells > 1 else ""
            failure = str(Failure(column, repr(value), rule))
            raise UserError(f"{source}: row {row}{more}", failure, "nothing was predicted")
        _join(paths, target)
    sample.attrs["rows"] = rows
    return sample, [f"{text} ({n} of {rows} rows)" for text, n in doubtful.items() if n]


def _predict_block(
    problem: Problem, bundle: Bundle, source: Path, ending: str, block: tuple[int, Path]
) -> tuple[Path, pd.DataFrame, pd.DataFrame, dict[str, int]]:
    """Write a block with its predictions; gives the file, failures, predictions and doubts."""
    row, path = block
    read = feather.read_table(path)
    given = as_frame(read, row)
    table, failures = validate(
        feature_text(source, given, problem), problem.features, problem.rules
    )
    if len(failures):
        return path, failures, pd.DataFrame(), {}
    predictions = predict(problem, bundle, table)
    joined = given.drop(columns=predictions.columns, errors="ignore").join(
        predictions.round(task_of(problem).decimals)
    )
    path = path.with_suffix(ending)
    with atomic_path(path) as part:
        if ending == ".csv":
            escaped, style = escape_formulas(joined), csv.QUOTE_NONNUMERIC
            escaped.to_csv(part, index=False, header=not row, lineterminator="\n", quoting=style)
        else:
            schema = pa.Schema.from_pandas(joined, preserve_index=False)
            for name in {*given} - {*predictions}:  # of the type that it has in every block
                schema = schema.set(schema.names.index(name), read.schema.field(name))
            whole = pa.Table.from_pandas(joined, schema, preserve_index=False)
            pyarrow.parquet.write_table(whole, part)
    return path, failures, predictions, doubts(problem.warnings, table)


def _join(paths: list[Path], target: Path) -> None:
    """Put the rows of several files into one."""
    with atomic_path(target) as part:
        if target.suffix.lower() == ".csv":
            with open(part, "wb") as file:
                for path in paths:
                    file.write(path.read_bytes())
            return
        with pyarrow.parquet.ParquetWriter(part, pyarrow.parquet.read_schema(paths[0])) as writer:
            for path in paths:
                writer.write_table(pyarrow.parquet.read_table(path))
