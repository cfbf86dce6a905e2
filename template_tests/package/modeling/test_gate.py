"""The gate: the comparison is right, and each objection is made where it is due, and only there."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from laptop_pricing.data.schema import SLICED_BY, TARGET
from laptop_pricing.data.split import HOLDOUT_PERCENT, HOLDOUT_RULE, is_held_out
from laptop_pricing.errors import UserError
from laptop_pricing.modeling.bundle import Bundle
from laptop_pricing.modeling.gate import Comparison, compare_on_holdout, criteria, objections

RULE = {"rule": HOLDOUT_RULE, "percent": HOLDOUT_PERCENT}
PRICE = 5_000.0
BAND = "4,000 to 6,000"


def bundle(name, rule=RULE):
    """A bundle whose errors stand in a column of the table."""
    model = SimpleNamespace(predict=lambda table: (table[TARGET] * (1 + table[name])).to_numpy())
    return Bundle(model, {"holdout": rule})


def rows(candidate, champion, held_out=True, specifications=None, sliced_by="HP"):
    """A table whose relative errors are these, on one side of the hold-out."""
    keys, i = [], 0
    while len(keys) < len(candidate):
        keys += [f"key {i}"] * bool(is_held_out(pd.Series([f"key {i}"])).iloc[0] == held_out)
        i += 1
    given = {"candidate": candidate, "champion": champion, TARGET: PRICE, "key": keys}
    groups = range(len(keys)) if specifications is None else specifications
    return pd.DataFrame(given | {"specification": groups, SLICED_BY: sliced_by})


def compare(table):
    return compare_on_holdout(bundle("candidate"), bundle("champion"), table)


def test_the_difference_is_that_of_the_mean_relative_errors():
    found = compare(rows([0.10, -0.20, 0.00], [0.40, -0.20, 0.05]))
    assert found.difference == pytest.approx(0.30 / 3 - 0.65 / 3)
    assert found.candidate["MAPE"] == pytest.approx(0.10)
    assert found.champion["MAPE"] == pytest.approx(0.65 / 3)
    assert found.champion["MAE"] == pytest.approx(0.65 / 3 * PRICE)
    np.testing.assert_allclose(found.errors["candidate"], [0.1, 0.2, 0], atol=1e-12)


def test_rows_that_trained_the_models_do_not_count():
    unseen = rows([0.1] * 5, [0.2] * 5)
    seen = rows([9.0] * 7, [0.0] * 7, held_out=False)
    found = compare(pd.concat([seen, unseen], ignore_index=True))
    assert len(found.errors) == 5
    assert found.difference == pytest.approx(-0.1)


def test_rows_are_paired_so_that_what_is_hard_for_both_widens_nothing():
    hard = np.random.default_rng(1).uniform(0, 3, 80)
    found = compare(rows(hard + 0.02, hard))
    assert (found.low, found.high) == (pytest.approx(0.02), pytest.approx(0.02))


def test_the_same_rows_give_the_same_interval():
    random = np.random.default_rng(2)
    table = rows(random.uniform(0, 1, 60), random.uniform(0, 1, 60))
    first, again = compare(table), compare(table)
    assert (first.low, first.high) == (again.low, again.high)
    assert first.low < first.difference < first.high


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Five rows of each specification err alike: one by one they would promise too much."""
    random, held = np.random.default_rng(3), 0
    specifications = np.repeat(range(40), 5)
    table = rows(np.zeros(200), np.full(200, 0.5), specifications=specifications)
    worlds, truth = 200, 0.01
    for _ in range(worlds):
        more = np.repeat(random.normal(truth, 0.05, 40), 5)
        found = compare(table.assign(candidate=0.5 + more))
        held += found.low <= truth <= found.high
    assert 0.90 <= held / worlds <= 0.985, held / worlds


@pytest.mark.parametrize("other", [{"rule": "v2"}, {"percent": HOLDOUT_PERCENT + 1}])
def test_models_held_out_by_different_rules_are_not_compared(other):
    table = rows([0.1] * 3, [0.1] * 3)
    with pytest.raises(UserError, match="hold-out rule is .*, the champion's .*neither has seen"):
        compare_on_holdout(bundle("candidate"), bundle("champion", RULE | other), table)


