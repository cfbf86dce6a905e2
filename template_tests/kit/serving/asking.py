"""Servers of the tests' own, and clients that ask again and again."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import psutil
import servers
from problems import LAPTOPS

ROW = LAPTOPS.read_row(LAPTOPS.example)[0]
HEAD = "POST /v1/quote HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


class Server:
    """A process of its own; `files` is how many it may open, `largest_file` in bytes."""

    def __init__(self, models, folder, *options, files=0, largest_file=0, output=None):
        self.port = servers.free_port()
        command = [sys.executable, "-m", "laptop_pricing", "serve", "--model", models, *options]
        known = {name: os.environ[name] for name in os.environ if name != LAPTOPS.key_variable}

        def limit():
            import resource

            if files:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
            if largest_file:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

        self.process = subprocess.Popen(
            [str(part) for part in (*command, "--port", self.port)],
            cwd=folder,
            env=known,
            stdout=output,
            stderr=output or open(folder / "log", "wb"),
            preexec_fn=limit,
        )
        end = time.monotonic() + 60
        while self.ask("GET", "/healthz", timeout=2) != 200:
            assert self.process.poll() is None and time.monotonic() < end
            time.sleep(0.05)

    def children(self):
        return psutil.Process(self.process.pid).children(recursive=True)

    def connect(self, timeout=20):
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def ask(self, method, path, content=None, timeout=20):
        """The status of the answer; None without one."""
        body = json.dumps(content).encode() if content is not None else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    def end(self, number=signal.SIGTERM, patience=10):
        """Ends in time; gives the seconds."""
        start = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(patience)
        return time.monotonic() - start


def message(content=ROW, path="/v1/quote"):
    body = json.dumps(content).encode()
    return f"{HEAD.replace('/v1/quote', path)}Content-Length: {len(body)}\r\n\r\n".encode() + body


def answer(connection):
    """Head and body of an answer; empty if the connection was closed before it."""
    found = b""
    while b"\r\n\r\n" not in found:
        part = connection.recv(65536)
        if not part:
            return found, b""
        found += part
    head, _, body = found.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    while len(body) < length:
        part = connection.recv(1 << 20)
        if not part:
            raise OSError("half an answer")
        body += part
    return head, body


class Client(threading.Thread):
    """Asks again and again, over one connection as long as that is open."""

    def __init__(self, server, stop):
        super().__init__()
        self.server, self.stop = server, stop
        self.answers, self.lost = [], []

    def run(self):
        while not self.stop.is_set():
            try:
                connection = self.server.connect()
            except OSError:  # no server any more
                return
            with connection:
                try:
                    self.use(connection)
                except OSError as error:
                    self.lost.append(error)

    def use(self, connection):
        head = b""
        while b"connection: close" not in head.lower() and not self.stop.is_set():
            connection.sendall(message())
            head, body = answer(connection)
            if not head.startswith(b"HTTP/1.1 200") or b"prediction" not in body:
                raise OSError(f"no answer: {head}")
            self.answers.append(body)


@contextmanager
def clients(server, count):
    stop = threading.Event()
    found = [Client(server, stop) for _ in range(count)]
    for client in found:
        client.start()
    try:
        yield found
    finally:
        stop.set()
        for client in found:
            client.join()
