"""One row, as typed or as JSON says it: nothing is coerced, and each error names its field."""

import math

import pytest

from laptop_pricing.data.row import contradictions, read_row
from laptop_pricing.data.schema import (
    CONTRADICTIONS,
    EXAMPLE,
    FEATURES,
    ROW_RULES,
    SPECIFICATION,
)
from laptop_pricing.modeling.compiled import random_rows

BAD = {
    "category": ("no such value", 0, 1.5, True, [], {}),
    "flag": ("maybe", 0, 1, "1", [], {}),
    "integer": ("many", math.nan, math.inf, -math.inf, True, False, 1.5, 10**400, [8], {}),
    "number": ("many", math.nan, math.inf, -math.inf, True, False, 10**400, [8], {}),
}
CELLS = [(column, bad) for column in SPECIFICATION for bad in BAD[column.kind]]


def test_the_example_is_read_into_what_it_says():
    row, failures = read_row(EXAMPLE)
    assert failures == [] and tuple(row) == FEATURES
    assert read_row(row) == (row, [])


@pytest.mark.parametrize("column, bad", CELLS, ids=lambda part: getattr(part, "name", None))
def test_defect_3_a_bad_value_is_an_error_that_names_the_field(column, bad):
    _, failures = read_row(EXAMPLE | {column.name: bad})
    assert [failure.field for failure in failures] == [column.name]
    assert failures[0].expected == column.rule and str(failures[0]).startswith(f"{column.name}: ")


@pytest.mark.parametrize("column", SPECIFICATION, ids=lambda column: column.name)
@pytest.mark.parametrize("nothing", ["", " ", None, "missing"])
def test_defect_2_what_is_missing_is_named_unless_it_has_a_default(column, nothing):
    cells = {name: cell for name, cell in EXAMPLE.items() if name != column.name}
    if nothing != "missing":
        cells[column.name] = nothing
    row, failures = read_row(cells)
    if column.default is None:
        assert [failure.field for failure in failures] == [column.name]
    else:
        assert failures == [] and row[column.name] == column.default


def test_defect_2_an_unknown_field_is_named():
    _, failures = read_row(EXAMPLE | {"no such field": 1})
    assert [failure.field for failure in failures] == ["no such field"]


@pytest.mark.parametrize("other", [None, 1, "text", [EXAMPLE]])
def test_what_is_no_row_is_refused(other):
    assert len(read_row(other)[1]) == 1


def test_the_rules_hold_for_a_row_as_they_do_for_a_table():
    table = random_rows(500, seed=1)
    rows = table.to_dict("records")
    for rule in CONTRADICTIONS:
        found = [rule.text in contradictions(row) for row in rows]
        assert found == rule.holds(table).tolist()
    for rule in ROW_RULES:
        broken = [rule.text in [f.expected for f in read_row(row)[1]] for row in rows]
        assert broken == (~rule.holds(table)).tolist()
