"""What stands before the API: who may ask, how much is read, what is logged and counted.

Requests for predictions go from here to their function, past FastAPI and its middleware, which
cost more than a prediction; FastAPI documents them.
"""

import asyncio
import logging
import re
import reprlib
import time
from collections import Counter
from collections.abc import Sequence
from hmac import compare_digest
from random import getrandbits
from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from pydantic_core import to_json
from starlette.requests import ClientDisconnect

JSON, FAILED = "application/json", b'{"detail":"Internal Server Error"}'
MAX_BODY, MAX_CASE, MAX_ERRORS = 1_000_000, 64_000, 1_000  # bytes, bytes, lines of an answer
LARGE_BODY, MOST_LARGE = 16_000, 16  # bytes; how many larger ones are in memory at a time
TURN_S = 0.002  # of work on a list, before others have their turn
STEPS = 5  # of the loop, in which a quote is received, given, logged and sent
WRONG_KEYS, WINDOW_S = 10, 60  # an address may try so many within so many seconds
MOST_ADDRESSES = 10_000  # whose wrong keys are counted
OPEN = re.compile("/|/healthz|/readyz|/docs(/.*)?|/openapi.json")  # without a key
_ID = re.compile(rb"[\w.:-]{1,64}")
log = logging.getLogger("uvicorn.error")


class Turns:
    """Lets others go on during long work."""

    def __init__(self) -> None:
        self.end = time.perf_counter() + TURN_S

    async def pause(self) -> None:
        if time.perf_counter() > self.end:
            await let_others()
            self.end = time.perf_counter() + TURN_S


async def let_others() -> None:
    """Let whoever has asked for one quote have it."""
    for _ in range(STEPS):
        await asyncio.sleep(0)


class Front:
    """What answers for the `api`, whose other requests `app` answers; without `keys` to anybody."""

    def __init__(self, app: Any, api: FastAPI, keys: Sequence[str]) -> None:
        self.app, self.api, self.keys = app, api, [key.encode() for key in keys]
        routes: list[Any] = [route for route in api.routes if hasattr(route, "direct")]
        self.direct = {("POST", route.path): route.direct for route in routes}
        self.known = {getattr(route, "path", "") for route in api.routes}
        self._large, self._turn = asyncio.Semaphore(MOST_LARGE), asyncio.Lock()
        self._wrong, self._window_end = Counter[str](), 0.0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        start, status = time.perf_counter(), 0
        method, path = scope["method"], scope["path"].removeprefix(scope.get("root_path", ""))
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        number = given if _ID.fullmatch(given) else b"%016x" % getrandbits(64)

        async def send_on(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", number)]
            await send(message)

        try:
            self._check_key(path, headers, scope)
            if direct := self.direct.get((method, path)):
                await answer(send_on, 200, await self._run(direct, scope, receive))
            else:
                await self.app(scope, receive, send_on)
        except HTTPException as error:
            content = to_json({"detail": error.detail})
            await answer(send_on, error.status_code, content, error.headers or {})
        except RequestValidationError as error:
            await answer(send_on, 422, refusal(error))
        except ClientDisconnect:
            status = 499  # as nginx counts them
        except Exception:
            log.exception("Request %s failed", number.decode())
            if not status:
                await answer(send_on, 500, FAILED)
        finally:
            seconds = time.perf_counter() - start
            place = path if path in self.known else "other"
            self.api.state.metrics.count(method, place, status, seconds)
            if lines := getattr(self.api.state, "lines", None):
                client = scope["client"][0] if scope["client"] else None
                lines.put(
                    time=time.time(),
                    id=number.decode(),
                    method=method,
                    path=path,
                    status=status,
                    ms=round(seconds * 1000, 2),
                    client=client,
                )

    async def _run(self, direct: Any, scope: Any, receive: Any) -> bytes:
        """What a function answers; few large bodies are in memory, one of them is worked on."""
        more, content, held = True, bytearray(), False
        most = MAX_CASE if scope["path"].endswith("/v1/quote") else MAX_BODY
        try:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                content += message.get("body", b"")
                more = message.get("more_body", False)
                if len(content) > most:
                    problem = f"found more than {most:,} bytes; send fewer"
                    raise HTTPException(413, problem, {"connection": "close"})
                if len(content) > LARGE_BODY and not held:
                    held = await self._large.acquire()
            if not held:
                return await direct(bytes(content), scope)
            async with self._turn:
                await let_others()
                return await direct(bytes(content), scope)
        finally:
            if held:
                self._large.release()

    def _check_key(self, path: str, headers: dict[bytes, bytes], scope: Any) -> None:
        if not self.keys or OPEN.fullmatch(path):
            return
        given = headers.get(b"x-api-key") or headers.get(b"authorization", b"")[len("Bearer ") :]
        if sum(compare_digest(given, key) for key in self.keys):
            return
        now, address = time.monotonic(), scope["client"][0] if scope["client"] else ""
        if now > self._window_end or len(self._wrong) > MOST_ADDRESSES:
            self._wrong, self._window_end = Counter(), now + WINDOW_S
        self._wrong[address] += 1
        if self._wrong[address] > WRONG_KEYS:  # the right one is heard all the same
            wait = {"retry-after": f"{self._window_end - now:.0f}", "connection": "close"}
            raise HTTPException(429, "X-API-Key: wrong too often; try again later", wait)
        raise HTTPException(401, "X-API-Key: missing or wrong; ask who runs this server")


async def answer(send: Any, status: int, content: bytes, headers: Any = {}) -> None:
    """Send an answer in JSON."""
    told = [(b"content-type", JSON.encode()), (b"content-length", b"%d" % len(content))]
    told += [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": content})


def refusal(error: RequestValidationError) -> bytes:
    """FastAPI's own answer to what is wrong, with its echoes of the input cut short."""
    lines = [
        line | {"loc": [_short(part) for part in line["loc"]], "input": _short(line["input"])}
        for line in error.errors()[:MAX_ERRORS]
    ]
    return to_json({"detail": lines}, inf_nan_mode="strings", fallback=str)


def _short(value: object) -> object:
    """A value, or if that is long the ends of its text."""
    value = value.decode(errors="replace") if isinstance(value, (bytes, bytearray)) else value
    text = reprlib.repr(value)
    return value if text == repr(value) else text
