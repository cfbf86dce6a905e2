"""The REST API against hostile clients, in a small environment, and on AWS Lambda."""

import base64
import json
import math
import os
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager

import pandas as pd
import pytest
import servers
from environments import ROOT, environment
from fastapi.testclient import TestClient

from laptop_pricing.data.row import read_row
from laptop_pricing.data.schema import EXAMPLE
from laptop_pricing.modeling.bundle import load_bundle
from laptop_pricing.modeling.predict import PREDICTION, predict
from laptop_pricing.modeling.train import read_processed
from laptop_pricing.serving import course
from laptop_pricing.serving.api import KEY_VARIABLE
from laptop_pricing.serving.server import build_app
from laptop_pricing.tracking.runs import save_model

ROW = read_row(EXAMPLE)[0]
KEY = "hunter2"
COURSE = course.EXAMPLE


@pytest.fixture(scope="module")
def client(trained):
    return TestClient(build_app(trained.models)[0], raise_server_exceptions=False)


@contextmanager
def serving(python, models, folder, **variables):
    """The address of a server of its own, run by the Python of an environment."""
    port = servers.free_port()
    command = [python, "-m", "laptop_pricing", "serve", "--model", models, "--port", port]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    address = f"http://127.0.0.1:{port}"
    with servers.running(command, f"{address}/healthz", folder / "log", clean | variables):
        yield address


def ask(address, path, content, key=None):
    request = urllib.request.Request(f"{address}{path}", json.dumps(content).encode())
    if key:
        request.add_header("X-API-Key", key)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read())


def _with(**cells):
    return json.dumps(ROW | cells)


def _without(name):
    return json.dumps({field: cell for field, cell in ROW.items() if field != name})


# Body; status; the row and the field that the first line names.
HOSTILE = {
    "nothing": ("", 422, None, ""),
    "no JSON": ("{", 422, None, ""),
    "bytes that are no text": (b"\xff\xfe\x00", 422, None, ""),
    "too deep": ("[" * 100_000, 422, None, ""),
    "deep, but valid": ('{"brand":' + "[" * 300 + "]" * 300 + "}", 422, 0, "brand"),
    "null": ("null", 422, 0, ""),
    "a number": ("7", 422, 0, ""),
    "text": ('"dell"', 422, 0, ""),
    "an empty list": ("[]", 422, None, ""),
    "a list in a list": (f"[[{_with()}]]", 422, 0, ""),
    "an empty object": ("{}", 422, 0, "brand"),
    "NaN": (_with(ram_gb=math.nan), 422, 0, "ram_gb"),
    "infinite": (_with(ram_gb=math.inf), 422, 0, "ram_gb"),
    "overflow": (_with().replace('"ram_gb": 8', '"ram_gb": 1e999'), 422, 0, "ram_gb"),
    "a huge integer": (_with(ram_gb=10**4000), 422, 0, "ram_gb"),
    "a number of too many digits": (
        _with().replace('"ram_gb": 8', f'"ram_gb": {"9" * 5000}'),
        422,
        None,
        "",
    ),
    "true for a number": (_with(ram_gb=True), 422, 0, "ram_gb"),
    "a fraction": (_with(ram_gb=8.5), 422, 0, "ram_gb"),
    "negative": (_with(ram_gb=-8), 422, 0, "ram_gb"),
    "null for a number": (_with(ssd=None), 422, 0, "ssd"),
    "blank for a number": (_with(ssd=""), 422, 0, "ssd"),
    "words for a number": (_with(ssd="many"), 422, 0, "ssd"),
    "a list for a number": (_with(ssd=[512]), 422, 0, "ssd"),
    "1 for yes": (_with(touchscreen=1), 422, 0, "touchscreen"),
    "unknown brand": (_with(brand="Toshiba"), 422, 0, "brand"),
    "a brand of no text": (_with(brand=0), 422, 0, "brand"),
    "a surrogate": (_with(brand="\ud800"), 422, 0, "brand"),
    "a long brand": (_with(brand="x" * 900_000), 422, 0, "brand"),
    "missing": (_without("os"), 422, 0, "os"),
    "unknown key": (_with(colour="red"), 422, 0, "colour"),
    "many unknown keys": (_with(**{f"k{i}": 0 for i in range(50_000)}), 422, 0, "k0"),
    "no storage": (_with(ssd=0, hdd=0), 422, 0, ""),
    "the second row": (f"[{_with()}, {_with(ram_gb='x')}]", 422, 1, "ram_gb"),
    "too long": (" " * 1_000_001, 413, None, None),
    "too many": (json.dumps([0] * 1_001), 413, None, None),
}


