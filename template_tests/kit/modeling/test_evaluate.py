"""The evaluation: figures by hand, rows predicted by a model that did not see their twins."""

import numpy as np
import pandas as pd
import pytest
from problems import MADE, each_problem, make_params
from sklearn.dummy import DummyRegressor

from laptop_pricing.kit.data.table import GROUP
from laptop_pricing.kit.modeling.bundle import Neighbours
from laptop_pricing.kit.modeling.evaluate import (
    against,
    baselines,
    cross_validate,
    fit,
    large,
    learning_curve,
    noise_floor,
    sampling_interval,
    slices,
    summarise,
)
from laptop_pricing.kit.modeling.factor_ridge import FactorRidge
from laptop_pricing.kit.modeling.task import task_of
from laptop_pricing.kit.modeling.train import read_processed

PARAMS = make_params(MADE, train={"folds": 3, "seeds": [0, 1]}).train
TASK = task_of(MADE)


@pytest.fixture(scope="module")
def table(trained):
    return read_processed(trained(MADE))[0]


@pytest.fixture(scope="module")
def validated(table):
    return cross_validate(FactorRidge(MADE.features, alpha=2), MADE, table, PARAMS)


def test_score_by_hand():
    found = TASK.score(np.array([100, 200, 400]), np.array([110, 180, 400]))
    assert found["MAPE"] == pytest.approx((0.1 + 0.1 + 0) / 3)
    assert found["MAE"] == pytest.approx(10) and found["MSE"] == pytest.approx(500 / 3)
    spread = np.square(np.array([100, 200, 400]) - 700 / 3).sum()
    assert found["R2"] == pytest.approx(1 - 500 / spread)


def test_each_row_is_predicted_once_per_seed_and_the_figures_are_those_of_the_predictions(
    table, validated
):
    folds, predictions = validated
    assert len(folds) == 6 and len(predictions) == 2 * len(table)
    for _, drawn in predictions.groupby("seed"):
        assert sorted(drawn["row"]) == sorted(table.index)
        by_group = drawn["fold"].groupby(drawn["row"].map(table[GROUP])).nunique()
        assert (by_group == 1).all()
    one = predictions.query("seed == 1 and fold == 2")
    line = folds.query("seed == 1 and fold == 2").iloc[0][list(TASK.metrics)].to_dict()
    assert line == pytest.approx(TASK.score(one["actual"], one["predicted"]))
    found = summarise(folds)
    assert found["R2"]["mean"] == pytest.approx(folds["R2"].mean())
    assert found["MAE"]["sd"] == pytest.approx(np.std(folds["MAE"]))


def test_what_is_predicted_is_what_a_model_without_that_fold_says(table, validated):
    one = validated[1].query("seed == 0 and fold == 1")
    model = fit(FactorRidge(MADE.features, alpha=2), MADE, table.drop(index=one["row"]))
    again = model.predict(table.loc[one["row"]])
    np.testing.assert_allclose(one["predicted"], again, rtol=1e-12)
    seen = Neighbours.of(MADE, table.drop(index=one["row"]))
    np.testing.assert_array_equal(
        one["distance"], seen.distances(table.loc[one["row"]].to_dict("records"))
    )
    assert one["distance"].min() > 0


@each_problem
def test_the_baselines_go_through_the_same_folds(problem, trained):
    table, _ = read_processed(trained(problem))
    params, task = make_params(problem).train, task_of(problem)
    name, least = task.score_name, 0.5 if problem.classes else 0
    found = {
        name: cross_validate(model, problem, table, params)[0]
        for name, model in baselines(problem).items()
    }
    trivial, plain = found[task.trivial], found[task.plain]
    assert trivial[name].max() <= least < plain[name].mean()
    line = against(problem, plain, trivial, params)[name]
    more = trivial[name] - plain[name]
    assert line["mean"] == trivial[name].mean() and line["more"] == more.mean()
    # Nadeau and Bengio: variance times (1 / n + test rows / training rows), Student's t.
    expected = 4.302653 * np.sqrt(more.var(ddof=1) * (1 / 3 + 1 / 2))
    assert line["margin"] == pytest.approx(expected, rel=1e-5)


