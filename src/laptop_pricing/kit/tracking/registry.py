"""Model versions and their aliases, by calls that MLflow servers from 2.7 on understand."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import StepFailed, UserError
from ..files import checksum
from ..modeling.bundle import METADATA_FILE
from ..project import Project
from .server import open_client, tolerated

MODEL_FOLDER, BUNDLE_FOLDER = "model", "bundle"  # MLflow's copy, and ours
RESULT_TAG = "metadata_sha256"  # of metadata.json, which has the checksums of the other files
COPY_TAG = "mlflow_model_sha256"
_ADDED = "registered_model_meta"  # by MLflow, to a local copy that it loads


def register(
    project: Project, run_id: str, name: str, description: str = "", tags: Mapping[str, str] = {}
) -> str:
    """Make the model of a run of ``track`` a version of the registered model `name`: its number.

    A run has one version: what is there already gets what it lacks. The description is Markdown.
    """
    remedy = "the run itself is safe; try again later"
    with open_client(project, "not registered", remedy) as client:
        run, place = client.get_run(run_id), f"run {run_id}"
        if run.info.lifecycle_stage != "active":
            raise UserError(place, "was deleted", "restore it, or train and track again")
        # Of the root: a 3.x client lists a folder by a call that servers 2.x do not know.
        if not any(item.path == MODEL_FOLDER for item in client.list_artifacts(run_id)):
            raise UserError(place, "found no model in it", "name a run that track has made")
        with tolerated("RESOURCE_ALREADY_EXISTS"):
            client.create_registered_model(name)
        known = client.search_model_versions(f"name = '{name}'")
        made = [v for v in known if v.run_id == run_id and v.status == "READY"][:1]
        if not made:  # Ready at once; to wait, client 2.22 would say on the terminal.
            given = {"run_id": run_id, "tags": dict(tags), "description": description or None}
            source = f"{run.info.artifact_uri}/{MODEL_FOLDER}"
            made = [client.create_model_version(name, source, await_creation_for=0, **given)]
        version = str(made[0].version)
        if description and not made[0].description:
            client.update_model_version(name, version, description)
        for tag in tags.keys() - made[0].tags.keys():
            client.set_model_version_tag(name, version, tag, tags[tag])
        return version


def set_alias(project: Project, name: str, alias: str, version: str) -> None:
    """Let an alias of a registered model mean this version from now on."""
    with open_client(project, f"alias {alias} not set", "it means what it meant") as client:
        client.set_registered_model_alias(name, alias, version)


def find_version(project: Project, name: str, alias: str) -> tuple[str, str]:
    """The version that an alias means now, and the run that it comes from."""
    with open_client(project, f"{name}@{alias} not found", "register a version first") as client:
        known = client.get_model_version_by_alias(name, alias)
        return str(known.version), known.run_id


def fetch_bundle(project: Project, name: str, alias: str, folder: Path) -> tuple[str, Path]:
    """The version that an alias means now, and its bundle as it was tracked, below `folder`."""
    version, run_id = find_version(project, name, alias)
    with open_client(project, f"{name}@{alias} not fetched", "try again later") as client:
        run = client.get_run(run_id)
        bundle = download(project, run, BUNDLE_FOLDER, folder)
    if run.data.tags.get(RESULT_TAG) != checksum(bundle / METADATA_FILE, "sha256"):
        raise StepFailed(f"{name} version {version}", "not the model that was tracked")
    return version, bundle


def download(project: Project, run: Any, name: str, folder: Path) -> Path:
    """Download a folder of a run's artifacts to below `folder`."""
    from mlflow.artifacts import download_artifacts

    source, uri = f"{run.info.artifact_uri}/{name}", project.tracking_uri
    return Path(download_artifacts(source, dst_path=str(folder), tracking_uri=uri))


def copy_sha256(folder: Path) -> str:
    """Of the names and the contents of the files of MLflow's copy of a model."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _ADDED)
    lines = [f"{checksum(path, 'sha256')} {path.relative_to(folder).as_posix()}" for path in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
