"""Whether the server keeps its promises when it is killed, ended and crowded again and again.

It starts servers of its own on 127.0.0.1, and clients beside them::

    python benchmarks/endurance.py --workers 2 --times 20 --seconds 60

prints a table in about ten minutes; exit code 1 says that a promise was broken. Needs a model
(``laptop-pricing run``) and Linux.
"""

import argparse
import json
import multiprocessing
import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil

from laptop_pricing.kit.serving.quotelog import read_log
from laptop_pricing.problem import PROBLEM

ROOT = Path(__file__).resolve().parent.parent
CLIENTS, RATE = 4, 50  # of the normal ones; requests a second of each
HELD = 1_000  # connections
P99_MS, END_S = 10, 10  # what is promised
FORK = multiprocessing.get_context("fork")


def request(content, path="/v1/quote"):
    body = json.dumps(content).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


ROW = PROBLEM.read_row(PROBLEM.example)[0]
UNKNOWN = ROW | {f"unknown field {i}": i for i in range(30_000)}
ONE, MANY = request(ROW), request([ROW] * 1000, "/v1/quotes")
LARGE = request(UNKNOWN), request([UNKNOWN], "/v1/quotes")


class Server:
    """A process with its workers, which logs its quotes in a folder."""

    def __init__(self, models, workers, folder):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [sys.executable, "-m", "laptop_pricing", "serve", "--model", models]
        command += ["--workers", workers, "--port", self.port, "--quotes", folder]
        command, known = [str(part) for part in command], dict(os.environ)
        known.pop(PROBLEM.key_variable, None)
        with open(folder / "log", "wb") as log:
            given = {"cwd": folder, "env": known, "start_new_session": True}
            self.process = subprocess.Popen(command, stdout=log, stderr=log, **given)
        end = time.monotonic() + 60
        while True:
            with suppress(OSError), self.connect() as connection:
                ask(connection, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                break
            if self.process.poll() is not None or time.monotonic() > end:
                sys.exit((folder / "log").read_text(errors="replace")[-3000:])
            time.sleep(0.05)
        first = psutil.Process(self.process.pid)
        self.tree = [first, *first.children(recursive=True)]

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def memory(self):
        """The megabytes of all its processes."""
        return sum(process.memory_info().rss for process in self.tree) / 1e6

    def end(self, number, all_of_it):
        """The seconds until it has ended, by a signal to all its processes or to the first."""
        start = time.monotonic()
        (os.killpg if all_of_it else os.kill)(self.process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(60)
        return time.monotonic() - start


@contextmanager
def serving(models, workers):
    """A server and the folder of its log, for a while."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(models, workers, Path(folder))
        try:
            yield server, Path(folder)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.process.pid, signal.SIGKILL)
            server.process.wait()


def ask(connection, message):
    """Head and body of the answer; an OSError says that there is none, or a part of one."""
    connection.sendall(message)
    content, size = bytearray(), None
    while size is None or len(content) < size:
        part = connection.recv(1 << 20)
        if not part:
            raise ConnectionError("closed before the answer")
        content += part
        if size is None and (end := content.find(b"\r\n\r\n")) > 0:
            head = bytes(content[:end]).lower()
            size = end + 4 + int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
    return head, bytes(content[end + 4 :])


class Client(threading.Thread):
    """Asks on and on, over one connection as long as the server keeps that; or at a `rate`."""

    def __init__(self, server, stop, message=ONE, rate=None):
        super().__init__(daemon=True)
        self.server, self.stop, self.message, self.rate = server, stop, message, rate
        self.ids, self.times, self.failed, self.asked, self.refused = [], [], [], 0, 0
        self.due = time.perf_counter()
        self.start()

    def run(self):
        while not self.stop.is_set():
            try:
                connection = self.server.connect()
            except OSError:  # not accepted, so nothing is owed
                self.refused += 1
                self.stop.wait(0.05)
                continue
            try:
                with connection:
                    self.use(connection)
            except OSError as error:
                what = "a list" if self.message is MANY else "a quote"
                self.failed.append(f"{what}: {error}")

    def use(self, connection):
        """Ask until the connection is closed."""
        head = b""
        while b"connection: close" not in head and not self.stop.is_set():
            start = time.perf_counter()
            if self.rate:  # a request that has to wait for the one before is late already
                time.sleep(max(self.due - start, 0))
                start = time.perf_counter() if self.due > start else self.due
                self.due += 1 / self.rate
            self.asked += 1
            head, body = ask(connection, self.message)
            if b" 200 " not in head[:13]:
                raise ConnectionError(head.split(b"\r\n")[0].decode())
            self.times.append(time.perf_counter() - start)
            self.ids += re.findall(rb'"quote_id":("\w+"|null)', body)


def told(errors):
    return f"{len(errors)} {sorted(set(errors))[:3] if errors else ''}".strip()


def signalled(models, workers, times, number):
    """Signal servers under load, with a dribbler beside; a row per promise."""
    answers, nulls, missing, failed, ends, dice = 0, 0, 0, [], [], random.Random(0)
    for i in range(times):
        with serving(models, workers) as (server, folder), server.connect() as dribbler:
            dribbler.sendall(ONE[:-9])
            stop = threading.Event()
            clients = [Client(server, stop, message) for message in (*[ONE] * 7, MANY)]
            time.sleep(0.5 + dice.random())
            ends.append(server.end(number, number == signal.SIGKILL or i % 2))
            stop.set()
            for client in clients:
                client.join()
            known = {b'"%s"' % line.quote_id.encode() for line in read_log(folder)}
        ids = [one for client in clients for one in client.ids]
        answers, nulls = answers + len(ids), nulls + ids.count(b"null")
        missing += len({*ids} - known - {b"null"})
        failed += [error for client in clients for error in client.failed]
    quotes = f"{answers - nulls:,} acknowledged, {missing} of them not in the log; {nulls} not"
    what = f"{signal.Signals(number).name} under load"
    rows = [(what, f"{times} times", quotes, "all in the log", answers > nulls and not missing)]
    if number == signal.SIGTERM:
        rows += [("the same", "", f"unanswered: {told(failed)}", "none", not failed)]
        slowest = f"the slowest end took {max(ends):.1f} s"
        rows += [("the same, beside a dribbler", "", slowest, f"< {END_S} s", max(ends) < END_S)]
    return rows


def beside(server, what, seconds, crowd=None):
    """How long normal clients wait beside a crowd of another process; a row."""
    asked, stop, most = FORK.Value("l", 0), threading.Event(), 0.0
    others = FORK.Process(target=crowd, args=(server, asked)) if crowd else None
    if others:
        others.start()
        time.sleep(1)
    clients = [Client(server, stop, rate=RATE) for _ in range(CLIENTS)]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        most = max(most, server.memory())
        time.sleep(0.2)
    stop.set()
    for client in clients:
        client.join()
    if others:
        others.kill()
        others.join()
    times = [1000 * one for client in clients for one in client.times]
    failed = [error for client in clients for error in client.failed]
    median, p99 = np.quantile(times, [0.5, 0.99])
    found = f"{len(times):,} answers, failed: {told(failed)}, "
    found += f"refused: {sum(client.refused for client in clients)}; half within {median:.1f} ms, "
    found += f"p99 {p99:.1f} ms, the worst {max(times):.0f} ms; at most {most:.0f} MB"
    kept = p99 < P99_MS and not failed
    return what.format(asked.value), f"{seconds} s", found, f"p99 < {P99_MS} ms", kept


def crowd_of(*messages):
    """Clients that ask without a pause, one for each message."""

    def crowd(server, asked):
        clients = [Client(server, threading.Event(), message) for message in messages]
        while True:
            time.sleep(0.2)
            asked.value = sum(client.asked for client in clients)

    return crowd


def hold(server, asked):
    """Connections that send a byte of a head every second; one that is sent away comes again."""
    poll, held, due = select.epoll(), {}, time.monotonic()
    while True:
        for _ in range(min(HELD - len(held), 25)):
            connection = server.connect()
            connection.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
            held[connection.fileno()] = connection
            poll.register(connection, select.EPOLLIN)
            asked.value += 1
        for number, _ in poll.poll(0.1):
            held.pop(number).close()
        if time.monotonic() > due:
            due += 1
            for connection in held.values():
                with suppress(OSError):
                    connection.send(b"x")


def main():
    """Do it all, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    for name, default in (("--workers", 2), ("--times", 20), ("--seconds", 60)):
        parser.add_argument(name, type=int, default=default)
    given = parser.parse_args()
    models, rows = given.models.resolve(), []
    for number in (signal.SIGKILL, signal.SIGTERM):
        rows += signalled(models, given.workers, given.times, number)
    with serving(models, given.workers) as (server, _):
        for what, crowd in (
            ("clients alone", None),
            ("beside {:,} lists of 1,000 rows", crowd_of(MANY, MANY)),
            (f"beside {{:,}} bodies of {len(LARGE[0]):,} bytes", crowd_of(*LARGE)),
            (f"beside {HELD:,} connections, {{:,}} in turn", hold),
        ):
            rows.append(beside(server, what, given.seconds, crowd))
    print(f"| {given.workers} workers | how often | found | promised | kept |")
    print("|---|---|---|---|---|")
    for *cells, kept in rows:
        print(f"| {' | '.join(cells)} | {'yes' if kept else '**no**'} |")
    sys.exit(not all(kept for *_, kept in rows))


if __name__ == "__main__":
    main()
