"""The compiled model is the fitted one, and its factors are exact Shapley values."""

import copy
import json
import shutil
from math import comb

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from laptop_pricing.data.preprocess import preprocess
from laptop_pricing.data.schema import FEATURES
from laptop_pricing.data.split import is_held_out
from laptop_pricing.errors import StepFailed
from laptop_pricing.modeling.bundle import load_bundle, save_bundle
from laptop_pricing.modeling.compiled import CompiledModel, compile_model, random_rows
from laptop_pricing.modeling.pipeline import fit_pipeline, questions
from laptop_pricing.modeling.train import read_processed
from laptop_pricing.settings import Workspace


@pytest.fixture(scope="module")
def model(trained):
    return load_bundle(trained.models).model


def base_price(model):
    return CompiledModel(compile_model(model)).base


def factors(model, table):
    found = CompiledModel(compile_model(model)).factors(table)
    return pd.DataFrame(found, table.index, FEATURES)


def _random_laptops(rows, seed):
    return random_rows(rows, seed).set_axis(range(7, 7 + rows))


def test_the_factors_times_the_base_price_are_the_price(model):
    laptops = _random_laptops(10_000, seed=0)
    found = factors(model, laptops)
    product = base_price(model) * found.prod(axis=1)
    np.testing.assert_allclose(product, model.predict(laptops), rtol=1e-9)
    assert (found > 0).all(axis=None)
    assert (abs(np.log(found)) > 0.01).mean().gt(0.1).all(), "each field matters to some"


def test_there_is_one_column_per_field_and_one_line_per_laptop(model):
    laptops = _random_laptops(5, seed=1)
    found = factors(model, laptops)
    assert list(found.columns) == list(FEATURES)
    assert list(found.index) == list(laptops.index)


def test_the_average_factor_of_a_field_is_one_over_the_training_laptops(model, table):
    """And the base price is the average price, both in logs."""
    trained_on = table[~is_held_out(table["key"])]
    averages = np.log(factors(model, trained_on)).mean()
    np.testing.assert_allclose(averages, 0, atol=1e-12)
    average = np.exp(np.log(model.predict(trained_on)).mean())
    assert base_price(model) == pytest.approx(average, rel=1e-9)
    others = np.log(factors(model, _random_laptops(500, seed=2))).mean()
    assert abs(others).max() > 0.01


def _brute_force(model, laptop, background):
    """Shapley's definition: each field's average contribution over all 2**15 coalitions.

    What a coalition is worth is the average log price of laptops that have its fields from
    `laptop` and the others from one of `background`.
    """
    encode, _, centre, ridge = (step for _, step in model.regressor_.steps)
    fields = questions()[0]
    size, players = len(fields), len(FEATURES)
    pair_worth = np.zeros((size, size))
    pair_worth[np.triu_indices(size, 1)] = ridge.coef_[size:]

    def log_price(answers):
        shared = np.einsum("ij,ij->i", answers @ pair_worth, answers)
        base = ridge.intercept_ - ridge.coef_ @ centre.mean_
        return base + answers @ ridge.coef_[:size] + shared

    own, others = encode.transform(laptop)[0], encode.transform(background)
    np.testing.assert_allclose(np.exp(log_price(others)), model.predict(background), rtol=1e-11)
    coalitions = np.arange(2**players)
    member = (coalitions[:, np.newaxis] >> np.arange(players) & 1).astype(bool)
    known = member[:, [FEATURES.index(field) for field in fields]]
    worth = sum(log_price(np.where(known, own, other)) for other in others) / len(others)

    members = member.sum(axis=1)
    values = []
    for player in range(players):
        without = coalitions[~member[:, player]]
        gain = worth[without | 1 << player] - worth[without]
        chance = [1 / (players * comb(players - 1, n)) for n in members[without]]
        values.append(gain @ np.array(chance))
    return values


@pytest.mark.parametrize("everything_crossed", [False, True], ids=["as shipped", "all crossed"])
def test_the_factors_are_those_of_shapleys_definition(table, quick, everything_crossed):
    few = table.head(24)
    params = quick.model_copy(update={"crossed": FEATURES} if everything_crossed else {})
    model = fit_pipeline(few, params)
    laptop = _random_laptops(1, seed=3)
    expected = _brute_force(model, laptop, few)
    found = np.log(factors(model, laptop).iloc[0])
    np.testing.assert_allclose(found, expected, atol=1e-10)
    assert np.count_nonzero(abs(found) > 0.005) > 8


