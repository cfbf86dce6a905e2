"""A bundle comes back as it was saved, or not at all."""

import hashlib
import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge
from sklearn.preprocessing import FunctionTransformer

from laptop_pricing.data.schema import FEATURES
from laptop_pricing.data.split import HOLDOUT_PERCENT, HOLDOUT_RULE
from laptop_pricing.errors import UserError
from laptop_pricing.files import checksum
from laptop_pricing.modeling.bundle import (
    COMPILED_FILE,
    METADATA_FILE,
    MODEL_FILE,
    TRUSTED_TYPES,
    load_bundle,
    load_compiled,
    read_metadata,
    save_bundle,
)
from laptop_pricing.modeling.pipeline import chosen_alpha, fit_pipeline


@pytest.fixture
def folder(trained, tmp_path):
    """A copy of a good bundle, to be damaged."""
    return Path(shutil.copytree(trained.models, tmp_path / "models"))


def _metadata(folder):
    return json.loads((folder / METADATA_FILE).read_text(encoding="utf-8"))


def _edit(folder, **changes):
    content = json.dumps(_metadata(folder) | changes)
    (folder / METADATA_FILE).write_text(content, encoding="utf-8")


def _plant(folder, content):
    """Another model file, with the checksum that goes with it."""
    (folder / MODEL_FILE).write_bytes(content)
    _edit(folder, model_sha256=hashlib.sha256(content).hexdigest())


def _edit_schema(folder, change):
    """Rewrite schema.json in the model file, with the checksum that goes with it."""
    source = zipfile.ZipFile(folder / MODEL_FILE)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        for name in source.namelist():
            content = source.read(name)
            file.writestr(name, change(content) if name == "schema.json" else content)
    source.close()
    _plant(folder, target.getvalue())


def test_a_saved_model_comes_back_bit_for_bit(table, params, tmp_path):
    model = fit_pipeline(table, params.train.model_copy(update={"alphas": (8,)}))
    names = ["target", "params", "data_md5", "holdout", "metrics", "calibration"]
    facts = dict.fromkeys(names, {})
    facts["alpha"] = chosen_alpha(model)
    written = save_bundle(tmp_path / "models", model, facts)
    bundle = load_bundle(tmp_path / "models")
    assert bundle.model.predict(table).tobytes() == model.predict(table).tobytes()
    assert bundle.metadata == written == read_metadata(tmp_path / "models")
    assert chosen_alpha(bundle.model) == bundle.metadata["alpha"]


def test_the_archive_holds_no_clock_and_no_address(trained):
    with zipfile.ZipFile(trained.models / MODEL_FILE) as file:
        members = file.infolist()
        schema = json.loads(file.read("schema.json"))
    assert {member.date_time for member in members} == {(1980, 1, 1, 0, 0, 0)}
    ids = [int(n) for n in re.findall(r"'__id__': (\d+)", str(schema))]
    assert ids and max(ids) < 10_000
    assert all(re.fullmatch(r"\d{1,4}\.np[yz]|schema\.json", member.filename) for member in members)


def _types(node):
    """Module and name of everything that a skops schema would make."""
    if isinstance(node, list):
        return set().union(*map(_types, node))
    if not isinstance(node, dict):
        return set()
    inside = _types(list(node.values()))
    return inside | ({(node["__module__"], node["__class__"])} if "__module__" in node else set())


def test_the_model_holds_nothing_of_ours(trained):
    """Only parts of scikit-learn, NumPy and SciPy, at whose end is a plain Ridge."""
    with zipfile.ZipFile(trained.models / MODEL_FILE) as file:
        types = _types(json.loads(file.read("schema.json")))
    packages = {module.partition(".")[0] for module, _ in types}
    assert packages == {"builtins", "numpy", "scipy", "sklearn"}
    assert {name for module, name in types if "linear_model" in module} == {"Ridge"}
    assert type(load_bundle(trained.models).model.regressor_["ridge"]) is Ridge


def test_what_is_trusted_is_what_the_model_holds_and_no_more(trained):
    found = skops.io.get_untrusted_types(file=trained.models / MODEL_FILE)
    assert sorted(found) == sorted(TRUSTED_TYPES) == sorted(set(TRUSTED_TYPES))


