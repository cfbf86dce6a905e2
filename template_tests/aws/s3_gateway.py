"""A gateway before a stand-in for S3: it lets pass what the policies allow, as AWS would.

moto's own check of policies ignores conditions. The gateway reads from each request which action
on which resource it is, in which context, and asks ``iam_policy``. It keeps what it saw.
"""

import http.client
import re
import threading
import urllib.parse
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from iam_policy import allowed


class Request(NamedTuple):
    action: str
    resource: str
    prefix: str | None
    allowed: bool


class Gateway:
    """Where it listens, whose policies it knows, and what it saw.

    Attributes
    ----------
    address : str
    policies : dict
        The id of an access key to the list of policy documents of its owner. An unknown key has
        none.
    secure : bool
        Whether the requests count as sent over TLS, though they never are here.
    seen : list of Request
    """

    def __init__(self, address):
        self.address = address
        self.policies = {}
        self.secure = True
        self.seen = []

    def lets_pass(self, key_id, action, resource, prefix=None):
        context = {"aws:SecureTransport": str(self.secure).lower()}
        if prefix is not None:
            context["s3:prefix"] = prefix
        return allowed(self.policies.get(key_id, []), action, resource, context)

    def judge(self, key_id, asked):
        """Whether all that is asked is allowed. All of it is noted."""
        for action, resource, prefix in asked:
            verdict = self.lets_pass(key_id, action, resource, prefix)
            self.seen.append(Request(action, resource, prefix, verdict))
        return all(request.allowed for request in self.seen[-len(asked) :])


@contextmanager
def gateway_to(server):
    """A running `Gateway` before the server at this address."""
    host = urllib.parse.urlsplit(server).netloc
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    httpd.daemon_threads = True
    httpd.upstream = host
    httpd.gateway = Gateway(f"http://127.0.0.1:{httpd.server_port}")
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield httpd.gateway
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join(5)


def asked(method, path, body):
    """The (action, resource, prefix) triples that S3 checks for a request."""
    url = urllib.parse.urlsplit(path)
    query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
    bucket, _, key = urllib.parse.unquote(url.path).lstrip("/").partition("/")
    arn = f"arn:aws:s3:::{bucket}"
    if not key:
        if method == "POST" and "delete" in query:
            keys = re.findall(r"<Key>(.*?)</Key>", body.decode())
            return [("s3:DeleteObject", f"{arn}/{name}", None) for name in keys]
        return [(_bucket_action(method, query), arn, query.get("prefix"))]
    return [(_object_action(method, query), f"{arn}/{key}", None)]


_LISTS = {"list-type", "prefix", "delimiter", "max-keys", "continuation-token", "encoding-type"}
_LISTS |= {"start-after", "fetch-owner", "marker"}


def _bucket_action(method, query):
    if method == "HEAD" or (method == "GET" and query.keys() <= _LISTS):
        return "s3:ListBucket"
    return f"s3:Other ({method} {sorted(query)})"


def _object_action(method, query):
    query = query.keys() - {"x-id", "partNumber", "response-content-type"}
    simple = {
        ("GET", ""): "s3:GetObject",
        ("HEAD", ""): "s3:GetObject",
        ("PUT", ""): "s3:PutObject",
        ("PUT", "uploadId"): "s3:PutObject",
        ("POST", "uploads"): "s3:PutObject",
        ("POST", "uploadId"): "s3:PutObject",
        ("DELETE", ""): "s3:DeleteObject",
        ("DELETE", "uploadId"): "s3:AbortMultipartUpload",
    }
    return simple.get((method, ",".join(query)), f"s3:Other ({method} {sorted(query)})")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _handle(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        found = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization", ""))
        key_id = found[1] if found else None
        wanted = asked(self.command, self.path, body)
        if not wanted or not self.server.gateway.judge(key_id, wanted):
            return self._refuse()
        status, headers, content = self._forward(body)
        if status == 404 and self.command in ("GET", "HEAD") and not self._may_know(key_id, wanted):
            return self._refuse()
        self._answer(status, headers, content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle

    def _may_know(self, key_id, wanted):
        """Whether S3 says that the object is missing: only to who may list its name."""
        bucket, _, key = wanted[0][1].partition("/")
        gateway = self.server.gateway
        return not key or gateway.lets_pass(key_id, "s3:ListBucket", bucket, key)

    def _forward(self, body):
        connection = http.client.HTTPConnection(self.server.upstream, timeout=60)
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _refuse(self):
        content = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(content)))]
        headers.append(("x-amz-bucket-region", "us-east-1"))  # S3 tells it even to strangers
        self._answer(403, headers, content)

    def _answer(self, status, headers, content):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_):
        """Nothing: tests look at `seen`."""
