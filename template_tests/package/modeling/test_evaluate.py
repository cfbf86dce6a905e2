"""The evaluation's figures are right. That it can fail shows test_evidence.py."""

import numpy as np
import pandas as pd
import pytest

from laptop_pricing.data.schema import TARGET
from laptop_pricing.data.split import grouped_folds
from laptop_pricing.modeling import evaluate
from laptop_pricing.modeling.evaluate import (
    LEARNING_SHARES,
    cross_validate,
    learning_curve,
    noise_floor,
    price_bands,
    score,
    slices,
    summarise,
)
from laptop_pricing.modeling.pipeline import fit_pipeline


@pytest.fixture(scope="module")
def two_seeds(params):
    return params.train.model_copy(update={"seeds": (0, 7), "alphas": (1.0, 10.0)})


def spying_fit():
    """`fit_pipeline`, and the list of tables that it was given."""
    given = []

    def fit(table, params):
        given.append(table.copy())
        return fit_pipeline(table, params)

    return fit, given


@pytest.fixture(scope="module")
def watched(table, two_seeds):
    """One evaluation and the tables that its models were fitted on."""
    fit, given = spying_fit()
    return cross_validate(table, two_seeds, fit=fit), given


@pytest.fixture(scope="module")
def validated(watched):
    return watched[0]


@pytest.fixture(scope="module")
def learned(table, two_seeds, validated):
    """One learning curve and the tables that its models were fitted on."""
    fit, given = spying_fit()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "fit_pipeline", fit)
        return learning_curve(table, two_seeds, validated[0]), given


def test_score_by_hand():
    found = score([1000, 2000, 3000, 6000], [1100, 1800, 3000, 5000])
    # Errors 100, -200, 0, -1000 around a mean of 3000.
    assert found == pytest.approx(
        {
            "R2": 1 - (100**2 + 200**2 + 1000**2) / (2000**2 + 1000**2 + 3000**2),
            "MAPE": (0.1 + 0.1 + 0 + 1 / 6) / 4,
            "MAE": 325,
            "MSE": 262_500,
        },
        rel=1e-12,
    )
    assert list(found) == ["R2", "MAPE", "MAE", "MSE"]
    assert all(type(value) is float for value in found.values())


def test_score_of_a_perfect_and_of_a_constant_prediction():
    prices = [1000.0, 2000.0, 6000.0]
    assert score(prices, prices) == {"R2": 1, "MAPE": 0, "MAE": 0, "MSE": 0}
    assert score(prices, [3000.0] * 3)["R2"] == 0


def test_mape_is_relative_to_the_actual_price():
    assert score([1000, 1000], [2000, 2000])["MAPE"] == 1
    assert score([2000, 2000], [1000, 1000])["MAPE"] == 0.5


def test_each_row_is_predicted_once_per_seed(validated, table, two_seeds):
    folds, predictions = validated
    assert list(zip(folds["seed"], folds["fold"])) == [(s, f) for s in (0, 7) for f in range(3)]
    for seed in two_seeds.seeds:
        part = predictions[predictions["seed"] == seed]
        assert list(part["row"]) == sorted(table.index)
        np.testing.assert_array_equal(part["actual"], table.loc[part["row"], TARGET])
    splits = grouped_folds(table["specification"], two_seeds.folds, two_seeds.seeds)
    for seed, fold, _, test in splits:
        part = predictions[(predictions["seed"] == seed) & (predictions["fold"] == fold)]
        assert list(part["row"]) == sorted(table.index[test])
    assert list(predictions) == ["row", "seed", "fold", "actual", "predicted"]
    assert len(predictions) == 2 * len(table)


def test_the_figures_are_those_of_the_predictions(validated, table, two_seeds):
    folds, predictions = validated
    for seed, fold, _, test in grouped_folds(
        table["specification"], two_seeds.folds, two_seeds.seeds
    ):
        rows = predictions[predictions["seed"] == seed].set_index("row").loc[table.index[test]]
        expected = score(rows["actual"], rows["predicted"])
        line = folds[(folds["seed"] == seed) & (folds["fold"] == fold)].iloc[0]
        assert {name: line[name] for name in expected} == pytest.approx(expected, rel=1e-12)


