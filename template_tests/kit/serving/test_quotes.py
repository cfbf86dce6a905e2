"""The REST API answers as the model does, and names the field that is wrong."""

import json
import math

import pytest
from fastapi.testclient import TestClient
from problems import GAINS, LAPTOPS, MADE, PROBLEMS, each_problem, make_project
from sklearn.ensemble import HistGradientBoostingRegressor

from laptop_pricing.course import EXAMPLE as COURSE
from laptop_pricing.course import add_routes
from laptop_pricing.kit.modeling.bundle import load_bundle
from laptop_pricing.kit.modeling.quote import quote_rows
from laptop_pricing.kit.modeling.task import task_of
from laptop_pricing.kit.serving.api import MAX_ROWS, create_app
from laptop_pricing.kit.serving.front import MAX_BODY, MAX_CASE, WRONG_KEYS
from laptop_pricing.kit.serving.served import Served

KEY = "a key, with a ç"
BAD = "no such value"
ROW = LAPTOPS.read_row(LAPTOPS.example)[0]
each_column = pytest.mark.parametrize(
    "problem, column",
    [(problem, column) for problem in PROBLEMS for column in problem.features],
    ids=lambda value: value.name,
)


@pytest.fixture(scope="session")
def bundle_of(trained):
    return lambda problem: load_bundle(trained(problem).models, problem)


@pytest.fixture(scope="session")
def client_of(bundle_of):
    clients = {}

    def give(problem):
        if problem.name not in clients:
            app = create_app(problem, Served.of(problem, bundle_of(problem), "models"))
            if problem is LAPTOPS:
                add_routes(app)
            clients[problem.name] = TestClient(app, raise_server_exceptions=False)
        return clients[problem.name]

    return give


@each_problem
@pytest.mark.parametrize("typed", [False, True], ids=["as typed", "typed values"])
def test_a_quote_is_that_of_the_model(client_of, bundle_of, problem, typed):
    row, bundle = problem.read_row(problem.example)[0], bundle_of(problem)
    cells = row if typed else dict(problem.example)
    answer = client_of(problem).post("/v1/quote", json=cells, params={"margin": 0.2, "risk": 0.1})
    (quote,) = quote_rows(problem, bundle, [row], 0.2, 0.1)
    if problem.classes:
        own = {"chances": quote.chances, "set": quote.set, "odds": quote.odds}
        assert sum(quote.chances.values()) == pytest.approx(1) and quote.odds
        aim = quote.chances[quote.odds[0]] / quote.chances[quote.odds[1]]
    else:
        interval = {"coverage": 0.9, "low": quote.low, "high": quote.high}
        own = {"unit": problem.target.unit, "interval": interval, "terms": quote.terms}
        aim = quote.prediction
    expected = own | {
        "quote_id": None,
        "prediction": quote.prediction,
        "base": quote.base,
        "factors": quote.factors,
        "warnings": quote.warnings,
        "distance": quote.distance,
        "typical_error": quote.typical_error,
        "model": {
            "name": problem.name,
            "version": None,
            "sha256": bundle.sha256,
            "data_md5": bundle.metadata["data_md5"],
        },
    }
    expected |= {"offers": [vars(offer) for offer in quote.offers]} if problem.bought else {}
    assert (answer.status_code, answer.json()) == (200, expected)
    if quote.factors:
        assert quote.base * math.prod(quote.factors.values()) == pytest.approx(aim)
    else:
        assert quote.base + math.fsum(quote.terms.values()) == pytest.approx(aim)


@each_problem
def test_a_list_gets_a_list_in_its_order(client_of, problem):
    client, row = client_of(problem), problem.read_row(problem.example)[0]
    sized = next(column for column in problem.features if column.numeric)
    rows = [row | {sized.name: size} for size in (sized.low, sized.high)]
    alone = [client.post("/v1/quote", json=row).json() for row in rows]
    together = client.post("/v1/quotes", json=rows).json()
    for one, of_list in zip(alone, together, strict=True):
        for part in ("prediction", "chances"):
            assert of_list.get(part) == pytest.approx(one.get(part))
    assert together[0]["distance"] == alone[0]["distance"] and alone[0].get("offers") is None


