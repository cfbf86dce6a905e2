"""params.yaml and .env become settings, or one line that says what is wrong."""

import datetime
import os

import pytest
import yaml
from dvc.utils.serialize import modify_yaml
from environments import ROOT
from pydantic import ValidationError

from laptop_pricing.errors import UserError
from laptop_pricing.settings import (
    PARAMS_FILE,
    Workspace,
    find_workspace,
    load_environment,
    load_params,
)

PROJECT_PARAMS = ROOT / PARAMS_FILE

GOOD = {
    "ingest": {"source": "laptops.csv", "timeout_s": 2.5},
    "preprocess": {"max_rejected": 0, "median_price": [2000, 15000]},
    "train": {
        "crossed": ["ram_type", "brand"],
        "alphas": [0.1, 30],
        "folds": 5,
        "inner_folds": 4,
        "seeds": [0, 7],
    },
    "criteria": {"R2": 0.6, "MAPE": 0.15},
    "promote": {"tolerance": 0.005, "slice_tolerance": 0.02},
    "track": {"experiment": "laptops"},
}


@pytest.fixture
def params_file(tmp_path):
    return tmp_path / PARAMS_FILE


def _one_line(error):
    message = str(error.value)
    assert message and message.splitlines() == [message]
    return message


def _refused(path):
    with pytest.raises(UserError) as error:
        load_params(path)
    message = _one_line(error)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_a_good_file_becomes_settings(params_file):
    params_file.write_text(yaml.safe_dump(GOOD), encoding="utf-8")
    params = load_params(params_file)
    assert params.ingest.source == "laptops.csv"
    assert params.ingest.timeout_s == 2.5
    assert params.preprocess.max_rejected == 0
    assert params.preprocess.median_price == (2000, 15000)
    assert params.train.crossed == ("ram_type", "brand")
    assert params.train.alphas == (0.1, 30)
    assert (params.train.folds, params.train.inner_folds) == (5, 4)
    assert params.train.seeds == (0, 7)
    assert (params.criteria.R2, params.criteria.MAPE) == (0.6, 0.15)
    assert params.track.experiment == "laptops"


def test_no_field_has_to_be_crossed(params_file):
    content = {**GOOD, "train": {**GOOD["train"], "crossed": []}}
    params_file.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert load_params(params_file).train.crossed == ()


def test_the_projects_own_params_load():
    params = load_params(PROJECT_PARAMS)
    assert params.ingest.source.startswith("https://")
    assert (params.train.folds, params.train.seeds) == (5, (0, 1, 2, 3, 4))


def test_settings_are_frozen(params_file):
    params_file.write_text(yaml.safe_dump(GOOD), encoding="utf-8")
    params = load_params(params_file)
    with pytest.raises(ValidationError):
        params.train.folds = 3
    assert params.train.folds == 5


