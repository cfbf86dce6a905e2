"""Model versions and their aliases, by calls that MLflow servers from 2.7 on understand."""

import os
from pathlib import Path

from laptop_pricing.errors import StepFailed, UserError
from laptop_pricing.files import checksum
from laptop_pricing.modeling.bundle import METADATA_FILE
from laptop_pricing.tracking.server import open_client

MODEL_FOLDER = "model"
BUNDLE_FOLDER = "bundle"
RESULT_TAG = "metadata_sha256"  # of metadata.json, which has the checksums of the other files
_REMEDY = "the run itself is safe; try again later"


def register(workspace, run_id, name, description=None, tags=None):
    """Make the model of a run a version of a registered model, once.

    Parameters
    ----------
    workspace : Workspace
        Its ``tracking_uri`` names the server.
    run_id : str
        A run of :func:`laptop_pricing.tracking.runs.track`.
    name : str
        The registered model, made if need be.
    description : str, optional
        Markdown.
    tags : dict of str, optional

    Returns
    -------
    str
        The version: that of an earlier call if the run has one already.

    Raises
    ------
    UserError
        If the run has no model, or was deleted.
    StepFailed
        If the server cannot be reached or refuses.
    """
    with open_client(workspace, "not registered", _REMEDY) as client:
        from mlflow.exceptions import MlflowException

        run = client.get_run(run_id)
        if run.info.lifecycle_stage != "active":
            raise UserError(f"run {run_id}: was deleted; restore it, or train and track anew")
        # Of the root: a 3.x client lists a folder by a call that servers 2.x do not know.
        if not any(item.path == MODEL_FOLDER for item in client.list_artifacts(run_id)):
            raise UserError(f"run {run_id}: found no model in it; name a run that track has made")
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        for version in client.search_model_versions(f"name = '{name}'"):
            if version.run_id == run_id and version.status == "READY":
                _complete(client, version, description, tags or {})
                return str(version.version)
        source = f"{run.info.artifact_uri}/{MODEL_FOLDER}"
        made = client.create_model_version(
            name, source, run_id=run_id, tags=tags, description=description, await_creation_for=0
        )  # Ready at once; to wait, client 2.22 would say on the terminal.
        return str(made.version)


def set_alias(workspace, name, alias, version):
    """Let an alias of a registered model mean this version from now on.

    Parameters
    ----------
    workspace : Workspace
    name, alias, version : str

    Raises
    ------
    StepFailed
        If the server cannot be reached or refuses; the alias means what it meant.
    """
    with open_client(workspace, f"alias {alias} not set", "it means what it meant") as client:
        client.set_registered_model_alias(name, alias, version)


def find_version(workspace, name, alias):
    """The version that an alias means now.

    Returns
    -------
    (str, str)
        Version, and the run that it comes from.

    Raises
    ------
    StepFailed
        If there is no such model or alias, or the server cannot be reached.
    """
    with open_client(workspace, f"{name}@{alias} not found", "register a version first") as client:
        found = client.get_model_version_by_alias(name, alias)
        return str(found.version), found.run_id


def fetch_bundle(workspace, name, alias, folder):
    """Download the bundle of the version that an alias means now.

    Parameters
    ----------
    workspace : Workspace
    name, alias : str
    folder : Path
        Where to put it.

    Returns
    -------
    version : str
    bundle : Path

    Raises
    ------
    StepFailed
        As for :func:`find_version`, and if the bundle is not the one that was tracked.
    """
    version, run_id = find_version(workspace, name, alias)
    with open_client(workspace, f"{name}@{alias} not fetched", "try again later") as client:
        from mlflow.artifacts import download_artifacts

        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        run, uri = client.get_run(run_id), workspace.tracking_uri
        source = f"{run.info.artifact_uri}/{BUNDLE_FOLDER}"
        found = Path(download_artifacts(source, dst_path=str(folder), tracking_uri=uri))
    if run.data.tags.get(RESULT_TAG) != checksum(found / METADATA_FILE, "sha256"):
        raise StepFailed(f"{name} version {version}: not the model that was tracked")
    return version, found


def _complete(client, version, description, tags):
    """Give a version what it lacks: somebody may have registered the run by hand."""
    if description and not version.description:
        client.update_model_version(version.name, version.version, description)
    for name in tags.keys() - version.tags.keys():
        client.set_model_version_tag(version.name, version.version, name, tags[name])
