"""More machine never costs less: for every combination, and by construction."""

import copy
import shutil

import numpy as np
import pandas as pd
import pytest
from environments import ROOT

from laptop_pricing.data.preprocess import preprocess
from laptop_pricing.data.schema import FEATURES, SPECIFICATION, TARGET
from laptop_pricing.data.split import is_held_out
from laptop_pricing.modeling.bundle import load_bundle
from laptop_pricing.modeling.pipeline import fit_pipeline, questions
from laptop_pricing.modeling.train import read_processed
from laptop_pricing.settings import PARAMS_FILE, Workspace, load_params

PARAMS = load_params(ROOT / PARAMS_FILE)
BY_NAME = {column.name: column for column in SPECIFICATION}
NUMBERS = ["ram_gb", "ssd", "hdd", "graphic_card_gb", "warranty"]
NEXT_RUNG = {
    lower: higher
    for ladder in BY_NAME["processor_name"].ladders
    for lower, higher in zip(ladder, ladder[1:])
}
STEPS = [*(f"{name}, {to}" for name in NUMBERS for to in ("next", "any")), "processor_name, next"]
LAPTOPS = 100_000
ROUNDING = 1e-12


@pytest.fixture(scope="module")
def sample_model(trained):
    return load_bundle(trained.models).model


@pytest.fixture(scope="module")
def real_model(laptop_csv, tmp_path_factory):
    """What ``train`` would ship, without the evaluation."""
    workspace = Workspace(tmp_path_factory.mktemp("real"))
    workspace.raw.parent.mkdir(parents=True)
    shutil.copyfile(laptop_csv, workspace.raw)
    preprocess(workspace, PARAMS.preprocess)
    table, _ = read_processed(workspace)
    return fit_pipeline(table[~is_held_out(table["key"])], PARAMS.train)


MODELS = ["sample_model", pytest.param("real_model", marks=pytest.mark.services)]


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return request.getfixturevalue(request.param)


def _random_laptops(rows, seed):
    """Laptops from the whole vocabulary, whether they could be or not.

    A third of the sizes are on the market, a third lie below the largest of those, and a third
    anywhere that the schema allows.
    """
    random = np.random.default_rng(seed)
    table = {}
    for column in SPECIFICATION:
        if column.kind == "category":
            table[column.name] = random.choice(np.array(column.allowed, dtype=object), rows)
        elif column.kind == "flag":
            table[column.name] = random.random(rows) < 0.5
        else:
            table[column.name] = np.choose(
                random.integers(3, size=rows),
                [
                    random.choice(column.levels, rows),
                    random.integers(column.low, column.levels[-1] + 1, rows),
                    random.integers(column.low, column.high + 1, rows),
                ],
            )
    return pd.DataFrame(table)


def _steps_up(laptops, seed):
    """Each way to more machine, and the laptops after it; what is at the top stays."""
    random = np.random.default_rng(seed)
    for name in NUMBERS:
        found = laptops[name].to_numpy()
        levels = np.array(BY_NAME[name].levels)
        above = np.append(levels, 0)[np.searchsorted(levels, found, side="right")]
        yield f"{name}, next", laptops.assign(**{name: np.maximum(found, above)})
        higher = random.integers(found, BY_NAME[name].high + 1)
        yield f"{name}, any", laptops.assign(**{name: higher})
    processor = laptops["processor_name"]
    higher = processor.map(NEXT_RUNG).fillna(processor)
    yield "processor_name, next", laptops.assign(processor_name=higher)


def _falls(price, laptops):
    """Which laptops a step up makes cheaper: positions of the rows, by step."""
    before = price(laptops)
    found = {}
    for step, richer in _steps_up(laptops, seed=1):
        cheaper = np.flatnonzero(price(richer) < before * (1 - ROUNDING))
        if len(cheaper):
            found[step] = cheaper
    return found


def _fast(model):
    """``model.predict``, from 64 answers in place of their 2,080 products."""
    encode, _, centre, ridge = (step for _, step in model.regressor_.steps)
    size = len(questions()[0])
    base = ridge.intercept_ - ridge.coef_ @ centre.mean_
    worth, pair_worth = ridge.coef_[:size], np.zeros((size, size))
    pair_worth[np.triu_indices(size, 1)] = ridge.coef_[size:]

    def price(laptops):
        answers = np.empty((len(laptops), size))
        for name in FEATURES:
            codes, values = pd.factorize(laptops[name])
            own = encode.named_transformers_[name].transform(pd.DataFrame({name: values}))
            answers[:, encode.output_indices_[name]] = np.asarray(own, dtype=float)[codes]
        shared = np.einsum("ij,ij->i", answers @ pair_worth, answers)
        return np.exp(base + answers @ worth + shared)

    return price


def _pair(first, second):
    """Where the coefficient of two questions together stands."""
    first, second = sorted((first, second))
    size = len(questions()[0])
    return size + first * size - first * (first + 1) // 2 + second - first - 1


def _question(name, i):
    """Where the i-th question about a field stands."""
    return int(np.flatnonzero(questions()[0] == name)[i])


def test_the_random_laptops_hold_the_whole_vocabulary():
    laptops = _random_laptops(20_000, seed=0)
    assert list(laptops) == list(FEATURES)
    for column in SPECIFICATION:
        values = set(laptops[column.name])
        assert set(column.allowed) <= values and set(column.levels) <= values
        if column.levels:
            assert laptops[column.name].between(column.low, column.high).all()
            between = set(range(column.low, column.levels[-1])) - set(column.levels)
            assert values & between or not between
            assert laptops[column.name].max() > column.levels[-1]


