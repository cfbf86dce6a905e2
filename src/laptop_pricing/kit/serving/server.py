"""A bundle -> a running server, or the same on AWS Lambda."""

import asyncio
import gc
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, Optional

from fastapi import FastAPI

from ..errors import UserError
from ..problem import Problem
from .api import create_app
from .log import log_lines
from .served import CURRENT, Source

IDLE_S, END_S, MOST_END_S, REFRESH_S = 5, 6, 9, 2
MOST_CONNECTIONS, OTHER_FILES, AT_ONCE = 4096, 100, 16  # at once: those that are accepted
CAN_FORK = hasattr(os, "fork")
AddRoutes = Optional[Callable[[FastAPI], None]]
log = logging.getLogger("uvicorn.error")


def build_app(source: Source, add_routes: AddRoutes = None) -> FastAPI:
    """The application for the model of a `source`; `add_routes` adds routes.

    A ProjectError says that there is no such bundle, or that it is damaged.
    """
    variable = source.problem.key_variable
    keys = [key for name in (variable, f"{variable}_OLD") if (key := os.environ.get(name))]
    if not keys:
        log.warning("%s is not set: anybody may ask this server", variable)
    app = create_app(source.problem, source.load(), keys)
    app.state.source = source
    if add_routes:
        add_routes(app)
    return app


def serve(
    source: Source,
    listening: socket.socket,
    workers: int = 1,
    quotes: Optional[Path] = None,
    add_routes: AddRoutes = None,
) -> None:
    """Answer until Ctrl+C or SIGTERM, in so many processes; log the quotes in a folder."""
    log_lines()
    if source.named:
        follow(source, listening)
    app = build_app(source, add_routes)
    log.info("API: http://%s:%s/docs", *listening.getsockname()[:2])
    work = partial(run_server, app, listening, quotes)
    if workers == 1:
        work()
    else:
        supervise(work, workers, listening)


def run_server(app: FastAPI, listening: socket.socket, quotes: Optional[Path] = None) -> None:
    """Answer until Ctrl+C or SIGTERM, in this process."""
    import uvicorn

    from .protocol import LimitedProtocol, LimitedServer
    from .quotelog import QuoteLog

    parent = multiprocessing.parent_process()

    async def refresh() -> None:
        if newer := await asyncio.to_thread(app.state.source.newer):
            app.state.served = newer
        if parent and not parent.is_alive():  # killed: nobody would start us again, or stop us
            server.should_exit = True

    app.state.lines, app.state.quotes = log_lines(), quotes and QuoteLog(quotes)
    config = uvicorn.Config(
        app,
        http=LimitedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=_connections(),
        backlog=AT_ONCE,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=END_S,
        callback_notify=refresh,
        timeout_notify=REFRESH_S,
    )
    server = LimitedServer(config)
    if hasattr(signal, "SIGHUP"):  # the terminal was closed
        signal.signal(signal.SIGHUP, server.handle_exit)
    app.state.is_ready = lambda: not server.server_state.closing
    gc.collect()
    gc.freeze()  # what is there now: to look through it again stops all for 40 ms
    server.run(sockets=[listening])


def _connections() -> int:
    """How many connections a process may have, once its own limit of files is as high as can be."""
    files = MOST_CONNECTIONS + OTHER_FILES
    with suppress(ImportError):  # Windows has no such limit
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = files if hard == resource.RLIM_INFINITY else min(files, hard)
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        files = min(files, max(soft, wanted))
    return max(files - OTHER_FILES, 1)


def supervise(work: Callable[[], None], workers: int, listening: socket.socket) -> None:
    """Keep so many processes at work until Ctrl+C or SIGTERM."""
    if not CAN_FORK:
        raise UserError("--workers", "this system has no fork; expected 1", "start more servers")
    stop, context = threading.Event(), multiprocessing.get_context("fork")

    def start() -> Any:
        process = context.Process(target=work)
        process.start()
        return process

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    processes = [start() for _ in range(workers)]
    while not stop.wait(0.5):
        for i, process in enumerate(processes):
            if not process.is_alive():
                log.error("A worker ended with exit code %s; another starts", process.exitcode)
                processes[i] = start()
    listening.close()  # theirs are the last ones
    end = time.monotonic() + MOST_END_S
    while (alive := [one for one in processes if one.is_alive()]) and time.monotonic() < end:
        for process in alive:  # again and again: one that is just starting does not hear it
            process.terminate()
        time.sleep(0.1)
    for process in processes:
        process.kill()


def follow(source: Source, *inherited: socket.socket) -> None:
    """Fetch the model of an alias, and have another process follow the alias.

    That one closes what it has `inherited`: a port would stay open with it. If the registry does
    not answer, the last good model has to do; a ProjectError says that there is none.
    """
    if CAN_FORK:
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe(duplex=False)
        context.Process(target=_watch, args=(source, theirs, inherited), daemon=True).start()
        theirs.close()
        failed: Optional[Exception] = ours.recv()
    else:
        failed = source.try_fetch()
        threading.Thread(target=source.watch, daemon=True).start()
    if failed and not (source.kept / CURRENT).is_file():
        raise failed


def _watch(source: Source, told: Any, inherited: Sequence[socket.socket]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with its parent
    log_lines()
    for one in inherited:
        one.close()
    told.send(source.try_fetch())
    source.watch()


def make_handler(
    problem: Problem, trusted: Sequence[str] = (), add_routes: AddRoutes = None
) -> Callable[[Any, Any], Any]:
    """What AWS Lambda calls, with events of API Gateway and of function URLs.

    The first event loads the bundle.
    """
    from mangum import Mangum

    @cache
    def adapter() -> Mangum:
        models = Path(os.environ.get("LAMBDA_TASK_ROOT", ".")) / "models"
        app = build_app(Source(problem, models, trusted=trusted), add_routes)
        return Mangum(app, lifespan="off")

    return lambda event, context: adapter()(event, context)
