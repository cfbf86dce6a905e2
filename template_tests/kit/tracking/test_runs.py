"""A result becomes one finished MLflow run, in a local database and on a real server."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import servers
from environments import ROOT
from problems import DIABETES, LAPTOPS, MADE, each_problem, make_project
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from tracked import check, client_of, copy_of, in_git, runs_of, within_seconds

from laptop_pricing.kit.data.ingest import SOURCE_FILE
from laptop_pricing.kit.data.preprocess import preprocess
from laptop_pricing.kit.errors import StepFailed, UserError
from laptop_pricing.kit.files import checksum
from laptop_pricing.kit.modeling.bundle import load_bundle, read_metadata
from laptop_pricing.kit.modeling.train import read_processed, train
from laptop_pricing.kit.tracking.runs import log_scores, track
from laptop_pricing.kit.tracking.server import experiment, logged_run, open_client

pytestmark = pytest.mark.services
SOURCE = "https://example.org/flats.csv"


class OwnRidge(Ridge):
    """An estimator of the team's own, in a file of the team's."""


def build_boosted(problem, params):
    return HistGradientBoostingRegressor(categorical_features="from_dtype", max_iter=20)


def build_own(problem, params):
    numbers = ("passthrough", make_column_selector(dtype_include="number"))
    return make_pipeline(make_column_transformer(numbers), OwnRidge())


def trained_by(build_model, folder, **more):
    project = replace(make_project(folder, MADE, build_model=build_model), **more)
    preprocess(project)
    train(project)
    return project


@pytest.fixture(scope="module")
def local(trained, tmp_path_factory):
    """A project in Git that was tracked in its own database, in a folder that is hard to quote."""
    folder = tmp_path_factory.mktemp("local") / "it's a project"
    project = in_git(copy_of(trained(MADE), folder))
    noted = {"md5": checksum(project.raw, "md5"), "source": SOURCE}
    project.interim.mkdir()
    (project.interim / SOURCE_FILE).write_text(json.dumps(noted), encoding="utf-8")
    return project, track(project)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with servers.mlflow_server(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture(scope="module")
def remote(local, tmp_path_factory, server):
    """A project that was tracked on the server; its data are not those that were ingested last."""
    project = copy_of(local[0], tmp_path_factory.mktemp("remote") / "project")
    (project.root / "mlflow.db").unlink()
    (project.interim / SOURCE_FILE).write_text('{"md5": "another"}', encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", server)
        return project, track(project)


@pytest.fixture(params=["local", "remote"])
def tracked(request, monkeypatch):
    """Each project, what ``track`` said, and the run."""
    if request.param == "remote":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue("server"))
    project, said = request.getfixturevalue(request.param)
    return project, said, client_of(project).get_run(said.run_id)


def artifacts(client, run_id, path=None):
    for item in client.list_artifacts(run_id, path):
        yield from artifacts(client, run_id, item.path) if item.is_dir else [item.path]


def test_the_run_is_finished_where_the_project_says(tracked, server):
    project, said, run = tracked
    assert said.new and said.uri == project.tracking_uri and run.info.status == "FINISHED"
    assert (project.root / "mlflow.db").exists() == (said.uri != server)
    assert said.experiment == project.params.track.experiment
    assert said.experiment_id == run.info.experiment_id


def test_the_run_holds_the_metrics(tracked):
    project, _, run = tracked
    metrics = json.loads(project.metrics.read_text(encoding="utf-8"))
    expected = {name: figure["mean"] for name, figure in metrics["cv"].items()}
    assert set(expected) == {"R2", "MAPE", "MAE", "MSE"}
    expected |= {f"{name}_sd": figure["sd"] for name, figure in metrics["cv"].items()}
    expected |= {f"interval_{name}": metrics["interval"][name] for name in ("coverage", "width")}
    expected |= {f"holdout_{name}": value for name, value in metrics["holdout"].items()}
    for model in ("median", "ridge"):
        other = metrics["baselines"][model]
        expected |= {f"baseline_{model}_{name}": other[name]["mean"] for name in ("R2", "MAPE")}
    logged = {n: v for n, v in run.data.metrics.items() if not n.startswith("interval_thirds")}
    assert logged == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "problem, expected",
    [
        (LAPTOPS, {"model": "FactorRidge", "model.alphas": "[2, 8]", "model.inner_folds": "2"}),
        (DIABETES, {"model": "FactorRidge", "model.alpha": "8"}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_run_holds_the_params_as_params_yaml_has_them(trained, tmp_path, problem, expected):
    project = copy_of(trained(problem), tmp_path / "project")
    params = client_of(project).get_run(track(project).run_id).data.params
    metadata = read_metadata(project.models)
    facts = {"data_md5": metadata["data_md5"], "holdout_rule": "v1", "train.folds": "3"}
    facts |= {name: str(value) for name, value in metadata["chosen"].items()}
    assert ("alpha" in facts) == (problem is LAPTOPS)
    assert params.items() >= (expected | facts | {"train.seeds": "[0]"}).items()


def test_the_run_has_the_dataset_as_its_input(tracked):
    project, _, run = tracked
    (given,) = run.inputs.dataset_inputs
    md5 = checksum(project.raw, "md5")
    assert (given.dataset.name, given.dataset.digest) == (project.raw.name, md5)
    assert [(tag.key, tag.value) for tag in given.tags] == [("mlflow.data.context", "train")]
    names = [column["name"] for column in json.loads(given.dataset.schema)["mlflow_colspec"]]
    assert names == [column.name for column in project.problem.columns]
    assert json.loads(given.dataset.profile)["num_rows"] == len(read_processed(project)[0])
    assert run.data.tags["data_source"] in given.dataset.source


def test_the_data_source_is_that_of_this_very_file(local, remote, server):
    sources = []
    for uri, (_, said) in ((local[1].uri, local), (server, remote)):
        from mlflow import MlflowClient

        sources.append(MlflowClient(uri).get_run(said.run_id).data.tags["data_source"])
    assert sources == [SOURCE, "data.dvc"]


def test_the_tags_tie_the_run_to_code_data_and_model(tracked):
    project, _, run = tracked
    tags, metadata = run.data.tags, project.models / "metadata.json"
    assert tags["model_sha256"] == checksum(project.models / "model.json", "sha256")
    assert tags["metadata_sha256"] == checksum(metadata, "sha256")
    assert tags["mlflow.source.git.commit"] == check(project, "git", "rev-parse", "HEAD")
    assert (tags["git_branch"], tags["git_clean"]) == ("devl", "true")
    assert tags["dvc_lock_md5"] == checksum(project.root / "dvc.lock", "md5")


def test_the_run_holds_plots_and_bundle_and_no_pickle(tracked, tmp_path):
    project, said, _ = tracked
    client = client_of(project)
    names = set(artifacts(client, said.run_id))
    assert {f"plots/figures/{path.name}" for path in project.figures.iterdir()} <= names
    assert {f"plots/plots/{path.name}" for path in project.plots.iterdir()} <= names
    assert {"metrics.json", "summary.json", "bundle/metadata.json", "model/MLmodel"} <= names
    folder = Path(client.download_artifacts(said.run_id, "", str(tmp_path)))
    for path in project.models.iterdir():
        assert (folder / "bundle" / path.name).read_bytes() == path.read_bytes()
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".joblib", ".py"))]
    assert "pickle" not in (folder / "model" / "MLmodel").read_text("utf-8")


LOAD = """
import sys, mlflow.pyfunc, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
print(model.predict(pandas.read_parquet(sys.argv[2])).tolist())
"""


@pytest.mark.parametrize("case", ["laptop-pricing", "diabetes", "flat-rents", "boosted"])
def test_in_a_process_of_its_own_the_copy_predicts_as_the_bundle(trained, tmp_path, case):
    if case == "boosted":
        project = trained_by(build_boosted, tmp_path / "project")
    else:
        problem = {p.name: p for p in (LAPTOPS, DIABETES, MADE)}[case]
        project = copy_of(trained(problem), tmp_path / "project")
    uri = client_of(project).get_run(track(project).run_id).info.artifact_uri
    rows, names = read_processed(project)[0], list(project.problem.names)
    rows[names].to_parquet(tmp_path / "rows.parquet")
    done = subprocess.run(
        [sys.executable, "-c", LOAD, f"{uri}/model", str(tmp_path / "rows.parquet")],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    expected = load_bundle(project.models).predict(rows)
    np.testing.assert_array_equal(json.loads(done.stdout.splitlines()[-1]), expected)
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model(f"{uri}/model")
    assert model.metadata.get_input_schema().input_names() == names
    assert list(model.input_example) == names
    folder = Path(uri.removeprefix("file://")) / "model"
    lines = (folder / "requirements.txt").read_text("utf-8").split()
    assert f"scikit-learn=={version('scikit-learn')}" in lines and all("==" in x for x in lines)
    assert not [line for line in lines if line.startswith("laptop")], "no registry has this package"


def test_mlflow_loads_no_type_that_the_file_alone_trusts(tmp_path):
    """Whoever changes the file would name what it may load."""
    import mlflow.pyfunc

    own = f"{OwnRidge.__module__}.OwnRidge"
    project = trained_by(build_own, tmp_path / "project", trusted=(own,))
    uri = client_of(project).get_run(track(project).run_id).info.artifact_uri
    with pytest.raises(UserError, match="model.skops: refused: .*OwnRidge"):
        mlflow.pyfunc.load_model(f"{uri}/model")


def test_a_second_track_makes_no_second_run(tracked):
    project, said, _ = tracked
    again = track(project)
    assert again == said._replace(new=False)
    assert [run.info.run_id for run in runs_of(project)] == [said.run_id]


@pytest.mark.parametrize("changed", ["model", "evaluation"])
def test_another_result_makes_another_run(local, tmp_path, changed):
    """One experiment, two results: the first is still found, the second is new."""
    project = copy_of(local[0], tmp_path / "project", track={"experiment": "two results"})
    (project.root / "mlflow.db").unlink()
    first = track(project)
    models, path = project.models, project.models / "metadata.json"
    before = {file: file.read_bytes() for file in models.iterdir()}
    metadata = json.loads(path.read_text("utf-8"))
    if changed == "model":
        numbers = json.loads((models / "model.json").read_text("utf-8"))
        numbers["intercept"] += 0.5
        replace_file(models / "model.json", json.dumps(numbers))
        metadata["files"]["model.json"] = checksum(models / "model.json", "sha256")
    metadata["metrics"]["cv"]["MAPE"]["mean"] += 0.01
    replace_file(path, json.dumps(metadata))
    second = track(project)
    assert second.new and second.run_id != first.run_id and not track(project).new
    for file, content in before.items():
        replace_file(file, content.decode())
    assert track(project) == first._replace(new=False)


def replace_file(path, text):
    path.unlink()  # DVC may have made it read-only
    path.write_text(text, encoding="utf-8")


def test_a_moved_project_is_noticed_before_anything_is_logged(local, tmp_path):
    moved = copy_of(local[0], tmp_path / "elsewhere")
    with pytest.raises(UserError, match="mlflow.db: keeps its files in .* move the project back"):
        track(moved)


def test_the_sample_stays_local_whatever_the_environment_says(local, monkeypatch):
    project, said = local
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{servers.free_port()}")
    assert track(replace(project, use_server=False)) == said._replace(new=False)


def test_an_address_without_a_scheme_is_the_users_mistake(local, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "localhost")
    with pytest.raises(UserError, match="found 'localhost'; expected http://host:port"):
        track(local[0])


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

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>\n<body>Welcome</body>\n</html>")

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield listener.server_address[1]
        listener.shutdown()


@pytest.fixture
def closed():
    return servers.free_port()


@pytest.mark.parametrize("kind", ["closed", "silent", "page"])
def test_a_server_that_does_not_answer_costs_one_line_and_seconds(
    local, monkeypatch, request, kind
):
    project, port = local[0], request.getfixturevalue(kind)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://somebody:s3cret@word@127.0.0.1:{port}")
    before = {p: p.read_bytes() for p in project.root.rglob("*") if p.is_file()}
    with within_seconds(), pytest.raises(StepFailed) as caught:
        track(project)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500
    assert message.startswith(f"http://127.0.0.1:{port}: not tracked: ")
    assert message.endswith("; run flat-rents track later")
    assert not [part for part in ("somebody", "s3cret", "word") if part in message]
    assert {p: p.read_bytes() for p in project.root.rglob("*") if p.is_file()} == before


def test_a_failure_half_way_leaves_no_finished_run_and_a_later_track_does(local, tmp_path):
    project = copy_of(local[0], tmp_path / "project")
    (project.root / "mlflow.db").unlink()
    (project.plots / "gone.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StepFailed, match="not tracked: .*run flat-rents track later$"):
        track(project)
    assert [run.info.status for run in runs_of(project)] == ["FAILED"]
    (project.plots / "gone.csv").unlink()
    assert track(project).new
    assert sorted(run.info.status for run in runs_of(project)) == ["FAILED", "FINISHED"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_whatever_ends_a_run_it_does_not_stay_running(local, error):
    project = local[0]
    with pytest.raises(error), open_client(project, "", "") as client:
        with logged_run(client, experiment(client, project, error.__name__)):
            raise error
    assert [run.info.status for run in runs_of(project, error.__name__)] == ["FAILED"]


def test_the_scores_of_an_exploration_are_a_run_of_the_notebooks(local):
    project = local[0]
    folds = pd.DataFrame({name: [0.2, 0.4] for name in ("R2", "MAPE", "MAE", "MSE")})
    log_scores(project, "a try", folds)
    (run,) = runs_of(project, "flat-rents-notebooks")
    assert (run.info.run_name, run.info.status) == ("a try", "FINISHED")
    assert run.data.metrics["MAPE"] == pytest.approx(0.3)
    assert run.data.metrics["R2_sd"] == pytest.approx(0.1)


@pytest.mark.parametrize("missing", ["models", "data/processed", "reports/plots", "metrics.json"])
def test_without_a_result_there_is_nothing_to_track(trained, tmp_path, missing):
    project = copy_of(trained(MADE), tmp_path / "project")
    path = project.root / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(UserError, match="(no such file|not there); run ") as caught:
        track(project)
    assert "\n" not in str(caught.value) and not (project.root / "mlflow.db").exists()


@each_problem
def test_tracking_says_nothing_by_itself(trained, tmp_path, problem):
    """In a process of its own: not a word on either stream, and no folder but the project's."""
    project = copy_of(trained(problem), tmp_path / "project")
    (tmp_path / "elsewhere").mkdir()
    program = (
        "import sys; from pathlib import Path; from problems import PROBLEMS, build_plain\n"
        "from laptop_pricing.kit.project import Project\n"
        "from laptop_pricing.kit.tracking.runs import track\n"
        "(problem,) = [p for p in PROBLEMS if p.name == sys.argv[2]]\n"
        "track(Project(problem, build_plain, Path(sys.argv[1])))\n"
    )
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "template_tests" / "kit")])
    done = subprocess.run(
        [sys.executable, "-c", program, str(project.root), problem.name],
        cwd=tmp_path / "elsewhere",
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert re.sub(r"\s", "", done.stdout + done.stderr) == ""
    assert list((tmp_path / "elsewhere").iterdir()) == []
