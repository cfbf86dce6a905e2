"""The main job: data -> ``dvc repro`` -> track; or the same steps on the built-in sample."""

import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional

from .data.ingest import ingest
from .data.preprocess import preprocess
from .data.sample import write_sample
from .errors import DataUnavailable, StepFailed, UserError
from .files import short
from .modeling.bundle import METADATA_FILE, read_metadata
from .modeling.train import read_processed, train
from .problem import Problem
from .process import RESULT, git, run_dvc
from .project import BuildModel, Project, open_project
from .sharing.doctor import check_remote
from .sharing.storage import check_cache, open_repo, promised
from .tracking.runs import TrackedRun, track

SAMPLE_ROWS = 800
ROOM = 4_000_000  # bytes; a disk with fewer is full
Say = Callable[[str], None]  # gets one line before each step


@dataclass(frozen=True)
class Result:
    """What a run left behind; where it could not be tracked, the `problem`."""

    project: Project
    data: dict[str, Any]  # the summary of preprocess
    metrics: dict[str, Any]
    tracked: Optional[TrackedRun]
    problem: str = ""
    data_changed: bool = False
    to_commit: tuple[str, ...] = ()  # the Git commands to type


def run(project: Project, say: Say = print) -> Result:
    """Get the data if there is none, reproduce the pipeline, track the result.

    DataUnavailable if data/raw is empty and neither the DVC remote nor the source has the data.
    """
    check_cache(project)
    if not project.raw.is_file():
        _obtain_data(project, say)
    say("Reproducing the pipeline: dvc repro")
    if run_dvc(project, "repro").returncode:
        raise StepFailed("", "dvc repro failed for the reason above", _remedy(project.root))
    result = _finish(project, say)
    new = [n for n in RESULT if git(project.root, "status", "--porcelain", "-uall", "--", n)]
    if not new:
        return result
    paths = " ".join(shlex.quote(short(project.root / name)) for name in new)
    command = f'git add {paths} && git commit -m "Result of {project.name} run"'
    return replace(result, data_changed="data.dvc" in new, to_commit=(command,))


def _obtain_data(project: Project, say: Say) -> None:
    """Fill data/raw from DVC's cache; else from the remote that data.dvc counts on, or the source.

    That is one place: where the remote should have the data, the source is not asked.
    """
    if others := sorted(path.name for path in project.raw.parent.glob("*.csv")):
        problem = f"found {', '.join(others)}; expected {project.raw.name}"
        raise UserError("data/raw", problem, f"move it elsewhere, then {project.name} ingest PATH")
    repo, source = open_repo(project), project.params.ingest.source
    listing = promised(repo).get(str(Path("data", "raw")))
    # Without the listing DVC would ask the remote for it, and that one may be silent.
    if listing and repo.cache.local.exists(listing):
        run_dvc(project, "checkout", "data.dvc", capture=True)
    if project.raw.is_file():
        return
    if not repo.config["remote"] or not listing:
        say(f"Getting the data: {source}")
        ingest(project, source)
        return
    say("Getting the data: dvc pull data.dvc")
    link = check_remote(repo, project.name)  # first: a pull is patient with silence
    if link.state == "broken":
        raise DataUnavailable("DVC remote", link.found, link.fix)
    if run_dvc(project, "pull", "data.dvc", capture=True).returncode or not project.raw.is_file():
        problem, remedy = "data.dvc: missing there or corrupt", f"{project.name} doctor says which"
        raise DataUnavailable("dvc pull", problem, remedy)


def _remedy(root: Path) -> str:
    """What to do about a DVC that failed, as far as its traces tell."""
    lock = root / ".dvc" / "tmp" / "rwlock"
    if shutil.disk_usage(root).free < ROOM:
        return "the disk is full: make room there, then run again"
    if pids := re.findall(r'"pid": (\d+)', lock.read_text("utf-8") if lock.is_file() else ""):
        wait = f"process {pids[0]} is at work here: wait until it ends, or end it, then run again"
        return f"{wait}; if no DVC has that number, delete {short(lock)} first"
    return "put it right, then run again"


def run_sample(project: Project, say: Say = print) -> Result:
    """The same steps on the built-in synthetic sample, in .scratch/ and without DVC.

    Neither data/ nor models/ nor a tracked file changes; it tracks to a database of its own.
    """
    scratch = _sample_of(project)
    say("Making the built-in synthetic sample")
    write_sample(project.problem, scratch.raw, SAMPLE_ROWS)
    say("Cleaning, training and evaluating on the sample")
    preprocess(scratch)
    train(scratch)
    return _finish(scratch, say)


def open_result(problem: Problem, build_model: BuildModel, say: Say = print) -> Project:
    """The project where it has a result, else the sample's: what the notebooks show."""
    project = open_project(problem, build_model)
    project.load_environment()
    if (project.models / METADATA_FILE).is_file():
        say(f"The project's own data and model, in {project.root.name}/")
        return project
    scratch = _sample_of(project)
    if not (scratch.models / METADATA_FILE).is_file():
        run_sample(project, say)
    say(
        f"No model here yet ({project.name} run makes it): this is the built-in synthetic sample. "
        f"Its figures say nothing about {problem.items}."
    )
    return scratch


def _sample_of(project: Project) -> Project:
    """The scratch folder, and params that take the sample whatever its unit."""
    anything = project.params.preprocess.model_copy(update={"median_target": None})
    params = project.params.model_copy(update={"preprocess": anything})
    root = project.root / ".scratch" / "sample"
    return replace(project, root=root, use_server=False, given_params=params)


def _finish(project: Project, say: Say) -> Result:
    say("Tracking the result with MLflow")
    tracked, problem = None, ""
    try:
        tracked = track(project)
    except (StepFailed, UserError) as error:  # the model is there: say so, and track later
        problem = str(error)
    metrics = read_metadata(project.models)["metrics"]
    return Result(project, read_processed(project)[1], metrics, tracked, problem)
