"""Tables as people have them are read as what they are, and what was unusual is said."""

import numpy as np
import pandas as pd
import pytest

from laptop_pricing.kit.data import source
from laptop_pricing.kit.data.source import open_source
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


def test_blocks_are_the_whole_table_whatever_their_size(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    table = pd.DataFrame({"a": np.arange(25), "b": [f"$ {n:,}.5" for n in range(990, 1015)]})
    table.to_csv(path, index=False)
    whole = open_source(path).read()
    monkeypatch.setattr(source.csv_blocks, "__defaults__", (",", 7))
    found = open_source(path)
    assert [len(block) for block in found.blocks()] == [7, 7, 7, 4]
    pd.testing.assert_frame_equal(found.read(), whole)
    found.write(tmp_path / "plain.csv")
    assert not open_source(tmp_path / "plain.csv").notes
    pd.testing.assert_frame_equal(open_source(tmp_path / "plain.csv").read(), whole)
