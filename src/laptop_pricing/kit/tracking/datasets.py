"""The dataset registry: which dataset a branch works with, and that dataset by name.

An entry is a finished run of the experiment ``...-datasets`` that has the dataset as its input. On
DagsHub the dataset becomes a Data Engine datasource, too.
"""

import hashlib
import io
import os
from contextlib import suppress
from typing import Any, NamedTuple, Optional

import pandas as pd

from ..errors import DataUnavailable, UserError
from ..files import checksum
from ..process import git, run_dvc
from ..project import Project
from .hub import find_repository, open_repository
from .server import experiment, logged_run, open_client


class RegisteredDataset(NamedTuple):
    """The entry of a branch, and whether this call made it."""

    branch: str
    commit: str
    md5: str
    run_id: str
    new: bool


def register_dataset(project: Project) -> RegisteredDataset:
    """Register the dataset of the current branch's last commit, once.

    It has to be that of the commit, and where others can get it.
    """
    branch, commit = _branch(project), git(project.root, "rev-parse", "HEAD")
    _check_shared(project)
    if repository := find_repository(project):
        _register_datasource(project, repository, branch)
    md5, remedy = checksum(project.raw, "md5"), f"run {project.name} dataset later"
    with open_client(project, "dataset not registered", remedy) as client:
        known = _find(client, project, branch)
        if known and (known.md5, known.commit) == (md5, commit):
            return known
        data = dataset_input(project, pd.read_csv(project.raw), md5, branch)
        tags = {"dataset": project.name, "branch": branch, "commit": commit, "md5": md5}
        at = experiment(client, project, f"{project.params.track.experiment}-datasets")
        with logged_run(client, at, tags=tags, run_name=f"{branch}-{md5[:8]}") as run_id:
            client.log_inputs(run_id, [data])
    return RegisteredDataset(branch, commit, md5, run_id, new=True)


def load_dataset(project: Project, branch: Optional[str] = None) -> pd.DataFrame:
    """The registered raw CSV of a branch as it is, from wherever it is, checked by its md5.

    By default of the current branch: on ``devl`` a notebook gets the data of ``devl``.
    """
    branch = branch or _branch(project)
    with open_client(project, "dataset not found", "try again later") as client:
        entry = _find(client, project, branch)
    if entry is None:
        remedy = f"switch to it and run {project.name} dataset"
        raise UserError(f"branch {branch}", "has no registered dataset", remedy)
    if project.raw.is_file() and checksum(project.raw, "md5") == entry.md5:
        return pd.read_csv(project.raw)
    import dvc.api

    path = project.raw.relative_to(project.root).as_posix()
    try:
        content = dvc.api.read(path, repo=str(project.root), rev=entry.commit, mode="rb")
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if md5 != entry.md5:
            raise ValueError(f"found md5 {md5}; registered is {entry.md5}")
    except Exception as error:  # of DVC, its storage or Git: there is no common class
        place, remedy = f"{path} of commit {entry.commit[:7]}", f"git fetch, {project.name} doctor"
        raise DataUnavailable(place, str(error), remedy) from None
    return pd.read_csv(io.BytesIO(content))


def dataset_input(project: Project, table: pd.DataFrame, md5: str, use: str) -> Any:
    """MLflow's record of a dataset as a run's input: name, md5, source, columns, counts."""
    from mlflow.data.pandas_dataset import from_pandas
    from mlflow.entities import Dataset, DatasetInput, InputTag

    data = from_pandas(table, "data.dvc", name=project.problem.raw_file, digest=md5)
    tags = [InputTag("mlflow.data.context", use)]
    return DatasetInput(Dataset(**data.to_dict()), tags)


def _branch(project: Project) -> str:
    off = "not on a branch of a Git repository; git switch devl"
    return git(project.root, "symbolic-ref", "--short", "HEAD", problem=off)


def _check_shared(project: Project) -> None:
    """Others can get the data: data.dvc is committed, and the remote has the objects."""

    def differs(*options: str) -> bool:
        return bool(run_dvc(project, "status", "-q", *options, "data.dvc", capture=True).returncode)

    if differs() or git(project.root, "status", "--porcelain", "--", "data.dvc"):
        remedy = "dvc pull it; or dvc commit -f data.dvc, git commit, and try again"
        raise UserError("data.dvc", "not that of the last commit", remedy)
    remotes = run_dvc(project, "remote", "list", capture=True).stdout.strip()
    if remotes and differs("--cloud"):
        raise UserError("data.dvc", "its data are not in the DVC remote", "dvc push, and try again")


def _find(client: Any, project: Project, branch: str) -> Optional[RegisteredDataset]:
    """The latest entry of a branch."""
    known = client.get_experiment_by_name(f"{project.params.track.experiment}-datasets")
    query = f"tags.dataset = '{project.name}' and tags.branch = '{branch}'"
    query, newest = f"{query} and attributes.status = 'FINISHED'", ["attributes.start_time DESC"]
    for run in client.search_runs([known.experiment_id], query, 1, 1, newest) if known else []:
        tags = run.data.tags
        return RegisteredDataset(branch, tags["commit"], tags["md5"], run.info.run_id, new=False)
    return None


def _register_datasource(project: Project, repository: str, branch: str) -> None:
    folder, path = "data/raw", f"data/raw/{project.problem.raw_file}"
    with open_repository(repository, os.environ.get("DAGSHUB_USER_TOKEN", "")) as (api, _):
        from dagshub.common.api.repo import BranchNotFoundError, PathNotFoundError
        from dagshub.data_engine import datasources

        with suppress(BranchNotFoundError, PathNotFoundError):
            if path in [entry.path for entry in api.list_path(folder, branch)]:
                source = datasources.get_or_create(repository, project.name, folder, branch)
                return source.scan_source()
    problem = f"found no {path} on branch {branch}"
    raise UserError(f"{repository} on DagsHub", problem, "dvc push, git push, and try again")
