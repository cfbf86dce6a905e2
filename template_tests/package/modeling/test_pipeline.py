"""What the model must do, whatever it has learned."""

import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold
from sklearn.utils.validation import check_is_fitted

from laptop_pricing.data.schema import FEATURES, SPECIFICATION, TARGET
from laptop_pricing.data.split import is_held_out
from laptop_pricing.modeling import pipeline
from laptop_pricing.modeling.bundle import load_bundle
from laptop_pricing.modeling.pipeline import (
    build_pipeline,
    choose_alpha,
    chosen_alpha,
    fit_pipeline,
    questions,
)
from laptop_pricing.modeling.quote import quote
from laptop_pricing.modeling.ridge import fit_ridge

CATEGORIES = [column for column in SPECIFICATION if column.kind == "category"]
NUMBERS = [column for column in SPECIFICATION if column.levels]

LAPTOP = {
    "brand": "DELL",
    "processor_brand": "Intel",
    "processor_name": "Core i5",
    "processor_gnrtn": "11th",
    "ram_gb": 8,
    "ram_type": "DDR4",
    "ssd": 512,
    "hdd": 0,
    "os": "Windows",
    "os_bit": "64-bit",
    "graphic_card_gb": 0,
    "weight": "Casual",
    "warranty": 1,
    "touchscreen": False,
    "msoffice": False,
}


@pytest.fixture(scope="module")
def model(table, quick):
    return fit_pipeline(table, quick)


def test_build_pipeline_gives_an_unfitted_model_each_time(table):
    first, second = build_pipeline(), build_pipeline()
    assert first is not second
    with pytest.raises(NotFittedError):
        check_is_fitted(first)
    with pytest.raises(NotFittedError):
        first.predict(table)
    clone(first)


def test_the_regression_is_a_ridge_on_the_logarithm(model, table):
    assert type(model.regressor_["ridge"]) is Ridge
    logs = model.regressor_.predict(table)
    np.testing.assert_allclose(model.predict(table), np.exp(logs), rtol=1e-12)


def test_only_the_specification_is_looked_at(model, table):
    expected = model.predict(table)
    only = table[list(FEATURES)]
    np.testing.assert_array_equal(model.predict(only), expected)
    others = table.assign(
        price=-1.0, rating=99, ratings=0, reviews=0, key="x", specification=0, noise=1
    )
    np.testing.assert_array_equal(model.predict(others), expected)


def test_fitting_looks_at_nothing_else_either(model, table, quick):
    others = table.assign(rating=table[TARGET], ratings=table[TARGET], noise=table[TARGET])
    refitted = fit_pipeline(others, quick)
    np.testing.assert_array_equal(refitted.predict(table), model.predict(table))


def test_columns_go_by_name_not_by_position(model, table):
    backwards = table[table.columns[::-1]]
    np.testing.assert_array_equal(model.predict(backwards), model.predict(table))


def test_a_price_does_not_depend_on_the_rows_around_it(model, table):
    expected = pd.Series(model.predict(table), table.index)
    shuffled = table.sample(frac=1, random_state=0)
    predicted = pd.Series(model.predict(shuffled), shuffled.index)
    pd.testing.assert_series_equal(predicted.sort_index(), expected, check_exact=True)
    alone = model.predict(table.iloc[[5]])
    np.testing.assert_allclose(alone, expected.iloc[[5]], rtol=1e-12)


@pytest.mark.parametrize("column", FEATURES)
def test_a_missing_column_is_an_error(model, table, column):
    with pytest.raises(ValueError, match=column):
        model.predict(table.drop(columns=column))


@pytest.mark.parametrize("column", ["ram_gb", "ssd", "hdd", "graphic_card_gb", "warranty"])
def test_every_number_that_the_schema_allows_has_a_price(model, column):
    number = next(c for c in SPECIFICATION if c.name == column)
    rows = pd.DataFrame([LAPTOP | {column: n} for n in range(number.low, number.high + 1)])
    assert np.isfinite(model.predict(rows)).all()


def test_an_unseen_size_is_priced_between_its_neighbours(model, table):
    assert 12 not in set(table["ram_gb"])
    eight, twelve, sixteen = model.predict(
        pd.DataFrame([LAPTOP | {"ram_gb": ram} for ram in (8, 12, 16)])
    )
    assert min(eight, sixteen) < twelve < max(eight, sixteen)
    assert 1.05 < sixteen / eight < 2


@pytest.mark.parametrize("column", [column.name for column in CATEGORIES])
def test_defect_2_an_unknown_category_is_an_error_not_zeros(model, column):
    for unknown in ("Core i11", "", None):
        with pytest.raises(ValueError, match="unknown categories"):
            model.predict(pd.DataFrame([LAPTOP | {column: unknown}]))


