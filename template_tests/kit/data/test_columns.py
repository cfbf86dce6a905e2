"""The contract: a column reads what it spells and guesses nothing; a row is read as a table is."""

import math
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from problems import LAPTOPS, MADE, PROBLEMS, each_problem

from laptop_pricing.kit.data.sample import sample_blocks
from laptop_pricing.kit.data.table import records, validate
from laptop_pricing.kit.problem import REFUSED, says_nothing

COLUMNS = {c.name: c for p in PROBLEMS for c in p.columns}
each_column = pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
# fmt: off
READ = (
    ("brand", "Asus", "ASUS"), ("ram_gb", "8gb", 8), ("ram_gb", "8.0", 8), ("rooms", "+3", 3),
    ("ram_gb", "1.5E+01 GB", 15), ("warranty", "no WARRANTY", 0), ("warranty", "2 years", 2),
    ("touchscreen", "False", False), ("price", "2321.4830000000002", 2321.4830000000002),
    ("price", "1e4", 1e4), ("coldest", "-5.5", -5.5), ("coldest", "-1e1 C", -10.0),
    ("floor", "-1", -1), ("floor", "basement", -1), ("floor", "Ground Floor", 0),
    ("damp", "1E-06", 1e-6), ("deviation", ".5", 0.5), ("district", "SÃO TOMÉ", "São Tomé"),
)
GUESSES = {
    "ram_gb": "8.5|85e-1|0x8|1_000|８|٨|²|8 TB|8 16|GB|- 1|--1", "ssd": "No warranty",
    "warranty": "1 month|no", "touchscreen": "1", "price": "2,321|R$ 2321|2.321,50|1e999",
    "floor": "-3", "applicants": "99.000000000000000001", "processor_name": "Core|Ryzen|other",
}
# fmt: on
NOTHING = ("", " ", "no such value", "NaN", "inf", "1-", "1e", [], {}, math.nan, math.inf, None)
BAD = {"category": (0, True), "flag": (0, 1, "1", "maybe"), "number": (True, 10**400)}
BAD["integer"] = (*BAD["number"], 1.5, "1.5", "9" * 30)


@each_column
def test_what_is_spelled_is_read_again_and_nothing_is_guessed(column):
    ends = (column.low, column.high, *column.levels, *(number for _, number in column.words))
    for value in (
        map(float if column.kind == "number" else int, ends)
        if column.numeric
        else (column.allowed or (True, False))
    ):
        text = column.spell(value)
        for cell in (value, text, text.upper(), f" \t\u00a0{text.swapcase()} \n"):
            found = column.read(cell)
            assert type(found) is type(value) and found == value
    cells = [*NOTHING, *BAD[column.kind], *filter(None, GUESSES.get(column.name, "").split("|"))]
    for beyond in (column.low - 1, column.high + 1) if column.numeric else ():
        cells += [beyond, str(beyond)]
    for cell in cells:
        nothing = column.optional and cell in (None, "", " ", "NaN")
        assert column.read(cell) is (column.default if nothing else REFUSED), cell


@pytest.mark.parametrize(("name", "text", "value"), READ)
def test_a_cell_as_found_is_read(name, text, value):
    found = COLUMNS[name].read(text)
    assert type(found) is type(value) and found == value


@each_column
@settings(max_examples=15, deadline=None)
@given(text=st.text("0123456789. -+eEgGbByearsnN_,８²", max_size=50) | st.text())
@example("999999999.000000001")
@example("1" * 400)
def test_no_text_raises_or_becomes_a_number_that_it_does_not_say(column, text):
    value = column.read(text)
    if column.numeric and isinstance(value, (int, float)) and not column.words:
        if column.optional and says_nothing(text):
            return
        digits = text.casefold().strip().removesuffix("s").removesuffix(column.unit.casefold())
        exact = abs(Decimal(digits.strip(" -\t")))
        assert abs(value) == (exact if column.kind == "integer" else float(exact))


@each_problem
@pytest.mark.parametrize("nothing", ["", " ", None])
def test_a_row_names_all_that_is_wrong_with_it(problem, nothing):
    row, failures = problem.read_row(problem.example)
    assert failures == [] and problem.read_row(row) == (row, [])
    *failures, unknown = problem.read_row(dict.fromkeys(problem.names, "none such") | {"x": 1})[1]
    said = [f"{c.name}: found 'none such'; expected {c.rule}" for c in problem.features]
    assert [str(failure) for failure in failures] == said and unknown.field == "x"
    blank = {c.name: c.default for c in problem.features}
    for cells in ({}, dict.fromkeys(problem.names, nothing)):
        row, failures = problem.read_row(cells)
        assert row == blank
        needed = [column.name for column in problem.features if not column.optional]
        assert [failure.field for failure in failures] == needed
    assert all(len(problem.read_row(other)[1]) == 1 for other in (None, 1, "text", [{}]))


@pytest.mark.parametrize("problem", [LAPTOPS, MADE], ids=lambda problem: problem.name)
def test_rules_and_warnings_hold_for_a_row_as_they_do_for_a_table(problem):
    lax = replace(problem, rules=(), warnings=())  # so that the sample breaks them
    text = next(sample_blocks(lax, 300)).set_axis([c.name for c in problem.columns], axis=1)
    table = validate(text, problem.columns)[0]
    rows = records(table, problem.names)
    for rule in problem.rules:
        kept = [rule.text not in [f.expected for f in problem.read_row(row)[1]] for row in rows]
        assert kept == rule.holds(table).tolist() and not all(kept)
    for rule in problem.warnings:
        doubted = [rule.text in problem.doubts(row) for row in rows]
        assert doubted == rule.holds(table).tolist() and any(doubted)
