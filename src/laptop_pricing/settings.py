"""params.yaml and .env as frozen, typed settings, and where the workspace keeps its files."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Optional

from dotenv import load_dotenv
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from laptop_pricing.data.schema import FEATURES, RAW_FILE
from laptop_pricing.errors import UserError
from laptop_pricing.files import short

PARAMS_FILE = "params.yaml"


def _ascending(pair):
    if pair[0] >= pair[1]:
        raise ValueError("two numbers, the lower one first")
    return pair


def _distinct(values):
    if len(set(values)) < len(values):
        raise ValueError("values that differ from each other")
    return values


Positive = Annotated[float, Field(gt=0)]
# Below, equal columns leave no unique Ridge; above, nothing is left of the columns.
Penalty = Annotated[float, Field(ge=0.001, le=1e9)]
Folds = Annotated[int, Field(ge=2, le=50)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class IngestParams(_Section):
    source: Annotated[str, Field(min_length=1)]
    timeout_s: Positive
    md5: Optional[Annotated[str, Field(pattern="^[0-9a-f]{32}$")]] = None


class PreprocessParams(_Section):
    max_rejected: Annotated[float, Field(ge=0, le=1)]
    median_price: Annotated[tuple[Positive, Positive], AfterValidator(_ascending)]


class TrainParams(_Section):
    crossed: Annotated[tuple[Literal[FEATURES], ...], AfterValidator(_distinct)]
    alphas: Annotated[tuple[Penalty, ...], Field(min_length=1), AfterValidator(_distinct)]
    folds: Folds
    inner_folds: Folds
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0, lt=2**32)], ...],
        Field(min_length=1),
        AfterValidator(_distinct),
    ]


class Criteria(_Section):
    R2: Annotated[float, Field(le=1)]
    MAPE: Positive


class PromoteParams(_Section):
    tolerance: Annotated[float, Field(ge=0, lt=1)]
    slice_tolerance: Annotated[float, Field(ge=0, lt=1)]


class TrackParams(_Section):
    experiment: Annotated[str, Field(min_length=1)]


class Params(_Section):
    """The content of params.yaml, one section per step."""

    ingest: IngestParams
    preprocess: PreprocessParams
    train: TrainParams
    criteria: Criteria
    track: TrackParams
    promote: PromoteParams


@dataclass(frozen=True)
class Workspace:
    """Where a run of the project reads and writes, below `root`.

    Parameters
    ----------
    root : Path
        The project's folder.
    use_server : bool
        Whether the environment's MLflow server is this workspace's; the sample's runs stay local.
    """

    root: Path
    use_server: bool = True

    @property
    def raw(self):
        return self.root / "data" / "raw" / RAW_FILE

    @property
    def interim(self):
        return self.root / "data" / "interim"

    @property
    def processed(self):
        return self.root / "data" / "processed"

    @property
    def models(self):
        return self.root / "models"

    @property
    def figures(self):
        return self.root / "reports" / "figures"

    @property
    def plots(self):
        return self.root / "reports" / "plots"

    @property
    def metrics(self):
        return self.root / "metrics.json"

    @property
    def tracking_uri(self):
        """The MLflow server of the environment (``MLFLOW_TRACKING_URI``), else a local database."""
        server = os.environ.get("MLFLOW_TRACKING_URI") if self.use_server else None
        return server or self.local_tracking_uri

    @property
    def local_tracking_uri(self):
        return f"sqlite:///{(self.root / 'mlflow.db').as_posix()}"

    @property
    def owned(self):
        """The folders that the pipeline and DVC write, and nobody else."""
        reports = self.root / "reports"
        dvc = self.root / ".dvc"
        return (self.raw.parent, self.processed, self.interim, self.models, reports, dvc)


def find_workspace(start=None):
    """The nearest folder from `start` upwards that holds params.yaml.

    Parameters
    ----------
    start : Path, optional
        Where to begin; the working directory by default, so that notebooks find it too.

    Raises
    ------
    UserError
        If there is none.
    """
    start = Path(start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / PARAMS_FILE).is_file():
            return Workspace(folder)
    raise UserError(
        f"{PARAMS_FILE} found neither in {start} nor above it; change to the project's folder"
    )


def load_environment(workspace):
    """Put what .env says into the environment, where MLflow, DVC and boto3 look for it.

    A variable that is already set wins over the file.
    """
    path = workspace.root / ".env"
    try:
        load_dotenv(path, override=False)
    except UnicodeDecodeError:
        raise UserError(f"{short(path)}: not UTF-8; save the file as UTF-8") from None


def load_params(path):
    """Read params.yaml.

    Raises
    ------
    UserError
        In one line: the file, the key, what was found and what is allowed.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = YAML(typ="safe", pure=True).load(Path(path).read_text(encoding="utf-8"))
        # Through JSON, since strict pydantic takes a list for a tuple only there.
        text = json.dumps(_text_keys(content), default=str)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {error}") from None
    except (RecursionError, ValueError) as error:  # nested too deep, inside itself, no date
        raise UserError(f"{path}: not readable: {error}; expected sections of plain values") from None
    try:
        return Params.model_validate_json(text)
    except ValidationError as error:
        raise UserError(f"{path}: {_explain(error)}") from None


def _text_keys(value):
    if not isinstance(value, dict):
        return value
    return {str(key): _text_keys(item) for key, item in value.items()}


def _explain(error):
    """One of pydantic's findings as one line; an unknown key explains a missing one."""
    found = error.errors()
    first = next((e for e in found if e["type"] == "extra_forbidden"), found[0])
    key = ".".join(str(part) for part in first["loc"]) or "the whole file"
    if first["type"] == "extra_forbidden":
        section = Params
        for part in first["loc"][:-1]:
            section = section.model_fields[part].annotation
        return f"{key}: unknown key; allowed: {', '.join(section.model_fields)}"
    if first["type"] == "missing":
        return f"{key}: missing; add it"
    allowed = first["msg"].removeprefix("Value error, ")
    return f"{key}: found {first['input']!r}; allowed: {allowed[0].lower()}{allowed[1:]}"