@pytest.mark.parametrize(
    ("section", "key", "value", "allowed"),
    [
        pytest.param("ingest", "timeout_s", "60", "valid number", id="text for a number"),
        pytest.param("ingest", "timeout_s", True, "valid number", id="yes for a number"),
        pytest.param("ingest", "timeout_s", None, "valid number", id="nothing for a number"),
        pytest.param("ingest", "timeout_s", 0, "greater than 0", id="no time at all"),
        pytest.param("ingest", "timeout_s", -1, "greater than 0", id="negative time"),
        pytest.param("ingest", "timeout_s", float("inf"), "", id="endless time"),
        pytest.param("ingest", "timeout_s", float("nan"), "finite number", id="time not a number"),
        pytest.param("ingest", "source", "", "at least 1 character", id="empty source"),
        pytest.param("ingest", "source", 5, "valid string", id="number for a source"),
        pytest.param("ingest", "source", ["a", "b"], "valid string", id="two sources"),
        pytest.param("ingest", "md5", "0119abc", "match pattern", id="md5 cut short"),
        pytest.param("preprocess", "max_rejected", 1.01, "less than or equal to 1", id="over 100%"),
        pytest.param("preprocess", "max_rejected", -0.1, "greater than or equal to 0", id="minus"),
        pytest.param("preprocess", "max_rejected", "5%", "valid number", id="percent sign"),
        pytest.param("preprocess", "median_price", [9, 2], "lower one first", id="range reversed"),
        pytest.param("preprocess", "median_price", [2, 2], "lower one first", id="range empty"),
        pytest.param("preprocess", "median_price", [1, 2, 3], "at most 2", id="range of three"),
        pytest.param("preprocess", "median_price", 2000, "valid array", id="range of one number"),
        pytest.param("train", "crossed", ["os", "os"], "differ from each other", id="field twice"),
        pytest.param("train", "crossed", "brand", "valid array", id="crossed not a list"),
        pytest.param("train", "crossed", None, "valid array", id="crossed nothing at all"),
        pytest.param("train", "alphas", [], "at least 1", id="no alpha"),
        pytest.param("train", "alphas", [1, 1.0], "differ from each other", id="alpha twice"),
        pytest.param("train", "alphas", 1, "valid array", id="alpha not a list"),
        pytest.param("train", "folds", 1, "greater than or equal to 2", id="one fold"),
        pytest.param("train", "folds", 51, "less than or equal to 50", id="51 folds"),
        pytest.param("train", "folds", 5.5, "valid integer", id="half a fold"),
        pytest.param("train", "inner_folds", "five", "valid integer", id="folds in words"),
        pytest.param("train", "seeds", [], "at least 1", id="no seed"),
        pytest.param("train", "seeds", [3, 3], "differ from each other", id="seed twice"),
        pytest.param("criteria", "R2", 1.1, "less than or equal to 1", id="R2 above 1"),
        pytest.param("criteria", "MAPE", 0, "greater than 0", id="MAPE of 0"),
        pytest.param("promote", "tolerance", -0.1, "greater than or equal to 0", id="strict"),
        pytest.param("track", "experiment", "", "at least 1 character", id="experiment no name"),
    ],
)
def test_a_bad_value_names_file_key_found_and_allowed(params_file, section, key, value, allowed):
    content = {**GOOD, section: {**GOOD[section], key: value}}
    params_file.write_text(yaml.safe_dump(content), encoding="utf-8")
    message = _refused(params_file)
    assert message.startswith(f"{section}.{key}: found {value!r}; allowed: ")
    assert allowed in message


@pytest.mark.parametrize(
    ("section", "key", "value", "place", "found", "allowed"),
    [
        pytest.param("train", "seeds", [0, -1], "seeds.1", "-1", "equal to 0", id="negative seed"),
        pytest.param("train", "seeds", [2**32], "seeds.0", "4294967296", "4294967296", id="seed"),
        pytest.param("train", "alphas", [1, 0], "alphas.1", "0", "equal to 0.001", id="alpha of 0"),
        pytest.param("train", "alphas", [1e300], "alphas.0", "1e+300", "to 1000000000", id="huge"),
        pytest.param("train", "alphas", ["few"], "alphas.0", "'few'", "number", id="text alpha"),
        pytest.param("preprocess", "median_price", [0, 9], "median_price.0", "0", "than 0", id="0"),
        pytest.param(
            "train", "crossed", ["os", "ram"], "crossed.1", "'ram'", "'ram_gb'", id="field"
        ),
        pytest.param("train", "crossed", ["Brand"], "crossed.0", "'Brand'", "'brand'", id="case"),
        pytest.param("train", "crossed", ["price"], "crossed.0", "'price'", "'brand'", id="target"),
        pytest.param("train", "crossed", [1], "crossed.0", "1", "'brand'", id="number for a field"),
    ],
)
def test_a_bad_item_of_a_list_is_named(params_file, section, key, value, place, found, allowed):
    content = {**GOOD, section: {**GOOD[section], key: value}}
    params_file.write_text(yaml.safe_dump(content), encoding="utf-8")
    message = _refused(params_file)
    assert message.startswith(f"{section}.{place}: found {found}; allowed: ")
    assert allowed in message