def test_the_encode_step_has_one_entry_per_field(model):
    encode = model.regressor_["encode"]
    entries = [(name, columns) for name, _, columns in encode.transformers]
    assert entries == [(name, [name]) for name in FEATURES]


def test_the_questions_are_those_of_the_encoded_columns(model):
    encode = model.regressor_["encode"]
    fields, rising = questions()
    assert len(fields) == len(rising) == 64
    for name in FEATURES:
        assert set(fields[encode.output_indices_[name]]) == {name}
    counts = pd.Series(rising).groupby(fields).sum()
    assert counts[counts > 0].to_dict() == {
        column.name: len(column.levels) - 1 for column in NUMBERS
    } | {"processor_name": 5 + 3}


def _answers(model, column, values):
    """The answers to the questions about a column, after a check that no others change."""
    rows = pd.DataFrame([LAPTOP | {column.name: value} for value in values])
    encoded = model.regressor_["encode"].transform(rows)
    own = questions()[0] == column.name
    np.testing.assert_array_equal(encoded[:, ~own], encoded[:1, ~own].repeat(len(rows), axis=0))
    return encoded[:, own]


@pytest.mark.parametrize("column", CATEGORIES, ids=lambda column: column.name)
def test_defect_4_every_category_has_answers_of_its_own(model, column):
    answers = _answers(model, column, column.allowed)
    assert answers.shape == (len(column.allowed), len(column.allowed))
    assert np.linalg.matrix_rank(answers) == len(column.allowed)
    if not column.ladders:
        np.testing.assert_array_equal(answers, np.eye(len(column.allowed)))


def test_a_processor_reaches_all_below_it_on_its_ladder(model):
    processor = next(column for column in CATEGORIES if column.ladders)
    on_ladders = [name for ladder in processor.ladders for name in ladder]
    answers = _answers(model, processor, on_ladders)
    for row, name in zip(answers, on_ladders):
        ladder = next(ladder for ladder in processor.ladders if name in ladder)
        reached = ladder[: ladder.index(name) + 1]
        assert [n for n, yes in zip(on_ladders, row) if yes] == list(reached)
    assert set(answers.ravel()) == {0, 1}


@pytest.mark.parametrize("column", NUMBERS, ids=lambda column: column.name)
def test_a_size_reaches_the_levels_up_to_it_and_part_of_the_next(model, column):
    at_levels = _answers(model, column, column.levels)
    np.testing.assert_allclose(at_levels, np.tri(len(column.levels))[:, 1:], atol=1e-12)
    sizes = range(column.low, column.high + 1)
    answers = _answers(model, column, sizes)
    assert (np.diff(answers, axis=0) >= -1e-12).all()
    assert (np.diff(answers, axis=1) <= 1e-12).all(), "nobody reaches 16 GB before 8 GB"
    assert -1e-12 < answers.min() and answers.max() < 1 + 1e-12
    log = np.log1p(column.levels)
    for size, row in zip(sizes, answers):
        expected = ((np.log1p(size) - log[:-1]) / np.diff(log)).clip(0, 1)
        np.testing.assert_allclose(row, expected, atol=1e-12)


@pytest.mark.parametrize("column", [c for c in SPECIFICATION if c.kind == "flag"], ids=str)
def test_a_flag_is_its_own_answer(model, column):
    assert _answers(model, column, [False, True]).tolist() == [[0], [1]]


def test_defect_4_categories_that_the_defect_merged_have_prices_of_their_own(model):
    def price(**changes):
        return model.predict(pd.DataFrame([LAPTOP | changes]))[0]

    ryzen_3, ryzen_7 = (
        price(processor_brand="AMD", processor_name=name) for name in ("Ryzen 3", "Ryzen 7")
    )
    assert ryzen_7 / ryzen_3 > 1.2
    assert price(processor_name="Core i9") / price(processor_name="Celeron Dual") > 1.5


