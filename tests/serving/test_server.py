"""The command serve: a process of its own, small and quick to start."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

import laptop_pricing
from laptop_pricing.data.schema import EXAMPLE
from laptop_pricing.errors import StepFailed, UserError
from laptop_pricing.modeling.quote import quote
from laptop_pricing.serving.api import KEY_VARIABLE
from laptop_pricing.serving.server import build_app, open_port

PACKAGE = laptop_pricing.__name__
KEY = "hunter2"
HEAVY = {"pandas", "sklearn", "scipy", "mlflow", "dagshub", "dvc", "matplotlib", "pyarrow"}


@contextmanager
def serving(models, folder, output):
    """The address of a server that answers; it knows its bundle alone."""
    with open_port("127.0.0.1", 0) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", PACKAGE, "serve", "--model", str(models)]
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=folder,
        env=os.environ | {KEY_VARIABLE: KEY},
        stdout=output,
        stderr=output,
    )
    try:
        address, end = f"http://127.0.0.1:{port}", time.monotonic() + 60
        while time.monotonic() < end and process.poll() is None:
            try:
                urllib.request.urlopen(f"{address}/healthz", timeout=5).close()
                break
            except urllib.error.URLError:
                time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(20)


def ask(address, content):
    request = urllib.request.Request(f"{address}/v1/quotes", json.dumps(content).encode())
    request.add_header("X-API-Key", KEY)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read())


@pytest.mark.services
def test_defect_8_neither_key_nor_payload_is_logged(trained, tmp_path):
    log = tmp_path / "log"
    with open(log, "wb") as output, serving(trained.models, tmp_path, output) as address:
        found = ask(address, EXAMPLE)
        with pytest.raises(urllib.error.HTTPError, match="422"):
            ask(address, EXAMPLE | {"secret field": "secret value"})
    said = log.read_text(encoding="utf-8")
    assert found["price"] == pytest.approx(quote(trained.models, EXAMPLE).price, rel=1e-9)
    assert "/v1/quotes" in said and " 422 " in said
    assert KEY not in said and "secret" not in said and str(found["price"]) not in said


@pytest.mark.services
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_defect_8_a_log_that_cannot_be_written_loses_no_prediction(trained, tmp_path):
    with open("/dev/full", "wb") as full, serving(trained.models, tmp_path, full) as address:
        assert ask(address, EXAMPLE)["price"] > 0


@pytest.mark.parametrize("module", ["api", "server", "aws_lambda"])
def test_a_server_needs_no_heavy_library(trained, tmp_path, module):
    program = f"""
import sys
from {PACKAGE}.serving import {module}
from {PACKAGE}.serving.server import build_app
build_app(sys.argv[1])
print(*sorted({HEAVY} & {{name.partition(".")[0] for name in sys.modules}}))
"""
    command = [sys.executable, "-c", program, str(trained.models)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stdout + done.stderr


def test_a_port_that_is_taken_is_the_users_mistake():
    with open_port("127.0.0.1", 0) as taken:
        with pytest.raises(UserError, match="name another --port"):
            open_port(*taken.getsockname())


@pytest.mark.parametrize("model", ["models:/name", "models:/a/b@prod", "models:/a@b@c"])
def test_a_model_of_no_alias_is_the_users_mistake(model):
    with pytest.raises(UserError, match=r"expected a folder, or models:/NAME@ALIAS"):
        build_app(model)


def test_without_a_bundle_or_an_alias_nothing_starts(tmp_path, workspace):
    with pytest.raises(UserError, match="no such file"):
        build_app(tmp_path)
    with pytest.raises(StepFailed, match="nobody@prod not found"):
        build_app("models:/nobody@prod", workspace)
