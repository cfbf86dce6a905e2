"""The commands' servers: processes of their own, small and quick to start; and AWS Lambda."""

import base64
import json
import os
import re
import shutil
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
from problems import LAPTOPS, MADE

from laptop_pricing.course import EXAMPLE as COURSE
from laptop_pricing.course import add_routes
from laptop_pricing.kit.errors import UserError
from laptop_pricing.kit.modeling.bundle import load_bundle
from laptop_pricing.kit.modeling.predict import predict_file
from laptop_pricing.kit.modeling.task import task_of
from laptop_pricing.kit.serving.port import open_port
from laptop_pricing.kit.serving.quotelog import read_log
from laptop_pricing.kit.serving.served import Source
from laptop_pricing.kit.serving.server import build_app, make_handler

KEY = "hunter2"
HEAVY = {"pandas", "sklearn", "scipy", "mlflow", "dagshub", "dvc", "matplotlib", "pyarrow"}
EXAMPLE = dict(LAPTOPS.example)
ROW = LAPTOPS.read_row(EXAMPLE)[0]


@contextmanager
def serving(models, folder, python=sys.executable, log="log", **variables):
    """The address of a server of its own, in a folder that is no project."""
    port = servers.free_port()
    command = [python, "-m", "laptop_pricing", "serve", "--model", models, "--port", port]
    address, known = f"http://127.0.0.1:{port}", os.environ | {LAPTOPS.key_variable: KEY}
    with servers.running(command, f"{address}/healthz", folder / log, known | variables):
        yield address


def ask(address, cells, key=KEY, path="/v1/quote"):
    request = urllib.request.Request(f"{address}{path}", json.dumps(cells).encode())
    if key:
        request.add_header("X-API-Key", key)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read())


@pytest.fixture(scope="module")
def project(trained):
    return trained(LAPTOPS)


@pytest.fixture(scope="module")
def expected(project):
    bundle = load_bundle(project.models, LAPTOPS)
    return pytest.approx(bundle.predict(pd.DataFrame([ROW])).item(), rel=1e-9)


@pytest.mark.services
def test_defect_8_neither_key_nor_payload_is_logged(project, expected, tmp_path):
    with serving(project.models, tmp_path) as address:
        prediction = ask(address, EXAMPLE)["prediction"]
        for cells, key, status in (
            (EXAMPLE | {"unknown": "secret"}, KEY, 422),
            (EXAMPLE, "", 401),
        ):
            with pytest.raises(urllib.error.HTTPError, match=str(status)):
                ask(address, cells, key)
        assert set(ask(address, {"data": COURSE}, path="/v1/course/quotes")) > {"prediction"}
    said = (tmp_path / "log").read_text(encoding="utf-8")
    assert prediction == expected
    lines = [json.loads(line) for line in said.splitlines()]
    asked = [(line["path"], line["status"]) for line in lines if "path" in line]
    assert {("/v1/quote", 200), ("/v1/quote", 422), ("/v1/quote", 401)} < set(asked)
    assert any(line.get("message", "").startswith("Model: ") for line in lines)
    assert KEY not in said and "secret" not in said and str(prediction) not in said


@pytest.mark.services
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_defect_8_a_log_that_cannot_be_written_loses_no_prediction(project, expected, tmp_path):
    (tmp_path / "log").symlink_to("/dev/full")
    with serving(project.models, tmp_path) as address:
        assert ask(address, EXAMPLE)["prediction"] == expected