def test_a_fold_is_fitted_without_its_own_test_specifications(watched, table, two_seeds):
    _, fitted = watched
    splits = list(grouped_folds(table["specification"], two_seeds.folds, two_seeds.seeds))
    assert len(fitted) == len(splits) == 6
    for given, (_, _, _, test) in zip(fitted, splits):
        tested = table.iloc[test]
        assert not set(given["specification"]) & set(tested["specification"])
        assert len(given) + len(tested) == len(table)
    assert table["specification"].duplicated().sum() > 30, "the sample has specifications to leak"


def test_test_prices_cannot_reach_the_fit(validated, table, two_seeds):
    """Other prices in one fold's test rows leave that fold's predictions as they are."""
    _, before = validated
    _, _, _, test = next(grouped_folds(table["specification"], two_seeds.folds, two_seeds.seeds))
    changed = table.copy()
    changed.iloc[test, changed.columns.get_loc(TARGET)] *= 3
    one_seed = two_seeds.model_copy(update={"seeds": (0,)})
    _, after = cross_validate(changed, one_seed)
    rows = table.index[test]
    before = before[before["seed"] == 0].set_index("row")["predicted"]
    after = after.set_index("row")["predicted"]
    pd.testing.assert_series_equal(after.loc[rows], before.loc[rows], check_exact=True)
    assert (after.drop(rows) != before.drop(rows)).all()


def test_a_copy_of_the_target_in_the_table_changes_nothing(validated, table, two_seeds):
    copies = dict.fromkeys(["rating", "ratings", "reviews", "predicted"], table[TARGET])
    folds, predictions = cross_validate(table.assign(**copies), two_seeds)
    pd.testing.assert_frame_equal(folds, validated[0], check_exact=True)
    pd.testing.assert_frame_equal(predictions, validated[1], check_exact=True)


def test_summarise_by_hand():
    folds = pd.DataFrame(
        {
            "R2": [0.5, 0.7],
            "MAPE": [0.1, 0.1],
            "MAE": [300.0, 500.0],
            "MSE": [1e6, 3e6],
            "alpha": [1, 9],
        }
    )
    found = summarise(folds)
    assert list(found) == ["R2", "MAPE", "MAE", "MSE"]
    assert found["R2"] == pytest.approx({"mean": 0.6, "sd": 0.1})
    assert found["MAPE"] == pytest.approx({"mean": 0.1, "sd": 0.0})
    assert found["MAE"] == {"mean": 400, "sd": 100}
    assert found["MSE"] == {"mean": 2e6, "sd": 1e6}


def test_slices_by_hand():
    """Two brands with 30 and 29 rows, two seeds; the errors differ by brand and by seed."""
    table = pd.DataFrame({"brand": ["HP"] * 30 + ["MSI"] * 29}, index=range(100, 159))
    actual = np.array([2_499.0] * 15 + [2_500.0] * 15 + [3_999.0] * 14 + [20_000.0] * 15)
    parts = [
        pd.DataFrame({"row": table.index, "seed": s, "actual": actual, "predicted": actual * f})
        for s, f in ((0, 1.1), (1, 0.7))
    ]
    found = slices(pd.concat(parts, ignore_index=True), table)
    # 15 rows below 2,500 and 15 above 15,000 are too few; 2,500 belongs to the band it opens,
    # which has 15 + 14 rows, one too few as well.
    assert found.to_dict("records") == [
        {
            "by": "brand",
            "slice": "HP",
            "rows": 30,
            "MAPE": pytest.approx(0.2),
            "MAE": pytest.approx(0.2 * 2_499.5),
        }
    ]


BANDS = {
    500: "0 to 2,500",
    2_499.99: "0 to 2,500",
    2_500: "2,500 to 4,000",
    4_000: "4,000 to 6,000",
    9_999: "6,000 to 10,000",
    10_000: "10,000 to 15,000",
    15_000: "15,000 and more",
    60_000: "15,000 and more",
}


def test_each_price_has_its_band():
    found = price_bands(pd.Series(BANDS.keys()))
    assert list(found) == list(BANDS.values())
    assert list(found.cat.categories) == list(dict.fromkeys(BANDS.values())), "cheap to dear"
    assert found.cat.ordered


@pytest.mark.parametrize("price", BANDS)
def test_slices_are_by_the_band_of_the_actual_price(price):
    table = pd.DataFrame({"brand": ["HP"] * 30})
    predictions = pd.DataFrame(
        {"row": table.index, "seed": 0, "actual": float(price), "predicted": price * 1.25}
    )
    found = slices(predictions, table)
    assert list(found["slice"]) == ["HP", BANDS[price]]
    assert list(found["rows"]) == [30, 30]
    assert list(found["MAPE"]) == pytest.approx([0.25, 0.25])


