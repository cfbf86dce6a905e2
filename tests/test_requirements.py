"""The pins: one version of everything for each Python, within the ranges of pyproject.toml."""

import re

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

CARD = (
    "cookiecutter pandas scikit-learn dvc-s3 mlflow dagshub python-dotenv pytest black flake8 "
    "isort mkdocs"
).split()


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = [
    f"3.{minor}"
    for minor in range(8, 20)
    if f"3.{minor}" in SpecifierSet(PROJECT["requires-python"])
]

each_python = pytest.mark.parametrize("python", PYTHONS)


def needed(lines, python):
    """Those of the lines that such a Python installs, on this machine."""
    place = {"python_version": python, "python_full_version": f"{python}.9"}
    found = [Requirement(line) for line in lines]
    return [one for one in found if one.marker is None or one.marker.evaluate(place)]


def pins(name, python):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    found = needed([line for line in lines if re.match(r"[A-Za-z0-9]", line)], python)
    assert len({pin.name for pin in found}) == len(found), "one version each"
    return {canonicalize_name(pin.name): pin.specifier for pin in found}


def declared(python, *extras):
    more = PROJECT["optional-dependencies"]
    return needed([*PROJECT["dependencies"], *(line for e in extras for line in more[e])], python)


@each_python
@pytest.mark.parametrize(
    "name, extras",
    [("requirements.txt", ["dev"]), ("requirements-boosters.txt", ["dev", "boosters"])],
)
def test_every_declared_package_is_pinned_within_its_range(name, extras, python):
    pinned = pins(name, python)
    for wanted in declared(python, *extras):
        (exact,) = pinned[canonicalize_name(wanted.name)]
        assert exact.operator == "=="
        assert wanted.specifier.contains(exact.version), wanted


@each_python
def test_the_boosters_add_to_the_set_and_change_nothing_in_it(python):
    plain, more = (pins(f"requirements{name}.txt", python) for name in ("", "-boosters"))
    assert plain.items() <= more.items()
    assert {"xgboost", "lightgbm", "catboost"} <= more.keys() - plain.keys()


@each_python
def test_the_packages_of_the_design_card_are_there(python):
    assert set(CARD) <= pins("requirements.txt", python).keys()


def test_the_oldest_python_holds_no_newer_one_back():
    """3.10 keeps its last scikit-learn and pandas."""
    old, *newer = [pins("requirements.txt", python) for python in PYTHONS]
    assert len(newer) == 4
    for name in ("scikit-learn", "pandas", "numpy"):
        assert all(old[name] != pinned[name] for pinned in newer), name


def test_the_package_itself_comes_with_its_requirements():
    assert "-e ." in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()


@each_python
def test_a_server_has_the_versions_that_the_team_has_and_little_else(python):
    serving, everything = (pins(f"requirements{name}.txt", python) for name in ("-serving", ""))
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
