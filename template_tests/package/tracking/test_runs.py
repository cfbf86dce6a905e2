"""The result becomes one finished MLflow run, on a local database and on a real server."""

import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import servers
from environments import ROOT

import laptop_pricing
from laptop_pricing.data.ingest import SOURCE_FILE
from laptop_pricing.data.schema import FEATURES
from laptop_pricing.errors import StepFailed, UserError
from laptop_pricing.files import checksum
from laptop_pricing.modeling.bundle import load_bundle, read_metadata, save_bundle
from laptop_pricing.modeling.train import read_processed
from laptop_pricing.settings import PARAMS_FILE, Workspace
from laptop_pricing.summary import how_to_open
from laptop_pricing.tracking.runs import log_scores, track

pytestmark = pytest.mark.services

SOURCE = "https://example.org/laptops.csv"
START_S = 180
PATIENCE_S = 15


@pytest.fixture(scope="module", autouse=True)
def _own_servers_only():
    """What the modules' fixtures see: no server, no credentials of the developer's."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("MLFLOW_"):
                patch.delenv(name)
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        yield


def _git(folder, *arguments):
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _copy(trained, folder, md5):
    """A workspace of its own: a Git commit, and an ingested file with the given checksum."""
    workspace = Workspace(Path(shutil.copytree(trained.root, folder)))
    workspace.interim.mkdir()
    found = json.dumps({"md5": md5, "source": SOURCE})
    (workspace.interim / SOURCE_FILE).write_text(found, encoding="utf-8")
    (workspace.root / "dvc.lock").write_text("schema: '2.0'\n", encoding="utf-8")
    (workspace.root / ".gitignore").write_text("*\n", encoding="utf-8")
    _git(workspace.root, "init", "--initial-branch=devl")
    _git(workspace.root, "add", "--force", ".gitignore")
    _git(workspace.root, "commit", "--no-gpg-sign", "-m", "start")
    return workspace


@pytest.fixture(scope="module")
def local(trained, params, tmp_path_factory):
    """A workspace that was tracked in its own database."""
    folder = tmp_path_factory.mktemp("local") / "Ana's project"
    workspace = _copy(trained, folder, checksum(trained.raw, "md5"))
    return workspace, track(workspace, params)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a real MLflow server, empty."""
    with servers.mlflow_server(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture(scope="module")
def remote(trained, params, tmp_path_factory, server):
    """A workspace that was tracked on the server, as a user names it."""
    workspace = _copy(trained, tmp_path_factory.mktemp("remote") / "project", md5="another file")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", server)
        return workspace, track(workspace, params)


@pytest.fixture(params=["local", "remote"])
def tracked(request, monkeypatch):
    """Each workspace, what ``track`` said, and a client of where it is tracked."""
    if request.param == "remote":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue("server"))
    workspace, found = request.getfixturevalue(request.param)
    return workspace, found, _client(found.uri)


def _client(uri):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def _runs(uri, experiment):
    client = _client(uri)
    found = client.get_experiment_by_name(experiment)
    return client.search_runs([found.experiment_id]) if found else []


def _artifacts(client, run_id, path=None):
    for item in client.list_artifacts(run_id, path):
        if item.is_dir:
            yield from _artifacts(client, run_id, item.path)
        else:
            yield item.path


def _named(params, experiment):
    """The params, with another experiment."""
    renamed = params.track.model_copy(update={"experiment": experiment})
    return params.model_copy(update={"track": renamed})


def test_the_run_is_where_the_workspace_says(local, remote, server, params):
    (workspace, found), (_, far) = local, remote
    assert found.uri == workspace.local_tracking_uri and far.uri == server
    assert (workspace.root / "mlflow.db").is_file()
    assert not (remote[0].root / "mlflow.db").exists()
    assert found.experiment == far.experiment == params.track.experiment
    assert found.new and far.new


def test_what_is_printed_leads_to_the_runs_of_the_experiment(tracked):
    """Without the last part, MLflow 3.17 shows the experiment without its runs."""
    workspace, found, client = tracked
    experiment_id = client.get_run(found.run_id).info.experiment_id
    local = found.uri == workspace.local_tracking_uri
    address = "http://127.0.0.1:5000" if local else found.uri
    page = f"{address}/#/experiments/{experiment_id}?workflowType=machine_learning"
    said = how_to_open(workspace, found)
    assert said.endswith(f"mlflow.db', then open {page}" if local else page)
    assert ("mlflow ui --backend-store-uri " in said) is local


