"""The REST API: quotes from a bundle, for whoever knows the key."""

import json
from secrets import compare_digest
from typing import Annotated, Optional, Union

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader

from laptop_pricing import NAME
from laptop_pricing.data.row import Failure, read_row
from laptop_pricing.data.schema import (
    CAVEAT,
    EXAMPLE,
    ITEM,
    ITEMS,
    SPECIFICATION,
    TARGET,
    UNIT,
)
from laptop_pricing.modeling.interval import COVERAGE
from laptop_pricing.modeling.quote import quote_rows
from laptop_pricing.serving import messages

MAX_BODY = 1_000_000  # bytes
MAX_ROWS = 1_000
MAX_FAILURES = 1_000  # that one answer lists
KEY_VARIABLE = f"{NAME.upper().replace('-', '_')}_API_KEY"
ADDRESS_VARIABLE = f"{NAME.upper().replace('-', '_')}_API"  # tells the form

_PROBLEM = {"model": messages.Problem}
_REFUSED = {401: _PROBLEM | {"description": "The key is missing or wrong"}}
_BODY_REFUSED = {
    413: _PROBLEM | {"description": f"More than {MAX_BODY:,} bytes or {MAX_ROWS:,} {ITEMS}"},
    422: {"model": messages.Invalid, "description": "Which field of which row is wrong, and why"},
}
Margin = Annotated[
    Optional[float],
    Query(ge=0, le=0.95, allow_inf_nan=False, description="Wanted share of the selling price."),
]
Risk = Annotated[
    Optional[float],
    Query(
        ge=0.01,
        le=0.99,
        allow_inf_nan=False,
        description="Accepted share of deals that miss the margin; needs a margin.",
    ),
]


class Refused(Exception):
    """The request is wrong: ``(row or None, Failure)`` for each reason."""

    def __init__(self, failures):
        self.failures = failures


def create_app(bundle, origin, version=None, key=None):
    """The application, which Uvicorn or AWS Lambda runs.

    Parameters
    ----------
    bundle : Bundle
        From :func:`~laptop_pricing.modeling.bundle.load_compiled`.
    origin : str
        Where the bundle comes from, in words.
    version : str, optional
        In the model registry.
    key : str, optional
        What ``X-API-Key`` has to be; without it nobody is asked.

    Returns
    -------
    FastAPI
    """
    metadata = bundle.metadata
    model = {
        "name": NAME,
        "version": version,
        "sha256": metadata["model_sha256"],
        "data_md5": metadata["data_md5"],
    }
    expected_key = (key or "").encode()
    header = APIKeyHeader(name="X-API-Key", auto_error=False)

    async def check_key(given: Annotated[Optional[str], Depends(header)]):
        # Starlette reads the bytes of a header as Latin-1.
        if key and not compare_digest((given or "").encode("latin-1"), expected_key):
            raise HTTPException(401, "X-API-Key: missing or wrong; ask who runs this server")

    app = FastAPI(title=NAME, description=f"The {TARGET} of {ITEMS}. {CAVEAT}", version="1")
    app.add_exception_handler(Refused, _tell_refused)
    app.add_exception_handler(RequestValidationError, _tell_invalid)
    v1 = APIRouter(prefix="/v1", dependencies=[Depends(check_key)], responses=_REFUSED)

    @v1.post(
        "/quotes",
        summary=f"Price one {ITEM}, or a list of up to {MAX_ROWS:,}",
        description="The answer is a quote, or a list of quotes in the same order. Text is "
        "read as the command reads it: in any case, with the unit or without.",
        openapi_extra={"requestBody": _request_body()},
        responses={
            200: {"model": Union[messages.QuoteAnswer, list[messages.QuoteAnswer]]},
            **_BODY_REFUSED,
        },
    )
    async def quotes(request: Request, margin: Margin = None, risk: Risk = None):
        if risk is not None and margin is None:
            raise Refused([(None, Failure("risk", "no margin", "a margin, too"))])
        body = await read_body(request)
        rows = read_rows(body)
        answers = [_answer(found, model) for found in quote_rows(bundle, rows, margin, risk)]
        return JSONResponse(answers if isinstance(body, list) else answers[0])

    @v1.get("/model", summary="What is loaded, and how good it is")
    async def about() -> messages.ModelAnswer:
        return messages.ModelAnswer(
            **model,
            origin=origin,
            target=TARGET,
            unit=UNIT,
            metrics=metadata["metrics"],
            caveat=CAVEAT,
        )

    @v1.get("/schema", summary="The fields, for forms")
    async def schema() -> messages.SchemaAnswer:
        return describe_schema()

    @app.get("/healthz", summary="Whether the server is up; asks for no key")
    async def health() -> messages.Health:
        return messages.Health(status="ok")

    # <!-- of the template -->
    from laptop_pricing.serving import course

    course.add_route(v1, bundle, version or model["sha256"][:12], _BODY_REFUSED)
    # <!-- end of the template -->
    app.include_router(v1)
    return app