@pytest.mark.parametrize("field", FEATURES)
def test_a_field_that_no_term_uses_has_a_factor_of_one(model, field):
    without = copy.deepcopy(model)
    about = questions()[0] == field
    first, second = np.triu_indices(len(about), 1)
    uses = np.concatenate([about, about[first] | about[second]])
    without.regressor_["ridge"].coef_[uses] = 0
    laptops = _random_laptops(50, seed=4)
    found = factors(without, laptops)
    np.testing.assert_allclose(found[field], 1, rtol=0, atol=1e-12)
    assert (abs(factors(model, laptops)[field] - 1) > 1e-3).any()
    product = base_price(without) * found.prod(axis=1)
    np.testing.assert_allclose(product, without.predict(laptops), rtol=1e-9)


def test_a_field_that_never_differed_has_a_factor_of_one_where_nothing_is_crossed(table, quick):
    same = table.head(60).assign(warranty=1, os="Windows", touchscreen=False)
    model = fit_pipeline(same, quick.model_copy(update={"crossed": ()}))
    laptops = _random_laptops(50, seed=5)
    found = factors(model, laptops)
    assert laptops["touchscreen"].nunique() == 2 and laptops["os"].nunique() == 3
    np.testing.assert_allclose(found[["warranty", "os", "touchscreen"]], 1, rtol=0, atol=1e-12)


def test_factors_do_not_depend_on_the_order_of_rows_and_columns(model):
    laptops = _random_laptops(300, seed=6)
    expected = factors(model, laptops)
    shuffled = laptops.sample(frac=1, random_state=0)[list(FEATURES[::-1])]
    found = factors(model, shuffled.assign(price=-1, noise="x"))
    assert list(found.index) == list(shuffled.index) != list(laptops.index)
    pd.testing.assert_frame_equal(found.loc[laptops.index], expected, rtol=1e-12)
    alone = factors(model, laptops.iloc[[5]])
    pd.testing.assert_frame_equal(alone, expected.iloc[[5]], rtol=1e-12)


def test_asking_changes_nothing(model):
    laptops = _random_laptops(10, seed=7)
    before, prices = laptops.copy(), model.predict(laptops)
    factors(model, laptops)
    pd.testing.assert_frame_equal(laptops, before)
    np.testing.assert_array_equal(model.predict(laptops), prices)


def _real(laptop_csv, params, tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("real"))
    workspace.raw.parent.mkdir(parents=True)
    shutil.copyfile(laptop_csv, workspace.raw)
    preprocess(workspace, params.preprocess)
    return read_processed(workspace)[0]


@pytest.mark.parametrize("data, rows", [("sample", 100_000), ("real", 1_000_000)])
def test_the_compiled_model_is_the_fitted_one(data, rows, request, table, params, tmp_path_factory):
    if data == "real":
        table = _real(request.getfixturevalue("laptop_csv"), params, tmp_path_factory)
    model = fit_pipeline(table, params.train.model_copy(update={"alphas": (8,)}))
    compiled = CompiledModel(json.loads(json.dumps(compile_model(model))))
    laptops = random_rows(rows, seed=8)
    found = compiled.prices(laptops)
    for start in range(0, rows, 20_000):  # the pipeline needs 20 kB a row
        part = slice(start, start + 20_000)
        np.testing.assert_allclose(found[part], model.predict(laptops[part]), rtol=1e-12)
    alone, _ = compiled.explain(laptops[:2_000].to_dict("records"))
    np.testing.assert_allclose(alone, found[:2_000], rtol=1e-12)


def test_compiled_numbers_do_not_depend_on_threads_or_order_of_sums(model):
    numbers = compile_model(model)
    with threadpool_limits(2):
        assert json.dumps(compile_model(model)) == json.dumps(numbers)
    assert min(map(len, numbers["levels"].values())) > 1


def test_a_compiled_model_that_is_not_the_fitted_one_is_never_saved(model, tmp_path, monkeypatch):
    def wrong(model):
        numbers = compile_model(model)
        numbers["pairs"][0][-1] += 1e-6  # one of thousands
        return numbers

    monkeypatch.setattr("laptop_pricing.modeling.bundle.compile_model", wrong)
    with pytest.raises(StepFailed, match="differs from the fitted one by"):
        save_bundle(tmp_path / "models", model, {})
    assert not (tmp_path / "models").exists()
