"""The kit's estimators: scikit-learn's rules, exact reasons, no step up lowers a prediction."""

import json
import math
import subprocess
import sys
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from problems import DIABETES, GAINS, LAPTOPS, LOANS, MADE, each_problem, explained, led_to, plain
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold

from laptop_pricing.kit.data.read import read_dataset
from laptop_pricing.kit.data.table import GROUP, features, records, validate
from laptop_pricing.kit.modeling.factor_ridge import FactorRidge
from laptop_pricing.kit.modeling.factors import Factors, read_numbers
from laptop_pricing.kit.modeling.task import outputs, task_of
from laptop_pricing.kit.modeling.train import read_processed

CROSSED = {LAPTOPS.name: ("processor_name", "ram_type"), MADE.name: ("heating",)}
CROSSED[LOANS.name] = ("purpose", "new")
BAD = {
    "an unknown field": ({"crossed": ("no", "brand")}, "crossed: found ['no', 'brand']; expected"),
    "a field twice": ({"crossed": ("brand", "brand")}, "crossed: found"),
    "no penalty": ({"alpha": 0}, "alpha: found 0; expected a penalty from 0.001"),
    "a huge penalty": ({"alpha": 1e300}, "alpha: found 1e+300; expected a penalty"),
    "a penalty that is a word": ({"alpha": "8"}, "alpha: found '8'; expected a penalty"),
    "another link": ({"link": "logit"}, "link: found 'logit'; expected log or identity"),
}


@pytest.fixture(scope="module")
def given(trained):
    """``given(problem)``: features, target and groups of the processed table. Read only."""

    def give(problem):
        table, _ = read_processed(trained(problem))
        return features(problem.features, table), task_of(problem).learned(table), table[GROUP]

    return give


def _model(problem):
    return plain(problem, CROSSED.get(problem.name, ()))


@pytest.fixture(scope="module")
def fitted(given):
    models = {}

    def give(problem):
        if problem.name not in models:
            X, y, _ = given(problem)
            models[problem.name] = _model(problem).fit(X, y)
        return models[problem.name]

    return give


def random_cases(problem, rows, seed=0):
    """Cases from the whole vocabulary, numbers between and beyond the levels, too."""
    random, table = np.random.default_rng(seed), {}
    for column in problem.features:
        if column.numeric:
            levels = column.levels or (20, 40, 60, 99)
            drawn = random.uniform(levels[0], levels[-1] * 1.25 + 1, rows)
            drawn = np.where(random.random(rows) < 0.5, drawn, random.choice(levels, rows))
            table[column.name] = drawn.round() if column.kind == "integer" else drawn
        else:
            table[column.name] = random.choice(np.array(column.allowed or (False, True)), rows)
        if column.unknown:
            known = table[column.name]
            known = known.astype(object if column.kind == "category" else float)
            table[column.name] = np.where(random.random(rows) < 0.1, None, known)
    return pd.DataFrame(table)


@each_problem
def test_it_is_an_estimator_that_can_be_cloned_and_set(problem, given):
    model = plain(problem, alpha=3)
    assert clone(model).get_params() == model.get_params()
    assert model.set_params(alpha=5).alpha == 5
    with pytest.raises(NotFittedError):
        model.predict(given(problem)[0])


@each_problem
def test_table_row_and_reasons_give_one_prediction(problem, fitted):
    model, cases = fitted(problem), random_cases(problem, 500)
    predicted = outputs(model, cases, problem.classes)
    one_by_one, reasons = model.factors_.predict_rows(records(cases, problem.names))
    np.testing.assert_allclose(one_by_one, predicted, rtol=1e-12)
    for found in (model.factors_.explain(cases), reasons):
        np.testing.assert_allclose(led_to(found), explained(found, predicted), rtol=1e-9)
        assert found.additive == (problem is GAINS)
    if len(problem.classes) < 3:  # of several, a row's odds are those of its own two likeliest
        np.testing.assert_allclose(
            reasons.effects, model.factors_.explain(cases).effects, rtol=1e-12
        )
    again = read_numbers(json.loads(json.dumps(model.factors_.numbers)))
    np.testing.assert_array_equal(outputs(again, cases, problem.classes), predicted)