@pytest.mark.parametrize("body, status, row, field", HOSTILE.values(), ids=HOSTILE)
def test_defect_2_a_hostile_body_is_refused_and_its_field_named(client, body, status, row, field):
    answer = client.post("/v1/quotes", content=body)
    assert answer.status_code == status and len(answer.content) < 500_000
    detail = answer.json()["detail"]
    if status == 422:
        assert (detail[0]["row"], detail[0]["field"]) == (row, field)
        assert detail[0]["expected"]
    else:
        assert "send" in detail


@pytest.mark.parametrize(
    "body",
    [{}, [], {"data": None}, {"data": []}, {"data": COURSE | {"ram_gb": "many"}}, {"data": {}}],
    ids=str,
)
def test_the_courses_payload_is_refused_as_ours_is(client, body):
    assert client.post("/v1/course/quotes", json=body).status_code == 422


def test_the_courses_payload_gets_the_price_of_the_same_laptop(client):
    answer = client.post("/v1/course/quotes", json={"data": COURSE}).json()
    ours = {name: cell for name, cell in COURSE.items() if name not in ("graphic_card", "os_bit")}
    ours |= {"graphic_card_gb": 8, "os_bit": "64-bit", "touchscreen": False}
    expected = client.post("/v1/quotes", json=ours).json()
    assert answer == {
        "prediction": pytest.approx(expected["price"], rel=1e-12),
        "version": expected["model"]["sha256"][:12],
    }


@pytest.mark.services
def test_a_small_environment_is_enough(trained, tmp_path):
    """What the Dockerfile installs: the pins of the server, and the package without others."""
    requirements = (ROOT / "requirements-serving.txt").read_text(encoding="utf-8").splitlines()
    python = environment("serving", requirements) / "python"
    package = tmp_path / "package"
    install = [python, "-m", "pip", "install", "-q", "--no-deps", "--target", package, ROOT]
    subprocess.run([str(part) for part in install], check=True)
    variables = {"PYTHONPATH": str(package), KEY_VARIABLE: KEY}
    with serving(python, trained.models, tmp_path, **variables) as address:
        price = ask(address, "/v1/quotes", EXAMPLE, KEY)["price"]
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(address, "/v1/quotes", EXAMPLE)
    assert price == pytest.approx(_expected(trained), rel=1e-9)


def test_the_dockerfile_copies_what_is_there_and_runs_as_nobody_in_particular():
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]]
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for name in copied:
        assert f"!{name.rstrip('*')}" in kept
        assert name == "models" or (ROOT / name.rstrip("*")).exists()
    user, command = lines.index("USER server"), len(lines) - 1
    assert user < command and lines[command].startswith('CMD ["laptop-pricing", "serve"')
    assert any(line.startswith("HEALTHCHECK") for line in lines)


@pytest.mark.services
def test_schemathesis_finds_no_answer_that_is_not_documented(trained, tmp_path):
    schemathesis = environment("schemathesis", ["schemathesis==4.30.1"]) / "schemathesis"
    checks = "not_a_server_error,status_code_conformance,content_type_conformance"
    with serving(sys.executable, trained.models, tmp_path, **{KEY_VARIABLE: KEY}) as address:
        command = [schemathesis, "run", f"{address}/openapi.json", "-n", "200", "--seed", "1"]
        command += ["-c", f"{checks},response_schema_conformance", "-H", f"X-API-Key: {KEY}"]
        command += ["--phases", "examples,coverage,fuzzing", "--generation-database", "none"]
        done = subprocess.run(
            [str(part) for part in command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=240,
        )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "/v1/quotes" in (tmp_path / "log").read_text(encoding="utf-8")


def _expected(trained):
    return predict(load_bundle(trained.models), pd.DataFrame([ROW]))[PREDICTION].item()


def _gateway_2(path, body, **more):
    """An event of an HTTP API or a function URL."""
    http = {"method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"}
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "x-api-key": KEY},
        "requestContext": {"http": http, "stage": "$default"},
        "body": body,
        "isBase64Encoded": False,
    } | more


