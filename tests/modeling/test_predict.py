"""One way to a prediction: the same for one row and for many, with an interval and its reasons."""

import math

import pandas as pd
import pytest

from laptop_pricing.data.schema import COLUMNS, EXAMPLE, FEATURES, SPECIFICATION
from laptop_pricing.errors import UserError
from laptop_pricing.modeling.bundle import load_bundle
from laptop_pricing.modeling.predict import HIGH, LOW, PREDICTION, predict, predict_file
from laptop_pricing.modeling.quote import quote
from laptop_pricing.modeling.train import read_processed

ROWS = 12
BAD = "no such value"


@pytest.fixture(scope="module")
def table(trained):
    return read_processed(trained)[0].head(ROWS)


@pytest.fixture(scope="module")
def bundle(trained):
    return load_bundle(trained.models)


def spelled(table, columns=SPECIFICATION):
    """The table under the raw file's names and in its spelling."""
    spelled = {c.raw_name: table[c.name].map(c.spell) for c in columns}
    return pd.DataFrame(spelled).reset_index(drop=True)


def test_a_row_alone_is_predicted_as_among_others(bundle, table):
    together = predict(bundle, table)
    alone = pd.concat([predict(bundle, table.loc[[row]]) for row in table.index])
    pd.testing.assert_frame_equal(together, alone, rtol=1e-12)


def test_the_interval_holds_the_prediction(bundle, table):
    found = predict(bundle, table)
    assert (found[LOW] < found[PREDICTION]).all() and (found[PREDICTION] < found[HIGH]).all()


def test_base_times_factors_is_the_prediction(bundle, table):
    found = bundle.compiled.factors(table)
    assert found.shape == (len(table), len(FEATURES))
    product = bundle.compiled.base * found.prod(axis=1)
    assert product.tolist() == pytest.approx(predict(bundle, table)[PREDICTION].tolist(), rel=1e-9)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_file_gets_the_predictions_of_its_rows(trained, bundle, table, tmp_path, ending):
    source, target = tmp_path / f"in{ending}", tmp_path / f"out{ending}"
    raw = spelled(table, COLUMNS)
    raw.to_csv(source, index=False) if ending == ".csv" else raw.to_parquet(source)
    predict_file(trained.models, source, target)
    written = pd.read_csv(target) if ending == ".csv" else pd.read_parquet(target)
    assert list(written) == [*raw, PREDICTION, LOW, HIGH]
    expected = predict(bundle, table)[PREDICTION].round(2)
    assert written[PREDICTION].tolist() == pytest.approx(expected.tolist(), abs=0.011)


@pytest.mark.parametrize("column", SPECIFICATION, ids=lambda column: column.name)
def test_one_bad_cell_is_named_and_nothing_is_written(trained, table, tmp_path, column):
    raw = spelled(table)
    raw.loc[3, column.raw_name] = BAD
    raw.to_csv(tmp_path / "in.csv", index=False)
    with pytest.raises(UserError) as error:
        predict_file(trained.models, tmp_path / "in.csv", tmp_path / "out.csv")
    assert f"row 3: {column.name}: found '{BAD}'; expected {column.rule}" in str(error.value)
    assert not (tmp_path / "out.csv").exists()


def test_the_example_has_a_price_with_its_reasons(trained):
    found = quote(trained.models, EXAMPLE, margin=0.2, risk=0.1)
    assert found.low < found.price < found.high
    assert tuple(found.factors) == FEATURES
    assert found.base * math.prod(found.factors.values()) == pytest.approx(found.price, rel=1e-9)
    assert 0 < found.offers[0].offer < found.price
