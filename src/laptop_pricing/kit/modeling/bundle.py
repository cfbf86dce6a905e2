"""The trained bundle in models/: the model, the cases that it knows, and metadata.json.

A model that is plain numbers is model.json, any other model.skops: data, not code. All files are
pure functions of code, params and data, byte for byte: no clock, path or commit. What reads a
bundle trusts it only as far as its own list of types and the checksums go.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ..errors import UserError
from ..files import checksum, write_bytes, write_json
from ..problem import Column, Problem
from .factors import ClassFactors, Explanation, Factors, read_numbers
from .task import outputs

NUMBERS_FILE, SKOPS_FILE = "model.json", "model.skops"
CASES_FILE = "cases.json"
METADATA_FILE = "metadata.json"
FORMAT = 5
MOST_BYTES = 1 << 30  # that a model may unpack to
MOST_CASES = 10_000  # that are kept
REQUIRED = {"format", "files", "model_file", "columns", "versions", "data_md5", "holdout"}
REQUIRED |= {"metrics", "calibration", "distances", "slices"}
_DICTS = ("files", "versions", "holdout", "metrics", "calibration", "slices")
VERSIONED = ("numpy", "pandas", "scikit-learn", "skops")
_NUMBERS = (Factors, ClassFactors)
_REMEDY = "run dvc repro -f"
_BROKEN = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)

# Types that a model file may hold beside those that skops trusts. Never the file's own list.
TRUSTED_TYPES = (
    "functools.partial",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "sklearn.utils.validation.check_array",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRegressor",
)


class Neighbours:
    """The different cases of a training table: how near is another to what was learned from?

    Parameters
    ----------
    numbers
        ``values``: for each field those that occur; ``cases``: a line per case with the places of
        its values in these lists.
    """

    def __init__(self, numbers: Mapping[str, Any]) -> None:
        self.numbers = numbers
        self._places = {
            name: {value: place for place, value in enumerate(values)}
            for name, values in numbers["values"].items()
        }
        self._cases = np.array(numbers["cases"], dtype=np.int16).T.copy()
        self._count = np.min_scalar_type(len(self._places))

    @classmethod
    def of(cls, problem: Problem, table: Any) -> "Neighbours":
        """Those of a processed table."""
        import pandas as pd

        cases = table[list(problem.names)].drop_duplicates()
        cases = cases.iloc[:: -(-len(cases) // MOST_CASES)]
        found = [pd.factorize(cases[n], sort=True, use_na_sentinel=False) for n in cases]
        named = {
            name: [None if pd.isna(value) else value for value in known.tolist()]
            for name, (_, known) in zip(cases, found)
        }
        return cls({"values": named, "cases": np.array([places for places, _ in found]).T.tolist()})

    def distances(self, rows: Iterable[Mapping[str, Any]]) -> list[int]:
        """The number of fields in which each case differs from the nearest one."""
        distances = []
        for row in rows:
            case = [places.get(row[name], -1) for name, places in self._places.items()]
            differ = self._cases != np.array(case, dtype=np.int16)[:, np.newaxis]
            counts = np.add.reduce(differ.view(np.uint8), axis=0, dtype=self._count)
            distances.append(int(np.minimum.reduce(counts)))
        return distances


@dataclass(frozen=True)
class Bundle:
    """A fitted model and what is known about it."""

    model: Any
    metadata: dict[str, Any]
    neighbours: Neighbours

    @property
    def classes(self) -> Sequence[str]:
        """The classes of a classification."""
        return self.metadata["calibration"].get("classes", ())

    @property
    def sha256(self) -> str:
        """Of the model's file."""
        return self.metadata["files"][self.metadata["model_file"]]

    def predict(self, table: Any) -> np.ndarray:
        """What the model gives for a table that has the features by name: see ``task.py``."""
        return outputs(self.model, self._features(table), self.classes)

    def explain(self, table: Any) -> Optional[Explanation]:
        """What the predictions for a table are made of; None where the model does not say."""
        explain = getattr(self.model, "explain", None)
        return explain and Explanation(*explain(self._features(table)))

    def predict_rows(
        self, rows: Sequence[Mapping[str, Any]]
    ) -> tuple[np.ndarray, Optional[Explanation]]:
        """Predictions for a few cases and their reasons, quickly where the model is numbers."""
        if isinstance(self.model, _NUMBERS):
            return self.model.predict_rows(rows)
        import pandas as pd

        table = pd.DataFrame(list(rows))
        return self.predict(table), self.explain(table)

    def _features(self, table: Any) -> Any:
        if isinstance(self.model, _NUMBERS):  # which knows NaN, and not pandas's own NA
            flags = [name for name in table if str(table[name].dtype) == "boolean"]
            return table.astype(dict.fromkeys(flags, "float64")) if flags else table
        from ..data.table import features

        columns = [Column(n, kind, "", allowed=a) for n, kind, a in self.metadata["columns"]]
        others = [c.name for c in columns if c.kind != "category"]
        unknown = [name for name in others if table[name].dtype == object]  # None in every row
        return features(columns, table.astype(dict.fromkeys(unknown, "float64")))


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
        "versions": {} if factors else versions(),
    } | dict(facts)
    write_json(folder / METADATA_FILE, metadata)
    return metadata


