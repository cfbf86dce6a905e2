"""What the model must do, whatever it has learned."""

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
from sklearn.utils.validation import check_is_fitted

from laptop_pricing.data.schema import FEATURES, SPECIFICATION, TARGET
from laptop_pricing.modeling import pipeline
from laptop_pricing.modeling.bundle import load_bundle
from laptop_pricing.modeling.pipeline import (
    build_pipeline,
    choose_alpha,
    chosen_alpha,
    fit_pipeline,
)
from laptop_pricing.modeling.train import read_processed

CATEGORIES = [column for column in SPECIFICATION if column.kind == "category"]

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
def table(trained):
    return read_processed(trained)[0]


@pytest.fixture(scope="module")
def model(table, params):
    return fit_pipeline(table, params.train)


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


def test_fitting_looks_at_nothing_else_either(model, table, params):
    others = table.assign(rating=table[TARGET], ratings=table[TARGET], noise=table[TARGET])
    refitted = fit_pipeline(others, params.train)
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


def test_defect_4_every_category_has_a_column_of_its_own(model):
    encode = model.regressor_["encode"]
    for column in CATEGORIES:
        rows = pd.DataFrame([LAPTOP | {column.name: value} for value in column.allowed])
        encoded = pd.DataFrame(encode.transform(rows), columns=encode.get_feature_names_out())
        expected = [f"categories__{column.name}_{value}" for value in column.allowed]
        own = encoded[expected]
        np.testing.assert_array_equal(own, np.eye(len(column.allowed)))
        others = encoded.drop(columns=expected)
        assert (others == others.iloc[0]).all(axis=None), f"{column.name} moves other columns"


def test_defect_4_categories_that_the_defect_merged_have_prices_of_their_own(model):
    def price(**changes):
        return model.predict(pd.DataFrame([LAPTOP | changes]))[0]

    ryzen_3, ryzen_7 = (
        price(processor_brand="AMD", processor_name=name) for name in ("Ryzen 3", "Ryzen 7")
    )
    assert ryzen_7 / ryzen_3 > 1.2
    assert price(processor_name="Core i9") / price(processor_name="Celeron Dual") > 1.5


def test_defect_1_one_payload_has_one_price_whatever_the_hash_seed(trained, table, params):
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
price = predict(load_bundle(workspace.models), laptop).iloc[0]
table, _ = read_processed(workspace)
refitted = fit_pipeline(table, TrainParams.model_validate_json(params))
coefficients = refitted.regressor_["ridge"].coef_.tobytes().hex()
print(repr(float(price)), hash("a"), coefficients)
"""
    inputs = [str(trained.root), json.dumps(LAPTOP), params.train.model_dump_json()]
    source = os.path.dirname(os.path.dirname(os.path.dirname(pipeline.__file__)))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, *inputs],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": source},
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
    assert len(set(coefficients)) == 1


def test_a_refit_is_the_same_to_the_last_bit(model, table, params):
    again = fit_pipeline(table, params.train)
    ours, theirs = again.regressor_["ridge"], model.regressor_["ridge"]
    assert ours.coef_.tobytes() == theirs.coef_.tobytes()
    assert (ours.intercept_, chosen_alpha(again)) == (theirs.intercept_, chosen_alpha(model))
    assert again.predict(table).tobytes() == model.predict(table).tobytes()


def test_coefficients_are_rounded_so_that_processors_agree(model):
    ridge = model.regressor_["ridge"]
    np.testing.assert_array_equal(ridge.coef_, ridge.coef_.round(9))
    assert ridge.intercept_ == round(ridge.intercept_, 9)
    assert np.count_nonzero(ridge.coef_) > 20


def test_alpha_is_the_best_of_the_grouped_folds(table, params):
    """The choice, made again by hand with whole models."""
    from sklearn.model_selection import GroupKFold

    alphas = (0.1, 30, 3000)
    train = params.train.model_copy(update={"alphas": alphas, "inner_folds": 3})
    errors = []
    for alpha in alphas:
        parts = []
        for fit, test in GroupKFold(3).split(table, groups=table["specification"]):
            model = build_pipeline().set_params(regressor__ridge__alpha=alpha)
            model.fit(table.iloc[fit], table[TARGET].iloc[fit])
            actual = table[TARGET].iloc[test]
            parts.append(float((abs(model.predict(table.iloc[test]) - actual) / actual).mean()))
        errors.append(np.mean(parts))
    assert choose_alpha(table, train) == alphas[int(np.argmin(errors))]
    assert chosen_alpha(fit_pipeline(table, train)) == alphas[int(np.argmin(errors))]


@pytest.mark.parametrize("alphas", [(0.1, 1e6), (1e6, 0.1)], ids=str)
def test_alpha_is_chosen_by_its_error_not_by_its_place(table, params, alphas):
    train = params.train.model_copy(update={"alphas": alphas})
    assert choose_alpha(table, train) == 0.1


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
