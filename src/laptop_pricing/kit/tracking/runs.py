"""The project's result -> an MLflow run, by calls that servers from 2.7 on understand."""

import hashlib
import re
import tempfile
from collections.abc import Mapping
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ..data.preprocess import SUMMARY_FILE
from ..data.table import GROUP, KEY
from ..errors import UserError
from ..files import checksum
from ..modeling.bundle import METADATA_FILE, Bundle, load_bundle, versions
from ..modeling.evaluate import summarise
from ..modeling.train import read_processed
from ..process import git
from ..project import Project
from .datasets import dataset_input
from .server import experiment, logged_run, open_client

MODEL_FOLDER = "model"
RESULT_TAG = "metadata_sha256"  # of metadata.json, which has the checksums of the other files
COPY_TAG = "mlflow_model_sha256"
_ADDED = "registered_model_meta"  # by MLflow, to a local copy that it loads
_LOGGED = "cv|holdout|interval|sets|calibration|decision|baselines_.*_mean"
_MOST = 500  # letters of a param's value, on old servers


class TrackedRun(NamedTuple):
    """Where the result is tracked, and whether this call put it there."""

    run_id: str
    experiment_id: str
    new: bool


def track(project: Project) -> TrackedRun:
    """Log params, metrics, dataset, plots and model as one finished MLflow run, once per result.

    Results are told apart by the SHA-256 of metadata.json, which names the model's own and holds
    its metrics: the same model evaluated in another way is another result. A run that was begun
    and not ended well is marked as failed, and a later call logs again.
    """
    bundle = load_bundle(project.models, project.problem, project.trusted)
    table, summary = read_processed(project)
    for made in (project.figures, project.plots, project.metrics):
        if not made.exists():
            raise UserError(made, "not there", "run dvc repro")
    metadata = bundle.metadata
    sha256 = checksum(project.models / METADATA_FILE, "sha256")
    tags = _tags(project) | {RESULT_TAG: sha256, "model_sha256": bundle.sha256}
    with open_client(project, "not tracked", f"run {project.name} track later") as client:
        at = experiment(client, project, project.params.track.experiment)
        query = f"tags.{RESULT_TAG} = '{sha256}' and attributes.status = 'FINISHED'"
        if known := client.search_runs([at], query, max_results=1):
            return TrackedRun(known[0].info.run_id, at, new=False)
        run_name = f"{metadata['model']}-{bundle.sha256[:8]}"
        with logged_run(client, at, tags=tags, run_name=run_name) as run_id:
            params = {key: metadata[key] for key in ("model", "data_md5")} | metadata["chosen"]
            params |= {"holdout_rule": metadata["holdout"]["rule"]} | _flat(metadata["params"], ".")
            _log_figures(client, run_id, metadata["metrics"], params)
            columns = table.drop(columns=[GROUP, KEY])
            data = dataset_input(project, columns, summary["raw_md5"], "train")
            client.log_inputs(run_id, [data])
            for folder in (project.figures, project.plots):
                client.log_artifacts(run_id, str(folder), f"plots/{folder.name}")
            for file in (project.metrics, project.processed / SUMMARY_FILE):
                client.log_artifact(run_id, str(file))
            with tempfile.TemporaryDirectory() as temporary:
                copy = Path(temporary) / MODEL_FOLDER
                _save_copy(project, bundle, table, copy)
                client.set_tag(run_id, COPY_TAG, folder_sha256(copy))
                client.log_artifacts(run_id, str(copy), MODEL_FOLDER)
    return TrackedRun(run_id, at, new=True)


def log_scores(project: Project, name: str, folds: pd.DataFrame) -> str:
    """Log how a model did in an exploration, from ``cross_validate``: a run without a model.

    Its experiment is the project's with ``-notebooks`` behind the name; its id is returned.
    """
    with open_client(project, "not logged", "run the cell again later") as client:
        at = experiment(client, project, f"{project.params.track.experiment}-notebooks")
        with logged_run(client, at, run_name=name) as run_id:
            _log_figures(client, run_id, {"cv": summarise(folds)}, {})
    return run_id


def _log_figures(client: Any, run_id: str, metrics: Mapping, params: Mapping[str, Any]) -> None:
    """Log metrics as ``R2`` of cross-validation and ``holdout_R2``, and params as they are."""
    from mlflow.entities import Metric, Param
    from mlflow.utils.time import get_current_time_millis

    shown = {key: value for key, value in _flat(metrics, "_").items() if re.match(_LOGGED, key)}
    names = {key: re.sub("^cv_|(?<=^baseline)s|_mean$", "", key) for key in shown}
    now = get_current_time_millis()
    client.log_batch(
        run_id,
        metrics=[Metric(names[key], value, now, 0) for key, value in shown.items()],
        params=[Param(key, str(value)[:_MOST]) for key, value in params.items()],
    )


def _flat(nested: Mapping[str, Any], separator: str) -> dict[str, Any]:
    return pd.json_normalize(dict(nested), sep=separator).to_dict("records")[0]


def _load_pyfunc(path: str) -> Bundle:
    """What ``mlflow.pyfunc.load_model`` calls: with the kit's list of types, never the file's."""
    return load_bundle(Path(path))


def _save_copy(project: Project, bundle: Bundle, table: pd.DataFrame, folder: Path) -> None:
    """The bundle in MLflow's format, for whoever has this package installed: data, not code."""
    import mlflow.pyfunc
    from mlflow.models import infer_signature

    flags = [c.name for c in project.problem.features if c.unknown and c.kind == "flag"]
    cases = table[list(project.problem.names)].astype(dict.fromkeys(flags, "float64"))
    example = cases.head(3).reset_index(drop=True)
    library = type(bundle.model).__module__.partition(".")[0]
    names = packages_distributions().get(library, []) if library not in __name__.split(".") else []
    needed = versions() | bundle.metadata["versions"] | {name: version(name) for name in names[:1]}
    mlflow.pyfunc.save_model(
        str(folder),
        loader_module=__name__,
        data_path=str(project.models),
        signature=infer_signature(cases, bundle.predict(example)),
        input_example=example,
        pip_requirements=[f"{name}=={number}" for name, number in needed.items()],
    )


def folder_sha256(folder: Path) -> str:
    """Of the names and the contents of the files of MLflow's copy of a model."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _ADDED)
    lines = [f"{checksum(path, 'sha256')} {path.relative_to(folder).as_posix()}" for path in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _tags(project: Project) -> dict[str, str]:
    """What ties the run to code and data."""
    root, lock = project.root, project.root / "dvc.lock"
    tags = {"dvc_lock_md5": checksum(lock, "md5")} if lock.is_file() else {}
    if commit := git(root, "rev-parse", "HEAD"):
        tags["mlflow.source.git.commit"] = commit
        tags["git_clean"] = str(not git(root, "status", "--porcelain")).lower()
        tags["git_branch"] = git(root, "rev-parse", "--abbrev-ref", "HEAD")
    return tags