def test_every_step_goes_up_in_one_field_alone():
    laptops = _random_laptops(5_000, seed=2)
    steps = dict(_steps_up(laptops, seed=3))
    assert list(steps) == STEPS
    assert {name for name, rising in zip(*questions()) if rising} == {*NUMBERS, "processor_name"}
    for step, richer in steps.items():
        name = step.partition(",")[0]
        changed = (richer != laptops).any()
        assert list(changed[changed].index) == [name]
        moved = richer[name] != laptops[name]
        assert moved.mean() > 0.4
        if name == "processor_name":
            assert set(laptops[name][~moved]) == {"Core i9", "Ryzen 9", "M1"}
        else:
            assert (richer[name] >= laptops[name]).all()
            assert richer[name].max() <= BY_NAME[name].high


def test_the_fast_price_is_the_models(model):
    laptops = _random_laptops(5_000, seed=4)
    np.testing.assert_allclose(_fast(model)(laptops), model.predict(laptops), rtol=1e-12)


@pytest.mark.services
def test_more_machine_never_costs_less(model):
    """100,000 laptops, each a step up in every direction."""
    assert _falls(_fast(model), _random_laptops(LAPTOPS, seed=5)) == {}


def test_more_machine_never_costs_less_by_the_model_itself(model):
    """The same without any shortcut."""
    assert _falls(model.predict, _random_laptops(5_000, seed=6)) == {}


def test_more_machine_does_cost_more_somewhere(model):
    """Else the tests before would pass with a model that looks at nothing."""
    laptops = _random_laptops(2_000, seed=7)
    price = _fast(model)
    before = price(laptops)
    for step, richer in _steps_up(laptops, seed=8):
        dearer = price(richer) > before * 1.001
        assert dearer.mean() > 0.1, step


@pytest.mark.parametrize("name", [*NUMBERS, "processor_name"])
def test_a_planted_fall_is_found(sample_model, name):
    """One step of one field is worth less than nothing."""
    planted = copy.deepcopy(sample_model)
    planted.regressor_["ridge"].coef_[_question(name, 1)] = -2
    for price in (_fast(planted), planted.predict):
        found = _falls(price, _random_laptops(300, seed=9))
        assert found and {step.partition(",")[0] for step in found} == {name}


def test_a_planted_fall_of_a_single_combination_is_found(sample_model):
    """16 GB is worth a thousandth less than nothing, to an Avita with an M1 alone."""
    planted = copy.deepcopy(sample_model)
    coef = planted.regressor_["ridge"].coef_
    ram, avita = _question("ram_gb", 1), _question("brand", 3)
    m1 = _question("processor_name", -1)
    answers = range(len(questions()[0]))
    coef[[_pair(ram, other) for other in answers if other != ram]] = 0
    coef[ram], coef[_pair(ram, avita)], coef[_pair(ram, m1)] = 0.1, -0.05, -0.051
    laptops = _random_laptops(20_000, seed=10)
    found = _falls(_fast(planted), laptops)
    assert set(found) == {"ram_gb, next", "ram_gb, any"}
    odd = laptops.iloc[np.concatenate(list(found.values()))]
    assert set(zip(odd["brand"], odd["processor_name"])) == {("Avita", "M1")}
    assert len(found["ram_gb, next"]) > 20


def _least_worth(model):
    """What each rising question is worth to the laptop to which it is worth least.

    Its own coefficient, and with each other field the smallest that one answer brings.
    """
    fields, rising = questions()
    coef = model.regressor_["ridge"].coef_
    least = {}
    for step in np.flatnonzero(rising):
        least[step] = coef[step]
        for field in set(fields) - {fields[step]}:
            free = np.flatnonzero((fields == field) & ~rising)
            brought = [coef[_pair(step, other)] for other in free]
            if BY_NAME[field].kind == "flag":
                brought.append(0)  # "no"
            least[step] += min(brought, default=0)
    return least


def test_no_laptop_has_a_step_that_is_worth_less_than_nothing(model):
    """The proof: no combination is left out, since every term has two questions at most."""
    fields, rising = questions()
    coef = model.regressor_["ridge"].coef_
    assert len(_least_worth(model)) == 26
    assert min(_least_worth(model).values()) >= -1e-12
    for first in np.flatnonzero(rising):
        others = [other for other in np.flatnonzero(rising) if other != first]
        assert min(coef[_pair(first, other)] for other in others) >= 0
        own = [other for other in np.flatnonzero(fields == fields[first]) if other != first]
        assert not any(coef[_pair(first, other)] for other in own)


def _shuffled(prices):
    return prices.sample(frac=1, random_state=0).to_numpy()


def _upside_down(prices):
    return prices.max() * prices.min() / prices


@pytest.mark.parametrize(
    "crossed, alpha",
    [((), 8), (PARAMS.train.crossed, 0.01), (PARAMS.train.crossed, 8), (FEATURES, 8)],
    ids=["nothing crossed", "hardly a penalty", "as shipped", "all crossed"],
)
@pytest.mark.parametrize("change", [_shuffled, _upside_down])
def test_no_prices_teach_the_model_otherwise(trained, change, crossed, alpha):
    table, _ = read_processed(trained)
    table[TARGET] = change(table[TARGET])
    params = PARAMS.train.model_copy(update={"alphas": (alpha,), "crossed": crossed})
    model = fit_pipeline(table, params)
    assert min(_least_worth(model).values()) >= -1e-12
    assert _falls(_fast(model), _random_laptops(2_000, seed=11)) == {}
