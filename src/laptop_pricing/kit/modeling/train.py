"""The step ``train``: data/processed -> models/, metrics.json and the plots."""

import json
from typing import Any

import numpy as np
import pandas as pd
from pyarrow import ArrowException
from threadpoolctl import threadpool_limits

from ..data.preprocess import SUMMARY_FILE, TABLE_FILE
from ..data.split import HOLDOUT_PERCENT, HOLDOUT_RULE, is_held_out
from ..data.table import GROUP, KEY
from ..errors import StepFailed, UserError
from ..files import write_json
from ..problem import Problem
from ..project import Project
from . import plots
from .bundle import load_bundle, save_bundle
from .evaluate import (
    MIN_SLICE_ROWS,
    against,
    baselines,
    cross_validate,
    fit,
    large,
    learning_curve,
    noise_floor,
    sampling_interval,
    score,
    slices,
    summarise,
    target_bands,
)
from .interval import calibrate, coverage, interval, summarise_coverage
from .neighbours import Neighbours

MIN_GROUPS = 50


@threadpool_limits.wrap(limits=1)  # sums in the same order on any number of cores
def train(project: Project) -> dict[str, Any]:
    """Evaluate, fit without the hold-out, and write the bundle, the metrics and the plots.

    Returns
    -------
    dict
        The content of metrics.json: ``cv`` (mean and sd over the folds), ``sampling`` (95 % if
        other rows had been drawn), ``baselines``, ``interval`` (how many values it holds),
        ``holdout`` and ``rows``.
    """
    problem, params = project.problem, project.params.train
    table, summary = read_processed(project)
    model = project.model()
    folds, predictions = _evaluate(project, model, table)
    others = {
        name: against(folds, cross_validate(other, problem, table, params, name)[0], params)
        for name, other in baselines(problem).items()
    }
    covered = coverage(predictions)
    curve = learning_curve(model, problem, table, params, folds)
    parts = slices(problem, predictions, table)

    held_out = is_held_out(table[KEY])
    seen, unseen = table[~held_out], table[held_out]
    fitted = fit(model, problem, seen)
    calibration = calibrate(predictions[~predictions["row"].map(held_out)])
    facts = {
        "target": problem.target.name,
        "params": project.params.model_dump(mode="json", include={"model", "train"}),
        "data_md5": summary["raw_md5"],
        "holdout": {"rule": HOLDOUT_RULE, "percent": HOLDOUT_PERCENT},
        "metrics": {},
        "calibration": rounded(calibration),
        "distances": rounded(_errors_by_distance(predictions)),
        "slices": rounded(
            parts[parts["by"] == problem.slice_by]
            .set_index("slice")[["rows", "ratio"]]
            .to_dict("index")
        ),
    }
    neighbours = Neighbours.of(problem, seen)
    save_bundle(project.models, fitted, problem, neighbours, facts)
    bundle = load_bundle(project.models, problem, project.trusted)
    predicted, actual = bundle.predict(unseen), unseen[problem.target.name]  # as it is saved
    inside = actual.between(*interval(calibration, predicted).T)
    metrics = rounded(
        {
            "cv": summarise(folds),
            "sampling": sampling_interval(predictions, table[GROUP]),
            "baselines": others,
            "interval": summarise_coverage(covered),
            "holdout": score(actual, predicted) | {"coverage": float(inside.mean())},
            "rows": {"trained": len(seen), "held_out": len(unseen)},
        }
    )
    save_bundle(project.models, fitted, problem, neighbours, facts | {"metrics": metrics})
    write_json(project.metrics, metrics)
    factors = _factors(problem, bundle, table)
    _draw(project, table, predictions, covered, parts, curve, calibration, factors)
    return metrics


def _draw(
    project: Project,
    table: pd.DataFrame,
    predictions: pd.DataFrame,
    covered: pd.DataFrame,
    parts: pd.DataFrame,
    curve: pd.DataFrame,
    calibration: dict[str, Any],
    factors: Any,
) -> None:
    problem = project.problem
    promised, floor = project.params.criteria.MAPE, noise_floor(problem, table, predictions)
    bands = target_bands(problem, predictions["predicted"])
    drawn = {
        "predictions": plots.draw_predictions(problem, predictions),
        "intervals": plots.draw_intervals(problem, covered),
        "residuals": plots.draw_residuals(problem, predictions, bands),
        "slices": plots.draw_slices(problem, large(parts), promised),
        "learning_curve": plots.draw_learning_curve(curve, floor, promised),
        "offers": plots.draw_offers(calibration, predictions["predicted"]),
        "factors": plots.draw_factors(problem, factors),
    }
    plots.save_plots(project, drawn)


def _evaluate(
    project: Project, model: Any, table: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cross-validate the project's model; what cannot be learned or predicted is refused."""
    problem, target = project.problem, table[project.problem.target.name]
    if target.nunique() == 1:
        place = f"{problem.raw_file}: {problem.target.name}"
        raise UserError(place, f"is {target.iloc[0]:g} in every row; expected values that differ")
    try:
        folds, predictions = cross_validate(model, problem, table, project.params.train)
    except ValueError as error:
        raise UserError("params.yaml: model", str(error)) from None
    if not (np.isfinite(predictions["predicted"]) & (predictions["predicted"] > 0)).all():
        raise StepFailed("model.py", f"a predicted {problem.target.name} is not above zero")
    return folds, predictions


def read_processed(project: Project) -> tuple[pd.DataFrame, dict[str, Any]]:
    """What ``preprocess`` wrote: table.parquet, and summary.json."""
    path = project.processed / TABLE_FILE
    try:
        table = pd.read_parquet(path)
        summary = json.loads((project.processed / SUMMARY_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(error.filename, "no such file", "run dvc repro") from None
    except (ArrowException, ValueError) as error:
        raise UserError(f"{path} or {SUMMARY_FILE}", f"damaged: {error}", "run dvc repro") from None
    if summary["groups"] < MIN_GROUPS:
        raise UserError(
            path,
            f"{summary['groups']} different {project.problem.items}; "
            f"expected {MIN_GROUPS} or more, for folds that mean something",
        )
    return table, summary


def _errors_by_distance(predictions: pd.DataFrame) -> list[dict[str, float]]:
    """The mean error by the distance of the nearest training case, where there are enough rows."""
    error = (predictions["predicted"] / predictions["actual"] - 1).abs()
    frame = pd.DataFrame({"row": predictions["row"], "MAPE": error})
    lines = frame.groupby(predictions["distance"]).agg(
        rows=("row", "nunique"), MAPE=("MAPE", "mean")
    )
    enough = lines[lines["rows"] >= MIN_SLICE_ROWS]
    return (enough if len(enough) else lines.head(1)).reset_index().to_dict("records")


def _factors(problem: Problem, bundle: Any, table: pd.DataFrame) -> Any:
    """The factors of all rows, or None where the model has none."""
    explained = bundle.explain(table)
    return explained and pd.DataFrame(explained[1], table.index, list(problem.names))


def rounded(value: Any) -> Any:
    """Six significant digits, in which processors and thread counts agree."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
