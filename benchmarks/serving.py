"""How fast a quote is: over HTTP beside two other servers, and within Python.

``mlflow models serve`` has the same model; a FastAPI app that only reads the body and gives a
canned answer of the same size shows what is not ours to save. Each has one process, and all are
asked in one run over four connections, since machines are noisy and only ratios travel::

    python benchmarks/serving.py

prints a table in about two minutes. Needs a model and a processed table
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
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from laptop_pricing.kit.modeling.bundle import Bundle, load_bundle
from laptop_pricing.kit.modeling.evaluate import baselines, fit
from laptop_pricing.kit.modeling.quote import quote_rows
from laptop_pricing.kit.modeling.train import read_processed
from laptop_pricing.kit.project import open_project
from laptop_pricing.kit.tracking import runs
from laptop_pricing.model import build_model
from laptop_pricing.problem import PROBLEM

ROOT = Path(__file__).resolve().parent.parent
CONNECTIONS, SECONDS, ROUNDS = 4, 3, 5
ROWS = 1_000_000
CANNED = """
import sys, uvicorn
from fastapi import FastAPI, Request, Response
app = FastAPI()

@app.get("/healthz")
async def health():
    return {}

@app.post("/v1/quote")
async def canned(request: Request):
    await request.body()
    return Response(sys.argv[1], media_type="application/json")

uvicorn.run(app, port=int(sys.argv[3]), lifespan="off", server_header=False)
"""


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
            [sys.executable, *command],
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


def load(port, message, times):
    """Ask for a while; the seconds of each answer are added to `times`. The requests per second."""
    begun, end = len(times), time.perf_counter() + SECONDS

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
    return (len(times) - begun) / (time.perf_counter() - start)


def over_http(models: Path, row: dict, model: Path, answer: bytes) -> list[tuple]:
    """Start-up, requests per second, and the milliseconds of half of them and of 99 %, by server.

    The servers are asked in turn, in rounds, and the best round of each counts.
    """
    frame = {"dataframe_split": pd.DataFrame([row]).to_dict("split") | {"index": [0]}}
    ours = ["-m", "laptop_pricing", "serve", "--model", models]
    theirs = ["-m", "mlflow", "models", "serve", "-m", model, "--env-manager", "local"]
    servers = {
        "ours": (ours, "/healthz", "/v1/quote", row),
        "mlflow": ([*theirs, "--workers", "1"], "/ping", "/invocations", frame),
        "canned": (["-c", CANNED, answer.decode()], "/healthz", "/v1/quote", row),
    }
    started, ports, messages = {}, {}, {}
    times, rates = {name: [] for name in servers}, {name: [] for name in servers}
    with ExitStack() as stack:
        for name, (command, ready, path, content) in servers.items():
            port = ports[name] = free_port()
            command = [*map(str, command), "--port", str(port)]
            started[name] = stack.enter_context(serving(command, port, ready))
            messages[name] = request("POST", path, content)
        answers = {}
        for name in ("ours", "mlflow"):
            with Connection(ports[name]) as connection:
                answers[name] = json.loads(connection.ask(messages[name]))
        predictions = answers["ours"]["prediction"], answers["mlflow"]["predictions"][0]
        assert abs(predictions[0] / predictions[1] - 1) < 1e-9, predictions
        for _ in range(ROUNDS):
            for name in servers:
                rates[name].append(load(ports[name], messages[name], times[name]))
    return [
        (started[name], max(rates[name]), *(1000 * np.quantile(times[name], [0.5, 0.99])))
        for name in servers
    ]


def within_python(bundle: Bundle, table: pd.DataFrame) -> list[tuple]:
    """Seconds for one row and for a million: ours, and a plain scikit-learn pipeline's.

    Of one row, ours is what the REST API does: it reads the cells, and gives a whole quote.
    """

    def mean(call, times):
        call()
        start = time.perf_counter()
        for _ in range(times):
            call()
        return (time.perf_counter() - start) / times

    pipeline = fit(baselines(PROBLEM)["ridge"], PROBLEM, table)
    one, many = table.head(1), table.sample(ROWS, replace=True, random_state=0, ignore_index=True)
    cells = dict(PROBLEM.example)
    return [
        (
            mean(lambda: quote_rows(PROBLEM, bundle, [PROBLEM.read_row(cells)[0]]), 5_000),
            mean(lambda: bundle.predict(many), 1),
        ),
        (mean(lambda: pipeline.predict(one), 50), mean(lambda: pipeline.predict(many), 1)),
    ]


def figure(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def page(http: list[tuple], python: list[tuple]) -> str:
    """The page: what `over_http` and `within_python` found."""
    lines = ["| | ours | `mlflow models serve` | canned answer |", "|---|---|---|---|"]
    names = ("start-up, s", "requests per second", "half of them within, ms", "99 % within, ms")
    lines += [f"| {name} | {' | '.join(map(figure, row))} |" for name, *row in zip(names, *http)]
    lines += ["", "| | ours | plain pipeline | ratio |", "|---|---|---|---|"]
    names = ("one quote in Python, ms", "a million predictions in Python, s")
    for name, ours, theirs, scale in zip(names, *python, (1e3, 1)):
        cells = map(figure, (ours * scale, theirs * scale, theirs / ours))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    made = f"Measured on {date.today()} by `python benchmarks/serving.py`."
    return "\n".join([*lines, "", made, ""])


def main():
    """Measure, and write the tables."""
    import mlflow.pyfunc

    project = open_project(PROBLEM, build_model, ROOT)
    bundle, row = load_bundle(project.models, PROBLEM), PROBLEM.read_row(PROBLEM.example)[0]
    with threadpool_limits(1):
        python = within_python(bundle, read_processed(project)[0])
    answer = json.dumps([vars(quote) for quote in quote_rows(PROBLEM, bundle, [row])]).encode()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        mlflow.pyfunc.save_model(
            str(model),
            loader_module=runs.__name__,
            data_path=str(project.models),
            pip_requirements=[],
        )
        http = over_http(project.models, row, model, answer)
    found = page(http, python)
    print(found)


if __name__ == "__main__":
    main()
