"""Tables as people have them are read as what they are, and what was unusual is said."""

import numpy as np
import pandas as pd
import pyarrow.csv
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from laptop_pricing.kit.data import source
from laptop_pricing.kit.data.source import csv_tables, open_source
from laptop_pricing.kit.errors import UserError

PLAIN = {"a": ["1", "-2.5"], "b": ["x", "y"]}
NUMBERS = {"a": ["1234.5", "-2"], "b": ["x", "y"]}
# fmt: off
READ = {
    "as it is": ("t.csv", "a,b\n1,x\n-2.5,y\n", PLAIN, None),
    "tabs": ("t.tsv", "a\tb\n1\tx\n-2.5\ty\n", PLAIN, "divided by '\\t'"),
    "tabs in a text": ("t.txt", "a\tb\n1\tx\n-2.5\ty\n", PLAIN, "divided by '\\t'"),
    "bars": ("t.csv", "a|b\n1|x\n-2.5|y\n", PLAIN, "divided by '|'"),
    "semicolons and decimal commas": ("t.csv", "a;b\n1.234,5;x\n-2;y\n", NUMBERS, "decimal commas"),
    "a long decimal": ("t.csv", "a;b\n0,125;x\n", {"a": ["0.125"], "b": ["x"]}, "commas"),
    "quoted decimal commas": ("t.csv", 'a,b\n"1.234,5",x\n"-2",y\n', NUMBERS, "decimal commas"),
    "thousands": ("t.csv", 'a,b\n"1,234.5",x\n-2,y\n', NUMBERS, "separators: a"),
    "marks": ("t.csv", 'a,b\n"$ 1,234.5",x\n-$2,y\n', NUMBERS, "without marks and separators: a"),
    "percent": ("t.csv", "a,b\n5 %,x\n7%,y\n", {"a": ["5", "7"], "b": ["x", "y"]}, "marks"),
    "marks, nothing": ("t.csv", "a,b\n€5,\n-,y\n", {"a": ["5", "-"], "b": ["", "y"]}, "marks"),
    "marks and words": ("t.csv", "a,b\n$5,\nfree,y\n", {"a": ["$5", "free"], "b": ["", "y"]}, None),
    "a large power": ("t.csv", "a,b\n1e2147483999,x\n", {"a": ["1e2147483999"], "b": ["x"]}, None),
    "row numbers": ("t.csv", ",a,b\n0,1,x\n1,-2.5,y\n", PLAIN, "counts the rows"),
}
# fmt: on


@pytest.mark.parametrize("name, content, cells, said", READ.values(), ids=READ)
def test_it_is_read_and_said(tmp_path, name, content, cells, said):
    (tmp_path / name).write_text(content, encoding="utf-8")
    found = open_source(tmp_path / name)
    assert found.read().to_dict("list") == cells
    assert said in "; ".join(found.notes) if said else not found.notes


def test_a_parquet_file_and_a_folder_are_tables(tmp_path):
    pd.DataFrame({"a": [1, None], "b": ["x", None]}).to_parquet(tmp_path / "1.parquet")
    (tmp_path / "2.csv").write_text("a,b\n7,z\n", encoding="utf-8")
    (tmp_path / "notes.md").write_text("not a table", encoding="utf-8")
    found = open_source(tmp_path)
    assert found.read().to_dict("list") == {"a": ["1.0", "", "7"], "b": ["x", "", "z"]}
    assert found.notes == ["Parquet", "2 files were put together"]


REFUSED = {
    "another encoding": ({"t.csv": "a,b\n1,é\n".encode("latin-1")}, "t.csv: not readable"),
    "no table in it": ({"notes.md": b""}, "a folder without tables; expected .csv"),
    "other columns": (
        {"1.csv": b"a,b\n1,2\n", "2.csv": b"a,c\n1,2\n"},
        "2.csv: other columns than",
    ),
    "no name": ({"t.csv": b",a\n5,1\n5,2\n"}, "column 1 has no name; give it one"),
    "no name further on": ({"t.csv": b"a,\n5,1\n"}, "column 2 has no name; give it one"),
    "a column twice": ({"t.csv": b"a,a\n5,1\n"}, "column found twice: a"),
    "a broken line": ({"t.csv": b"a,b\n5,1\n5\n"}, "t.csv: line 3: 1 cells; expected 2"),
    "nothing": ({"t.csv": b""}, "the file is empty"),
    "a byte that is no text": ({"t.csv": b"a,b\n1,\x00" + b"2\x00" * 9}, "t.csv: "),
    "a cell without an end": ({"t.csv": b"a,b\n" + b"x" * 200_000}, "t.csv: line 2: "),
    "a header without an end": ({"t.csv": b"x" * 200_000}, "t.csv: line 1: field larger"),
    "no Parquet": ({"t.parquet": b"PAR1"}, "t.parquet: not readable"),
}