@pytest.mark.services
def test_defect_1_one_payload_has_one_price_whatever_the_hash_seed(trained, model, quick):
    """In three processes: the saved model's price, and the model when it is fitted again."""
    program = """
import json, sys
from pathlib import Path
import pandas as pd
from laptop_pricing.modeling.bundle import load_bundle
from laptop_pricing.modeling.pipeline import fit_pipeline
from laptop_pricing.modeling.predict import predict
from laptop_pricing.modeling.train import read_processed
from laptop_pricing.settings import TrainParams, Workspace

root, laptop, params = sys.argv[1:]
workspace, laptop = Workspace(Path(root)), pd.DataFrame([json.loads(laptop)])
price = predict(load_bundle(workspace.models), laptop)["predicted_price"].iloc[0]
table, _ = read_processed(workspace)
refitted = fit_pipeline(table, TrainParams.model_validate_json(params))
coefficients = refitted.regressor_["ridge"].coef_.tobytes().hex()
print(repr(float(price)), hash("a"), coefficients)
"""
    inputs = [str(trained.root), json.dumps(LAPTOP), quick.model_dump_json()]
    source = os.path.dirname(os.path.dirname(os.path.dirname(pipeline.__file__)))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, *inputs],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": source, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in "012"
    ]
    printed = [process.communicate(timeout=300)[0].split() for process in processes]
    prices, hashes, coefficients = zip(*printed)
    assert len(set(hashes)) == 3
    here = load_bundle(trained.models).model.predict(pd.DataFrame([LAPTOP]))[0]
    assert [float(price) for price in prices] == [here] * 3
    assert set(coefficients) == {model.regressor_["ridge"].coef_.tobytes().hex()}


def test_a_refit_is_the_same_to_the_last_bit(model, table, quick):
    again = fit_pipeline(table, quick)
    ours, theirs = again.regressor_["ridge"], model.regressor_["ridge"]
    assert ours.coef_.tobytes() == theirs.coef_.tobytes()
    assert (ours.intercept_, chosen_alpha(again)) == (theirs.intercept_, chosen_alpha(model))
    assert again.predict(table).tobytes() == model.predict(table).tobytes()


def test_coefficients_are_rounded_so_that_processors_agree(model):
    ridge = model.regressor_["ridge"]
    np.testing.assert_array_equal(ridge.coef_, ridge.coef_.round(9))
    assert ridge.intercept_ == round(ridge.intercept_, 9)
    assert np.count_nonzero(ridge.coef_) > 20


@pytest.mark.parametrize("alphas", [(0.01, 8, 3000), (3000, 8, 0.01)], ids=str)
def test_alpha_is_the_best_of_the_grouped_folds(table, quick, alphas):
    """The choice, made again by hand with whole models; the order of the list is nothing to it."""
    errors = []
    for alpha in alphas:
        alone = quick.model_copy(update={"alphas": (alpha,)})
        parts = []
        for fit, test in GroupKFold(2).split(table, groups=table["specification"]):
            model = fit_pipeline(table.iloc[fit], alone)
            actual = table[TARGET].iloc[test]
            parts.append(float((abs(model.predict(table.iloc[test]) - actual) / actual).mean()))
        errors.append(np.mean(parts))
    train = quick.model_copy(update={"alphas": alphas, "inner_folds": 2})
    best = alphas[int(np.argmin(errors))]
    assert best != max(alphas) and np.ptp(errors) > 0.01
    assert choose_alpha(table, train) == best


def test_the_chosen_alpha_is_the_models(trained, table, params):
    rows = table[~is_held_out(table["key"])]
    ridge = load_bundle(trained.models).model.regressor_["ridge"]
    assert ridge.alpha == choose_alpha(rows, params.train)
    again = fit_pipeline(rows, params.train)
    assert chosen_alpha(again) == ridge.alpha
    assert again.regressor_["ridge"].coef_.tobytes() == ridge.coef_.tobytes()


@pytest.mark.parametrize("step", [choose_alpha, fit_pipeline])
def test_each_row_weighs_one_over_its_price(table, params, step, monkeypatch):
    """In the choice of alpha as in the fit: in units of the median of what is fitted."""
    seen = []

    def spy(X, y, bounded, alpha, sample_weight, start=None):
        seen.append(sample_weight * np.exp(y) / np.median(np.exp(y)))
        return fit_ridge(X, y, bounded, alpha, sample_weight, start)

    monkeypatch.setattr(pipeline, "fit_ridge", spy)
    two = params.train.model_copy(update={"alphas": (4, 8)})
    step(table, two)
    assert len(seen) == 2 * two.inner_folds + (step is fit_pipeline)
    for product in seen:
        np.testing.assert_allclose(product, 1, rtol=1e-12)


def test_prices_in_another_currency_make_the_same_model_in_it(model, table, quick):
    cents = fit_pipeline(table.assign(price=table[TARGET] * 10), quick)
    np.testing.assert_allclose(cents.predict(table), model.predict(table) * 10, rtol=1e-6)


def test_alpha_is_chosen_with_every_specification_on_one_side(table, params, monkeypatch):
    seen = []

    class Spy(pipeline.GroupKFold):
        def split(self, rows, y=None, groups=None):
            for train, test in super().split(rows, y, groups):
                seen.append(
                    set(rows["specification"].iloc[train]) & set(rows["specification"].iloc[test])
                )
                yield train, test

    monkeypatch.setattr(pipeline, "GroupKFold", Spy)
    choose_alpha(table, params.train)
    assert seen == [set()] * params.train.inner_folds


