"""What Streamlit runs: a file without a package, which finds its own by the folders above it."""

import sys
from importlib import import_module
from pathlib import Path

import_module(f"{Path(__file__).parts[-4]}.kit.serving.form").show(*sys.argv[1:])
