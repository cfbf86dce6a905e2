"""The REST API: quotes from a bundle, for whoever knows the key."""

import reprlib
from collections.abc import Awaitable, Callable
from secrets import compare_digest
from typing import Annotated, Any, Optional, get_type_hints

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import to_json

from ..modeling.bundle import Bundle
from ..modeling.quote import quote_rows
from ..modeling.task import task_of
from ..problem import Problem
from .schemas import (
    ANSWERS,
    Answer,
    ModelAnswer,
    ModelId,
    Nothing,
    OfferAnswer,
    Refusal,
    SchemaAnswer,
    Wanted,
    case_model,
)

MAX_BODY = 1_000_000  # bytes
MAX_ROWS = MAX_ERRORS = 1_000  # of a request, of an answer
_JSON = "application/json"


class Direct(APIRoute):
    """A route that FastAPI documents, but whose body and query are each validated by one call.

    FastAPI's own way, which looks for every parameter by itself, costs more than a prediction. The
    function takes the body and, if it has a second parameter, the query.
    """

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore
        if self.body_field is None:
            return super().get_route_handler()
        hints = get_type_hints(self.endpoint, include_extras=True)
        body, *query = [TypeAdapter(kind) for name, kind in hints.items() if name != "return"]
        checks: list[Any] = [depends.dependency for depends in self.dependencies]

        async def handle(request: Request) -> Response:
            for check in checks:
                await check(request)
            found = [validated("body", body.validate_json, await _read(request))]
            for wanted in query:
                asked = dict(request.query_params) if request.scope["query_string"] else {}
                found.append(validated("query", wanted.validate_python, asked))
            return Response(to_json(await self.endpoint(*found)), media_type=_JSON)

        return handle


class Key(APIKeyHeader):
    """Asks for the key in ``X-API-Key`` if there is one."""

    def __init__(self, key: Optional[str]) -> None:
        super().__init__(name="X-API-Key", auto_error=False)
        self.key = (key or "").encode()

    async def __call__(self, request: Request) -> None:  # type: ignore[override]
        # Starlette reads the bytes of a header as Latin-1.
        given = request.headers.get("x-api-key", "").encode("latin-1")
        if self.key and not compare_digest(given, self.key):
            raise HTTPException(401, "X-API-Key: missing or wrong; ask who runs this server")


def create_app(
    problem: Problem,
    bundle: Bundle,
    origin: str,
    version: Optional[str] = None,
    key: Optional[str] = None,
) -> FastAPI:
    """The application, which Uvicorn or AWS Lambda runs; without a key nobody is asked for one.

    `origin` says in words where the bundle comes from, `version` is the model registry's.
    """
    md5 = bundle.metadata["data_md5"]
    model = ModelId(name=problem.name, version=version, sha256=bundle.sha256, data_md5=md5)
    one: Any = case_model(problem)
    many: Any = Annotated[list[one], Field(min_length=1, max_length=MAX_ROWS)]
    query: Any = Annotated[Wanted if problem.bought else Nothing, Query()]
    kind: Any = OfferAnswer if problem.bought else ANSWERS[task_of(problem).name]

    app = _empty_app(problem, key)
    app.state.bundle, app.state.version, app.state.origin = bundle, version, origin

    def answer(cases: list[Any], wanted: Any) -> list[Answer]:
        rows = [vars(case) for case in cases]
        quotes = quote_rows(problem, bundle, rows, wanted.margin, wanted.risk)
        return [kind.of(quote, problem.target.unit, model) for quote in quotes]

    @app.post("/v1/quote", summary=f"Predict one {problem.item}")
    async def quote(case: one, wanted: query) -> kind:
        return answer([case], wanted)[0]

    @app.post("/v1/quotes", summary=f"Predict up to {MAX_ROWS:,} {problem.items}, in their order")
    async def quotes(cases: many, wanted: query) -> list[kind]:
        return answer(cases, wanted)

    @app.get("/v1/model", summary="What is loaded, and how good it is")
    async def about() -> ModelAnswer:
        return ModelAnswer(
            **vars(model),
            origin=origin,
            target=problem.target.name,
            unit=problem.target.unit,
            metrics=bundle.metadata["metrics"],
            caveat=problem.caveat,
        )

    @app.get("/v1/schema", summary="The fields, for forms")
    async def schema() -> SchemaAnswer:
        return SchemaAnswer(**vars(problem), task=task_of(problem).name)

    return app


def _empty_app(problem: Problem, key: Optional[str]) -> FastAPI:
    app = FastAPI(
        title=problem.name,
        description=f"The {problem.target.name} of {problem.items}. {problem.caveat}",
        version="1",
        dependencies=[Depends(Key(key))],
        responses={401: {"model": Refusal}, 413: {"model": Refusal}},
    )
    app.router.route_class = Direct
    app.add_exception_handler(RequestValidationError, _refuse)
    app.add_route("/healthz", _health)
    return app


def validated(place: str, validate: Callable[[Any], Any], content: object) -> Any:
    """`content` as its model, or FastAPI's error that names the fields below `place`."""
    try:
        return validate(content)
    except ValidationError as error:
        lines = [dict(line, loc=(place, *line["loc"])) for line in error.errors(include_url=False)]
        raise RequestValidationError(lines) from None


async def _read(request: Request) -> bytearray:
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > MAX_BODY:
            raise HTTPException(413, f"found more than {MAX_BODY:,} bytes; send fewer")
    return content


async def _health(request: Request) -> Response:
    """Whether the server is up: a plain route, which asks for no key."""
    return Response('{"status":"ok"}', media_type=_JSON)


async def _refuse(request: Request, error: Any) -> Response:
    """FastAPI's own answer to what is wrong, with its echoes of the input cut short."""
    lines = [
        line | {"loc": [_short(part) for part in line["loc"]], "input": _short(line["input"])}
        for line in error.errors()[:MAX_ERRORS]
    ]
    content = to_json({"detail": lines}, inf_nan_mode="strings", fallback=str)
    return Response(content, 422, media_type=_JSON)


def _short(value: object) -> object:
    """A value, or if that is long the ends of its text."""
    value = value.decode(errors="replace") if isinstance(value, bytearray) else value
    text = reprlib.repr(value)
    return value if text == repr(value) else text
