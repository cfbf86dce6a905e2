"""params.yaml as frozen, typed settings."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Optional

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from .errors import UserError


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] >= pair[1]:
        raise ValueError("two numbers, the lower one first")
    return pair


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise ValueError("values that differ from each other")
    return values


Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(min_length=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class IngestParams(_Section):
    source: Text
    timeout_s: Positive
    # Of the file at the source, where it is published
    md5: Optional[Annotated[str, Field(pattern="^[0-9a-f]{32}$")]] = None


class PreprocessParams(_Section):
    max_rejected: Share
    # Of numbers
    median_target: Optional[Annotated[tuple[float, float], AfterValidator(_ascending)]] = None


class TrainParams(_Section):
    folds: Annotated[int, Field(ge=2, le=50)]
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1), AfterValidator(_distinct)]
    # With more rows fewer of the seeds are used, since figures are then less a matter of luck
    repeat_rows: Annotated[int, Field(ge=1)] = 3_000
    # Of mistakes, by actual class and then by what is said; where none is named it is 1
    costs: Optional[Mapping[str, Mapping[str, Positive]]] = None

    def for_rows(self, rows: int) -> "TrainParams":
        """With fewer seeds where there are more rows than ``repeat_rows``."""
        count = min(len(self.seeds), len(self.seeds) * self.repeat_rows // rows)
        return self.model_copy(update={"seeds": self.seeds[: max(1, count)]})


class Criteria(_Section):
    R2: Optional[Annotated[float, Field(le=1)]] = None
    MAPE: Optional[Positive] = None
    MAE: Optional[Positive] = None
    log_loss: Optional[Positive] = None
    Brier: Optional[Positive] = None
    ROC_AUC: Optional[Share] = None
    accuracy: Optional[Share] = None
    balanced_accuracy: Optional[Share] = None


class PromoteParams(_Section):
    tolerance: Annotated[float, Field(ge=0)]
    slice_tolerance: Annotated[float, Field(ge=0)]


class TrackParams(_Section):
    experiment: Text


class MonitorParams(_Section):
    """From when on ``monitor`` raises an alarm."""

    # Chance of a false alarm in one report
    false_alarms: Annotated[float, Field(gt=0, lt=0.5)] = 0.01
    # Population stability index below which a shift is too small to matter
    least_psi: Annotated[float, Field(ge=0)] = 0.05
    # Quotes without which nothing is said of drift
    least_quotes: Annotated[int, Field(ge=1)] = 100
    # Share of outcomes outside their 90 % intervals or sets
    most_misses: Annotated[float, Field(gt=0, lt=1)] = 0.15


class ScaleParams(_Section):
    """How much is in memory at a time, which no small table needs to know."""

    # Rows that are read, cleaned or predicted at a time, and of a part of the table
    block_rows: Annotated[int, Field(ge=1)] = 50_000
    # Of a table with more rows a sample of so many stands for it where all are needed at once
    memory_rows: Annotated[int, Field(ge=1)] = 50_000


class Params(_Section):
    """The content of params.yaml, one section per step; `model` is what ``build_model`` is told."""

    ingest: IngestParams
    preprocess: PreprocessParams
    train: TrainParams
    criteria: Criteria
    track: TrackParams
    promote: PromoteParams
    model: Mapping[str, Any] = {}
    monitor: MonitorParams = MonitorParams()
    scale: ScaleParams = ScaleParams()


def load_params(path: Path) -> Params:
    """Read params.yaml; a UserError says the key, what was found and what is allowed."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        # Through JSON, since strict pydantic takes a list for a tuple only there.
        return Params.model_validate_json(json.dumps(content, default=str))
    except FileNotFoundError:
        raise UserError(path, "no such file") from None
    except ValidationError as error:
        raise UserError(path, _explain(error)) from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(path, f"not valid YAML: {error}") from None
    except (RecursionError, TypeError, ValueError):
        found = "found a key that is no name, or values that contain themselves or nest too deeply"
        raise UserError(path, found) from None


def _explain(error: ValidationError) -> str:
    """One of pydantic's findings as one line; an unknown key explains a missing one."""
    errors = error.errors()
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    key = ".".join(str(part) for part in first["loc"]) or "the whole file"
    if first["type"] == "extra_forbidden":
        section: Any = Params
        for part in first["loc"][:-1]:
            section = section.model_fields[part].annotation
        return f"{key}: unknown key; allowed: {', '.join(section.model_fields)}"
    if first["type"] == "missing":
        return f"{key}: missing; add it"
    allowed = first["msg"].removeprefix("Value error, ")
    return f"{key}: found {first['input']!r}; allowed: {allowed[0].lower()}{allowed[1:]}"
