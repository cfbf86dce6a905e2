"""The synthetic sample: the same everywhere, and good raw data."""

import pytest

from laptop_pricing.data.read import read_csv, read_dataset
from laptop_pricing.data.sample import sample_blocks, write_sample
from laptop_pricing.data.schema import COLUMNS, TARGET
from laptop_pricing.data.validate import validate


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_sample(tmp_path / name, 50, seed)
    first, again, other = ((tmp_path / name).read_bytes() for name in "abc")
    assert first == again != other


@pytest.mark.parametrize("rows", [1, 37])
def test_it_has_as_many_rows_as_asked_for_and_the_raw_files_columns(tmp_path, rows):
    write_sample(tmp_path / "sample.csv", rows)
    found = read_csv(tmp_path / "sample.csv")
    assert len(found) == rows == sum(len(block) for block in sample_blocks(rows))
    assert list(found) == [column.raw_name for column in COLUMNS]


def test_no_row_breaks_the_schema(sample_csv, params):
    text = read_dataset(sample_csv, params.preprocess.median_price)
    table, failures = validate(text, COLUMNS)
    assert failures.empty
    assert (table[TARGET] > 0).all(), "the model takes its logarithm"
