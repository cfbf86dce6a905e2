"""What the REST API takes and answers, for its OpenAPI page; made from the schema."""

from typing import Annotated, Literal, Optional

from pydantic import BaseModel, ConfigDict, Field, create_model

from laptop_pricing.data.schema import ITEM, SPECIFICATION


def _declared(column):
    """A column as a field of a pydantic model."""
    if column.kind == "category":
        kind = Literal[column.allowed]
    elif column.kind == "flag":
        kind = bool
    else:
        number = int if column.kind == "integer" else float
        kind = Annotated[number, Field(ge=column.low, le=column.high)]
    unit = f" ({column.unit})" if column.unit else ""
    described = Field(description=f"{column.description}{unit}")
    if column.default is None:
        return Annotated[kind, described], ...
    return Annotated[Optional[kind], described], column.default


Row = create_model(
    ITEM.title().replace(" ", ""),
    __config__=ConfigDict(extra="forbid", strict=True),
    **{column.name: _declared(column) for column in SPECIFICATION},
)


class ModelId(BaseModel):
    name: str
    version: Optional[str] = Field(description="In the registry; null for a folder.")
    sha256: str
    data_md5: str


class Interval(BaseModel):
    coverage: float = Field(description="Share of the actual prices that it holds.")
    low: float
    high: float


class OfferLine(BaseModel):
    risk: float = Field(description="Accepted share of deals that miss the margin.")
    offer: float
    losing: float = Field(description="Share of deals that sell below the offer.")
    expected_margin: float


class QuoteAnswer(BaseModel):
    price: float
    unit: str
    interval: Interval
    base: float = Field(description="What the factors multiply.")
    factors: dict[str, float] = Field(description="Their product with the base is the price.")
    offers: Optional[list[OfferLine]] = Field(description="null without a margin.")
    warnings: list[str]
    model: ModelId


class ModelAnswer(ModelId):
    origin: str
    target: str
    unit: str
    metrics: dict
    caveat: str


class ColumnAnswer(BaseModel):
    name: str
    kind: Literal["category", "integer", "number", "flag"]
    description: str
    unit: str
    rule: str
    allowed: list[str]
    low: Optional[float]
    high: Optional[float]
    levels: list[float]
    required: bool
    default: Optional[bool | float | str]


class SchemaAnswer(BaseModel):
    item: str
    items: str
    target: str
    unit: str
    columns: list[ColumnAnswer]
    example: dict


class Health(BaseModel):
    status: str


class Problem(BaseModel):
    detail: str


class FailureLine(BaseModel):
    row: Optional[int] = Field(description="From 0; null where it is no row.")
    field: str = Field(description="Blank where it is the row or the body as a whole.")
    found: str
    expected: str


class Invalid(BaseModel):
    detail: list[FailureLine]
    count: int = Field(description="Of failures in all; the first of them are listed.")
