"""The REST API: which requests there are, what they take and what they answer."""

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import fastapi_offline
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import to_json
from starlette.responses import HTMLResponse, RedirectResponse

from ..modeling.task import task_of
from ..problem import Problem
from .front import FAILED, JSON, MAX_ERRORS, Front, Turns
from .metrics import Metrics
from .quotelog import Logged, new_id, with_id
from .schemas import (
    ModelAnswer,
    Nothing,
    Refusal,
    SchemaAnswer,
    Wanted,
    answer_kind,
    case_model,
)
from .served import Served

MAX_ROWS, MORE_FIELDS = 1_000, 2  # of a request; on average a row may have so many unknown ones
_READABLE = {  # the page of the docs as WCAG's level AA wants it
    "<html>": '<html lang="en">',
    "<body>": "<body><main>",
    "</body>": "</main></body>",
    "</head>": """<style>
.swagger-ui .info .title small, .swagger-ui .opblock .opblock-summary .opblock-summary-method {
  background: #24537f; }
.swagger-ui .info .title small.version-stamp { background: #3d6b00; }
.swagger-ui .btn.authorize { border-color: #1b6e45; }
.swagger-ui .btn.authorize span, .swagger-ui .info .link span { color: #1b6e45; }
.swagger-ui .json-schema-2020-12-expand-deep-button { color: #505050; }
</style></head>""",
}


