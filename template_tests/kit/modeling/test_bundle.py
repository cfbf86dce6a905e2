"""The bundle: the same bytes for the same model, and nothing loads that was damaged or foreign."""

import io
import json
import os
import pickle
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from problems import GAINS, LAPTOPS, LOANS, MADE, each_problem, explained, led_to
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor

from laptop_pricing.kit.data.table import features
from laptop_pricing.kit.errors import UserError
from laptop_pricing.kit.files import checksum
from laptop_pricing.kit.modeling import bundle as room
from laptop_pricing.kit.modeling.bundle import Neighbours, load_bundle, read_metadata, save_bundle
from laptop_pricing.kit.modeling.evaluate import fit
from laptop_pricing.kit.modeling.task import outputs
from laptop_pricing.kit.modeling.train import read_processed
from laptop_pricing.kit.problem import category

FACTS = dict.fromkeys(("holdout", "metrics", "calibration", "distances", "slices"), {})
FACTS["data_md5"] = ""


class Constant(RegressorMixin, BaseEstimator):
    """A model of a team's own."""

    def fit(self, X, y):
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


def saved(folder, project, model, problem=MADE):
    table, _ = read_processed(project)
    fitted = fit(model, problem, table)
    facts = FACTS | {"calibration": {"classes": list(problem.classes)} if problem.classes else {}}
    save_bundle(folder, fitted, problem, Neighbours.of(problem, table), facts)
    return fitted, table


@pytest.fixture
def folder(trained, tmp_path):
    """A copy of a bundle of plain numbers."""
    return shutil.copytree(trained(MADE).models, tmp_path / "models")


@pytest.fixture
def skops_folder(trained, tmp_path):
    """A bundle whose model is a skops file."""
    saved(tmp_path / "skops", trained(MADE), HistGradientBoostingRegressor(max_iter=5))
    return tmp_path / "skops"


@each_problem
def test_a_bundle_comes_back_and_predicts_the_same_to_the_bit(problem, trained, tmp_path):
    project = trained(problem)
    fitted, table = saved(tmp_path, project, project.model(), problem)
    bundle = load_bundle(tmp_path, problem)
    best = getattr(fitted, "best_estimator_", fitted)
    expected = outputs(best, features(problem.features, table), problem.classes)
    np.testing.assert_array_equal(bundle.predict(table), expected)
    assert bundle.sha256 == checksum(tmp_path / "model.json", "sha256")
    found = bundle.explain(table)
    np.testing.assert_allclose(led_to(found), explained(found, expected), rtol=1e-9)


@pytest.mark.parametrize(
    "model", [None, HistGradientBoostingRegressor(max_iter=5, random_state=0)], ids=str
)
def test_equal_models_have_equal_bytes_without_clock_or_path(trained, tmp_path, model):
    project, found = trained(MADE), []
    for name in ("a", "b"):
        saved(tmp_path / name, project, model or project.model())
        files = sorted((tmp_path / name).iterdir())
        found.append({path.name: path.read_bytes() for path in files})
    assert found[0] == found[1] and len(found[0]) == 3
    for content in found[0].values():
        assert str(tmp_path).encode() not in content and b"202" not in content[:20]


def test_another_kind_of_model_takes_the_place_of_the_first(folder, trained):
    saved(folder, trained(MADE), HistGradientBoostingRegressor(max_iter=5))
    assert sorted(p.name for p in folder.iterdir()) == [
        "cases.json",
        "metadata.json",
        "model.skops",
    ]
    bundle = load_bundle(folder, MADE)
    table, _ = read_processed(trained(MADE))
    rows = table.head(5).to_dict("records")
    predicted, explained = bundle.predict_rows(rows)
    np.testing.assert_allclose(predicted, bundle.predict(table.head(5)))
    assert explained is None and bundle.explain(table) is None


def test_a_teams_own_type_has_to_be_named(trained, tmp_path):
    saved(tmp_path, trained(MADE), Constant())
    with pytest.raises(UserError, match="refused: .*Constant.*name types of your own"):
        load_bundle(tmp_path, MADE)
    name = f"{Constant.__module__}.{Constant.__name__}"
    assert load_bundle(tmp_path, MADE, (name,)).model.mean_ > 0


def rewrite(path, change):
    """Change a file of a bundle, and make its checksum match."""
    path.write_bytes(change(path.read_bytes()))
    metadata = json.loads((path.parent / "metadata.json").read_text())
    metadata["files"][path.name] = checksum(path, "sha256")
    (path.parent / "metadata.json").write_text(json.dumps(metadata))


def metadata_with(**changes):
    def damage(folder):
        path = folder / "metadata.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return damage


def without(**kept):
    def change(content):
        numbers = json.loads(content)
        numbers.pop("worth")
        return json.dumps(numbers | kept).encode()

    return change


