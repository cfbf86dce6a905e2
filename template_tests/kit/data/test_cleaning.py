"""data/raw becomes data/processed: what is set aside, removed or doubtful is counted."""

import csv
import json
import shutil

import pandas as pd
import pytest
from problems import GAINS, LAPTOPS, MADE, each_problem, make_project

from laptop_pricing.kit.data.preprocess import TABLE_FILE, preprocess
from laptop_pricing.kit.data.read import read_csv
from laptop_pricing.kit.data.table import validate
from laptop_pricing.kit.errors import UserError

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
    kinds = {"category": "object", "integer": "int64", "number": "float64", "flag": "bool"}
    types = {c.name: kinds[c.kind] for c in problem.columns} | {"key": "object", "group": "int64"}
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
    lines = [[str(row), c.name, bad[row][2], c.rule] for row, c in enumerate(problem.columns)]
    assert rejected == lines and summary["rejected"] == len(bad)
    assert table.index.min() == len(bad), "rows keep their position in the raw file"


BASEMENT = [(1, "Floor No.", "Basement"), (1, "balcony", "Yes")]
RENT = MADE.target.rule
BAD_ROWS = (
    (BASEMENT, ["1", "", "", "a basement has no balcony"]),
    ([*BASEMENT, (1, "Monthly rent", "0")], ["1", "rent", "0", RENT]),
)


@pytest.mark.parametrize(("changes", "line"), BAD_ROWS)
def test_a_bad_row_is_listed_once(new_project, changes, line):
    summary, table, rejected = clean(new_project(MADE), *changes)
    assert rejected == [line] and 1 not in table.index and 0 in table.index


def test_a_header_in_the_middle_is_said_to_be_it(new_project):
    again = "the header stands once; this row is the header again"
    rejected = clean(new_project(MADE), *((1, name, name) for name in RAW_NAMES.values()))[2]
    assert rejected == [["1", "", "", again]]
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
    assert [int(row) for row, *_ in rejected] == needed and summary["without_target"] == 1
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
    assert "row 3: rooms: found '?'; expected a whole number of rooms from 1 to 12" in message
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
