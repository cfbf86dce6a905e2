"""Bundle and table -> predictions, by the same model as a single quote."""

import csv
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
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

SHOWN = 20  # refused rows that are told
ERROR = "error"  # the column that says why a row was refused


def predict(problem: Problem, bundle: Bundle, table: pd.DataFrame) -> pd.DataFrame:
    """Predict every row of a validated table: the columns are the task's ``cell_names``."""
    none = np.empty((0, len(problem.classes)) if problem.classes else 0)
    found = bundle.predict(table) if len(table) else none
    cells = task_of(problem).cells(bundle.metadata["calibration"], found)
    return pd.DataFrame({n: pd.Series(cells[n], table.index, cells[n].dtype) for n in cells})


def predict_file(
    project: Project, source: Path, target: Path, workers: Workers = Workers()
) -> tuple[pd.DataFrame, list[str]]:
    """Predict the good rows of a CSV or Parquet file; say which are refused, and what is doubtful.

    `target` gets all rows and columns of `source`, and the columns of :func:`predict`. These are
    blank in a row that breaks the contract; a last column ``error``, there only if a row does, says
    why. Of many predictions, those of every second, fourth and so on row are given, so that there
    are up to ``scale.memory_rows``; ``attrs`` says how many rows were predicted and ``refused``.
    """
    problem, params = project.problem, project.params.scale
    if (ending := target.suffix.lower()) not in (".csv", ".parquet"):
        raise UserError(target, f"found {ending or 'no ending'}; expected .csv or .parquet")
    if target.resolve() == source.resolve():
        raise UserError(target, "input and output are the same file", "name another output")
    bundle = load_bundle(project.models, problem, project.trusted)
    with atomic_path(target) as part:
        for errors in (False, True):  # all blocks need the column, if one does
            function = partial(_predict_block, problem, bundle, source, ending, errors)
            blocks = numbered(row_tables(source, problem, params.block_rows))
            done = workers.map(function, blocks, "blocks")
            predictions, told = _write(part, done, errors, params.memory_rows)
            if not predictions.attrs["refused"]:
                break
    return predictions, told


def _write(
    part: Path, blocks: Iterator[Any], errors: bool, most: int
) -> tuple[pd.DataFrame, list[str]]:
    """Write predicted blocks; without the column of `errors`, up to the first refused row."""
    rows, step, doubtful, sample = 0, 1, Counter[str](), pd.DataFrame()
    refused, told, writer = 0, list[str](), None
    with open(part, "wb") as file, ExitStack() as stack:
        for done, why, predictions, counts in blocks:
            rows, refused = rows + len(predictions), refused + len(why)
            if why and not errors:
                break
            told += [f"row {row + 1}: {text}" for row, text in why.items()][: SHOWN - len(told)]
            doubtful.update(counts)
            sample = pd.concat([sample, predictions[predictions.index % step == 0]])
            while len(sample) > most:
                step *= 2
                sample = sample[sample.index % step == 0]
            if isinstance(done, pa.Table):
                if writer is None:
                    writer = pyarrow.parquet.ParquetWriter(file, done.schema)
                    stack.enter_context(writer)
                writer.write_table(done)
            else:
                file.write(done)
    sample.attrs |= {"rows": rows, "refused": refused}
    told += [f"{refused - SHOWN} more rows were refused"] if refused > SHOWN else []
    return sample, told + [f"{text} ({n} of {rows} rows)" for text, n in doubtful.items() if n]


def _predict_block(
    problem: Problem,
    bundle: Bundle,
    source: Path,
    ending: str,
    errors: bool,
    block: tuple[int, pa.Table],
) -> tuple[Any, dict[int, str], pd.DataFrame, dict[str, int]]:
    """A block with its predictions, as CSV or as a table; refused rows, predictions and doubts."""
    row, read = block
    given, why = as_frame(read, row), dict[int, str]()
    table, failures = validate(
        feature_text(source, given, problem), problem.features, problem.rules
    )
    for number, column, value, rule in failures.itertuples(index=False):
        before = f"{why[number]}; " if number in why else ""
        why[number] = f"{before}{Failure(column, repr(value), rule)}"
    if why and not errors:
        return b"", why, pd.DataFrame(), {}
    predictions = predict(problem, bundle, table)
    kept = given.drop(columns=[*predictions, ERROR], errors="ignore")
    joined = kept.join(predictions.round(task_of(problem).decimals))
    if errors:
        joined[ERROR] = pd.Series(why, given.index, dtype=object)
    if ending == ".csv":
        escaped, style = escape_formulas(joined), csv.QUOTE_NONNUMERIC
        lines = escaped.to_csv(index=False, header=not row, lineterminator="\n", quoting=style)
        done: Any = lines.encode()
    else:
        schema = pa.Schema.from_pandas(joined, preserve_index=False)
        for i, name in enumerate(schema.names):  # of the type that it has in every block
            if name in kept:
                schema = schema.set(i, read.schema.field(name))
            elif joined[name].dtype == object:
                schema = schema.set(i, pa.field(name, pa.string()))
        done = pa.Table.from_pandas(joined, schema, preserve_index=False)
    return done, why, predictions, doubts(problem.warnings, table) if len(table) else {}
