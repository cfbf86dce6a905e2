"""The main job: data -> ``dvc repro`` -> track -> summary; or the same steps on the sample."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from laptop_pricing import NAME, storage
from laptop_pricing.data.ingest import ingest
from laptop_pricing.data.schema import ITEMS
from laptop_pricing.doctor import check_remote
from laptop_pricing.errors import DataUnavailable, StepFailed, UserError
from laptop_pricing.programs import RESULT, git, run_dvc
from laptop_pricing.settings import (
    PARAMS_FILE,
    Workspace,
    find_workspace,
    load_environment,
    load_params,
)

SCRATCH = ".scratch"
SAMPLE_ROWS = 800


@dataclass(frozen=True)
class Result:
    """What a run of the project left behind."""

    workspace: Workspace
    data: dict
    metrics: dict
    tracked: object
    problem: str
    data_changed: bool = False
    uncommitted: tuple[str, ...] = ()


def run(workspace, params, say=print):
    """Get the data if there is none, reproduce the pipeline, track the result.

    Parameters
    ----------
    workspace : Workspace
    params : Params
    say : callable, optional
        Gets one line before each step.

    Returns
    -------
    Result
        With the tracking server's ``problem``, if it had one: the model is there nevertheless.

    Raises
    ------
    DataUnavailable
        If data/raw is empty and neither the DVC remote nor the source has the data.
    StepFailed, UserError
        If a step fails, or an object in DVC's cache is corrupt.
    """
    storage.check_cache(workspace)
    if not workspace.raw.is_file():
        obtain_data(workspace, params, say)
    pointer = workspace.root / "data.dvc"
    registered = pointer.read_bytes() if pointer.is_file() else b""
    say("Reproducing the pipeline: dvc repro")
    if run_dvc(workspace, "repro").returncode:
        raise StepFailed(f"dvc repro failed for the reason above; {storage.remedy(workspace)}")
    result = _finish(workspace, params, say)
    new = [n for n in RESULT if git(workspace.root, "status", "--porcelain", "-uall", "--", n)]
    data_changed = pointer.read_bytes() != registered
    return replace(result, data_changed=data_changed, uncommitted=tuple(new))


def run_sample(workspace, params, say=print):
    """The same steps on the built-in synthetic sample, in a scratch folder and without DVC.

    Touches neither data/, models/ nor any tracked file, and tracks to a database of its own.

    Returns
    -------
    Result
        Whose workspace is the scratch folder. Its figures are the sample's.
    """
    from laptop_pricing.data.preprocess import preprocess
    from laptop_pricing.data.sample import write_sample
    from laptop_pricing.modeling.train import train

    scratch, params = _sample_of(workspace, params)
    say("Making the built-in synthetic sample")
    write_sample(scratch.raw, SAMPLE_ROWS)
    say("Cleaning, training and evaluating on the sample")
    preprocess(scratch, params.preprocess)
    train(scratch, params)
    return _finish(scratch, params, say)


def open_result(say=print):
    """The project's result where there is one, else the sample's: what the notebooks show.

    Parameters
    ----------
    say : callable, optional
        Gets a line that says which.

    Returns
    -------
    workspace : Workspace
        With data/raw, data/processed and models.
    params : Params
    """
    workspace = find_workspace()
    load_environment(workspace)
    params = load_params(workspace.root / PARAMS_FILE)
    if (workspace.models / "metadata.json").is_file():
        say(f"The project's own data and model, in {workspace.root.name}/")
        return workspace, params
    scratch, sample_params = _sample_of(workspace, params)
    if not (scratch.models / "metadata.json").is_file():
        run_sample(workspace, params, say)
    say(
        f"No model here yet ({NAME} run makes it): this is the built-in synthetic sample. Its "
        f"figures say nothing about {ITEMS}."
    )
    return scratch, sample_params


def _sample_of(workspace, params):
    """The scratch folder, and params that take the sample whatever its unit."""
    anything = params.preprocess.model_copy(update={"median_price": (1e-9, 1e12)})
    scratch = Workspace(workspace.root / SCRATCH / "sample", use_server=False)
    return scratch, params.model_copy(update={"preprocess": anything})


def obtain_data(workspace, params, say=print):
    """Fill data/raw: from DVC's cache, else from the DVC remote if data.dvc promises the data and a
    remote is configured, else from the source in params.yaml.

    Raises
    ------
    DataUnavailable
        If that one does not have it.
    """
    others = [path.name for path in workspace.raw.parent.glob("*.csv")]
    if others:
        raise UserError(
            f"data/raw: found {', '.join(others)}; expected {workspace.raw.name}; "
            "move it elsewhere, then laptop-pricing ingest PATH"
        )
    run_dvc(workspace, "checkout", "data.dvc", capture=True)
    if workspace.raw.is_file():
        return
    repo = storage.open_repo(workspace)
    if repo.config["remote"] and str(Path("data", "raw")) in storage.promised(repo):
        say("Getting the data: dvc pull data.dvc")
        link = check_remote(repo)  # first: a pull is patient with silence
        if link.state == "broken":
            raise DataUnavailable(f"{link.found}; {link.fix}")
        pulled = run_dvc(workspace, "pull", "data.dvc", capture=True)
        if pulled.returncode or not workspace.raw.is_file():
            raise DataUnavailable(
                f"dvc pull: data.dvc: missing there or corrupt; {NAME} doctor says which"
            )
    else:
        say(f"Getting the data: {params.ingest.source}")
        ingest(params.ingest.source, workspace, params)


def _finish(workspace, params, say):
    from laptop_pricing.tracking.runs import track

    say("Tracking the result with MLflow")
    tracked, problem = None, ""
    try:
        tracked = track(workspace, params)
    except (StepFailed, UserError) as error:  # the model is there: say so, and track later
        problem = str(error)
    return Result(
        workspace=workspace,
        data=_read_json(workspace.processed / "summary.json"),
        metrics=_read_json(workspace.metrics),
        tracked=tracked,
        problem=problem,
    )


def _read_json(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable: {error}; run dvc repro -f") from None
