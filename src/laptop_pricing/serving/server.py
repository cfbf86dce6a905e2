"""A bundle and a free port -> a running server."""

import logging
import os
import re
import socket
import tempfile
from pathlib import Path

from laptop_pricing.errors import UserError
from laptop_pricing.files import short
from laptop_pricing.modeling.bundle import load_compiled
from laptop_pricing.serving.api import KEY_VARIABLE, create_app

_REGISTERED = re.compile(r"models:/([^@/]+)@([^@/]+)")


def build_app(model, workspace=None):
    """The application for a model, with the environment's key.

    Parameters
    ----------
    model : str or Path
        A folder, or ``models:/NAME@ALIAS``.
    workspace : Workspace, optional
        Names the registry.

    Returns
    -------
    app : FastAPI
    origin : str
        What was loaded, in words.

    Raises
    ------
    UserError
        If there is no such bundle, or it is damaged.
    StepFailed
        If the registry does not have it.
    """
    named = _REGISTERED.fullmatch(str(model))
    if not named and str(model).startswith("models:"):
        raise UserError(f"--model: found {model}; expected a folder, or models:/NAME@ALIAS")
    if named:
        from laptop_pricing.tracking.registry import fetch_bundle

        if workspace is None:
            raise UserError(f"{model}: which registry is meant? start in the project's folder")
        with tempfile.TemporaryDirectory() as folder:
            version, found = fetch_bundle(workspace, *named.groups(), folder)
            bundle = load_compiled(found)
        origin = f"{model}, version {version}"
    else:
        version, bundle, origin = None, load_compiled(Path(model)), short(model)
    return create_app(bundle, origin, version, os.environ.get(KEY_VARIABLE)), origin


def open_port(host, port):
    """A socket to listen on.

    Raises
    ------
    UserError
        If it cannot be had.
    """
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
        raise UserError(
            f"{host}:{port}: {error.strerror or error}; name another --port or --host"
        ) from None
    return listening


def run_server(app, origin, listening):
    """Answer until Ctrl+C. All that is said goes to a log, which may fail without harm."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, server_header=False, lifespan="off"))
    log = logging.getLogger("uvicorn.error")
    log.info("Model: %s", origin)
    if not os.environ.get(KEY_VARIABLE):
        log.warning("%s is not set: whoever reaches this server gets answers", KEY_VARIABLE)
    log.info("API: http://%s:%s/docs", *listening.getsockname()[:2])
    server.run(sockets=[listening])
