"""The synthetic sample is the same everywhere and looks like the real dataset."""

import csv

import pytest

from laptop_pricing.data import sample
from laptop_pricing.data.read import read_dataset
from laptop_pricing.data.sample import sample_blocks, write_sample
from laptop_pricing.data.schema import COLUMNS
from laptop_pricing.data.split import specification_key
from laptop_pricing.files import checksum

HEADER = [column.raw_name for column in COLUMNS]


def _read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.fixture(scope="module")
def text(tmp_path_factory, params):
    path = tmp_path_factory.mktemp("sample") / "laptops.csv"
    write_sample(path, 2000)
    return read_dataset(path, params.preprocess.median_price)


def test_the_bytes_are_the_same_on_every_python_and_system(tmp_path):
    write_sample(tmp_path / "a.csv", 1000)
    assert checksum(tmp_path / "a.csv", "md5") == "81269edb339c5eec713c55966b878ca9"


@pytest.mark.parametrize("rows", [1, 9, 10, 11, 20, 37])
def test_the_row_count_is_exact_across_blocks(tmp_path, monkeypatch, rows):
    monkeypatch.setattr(sample, "BLOCK_ROWS", 10)
    write_sample(tmp_path / "a.csv", rows)
    found = _read(tmp_path / "a.csv")
    assert found[0] == HEADER
    assert len(found) == 1 + rows
    assert HEADER not in found[1:]


def test_memory_does_not_grow_with_the_rows(monkeypatch):
    monkeypatch.setattr(sample, "BLOCK_ROWS", 10)
    blocks = sample_blocks(10**7)
    assert [len(next(blocks)) for _ in range(3)] == [10, 10, 10]


def test_blocks_differ_from_each_other(monkeypatch):
    monkeypatch.setattr(sample, "BLOCK_ROWS", 10)
    first, second = sample_blocks(20)
    assert first.to_csv(index=False) != second.to_csv(index=False)


def test_the_header_is_that_of_the_real_file(laptop_csv):
    assert _read(laptop_csv)[0] == HEADER


def test_the_spelling_is_that_of_the_raw_file(text):
    assert {"8 GB", "16 GB"} < set(text["ram_gb"])
    assert {"No warranty", "1 year", "2 years"} < set(text["warranty"])
    assert {"Yes", "No"} == set(text["touchscreen"])
    assert {"acer", "ASUS", "Lenovo"} < set(text["brand"])


def test_the_spelling_is_that_of_the_real_file(text, laptop_csv, params):
    real = read_dataset(laptop_csv, params.preprocess.median_price)
    for name in ("brand", "processor_name", "os", "os_bit", "weight", "touchscreen", "msoffice"):
        assert set(text[name]) <= set(real[name]), name
    for name in ("ram_gb", "ssd", "hdd", "warranty", "rating"):
        assert set(text[name].str.replace(r"\d+", "1", regex=True)) <= set(
            real[name].str.replace(r"\d+", "1", regex=True)
        ), name


def test_some_rows_are_exact_duplicates(text):
    assert 0.005 < text.duplicated().mean() < 0.05


def test_some_specifications_are_listed_again_at_another_price(text):
    distinct = text.drop_duplicates()
    assert 0.1 < specification_key(distinct).duplicated().mean() < 0.5


def test_the_quirks_that_preprocess_warns_about_are_there(text):
    assert ((text["ratings"] == "0") & (text["rating"] == "3 stars")).any()
    assert (text["processor_gnrtn"] == "Not Available").any()
