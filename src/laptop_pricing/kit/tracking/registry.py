"""The model registry: versions and their aliases, by calls that MLflow servers from 2.7 on know.

``devl`` develops, ``stag`` checks, ``prod`` is what main serves. A promotion moves an alias: the
bytes that were tested are the bytes that serve. Versions go from alias to alias only past the gate;
one that held an alias before can take it back.
"""

import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pandas as pd

from ..errors import ProjectError, StepFailed, UserError
from ..files import write_text
from ..modeling.bundle import Bundle, load_bundle
from ..modeling.evaluate import model_card
from ..modeling.gate import Comparison, compare_on_holdout, objections
from ..modeling.signature import signature_file, signature_of
from ..modeling.task import task_of
from ..modeling.train import read_processed
from ..process import RESULT, git, last_line, run_dvc
from ..project import Project
from .runs import COPY_TAG, MODEL_FOLDER, folder_sha256, track
from .server import open_client, tolerated

BEFORE = {"stag": "devl", "prod": "stag"}


class Promotion(NamedTuple):
    """What a promotion found: why it is doubtful, and how the candidate compares."""

    version: str
    objections: list[str]
    comparison: Optional[Comparison]
    back: bool
    new: bool


def register_result(project: Project) -> str:
    """Make the project's committed result a version, once, and let ``devl`` mean it."""
    commit = _committed(project)
    bundle = load_bundle(project.models, project.problem, project.trusted)
    metadata, slices = bundle.metadata, pd.read_csv(project.plots / "slices.csv")
    card = model_card(project.problem, metadata, read_processed(project)[1], slices, commit)
    tags = {"commit": commit, "data_md5": metadata["data_md5"], "model_sha256": bundle.sha256}
    name = task_of(project.problem).error_name
    tags |= {name: f"{metadata['metrics']['cv'][name]['mean']:.4f}"}
    if signature := signature_of(project.problem, project.models):
        tags["signature"] = signature
    run_id, remedy = track(project).run_id, "the run itself is safe; try again later"
    with open_client(project, "not registered", remedy) as client:
        with tolerated("RESOURCE_ALREADY_EXISTS"):
            client.create_registered_model(project.name)
        known = client.search_model_versions(f"name = '{project.name}'")
        made = [v for v in known if v.run_id == run_id and tags.keys() <= v.tags.keys()][:1]
        if not made:  # Ready at once; to wait, client 2.22 would say on the terminal.
            source = f"{client.get_run(run_id).info.artifact_uri}/{MODEL_FOLDER}"
            given = {"run_id": run_id, "tags": tags, "description": card}
            made = [
                client.create_model_version(project.name, source, await_creation_for=0, **given)
            ]
        version = str(made[0].version)
        client.set_registered_model_alias(project.name, "devl", version)
    return version


def _committed(project: Project) -> str:
    """The commit that has made the result."""
    root, status = project.root, ("status", "--porcelain")
    commit = git(root, "rev-parse", "HEAD", problem="no commit to register a version of")
    # Beside the result and the code, a file that Git does not know is no matter.
    changed = git(root, *status, "-uno") or git(root, *status, "-uall", "--", *RESULT, "src")
    if changed:
        problem = "uncommitted; a version needs a commit"
        raise UserError(changed.split()[1], problem, "git add, git commit, then register")
    done = run_dvc(project, "status", "--json", capture=True)
    if done.returncode:
        raise StepFailed("dvc status", last_line(done.stderr))
    for stale in json.loads(done.stdout):
        raise UserError(stale, "not what dvc.lock says", "dvc repro or dvc checkout")
    return commit


def promote(project: Project, to: str, version: Optional[str] = None, force: str = "") -> Promotion:
    """Let ``stag`` or ``prod`` mean a version that passes the gate, or that has held it before.

    By default the version that the alias before holds. `force` is the reason for a promotion
    against the objections, which is kept as a tag.
    """
    name, mark, look = project.name, f"held_{to}", f"see {project.name} versions, promote again"
    with open_client(project, "not promoted", look) as client:
        held = _held(client, name)
        if not (version := version or held.get(BEFORE[to])):
            remedy = "name one by --version, or register"
            raise UserError("", f"no version holds {BEFORE[to]}", remedy)
        candidate, new = _candidate(client, name, version), held.get(to) != version
        back, champion = new and mark in candidate.tags, held.get(to)
        ask = new and not back
        comparison, found = _examine(client, project, candidate, champion) if ask else (None, [])
        if found and not force:
            problem = f"not promoted to {to}: {'; '.join(found)}"
            raise StepFailed(f"version {version}", problem, "no alias moved")
        if (now := _held(client, name).get(to)) != champion:
            problem = f"was given to version {now} meanwhile, by somebody else"
            raise StepFailed(to, problem, "look at it, then promote again")
        if found:
            client.set_model_version_tag(name, version, f"forced_{to}", force)
        if new:
            client.set_registered_model_alias(name, to, version)
        # After the alias: what never held it must not pass for what did.
        client.set_model_version_tag(name, version, mark, "true")
    return Promotion(version, found, comparison, back, new)


