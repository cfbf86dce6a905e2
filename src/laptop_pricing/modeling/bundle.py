"""The trained bundle in models/: model.skops (data, not code) and metadata.json.

Both are pure functions of code, params and data, byte for byte: no clock, path or commit. What
reads a bundle trusts it only as far as the allow-list and the checksum go.
"""

import io
import json
import re
import zipfile
from dataclasses import dataclass
from importlib.metadata import version

from sklearn.compose import TransformedTargetRegressor

from laptop_pricing import NAME
from laptop_pricing.data.schema import FEATURES
from laptop_pricing.errors import UserError
from laptop_pricing.files import atomic_path, checksum, write_json

MODEL_FILE = "model.skops"
METADATA_FILE = "metadata.json"
FORMAT = 2
REQUIRED = {
    "format",
    "model_sha256",
    "features",
    "versions",
    "data_md5",
    "holdout",
    "metrics",
    "calibration",
}
VERSIONED = ("numpy", "pandas", "scikit-learn", "skops")

# Types that a model file may hold beside those of NumPy and scikit-learn that skops trusts.
# Anything else is refused before it is made.
TRUSTED_TYPES = ("numpy.dot", "scipy.interpolate._bsplines.BSpline")


@dataclass(frozen=True)
class Bundle:
    """A fitted model and what is known about it."""

    model: object
    metadata: dict


def save_bundle(folder, model, facts):
    """Write a bundle; metadata.json comes last and makes it whole.

    Parameters
    ----------
    folder : Path
        Usually models/.
    model : TransformedTargetRegressor
        Fitted.
    facts : dict
        What metadata.json says beside the format, the features, the versions and the checksum.

    Returns
    -------
    dict
        The metadata.
    """
    import skops.io

    with atomic_path(folder / MODEL_FILE) as part:
        part.write_bytes(_renumber(skops.io.dumps(model)))
    metadata = {
        "format": FORMAT,
        "model_sha256": checksum(folder / MODEL_FILE, "sha256"),
        "features": list(FEATURES),
        "versions": {name: version(name) for name in VERSIONED},
    } | facts
    write_json(folder / METADATA_FILE, metadata)
    return metadata


def load_bundle(folder):
    """Read a bundle that is whole, ours, and made by compatible libraries.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    Bundle

    Raises
    ------
    UserError
        If it is missing, corrupt, foreign or incompatible: one line.
    """
    metadata = read_metadata(folder)
    path = folder / MODEL_FILE
    if not path.is_file():
        raise UserError(f"{path}: no such file; run dvc repro -f")
    found = checksum(path, "sha256")
    if found != metadata["model_sha256"]:
        raise UserError(
            f"{path}: found SHA-256 {found[:12]}…, {METADATA_FILE} promises "
            f"{str(metadata['model_sha256'])[:12]}…; run dvc checkout --force models"
        )
    ours, theirs = version("scikit-learn"), str(metadata["versions"].get("scikit-learn"))
    if ours.split(".")[:2] != theirs.split(".")[:2]:
        raise UserError(
            f"{path}: made by scikit-learn {theirs}, found {ours}; "
            "install requirements.txt or run dvc repro -f"
        )
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        model = skops.io.load(path, trusted=TRUSTED_TYPES)
    except UntrustedTypesFoundException as error:
        raise UserError(f"{path}: refused: {error}") from None
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a skops file of ours: {error}; run dvc repro -f") from None
    if not isinstance(model, TransformedTargetRegressor):
        raise UserError(
            f"{path}: holds a {type(model).__name__}, which train never writes; run dvc repro -f"
        )
    return Bundle(model, metadata)


def read_metadata(folder):
    """metadata.json of a bundle, checked.

    Raises
    ------
    UserError
        If it is missing or not one that this code writes.
    """
    path = folder / METADATA_FILE
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run {NAME} run, or dvc pull") from None
    except ValueError:
        metadata = None
    whole = isinstance(metadata, dict) and REQUIRED <= metadata.keys()
    if not whole or not isinstance(metadata["versions"], dict):
        raise UserError(f"{path}: not the metadata of a bundle; run dvc repro -f")
    if (metadata["format"], metadata["features"]) != (FORMAT, list(FEATURES)):
        raise UserError(f"{path}: made for other columns or by another version; run dvc repro -f")
    return metadata


def _renumber(archive):
    """Rewrite a skops archive so that equal models have equal bytes.

    skops names members and objects by their address in memory and dates them by the clock; here
    they are numbered in the order in which the schema names them, and dated 1980.
    """
    numbers = {}

    def number(match):
        return match[1] + str(numbers.setdefault(match[2], len(numbers))) + match[3]

    source = zipfile.ZipFile(io.BytesIO(archive))
    schema = source.read("schema.json").decode("utf-8")
    schema = re.sub(r'("__id__": )(\d+)()', number, schema)
    schema = re.sub(r'("file": ")(\d+)(\.np[yz]")', number, schema)
    members = {"schema.json": schema.encode("utf-8")}
    for name in source.namelist():
        if name != "schema.json":
            address, ending = name.split(".")
            members[f"{numbers[address]}.{ending}"] = source.read(name)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        for name in sorted(members):
            file.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), members[name])
    return target.getvalue()
