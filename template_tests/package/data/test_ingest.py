"""The dataset is fetched from a path, over HTTP and from S3, or data/raw stays as it was."""

import contextlib
import hashlib
import json
import os
import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import servers

from laptop_pricing.data.ingest import ingest
from laptop_pricing.data.sample import write_sample
from laptop_pricing.errors import DataUnavailable, UserError
from laptop_pricing.files import checksum

TIMEOUT_S = 0.5
PATIENCE_S = 5  # for what is bounded by TIMEOUT_S, on a slow machine
SECRET = "hunter2"
ROWS = 200  # half of what data/raw has


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
def impatient(params):
    """The project's params, with little time for a download."""
    return params.model_copy(
        update={"ingest": params.ingest.model_copy(update={"timeout_s": TIMEOUT_S})}
    )


@pytest.fixture(scope="session")
def other_csv(tmp_path_factory):
    """A good dataset that differs from the one in the workspace. Read only."""
    path = tmp_path_factory.mktemp("other") / "other laptops.csv"
    write_sample(path, ROWS, seed=1)
    return path


@pytest.fixture
def serve():
    """Start HTTP servers on 127.0.0.1; each answers a GET by calling `respond(handler)`."""
    over = threading.Event()
    servers = []

    def start(respond):
        def do_get(handler):
            with contextlib.suppress(OSError):  # the client has left
                respond(handler)

        members = {"do_GET": do_get, "log_message": lambda *_: None, "over": over}
        handler = type("Handler", (BaseHTTPRequestHandler,), members)
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    over.set()
    for server in servers:
        server.shutdown()
        server.server_close()


