"""The log of quotes: nothing that was acknowledged is missing, and each can be given again."""

import asyncio
import json
import sqlite3
import sys
import time
import urllib.request
from contextlib import closing

import pytest
from asking import answer, clients, message
from fastapi.testclient import TestClient
from problems import MADE

from laptop_pricing.kit.errors import UserError
from laptop_pricing.kit.modeling.bundle import load_bundle
from laptop_pricing.kit.serving import quotelog
from laptop_pricing.kit.serving.api import create_app
from laptop_pricing.kit.serving.quotelog import (
    Logged,
    QuoteLog,
    forget,
    log_files,
    read_log,
    text_of,
)
from laptop_pricing.kit.serving.replay import replay_quotes
from laptop_pricing.kit.serving.served import Served

EXAMPLE = dict(MADE.example)
posix = pytest.mark.skipif(sys.platform == "win32", reason="limits and signals of POSIX")


@pytest.fixture
def project(trained):
    return trained(MADE)


@pytest.fixture
def client(project, tmp_path):
    app = create_app(MADE, Served.of(MADE, load_bundle(project.models, MADE), "models"))
    app.state.quotes = QuoteLog(tmp_path / "quotes")
    with TestClient(app) as client:
        yield client


@pytest.fixture
def folder(client):
    return client.app.state.quotes.folder


def test_what_was_asked_and_answered_is_logged_and_nothing_else(client, folder, project):
    answers = [client.post("/v1/quote?margin=0.1", json=EXAMPLE).json()]
    answers += client.post("/v1/quotes", json=[EXAMPLE, EXAMPLE]).json()
    assert client.post("/v1/quote", json={}).status_code == 422
    lines = list(read_log(folder))
    assert [text_of(line.quote_id) for line in lines] == sorted(one["quote_id"] for one in answers)
    for line, one in zip(lines, answers):
        assert json.loads(line.answer) == one | {"quote_id": None}
        assert json.loads(line.asked)["case"] == MADE.read_row(EXAMPLE)[0]
        assert (line.sha256, line.version) == (one["model"]["sha256"], None)
        assert abs(line.time - time.time()) < 60
    assert [json.loads(line.asked)["margin"] for line in lines] == [0.1, None, None]
    found = replay_quotes(project, folder)
    assert (found.quotes, [*found.models.values()], found.differences) == (3, ["models"], [])


def test_a_log_takes_only_so_much_room(client, folder, monkeypatch):
    monkeypatch.setattr(quotelog, "ROWS_PER_FILE", 10)
    monkeypatch.setattr(quotelog, "MOST_BYTES", 300_000)
    for _ in range(400):
        assert client.post("/v1/quote", json=EXAMPLE).json()["quote_id"]
    time.sleep(1)  # the last file may be on its way
    assert 1 < len(log_files(folder)) < 15
    assert sum(path.stat().st_size for path in folder.iterdir()) < 600_000
    newest = list(read_log(folder))[-1]
    client.post("/v1/quote", json=EXAMPLE)
    assert newest in list(read_log(folder))


def test_a_long_list_is_logged_in_turns_and_the_disk_is_waited_for_elsewhere(tmp_path):
    log = QuoteLog(tmp_path)
    lines = [Logged(i, time.time(), None, "x", "y", b"{}", b"{}" * 400) for i in range(1000)]

    async def add():
        adding, turns = asyncio.create_task(log.add(lines)), 0
        while not adding.done():
            await asyncio.sleep(0)
            turns += 1
        return adding.result(), turns

    known, turns = asyncio.run(add())
    assert known and turns >= 20
    assert log._file.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)
    assert [*read_log(tmp_path)] == lines


def test_a_file_that_another_process_removed_is_not_written_to(client, folder):
    assert client.post("/v1/quote", json=EXAMPLE).json()["quote_id"]
    for path in list(folder.iterdir()):
        path.unlink()
    known = client.post("/v1/quote", json=EXAMPLE).json()["quote_id"]
    assert [text_of(line.quote_id) for line in read_log(folder)] == [known]


def test_answers_go_on_where_they_cannot_be_logged_and_are_counted(client, folder, monkeypatch):
    assert client.post("/v1/quote", json=EXAMPLE).json()["quote_id"]
    client.app.state.quotes.close()
    monkeypatch.setattr(quotelog, "RETRY_S", 0)
    folder.rename(folder.with_name("elsewhere"))
    folder.write_text("no folder")
    for _ in range(3):
        found = client.post("/v1/quote", json=EXAMPLE).json()
        assert found["prediction"] and found["quote_id"] is None
    assert "quotes_not_logged_total 3.0" in client.get("/metrics").text
    folder.unlink()
    assert client.post("/v1/quote", json=EXAMPLE).json()["quote_id"]


