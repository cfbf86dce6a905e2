"""The way to the MLflow server: a client that is patient, quiet, and fails in one line."""

import json
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

# By default MLflow gives up an unreachable server after four minutes.
_TOLD = json.loads(Path(__file__).with_name("server.json").read_text(encoding="utf-8"))


@contextmanager
def open_client(project: Project, failure: str, remedy: str) -> Iterator[Any]:
    """Give an ``MlflowClient`` of the project's server, which has answered once.

    MLflow is imported only when called, since that takes seconds. Whatever the server refuses, here
    or in the block, is a StepFailed that says the `failure`, the reason, and the `remedy`.
    """
    uri, first = project.tracking_uri, _TOLD["first_call"]
    if "://" not in uri and uri != "databricks":
        raise UserError("MLFLOW_TRACKING_URI", f"found {uri!r}; expected http://host:port")
    ours = first.keys() - os.environ.keys()
    os.environ.update({**_TOLD["quiet"], **first, **os.environ})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tqdm's, of the widgets that a notebook lacks
        from alembic.util import CommandError
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        logging.getLogger("alembic").setLevel(logging.ERROR)
        # MLflow 2 does not read the variable itself.
        logging.getLogger("mlflow").setLevel(os.environ["MLFLOW_LOGGING_LEVEL"].upper())
        try:
            if uri == project.local_tracking_uri:
                _make_database(project.root / "mlflow.db")
            client = MlflowClient(tracking_uri=uri)
            client.search_experiments(max_results=1)
            os.environ.update({name: _TOLD["later_calls"][name] for name in ours})
            yield client
        except (MlflowException, SQLAlchemyError, CommandError, sqlite3.Error, OSError) as error:
            text, reasons = str(error), _TOLD["reasons"].items()
            reason = next((why for signs, why in reasons if re.search(signs, text)), text[:300])
            raise StepFailed(uri, f"{failure}: {reason}", remedy) from None
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
            part, files = Path(folder) / path.name, path.with_name("mlartifacts")
            # A URI, since MLflow's SQL bears no apostrophe.
            SqlAlchemyStore(f"sqlite:///{part.as_posix()}", files.as_uri()).engine.dispose()
            try:
                with suppress(FileExistsError):
                    os.link(part, path)
            except OSError:  # a disk without links
                os.replace(part, path)
    with closing(sqlite3.connect(path)) as database:  # MLflow tries an unreadable one for 106 s
        database.execute("PRAGMA schema_version")


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
    if client.get_experiment_by_name(name) is None:
        with tolerated("RESOURCE_ALREADY_EXISTS"):  # by now, by another process
            client.create_experiment(name, artifact_location=folder)
    known = client.get_experiment_by_name(name)
    if local and known.artifact_location != folder:
        problem = f"keeps its files in {known.artifact_location}, not in {folder}"
        remedy = "move the project back, or move mlflow.db away to begin again"
        raise UserError("mlflow.db", problem, remedy)
    return known.experiment_id


@contextmanager
def logged_run(client: Any, experiment_id: str, **given: Any) -> Iterator[str]:
    """Give the id of a new run, which ends with the block: finished or failed."""
    run_id, status = client.create_run(experiment_id, **given).info.run_id, "FAILED"
    try:
        yield run_id
        status = "FINISHED"
    finally:
        client.set_terminated(run_id, status)
