"""The way to the MLflow server: a client that is patient, quiet, and fails in one line."""

import logging
import os
import re
import sqlite3
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import StepFailed, UserError
from ..project import Project

_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
# By default an unreachable server is given up after four minutes.
_FIRST_CALL = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "3", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
_LATER_CALLS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "30", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
_REASONS = {
    "Max retries exceeded|timed out": "the server does not answer",
    "ENDPOINT_NOT_FOUND|<!doctype html>": "found no MLflow server that understands the call",
    "error code 401|UNAUTHENTICATED": "wrong user name or password; put MLFLOW_TRACKING_USERNAME "
    "and MLFLOW_TRACKING_PASSWORD right in .env",
    "error code 403|PERMISSION_DENIED|Permission denied": "this user may not do that there; ask "
    "the server's administrator for the right to edit",
    r"_alembic_tmp_|Can't locate revision|no such table|duplicate column name|malformed|already "
    r"exists\n\[SQL|file is not a database": "no MLflow database, half of one, or that of a newer "
    "MLflow; move it away, and track again",
}


@contextmanager
def open_client(project: Project, failure: str, remedy: str) -> Iterator[Any]:
    """Give an ``MlflowClient`` of the project's server, which has answered once.

    MLflow is imported only in this room and only when called, since that takes seconds. Whatever
    the server refuses, here or in the block, is a StepFailed: `failure`, the reason, `remedy`.
    """
    uri = project.tracking_uri
    if "://" not in uri and uri != "databricks":
        raise UserError("MLFLOW_TRACKING_URI", f"found {uri!r}; expected http://host:port")
    ours = _FIRST_CALL.keys() - os.environ.keys()
    for name, value in (_QUIET | _FIRST_CALL).items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tqdm's, of the widgets that a notebook lacks
        from alembic.util import CommandError
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        logging.getLogger("alembic").setLevel(logging.ERROR)
        refusals = (MlflowException, RequestException, SQLAlchemyError, CommandError)
        try:
            if uri == project.local_tracking_uri:
                _make_database(project.root / "mlflow.db")
            client = MlflowClient(tracking_uri=uri)
            client.search_experiments(max_results=1)
            os.environ.update({name: _LATER_CALLS[name] for name in ours})
            yield client
        except (*refusals, sqlite3.Error, OSError) as error:
            raise StepFailed(uri, f"{failure}: {_reason(error)}", remedy) from None
        finally:
            for name in ours:
                os.environ.pop(name, None)


def _make_database(path: Path) -> None:
    """Give MLflow a whole database, which it makes table by table, or one that can be read.

    Of two that begin at once, the first gives its database the name, and the other takes that.
    """
    if not path.exists():
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        with tempfile.TemporaryDirectory(".part", f"{path.name}.", path.parent) as folder:
            part = Path(folder) / path.name
            files = (path.parent / "mlartifacts").as_uri()  # its SQL bears no apostrophe of a path
            SqlAlchemyStore(f"sqlite:///{part.as_posix()}", files).engine.dispose()
            try:
                with suppress(FileExistsError):
                    os.link(part, path)
            except OSError:  # a disk without links
                os.replace(part, path)
    with closing(sqlite3.connect(path)) as database:  # MLflow tries an unreadable one for 106 s
        database.execute("PRAGMA schema_version")


def describe(project: Project) -> str:
    """The server's version, and what works there for this user."""
    with open_client(project, "no answer", "check MLFLOW_TRACKING_URI in .env") as client:
        import requests
        from mlflow.exceptions import MlflowException

        user = os.environ.get("MLFLOW_TRACKING_USERNAME")
        auth = (user, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")) if user else None
        answer = requests.get(f"{project.tracking_uri}/version", auth=auth, timeout=4)
        known = answer.ok and re.fullmatch(r"\d+\.\d+[\w.]*", answer.text.strip())
        version = f"MLflow {answer.text.strip()}" if known else "of a version that it does not tell"
        works = "runs, datasets and registered models"
        try:
            client.search_registered_models(max_results=1)
        except MlflowException as error:
            works = f"runs and datasets, no registered models ({_reason(error)})"
        hint = "" if "MLflow 3." in version else "; autolog() needs log_models=False there"
        return f"{version}: {works}{hint}"


def _reason(error: Exception) -> str:
    text = str(error)
    return next((why for signs, why in _REASONS.items() if re.search(signs, text)), text[:300])


@contextmanager
def tolerated(*codes: str) -> Iterator[None]:
    """Go on after the block if the server refuses it with one of these error codes."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code not in codes:
            raise


def experiment(client: Any, project: Project, name: str) -> str:
    """The id of an experiment, made if need be; beside a local database its files lie here, too."""
    local = project.tracking_uri == project.local_tracking_uri
    folder = (project.root / "mlartifacts").as_uri() if local else None
    if (known := client.get_experiment_by_name(name)) is None:
        with tolerated("RESOURCE_ALREADY_EXISTS"):  # by now, by another process
            client.create_experiment(name, artifact_location=folder)
        known = client.get_experiment_by_name(name)
    if local and known.artifact_location != folder:
        raise UserError(
            "mlflow.db",
            f"keeps its files in {known.artifact_location}, not in {folder}",
            "move the project back, or move mlflow.db away to begin again",
        )
    return known.experiment_id


@contextmanager
def logged_run(client: Any, experiment_id: str, **given: Any) -> Iterator[str]:
    """Give the id of a new run, which ends with the block: finished or failed."""
    run_id = client.create_run(experiment_id, **given).info.run_id
    try:
        yield run_id
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")
