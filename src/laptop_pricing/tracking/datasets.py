"""The dataset registry: which dataset a branch works with, and that dataset by name.

An entry is a finished run of the experiment ``...-datasets`` that has the dataset as its input. On
DagsHub the dataset becomes a Data Engine datasource, too.
"""

import hashlib
import io
import json
import os
from dataclasses import dataclass

from laptop_pricing import NAME
from laptop_pricing.data.ingest import SOURCE_FILE
from laptop_pricing.errors import DataUnavailable, UserError
from laptop_pricing.files import checksum
from laptop_pricing.programs import git, run_dvc
from laptop_pricing.settings import (
    PARAMS_FILE,
    RAW_FILE,
    find_workspace,
    load_environment,
    load_params,
)
from laptop_pricing.tracking.hub import find_repository, open_repository
from laptop_pricing.tracking.server import experiment, logged_run, open_client

_RAW_FOLDER = "data/raw"


@dataclass(frozen=True)
class RegisteredDataset:
    """The entry of a branch, and whether this call made it."""

    branch: str
    commit: str
    md5: str
    run_id: str
    new: bool


def register_dataset(workspace, params):
    """Register the dataset that the current branch's last commit promises, once.

    Parameters
    ----------
    workspace : Workspace
        On a branch, its data.dvc committed and its data pushed.
    params : Params

    Returns
    -------
    RegisteredDataset

    Raises
    ------
    UserError
        If the data are not those of the last commit, or not where others can get them.
    StepFailed
        If a server cannot be reached or refuses.
    """
    branch, commit = _branch(workspace), git(workspace.root, "rev-parse", "HEAD")
    _check_shared(workspace)
    md5 = checksum(workspace.raw, "md5")
    repository = find_repository(workspace)
    if repository:
        _register_datasource(repository, branch)
    failure, remedy = "dataset not registered", f"run {NAME} dataset later"
    with open_client(workspace, failure, remedy) as client:
        known = _find(client, params, branch)
        if known and (known.md5, known.commit) == (md5, commit):
            return known
        return _log(client, workspace, params, branch, commit, md5)


def load_dataset(branch=None, workspace=None):
    """The registered dataset of a branch, from wherever it is.

    Parameters
    ----------
    branch : str, optional
        The current one by default: on ``devl`` a notebook gets the data of ``devl``.
    workspace : Workspace, optional
        The one that the working directory lies in by default.

    Returns
    -------
    DataFrame
        The raw CSV as it is, checked against the registered md5.

    Raises
    ------
    UserError
        If the branch has no registered dataset.
    DataUnavailable
        If its data cannot be had, or are not those that were registered.
    StepFailed
        If the server cannot be reached or refuses.

    Examples
    --------
    >>> from laptop_pricing.tracking.datasets import load_dataset
    >>> table = load_dataset()  # doctest: +SKIP
    """
    import pandas as pd

    if workspace is None:
        workspace = find_workspace()
        load_environment(workspace)
    params = load_params(workspace.root / PARAMS_FILE)
    branch = branch or _branch(workspace)
    with open_client(workspace, "dataset not found", "try again later") as client:
        entry = _find(client, params, branch)
    if entry is None:
        raise UserError(
            f"branch {branch} has no registered dataset; switch to it and run {NAME} dataset"
        )
    content = _content(workspace, entry)
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != entry.md5:
        raise DataUnavailable(
            f"{RAW_FILE} of {branch}: found md5 {found}; registered is {entry.md5}; run {NAME} "
            "doctor"
        )
    return pd.read_csv(io.BytesIO(content))


def dataset_entity(table, md5, source, profile):
    """MLflow's record of a dataset: name, md5, where it came from, columns, counts."""
    from mlflow.entities import Dataset
    from mlflow.models import infer_signature

    return Dataset(
        name=RAW_FILE,
        digest=md5,
        source_type="http" if source.startswith("http") else "local",
        source=json.dumps({"url" if source.startswith("http") else "uri": source}),
        schema=json.dumps({"mlflow_colspec": infer_signature(table).inputs.to_dict()}),
        profile=json.dumps(profile),
    )


