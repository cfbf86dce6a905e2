"""The fixtures of ``tests/`` hold here, too."""

import importlib.util
import sys
from pathlib import Path

_PATH = Path(__file__).resolve().parent.parent / "tests" / "conftest.py"
sys.path.append(str(_PATH.parent))  # for ``import servers``
_SPEC = importlib.util.spec_from_file_location("conftest_of_tests", _PATH)
_SHARED = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_SHARED)

# Everything: ``from conftest import ROOT`` may mean this file when both folders are tested.
globals().update({name: item for name, item in vars(_SHARED).items() if name[:2] != "__"})