def test_a_forgotten_quote_leaves_no_trace(client, folder):
    ids = [client.post("/v1/quote", json=EXAMPLE).json()["quote_id"] for _ in range(3)]
    assert forget(folder, ids[1]) and not forget(folder, ids[1])
    assert [text_of(line.quote_id) for line in read_log(folder)] == [ids[0], ids[2]]
    for path in folder.iterdir():
        assert bytes.fromhex(ids[1]) not in path.read_bytes()


def test_what_cannot_be_given_again_is_named(client, folder, project, trained):
    ids = [client.post("/v1/quote", json=EXAMPLE).json()["quote_id"] for _ in range(4)]
    client.app.state.quotes.close()
    (path,) = log_files(folder)
    numbers = [int(text, 16) for text in ids]
    with closing(sqlite3.connect(path)) as file, file:
        change = "UPDATE quotes SET {} WHERE quote_id = ?"
        file.execute(
            change.format("answer = replace(answer, '\"low\":', '\"low\":1')"), numbers[:1]
        )
        file.execute(change.format("asked = 'x'"), numbers[1:2])
        file.execute(change.format("sha256 = 'feed'"), numbers[2:3])
    found = replay_quotes(project, folder)
    assert [line.partition(":")[0] for line in found.differences] == ids[:3]
    first, second, third = found.differences
    assert "interval.low was 1" in first and "damaged in the log" in second
    assert "models/ does not hold the model with SHA-256 feed" in third
    assert replay_quotes(project, folder, ids[3]).differences == []
    with pytest.raises(UserError, match="no such quote"):
        replay_quotes(project, folder, "none")
    content = bytearray(path.read_bytes())
    content[:100] = b"x" * 100
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{path.name}: damaged"):
        replay_quotes(project, folder)


def test_no_log_no_quote(tmp_path, project):
    with pytest.raises(UserError, match="no quotes here"):
        replay_quotes(project, tmp_path)


def acknowledged(asking):
    return {json.loads(body)["quote_id"] for client in asking for body in client.answers}


@posix
@pytest.mark.services
@pytest.mark.parametrize("options", [(), ("--workers", 2)], ids=["one", "two workers"])
def test_what_was_acknowledged_is_in_the_log_of_a_server_that_was_killed(start, tmp_path, options):
    server = start("--quotes", tmp_path / "quotes", *options)
    with clients(server, 4) as asking:
        time.sleep(1)
        for child in server.children():
            child.kill()
        server.process.kill()
        server.process.wait()
    known = acknowledged(asking)
    assert len(known) > 100 and None not in known
    assert known <= {text_of(line.quote_id) for line in read_log(tmp_path / "quotes")}


@posix
@pytest.mark.services
def test_a_full_disk_stops_no_answer(start, tmp_path):
    server = start("--quotes", tmp_path / "quotes", largest_file=400_000)
    with server.connect() as connection:
        found = []
        for _ in range(300):
            connection.sendall(message())
            found.append(json.loads(answer(connection)[1]))
    assert all(one["prediction"] > 0 for one in found)
    known = [one["quote_id"] for one in found if one["quote_id"]]
    assert 10 < len(known) < 300
    assert {*known} <= {text_of(line.quote_id) for line in read_log(tmp_path / "quotes")}
    address = f"http://127.0.0.1:{server.port}/metrics"
    said = urllib.request.urlopen(address, timeout=9).read().decode()
    assert f"quotes_not_logged_total {300 - len(known)}.0" in said


@posix
@pytest.mark.services
def test_what_waits_for_its_checkpoint_is_bounded_and_files_become_whole(start, tmp_path):
    folder = tmp_path / "quotes"
    server = start("--quotes", folder)
    most, turns = 0, 3
    with clients(server, 4) as asking:
        end = time.monotonic() + 120
        while len(log_files(folder)) <= turns and time.monotonic() < end:
            waiting = [path.stat().st_size for path in folder.glob("*-wal")]
            most = max(most, sum(waiting))
            time.sleep(0.05)
    assert len(log_files(folder)) > turns
    assert most < 2 * 10_000 * quotelog.ROWS_PER_FILE  # two pages of 4 kB for a quote
    time.sleep(1)
    assert len(list(folder.glob("*-wal"))) == 1  # that of the newest
    rows = {text_of(line.quote_id) for line in read_log(folder)}
    assert acknowledged(asking) <= rows and len(log_files(folder)) <= turns + 2
