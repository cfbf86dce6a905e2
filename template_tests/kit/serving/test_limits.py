"""A server stays a server, whatever its clients do: slow ones, large ones, many, and its end."""

import asyncio
import json
import os
import signal
import socket
import sys
import threading
import time
import urllib.request
from contextlib import ExitStack, suppress

import psutil
import pytest
from asking import HEAD, ROW, answer, clients, message
from problems import LAPTOPS

from laptop_pricing.kit.serving import front
from laptop_pricing.kit.serving.quotelog import QuoteLog
from laptop_pricing.kit.serving.served import Source
from laptop_pricing.kit.serving.server import build_app

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(sys.platform == "win32", reason="limits and signals of POSIX"),
]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("options", [(), ("--workers", 2)], ids=["one", "two workers"])
def test_in_the_end_each_request_is_answered_whatever_others_do(start, name, options):
    server = start(*options)
    with server.connect() as dribbler, clients(server, 8) as asking:
        dribbler.sendall(f"{HEAD}Content-Length: 1000\r\n\r\n".encode() + b" ")
        time.sleep(0.5)
        assert server.end(getattr(signal, name)) < 10
    assert sum(len(client.answers) for client in asking) > 100
    assert [client.lost for client in asking] == [[]] * 8


def test_slow_clients_keep_nobody_out_and_are_sent_away(start):
    server, files = start(files=256), 400
    with ExitStack() as stack:
        slow = [stack.enter_context(server.connect()) for _ in range(files)]
        for connection in slow:
            connection.sendall(b"GET / HT")
        for _ in range(5):
            assert server.ask("GET", "/healthz", timeout=3) == 200
            assert server.ask("POST", "/v1/quote", ROW, timeout=3) == 200
        heads = [answer(connection)[0] for connection in slow]
    statuses = [head.split(b" ")[1] for head in heads if head]
    assert {b"408", b"503"} == set(statuses) and len(statuses) == files


def test_beyond_the_limit_of_connections_work_is_refused_and_the_health_told(start):
    server, stop, heads = start(files=110), threading.Event(), []  # ten connections

    def work():
        while not stop.is_set():
            with suppress(OSError), server.connect() as connection:
                connection.sendall(message([ROW] * 1000, "/v1/quotes"))
                heads.append(answer(connection)[0])

    busy = [threading.Thread(target=work) for _ in range(9)]
    for thread in busy:
        thread.start()
    statuses, end = set(), time.monotonic() + 30
    while 503 not in statuses and time.monotonic() < end:
        statuses.add(server.ask("POST", "/v1/quote", ROW))
        health = server.ask("GET", "/healthz")  # it may be the one that has waited longest, once
        assert health == 200 or server.ask("GET", "/healthz") == 200
    stop.set()
    for thread in busy:
        thread.join()
    assert 503 in statuses and any(head.startswith(b"HTTP/1.1 200") for head in heads)


@pytest.mark.parametrize("part", [b"x", b"x" * 60_000])
def test_an_endless_head_is_refused(start, part):
    server = start()
    before = psutil.Process(server.process.pid).memory_info().rss
    with server.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Long: ")
        with pytest.raises(OSError):  # it hangs up
            for _ in range(100_000 if len(part) == 1 else 1_000):
                connection.sendall(part)
                if len(part) == 1 and b"431" in _peek(connection):
                    raise OSError("refused")
        assert server.ask("GET", "/healthz") == 200
    assert psutil.Process(server.process.pid).memory_info().rss - before < 10_000_000


def _peek(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1000, socket.MSG_PEEK)
    except BlockingIOError:
        return b""
    finally:
        connection.settimeout(20)


def test_a_client_that_waits_for_the_word_to_go_on_gets_it_before_the_answer(start):
    head, _, body = message().partition(b"\r\n\r\n")
    with start().connect() as connection:
        connection.sendall(head + b"\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert answer(connection)[0].startswith(b"HTTP/1.1 200")


def test_a_whole_head_that_is_too_long_is_refused(start):
    server = start()
    with server.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Long: " + b"x" * 64_000 + b"\r\n\r\n")
        assert answer(connection)[0].startswith(b"HTTP/1.1 431")


def test_single_quotes_are_answered_while_a_list_is(start):
    server = start()
    with server.connect() as many, server.connect() as one:
        one.sendall(message())
        answer(one)
        done, quotes = threading.Event(), 0

        def ask_many():
            many.sendall(message([ROW] * 1000, "/v1/quotes"))
            head, body = answer(many)
            assert head.startswith(b"HTTP/1.1 200") and len(json.loads(body)) == 1000
            done.set()

        thread = threading.Thread(target=ask_many)
        thread.start()
        while not done.is_set():
            one.sendall(message())
            assert answer(one)[0].startswith(b"HTTP/1.1 200")
            quotes += 1
        thread.join()
    assert quotes >= 15  # it was seven, before lists were worked on in turns


async def ask_app(app, path, content):
    """The status of an answer, in this process."""
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "client": None}
    sent = []

    async def receive():
        return {"type": "http.request", "body": json.dumps(content).encode()}

    async def send(part):
        sent.append(part)

    await app(scope | {"headers": []}, receive, send)
    return sent[0]["status"]


