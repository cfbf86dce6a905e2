"""The step ``train``: data/processed -> models/, metrics.json and the plots."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import pandas as pd
from threadpoolctl import threadpool_limits

from ..data.parts import read_sample
from ..data.preprocess import SUMMARY_FILE, TABLE_FILE
from ..data.split import HOLDOUT_PERCENT, HOLDOUT_RULE, is_held_out
from ..data.table import GROUP, KEY, records
from ..errors import UserError
from ..files import write_json
from ..params import TrainParams
from ..problem import Problem
from ..project import Project
from ..workers import Workers
from . import drift, evaluate, large, plots
from .bundle import Bundle, Neighbours, load_bundle, save_bundle
from .gate import check_criteria
from .quote import warnings_of
from .task import task_of

MIN_GROUPS = 50
_KEPT = {"model", "train"}  # the params that metadata.json holds


@threadpool_limits.wrap(limits=1)  # sums in the same order on any number of cores
def train(project: Project, workers: Workers = Workers()) -> dict[str, Any]:
    """Evaluate, fit without the hold-out, and write the bundle, the metrics and the plots.

    Gives the content of metrics.json: ``cv`` (mean and sd over the folds), ``sampling`` (95 % if
    other rows had been drawn), ``baselines``, what the task measures beside, ``holdout``, ``rows``.
    """
    problem, task, model = project.problem, task_of(project.problem), project.model()
    check_criteria(task.metrics, project.params)
    table, summary = read_processed(project, whole=not _by_sums(model))
    params = project.params.train.for_rows(summary["kept"])
    task.check(table, params)
    learned = _learn(project, model, table, summary, params, workers)
    folds, predictions, fitted = learned.folds, learned.predictions, learned.model
    held_out = is_held_out(table[KEY])
    seen, unseen = table[~held_out], table[held_out]
    covered = task.covered(predictions, params)
    slices = evaluate.slices(problem, predictions, table)

    neighbours = Neighbours.of(problem, seen)
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
        "baselines": learned.baselines,
        **task.measured(covered, params),
        "holdout": task.score(actual, predicted)
        | task.held_out(facts["calibration"], actual, predicted),
        "rows": {"trained": learned.rows, "held_out": len(unseen)},
    }
    facts["metrics"] = metrics = rounded(metrics)
    facts["reference"] = _reference(problem, bundle, table)
    save_bundle(project.models, fitted, problem, neighbours, facts)
    write_json(project.metrics, metrics)

    promised = getattr(project.params.criteria, task.error_name)
    explained, names = bundle.explain(table), list(problem.names)
    effects = explained and pd.DataFrame(explained.effects, table.index, names)
    floor = evaluate.noise_floor(problem, table, predictions)
    plots.save_plots(
        project,
        **task.plots(covered, metrics, params),
        slices=plots.draw_slices(problem, evaluate.large(slices), promised),
        learning_curve=plots.draw_learning_curve(problem, learned.curve, floor, promised),
        factors=plots.draw_factors(problem, effects, bool(explained and explained.additive)),
    )
    return metrics


class _Learned(NamedTuple):
    folds: pd.DataFrame
    predictions: pd.DataFrame
    baselines: dict[str, Any]
    curve: pd.DataFrame
    model: Any
    rows: int  # that it was fitted on


def _by_sums(model: Any) -> bool:
    try:
        return large.can_learn(model)
    except ValueError as error:
        raise UserError("params.yaml: model", str(error)) from None


def _learn(
    project: Project,
    model: Any,
    table: pd.DataFrame,
    summary: dict[str, Any],
    params: TrainParams,
    workers: Workers,
) -> _Learned:
    """Validate and fit the model; what cannot be learned or predicted is refused."""
    problem, task, drawn = project.problem, task_of(project.problem), None
    seen = table[~is_held_out(table[KEY])]
    try:
        if _by_sums(model) and summary["kept"] > project.params.scale.memory_rows:
            whole = large.learn(project, table, summary["groups"], params, workers)
            drawn = whole.on_sample
        lines, predictions = evaluate.cross_validate(
            model, problem, table, params, folds=drawn, workers=workers
        )
        task.check_outputs(task.outputs_in(predictions))
        baselines = _baselines(problem, table, params, lines, drawn, workers)
        folds = whole.folds if drawn else lines
        curve = evaluate.learning_curve(model, problem, table, params, folds, drawn, workers)
        if drawn:
            return _Learned(folds, predictions, baselines, curve, whole.model, whole.rows)
        fitted = evaluate.fit(model, problem, seen)
        return _Learned(folds, predictions, baselines, curve, fitted, len(seen))
    except ValueError as error:
        raise UserError("params.yaml: model", str(error)) from None


def _baselines(
    problem: Problem,
    table: pd.DataFrame,
    params: TrainParams,
    folds: pd.DataFrame,
    drawn: Optional[Sequence[evaluate.Fold]],
    workers: Workers,
) -> dict[str, Any]:
    """The plain models beside the model, on the same rows."""
    blank, against = [fold._replace(fitted=None) for fold in drawn or ()], {}
    for name, other in evaluate.baselines(problem).items():
        others, _ = evaluate.cross_validate(
            other, problem, table, params, name, folds=blank, workers=workers
        )
        against[name] = evaluate.against(problem, folds, others, params)
    return against


def read_processed(project: Project, whole: bool = False) -> tuple[pd.DataFrame, dict[str, Any]]:
    """What ``preprocess`` wrote: the table, and summary.json.

    Of a table with more rows than ``scale.memory_rows`` a sample of some as many, unless the
    `whole` is asked for: the same one each time, with whole groups of equal rows.
    """
    path, most = project.processed / TABLE_FILE, project.params.scale.memory_rows
    try:
        summary = json.loads((project.processed / SUMMARY_FILE).read_text(encoding="utf-8"))
        if summary["groups"] < MIN_GROUPS:
            found = f"{summary['groups']} different {project.problem.items}; expected {MIN_GROUPS}"
            raise UserError(path, f"{found} or more, for folds that mean much")
        table = read_sample(path, 1.0 if whole else most / summary["kept"])
    except FileNotFoundError as error:
        raise UserError(error.filename, "no such file", "run dvc repro") from None
    except ValueError as error:
        raise UserError(f"{path} or {SUMMARY_FILE}", f"damaged: {error}", "run dvc repro") from None
    return table, summary


def _reference(problem: Problem, bundle: Bundle, table: pd.DataFrame) -> dict[str, Any]:
    """What :func:`drift.compare` needs to know of the rows."""
    cells = task_of(problem).cells(bundle.metadata["calibration"], bundle.predict(table))
    predicted = cells[task_of(problem).cell_names[0]].tolist()
    rows = records(table, problem.names)
    doubtful = [bool(warnings_of(problem, bundle.metadata, row)) for row in rows]
    return drift.make_reference(drift.quantities(problem, table, predicted, doubtful))


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
