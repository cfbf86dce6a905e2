"""data/raw becomes data/processed; what is set aside, removed or doubtful is counted."""

import csv
import json
import re
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laptop_pricing.data.preprocess import (
    REJECTED_FILE,
    SUMMARY_FILE,
    TABLE_FILE,
    preprocess,
)
from laptop_pricing.data.sample import write_sample
from laptop_pricing.data.schema import (
    COLUMNS,
    CONTRADICTIONS,
    DATASET_CONTRADICTIONS,
    FEATURES,
)
from laptop_pricing.errors import UserError
from laptop_pricing.files import checksum
from laptop_pricing.settings import PreprocessParams, Workspace

BY_NAME = {column.name: column for column in COLUMNS}
HEADER = [column.raw_name for column in COLUMNS]
CELLS = (
    "ASUS,Intel,Core i5,11th,8 GB,DDR4,512 GB,0 GB,Windows,64-bit,0 GB,Casual,1 year,No,No,"
    "5000,4 stars,10,1"
)
LAPTOP = dict(zip(BY_NAME, CELLS.split(",")))
ANYTHING_GOES = PreprocessParams(max_rejected=1.0, median_price=(1e-9, 1e300))


def _write(workspace, *changes):
    """One raw row per change of LAPTOP."""
    workspace.raw.parent.mkdir(parents=True, exist_ok=True)
    rows = [HEADER, *({**LAPTOP, **change}.values() for change in changes)]
    quoted = [['"' + cell.replace('"', '""') + '"' for cell in row] for row in rows]
    workspace.raw.write_bytes("\n".join(map(",".join, quoted)).encode("utf-8"))


def _table(workspace):
    return pd.read_parquet(workspace.processed / TABLE_FILE)


