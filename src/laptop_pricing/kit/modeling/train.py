"""The step ``train``: data/processed -> models/, metrics.json and the plots."""

import json
from typing import Any

import pandas as pd
from pyarrow import ArrowException
from threadpoolctl import threadpool_limits

from ..data.preprocess import SUMMARY_FILE, TABLE_FILE
from ..data.split import HOLDOUT_PERCENT, HOLDOUT_RULE, is_held_out
from ..data.table import GROUP, KEY
from ..errors import UserError
from ..files import write_json
from ..problem import Problem
from ..project import Project
from . import evaluate, plots
from .bundle import Neighbours, load_bundle, save_bundle
from .gate import check_criteria
from .task import task_of

MIN_GROUPS = 50
_KEPT = {"model", "train"}  # the params that metadata.json holds


@threadpool_limits.wrap(limits=1)  # sums in the same order on any number of cores
def train(project: Project) -> dict[str, Any]:
    """Evaluate, fit without the hold-out, and write the bundle, the metrics and the plots.

    Gives the content of metrics.json: ``cv`` (mean and sd over the folds), ``sampling`` (95 % if
    other rows had been drawn), ``baselines``, what the task measures beside, ``holdout``, ``rows``.
    """
    problem, params, task = project.problem, project.params.train, task_of(project.problem)
    check_criteria(task.metrics, project.params)
    table, summary = read_processed(project)
    model = project.model()
    folds, predictions = _evaluate(project, model, table)
    covered = task.covered(predictions, params)
    slices = evaluate.slices(problem, predictions, table)

    held_out = is_held_out(table[KEY])
    seen, unseen = table[~held_out], table[held_out]
    fitted, neighbours = evaluate.fit(model, problem, seen), Neighbours.of(problem, seen)
    calibration = task.calibrate(predictions[~predictions["row"].map(held_out)], params)
    by_field = slices[slices["by"] == problem.slice_by].set_index("slice").filter(["rows", "ratio"])
    facts = {
        "target": problem.target.name,
        "params": project.params.model_dump(include=_KEPT, mode="json", exclude_none=True),
        "data_md5": summary["raw_md5"],
        "holdout": {"rule": HOLDOUT_RULE, "percent": HOLDOUT_PERCENT},
        "metrics": {},
        "calibration": rounded(calibration),
        "distances": rounded(_errors_by_distance(problem, predictions)),
        "slices": rounded(by_field.to_dict("index")),
    }
    save_bundle(project.models, fitted, problem, neighbours, facts)
    bundle = load_bundle(project.models, problem, project.trusted)
    predicted, actual = bundle.predict(unseen), task.learned(unseen)  # as it is saved
    metrics = {
        "cv": evaluate.summarise(folds),
        "sampling": evaluate.sampling_interval(problem, predictions, table[GROUP]),
        "baselines": _baselines(project, table, folds),
        **task.measured(covered, params),
        "holdout": task.score(actual, predicted)
        | task.held_out(facts["calibration"], actual, predicted),
        "rows": {"trained": len(seen), "held_out": len(unseen)},
    }
    facts["metrics"] = metrics = rounded(metrics)
    save_bundle(project.models, fitted, problem, neighbours, facts)
    write_json(project.metrics, metrics)

    promised = getattr(project.params.criteria, task.error_name)
    effects, explained = None, bundle.explain(table)
    if explained:
        effects = pd.DataFrame(explained.effects, table.index, list(problem.names))
    floor = evaluate.noise_floor(problem, table, predictions)
    curve = evaluate.learning_curve(model, problem, table, params, folds)
    plots.save_plots(
        project,
        **task.plots(covered, metrics, params),
        slices=plots.draw_slices(problem, evaluate.large(slices), promised),
        learning_curve=plots.draw_learning_curve(problem, curve, floor, promised),
        factors=plots.draw_factors(problem, effects, bool(explained and explained.additive)),
    )
    return metrics


def _evaluate(
    project: Project, model: Any, table: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cross-validate the project's model; what cannot be learned or predicted is refused."""
    problem, params, task = project.problem, project.params.train, task_of(project.problem)
    task.check(table, params)
    try:
        folds, predictions = evaluate.cross_validate(model, problem, table, params)
    except ValueError as error:
        raise UserError("params.yaml: model", str(error)) from None
    task.check_outputs(task.outputs_in(predictions))
    return folds, predictions


def _baselines(project: Project, table: pd.DataFrame, folds: pd.DataFrame) -> dict[str, Any]:
    problem, params, against = project.problem, project.params.train, {}
    for name, other in evaluate.baselines(problem).items():
        others, _ = evaluate.cross_validate(other, problem, table, params, name)
        against[name] = evaluate.against(problem, folds, others, params)
    return against


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
        found = f"{summary['groups']} different {project.problem.items}"
        raise UserError(path, f"{found}; expected {MIN_GROUPS} or more, for folds that mean much")
    return table, summary


def _errors_by_distance(problem: Problem, predictions: pd.DataFrame) -> list[dict[str, float]]:
    """The mean error by the distance of the nearest training case, where there are enough rows."""
    task = task_of(problem)
    error = task.errors(predictions["actual"], task.outputs_in(predictions))
    groups = predictions.assign(error=error).groupby("distance")
    lines = groups.agg(rows=("row", "nunique"), error=("error", "mean")).reset_index()
    enough = evaluate.large(lines)
    return (enough if len(enough) else lines.head(1)).to_dict("records")


def rounded(value: Any) -> Any:
    """Six significant digits, in which processors and thread counts agree."""
    return json.loads(json.dumps(value), parse_float=lambda text: float(f"{float(text):.6g}"))