async def read_body(request):
    """The JSON of a request, whose size is limited."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > MAX_BODY:
            raise HTTPException(413, f"found more than {MAX_BODY:,} bytes; send fewer {ITEMS}")
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        found = "what is no JSON" if content else "nothing"
        raise Refused([(None, Failure("", found, f"JSON: one {ITEM}, or a list"))]) from None


def read_rows(body):
    """The rows of a body, each valid, or all that is wrong with them."""
    cells = body if isinstance(body, list) else [body]
    if len(cells) > MAX_ROWS:
        raise HTTPException(413, f"found {len(cells):,} {ITEMS}; send {MAX_ROWS:,} at most")
    if not cells:
        raise Refused([(None, Failure("", "an empty list", f"at least one {ITEM}"))])
    rows, failures = [], []
    for i, cell in enumerate(cells):
        row, wrong = read_row(cell)
        rows.append(row)
        failures += ((i, failure) for failure in wrong)
    if failures:
        raise Refused(failures)
    return rows


def describe_schema():
    """What a form has to know, from SPECIFICATION."""
    columns = [
        messages.ColumnAnswer(
            name=column.name,
            kind=column.kind,
            description=column.description,
            unit=column.unit,
            rule=column.rule,
            allowed=column.allowed,
            low=column.low if column.kind in ("integer", "number") else None,
            high=column.high if column.kind in ("integer", "number") else None,
            levels=column.levels,
            required=column.default is None,
            default=column.default,
        )
        for column in SPECIFICATION
    ]
    return messages.SchemaAnswer(
        item=ITEM,
        items=ITEMS,
        target=TARGET,
        unit=UNIT,
        columns=columns,
        example=read_row(EXAMPLE)[0],
    )


def _request_body():
    row = messages.Row.model_json_schema()
    example = read_row(EXAMPLE)[0]
    examples = {
        f"one {ITEM}": {"value": example},
        "as a person types it": {"value": EXAMPLE},
        "a list": {"value": [example, EXAMPLE]},
    }
    many = {"type": "array", "items": row, "minItems": 1, "maxItems": MAX_ROWS}
    content = {"schema": {"anyOf": [row, many]}, "examples": examples}
    return {"required": True, "content": {"application/json": content}}


def _answer(found, model):
    return {
        "price": found.price,
        "unit": UNIT,
        "interval": {"coverage": COVERAGE, "low": found.low, "high": found.high},
        "base": found.base,
        "factors": found.factors,
        "offers": None if found.offers is None else [line._asdict() for line in found.offers],
        "warnings": found.warnings,
        "model": model,
    }


async def _tell_refused(request, error):
    lines = [{"row": row} | failure._asdict() for row, failure in error.failures[:MAX_FAILURES]]
    return JSONResponse({"detail": lines, "count": len(error.failures)}, 422)


async def _tell_invalid(request, error):
    """The query is wrong, in the words of pydantic."""
    failures = [
        (None, Failure(str(e["loc"][-1]), repr(e["input"])[:60], e["msg"])) for e in error.errors()
    ]
    return await _tell_refused(request, Refused(failures))
