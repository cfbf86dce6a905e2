"""Versions along the branches: ``devl`` develops, ``stag`` checks, ``prod`` is what main serves.

A promotion moves an alias: the bytes that were tested are the bytes that serve. Versions go from
alias to alias only past the gate; one that held an alias before may have it again.
"""

import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pandas as pd

from ..errors import ProjectError, StepFailed, UserError
from ..files import checksum
from ..modeling.bundle import METADATA_FILE, Bundle, load_bundle
from ..modeling.evaluate import model_card
from ..modeling.gate import Comparison, compare_on_holdout, objections
from ..modeling.train import read_processed
from ..process import RESULT, git, last_line, run_dvc
from ..project import Project
from . import registry, runs
from .server import open_client, tolerated

BEFORE = {"stag": "devl", "prod": "stag"}
ALIASES = ("devl", *BEFORE)


class Holder(NamedTuple):
    """Which version an alias means."""

    alias: str
    version: str
    commit: str
    data_md5: str
    MAPE: str


class Promotion(NamedTuple):
    """What a promotion found: why it is doubtful, and how the candidate compares."""

    version: str
    objections: list[str]
    comparison: Optional[Comparison]
    back: bool
    new: bool


def register_result(project: Project) -> str:
    """Make the project's committed result a version, once, and let ``devl`` mean it."""
    commit, lock = _committed(project)
    bundle = load_bundle(project.models, project.problem, project.trusted)
    metadata, (_, summary) = bundle.metadata, read_processed(project)
    slices = pd.read_csv(project.plots / "slices.csv")
    run = runs.track(project)
    tags = {"commit": commit, "data_md5": metadata["data_md5"], "model_sha256": bundle.sha256}
    tags |= {"dvc_lock": lock, "MAPE": f"{metadata['metrics']['cv']['MAPE']['mean']:.4f}"}
    card = model_card(project.problem, metadata, summary, slices, commit)
    version = registry.register(project, run.run_id, project.name, card, tags)
    registry.set_alias(project, project.name, "devl", version)
    return version


def promote(project: Project, to: str, version: Optional[str] = None, force: str = "") -> Promotion:
    """Let ``stag`` or ``prod`` mean a version that passes the gate, or that has held it before.

    By default the version that the alias before holds. `force` is the reason for a promotion
    against the objections, which is kept as a tag.
    """
    name, unmoved, mark = project.name, "the aliases mean what they meant", f"held_{to}"
    with open_client(project, "not promoted", unmoved) as client:
        held = _held(client, name)
        if not (version := version or held.get(BEFORE[to])):
            remedy = "name one by --version, or register"
            raise UserError("", f"no version holds {BEFORE[to]}", remedy)
        candidate = _whole(client, name, version)
        back, new = mark in candidate.tags, held.get(to) != version
        ask = new and not back
        comparison, found = (
            _examine(client, project, candidate, held.get(to)) if ask else (None, [])
        )
        if found and not force:
            problem = f"is not promoted to {to}: {'; '.join(found)}"
            raise StepFailed(f"version {version}", problem, unmoved)
        if (now := _held(client, name).get(to)) != held.get(to):
            problem = f"was given to version {now} meanwhile, by somebody else"
            raise StepFailed(to, problem, "look at it, then promote again")
        if found:
            client.set_model_version_tag(name, version, f"forced_{to}", force)
        if new:
            client.set_registered_model_alias(name, to, version)
    if not back:  # After the alias: what never held it must not pass for what did.
        with open_client(project, f"version {version} is {to}", "promote again") as client:
            client.set_model_version_tag(name, version, mark, "true")
    return Promotion(version, found, comparison, back and new, new)


def holders(project: Project) -> list[Holder]:
    """Which alias means which version, in the order of ALIASES."""
    with open_client(project, "aliases not read", "try again later") as client:
        held, lines = _held(client, project.name), []
        for alias in filter(held.get, ALIASES):
            tags = client.get_model_version(project.name, held[alias]).tags
            facts = [tags.get(name, "unknown") for name in Holder._fields[2:]]
            lines.append(Holder(alias, held[alias], *facts))
        return lines


def _committed(project: Project) -> tuple[str, str]:
    """The commit that has made the result, and the object of its dvc.lock."""
    root, status = project.root, ("status", "--porcelain")
    commit = git(root, "rev-parse", "HEAD", problem="no commit to register a version of")
    # Beside the result and the code, a file that Git does not know is no matter.
    changed = git(root, *status, "-uno") or git(root, *status, "-uall", "--", *RESULT, "src")
    if changed:
        problem = "uncommitted; a version is told by its commit"
        raise UserError(changed.split()[1], problem, "git add, git commit, then register")
    told = "dvc.lock: not committed; dvc repro, git add it, git commit"
    lock = git(root, "rev-parse", "-q", "HEAD:./dvc.lock", problem=told)
    done = run_dvc(project, "status", "--json", capture=True)
    if done.returncode:
        raise StepFailed("dvc status", last_line(done.stderr))
    for stale in json.loads(done.stdout):
        raise UserError(stale, "not what dvc.lock says", "dvc repro or dvc checkout")
    return commit, lock


def _held(client: Any, name: str) -> dict[str, str]:
    """Alias -> version."""
    with tolerated("RESOURCE_DOES_NOT_EXIST"):
        aliases = client.get_registered_model(name).aliases
        return {alias: str(version) for alias, version in aliases.items()}
    raise UserError("", f"no registered model {name} on the server", f"run {name} register")


def _whole(client: Any, name: str, version: str) -> Any:
    """A version that can be promoted, with its run."""
    place, known = f"version {version}", None
    with tolerated("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
        known = client.get_model_version(name, version)
    if known is None:
        raise UserError(place, f"{name} has no such version")
    lacks = [f"no {tag}" for tag in ("model_sha256", "data_md5") if tag not in known.tags]
    if known.status != "READY" or lacks:
        problem = f"only half registered ({', '.join([known.status.lower(), *lacks])})"
        raise UserError(place, problem, f"run {name} register on its commit")
    if client.get_run(known.run_id).info.lifecycle_stage != "active":
        raise UserError(place, f"its run {known.run_id} was deleted", "restore it")
    return known


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
    ours, comparison, problems = _fetch(client, project, candidate), None, []
    if champion is not None:
        try:
            theirs = _fetch(client, project, client.get_model_version(project.name, champion))
            comparison = compare_on_holdout(project.problem, ours, theirs, table)
        except ProjectError as error:
            problems = [f"not compared with {champion}: {error}"]
    return comparison, objections(ours.metadata["metrics"], comparison, project.params) + problems


def _fetch(client: Any, project: Project, version: Any) -> Bundle:
    """The bundle of a version; it and MLflow's copy have the bytes that were registered."""
    place, run = f"version {version.version}", client.get_run(version.run_id)
    with tempfile.TemporaryDirectory() as temporary:
        folder, copy = (
            registry.download(project, run, name, Path(temporary))
            for name in (registry.BUNDLE_FOLDER, registry.MODEL_FOLDER)
        )
        try:
            bundle = load_bundle(folder, project.problem, project.trusted)
        except UserError as error:
            raise StepFailed(place, str(error)) from None
        sums = checksum(folder / METADATA_FILE, "sha256"), registry.copy_sha256(copy)
    tracked = tuple(run.data.tags.get(tag) for tag in (registry.RESULT_TAG, registry.COPY_TAG))
    if (bundle.sha256, *sums) != (version.tags.get("model_sha256"), *tracked):
        raise StepFailed(place, "not the bytes that were registered")
    return bundle