def _gateway_1(path, body):
    """An event of a REST API, as in the course."""
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": "POST",
        "headers": {"Content-Type": "application/json", "X-API-Key": KEY},
        "multiValueHeaders": {"Content-Type": ["application/json"], "X-API-Key": [KEY]},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "requestContext": {"resourcePath": "/{proxy+}", "httpMethod": "POST", "stage": "prod"},
        "body": body,
        "isBase64Encoded": False,
    }


@pytest.fixture
def handler(trained, monkeypatch):
    from laptop_pricing.serving import aws_lambda

    monkeypatch.setenv("LAMBDA_TASK_ROOT", str(trained.root))
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    aws_lambda._adapter.cache_clear()
    yield aws_lambda.handler
    aws_lambda._adapter.cache_clear()


@pytest.mark.parametrize("event", [_gateway_1, _gateway_2], ids=["version 1", "version 2"])
def test_lambda_answers_events_of_both_versions(handler, trained, event):
    answer = handler(event("/v1/quotes", json.dumps(EXAMPLE)), None)
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["price"] == pytest.approx(_expected(trained), rel=1e-9)
    refused = handler(event("/v1/quotes", "{"), None)
    assert refused["statusCode"] == 422 and "JSON" in refused["body"]
    asked = handler(event("/v1/course/quotes", json.dumps({"data": COURSE})), None)
    assert set(json.loads(asked["body"])) == {"prediction", "version"}


def test_lambda_asks_for_the_key_and_reads_base64(handler):
    body = base64.b64encode(json.dumps(EXAMPLE).encode()).decode()
    event = _gateway_2("/v1/quotes", body, isBase64Encoded=True)
    assert handler(event, None)["statusCode"] == 200
    assert handler(event | {"headers": {}}, None)["statusCode"] == 401


ONE_PRICE = """
import json, sys
from pathlib import Path
import mlflow.pyfunc, pandas as pd
from fastapi.testclient import TestClient
from laptop_pricing.data.row import read_row
from laptop_pricing.data.schema import EXAMPLE
from laptop_pricing.modeling.predict import PREDICTION, predict_file
from laptop_pricing.modeling.quote import quote
from laptop_pricing.serving.aws_lambda import handler
from laptop_pricing.serving.server import build_app
api = TestClient(build_app(Path(sys.argv[1]) / "models")[0])
root, model, event = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
pd.DataFrame([EXAMPLE]).to_csv("in.csv", index=False)
prices, _ = predict_file(root / "models", "in.csv", "out.csv")
row = pd.DataFrame([read_row(EXAMPLE)[0]])
print(json.dumps({
    "quote": quote(root / "models", EXAMPLE).price,
    "predict": prices[PREDICTION].item(),
    "API": api.post("/v1/quotes", json=EXAMPLE).json()["price"],
    "Lambda": json.loads(handler(event, None)["body"])["price"],
    "MLflow": float(mlflow.pyfunc.load_model(model).predict(row)[0]),
}))
"""


@pytest.mark.services
def test_defect_1_one_laptop_has_one_price_everywhere_and_in_every_process(trained, tmp_path):
    bundle, model = load_bundle(trained.models), tmp_path / "model"
    save_model(bundle, read_processed(trained)[0], model)
    event = json.dumps(_gateway_2("/v1/quotes", json.dumps(EXAMPLE)))
    command = [sys.executable, "-c", ONE_PRICE, trained.root, model, event]
    prices = {}
    for seed in ("0", "42"):
        variables = {"PYTHONHASHSEED": seed, "LAMBDA_TASK_ROOT": str(trained.root)}
        done = subprocess.run(
            [str(part) for part in command],
            cwd=tmp_path,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        found = json.loads(done.stdout.splitlines()[-1])
        prices |= {(way, seed): price for way, price in found.items()}
    assert len(prices) == 10
    assert list(prices.values()) == pytest.approx([_expected(trained)] * 10, rel=1e-9)
