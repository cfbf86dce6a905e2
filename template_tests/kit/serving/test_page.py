"""The web form's pages, without a browser, against a real API."""

import base64
import csv
import html
import io
import math
import re
import threading
import time

import pandas as pd
import pytest
import uvicorn
from problems import DIABETES, GAINS, GRADES, LAPTOPS, LOANS, MADE, each, each_class
from starlette.testclient import TestClient

from laptop_pricing.kit.modeling.bundle import load_bundle
from laptop_pricing.kit.modeling.predict import predict_file
from laptop_pricing.kit.modeling.quote import quote_rows
from laptop_pricing.kit.modeling.task import task_of
from laptop_pricing.kit.problem import REFUSED
from laptop_pricing.kit.serving import api, form, port
from laptop_pricing.kit.serving.served import Served

KEY = "a key, with a ç"
VARIABLE = "SOME_API_KEY"
PORTUGUESE, ENGLISH = "0", "1"
HOSTILE = "\"'><script>x</script>"
each_form = each(LAPTOPS, MADE)


@pytest.fixture(scope="module")
def address_of(trained):
    """``address_of(problem)``: of an API that asks for KEY."""
    running, addresses = [], {}

    def give(problem):
        if problem.name not in addresses:
            bundle = load_bundle(trained(problem).models, problem)
            app = api.create_app(problem, Served.of(problem, bundle, "m"), [KEY])
            listening = port.open_port("127.0.0.1", 0)
            one = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
            thread = threading.Thread(target=one.run, kwargs={"sockets": [listening]})
            thread.start()
            running.append((one, thread))
            while not one.started:
                assert thread.is_alive()
                time.sleep(0.01)
            addresses[problem.name] = f"http://127.0.0.1:{listening.getsockname()[1]}"
        return addresses[problem.name]

    yield give
    for one, thread in running:
        one.should_exit = True
        thread.join()


class Page:
    """What the form answered: its HTML, and its text as people read it."""

    def __init__(self, answer):
        self.status, self.html, self.headers = answer.status_code, answer.text, answer.headers
        body = re.sub(r"(?s)<style.*?</style>", "", self.html)
        self.text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())
        figure = re.search(r"<strong>(.*?)</strong>", self.html)
        self.figure = html.unescape(figure[1]) if figure else None

    def sent(self):
        """What a browser would send back, by the names of inputs and lists."""
        found = {}
        for tag in re.findall(r"<input[^>]*>", self.html):
            told = {n: html.unescape(v) for n, v in re.findall(r'([\w-]+)="([^"]*)"', tag)}
            if told.get("type") != "file" and (told.get("type") != "radio" or " checked" in tag):
                found[told["name"]] = told["value"]
        lists = re.findall(r'(?s)<select id="[^"]*" name="([^"]*)".*?>(.*?)</s', self.html)
        for name, options in lists:
            chosen = re.search(r'value="([^"]*)" selected', options)
            first = re.search(r'value="([^"]*)"', options)
            found[name] = html.unescape((chosen or first)[1])
        return found


@pytest.fixture
def open_page(address_of, monkeypatch):
    """``open_page(problem, cells)``: the page for answers that were sent, or else the first."""

    def give(problem=LAPTOPS, cells=None, address="", key=KEY, upload=None, **more):
        monkeypatch.setenv(VARIABLE, key)
        client = TestClient(
            form.create_form(problem.name, address or address_of(problem), VARIABLE)
        )
        if cells is None and upload is None and not more:
            return Page(client.get("/"))
        sent = {f"field.{name}": cell for name, cell in as_chosen(problem, cells or {}).items()}
        sent |= {"was": PORTUGUESE, "do": "many" if upload else "one"} | more
        files = {"upload": upload or ("", b"")}
        return Page(client.post("/", data=sent, files=files))

    return give


def as_chosen(problem, cells):
    """Cells as a browser sends them: words are chosen, numbers are typed."""
    columns = {column.name: column for column in problem.features if not column.numeric}
    values = {name: column.read(cells.get(name)) for name, column in columns.items()}
    return cells | {
        name: columns[name].spell(value)
        for name, value in values.items()
        if value is not REFUSED and cells.get(name)
    }


def quote(trained, problem, cells, margin=0.2):
    bundle = load_bundle(trained(problem).models, problem)
    return quote_rows(problem, bundle, [problem.read_row(cells)[0]], margin)[0]