@pytest.mark.services
def test_the_model_prices_without_our_package(trained, table, tmp_path):
    program = """
import sys
sys.modules["laptop_pricing"] = None  # what imports it fails
import pandas as pd, skops.io
model, laptops, *trusted = sys.argv[1:]
prices = skops.io.load(model, trusted=trusted).predict(pd.read_parquet(laptops))
print(*(float(price).hex() for price in prices))
"""
    laptops = table[list(FEATURES)].head(20)
    laptops.to_parquet(tmp_path / "table.parquet")
    inputs = [trained.models / MODEL_FILE, tmp_path / "table.parquet", *TRUSTED_TYPES]
    printed = subprocess.run(
        [sys.executable, "-c", program, *inputs],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    prices = [float.fromhex(price) for price in printed.split()]
    expected = load_bundle(trained.models).model.predict(laptops)
    np.testing.assert_allclose(prices, expected, rtol=1e-12)


def test_metadata_says_what_the_bundle_is(trained, params, sample_csv):
    metadata = _metadata(trained.models)
    assert metadata["format"] == 3
    assert metadata["features"] == list(FEATURES) and metadata["target"] == "price"
    assert metadata["model_sha256"] == checksum(trained.models / MODEL_FILE, "sha256")
    names = ("numpy", "pandas", "scikit-learn", "skops")
    assert metadata["versions"] == {name: version(name) for name in names}
    assert metadata["holdout"] == {"rule": HOLDOUT_RULE, "percent": HOLDOUT_PERCENT}
    assert metadata["data_md5"] == hashlib.md5(sample_csv.read_bytes()).hexdigest()
    assert metadata["params"] == json.loads(params.train.model_dump_json())
    assert metadata["alpha"] in params.train.alphas
    assert metadata["metrics"] == json.loads(trained.metrics.read_text(encoding="utf-8"))


def test_metadata_holds_no_clock_path_or_commit(trained):
    text = (trained.models / METADATA_FILE).read_text(encoding="utf-8")
    assert set(json.loads(text)) == {
        *("format", "model_sha256", "compiled_sha256", "features", "versions", "target"),
        *("alpha", "params", "data_md5", "holdout", "metrics", "calibration"),
    }
    assert "/" not in text and "\\" not in text
    assert not re.search(r"20\d\d-\d\d|\d\d:\d\d", text)
    assert not re.search(r'"[0-9a-f]{40}"', text)


@pytest.mark.parametrize("name", [MODEL_FILE, COMPILED_FILE, METADATA_FILE])
def test_saving_leaves_no_half_a_bundle_that_loads(trained, folder, name, monkeypatch):
    """Killed before either file is in place, the old bundle loads or none does."""
    model = load_bundle(folder).model
    model.regressor_["ridge"].intercept_ += 1.0
    replace = os.replace

    def killed(part, target):
        if Path(target).name == name:
            raise KeyboardInterrupt
        replace(part, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        save_bundle(folder, model, {})
    monkeypatch.undo()
    assert sorted(path.name for path in folder.iterdir()) == [
        COMPILED_FILE,
        METADATA_FILE,
        MODEL_FILE,
    ]
    if name == MODEL_FILE:
        load_bundle(folder)
    else:
        wrong = MODEL_FILE if name == COMPILED_FILE else COMPILED_FILE
        with pytest.raises(UserError, match=wrong):
            load_bundle(folder)


def _flip_one_bit(folder):
    content = bytearray((folder / MODEL_FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / MODEL_FILE).write_bytes(content)


def _truncate(folder):
    content = (folder / MODEL_FILE).read_bytes()
    (folder / MODEL_FILE).write_bytes(content[: len(content) // 2])


def _empty_the_folder(folder):
    for path in folder.iterdir():
        path.unlink()


def _truncate_with_checksum(folder):
    _plant(folder, (folder / MODEL_FILE).read_bytes()[:-100])


def _take_a_member_out(folder):
    source = zipfile.ZipFile(folder / MODEL_FILE)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        for name in source.namelist()[1:]:
            file.writestr(name, source.read(name))
    source.close()
    _plant(folder, target.getvalue())


def _other_scikit_learn(folder):
    _edit(folder, versions=_metadata(folder)["versions"] | {"scikit-learn": "0.24.2"})


def _drop(name):
    def damage(folder):
        metadata = _metadata(folder)
        del metadata[name]
        (folder / METADATA_FILE).write_text(json.dumps(metadata), encoding="utf-8")

    return damage


def _plant_numbers(content):
    """Another compiled model, with the checksum that goes with it."""

    def damage(folder):
        (folder / COMPILED_FILE).write_bytes(content)
        _edit(folder, compiled_sha256=hashlib.sha256(content).hexdigest())

    return damage


def _without_a_category(folder):
    numbers = json.loads((folder / COMPILED_FILE).read_text(encoding="utf-8"))
    numbers["levels"]["brand"].pop()
    _plant_numbers(json.dumps(numbers).encode())(folder)


def _as_of_format_2(folder):
    _drop("compiled_sha256")(folder)
    _edit(folder, format=2)


def _write_metadata(content):
    return lambda folder: (folder / METADATA_FILE).write_bytes(content)


def _foreign(make):
    return lambda folder: _plant(folder, skops.io.dumps(make(load_bundle(folder).model)))


def _foreign_function(model):
    return model.set_params(func=np.load)


def _method_of_ours(model):
    return model.set_params(func=Ridge().fit)


DEEP = b"[" * 100_000 + b"]" * 100_000


def _zip_bomb(folder):
    """One more member, of 4 GB by what the archive says: to pack so many zeros takes long."""
    archive = io.BytesIO((folder / MODEL_FILE).read_bytes())
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("9999.npy", b"")
        file.infolist()[-1].file_size = 4 << 30
    _plant(folder, archive.getvalue())


def _endless_array(folder):
    """An array whose header announces more than any memory holds."""
    source = zipfile.ZipFile(folder / MODEL_FILE)
    target, array = io.BytesIO(), io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (1 << 50,)}
    np.lib.format.write_array_header_1_0(array, header)
    with zipfile.ZipFile(target, "w") as file:
        for name in source.namelist():
            planted = array.getvalue() if name.endswith(".npy") else source.read(name)
            file.writestr(name, planted)
    source.close()
    _plant(folder, target.getvalue())


# What is wrong, the damage, the file that is named, what is said.
DAMAGED = {
    "no folder": (shutil.rmtree, METADATA_FILE, "no such file"),
    "empty folder": (_empty_the_folder, METADATA_FILE, "no such file"),
    "no model": (lambda f: (f / MODEL_FILE).unlink(), MODEL_FILE, "no such file"),
    "no metadata": (lambda f: (f / METADATA_FILE).unlink(), METADATA_FILE, "no such file"),
    "one bit flipped": (_flip_one_bit, MODEL_FILE, "SHA-256"),
    "truncated": (_truncate, MODEL_FILE, "SHA-256"),
    "empty model": (lambda f: (f / MODEL_FILE).write_bytes(b""), MODEL_FILE, "SHA-256"),
    "checksum edited": (lambda f: _edit(f, model_sha256="0" * 64), MODEL_FILE, "SHA-256"),
    "checksum of no type": (lambda f: _edit(f, model_sha256=None), MODEL_FILE, "SHA-256"),
    "metadata not JSON": (_write_metadata(b"{"), METADATA_FILE, "not the metadata"),
    "metadata empty": (_write_metadata(b""), METADATA_FILE, "not the metadata"),
    "metadata not text": (_write_metadata(b"\xff\xfe\x00"), METADATA_FILE, "not the metadata"),
    "metadata a list": (_write_metadata(b"[]"), METADATA_FILE, "not the metadata"),
    "metadata of something else": (_write_metadata(b"{}"), METADATA_FILE, "not the metadata"),
    "metadata without checksum": (_drop("model_sha256"), METADATA_FILE, "not the metadata"),
    "metadata without versions": (_drop("versions"), METADATA_FILE, "not the metadata"),
    "metadata without metrics": (_drop("metrics"), METADATA_FILE, "not the metadata"),
    "metadata without calibration": (_drop("calibration"), METADATA_FILE, "not the metadata"),
    "another format": (lambda f: _edit(f, format=99), METADATA_FILE, "another version"),
    "the format before": (_as_of_format_2, METADATA_FILE, "another version"),
    "another feature": (
        lambda f: _edit(f, features=[*FEATURES, "colour"]),
        METADATA_FILE,
        "other columns",
    ),
    "other order": (
        lambda f: _edit(f, features=list(FEATURES[::-1])),
        METADATA_FILE,
        "other columns",
    ),
    "other scikit-learn": (_other_scikit_learn, MODEL_FILE, "0.24.2"),
    "no numbers": (lambda f: (f / COMPILED_FILE).unlink(), COMPILED_FILE, "no such file"),
    "other numbers": (
        lambda f: (f / COMPILED_FILE).write_bytes(b"{}"),
        COMPILED_FILE,
        "SHA-256",
    ),
    "numbers not JSON": (_plant_numbers(b"{"), COMPILED_FILE, "not a compiled model"),
    "numbers of another model": (_plant_numbers(b"{}"), COMPILED_FILE, "not a compiled model"),
    "a category that the model does not know": (
        _without_a_category,
        COMPILED_FILE,
        "brand: trained for acer",
    ),
    "not a zip, checksum matching": (lambda f: _plant(f, b"model"), MODEL_FILE, "not a skops"),
    "truncated, checksum matching": (_truncate_with_checksum, MODEL_FILE, "not a skops"),
    "a member missing, checksum matching": (_take_a_member_out, MODEL_FILE, ""),
    "schema not JSON": (lambda f: _edit_schema(f, lambda s: s[:-9]), MODEL_FILE, "not a skops"),
    "schema a list": (lambda f: _edit_schema(f, lambda s: b"[]"), MODEL_FILE, ""),
    "schema without loader": (
        lambda f: _edit_schema(f, lambda s: s.replace(b"__loader__", b"__nobody__")),
        MODEL_FILE,
        "",
    ),
    "a foreign model": (_foreign(lambda _: DummyRegressor()), MODEL_FILE, "DummyRegressor"),
    "a foreign function": (_foreign(_foreign_function), MODEL_FILE, "load"),
    "a method of an allowed type": (_foreign(_method_of_ours), MODEL_FILE, ""),
    "a class of another project": (
        lambda f: _edit_schema(f, lambda s: s.replace(b'"sklearn.pipeline"', b'"src.features"', 1)),
        MODEL_FILE,
        "src.features.Pipeline",
    ),
    "metadata nested without end": (_write_metadata(DEEP), METADATA_FILE, "not the metadata"),
    "numbers nested without end": (_plant_numbers(DEEP), COMPILED_FILE, "not a compiled model"),
    "schema nested without end": (
        lambda f: _edit_schema(f, lambda s: DEEP),
        MODEL_FILE,
        "not a skops",
    ),
    "a zip bomb": (_zip_bomb, MODEL_FILE, "unpacks to 4,29"),
    "an array without end": (_endless_array, MODEL_FILE, "not a skops"),
    "allowed types, but no model": (_foreign(lambda _: {"price": 1}), MODEL_FILE, ""),
    "an allowed part, but no model": (
        _foreign(lambda _: FunctionTransformer(np.log)),
        MODEL_FILE,
        "",
    ),
}


def test_prices_need_the_compiled_model_alone(folder):
    (folder / MODEL_FILE).unlink()
    assert load_compiled(folder).model is None


@pytest.mark.parametrize("damage, named, said", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_bundle_is_refused_in_one_line(folder, damage, named, said):
    damage(folder)
    with pytest.raises(UserError) as caught:
        load_bundle(folder)
    message = str(caught.value)
    assert message.startswith(str(folder / named)), message
    assert said in message
    assert "\n" not in message and len(message) < 300 + len(str(folder))


class _Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "as a member of the archive"])
def test_a_pickle_is_never_executed(folder, tmp_path, wrapped):
    traces = tmp_path / "executed"
    bomb = pickle.dumps(_Bomb(traces))
    pickle.loads(bomb)
    assert traces.exists(), "the pickle would be noticed"
    traces.unlink()
    if wrapped:
        source = zipfile.ZipFile(folder / MODEL_FILE)
        array = io.BytesIO()
        np.save(array, np.array([_Bomb(traces)], dtype=object), allow_pickle=True)
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as file:
            for name in source.namelist():
                planted = array.getvalue() if name.endswith(".npy") else source.read(name)
                file.writestr(name, planted)
        source.close()
        bomb = target.getvalue()
    _plant(folder, bomb)
    with pytest.raises(UserError, match=MODEL_FILE):
        load_bundle(folder)
    assert not traces.exists()


def test_nothing_foreign_is_made_before_it_is_refused(folder, tmp_path, monkeypatch):
    """A module of the attacker's on the path is not even imported."""
    (tmp_path / "planted_module.py").write_text(
        f"open({str(tmp_path / 'executed')!r}, 'w').close()\nclass Pipeline: pass\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    _edit_schema(folder, lambda s: s.replace(b'"sklearn.pipeline"', b'"planted_module"'))
    with pytest.raises(UserError, match="planted_module.Pipeline"):
        load_bundle(folder)
    assert not (tmp_path / "executed").exists()
