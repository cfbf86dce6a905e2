"""params.yaml and .env become settings, or one line that says what is wrong."""

import json
import os
from dataclasses import replace

import pytest
import yaml
from dvc.utils.serialize import modify_yaml
from environments import ROOT
from problems import MADE, build_plain, make_params
from pydantic import ValidationError

from laptop_pricing.kit.errors import UserError
from laptop_pricing.kit.params import load_params
from laptop_pricing.kit.project import PARAMS_FILE, Project, open_project

GOOD = json.loads(
    make_params(
        MADE, ingest={"timeout_s": 2.5}, preprocess={"median_target": [-1, 1e9]}
    ).model_dump_json(exclude_none=True)
)
OPTIONAL = {"median_target", "R2", "MAPE"}  # which of them there are is the problem's choice
UNNAMED = {"monitor", "scale", "repeat_rows"}  # which have a value that serves all


@pytest.fixture
def file(tmp_path):
    return tmp_path / PARAMS_FILE


def refused(path, content):
    """The one line that says why, without the file's name."""
    text = content if isinstance(content, bytes) else yaml.safe_dump(content).encode()
    path.write_bytes(text)
    with pytest.raises(UserError) as error:
        load_params(path)
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"{path}: ")
    return line.removeprefix(f"{path}: ")


def changed(section, content):
    return GOOD | {section: GOOD.get(section, {}) | content}


def test_a_good_file_becomes_settings_that_stay(file):
    text = yaml.safe_dump(changed("model", {"deep": {"alphas": [1, 2]}}))
    file.write_text(text.replace("timeout_s: 2.5", "timeout_s: 25e-1"), encoding="utf-8")
    params = load_params(file)
    assert params.ingest.timeout_s == 2.5 and params.ingest.md5 is None
    assert params.preprocess.median_target == (-1, 1e9)
    assert (params.train.folds, params.train.seeds) == (3, (0,))
    assert params.model["alpha"] == 2 and params.model["deep"] == {"alphas": [1, 2]}
    with pytest.raises(ValidationError):
        params.train.folds = 5
    assert load_params(ROOT / PARAMS_FILE).train.seeds == (0, 1, 2, 3, 4)


# fmt: off
BAD = {  # by section and key: the value, what is allowed
    "ingest.timeout_s": [
        ("60", "valid number"), (True, "valid number"), (None, "valid number"), (float("inf"), ""),
        (0, "greater than 0"), (float("nan"), "finite number"),
    ],
    "ingest.source": [("", "at least 1 character"), (["a", "b"], "valid string")],
    "ingest.md5": [("0119abc", "match pattern")],
    "preprocess.max_rejected": [(1.01, "less than or equal to 1"), ("5%", "number")],
    "preprocess.median_target": [
        ([9, 2], "lower one first"), ([2, 2], "lower one first"), ([1, 2, 3], "at most 2"),
    ],
    "train.folds": [
        (1, "greater than or equal to 2"), (51, "less than or equal to 50"), (5.5, "valid integer"),
    ],
    "train.seeds": [([], "at least 1"), ([3, 3], "differ from each other")],
    "criteria.R2": [(1.1, "less than or equal to 1")],
    "criteria.MAPE": [(0, "greater than 0")],
    "criteria.ROC_AUC": [(1.1, "less than or equal to 1"), (-1, "greater than or equal to 0")],
    "promote.tolerance": [(-0.1, "greater than or equal to 0")],
    "track.experiment": [("", "at least 1 character")],
}
PLACES = [  # section, what it holds, what is said
    ("train", {"seeds": [0, -1]}, "train.seeds.1: found -1; allowed: "),
    ("train", {"fold": 5}, "train.fold: unknown key; allowed: folds, seeds"),
    ("train", {"costs": {"No": 1}}, "train.costs.No: found 1; allowed: input should be an"),
    ("train", {"costs": {"No": {"Yes": 0}}}, "train.costs.No.Yes: found 0; allowed: input s"),
    ("train", {5: 5}, "train.5: unknown key; allowed: folds, seeds"),
    ("trian", {}, "trian: unknown key; allowed: ingest, preprocess, train, criteria, track, prom"),
]
# fmt: on


@pytest.mark.parametrize("key", BAD)
def test_a_bad_value_names_key_found_and_allowed(file, key):
    section, name = key.split(".")
    for value, allowed in BAD[key]:
        line = refused(file, changed(section, {name: value}))
        assert line.startswith(f"{key}: found {value!r}; allowed: ") and allowed in line


@pytest.mark.parametrize("section, content, said", PLACES)
def test_a_bad_item_and_an_unknown_key_are_named(file, section, content, said):
    assert refused(file, changed(section, content)).startswith(said)


@pytest.mark.parametrize("section", sorted(GOOD.keys() - {"model"} - UNNAMED))
def test_what_is_missing_is_named(file, section):
    rest = {name: value for name, value in GOOD.items() if name != section}
    assert refused(file, rest).startswith(f"{section}: missing")
    for key in GOOD[section].keys() - OPTIONAL - UNNAMED:
        part = {name: value for name, value in GOOD[section].items() if name != key}
        assert refused(file, GOOD | {section: part}).startswith(f"{section}.{key}: missing")


