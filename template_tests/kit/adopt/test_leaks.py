"""What gives the target away is found, and what merely explains much of it is not."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine

from laptop_pricing.kit.adopt.leaks import find_class_leaks, find_leaks

ROWS = 400
RANDOM = np.random.default_rng(1)
HONEST = pd.DataFrame(RANDOM.normal(size=(ROWS, 5)), columns=list("abcde"))
NOISE = RANDOM.normal(size=ROWS)
# Positive, skewed, and explained in part.
TARGET = np.exp(0.5 * HONEST["a"] + 0.3 * HONEST["b"] + 0.4 * NOISE)
SPREAD = TARGET.std() * np.sqrt(1 / 0.99**2 - 1)
NOISY = RANDOM.normal(size=ROWS)
PART = TARGET * RANDOM.uniform(0.1, 0.9, ROWS)
# fmt: off
PLANTED = {
    "a copy": ({"x": 3 * TARGET + 1}, "a copy of the target"),
    "a rounded copy": ({"x": TARGET.round(2)}, "of the target"),
    "its logarithm": ({"x": np.log(TARGET)}, "function of it"),
    "a falling function": ({"x": 1 / TARGET}, "function of it"),
    "a noisy copy, r = 0.99": ({"x": TARGET + NOISY * SPREAD}, "% of the target alone"),
    "two parts": ({"x": PART, "y": TARGET - PART}, "a sum in which it is a part"),
    "a part and its rest": ({"x": PART, "y": PART - TARGET}, "a sum in which it is a part"),
    "an id in its order": ({"x": TARGET.rank() + 1000}, "function of it"),
    "its bands": ({"x": TARGET.rank() // 3}, "% of the target alone"),
}
# fmt: on


@pytest.mark.parametrize("columns, why", PLANTED.values(), ids=PLANTED)
def test_a_planted_leak_is_found_and_no_other_column(columns, why):
    leaks = find_leaks(HONEST.assign(**columns), TARGET)
    assert set(leaks) == set(columns)
    assert all(why in reason for reason in leaks.values()), leaks


def test_cells_may_be_missing():
    known = pd.Series(RANDOM.random(ROWS) < 0.8)
    assert set(find_leaks(HONEST.assign(x=TARGET.where(known)), TARGET)) == {"x"}


def test_no_alarm_where_columns_explain_much_but_are_known_beforehand():
    assert find_leaks(HONEST, TARGET) == {}
    strong = 10 * HONEST["a"] + 3 * HONEST["b"] + NOISE  # 0.9 of it by one column
    assert find_leaks(HONEST, strong) == {}
    table = load_diabetes(as_frame=True).frame
    assert find_leaks(table.drop(columns="target"), table["target"]) == {}


# Of classes

CODES = pd.Series(np.where(HONEST["a"] + NOISE > 0.8, 2, np.where(HONEST["b"] + NOISE > 0, 1, 0)))
HALF = (TARGET > TARGET.median()).astype(int)


def wrong(codes, rows):
    """The codes of two classes, but wrong in some rows."""
    flipped = RANDOM.permutation(ROWS) < rows
    return codes.where(~flipped, 1 - codes).astype(float)


CLASS_PLANTED = {
    "a copy in other words": (CODES, CODES.map({0: 2.0, 1: 0.0, 2: 1.0})),
    "a code": (CODES, CODES * 10.0 + 7 + RANDOM.integers(3, size=ROWS)),
    "a number cut at a threshold": (HALF, TARGET),
    "a copy that is right in 99 %": (HALF, wrong(HALF, 4)),
    "a copy with blank cells": (HALF, HALF.where(RANDOM.random(ROWS) > 0.01).astype(float)),
}


@pytest.mark.parametrize("codes, column", CLASS_PLANTED.values(), ids=CLASS_PLANTED)
def test_a_planted_copy_of_a_class_is_found_and_no_other_column(codes, column):
    leaks = find_class_leaks(HONEST.assign(x=column), codes)
    assert list(leaks) == ["x"] and "tells the class alone, in " in leaks["x"]


def test_no_alarm_where_a_column_tells_most_classes():
    assert find_class_leaks(HONEST.assign(x=wrong(HALF, 20)), HALF) == {}  # right in 95 %
    rare = pd.Series(np.arange(ROWS) % 50 == 0).astype(int)
    assert find_class_leaks(HONEST, rare) == {}  # always said, the other is right in 98 %
    for load in (load_iris, load_wine, load_breast_cancer):
        table = load(as_frame=True).frame
        assert find_class_leaks(table.drop(columns="target"), table["target"]) == {}
