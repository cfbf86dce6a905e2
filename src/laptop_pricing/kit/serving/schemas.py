"""What the REST API takes and answers, as pydantic models; a case's is made from the problem."""

from functools import lru_cache
from itertools import islice
from typing import Annotated, Any, ClassVar, Optional

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    create_model,
    model_validator,
)
from pydantic_core import PydanticCustomError

from ..modeling.classification import ClassQuote
from ..modeling.interval import COVERAGE, Offer
from ..modeling.regression import Quote
from ..modeling.task import task_of
from ..problem import REFUSED, Column, Problem

MOST_UNKNOWN = 100  # fields of a case that are told
MOST_KNOWN, SHORT = 1_000, 60  # texts of a column that need not be read again; their characters


def case_model(problem: Problem) -> type[BaseModel]:
    """The model of one case: its fields are the features, each read by :meth:`Column.read`."""

    def check(case: BaseModel) -> BaseModel:
        if broken := [failure.expected for failure in problem.broken_rules(vars(case))]:
            text: Any = f"Expected that {'; '.join(broken)}"
            raise PydanticCustomError("rules", text, {"rules": broken})
        return case

    names, most = problem.names, len(problem.names) + MOST_UNKNOWN

    def limit(cells: Any) -> Any:
        """A few of its unknown fields are enough to refuse a case."""
        if not isinstance(cells, dict):
            raise PydanticCustomError("model_type", "Input should be an object")
        if len(cells) > most:
            cells = {n: cells[n] for n in names if n in cells} | dict(islice(cells.items(), most))
        return cells

    rules: Any = {"check_rules": model_validator(mode="after")(check)}
    rules["limit"] = model_validator(mode="before")(limit)
    fields: dict[str, Any] = {column.name: _field(column) for column in problem.features}
    examples: Any = {"examples": [problem.read_row(problem.example)[0]]}
    return create_model(
        "".join(filter(str.isalnum, problem.item.title())),
        __config__=ConfigDict(extra="forbid", protected_namespaces=(), json_schema_extra=examples),
        __validators__=rules,
        **fields,
    )


def _field(column: Column) -> tuple[Any, Any]:
    kind, expected = column.kind, f"Input should be {column.rule}"
    error: Any = PydanticCustomError(kind, expected)  # type: ignore[arg-type]
    known = lru_cache(MOST_KNOWN, typed=True)(column.read)  # the same cells come again

    def read(cell: object) -> object:
        short = isinstance(cell, str) and len(cell) < SHORT
        value = known(cell) if short else column.read(cell)
        if value is REFUSED:
            raise error
        return value

    schema: dict[str, Any] = {"type": kind, "minimum": column.low, "maximum": column.high}
    if not column.numeric:
        words = {"type": "string", "enum": list(column.allowed)}
        schema = words if kind == "category" else {"type": "boolean"}
    if column.optional:
        schema = {"anyOf": [schema, {"type": "null"}]}
    unit = f" ({column.unit})" if column.unit else ""
    described = Field(description=f"{column.description}{unit}")
    default = column.default if column.optional else ...
    return Annotated[Any, PlainValidator(read), WithJsonSchema(schema), described], default


class Wanted(BaseModel):
    """What a query may ask for."""

    model_config = ConfigDict(allow_inf_nan=False)
    margin: Optional[float] = Field(None, ge=0, le=0.95, description="Wanted share of the sale.")
    risk: Optional[float] = Field(
        None, ge=0.01, le=0.99, description="Accepted share of deals that miss the margin."
    )

    @model_validator(mode="after")
    def check_risk(self) -> "Wanted":
        if self.risk is not None and self.margin is None:
            raise PydanticCustomError("risk", "Expected a margin beside the risk")
        return self


class Nothing(BaseModel):
    """What a query may ask for where nothing is bought."""

    margin: ClassVar[None] = None
    risk: ClassVar[None] = None


class ModelId(BaseModel):
    name: str
    version: Optional[str] = Field(description="In the registry; null for a folder.")
    sha256: str
    data_md5: str


class Interval(BaseModel):
    coverage: float = Field(description="Share of the actual values that it held.")
    low: float
    high: float


class Answer(BaseModel):
    """What every quote answers."""

    model_config = ConfigDict(allow_inf_nan=False)

    quote_id: Optional[str] = Field(None, description="In the log of quotes; null if not logged.")
    prediction: Any
    base: Optional[float] = Field(description="The prediction for the average case, or its odds.")
    factors: Optional[dict[str, float]] = Field(description="The base times these; or null.")
    warnings: list[str]
    distance: int = Field(description="Fields in which the nearest training case differs.")
    typical_error: float = Field(description="Mean error at that distance: MAPE, MAE or log loss.")
    model: ModelId


class QuoteAnswer(Answer):
    prediction: float
    unit: str
    interval: Interval
    terms: Optional[dict[str, float]] = Field(description="The base plus these; or null.")

    @classmethod
    def of(cls, quote: Quote, unit: str, model: ModelId) -> "QuoteAnswer":
        interval = Interval(coverage=COVERAGE, low=quote.low, high=quote.high)
        return cls(**vars(quote), unit=unit, interval=interval, model=model)


class OfferAnswer(QuoteAnswer):
    offers: Optional[list[Offer]] = Field(description="null without a margin.")


class ClassAnswer(Answer):
    prediction: str = Field(description="The class to say: that whose mistakes cost least.")
    chances: dict[str, float]
    set: list[str] = Field(description="The classes as likely as for 90 % of their rows.")
    odds: list[str] = Field(description="Of which class, against which: what the base is.")

    @classmethod
    def of(cls, quote: ClassQuote, unit: str, model: ModelId) -> "ClassAnswer":
        return cls(**vars(quote), model=model)


def answer_kind(problem: Problem) -> Any:
    """The model of a problem's answers."""
    kinds = {"regression": QuoteAnswer, "classification": ClassAnswer}
    return OfferAnswer if problem.bought else kinds[task_of(problem).name]


class ModelAnswer(ModelId):
    origin: str
    target: str
    unit: str
    metrics: dict[str, Any]
    caveat: str


class SchemaAnswer(BaseModel):
    item: str
    items: str
    features: tuple[Column, ...]
    target: Column
    example: dict[str, str] = Field(description="One case, as a person types it.")
    task: str = Field(description="regression or classification.")
    errors: str = Field(description="relative or absolute: which count.")
    bought: bool = Field(description="Whether a quote may ask for offers.")
    words: dict[str, str] = Field(description="Translations, by a column's name or by the text.")


class Refusal(BaseModel):
    detail: str