def test_in_each_turn_of_a_list_a_quote_is_given_and_lists_wait_for_each_other(
    models, tmp_path, monkeypatch
):
    monkeypatch.setattr(front, "TURN_S", 0)  # each row is a turn
    app, rows = build_app(Source(LAPTOPS, models)), 200
    app.state.quotes = QuoteLog(tmp_path)

    async def ask():
        lists = [asyncio.create_task(ask_app(app, "/v1/quotes", [ROW] * rows)) for _ in range(3)]
        quotes = dict.fromkeys(lists, 0)
        while not all(one.done() for one in lists):
            assert await ask_app(app, "/v1/quote", ROW) == 200
            for one in lists:
                quotes[one] += not one.done()
        assert [one.result() for one in lists] == [200] * 3
        return [*quotes.values()]

    first, second, third = asyncio.run(ask())
    assert rows < first and 1.5 * first < second and 1.2 * second < third


def test_a_log_that_nobody_reads_stops_no_answer(start):
    ours, theirs = os.pipe()
    try:
        server = start(output=theirs)
        with server.connect() as connection:
            for _ in range(2000):
                connection.sendall(message())
                assert answer(connection)[0].startswith(b"HTTP/1.1 200")
        assert server.end() < 10
    finally:
        os.close(ours), os.close(theirs)


def test_many_large_bodies_take_little_memory(start):
    server, size = start(), 999_000
    process = psutil.Process(server.process.pid)
    before, head = (
        process.memory_info().rss,
        f"{HEAD}Content-Length: {size}\r\n\r\n".replace("quote", "quotes").encode(),
    )
    with ExitStack() as stack:
        held = [stack.enter_context(server.connect()) for _ in range(150)]
        for connection in held:
            connection.setblocking(False)
            content, end = head + b" " * (size - 1), time.monotonic() + 0.02
            while content and time.monotonic() < end:
                try:
                    content = content[connection.send(content) :]
                except BlockingIOError:
                    time.sleep(0.001)
        assert server.ask("POST", "/v1/quote", ROW) == 200
        taken = process.memory_info().rss - before
    assert taken < 90_000_000  # it was a megabyte and more for each


def test_a_client_that_does_not_read_its_answer_is_left(start):
    server = start()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(message([ROW] * 1000, "/v1/quotes") * 10)  # more than the system keeps
        process, end = psutil.Process(server.process.pid), time.monotonic() + 30
        while not [c for c in process.net_connections() if c.status == "ESTABLISHED"]:
            time.sleep(0.1)
        while [c for c in process.net_connections() if c.status == "ESTABLISHED"]:
            assert time.monotonic() < end
            time.sleep(0.5)


def test_two_workers_answer_and_are_counted_together_and_another_takes_the_place_of_one(start):
    server = start("--workers", 2)
    children = psutil.Process(server.process.pid).children()
    assert len(children) == 2
    for _ in range(40):
        assert server.ask("POST", "/v1/quote", ROW) == 200
    address, end = f"http://127.0.0.1:{server.port}/metrics", time.monotonic() + 20
    counted = 'http_requests_total{method="POST",path="/v1/quote",status="200"} 40.0'
    while counted not in urllib.request.urlopen(address, timeout=9).read().decode():
        assert time.monotonic() < end  # an answer is counted when it is sent
    children[0].kill()
    while len({*psutil.Process(server.process.pid).children()} - {children[0]}) < 2:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert server.ask("POST", "/v1/quote", ROW) == 200


def test_a_worker_that_has_just_taken_a_place_ends_in_time_too(start):
    server = start("--workers", 2)
    first, second = server.children()
    first.kill()
    while not {*server.children()} - {first, second}:
        time.sleep(0.01)
    assert server.end() < 10