def _rejected(workspace):
    with open(workspace.processed / REJECTED_FILE, encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["row", "column", "value", "rule"]
    return [tuple(row) for row in rows]


@pytest.fixture
def run(tmp_path):
    """Preprocess one raw row per change; gives the summary and the workspace."""

    def run_on(*changes, params=ANYTHING_GOES):
        workspace = Workspace(tmp_path / "project")
        _write(workspace, *changes)
        return preprocess(workspace, params), workspace

    return run_on


def test_the_sample_becomes_a_table_and_a_summary(workspace, params):
    summary = preprocess(workspace, params.preprocess)
    table = _table(workspace)
    assert list(table.columns) == [*BY_NAME, "key", "specification"]
    assert table.index.name == "row"
    assert summary["rows"] == 400
    assert summary["rejected"] == 0
    assert summary["duplicates"] > 0
    assert summary["kept"] == len(table) == 400 - summary["duplicates"]
    assert summary["specifications"] == table["key"].nunique() < summary["kept"]
    assert summary["raw_md5"] == checksum(workspace.raw, "md5")
    assert _rejected(workspace) == []
    written = (workspace.processed / SUMMARY_FILE).read_text(encoding="utf-8")
    assert json.loads(written) == summary


def test_the_raw_file_is_left_as_it_was(workspace, params):
    before = workspace.raw.read_bytes()
    preprocess(workspace, params.preprocess)
    assert workspace.raw.read_bytes() == before


def test_outputs_are_the_same_bytes_in_another_folder(tmp_path, params):
    for name in ("a", "b/longer"):
        workspace = Workspace(tmp_path / name)
        write_sample(workspace.raw, 300)
        with open(workspace.raw, "a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow({**LAPTOP, "price": "free"}.values())
        preprocess(workspace, params.preprocess)
    for name in (TABLE_FILE, REJECTED_FILE, SUMMARY_FILE):
        first, second = (Workspace(tmp_path / n).processed / name for n in ("a", "b/longer"))
        assert first.read_bytes() == second.read_bytes()


def test_outputs_are_the_same_bytes_when_made_again(workspace, params):
    preprocess(workspace, params.preprocess)
    before = {path: path.read_bytes() for path in workspace.processed.iterdir()}
    preprocess(workspace, params.preprocess)
    assert {path: path.read_bytes() for path in workspace.processed.iterdir()} == before


# Rejected rows


def test_a_rejected_row_is_listed_with_row_column_value_and_rule(run):
    summary, workspace = run(
        {},
        {"ram_gb": "8,5 GB", "price": "0"},
        {"brand": "APPLE"},
        {"price": "6000"},
    )
    assert _rejected(workspace) == [
        ("1", "price", "0", BY_NAME["price"].rule),
        ("1", "ram_gb", "8,5 GB", BY_NAME["ram_gb"].rule),
        ("2", "", "", "an APPLE runs Mac"),
    ]
    assert (summary["rows"], summary["rejected"], summary["kept"]) == (4, 2, 2)
    assert _table(workspace)["price"].to_dict() == {0: 5000, 3: 6000}


def test_rows_are_numbered_by_their_position_in_the_raw_file(run):
    _, workspace = run({}, {"price": "?"}, {}, {"price": "7000"})  # rejected, kept twice, kept
    assert _table(workspace).index.tolist() == [0, 3]
    assert _table(workspace)["price"].tolist() == [5000, 7000]


@pytest.mark.parametrize(
    "value", ["abc", "-1", "0", "499", "60001", "1e5", "", "NaN", "inf", "５０"]
)
def test_defect_3_a_bad_price_is_rejected_and_not_coerced_to_0(run, value):
    summary, workspace = run({}, {"price": value}, {"price": "6000"})
    assert _rejected(workspace) == [("1", "price", value, BY_NAME["price"].rule)]
    assert _table(workspace)["price"].to_dict() == {0: 5000, 2: 6000}
    assert summary["rejected"] == 1


def test_defect_4_ryzen_3_is_not_mapped_to_ryzen_7_and_no_category_is_merged(run):
    names = ["Ryzen 3", "Ryzen 5", "Ryzen 7", "Ryzen 9", "Celeron Dual", "Core i9", "M1"]
    summary, workspace = run(*({"processor_name": name} for name in names))
    assert _table(workspace)["processor_name"].tolist() == names
    assert summary["specifications"] == len(names)


@pytest.mark.parametrize("value", ['a "b", c', "two\nlines", "two\r\nlines", "old\rmac", " é ", ""])
def test_a_rejected_value_can_be_read_again_as_found(run, value):
    _, workspace = run({}, {"brand": value})
    assert _rejected(workspace) == [("1", "brand", value, BY_NAME["brand"].rule)]


@pytest.mark.parametrize("price", ["Price", " price "])
def test_a_row_that_is_the_header_again_is_rejected_as_such(run, price):
    again = {column.name: column.raw_name for column in COLUMNS} | {"price": price}
    summary, workspace = run({}, again, {"brand": "brand"})
    assert _rejected(workspace) == [
        ("1", "", "", "it is not the header again"),
        ("2", "brand", "brand", BY_NAME["brand"].rule),
    ]
    assert summary["rejected"] == 2


@pytest.mark.parametrize("name", ["processor_gnrtn", "msoffice", "warranty", "hdd"])
def test_a_blank_cell_is_rejected_and_not_filled(run, name):
    _, workspace = run({}, {name: " "})
    assert _rejected(workspace) == [("1", name, " ", BY_NAME[name].rule)]


def test_up_to_the_accepted_share_may_be_rejected(run):
    params = PreprocessParams(max_rejected=0.25, median_price=(2000, 15000))
    summary, _ = run({"brand": "?"}, {}, {}, {}, params=params)
    assert summary["rejected"] == 1


def test_above_the_accepted_share_the_step_fails_and_says_why(tmp_path, monkeypatch):
    workspace = Workspace(tmp_path)
    _write(workspace, {}, {"ram_gb": "?"}, {"brand": "Other\n"}, {})
    monkeypatch.chdir(tmp_path)
    params = PreprocessParams(max_rejected=0.25, median_price=(2000, 15000))
    with pytest.raises(UserError) as error:
        preprocess(workspace, params)
    message = str(error.value)
    assert message.splitlines() == [message]
    assert message.startswith(str(workspace.raw.relative_to(tmp_path)))
    assert "2 of 4 rows rejected, more than preprocess.max_rejected = 0.25" in message
    assert f"row 1: found ram_gb '?'; expected {BY_NAME['ram_gb'].rule}" in message
    assert str((workspace.processed / REJECTED_FILE).relative_to(tmp_path)) in message
    assert [row[:3] for row in _rejected(workspace)] == [
        ("1", "ram_gb", "?"),
        ("2", "brand", "Other\n"),
    ]
    assert not (workspace.processed / TABLE_FILE).exists()


def test_above_the_accepted_share_a_rule_of_the_row_is_named_too(tmp_path):
    workspace = Workspace(tmp_path)
    _write(workspace, {}, {"ssd": "0 GB"})
    params = PreprocessParams(max_rejected=0.25, median_price=(2000, 15000))
    with pytest.raises(UserError, match="row 1: .*the laptop has an SSD or an HDD"):
        preprocess(workspace, params)


def test_every_row_may_be_rejected_where_that_is_accepted(run):
    summary, workspace = run({"brand": "?"}, {"os": "?"})
    assert (summary["rejected"], summary["kept"], summary["specifications"]) == (2, 0, 0)
    assert set(summary["contradictions"].values()) == {0}
    assert list(_table(workspace).columns) == [*BY_NAME, "key", "specification"]


@pytest.mark.parametrize(
    ("content", "finding"),
    [(None, "no such file"), (b"", "empty"), (b"<html>", "HTML"), (b"brand,ssd\n", "missing")],
    ids=["no file", "empty", "html", "other columns"],
)
def test_a_wrong_raw_file_leaves_the_last_result(workspace, params, content, finding):
    preprocess(workspace, params.preprocess)
    before = {path: path.read_bytes() for path in workspace.processed.iterdir()}
    workspace.raw.unlink()
    if content is not None:
        workspace.raw.write_bytes(content)
    with pytest.raises(UserError, match=finding) as error:
        preprocess(workspace, params.preprocess)
    assert str(error.value).splitlines() == [str(error.value)]
    assert {path: path.read_bytes() for path in workspace.processed.iterdir()} == before


# Duplicates and contradictions


def test_exact_duplicates_are_removed_and_counted(run):
    summary, workspace = run({}, {"price": "6000"}, {}, {}, {"ratings": "11"})
    assert (summary["duplicates"], summary["kept"], summary["specifications"]) == (2, 3, 1)
    assert _table(workspace).index.tolist() == [0, 1, 4]


def test_one_laptop_in_two_spellings_is_one_specification(run):
    summary, _ = run({}, {"brand": " asus", "price": "6000"}, {"brand": "HP"})
    assert (summary["duplicates"], summary["specifications"]) == (0, 2)


CONTRADICTORY = {
    "Ryzen 7 or 9 with 4 GB of RAM or less": {
        "processor_name": "Ryzen 9",
        "processor_brand": "AMD",
        "ram_gb": "4 GB",
    },
    "M1 with DDR memory or an Intel generation": {
        "processor_name": "M1",
        "processor_brand": "M1",
        "processor_gnrtn": "Not Available",
    },
    "32-bit system with more than 4 GB of RAM": {"os_bit": "32-bit"},
    "processor of another maker than it says": {"processor_brand": "AMD"},
    "stars without a rating": {"ratings": "0"},
}


def test_every_contradiction_has_a_row_here():
    rules = CONTRADICTIONS + DATASET_CONTRADICTIONS
    assert set(CONTRADICTORY) == {rule.text for rule in rules}


@pytest.mark.parametrize("text", CONTRADICTORY)
def test_a_contradiction_is_kept_and_counted(run, text):
    summary, _ = run({}, CONTRADICTORY[text])
    assert (summary["rejected"], summary["kept"]) == (0, 2)
    assert summary["contradictions"] == {name: int(name == text) for name in CONTRADICTORY}


# Any text at all


_odd_cells = st.one_of(
    st.text(max_size=8),
    st.text("0123456789.,-+eE GByearsn８", max_size=8),
    st.integers(0, 70_000).map(str),
    st.sampled_from(["NaN", "inf", "1e3", "0 GB", "8 GB", "8.5 GB", "8.0", "No warranty", "No"]),
)
_odd_rows = st.lists(
    st.dictionaries(st.sampled_from(list(BY_NAME)), _odd_cells, max_size=3), min_size=1, max_size=5
)


def _says(column, cell, value):
    if column.kind not in ("integer", "number"):
        return cell.strip().casefold() in {
            "category": {str(value).casefold()},
            "flag": {"yes", "true"} if value else {"no", "false"},
        }.get(column.kind)
    if cell.strip().casefold() == "no warranty":
        return column.name == "warranty" and value == 0
    number = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)[\s-]*[a-z]*\s*", cell, re.IGNORECASE)
    return number is not None and float(number[1]) == value


@settings(max_examples=25, deadline=None)
@given(changes=_odd_rows)
def test_no_text_raises_anything_but_one_line_or_becomes_a_number_it_does_not_say(changes):
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        _write(workspace, *changes)
        try:
            summary = preprocess(workspace, ANYTHING_GOES)
        except UserError as error:
            assert str(error).splitlines() == [str(error)]
            return
        table = _table(workspace)
        rejected = {int(row) for row, *_ in _rejected(workspace)}
    assert summary["rejected"] == len(rejected)
    assert rejected.isdisjoint(table.index)
    assert len(changes) == len(table) + len(rejected) + summary["duplicates"]
    for row in table.itertuples():
        cells = {**LAPTOP, **changes[row.Index]}
        for name, column in BY_NAME.items():
            assert _says(column, cells[name], getattr(row, name)), (name, cells[name])


# The real data


def test_the_real_data(tmp_path, laptop_csv, params):
    workspace = Workspace(tmp_path)
    workspace.raw.parent.mkdir(parents=True)
    workspace.raw.write_bytes(laptop_csv.read_bytes())
    summary = preprocess(workspace, params.preprocess)
    assert summary.pop("contradictions").keys() == CONTRADICTORY.keys()
    assert summary == {
        "rows": 823,
        "rejected": 0,
        "duplicates": 21,
        "kept": 802,
        "specifications": 623,
        "raw_md5": "01193678befc0bc2a5b26de8d63ef72c",
    }
    table = _table(workspace)
    assert table["price"].between(1138, 29613).all()
    assert table[list(FEATURES)].notna().all(axis=None)
