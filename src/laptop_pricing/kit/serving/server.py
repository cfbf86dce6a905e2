"""A bundle and a free port -> a running server; and the web form's."""

import logging
import os
import re
import socket
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Optional, Union

from fastapi import FastAPI

from ..errors import UserError
from ..files import short
from ..modeling.bundle import load_bundle
from ..problem import Problem
from ..project import Project
from .api import create_app


def build_app(
    problem: Problem,
    model: Union[str, Path],
    project: Optional[Project] = None,
    trusted: Sequence[str] = (),
    add_routes: Optional[Callable[[FastAPI], None]] = None,
) -> tuple[FastAPI, str]:
    """The application for a folder or ``models:/NAME@ALIAS``, and in words what was loaded.

    `trusted` has types of the team's own that the model file may hold, `add_routes` adds routes.

    Raises
    ------
    UserError, StepFailed
        If there is no such bundle, or it is damaged; if the registry does not have it.
    """
    origin, version = short(Path(model)), None
    if not str(model).startswith("models:"):
        bundle = load_bundle(Path(model), problem, trusted)
    elif not (named := re.fullmatch("models:/([^@/]+)@([^@/]+)", str(model))):
        raise UserError("--model", f"found {model}; expected a folder, or models:/NAME@ALIAS")
    elif project is None:
        raise UserError(model, "which registry is meant?", "start in the project's folder")
    else:
        from ..tracking.registry import fetch_bundle

        with tempfile.TemporaryDirectory() as folder:
            version, path = fetch_bundle(project, named[1], named[2], Path(folder))
            bundle = load_bundle(path, problem, trusted)
        origin = f"{model}, version {version}"
    app = create_app(problem, bundle, origin, version, os.environ.get(problem.key_variable))
    if add_routes:
        add_routes(app)
    return app, origin


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


def run_server(app: FastAPI, origin: str, listening: socket.socket) -> None:
    """Answer until Ctrl+C. All that is said goes to a log, which may fail without harm."""
    import uvicorn

    # Uvicorn's own formatter colours each line, for a fifth of a request's time.
    formats = uvicorn.config.LOGGING_CONFIG["formatters"]
    formats = {"formatters": formats | {"access": {"format": "%(levelname)s:     %(message)s"}}}
    lines = uvicorn.config.LOGGING_CONFIG | formats
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=lines, server_header=False, lifespan="off")
    )
    log = logging.getLogger("uvicorn.error")
    log.info("Model: %s", origin)
    variable = app.state.problem.key_variable
    if not os.environ.get(variable):
        log.warning("%s is not set: anybody may ask this server", variable)
    log.info("API: http://%s:%s/docs", *listening.getsockname()[:2])
    server.run(sockets=[listening])


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