def test_a_bad_fit_would_be_noticed_by_its_groups(table):
    broken = table.assign(**{GROUP: 0})
    with pytest.raises(ValueError):
        cross_validate(DummyRegressor(), MADE, broken, PARAMS)


def test_slices_and_bands_by_hand():
    frame = pd.DataFrame({"district": ["North", "North", "East", "East"]})
    predictions = pd.DataFrame(
        {
            "row": [0, 1, 2, 3],
            "actual": [100.0, 400, 500, 2000],
            "predicted": [110.0, 400, 400, 3000],
        }
    )
    found = slices(MADE, predictions, frame).set_index("slice")
    assert found.loc["North", ["rows", "MAPE", "MAE"]].tolist() == pytest.approx([2, 0.05, 5])
    assert found.loc["East", "ratio"] == pytest.approx(3400 / 2500)
    assert found.loc["0 to 400", "rows"] == 1 and found.loc["400 to 800", "rows"] == 2
    assert found.loc["1,600 and more", "MAPE"] == pytest.approx(0.5)
    assert "800 to 1,600" not in found.index and large(found).empty
    edges = TASK.bands(pd.Series([0, 399.9, 400, 1e9])).astype(str).tolist()
    assert edges == ["0 to 400", "0 to 400", "400 to 800", "1,600 and more"]


def test_noise_floor_by_hand():
    table = pd.DataFrame({GROUP: [0, 0, 1], "rent": [100.0, 300, 50]})
    predictions = pd.DataFrame({"row": [0, 1, 2], "predicted": 150.0, "actual": table["rent"]})
    within, without, own = noise_floor(MADE, table, predictions)
    assert within == pytest.approx((1 + 1 / 3) / 2)
    assert without == pytest.approx((2 + 2 / 3) / 2)
    assert own == pytest.approx((0.5 + 0.5) / 2)
    assert np.isnan(noise_floor(MADE, table[1:], predictions)).all()


def test_the_sampling_interval_holds_the_pooled_figures_and_shrinks_with_more_groups(
    table, validated
):
    first = validated[1].query("seed == 0")
    few = first[first["row"].isin(table.index[:80])]
    many, less = (sampling_interval(MADE, p, table[GROUP]) for p in (first, few))
    pooled = TASK.score(first["actual"], first["predicted"])
    for name in ("R2", "MAPE"):
        assert many[name][0] < pooled[name] < many[name][1]
        assert np.ptp(many[name]) < np.ptp(less[name])


def test_the_learning_curve_grows_by_whole_groups_and_ends_at_the_evaluation(table, validated):
    model = FactorRidge(MADE.features, alpha=2)
    curve = learning_curve(model, MADE, table, PARAMS, validated[0])
    assert curve["share"].tolist() == [0.125] * 3 + [0.25] * 3 + [0.5] * 3 + [1.0] * 6
    assert curve.groupby("share")["rows"].mean().is_monotonic_increasing
    last = curve[curve["share"] == 1.0]["MAPE"]
    np.testing.assert_array_equal(last, validated[0]["MAPE"])  # of both seeds: as in the summary


def test_distance_counts_the_fields_that_differ():
    cases = pd.DataFrame([dict(MADE.read_row(MADE.example)[0], **c) for c in ({}, {"rooms": 1})])
    known = Neighbours.of(MADE, cases)
    rows = cases.to_dict("records")
    east = {"district": "East", "rooms": 1, "view": "yard"}
    changes = ({}, {"rooms": 1}, {"rooms": 2}, {"area": 70.0, "lift": True}, east)
    assert known.distances(rows[0] | change for change in changes) == [0, 0, 1, 2, 2]
    assert Neighbours(known.numbers).distances(rows) == [0, 0]
