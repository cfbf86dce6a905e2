"""The dataset is fetched from a path, over HTTP and from S3, or data/raw stays as it was."""

import contextlib
import shutil
import threading
import time
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest
import servers
from problems import MADE, make_project, write_raw

from laptop_pricing.kit.data.ingest import ingest
from laptop_pricing.kit.errors import DataUnavailable, UserError
from laptop_pricing.kit.files import checksum

SECRET = "hunter2"
PATIENCE_S = 8  # for what is bounded by timeout_s, on a slow machine
S3 = "s3://flats/v1/good.csv"


@pytest.fixture(autouse=True)
def aws(monkeypatch, tmp_path):
    """Credentials of the tests' own, whatever the developer's home folder holds."""
    ours = {"AWS_ACCESS_KEY_ID": "test-id", "AWS_SECRET_ACCESS_KEY": SECRET}
    ours |= {"AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "127.0.0.1,localhost"}
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", *ours):
        monkeypatch.setenv(name, ours.get(name, str(tmp_path / "none")))
    return monkeypatch


@pytest.fixture(scope="session")
def good(tmp_path_factory):
    """Another good dataset than the one in data/raw. Read only."""
    path = tmp_path_factory.mktemp("s3") / "buckets" / "flats" / "v1" / "good.csv"
    write_raw(MADE, path, 201, seed=1)
    return path


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path / "project", MADE, ingest={"timeout_s": 1.5})


