"""What the tests share: params, a small sample, workspaces."""

import os
import shutil
import socket
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from laptop_pricing.data.sample import write_sample
from laptop_pricing.settings import PARAMS_FILE, Workspace, load_params

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
    """The project's params, with fewer folds and alphas."""
    params = load_params(ROOT / PARAMS_FILE)
    few = {"folds": 3, "inner_folds": 2, "seeds": (0,), "alphas": (2.0, 8.0)}
    train = params.train.model_copy(update=few)
    return params.model_copy(update={"train": train})


@pytest.fixture(scope="session")
def sample_csv(tmp_path_factory):
    """A synthetic raw file. Read only."""
    path = tmp_path_factory.mktemp("sample") / "sample.csv"
    write_sample(path, SAMPLE_ROWS)
    return path


@pytest.fixture
def workspace(tmp_path, sample_csv):
    """A fresh workspace that holds params.yaml and the sample as raw data."""
    workspace = Workspace(tmp_path / "project")
    workspace.raw.parent.mkdir(parents=True)
    shutil.copyfile(ROOT / PARAMS_FILE, workspace.root / PARAMS_FILE)
    shutil.copyfile(sample_csv, workspace.raw)
    return workspace


@pytest.fixture(scope="session")
def trained(tmp_path_factory, sample_csv, params):
    """A workspace in which preprocess and train have run on the sample. Read only."""
    from laptop_pricing.data.preprocess import preprocess
    from laptop_pricing.modeling.train import train

    workspace = Workspace(tmp_path_factory.mktemp("trained"))
    workspace.raw.parent.mkdir(parents=True)
    shutil.copyfile(sample_csv, workspace.raw)
    preprocess(workspace, params.preprocess)
    train(workspace, params)
    return workspace