def written(amount, language):
    digits = f"{amount:,.0f}"
    return digits if language == ENGLISH else digits.replace(",", ".")


@each_form
@pytest.mark.parametrize("language, word", [(PORTUGUESE, "Oferta"), (ENGLISH, "offer")])
def test_the_prediction_is_that_of_the_model(open_page, trained, problem, language, word):
    page = open_page(problem, problem.example, was=language)
    found = quote(trained, problem, problem.example)
    assert page.status == 200 and written(found.prediction, language) in page.figure
    for offer in found.offers:
        assert word in page.text and written(offer.offer, language) in page.text
    assert written(found.low, language) in page.text
    assert f": {found.distance}." in page.text and f"{found.typical_error:.0%}" in page.text
    strongest = max(found.factors.values(), key=lambda factor: abs(factor - 1))
    assert re.search(r"<td>([+-][\d]+%)</td>", page.html)[1] == f"{strongest - 1:+.0%}"


@each(DIABETES, GAINS)
def test_numbers_without_usual_sizes_and_nothing_is_offered(open_page, trained, problem):
    page = open_page(problem, problem.example)
    found = quote(trained, problem, problem.example)
    digits = re.sub(r"[^\d]", "", page.figure)
    assert digits in (f"{found.prediction:.0f}", f"{found.prediction:.2f}".replace(".", ""))
    assert page.figure.endswith(problem.target.unit)  # no currency stands behind it
    assert "ferta" not in page.text


@each_class
def test_a_class_is_shown_with_the_chance_of_each_its_set_and_its_reasons(
    open_page, trained, problem
):
    page = open_page(problem, problem.example, was=ENGLISH)
    found = quote(trained, problem, problem.example)
    assert page.figure == found.prediction and "offer" not in page.text
    named = " or ".join(found.set)
    only = f"Sure: only {named} fits" if found.set == [found.prediction] else f"Not sure: {named}"
    assert f"{only} (90 % set)." in page.text
    assert f"{found.odds[0]} against {found.odds[1]} is {found.base:.3g} to 1." in page.text
    assert f": {found.distance}." in page.text and f"{found.typical_error:.2f}" in page.text
    for name, chance in found.chances.items():
        assert f"{name} {chance:.1%}" in page.text
    strongest = max(found.factors.values(), key=lambda factor: abs(math.log(factor)))
    assert re.search("× [^<]*", page.html)[0] == f"× {strongest:.3g}"


def test_what_is_not_known_need_not_be_said(open_page, trained):
    told = {"staff": "4", "space": "50"}
    page = open_page(GAINS, told, was=ENGLISH)
    assert f"{quote(trained, GAINS, told).prediction:.2f}" in page.figure
    assert "I do not know" in page.text and "may be blank" in page.text


@each(LAPTOPS, MADE, LOANS)
def test_all_answers_and_the_prediction_outlive_a_change_of_language(open_page, problem):
    first = open_page(problem, problem.example)
    second = open_page(problem, **{**first.sent(), "language": ENGLISH, "do": "one"})
    kept = first.sent()
    assert '<html lang="en">' in second.html
    assert re.sub(r"[^\d]", "", second.figure) == re.sub(r"[^\d]", "", first.figure)
    for column in problem.features:
        name, given = f"field.{column.name}", problem.example.get(column.name, "")
        if column.numeric:  # as it was typed, with the mark of the language
            assert kept[name] == given.replace(".", ",") and second.sent()[name] == given
        elif given:
            assert column.read(second.sent()[name]) == column.read(given), column


@pytest.mark.parametrize(
    "language, text, area",
    [
        (PORTUGUESE, "71,5", "71.5"),
        (PORTUGUESE, "71.5", "71.5"),
        (ENGLISH, "71.5", "71.5"),
        (ENGLISH, "7,15", None),
        (PORTUGUESE, "1.234", None),  # more than there is
        (ENGLISH, "0.125", None),
    ],
)
def test_a_number_is_read_as_the_language_writes_it(open_page, trained, language, text, area):
    page = open_page(MADE, MADE.example | {"area": text}, was=language)
    if area is None:
        shown = {"1.234": "1234"}.get(text, text)
        assert page.figure is None and f"'{shown}'" in page.text
    else:
        price = quote(trained, MADE, MADE.example | {"area": area}).prediction
        assert written(price, language) in page.figure


