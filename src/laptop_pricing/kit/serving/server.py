"""A bundle -> a running server, or the same on AWS Lambda; and the web form's server."""

import logging
import os
import re
import socket
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Optional, Union

from fastapi import FastAPI

from ..errors import UserError
from ..files import short
from ..modeling.bundle import load_bundle
from ..problem import Problem
from ..project import Project
from .api import create_app

log = logging.getLogger("uvicorn.error")


def build_app(
    problem: Problem,
    model: Union[str, Path],
    project: Optional[Project] = None,
    trusted: Sequence[str] = (),
    add_routes: Optional[Callable[[FastAPI], None]] = None,
) -> FastAPI:
    """The application for a folder or ``models:/NAME@ALIAS``.

    `trusted` has types of the team's own that the model file may hold, `add_routes` adds routes.

    Raises
    ------
    UserError, StepFailed
        If there is no such bundle, or it is damaged.
    """
    named, version = re.fullmatch("models:/([^@/]+)@([^@/]+)", str(model)), None
    if named and project:
        from ..tracking.registry import fetch_bundle

        with tempfile.TemporaryDirectory() as folder:
            version, path = fetch_bundle(project, named[1], named[2], Path(folder))
            bundle = load_bundle(path, problem, trusted)
    elif str(model).startswith("models:"):
        expected = "a folder or, within a project, models:/NAME@ALIAS"
        raise UserError("--model", f"found {model}; expected {expected}")
    else:
        bundle = load_bundle(Path(model), problem, trusted)
    origin = f"{model}, version {version}" if version else short(Path(model))
    key = os.environ.get(problem.key_variable)
    if not key:
        log.warning("%s is not set: anybody may ask this server", problem.key_variable)
    app = create_app(problem, bundle, origin, version, key)
    if add_routes:
        add_routes(app)
    return app


def open_port(host: str, port: int) -> socket.socket:
    """A socket to listen on, or UserError if it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named: asyncio sends small answers at once on such a socket alone.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # where it does not mean that two may share a port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(2048)
    except OSError as error:
        listening.close()
        why = error.strerror or str(error)
        raise UserError(f"{host}:{port}", why, "name another --port or --host") from None
    return listening


def run_server(app: FastAPI, listening: socket.socket) -> None:
    """Answer until Ctrl+C. All that is said goes to a log, which may fail without harm."""
    import uvicorn

    # Uvicorn's own formatter colours each line, for a fifth of a request's time.
    lines = uvicorn.config.LOGGING_CONFIG
    plain = {"access": {"format": "%(levelname)s:     %(message)s"}}
    lines = lines | {"formatters": lines["formatters"] | plain}
    config = uvicorn.Config(app, log_config=lines, server_header=False, lifespan="off")
    log.info("Model: %s", app.state.origin)
    log.info("API: http://%s:%s/docs", *listening.getsockname()[:2])
    uvicorn.Server(config).run(sockets=[listening])


def make_handler(problem: Problem, **more: Any) -> Callable[[Any, Any], Any]:
    """What AWS Lambda calls, with events of API Gateway and of function URLs.

    `more` goes to :func:`build_app`. The first event loads the bundle.
    """
    from mangum import Mangum

    @cache
    def adapter() -> Mangum:
        models = Path(os.environ.get("LAMBDA_TASK_ROOT", ".")) / "models"
        return Mangum(build_app(problem, models, **more), lifespan="off")

    return lambda event, context: adapter()(event, context)


def run_form(problem: Problem, api: str, host: str, port: int) -> None:
    """Show the web form of the API at the address `api`, until Ctrl+C."""
    from streamlit.web.cli import main as streamlit

    open_port(host, port).close()  # its error is clearer than Streamlit's
    options = {
        "server.address": host,
        "server.port": port,
        "server.headless": "true",  # no question for an e-mail address
        "server.maxUploadSize": 20,  # MB
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    page = str(Path(__file__).with_name("page.py"))
    streamlit(["run", page, *flags, "--", problem.name, api, problem.key_variable])
