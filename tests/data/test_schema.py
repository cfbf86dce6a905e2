"""The schema is whole: every column reads what it spells, and all that names columns fits."""

import keyword

import pandas as pd
import pytest

from laptop_pricing.data.read import fill_default
from laptop_pricing.data.schema import (
    BANDS,
    COLUMNS,
    CONTRADICTIONS,
    DATASET_CONTRADICTIONS,
    EXAMPLE,
    FEATURES,
    ROW_RULES,
    SLICED_BY,
    SPECIFICATION,
    TARGET,
)
from laptop_pricing.data.validate import validate
from laptop_pricing.modeling.predict import HIGH, LOW, PREDICTION
from laptop_pricing.modeling.train import read_processed

OUR_OWN = {"row", "key", "specification", "margin", "risk", PREDICTION, LOW, HIGH}
NUMBERS = [column for column in COLUMNS if column.kind in ("integer", "number")]


def each(columns):
    return pytest.mark.parametrize("column", columns, ids=[column.name for column in columns])


def values(column):
    """Values that a column may hold, the ends of its range among them."""
    if column.kind == "category":
        return column.allowed
    if column.kind == "flag":
        return (True, False)
    return (column.low, column.high, *column.levels, *(value for _, value in column.words))


@each(COLUMNS)
def test_a_column_reads_what_it_spells_in_any_case(column):
    for value in values(column):
        spelled = column.spell(value)
        assert column.parse(spelled) == value
        assert column.parse(f"  {spelled.upper()} ") == value


@each(COLUMNS)
@pytest.mark.parametrize("text", ["", "  ", "no such value", "1-", "1e"])
def test_a_column_guesses_nothing(column, text):
    assert column.parse(text) is None


@each(COLUMNS)
def test_every_value_of_a_column_passes_and_none_beyond_its_range(column):
    good = pd.DataFrame({column.name: [column.spell(value) for value in values(column)]})
    assert _broken(good, column) == set()
    if column in NUMBERS:
        beyond = pd.DataFrame({column.name: [column.spell(column.high), f"{column.high + 1}"]})
        assert _broken(beyond, column) == {1}


def _broken(text, column):
    """Positions of the cells that the column refuses; rules over several columns left out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("laptop_pricing.data.validate.ROW_RULES", ())
        return set(validate(text, [column])[1]["row"])


@each([column for column in NUMBERS if column.levels])
def test_levels_ascend_within_the_range(column):
    assert list(column.levels) == sorted(set(column.levels))
    assert column.low <= column.levels[0] and column.levels[-1] <= column.high


@each([column for column in SPECIFICATION if column in NUMBERS])
def test_a_number_that_the_model_is_given_has_levels(column):
    assert len(column.levels) > 1 and column.low >= 0


@each([column for column in SPECIFICATION if column.ladders])
def test_ladders_cover_the_categories(column):
    assert sorted(step for ladder in column.ladders for step in ladder) == sorted(column.allowed)


@each([column for column in SPECIFICATION if column.default is not None])
def test_a_default_is_a_value_and_fills_blank_cells_alone(column):
    other = column.spell(values(column)[0])
    filled = fill_default(column, pd.Series(["", " ", other]))
    assert [column.parse(cell) for cell in filled] == [column.default] * 2 + [column.parse(other)]
    assert _broken(filled.to_frame(column.name), column) == set()


def test_names_mean_one_column_each():
    names = [n for c in COLUMNS for n in {c.name.casefold(), c.raw_name.casefold()}]
    assert sorted(names) == sorted(set(names))
    assert not OUR_OWN & {column.name for column in COLUMNS}
    assert all(name.isidentifier() and not keyword.iskeyword(name) for name in FEATURES)


def test_the_features_are_columns_the_target_is_none_of_them_and_errors_are_reported_by_one():
    assert SLICED_BY in FEATURES and list(BANDS) == sorted(set(BANDS))
    assert FEATURES == tuple(column.name for column in SPECIFICATION)
    assert {*SPECIFICATION} < {*COLUMNS}
    assert TARGET in {column.name for column in COLUMNS} - {*FEATURES}


def test_the_example_is_valid():
    assert {*EXAMPLE} <= {*FEATURES}
    cells = {c.name: fill_default(c, pd.Series([EXAMPLE.get(c.name, "")])) for c in SPECIFICATION}
    assert validate(pd.DataFrame(cells), SPECIFICATION)[1].to_dict("records") == []


@pytest.mark.parametrize(
    "rule", ROW_RULES + CONTRADICTIONS + DATASET_CONTRADICTIONS, ids=lambda rule: rule.text
)
def test_a_rule_over_several_columns_answers_for_every_row(rule, trained):
    table, _ = read_processed(trained)
    answers = rule.holds(table)
    assert answers.dtype == bool and answers.index.equals(table.index)
    assert answers.all() or rule not in ROW_RULES
