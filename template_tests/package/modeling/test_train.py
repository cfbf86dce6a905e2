"""The step ``train``, and what the project promises on the real data."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from environments import ROOT

from laptop_pricing.data.preprocess import SUMMARY_FILE, TABLE_FILE, preprocess
from laptop_pricing.data.read import read_dataset
from laptop_pricing.data.sample import write_sample
from laptop_pricing.data.schema import COLUMNS, FEATURES, TARGET
from laptop_pricing.data.split import is_held_out
from laptop_pricing.data.validate import validate
from laptop_pricing.errors import UserError
from laptop_pricing.modeling.bundle import load_bundle
from laptop_pricing.modeling.evaluate import cross_validate, score, summarise
from laptop_pricing.modeling.pipeline import fit_pipeline
from laptop_pricing.modeling.predict import predict
from laptop_pricing.modeling.train import read_processed, train
from laptop_pricing.settings import PARAMS_FILE, Workspace, load_params


@pytest.fixture(scope="module")
def metrics(trained):
    return json.loads(trained.metrics.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def real(laptop_csv, tmp_path_factory):
    """The real dataset, preprocessed and trained by the repository's own params. Read only."""
    workspace = Workspace(tmp_path_factory.mktemp("real"))
    workspace.raw.parent.mkdir(parents=True)
    shutil.copyfile(laptop_csv, workspace.raw)
    params = load_params(ROOT / PARAMS_FILE)
    preprocess(workspace, params.preprocess)
    train(workspace, params)
    return workspace


PLOTS = (
    "predictions",
    "intervals",
    "residuals",
    "slices",
    "learning_curve",
    "factors",
    "offers",
)


def _leaves(value):
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    else:
        yield value


def _rounded(value):
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return float(f"{value:.6g}")


def test_metrics_have_their_names_and_six_digits(metrics):
    names = ["R2", "MAPE", "MAE", "MSE"]
    assert list(metrics) == ["cv", "interval", "holdout", "rows"]
    assert list(metrics["cv"]) == names
    assert list(metrics["holdout"]) == [*names, "coverage"]
    assert list(metrics["interval"]) == ["coverage", "width", "terciles"]
    assert list(metrics["interval"]["terciles"]) == ["low", "middle", "high"]
    assert all(list(figure) == ["mean", "sd"] for figure in metrics["cv"].values())
    assert list(metrics["rows"]) == ["trained", "held_out"]
    numbers = list(_leaves(metrics))
    assert len(numbers) == 20
    assert numbers == [float(f"{number:.6g}") for number in numbers]
    assert any(number != float(f"{number:.4g}") for number in numbers)


def test_metrics_are_those_of_the_evaluation(metrics, table, params):
    assert metrics["cv"] == _rounded(summarise(cross_validate(table, params.train)[0]))


def test_the_shipped_model_was_fitted_without_the_hold_out(trained, table, metrics, params):
    held_out = is_held_out(table["key"])
    shipped = load_bundle(trained.models).model
    without = fit_pipeline(table[~held_out], params.train)
    assert shipped.predict(table).tobytes() == without.predict(table).tobytes()
    with_them = fit_pipeline(table, params.train)
    assert not np.allclose(shipped.predict(table), with_them.predict(table), rtol=1e-6)

    assert metrics["rows"] == {"trained": (~held_out).sum(), "held_out": held_out.sum()}
    assert sum(metrics["rows"].values()) == len(table)
    assert 0.1 < held_out.mean() < 0.3
    rows = table[held_out]
    priced = predict(load_bundle(trained.models), rows)
    inside = rows[TARGET].between(priced["price_low"], priced["price_high"]).mean()
    found = score(rows[TARGET], shipped.predict(rows)) | {"coverage": float(inside)}
    assert metrics["holdout"] == _rounded(found)


@pytest.mark.services
def test_train_returns_what_it_writes(workspace, params):
    write_sample(workspace.raw, 90)
    preprocess(workspace, params.preprocess)
    returned = train(workspace, params)
    assert returned == json.loads(workspace.metrics.read_text(encoding="utf-8"))
    assert returned == load_bundle(workspace.models).metadata["metrics"]


@pytest.mark.parametrize("prices", [["5000"] * 90, ["5001"] + ["5000"] * 89])
def test_a_constant_price_is_named(workspace, params, prices):
    write_sample(workspace.raw, 90)
    raw = pd.read_csv(workspace.raw, dtype=str).assign(Price=prices)
    raw.to_csv(workspace.raw, index=False)
    preprocess(workspace, params.preprocess)
    with pytest.raises(UserError, match="is the price constant in the data"):
        train(workspace, params)


@pytest.mark.parametrize("name", PLOTS)
def test_figures_are_pictures_of_a_sensible_size(trained, name):
    from matplotlib.image import imread

    path = trained.figures / f"{name}.png"
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    pixels = imread(path)
    height, width, _ = pixels.shape
    assert 400 <= height <= 1500 and 600 <= width <= 2000
    assert 10_000 < path.stat().st_size < 300_000
    assert len(np.unique(pixels[::5, ::5].reshape(-1, 4), axis=0)) > 20, "something is drawn"


def test_there_are_no_other_plots(trained):
    names = PLOTS
    assert {path.name for path in trained.figures.iterdir()} == {f"{n}.png" for n in names}
    assert {path.name for path in trained.plots.iterdir()} == {f"{n}.csv" for n in names}