@pytest.mark.parametrize(
    "text, language, number",
    [
        ("1.234,5", 0, "1234.5"),
        ("1,234.5", 1, "1234.5"),
        ("0.125", 0, "0.125"),
        ("-12.000", 0, "-12000"),
        ("8 GB", 0, "8 GB"),
        ("1e-6", 0, "1e-6"),
        ("", 1, ""),
    ],
)
def test_marks_of_thousands_and_decimals(text, language, number):
    assert form._read_number(text, language) == number


def test_another_margin_gives_other_offers(open_page, trained):
    page = open_page(LAPTOPS, LAPTOPS.example, margin="40")
    for offer in quote(trained, LAPTOPS, LAPTOPS.example, margin=0.4).offers:
        assert written(offer.offer, PORTUGUESE) in page.text
    assert page.sent()["margin"] == "40"


@each_form
@pytest.mark.parametrize(
    "language, word", [(PORTUGUESE, "falta responder"), (ENGLISH, "no answer")]
)
def test_what_is_missing_is_named_and_leads_to_its_field(open_page, problem, language, word):
    name = next(iter(problem.example))
    page = open_page(problem, problem.example | {name: ""}, was=language)
    (column,) = [column for column in problem.features if column.name == name]
    label = column.description if language == ENGLISH else problem.words[name]
    assert page.figure is None
    assert re.search(rf'<a href="#field.{name}">{label}: {word}', page.html)
    assert f'id="field.{name}"' in page.html and f'aria-describedby="error.{name}"' in page.html
    assert page.html.count('class="error"') == 1


def test_a_broken_rule_is_told_in_the_forms_language(open_page):
    page = open_page(MADE, MADE.example | {"floor": "-1", "balcony": "Yes"})
    assert "um porão não tenha varanda" in page.text and page.figure is None


@each_form
def test_the_title_says_what_is_predicted_and_by_which_project(open_page, problem):
    title = re.search("<title>(.*)</title>", open_page(problem).html)[1]
    assert title.endswith(f" {problem.items} · {problem.name}"), title
    away = re.search("<title>(.*)</title>", open_page(problem, address="http://127.0.0.1:9").html)[
        1
    ]
    assert away.count(problem.name) == 1


@each(*[LAPTOPS, MADE, DIABETES, GAINS, LOANS, GRADES])
def test_every_field_has_one_label(open_page, problem):
    page = open_page(problem)
    for column in problem.features:
        id = re.escape(f"field.{column.name}")
        labels = re.findall(rf'<label for="{id}">', page.html)
        groups = re.findall(
            rf'<fieldset[^>]*>\s*<legend>(?:(?!</fieldset).)*id="{id}"', page.html, re.S
        )
        assert len(labels) + len(groups) == 1, column.name
    assert page.status == 200 and page.figure is None


@each(MADE)
def test_hostile_text_stays_text(open_page, problem):
    cells = dict.fromkeys(problem.names, HOSTILE)
    page = open_page(problem, cells, margin=HOSTILE, shown=HOSTILE, language=HOSTILE)
    rows = (
        f"{','.join(problem.names)},{HOSTILE.replace(chr(34), '')}\n{'x,' * len(cells)}{HOSTILE}\n"
    )
    for shown in (page, open_page(problem, cells, upload=(f"{HOSTILE}.csv", rows.encode()))):
        assert shown.status == 200 and "<script>x" in shown.text
        assert "<script" not in shown.html
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "script" not in policy


