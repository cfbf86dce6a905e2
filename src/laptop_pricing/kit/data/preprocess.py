"""The step ``preprocess``: data/raw -> data/processed. Nothing is coerced or dropped in silence.

Blocks of raw rows are typed and sorted by their features; each part of the table is a range of
these, from all blocks. So memory does not grow with the rows, and all but the reading of the file
can run elsewhere: a function is told and tells little, and the tables lie in files.
"""

import csv
import json
from collections import Counter
from collections.abc import Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import feather, parquet

from ..errors import UserError
from ..files import atomic_path, checksum, short, write_bytes, write_json
from ..problem import Column, Failure, Problem, says_nothing
from ..project import Project
from ..workers import Workers
from .parts import move, numbered, part_names, work_folder
from .read import add_counts, check_target, dataset_tables, target_counts
from .split import raw_key
from .table import GROUP, KEY, by_cell, doubts, validate

TABLE_FILE = "table.parquet"  # the distinct good rows; the index is the position in the raw file
REJECTED_FILE = "rejected.csv"  # row (from 1, below the header), column, value, rule
SUMMARY_FILE = "summary.json"
_BATCH = 1024  # typed rows that are read together


def preprocess(project: Project, workers: Workers = Workers()) -> dict[str, Any]:
    """Set bad rows aside, remove exact duplicates, count doubtful rows; gives the summary.

    A table of more than ``scale.block_rows`` rows is a folder of parts, ascending in their groups.
    """
    problem, table = project.problem, project.processed / TABLE_FILE
    with work_folder(project.interim / "preprocess", table) as work:
        rows, paths, cases = _type(project, workers, work)
        count = -(-rows["typed"] // project.params.scale.block_rows) or 1
        bounds = np.unique(np.sort(cases)[[len(cases) * i // count for i in range(1, count)]])
        numbers = range(len(bounds) + 1)
        groups = [*workers.map(partial(_groups, paths, bounds), numbers, "groups counted")]
        filled = [number for number in numbers if groups[number]] or [0]
        names = part_names(len(filled)) if len(filled) > 1 else [TABLE_FILE]
        firsts = np.cumsum([0, *groups])[filled].tolist()
        items = list(zip(filled, firsts, [work / "table" / name for name in names]))
        doubtful = Counter[str]()
        for kept, counts in workers.map(partial(_clean, problem, paths, bounds), items, "parts"):
            rows["kept"] += kept
            doubtful.update(counts)
        (project.processed / SUMMARY_FILE).unlink(missing_ok=True)  # without it no table is trusted
        move(work / "table" if len(filled) > 1 else work / "table" / TABLE_FILE, table)
    rules = problem.warnings + problem.late_warnings
    summary = {
        "rows": rows["read"],
        "without_target": rows["read"] - rows["labelled"],
        "rejected": rows["labelled"] - rows["typed"],
        "duplicates": rows["typed"] - rows["kept"],
        "kept": rows["kept"],
        "groups": sum(groups),
        "doubts": {rule.text: doubtful[rule.text] for rule in rules},
        "raw_md5": checksum(project.raw, "md5"),
    }
    write_json(project.processed / SUMMARY_FILE, summary)
    return summary


def _type(
    project: Project, workers: Workers, work: Path
) -> tuple[Counter[str], list[Path], np.ndarray]:
    """Type all rows and list those set aside; a UserError says why not to go on."""
    problem, params, first = project.problem, project.params, pd.DataFrame()
    rows, paths, targets, cases = Counter[str](), list[Path](), list[pd.Series](), []
    tables = dataset_tables(project.raw, problem, params.scale.block_rows)
    function, listed = partial(_type_block, problem, work), project.processed / REJECTED_FILE
    with open(work / REJECTED_FILE, "w", encoding="utf-8", newline="") as file:
        for path, counts, failures, values, some in workers.map(
            function, numbered(tables), "blocks typed"
        ):
            # Quoted throughout, since Python's versions differ in which cells they quote.
            style: Any = {"lineterminator": "\n", "quoting": csv.QUOTE_ALL}
            failures.to_csv(file, index=False, header=not paths, **style)
            first = first if len(first) else failures.head(1)
            rows.update(counts)
            targets = [add_counts([*targets, values])]
            paths.append(path)
            cases.append(some)
    check_target(project.raw, problem, targets[0], params.preprocess.median_target)
    move(work / REJECTED_FILE, listed)
    rejected, most = rows["labelled"] - rows["typed"], params.preprocess.max_rejected
    if rejected > most * rows["labelled"]:
        row, column, value, rule = first.iloc[0]
        found = f"{rejected} of {rows['labelled']} rows rejected, more than "
        found += f"preprocess.max_rejected = {most:g}; "
        found += f"row {row}: {Failure(column, repr(value), rule)}"
        raise UserError(short(project.raw), found, f"see {short(listed)}")
    return rows, paths, np.concatenate(cases)


def _type_block(
    problem: Problem, work: Path, block: tuple[int, pa.Table]
) -> tuple[Path, Counter[str], pd.DataFrame, pd.Series, np.ndarray]:
    """Type a block and write it in the order of its cases.

    Gives the file, the numbers of rows, the failures, the counts of targets and some of the cases.
    """
    row, read = block
    text, target, path = read.to_pandas(), problem.target, work / f"{row:012}.typed"
    text.index = pd.RangeIndex(row, row + len(text), name="row")
    cells = text[target.name]

    def says_something(cell: str) -> bool:
        return target.parse(cell) is not None or not says_nothing(cell)

    text = text[by_cell(says_something, cells).astype(bool)]
    table, failures = validate(text, problem.columns, problem.rules)
    failures["row"] += 1  # as people count
    table[KEY] = raw_key(text.loc[table.index], problem.features)
    words = {c.name: {*c.allowed, c.default} - {None} for c in _categories(problem)}
    table = table.astype(
        {name: pd.CategoricalDtype(sorted(map(str, words[name]))) for name in words}
    )
    cases = _cases(problem, table)
    order = np.argsort(cases, kind="stable")
    cases = cases[order]
    np.save(content := BytesIO(), cases)  # to a file it would not say that a disk is full
    write_bytes(path.with_suffix(".npy"), content.getvalue())
    with atomic_path(path) as part:
        whole = pa.Table.from_pandas(table.iloc[order], preserve_index=True)
        feather.write_feather(whole, part, compression="lz4", chunksize=_BATCH)
    rows = Counter(read=len(read), labelled=len(text), typed=len(table))
    some = cases[:: len(cases) // 1000 or 1].copy()  # else all stay in memory
    return path, rows, failures, target_counts(cells, target), some


def _categories(problem: Problem) -> list[Column]:
    return [column for column in problem.columns if column.kind == "category"]


def _cases(problem: Problem, table: pd.DataFrame) -> np.ndarray:
    """The features of each row as bytes, whose order is that of the values; unknown comes last."""
    columns, sign = [], np.uint64(1 << 63)
    for c in problem.features:
        values, ends = table[c.name], [0, len(c.allowed) + 1]
        if c.kind == "category":
            values = values.cat.codes.astype("int64").replace(-1, len(c.allowed) + 1)
        if c.numeric:
            ends = [int(end) for end in (c.low, c.high, c.default or 0)]
        if values.dtype in ("int64", "bool"):
            bits = (values.to_numpy("int64") - min(ends)).view("u8")
            width = -(-(max(ends) - min(ends)).bit_length() // 8) or 1
        else:
            whole = (values.to_numpy("float64", na_value=np.inf) + 0.0).view("u8")  # no -0.0
            bits, width = np.where(whole & sign, ~whole, whole | sign), 8
        columns.append(bits.astype(">u8").view("u1").reshape(len(table), 8)[:, 8 - width :])
    return np.hstack(columns).view(f"S{sum(column.shape[1] for column in columns)}").ravel()


def _within(path: Path, bounds: np.ndarray, number: int) -> tuple[int, int, np.ndarray]:
    """Where in a block of typed rows those of a part begin and end, and their cases."""
    cases = np.load(path.with_suffix(".npy"), mmap_mode="r")
    start, end = 0, len(cases)
    if number:
        start = int(np.searchsorted(cases, bounds[number - 1], side="right"))
    if number < len(bounds):
        end = int(np.searchsorted(cases, bounds[number], side="right"))
    return start, end, np.array(cases[start:end])


def _groups(paths: Sequence[Path], bounds: np.ndarray, number: int) -> int:
    return len(np.unique(np.concatenate([_within(path, bounds, number)[-1] for path in paths])))


def _clean(
    problem: Problem, paths: Sequence[Path], bounds: np.ndarray, item: tuple[int, int, Path]
) -> tuple[int, dict[str, int]]:
    """Write a part without duplicates, its groups counted from `first`; gives rows and doubts."""
    number, first, target = item
    blocks, cases = [], []
    for path in paths:
        start, end, some = _within(path, bounds, number)
        skipped = start - start % _BATCH
        with pa.OSFile(str(path)) as file:
            reader = pa.ipc.open_file(file)
            batches = [reader.get_batch(i // _BATCH) for i in range(skipped, end, _BATCH)]
        rows = pa.Table.from_batches(batches, reader.schema)
        own = np.arange(start - skipped, end - skipped)
        blocks.append(rows.take(own))  # a slice would keep the others, which are more
        cases.append(some)
    table = pa.concat_tables(blocks).to_pandas()
    table[GROUP] = np.unique(np.concatenate(cases), return_inverse=True)[1] + first
    table = table.sort_index()
    table = table[~table.duplicated([c.name for c in problem.columns])]
    table = table.astype(dict.fromkeys([KEY, *(c.name for c in _categories(problem))], object))
    _write_parquet(table, target)
    return len(table), doubts(problem.warnings + problem.late_warnings, table)


def _write_parquet(table: pd.DataFrame, path: Path) -> None:
    """Equal bytes from every version of pandas, which names itself; equal types in every part."""
    rows = pa.Table.from_pandas(table.set_axis(table.columns.astype(object), axis=1))
    told = json.loads(rows.schema.metadata[b"pandas"])
    del told["pandas_version"]
    fields = [f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in rows.schema]
    with atomic_path(path) as part:
        parquet.write_table(rows.cast(pa.schema(fields, {"pandas": json.dumps(told)})), part)
