"""The trained bundle in models/: the model, the cases that it knows, and metadata.json.

A model that is plain numbers is model.json, any other model.skops: data, not code. All files are
pure functions of code, params and data, byte for byte: no clock, path or commit. What reads a
bundle trusts it only as far as its own list of types and the checksums go.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ..errors import UserError
from ..files import checksum, write_bytes, write_json
from ..problem import Column, Problem
from .factors import Factors
from .neighbours import Neighbours

NUMBERS_FILE, SKOPS_FILE = "model.json", "model.skops"
CASES_FILE = "cases.json"
METADATA_FILE = "metadata.json"
FORMAT = 4
MOST_BYTES = 1 << 30  # that a model may unpack to
REQUIRED = {"format", "files", "model_file", "columns", "versions", "data_md5", "holdout"}
REQUIRED |= {"metrics", "calibration", "distances", "slices"}
VERSIONED = ("numpy", "pandas", "scikit-learn", "skops")
_REMEDY = "run dvc repro -f"
_BROKEN = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)

# Types that a model file may hold beside those that skops trusts. Never the file's own list.
TRUSTED_TYPES = (
    "functools.partial",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMRegressor",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "sklearn.utils.validation.check_array",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBRegressor",
)


@dataclass(frozen=True)
class Bundle:
    """A fitted model and what is known about it."""

    model: Any
    metadata: dict[str, Any]
    neighbours: Neighbours

    @property
    def sha256(self) -> str:
        return self.metadata["files"][self.metadata["model_file"]]

    def predict(self, table: Any) -> np.ndarray:
        """The predictions for a table that has the features by name: shape (n_rows,)."""
        if isinstance(self.model, Factors):
            return self.model.predict(table)
        return np.asarray(self.model.predict(self._frame(table)), dtype=float)

    def explain(self, table: Any) -> Optional[tuple[float, np.ndarray]]:
        """Base and factors, as from :meth:`Factors.explain`; None where the model has none."""
        if isinstance(self.model, Factors):
            return self.model.explain(table)
        return self.model.explain(self._frame(table)) if hasattr(self.model, "explain") else None

    def predict_rows(
        self, rows: Sequence[Mapping[str, Any]]
    ) -> tuple[np.ndarray, Optional[float], Optional[np.ndarray]]:
        """Predictions, base and factors of a few cases, quickly where the model is numbers."""
        if isinstance(self.model, Factors):
            predicted, factors = self.model.predict_rows(rows)
            return predicted, self.model.base, factors
        import pandas as pd

        table = pd.DataFrame(list(rows))
        return self.predict(table), *(self.explain(table) or (None, None))

    def _frame(self, table: Any) -> Any:
        from ..data.table import features

        columns = [
            Column(name, name, kind, "", allowed=tuple(allowed))
            for name, kind, allowed in self.metadata["columns"]
        ]
        return features(columns, table)


def save_bundle(
    folder: Path, model: Any, problem: Problem, neighbours: Neighbours, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Write a bundle; metadata.json comes last and makes it whole.

    Of a fitted search by folds the best model is kept. `facts` are what metadata.json says beside
    the format, the columns, the versions and the checksums.
    """
    best = getattr(model, "best_estimator_", model)
    factors = getattr(best, "factors_", None)
    name, other = (NUMBERS_FILE, SKOPS_FILE) if factors else (SKOPS_FILE, NUMBERS_FILE)
    content = _json(factors.numbers) if factors else _skops(best)
    (folder / other).unlink(missing_ok=True)
    write_bytes(folder / name, content)
    write_bytes(folder / CASES_FILE, _json(neighbours.numbers))
    metadata = {
        "format": FORMAT,
        "model": type(best).__name__,
        "chosen": getattr(model, "best_params_", {}),
        "model_file": name,
        "files": {file: checksum(folder / file, "sha256") for file in (name, CASES_FILE)},
        "columns": _columns(problem),
        "versions": {name: version(name) for name in VERSIONED},
    } | dict(facts)
    write_json(folder / METADATA_FILE, metadata)
    return metadata


