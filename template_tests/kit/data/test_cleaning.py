"""data/raw becomes data/processed: what is set aside, removed or doubtful is counted."""

import csv
import json
import shutil
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import cloudpickle
import numpy as np
import pandas as pd
import pytest
from problems import GAINS, LAPTOPS, MADE, each_number, each_problem, make_project

from laptop_pricing.kit.data.parts import part_paths, read_part
from laptop_pricing.kit.data.preprocess import TABLE_FILE, _cases, preprocess
from laptop_pricing.kit.data.source import read_csv
from laptop_pricing.kit.data.table import validate
from laptop_pricing.kit.errors import UserError
from laptop_pricing.kit.params import ScaleParams
from laptop_pricing.kit.workers import Workers

LAX = {"preprocess": {"max_rejected": 1}}
RAW_NAMES = {column.name: column.raw_name for column in MADE.columns}


def clean(project, *changes):
    """Preprocess the raw file with cells changed: (row, raw name of the column, cell)."""
    raw = read_csv(project.raw)
    for row, name, cell in changes:
        raw.loc[row, name] = cell
    raw.to_csv(project.raw, index=False)
    summary, folder = preprocess(project), project.processed
    with open(folder / "rejected.csv", encoding="utf-8", newline="") as file:
        header, *rejected = csv.reader(file)
    assert header == ["row", "column", "value", "rule"]
    assert json.loads((folder / "summary.json").read_text(encoding="utf-8")) == summary
    return summary, pd.read_parquet(folder / TABLE_FILE), rejected


@each_problem
def test_the_table_is_typed_grouped_and_the_same_bytes_elsewhere(new_project, problem, tmp_path):
    project = new_project(problem)
    summary, table, rejected = clean(project)
    words = str(pd.Series([""]).dtype)  # str from pandas 3 on
    kinds = {"category": words, "integer": "int64", "number": "float64", "flag": "bool"}
    types = {c.name: kinds[c.kind] for c in problem.columns} | {"key": words, "group": "int64"}
    types |= {c.name: "boolean" for c in problem.features if c.unknown and c.kind == "flag"}
    assert table.dtypes.astype(str).to_dict() == types and table.index.name == "row"
    assert summary["rejected"] == len(rejected) == 0
    assert summary["kept"] == len(table) == summary["rows"] - summary["duplicates"]
    assert summary["groups"] == table["key"].nunique()
    other = make_project(tmp_path / "elsewhere" / "deeper", problem, raw=False)
    shutil.copytree(project.raw.parent, other.raw.parent)
    preprocess(other)
    for path in project.processed.iterdir():
        assert (other.processed / path.name).read_bytes() == path.read_bytes()
    assert other.raw.read_bytes() == project.raw.read_bytes()


@each_problem
def test_every_bad_cell_is_set_aside_as_found_with_its_reason(new_project, problem):
    bad = [(row, c.raw_name, f'a "b",\r\n {row} ') for row, c in enumerate(problem.columns)]
    summary, table, rejected = clean(new_project(problem, **LAX), *bad)
    lines = [[str(row + 1), c.name, bad[row][2], c.rule] for row, c in enumerate(problem.columns)]
    assert rejected == lines and summary["rejected"] == len(bad)
    assert table.index.min() == len(bad), "rows keep their position in the raw file"


BASEMENT = [(1, "Floor No.", "Basement"), (1, "balcony", "Yes")]
RENT = MADE.target.rule
BAD_ROWS = (
    (BASEMENT, ["2", "", "", "a basement has no balcony"]),
    ([*BASEMENT, (1, "Monthly rent", "0")], ["2", "rent", "0", RENT]),
)


@pytest.mark.parametrize(("changes", "line"), BAD_ROWS)
def test_a_bad_row_is_listed_once(new_project, changes, line):
    summary, table, rejected = clean(new_project(MADE), *changes)
    assert rejected == [line] and 1 not in table.index and 0 in table.index


def test_a_header_in_the_middle_is_said_to_be_it(new_project):
    again = "the header stands once; this row is the header again"
    rejected = clean(new_project(MADE), *((1, name, name) for name in RAW_NAMES.values()))[2]
    assert rejected == [["2", "", "", again]]
    text = pd.DataFrame([MADE.example, {name: name for name in MADE.names}])
    text = text.assign(balcony="", heating="")  # by clean names, without those that have a default
    assert validate(text, MADE.features)[1].values.tolist() == [[1, "", "", again]]


def test_types_and_values_do_not_depend_on_the_rejected_rows():
    text = pd.DataFrame([MADE.example | {"heating": "none", "balcony": "no"}] * 3, index=[9, 5, 7])
    text.loc[5] = "!"
    before = text.copy()
    table, failures = validate(text, MADE.features, MADE.rules)
    pd.testing.assert_frame_equal(table, validate(text.drop(5), MADE.features)[0])
    assert set(failures["row"]) == {5} and len(failures) == len(MADE.features)
    pd.testing.assert_frame_equal(text, before)
    none, failures = validate(text.assign(view="!"), MADE.features, MADE.rules)
    assert len(none) == 0 and none.dtypes.equals(table.dtypes)


