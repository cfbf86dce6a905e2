"""The workspace's result -> an MLflow run, once per result, now or later.

The calls are those that servers from 2.7 on understand: the model goes to the run as a folder, not
by ``log_model``.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from laptop_pricing import NAME
from laptop_pricing.errors import UserError
from laptop_pricing.files import checksum
from laptop_pricing.programs import git
from laptop_pricing.tracking.datasets import data_source, dataset_entity
from laptop_pricing.tracking.registry import RESULT_TAG
from laptop_pricing.tracking.server import experiment, logged_run, open_client

COPY_FILE = "model.pkl"  # in MLflow's copy of the model, which is for others to load
COPY_TAG = "mlflow_model_sha256"
_PIP_REQUIREMENTS = ("numpy", "pandas", "scikit-learn")


@dataclass(frozen=True)
class TrackedRun:
    """Where the result is tracked, and whether this call put it there."""

    run_id: str
    experiment: str
    experiment_id: str
    uri: str
    new: bool


def track(workspace, params):
    """Log params, metrics, dataset, plots and model as one finished MLflow run.

    A result that has its run already is not logged again. Results are told apart by the SHA-256 of
    metadata.json, which names the model's own and holds its metrics: the same model evaluated in
    another way is another result.

    Parameters
    ----------
    workspace : Workspace
        Trained. Its ``tracking_uri`` names the server.
    params : Params

    Returns
    -------
    TrackedRun

    Raises
    ------
    UserError
        If there is no bundle to track.
    StepFailed
        If the server cannot be reached or refuses: one line. A run that was begun is marked as
        failed, and a later call logs anew.
    """
    from laptop_pricing.modeling.bundle import METADATA_FILE, load_bundle
    from laptop_pricing.modeling.train import read_processed

    bundle = load_bundle(workspace.models)
    table, summary = read_processed(workspace)
    for made in (workspace.figures, workspace.plots, workspace.metrics):
        if not made.exists():
            raise UserError(f"{made}: not there; run dvc repro")
    name, uri = params.track.experiment, workspace.tracking_uri
    with open_client(workspace, "not tracked", f"run {NAME} track later") as client:
        experiment_id = experiment(client, workspace, name)
        sha256 = checksum(workspace.models / METADATA_FILE, "sha256")
        known = client.search_runs(
            [experiment_id],
            f"tags.{RESULT_TAG} = '{sha256}' and attributes.status = 'FINISHED'",
            max_results=1,
        )
        if known:
            return TrackedRun(known[0].info.run_id, name, experiment_id, uri, new=False)
        model = bundle.metadata["model_sha256"]
        tags = _tags(workspace) | {RESULT_TAG: sha256, "model_sha256": model}
        run = {"tags": tags, "run_name": f"ridge-{model[:8]}"}
        with logged_run(client, experiment_id, **run) as run_id:
            _log(client, run_id, workspace, bundle, table, summary, tags)
    return TrackedRun(run_id, name, experiment_id, uri, new=True)


def log_scores(workspace, params, name, folds):
    """Log how a model did in an exploration: one finished run without a model.

    Parameters
    ----------
    workspace : Workspace
    params : Params
        The runs go to its experiment, with ``-notebooks`` behind the name.
    name : str
        The run's.
    folds : DataFrame
        From :func:`~laptop_pricing.modeling.evaluate.cross_validate`.

    Returns
    -------
    str
        The run's id.

    Raises
    ------
    StepFailed
        If the server cannot be reached or refuses.
    """
    from laptop_pricing.modeling.evaluate import summarise

    with open_client(workspace, "not logged", "run the cell again later") as client:
        experiment_id = experiment(client, workspace, f"{params.track.experiment}-notebooks")
        with logged_run(client, experiment_id, run_name=name) as run_id:
            for key, value in _scores(summarise(folds)):
                client.log_metric(run_id, key, value)
    return run_id


def _log(client, run_id, workspace, bundle, table, summary, tags):
    from mlflow.entities import DatasetInput, InputTag, Metric, Param
    from mlflow.utils.time import get_current_time_millis

    metadata = bundle.metadata
    params = {"model": "ridge", "alpha": metadata["alpha"], "data_md5": metadata["data_md5"]}
    params |= metadata["params"] | {"holdout_rule": metadata["holdout"]["rule"]}
    now = get_current_time_millis()
    client.log_batch(
        run_id,
        metrics=[Metric(name, value, now, 0) for name, value in _metrics(metadata["metrics"])],
        params=[Param(name, str(value)) for name, value in params.items()],
    )
    counts = {"num_rows": summary["rows"], "num_kept": summary["kept"]}
    columns = table.drop(columns=["key", "specification"])
    dataset = dataset_entity(columns, summary["raw_md5"], tags["data_source"], counts)
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "train")])])
    for folder in (workspace.figures, workspace.plots):
        client.log_artifacts(run_id, str(folder), f"plots/{folder.name}")
    for file in (workspace.metrics, workspace.processed / "summary.json"):
        client.log_artifact(run_id, str(file))
    client.log_artifacts(run_id, str(workspace.models), "bundle")
    with tempfile.TemporaryDirectory() as folder:
        save_model(bundle, table, Path(folder) / "model")
        client.set_tag(run_id, COPY_TAG, checksum(Path(folder) / "model" / COPY_FILE, "sha256"))
        client.log_artifacts(run_id, str(Path(folder) / "model"), "model")


def _metrics(metrics):
    """The headline under the plain names, then spreads, the interval and the hold-out."""
    yield from _scores(metrics["cv"])
    for name in ("coverage", "width"):
        yield f"interval_{name}", metrics["interval"][name]
    for name, value in metrics["holdout"].items():
        yield f"holdout_{name}", value


def _scores(summary):
    for name, figure in summary.items():
        yield name, figure["mean"]
        yield f"{name}_sd", figure["sd"]


def save_model(bundle, table, folder):
    """The fitted pipeline in MLflow's own format, for the registry and for others to load."""
    import mlflow.sklearn
    from mlflow.models import infer_signature

    from laptop_pricing.data.schema import FEATURES

    example = table[list(FEATURES)].head(3).reset_index(drop=True)
    versions = bundle.metadata["versions"]
    mlflow.sklearn.save_model(
        bundle.model,
        str(folder),
        serialization_format="cloudpickle",  # the one that clients from 2.22 on can load
        signature=infer_signature(example, bundle.model.predict(example)),
        input_example=example,
        pip_requirements=[f"{name}=={versions[name]}" for name in _PIP_REQUIREMENTS],
    )


def _tags(workspace):
    """What ties the run to code and data."""
    tags = {"data_source": data_source(workspace)}
    commit = git(workspace.root, "rev-parse", "HEAD")
    if commit:
        tags["mlflow.source.git.commit"] = commit
        tags["git_clean"] = str(not git(workspace.root, "status", "--porcelain")).lower()
        tags["git_branch"] = git(workspace.root, "rev-parse", "--abbrev-ref", "HEAD")
    lock = workspace.root / "dvc.lock"
    if lock.is_file():
        tags["dvc_lock_md5"] = checksum(lock, "md5")
    return tags