def _answer(content, length=None):
    def respond(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(length or len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return respond


def _state(workspace):
    """Every file below the workspace with its bytes."""
    return {p: p.read_bytes() for p in workspace.root.rglob("*") if p.is_file()}


def _refused(error, source, workspace, params):
    """`ingest` raises `error` in one line naming the source, and leaves every file as it was."""
    before = _state(workspace)
    with pytest.raises((UserError, DataUnavailable)) as caught:
        ingest(source, workspace, params)
    assert caught.type is error
    message = str(caught.value)
    assert message.splitlines() == [message]
    assert message.startswith(f"{source}: ")
    assert ".part" not in message
    assert _state(workspace) == before
    return message


# What arrives


def _arrived(found, source, original, workspace):
    assert workspace.raw.read_bytes() == original.read_bytes()
    assert found == {"rows": ROWS, "md5": checksum(original, "md5"), "source": source}
    assert json.loads((workspace.interim / "source.json").read_text(encoding="utf-8")) == found
    assert not list(workspace.root.rglob("*.part"))


def test_from_a_path(workspace, params, other_csv):
    _arrived(ingest(str(other_csv), workspace, params), str(other_csv), other_csv, workspace)


def test_from_a_path_relative_to_the_working_directory(workspace, params, other_csv, monkeypatch):
    monkeypatch.chdir(other_csv.parent)
    _arrived(ingest(other_csv.name, workspace, params), other_csv.name, other_csv, workspace)


def test_from_a_path_below_the_home_folder(workspace, params, other_csv, monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(other_csv.parent))
    source = f"~/{other_csv.name}"
    _arrived(ingest(source, workspace, params), source, other_csv, workspace)


def test_into_an_empty_workspace(workspace, params, other_csv):
    shutil.rmtree(workspace.root / "data")
    _arrived(ingest(str(other_csv), workspace, params), str(other_csv), other_csv, workspace)


def test_from_the_raw_file_itself(workspace, params):
    before = workspace.raw.read_bytes()
    ingest(str(workspace.raw), workspace, params)
    assert workspace.raw.read_bytes() == before


def test_over_http(workspace, impatient, other_csv, serve):
    source = serve(_answer(other_csv.read_bytes())) + "/laptops.csv"
    _arrived(ingest(source, workspace, impatient), source, other_csv, workspace)


def test_over_http_without_a_content_length(workspace, impatient, other_csv, serve):
    def respond(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(other_csv.read_bytes())

    source = serve(respond) + "/laptops.csv"
    _arrived(ingest(source, workspace, impatient), source, other_csv, workspace)


def test_over_http_in_small_pieces(workspace, params, other_csv, serve):
    def respond(handler):
        handler.send_response(200)
        handler.end_headers()
        content = other_csv.read_bytes()
        for start in range(0, len(content), 1000):
            handler.wfile.write(content[start : start + 1000])
            time.sleep(0.01)

    source = serve(respond) + "/laptops.csv"
    _arrived(ingest(source, workspace, params), source, other_csv, workspace)


def test_over_http_with_a_redirect(workspace, impatient, other_csv, serve):
    elsewhere = serve(_answer(other_csv.read_bytes()))

    def respond(handler):
        handler.send_response(302)
        handler.send_header("Location", f"{elsewhere}/laptops.csv")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    source = serve(respond) + "/laptops.csv"
    _arrived(ingest(source, workspace, impatient), source, other_csv, workspace)


# What is not the expected CSV


def _edit(line, old, new):
    def edit(lines):
        assert old in lines[line]
        lines[line] = lines[line].replace(old, new, 1)
        return "\n".join(lines).encode()

    return edit


def _each(change):
    def edit(lines):
        return "\n".join(map(change, lines)).encode()

    return edit


def _prices(change):
    def edit(lines):
        at = lines[0].split(",").index("Price")
        rows = [line.split(",") for line in lines]
        rows[1:] = [[*row[:at], change(row[at]), *row[at + 1 :]] for row in rows[1:]]
        return "\n".join(map(",".join, rows)).encode()

    return edit


def _always(content):
    return lambda lines: content


WRONG_CONTENT = [
    pytest.param(_always(b"<!DOCTYPE html>\n<p>Not found, sorry</p>\n"), "an HTML page", id="html"),
    pytest.param(_always(b"\n\n  <html>, a page</html>\n"), "an HTML page", id="html later"),
    pytest.param(_always(b'{"error": "no such file"}'), "column missing", id="json"),
    pytest.param(_always(b""), "the file is empty", id="empty"),
    pytest.param(_always(b"\n\n\n"), "the file is empty", id="blank lines"),
    pytest.param(lambda lines: lines[0].encode(), "a header without rows", id="no rows"),
    pytest.param(_each(lambda line: line.replace(",", ";")), "by semicolons", id="semicolons"),
    pytest.param(_each(lambda line: line.replace(",", "\t")), "by tabs", id="tabs"),
    pytest.param(_each(lambda line: line.replace(",", "|")), "by bars", id="bars"),
    pytest.param(
        lambda lines: "\n".join([*lines, lines[1].replace(",", "é,", 1)]).encode("latin-1"),
        "found byte 0xe9; expected UTF-8",
        id="latin-1",
    ),
    pytest.param(lambda lines: "\n".join(lines).encode("utf-16"), "expected UTF-8", id="utf-16"),
    pytest.param(
        _each(lambda line: line.partition(",")[2]), "column missing: brand", id="missing column"
    ),
    pytest.param(
        lambda lines: "\n".join([lines[0] + ",colour", *(s + ",red" for s in lines[1:])]).encode(),
        "column not known: 'colour'",
        id="extra column",
    ),
    pytest.param(
        lambda lines: "\n".join([lines[0] + ",ssd", *(s + ",0 GB" for s in lines[1:])]).encode(),
        "column found twice: ssd",
        id="doubled column",
    ),
    pytest.param(_edit(0, "brand", "Brand"), "column missing: brand", id="renamed column"),
    pytest.param(
        lambda lines: "\n".join([f'{lines[0]},"a\nb"', *(s + ",1" for s in lines[1:])]).encode(),
        "column not known",
        id="line break in a column's name",
    ),
    pytest.param(_edit(7, ",", ",,"), "line 8 has 20 cells; expected 19", id="ragged row, longer"),
    pytest.param(_edit(3, ",", ""), "line 4 has 18 cells; expected 19", id="ragged row, shorter"),
    pytest.param(_edit(5, ",", ',"'), "expected comma-separated", id="quote never closed"),
    pytest.param(_prices(lambda price: str(int(price) // 5)), "median price", id="in dollars"),
    pytest.param(_prices(lambda price: str(int(price) * 15)), "median price", id="in rupees"),
    pytest.param(_prices(lambda price: f"R$ {price}"), "no readable price", id="no readable price"),
    pytest.param(_prices(lambda price: ""), "no readable price", id="no price"),
]


@pytest.mark.parametrize("by", ["path", "http"])
@pytest.mark.parametrize(("edit", "finding"), WRONG_CONTENT)
def test_wrong_content_is_named_and_replaces_nothing(
    workspace, impatient, other_csv, serve, tmp_path, edit, finding, by
):
    content = edit(other_csv.read_text(encoding="utf-8").splitlines())
    if by == "path":
        source = tmp_path / "wrong.csv"
        source.write_bytes(content)
    else:
        source = serve(_answer(content)) + "/wrong.csv"
    assert finding in _refused(UserError, str(source), workspace, impatient)


def test_the_line_of_a_ragged_row_is_the_one_in_an_editor(workspace, params, other_csv, tmp_path):
    lines = other_csv.read_text(encoding="utf-8").splitlines()
    source = tmp_path / "wrong.csv"
    source.write_text("\n".join([*lines[:3], "", "", "a,b", *lines[3:]]), encoding="utf-8")
    assert "line 6 has 2 cells" in _refused(UserError, str(source), workspace, params)


# Sources that are misspelled or do not answer


@pytest.mark.parametrize(
    ("source", "finding"),
    [
        pytest.param("ftp://127.0.0.1/laptops.csv", "found ftp://", id="ftp"),
        pytest.param("file:///laptops.csv", "found file://", id="file"),
        pytest.param("laptops://laptops.csv", "found laptops://", id="made-up scheme"),
        pytest.param("https:///laptops.csv", "", id="no host"),
        pytest.param("http://[::1/laptops.csv", "", id="bracket never closed"),
        pytest.param("http://127.0.0.1:port/laptops.csv", "", id="port in words"),
        pytest.param("http://127.0.0.1:1/lap tops.csv", "", id="space in the address"),
        pytest.param("s3://", "expected s3://bucket/path", id="s3 without bucket"),
        pytest.param("s3://bucket", "expected s3://bucket/path", id="s3 without key"),
        pytest.param("s3:///laptops.csv", "expected s3://bucket/path", id="s3 without bucket name"),
        pytest.param("nowhere/laptops.csv", "no such file", id="no such file"),
        pytest.param("~nobody-of-that-name/laptops.csv", "", id="no such user"),
        pytest.param(".", "found a folder", id="folder"),
        pytest.param("params.yaml/laptops.csv", "", id="file taken for a folder"),
        pytest.param("l" * 300 + ".csv", "", id="name too long"),
        pytest.param("laptops\0.csv", "", id="zero byte in a name"),
    ],
)
def test_a_misspelled_source_is_the_users_to_put_right(
    workspace, impatient, monkeypatch, source, finding
):
    monkeypatch.chdir(workspace.root)
    assert finding in _refused(UserError, source, workspace, impatient)


def test_an_empty_source_is_the_users_to_put_right(workspace, impatient):
    before = _state(workspace)
    with pytest.raises(UserError) as error:
        ingest("", workspace, impatient)
    assert str(error.value).splitlines() == [str(error.value)]
    assert _state(workspace) == before


@pytest.mark.skipif(
    os.name == "nt" or getattr(os, "geteuid", lambda: 1)() == 0,
    reason="file modes do not bind this user",
)
def test_a_file_without_permission(workspace, params, other_csv, tmp_path):
    source = tmp_path / "secret.csv"
    shutil.copyfile(other_csv, source)
    source.chmod(0)
    assert "no permission" in _refused(UserError, str(source), workspace, params)


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_an_http_error_is_named(workspace, impatient, serve, status):
    source = serve(lambda handler: handler.send_error(status)) + "/laptops.csv"
    message = _refused(DataUnavailable, source, workspace, impatient)
    assert f"answered {status}" in message


def test_a_closed_port(workspace, impatient):
    source = f"http://127.0.0.1:{servers.free_port()}/laptops.csv"
    _refused(DataUnavailable, source, workspace, impatient)


def test_a_server_that_does_not_speak_http(workspace, impatient, serve):
    source = serve(lambda handler: handler.wfile.write(b"220 smtp ready\r\n")) + "/laptops.csv"
    _refused(DataUnavailable, source, workspace, impatient)


def test_https_where_the_server_speaks_plain_http(workspace, impatient, serve):
    source = serve(_answer(b"")).replace("http:", "https:") + "/laptops.csv"
    _refused(DataUnavailable, source, workspace, impatient)


def test_an_endless_redirect(workspace, impatient, serve):
    def respond(handler):
        handler.send_response(302)
        handler.send_header("Location", "/laptops.csv")
        handler.end_headers()

    _refused(DataUnavailable, serve(respond) + "/laptops.csv", workspace, impatient)


def _silence(handler):
    handler.over.wait(3 * PATIENCE_S)


def _drip(handler, piece):
    until = time.monotonic() + 3 * PATIENCE_S
    while not handler.over.wait(0.05) and time.monotonic() < until:
        handler.wfile.write(piece)


def _silence_after_half(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"b" * 500)
    _silence(handler)


def _drip_body(handler):
    handler.send_response(200)
    handler.end_headers()
    _drip(handler, b"b")


def _drip_chunks(handler):
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    _drip(handler, b"1\r\nb\r\n")


def _drip_status(handler):
    _drip(handler, b"H")


def _drip_headers(handler):
    handler.send_response(200)
    handler.flush_headers()
    handler.wfile.write(b"X-Long: ")
    _drip(handler, b"x")


@pytest.mark.parametrize(
    "respond",
    [
        pytest.param(_silence, id="accepts and never answers"),
        pytest.param(_silence_after_half, id="falls silent half-way"),
        pytest.param(_drip_body, id="drips its body"),
        pytest.param(_drip_chunks, id="drips its body in chunks"),
        pytest.param(_drip_status, id="drips its status line"),
        pytest.param(_drip_headers, id="drips its headers"),
    ],
)
def test_a_slow_server_is_given_up_in_time(workspace, impatient, serve, respond):
    source = serve(respond) + "/laptops.csv"
    start = time.monotonic()
    _refused(DataUnavailable, source, workspace, impatient)
    assert time.monotonic() - start < PATIENCE_S


def _break_off(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"b" * 500)


def _break_off_in_a_chunk(handler):
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"64\r\nbbb")


def _break_off_between_chunks(handler):
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"3\r\nbbb\r\n")


def _hang_up(handler):
    handler.connection.close()


@pytest.mark.parametrize(
    "respond",
    [
        pytest.param(_break_off, id="before Content-Length"),
        pytest.param(_break_off_in_a_chunk, id="in a chunk"),
        pytest.param(_break_off_between_chunks, id="between chunks"),
        pytest.param(_hang_up, id="before its answer"),
    ],
)
def test_a_connection_that_breaks_off(workspace, impatient, serve, respond):
    _refused(DataUnavailable, serve(respond) + "/laptops.csv", workspace, impatient)


def test_a_whole_csv_that_is_shorter_than_announced_is_refused(
    workspace, impatient, other_csv, serve
):
    content = other_csv.read_bytes()
    respond = _answer(content, len(content) + 1)
    _refused(DataUnavailable, serve(respond) + "/laptops.csv", workspace, impatient)


# A good CSV that is cut at the end of a line


def _cut(content, rows):
    return b"".join(content.splitlines(keepends=True)[: rows + 1])


def _promise(params, source, md5):
    wanted = params.ingest.model_copy(update={"source": source, "md5": md5})
    return params.model_copy(update={"ingest": wanted})


def test_the_source_of_params_yaml_has_the_md5_that_they_promise(
    workspace, impatient, other_csv, serve
):
    def respond(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(sent)

    whole, md5 = other_csv.read_bytes(), checksum(other_csv, "md5")
    source = serve(respond) + "/laptops.csv"
    promised = _promise(impatient, source, md5)
    workspace.raw.unlink()
    sent = _cut(whole, ROWS - 1)
    message = _refused(UserError, source, workspace, promised)
    assert f"found md5 {hashlib.md5(sent).hexdigest()}" in message and f"expected {md5}" in message
    elsewhere = _promise(impatient, "elsewhere.csv", md5)
    assert ingest(source, workspace, elsewhere)["rows"] == ROWS - 1
    sent = whole
    _arrived(ingest(source, workspace, promised), source, other_csv, workspace)


@pytest.mark.parametrize("rows", [1, ROWS - 1])
def test_a_dataset_that_shrinks_by_more_than_half_is_refused_unless_it_may(
    workspace, params, other_csv, tmp_path, rows
):
    source = tmp_path / "cut.csv"
    source.write_bytes(_cut(other_csv.read_bytes(), rows))
    message = _refused(UserError, str(source), workspace, params)
    assert f"found {rows} rows, data/raw has 400; " in message and "--shrink" in message
    ingest(str(source), workspace, params, lambda question: True)
    assert workspace.raw.read_bytes() == source.read_bytes()


def test_a_small_dataset_replaces_a_raw_file_that_is_no_csv(workspace, params, other_csv):
    workspace.raw.write_bytes(b"")
    _arrived(ingest(str(other_csv), workspace, params), str(other_csv), other_csv, workspace)


# Secrets


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(f"https://user:{SECRET}@127.0.0.1/laptops.csv", id="https"),
        pytest.param(f"https://user:{SECRET}@127.0.0.1:{{closed}}/laptops.csv", id="https, port"),
        pytest.param(f"http://user:{SECRET}@127.0.0.1:{{port}}/laptops.csv", id="http"),
        pytest.param(f"http://user:{SECRET}@127.0.0.1:{{port}}/missing.csv", id="http, 404"),
        pytest.param(f"http://{SECRET}@127.0.0.1:{{port}}/laptops.csv", id="user only"),
        pytest.param(f"http://user:{SECRET}@127.0.0.1:port/laptops.csv", id="port in words"),
        pytest.param(f"http://user:{SECRET} @127.0.0.1:1/laptops.csv", id="space"),
        pytest.param(f"http://user:{SECRET}@[::1/laptops.csv", id="bracket never closed"),
        pytest.param(f"http://127.0.0.1:{{port}}/laptops.csv?token={SECRET}", id="query"),
        pytest.param(f"http://127.0.0.1:{{port}}/missing.csv?token={SECRET}", id="query, 404"),
        pytest.param(f"http://127.0.0.1:{{closed}}/laptops.csv?token= {SECRET}", id="query, space"),
        pytest.param(f"http://127.0.0.1:{{port}}/wrong.csv?token={SECRET}", id="query, no csv"),
        pytest.param(f"ftp://user:{SECRET}@127.0.0.1/laptops.csv", id="unknown scheme"),
    ],
)
def test_credentials_in_a_url_are_never_shown(workspace, impatient, other_csv, serve, source):
    def respond(handler):
        if "missing" in handler.path:
            handler.send_error(404)
        elif "wrong" in handler.path:
            _answer(b"<html>")(handler)
        else:
            _answer(other_csv.read_bytes())(handler)

    port = serve(respond).rpartition(":")[2]
    source = source.format(port=port, closed=servers.free_port())
    try:
        shown = str(ingest(source, workspace, impatient))
    except (UserError, DataUnavailable) as error:
        shown = str(error)
        assert shown.splitlines() == [shown]
    assert SECRET not in shown
    written = _state(workspace).values()
    assert not any(SECRET.encode() in content for content in written)


# S3


@pytest.fixture
def aws(monkeypatch, tmp_path):
    """Credentials of the tests' own, whatever the developer's home folder holds."""
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # it remembers credentials
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    return monkeypatch


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory, other_csv):
    """A real S3 server, whose bucket `laptops` holds `v1/good.csv` and `v1/wrong.csv`."""
    folder = tmp_path_factory.mktemp("s3") / "root"
    bucket = folder / "laptops" / "v1"
    bucket.mkdir(parents=True)
    shutil.copyfile(other_csv, bucket / "good.csv")
    (bucket / "wrong.csv").write_bytes(b"<html>")
    with servers.s3_server(folder, ("test-id", SECRET)) as address:
        yield address


@pytest.fixture
def s3(aws, s3_server):
    aws.setenv("AWS_ENDPOINT_URL_S3", s3_server)
    return aws


@pytest.mark.services
def test_from_s3(workspace, params, other_csv, s3):
    source = "s3://laptops/v1/good.csv"
    _arrived(ingest(source, workspace, params), source, other_csv, workspace)


@pytest.mark.services
def test_wrong_content_from_s3(workspace, params, s3):
    source = "s3://laptops/v1/wrong.csv"
    assert "an HTML page" in _refused(UserError, source, workspace, params)


@pytest.mark.services
@pytest.mark.parametrize(
    ("source", "code"),
    [
        pytest.param("s3://nowhere/v1/good.csv", "NoSuchBucket", id="missing bucket"),
        pytest.param("s3://laptops/v1/none.csv", "NoSuchKey", id="missing key"),
        pytest.param("s3://laptops/v1", "NoSuchKey", id="folder"),
    ],
)
def test_what_s3_does_not_have(workspace, params, s3, source, code):
    assert code in _refused(DataUnavailable, source, workspace, params)


@pytest.mark.services
def test_a_bucket_that_cannot_be_is_the_users_mistake(workspace, params, s3):
    message = _refused(UserError, "s3://Not_A_Bucket!/good.csv", workspace, params)
    assert "not a bucket and key that S3 knows" in message


@pytest.mark.services
@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_credentials_for_s3(workspace, params, s3, name):
    s3.setenv(name, "wrong")
    message = _refused(DataUnavailable, "s3://laptops/v1/good.csv", workspace, params)
    assert SECRET not in message


@pytest.mark.services
def test_no_credentials_for_s3(workspace, params, s3):
    s3.delenv("AWS_ACCESS_KEY_ID")
    s3.delenv("AWS_SECRET_ACCESS_KEY")
    message = _refused(DataUnavailable, "s3://laptops/v1/good.csv", workspace, params)
    assert "credentials" in message


@pytest.mark.services
def test_credentials_in_an_s3_url_are_never_shown(workspace, params, s3):
    source = f"s3://user:{SECRET}@laptops/v1/good.csv"
    with pytest.raises((UserError, DataUnavailable)) as error:
        ingest(source, workspace, params)
    assert SECRET not in str(error.value)


@pytest.mark.services
def test_an_s3_endpoint_on_a_closed_port(workspace, params, aws):
    aws.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{servers.free_port()}")
    _refused(DataUnavailable, "s3://laptops/v1/good.csv", workspace, params)


@pytest.mark.services
@pytest.mark.parametrize(
    "respond",
    [
        pytest.param(_silence, id="accepts and never answers"),
        pytest.param(_silence_after_half, id="falls silent half-way"),
        pytest.param(_drip_body, id="drips its body"),
        pytest.param(_drip_headers, id="drips its headers"),
    ],
)
def test_a_slow_s3_endpoint_is_given_up_in_time(workspace, impatient, aws, serve, respond):
    aws.setenv("AWS_ENDPOINT_URL_S3", serve(respond))
    start = time.monotonic()
    _refused(DataUnavailable, "s3://laptops/v1/good.csv", workspace, impatient)
    assert time.monotonic() - start < PATIENCE_S


@pytest.mark.services
@pytest.mark.parametrize("respond", [_break_off, _hang_up], ids=["body", "before its answer"])
def test_an_s3_connection_that_breaks_off(workspace, params, aws, serve, respond):
    aws.setenv("AWS_ENDPOINT_URL_S3", serve(respond))
    _refused(DataUnavailable, "s3://laptops/v1/good.csv", workspace, params)
