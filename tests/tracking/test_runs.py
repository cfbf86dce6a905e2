"""A result becomes one finished MLflow run, in a local database."""

import json
import shutil
from pathlib import Path

import pytest

from laptop_pricing.settings import Workspace
from laptop_pricing.tracking.runs import track

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def tracked(trained, params, tmp_path_factory):
    """A trained workspace that has been tracked, the run, and where it was."""
    from mlflow import MlflowClient  # takes seconds

    folder = tmp_path_factory.mktemp("tracked") / "project"
    workspace = Workspace(Path(shutil.copytree(trained.root, folder)))
    found = track(workspace, params)
    client = MlflowClient(tracking_uri=workspace.local_tracking_uri)
    return workspace, found, client


def test_the_run_is_finished_and_in_the_workspaces_own_database(tracked, params):
    workspace, found, client = tracked
    assert found.new and found.uri == workspace.local_tracking_uri
    run = client.get_run(found.run_id)
    assert run.info.status == "FINISHED"
    assert client.get_experiment(run.info.experiment_id).name == params.track.experiment


def test_the_run_has_params_metrics_and_dataset(tracked, params):
    workspace, found, client = tracked
    run = client.get_run(found.run_id)
    metrics = json.loads(workspace.metrics.read_text(encoding="utf-8"))
    for name, figure in metrics["cv"].items():
        assert run.data.metrics[name] == pytest.approx(figure["mean"], rel=1e-12)
    assert run.data.params["folds"] == str(params.train.folds)
    assert len(run.inputs.dataset_inputs) == 1


def test_the_run_has_model_bundle_and_plots(tracked):
    workspace, found, client = tracked
    assert {item.path for item in client.list_artifacts(found.run_id)} >= {
        *("bundle", "metrics.json", "model", "plots", "summary.json")
    }
    kept = {item.path for item in client.list_artifacts(found.run_id, "bundle")}
    assert kept == {f"bundle/{path.name}" for path in workspace.models.iterdir()}


def test_the_same_result_is_tracked_once(tracked, params):
    workspace, found, client = tracked
    again = track(workspace, params)
    assert (again.run_id, again.new) == (found.run_id, False)
    run = client.get_run(found.run_id)
    assert len(client.search_runs([run.info.experiment_id])) == 1
