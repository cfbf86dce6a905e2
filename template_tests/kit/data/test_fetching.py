"""The dataset is fetched from a path, over HTTP and from S3, or data/raw stays as it was."""

import contextlib
import json
import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import servers
from problems import DIABETES, MADE, make_project, write_raw

from laptop_pricing.kit.data.ingest import ingest
from laptop_pricing.kit.errors import DataUnavailable, UserError
from laptop_pricing.kit.files import checksum

SECRET = "hunter2"
IMPATIENT = {"ingest": {"source": "elsewhere", "timeout_s": 1.5}}
PATIENCE_S = 8  # for what is bounded by timeout_s, on a slow machine


@pytest.fixture(autouse=True)
def aws(monkeypatch, tmp_path):
    """Credentials of the tests' own, whatever the developer's home folder holds."""
    ours = {
        "ACCESS_KEY_ID": "test-id",
        "SECRET_ACCESS_KEY": SECRET,
        "EC2_METADATA_DISABLED": "true",
    }
    ours |= dict.fromkeys(("SHARED_CREDENTIALS_FILE", "CONFIG_FILE"), str(tmp_path / "none"))
    for name, value in ours.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    return monkeypatch


@pytest.fixture(scope="session")
def good(tmp_path_factory):
    """Another good dataset than the one in data/raw. Read only."""
    path = tmp_path_factory.mktemp("s3") / "root" / "flats" / "v1" / "good flats.csv"
    write_raw(MADE, path, 201, seed=1)
    shutil.copyfile(path, path.with_name("good.csv"))
    return path.with_name("good.csv")


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path / "project", MADE, **IMPATIENT)


@pytest.fixture
def serve():
    """``serve(respond)``: an HTTP server that answers each GET by ``respond(handler)``."""
    over, started = threading.Event(), []

    def start(respond):
        def do_get(handler):
            with contextlib.suppress(OSError):  # the client has left
                respond(handler)

        members = {"do_GET": do_get, "log_message": lambda *_: None, "over": over}
        handler = type("Handler", (BaseHTTPRequestHandler,), members)
        started.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=started[-1].serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{started[-1].server_port}"

    yield start
    over.set()
    for server in started:
        server.shutdown()
        server.server_close()


def answer(content, status=200, **headers):
    def respond(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), str(value))
        handler.end_headers()
        handler.wfile.write(content)

    return respond


def drip(start, piece):
    def respond(handler):
        handler.wfile.write(start)
        while not handler.over.wait(0.05):
            handler.wfile.write(piece)

    return respond


def state(project):
    return {p: p.read_bytes() for p in project.root.rglob("*") if p.is_file()}


def refused(error, source, project):
    """`ingest` raises `error` in one line that names the source, and leaves every file alone."""
    before, start = state(project), time.monotonic()
    with pytest.raises((UserError, DataUnavailable)) as caught:
        ingest(project, source)
    message = str(caught.value)
    assert caught.type is error and message.splitlines() == [message] and ".part" not in message
    assert message.startswith(f"{source}:") and SECRET not in message
    assert state(project) == before and time.monotonic() - start < PATIENCE_S
    return message


def arrived(project, source, good):
    result = ingest(project, source)
    assert project.raw.read_bytes() == good.read_bytes()
    assert result == {"rows": 201, "md5": checksum(good, "md5"), "source": source}
    assert json.loads((project.interim / "source.json").read_text(encoding="utf-8")) == result
    assert not list(project.root.rglob("*.part"))


def test_from_a_path(project, good, monkeypatch):
    monkeypatch.setenv("HOME", str(good.parent))
    monkeypatch.chdir(good.parent)
    shutil.rmtree(project.root / "data")
    for source in (str(good), good.name, f"~/{good.name}", "good flats.csv", str(project.raw)):
        arrived(project, source, good)


def test_over_http(project, good, serve):
    content = good.read_bytes()
    whole = serve(answer(content, Content_Length=len(content)))
    redirect = answer(b"", 302, Location=f"{whole}/flats.csv", Content_Length=0)
    for server in (whole, serve(answer(content)), serve(redirect)):
        arrived(project, f"{server}/flats%20of%20all.csv", good)


def test_any_problem_has_its_own_file(tmp_path):
    write_raw(DIABETES, tmp_path / "other.csv")
    project = make_project(tmp_path / "project", DIABETES, raw=False)
    assert ingest(project, str(tmp_path / "other.csv"))["rows"] == 442
    assert [path.name for path in project.raw.parent.iterdir()] == ["diabetes.csv"]


MISSPELLED = "ftp://127.0.0.1/a.csv|file:///a.csv|https:///a.csv|http://[::1/a.csv|s3://|s3://flats"
MISSPELLED += (
    "|http://127.0.0.1:port/a.csv|http://127.0.0.1:1/a b.csv|s3:///a.csv|no/a.csv|.|a\0.csv"
)
MISSPELLED += f"|~nobody-of-that-name/a.csv|params.yaml/a.csv|{'a' * 300}|s3://Not_A_Bucket!/a.csv"


@pytest.mark.parametrize("source", MISSPELLED.split("|"))
def test_a_misspelled_source_is_the_users_to_put_right(project, monkeypatch, source):
    monkeypatch.chdir(project.root)
    refused(UserError, source, project)