@each(LAPTOPS, MADE, LOANS, GRADES)
def test_a_file_is_predicted_but_for_its_bad_rows(open_page, trained, problem, tmp_path):
    good = io.StringIO()
    lines = csv.DictWriter(good, problem.example, lineterminator="\n")
    lines.writeheader()
    lines.writerow(problem.example)
    bad = ",".join(["no such value", *list(problem.example.values())[1:]])
    (tmp_path / "good.csv").write_text(good.getvalue(), encoding="utf-8")
    expected, _ = predict_file(trained(problem), tmp_path / "good.csv", tmp_path / "done.csv")
    file = f"{good.getvalue()}{bad}\n".encode()
    page = open_page(problem, {}, upload=("rows.csv", file))
    content = re.search(r'href="data:text/csv;base64,([^"]*)"', page.html)[1]
    table = pd.read_csv(io.BytesIO(base64.b64decode(content)))
    for name, cells in expected.round(task_of(problem).decimals).items():
        assert table[name].dropna().tolist() == cells.tolist()
    first = next(iter(problem.example))
    assert "Linha 2. " in page.text and "no such value" in page.text
    (tmp_path / "rows.csv").write_bytes(file)
    _, told = predict_file(trained(problem), tmp_path / "rows.csv", tmp_path / "done.csv")
    assert re.match("row 2: .*no such value", told[0])  # the same number
    assert "no such value" in table["error"][1] and table[first][1] == "no such value"
    again = open_page(problem, **{**page.sent(), "do": "many", "language": ENGLISH})
    assert "1 of 2 rows predicted" in again.text  # the file, too, outlives the language


def test_a_long_file_is_predicted_in_parts_and_its_first_rows_are_shown(open_page, trained):
    assert form.ROWS == api.MAX_ROWS
    line = ",".join(LAPTOPS.example.values())
    lines = [line] * (form.ROWS + 30)
    for row in range(5, form.ROWS + 30, 25):
        lines[row] = f"x{line}"
    file = "\n".join([",".join(LAPTOPS.example), *lines]).encode()
    page = open_page(LAPTOPS, {}, upload=("rows.csv", file), was=ENGLISH)
    bad = len(range(5, form.ROWS + 30, 25))
    assert f"{form.ROWS + 30 - bad} of {form.ROWS + 30} rows predicted" in page.text
    assert "Row 6. Brand: found 'x" in page.text and f"{bad - form.SHOWN} more" in page.text
    assert len(re.findall(r"<tr><td>\d+</td>", page.html)) == form.SHOWN


@each(LAPTOPS, LOANS)
def test_the_template_is_a_file_that_can_be_predicted(open_page, address_of, problem):
    open_page(problem)
    client = TestClient(form.create_form(problem.name, address_of(problem), VARIABLE))
    answer = client.get("/template.csv")
    assert answer.text.splitlines()[0].split(",") == [*problem.names]
    assert "attachment" in answer.headers["content-disposition"]
    page = open_page(problem, {}, upload=("rows.csv", answer.content))
    assert "1 de 1 linhas calculadas" in page.text


@pytest.mark.parametrize(
    "content, told",
    [
        (b"a,a\n1,2\n", "rows.csv: column found twice"),
        (b"\xff", "rows.csv: not readable"),
        (b"x" * (form.MAX_UPLOAD + 1), "mais de 20 MB"),
        (b"x" * (form.MOST_SENT + 1), "mais de 20 MB"),
    ],
    ids=["twice", "bytes", "large", "huge"],
)
def test_a_file_that_is_no_table_is_told_by_its_name(open_page, content, told):
    page = open_page(LAPTOPS, {}, upload=("rows.csv", content))
    assert told in page.text and page.status == 200


def test_no_file_is_told(open_page):
    assert "Escolha um arquivo CSV." in open_page(LAPTOPS, LAPTOPS.example, do="many").text


def test_a_formula_in_a_file_is_defused(open_page):
    rows = ["note", "=1+1"], [",".join(LAPTOPS.example), ",".join(LAPTOPS.example.values())]
    file = "\n".join(f"{note},{row}" for note, row in zip(*rows)).encode()
    page = open_page(LAPTOPS, {}, upload=("rows.csv", file))
    content = re.search(r'href="data:text/csv;base64,([^"]*)"', page.html)[1]
    assert b"'=1+1" in base64.b64decode(content)


@pytest.mark.parametrize(
    "given, told",
    [({"address": "http://127.0.0.1:9"}, " serve"), ({"key": "another"}, VARIABLE)],
    ids=["down", "key"],
)
def test_without_the_api_the_page_says_what_to_do_and_keeps_the_answers(open_page, given, told):
    page = open_page(LAPTOPS, LAPTOPS.example, **given)
    assert page.status == 503 and told in page.text
    assert KEY not in page.html and "another" not in page.html
    again = open_page(LAPTOPS, **{**page.sent(), "language": ENGLISH})
    assert again.status == 200 and again.figure and '<html lang="en">' in again.html
