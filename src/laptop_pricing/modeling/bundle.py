"""The trained bundle in models/: the model twice, and metadata.json.

model.skops is the fitted pipeline (data, not code), compiled.json the same as plain numbers, to
price with. All are pure functions of code, params and data, byte for byte: no clock, path or
commit. What reads a bundle trusts it only as far as the allow-list and the checksums go.
"""

import hashlib
import io
import json
import re
import zipfile
from dataclasses import dataclass
from importlib.metadata import version

from laptop_pricing import NAME
from laptop_pricing.data.schema import FEATURES
from laptop_pricing.errors import UserError
from laptop_pricing.files import atomic_path, checksum, write_json, write_text
from laptop_pricing.modeling.compiled import CompiledModel, compile_model, prove_equal

MODEL_FILE = "model.skops"
COMPILED_FILE = "compiled.json"
METADATA_FILE = "metadata.json"
FORMAT = 3
REQUIRED = {
    "format",
    "model_sha256",
    "compiled_sha256",
    "features",
    "versions",
    "data_md5",
    "holdout",
    "metrics",
    "calibration",
}
MAX_UNPACKED = 1 << 30  # bytes of a model file; ours has a thousandth
_NOT_OURS = (KeyError, ValueError, TypeError, AttributeError, RecursionError, MemoryError)
VERSIONED = ("numpy", "pandas", "scikit-learn", "skops")

# Types that a model file may hold beside those of NumPy and scikit-learn that skops trusts.
# Anything else is refused before it is made.
TRUSTED_TYPES = ("numpy.dot", "scipy.interpolate._bsplines.BSpline")


@dataclass(frozen=True)
class Bundle:
    """A fitted model and what is known about it.

    Parameters
    ----------
    model : TransformedTargetRegressor or None
        None where only prices are wanted.
    metadata : dict
    compiled : CompiledModel
    """

    model: object
    metadata: dict
    compiled: object = None


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

    Raises
    ------
    StepFailed
        If the compiled model gives other prices than the fitted one; nothing is written then.
    """
    import skops.io

    numbers = compile_model(model)
    prove_equal(model, CompiledModel(numbers))
    with atomic_path(folder / MODEL_FILE) as part:
        part.write_bytes(_renumber(skops.io.dumps(model)))
    write_text(folder / COMPILED_FILE, json.dumps(numbers) + "\n")
    metadata = {
        "format": FORMAT,
        "model_sha256": checksum(folder / MODEL_FILE, "sha256"),
        "compiled_sha256": checksum(folder / COMPILED_FILE, "sha256"),
        "features": list(FEATURES),
        "versions": {name: version(name) for name in VERSIONED},
    } | facts
    write_json(folder / METADATA_FILE, metadata)
    return metadata


def load_compiled(folder):
    """Read what prices need of a bundle; neither pandas nor scikit-learn is imported.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    Bundle
        Without the fitted pipeline.

    Raises
    ------
    UserError
        If it is missing, corrupt, foreign or incompatible: one line.
    """
    metadata = read_metadata(folder)
    path = folder / COMPILED_FILE
    content = _checked(path, metadata["compiled_sha256"])
    try:
        return Bundle(None, metadata, CompiledModel(json.loads(content)))
    except _NOT_OURS as error:
        raise UserError(
            f"{path}: not a compiled model of ours: {error}; run dvc repro -f"
        ) from None


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
        As for :func:`load_compiled`.
    """
    import skops.io
    from sklearn.compose import TransformedTargetRegressor
    from skops.io.exceptions import UntrustedTypesFoundException

    bundle = load_compiled(folder)
    metadata, path = bundle.metadata, folder / MODEL_FILE
    content = _checked(path, metadata["model_sha256"])
    ours, theirs = version("scikit-learn"), str(metadata["versions"].get("scikit-learn"))
    if ours.split(".")[:2] != theirs.split(".")[:2]:
        raise UserError(
            f"{path}: made by scikit-learn {theirs}, found {ours}; "
            "install requirements.txt or run dvc repro -f"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > MAX_UNPACKED:
            raise UserError(
                f"{path}: unpacks to {unpacked:,} bytes; expected {MAX_UNPACKED:,} or fewer; "
                "run dvc repro -f"
            )
        model = skops.io.loads(content, trusted=TRUSTED_TYPES)
    except UntrustedTypesFoundException as error:
        raise UserError(f"{path}: refused: {error}") from None
    except (zipfile.BadZipFile, *_NOT_OURS) as error:
        raise UserError(f"{path}: not a skops file of ours: {error}; run dvc repro -f") from None
    if not isinstance(model, TransformedTargetRegressor):
        raise UserError(
            f"{path}: holds a {type(model).__name__}, which train never writes; run dvc repro -f"
        )
    return Bundle(model, metadata, bundle.compiled)


def _checked(path, promised):
    """The content of a file of the bundle, which has the SHA-256 that the metadata promises."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run dvc repro -f") from None
    found = hashlib.sha256(content).hexdigest()
    if found != promised:
        raise UserError(
            f"{path}: found SHA-256 {found[:12]}…, {METADATA_FILE} promises "
            f"{str(promised)[:12]}…; run dvc checkout --force models"
        )
    return content


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
    except (ValueError, RecursionError):
        metadata = None
    found = metadata if isinstance(metadata, dict) else {}
    if "format" in found and (found["format"], found.get("features")) != (FORMAT, list(FEATURES)):
        raise UserError(f"{path}: made for other columns or by another version; run dvc repro -f")
    if not REQUIRED <= found.keys() or not isinstance(found["versions"], dict):
        raise UserError(f"{path}: not the metadata of a bundle; run dvc repro -f")
    return found


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
