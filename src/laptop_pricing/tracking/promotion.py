"""Versions along the branches: ``devl`` develops, ``stag`` checks, ``prod`` is what main serves.

A promotion moves an alias: the bytes that were tested are the bytes that serve. Versions go from
alias to alias only past the gate of ``modeling.gate``. One that held an alias
before may have it again, which is the way back.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from laptop_pricing import NAME
from laptop_pricing.errors import StepFailed, UserError
from laptop_pricing.files import checksum
from laptop_pricing.programs import RESULT, git
from laptop_pricing.tracking.registry import (
    MODEL_FOLDER,
    RESULT_TAG,
    register,
    set_alias,
)
from laptop_pricing.tracking.runs import COPY_FILE, COPY_TAG, track
from laptop_pricing.tracking.server import open_client

ALIASES = ("devl", "stag", "prod")
BEFORE = {"stag": "devl", "prod": "stag"}
_UNMOVED = "the aliases mean what they meant"


@dataclass(frozen=True)
class Holder:
    """Which version an alias means."""

    alias: str
    version: str
    commit: str
    data_md5: str
    MAPE: str


@dataclass(frozen=True)
class Promotion:
    """What a promotion found: why it is doubtful, and how the candidate compares."""

    version: str
    objections: list
    comparison: object
    back: bool
    new: bool


def register_result(workspace, params):
    """Make the workspace's result a version, once, and let ``devl`` mean it.

    Parameters
    ----------
    workspace : Workspace
        Trained and committed.
    params : Params

    Returns
    -------
    str
        The version.

    Raises
    ------
    UserError
        If there are uncommitted changes, or models/ is not what dvc.lock says.
    StepFailed
        If the server cannot be reached or refuses. What is half done is completed by another try.
    """
    import pandas as pd

    from laptop_pricing import storage
    from laptop_pricing.modeling.bundle import load_bundle
    from laptop_pricing.modeling.card import model_card
    from laptop_pricing.modeling.train import read_processed

    commit = git(workspace.root, "rev-parse", "HEAD", problem="no commit to register a version of")
    status = ("status", "--porcelain")
    uncommitted = git(workspace.root, *status, "-uno") or git(
        workspace.root, *status, "-uall", "--", *RESULT, "src"  # a note beside them is no matter
    )
    if uncommitted:
        raise UserError(
            f"{uncommitted.splitlines()[0].split()[-1]}: uncommitted; a version is told by its "
            "commit: git add, git commit, then register"
        )
    told = "not committed; dvc repro, git add it, git commit"
    lock = git(workspace.root, "rev-parse", "-q", "HEAD:./dvc.lock", problem=f"dvc.lock: {told}")
    repo = storage.open_repo(workspace)
    changed = storage.changed(repo) or storage.outdated(repo)
    if changed:
        raise UserError(f"{changed[0]}: not what dvc.lock says; dvc repro or dvc checkout")
    metadata = load_bundle(workspace.models).metadata
    _, summary = read_processed(workspace)
    slices = pd.read_csv(workspace.plots / "slices.csv")
    run = track(workspace, params)
    tags = {
        "commit": commit,
        "data_md5": metadata["data_md5"],
        "model_sha256": metadata["model_sha256"],
        "dvc_lock": lock,
        "MAPE": f"{metadata['metrics']['cv']['MAPE']['mean']:.4f}",
    }
    card = model_card(metadata, summary, slices, commit)
    version = register(workspace, run.run_id, NAME, card, tags)
    set_alias(workspace, NAME, "devl", version)
    return version


def promote(workspace, params, to, version=None, force=""):
    """Let an alias mean a version that passes the gate, or that has held the alias before.

    Parameters
    ----------
    workspace : Workspace
        With the data that the version was made from.
    params : Params
    to : {"stag", "prod"}
    version : str, optional
        By default the one that the alias before holds.
    force : str, optional
        The reason for a promotion against the objections; kept as a tag.

    Returns
    -------
    Promotion

    Raises
    ------
    StepFailed
        If the gate objects, the alias was moved meanwhile, or the server refuses.
    UserError
        If there is no such version, or it is not whole.
    """
    with open_client(workspace, "not promoted", _UNMOVED) as client:
        held = _held(client)
        if version is None and BEFORE[to] not in held:
            raise UserError(f"no version holds {BEFORE[to]}; name one by --version, or register")
        candidate = _whole(client, version or held[BEFORE[to]])
        version = str(candidate.version)
        back = f"held_{to}" in candidate.tags
        if held.get(to) == version:
            if not back:
                client.set_model_version_tag(NAME, version, f"held_{to}", "true")
            return Promotion(version, [], None, back=False, new=False)
        comparison, objections = None, []
        if not back:
            comparison, objections = _examine(client, workspace, params, candidate, held.get(to))
        if objections and not force:
            raise StepFailed(
                f"version {version} is not promoted to {to}: {'; '.join(objections)}; "
                f"{_UNMOVED}"
            )
        now = _held(client)
        if now.get(to) != held.get(to):
            raise StepFailed(
                f"{to} was given to version {now.get(to)} meanwhile, by somebody else; look at it, "
                "then promote again"
            )
        if objections:
            client.set_model_version_tag(NAME, version, f"forced_{to}", force)
        client.set_registered_model_alias(NAME, to, version)
    if not back:  # After the alias: what never held it must not pass for what did.
        with open_client(workspace, f"version {version} is {to}", "promote again") as client:
            client.set_model_version_tag(NAME, version, f"held_{to}", "true")
    return Promotion(version, objections, comparison, back, new=True)


def holders(workspace):
    """Which alias means which version.

    Returns
    -------
    list of Holder
        In the order of ALIASES, those that mean one.
    """
    with open_client(workspace, "aliases not read", "try again later") as client:
        held = _held(client)
        found = []
        for alias in ALIASES:
            if alias in held:
                tags = client.get_model_version(NAME, held[alias]).tags
                facts = [tags.get(name, "unknown") for name in ("commit", "data_md5", "MAPE")]
                found.append(Holder(alias, held[alias], *facts))
        return found


def _held(client):
    """Alias -> version."""
    from mlflow.exceptions import MlflowException

    try:
        aliases = client.get_registered_model(NAME).aliases
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise UserError(f"no registered model {NAME} on the server; run {NAME} register") from None
    return {alias: str(version) for alias, version in aliases.items()}


def _whole(client, version):
    """A version that can be promoted, with its run."""
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_model_version(NAME, version)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise UserError(f"version {version}: {NAME} has no such version") from None
    missing = [name for name in ("model_sha256", "data_md5") if name not in found.tags]
    if found.status != "READY" or missing:
        raise UserError(
            f"version {version}: only half registered ({found.status.lower()}"
            f"{''.join(f', no {name}' for name in missing)}); run {NAME} register on its commit"
        )
    if client.get_run(found.run_id).info.lifecycle_stage != "active":
        raise UserError(f"version {version}: its run {found.run_id} was deleted; restore it")
    return found


def _examine(client, workspace, params, candidate, champion):
    """How the candidate compares with the holder of the alias, and what speaks against it."""
    from laptop_pricing.modeling.gate import compare_on_holdout, objections
    from laptop_pricing.modeling.train import read_processed

    table, summary = read_processed(workspace)
    if summary["raw_md5"] != candidate.tags["data_md5"]:
        raise UserError(
            f"version {candidate.version} was made from data md5 {candidate.tags['data_md5']}; "
            f"found {summary['raw_md5']}; git switch to its branch, dvc pull, promote again"
        )
    ours, comparison, problems = _fetch(client, workspace, candidate), None, []
    if champion is not None:
        try:
            theirs = _fetch(client, workspace, client.get_model_version(NAME, champion))
            comparison = compare_on_holdout(ours, theirs, table)
        except (StepFailed, UserError) as error:
            problems.append(f"not compared with {champion}: {error}")
    return comparison, objections(ours.metadata["metrics"], comparison, params) + problems


def _fetch(client, workspace, version):
    """The bundle of a version; it and MLflow's copy have the bytes that were registered."""
    from mlflow.artifacts import download_artifacts

    from laptop_pricing.modeling.bundle import METADATA_FILE, load_bundle

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    run = client.get_run(version.run_id)
    with tempfile.TemporaryDirectory() as folder:
        found, copy = (
            Path(
                download_artifacts(
                    f"{run.info.artifact_uri}/{name}",
                    dst_path=folder,
                    tracking_uri=workspace.tracking_uri,
                )
            )
            for name in ("bundle", MODEL_FOLDER)
        )
        try:
            bundle = load_bundle(found)
        except UserError as error:
            raise StepFailed(f"version {version.version}: {error}") from None
        copied = checksum(copy / COPY_FILE, "sha256")
        whole = checksum(found / METADATA_FILE, "sha256")
    tags = run.data.tags
    registered = version.tags.get("model_sha256"), tags.get(RESULT_TAG), tags.get(COPY_TAG)
    if (bundle.metadata["model_sha256"], whole, copied) != registered:
        raise StepFailed(f"version {version.version}: not the bytes that were registered")
    return bundle
