"""The hold-out never changes, and no laptop is on both sides of a split."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laptop_pricing.data.preprocess import TABLE_FILE, preprocess
from laptop_pricing.data.schema import COLUMNS, FEATURES
from laptop_pricing.data.split import (
    HOLDOUT_PERCENT,
    HOLDOUT_RULE,
    grouped_folds,
    is_held_out,
    specification_key,
)
from laptop_pricing.settings import Workspace

quick = settings(max_examples=50, deadline=None)
some_keys = st.lists(st.text(max_size=12), min_size=1, max_size=30)


def _held_out(*keys):
    return is_held_out(pd.Series(keys, dtype=object)).tolist()


def _text(**changes):
    cells = {column.name: column.name for column in COLUMNS} | changes
    return pd.DataFrame({name: [cell] for name, cell in cells.items()}, dtype=object)


@pytest.fixture(scope="module")
def keys():
    """120 rows of 40 made-up laptops, some listed once and some up to eight times."""
    draws = np.random.RandomState(0).randint(0, 40, 80)
    return pd.Series([f"laptop {i}" for i in [*range(40), *draws]])


# Hold-out


def test_the_hold_out_is_frozen():
    assert (HOLDOUT_RULE, HOLDOUT_PERCENT) == ("v1", 20)
    # By the rule these come to 0, 20 (the first outside), 99, 7 and 38 of 100.
    keys = ("laptop 38", "laptop 57", "laptop 58", "ação", "")
    assert _held_out(*keys) == [True, False, False, True, False]


@quick
@given(some_keys)
def test_the_hold_out_is_the_formula_of_the_design(keys):
    expected = [
        int(hashlib.sha256(("v1|" + key).encode("utf-8")).hexdigest()[:8], 16) % 100 < 20
        for key in keys
    ]
    assert _held_out(*keys) == expected


@quick
@given(some_keys, some_keys)
def test_new_rows_never_move_old_ones(old, new):
    assert _held_out(*old, *new)[: len(old)] == _held_out(*old)
    assert _held_out(*new, *old)[len(new) :] == _held_out(*old)


@quick
@given(some_keys, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(keys, random):
    shuffled = list(keys)
    random.shuffle(shuffled)
    assert dict(zip(keys, _held_out(*keys))) == dict(zip(shuffled, _held_out(*shuffled)))


def test_the_hold_out_keeps_the_rows_own_index():
    keys = pd.Series(["a", "b", "c"], index=[7, 3, 99])
    assert is_held_out(keys).index.tolist() == [7, 3, 99]
    assert is_held_out(keys).dtype == bool


def test_no_row_gives_no_hold_out():
    assert _held_out() == []


def test_a_fifth_is_held_out():
    share = np.mean(_held_out(*(f"laptop {i}" for i in range(5000))))
    assert 0.18 < share < 0.22


# The key


def test_the_key_is_the_15_cells_in_file_order_stripped_and_lower_cased():
    text = _text(brand="  ASUS ", ram_gb="8 GB\t", touchscreen="Yes", price="5000")
    assert specification_key(text).tolist() == [
        "asus|processor_brand|processor_name|processor_gnrtn|8 gb|ram_type|ssd|hdd|os|os_bit|"
        "graphic_card_gb|weight|warranty|yes|msoffice"
    ]


def test_the_key_does_not_depend_on_the_order_of_the_columns():
    text = _text()
    assert specification_key(text[text.columns[::-1]])[0] == specification_key(text)[0]


def test_the_key_keeps_the_rows_own_index():
    text = pd.concat([_text(), _text(brand="x")]).set_axis([5, 2])
    assert specification_key(text).index.tolist() == [5, 2]


# Folds


def test_seeds_and_folds_are_numbered(keys):
    found = [(seed, fold) for seed, fold, _, _ in grouped_folds(keys, 3, (4, 2))]
    assert found == [(4, 0), (4, 1), (4, 2), (2, 0), (2, 1), (2, 2)]


def test_folds_are_reproducible_and_seeds_differ(keys):
    def draw(seed):
        return [test.tolist() for _, _, _, test in grouped_folds(keys, 5, (seed,))]

    assert draw(0) == draw(0)
    assert draw(0) != draw(1)


def test_folds_do_not_depend_on_the_rows_index(keys):
    moved = keys.set_axis(range(1000, 1000 + len(keys)))
    for found, expected in zip(grouped_folds(moved, 4, (0,)), grouped_folds(keys, 4, (0,))):
        assert found[3].tolist() == expected[3].tolist()


def test_defect_5_identical_specification_is_never_in_train_and_test(tmp_path, sample_csv, params):
    workspace = Workspace(tmp_path)
    workspace.raw.parent.mkdir(parents=True)
    workspace.raw.write_bytes(sample_csv.read_bytes())
    preprocess(workspace, params.preprocess)
    table = pd.read_parquet(workspace.processed / TABLE_FILE)
    laptops = pd.Series(list(table[list(FEATURES)].itertuples(index=False, name=None)))
    assert laptops.duplicated().sum() > 30  # else this test could not fail
    for _, _, train, test in grouped_folds(table["key"], 5, (0, 1)):
        assert not set(laptops[train]) & set(laptops[test])
    held_out = is_held_out(table["key"]).to_numpy()
    assert not set(laptops[held_out]) & set(laptops[~held_out])


# The real data


def test_the_hold_out_of_the_real_data_is_about_a_fifth(tmp_path, laptop_csv, params):
    workspace = Workspace(tmp_path)
    workspace.raw.parent.mkdir(parents=True)
    workspace.raw.write_bytes(laptop_csv.read_bytes())
    preprocess(workspace, params.preprocess)
    keys = pd.read_parquet(workspace.processed / TABLE_FILE)["key"]
    assert 0.15 < is_held_out(keys).mean() < 0.25
    for _, _, train, test in grouped_folds(keys, 5, (0, 1, 2, 3, 4)):
        assert not set(keys.iloc[train]) & set(keys.iloc[test])