def test_what_is_not_known_may_be_left_out_and_changes_the_prediction(client_of, bundle_of):
    known = GAINS.read_row(GAINS.example)[0]
    (expected,) = quote_rows(GAINS, bundle_of(GAINS), [known | {"balance": None}])
    rest = {name: cell for name, cell in known.items() if name != "balance"}
    for cells in (rest, *(rest | {"balance": cell} for cell in (None, "", "n/a", "Unknown"))):
        answer = client_of(GAINS).post("/v1/quote", json=cells)
        assert answer.status_code == 200
        assert answer.json()["prediction"] == expected.prediction
    asked = client_of(GAINS).post("/v1/quote", json=known).json()
    assert asked["prediction"] != expected.prediction


def test_a_model_without_factors_is_served(tmp_path_factory):
    from laptop_pricing.kit.data.preprocess import preprocess
    from laptop_pricing.kit.modeling.train import train

    def build(problem, params):
        return HistGradientBoostingRegressor(categorical_features="from_dtype", max_iter=20)

    project = make_project(tmp_path_factory.mktemp("boosted"), MADE, build_model=build)
    preprocess(project)
    train(project)
    served = Served.of(MADE, load_bundle(project.models, MADE), "models")
    client = TestClient(create_app(MADE, served))
    answer = client.post("/v1/quote?margin=0.1", json=dict(MADE.example)).json()
    low, high = answer["interval"]["low"], answer["interval"]["high"]
    assert answer["base"] is answer["factors"] is None
    assert low < answer["prediction"] < high and answer["offers"]


@each_column
def test_defect_2_a_bad_row_of_a_list_is_named_with_its_field(client_of, problem, column):
    row = problem.read_row(problem.example)[0]
    answer = client_of(problem).post("/v1/quotes", json=[row, row | {column.name: BAD}])
    line = {"type": column.kind, "loc": ["body", 1, column.name], "input": BAD}
    line["msg"] = f"Input should be {column.rule}"
    assert (answer.status_code, answer.json()) == (422, {"detail": [line]})


@each_problem
def test_a_field_may_be_left_out_where_it_has_a_default(client_of, problem):
    row = problem.read_row(problem.example)[0]
    for column in problem.features:
        others = {name: cell for name, cell in row.items() if name != column.name}
        for cells in (others, others | {column.name: None}, others | {column.name: " "}):
            answer = client_of(problem).post("/v1/quote", json=cells)
            assert answer.status_code == (200 if column.optional else 422)


def _with(**cells):
    return json.dumps(ROW | cells)


def _digits(count):
    return _with().replace('"ram_gb": 8', f'"ram_gb": {"9" * count}')


BODY, RAM = ["body"], ["body", "ram_gb"]
HOSTILE = {  # a body; what the first error names, None where it is too much
    "nothing": ("", BODY),
    "no JSON": ("{", BODY),
    "bytes that are no text": (b"\xff\xfe\x00", BODY),
    "too deep": ("[" * 60_000, BODY),
    "deep, but valid": ('{"brand":' + "[" * 150 + "]" * 150 + "}", ["body", "brand"]),
    "null": ("null", BODY),
    "a number": ("7", BODY),
    "text": ('"dell"', BODY),
    "a list": (f"[{_with()}]", BODY),
    "an empty object": ("{}", ["body", "brand"]),
    "NaN": (_with(ram_gb=math.nan), RAM),
    "infinite": (_with(ram_gb=-math.inf), RAM),
    "overflow": (_with().replace('"ram_gb": 8', '"ram_gb": 1e999'), RAM),
    "a huge integer": (_digits(4000), RAM),
    "a number of too many digits": (_digits(5000), BODY),
    "true for a number": (_with(ram_gb=True), RAM),
    "a fraction": (_with(ram_gb=8.5), RAM),
    "negative": (_with(ram_gb=-8), RAM),
    "null for a number": (_with(ram_gb=None), RAM),
    "blank for a number": (_with(ram_gb=""), RAM),
    "words for a number": (_with(ram_gb="many"), RAM),
    "a list for a number": (_with(ram_gb=[512]), RAM),
    "1 for yes": (_with(touchscreen=1), ["body", "touchscreen"]),
    "a brand of no text": (_with(brand=0), ["body", "brand"]),
    "a surrogate": (_with(brand="\ud800"), BODY),
    "a NUL": (_with(brand="\0"), ["body", "brand"]),
    "a long brand": (_with(brand="x" * 60_000), ["body", "brand"]),
    "a long key": (_with(**{"x" * 60_000: 1}), ["body", "'xxxxxxxxxxxx...xxxxxxxxxxxxx'"]),
    "unknown key": (_with(colour="red"), ["body", "colour"]),
    "many unknown keys": (_with(**{f"k{i}": "x" * 9 for i in range(2_500)}), ["body", "k0"]),
    "no storage": (_with(ssd=0, hdd=0), BODY),
    "too long": (" " * (MAX_CASE + 1), None),
}
HOSTILE_LISTS = {
    "an empty list": ("[]", BODY),
    "no list": (_with(), BODY),
    "a list in a list": (f"[[{_with()}]]", ["body", 0]),
    "the second row": (f"[{_with()}, {_with(ram_gb='x')}]", ["body", 1, "ram_gb"]),
    "NaN in a list": (f"[{_with(ram_gb=math.nan)}]", ["body", 0, "ram_gb"]),
    "a surrogate in a list": (f"[{_with(brand=chr(0xD800))}]", BODY),
    "bad rows": (json.dumps([ROW | {"brand": "x" * 500}] * MAX_ROWS), ["body", 0, "brand"]),
    "bad cells": (json.dumps([{}] * MAX_ROWS), ["body", 0, "brand"]),
    "a long brand in a list": (f"[{_with(brand='x' * 900_000)}]", ["body", 0, "brand"]),
    "many unknown keys in a list": (
        f"[{_with(**{f'k{i}': 'x' * 9 for i in range(10_000)})}]",
        ["body", 0, "k0"],
    ),
    "more keys than a full list has": (f"[{_with(**{f'k{i}': 1 for i in range(40_000)})}]", BODY),
    "too many": (json.dumps([ROW] * (MAX_ROWS + 1)), BODY),
    "too long a list": ("[" + " " * MAX_BODY + "]", None),
}
CASES = [("/v1/quote", *case) for case in HOSTILE.values()]
CASES += [("/v1/quotes", *case) for case in HOSTILE_LISTS.values()]


