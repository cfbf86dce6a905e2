"""Servers, as processes of their own, and how they are asked for a while."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np
import psutil

from laptop_pricing.problem import PROBLEM

HERE = Path(__file__).resolve().parent
ROOT, PATIENCE_S = HERE.parent.parent, 120
ROW = PROBLEM.read_row(PROBLEM.example)[0]


class Server(NamedTuple):
    """How to start one, and what to ask it."""

    command: list[Any]  # "--port" and a number follow
    content: Any = ROW
    path: str = "/v1/quote"
    method: str = "POST"
    code: Path = ROOT

    def request(self) -> tuple[str, str, str, dict[str, str]]:
        body = json.dumps(self.content)
        return self.method, self.path, body, {"Content-Type": "application/json"}


class Running(NamedTuple):
    """One that answers."""

    server: Server
    process: psutil.Process
    port: int
    started: float  # seconds until its first answer
    answer: bytes

    def tree(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def cpu(self) -> float:
        """Seconds of all its processes, in user and in system."""
        return sum(sum(one.cpu_times()[:2]) for one in self.tree())

    def memory(self) -> float:
        """MB of all its processes."""
        return sum(one.memory_info().rss for one in self.tree()) / 1e6


def ask(port: int, server: Server) -> Optional[bytes]:
    """The answer, if it is a good one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(*server.request())
        answer = connection.getresponse()
        return answer.read() if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


@contextmanager
def serving(server: Server) -> Iterator[Running]:
    """A server that has given its first answer; RuntimeError if it does not."""
    known = {name: os.environ[name] for name in os.environ if PROBLEM.key_variable not in name}
    known["PYTHONPATH"] = f"{server.code / 'src'}{os.pathsep}{HERE}"
    elsewhere = tempfile.gettempdir()  # a project would have an .env of its own
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryFile() as log:
        start, command = time.perf_counter(), [*server.command, "--port", port]
        process = psutil.Popen(
            list(map(str, command)), cwd=elsewhere, env=known, stdout=log, stderr=log
        )
        try:
            while (answer := ask(port, server)) is None:
                if process.poll() is not None or time.perf_counter() - start > PATIENCE_S:
                    log.seek(0)
                    raise RuntimeError(log.read().decode(errors="replace")[-500:].strip())
                time.sleep(0.02)
            yield Running(server, process, port, time.perf_counter() - start, answer)
        finally:
            if process.is_running():
                tree = [process, *process.children(recursive=True)]
                process.terminate()
                for one in psutil.wait_procs(tree, timeout=15)[1]:
                    one.kill()


def load(running: Running, connections: int, seconds: int) -> dict[str, float]:
    """Ask for so long: requests, bad answers, requests per second, milliseconds, CPU."""
    before = running.cpu()
    way = by_wrk if shutil.which("wrk") else by_python
    requests, bad, took, p50, p99 = way(running, connections, seconds)
    used = running.cpu() - before
    for _ in range(100):  # it may be at work on what nobody waits for any more
        before = running.cpu()
        time.sleep(0.1)
        if running.cpu() - before < 0.03:
            break
    cpu = 1e6 * used / max(requests, 1)
    figures = {"rate": requests / took, "p50": p50, "p99": p99, "CPU": cpu}
    return figures | {"requests": requests, "bad": bad}


def by_wrk(running: Running, connections: int, seconds: int) -> list[float]:
    """Ask by wrk, which takes little of the cores that it shares with the servers."""
    method, path, body, _ = running.server.request()
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s"]
    command += ["-s", str(HERE / "wrk.lua"), f"http://127.0.0.1:{running.port}{path}"]
    command += ["--", method, body]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [float(word) for word in printed.splitlines()[-1].split()]


def by_python(running: Running, connections: int, seconds: int) -> list[float]:
    """The same where wrk is missing, at the cost of much of a core."""
    start, times, bad = time.perf_counter(), list[float](), list[int]()

    def work(_: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
        while (begun := time.perf_counter()) < start + seconds:
            connection.request(*running.server.request())
            answer = connection.getresponse()
            answer.read()
            times.append(time.perf_counter() - begun)
            if answer.status >= 300:
                bad.append(answer.status)
        connection.close()

    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(work, range(connections)))
    p50, p99 = 1000 * np.quantile(times, [0.5, 0.99])
    return [len(times), len(bad), time.perf_counter() - start, p50, p99]