@pytest.mark.parametrize("module", ["kit.serving.server", "aws_lambda"])
def test_a_server_needs_no_heavy_library(project, tmp_path, module):
    program = f"""
import sys
import laptop_pricing.{module}
from laptop_pricing.kit.serving.served import Source
from laptop_pricing.kit.serving.server import build_app
from laptop_pricing.problem import PROBLEM
build_app(Source(PROBLEM, sys.argv[1]))
print(*sorted({HEAVY} & {{name.partition(".")[0] for name in sys.modules}}))
"""
    command = [sys.executable, "-c", program, str(project.models)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stdout + done.stderr


def test_a_port_that_is_taken_is_the_users_mistake():
    with open_port("127.0.0.1", 0) as taken:
        with pytest.raises(UserError, match=r"--port \d+ is free$") as error:
            open_port(*taken.getsockname())
    open_port("127.0.0.1", int(re.findall(r"\d+", str(error.value))[-1])).close()
    with pytest.raises(UserError, match="name another --port or --host$"):
        open_port("192.0.2.1", 0)  # of no machine


@pytest.mark.parametrize(
    "model, told",
    [
        ("models:/name", "within a project, models:/NAME@ALIAS"),
        ("models:/a/b@prod", "within a project, models:/NAME@ALIAS"),
        ("models:/a@b@c", "within a project, models:/NAME@ALIAS"),
        ("models:/name@prod", "within a project"),
        ("nowhere", "no such file"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_the_users_mistake(model, told):
    with pytest.raises(UserError, match=told):
        build_app(Source(LAPTOPS, model))


def test_a_model_of_another_problem_is_not_served(project):
    with pytest.raises(UserError, match="made for other columns"):
        build_app(Source(MADE, project.models))


@pytest.mark.services
@pytest.mark.skipif(sys.platform != "linux", reason="what the image runs is Linux")
def test_the_command_of_the_image_needs_a_small_environment_and_one_folder(
    project, expected, tmp_path
):
    """What the Dockerfile installs and runs, without rights, where only quotes/ can be written."""
    requirements = (ROOT / "requirements-serving.txt").read_text(encoding="utf-8").splitlines()
    python = environment("serving", requirements) / "python"
    *_, command = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    name, *options = json.loads(command.removeprefix("CMD "))
    assert name == "laptop-pricing" and options[:3] == ["serve", "--host", "0.0.0.0"]
    port, log = servers.free_port(), tmp_path / "app" / "log"
    shutil.copytree(project.models, log.parent / "models")
    (log.parent / "quotes").mkdir()
    log.touch()
    log.parent.chmod(0o555)
    drop = ["setpriv", "--bounding-set=-all"] if os.geteuid() == 0 else []
    command = [*drop, python, "-B", "-m", "laptop_pricing", *options]
    command += ["--host", "127.0.0.1", "--port", port]
    variables = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    with servers.running(command, f"http://127.0.0.1:{port}/healthz", log, variables):
        quote = ask(f"http://127.0.0.1:{port}", EXAMPLE)
    assert quote["prediction"] == expected and quote["quote_id"]
    assert [line.answer for line in read_log(log.parent / "quotes", quote["quote_id"])]
    assert {path.name for path in log.parent.iterdir()} == {"models", "quotes", "log"}


@pytest.mark.services
def test_schemathesis_finds_no_answer_that_is_not_documented(project, tmp_path):
    schemathesis = environment("schemathesis", ["schemathesis==4.30.1"]) / "schemathesis"
    checks = "not_a_server_error,status_code_conformance,content_type_conformance"
    with serving(project.models, tmp_path) as address:
        command = [schemathesis, "run", f"{address}/openapi.json", "-n", "100", "--seed", "1"]
        command += ["-c", f"{checks},response_schema_conformance", "-H", f"X-API-Key: {KEY}"]
        command += ["--phases", "examples,coverage,fuzzing", "--generation-database", "none"]
        command = [str(part) for part in command]
        shared = {"capture_output": True, "text": True, "encoding": "utf-8", "timeout": 400}
        done = subprocess.run(command, cwd=tmp_path, **shared)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "/v1/quotes" in (tmp_path / "log").read_text(encoding="utf-8")


def gateway_2(path, body, **more):
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


def gateway_1(path, body):
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
def handler(project, monkeypatch):
    monkeypatch.setenv("LAMBDA_TASK_ROOT", str(project.root))
    monkeypatch.setenv(LAPTOPS.key_variable, KEY)
    return make_handler(LAPTOPS, add_routes=add_routes)


@pytest.mark.parametrize("event", [gateway_1, gateway_2], ids=["version 1", "version 2"])
def test_lambda_answers_events_of_both_versions(handler, expected, event):
    answer = handler(event("/v1/quote", json.dumps(EXAMPLE)), None)
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["prediction"] == expected
    refused = handler(event("/v1/quote", "{"), None)
    assert refused["statusCode"] == 422 and "JSON" in refused["body"]
    asked = handler(event("/v1/course/quotes", json.dumps({"data": COURSE})), None)
    assert set(json.loads(asked["body"])) == {"prediction", "version"}


def test_lambda_asks_for_the_key_and_reads_base64(handler):
    body = base64.b64encode(json.dumps(EXAMPLE).encode()).decode()
    event = gateway_2("/v1/quote", body, isBase64Encoded=True)
    assert handler(event, None)["statusCode"] == 200
    assert handler(event | {"headers": {}}, None)["statusCode"] == 401


def test_defect_1_one_case_has_one_prediction_everywhere(project, handler, expected, tmp_path):
    pd.DataFrame([EXAMPLE]).to_csv(tmp_path / "in.csv", index=False)
    predictions, _ = predict_file(project, tmp_path / "in.csv", tmp_path / "out.csv")
    api = TestClient(build_app(Source(LAPTOPS, project.models)), headers={"X-API-Key": KEY})
    event = gateway_2("/v1/quote", json.dumps(EXAMPLE))
    assert predictions[task_of(LAPTOPS).cell_names[0]].item() == expected
    assert api.post("/v1/quote", json=EXAMPLE).json()["prediction"] == expected
    assert json.loads(handler(event, None)["body"])["prediction"] == expected