@pytest.mark.parametrize("path, body, place", CASES, ids=[*HOSTILE, *HOSTILE_LISTS])
def test_defect_2_a_hostile_body_is_refused_and_its_field_named(client_of, path, body, place):
    answer = client_of(LAPTOPS).post(path, content=body)
    detail = answer.json()["detail"]
    assert answer.status_code == (413 if place is None else 422) and len(answer.content) < 500_000
    assert "send" in detail if place is None else detail[0]["loc"] == place


def test_all_broken_rules_are_told(client_of):
    row = MADE.read_row(MADE.example)[0]
    row |= {"floor": -1, "balcony": True, "district": "East", "view": "sea"}
    (line,) = client_of(MADE).post("/v1/quote", json=row).json()["detail"]
    assert line["type"] == "rules" and line["ctx"]["rules"] == [rule.text for rule in MADE.rules]


def test_a_full_list_is_answered(client_of):
    assert client_of(LAPTOPS).post("/v1/quotes", json=[ROW] * MAX_ROWS).status_code == 200


QUERIES = ["margin=1", "margin=nan", "margin=x", "margin=-1", "risk=2&margin=0.1", "risk=0.1"]


@pytest.mark.parametrize("query", QUERIES)
def test_a_bad_margin_or_risk_is_named(client_of, query):
    answer = client_of(LAPTOPS).post(f"/v1/quote?{query}", json=ROW)
    (line,) = answer.json()["detail"]
    place = ["query"] if query == "risk=0.1" else ["query", query.partition("=")[0]]
    assert (answer.status_code, line["loc"]) == (422, place)


@each_problem
def test_the_schema_has_what_a_form_needs(client_of, problem):
    found = client_of(problem).get("/v1/schema").json()
    assert [column["name"] for column in found["features"]] == list(problem.names)
    for said, column in zip(found["features"], problem.features):
        assert said["default"] == column.default and said["allowed"] == list(column.allowed)
        assert (said["low"], said["high"]) == (column.low, column.high)
    assert found["target"]["name"] == problem.target.name and found["words"] == problem.words
    assert found["task"] == task_of(problem).name
    assert client_of(problem).post("/v1/quote", json=found["example"]).status_code == 200


