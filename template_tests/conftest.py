"""The fixtures of ``tests/`` hold here, too; and the real data."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from baking import take_snapshot
from environments import ROOT

# These take the longest: begun last, they would keep one of two processes waiting.
_FIRST = ("test_baked", "test_workflows", "test_workflow", "test_sharing", "test_dagshub")


def pytest_collection_modifyitems(items):
    def place(item):
        return _FIRST.index(item.path.stem) if item.path.stem in _FIRST else len(_FIRST)

    items.sort(key=place)


# Else each start of a program in another environment would compile it again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

_SPEC = importlib.util.spec_from_file_location("shared_fixtures", ROOT / "tests" / "conftest.py")
_SHARED = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_SHARED)
globals().update({name: item for name, item in vars(_SHARED).items() if name[:2] != "__"})


@pytest.fixture(scope="session")
def laptop_csv():
    """The real dataset, where LAPTOP_CSV names it."""
    path = os.environ.get("LAPTOP_CSV")
    if not path:
        pytest.skip("LAPTOP_CSV is not set: it names the published CSV, which is not ours to ship")
    assert Path(path).is_file(), f"LAPTOP_CSV is set but there is no file at {path}"
    return Path(path)


@pytest.fixture(scope="session")
def snapshot(tmp_path_factory):
    """This repository as it is now, all of it committed. Read only."""
    folder = tmp_path_factory.mktemp("snapshot") / "template"
    take_snapshot(folder)
    return folder


@pytest.fixture(scope="module")
def table(trained):
    """The processed table of ``trained``. Read only."""
    from laptop_pricing.kit.modeling.train import read_processed

    return read_processed(trained)[0]


@pytest.fixture
def own_home(monkeypatch, tmp_path):
    """Neither the replay files nor the Git settings of whoever runs the tests."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    config = tmp_path / "cookiecutter.yaml"
    config.write_text(
        f"cookiecutters_dir: {tmp_path / 'clones'}\nreplay_dir: {tmp_path / 'replay'}\n"
    )
    monkeypatch.setenv("COOKIECUTTER_CONFIG", str(config))


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        assert not os.environ.get("CI"), "no Chromium: apt-get install chromium"
        pytest.skip("no Chromium here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A page of the browser; what it asks of other machines is refused and listed."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.elsewhere = []

    def only_here(route):
        here = route.request.url.startswith(("http://127.0.0.1", "data:", "blob:"))
        if not here:
            page.elsewhere.append(route.request.url)
        return route.continue_() if here else route.abort()

    page.route("**/*", only_here)
    yield page
    page.close()


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """The checks of axe-core, as a script."""
    if not (npm := shutil.which("npm")):
        assert not os.environ.get("CI"), "no npm"
        pytest.skip("no npm here")
    folder = tmp_path_factory.mktemp("axe")
    subprocess.run([npm, "install", "--prefix", folder, "axe-core@4.14.1"], check=True)
    return (folder / "node_modules/axe-core/axe.min.js").read_text("utf-8")
