"""The port of a server, and a free one."""

import errno
import os
import socket

from ..errors import UserError


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
        why, remedy = error.strerror or str(error), "name another --port or --host"
        if error.errno == errno.EADDRINUSE and port:
            remedy = f"--port {free_port()} is free"
        raise UserError(f"{host}:{port}", why, remedy) from None
    return listening


def free_port() -> int:
    """A port of this machine at which nothing listens."""
    with open_port("127.0.0.1", 0) as probe:
        port: int = probe.getsockname()[1]
        return port