@each_problem
def test_the_documented_case_is_the_one_that_is_read(client_of, problem):
    found = client_of(problem).get("/openapi.json").json()
    operation = found["paths"]["/v1/quote"]["post"]
    assert {"200", "401", "413", "422"} <= operation["responses"].keys()
    asked = [parameter["name"] for parameter in operation.get("parameters", ())]
    assert asked == (["margin", "risk"] if problem.bought else [])
    content = operation["requestBody"]["content"]["application/json"]
    case = found["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
    (example,) = case["examples"]
    assert client_of(problem).post("/v1/quote", json=example).status_code == 200
    content = operation["responses"]["200"]["content"]["application/json"]
    answer = found["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
    own = {"chances", "set", "odds"} if problem.classes else {"interval", "unit", "terms"}
    assert own | {"prediction", "base", "factors", "model"} <= answer["properties"].keys()
    assert case["required"] == [c.name for c in problem.features if not c.optional]
    assert case["additionalProperties"] is False and list(case["properties"]) == [*problem.names]
    for column in problem.features:
        said = case["properties"][column.name]
        said = said | said.get("anyOf", [{}])[0]
        assert said["description"].startswith(column.description)
        if column.numeric:
            assert (said["minimum"], said["maximum"]) == (column.low, column.high)
        else:
            assert said.get("enum", []) == list(column.allowed)


def test_the_model_says_what_it_is(client_of, bundle_of):
    found, bundle = client_of(LAPTOPS).get("/v1/model").json(), bundle_of(LAPTOPS)
    assert (found["sha256"], found["origin"]) == (bundle.sha256, "models")
    assert found["metrics"] == bundle.metadata["metrics"] and found["caveat"] == LAPTOPS.caveat


def test_the_key_is_asked_for_but_for_the_health(bundle_of):
    app = create_app(LAPTOPS, Served.of(LAPTOPS, bundle_of(LAPTOPS), "models"), [KEY, "the old"])
    add_routes(app)
    client, refused = TestClient(app), []
    posts = {"/v1/quote": ROW, "/v1/quotes": [ROW], "/v1/course/quotes": {"data": COURSE}}
    for path in ("/v1/model", "/v1/schema", *posts):
        method = "POST" if path in posts else "GET"
        for given in ({}, {"X-API-Key": KEY[:-1].encode()}, {"X-API-Key": b""}):
            answer = client.request(method, path, json=posts.get(path), headers=given)
            refused.append(answer.status_code)
            assert KEY not in answer.text
        for right in ({"X-API-Key": KEY.encode()}, {"Authorization": "Bearer the old"}):
            answer = client.request(method, path, json=posts.get(path), headers=right)
            assert answer.status_code == 200
    assert refused == [401] * WRONG_KEYS + [429] * (15 - WRONG_KEYS)
    assert 0 <= int(client.get("/v1/model").headers["Retry-After"]) <= 60
    assert client.get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize(
    "body",
    [{}, [], {"data": None}, {"data": []}, {"data": COURSE | {"ram_gb": "many"}}, {"data": {}}],
    ids=str,
)
def test_the_courses_payload_is_refused_as_ours_is(client_of, body):
    assert client_of(LAPTOPS).post("/v1/course/quotes", json=body).status_code == 422


def test_the_courses_payload_gets_the_price_of_the_same_laptop(client_of):
    answer = client_of(LAPTOPS).post("/v1/course/quotes", json={"data": COURSE}).json()
    ours = {name: cell for name, cell in COURSE.items() if name not in ("graphic_card", "os_bit")}
    ours |= {"graphic_card_gb": 8, "os_bit": "64-bit", "touchscreen": False}
    expected = client_of(LAPTOPS).post("/v1/quote", json=ours).json()
    assert answer == {
        "prediction": pytest.approx(expected["prediction"], rel=1e-12),
        "version": expected["model"]["sha256"][:12],
    }


def test_the_portuguese_words_are_those_of_the_problem():
    rules = [rule.text for rule in (*LAPTOPS.rules, *LAPTOPS.warnings)]
    needed = {*LAPTOPS.names, *rules, LAPTOPS.caveat, LAPTOPS.item, LAPTOPS.items}
    needed.add(LAPTOPS.target.name)
    assert needed <= LAPTOPS.words.keys()
    values = {value for column in LAPTOPS.features for value in column.allowed}
    units = {column.unit for column in (*LAPTOPS.features, LAPTOPS.target)}
    units |= {f"{unit}s" for unit in units}
    values |= {word for column in LAPTOPS.features for word, _ in column.words}
    assert LAPTOPS.words.keys() <= needed | values | units