def zip_of(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


NUMBERS = {  # damages of a bundle of plain numbers, and what is said
    "no metadata": (lambda f: (f / "metadata.json").unlink(), "metadata.json: no such file"),
    "no model": (lambda f: (f / "model.json").unlink(), "model.json: no such file"),
    "no cases": (lambda f: (f / "cases.json").unlink(), "cases.json: no such file"),
    "another model": (lambda f: (f / "model.json").write_text("{}"), "found SHA-256"),
    "other cases": (lambda f: (f / "cases.json").write_text("{}"), "found SHA-256"),
    "metadata cut": (lambda f: (f / "metadata.json").write_text('{"form'), "not the metadata"),
    "metadata of others": (lambda f: (f / "metadata.json").write_text("[1]"), "not the metadata"),
    "deep metadata": (lambda f: (f / "metadata.json").write_text("[" * 100_000), "not the meta"),
    "another version": (metadata_with(format=3), "not the metadata of a bundle of format 5"),
    "other columns": (metadata_with(columns=[["a", "flag", []]]), "made for other columns"),
    "a path as model": (metadata_with(model_file="../x"), "not the metadata of a bundle"),
    "no numbers": (lambda f: rewrite(f / "model.json", without()), "not a bundle of ours"),
    "foreign": (lambda f: rewrite(f / "model.json", lambda _: b"[1]"), "not a bundle of ours"),
    "cut": (lambda f: rewrite(f / "model.json", lambda c: c[:99]), "not a bundle of ours"),
    "deep": (lambda f: rewrite(f / "model.json", lambda _: b"[" * 100_000), "not a bundle of ou"),
    "deep cases": (lambda f: rewrite(f / "cases.json", lambda _: b"[" * 100_000), "not a bundle"),
}
SKOPS = {
    "not a zip": (lambda f: rewrite(f / "model.skops", lambda _: b"zip"), "not a bundle of ours"),
    "an empty zip": (lambda f: rewrite(f / "model.skops", lambda _: zip_of()), "not a bundle of"),
    "a pickle": (lambda f: rewrite(f / "model.skops", lambda _: pickle.dumps(Trap())), "not a bun"),
    "a bomb": (
        lambda f: rewrite(f / "model.skops", lambda _: zip_of(a=bytes(200_000_000))),
        "unpacks to 200,000,000 bytes",
    ),
    "another scikit-learn": (metadata_with(versions={"scikit-learn": "0.1"}), "made by scikit-le"),
}


class Trap:
    """A pickle that would make a file."""

    def __reduce__(self):
        return os.mkdir, ("trap",)


@pytest.mark.parametrize("damage, said", NUMBERS.values(), ids=NUMBERS)
def test_damaged_numbers_are_refused_in_one_line(folder, damage, said):
    load_bundle(folder, MADE)
    damage(folder)
    with pytest.raises(UserError) as error:
        load_bundle(folder, MADE)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_bundle_made_for_other_classes_is_refused(trained):
    other = category("repaid", "", ("Yes", "No"), raw_name="Repaid?")
    with pytest.raises(UserError, match="made for other classes; run dvc repro -f$"):
        load_bundle(trained(LOANS).models, replace(LOANS, target=other))


@pytest.mark.parametrize("damage, said", SKOPS.values(), ids=SKOPS)
def test_a_damaged_skops_file_is_refused_in_one_line(
    skops_folder, damage, said, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(room, "MOST_BYTES", 100_000_000)
    load_bundle(skops_folder, MADE)
    damage(skops_folder)
    with pytest.raises(UserError) as error:
        load_bundle(skops_folder, MADE)
    assert said in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "trap").exists()


def test_metadata_says_what_the_bundle_is(trained):
    metadata = read_metadata(trained(LAPTOPS).models)
    assert metadata["model"] == "FactorRidge" and set(metadata["chosen"]) == {
        "alpha",
        "link",
        "weighted",
    }
    assert metadata["params"]["model"]["alphas"] and metadata["params"]["train"]["folds"]
    assert set(metadata["files"]) == {"model.json", "cases.json"}
    assert metadata["holdout"] == {"rule": "v1", "percent": 20}


class Strict(Constant):
    """Refuses columns of objects, as LightGBM and XGBoost do."""

    def predict(self, X):
        assert not (X.dtypes == object).any()
        return super().predict(X)


def test_a_model_of_any_library_takes_a_case_of_which_nothing_is_known(trained):
    project = trained(GAINS)
    model = fit(Strict(), GAINS, read_processed(project)[0])
    bundle = replace(load_bundle(project.models, GAINS), model=model)
    row = {column.name: None if column.unknown else 4 for column in GAINS.features}
    predicted, reasons = bundle.predict_rows([row])
    assert predicted == model.mean_ and reasons is None
