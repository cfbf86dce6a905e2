"""How fast a quote is: over HTTP beside ``mlflow models serve``, and within Python.

Both servers have one process and the same model, and are asked in one run for the same case over
four connections, since machines are noisy and only ratios travel::

    python benchmarks/serving.py

writes docs/tables/serving.md in about two minutes. Needs a model and a processed table
(``laptop-pricing run``).
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

import laptop_pricing
from laptop_pricing.data.row import read_row
from laptop_pricing.data.schema import EXAMPLE
from laptop_pricing.files import write_text
from laptop_pricing.modeling.bundle import Bundle, load_bundle
from laptop_pricing.modeling.compiled import random_rows
from laptop_pricing.modeling.quote import quote_rows
from laptop_pricing.modeling.train import read_processed
from laptop_pricing.settings import find_workspace
from laptop_pricing.tracking.runs import save_model

ROOT = Path(__file__).resolve().parent.parent
CONNECTIONS, SECONDS = 4, 15
ROWS, PIPELINE_ROWS = 1_000_000, 50_000


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(command, port, path):
    """A server, and the seconds until it answered at `path`."""
    start = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            while process.poll() is None and time.perf_counter() - start < 120:
                try:
                    with Connection(port) as connection:
                        if connection.ask(request("GET", path)):
                            break
                except OSError:
                    time.sleep(0.02)
            else:
                log.seek(0)
                sys.exit(log.read().decode(errors="replace")[-3000:])
            yield time.perf_counter() - start
        finally:
            os.killpg(process.pid, 15)
            process.wait()


def request(method, path, content=None):
    body = json.dumps(content).encode() if content is not None else b""
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Connection:
    """One that is kept open. As little of a client as can be: it shares the cores."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, message):
        """The body of the answer, which has to be a good one."""
        self.socket.sendall(message)
        found = b""
        while b"\r\n\r\n" not in found:
            part = self.socket.recv(65536)
            if not part:
                raise OSError("closed")
            found += part
        head, _, body = found.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), found
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += self.socket.recv(65536)
        return body


def load(port, message):
    """Requests per second, and the milliseconds within which 50 and 99 % were answered."""
    times, end = [], time.perf_counter() + SECONDS

    def work():
        with Connection(port) as connection:
            connection.ask(message)  # not counted
            while (start := time.perf_counter()) < end:
                connection.ask(message)
                times.append(time.perf_counter() - start)

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = time.perf_counter() - start
    return (len(times) / taken, *(1000 * np.quantile(times, [0.5, 0.99])))


def over_http(models, row, model):
    """The figures of both servers, and that they give one price."""
    found = {}
    name = laptop_pricing.__name__
    ours = (name, "serve", "--model", models), "/healthz", "/v1/quotes", row
    frame = {"dataframe_split": pd.DataFrame([row]).to_dict("split") | {"index": [0]}}
    theirs = ("mlflow", "models", "serve", "-m", model, "--env-manager", "local", "--workers", "1")
    theirs = theirs, "/ping", "/invocations", frame
    for command, ready, path, content in (ours, theirs):
        port = free_port()
        with serving([*map(str, command), "--port", str(port)], port, ready) as start:
            message = request("POST", path, content)
            with Connection(port) as connection:
                answer = json.loads(connection.ask(message))
            price = answer["price"] if "price" in answer else answer["predictions"][0]
            found[command[0]] = (start, *load(port, message), price)
    (*a, price), (*b, same) = found.values()
    assert abs(price / same - 1) < 1e-9, (price, same)
    return a, b


def within_python(bundle: Bundle, cells: dict[str, str]) -> tuple:
    """Seconds for one row and for a million, compiled and fitted.

    Of one row, ours is what the REST API does: it reads the cells, and gives a whole quote.
    """

    def mean(call, times):
        call()
        start = time.perf_counter()
        for _ in range(times):
            call()
        return (time.perf_counter() - start) / times

    one, many = pd.DataFrame([read_row(cells)[0]]), random_rows(ROWS)
    few = many[:PIPELINE_ROWS]
    compiled = (
        mean(lambda: quote_rows(bundle, [read_row(cells)[0]]), 5_000),
        mean(lambda: bundle.compiled.prices(many), 1),
    )
    fitted = (
        mean(lambda: bundle.model.predict(one), 50),
        mean(
            lambda: [bundle.model.predict(few[i : i + 10_000]) for i in range(0, 50_000, 10_000)], 1
        )
        * (ROWS / PIPELINE_ROWS),
    )
    return compiled, fitted


def figure(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def page(http: tuple, python: tuple) -> str:
    """The page: ours and theirs of `over_http` and of `within_python`."""
    lines = ["| | ours | beside it | ratio |", "|---|---|---|---|"]
    names = ("start-up, s", "requests per second", "half of them within, ms", "99 % within, ms")
    for name, ours, theirs in zip(names, *http):
        ratio = ours / theirs if name == "requests per second" else theirs / ours
        lines.append(f"| {name} | {figure(ours)} | {figure(theirs)} | {figure(ratio)} |")
    names = ("one quote in Python, ms", "a million prices in Python, s")
    for name, ours, theirs, scale in zip(names, *python, (1e3, 1)):
        cells = map(figure, (ours * scale, theirs * scale, theirs / ours))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    made = f"Measured on {date.today()} by `python benchmarks/serving.py`."
    return "\n".join([*lines, "", made, ""])


def main():
    """Measure, and write the table."""
    workspace = find_workspace(ROOT)
    bundle, row = load_bundle(workspace.models), read_row(EXAMPLE)[0]
    with threadpool_limits(1):
        python = within_python(bundle, EXAMPLE)
    with tempfile.TemporaryDirectory() as folder:
        save_model(bundle, read_processed(workspace)[0], Path(folder) / "model")
        http = over_http(workspace.models, row, Path(folder) / "model")
    found = page(http, python)
    write_text(ROOT / "docs" / "tables" / "serving.md", found)
    print(found)


if __name__ == "__main__":
    main()
