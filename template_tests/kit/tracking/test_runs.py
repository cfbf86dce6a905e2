"""A result becomes one finished MLflow run, once, and a server that fails costs one line."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from environments import ROOT
from problems import DIABETES, GRADES, LAPTOPS, MADE, make_project
from servers import free_port
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from tracked import (
    check,
    client_of,
    copy_of,
    in_git,
    replace_file,
    runs_of,
    web_server,
    within_seconds,
)

from laptop_pricing.kit.data.preprocess import preprocess
from laptop_pricing.kit.errors import StepFailed, UserError
from laptop_pricing.kit.files import checksum
from laptop_pricing.kit.modeling.bundle import load_bundle, read_metadata
from laptop_pricing.kit.modeling.train import read_processed, train
from laptop_pricing.kit.tracking.runs import log_scores, track
from laptop_pricing.kit.tracking.server import experiment, logged_run, open_client

pytestmark = pytest.mark.services
PATH = os.pathsep.join([str(ROOT / "src"), str(ROOT / "template_tests" / "kit")])


class OwnModel(DummyRegressor):
    """An estimator of the team's own."""


def trained_by(model, folder, **more):
    project = make_project(folder, MADE, build_model=lambda problem, params: model)
    preprocess(project)
    train(project := replace(project, **more))
    return project


def run_python(program, *arguments, cwd=None):
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": PATH},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def local(trained, tmp_path_factory):
    """A project that was tracked in its own database, in a folder that is hard to quote."""
    folder = tmp_path_factory.mktemp("local") / "it's a project"
    project = in_git(copy_of(trained(MADE), folder))
    return project, track(project)


@pytest.fixture
def fresh(local, tmp_path):
    """The same result, not yet tracked."""
    project = copy_of(local[0], tmp_path / "project")
    (project.root / "mlflow.db").unlink()
    return project


def run_of(project, said):
    return client_of(project).get_run(said.run_id)


def folder_of(run):
    return Path(run.info.artifact_uri.removeprefix("file://"))


def test_the_run_is_finished_and_holds_the_metrics(local):
    project, said = local
    run = run_of(project, said)
    assert said.new and run.info.status == "FINISHED"
    assert said.experiment_id == run.info.experiment_id
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


def test_dataset_and_tags_tie_the_run_to_code_data_and_model(local):
    project, said = local
    run = run_of(project, said)
    tags = run.data.tags
    assert tags["model_sha256"] == checksum(project.models / "model.json", "sha256")
    assert tags["metadata_sha256"] == checksum(project.models / "metadata.json", "sha256")
    assert tags["mlflow.source.git.commit"] == check(project, "git", "rev-parse", "HEAD")
    assert (tags["git_branch"], tags["git_clean"]) == ("devl", "true")
    assert tags["dvc_lock_md5"] == checksum(project.root / "dvc.lock", "md5")
    (given,) = run.inputs.dataset_inputs
    dataset, md5 = given.dataset, checksum(project.raw, "md5")
    assert (dataset.name, dataset.digest) == (project.raw.name, md5)
    assert "data.dvc" in dataset.source
    names = [column["name"] for column in json.loads(dataset.schema)["mlflow_colspec"]]
    assert names == [column.name for column in project.problem.columns]
    assert json.loads(dataset.profile)["num_rows"] == len(read_processed(project)[0])


PARAMS = (
    {"model.alphas": "[2, 8]", "model.inner_folds": "2"},
    {"model.alpha": "8"},
    {"model.alpha": "2"},
    {"model.alpha": "2"},
)
TRACKED = list(zip((LAPTOPS, DIABETES, MADE, GRADES), PARAMS))


@pytest.mark.parametrize("problem, expected", TRACKED, ids=("laptops", "ill", "made", "grades"))
def test_the_run_holds_params_plots_bundle_and_a_copy_for_mlflow_and_no_pickle(
    trained, tmp_path, problem, expected
):
    import mlflow.pyfunc

    project = copy_of(trained(problem), tmp_path / "project")
    run, metadata = run_of(project, track(project)), read_metadata(project.models)
    facts = {"data_md5": metadata["data_md5"], "holdout_rule": "v1", "model": metadata["model"]}
    facts |= {"train.folds": "3", "train.seeds": "[0]", "train.repeat_rows": "3000"}
    facts |= {name: str(value) for name, value in metadata["chosen"].items()}
    assert ("alpha" in facts) == ("model.alphas" in expected)
    assert run.data.params == expected | facts | (run.data.params if "alpha" in facts else {})
    folder = folder_of(run)
    for made, name in (
        (project.models, "model/data/models"),
        (project.figures, "plots/figures"),
        (project.plots, "plots/plots"),
    ):
        for path in made.iterdir():
            assert (folder / name / path.name).read_bytes() == path.read_bytes()
    assert (folder / "metrics.json").is_file() and (folder / "summary.json").is_file()
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".py", ".joblib")]
    assert "pickle" not in (folder / "model" / "MLmodel").read_text("utf-8")
    model, rows = mlflow.pyfunc.load_model(str(folder / "model")), read_processed(project)[0]
    names = list(problem.names)
    np.testing.assert_array_equal(
        model.predict(rows[names]), load_bundle(project.models).predict(rows)
    )
    assert model.metadata.get_input_schema().input_names() == list(model.input_example) == names


LOAD = """
import sys, mlflow.pyfunc, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
print(model.predict(pandas.read_parquet(sys.argv[2])).tolist())
"""


