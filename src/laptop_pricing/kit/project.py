"""A project as one object: its problem, its model, its folders, its params, its servers."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from .errors import UserError
from .files import short
from .problem import Problem

if TYPE_CHECKING:
    from .params import Params

PARAMS_FILE = "params.yaml"
BuildModel = Callable[[Problem, "Params"], Any]


class _Below:
    """An attribute that is a path below the project's root."""

    def __init__(self, *parts: str) -> None:
        self.parts = parts

    def __get__(self, project: "Project", owner: object) -> Path:
        return project.root.joinpath(*self.parts)


@dataclass(frozen=True)
class Project:
    """What every step gets. :func:`open_project` makes one."""

    problem: Problem
    build_model: BuildModel  # (problem, params) -> an unfitted scikit-learn regressor
    root: Path  # the project's folder, below which every step reads and writes
    trusted: tuple[str, ...] = ()  # the team's own types that a model file may hold
    use_server: bool = True  # whether the environment's MLflow server is this project's
    given_params: Optional["Params"] = None  # take the place of params.yaml

    interim = _Below("data", "interim")
    processed = _Below("data", "processed")
    models = _Below("models")
    figures = _Below("reports", "figures")
    plots = _Below("reports", "plots")
    metrics = _Below("metrics.json")
    quotes = _Below("quotes")

    @property
    def name(self) -> str:
        return self.problem.name

    @cached_property
    def params(self) -> "Params":
        """The content of params.yaml, read when it is first asked for."""
        from .params import load_params

        return self.given_params or load_params(Path(short(self.root / PARAMS_FILE)))

    def model(self) -> Any:
        """The unfitted model for the params; a UserError names one that it misses or refuses."""
        try:
            return self.build_model(self.problem, self.params)
        except KeyError as error:
            place = f"{PARAMS_FILE}: model.{error.args[0]}"
            raise UserError(place, "missing; build_model asks for it", "add it") from None
        except ValueError as error:
            raise UserError(f"{PARAMS_FILE}: model", str(error)) from None

    @property
    def raw(self) -> Path:
        return self.root / "data" / "raw" / self.problem.raw_file

    @property
    def owned(self) -> tuple[Path, ...]:
        """The folders that the pipeline and DVC write, and nobody else."""
        others = (self.root / "reports", self.root / ".dvc")
        return (self.raw.parent, self.interim, self.processed, self.models, *others)

    @property
    def tracking_uri(self) -> str:
        """The MLflow server of the environment (``MLFLOW_TRACKING_URI``), else a local database."""
        server = os.environ.get("MLFLOW_TRACKING_URI") if self.use_server else None
        return server or self.local_tracking_uri

    @property
    def local_tracking_uri(self) -> str:
        return f"sqlite:///{(self.root / 'mlflow.db').as_posix()}"

    def load_environment(self) -> None:
        """Put what .env says into the environment, unless a variable is set already."""
        from dotenv import load_dotenv

        path = self.root / ".env"
        try:
            load_dotenv(path, override=False)
        except UnicodeDecodeError:
            raise UserError(short(path), "not UTF-8", "save the file as UTF-8") from None


def open_project(
    problem: Problem,
    build_model: BuildModel,
    start: Optional[Path] = None,
    trusted: tuple[str, ...] = (),
) -> Project:
    """The project in the nearest folder that holds params.yaml, from `start` upwards.

    `start` is the working directory by default; a UserError says that there is none.
    """
    start = Path(start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / PARAMS_FILE).is_file():
            return Project(problem, build_model, folder, trusted)
    raise UserError(
        PARAMS_FILE, f"found neither in {start} nor above it", "change to the project's folder"
    )