class Api(FastAPI):
    """FastAPI with a :class:`Front` before it."""

    keys: Sequence[str] = ()

    @cached_property
    def front(self) -> Front:
        """Made by the first request, when all routes are known."""
        return Front(super().__call__, self, self.keys)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await self.front(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class Direct(APIRoute):
    """A route that FastAPI documents, but whose body and query are each validated by one call.

    FastAPI's own way, which looks for every parameter by itself, costs more than a prediction. The
    function takes the body and, if it has a second parameter, the query; it gives an answer, or
    the bytes of one.
    """

    direct: Callable[[bytes, Any], Awaitable[bytes]]  # what Front calls

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore
        if self.body_field is None:
            return super().get_route_handler()
        hints = get_type_hints(self.endpoint, include_extras=True)
        kind, *query = [kind for name, kind in hints.items() if name != "return"]
        body, queries = _body(kind), [TypeAdapter(wanted) for wanted in query]

        async def direct(content: bytes, scope: Any) -> bytes:
            found = [await body(content)]
            for wanted in queries:
                asked = dict(Request(scope).query_params) if scope["query_string"] else {}
                found.append(validated("query", wanted.validate_python, asked))
            answer = await self.endpoint(*found)
            return answer if isinstance(answer, bytes) else to_json(answer)

        async def handle(request: Request) -> Response:
            return Response(await direct(await request.body(), request.scope), media_type=JSON)

        self.direct = direct
        return handle


def _body(kind: Any) -> Callable[[bytes], Awaitable[Any]]:
    """What reads a body of such a type; between the items of a list others have their turn."""
    adapter, parts = TypeAdapter[Any](kind), get_args(kind)
    whole, limits = (parts[0], parts[1:]) if get_origin(kind) is Annotated else (kind, ())
    if get_origin(whole) is not list:

        async def one(content: bytes) -> Any:
            return validated("body", adapter.validate_json, content)

        return one
    annotated: Any = Annotated
    cells = TypeAdapter[Any](annotated[tuple([list[Any], *limits])] if limits else list[Any])
    model = get_args(whole)[0]
    item, most = TypeAdapter[Any](model), MAX_ROWS * (len(model.model_fields) + MORE_FIELDS)

    async def many(content: bytes) -> Any:
        rows, lines, turns = [], list[Any](), Turns()
        if (found := content.count(b'":')) > most:  # to parse them would make others wait
            told = f"Found {found:,} fields; expected {most:,} at most"
            raise RequestValidationError(
                [{"type": "too_long", "loc": ("body",), "msg": told, "input": None}]
            )
        for i, cell in enumerate(validated("body", cells.validate_json, content)):
            try:
                rows.append(item.validate_python(cell))
            except ValidationError as error:
                lines += _lines(error, "body", i)
                if len(lines) >= MAX_ERRORS:
                    break
            await turns.pause()
        if lines:
            raise RequestValidationError(lines)
        return rows

    return many


def validated(place: str, validate: Callable[[Any], Any], content: object) -> Any:
    """`content` as its model, or FastAPI's error that names the fields below `place`."""
    try:
        return validate(content)
    except ValidationError as error:
        raise RequestValidationError(_lines(error, place)) from None


def _lines(error: ValidationError, *place: object) -> list[Any]:
    return [dict(line, loc=(*place, *line["loc"])) for line in error.errors(include_url=False)]


def create_app(problem: Problem, served: Served, keys: Sequence[str] = ()) -> FastAPI:
    """The application, which Uvicorn or AWS Lambda runs; without `keys` none is required.

    The model that answers is ``app.state.served``, which may be changed; ``app.state.quotes`` is
    the log of quotes, if there is one.
    """
    one: Any = case_model(problem)
    many: Any = Annotated[list[one], Field(min_length=1, max_length=MAX_ROWS)]
    query: Any = Annotated[Wanted if problem.bought else Nothing, Query()]
    kind: Any = answer_kind(problem)

    app = _empty_app(problem, keys)
    app.state.served, app.state.quotes = served, None

    async def answers(cases: list[Any], wanted: Any) -> list[bytes]:
        """Those of one model; each is the same as if its case had come alone."""
        served, log, turns, lines = app.state.served, app.state.quotes, Turns(), []
        facts = (served.model.version, served.model.sha256, served.model.data_md5)
        for case in cases:
            content = served.answer(problem, vars(case), wanted)
            asked = {"case": vars(case), "margin": wanted.margin, "risk": wanted.risk}
            told = to_json(asked) if log else b""
            lines.append(Logged(new_id(), time.time(), *facts, told, content))
            await turns.pause()
        known = log is not None and log.add(lines)
        return [with_id(line) if known else line.answer for line in lines]

    @app.post("/v1/quote", summary=f"Predict one {problem.item}")
    async def quote(case: one, wanted: query) -> kind:
        return (await answers([case], wanted))[0]

    @app.post("/v1/quotes", summary=f"Predict up to {MAX_ROWS:,} {problem.items}, in their order")
    async def quotes(cases: many, wanted: query) -> list[kind]:
        return b"[%s]" % b",".join(await answers(cases, wanted))  # type: ignore[return-value]

    @app.get("/v1/model", summary="What is loaded, and how good it is")
    async def about() -> ModelAnswer:
        served: Served = app.state.served
        return ModelAnswer(
            **vars(served.model),
            origin=served.origin,
            target=problem.target.name,
            unit=problem.target.unit,
            metrics=served.bundle.metadata["metrics"],
            caveat=problem.caveat,
        )

    @app.get("/v1/schema", summary="The fields, for forms")
    async def schema() -> SchemaAnswer:
        return SchemaAnswer(**vars(problem), task=task_of(problem).name)

    return app


async def _failed(request: Request, error: Exception) -> Response:
    return Response(FAILED, 500, media_type=JSON)  # and Starlette raises it for Front


def _empty_app(problem: Problem, keys: Sequence[str]) -> FastAPI:
    header = APIKeyHeader(name="X-API-Key", auto_error=False)  # for the page; Front checks it
    app = Api(
        title=problem.name,
        description=f"The {problem.target.name} of {problem.items}. {problem.caveat}",
        version="1",
        dependencies=[Depends(header)],
        responses={status: {"model": Refusal} for status in (401, 413, 429)},
        docs_url=None,
        redoc_url=None,
    )
    app.router.route_class = Direct
    app.keys = keys
    app.add_exception_handler(Exception, _failed)
    app.state.is_ready, app.state.lines = (lambda: True), None
    app.state.metrics = Metrics(app.state)
    app.mount(
        "/docs/files", StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static")
    )

    async def home(request: Request) -> Response:
        return RedirectResponse("docs")

    async def docs(request: Request) -> Response:
        page = get_swagger_ui_html(
            openapi_url="openapi.json",
            title=problem.name,
            swagger_js_url="docs/files/swagger-ui-bundle.js",
            swagger_css_url="docs/files/swagger-ui.css",
            swagger_favicon_url="docs/files/favicon.png",
            swagger_ui_parameters={"deepLinking": False},  # links within buttons
        )
        content = bytes(page.body).decode()
        for old, new in _READABLE.items():
            content = content.replace(old, new)
        return HTMLResponse(content)

    async def health(request: Request) -> Response:
        return Response(b'{"status":"ok"}', media_type=JSON)

    async def ready(request: Request) -> Response:
        known = app.state.is_ready()
        content = b'{"status":"%s"}' % (b"ready" if known else b"closing")
        return Response(content, 200 if known else 503, media_type=JSON)

    async def metrics(request: Request) -> Response:
        return Response(app.state.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    plain = {"/": home, "/docs": docs, "/healthz": health, "/readyz": ready, "/metrics": metrics}
    for path, function in plain.items():
        app.add_route(path, function)
    return app
