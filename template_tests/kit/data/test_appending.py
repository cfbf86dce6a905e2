"""Rows are added to data/raw, once each and all at once; what was there stays as it was."""

import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from problems import MADE, each_problem, write_raw

from laptop_pricing.kit.data import ingest
from laptop_pricing.kit.data.ingest import append
from laptop_pricing.kit.data.preprocess import preprocess
from laptop_pricing.kit.data.source import read_csv
from laptop_pricing.kit.data.split import is_held_out
from laptop_pricing.kit.data.table import KEY
from laptop_pricing.kit.errors import ProjectError, UserError
from laptop_pricing.kit.files import checksum
from laptop_pricing.kit.modeling.train import read_processed

RENT, HERE = MADE.target.raw_name, Path(__file__).resolve()


@pytest.fixture
def project(new_project):
    return new_project(MADE)


@pytest.fixture
def rows(tmp_path):
    """``rows(count)``: other rows than those of data/raw, as text, none of them twice."""

    def give(count=50):
        write_raw(MADE, tmp_path / "rows.csv", 2 * count, seed=7)
        return read_csv(tmp_path / "rows.csv").drop_duplicates().head(count)

    return give


def save(table, path, **style):
    table.to_csv(path, index=False, lineterminator="\n", **style)
    return str(path)


def refused(project, source, kind=UserError):
    """The message; every file is as it was."""

    def files():
        return {p: p.read_bytes() for p in project.root.rglob("*") if p.is_file()}

    before = files()
    with pytest.raises(kind) as error:
        append(project, source)
    assert files() == before and "\n" not in str(error.value)
    return str(error.value)


@each_problem
def test_each_row_is_held_out_or_not_as_ever(new_project, problem, tmp_path):
    project = new_project(problem)
    preprocess(project)
    was, old = read_processed(project)[0], project.raw.read_bytes()
    more = read_csv(project.raw).sample(frac=1, random_state=1)
    more[problem.target.raw_name] = np.roll(more[problem.target.raw_name], 1)
    found = append(project, save(more, tmp_path / "more.csv"))
    assert found["added"] > 100 and project.raw.read_bytes().startswith(old)
    preprocess(project)
    now, summary = read_processed(project)
    assert now.loc[was.index, KEY].equals(was[KEY]), "the rows before are where they were"
    assert summary["rows"] == found["rows"] > was.index.max() + 1
    # The rows added are of the same cases, so each of them is on the side of its case.
    new = now.drop(was.index)
    held_out = set(was.loc[is_held_out(was[KEY]), KEY])
    assert len(new) and is_held_out(new[KEY]).equals(new[KEY].isin(held_out).rename(None))


def test_what_is_there_already_is_not_added_again(project, rows, tmp_path):
    old, new = read_csv(project.raw), rows()
    before = project.raw.read_bytes()
    source = save(pd.concat([new, old.head(20), new.head(3)]), tmp_path / "a.csv")
    found = append(project, source)
    assert (found["rows"], found["added"], found["known"]) == (len(old) + 50, 50, 23)
    content = project.raw.read_bytes()
    assert content.startswith(before) and found["md5"] == checksum(project.raw, "md5")
    assert read_csv(project.raw).iloc[len(old) :].values.tolist() == new.values.tolist()
    changed = project.raw.stat().st_mtime_ns
    for again in (source, str(project.raw)):
        found = append(project, again)
        assert found["added"] == 0 and found["rows"] == len(old) + 50
        assert (project.raw.read_bytes(), project.raw.stat().st_mtime_ns) == (content, changed)


def test_nothing_depends_on_the_size_of_a_block(project, rows, tmp_path, monkeypatch):
    table = pd.concat([rows(), read_csv(project.raw), rows()])
    source, whole = save(table, tmp_path / "a.csv"), project.raw.read_bytes()
    expected = append(project, source)
    content = project.raw.read_bytes()
    project.raw.write_bytes(whole)
    for function in (ingest.csv_tables, ingest.dataset_tables):
        monkeypatch.setattr(ingest, function.__name__, partial(function, size=7))
    assert append(project, source) == expected and project.raw.read_bytes() == content


def semicolons(table, path):
    numbers = ["coldest", "damp", "area", "deviation", RENT]
    commas = table[numbers].map(lambda cell: cell.replace(".", ","))
    commas[RENT] = "€ " + commas[RENT]
    return save(table.assign(**commas), path, sep=";")


@pytest.mark.parametrize(
    "write",
    [
        lambda table, path: save(table[table.columns[::-1]], path),
        lambda table, path: save(table, path, encoding="utf-8-sig"),
        lambda table, path: save(table, path, quoting=1),
        lambda table, path: save(table, path.with_suffix(".tsv"), sep="\t"),
        semicolons,
    ],
    ids=["other order", "a byte-order mark", "all quoted", "tabs", "semicolons"],
)
def test_another_dialect_is_written_as_that_of_the_dataset(project, rows, tmp_path, write):
    old = read_csv(project.raw)
    found = append(project, write(rows(), tmp_path / "a.csv"))
    assert found["added"] == 50 and found["aside"] == 0
    assert read_csv(project.raw).iloc[len(old) :].values.tolist() == rows().values.tolist()
    assert append(project, write(rows(), tmp_path / "a.csv"))["added"] == 0


