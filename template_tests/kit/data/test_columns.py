"""The contract: a column reads what it spells and guesses nothing; a row is read as a table is."""

import math
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from problems import LAPTOPS, MADE, PROBLEMS, each_problem

from laptop_pricing.kit.data.sample import sample_blocks
from laptop_pricing.kit.data.table import validate

quick = settings(max_examples=20, deadline=None)
COLUMNS = {f"{p.name} {c.name}": c for p in PROBLEMS for c in p.columns}
each_column = pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
BY_NAME = {c.name: c for p in PROBLEMS for c in p.columns}


def values(column):
    """All that the column may hold."""
    if not column.numeric:
        return st.sampled_from(column.allowed or (True, False))
    draw = st.integers if column.kind == "integer" else st.floats
    ends = (column.low, column.high, *column.levels, *(number for _, number in column.words))
    numbers = draw(column.low, column.high) | st.sampled_from(ends)
    return numbers.map(int if column.kind == "integer" else float)


@each_column
@quick
@given(data=st.data())
def test_what_is_spelled_is_read_again_whatever_its_case_and_spaces(column, data):
    value = data.draw(values(column))
    change = data.draw(st.sampled_from([str, str.upper, str.lower, str.title]))
    space = data.draw(st.text(" \t\n\u00a0", max_size=3))
    for cell in (column.spell(value), space + change(column.spell(value)) + space, value):
        found = column.read(cell)
        assert type(found) is type(value) and found == value


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("brand", "Asus", "ASUS"), ("ram_gb", "8gb", 8), ("ram_gb", "8.0", 8), ("rooms", "+3", 3),
        ("ram_gb", "1.5E+01 GB", 15), ("warranty", "no WARRANTY", 0), ("warranty", "2 years", 2),
        ("touchscreen", "False", False), ("price", "2321.4830000000002", 2321.4830000000002),
        ("price", "1e4", 1e4), ("coldest", "-5.5", -5.5), ("coldest", "-1e1 C", -10.0),
        ("floor", "-1", -1), ("floor", "basement", -1), ("floor", "Ground Floor", 0),
        ("damp", "1E-06", 1e-6), ("deviation", ".5", 0.5), ("district", "SÃO TOMÉ", "São Tomé"),
        ("ram_gb", "8.5", None), ("ram_gb", "85e-1", None), ("ram_gb", "0x8", None),
        ("ram_gb", "1_000", None), ("ram_gb", "８", None), ("ram_gb", "٨", None),
        ("ram_gb", "²", None), ("ram_gb", "8 TB", None), ("ram_gb", "8 16", None),
        ("ram_gb", "GB", None), ("ram_gb", "- 1", None), ("ram_gb", "--1", None),
        ("ssd", "No warranty", None), ("warranty", "1 month", None), ("warranty", "no", None),
        ("touchscreen", "1", None), ("price", "2,321", None), ("price", "R$ 2321", None),
        ("price", "2.321,50", None), ("price", "1e999", None), ("floor", "-3", None),
        ("applicants", "99.000000000000000001", None), ("processor_name", "Core", None),
        ("processor_name", "Ryzen", None), ("brand", "ASUS DELL", None), ("district", "old", None),
    ],
)  # fmt: skip
def test_a_cell_is_read_or_it_is_not_guessed(name, text, value):
    found = BY_NAME[name].read(text)
    assert type(found) is type(value) and found == value


NOTHING = ("", " ", "no such value", "NaN", "inf", "1-", "1e", [], {}, math.nan, math.inf, None)
BAD = {"category": (0, True), "flag": (0, 1, "1", "maybe"), "number": (True, 10**400)}
BAD["integer"] = (*BAD["number"], 1.5, "1.5", "9" * 30)


@each_column
def test_what_a_column_may_not_hold_is_not_read(column):
    for cell in (*NOTHING, *BAD[column.kind]):
        assert column.read(cell) is None, cell
    if column.numeric:
        for beyond in (column.low - 1, column.high + 1):
            assert column.read(beyond) is column.read(str(beyond)) is None


@each_column
@quick
@given(text=st.text("0123456789. -+eEgGbByearsnN_,８²", max_size=50) | st.text())
@example("999999999.000000001")
@example("-0")
@example("1" * 400)
def test_no_text_raises_or_becomes_a_number_that_it_does_not_say(column, text):
    value = column.read(text)
    if column.numeric and value is not None and not column.words:
        digits = text.casefold().strip().removesuffix("s").removesuffix(column.unit.casefold())
        exact = Decimal(digits.strip(" -\t"))
        assert abs(exact) == abs(value) if column.kind == "integer" else float(exact) == abs(value)


@each_column
def test_the_rule_says_in_one_line_what_is_allowed(column):
    limits = column.allowed or {"flag": ("Yes", "No")}.get(column.kind, (column.low, column.high))
    assert all(str(limit) in column.rule for limit in limits)
    assert column.rule.splitlines() == [column.rule]


# Rows


@each_problem
def test_a_row_names_all_that_is_wrong_with_it(problem):
    row, failures = problem.read_row(problem.example)
    assert failures == [] and tuple(row) == problem.names
    assert problem.read_row(row) == (row, [])
    spoilt = dict.fromkeys(problem.names, "no such value") | {"unknown": 1}
    failures = problem.read_row(spoilt)[1]
    assert [failure.field for failure in failures] == [*problem.names, "unknown"]
    for column, failure in zip(problem.features, failures):
        assert str(failure) == f"{column.name}: found 'no such value'; expected {column.rule}"


@each_problem
@pytest.mark.parametrize("nothing", ["", " ", None, "missing"])
def test_what_is_missing_is_named_unless_it_has_a_default(problem, nothing):
    for column in problem.features:
        cells = {name: cell for name, cell in problem.example.items() if name != column.name}
        row, failures = problem.read_row(
            cells if nothing == "missing" else cells | {column.name: nothing}
        )
        assert [failure.field for failure in failures] == [column.name] * (column.default is None)
        assert row[column.name] == column.default


@pytest.mark.parametrize("other", [None, 1, "text", [{}]])
def test_what_is_no_row_is_refused(other):
    assert len(MADE.read_row(other)[1]) == 1


@pytest.mark.parametrize("problem", [LAPTOPS, MADE], ids=lambda problem: problem.name)
def test_rules_and_warnings_hold_for_a_row_as_they_do_for_a_table(problem):
    lax = replace(problem, rules=(), warnings=())  # so that the sample breaks them
    text = next(sample_blocks(lax, 300)).set_axis([c.name for c in problem.columns], axis=1)
    table = validate(text, problem.columns)[0]
    rows = table[list(problem.names)].to_dict("records")
    for rule in problem.rules:
        kept = [rule.text not in [f.expected for f in problem.read_row(row)[1]] for row in rows]
        assert kept == rule.holds(table).tolist() and not all(kept)
    for rule in problem.warnings:
        doubted = [rule.text in problem.doubts(row) for row in rows]
        assert doubted == rule.holds(table).tolist() and any(doubted)
