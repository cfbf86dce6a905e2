"""The pins: one version of everything, within the ranges of pyproject.toml, and no index named."""

import re

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

CARD = (
    "cookiecutter pandas scikit-learn dvc-s3 mlflow dagshub python-dotenv pytest black flake8 "
    "isort mkdocs"
).split()


def pins(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if re.match(r"[A-Za-z0-9]", line)]
    assert len({pin.name for pin in found}) == len(found), "one version each, on every Python"
    return {canonicalize_name(pin.name): pin.specifier for pin in found}


def declared(*extras):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize(
    "name, extras",
    [("requirements.txt", ["dev"]), ("requirements-boosters.txt", ["dev", "boosters"])],
)
def test_every_declared_package_is_pinned_within_its_range(name, extras):
    pinned = pins(name)
    for wanted in declared(*extras):
        (exact,) = pinned[canonicalize_name(wanted.name)]
        assert exact.operator == "=="
        assert wanted.specifier.contains(exact.version), wanted


def test_the_boosters_add_to_the_set_and_change_nothing_in_it():
    plain, more = pins("requirements.txt"), pins("requirements-boosters.txt")
    assert plain.items() <= more.items()
    assert {"xgboost", "lightgbm", "catboost"} <= more.keys() - plain.keys()


def test_the_packages_of_the_design_card_are_there():
    assert set(CARD) <= pins("requirements.txt").keys()


def test_the_package_itself_comes_with_its_requirements():
    assert "-e ." in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()


def test_a_server_has_the_versions_that_the_team_has_and_little_else():
    serving, everything = pins("requirements-serving.txt"), pins("requirements.txt")
    assert serving.items() <= everything.items()
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wanted = {
        canonicalize_name(name) for name in tomllib.loads(text)["dependency-groups"]["serving"]
    }
    assert wanted <= serving.keys()
    assert not serving.keys() & {"pandas", "scikit-learn", "scipy", "mlflow", "dvc", "dagshub"}


ALL = ["requirements.txt", "requirements-boosters.txt", "requirements-serving.txt"]


@pytest.mark.parametrize("name", ALL)
def test_no_index_is_named(name):
    assert "://" not in (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"^--", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
