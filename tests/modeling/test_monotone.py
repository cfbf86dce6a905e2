"""More never costs less: no step up a size or a ladder lowers the prediction, for no row."""

import numpy as np
import pandas as pd
import pytest

from laptop_pricing.data.schema import SPECIFICATION
from laptop_pricing.modeling.bundle import load_bundle
from laptop_pricing.modeling.predict import PREDICTION, predict

ROWS = 2_000
ROUNDING = 1e-9
# (column, its values from the least to the best)
LADDERS = [(c, ladder) for c in SPECIFICATION if c.monotonic for ladder in c.ladders or [c.levels]]
LADDERS = [(column, ladder) for column, ladder in LADDERS if len(ladder) > 1]


@pytest.fixture(scope="module")
def rows():
    """Rows from the whole vocabulary, whether they could be or not."""
    random = np.random.default_rng(0)
    table = {}
    for column in SPECIFICATION:
        choices = column.allowed or column.levels or (False, True)
        table[column.name] = random.choice(np.array(choices), ROWS)
    return pd.DataFrame(table)


@pytest.mark.parametrize(
    "column, ladder", LADDERS, ids=[f"{column.name}, {ladder[-1]}" for column, ladder in LADDERS]
)
def test_no_step_up_lowers_the_prediction(trained, rows, column, ladder):
    bundle = load_bundle(trained.models)
    below = None
    for value in ladder:
        predicted = predict(bundle, rows.assign(**{column.name: value}))[PREDICTION]
        if below is not None:
            falls = rows[predicted < below * (1 - ROUNDING)]
            assert falls.empty, f"up to {value}, for example {falls.iloc[0].to_dict()}"
        below = predicted
