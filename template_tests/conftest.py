"""The fixtures of ``tests/`` hold here, too; and the real data."""

import importlib.util
import os
from pathlib import Path

import pytest
from environments import ROOT

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
