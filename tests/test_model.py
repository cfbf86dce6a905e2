"""The model keeps its promises, whatever ``build_model`` gives."""

import numpy as np
import pandas as pd
import pytest
from outputs import CLASSES, TASK, rising, told
from sklearn.base import clone

from laptop_pricing.kit.data.table import features, records
from laptop_pricing.kit.modeling.bundle import load_bundle, read_metadata
from laptop_pricing.kit.modeling.interval import interval
from laptop_pricing.kit.modeling.predict import predict
from laptop_pricing.kit.modeling.quote import quote_rows
from laptop_pricing.kit.modeling.train import read_processed
from laptop_pricing.problem import PROBLEM

ROWS = 2_000
ROUNDING = 1e-9
# (column, its values from the least to the best)
LADDERS = [
    (column, ladder)
    for column in PROBLEM.features
    if column.monotonic and len(CLASSES) < 3
    for ladder in column.ladders or [column.levels]
    if len(ladder) > 1
]


@pytest.fixture(scope="module")
def bundle(trained):
    return load_bundle(trained.models, PROBLEM)


@pytest.fixture(scope="module")
def rows():
    """Rows from the whole vocabulary, whether they could be or not."""
    random = np.random.default_rng(0)
    table = {}
    for column in PROBLEM.features:
        choices = column.allowed or column.levels or (False, True)
        choices = choices if not column.numeric or column.levels else (column.low, column.high)
        table[column.name] = random.choice(np.array(choices), ROWS)
    return pd.DataFrame(table)


def test_build_model_gives_an_unfitted_model_that_can_be_cloned(trained):
    model = trained.model()
    asked = "predict_proba" if CLASSES else "predict"
    assert model is not trained.model() and hasattr(clone(model), asked)
    with pytest.raises(Exception, match="not fitted"):
        getattr(model, asked)(features(PROBLEM.features, read_processed(trained)[0]))


@pytest.mark.parametrize(
    "column, ladder", LADDERS, ids=[f"{column.name}, {ladder[-1]}" for column, ladder in LADDERS]
)
def test_no_step_up_lowers_the_prediction(bundle, rows, column, ladder):
    below = None
    for value in ladder:
        predicted = rising(bundle.predict(rows.assign(**{column.name: value})))
        if below is not None:
            falls = rows[predicted < below * (1 - ROUNDING)]
            assert falls.empty, f"up to {value}, for example {falls.iloc[0].to_dict()}"
        below = predicted


@pytest.mark.skipif(bool(CLASSES), reason="of numbers")
def test_the_low_end_never_falls_as_the_prediction_rises(bundle):
    spaced = np.geomspace if PROBLEM.relative else np.linspace
    predicted = spaced(PROBLEM.target.low, PROBLEM.target.high, 5_000)
    low, high = interval(bundle.metadata["calibration"], predicted).T
    assert (low < high).all() and (np.diff(low) >= 0).all()


@pytest.mark.skipif(not CLASSES, reason="of classes")
def test_the_set_grows_with_a_chance_and_holds_as_much_of_each_class_as_is_promised(trained):
    metadata = read_metadata(trained.models)
    random, place = np.random.default_rng(0), {name: k for k, name in enumerate(CLASSES)}
    chances = random.dirichlet([1.0] * len(CLASSES), 5_000)
    quotes = list(TASK.quotes(metadata["calibration"], chances, None, None, None))
    for name, line in metadata["metrics"]["classes"].items():
        own = chances[:, place[name]]
        held = np.array([name in quote["set"] for quote in quotes])
        assert own[held].min(initial=1) >= own[~held].max(initial=0)
        assert line["coverage"] == pytest.approx(0.9, abs=2 * line["margin"])


def test_one_case_a_table_and_its_reasons_give_one_prediction(trained, bundle):
    table, _ = read_processed(trained)
    table = table.head(100)
    quotes = quote_rows(PROBLEM, bundle, records(table, PROBLEM.names))
    found = predict(PROBLEM, bundle, table)
    assert found.iloc[:, 0].tolist() == [quote.prediction for quote in quotes]
    for quote, outputs in zip(quotes, bundle.predict(table)):
        numbers, aim = told(quote)
        np.testing.assert_allclose(numbers, outputs, rtol=1e-9)
        if quote.factors is not None:
            product = quote.base * np.prod([*quote.factors.values()])
            assert product == pytest.approx(aim, rel=1e-9)
        if quote.terms is not None:
            total = quote.base + sum(quote.terms.values())
            assert quote.prediction >= total - 1e-9 * abs(total)  # it is held at the lowest seen


@pytest.mark.parametrize("name", PROBLEM.names)
def test_what_a_field_cannot_hold_is_refused_by_its_name(name):
    _, failures = PROBLEM.read_row(dict(PROBLEM.example) | {name: "no such thing"})
    assert [failure.field for failure in failures] == [name]
