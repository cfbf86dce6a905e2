"""A run's model becomes a version, once, and an alias leads back to its bytes."""

import mlflow.pyfunc
import numpy as np
import pytest
from problems import MADE
from tracked import client_of, copy_of

from laptop_pricing.kit.errors import StepFailed, UserError
from laptop_pricing.kit.modeling.bundle import load_bundle
from laptop_pricing.kit.modeling.train import read_processed
from laptop_pricing.kit.tracking.registry import fetch_bundle, find_version, register, set_alias
from laptop_pricing.kit.tracking.runs import track

pytestmark = pytest.mark.services
NAME = MADE.name


@pytest.fixture(scope="module")
def tracked(trained, tmp_path_factory):
    """A project, and its run, which is registered under its name."""
    project = copy_of(trained(MADE), tmp_path_factory.mktemp("registry") / "project")
    run_id = track(project).run_id
    register(project, run_id, NAME)
    return project, run_id


def test_an_alias_leads_back_to_the_same_bytes_and_predictions(tracked, tmp_path):
    project, run_id = tracked
    version = register(project, run_id, NAME)
    set_alias(project, NAME, "champion", version)
    assert find_version(project, NAME, "champion") == (version, run_id)
    found, folder = fetch_bundle(project, NAME, "champion", tmp_path)
    assert found == version
    for path in project.models.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()
    mlflow.set_tracking_uri(project.tracking_uri)
    rows = read_processed(project)[0][list(MADE.names)]
    predicted = mlflow.pyfunc.load_model(f"models:/{NAME}@champion").predict(rows)
    np.testing.assert_array_equal(predicted, load_bundle(project.models).predict(rows))


def test_a_run_is_one_version_which_gets_what_it_lacks(tracked):
    project, run_id = tracked
    assert register(project, run_id, "once") == "1"
    assert register(project, run_id, "once", "# Card", {"a": "1", "b": "2"}) == "1"
    assert register(project, run_id, "once", "# Other", {"a": "3"}) == "1"
    version = client_of(project).get_model_version("once", "1")
    assert (version.description, version.tags) == ("# Card", {"a": "1", "b": "2"})


def test_an_alias_moves(tracked):
    project, run_id = tracked
    first, client = register(project, run_id, "moving"), client_of(project)
    source = client.get_model_version("moving", first).source
    second = str(client.create_model_version("moving", source).version)
    for version in (first, second):
        set_alias(project, "moving", "candidate", version)
        assert find_version(project, "moving", "candidate")[0] == version


@pytest.mark.parametrize(
    "state, said", [("empty", "found no model in it"), ("gone", "was deleted")]
)
def test_a_run_without_a_model_is_refused(tracked, state, said):
    project, run_id = tracked
    client = client_of(project)
    other = client.create_run(client.get_run(run_id).info.experiment_id).info.run_id
    if state == "gone":
        client.delete_run(other)
    with pytest.raises(UserError, match=f"run {other}: {said}"):
        register(project, other, "nothing")


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda p: register(p, "0" * 32, NAME), "not registered"),
        (lambda p: set_alias(p, NAME, "champion", "99"), "alias champion not set"),
        (lambda p: find_version(p, NAME, "nobody"), f"{NAME}@nobody not found"),
        (lambda p: find_version(p, "unknown", "prod"), "unknown@prod not found"),
    ],
)
def test_what_is_not_there_and_a_server_that_is_down_are_one_line(tracked, monkeypatch, call, said):
    with pytest.raises(StepFailed, match=f"^sqlite:.*mlflow.db: {said}: [^\n]*$"):
        call(tracked[0])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(StepFailed, match=f"^http.*: {said}: the server does not answer; "):
        call(tracked[0])


def test_a_bundle_that_is_not_the_tracked_one_is_not_fetched(tracked, tmp_path):
    project, run_id = tracked
    set_alias(project, NAME, "prod", register(project, run_id, NAME))
    client = client_of(project)
    honest = client.get_run(run_id).data.tags["metadata_sha256"]
    client.set_tag(run_id, "metadata_sha256", "0" * 64)
    try:
        with pytest.raises(StepFailed, match="version 1: not the model that was tracked"):
            fetch_bundle(project, NAME, "prod", tmp_path)
    finally:
        client.set_tag(run_id, "metadata_sha256", honest)
