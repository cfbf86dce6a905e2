"""A run's model becomes a version, once, and an alias leads back to its prices."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from laptop_pricing.data.schema import EXAMPLE, FEATURES
from laptop_pricing.errors import StepFailed, UserError
from laptop_pricing.modeling.bundle import load_bundle
from laptop_pricing.modeling.train import read_processed
from laptop_pricing.serving.server import build_app
from laptop_pricing.settings import Workspace
from laptop_pricing.tracking.registry import (
    fetch_bundle,
    find_version,
    register,
    set_alias,
)
from laptop_pricing.tracking.runs import track
from laptop_pricing.tracking.server import open_client

pytestmark = pytest.mark.services
NAME = "laptop-pricing"


@pytest.fixture(scope="module")
def tracked(trained, params, tmp_path_factory):
    """A copy of the trained workspace, and its run."""
    folder = tmp_path_factory.mktemp("registry") / "project"
    workspace = Workspace(Path(shutil.copytree(trained.root, folder)))
    return workspace, track(workspace, params).run_id


def test_an_alias_leads_back_to_the_same_prices(tracked, monkeypatch):
    import mlflow.sklearn

    workspace, run_id = tracked
    version = register(workspace, run_id, NAME)
    set_alias(workspace, NAME, "champion", version)
    assert find_version(workspace, NAME, "champion") == (version, run_id)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", workspace.tracking_uri)
    mlflow.set_tracking_uri(workspace.tracking_uri)
    loaded = mlflow.sklearn.load_model(f"models:/{NAME}@champion")
    rows = read_processed(workspace)[0][list(FEATURES)]
    bundle = load_bundle(workspace.models)
    np.testing.assert_array_equal(loaded.predict(rows), bundle.model.predict(rows))


def test_a_run_is_registered_once(tracked):
    workspace, run_id = tracked
    assert register(workspace, run_id, "once") == register(workspace, run_id, "once") == "1"


def test_an_alias_moves(tracked, params):
    from mlflow import MlflowClient

    workspace, run_id = tracked
    first = register(workspace, run_id, "moving")
    client = MlflowClient(workspace.tracking_uri)
    source = client.get_model_version("moving", first).source
    second = str(client.create_model_version("moving", source).version)
    for version in (first, second):
        set_alias(workspace, "moving", "candidate", version)
        assert find_version(workspace, "moving", "candidate")[0] == version


def test_a_run_without_a_model_is_refused(tracked):
    from mlflow import MlflowClient

    workspace, run_id = tracked
    client = MlflowClient(workspace.tracking_uri)
    empty = client.create_run(client.get_run(run_id).info.experiment_id).info.run_id
    with pytest.raises(UserError, match=f"run {empty}: found no model in it"):
        register(workspace, empty, "nothing")


def test_what_is_not_there_is_one_line(tracked):
    workspace, run_id = tracked
    register(workspace, run_id, NAME)
    for call, told in (
        (lambda: register(workspace, "0" * 32, NAME), "not registered"),
        (lambda: set_alias(workspace, NAME, "champion", "99"), "alias champion not set"),
        (lambda: find_version(workspace, NAME, "nobody"), f"{NAME}@nobody not found"),
        (lambda: find_version(workspace, "unknown", "champion"), "unknown@champion not found"),
    ):
        with pytest.raises(StepFailed, match=f"^{told}: sqlite.*"):
            call()


def test_a_server_that_is_down_is_one_line(trained, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(StepFailed, match="not registered: .*does not answer; the run itself is"):
        register(Workspace(trained.root), "0" * 32, NAME)


def test_a_server_loads_the_version_that_an_alias_means(tracked, tmp_path):
    workspace, run_id = tracked
    version = register(workspace, run_id, NAME)
    set_alias(workspace, NAME, "prod", version)
    found, folder = fetch_bundle(workspace, NAME, "prod", tmp_path)
    assert found == version
    for path in workspace.models.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()
    app, origin = build_app(f"models:/{NAME}@prod", workspace)
    assert origin == f"models:/{NAME}@prod, version {version}"
    (answer,) = TestClient(app).post("/v1/quotes", json=[EXAMPLE]).json()
    assert answer["model"]["version"] == version


def test_a_bundle_that_is_not_the_tracked_one_is_not_served(tracked, tmp_path):
    workspace, run_id = tracked
    version = register(workspace, run_id, NAME)
    set_alias(workspace, NAME, "prod", version)
    with open_client(workspace, "", "") as client:
        honest = client.get_run(run_id).data.tags["metadata_sha256"]
        client.set_tag(run_id, "metadata_sha256", "0" * 64)
        try:
            with pytest.raises(StepFailed, match="not the model that was tracked"):
                fetch_bundle(workspace, NAME, "prod", tmp_path)
        finally:
            client.set_tag(run_id, "metadata_sha256", honest)
