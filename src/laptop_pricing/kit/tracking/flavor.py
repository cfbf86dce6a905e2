"""How MLflow loads its copy of the model: as a bundle, with the kit's own list of types."""

from pathlib import Path

from ..modeling.bundle import Bundle, load_bundle


def _load_pyfunc(path: str) -> Bundle:
    """What ``mlflow.pyfunc.load_model`` calls; MLflow uses its ``predict``."""
    return load_bundle(Path(path))