def test_the_data_of_the_plots(trained, table, metrics):
    points, intervals, residuals, slices, curve, factors, offers = (
        pd.read_csv(trained.plots / f"{name}.csv") for name in PLOTS
    )
    assert intervals["inside"].mean() == pytest.approx(metrics["interval"]["coverage"], rel=1e-5)
    assert (intervals["low"] < intervals["high"]).all() and len(intervals) == len(table)
    assert set(factors["field"]) == set(FEATURES)
    assert (residuals["p05"] <= residuals["p95"]).all() and (factors["p05"] <= factors["p95"]).all()
    assert offers.groupby("tercile")["losing"].apply(lambda s: s.is_monotonic_increasing).all()
    assert list(points) == ["row", "actual", "predicted"]
    assert list(slices) == ["by", "slice", "rows", "MAPE", "MAE"]
    assert list(curve) == ["share", "rows", "R2", "MAPE"]
    np.testing.assert_array_equal(points["row"], sorted(table.index))
    np.testing.assert_array_equal(points["actual"], table.loc[points["row"], TARGET])
    error = (abs(points["predicted"] - points["actual"]) / points["actual"]).mean()
    assert error == pytest.approx(metrics["cv"]["MAPE"]["mean"], rel=0.02)
    assert (slices["rows"] >= 30).all() and set(slices["by"]) == {"brand", "price band"}
    assert list(curve["share"]) == [0.125, 0.25, 0.5, 1]
    assert curve["rows"].is_monotonic_increasing
    assert curve["MAPE"].iloc[-1] == pytest.approx(metrics["cv"]["MAPE"]["mean"], rel=1e-4)


def _written(workspace):
    paths = (workspace.models, workspace.figures, workspace.plots, workspace.metrics)
    return [path for path in paths if path.exists()]


@pytest.mark.parametrize("missing", ["data/processed", TABLE_FILE, SUMMARY_FILE])
def test_without_the_processed_table_nothing_is_trained(workspace, params, missing):
    if missing != "data/processed":
        preprocess(workspace, params.preprocess)
        (workspace.processed / missing).unlink()
    with pytest.raises(UserError, match="no such file; run dvc repro") as caught:
        train(workspace, params)
    assert str(workspace.processed) in str(caught.value) and "\n" not in str(caught.value)
    assert _written(workspace) == []


def _half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", [TABLE_FILE, SUMMARY_FILE])
@pytest.mark.parametrize(
    "damage", [_half, lambda path: path.write_bytes(b"")], ids=["truncated", "empty"]
)
def test_a_damaged_processed_table_is_one_line(workspace, params, name, damage):
    preprocess(workspace, params.preprocess)
    damage(workspace.processed / name)
    with pytest.raises(UserError) as caught:
        train(workspace, params)
    assert name in str(caught.value) and "\n" not in str(caught.value)
    assert _written(workspace) == []


def test_too_few_specifications_are_an_error(workspace, params):
    write_sample(workspace.raw, 40)
    found = preprocess(workspace, params.preprocess)
    with pytest.raises(UserError) as caught:
        train(workspace, params)
    said = f"{found['specifications']} different laptops; expected 50 or more"
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert _written(workspace) == []


@pytest.mark.services
def test_the_real_data_meets_the_promise(real):
    found = json.loads(real.metrics.read_text(encoding="utf-8"))
    assert found["cv"]["R2"]["mean"] >= 0.72
    assert found["cv"]["MAPE"]["mean"] <= 0.130
    assert found["holdout"]["R2"] > 0.6 and found["holdout"]["MAPE"] < 0.15
    assert 0.88 <= found["interval"]["coverage"] <= 0.93
    assert min(found["interval"]["terciles"].values()) >= 0.86


def test_the_course_s_protocol_on_the_real_data(laptop_csv):
    """The course's 780 rows and its 70/30 split: its Ridge had 0.649 / 0.216."""
    params = load_params(ROOT / PARAMS_FILE)
    text = read_dataset(laptop_csv, params.preprocess.median_price)
    split = pd.read_csv(Path(__file__).parents[1] / "course_split.csv", index_col="row")["side"]
    rows, failures = validate(text, COLUMNS)
    assert len(failures) == 0 and split.value_counts().to_dict() == {"train": 546, "test": 234}
    rows = rows.loc[split.index]
    rows["specification"] = rows.groupby(list(FEATURES)).ngroup()
    train, test = rows[split == "train"], rows[split == "test"]
    found = score(test[TARGET], fit_pipeline(train, params.train).predict(test))
    assert found["MAPE"] <= 0.13 and found["R2"] >= 0.67


@pytest.mark.services
def test_the_real_data_gives_the_committed_metrics(real):
    found = json.loads(real.metrics.read_text(encoding="utf-8"))
    committed = json.loads((ROOT / "metrics.json").read_text(encoding="utf-8"))
    assert found == committed


@pytest.mark.services
def test_the_protocol_takes_all_real_rows_but_the_exact_duplicates(real):
    table, summary = read_processed(real)
    metrics = json.loads(real.metrics.read_text(encoding="utf-8"))
    assert (summary["rows"], summary["duplicates"], summary["rejected"]) == (823, 21, 0)
    assert (len(table), table["specification"].nunique()) == (802, 623)
    assert sum(metrics["rows"].values()) == 802
    params = load_bundle(real.models).metadata["params"]
    assert (params["folds"], params["seeds"]) == (5, [0, 1, 2, 3, 4])
