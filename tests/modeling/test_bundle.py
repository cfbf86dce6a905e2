"""A bundle is the same for the same data, and one that is not ours is refused."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import Ridge

from laptop_pricing.data.preprocess import preprocess
from laptop_pricing.errors import UserError
from laptop_pricing.modeling.bundle import METADATA_FILE, MODEL_FILE, load_bundle
from laptop_pricing.modeling.train import train


@pytest.fixture
def folder(trained, tmp_path):
    """A copy of a good bundle, to be damaged."""
    return Path(shutil.copytree(trained.models, tmp_path / "models"))


def change_metadata(folder, **changes):
    path = folder / METADATA_FILE
    metadata = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps(metadata), encoding="utf-8")


def plant(folder, content):
    """Another model file, with the checksum that goes with it."""
    (folder / MODEL_FILE).write_bytes(content)
    change_metadata(folder, model_sha256=hashlib.sha256(content).hexdigest())


@pytest.mark.services
def test_training_again_elsewhere_makes_the_same_bytes(trained, workspace, params):
    preprocess(workspace, params.preprocess)
    train(workspace, params)
    made = [path for path in (trained.root).rglob("*") if path.is_file()]
    assert {METADATA_FILE, MODEL_FILE, "metrics.json"} < {path.name for path in made}
    for path in made:
        assert path.read_bytes() == (workspace.root / path.relative_to(trained.root)).read_bytes()


def test_a_good_bundle_is_loaded(folder):
    assert np.isfinite(load_bundle(folder).model.regressor_["ridge"].coef_).all()


def test_a_corrupt_model_is_refused(folder):
    content = (folder / MODEL_FILE).read_bytes()
    (folder / MODEL_FILE).write_bytes(content[:-1])
    with pytest.raises(UserError, match="found SHA-256 .* promises"):
        load_bundle(folder)


def test_a_model_of_another_kind_is_refused(folder):
    plant(folder, skops.io.dumps(Ridge()))
    with pytest.raises(UserError, match="holds a Ridge, which train never writes"):
        load_bundle(folder)


def test_a_file_that_could_run_code_is_refused(folder):
    plant(folder, skops.io.dumps({"never": Path.unlink}))
    with pytest.raises(UserError, match="refused"):
        load_bundle(folder)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"features": ["another"]}, "made for other columns"),
        ({"versions": {"scikit-learn": "0.1"}}, "made by scikit-learn 0.1"),
        ({"versions": None}, "not the metadata of a bundle"),
    ],
)
def test_metadata_of_other_columns_or_libraries_are_refused(folder, changes, message):
    change_metadata(folder, **changes)
    with pytest.raises(UserError, match=message):
        load_bundle(folder)


@pytest.mark.parametrize("name", [METADATA_FILE, MODEL_FILE])
def test_half_a_bundle_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"{name}: no such file"):
        load_bundle(folder)
