"""The way to the MLflow server: a client that is patient, quiet, and fails in one line."""

import logging
import os
import re
import sqlite3
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from laptop_pricing.errors import StepFailed, UserError

_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
# By default an unreachable server is given up after four minutes.
_FIRST_CALL = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "3", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
_LATER_CALLS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "30", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}

_REASONS = (
    (("Max retries exceeded", "timed out"), "the server does not answer"),
    (("ENDPOINT_NOT_FOUND", "<!doctype html>"), "found no MLflow server that understands the call"),
    (
        ("error code 401", "UNAUTHENTICATED"),
        "wrong user name or password; put MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD "
        "right in .env",
    ),
    (
        ("error code 403", "PERMISSION_DENIED", "Permission denied"),
        "this user may not do that there; ask the server's administrator for the right to edit",
    ),
    (
        ("_alembic_tmp_", "Can't locate revision", "no such table", "duplicate column name")
        + ("already exists\n[SQL", "image is malformed", "file is not a database"),
        "no MLflow database, half of one, or that of a newer MLflow; move it away, and track again",
    ),
)


@contextmanager
def open_client(workspace, failure, remedy):
    """Give an ``MlflowClient`` of the workspace's server, which has answered once.

    MLflow is imported only in this room and only when called, since that takes seconds.

    Parameters
    ----------
    workspace : Workspace
        Its ``tracking_uri`` names the server.
    failure, remedy : str
        How the one line of an error begins and ends: "not tracked", "run ... later".

    Yields
    ------
    mlflow.MlflowClient

    Raises
    ------
    UserError
        If the address is none.
    StepFailed
        If the server cannot be reached or refuses, here or in the block: one line without
        credentials.
    """
    uri = workspace.tracking_uri
    if "://" not in uri and uri != "databricks":
        raise UserError(f"MLFLOW_TRACKING_URI: found {uri!r}; expected http://host:port")
    given = {name: os.environ.get(name) for name in _FIRST_CALL}
    for name, value in (_QUIET | _FIRST_CALL).items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tqdm's, of the widgets that a notebook lacks
        from mlflow import MlflowClient
    from alembic.util import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    logging.getLogger("alembic").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if uri == workspace.local_tracking_uri:
                _make_database(workspace.root / "mlflow.db")
            client = MlflowClient(tracking_uri=uri)
            client.search_experiments(max_results=1)
            os.environ.update({n: v for n, v in _LATER_CALLS.items() if given[n] is None})
            yield client
    except (MlflowException, SQLAlchemyError, CommandError, sqlite3.Error, OSError) as error:
        raise StepFailed(f"{failure}: {uri}: {_reason(str(error))}; {remedy}") from None
    finally:
        for name in given:
            if given[name] is None:
                os.environ.pop(name, None)


def _make_database(path: Path) -> None:
    """Give MLflow a whole database, which it makes table by table, or one that can be read.

    Of two that begin at once, the first gives its database the name, and the other takes that.
    """
    if not path.exists():
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        with tempfile.TemporaryDirectory(".part", f"{path.name}.", path.parent) as folder:
            part = Path(folder) / path.name
            files = (path.parent / "mlartifacts").as_uri()  # a URI, as MLflow's SQL bears no '
            SqlAlchemyStore(f"sqlite:///{part.as_posix()}", files).engine.dispose()
            try:
                os.link(part, path)
            except FileExistsError:
                pass
            except OSError:  # a disk without links
                os.replace(part, path)
    with closing(sqlite3.connect(path, 20)) as database:  # MLflow tries for 106 s
        database.execute("PRAGMA schema_version")


def describe(workspace):
    """The server's version, and what works there for this user.

    Raises
    ------
    StepFailed
        If it cannot be reached or refuses.
    """
    with open_client(workspace, "no answer", "check MLFLOW_TRACKING_URI in .env") as client:
        import requests
        from mlflow.exceptions import MlflowException

        user = os.environ.get("MLFLOW_TRACKING_USERNAME")
        auth = (user, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")) if user else None
        answer = requests.get(f"{workspace.tracking_uri}/version", auth=auth, timeout=4)
        known = answer.ok and re.fullmatch(r"\d+\.\d+[\w.]*", answer.text.strip())
        version = f"MLflow {answer.text.strip()}" if known else "of a version that it does not tell"
        try:
            client.search_registered_models(max_results=1)
            works = "runs, datasets and registered models"
        except MlflowException as error:
            works = f"runs and datasets, no registered models ({_reason(str(error))})"
        if not (known and answer.text.startswith("3.")):
            works += "; autolog() needs log_models=False there"
        return f"{version}: {works}"


def _reason(text):
    for signs, reason in _REASONS:
        if any(sign in text for sign in signs):
            return reason
    return text[:300]


def experiment(client, workspace, name):
    """The id of an experiment, made if need be; beside a local database its files lie here, too.

    Raises
    ------
    UserError
        If the project was moved since the experiment was made.
    """
    local = workspace.tracking_uri == workspace.local_tracking_uri
    folder = (workspace.root / "mlartifacts").as_uri() if local else None
    found = client.get_experiment_by_name(name)
    if found is not None:
        if local and found.artifact_location != folder:
            raise UserError(
                f"mlflow.db keeps its files in {found.artifact_location}, not in {folder}; "
                "move the project back, or move mlflow.db away to begin anew"
            )
        return found.experiment_id
    from mlflow.exceptions import MlflowException

    try:
        return client.create_experiment(name, artifact_location=folder)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return client.get_experiment_by_name(name).experiment_id  # made meanwhile by another


@contextmanager
def logged_run(client, experiment_id: str, **given) -> Iterator[str]:
    """Give the id of a new run, which ends with the block: finished or failed."""
    run_id = client.create_run(experiment_id, **given).info.run_id
    try:
        yield run_id
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")