@each_problem
def test_order_of_rows_and_columns_does_not_matter(problem, given, fitted):
    X, y, _ = given(problem)
    mixed = np.random.default_rng(0).permutation(len(X))
    other = clone(fitted(problem)).fit(X.iloc[mixed, ::-1].assign(more=1), y.iloc[mixed])
    expected, other, same = (
        outputs(model, rows, problem.classes)
        for model, rows in ((fitted(problem), X), (other, X), (fitted(problem), X.iloc[mixed]))
    )
    np.testing.assert_allclose(other, expected, rtol=1e-6)  # to which chances are solved
    np.testing.assert_array_equal(same, expected[mixed])


def test_the_coefficients_are_those_of_a_plain_ridge_on_what_is_not_zero(given, fitted):
    """By scikit-learn alone, from answers that are made here by hand."""
    X, y, _ = given(MADE)
    numbers = fitted(MADE).factors_.numbers
    answers = []
    for field in numbers["fields"]:
        table, values = np.array(field["answers"], float), X[field["name"]]
        if field["numeric"]:
            spaced = [
                np.sign(v) * np.log1p(abs(np.asarray(v, float))) for v in (field["levels"], values)
            ]
            answers += [np.interp(spaced[1], spaced[0], column) for column in table.T]
        else:
            rows = [field["levels"].index(value) for value in values]
            answers += list(table[rows].T)
    answers = np.array(answers).T
    sums = numbers["intercept"] + (answers - numbers["means"]) @ numbers["worth"]
    for first, second, worth, mean in numbers["pairs"]:
        sums += worth * (answers[:, first] * answers[:, second] - mean)
    np.testing.assert_allclose(np.exp(sums), fitted(MADE).predict(X), rtol=1e-9)

    alone = FactorRidge(MADE.features, alpha=2).fit(X, y)  # nothing crossed: one column each
    kept = np.array(alone.factors_.numbers["worth"]) != 0
    ridge = Ridge(alpha=2).fit(answers[:, kept], np.log(y), sample_weight=y.median() / y)
    np.testing.assert_allclose(
        np.array(alone.factors_.numbers["worth"])[kept], ridge.coef_, atol=1e-8
    )


def test_the_factors_are_shapleys(fitted):
    """By the definition: the mean of what a field brings, over all orders, a case at a time."""
    X = random_cases(MADE, 2)
    model = fitted(MADE)
    numbers, shares = model.factors_.numbers, model.factors_.levels.of_table(X)
    answers, mean = shares @ model.factors_.levels.answers.T, np.array(numbers["means"])
    owner, size = model.factors_.levels.owner, len(MADE.features)

    def value(row, known):
        """The log prediction where the other fields' terms have their mean."""
        on = np.isin(owner, known)
        single = np.where(on, answers[row] - mean, 0) @ numbers["worth"]
        for first, second, worth, both in numbers["pairs"]:
            a, b = answers[row][[first, second]]
            a, b = (a if on[first] else mean[first]), (b if on[second] else mean[second])
            single += worth * ((a * b if on[first] or on[second] else both) - both)
        return single

    for row, field in product(range(2), (0, 5)):  # these share terms with the second field alone
        others, total = [f for f in range(7) if f != field], 0.0
        rest = list(range(7, size))
        for n in range(len(others) + 1):
            orders = math.factorial(n) * math.factorial(len(others) - n)
            for known in combinations(others, n):
                gain = value(row, [*known, *rest, field]) - value(row, [*known, *rest])
                total += gain * orders / math.factorial(len(others) + 1)
        assert math.log(model.explain(X)[1][row, field]) == pytest.approx(total, abs=1e-9)


def steps(problem):
    for column in problem.features:
        for ladder in (column.ladders or [column.levels]) if column.monotonic else ():
            yield from ((column.name, low, high) for low, high in zip(ladder, ladder[1:]))


def assert_no_step_up_lowers(problem, model, cases):
    for name, low, high in steps(problem):
        below, above = (model.predict(cases.assign(**{name: value})) for value in (low, high))
        assert (above >= below * (1 - 1e-12)).all(), f"{name}: {low} to {high}"


@pytest.mark.services
def test_more_never_costs_less_on_the_real_data(laptop_csv):
    text = read_dataset(laptop_csv, LAPTOPS, (2_000, 15_000))
    table, _ = validate(text, LAPTOPS.columns, LAPTOPS.rules)
    model = FactorRidge(LAPTOPS.features, ("processor_name", "processor_gnrtn", "ram_type"), 8)
    model.fit(table, table["price"])
    assert len(list(steps(LAPTOPS))) > 25
    assert_no_step_up_lowers(LAPTOPS, model, random_cases(LAPTOPS, 100_000))


