"""The model keeps its promises, whatever ``build_model`` gives."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from laptop_pricing.kit.data.table import features, records
from laptop_pricing.kit.modeling.bundle import load_bundle
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
    if column.monotonic
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


def test_build_model_gives_an_unfitted_regressor_that_can_be_cloned(trained):
    model = trained.model()
    assert model is not trained.model() and hasattr(clone(model), "predict")
    with pytest.raises(Exception, match="not fitted"):
        model.predict(features(PROBLEM.features, read_processed(trained)[0]))


@pytest.mark.parametrize(
    "column, ladder", LADDERS, ids=[f"{column.name}, {ladder[-1]}" for column, ladder in LADDERS]
)
def test_no_step_up_lowers_the_prediction(bundle, rows, column, ladder):
    below = None
    for value in ladder:
        predicted = bundle.predict(rows.assign(**{column.name: value}))
        if below is not None:
            falls = rows[predicted < below * (1 - ROUNDING)]
            assert falls.empty, f"up to {value}, for example {falls.iloc[0].to_dict()}"
        below = predicted


def test_the_low_end_never_falls_as_the_prediction_rises(bundle):
    spaced = np.geomspace if PROBLEM.relative else np.linspace
    predicted = spaced(PROBLEM.target.low, PROBLEM.target.high, 5_000)
    low, high = interval(bundle.metadata["calibration"], predicted).T
    assert (low < high).all() and (np.diff(low) >= 0).all()


def test_one_case_a_table_and_its_reasons_give_one_prediction(trained, bundle):
    table, _ = read_processed(trained)
    table = table.head(100)
    quotes = quote_rows(PROBLEM, bundle, records(table, PROBLEM.names))
    found = predict(PROBLEM, bundle, table).iloc[:, 0]
    np.testing.assert_allclose([quote.prediction for quote in quotes], found, rtol=1e-9)
    for quote in quotes:
        if quote.factors is not None:
            product = quote.base * np.prod([*quote.factors.values()])
            assert product == pytest.approx(quote.prediction, rel=1e-9)
        if quote.terms is not None:
            total = quote.base + sum(quote.terms.values())
            assert quote.prediction >= total - 1e-9 * abs(total)  # it is held at the lowest seen


@pytest.mark.parametrize("name", PROBLEM.names)
def test_what_a_field_cannot_hold_is_refused_by_its_name(name):
    _, failures = PROBLEM.read_row(dict(PROBLEM.example) | {name: "no such thing"})
    assert [failure.field for failure in failures] == [name]