@pytest.fixture
def serve():
    """``serve(reply, drop)``: an HTTP server that sends bytes, and then drops, if not None."""
    over = threading.Event()

    def start(reply, drop=None):
        class Handler(StreamRequestHandler):
            def handle(self):
                with contextlib.suppress(OSError):  # the client has left
                    request = self.request.recv(1 << 16)
                    self.wfile.write(reply(request) if callable(reply) else reply)
                    while drop is not None and not over.wait(0.05):
                        self.wfile.write(drop)

        server = stack.enter_context(ThreadingTCPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        stack.callback(server.shutdown)
        stack.callback(over.set)
        return f"http://127.0.0.1:{server.server_address[1]}"

    with contextlib.ExitStack() as stack:
        yield start


def answer(content, status=200, header=""):
    return f"HTTP/1.0 {status} So\r\n{header}\r\n".encode() + content


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
    assert state(project) == before
    assert time.monotonic() - start < max(PATIENCE_S, project.params.ingest.timeout_s)
    return message


def arrived(project, source, good):
    result = ingest(project, source)
    assert project.raw.read_bytes() == good.read_bytes()
    expected = {"rows": 201, "md5": checksum(good, "md5"), "source": source, "notes": []}
    assert result == expected
    assert not list(project.root.rglob("*.part"))


def test_from_a_path(project, good, monkeypatch):
    monkeypatch.setenv("HOME", str(good.parent))
    monkeypatch.chdir(good.parent)
    shutil.rmtree(project.root / "data")
    for source in (str(good), good.name, f"~/{good.name}", str(project.raw)):
        arrived(project, source, good)


def test_over_http(project, good, serve):
    content = good.read_bytes()
    whole = serve(answer(content, 200, f"Content-Length: {len(content)}\r\n"))
    redirect = answer(b"", 302, f"Location: {whole}/flats.csv\r\n")
    for server in (whole, serve(answer(content)), serve(redirect)):
        arrived(project, f"{server}/flats%20of%20all.csv", good)


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
    for folder in (str(tmp_path), serve(answer(content))):
        refused(UserError, f"{folder}/wrong.csv", project)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BROKEN = {
    **{f"status {status}": [answer(b"", status)] for status in (401, 404, 429, 503)},
    "not HTTP": [b"220 smtp ready\r\n"],
    "an endless redirect": [answer(b"", 302, "Location: /flats.csv\r\n")],
    "silence": [b"", b""],
    "drips its body": [answer(b""), b"b"],
    "drips its body in chunks": [CHUNKED, b"1\r\nb\r\n"],
    "drips its headers": [b"HTTP/1.0 200 OK\r\nX-Long: ", b"x"],
    "breaks off before its length": [answer(b"b" * 500, 200, "Content-Length: 1000\r\n")],
    "breaks off in a chunk": [CHUNKED + b"64\r\nbbb"],
    "breaks off between chunks": [CHUNKED + b"3\r\nbbb\r\n"],
    "hangs up": [b""],
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_a_server_that_fails_or_drips_is_given_up_in_time(project, serve, aws, scheme, name):
    address = serve(*BROKEN[name])
    aws.setenv("AWS_ENDPOINT_URL_S3", address)
    message = refused(DataUnavailable, S3 if scheme == "s3" else f"{address}/a.csv", project)
    assert scheme == "s3" or not name.startswith("status") or f"answered {name[-3:]}" in message


def test_no_server_and_one_without_tls(project, aws, serve):
    address = f"127.0.0.1:{servers.free_port()}"
    aws.setenv("AWS_ENDPOINT_URL_S3", f"http://{address}")
    plain = serve(answer(b"")).replace("http", "https")
    for source in (f"http://{address}/a.csv", S3, f"{plain}/a.csv"):
        refused(DataUnavailable, source, project)


def test_a_file_cut_at_the_end_of_a_line_is_told_by_its_md5_or_its_rows(project, tmp_path, good):
    def cut(rows):
        lines = good.read_bytes().splitlines(keepends=True)
        (tmp_path / "cut.csv").write_bytes(b"".join(lines[: rows + 1]))

    source, md5 = str(tmp_path / "cut.csv"), checksum(good, "md5")
    for rows in (1, 199):
        cut(rows)
        message = refused(UserError, source, project)
        assert f"found {rows} rows; data/raw has 400; add --shrink" in message
    assert ingest(project, source, shrink=True)["rows"] == 199
    project.raw.write_bytes(b"")  # damaged: nothing is lost
    assert ingest(project, source)["rows"] == 199
    promised = make_project(tmp_path / "b", MADE, raw=False, ingest={"source": source, "md5": md5})
    assert f"(199 rows); expected {md5}; try again" in refused(UserError, source, promised)
    assert ingest(promised, f"{tmp_path}/./cut.csv")["rows"] == 199  # another source
    cut(201)
    arrived(promised, source, good)


SECRETS = "https://user:S@HOST/a.csv|http://S@HOST/a.csv"  # pragma: allowlist secret
SECRETS += "|http://user:S@127.0.0.1:port/a.csv"
SECRETS += "|http://user:S @127.0.0.1:1/a.csv|http://user:S@[::1/a.csv|ftp://user:S@HOST/a.csv"
SECRETS += "|s3://user:S@flats/a.csv|http://HOST/good.csv?token=S|http://HOST/missing.csv?token=S"
SECRETS += "|http://HOST/a.csv?token= S|http://HOST/wrong.csv?token=S|http://127.0.0.1:1/a?token=S"


@pytest.mark.parametrize("source", SECRETS.split("|"))
def test_credentials_in_an_address_are_never_shown(project, good, serve, source):
    def reply(request):
        page = b"<html>" if b"wrong" in request else good.read_bytes()
        return answer(page, 404 if b"missing" in request else 200)

    host = serve(reply).partition("//")[2]
    try:
        shown = str(ingest(project, source.replace("HOST", host).replace("S", SECRET)))
    except (UserError, DataUnavailable) as error:
        shown = f"{error} {error!r}"
    assert SECRET not in shown
    assert not any(SECRET.encode() in content for content in state(project).values())


@pytest.mark.services
def test_from_s3(tmp_path, good, aws):
    project = make_project(tmp_path / "project", MADE)
    (good.parent / "wrong.csv").write_bytes(b"<html>")
    with servers.s3_server(good.parents[2], ("test-id", SECRET)) as address:
        aws.setenv("AWS_ENDPOINT_URL_S3", address)
        arrived(project, S3, good)
        refused(UserError, "s3://flats/v1/wrong.csv", project)
        for missing in ("flats/v1/none.csv", "flats/v1", "nowhere/v1/good.csv"):
            refused(DataUnavailable, f"s3://{missing}", project)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            with aws.context() as patch:
                patch.setenv(name, "wrong")
                refused(DataUnavailable, S3, project)
            aws.delenv(name)
        assert "credentials" in refused(DataUnavailable, S3, project)
