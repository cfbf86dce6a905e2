"""The hold-out never changes, and no specification is on both sides of a split."""

import pandas as pd
import pytest

from laptop_pricing.data.schema import COLUMNS, FEATURES
from laptop_pricing.data.split import grouped_folds, is_held_out, specification_key

OTHERS = [column.name for column in COLUMNS if column.name not in FEATURES]


def held_out(keys):
    return is_held_out(pd.Series(keys, dtype=object)).tolist()


def text(**changes):
    """One row of text, each cell its column's name."""
    return pd.DataFrame([{column.name: column.name for column in COLUMNS} | changes])


def test_the_rule_of_the_hold_out_is_frozen():
    """Another rule would show the model what it was tested on: it gets another name, then."""
    keys = ["row 16", "row 193", "row 6", "a|1", "é"]  # 19, 20, 98, 6 and 9 of 100
    assert held_out(keys) == [True, False, False, True, True]


def test_new_rows_never_move_old_ones():
    old, new = [f"old {i}" for i in range(50)], [f"new {i}" for i in range(50)]
    assert held_out(new + old)[50:] == held_out(old)


def test_the_key_is_the_features_as_found_but_for_case_and_spaces():
    key = specification_key(text())[0]
    assert key == "|".join(FEATURES).lower()
    first = FEATURES[0]
    assert specification_key(text(**{first: f" {first.upper()} "}))[0] == key


@pytest.mark.parametrize("name", FEATURES)
def test_another_feature_is_another_specification(name):
    assert specification_key(text(**{name: "x"}))[0] != specification_key(text())[0]


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_feature_makes_no_other_specification(name):
    assert specification_key(text(**{name: "x"}))[0] == specification_key(text())[0]


def test_folds_never_share_a_specification_and_test_every_row_once():
    groups = pd.Series([i % 17 for i in range(100)])
    for seed in (0, 1):
        tested = []
        for _, _, train, test in grouped_folds(groups, 4, (seed,)):
            assert not set(groups[train]) & set(groups[test])
            assert sorted([*train, *test]) == list(range(len(groups)))
            tested.extend(test)
        assert sorted(tested) == list(range(len(groups)))