def test_slices_below_thirty_rows_are_left_out():
    brands = ["DELL"] * 29 + ["HP"] * 30
    found = compare(rows([0.3] * 29 + [0.2] * 30, [0.1] * 59, sliced_by=brands)).slices
    assert list(found[["by", "slice", "rows"]].itertuples(index=False, name=None)) == [
        (SLICED_BY, "HP", 30),
        (f"{TARGET} band", BAND, 59),
    ]
    assert list(found["difference"]) == pytest.approx([0.1, (29 * 0.2 + 30 * 0.1) / 59])


CV = {"R2": {"mean": 0.7, "sd": 0.05}, "MAPE": {"mean": 0.12, "sd": 0.01}}
METRICS = {"cv": CV}


def comparison(difference=0.0, *slices):
    scores = [{"R2": 0.7, "MAPE": 0.12 + more, "MAE": 600.0} for more in (difference, 0)]
    table = pd.DataFrame(slices, columns=["by", "slice", "rows", "difference"])
    return Comparison(*scores, difference, difference - 0.01, difference + 0.01, table, None)


def with_metrics(**changes):
    cv = {name: figure | {"mean": changes.get(name, figure["mean"])} for name, figure in CV.items()}
    return {"cv": cv}


def test_what_is_as_good_as_promised_and_as_the_champion_meets_no_objection(params):
    assert objections(METRICS, comparison(), params) == []


@pytest.mark.parametrize(
    "name, mean, met",
    [("R2", 0.6, False), ("R2", 0.6001, True), ("MAPE", 0.15, False), ("MAPE", 0.1499, True)],
)
def test_the_criteria_are_more_than_and_less_than(params, name, mean, met):
    found = {line[0]: line for line in criteria(with_metrics(**{name: mean}), params)}
    assert found[name][1] == mean and found[name][2] == CV[name]["sd"]
    assert [line[0] for line in found.values() if not line[-1]] == ([] if met else [name])


def test_a_missed_criterion_is_named_with_what_was_promised(params):
    (said,) = objections(with_metrics(MAPE=0.2), comparison(), params)
    assert said == "MAPE 0.2, promised < 0.15"
    (said,) = objections(with_metrics(R2=0.5), comparison(), params)
    assert said == "R2 0.5, promised > 0.6"


def test_without_a_champion_the_criteria_alone_count(params):
    assert objections(METRICS, None, params) == []
    assert len(objections(with_metrics(MAPE=0.2, R2=0.1), None, params)) == 2


@pytest.mark.parametrize("more, objects", [(0, False), (1e-9, True), (-0.1, False)])
def test_worse_than_the_champion_begins_above_the_tolerance(params, more, objects):
    tolerance = params.promote.tolerance
    found = objections(METRICS, comparison(tolerance + more), params)
    assert len(found) == objects


def test_worse_than_the_champion_is_said_with_both_figures(params):
    (said,) = objections(METRICS, comparison(0.03), params)
    assert said == (
        "MAPE on the hold-out 0.1500, the champion's 0.1200: worse by 0.0300, "
        "more than promote.tolerance = 0.005"
    )


@pytest.mark.parametrize("more, objects", [(0, False), (1e-9, True)])
def test_a_worse_slice_begins_above_its_tolerance(params, more, objects):
    line = (SLICED_BY, "HP", 30, params.promote.slice_tolerance + more)
    assert len(objections(METRICS, comparison(0.0, line), params)) == objects


def test_each_worse_slice_is_named_and_no_other(params):
    worse, fine = (SLICED_BY, "HP", 41, 0.05), (f"{TARGET} band", BAND, 80, 0.001)
    found = objections(METRICS, comparison(0.0, worse, fine), params)
    assert found == [
        f"{SLICED_BY} HP (41 rows): MAPE worse by 0.0500, more than promote.slice_tolerance = 0.02"
    ]


def test_all_objections_are_made_at_once(params):
    bad = comparison(0.03, (SLICED_BY, "HP", 41, 0.05))
    assert len(objections(with_metrics(R2=0.1, MAPE=0.2), bad, params)) == 4
    mended = replace(bad, difference=0.0)
    assert len(objections(with_metrics(R2=0.1, MAPE=0.2), mended, params)) == 3
