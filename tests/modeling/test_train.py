"""The step train: the figures that it promises, and the criteria that they are held against."""

import json

import pytest

from laptop_pricing.data.split import is_held_out
from laptop_pricing.modeling.bundle import load_bundle
from laptop_pricing.modeling.evaluate import METRICS
from laptop_pricing.modeling.gate import criteria
from laptop_pricing.modeling.interval import TERCILES
from laptop_pricing.modeling.pipeline import fit_pipeline
from laptop_pricing.modeling.train import read_processed


@pytest.fixture(scope="module")
def metrics(trained):
    return json.loads(trained.metrics.read_text(encoding="utf-8"))


def test_metrics_json_has_the_promised_figures(metrics):
    assert list(metrics) == ["cv", "interval", "holdout", "rows"]
    assert tuple(metrics["cv"]) == METRICS == ("R2", "MAPE", "MAE", "MSE")
    assert all(list(figure) == ["mean", "sd"] for figure in metrics["cv"].values())
    assert list(metrics["holdout"]) == [*METRICS, "coverage"]
    assert list(metrics["interval"]) == ["coverage", "width", "terciles"]
    assert tuple(metrics["interval"]["terciles"]) == TERCILES


def test_the_figures_can_be(metrics):
    assert metrics["cv"]["R2"]["mean"] < 1 and metrics["cv"]["MAPE"]["mean"] > 0
    assert 0.75 < metrics["interval"]["coverage"] < 1, "the 90 % interval is far from 90 %"
    assert 0 <= metrics["holdout"]["coverage"] <= 1


def test_the_model_has_not_seen_the_hold_out(metrics, trained, params):
    table, _ = read_processed(trained)
    held_out = is_held_out(table["key"])
    without = fit_pipeline(table[~held_out], params.train).predict(table)
    assert load_bundle(trained.models).model.predict(table).tolist() == pytest.approx(without)
    assert metrics["rows"] == {"trained": int((~held_out).sum()), "held_out": int(held_out.sum())}


def test_the_metrics_are_held_against_the_criteria_of_params(metrics, params):
    for shift, expected in ((-0.01, True), (0.01, False)):
        promised = {
            "R2": metrics["cv"]["R2"]["mean"] + shift,
            "MAPE": metrics["cv"]["MAPE"]["mean"] - shift,
        }
        held = params.model_copy(update={"criteria": params.criteria.model_copy(update=promised)})
        found = {name: met for name, *_, met in criteria(metrics, held)}
        assert found == {"R2": expected, "MAPE": expected}
