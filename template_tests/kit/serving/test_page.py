"""The web form, drawn without a browser, against a real API."""

import csv
import io
import math
import re
import sys
import threading
import time
from pathlib import Path

import pytest
import uvicorn
from problems import DIABETES, GAINS, GRADES, LAPTOPS, LOANS, MADE, each, each_class
from pyarrow.ipc import open_stream
from streamlit.testing.v1 import AppTest

from laptop_pricing.kit.modeling.bundle import load_bundle
from laptop_pricing.kit.modeling.predict import predict_file
from laptop_pricing.kit.modeling.quote import quote_rows
from laptop_pricing.kit.modeling.task import task_of
from laptop_pricing.kit.serving import api, server
from laptop_pricing.kit.serving.served import Served

PAGE = Path(api.__file__).with_name("page.py")
KEY = "a key, with a ç"
VARIABLE = "SOME_API_KEY"
each_form = each(LAPTOPS, MADE)


@pytest.fixture(scope="module")
def address_of(trained):
    """``address_of(problem)``: of an API that asks for KEY."""
    running, addresses = [], {}

    def give(problem):
        if problem.name not in addresses:
            bundle = load_bundle(trained(problem).models, problem)
            app = api.create_app(problem, Served.of(problem, bundle, "m"), [KEY])
            listening = server.open_port("127.0.0.1", 0)
            one = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
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


@pytest.fixture
def open_page(address_of, monkeypatch):
    """``open_page(problem)``: what Streamlit draws of the form."""

    def give(problem=LAPTOPS, address="", key=KEY):
        monkeypatch.setenv(VARIABLE, key)
        address = address or address_of(problem)
        # AppTest leaves the page as the main module, which a new process would then run.
        monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
        monkeypatch.setattr(sys, "argv", [str(PAGE), problem.name, address, VARIABLE])
        page = AppTest.from_file(str(PAGE), default_timeout=60).run()
        assert not page.exception
        return page

    return give


def quote(trained, problem, cells, margin=0.2):
    bundle = load_bundle(trained(problem).models, problem)
    return quote_rows(problem, bundle, [problem.read_row(cells)[0]], margin)[0]


def fill_in(page, problem, cells):
    """Answer as a clerk does; what is not in `cells` stays as it is."""
    widgets = {widget.key: widget for widget in [*page.selectbox, *page.button_group]}
    for column in problem.features:
        if column.name in cells:
            key = f"field {column.name} {page.radio(key='language').value}"
            value = column.parse(cells[column.name])
            if column.numeric and value not in column.levels:
                value = str(value)
                widgets[key].options.append(value)  # as if it was typed
            widgets[key].set_value(value)
    page.button[0].click().run()
    assert not page.exception


def read(page):
    return " ".join(element.value for element in [*page.markdown, *page.error, *page.caption])


def plain(text):
    return text.replace("\\", "")


def written(amount, language):
    digits = f"{amount:,.0f}"
    return digits if language == "English" else digits.replace(",", ".")


@each_form
@pytest.mark.parametrize("language, word", [("Português", "Oferta"), ("English", "offer")])
def test_the_prediction_is_that_of_the_model(open_page, trained, problem, language, word):
    page = open_page(problem)
    page.radio(key="language").set_value(language).run()
    fill_in(page, problem, problem.example)
    found = quote(trained, problem, problem.example)
    shown = plain(read(page))
    assert written(found.prediction, language) in page.metric[0].value
    for offer in found.offers:
        assert word in shown and written(offer.offer, language) in shown
    assert f"{written(found.low, language)}" in shown
    assert f": {found.distance}." in shown and f"{found.typical_error:.0%}" in shown
    assert page.get("arrow_vega_lite_chart") or page.get("vega_lite_chart")


@each(DIABETES, GAINS)
def test_numbers_without_usual_sizes_can_be_typed_and_nothing_is_offered(
    open_page, trained, problem
):
    page = open_page(problem)
    fill_in(page, problem, problem.example)
    found = quote(trained, problem, problem.example)
    digits = re.sub(r"[^\d]", "", page.metric[0].value)
    assert digits in (f"{found.prediction:.0f}", f"{found.prediction:.2f}".replace(".", ""))
    assert page.metric[0].value.endswith(problem.target.unit)  # no currency stands behind it
    assert not page.slider and "ferta" not in read(page)


@each_class
def test_a_class_is_shown_with_the_chance_of_each_its_set_and_its_reasons(
    open_page, trained, problem
):
    page = open_page(problem)
    page.radio(key="language").set_value("English").run()
    fill_in(page, problem, problem.example)
    found, shown = quote(trained, problem, problem.example), plain(read(page))
    assert page.metric[0].value == found.prediction and not page.slider
    named = " or ".join(f"**{name}**" for name in found.set)
    only = f"Sure: only {named} fits" if found.set == [found.prediction] else f"Not sure: {named}"
    assert f"{only} (90 % set)." in shown
    assert f"{found.odds[0]} against {found.odds[1]} is {found.base:.3g} to 1." in shown
    assert f": {found.distance}." in shown and f"{found.typical_error:.2f}" in shown
    charts = page.get("arrow_vega_lite_chart") or page.get("vega_lite_chart")
    (reasons,) = (open_stream(chart.proto.data.data).read_pandas() for chart in charts)
    bars = [(bar.proto.text, bar.proto.value) for bar in page.get("progress")]
    chances = found.chances.items()
    assert bars == [(f"{n}: **{c:.1%}**", int(100 * c)) for n, c in chances]
    strongest = max(found.factors.values(), key=lambda factor: abs(math.log(factor)))
    assert reasons["text"][0] == f"× {strongest:.3g}"


