"""mlflow.db is whole or not there: whoever is killed, and however many begin at once."""

import multiprocessing
import os
import random
import sqlite3
import time

import pytest
from problems import MADE, build_plain, make_params
from tracked import within_seconds

from laptop_pricing.kit.errors import StepFailed
from laptop_pricing.kit.project import Project
from laptop_pricing.kit.tracking.server import experiment, logged_run, open_client

pytestmark = pytest.mark.services
NONE = "not begun: no MLflow database, half of one, or that of a newer MLflow; move it away"
PROCESSES = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
PROCESSES.set_forkserver_preload(["mlflow.store.tracking.sqlalchemy_store", "mlflow.pyfunc"])


def begin(folder):
    """The first run of a project."""
    folder.mkdir(exist_ok=True)
    project = Project(MADE, build_plain, folder, given_params=make_params(MADE))
    with open_client(project, "not begun", "try again") as client:
        with logged_run(client, experiment(client, project, "first")) as run_id:
            client.log_metric(run_id, "R2", 0.5)


def started(folder):
    process = PROCESSES.Process(target=begin, args=(folder,))
    process.start()
    end = time.monotonic() + 60
    while not list(folder.glob("mlflow.db*")):
        assert time.monotonic() < end
        time.sleep(0.005)
    return process


def test_a_first_track_killed_at_any_point_does_not_hinder_a_later_one(tmp_path):
    process, start = started(tmp_path / "whole"), time.monotonic()
    process.join()
    lasted = time.monotonic() - start
    assert process.exitcode == 0
    chance = random.Random(14)
    for point in range(5):
        folder = tmp_path / str(point)
        process = started(folder)
        time.sleep(lasted * (point + chance.random()) / 5)
        process.kill()
        process.join()
        begin(folder)


def test_of_two_first_tracks_at_once_both_succeed_and_keep_their_runs(tmp_path):
    both = [started(tmp_path / "two") for _ in range(2)]
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    with sqlite3.connect(tmp_path / "two" / "mlflow.db") as database:
        statuses = database.execute("SELECT status FROM runs").fetchall()
    assert statuses == [("FINISHED",)] * 2
    assert not list((tmp_path / "two").glob("mlflow.db.*.part"))


@pytest.mark.parametrize(
    "content, said",
    [
        (b"Traceback (most recent call last):\n" * 500, NONE),
        ("CREATE TABLE _alembic_tmp_metrics (key)", NONE),  # half of one
        (
            "CREATE TABLE alembic_version (version_num); INSERT INTO alembic_version VALUES ('x')",
            NONE,
        ),
        (None, "not begun: unable to open database file"),  # a folder
    ],
)
def test_a_database_that_is_none_costs_one_line_and_seconds(tmp_path, content, said):
    path = tmp_path / "mlflow.db"
    if content is None:
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        sqlite3.connect(path).executescript(content).connection.close()
    with within_seconds(), pytest.raises(StepFailed, match=f"mlflow.db: {said}.*; try") as caught:
        begin(tmp_path)
    assert "\n" not in str(caught.value)
