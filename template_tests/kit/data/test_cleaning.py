"""data/raw becomes data/processed: what is set aside, removed or doubtful is counted."""

import csv
import json

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from problems import LAPTOPS, MADE, PROBLEMS, each_problem, make_project

from laptop_pricing.kit.data.preprocess import (
    REJECTED_FILE,
    SUMMARY_FILE,
    TABLE_FILE,
    preprocess,
)
from laptop_pricing.kit.data.read import read_csv
from laptop_pricing.kit.data.table import validate
from laptop_pricing.kit.errors import UserError

AGAIN = "the header stands once; this row is the header again"
LAX = {"preprocess": {"max_rejected": 1}}
BY_NAME = {column.name: column for problem in PROBLEMS for column in problem.columns}


def clean(project, *changes):
    """Preprocess the raw file with rows changed: (row, clean name of the column, cell)."""
    raw = read_csv(project.raw)
    for row, name, cell in changes:
        raw.loc[row, BY_NAME[name].raw_name] = cell
    raw.to_csv(project.raw, index=False)
    summary = preprocess(project)
    with open(project.processed / REJECTED_FILE, encoding="utf-8", newline="") as file:
        header, *rejected = csv.reader(file)
    assert header == ["row", "column", "value", "rule"]
    assert json.loads((project.processed / SUMMARY_FILE).read_text(encoding="utf-8")) == summary
    return summary, pd.read_parquet(project.processed / TABLE_FILE), rejected


@each_problem
def test_the_table_is_typed_grouped_and_the_same_bytes_elsewhere(new_project, problem, tmp_path):
    project = new_project(problem)
    summary, table, rejected = clean(project)
    kinds = {"category": "object", "integer": "int64", "number": "float64", "flag": "bool"}
    types = {c.name: kinds[c.kind] for c in problem.columns} | {"key": "object", "group": "int64"}
    assert table.dtypes.astype(str).to_dict() == types and table.index.name == "row"
    assert summary["rejected"] == len(rejected) == 0
    assert summary["kept"] == len(table) == summary["rows"] - summary["duplicates"]
    assert summary["groups"] == table["key"].nunique() == len(table.groupby(list(problem.names)))
    other = make_project(tmp_path / "elsewhere" / "deeper", problem, raw=False)
    other.raw.parent.mkdir(parents=True)
    other.raw.write_bytes(before := project.raw.read_bytes())
    clean(other)
    for name in (TABLE_FILE, REJECTED_FILE, SUMMARY_FILE):
        assert (other.processed / name).read_bytes() == (project.processed / name).read_bytes()
    assert project.raw.read_bytes() == before


@each_problem
def test_every_bad_cell_is_set_aside_as_found_with_its_reason(new_project, problem):
    bad = [(row, c.name, f'no "such",\r\n {c.name} ') for row, c in enumerate(problem.columns)]
    summary, table, rejected = clean(new_project(problem, **LAX), *bad)
    lines = [[str(row), name, cell, BY_NAME[name].rule] for row, name, cell in bad]
    assert rejected == lines and summary["rejected"] == len(bad)
    assert table.index.min() == len(bad), "rows keep their position in the raw file"


BASEMENT = [(1, "floor", "Basement"), (1, "balcony", "Yes")]
SPOILT = {
    "a rule": (BASEMENT, ["1", "", "", "a basement has no balcony"]),
    "a blank cell has no default": ([(1, "balcony", " ")], ["1", "balcony", " ", "Yes or No"]),
    "a rule needs good cells": ([*BASEMENT, (1, "rent", "0")], ["1", "rent", "0", BY_NAME["rent"].rule]),
    "the header": ([(1, c.name, c.raw_name) for c in MADE.columns], ["1", "", "", AGAIN]),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "line"), SPOILT.values(), ids=SPOILT)
def test_a_bad_row_is_listed_once(new_project, changes, line):
    summary, table, rejected = clean(new_project(MADE), *changes)
    assert rejected == [line] and 1 not in table.index and 0 in table.index


def test_types_and_values_do_not_depend_on_the_rejected_rows():
    text = pd.DataFrame([MADE.example | {"heating": "none", "balcony": "no"}] * 3, index=[9, 5, 7])
    text.loc[5] = "?"
    before = text.copy()
    table, failures = validate(text, MADE.features, MADE.rules)
    pd.testing.assert_frame_equal(table, validate(text.drop(5), MADE.features)[0])
    assert set(failures["row"]) == {5} and len(failures) == len(MADE.features)
    pd.testing.assert_frame_equal(text, before)
    assert validate(text.assign(view="?"), MADE.features)[0].dtypes.equals(table.dtypes)


def test_up_to_the_accepted_share_may_be_rejected(new_project, monkeypatch):
    project = new_project(MADE, preprocess={"max_rejected": 0.005})  # 2 of 400
    bad = [(3, "rooms", "?"), (4, "view", "no\nsea"), (5, "rent", "free")]
    assert clean(project, *bad[:2])[0]["rejected"] == 2
    monkeypatch.chdir(project.root)
    with pytest.raises(UserError) as error:
        clean(project, *bad)
    message = str(error.value)
    assert message.splitlines() == [message] and message.startswith("data/raw/flats.csv: 3 of 400 ")
    assert "row 3: rooms: found '?'; expected a whole number of rooms from 1 to 12" in message
    assert message.endswith("see data/processed/rejected.csv")
    assert "free" in (project.processed / REJECTED_FILE).read_text(encoding="utf-8")


def test_duplicates_are_removed_and_doubts_counted(new_project):
    project = new_project(MADE)
    raw, before = read_csv(project.raw), preprocess(project)
    more = raw.iloc[[7, 7, 7, 7]].assign(District=["East", " east", "EAST", "East"], view="yard")
    more = more.assign(rooms="6 rooms", heating="none", let="Yes", applicants="0", balcony="No")
    more["Monthly rent"] = ["77", "77", "78", "77.0"]
    pd.concat([raw, more]).to_csv(project.raw, index=False)
    after = preprocess(project)
    added = {name: after[name] - before[name] for name in ("rows", "duplicates", "kept", "groups")}
    assert added == {"rows": 4, "duplicates": 2, "kept": 2, "groups": 1}
    doubts = [after["doubts"][text] - before["doubts"][text] for text in before["doubts"]]
    assert list(after["doubts"]) == [r.text for r in MADE.warnings + MADE.late_warnings]
    assert doubts[1:] == [2, 2]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cells=st.lists(st.text(max_size=8) | st.text("0123456789.,-+eE m8８"), min_size=15, max_size=15)
)
def test_any_text_at_all_is_kept_or_rejected(new_project, cells):
    changes = [(row, c.name, cell) for row, (c, cell) in enumerate(zip(MADE.columns, cells))]
    summary, table, rejected = clean(new_project(MADE, **LAX), *changes)
    assert (
        summary["rows"] == len(table) + len({row for row, *_ in rejected}) + summary["duplicates"]
    )


def test_the_real_data(new_project, laptop_csv):
    project = new_project(LAPTOPS, raw=False, preprocess={"median_target": [2000, 15000]})
    project.raw.parent.mkdir(parents=True)
    project.raw.write_bytes(laptop_csv.read_bytes())
    summary = preprocess(project)
    counts = {"rows": 823, "rejected": 0, "duplicates": 21, "kept": 802, "groups": 623}
    assert counts.items() <= summary.items()
    assert summary["raw_md5"] == "01193678befc0bc2a5b26de8d63ef72c"