def _held(client: Any, name: str) -> dict[str, str]:
    """Alias -> version."""
    with tolerated("RESOURCE_DOES_NOT_EXIST"):
        aliases = client.get_registered_model(name).aliases
        return {alias: str(version) for alias, version in aliases.items()}
    raise UserError("", f"no registered model {name} on the server", f"run {name} register")


def _candidate(client: Any, name: str, version: str) -> Any:
    """A version that was made by ``register``."""
    with tolerated("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
        known = client.get_model_version(name, version)
        if "data_md5" in known.tags:
            return known
        remedy = f"run {name} register on its commit"
        raise UserError(f"version {version}", "only half registered", remedy)
    raise UserError(f"version {version}", f"{name} has no such version")


def _examine(
    client: Any, project: Project, candidate: Any, champion: Optional[str]
) -> tuple[Optional[Comparison], list[str]]:
    """How the candidate compares with the holder of the alias, and what speaks against it."""
    table, summary = read_processed(project)
    wanted, md5 = candidate.tags["data_md5"], summary["raw_md5"]
    if md5 != wanted:
        problem = f"was made from data md5 {wanted}; found {md5}"
        remedy = "git switch to its branch, dvc pull, promote again"
        raise UserError(f"version {candidate.version}", problem, remedy)
    ours, comparison, problems = _load(client, project, candidate), None, []
    if champion is not None:
        try:
            theirs = _load(client, project, client.get_model_version(project.name, champion))
            comparison = compare_on_holdout(project.problem, ours, theirs, table)
        except ProjectError as error:
            problems = [f"not compared with {champion}: {error}"]
    metrics = ours.metadata["metrics"]
    return comparison, objections(project.problem, metrics, comparison, project.params) + problems


def _load(client: Any, project: Project, version: Any) -> Bundle:
    with tempfile.TemporaryDirectory() as temporary:
        folder = _download(client, project, version, Path(temporary))
        try:
            return load_bundle(folder, project.problem, project.trusted)
        except UserError as error:
            raise StepFailed(f"version {version.version}", error.problem) from None


def _download(client: Any, project: Project, version: Any, folder: Path) -> Path:
    """The bundle of a version, in MLflow's copy of it, which has the bytes that were tracked."""
    from mlflow.artifacts import download_artifacts

    run = client.get_run(version.run_id)
    # By the whole address: a 3.x client lists a run's folder by a call that servers 2.x have not.
    source, uri = f"{run.info.artifact_uri}/{MODEL_FOLDER}", project.tracking_uri
    copy = Path(download_artifacts(source, dst_path=str(folder), tracking_uri=uri))
    if folder_sha256(copy) != run.data.tags.get(COPY_TAG):
        raise StepFailed(f"version {version.version}", "not the bytes that were tracked")
    folder = copy / "data" / project.models.name
    if signature := version.tags.get("signature"):
        write_text(signature_file(folder), f"{signature}\n")
    return folder


def version_of(project: Project, name: str, alias: str) -> str:
    """The version that an alias means now."""
    with open_client(project, f"{name}@{alias} not asked for", "try again later") as client:
        return str(client.get_model_version_by_alias(name, alias).version)


def fetch_bundle(project: Project, name: str, alias: str, folder: Path) -> tuple[str, Path]:
    """The version that an alias means now, and its bundle as it was tracked, below `folder`."""
    with open_client(project, f"{name}@{alias} not fetched", "register a version first") as client:
        version = client.get_model_version_by_alias(name, alias)
        return str(version.version), _download(client, project, version, folder)


def fetch_version(project: Project, name: str, version: str, folder: Path) -> Path:
    """The bundle of a version as it was tracked, below `folder`."""
    with open_client(project, f"version {version} not fetched", "is the server right?") as client:
        with tolerated("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return _download(client, project, client.get_model_version(name, version), folder)
    raise UserError(f"version {version}", f"{name} has no such version")


def list_versions(project: Project) -> pd.DataFrame:
    """All versions, the newest first: version, aliases, time (ms), mean error, commit, data_md5."""
    with open_client(project, "versions not read", "try again later") as client:
        held = _held(client, project.name)
        known = client.search_model_versions(f"name = '{project.name}'")
    lines = []
    for version in sorted(known, key=lambda version: -int(version.version)):
        number = str(version.version)
        aliases = [alias for alias in ("devl", *BEFORE) if held.get(alias) == number]
        facts = {"version": number, "aliases": aliases, "time": version.creation_timestamp}
        lines.append(version.tags | facts)
    names = ["version", "aliases", "time", task_of(project.problem).error_name]
    names += ["commit", "data_md5"]
    return pd.DataFrame(lines).reindex(columns=names).fillna("unknown")