@pytest.mark.parametrize(
    "content, told",
    [
        (b"", "found None; allowed: "),
        (b"- ingest\n- train\n", "found ['ingest', 'train']; allowed: "),
        (b"ingest: [1,\n", "not valid YAML: "),
        (b"ingest:\n  a: 1\n b: 2\n", "not valid YAML: "),
        (b"ingest: !!python/object:os.system 1\n", "not valid YAML: "),
        ("ingest: ã\n".encode("latin-1"), "not valid YAML: "),
        (b"\0\0\0", "not valid YAML: "),
        (b"train: {}\ntrain: {}\n", "duplicate key"),
        (b"ingest: &a [*a]\n", "contain themselves"),
        (b"a: " + b"[" * 5000 + b"]" * 5000, "nest too deeply"),
        (b"ingest: 2025-13-45\n", "contain themselves or"),
        (b"ingest: {2025-05-01: 5}\n", "found a key that is no name"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_file_that_is_no_mapping_is_refused(file, content, told):
    assert told in refused(file, content)


def test_no_file_is_named(file):
    with pytest.raises(UserError, match="params.yaml: no such file"):
        load_params(file)


@pytest.mark.parametrize("section, key", [("ingest", "timeout_s"), ("train", "folds")])
def test_what_dvc_changes_is_one_line(file, section, key):
    """As ``dvc exp run -S train.folds=3`` does."""
    before = (ROOT / PARAMS_FILE).read_text(encoding="utf-8")
    file.write_text(before, encoding="utf-8")
    with modify_yaml(file) as params:
        params[section][key] = 3
    after = file.read_text(encoding="utf-8").splitlines()
    assert set(after) - set(before.splitlines()) == {f"  {key}: 3"}
    assert len(after) == len(before.splitlines())


def test_a_param_that_the_model_misses_or_refuses_is_named(tmp_path):
    project = Project(MADE, build_plain, tmp_path, given_params=make_params(MADE))
    assert project.model().alpha == 2
    without = replace(project, given_params=project.params.model_copy(update={"model": {}}))
    with pytest.raises(UserError, match=r"params.yaml: model\.alpha: missing; .*; add it"):
        without.model()


def test_dotenv_is_read_but_does_not_override_the_environment(tmp_path, monkeypatch):
    project = Project(MADE, build_plain, tmp_path)
    before = dict(os.environ)
    project.load_environment()  # there is none
    assert dict(os.environ) == before
    for name in ("KIT_TEST_NEW", "KIT_TEST_SET"):
        monkeypatch.setenv(name, "from the shell")
    monkeypatch.delenv("KIT_TEST_NEW")
    lines = "KIT_TEST_NEW=from the file\nKIT_TEST_SET=from the file\n"
    (tmp_path / ".env").write_text(lines, encoding="utf-8")
    project.load_environment()
    assert os.environ["KIT_TEST_NEW"] == "from the file"
    assert os.environ["KIT_TEST_SET"] == "from the shell"
    # What `echo A=b > .env` writes in Windows PowerShell.
    (tmp_path / ".env").write_text("KIT_TEST_NEW=x\n", encoding="utf-16")
    with pytest.raises(UserError, match=r"\.env: not UTF-8; save"):
        project.load_environment()


def test_the_nearest_project_is_found_from_a_subfolder(tmp_path, monkeypatch):
    inner = tmp_path / "inner"
    below = inner / "src" / "data"
    below.mkdir(parents=True)
    (tmp_path / PARAMS_FILE).touch()
    (below / PARAMS_FILE).mkdir()  # a folder of that name is not a params file
    assert open_project(MADE, build_plain, below).root == tmp_path.resolve()
    (inner / PARAMS_FILE).touch()
    monkeypatch.chdir(below)
    assert open_project(MADE, build_plain).root == inner.resolve()
    for path in (tmp_path, inner):
        (path / PARAMS_FILE).unlink()
    with pytest.raises(UserError, match=f"params.yaml: found neither in {below.resolve()} nor"):
        open_project(MADE, build_plain)


def test_the_tracking_server_of_the_environment_wins_but_for_the_sample(tmp_path, monkeypatch):
    project = Project(MADE, build_plain, tmp_path)
    local = f"sqlite:///{(tmp_path / 'mlflow.db').as_posix()}"
    assert project.tracking_uri == project.local_tracking_uri == local
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert project.tracking_uri == "http://127.0.0.1:5000"
    assert Project(MADE, build_plain, tmp_path, use_server=False).tracking_uri == local


def test_every_path_lies_inside_the_project_and_names_follow_the_problem(tmp_path):
    project = Project(MADE, build_plain, tmp_path)
    folders = "data/raw/flats.csv data/interim data/processed models reports/figures reports/plots"
    names = ("raw", "interim", "processed", "models", "figures", "plots")
    assert [getattr(project, name) for name in names] == [tmp_path / f for f in folders.split()]
    assert project.metrics == tmp_path / "metrics.json" and project.name == "flat-rents"
    assert {project.models, tmp_path / ".dvc"} <= set(project.owned)
    assert tmp_path / "docs" not in project.owned
