"""The problem is whole: every column reads what it spells, and all that names columns fits."""

import keyword

import pytest
from outputs import CLASSES, TASK

from laptop_pricing.kit.data.read import read_dataset
from laptop_pricing.kit.data.table import GROUP, KEY, records, validate
from laptop_pricing.kit.modeling.train import read_processed
from laptop_pricing.kit.problem import REFUSED, says_nothing
from laptop_pricing.problem import PROBLEM

OUR_OWN = {"row", KEY, GROUP, "margin", "risk", *TASK.cell_names}
NUMBERS = [column for column in PROBLEM.columns if column.numeric]
RULES = PROBLEM.rules + PROBLEM.warnings + PROBLEM.late_warnings


def each(columns):
    return pytest.mark.parametrize("column", columns, ids=lambda column: column.name)


def values(column):
    """Values that a column may hold, the ends of its range among them."""
    if column.kind == "category":
        return column.allowed
    if column.kind == "flag":
        return (True, False)
    return (column.low, column.high, *column.levels, *(value for _, value in column.words))


@each(PROBLEM.columns)
def test_a_column_reads_what_it_spells_in_any_case(column):
    for value in values(column):
        spelled = column.spell(value)
        assert column.read(spelled) == value == column.read(f"  {spelled.upper()} ")
        assert column.read(value) == value


@each(PROBLEM.columns)
@pytest.mark.parametrize("cell", ["", "  ", "no such value", None, [], float("nan")])
def test_a_column_guesses_nothing(column, cell):
    nothing = column.optional and says_nothing(cell)
    assert column.read(cell) is (column.default if nothing else REFUSED)


@each(NUMBERS)
def test_a_number_beyond_its_range_is_refused(column):
    for beyond in (column.low - 1, column.high + 1, True):
        assert column.read(beyond) is column.read(str(beyond)) is REFUSED


@each([column for column in NUMBERS if column.levels])
def test_levels_ascend_within_the_range(column):
    assert list(column.levels) == sorted(set(column.levels))
    assert column.low <= column.levels[0] and column.levels[-1] <= column.high


@each([column for column in PROBLEM.features if column.ladders])
def test_ladders_cover_the_categories(column):
    assert sorted(step for ladder in column.ladders for step in ladder) == sorted(column.allowed)


@each([column for column in PROBLEM.features if column.default is not None])
def test_a_default_is_a_value_of_its_column(column):
    assert column.read(column.default) == column.default


def test_names_mean_one_column_each():
    names = [n for c in PROBLEM.columns for n in {c.name.casefold(), c.raw_name.casefold()}]
    assert sorted(names) == sorted(set(names))
    assert not OUR_OWN & {column.name for column in PROBLEM.columns}
    assert all(name.isidentifier() and not keyword.iskeyword(name) for name in PROBLEM.names)


def test_the_target_suits_its_errors_which_are_reported_by_a_feature():
    assert CLASSES or PROBLEM.target.low > 0 or not PROBLEM.relative
    assert PROBLEM.slice_by in ("", *PROBLEM.names)
    assert list(PROBLEM.bands) == sorted(set(PROBLEM.bands))
    assert not PROBLEM.target.optional


def test_the_example_is_valid():
    assert {*PROBLEM.example} <= {*PROBLEM.names}
    assert PROBLEM.read_row(PROBLEM.example)[1] == []


def test_the_sample_is_good_raw_data(sample_csv):
    text = read_dataset(sample_csv, PROBLEM, None)
    table, failures = validate(text, PROBLEM.columns, PROBLEM.rules)
    assert failures.to_dict("records") == [] and len(table) == len(text)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.text)
def test_a_rule_answers_for_a_whole_table_and_for_one_row_alike(rule, trained):
    table, _ = read_processed(trained)
    answers = rule.holds(table)
    assert answers.dtype == bool and answers.index.equals(table.index)
    assert answers.all() or rule not in PROBLEM.rules
    if rule not in PROBLEM.late_warnings:
        for row, answer in zip(records(table.head(50), table.columns), answers):
            told = {f.expected for f in PROBLEM.broken_rules(row)} | set(PROBLEM.doubts(row))
            assert (rule.text in told) == (bool(answer) == (rule not in PROBLEM.rules))
