"""The REST API answers as the command does, and says which field is wrong."""

import json

import pytest
from fastapi.testclient import TestClient

from laptop_pricing.data.row import read_row
from laptop_pricing.data.schema import EXAMPLE, FEATURES, SPECIFICATION, TARGET, UNIT
from laptop_pricing.modeling.bundle import load_compiled
from laptop_pricing.modeling.quote import quote
from laptop_pricing.serving import messages
from laptop_pricing.serving.api import MAX_BODY, MAX_ROWS, create_app

ROW = read_row(EXAMPLE)[0]
KEY = "a key, with a ç"
BAD = "no such value"


@pytest.fixture(scope="module")
def bundle(trained):
    return load_compiled(trained.models)


@pytest.fixture(scope="module")
def client(bundle):
    return TestClient(create_app(bundle, "models"))


@pytest.mark.parametrize("cells", [EXAMPLE, ROW], ids=["as typed", "typed values"])
def test_a_quote_is_that_of_the_command(client, trained, cells):
    answer = client.post("/v1/quotes", json=cells, params={"margin": 0.2, "risk": 0.1})
    found, expected = answer.json(), quote(trained.models, EXAMPLE, 0.2, 0.1)
    assert (answer.status_code, found["unit"]) == (200, UNIT)
    interval = found["interval"]
    said = (found["price"], interval["low"], interval["high"], found["base"])
    asked = (expected.price, expected.low, expected.high, expected.base)
    assert said == pytest.approx(asked, rel=1e-12)
    assert found["factors"] == pytest.approx(expected.factors, rel=1e-12)
    assert found["offers"] == [line._asdict() for line in expected.offers]


def test_a_list_gets_a_list_in_its_order(client):
    sized = next(column for column in SPECIFICATION if column.levels)
    rows = [ROW | {sized.name: level} for level in sized.levels]
    alone = [client.post("/v1/quotes", json=row).json() for row in rows]
    assert client.post("/v1/quotes", json=rows).json() == alone
    assert len({found["price"] for found in alone}) > 1 and alone[0]["offers"] is None


@pytest.mark.parametrize("column", SPECIFICATION, ids=lambda column: column.name)
def test_defect_2_a_bad_row_of_a_list_is_named_with_its_field(client, column):
    answer = client.post("/v1/quotes", json=[ROW, ROW | {column.name: BAD}])
    failure = {"row": 1, "field": column.name, "found": repr(BAD), "expected": column.rule}
    assert (answer.status_code, answer.json()) == (422, {"detail": [failure], "count": 1})


def test_what_is_too_much_is_refused(client):
    for content in (b" " * (MAX_BODY + 1), json.dumps([0] * (MAX_ROWS + 1))):
        assert client.post("/v1/quotes", content=content).status_code == 413
    assert client.post("/v1/quotes", json=[ROW] * MAX_ROWS).status_code == 200


@pytest.mark.parametrize("query", ["margin=1", "margin=nan", "margin=x", "risk=0.1", "risk=2"])
def test_a_bad_margin_or_risk_is_named(client, query):
    answer = client.post(f"/v1/quotes?{query}", json=ROW)
    assert answer.status_code == 422
    assert [line["field"] for line in answer.json()["detail"]] == [query.partition("=")[0]]


def test_the_schema_has_what_a_form_needs(client):
    found = client.get("/v1/schema").json()
    assert [column["name"] for column in found["columns"]] == list(FEATURES)
    for said, column in zip(found["columns"], SPECIFICATION):
        assert said["required"] == (column.default is None) and said["rule"] == column.rule
        assert said["default"] == column.default and said["allowed"] == list(column.allowed)
    assert found["target"] == TARGET
    assert client.post("/v1/quotes", json=found["example"]).status_code == 200


def test_the_documented_row_is_the_one_that_is_read(client):
    assert messages.Row(**ROW).model_dump() == ROW
    documented = client.get("/openapi.json").json()["paths"]["/v1/quotes"]["post"]
    examples = documented["requestBody"]["content"]["application/json"]["examples"]
    for example in examples.values():
        assert client.post("/v1/quotes", json=example["value"]).status_code == 200
    assert {"200", "401", "413", "422"} <= documented["responses"].keys()


def test_the_model_says_what_it_is(client, bundle):
    found = client.get("/v1/model").json()
    assert found["sha256"] == bundle.metadata["model_sha256"] and found["origin"] == "models"
    assert found["metrics"] == bundle.metadata["metrics"]


def test_the_key_is_asked_for_but_for_the_health(bundle):
    client = TestClient(create_app(bundle, "models", key=KEY))
    for path in ("/v1/model", "/v1/schema"):
        for given in ({}, {"X-API-Key": KEY[:-1].encode()}, {"X-API-Key": b""}):
            answer = client.get(path, headers=given)
            assert answer.status_code == 401 and KEY not in answer.text
        assert client.get(path, headers={"X-API-Key": KEY.encode()}).status_code == 200
    assert client.post("/v1/quotes", json=ROW).status_code == 401
    assert client.get("/healthz").json() == {"status": "ok"}