def load_bundle(
    folder: Path, problem: Optional[Problem] = None, trusted: Sequence[str] = ()
) -> Bundle:
    """Read a bundle that is whole and made for `problem` by compatible code, else a UserError.

    Neither pandas nor scikit-learn is imported for a model of plain numbers. `trusted` are further
    types that the team's own model file may hold.
    """
    metadata = read_metadata(folder)
    if problem and metadata["columns"] != _columns(problem):
        raise UserError(folder / METADATA_FILE, "made for other columns", _REMEDY)
    if problem and tuple(metadata["calibration"].get("classes", ())) != problem.classes:
        raise UserError(folder / METADATA_FILE, "made for other classes", _REMEDY)
    name = metadata["model_file"]
    contents = {file: _checked(folder / file, metadata["files"]) for file in (name, CASES_FILE)}
    try:
        if name == NUMBERS_FILE:
            model: Any = read_numbers(json.loads(contents[name]))
        else:
            model = _load_skops(folder / name, contents[name], metadata["versions"], trusted)
        return Bundle(model, metadata, Neighbours(json.loads(contents[CASES_FILE])))
    except (*_BROKEN, zipfile.BadZipFile) as error:
        raise UserError(folder, f"not a bundle of ours: {error}", _REMEDY) from None


def versions() -> dict[str, str]:
    """Of the libraries that a model file depends on; plain numbers are the same from all."""
    return {name: version(name) for name in VERSIONED}


def read_metadata(folder: Path) -> dict[str, Any]:
    """metadata.json of a bundle; a UserError says that this code did not write it."""
    path = folder / METADATA_FILE
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
        whole = metadata["format"] == FORMAT and REQUIRED <= metadata.keys()
        whole = whole and metadata["model_file"] in (NUMBERS_FILE, SKOPS_FILE)
        whole = whole and isinstance(metadata["data_md5"], str)
    except FileNotFoundError:
        raise UserError(path, "no such file", "run the project first, or dvc pull") from None
    except _BROKEN:
        whole = False
    if not whole or not all(isinstance(metadata[name], dict) for name in _DICTS):
        raise UserError(path, f"not the metadata of a bundle of format {FORMAT}", _REMEDY)
    return metadata


def _columns(problem: Problem) -> list[list[Any]]:
    return [[c.name, c.kind, list(c.allowed)] for c in problem.features]


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _checked(path: Path, promised: Mapping[str, str]) -> bytes:
    """The content of a file of the bundle, with the SHA-256 of the metadata."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(path, "no such file", _REMEDY) from None
    digest, expected = hashlib.sha256(content).hexdigest(), str(promised.get(path.name))
    if digest != expected:
        found = f"found SHA-256 {digest[:12]}…, expected {expected[:12]}…"
        raise UserError(path, found, "run dvc checkout --force models")
    return content


def _load_skops(
    path: Path, content: bytes, versions: Mapping[str, Any], trusted: Sequence[str]
) -> Any:
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    ours, theirs = version("scikit-learn"), str(versions.get("scikit-learn"))
    if ours.split(".")[:2] != theirs.split(".")[:2]:
        remedy = "install requirements.txt or run dvc repro -f"
        raise UserError(path, f"made by scikit-learn {theirs}, found {ours}", remedy)
    size = sum(member.file_size for member in zipfile.ZipFile(io.BytesIO(content)).infolist())
    if size > MOST_BYTES:
        raise UserError(path, f"unpacks to {size:,} bytes; expected {MOST_BYTES:,} at most")
    try:
        return skops.io.loads(content, trusted=[*TRUSTED_TYPES, *trusted])
    except UntrustedTypesFoundException as error:
        remedy = "name types of your own as `trusted` in __main__.py"
        raise UserError(path, f"refused: {error}", remedy) from None


def _skops(model: Any) -> bytes:
    """A skops archive in which equal models have equal bytes.

    skops names members and objects by their address in memory, and dates them by the clock; here
    they are numbered as they come, and dated 1980.
    """
    import skops.io

    numbers: dict[str, int] = {}

    def renumbered(name: str) -> str:
        address, dot, ending = name.partition(".")
        return f"{numbers.setdefault(address, len(numbers))}{dot}{ending}"

    def rename(node: dict[str, Any]) -> dict[str, Any]:
        if isinstance(node.get("__id__"), int):
            node["__id__"] = int(renumbered(str(node["__id__"])))
        if isinstance(node.get("file"), str):
            node["file"] = renumbered(node["file"])
        return node

    source = zipfile.ZipFile(io.BytesIO(skops.io.dumps(model)))
    schema = json.loads(source.read("schema.json"), object_hook=rename)
    members = {renumbered(n): source.read(n) for n in source.namelist() if n != "schema.json"}
    members["schema.json"] = json.dumps(schema, indent=2).encode()
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(members):
            date = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            archive.writestr(date, members[name], zipfile.ZIP_DEFLATED)
    return target.getvalue()
