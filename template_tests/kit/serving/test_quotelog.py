"""The log of quotes: nothing that was acknowledged is missing, and each can be given again."""

import json
import sys
import time
import urllib.request

import pandas as pd
import pytest
from asking import answer, clients, message
from fastapi.testclient import TestClient
from problems import MADE
from pydantic_core import to_json

from laptop_pricing.kit.errors import UserError
from laptop_pricing.kit.modeling.bundle import load_bundle
from laptop_pricing.kit.serving import quotelog
from laptop_pricing.kit.serving.api import create_app
from laptop_pricing.kit.serving.quotelog import (
    Logged,
    QuoteLog,
    forget,
    log_files,
    new_id,
    read_log,
    with_id,
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
    assert [line.quote_id for line in lines] == [one["quote_id"] for one in answers]
    for line, one in zip(lines, answers):
        assert json.loads(line.answer) == one | {"quote_id": None}
        assert json.loads(line.asked)["case"] == MADE.read_row(EXAMPLE)[0]
        assert (line.sha256, line.version) == (one["model"]["sha256"], None)
        assert abs(line.time - time.time()) < 60
    assert [json.loads(line.asked)["margin"] for line in lines] == [0.1, None, None]
    found = replay_quotes(project, folder)
    assert (found.quotes, [*found.models.values()], found.differences) == (3, ["models"], [])


def test_a_log_takes_only_so_much_room(client, folder, monkeypatch):
    monkeypatch.setattr(quotelog, "BYTES_PER_FILE", 10_000)
    monkeypatch.setattr(quotelog, "MOST_BYTES", 100_000)
    for _ in range(400):
        assert client.post("/v1/quote", json=EXAMPLE).json()["quote_id"]
    assert 5 < len(log_files(folder)) < 15
    assert sum(path.stat().st_size for path in folder.iterdir()) < 120_000
    newest = list(read_log(folder))[-1]
    client.post("/v1/quote", json=EXAMPLE)
    assert newest in list(read_log(folder))


def test_what_was_written_is_read_again_whatever_it_holds(tmp_path):
    log, lines = QuoteLog(tmp_path), []
    for name in ("answer", 'a "},"answer":{', "\n", "ü", "\u2028", "}"):
        case = to_json({"case": {name: name, "x": None}, "margin": None})
        said = to_json(
            {"quote_id": None, "prediction": 1e-9, "factors": {name: 1}, "of": {}, "answer": {}}
        )
        lines.append(Logged(new_id(), 1764203391.25, "7", "5" * 64, "d" * 32, case, said))
    lines.append(lines[0]._replace(quote_id=new_id(), version=None))
    assert log.add(lines[:2]) and log.add(lines[2:])
    assert [*read_log(tmp_path)] == lines
    ids = [line.quote_id for line in lines]
    for line in lines:
        assert [*read_log(tmp_path, line.quote_id)] == [line]
        assert json.loads(with_id(line))["quote_id"] == line.quote_id
    assert not [*read_log(tmp_path, since=1764203392)] and not [*read_log(tmp_path, "5" * 16)]
    (path,) = log_files(tmp_path)
    with path.open("ab") as file:
        file.write(path.read_bytes()[:100].rstrip())  # as a reader may find it
    assert [*read_log(tmp_path)] == lines
    assert pd.read_json(path, lines=True, nrows=2)["quote_id"].tolist() == ids[:2]


def test_a_file_that_another_process_removed_is_not_written_to(client, folder):
    assert client.post("/v1/quote", json=EXAMPLE).json()["quote_id"]
    for path in list(folder.iterdir()):
        path.unlink()
    known = client.post("/v1/quote", json=EXAMPLE).json()["quote_id"]
    assert [line.quote_id for line in read_log(folder)] == [known]


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
    assert [line.quote_id for line in read_log(folder)] == [ids[0], ids[2]]
    for path in folder.iterdir():
        assert ids[1].encode() not in path.read_bytes()
    later = client.post("/v1/quote", json=EXAMPLE).json()["quote_id"]
    assert [line.quote_id for line in read_log(folder)] == [ids[0], ids[2], later]


def test_what_cannot_be_given_again_is_named(client, folder, project, trained):
    ids = [client.post("/v1/quote", json=EXAMPLE).json()["quote_id"] for _ in range(4)]
    (path,) = log_files(folder)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[0] = lines[0].replace(b'"low":', b'"low":1')
    lines[1] = lines[1].replace(b'"asked":{', b'"asked":{{')
    lines[2] = lines[2].replace(b'"sha256":"', b'"sha256":"feed', 1)
    lines.append(b"\0" * 50 + b"\n")
    path.write_bytes(b"".join(lines))
    found = replay_quotes(project, folder)
    first, second, third, fourth = found.differences
    assert [line.partition(":")[0] for line in (first, second, third)] == ids[:3]
    assert fourth == f"{path.name}, line 5: damaged in the log" and found.quotes == 5
    assert "interval.low was 1" in first and "damaged in the log" in second
    assert "models/ does not hold the model with SHA-256 feed" in third
    assert replay_quotes(project, folder, ids[3]).differences == []
    with pytest.raises(UserError, match="no such quote"):
        replay_quotes(project, folder, "none")
    lines[3] = lines[3].replace(b'"asked"', b'"risked"')
    path.write_bytes(b"".join(lines))
    assert replay_quotes(project, folder, ids[3]).differences == [f"{ids[3]}: damaged in the log"]


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
    assert known <= {line.quote_id for line in read_log(tmp_path / "quotes")}


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
    assert {*known} <= {line.quote_id for line in read_log(tmp_path / "quotes")}
    address = f"http://127.0.0.1:{server.port}/metrics"
    said = urllib.request.urlopen(address, timeout=9).read().decode()
    assert f"quotes_not_logged_total {300 - len(known)}.0" in said