@pytest.mark.parametrize("problem", [LAPTOPS, MADE], ids=lambda problem: problem.name)
@pytest.mark.parametrize("change", ["shuffled", "upside down"])
def test_no_target_teaches_it_otherwise(problem, given, change):
    X, y, _ = given(problem)
    y = y.sample(frac=1, random_state=0).to_numpy() if change == "shuffled" else 1e6 / y
    model = _model(problem).set_params(alpha=0.5).fit(X, y)
    assert_no_step_up_lowers(problem, model, random_cases(problem, 2_000))


def test_a_fall_would_be_seen(given):
    X, y, _ = given(LAPTOPS)
    model = FactorRidge(LAPTOPS.features, alpha=2).fit(X, y)
    numbers = json.loads(json.dumps(model.factors_.numbers))
    numbers["worth"] = [-abs(worth) for worth in numbers["worth"]]
    with pytest.raises(AssertionError):
        assert_no_step_up_lowers(LAPTOPS, Factors(numbers), random_cases(LAPTOPS, 100))


def test_an_unseen_size_lies_between_its_neighbours(fitted):
    cases, predict = random_cases(LAPTOPS, 50), fitted(LAPTOPS).predict
    low, middle, high = (predict(cases.assign(ram_gb=size)) for size in (8, 11, 16))
    equal = 1e-12  # but for the last bits, which depend on the processor
    assert (low <= middle * (1 + equal)).all() and (middle <= high * (1 + equal)).all()
    assert (low < middle * (1 - equal)).any()
    largest, beyond = (predict(cases.assign(ram_gb=size)) for size in (32, 128))
    np.testing.assert_array_equal(largest, beyond)


def test_numbers_without_levels_get_the_quartiles_of_what_was_seen(fitted, given):
    fields = {field["name"]: field for field in fitted(DIABETES).factors_.numbers["fields"]}
    expected = np.unique(given(DIABETES)[0]["bmi"].quantile([0, 0.25, 0.5, 0.75, 1]))
    np.testing.assert_allclose(fields["bmi"]["levels"], expected)


@pytest.mark.parametrize("changes, said", BAD.values(), ids=BAD)
def test_a_bad_parameter_is_named(given, changes, said):
    X, y, _ = given(LAPTOPS)
    with pytest.raises(ValueError) as error:
        FactorRidge(LAPTOPS.features, **changes).fit(X, y)
    assert said in str(error.value)


def test_targets_of_zero_and_unknown_categories_are_refused(given, fitted):
    X, y, _ = given(LAPTOPS)
    with pytest.raises(
        ValueError, match="the target: found 0; log and weights need numbers above zero"
    ):
        FactorRidge(LAPTOPS.features).fit(X, y * (y > y.median()))
    with pytest.raises(KeyError):
        fitted(LAPTOPS).predict(X.assign(brand="NoName"))


def test_the_link_that_fits_is_chosen_and_no_prediction_lies_below_what_was_seen(given):
    X, y, groups = given(GAINS)
    terms, near_zero = y - y.min() + 0.1, np.exp(y / 5)
    for target, link in ((terms, "identity"), (near_zero, "log")):
        grid = {"link": ["log", "identity"], "weighted": [False]}
        search = GridSearchCV(
            FactorRidge(GAINS.features, alpha=0.5), grid, scoring="r2", cv=GroupKFold(3)
        ).fit(X, target, groups=groups)
        assert search.best_params_["link"] == link
        if link == "identity":
            best = search.best_estimator_
            assert best.predict(random_cases(GAINS, 2_000)).min() == target.min()


def test_defect_1_one_case_has_one_prediction_whatever_the_hash_seed():
    program = (
        "from laptop_pricing.kit.data.sample import sample_blocks\n"
        "from laptop_pricing.kit.data.table import validate\n"
        "from laptop_pricing.kit.modeling.factor_ridge import FactorRidge\n"
        "from laptop_pricing.problem import PROBLEM as p\n"
        "text = next(sample_blocks(p, 60)).set_axis([c.name for c in p.columns], axis=1)\n"
        "table, _ = validate(text, p.columns)\n"
        "print(FactorRidge(p.features).fit(table, table.price).predict(table).tolist())\n"
    )
    printed = set()
    for seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
        printed.add(done.stdout)
    assert len(printed) == 1 and printed.pop().startswith("[")
