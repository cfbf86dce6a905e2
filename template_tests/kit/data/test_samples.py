"""The sample: the same everywhere, good raw data, and something to be learned; and its folds."""

import hashlib

import pandas as pd
import pytest
from problems import LAPTOPS, MADE, PROBLEMS, each_problem, make_project

from laptop_pricing.kit.data.preprocess import TABLE_FILE, preprocess
from laptop_pricing.kit.data.sample import BLOCK_ROWS, sample_blocks, write_sample
from laptop_pricing.kit.data.split import is_held_out, raw_key
from laptop_pricing.kit.data.table import GROUP, validate
from laptop_pricing.kit.files import checksum
from laptop_pricing.kit.modeling.evaluate import cross_validate, summarise
from laptop_pricing.kit.modeling.task import task_of
from laptop_pricing.kit.params import TrainParams
from laptop_pricing.kit.problem import category

# fmt: off
SHA = ("70962ff0a608", "12e9359113ff", "db17bb9ff094", "ab55a0feb213",  # pragma: allowlist secret
       "8f4d1d6833d6", "57b82abdb653")  # pragma: allowlist secret
# fmt: on
BYTES = dict(zip((problem.name for problem in PROBLEMS), SHA))


def sample(problem, rows=2000, seed=1):
    text = pd.concat(sample_blocks(problem, rows, seed))
    return text.set_axis([column.name for column in problem.columns], axis=1)


@each_problem
def test_the_bytes_are_the_same_on_every_python_and_system(tmp_path, problem):
    for name, seed in (("a", 2025), ("b", 2026)):
        write_sample(problem, tmp_path / name, 500, seed)
    first, second = (checksum(tmp_path / name, "md5")[:12] for name in "ab")
    assert first == BYTES[problem.name] != second


@each_problem
@pytest.mark.parametrize("rows", [1, 37, 2000])
def test_it_is_good_raw_data(problem, rows):
    text = sample(problem, rows)
    table, failures = validate(text, problem.columns, problem.rules)
    assert failures.empty and len(table) == rows
    if rows == 2000:
        for column in problem.columns:
            assert column is problem.target or text[column.name].nunique() >= 2
        assert 0.005 < table.duplicated().mean() < 0.05
        again = table.drop_duplicates()[list(problem.names)].duplicated()
        assert 0.1 < again.mean() < 0.4
        for rule in problem.warnings:
            assert 0 <= rule.holds(table).mean() < 0.15


def test_blocks_differ_and_none_is_larger_than_its_size():
    blocks = sample_blocks(MADE, 10**7)
    first, second = next(blocks), next(blocks)
    assert len(first) == len(second) == BLOCK_ROWS and not first.equals(second)
    assert [len(block) for block in sample_blocks(MADE, BLOCK_ROWS + 1)] == [BLOCK_ROWS, 1]


@pytest.mark.parametrize("problem", [LAPTOPS, MADE], ids=lambda problem: problem.name)
def test_a_model_learns_from_it(tmp_path, problem):
    project = make_project(tmp_path, problem, raw=False)
    write_sample(problem, project.raw, 800)
    preprocess(project)
    table = pd.read_parquet(project.processed / TABLE_FILE)
    scores = summarise(cross_validate(project.model(), problem, table, project.params.train)[0])
    assert scores["R2"]["mean"] > 0.6 and scores["MAPE"]["mean"] < 0.15


def test_the_hold_out_is_frozen():
    """Another rule would show the model what it was tested on: it gets another name, then."""
    keys = pd.Series(["a", "b", "ação", "", *map(str, range(5000))], index=range(9, 5013))
    found = is_held_out(keys)
    digests = [hashlib.sha256(f"v1|{key}".encode()).hexdigest() for key in keys]
    assert found.tolist() == [int(digest[:8], 16) % 100 < 20 for digest in digests]
    assert found.index.equals(keys.index) and 0.18 < found.mean() < 0.22
    assert is_held_out(keys[::-1])[::-1].equals(found) and is_held_out(keys[:2]).equals(found[:2])


A, B = category("a", "", ()), category("b", "", ())


def test_the_key_is_the_cells_as_found_but_for_case_and_spaces():
    text = pd.DataFrame({"a": [" ASUS\t", "x"], "late": ["?", "?"], "b": ["8 GB", ""]}, [5, 2])
    assert raw_key(text, [A, B]).to_dict() == {5: "asus|8 gb", 2: "x|"}
    assert raw_key(text, [B]).tolist() == ["8 gb", ""]
    cells = pd.DataFrame({"b": ["N/A", " -", "", "no"]})
    assert raw_key(cells, [category("b", "", (), unknown=True)]).tolist() == ["", "", "", "no"]


@each_problem
def test_no_case_is_on_both_sides_of_a_split(problem):
    text = sample(problem)
    keys, (table, _) = raw_key(text, problem.features), validate(text, problem.columns)
    table = table.assign(**{GROUP: keys}).set_axis(range(1000, 3000))
    cases = text[list(problem.names)].apply(tuple, axis=1)
    task, params = task_of(problem), TrainParams(folds=5, seeds=(4, 2))
    folds = list(task.folds(table, params))
    assert [fold[:2] for fold in folds] == [(seed, fold) for seed in (4, 2) for fold in range(5)]
    for _, _, train, test in folds:
        assert not set(cases.iloc[train]) & set(cases.iloc[test]) and len(train) + len(test) == 2000
    assert folds[0][3].tolist() != folds[5][3].tolist()
    again = next(task.folds(table.reset_index(drop=True), params))
    assert again[3].tolist() == folds[0][3].tolist()