@pytest.mark.parametrize("files, said", REFUSED.values(), ids=REFUSED)
def test_it_is_refused_in_one_line(tmp_path, files, said):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as error:
        open_source(tmp_path).read()
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_parquet_file_without_rows_is_an_empty_table(tmp_path):
    pd.DataFrame({"a": [1], "b": ["x"]})[:0].to_parquet(tmp_path / "t.parquet")
    assert list(open_source(tmp_path / "t.parquet").read()) == ["a", "b"]


def test_an_unknown_ending_is_refused(tmp_path):
    with pytest.raises(UserError, match="found .xlsx; expected .csv, .tsv"):
        open_source(tmp_path / "t.xlsx")


def test_blocks_are_the_whole_table_whatever_their_size(tmp_path):
    path = tmp_path / "t.csv"
    table = pd.DataFrame({"a": np.arange(25), "b": [f"$ {n:,}.5" for n in range(990, 1015)]})
    table.to_csv(path, index=False)
    whole = open_source(path).read()
    found = open_source(path, size=7)
    assert [len(block) for block in found.blocks()] == [7, 7, 7, 4]
    pd.testing.assert_frame_equal(found.read(), whole)
    found.write(tmp_path / "plain.csv")
    assert not open_source(tmp_path / "plain.csv").notes
    pd.testing.assert_frame_equal(open_source(tmp_path / "plain.csv").read(), whole)


def outcome(read, *arguments):
    """The blocks that are read, and in the end the message."""
    blocks = []
    try:
        blocks += [table.to_pandas().astype(object) for table in read(*arguments)]
    except UserError as error:
        return blocks, str(error)
    return blocks, ""


_CELLS = st.sampled_from(["", " ", "a", " b", "nan", "NULL", "1.50", "é", "'", "#", "\\", "\x0b"])
_ENDS = st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n", ",c\n", "\u2028\n"])
_TABLES = st.lists(st.tuples(_CELLS, _CELLS, _ENDS), max_size=30)
_BROKEN = st.sampled_from(["", "", '"x"', '"', "\0", "\udcff", "\ufeff", "x" * 140_000])


@settings(max_examples=300, deadline=None)
@example("a,b\n", [("1", "2", "\n")] * 3, "", 3)
@given(
    start=st.sampled_from(
        [
            "",
            "\ufeff",
            "\n",
            "h,g\n",
            "\ufeffh , g\r\n",
            "h;g\n",
            "h,h\n",
            '"h","g"\n',
            '"h,g",i\r',
            '"h\ni",g\n',
        ]
    ),
    table=_TABLES,
    broken=_BROKEN,
    size=st.integers(1, 9),
)
def test_both_readers_of_csv_agree(tmp_path_factory, start, table, broken, size):
    text = start + "".join(f"{a},{b}{end}" for a, b, end in table) + broken
    path = tmp_path_factory.getbasetemp() / "both.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.MonkeyPatch.context() as patch:  # lines that go over Arrow's own blocks
        options = pyarrow.csv.ReadOptions
        patch.setattr(pyarrow.csv, "ReadOptions", lambda **o: options(**o | {"block_size": 40}))
        quick, said = outcome(csv_tables, path, ",", size)
    strict, expected = outcome(source._strict_tables, path, ",", size)
    assert said == expected and len(quick) == len(strict)
    for ours, theirs in zip(quick, strict):
        pd.testing.assert_frame_equal(ours, theirs)


def test_a_file_without_quotes_is_read_by_arrow_alone(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "1,x\n" * 20, encoding="utf-8")
    monkeypatch.setattr(source, "islice", lambda *_: pytest.fail("read by Python"))
    assert [len(table) for table in csv_tables(path, size=8)] == [8, 8, 4]