def test_what_is_blank_is_unknown_or_the_default_or_a_reason_to_set_the_row_aside(new_project):
    blank = [
        (row, c.raw_name, cell) for row, c in enumerate(GAINS.columns) for cell in ("", " n/A")
    ]
    project = new_project(GAINS, **LAX)
    summary, table, rejected = clean(project, *blank)
    needed = [row for row, column in enumerate(GAINS.features) if not column.optional]
    assert [int(row) - 1 for row, *_ in rejected] == needed and summary["without_target"] == 1
    for row, column in enumerate(GAINS.features):
        assert row in needed or pd.isna(table.loc[row, column.name])
    raw = read_csv(project.raw)
    same = raw.iloc[[20] * 3].assign(balance=["", "-", "unknown"], gain=["1", "2", "3"])
    same.to_csv(project.raw, index=False)
    assert preprocess(project)["groups"] == 1

    project = new_project(MADE, **LAX)
    _, table, rejected = clean(project, (3, "damp", ""), (4, "balcony", "-"), (5, "heating", ""))
    assert rejected == [] and table.loc[3, "damp"] == 1e-6
    assert table.loc[4, "balcony"] == 0 and table.loc[5, "heating"] == "none"


def test_up_to_the_accepted_share_may_be_rejected(new_project, monkeypatch):
    project = new_project(MADE, preprocess={"max_rejected": 0.005})  # 2 of 400
    bad = [(3, "rooms", "?"), (4, "view", "no\nsea"), (5, "Monthly rent", "free")]
    assert clean(project, *bad[:2])[0]["rejected"] == 2
    monkeypatch.chdir(project.root)
    with pytest.raises(UserError) as error:
        clean(project, *bad)
    message = str(error.value)
    assert message.splitlines() == [message] and message.startswith("data/raw/flats.csv: 3 of 400 ")
    assert "row 4: rooms: found '?'; expected a whole number of rooms from 1 to 12" in message
    assert message.endswith("see data/processed/rejected.csv")
    assert "free" in (project.processed / "rejected.csv").read_text(encoding="utf-8")


def test_duplicates_are_removed_and_doubts_counted(new_project):
    project = new_project(MADE)
    raw, before = read_csv(project.raw), preprocess(project)
    more = raw.iloc[[7] * 4].assign(District=["East", " east", "EAST", "East"], view="yard")
    more = more.assign(rooms="6 rooms", heating="none", let="Yes", applicants="0", balcony="No")
    more["Monthly rent"] = ["77", "77", "78", "77.0"]
    pd.concat([raw, more]).to_csv(project.raw, index=False)
    after = preprocess(project)
    added = [after[name] - before[name] for name in ("rows", "duplicates", "kept", "groups")]
    assert added == [4, 2, 2, 1]
    doubts = [after["doubts"][text] - before["doubts"][text] for text in before["doubts"]]
    assert list(after["doubts"]) == [r.text for r in MADE.warnings + MADE.late_warnings]
    assert doubts[1:] == [2, 2]


def test_the_real_data(new_project, laptop_csv):
    project = new_project(LAPTOPS, raw=False, preprocess={"median_target": [2000, 15000]})
    project.raw.parent.mkdir(parents=True)
    shutil.copyfile(laptop_csv, project.raw)
    summary = preprocess(project)
    counts = {"rows": 823, "rejected": 0, "duplicates": 21, "kept": 802, "groups": 623}
    assert counts.items() <= summary.items()
    assert summary["raw_md5"] == "01193678befc0bc2a5b26de8d63ef72c"


def in_blocks(project, rows):
    """The same project, with so many rows in a block."""
    params = project.params.model_copy(update={"scale": ScaleParams(block_rows=rows)})
    return replace(project, given_params=params)


def spoil(raw, problem):
    """Raw rows of all sorts: bad ones, blank ones, copies that lie far apart, both zeros."""
    raw = pd.concat([raw, raw.iloc[::9], raw.iloc[:5]], ignore_index=True)
    for row, column in enumerate(problem.columns):
        raw.loc[3 * row, column.raw_name] = "!"
        raw.loc[3 * row + 1, column.raw_name] = ""
        if column.kind == "number" and column.low < 0 and column is not problem.target:
            raw.loc[[60, 260, 420], column.raw_name] = ["0", "-0.0", "0"]
    return raw