def data_source(workspace):
    """Where ``ingest`` had this very file from; else that DVC brought it."""
    try:
        found = json.loads((workspace.interim / SOURCE_FILE).read_text(encoding="utf-8"))
        if found["md5"] == checksum(workspace.raw, "md5"):
            return found["source"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return "data.dvc"


def _branch(workspace):
    branch = git(workspace.root, "symbolic-ref", "--short", "-q", "HEAD")
    if not branch:
        raise UserError("not on a branch of a Git repository; git switch devl")
    return branch


def _check_shared(workspace):
    """Others can get the data: data.dvc is committed, and the remote has what it promises."""
    if not workspace.raw.is_file():
        raise UserError(f"{workspace.raw}: not there; run dvc pull, or {NAME} ingest")
    unsaved = run_dvc(workspace, "status", "-q", "data.dvc", capture=True).returncode
    if unsaved or git(workspace.root, "status", "--porcelain", "--", "data.dvc"):
        raise UserError(
            "data.dvc: not that of the last commit; dvc commit -f data.dvc, git commit, try again"
        )
    if run_dvc(workspace, "remote", "list", capture=True).stdout.strip():
        if run_dvc(workspace, "status", "-q", "--cloud", "data.dvc", capture=True).returncode:
            raise UserError("data.dvc: its data are not in the DVC remote; dvc push, and try again")


def _find(client, params, branch):
    """The latest entry of a branch, or None."""
    known = client.get_experiment_by_name(_experiment_name(params))
    mark = '"' if "'" in branch else "'"
    runs = known and client.search_runs(
        [known.experiment_id],
        f"tags.dataset = '{NAME}' and tags.branch = {mark}{branch}{mark} "
        "and attributes.status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    if not runs:
        return None
    tags = runs[0].data.tags
    return RegisteredDataset(branch, tags["commit"], tags["md5"], runs[0].info.run_id, new=False)


def _log(client, workspace, params, branch, commit, md5):
    import pandas as pd
    from mlflow.entities import DatasetInput, InputTag

    table = pd.read_csv(workspace.raw)
    entity = dataset_entity(table, md5, data_source(workspace), {"num_rows": len(table)})
    tags = {"dataset": NAME, "branch": branch, "commit": commit, "md5": md5}
    experiment_id = experiment(client, workspace, _experiment_name(params))
    run = {"tags": tags, "run_name": f"{branch}-{md5[:8]}"}
    with logged_run(client, experiment_id, **run) as run_id:
        client.log_inputs(run_id, [DatasetInput(entity, [InputTag("branch", branch)])])
    return RegisteredDataset(branch, commit, md5, run_id, new=True)


def _experiment_name(params):
    return f"{params.track.experiment}-datasets"


def _register_datasource(repository, branch):
    with open_repository(repository, os.environ.get("DAGSHUB_USER_TOKEN")) as (api, _):
        from dagshub.common.api.repo import BranchNotFoundError, PathNotFoundError
        from dagshub.data_engine import datasources

        try:
            entries = api.list_path(_RAW_FOLDER, branch)
        except (BranchNotFoundError, PathNotFoundError):
            entries = []
        if not any(entry.path == f"{_RAW_FOLDER}/{RAW_FILE}" for entry in entries):
            raise UserError(
                f"{repository} on DagsHub: found no {_RAW_FOLDER}/{RAW_FILE} on branch {branch}; "
                "dvc push, git push, and try again"
            )
        datasources.get_or_create(repository, NAME, _RAW_FOLDER, branch).scan_source()


def _content(workspace, entry):
    """The bytes of the registered file: from data/raw if it is that one, DagsHub, or DVC."""
    if workspace.raw.is_file() and checksum(workspace.raw, "md5") == entry.md5:
        return workspace.raw.read_bytes()
    repository = find_repository(workspace)
    if repository:
        return _from_datasource(repository, entry)
    import dvc.api

    try:
        path = f"{_RAW_FOLDER}/{RAW_FILE}"
        return dvc.api.read(path, repo=str(workspace.root), rev=entry.commit, mode="rb")
    except Exception as error:  # of DVC, its storage or Git: there is no common class
        raise DataUnavailable(
            f"{RAW_FILE} of commit {entry.commit[:7]}: {error}; git fetch, then {NAME} doctor"
        ) from None


def _from_datasource(repository, entry):
    """By the commit: a datasource's own query reads the branch that it was made on."""
    with open_repository(repository, os.environ.get("DAGSHUB_USER_TOKEN")) as (api, _):
        from dagshub.common.api.repo import PathNotFoundError
        from dagshub.data_engine import datasources
        from dagshub.data_engine.model.errors import DatasourceNotFoundError

        try:
            folder = datasources.get_datasource(repository, NAME).source.source_prefix
            return api.get_file(f"{str(folder).strip('/')}/{RAW_FILE}", entry.commit)
        except (DatasourceNotFoundError, PathNotFoundError) as error:
            raise DataUnavailable(
                f"{RAW_FILE} of {entry.branch}: not on DagsHub ({type(error).__name__}); "
                f"git push, dvc push, then {NAME} dataset"
            ) from None
