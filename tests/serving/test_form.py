"""The web form, drawn without a browser, against a real API."""

import csv
import io
import threading
import time
from pathlib import Path

import pytest
import uvicorn
from streamlit.testing.v1 import AppTest

from laptop_pricing.data.schema import EXAMPLE, FEATURES, SPECIFICATION
from laptop_pricing.modeling.bundle import load_compiled
from laptop_pricing.modeling.predict import PREDICTION, predict_file
from laptop_pricing.modeling.quote import quote
from laptop_pricing.serving import api, server

PAGE = Path(api.__file__).with_name("form.py")
KEY = "a key, with a ç"
DEMANDED = next(column for column in SPECIFICATION if column.default is None)


@pytest.fixture(scope="module")
def address(trained):
    """Of an API that asks for KEY."""
    app = api.create_app(load_compiled(trained.models), "models", key=KEY)
    listening = server.open_port("127.0.0.1", 0)
    running = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
    thread.start()
    while not running.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    running.should_exit = True
    thread.join()


@pytest.fixture
def page(address, monkeypatch):
    monkeypatch.setenv(api.ADDRESS_VARIABLE, address)
    monkeypatch.setenv(api.KEY_VARIABLE, KEY)
    page = AppTest.from_file(str(PAGE), default_timeout=60).run()
    assert not page.exception
    return page


def fill_in(page, cells):
    """Answer as a clerk does; what is not in `cells` stays as it is."""
    widgets = {widget.key: widget for widget in [*page.selectbox, *page.button_group]}
    for column in SPECIFICATION:
        if column.name in cells:
            key = f"field {column.name} {page.radio(key='language').value}"
            value = column.parse(cells[column.name])
            free = column.kind in ("integer", "number") and value not in column.levels
            if free:
                value = str(value)
                widgets[key].options.append(value)  # as if it was typed
            widgets[key].set_value(value)
    page.button[0].click().run()
    assert not page.exception


def read(page):
    return " ".join(element.value for element in [*page.markdown, *page.error, *page.caption])


@pytest.mark.parametrize(
    "language, separator, word", [("Português", ".", "Oferta"), ("English", ",", "offer")]
)
def test_the_price_is_that_of_the_command(page, trained, language, separator, word):
    page.radio(key="language").set_value(language).run()
    fill_in(page, EXAMPLE)
    found = quote(trained.models, EXAMPLE, margin=0.2)
    shown = f"\N{NO-BREAK SPACE}{found.price:,.0f}".replace(",", separator)
    assert page.metric[0].value.endswith(shown)
    offers = [f"{offer.offer:,.0f}".replace(",", separator) for offer in found.offers]
    assert word in read(page) and all(offer in read(page) for offer in offers)


def test_answers_outlive_a_change_of_language(page):
    fill_in(page, EXAMPLE)
    price = page.metric[0].value
    page.radio(key="language").set_value("English").run()
    page.button[0].click().run()
    assert page.metric[0].value == price.replace(".", ",")


def test_a_size_between_the_levels_can_be_typed(page, trained):
    sized = next(column for column in SPECIFICATION if column.kind in ("integer", "number"))
    cells = EXAMPLE | {sized.name: str(int(sized.levels[0]) + 1)}
    fill_in(page, cells)
    price = f"{quote(trained.models, cells).price:,.0f}".replace(",", ".")
    assert page.metric[0].value.endswith(price)


def test_another_margin_gives_other_offers(page, trained):
    fill_in(page, EXAMPLE)
    page.slider(key="margin").set_value(40).run()
    offers = quote(trained.models, EXAMPLE, margin=0.4).offers
    assert all(f"{offer.offer:,.0f}".replace(",", ".") in read(page) for offer in offers)


def test_what_is_missing_is_named_in_the_forms_language(page):
    fill_in(page, {name: cell for name, cell in EXAMPLE.items() if name != DEMANDED.name})
    assert "falta responder" in page.error[0].value and not page.metric
    page.radio(key="language").set_value("English").run()
    assert DEMANDED.description in page.error[0].value and "no answer" in page.error[0].value


def test_every_field_is_asked_for_once(page):
    keys = [widget.key for widget in [*page.selectbox, *page.button_group]]
    assert sorted(keys) == sorted(f"field {name} Português" for name in FEATURES)


def test_a_file_is_priced_but_for_its_bad_rows(page, trained, tmp_path):
    good = io.StringIO()
    lines = csv.DictWriter(good, EXAMPLE, lineterminator="\n")
    lines.writeheader()
    lines.writerow(EXAMPLE)
    bad = ",".join(["no such value", *list(EXAMPLE.values())[1:]])
    (tmp_path / "good.csv").write_text(good.getvalue(), encoding="utf-8")
    prices, _ = predict_file(trained.models, tmp_path / "good.csv", tmp_path / "priced.csv")
    page.file_uploader(key="file").upload(
        "rows.csv", f"{good.getvalue()}{bad}\n".encode(), "text/csv"
    )
    page.run()
    table = page.dataframe[0].value
    assert table[PREDICTION].dropna().tolist() == prices[PREDICTION].round(2).tolist()
    first = next(iter(EXAMPLE))
    assert "Linha 3" in page.error[0].value and "no such value" in page.error[0].value
    assert "no such value" in table["error"][1] and table[first][1] == "no such value"


@pytest.mark.parametrize(
    "variable, value, told",
    [
        (api.ADDRESS_VARIABLE, "http://127.0.0.1:9", " serve"),
        (api.KEY_VARIABLE, "another", api.KEY_VARIABLE),
    ],
    ids=["down", "key"],
)
def test_without_the_api_the_page_says_what_to_do(page, monkeypatch, variable, value, told):
    monkeypatch.setenv(variable, value)
    page.run()
    assert not page.exception and told in page.error[0].value and KEY not in read(page)
