"""The step ``train``: data/processed -> models/, metrics.json and the plots."""

import json

import pandas as pd
from pyarrow import ArrowException
from threadpoolctl import threadpool_limits

from laptop_pricing.data.preprocess import SUMMARY_FILE, TABLE_FILE
from laptop_pricing.data.schema import FEATURES, ITEMS, TARGET
from laptop_pricing.data.split import HOLDOUT_PERCENT, HOLDOUT_RULE, is_held_out
from laptop_pricing.errors import UserError
from laptop_pricing.files import write_json
from laptop_pricing.modeling import plots
from laptop_pricing.modeling.bundle import load_compiled, save_bundle
from laptop_pricing.modeling.evaluate import (
    cross_validate,
    learning_curve,
    noise_floor,
    price_bands,
    score,
    slices,
    summarise,
)
from laptop_pricing.modeling.interval import (
    calibrate,
    coverage,
    interval,
    summarise_coverage,
)
from laptop_pricing.modeling.pipeline import chosen_alpha, fit_pipeline

MIN_SPECIFICATIONS = 50


@threadpool_limits.wrap(limits=1)  # sums in the same order on any number of cores
def train(workspace, params):
    """Evaluate, fit without the hold-out, and write the bundle, the metrics and the plots.

    Parameters
    ----------
    workspace : Workspace
    params : Params

    Returns
    -------
    dict
        The content of metrics.json: ``cv`` (mean and sd over the folds), ``interval`` (how many
        prices it holds), ``holdout`` and ``rows``.

    Raises
    ------
    UserError
        If data/processed is not there, or too small to be divided.
    """
    table, summary = read_processed(workspace)
    folds, predictions = cross_validate(table, params.train)
    covered = coverage(predictions)
    curve = learning_curve(table, params.train, folds)

    held_out = is_held_out(table["key"])
    model = fit_pipeline(table[~held_out], params.train)
    calibration = calibrate(predictions[~predictions["row"].map(held_out)])
    unseen = table[held_out]
    predicted = model.predict(unseen)
    low, high = interval(calibration, predicted).T

    metrics = _rounded(
        {
            "cv": summarise(folds),
            "interval": summarise_coverage(covered),
            "holdout": score(unseen[TARGET], predicted)
            | {"coverage": float(unseen[TARGET].between(low, high).mean())},
            "rows": {"trained": int((~held_out).sum()), "held_out": int(held_out.sum())},
        }
    )
    save_bundle(
        workspace.models,
        model,
        {
            "target": TARGET,
            "alpha": chosen_alpha(model),
            "params": params.train.model_dump(mode="json"),
            "data_md5": summary["raw_md5"],
            "holdout": {"rule": HOLDOUT_RULE, "percent": HOLDOUT_PERCENT},
            "metrics": metrics,
            "calibration": _rounded(calibration),
        },
    )
    factors = load_compiled(workspace.models).compiled.factors(table)
    factors = pd.DataFrame(factors, table.index, FEATURES)
    promised = params.criteria.MAPE
    plots.save_plots(
        workspace,
        {
            "predictions": plots.draw_predictions(predictions),
            "intervals": plots.draw_intervals(covered),
            "residuals": plots.draw_residuals(predictions, price_bands(predictions["predicted"])),
            "slices": plots.draw_slices(slices(predictions, table), promised),
            "learning_curve": plots.draw_learning_curve(curve, noise_floor(table), promised),
            "factors": plots.draw_factors(factors),
            "offers": plots.draw_offers(calibration),
        },
    )
    write_json(workspace.metrics, metrics)
    return metrics


def read_processed(workspace):
    """What ``preprocess`` wrote.

    Returns
    -------
    table : DataFrame
        table.parquet
    summary : dict
        summary.json
    """
    path = workspace.processed / TABLE_FILE
    try:
        table = pd.read_parquet(path)
        summary = json.loads((workspace.processed / SUMMARY_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: no such file; run dvc repro") from None
    except (ArrowException, ValueError) as error:
        raise UserError(f"{path} or {SUMMARY_FILE}: damaged: {error}; run dvc repro") from None
    if summary["specifications"] < MIN_SPECIFICATIONS:
        raise UserError(
            f"{path}: {summary['specifications']} different {ITEMS}; "
            f"expected {MIN_SPECIFICATIONS} or more, for folds that mean something"
        )
    return table, summary


def _rounded(value):
    """Six significant digits, in which processors and thread counts agree."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