@pytest.mark.parametrize("content", [b"<html>", b"", b"a,b\n1,2\n", b"District\n\xe9\n"])
def test_wrong_content_replaces_nothing(project, serve, tmp_path, content):
    (tmp_path / "wrong.csv").write_bytes(content)
    refused(UserError, str(tmp_path / "wrong.csv"), project)
    refused(UserError, serve(answer(content)) + "/wrong.csv", project)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BROKEN = {
    **{f"status {status}": answer(b"", status) for status in (401, 403, 404, 429, 500, 503)},
    "not HTTP": lambda handler: handler.wfile.write(b"220 smtp ready\r\n"),
    "an endless redirect": answer(b"", 302, Location="/flats.csv", Content_Length=0),
    "silence": lambda handler: handler.over.wait(PATIENCE_S),
    "drips its body": drip(b"HTTP/1.0 200 OK\r\n\r\n", b"b"),
    "drips its body in chunks": drip(CHUNKED, b"1\r\nb\r\n"),
    "drips its status": drip(b"", b"H"),
    "drips its headers": drip(b"HTTP/1.0 200 OK\r\nX-Long: ", b"x"),
    "breaks off before its length": answer(b"b" * 500, Content_Length=1000),
    "breaks off in a chunk": lambda handler: handler.wfile.write(CHUNKED + b"64\r\nbbb"),
    "breaks off between chunks": lambda handler: handler.wfile.write(CHUNKED + b"3\r\nbbb\r\n"),
    "hangs up": lambda handler: handler.connection.close(),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("scheme", ["http", "https", "s3"])
def test_a_server_that_fails_or_drips_is_given_up_in_time(project, serve, aws, scheme, name):
    address = serve(BROKEN[name])
    aws.setenv("AWS_ENDPOINT_URL_S3", address)
    source = {"s3": "s3://flats/v1/good.csv"}.get(
        scheme, f"{address}/a.csv".replace("http", scheme)
    )
    message = refused(DataUnavailable, source, project)
    assert scheme != "http" or not name.startswith("status") or f"answered {name[-3:]}" in message


@pytest.mark.parametrize("source", ["http://127.0.0.1:{}/a.csv", "s3://flats/v1/good.csv"])
def test_a_closed_port(project, aws, source):
    port = servers.free_port()
    aws.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
    refused(DataUnavailable, source.format(port), project)


def cut(good, rows, target):
    target.write_bytes(b"".join(good.read_bytes().splitlines(keepends=True)[: rows + 1]))


def test_a_file_cut_at_the_end_of_a_line_is_told_by_its_md5(tmp_path, good):
    source = tmp_path / "flats.csv"
    params = {"ingest": {"source": str(source), "md5": checksum(good, "md5")}}
    project = make_project(tmp_path / "project", MADE, raw=False, **params)
    cut(good, 200, source)
    assert f"(200 rows); expected {checksum(good, 'md5')}" in refused(
        UserError, str(source), project
    )
    assert ingest(project, f"{source.parent}/./{source.name}")["rows"] == 200  # another source
    cut(good, 201, source)
    arrived(project, str(source), good)


@pytest.mark.parametrize("rows", [1, 199])
def test_a_dataset_that_shrinks_by_more_than_half_is_refused_unless_it_may(
    project, good, tmp_path, rows
):
    cut(good, rows, tmp_path / "cut.csv")
    message = refused(UserError, str(tmp_path / "cut.csv"), project)
    assert f"found {rows} rows; data/raw has 400; add --shrink" in message
    assert ingest(project, str(tmp_path / "cut.csv"), shrink=True)["rows"] == rows
    project.raw.write_bytes(b"")  # damaged: nothing to be sorry for
    assert ingest(project, str(tmp_path / "cut.csv"))["rows"] == rows


@pytest.mark.parametrize(
    "source",
    [
        f"https://user:{SECRET}@HOST/a.csv", f"http://{SECRET}@HOST/a.csv",
        f"http://user:{SECRET}@127.0.0.1:port/a.csv", f"http://user:{SECRET} @127.0.0.1:1/a.csv",
        f"http://user:{SECRET}@[::1/a.csv", f"ftp://user:{SECRET}@HOST/a.csv",
        f"s3://user:{SECRET}@flats/a.csv", f"http://HOST/good.csv?token={SECRET}",
        f"http://HOST/missing.csv?token={SECRET}", f"http://HOST/a.csv?token= {SECRET}",
        f"http://HOST/wrong.csv?token={SECRET}", f"http://127.0.0.1:1/a.csv?token={SECRET}",
    ],
)  # fmt: skip
def test_credentials_in_an_address_are_never_shown(project, good, serve, source):
    def respond(handler):
        page = b"<html>" if "wrong" in handler.path else good.read_bytes()
        answer(page, 404 if "missing" in handler.path else 200)(handler)

    try:
        shown = str(ingest(project, source.replace("HOST", serve(respond).partition("//")[2])))
    except (UserError, DataUnavailable) as error:
        shown = f"{error} {error!r}"
    assert SECRET not in shown
    assert not any(SECRET.encode() in content for content in state(project).values())


@pytest.mark.services
def test_from_s3(project, good, aws):
    (good.parent / "wrong.csv").write_bytes(b"<html>")
    with servers.s3_server(good.parents[2], ("test-id", SECRET)) as address:
        aws.setenv("AWS_ENDPOINT_URL_S3", address)
        arrived(project, "s3://flats/v1/good.csv", good)
        refused(UserError, "s3://flats/v1/wrong.csv", project)
        for missing in ("flats/v1/none.csv", "flats/v1", "nowhere/v1/good.csv"):
            refused(DataUnavailable, f"s3://{missing}", project)
        for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
            with aws.context() as patch:
                patch.setenv(f"AWS_{name}", "wrong")
                refused(DataUnavailable, "s3://flats/v1/good.csv", project)
            aws.delenv(f"AWS_{name}")
        assert "credentials" in refused(DataUnavailable, "s3://flats/v1/good.csv", project)