def test_what_is_not_known_need_not_be_said(open_page, trained):
    page = open_page(GAINS)
    page.radio(key="language").set_value("English").run()
    told = {"staff": "4", "space": "50"}
    fill_in(page, GAINS, told)
    found = quote(trained, GAINS, told)
    assert f"{found.prediction:.2f}" in page.metric[0].value
    assert "I do not know" in page.selectbox(key="field balance English").options


def test_answers_outlive_a_change_of_language(open_page):
    page = open_page()
    fill_in(page, LAPTOPS, LAPTOPS.example)
    price = re.sub(r"[^\d]", "", page.metric[0].value)
    page.radio(key="language").set_value("English").run()
    page.button[0].click().run()
    assert re.sub(r"[^\d]", "", page.metric[0].value) == price


def test_a_size_between_the_levels_can_be_typed(open_page, trained):
    page, cells = open_page(), LAPTOPS.example | {"ram_gb": "24"}
    fill_in(page, LAPTOPS, cells)
    price = quote(trained, LAPTOPS, cells).prediction
    assert page.metric[0].value.endswith(written(price, "Português"))


def test_another_margin_gives_other_offers(open_page, trained):
    page = open_page()
    fill_in(page, LAPTOPS, LAPTOPS.example)
    page.slider(key="margin").set_value(40).run()
    for offer in quote(trained, LAPTOPS, LAPTOPS.example, margin=0.4).offers:
        assert written(offer.offer, "Português") in plain(read(page))


@each_form
def test_what_is_missing_is_named_in_the_forms_language(open_page, problem):
    page, name = open_page(problem), next(iter(problem.example))
    fill_in(page, problem, {n: cell for n, cell in problem.example.items() if n != name})
    assert "falta responder" in page.error[0].value and not page.metric
    assert problem.words[name] in page.error[0].value
    page.radio(key="language").set_value("English").run()
    description = next(c.description for c in problem.features if c.name == name)
    assert description in page.error[0].value and "no answer" in page.error[0].value


def test_a_broken_rule_is_told_in_the_forms_language(open_page):
    page = open_page(MADE)
    fill_in(page, MADE, MADE.example | {"floor": "-1", "balcony": "yes"})
    assert "um porão não tenha varanda" in page.error[0].value


def test_every_field_is_asked_for_once(open_page):
    page = open_page()
    keys = [widget.key for widget in [*page.selectbox, *page.button_group]]
    assert sorted(keys) == sorted(f"field {name} Português" for name in LAPTOPS.names)


@each(LAPTOPS, MADE, LOANS, GRADES)
def test_a_file_is_predicted_but_for_its_bad_rows(open_page, trained, problem, tmp_path):
    good, page = io.StringIO(), open_page(problem)
    lines = csv.DictWriter(good, problem.example, lineterminator="\n")
    lines.writeheader()
    lines.writerow(problem.example)
    bad = ",".join(["no such value", *list(problem.example.values())[1:]])
    (tmp_path / "good.csv").write_text(good.getvalue(), encoding="utf-8")
    expected, _ = predict_file(trained(problem), tmp_path / "good.csv", tmp_path / "done.csv")
    file = f"{good.getvalue()}{bad}\n".encode()
    page.file_uploader(key="file").upload("rows.csv", file, "text/csv")
    page.run()
    assert not page.exception
    table, (first, *_) = page.dataframe[0].value, problem.example
    for name, cells in expected.round(task_of(problem).decimals).items():
        assert table[name].dropna().tolist() == cells.tolist()
    assert "Linha 3" in page.error[0].value and "no such value" in page.error[0].value
    assert "no such value" in table["error"][1] and table[first][1] == "no such value"


@pytest.mark.parametrize(
    "content, told",
    [(b"a,a\n1,2\n", "rows.csv: column found twice"), (b"\xff", "rows.csv: not readable")],
)
def test_a_file_that_is_no_table_is_told_by_its_name(open_page, content, told):
    page = open_page()
    page.file_uploader(key="file").upload("rows.csv", content, "text/csv")
    page.run()
    assert not page.exception and told in plain(page.error[0].value)


@pytest.mark.parametrize(
    "given, told",
    [({"address": "http://127.0.0.1:9"}, " serve"), ({"key": "another"}, VARIABLE)],
    ids=["down", "key"],
)
def test_without_the_api_the_page_says_what_to_do(open_page, given, told):
    page = open_page(**given)
    assert told in page.error[0].value and KEY not in read(page)
