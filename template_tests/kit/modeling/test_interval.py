"""Intervals and offers: what they hold, by hand and by count."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import LAPTOPS, MADE

from laptop_pricing.kit.data.read import read_dataset
from laptop_pricing.kit.data.table import GROUP, validate
from laptop_pricing.kit.modeling.evaluate import cross_validate
from laptop_pricing.kit.modeling.factor_ridge import FactorRidge
from laptop_pricing.kit.modeling.interval import (
    LEVELS,
    THIRDS,
    calibrate,
    coverage,
    interval,
    offers,
    summarise_coverage,
)
from laptop_pricing.kit.params import TrainParams


def made(rows=3_000, seed=0, spread=(0.05, 0.3)):
    """Predictions from 1,000 to 20,000 whose log ratios spread more and more."""
    random = np.random.default_rng(seed)
    logs = random.uniform(np.log(1_000), np.log(20_000), rows)
    sigma = np.interp(logs, [np.log(1_000), np.log(20_000)], spread)
    actual = np.exp(logs + sigma * random.normal(size=rows))
    folds = {"seed": 0, "fold": np.arange(rows) % 5, "row": np.arange(rows)}
    return pd.DataFrame({"actual": actual, "predicted": np.exp(logs)} | folds)


def test_calibrate_by_hand():
    ratios = np.tile([0.5, 0.8, 1.25, 2.0], 100)
    rows = pd.DataFrame({"predicted": 100.0, "actual": 100 * ratios, "row": range(400)})
    found = calibrate(MADE, rows)
    mean = (np.log(2) + np.log(1.25)) / 2
    assert found["spread"]["is"] == pytest.approx([mean] * 4)
    np.testing.assert_allclose(found["ends"], [-np.log(2) / mean, np.log(2) / mean])
    low, high = interval(found, [100.0, 7.0]).T
    np.testing.assert_allclose([*low, *high], [50, 3.5, 200, 14])


def test_an_exact_model_has_an_interval_of_nothing():
    same = pd.DataFrame({"predicted": [1.0, 2, 3, 4], "actual": [1.0, 2, 3, 4], "row": range(4)})
    np.testing.assert_allclose(interval(calibrate(MADE, same), [2.5])[0], 2.5)


def test_nine_in_ten_are_inside_in_each_third_and_each_has_its_own_width():
    covered = coverage(MADE, made())
    found = summarise_coverage(MADE, covered)
    assert all(0.88 < share < 0.92 for share in [found["coverage"], *found["thirds"].values()])
    width = (covered["high"] / covered["low"]).groupby(covered["third"], observed=True).median()
    assert width["low"] < width["middle"] < width["high"]
    assert covered["inside"].mean() == found["coverage"] and list(width.index) == list(THIRDS)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 2), st.floats(0.01, 3))
def test_the_low_end_never_falls_as_the_prediction_rises(seed, first, last):
    calibration = calibrate(MADE, made(200, seed, (first, last)))
    low, high = interval(calibration, np.geomspace(1, 1e6, 2_000)).T
    assert (np.diff(low) >= -1e-9 * low[1:]).all() and (low <= high).all()


def test_a_fold_does_not_calibrate_its_own_intervals():
    strange = made(500)
    fold = strange["fold"] == 0
    strange.loc[fold, "actual"] = strange.loc[fold, "predicted"] * 50
    assert not coverage(MADE, strange)[fold]["inside"].any()


def ratios_by_third(predictions):
    """The intervals before these: quantiles of the ratio in each third of the predictions."""
    edges = predictions["predicted"].quantile([1 / 3, 2 / 3])
    bands = np.searchsorted(edges, predictions["predicted"], side="right")
    ratios = predictions["actual"] / predictions["predicted"]
    ends = np.array([np.quantile(ratios[bands == band], [0.05, 0.95]) for band in range(3)])
    return lambda p: np.asarray(p)[:, np.newaxis] * ends[np.searchsorted(edges, p, side="right")]


def winkler(predictions, low, high):
    """The width of the log interval, and 20 times what lies outside."""
    low, high, actual = np.log(low), np.log(high), np.log(predictions["actual"])
    return high - low + 20 * ((low - actual).clip(lower=0) + (actual - high).clip(lower=0))


@pytest.mark.services
def test_on_the_real_data_each_third_holds_its_promise_and_the_score_is_better(laptop_csv):
    text = read_dataset(laptop_csv, LAPTOPS, (2_000, 15_000))
    table = validate(text, LAPTOPS.columns, LAPTOPS.rules)[0].drop_duplicates()
    table[GROUP] = table.groupby(list(LAPTOPS.names)).ngroup()
    model = FactorRidge(LAPTOPS.features, ("processor_name", "processor_gnrtn", "ram_type"), 8)
    params = TrainParams(folds=5, seeds=(0, 1, 2, 3, 4))
    _, predictions = cross_validate(model, LAPTOPS, table, params)
    covered = coverage(LAPTOPS, predictions)
    thirds = summarise_coverage(LAPTOPS, covered)["thirds"]
    assert all(0.89 <= share <= 0.92 for share in thirds.values()), thirds

    before = []
    for _, drawn in predictions.groupby("seed"):
        for _, fold in drawn.groupby("fold"):
            low, high = ratios_by_third(drawn.drop(fold.index))(fold["predicted"]).T
            before.append(winkler(fold, low, high))
    more = winkler(covered, covered["low"], covered["high"]) - pd.concat(before)
    per_row = more.groupby(predictions["row"]).mean()
    assert per_row.mean() < -2 * per_row.std() / np.sqrt(len(per_row))


def test_offers_agree_with_a_count():
    predictions = made(20_000, spread=(0.2, 0.2))
    calibration = calibrate(MADE, predictions)
    sold = 5_000 * predictions["actual"] / predictions["predicted"]
    for margin in (0, 0.15, 0.4):
        lines = offers(calibration, 5_000, margin)
        assert [line.offer for line in lines] == sorted(line.offer for line in lines)
        for line in lines:
            assert ((1 - margin) * sold < line.offer).mean() == pytest.approx(line.risk, abs=0.02)
            assert (sold < line.offer).mean() == pytest.approx(line.losing, abs=0.02)
            assert 1 - line.offer / sold.mean() == pytest.approx(line.expected_margin, abs=0.02)
    (median,) = offers(calibration, 5_000, 0, [0.5])
    assert median.losing == pytest.approx(0.5) and len(LEVELS) == 99
