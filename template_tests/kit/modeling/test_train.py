"""Training, quoting and promotion, on all problems and with other people's models."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.image import imread
from problems import DIABETES, GRADES, LAPTOPS, LOANS, MADE, each_number, each_problem, make_params
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from laptop_pricing.kit.data.preprocess import SUMMARY_FILE, TABLE_FILE, preprocess
from laptop_pricing.kit.data.split import is_held_out
from laptop_pricing.kit.data.table import GROUP, KEY, records
from laptop_pricing.kit.errors import StepFailed, UserError
from laptop_pricing.kit.files import render
from laptop_pricing.kit.modeling.bundle import Neighbours, load_bundle, read_metadata
from laptop_pricing.kit.modeling.evaluate import model_card
from laptop_pricing.kit.modeling.gate import compare_on_holdout, criteria, objections
from laptop_pricing.kit.modeling.predict import predict_file
from laptop_pricing.kit.modeling.quote import error_at, quote_rows, warnings_of
from laptop_pricing.kit.modeling.task import figure, task_of
from laptop_pricing.kit.modeling.train import read_processed, rounded, train

PLOTS = {  # their columns, by task
    "regression": {
        "predictions": "row,actual,predicted",
        "intervals": "row,actual,predicted,third,low,high,inside",
    },
    "classification": {
        "predictions": "row,actual,predicted",
        "calibration": "class,predicted,actual,rows",
        "costs": "threshold,cost",
    },
}
FACTORS = "name,lowest_5,lowest_25,median,highest_25,highest_5"
MEASURED = {"regression": {"interval"}, "classification": {"sets", "classes", "confusion"}}


@each_problem
def test_metrics_plots_and_card_of_a_trained_project(problem, trained):
    project = trained(problem)
    metrics = json.loads(project.metrics.read_text())
    assert metrics == rounded(metrics) == read_metadata(project.models)["metrics"]
    task, common = task_of(problem), {"cv", "sampling", "baselines", "holdout", "rows"}
    assert set(metrics) >= common | MEASURED[task.name] and set(metrics["cv"]) == {*task.metrics}
    assert list(metrics["baselines"]) == [task.trivial, task.plain]
    error = task.error_name
    figures = {"MAPE": "MAPE,MAE,ratio", "MAE": "MAE", "log_loss": "log_loss,accuracy"}[error]
    plots = PLOTS[task.name] | {
        "slices": f"by,slice,rows,{figures}",
        "learning_curve": f"share,rows,{task.score_name},{error}",
        "factors": FACTORS,
    }
    if len(problem.classes) > 2:
        plots["costs"] = "way,cost"
    for name, header in plots.items():
        assert (project.plots / f"{name}.csv").read_text().partition("\n")[0] == header
        assert imread(project.figures / f"{name}.png").shape[1] == 2100
    assert {path.stem for path in project.figures.iterdir()} == {*plots}
    shown = yaml.safe_load(render("plots.jinja", problem=problem, task=task))["plots"]
    for path, axes in [item for plot in shown for item in plot.items()]:
        assert {axes["x"], axes["y"]} <= {*pd.read_csv(project.root / path)}

    _, summary = read_processed(project)
    slices = pd.read_csv(project.plots / "slices.csv")
    card = model_card(problem, read_metadata(project.models), summary, slices, "c" * 40)
    assert len(card) < 5_000 and problem.caveat in card and task.plain_words[1] in card
    assert f"| {error} | {figure(error, metrics['cv'][error]['mean'])}" in card


@each_problem
def test_the_shipped_model_never_saw_the_hold_out_and_is_the_one_that_was_scored(problem, trained):
    project = trained(problem)
    table, _ = read_processed(project)
    held_out = is_held_out(table[KEY])
    metrics, bundle = json.loads(project.metrics.read_text()), load_bundle(project.models, problem)
    assert metrics["rows"] == {"trained": int((~held_out).sum()), "held_out": int(held_out.sum())}
    task = task_of(problem)
    found = task.score(task.learned(table[held_out]), bundle.predict(table[held_out]))
    assert found.keys() and rounded(found).items() <= metrics["holdout"].items()
    seen = Neighbours.of(problem, table[~held_out])
    assert bundle.neighbours.numbers == seen.numbers
    assert min(bundle.neighbours.distances(records(table[held_out], problem.names))) > 0


def boosted(problem, params):
    """A swap of the model: five lines."""
    if problem.classes:
        return HistGradientBoostingClassifier(max_iter=30, random_state=0)
    rising = {c.name: 1 for c in problem.features if c.numeric and c.monotonic}
    return HistGradientBoostingRegressor(monotonic_cst=rising, max_iter=30, random_state=0)


def xgboosted(problem, params):
    from xgboost import XGBClassifier, XGBRegressor

    make = XGBClassifier if problem.classes else XGBRegressor
    return make(n_estimators=30, enable_categorical=True, random_state=0)


def forest(problem, params):
    encode = make_column_transformer((OrdinalEncoder(), ["school"]), remainder="passthrough")
    return make_pipeline(encode, RandomForestClassifier(20, random_state=0))


MODELS = [(p, model) for p in (LAPTOPS, MADE, LOANS, GRADES) for model in (boosted, xgboosted)]


@pytest.mark.parametrize(
    "problem, build_model",
    [*MODELS, (GRADES, forest)],
    ids=lambda value: getattr(value, "__name__", getattr(value, "name", "")),
)
def test_any_model_takes_the_place_of_the_ridge(
    problem, build_model, new_project, trained, tmp_path
):
    if build_model is xgboosted:
        pytest.importorskip("xgboost")
    project = new_project(problem, build_model=build_model)
    preprocess(project)
    train(project)
    bundle, table = load_bundle(project.models, problem), read_processed(project)[0]
    assert bundle.metadata["model_file"] == "model.skops"
    row, _ = problem.read_row(problem.example)
    (quote,) = quote_rows(problem, bundle, [row], margin=0.2)
    assert problem.classes or (quote.low < quote.prediction < quote.high and quote.offers)
    assert quote.base is quote.factors is None
    predictions, _ = predict_file(project, project.raw, tmp_path / "out.csv")
    told = predictions.select_dtypes("number").to_numpy()[0, : len(problem.classes) or 1]
    np.testing.assert_allclose(told, bundle.predict(table.head(1))[0])
    champion = load_bundle(trained(problem).models, problem)
    found = compare_on_holdout(problem, bundle, champion, table)
    assert found.low <= found.difference <= found.high
    first = (project.models / "model.skops").read_bytes()
    train(project)
    assert (project.models / "model.skops").read_bytes() == first


BAD_TABLES = {
    "none": (lambda f: (f / TABLE_FILE).unlink(), "no such file; run dvc repro"),
    "no summary": (lambda f: (f / SUMMARY_FILE).unlink(), "no such file; run dvc repro"),
    "damaged": (lambda f: (f / TABLE_FILE).write_bytes(b"PAR1"), "damaged"),
    "cut": (lambda f: (f / SUMMARY_FILE).write_text('{"gro'), "damaged"),
    "too small": (lambda f: (f / SUMMARY_FILE).write_text('{"groups": 49}'), "49 different flats"),
    "constant": (
        lambda f: pd.read_parquet(f / TABLE_FILE).assign(rent=7.0).to_parquet(f / TABLE_FILE),
        "flats.csv: rent: is 7 in every row; expected values that differ",
    ),
}


@pytest.mark.parametrize("damage, said", BAD_TABLES.values(), ids=BAD_TABLES)
def test_a_table_that_cannot_be_learned_from_is_one_line(new_project, damage, said):
    project = new_project(MADE)
    preprocess(project)
    damage(project.processed)
    with pytest.raises(UserError) as error:
        train(project)
    assert said in str(error.value) and not project.models.exists()


BAD_PARAMS = {  # of the section `model`, and what is said
    "an unknown field": ({"crossed": ["no"]}, "params.yaml: model: crossed: found ['no']"),
    "a huge penalty": ({"alphas": [1e300]}, "params.yaml: model: alpha: found 1e+300"),
    "no penalties": ({"alphas": ()}, "params.yaml: model"),
    "no entry": ({"alphas": None}, "params.yaml: model.alphas: missing; build_model asks for it"),
}


@pytest.mark.parametrize("model, said", BAD_PARAMS.values(), ids=BAD_PARAMS)
def test_a_param_that_the_model_refuses_or_misses_is_named(new_project, model, said):
    project = new_project(LAPTOPS, model={"crossed": [], "alphas": [2], "inner_folds": 2} | model)
    told = {name: value for name, value in project.params.model.items() if value is not None}
    preprocess(project)
    params = project.params.model_copy(update={"model": told})
    with pytest.raises(UserError) as error:
        train(replace(project, given_params=params))
    assert said in str(error.value)


class Half(DummyClassifier):
    """Its chances do not add up to 1."""

    def predict_proba(self, X):
        return super().predict_proba(X) / 2


def test_a_model_that_predicts_nothing_above_zero_is_refused(new_project):
    def nothing(problem, params):
        return DummyRegressor(strategy="constant", constant=0)

    project = new_project(MADE, build_model=nothing)
    preprocess(project)
    with pytest.raises(StepFailed, match="a predicted rent is not above zero"):
        train(project)


def test_a_model_whose_chances_do_not_add_up_to_one_is_refused(new_project):
    project = new_project(GRADES, build_model=lambda problem, params: Half())
    preprocess(project)
    with pytest.raises(StepFailed, match="chances of a row that do not add up to 1"):
        train(project)


# The gate


def test_the_comparison_is_paired_on_rows_that_neither_saw(trained):
    project = trained(MADE)
    table, _ = read_processed(project)
    bundle = load_bundle(project.models, MADE)
    same = compare_on_holdout(MADE, bundle, bundle, table)
    assert (same.difference, same.low, same.high) == (0, 0, 0)
    assert len(same.errors) == is_held_out(table[KEY]).sum()
    other = type(bundle)(bundle.model, bundle.metadata | {"holdout": {"rule": "v2"}}, None)
    with pytest.raises(UserError, match="no rows that neither has seen; --force REASON"):
        compare_on_holdout(MADE, bundle, other, table)


def test_the_interval_of_the_difference_holds_the_truth_as_often_as_it_says(trained):
    """Two models of noise on 400 groups of two: the true difference is 0.02."""
    bundle = load_bundle(trained(MADE).models, MADE)

    class Noise:
        def __init__(self, errors):
            self.errors, self.metadata = errors, bundle.metadata

        def predict(self, table):
            return 100.0 * (1 + self.errors[: len(table)])

    table = pd.DataFrame({KEY: [f"k{i // 2}" for i in range(1_000)], "rent": 100.0})
    table = table.assign(**{GROUP: np.arange(1_000) // 2, "district": "North"})
    inside = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        worse, better = (np.repeat(random.uniform(0, 0.2, 500), 2) + more for more in (0.02, 0))
        found = compare_on_holdout(MADE, Noise(worse), Noise(better), table)
        inside.append(found.low <= 0.02 <= found.high)
    assert 0.85 <= np.mean(inside) <= 1


def figures(r2=0.9, mape=0.1, median=None, **ridge):
    plain = {
        "R2": {"mean": 0, "more": -1, "margin": 0.1},
        "MAPE": {"mean": 1, "more": 1, "margin": 0},
    }
    cv = {"R2": {"mean": r2, "sd": 0.1}, "MAPE": {"mean": mape, "sd": 0.01}}
    return {"cv": cv, "baselines": {"median": plain | (median or {}), "ridge": plain | ridge}}


BETTER = {
    "R2": {"mean": 0.95, "more": 0.2, "margin": 0.1},
    "MAPE": {"mean": 0.05, "more": -0.05, "margin": 0.01},
}
NOISE = {name: line | {"more": 0.001, "margin": 0.01} for name, line in BETTER.items()}
GATE = {  # metrics, difference to the champion, worst slice, what is said
    "as targeted": (figures(), 0.005, 0.02, []),
    "R2 at its limit": (figures(r2=0.6), 0, 0, ["R2 0.6, target > 0.6"]),
    "MAPE at its limit": (figures(mape=0.15), 0, 0, ["MAPE 0.15, target < 0.15"]),
    "a plain model is better": (
        figures(**BETTER),
        0,
        0,
        ["does not beat a plain model (ridge) on"],
    ),
    "better in one alone": (figures(R2=BETTER["R2"]), 0, 0, ["not beat a plain model (ridge) on"]),
    "better within the noise": (figures(R2=BETTER["R2"] | {"margin": 0.21}), 0, 0, []),
    "no better than the median": (figures(median=NOISE), 0, 0, ["beat a plain model (median) on"]),
    "as the Ridge": (figures(**NOISE), 0, 0, []),
    "worse than the champion": (figures(), 0.0051, 0, ["worse by 0.0051, more than promote.tol"]),
    "a worse slice": (figures(), 0, 0.021, ["district East (40 rows): MAPE worse by 0.0210, more"]),
    "all at once": (figures(0, 1), 1, 1, ["R2 0,", "MAPE 1,", "worse by 1.0000", "district East"]),
}


@pytest.mark.parametrize("metrics, difference, worst, said", GATE.values(), ids=GATE)
def test_the_gate_objects_for_each_reason_and_no_other(trained, metrics, difference, worst, said):
    params = make_params(MADE, criteria={"R2": 0.6, "MAPE": 0.15})
    project, slices = trained(MADE), pd.DataFrame({"by": ["district"], "slice": ["East"]})
    bundle = load_bundle(project.models, MADE)
    same = compare_on_holdout(MADE, bundle, bundle, read_processed(project)[0])
    comparison = type(same)(
        **vars(same)
        | {"difference": difference, "slices": slices.assign(rows=40, difference=worst)}
    )
    found = objections(MADE, metrics, comparison, params)
    assert len(found) == len(said) and all(text in line for text, line in zip(said, found))
    alone = [text for text in found if ", target " in text or "plain" in text]
    assert objections(MADE, metrics, None, params) == alone
    r2, mape = (metrics["cv"][name]["mean"] for name in ("R2", "MAPE"))
    assert [c.met for c in criteria(metrics, params)] == [r2 > 0.6, mape < 0.15]


# Quotes


def test_a_quote_says_what_is_weak(trained):
    metadata = read_metadata(trained(MADE).models)
    row, _ = MADE.read_row(MADE.example)
    for rows, ratio, said in (
        (29, 1, ["district São Tomé: only 29 rows in the data"]),
        (30, 1.07, []),
        (30, 0.9, ["district São Tomé: predictions add up to 90% of the actual values"]),
    ):
        changed = metadata | {"slices": {"São Tomé": {"rows": rows, "ratio": ratio}}}
        assert warnings_of(MADE, changed, row) == said
    known = {"distances": [{"distance": 1, "error": 0.1}, {"distance": 3, "error": 0.3}]}
    assert [error_at(known, n) for n in range(5)] == [0.1, 0.1, 0.1, 0.3, 0.3]


@each_number
def test_doubts_warn_and_the_typed_case_is_the_read_one(problem, trained):
    bundle = load_bundle(trained(problem).models, problem)
    row, failures = problem.read_row(problem.example)
    (quote,) = quote_rows(problem, bundle, [row])
    assert failures == [] and quote.offers is None
    assert set(problem.doubts(row)) <= set(quote.warnings)
    assert len(quote_rows(problem, bundle, [row], 0.2, 0.1)[0].offers) == 1
    assert DIABETES is not problem or quote.distance > 0


def test_the_file_and_the_quotes_agree(trained, tmp_path):
    project = trained(MADE)
    _, warnings = predict_file(project, project.raw, tmp_path / "out.csv")
    found = pd.read_csv(tmp_path / "out.csv")
    assert list(found)[-3:] == task_of(MADE).cell_names and len(found) == 400
    assert all("of 400 rows)" in text for text in warnings)
    bundle = load_bundle(project.models, MADE)
    names = {c.raw_name: c.name for c in MADE.features}
    cells = pd.read_csv(tmp_path / "out.csv", dtype=str, keep_default_na=False)
    for record in cells.rename(columns=names).head(20).to_dict("records"):
        row, failures = MADE.read_row({name: record[name] for name in MADE.names})
        assert failures == []
        (quote,) = quote_rows(MADE, bundle, [row])
        told = [float(record[name]) for name in task_of(MADE).cell_names]
        assert told == pytest.approx([quote.prediction, quote.low, quote.high], abs=0.006)