def load_bundle(
    folder: Path, problem: Optional[Problem] = None, trusted: Sequence[str] = ()
) -> Bundle:
    """Read a bundle that is whole and made by compatible code, else raise a UserError.

    Neither pandas nor scikit-learn is imported for a model of plain numbers.

    Parameters
    ----------
    problem
        What the bundle has to be made for.
    trusted
        Further types that the team's own model file may hold.
    """
    metadata = read_metadata(folder)
    if problem and metadata["columns"] != _columns(problem):
        raise UserError(folder / METADATA_FILE, "made for other columns", _REMEDY)
    name = metadata["model_file"]
    contents = {
        file: _checked(folder / file, metadata["files"].get(file)) for file in (name, CASES_FILE)
    }
    try:
        if name == NUMBERS_FILE:
            model: Any = Factors(json.loads(contents[name]))
        else:
            model = _load_skops(folder / name, contents[name], metadata, trusted)
        return Bundle(model, metadata, Neighbours(json.loads(contents[CASES_FILE])))
    except (*_BROKEN, zipfile.BadZipFile) as error:
        raise UserError(folder, f"not a bundle of ours: {error}", _REMEDY) from None


def read_metadata(folder: Path) -> dict[str, Any]:
    """metadata.json of a bundle; a UserError says that this code did not write it."""
    path = folder / METADATA_FILE
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(path, "no such file", "run the project first, or dvc pull") from None
    except (ValueError, RecursionError):
        metadata = None
    known = metadata if isinstance(metadata, dict) else {}
    if known.get("format", FORMAT) != FORMAT:
        raise UserError(path, "made by another version", _REMEDY)
    whole = REQUIRED <= known.keys() and known["model_file"] in (NUMBERS_FILE, SKOPS_FILE)
    if not whole or not all(isinstance(known[name], dict) for name in ("files", "versions")):
        raise UserError(path, "not the metadata of a bundle", _REMEDY)
    return known


def _columns(problem: Problem) -> list[list[Any]]:
    return [[c.name, c.kind, list(c.allowed)] for c in problem.features]


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _checked(path: Path, promised: object) -> bytes:
    """The content of a file of the bundle, which has the SHA-256 that the metadata promises."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(path, "no such file", _REMEDY) from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != promised:
        raise UserError(
            path,
            f"found SHA-256 {digest[:12]}…, {METADATA_FILE} promises {str(promised)[:12]}…",
            "run dvc checkout --force models",
        )
    return content


def _load_skops(
    path: Path, content: bytes, metadata: Mapping[str, Any], trusted: Sequence[str]
) -> Any:
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    ours, theirs = version("scikit-learn"), str(metadata["versions"].get("scikit-learn"))
    if ours.split(".")[:2] != theirs.split(".")[:2]:
        raise UserError(
            path,
            f"made by scikit-learn {theirs}, found {ours}",
            "install requirements.txt or run dvc repro -f",
        )
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > MOST_BYTES:
        raise UserError(path, f"unpacks to {size:,} bytes; expected {MOST_BYTES:,} at most")
    try:
        return skops.io.loads(content, trusted=[*TRUSTED_TYPES, *trusted])
    except UntrustedTypesFoundException as error:
        raise UserError(
            path, f"refused: {error}", "name types of your own as `trusted` in __main__.py"
        ) from None


def _skops(model: Any) -> bytes:
    """A skops archive in which equal models have equal bytes.

    skops names members and objects by their address in memory, and dates them by the clock; here
    they are numbered as they come, and dated 1980.
    """
    import skops.io

    numbers: dict[Any, int] = {}

    def renumbered(node: Any) -> Any:
        if isinstance(node, list):
            return [renumbered(item) for item in node]
        if not isinstance(node, dict):
            return node
        copy = {key: renumbered(value) for key, value in node.items()}
        if isinstance(node.get("__id__"), int):
            copy["__id__"] = numbers.setdefault(str(node["__id__"]), len(numbers))
        if isinstance(node.get("file"), str):
            address, _, ending = node["file"].partition(".")
            copy["file"] = f"{numbers.setdefault(address, len(numbers))}.{ending}"
        return copy

    source = zipfile.ZipFile(io.BytesIO(skops.io.dumps(model)))
    schema = renumbered(json.loads(source.read("schema.json")))
    members = {"schema.json": json.dumps(schema, indent=2).encode()}
    for name in source.namelist():
        if name != "schema.json":
            address, _, ending = name.partition(".")
            members[f"{numbers[address]}.{ending}"] = source.read(name)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(members):
            date = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            archive.writestr(date, members[name], zipfile.ZIP_DEFLATED)
    return target.getvalue()