@pytest.mark.parametrize("end", [b"", b"\n\n", b"\r\n", b"\r"])
def test_the_dataset_may_end_and_begin_as_it_likes(project, rows, tmp_path, end):
    content = project.raw.read_bytes().rstrip(b"\n")
    content = content.replace(b"\n", end if end in (b"\r", b"\r\n") else b"\n")
    project.raw.write_bytes(b"\xef\xbb\xbf" + content + end)
    found = append(project, save(rows(), tmp_path / "a.csv"))
    assert found["rows"] == 450 and len(read_csv(project.raw)) == 450
    assert project.raw.read_bytes().startswith(b"\xef\xbb\xbf" + content + end)
    assert append(project, save(rows(), tmp_path / "a.csv"))["added"] == 0


def test_bad_rows_are_added_counted_and_named(project, rows, tmp_path):
    table = rows()
    table.iloc[3, table.columns.get_loc("area")] = "vast"
    table.iloc[7, table.columns.get_loc("heating")] = 'a\n"fire", or so'
    table.iloc[9, table.columns.get_loc(RENT)] = ""
    found = append(project, save(table, tmp_path / "a.csv"))
    assert (found["added"], found["aside"]) == (50, 3)
    assert read_csv(project.raw).iloc[400:].values.tolist() == table.values.tolist()
    summary = preprocess(project)
    assert summary["rejected"] + summary["without_target"] == 3


BAD = {
    "no column": (lambda t: t.drop(columns=[RENT]), "column missing: Monthly rent"),
    "one too many": (lambda t: t.assign(colour="red"), "column unknown: 'colour'"),
    "another name": (lambda t: t.rename(columns={"rooms": "Rooms"}), "column missing: rooms"),
    "no rows": (lambda t: t.head(0), "a header without rows"),
    "no targets": (lambda t: t.assign(**{RENT: "?"}), "no readable rent"),
    "a letter of the past": (lambda t: t.assign(agent="a\rb"), None),
}


@pytest.mark.parametrize("change, told", BAD.values(), ids=BAD)
def test_other_tables_are_refused(project, rows, tmp_path, change, told):
    source = save(change(rows()), tmp_path / "a.csv", quoting=1)
    if told is None and sys.version_info >= (3, 13):  # it is written in quotes
        assert append(project, source)["aside"] == 50
        return
    message = refused(project, source)
    assert message.startswith(f"{source}: ") and (told or "cannot be added: ") in message


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"District\n\xe9\n", b"<html>", b'"'])
def test_what_is_no_such_table_is_refused(project, tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    assert refused(project, str(tmp_path / "a.csv")).startswith(f"{tmp_path / 'a.csv'}: ")
    assert "no such file" in refused(project, str(tmp_path / "none.csv"))


def test_rows_in_another_unit_are_refused(new_project, rows, tmp_path):
    project = new_project(MADE, preprocess={"median_target": [100, 3000]})
    source = save(rows().assign(**{RENT: "8000"}), tmp_path / "a.csv")
    assert "median rent 8,000; expected 100 to 3,000 EUR" in refused(project, source)


def test_a_column_that_is_left_out_has_to_be_there_too(project, rows, tmp_path):
    known = replace(project, problem=replace(MADE, left_out=("id",)))
    save(read_csv(project.raw).assign(id="1"), project.raw)
    message = refused(known, save(rows(), tmp_path / "a.csv"))
    assert "has the columns: id; give it the columns District, " in message
    source = save(rows().assign(id="2"), tmp_path / "a.csv")
    assert append(known, source)["added"] == 50
    assert append(known, save(rows().assign(id="3"), tmp_path / "a.csv"))["added"] == 0


def test_without_a_dataset_or_with_a_damaged_one_nothing_is_added(project, rows, tmp_path):
    source = save(rows(), tmp_path / "a.csv")
    project.raw.write_bytes(project.raw.read_bytes() + b"x\n")
    message = refused(project, source)
    assert message.startswith(str(project.raw)) and "line 402" in message
    project.raw.unlink()
    assert "no dataset to append to; dvc pull, or leave out" in refused(project, source)


def test_what_somebody_else_adds_meanwhile_is_not_lost(project, rows, tmp_path, monkeypatch):
    source, theirs = save(rows(), tmp_path / "a.csv"), project.raw.read_bytes() * 2

    def slow(*given, add=ingest._add):
        project.raw.write_bytes(theirs)
        return add(*given)

    monkeypatch.setattr(ingest, "_add", slow)
    with pytest.raises(ProjectError, match="changed meanwhile, by somebody else; try again"):
        append(project, source)
    assert project.raw.read_bytes() == theirs


KILLED = f"""
import os, signal, sys
sys.path.insert(0, {str(HERE.parents[1])!r})
from pathlib import Path
from problems import MADE, build_plain
from laptop_pricing.kit.data import ingest
from laptop_pricing.kit.project import open_project

def half(problem, path, new, names, target, add=ingest._add):
    add(problem, path, new, names, target)
    os.truncate(target, target.stat().st_size - 100)
    os.kill(os.getpid(), signal.SIGKILL)

ingest._add = half
ingest.append(open_project(MADE, build_plain, Path(sys.argv[1])), sys.argv[2])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a signal of POSIX")
def test_killed_in_the_middle_it_has_added_nothing(project, rows, tmp_path):
    source, before = save(rows(), tmp_path / "a.csv"), project.raw.read_bytes()
    done = subprocess.run([sys.executable, "-c", KILLED, project.root, source], timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert project.raw.read_bytes() == before
    assert [*project.interim.rglob("*.part")], "it was killed while it wrote"
    assert append(project, source)["added"] == 50
    assert not (project.interim / "append").exists()