def test_an_unknown_section_is_refused_and_the_known_ones_are_named(params_file):
    params_file.write_text(yaml.safe_dump({**GOOD, "trian": {"folds": 5}}), encoding="utf-8")
    expected = "trian: unknown key; allowed: ingest, preprocess, train, criteria, track, promote"
    assert _refused(params_file) == expected


@pytest.mark.parametrize("key", ["fold", 5, datetime.date(2025, 5, 1)], ids=["text", "int", "date"])
def test_an_unknown_key_is_refused_and_the_known_ones_are_named(params_file, key):
    content = {**GOOD, "train": {**GOOD["train"], key: 5}}
    params_file.write_text(yaml.safe_dump(content), encoding="utf-8")
    expected = f"train.{key}: unknown key; allowed: crossed, alphas, folds, inner_folds, seeds"
    assert _refused(params_file) == expected


@pytest.mark.parametrize("section", GOOD)
def test_a_missing_section_is_named(params_file, section):
    content = {name: value for name, value in GOOD.items() if name != section}
    params_file.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert _refused(params_file).startswith(f"{section}: missing")


@pytest.mark.parametrize(("section", "key"), [(s, key) for s in GOOD for key in GOOD[s]])
def test_a_missing_key_is_named(params_file, section, key):
    rest = {name: value for name, value in GOOD[section].items() if name != key}
    params_file.write_text(yaml.safe_dump({**GOOD, section: rest}), encoding="utf-8")
    assert _refused(params_file).startswith(f"{section}.{key}: missing")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        pytest.param(b"", "found None; allowed: ", id="empty"),
        pytest.param(b"# only a comment\n", "found None; allowed: ", id="only a comment"),
        pytest.param(b"- ingest\n- train\n", "found ['ingest', 'train']; allowed: ", id="list"),
        pytest.param(b"just words\n", "found 'just words'; allowed: ", id="text"),
        pytest.param(b"ingest: [1,\n", "not valid YAML: ", id="open bracket"),
        pytest.param(b"ingest:\n  a: 1\n b: 2\n", "not valid YAML: ", id="bad indentation"),
        pytest.param(b"ingest:\n\ttimeout_s: 1\n", "not valid YAML: ", id="tabs"),
        pytest.param(b"ingest: !!python/object:os.system 1\n", "not valid YAML: ", id="code"),
        pytest.param("ingest: ã\n".encode("latin-1"), "not valid YAML: ", id="latin-1"),
        pytest.param("ingest: 1\n".encode("utf-16"), "not valid YAML: ", id="utf-16"),
        pytest.param(b"\0\0\0", "not valid YAML: ", id="zeros"),
        pytest.param(b"ingest: &a\n  train: *a\n", "expected sections", id="inside itself"),
        pytest.param(b"ingest: &a [*a]\n", "expected sections", id="a list inside itself"),
        pytest.param(b"a: " + b"[" * 5000 + b"]" * 5000, "expected sections", id="5000 deep"),
        pytest.param(b"ingest: 2025-13-45\n", "expected sections", id="no such date"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(params_file, content, found):
    params_file.write_bytes(content)
    assert found in _refused(params_file)


@pytest.mark.parametrize(("section", "key"), [("ingest", "timeout_s"), ("train", "folds")])
def test_what_dvc_changes_is_one_line(params_file, section, key):
    """As ``dvc exp run -S train.folds=3`` does."""
    before = PROJECT_PARAMS.read_text(encoding="utf-8")
    params_file.write_text(before, encoding="utf-8")
    with modify_yaml(params_file) as params:
        params[section][key] = 3
    after = params_file.read_text(encoding="utf-8")
    assert set(after.splitlines()) - set(before.splitlines()) == {f"  {key}: 3"}
    assert len(after.splitlines()) == len(before.splitlines())


def test_no_file_is_named(params_file):
    assert _refused(params_file) == "no such file"


def test_dotenv_is_read_but_does_not_override_the_environment(tmp_path, monkeypatch):
    for name in ("LAPTOP_TEST_NEW", "LAPTOP_TEST_SET"):
        monkeypatch.setenv(name, "from the shell")
    monkeypatch.delenv("LAPTOP_TEST_NEW")
    lines = "LAPTOP_TEST_NEW=from the file\nLAPTOP_TEST_SET=from the file\n"
    (tmp_path / ".env").write_text(lines, encoding="utf-8")
    load_environment(Workspace(tmp_path))
    assert os.environ["LAPTOP_TEST_NEW"] == "from the file"
    assert os.environ["LAPTOP_TEST_SET"] == "from the shell"


def test_dotenv_may_be_absent(tmp_path):
    before = dict(os.environ)
    load_environment(Workspace(tmp_path))
    assert dict(os.environ) == before


def test_dotenv_that_is_not_utf8_is_one_line(tmp_path):
    # What `echo A=b > .env` writes in Windows PowerShell.
    (tmp_path / ".env").write_text("LAPTOP_TEST_NEW=x\n", encoding="utf-16")
    with pytest.raises(UserError) as error:
        load_environment(Workspace(tmp_path))
    assert ".env" in _one_line(error)


@pytest.mark.parametrize("folder", [".", "notebooks", "src/laptop_pricing/data"])
def test_the_workspace_is_found_from_a_subfolder(tmp_path, monkeypatch, folder):
    (tmp_path / PARAMS_FILE).touch()
    below = tmp_path / folder
    below.mkdir(parents=True, exist_ok=True)
    assert find_workspace(below) == Workspace(tmp_path.resolve())
    monkeypatch.chdir(below)
    assert find_workspace() == Workspace(tmp_path.resolve())


def test_the_nearest_workspace_is_found(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / PARAMS_FILE).touch()
    (inner / PARAMS_FILE).touch()
    assert find_workspace(inner).root == inner.resolve()


def test_no_workspace_is_one_line_that_names_the_file_and_the_folder(tmp_path):
    (tmp_path / PARAMS_FILE).mkdir()  # a folder of that name is not a params file
    with pytest.raises(UserError) as error:
        find_workspace(tmp_path)
    message = _one_line(error)
    assert PARAMS_FILE in message and str(tmp_path.resolve()) in message


def test_the_tracking_server_of_the_environment_wins(tmp_path, monkeypatch):
    workspace = Workspace(tmp_path)
    assert workspace.tracking_uri == f"sqlite:///{(tmp_path / 'mlflow.db').as_posix()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert workspace.tracking_uri == "http://127.0.0.1:5000"


def test_every_path_of_a_workspace_lies_inside_it(tmp_path):
    workspace = Workspace(tmp_path)
    names = ("raw", "interim", "processed", "models", "figures", "plots", "metrics")
    paths = [getattr(workspace, name) for name in names]
    assert len(set(paths)) == len(names)
    assert all(tmp_path in path.parents for path in paths)


def test_numbers_may_be_written_with_an_exponent_as_dvc_reads_them(params_file):
    text = yaml.safe_dump({**GOOD, "train": {**GOOD["train"], "alphas": [1]}})
    params_file.write_text(text.replace("- 1\n", "- 1e-3\n", 1), encoding="utf-8")
    assert load_params(params_file).train.alphas == (0.001,)


def test_a_section_that_stands_twice_is_refused(params_file):
    text = yaml.safe_dump(GOOD)
    params_file.write_text(text + "criteria: {R2: 0, MAPE: 1}\n", encoding="utf-8")
    assert "duplicate key" in _refused(params_file)