def _by_hand(table, crossed):
    """The columns that are fitted, from the clean table and the schema alone.

    Returns
    -------
    names : list of tuple
        The questions behind the model's terms: one, or two.
    columns : list of (dict, bool)
        What is fitted: how often each term is in it, and whether it is bounded.
    values : dict of ndarray
        The values of the terms.
    """
    about = {}
    for column in SPECIFICATION:
        cells = table[column.name]
        if column.kind == "flag":
            about[column.name, True] = cells.to_numpy(float), False
        for ladder in column.ladders or [(value,) for value in column.allowed]:
            for i, value in enumerate(ladder):
                about[column.name, value] = cells.isin(ladder[i:]).to_numpy(float), i > 0
        for level in column.levels[1:]:
            assert cells.isin(column.levels).all()
            about[column.name, level] = (cells >= level).to_numpy(float), True

    values = {(question,): answers for question, (answers, _) in about.items()}
    columns = [({(question,): 1}, rises) for question, (_, rises) in about.items()]
    for first, second in itertools.combinations(about, 2):
        values[first, second] = about[first][0] * about[second][0]
        if first[0] == second[0] or not {first[0], second[0]} & set(crossed):
            continue
        rise = [about[question][1] for question in (first, second)]
        columns.append(({(first, second): 1}, any(rise)))
        if sum(rise) == 1:
            step = first if rise[0] else second
            columns.append(({(step,): 1, (first, second): -1}, True))
    return list(values), columns, values


@pytest.mark.parametrize("crossed", [None, (), ("ram_type", "brand")], ids=str)
def test_the_coefficients_are_those_of_a_refit_by_hand(trained, table, quick, crossed):
    rows = table[~is_held_out(table["key"])]
    if crossed is None:  # the model as shipped
        found = load_bundle(trained.models).model
        crossed = quick.crossed
    else:
        found = fit_pipeline(rows, quick.model_copy(update={"crossed": crossed}))
    names, columns, values = _by_hand(rows, crossed)
    X = np.column_stack(
        [sum(times * values[term] for term, times in made_of.items()) for made_of, _ in columns]
    )
    weight = (rows[TARGET].median() / rows[TARGET]).to_numpy()
    y, bounded = np.log(rows[TARGET]), np.array([rises for _, rises in columns])
    fitted = fit_ridge(X - X.mean(axis=0), y, bounded, chosen_alpha(found), weight)
    expected = dict.fromkeys(names, 0.0)
    for (made_of, _), coef in zip(columns, fitted.coef_):
        for term, times in made_of.items():
            expected[term] += times * coef
    ridge = found.regressor_["ridge"]
    np.testing.assert_allclose(ridge.coef_, list(expected.values()), atol=1e-8)
    assert ridge.intercept_ == pytest.approx(fitted.intercept_, abs=1e-8)
    np.testing.assert_allclose(
        found.predict(rows), np.exp(fitted.predict(X - X.mean(axis=0))), rtol=1e-7
    )


@pytest.mark.parametrize("crossed", [(), ("brand",), None, FEATURES], ids=["0", "1", "ours", "15"])
def test_two_fields_have_terms_together_only_if_one_is_crossed(table, quick, crossed):
    crossed = quick.crossed if crossed is None else crossed
    ridge = fit_pipeline(table, quick.model_copy(update={"crossed": crossed})).regressor_["ridge"]
    fields, _ = questions()
    size = len(fields)
    found = set()
    for first, second, coef in zip(*np.triu_indices(size, 1), ridge.coef_[size:]):
        if coef:
            found.add((fields[first], fields[second]))
    expected = {pair for pair in itertools.combinations(FEATURES, 2) if set(pair) & set(crossed)}
    assert found <= expected
    numbers = {column.name for column in NUMBERS}  # whose steps together may be worth nothing
    assert all(set(pair) <= numbers for pair in expected - found)
    assert np.count_nonzero(ridge.coef_[:size]) > 30


def test_quote_does_not_depend_on_case_and_spaces(trained):
    cells = {column.name: column.spell(LAPTOP[column.name]) for column in SPECIFICATION}
    expected = quote(trained.models, cells).price
    for change in (str.upper, str.lower, str.title, str.swapcase):
        odd = {name: f" \t{change(cell)}\u00a0 " for name, cell in cells.items()}
        odd = {name: cell.replace(" ", "  ") for name, cell in odd.items()}
        assert quote(trained.models, odd).price == expected
    other = quote(trained.models, cells | {"processor_name": " core  I7"}).price
    assert other > expected