def test_the_run_is_finished_and_holds_the_metrics(tracked):
    workspace, found, client = tracked
    run = client.get_run(found.run_id)
    assert run.info.status == "FINISHED"
    metrics = json.loads(workspace.metrics.read_text(encoding="utf-8"))
    expected = {name: figure["mean"] for name, figure in metrics["cv"].items()}
    assert set(expected) == {"R2", "MAPE", "MAE", "MSE"}
    expected |= {f"{name}_sd": figure["sd"] for name, figure in metrics["cv"].items()}
    expected |= {f"interval_{name}": metrics["interval"][name] for name in ("coverage", "width")}
    expected |= {f"holdout_{name}": value for name, value in metrics["holdout"].items()}
    assert run.data.metrics == pytest.approx(expected, rel=1e-12)


def test_the_run_holds_the_params(tracked, params):
    workspace, found, client = tracked
    logged = client.get_run(found.run_id).data.params
    metadata = read_metadata(workspace.models)
    assert logged["alpha"] == str(metadata["alpha"])
    assert logged["folds"] == str(params.train.folds)
    assert logged["inner_folds"] == str(params.train.inner_folds)
    assert json.loads(logged["seeds"]) == list(params.train.seeds)
    assert json.loads(logged["alphas"]) == list(params.train.alphas)
    assert logged["data_md5"] == metadata["data_md5"]
    assert logged["holdout_rule"] == "v1"


def test_the_run_has_the_dataset_as_its_input(tracked):
    workspace, found, client = tracked
    (given,) = client.get_run(found.run_id).inputs.dataset_inputs
    assert given.dataset.digest == checksum(workspace.raw, "md5")
    assert given.dataset.name == workspace.raw.name
    assert [(tag.key, tag.value) for tag in given.tags] == [("mlflow.data.context", "train")]
    names = [column["name"] for column in json.loads(given.dataset.schema)["mlflow_colspec"]]
    assert names[:15] == list(FEATURES) and "price" in names
    assert not {"key", "specification"} & set(names)
    profile = json.loads(given.dataset.profile)
    assert profile["num_rows"] == 400 and profile["num_kept"] == len(read_processed(workspace)[0])


def test_the_tags_tie_the_run_to_code_data_and_model(tracked):
    workspace, found, client = tracked
    tags = client.get_run(found.run_id).data.tags
    assert tags["model_sha256"] == checksum(workspace.models / "model.skops", "sha256")
    assert tags["mlflow.source.git.commit"] == _git(workspace.root, "rev-parse", "HEAD")
    assert (tags["git_branch"], tags["git_clean"]) == ("devl", "true")
    assert tags["dvc_lock_md5"] == checksum(workspace.root / "dvc.lock", "md5")


def test_the_data_source_is_that_of_this_very_file(local, remote):
    sources = {}
    for _, found in (local, remote):
        run = _client(found.uri).get_run(found.run_id)
        sources[found.uri] = run.data.tags["data_source"]
        (given,) = run.inputs.dataset_inputs
        assert sources[found.uri] in given.dataset.source
    assert list(sources.values()) == [SOURCE, "data.dvc"]


def test_the_run_holds_plots_bundle_and_model(tracked, tmp_path):
    workspace, found, client = tracked
    names = set(_artifacts(client, found.run_id))
    plots = ("predictions", "slices", "learning_curve")
    assert {f"plots/figures/{name}.png" for name in plots} <= names
    assert {f"plots/plots/{name}.csv" for name in plots} <= names
    assert {"metrics.json", "summary.json", "bundle/metadata.json", "model/MLmodel"} <= names
    bundle = client.download_artifacts(found.run_id, "bundle", str(tmp_path))
    for path in workspace.models.iterdir():
        assert (Path(bundle) / path.name).read_bytes() == path.read_bytes()


def test_the_runs_model_predicts_as_the_bundle_does(tracked, tmp_path):
    import mlflow.pyfunc

    workspace, found, client = tracked
    folder = client.download_artifacts(found.run_id, "model", str(tmp_path))
    model = mlflow.pyfunc.load_model(folder)
    table, _ = read_processed(workspace)
    features = table[list(FEATURES)]
    expected = load_bundle(workspace.models).model.predict(features)
    np.testing.assert_array_equal(model.predict(features), expected)
    assert model.metadata.get_input_schema().input_names() == list(FEATURES)
    assert list(model.input_example) == list(FEATURES)


