"""mlflow.db is whole or not there: whoever is killed, and however many begin at once."""

import multiprocessing
import os
import random
import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from laptop_pricing.errors import StepFailed
from laptop_pricing.settings import Workspace
from laptop_pricing.tracking.runs import track

pytestmark = pytest.mark.services
PATIENCE_S = 15
NONE = "no MLflow database, half of one, or that of a newer MLflow; move it away"
PROCESSES = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
PROCESSES.set_forkserver_preload(["mlflow.sklearn", "mlflow.store.tracking.sqlalchemy_store"])


@pytest.fixture(autouse=True)
def _no_server(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def copies(trained, tmp_path):
    """Makes workspaces that are trained and not tracked."""
    return lambda name: Workspace(Path(shutil.copytree(trained.root, tmp_path / f"{name}")))


def _begin(workspace, params):
    process = PROCESSES.Process(target=track, args=(workspace, params))
    process.start()
    return process


def _wait_for_database(workspace):
    end = time.monotonic() + 60
    while not list(workspace.root.glob("mlflow.db*")):
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_first_track_killed_at_any_point_does_not_hinder_a_later_one(copies, params):
    whole = copies("whole")
    process = _begin(whole, params)
    _wait_for_database(whole)
    start = time.monotonic()
    process.join()
    lasted = time.monotonic() - start
    assert process.exitcode == 0
    chance = random.Random(14)
    for point in range(8):
        workspace = copies(point)
        process = _begin(workspace, params)
        _wait_for_database(workspace)
        time.sleep(lasted * (point + chance.random()) / 8)
        process.kill()
        process.join()
        track(workspace, params)


def test_of_two_first_tracks_at_once_both_succeed(copies, params):
    workspace = copies("two")
    both = [_begin(workspace, params) for _ in range(2)]
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]


def _garbage(path):
    path.write_bytes(b"Traceback (most recent call last):\n" * 500)


def _folder(path):
    path.mkdir()


def _malformed(path):
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE metrics (x)")
        database.executemany("INSERT INTO metrics VALUES (?)", [("x" * 999,)] * 99)
    path.write_bytes(path.read_bytes()[:100] + b"\xff" * 40_000)


def _half_made(path):
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE _alembic_tmp_metrics (key VARCHAR)")


def _newer(path):
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR)")
        database.execute("INSERT INTO alembic_version VALUES ('of the future')")


@pytest.mark.parametrize(
    "damage, said",
    [
        (_garbage, NONE),
        (_malformed, NONE),
        (_half_made, NONE),
        (_newer, NONE),
        (_folder, "unable to open database file"),
    ],
)
def test_a_database_that_is_none_costs_one_line_and_seconds(copies, params, damage, said):
    workspace = copies("damaged")
    damage(workspace.root / "mlflow.db")
    start = time.monotonic()
    with pytest.raises(
        StepFailed, match=f"mlflow.db: {said}.*; run laptop-pricing track"
    ) as caught:
        track(workspace, params)
    assert time.monotonic() - start < PATIENCE_S
    assert "\n" not in str(caught.value)
