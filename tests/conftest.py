"""What the tests share: params, a small sample, projects."""

import os
import shutil
import socket
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from laptop_pricing.kit.data.sample import write_sample
from laptop_pricing.kit.params import load_params
from laptop_pricing.kit.project import PARAMS_FILE, Project
from laptop_pricing.model import build_model
from laptop_pricing.problem import PROBLEM

ROOT = Path(__file__).resolve().parent.parent
SAMPLE_ROWS = 400


@pytest.fixture(autouse=True, scope="module")
def _no_outside_settings():
    """The developer's own servers and credentials stay out of the tests, and of what they share."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("MLFLOW_", "AWS_", "DAGSHUB_")):
                patch.delenv(name)
        yield


@pytest.fixture(autouse=True)
def _no_outside_network(monkeypatch):
    """No test speaks to another machine."""
    connect = socket.socket.connect

    def guarded(self, address):
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test reaches out to {address[0]}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Small sums are slower on several threads, and much slower where the cores are busy."""
    import sklearn.linear_model  # noqa: F401  brings all libraries that have threads

    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def params():
    """The project's params, with fewer folds and settings to choose from."""
    params = load_params(ROOT / PARAMS_FILE)
    model = {
        name: value[:2] if isinstance(value, list) and name.endswith("s") else value
        for name, value in params.model.items()
    }
    model |= {name: 2 for name in model if name == "inner_folds"}
    train = params.train.model_copy(update={"folds": 3, "seeds": (0,)})
    anything = params.preprocess.model_copy(update={"median_target": None})
    changes = {"model": model, "train": train, "preprocess": anything}
    return params.model_copy(update=changes)


@pytest.fixture(scope="session")
def sample_csv(tmp_path_factory):
    """A synthetic raw file. Read only."""
    path = tmp_path_factory.mktemp("sample") / "sample.csv"
    write_sample(PROBLEM, path, SAMPLE_ROWS)
    return path


def processed(folder, raw_file, params):
    """A project in a fresh folder in which ``preprocess`` has run on a raw file."""
    from laptop_pricing.kit.data.preprocess import preprocess

    project = Project(PROBLEM, build_model, folder, given_params=params)
    project.raw.parent.mkdir(parents=True)
    shutil.copyfile(raw_file, project.raw)
    preprocess(project)
    return project


@pytest.fixture(scope="session")
def trained(tmp_path_factory, sample_csv, params):
    """A project in which preprocess and train have run on the sample. Read only."""
    from laptop_pricing.kit.modeling.train import train

    project = processed(tmp_path_factory.mktemp("trained"), sample_csv, params)
    train(project)
    return project