@each_problem
def test_parts_are_the_table_whatever_their_number(new_project, problem):
    project = new_project(problem, **LAX)
    spoil(read_csv(project.raw), problem).to_csv(project.raw, index=False)
    summary, folder = preprocess(project), project.processed
    table, listed = pd.read_parquet(folder / TABLE_FILE), (folder / "rejected.csv").read_bytes()
    groups = table.groupby(list(problem.names), dropna=False).ngroup()
    assert (table["group"] == groups).all() and summary["rejected"] and summary["duplicates"]
    for count in (7, 64, 1) if problem is GAINS else (7, 1):
        assert preprocess(in_blocks(project, -(-summary["rows"] // count))) == summary
        assert (folder / "rejected.csv").read_bytes() == listed
        paths = part_paths(folder / TABLE_FILE)
        assert (len(paths) == 1) == (count == 1) and abs(len(paths) - count) <= count / 5
        parts = [read_part(path) for path in paths]
        assert all(part.index.is_monotonic_increasing for part in parts)
        ends = [(part["group"].min(), part["group"].max()) for part in parts]
        assert all(last + 1 == first for (_, last), (first, _) in zip(ends, ends[1:]))
        assert max(map(len, parts)) <= 2 * summary["rows"] // count + 10
        pd.testing.assert_frame_equal(pd.concat(parts).sort_index(), table)
        whole = pd.read_parquet(folder / TABLE_FILE)
        pd.testing.assert_frame_equal(whole.sort_index(), table)
        assert not any(project.interim.iterdir())


@each_problem
def test_the_order_of_bytes_is_that_of_groups(new_project, problem):
    raw = spoil(read_csv(new_project(problem).raw), problem)
    text = raw.rename(columns={column.raw_name: column.name for column in problem.columns})
    table, _ = validate(text, problem.columns)
    again = table.copy()  # nothing but the sign of zero is other
    for column in problem.features:
        if column.kind == "number":
            again[column.name] = table[column.name].mask(table[column.name] == 0, -0.0)
    both = pd.concat([table, again])
    words = {c.name: pd.CategoricalDtype(sorted(c.allowed)) for c in problem.columns if c.allowed}
    _, groups = np.unique(_cases(problem, both.astype(words)), return_inverse=True)
    assert (groups == both.groupby(list(problem.names), dropna=False).ngroup()).all()


class Twice(Workers):
    """Does everything once more, from a copy of what it is told, as a cluster may."""

    def map(self, function, items, *_, **__):
        for item in items:
            cloudpickle.loads(cloudpickle.dumps(partial(function, item)))()
            yield function(item)


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_parts_are_the_same_bytes_on_workers_and_after_a_killed_run(new_project):
    project = in_blocks(new_project(MADE), 90)
    preprocess(project)
    expected = contents(project.processed)
    assert len(expected) == 2 + 5
    left = project.interim / "preprocess" / "table" / "part-00001-of-00002.parquet"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    (project.processed / TABLE_FILE / "part-00000-of-00002.parquet").write_bytes(b"old")
    preprocess(project, Twice())
    assert contents(project.processed) == expected and not any(project.interim.iterdir())


def test_a_new_table_is_not_trusted_beside_an_old_summary(new_project, monkeypatch):
    project = in_blocks(new_project(MADE), 90)
    preprocess(project)

    def die(path, value):
        raise KeyboardInterrupt

    monkeypatch.setattr(preprocess.__module__ + ".write_json", die)
    with pytest.raises(KeyboardInterrupt):
        preprocess(project)
    assert not (project.processed / "summary.json").exists()


def test_a_table_that_misses_a_part_or_is_damaged_is_refused(new_project):
    project = in_blocks(new_project(MADE), 90)
    preprocess(project)
    first, *_, last = part_paths(project.processed / TABLE_FILE)
    assert list(read_part(last, ["rent"])) == ["rent"]
    last.unlink()
    with pytest.raises(UserError, match="found 4 parts, which are not the whole table; run dvc"):
        part_paths(project.processed / TABLE_FILE)
    first.write_bytes(b"PAR1")
    with pytest.raises(UserError, match="damaged"):
        read_part(first)
    with pytest.raises(UserError, match="no such file; run dvc repro"):
        read_part(last)


@each_number
def test_the_median_is_exact_over_blocks(new_project, problem):
    project = new_project(problem)
    cells = read_csv(project.raw)[problem.target.raw_name]
    median = cells.astype(float).median()
    for low, high, fits in ((median, median + 1, True), (median + 0.01, median + 1, False)):
        params = project.params.preprocess.model_copy(update={"median_target": (low, high)})
        changes = {"preprocess": params, "scale": ScaleParams(block_rows=99)}
        changed = replace(project, given_params=project.params.model_copy(update=changes))
        with nullcontext() if fits else pytest.raises(UserError, match="median"):
            preprocess(changed)
    assert len(part_paths(project.processed / TABLE_FILE)) > 2
