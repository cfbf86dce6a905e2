"""Files become text as it is, or are refused in one line: the dataset, and rows to be predicted."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import MADE, each_problem, write_raw

from laptop_pricing.kit.data.read import escape_formulas, read_dataset, read_rows
from laptop_pricing.kit.data.source import read_csv
from laptop_pricing.kit.data.table import validate
from laptop_pricing.kit.errors import UserError

ANY = (1e-9, 1e300)
NAMES, HEADER = zip(*((column.name, column.raw_name) for column in MADE.columns))
CELLS = "North,stove,sea,3 rooms,Basement,-5.5,1e-06,70,No,No,900,3,-4,a,Yes"
GOOD = f"{','.join(HEADER)}\r\n{CELLS}\r\n"


def frame(*changes):
    """One row per change of CELLS."""
    return pd.DataFrame([dict(zip(NAMES, CELLS.split(","))) | c for c in changes], dtype=object)


def refused(read, path, *more):
    with pytest.raises(UserError) as error:
        read(path, *more)
    message = str(error.value)
    assert message.splitlines() == [message] and message.startswith(f"{path}: ")
    return message


def write(folder, content, name="flats.csv"):
    """A table, by its ending, or text."""
    path = folder / name
    if isinstance(content, pd.DataFrame):
        csv = path.suffix.lower() == ".csv"
        content.to_csv(path, index=False) if csv else content.to_parquet(path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_cells_are_read_as_the_text_that_they_are(tmp_path):
    cells = ["NaN", "", "007", "1e3", " 8 GB ", "None", 'a "b", c', "two\r\nlines", "é", "True"]
    path = write(tmp_path, pd.DataFrame([cells], columns=list("abcdefghij")))
    assert read_csv(path).loc[0].tolist() == cells


def test_harmless_differences_do_not_matter(tmp_path):
    other_order = "\n".join(",".join(line.split(",")[::-1]) for line in GOOD.splitlines())
    spaces = GOOD.replace("heating", " heating ", 1)
    lines = (GOOD.replace("\r\n", end) for end in ("\n", "\r\n\r\n"))
    for text in (GOOD, "\ufeff" + GOOD, GOOD.rstrip(), other_order, spaces, *lines):
        found = read_dataset(write(tmp_path, text), MADE, (900, 901))
        pd.testing.assert_frame_equal(found, frame({}))
    assert len(read_dataset(write(tmp_path, GOOD), MADE, (899, 900))) == 1


# fmt: off
NO_TABLE = (
    ("<!DOCTYPE html>\n<p>Not found, sorry</p>\n", "line 2: 2 cells; expected 1 as in the header"),
    ("<html>", "column missing: District, heating"), ("", "the file is empty"),
    ("\n\r\n\n", "the file is empty"), (GOOD.splitlines()[0], "a header without rows"),
    (GOOD.replace(",", ";"), "column missing: District"), (GOOD.encode("utf-16"), "'utf-8' codec"),
    (GOOD.replace("North", "São").encode("latin-1"), "'utf-8' codec can't decode byte 0xe3"),
    (GOOD.replace("view", "View", 1), "column missing: view"),
    ('"a\nb",' + GOOD.replace("North", "1,North"), "column unknown: 'a\\nb'; remove it"),
    (GOOD.replace("view", "rooms", 1), "column found twice: rooms; keep one"),
    (GOOD + "\n1," + CELLS, "line 4: 16 cells; expected 15"), (GOOD + "a,b", "line 3: 2 cells"),
    (GOOD + 'North,"a\n', "line 3: unexpected"), (GOOD.replace(",Yes", ',"Y'), "unexpected end"),
    (GOOD.replace(",900,", ",49,"), "median rent 49; expected 50 to 9,000 EUR; convert it, or"),
    (GOOD.replace(",900,", ",R$ 900,"), "no readable rent; expected a number of EUR from 50"),
)
NO_ROWS = (
    ("a.xlsx", "PK", "found .xlsx; expected .csv, .tsv, .t"), ("a", "", "found no ending; expec"),
    ("a.csv", "view\nsea,1\n", "line 2: 2 cells"), ("a.parquet", "", "not readable: "),
    ("a.parquet", GOOD, "not readable: "), ("a.parquet", "PAR1PAR1", "not readable: "),
    ("a.csv", frame({})[:0], "no rows; expected at least one flat"),
    ("a.parquet", frame({})[:0], "no rows"),
    ("a.csv", frame({}).drop(columns="view"), "column missing: view (one of yard,"),
    ("a.csv", frame({}).assign(**{"Lift?": "Yes"}), "column found twice: lift, Lift?"),
)
# fmt: on


@pytest.mark.parametrize(("content", "finding"), NO_TABLE, ids=range(len(NO_TABLE)))
def test_what_is_not_the_dataset_is_named(tmp_path, content, finding):
    assert finding in refused(read_dataset, write(tmp_path, content), MADE, (50, 9000))


@pytest.mark.parametrize(("name", "content", "finding"), NO_ROWS, ids=range(len(NO_ROWS)))
def test_rows_that_cannot_be_read_are_one_line(tmp_path, name, content, finding):
    assert finding in refused(read_rows, write(tmp_path, content, name), MADE)


def test_no_file_and_a_folder_are_named(tmp_path):
    for name in ("none.csv", "none.parquet"):
        assert "no such file" in refused(read_rows, tmp_path / name, MADE)
    assert "not readable" in refused(read_csv, tmp_path)


_PIECES = st.sampled_from([b",", b"\n", b"\r", b'"', b"rooms", b"\0", b"<", b";", b"\xe9"])


@settings(max_examples=50, deadline=None)
@given(content=st.binary(max_size=99) | st.lists(_PIECES, max_size=20).map(b"".join))
def test_no_file_raises_anything_but_one_line(tmp_path_factory, content):
    for start in (b"", GOOD.splitlines()[0].encode()):
        path = write(tmp_path_factory.getbasetemp(), start + content, "arbitrary.csv")
        refused(read_dataset, path, MADE, ANY)


@pytest.mark.parametrize("ending", [".csv", ".CSV", ".parquet"])
@pytest.mark.parametrize("rename", [dict(zip(NAMES, HEADER)), {}, str.upper], ids=["raw", "", "A"])
def test_rows_may_have_raw_or_clean_names_and_more_columns(tmp_path, ending, rename):
    rows = frame({}, {"view": "street"}).astype(str)  # no longer object from pandas 3 on
    source = rows.rename(columns=rename).assign(shelf="A 3")
    given, text = read_rows(write(tmp_path, source, f"flats{ending}"), MADE)
    pd.testing.assert_frame_equal(given, source)
    pd.testing.assert_frame_equal(text, rows[list(MADE.names)])


@each_problem
def test_a_typed_table_is_read_like_its_text(tmp_path, problem):
    write_raw(problem, tmp_path / "raw.csv", 50)
    typed = validate(read_dataset(tmp_path / "raw.csv", problem, None), problem.columns)[0]
    _, text = read_rows(write(tmp_path, typed[::-1], "t.parquet"), problem)
    table, failures = validate(text, problem.features)
    expected = typed[::-1].reset_index(drop=True)[list(problem.names)]
    assert failures.empty
    pd.testing.assert_frame_equal(table, expected)


def test_blanks_get_the_default_and_gaps_and_lists_are_rejected(tmp_path):
    table = frame(*({"heating": cell} for cell in ("", " \t", "NaN", "?", "central")))
    table = table.drop(columns=["balcony", "damp"]).assign(view="")
    text = read_rows(write(tmp_path, table), MADE)[1].assign(view="sea")
    typed, failures = validate(text, MADE.features)
    assert failures.empty and typed["heating"].tolist() == [*["none"] * 4, "central"]
    assert typed[["balcony", "damp"]].drop_duplicates().values.tolist() == [[False, 1e-6]]
    table = frame({}, {}).assign(rooms=[3.0, None], view=[["sea"], ["yard", "sea"]])
    failures = validate(read_rows(write(tmp_path, table, "a.parquet"), MADE)[1], MADE.features)[1]
    assert failures[["row", "column"]].values.tolist() == [[0, "view"], [1, "rooms"], [1, "view"]]


def test_a_cell_that_a_spreadsheet_would_run_is_escaped_and_a_number_is_not():
    run = ["=1+1", "+SUM(A1)", "@x", "-x", "-2+3+cmd|' /C calc'!A0", "\t=1", "\r=1", "\n=1", "＝1"]
    kept = ["-5.5", "+3", "-1e-06", "-,5", "-", "a=1", "", "8 GB", "-2,5"]
    table = pd.DataFrame({"=text": run + kept, "number": -1.5, 3: None}).astype({3: "category"})
    found = escape_formulas(table.assign(kind=table["=text"].astype("category")))
    assert list(found) == ["'=text", "number", 3, "kind"]
    for name in ("'=text", "kind"):
        assert found[name].tolist() == [f"'{cell}" for cell in run] + kept
    assert set(found["number"]) == {-1.5} and table["=text"][0] == "=1+1"