def test_slices_of_the_evaluation_agree_with_a_count_by_hand(validated, table):
    _, predictions = validated
    found = slices(predictions, table)
    brands = found[found["by"] == "brand"].set_index("slice")
    counts = table["brand"].value_counts()
    assert set(brands.index) == set(counts[counts >= 30].index) != set(counts.index)
    for brand, line in brands.iterrows():
        rows = predictions[predictions["row"].isin(table.index[table["brand"] == brand])]
        error = abs(rows["predicted"] - rows["actual"])
        assert line["rows"] == counts[brand]
        assert line["MAE"] == pytest.approx(error.mean())
        assert line["MAPE"] == pytest.approx((error / rows["actual"]).mean())
    assert (found["rows"] >= 30).all()
    assert set(found["by"]) == {"brand", "price band"}


def test_noise_floor_by_hand():
    prices = {"a": [100, 200, 300], "b": [1_000, 1_000], "c": [5]}
    rows = [(name, price) for name, found in prices.items() for price in found]
    table = pd.DataFrame(rows, columns=["specification", TARGET]).sample(frac=1, random_state=0)
    # Among themselves, a has the median 200; without their own, its prices face 250, 200 and 150.
    within, without = (1 + 0 + 1 / 3 + 0 + 0) / 5, (1.5 + 0 + 0.5 + 0 + 0) / 5
    assert noise_floor(table) == pytest.approx((within, without))


def test_without_a_repeated_specification_there_is_no_noise_floor():
    table = pd.DataFrame({"specification": [0, 1, 2], TARGET: [1.0, 2, 3]})
    assert np.isnan(noise_floor(table)).tolist() == [True, True]
    once = noise_floor(table.assign(specification=[0, 1, 1]))
    assert once == pytest.approx(((0.25 + 1 / 6) / 2, (0.5 + 1 / 3) / 2))


def test_the_learning_curve_draws_whole_specifications(learned, table, two_seeds):
    curve, fitted = learned
    splits = list(grouped_folds(table["specification"], two_seeds.folds, (0,)))
    steps = [(share, split) for share in LEARNING_SHARES for split in splits]
    assert len(fitted) == len(steps) and len(curve) == len(steps) + two_seeds.folds
    assert list(curve) == ["share", "fold", "rows", "R2", "MAPE", "MAE", "MSE"]
    counts = table["specification"].value_counts()
    for given, line, (share, (_, fold, train, test)) in zip(fitted, curve.itertuples(), steps):
        assert (line.share, line.fold, line.rows) == (share, fold, len(given))
        keys = given["specification"].value_counts()
        assert (keys == counts[keys.index]).all(), "a specification is drawn in part"
        assert not set(keys.index) & set(table["specification"].iloc[test])
        assert len(keys) == round(share * table["specification"].iloc[train].nunique())
    assert np.isfinite(curve[["R2", "MAPE", "MAE", "MSE"]]).all(axis=None)


def test_the_learning_curve_ends_at_the_evaluation_of_its_seed(validated, learned, table, params):
    curve, fitted = learned
    last = curve[curve["share"] == 1].reset_index(drop=True)
    folds = validated[0].query("seed == 0").reset_index(drop=True)
    names = ["fold", "R2", "MAPE", "MAE", "MSE"]
    pd.testing.assert_frame_equal(last[names], folds[names], check_exact=True)
    splits = grouped_folds(table["specification"], params.train.folds, (0,))
    assert list(last["rows"]) == [len(train) for _, _, train, _ in splits]
    assert curve.query("share == 0.125")["MAPE"].mean() > last["MAPE"].mean()


def test_a_learning_curve_fits_like_the_evaluation(table, params, validated, monkeypatch):
    """Were the whole training part drawn, its points would be those of the evaluation."""
    two_alphas = params.train.model_copy(update={"alphas": (1.0, 10.0)})
    monkeypatch.setattr(evaluate, "LEARNING_SHARES", (1.0,))
    curve = learning_curve(table, two_alphas, validated[0])
    drawn, given = curve.iloc[:3], curve.iloc[3:]
    names = ["rows", "fold", "R2", "MAPE", "MAE", "MSE"]
    pd.testing.assert_frame_equal(
        drawn[names].reset_index(drop=True), given[names].reset_index(drop=True), rtol=1e-9
    )