def test_the_model_names_exact_versions(tracked, tmp_path):
    workspace, found, client = tracked
    path = client.download_artifacts(found.run_id, "model/requirements.txt", str(tmp_path))
    versions = read_metadata(workspace.models)["versions"]
    lines = Path(path).read_text(encoding="utf-8").split()
    assert f"scikit-learn=={versions['scikit-learn']}" in lines
    assert all("==" in line for line in lines)


def test_a_second_track_makes_no_second_run(tracked, params):
    workspace, found, _ = tracked
    again = track(workspace, params)
    assert (again.run_id, again.uri, again.new) == (found.run_id, found.uri, False)
    assert [run.info.run_id for run in _runs(found.uri, found.experiment)] == [found.run_id]


def test_another_model_makes_another_run(local, params, tmp_path):
    """One experiment, two models: the first is still found, the second is new."""
    workspace, found = local
    before = {path: path.read_bytes() for path in workspace.models.iterdir()}
    made = {"format", "model_sha256", "compiled_sha256", "features", "versions"}
    try:
        bundle = load_bundle(workspace.models)
        bundle.model.regressor_["ridge"].intercept_ += 0.5
        facts = {name: bundle.metadata[name] for name in bundle.metadata.keys() - made}
        save_bundle(workspace.models, bundle.model, facts)
        other = track(workspace, _named(params, "two models"))
    finally:
        for path, content in before.items():
            path.write_bytes(content)
    first = track(workspace, _named(params, "two models"))
    assert other.new and first.new and other.run_id != first.run_id
    assert not track(workspace, _named(params, "two models")).new


def test_the_same_model_evaluated_in_another_way_is_another_result(local, params):
    workspace, found = local
    metadata = workspace.models / "metadata.json"
    before = metadata.read_text(encoding="utf-8")
    try:
        facts = json.loads(before)
        facts["metrics"]["cv"]["MAPE"]["mean"] += 0.01
        metadata.write_text(json.dumps(facts), encoding="utf-8")
        other = track(workspace, params)
    finally:
        metadata.write_text(before, encoding="utf-8")
    assert other.new and other.run_id != found.run_id
    from mlflow import MlflowClient

    MlflowClient(other.uri).delete_run(other.run_id)


def test_an_address_without_a_scheme_is_the_users_mistake(local, params, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "localhost")
    with pytest.raises(UserError, match="found 'localhost'; expected http://host:port"):
        track(local[0], params)


def test_a_moved_project_is_noticed_before_anything_is_logged(local, params, tmp_path):
    moved = Workspace(shutil.copytree(local[0].root, tmp_path / "elsewhere"))
    with pytest.raises(UserError, match="mlflow.db keeps its files in .* move the project back"):
        track(moved, params)


def test_the_sample_stays_local_whatever_the_environment_says(local, params, monkeypatch):
    workspace, found = local
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{servers.free_port()}")
    again = track(Workspace(workspace.root, use_server=False), params)
    assert (again.run_id, again.uri, again.new) == (found.run_id, found.uri, False)


@pytest.fixture
def silent():
    """The port of a server that accepts and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield listener.getsockname()[1]


@pytest.fixture
def page():
    """The port of a web server that is no MLflow server."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>\n<body>Welcome</body>\n</html>")

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found.server_address[1]
        found.shutdown()


@pytest.fixture
def closed():
    """A port on which nobody listens."""
    return servers.free_port()


def _state(workspace):
    return {p: p.read_bytes() for p in workspace.root.rglob("*") if p.is_file()}


@pytest.mark.parametrize("kind", ["closed", "silent", "page"])
def test_a_server_that_does_not_answer_costs_one_line_and_seconds(
    local, params, monkeypatch, request, kind
):
    workspace, _ = local  # MLflow is imported by then.
    port = request.getfixturevalue(kind)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://somebody:s3cret@127.0.0.1:{port}")
    before = _state(workspace)
    start = time.monotonic()
    with pytest.raises(StepFailed) as caught:
        track(workspace, params)
    assert time.monotonic() - start < PATIENCE_S
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500
    assert f"127.0.0.1:{port}" in message and "run laptop-pricing track later" in message
    assert "s3cret" not in message and "somebody" not in message
    assert _state(workspace) == before


def test_no_part_of_a_password_is_shown(local, params, monkeypatch, closed):
    workspace, _ = local
    uri = f"http://somebody:s3cret@word@127.0.0.1:{closed}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(StepFailed) as caught:
        track(workspace, params)
    for part in ("somebody", "s3cret", "word"):
        assert part not in str(caught.value)


