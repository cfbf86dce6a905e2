"""Real MLflow servers with users and passwords, of the versions that teams meet."""

import base64
import hashlib
import json
import os
import secrets
import sqlite3
import sys
import urllib.request
from contextlib import closing, contextmanager
from dataclasses import dataclass

import servers
from environments import ROOT, environment

ADMIN, WRITER, READER = "admin", "writer", "reader"


def locked(*names):
    """The lines of requirements.txt for these packages, such as ``mlflow==3.0.0``."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = {line.split("==")[0]: line for line in lines if "==" in line}
    return [pins[name] for name in names]


def server_environment(version):
    """The folder of executables of the environment of a server."""
    if version == "2.7.1":  # of 2023, which DagsHub was reported to run
        old = ["mlflow==2.7.1", "flask<3", "sqlalchemy<2.1", "setuptools<81"]
        return environment("mlflow-2.7.1", old, python="3.10")
    if version == "locked":
        (pin,) = locked("mlflow")
        return environment("mlflow-locked", [pin.replace("mlflow==", "mlflow[auth]==")])
    return _both(version)


def client_python(version):
    """The Python of an environment that holds this package and a version of the client."""
    return sys.executable if version == "locked" else str(_both(version) / "python")


def _both(version):
    """One environment for a server and a client, which saves minutes where it is made."""
    same = locked("dvc", "dvc-s3", "numpy", "pandas", "scikit-learn", "skops")
    declared = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    mine = [f"-e {ROOT}", f"# pyproject.toml is {declared}"]
    return environment(
        f"mlflow-{version}", [*mine, f"mlflow[auth]=={version}", "sqlalchemy<2.1", *same]
    )


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes
    ----------
    version : str
        Such as "2.7.1", or "locked".
    address : str
        ``http://127.0.0.1:PORT``.
    passwords : dict
        That of each user: the admin, the writer, and the reader, who may only look at what others
        made.
    """

    version: str
    address: str
    passwords: dict

    def settings(self, user):
        """The variables with which a user of the server runs the project."""
        return {
            "MLFLOW_TRACKING_URI": self.address,
            "MLFLOW_TRACKING_USERNAME": user,
            "MLFLOW_TRACKING_PASSWORD": self.passwords[user],
        }


@contextmanager
def mlflow_server(version, folder):
    """Start a server, empty but for its users, with its database and artifacts in the folder."""
    executables = server_environment(version)
    passwords = {user: secrets.token_hex(8) for user in (ADMIN, WRITER, READER)}
    settings = folder / "auth.ini"
    settings.write_text(
        "[mlflow]\n"
        "default_permission = READ\n"
        f"database_uri = sqlite:///{(folder / 'auth.db').as_posix()}\n"
        f"admin_username = {ADMIN}\n"
        f"admin_password = {passwords[ADMIN]}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n",
        encoding="utf-8",
    )
    variables = {
        "PATH": f"{executables}{os.pathsep}{os.environ['PATH']}",  # where it finds gunicorn
        "MLFLOW_AUTH_CONFIG_PATH": str(settings),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16),
    }
    python, options = executables / "python", ("--app-name=basic-auth",)
    with servers.mlflow_server(folder, python, options, variables) as address:
        server = Server(version, address, passwords)
        for user in (WRITER, READER):
            new = {"username": user, "password": passwords[user]}
            call(server, ADMIN, "POST", "users/create", new)
        _hash_fast(folder / "auth.db", passwords)
        yield server


def _hash_fast(database, passwords):
    """Let the server check a password in microseconds.

    It does so for each request, by default for a quarter of a second: nine tenths of the time of
    these tests. The hash names its method, so that a cheap one is as good to the server.
    """
    with closing(sqlite3.connect(database)) as connection, connection:
        for user, password in passwords.items():
            digest = hashlib.pbkdf2_hmac("sha256", password.encode(), b"salt", 1).hex()
            fast = f"pbkdf2:sha256:1$salt${digest}"
            change = "UPDATE users SET password_hash = ? WHERE username = ?"
            assert connection.execute(change, (fast, user)).rowcount == 1


def call(server, user, method, path, content=None):
    """Ask the server's REST API as a user; its answer."""
    token = base64.b64encode(f"{user}:{server.passwords[user]}".encode()).decode()
    request = urllib.request.Request(
        f"{server.address}/api/2.0/mlflow/{path}",
        data=None if content is None else json.dumps(content).encode(),
        headers={"Authorization": f"Basic {token}", "Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"{}")
