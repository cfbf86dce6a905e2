"""Intervals and offers, by hand and on prices whose distribution is known."""

import numpy as np
import pandas as pd
import pytest

from laptop_pricing.modeling.interval import (
    COVERAGE,
    LEVELS,
    RISKS,
    TERCILES,
    calibrate,
    coverage,
    interval,
    offers,
    ratios_of,
    summarise_coverage,
)

SPREADS = (0.1, 0.2, 0.4)  # of the logarithm of actual / predicted, in each tercile
PRICES = (1_500, 3_000, 6_000)  # one of each tercile

# The ratio's quantile at level q is 0.5 + q for cheap laptops; for others less far from 1.
CALIBRATION = {
    "edges": [1_000.0, 2_000.0],
    "ratios": [list(0.5 + LEVELS), list(0.75 + LEVELS / 2), list(0.9 + LEVELS / 5)],
}


def simulated(rows, seed):
    """Predictions whose ratios are log-normal, with a spread of its own in each tercile."""
    random = np.random.default_rng(seed)
    predicted = random.permutation(np.repeat(PRICES, rows // 3)) * random.uniform(0.8, 1.2, rows)
    band = np.searchsorted((2_100, 4_200), predicted)
    actual = predicted * np.exp(random.normal(0, np.array(SPREADS)[band]))
    fold = random.integers(0, 5, rows)
    return pd.DataFrame({"seed": 0, "fold": fold, "actual": actual, "predicted": predicted})


@pytest.fixture(scope="module")
def known():
    """A calibration on many simulated laptops."""
    return calibrate(simulated(30_000, seed=1))


def test_calibrate_by_hand():
    predicted = np.arange(1.0, 10) * 1_000
    ratios = np.array([1.2, 0.8, 1.0, 2.0, 2.0, 2.0, 0.5, 0.9, 0.7])
    found = calibrate(pd.DataFrame({"predicted": predicted, "actual": predicted * ratios}))
    assert list(found) == ["edges", "ratios"]
    assert found["edges"] == pytest.approx([3_000 + 2_000 / 3, 6_000 + 1_000 / 3])
    low, middle, high = found["ratios"]
    # Between 0.8, 1.0 and 1.2 lie two steps: a level of 0.25 is half of the first.
    assert [low[i] for i in (0, 24, 49, 74, 98)] == pytest.approx([0.804, 0.9, 1, 1.1, 1.196])
    assert middle == pytest.approx([2.0] * 99)
    assert [high[i] for i in (0, 49, 98)] == pytest.approx([0.504, 0.7, 0.896])
    assert [type(x) for x in found["edges"] + low] == [float] * 101, "JSON knows no NumPy"


def test_a_laptop_on_the_edge_belongs_to_the_upper_tercile():
    predicted = np.arange(1.0, 8)  # the edges are 3 and 5
    ratios = np.array([1, 1, 2, 2, 3, 3, 3])
    found = calibrate(pd.DataFrame({"predicted": predicted, "actual": predicted * ratios}))
    assert found["edges"] == pytest.approx([3, 5])
    assert found["ratios"] == [[1] * 99, [2] * 99, [3] * 99]
    prices = [0.5, 2.999, 3, 4.999, 5, 100]
    assert ratios_of(found, prices).tolist() == [[k] * 99 for k in (1, 1, 2, 2, 3, 3)]


def test_interval_by_hand():
    found = interval(CALIBRATION, [500, 1_000, 2_000, 4_000])
    ends = [[0.55, 1.45], [0.775, 1.225], [0.91, 1.09], [0.91, 1.09]]
    np.testing.assert_allclose(found, np.array(ends) * [[500], [1_000], [2_000], [4_000]])
    prices = pd.Series([500, 4_000], index=[7, 3])
    np.testing.assert_array_equal(interval(CALIBRATION, prices), found[[0, 3]])


def test_low_is_below_high_whatever_the_price(known):
    prices = np.geomspace(1, 1e6, 1_000)
    low, high = interval(known, prices).T
    assert (0 < low).all() and (low < prices).all() and (prices < high).all()
    assert ratios_of(known, prices).shape == (1_000, 99)
    assert (np.diff(ratios_of(known, prices)) > 0).all()


def test_nine_prices_in_ten_are_inside_in_each_tercile(known):
    unseen = simulated(30_000, seed=2)
    low, high = interval(known, unseen["predicted"]).T
    inside = unseen["actual"].between(low, high)
    tercile = np.searchsorted((2_100, 4_200), unseen["predicted"])
    assert inside.groupby(tercile).mean().to_list() == pytest.approx([COVERAGE] * 3, abs=0.02)


def test_each_tercile_has_the_width_of_its_own_errors(known):
    widths = [high / low for low, high in interval(known, PRICES)]
    expected = [np.exp(2 * 1.645 * spread) for spread in SPREADS]
    assert widths == pytest.approx(expected, rel=0.05)


@pytest.fixture(scope="module")
def strange_fold():
    """Two seeds of five folds; in fold 0 of seed 0 every laptop sells for three times its price."""
    parts = [simulated(1_500, seed=3).assign(seed=seed) for seed in (0, 1)]
    predictions = pd.concat(parts, ignore_index=True)
    predictions["actual"] = predictions["predicted"] * np.tile(np.linspace(0.9, 1.1, 1_500), 2)
    strange = (predictions["seed"] == 0) & (predictions["fold"] == 0)
    predictions.loc[strange, "actual"] = 3 * predictions["predicted"]
    return predictions.sample(frac=1, random_state=0), strange


def test_a_fold_does_not_calibrate_its_own_intervals(strange_fold):
    predictions, strange = strange_fold
    covered = coverage(predictions)
    high = covered["high"] / covered["predicted"]
    assert not covered.loc[strange, "inside"].any()
    assert high[strange].max() < 1.2
    others = (predictions["seed"] == 0) & ~strange
    assert high[others].min() > 2.5, "a fifth of the other rows is strange"


def test_a_seed_does_not_calibrate_another(strange_fold):
    covered = coverage(strange_fold[0])
    second = covered[covered["seed"] == 1]
    assert (second["high"] / second["predicted"]).max() < 1.2
    assert second["inside"].mean() == pytest.approx(0.9, abs=0.03)


def test_coverage_gives_each_prediction_its_line(strange_fold):
    predictions, _ = strange_fold
    covered = coverage(predictions)
    pd.testing.assert_frame_equal(covered[list(predictions)], predictions.sort_index())
    assert list(covered)[-4:] == ["tercile", "low", "high", "inside"]
    inside = covered["actual"].between(covered["low"], covered["high"])
    pd.testing.assert_series_equal(covered["inside"], inside, check_names=False)
    assert 0 < inside.mean() < 1
    for _, drawn in covered.groupby("seed"):
        ends = drawn.groupby("tercile", observed=True)["predicted"].agg(["size", "min", "max"])
        assert list(ends.index) == list(TERCILES) and list(ends["size"]) == [500] * 3
        assert ends["max"]["low"] < ends["min"]["middle"]
        assert ends["max"]["middle"] < ends["min"]["high"]


def test_summarise_coverage_by_hand():
    covered = pd.DataFrame(
        {
            "tercile": ["low", "low", "middle", "middle", "high"],
            "predicted": [100.0, 100, 200, 200, 400],
            "low": [90.0, 80, 100, 100, 200],
            "high": [110.0, 120, 200, 240, 800],
            "inside": [True, True, True, False, False],
        }
    )
    assert summarise_coverage(covered) == {
        "coverage": pytest.approx(0.6),
        "width": pytest.approx(0.5),  # of 0.2, 0.4, 0.5, 0.7 and 1.5
        "terciles": {"low": 1, "middle": 0.5, "high": 0},
    }


def test_offers_by_hand():
    found = pd.DataFrame(offers(CALIBRATION, 500, margin=0.2, risks=(0.1, 0.5, 0.9)))
    assert list(found) == ["risk", "offer", "losing", "expected_margin"]
    # 0.6, 1.0 and 1.4 of the price are what a share of 0.1, 0.5 and 0.9 sells below; the mean is 1.
    assert list(found["offer"]) == pytest.approx([0.8 * 300, 0.8 * 500, 0.8 * 700])
    assert list(found["losing"]) == pytest.approx([0, 0.3, 0.62])
    assert list(found["expected_margin"]) == pytest.approx([1 - 0.48, 0.2, 1 - 1.12])
    assert [line.risk for line in offers(CALIBRATION, 500, 0)] == list(RISKS)


def test_without_a_margin_half_of_the_deals_at_the_median_lose():
    for price in (500, 1_500, 5_000):  # all three have a median ratio of 1
        (line,) = offers(CALIBRATION, price, margin=0, risks=(0.5,))
        assert (line.offer, line.losing) == pytest.approx((price, 0.5))
        assert line.expected_margin == pytest.approx(0, abs=1e-12)


def test_an_offer_falls_with_the_margin_and_rises_with_the_risk(known):
    risks = np.linspace(0.01, 0.99, 50)
    table = np.array(
        [pd.DataFrame(offers(known, 3_000, m, risks))["offer"] for m in np.linspace(0, 0.95, 20)]
    )
    assert (np.diff(table, axis=0) < 0).all(), "a larger margin"
    assert (np.diff(table, axis=1) > 0).all(), "a larger risk"
    assert (table > 0).all()


@pytest.mark.parametrize("price", PRICES)
def test_losing_and_expected_margin_agree_with_a_count(known, price):
    spread = SPREADS[PRICES.index(price)]
    sold = price * np.exp(np.random.default_rng(4).normal(0, spread, 100_000))
    for margin in (0, 0.1, 0.3):
        for line in offers(known, price, margin):
            assert line.losing == pytest.approx((sold < line.offer).mean(), abs=0.02)
            kept = (sold - line.offer).sum() / sold.sum()
            assert line.expected_margin == pytest.approx(kept, abs=0.02)


@pytest.mark.parametrize("margin", [0, 0.15, 0.4])
@pytest.mark.parametrize("price", PRICES)
def test_the_share_of_deals_that_miss_the_margin_is_the_risk(known, price, margin):
    spread = SPREADS[PRICES.index(price)]
    sold = price * np.exp(np.random.default_rng(5).normal(0, spread, 100_000))
    found = pd.DataFrame(offers(known, price, margin))
    missed = [((sold - offer) / sold < margin).mean() for offer in found["offer"]]
    assert missed == pytest.approx(list(RISKS), abs=0.02)


def test_an_offer_below_all_known_ratios_never_loses():
    (line,) = offers(CALIBRATION, 500, margin=0.95, risks=(0.99,))
    assert line.losing == 0 and line.expected_margin > 0.9
    # At 0.51 of the price begins what is known: a hundredth of the deals sells below.
    margin = 1 - 0.51 / 1.4
    assert offers(CALIBRATION, 500, margin + 0.001, (0.9,))[0].losing == 0
    assert offers(CALIBRATION, 500, margin - 0.001, (0.9,))[0].losing >= 0.01
