"""A bundle is the same for the same data, and one that is not ours is refused."""

import hashlib
import json
import shutil
from pathlib import Path

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