def test_any_other_model_is_loaded_in_a_process_of_its_own(tmp_path):
    boosted = HistGradientBoostingRegressor(categorical_features="from_dtype", max_iter=20)
    project = trained_by(boosted, tmp_path / "project")
    folder = folder_of(run_of(project, track(project)))
    rows = read_processed(project)[0][list(MADE.names)]
    rows.to_parquet(tmp_path / "rows.parquet")
    said = run_python(LOAD, folder / "model", tmp_path / "rows.parquet")
    expected = load_bundle(project.models).predict(rows)
    np.testing.assert_array_equal(json.loads(said.splitlines()[-1]), expected)
    lines = (folder / "model" / "requirements.txt").read_text("utf-8").split()
    assert f"scikit-learn=={version('scikit-learn')}" in lines and all("==" in x for x in lines)
    assert not [line for line in lines if line.startswith("laptop")], "no index has this package"


def test_mlflow_loads_no_type_that_the_file_alone_trusts(tmp_path):
    """Whoever changes the file would name what it may load."""
    import mlflow.pyfunc

    project = trained_by(OwnModel(), tmp_path / "project", trusted=(f"{__name__}.OwnModel",))
    uri = run_of(project, track(project)).info.artifact_uri
    with pytest.raises(UserError, match="model.skops: refused: .*OwnModel"):
        mlflow.pyfunc.load_model(f"{uri}/model")


def test_a_result_has_one_run_and_another_evaluation_of_the_model_another(fresh):
    first = track(fresh)
    assert track(fresh) == first._replace(new=False)
    path = fresh.models / "metadata.json"
    before = path.read_text("utf-8")
    metadata = json.loads(before)
    metadata["metrics"]["cv"]["MAPE"]["mean"] += 0.01
    replace_file(path, json.dumps(metadata))
    second = track(fresh)
    assert second.new and second.run_id != first.run_id and not track(fresh).new
    replace_file(path, before)
    assert track(fresh) == first._replace(new=False) and len(runs_of(fresh)) == 2


def test_where_a_run_cannot_belong_is_noticed_before_anything_is_logged(
    local, tmp_path, monkeypatch
):
    moved = copy_of(local[0], tmp_path / "elsewhere")
    with pytest.raises(UserError, match="mlflow.db: keeps its files in .* move the project back"):
        track(moved)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "localhost")
    with pytest.raises(UserError, match="found 'localhost'; expected http://host:port"):
        track(local[0])
    sample = replace(local[0], use_server=False)  # stays local whatever the environment says
    assert track(sample) == local[1]._replace(new=False)


@pytest.mark.parametrize("kind", ["closed", "page"])
def test_a_server_that_does_not_answer_costs_one_line_and_seconds(local, monkeypatch, kind):
    project = local[0]
    before = {p: p.read_bytes() for p in project.root.rglob("*") if p.is_file()}
    with web_server(lambda path: (200, b"<html>\n<body>Welcome</body>\n</html>")) as port:
        port = port if kind == "page" else free_port()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://somebody:s3cret@word@127.0.0.1:{port}")
        with within_seconds(), pytest.raises(StepFailed) as caught:
            track(project)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500
    assert message.startswith(f"http://127.0.0.1:{port}: not tracked: ")
    assert message.endswith("; run flat-rents track later")
    assert not [part for part in ("somebody", "s3cret", "word") if part in message]
    assert {p: p.read_bytes() for p in project.root.rglob("*") if p.is_file()} == before


def test_a_failure_half_way_leaves_no_finished_run_and_a_later_track_does(fresh, tmp_path):
    (fresh.plots / "gone.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StepFailed, match="not tracked: .*run flat-rents track later$"):
        track(fresh)
    assert [run.info.status for run in runs_of(fresh)] == ["FAILED"]
    (fresh.plots / "gone.csv").unlink()
    assert track(fresh).new
    assert sorted(run.info.status for run in runs_of(fresh)) == ["FAILED", "FINISHED"]


def test_a_run_that_is_interrupted_does_not_stay_running(local):
    with pytest.raises(KeyboardInterrupt), open_client(local[0], "", "") as client:
        with logged_run(client, experiment(client, local[0], "interrupted")):
            raise KeyboardInterrupt
    assert [run.info.status for run in runs_of(local[0], "interrupted")] == ["FAILED"]


def test_the_scores_of_an_exploration_are_a_run_of_the_notebooks(local):
    folds = pd.DataFrame({name: [0.2, 0.4] for name in ("R2", "MAPE", "MAE", "MSE")})
    run_id = log_scores(local[0], "a try", folds)
    (run,) = runs_of(local[0], "flat-rents-notebooks")
    told = (run.info.run_id, run.info.run_name, run.info.status)
    assert told == (run_id, "a try", "FINISHED")
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


def test_tracking_says_nothing_by_itself(fresh, tmp_path):
    """In a process of its own: not a word on either stream, and no folder but the project's."""
    (tmp_path / "elsewhere").mkdir()
    program = (
        "import os, sys; from pathlib import Path; from problems import MADE, build_plain\n"
        "from laptop_pricing.kit.project import Project\n"
        "from laptop_pricing.kit.tracking.runs import track\n"
        "os.dup2(1, 2); track(Project(MADE, build_plain, Path(sys.argv[1])))\n"
    )
    assert run_python(program, fresh.root, cwd=tmp_path / "elsewhere").split() == []
    assert list((tmp_path / "elsewhere").iterdir()) == []