def test_a_later_track_makes_up_for_an_unreachable_server(
    remote, server, params, monkeypatch, closed
):
    workspace, _ = remote
    later = _named(params, "later")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed}")
    with pytest.raises(StepFailed):
        track(workspace, later)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    found = track(workspace, later)
    assert found.new
    assert [run.info.status for run in _runs(server, "later")] == ["FINISHED"]


@pytest.mark.parametrize(
    "call, left",
    [
        ("log_batch", ["FAILED"]),
        ("log_inputs", ["FAILED"]),
        ("log_artifacts", ["FAILED"]),
        ("set_terminated", ["RUNNING"]),
        ("create_run", []),
    ],
)
def test_a_failure_half_way_leaves_no_finished_run(local, params, monkeypatch, call, left):
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    def refuse(*_, **__):
        raise MlflowException("the disk\nis full")

    workspace, found = local
    named = _named(params, f"half-way {call}")
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, call, refuse)
        with pytest.raises(StepFailed, match="the disk is full; run .* track later$"):
            track(workspace, named)
    assert [run.info.status for run in _runs(found.uri, named.track.experiment)] == left
    assert track(workspace, named).new
    finished = [run.info.status for run in _runs(found.uri, named.track.experiment)]
    assert sorted(finished) == sorted([*left, "FINISHED"])


def test_an_interrupted_run_is_marked_as_failed(local, params, monkeypatch):
    from mlflow import MlflowClient

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    workspace, found = local
    named = _named(params, "interrupted")
    monkeypatch.setattr(MlflowClient, "log_artifact", interrupt)
    with pytest.raises(KeyboardInterrupt):
        track(workspace, named)
    assert [run.info.status for run in _runs(found.uri, "interrupted")] == ["FAILED"]


def test_scores_that_cannot_be_logged_leave_a_failed_run(local, params, monkeypatch):
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    def refuse(*_, **__):
        raise MlflowException("the disk is full")

    workspace, found = local
    named = _named(params, "scores")
    folds = pd.DataFrame({name: [0.8, 0.9] for name in ("R2", "MAPE", "MAE", "MSE")})
    monkeypatch.setattr(MlflowClient, "log_metric", refuse)
    with pytest.raises(StepFailed, match="not logged"):
        log_scores(workspace, named, "mine", folds)
    assert [run.info.status for run in _runs(found.uri, "scores-notebooks")] == ["FAILED"]


def test_a_server_without_the_newest_calls_is_enough(local, params, monkeypatch):
    """``log_model`` and MLflow's logged models are not for servers of before 3."""
    import mlflow
    from mlflow import MlflowClient

    def unknown(*_, **__):
        raise AssertionError("older servers do not know this call")

    for name in ("create_logged_model", "finalize_logged_model", "log_model_artifacts"):
        if hasattr(MlflowClient, name):
            monkeypatch.setattr(MlflowClient, name, unknown)
    monkeypatch.setattr(mlflow.models.Model, "log", unknown)
    assert track(local[0], _named(params, "older server")).new


@pytest.mark.parametrize("damaged", ["models", "data/processed"])
def test_without_a_result_there_is_nothing_to_track(trained, params, tmp_path, damaged):
    workspace = Workspace(Path(shutil.copytree(trained.root, tmp_path / "project")))
    shutil.rmtree(workspace.root / damaged)
    with pytest.raises(UserError, match="no such file; run ") as caught:
        track(workspace, params)
    assert "\n" not in str(caught.value)
    assert not (workspace.root / "mlflow.db").exists()


def test_tracking_says_nothing_by_itself(trained, tmp_path):
    """In a process of its own: not a word on either stream, and no folder but the workspace's."""
    workspace = Workspace(Path(shutil.copytree(trained.root, tmp_path / "project")))
    (tmp_path / "elsewhere").mkdir()
    program = (
        "import sys; from pathlib import Path\n"
        "from laptop_pricing.settings import Workspace, load_params\n"
        "from laptop_pricing.tracking.runs import track\n"
        "track(Workspace(Path(sys.argv[1])), load_params(sys.argv[2]))\n"
    )
    source = str(Path(laptop_pricing.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", program, str(workspace.root), str(ROOT / PARAMS_FILE)],
        cwd=tmp_path / "elsewhere",
        env=os.environ | {"PYTHONPATH": source},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert re.sub(r"\s", "", done.stdout + done.stderr) == ""
    assert list((tmp_path / "elsewhere").iterdir()) == []
