"""The web form in Chromium, as a clerk uses it, against real `serve` and `form` processes.

Its pictures go to .scratch/screenshots.
"""

import os
import re
import sys

import pandas as pd
import pytest
from browsing import keep
from problems import LAPTOPS
from servers import free_port, running

from laptop_pricing.kit.modeling.bundle import load_bundle
from laptop_pricing.kit.modeling.predict import predict_file
from laptop_pricing.kit.modeling.task import task_of

pytestmark = pytest.mark.services

KEY = "form-test"
BIG = "[data-testid=stMetricValue]"
EXAMPLE = dict(LAPTOPS.example)
PREDICTION = task_of(LAPTOPS).cell_names[0]


@pytest.fixture(scope="module")
def project(trained):
    return trained(LAPTOPS)


@pytest.fixture(scope="module")
def addresses(project):
    """Those of an API on the sample's model, and of the form before it."""
    api, port = free_port(), free_port()
    environment = os.environ | {LAPTOPS.key_variable: KEY}
    ours = [sys.executable, "-m", "laptop_pricing"]
    serve = [*ours, "serve", "--model", project.models, "--port", api]
    form = [*ours, "form", "--api", f"http://127.0.0.1:{api}", "--port", port]
    with running(serve, f"http://127.0.0.1:{api}/healthz", project.root / "api.log", environment):
        address = f"http://127.0.0.1:{port}"
        with running(form, f"{address}/_stcore/health", project.root / "form.log", environment):
            yield f"http://127.0.0.1:{api}", address
    assert KEY not in (project.root / "api.log").read_text("utf-8")
    assert KEY not in (project.root / "form.log").read_text("utf-8")


@pytest.fixture(scope="module")
def form(addresses):
    return addresses[1]


def test_the_documentation_of_the_api_comes_from_the_server_alone(page, addresses):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(addresses[0])  # leads to it
    page.locator("#operations-default-quote_v1_quote_post").wait_for()
    keep(page, "api")
    assert page.url == f"{addresses[0]}/docs"
    assert len(asked) > 3 and all(url.startswith((addresses[0], "data:")) for url in asked)


def start(page, form, language):
    page.goto(form)
    page.get_by_text(language, exact=True).click()
    page.locator(f"[class*=st-key-field-brand-{language[:7]}] input").wait_for()  # no ê in a class


def choose(page, column, value):
    """Pick a value as the form spells it, by tap or by typing."""
    field = page.locator(f"[class*=st-key-field-{column.name}-]")
    pills = field.get_by_role("radio")
    if pills.count():
        values = [True, False] if column.kind == "flag" else list(column.allowed)
        pills.nth(values.index(value) + (column.default is not None)).click()
    else:
        typed = field.get_by_role("combobox")
        typed.click()
        typed.fill(str(value))
        page.get_by_role("option", name=re.compile(rf"^(Add: )?{value}$")).wait_for()
        typed.press("Enter")
        page.get_by_role("option").first.wait_for(state="hidden")


def fill_in(page, cells):
    for column in LAPTOPS.features:
        if column.name in cells:
            choose(page, column, column.parse(cells[column.name]))
    page.get_by_test_id("stFormSubmitButton").get_by_role("button").click()


def price_of(project, cells):
    table = pd.DataFrame([LAPTOPS.read_row(cells)[0]])
    return load_bundle(project.models, LAPTOPS).predict(table).item()


def test_the_price_is_that_of_the_model(form, page, project):
    start(page, form, "Português")
    fill_in(page, EXAMPLE)
    page.locator(
        "[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg"
    ).wait_for()
    digits = f"{price_of(project, EXAMPLE):,.0f}".replace(",", ".")
    assert page.inner_text(BIG) == f"R$\N{NO-BREAK SPACE}{digits}"
    page.set_viewport_size({"width": 1280, "height": 1230})
    page.get_by_test_id("stMain").evaluate("main => main.scrollTo(0, 0)")
    page.wait_for_timeout(500)
    keep(page, "form")
    assert page.elsewhere == []


def test_defect_7_a_chosen_processor_never_overwrites_the_brand(form, page, project):
    start(page, form, "English")
    sizes = {"ram_gb": "24"}  # no level: a free number
    fill_in(page, EXAMPLE | sizes)
    shown = page.locator("[class*=st-key-field-brand-]").get_by_role("combobox")
    price = page.locator(BIG)
    price.wait_for()
    assert price.inner_text()[4:] == f"{price_of(project, EXAMPLE | sizes):,.0f}"
    other = {"processor_brand": "AMD", "processor_name": "Ryzen 9"}
    fill_in(page, other)
    dear = f"{price_of(project, EXAMPLE | sizes | other):,.0f}"
    page.get_by_text(dear).wait_for()
    assert shown.input_value() == "DELL"


def test_an_impossible_laptop_is_explained_on_a_phone(form, page):
    page.set_viewport_size({"width": 390, "height": 844})
    start(page, form, "Português")
    fill_in(page, EXAMPLE | {"ssd": "0", "hdd": "0"})
    page.get_by_text("Espera-se que o laptop tenha SSD ou HD").wait_for()

    scrolled = page.get_by_test_id("stMain").evaluate("e => e.scrollWidth - e.clientWidth")
    assert scrolled == 0
    keep(page, "form-phone")


def test_a_file_is_priced_and_its_bad_rows_are_told(form, page, project, tmp_path):
    good = pd.read_csv(project.raw, dtype=str, keep_default_na=False).head(30)
    good.to_csv(tmp_path / "good.csv", index=False)
    predict_file(project, tmp_path / "good.csv", tmp_path / "expected.csv")
    bad = good.copy()
    bad.loc[[3, 7], "brand"] = "Tijolo"
    bad.loc[7, "ram_gb"] = ""
    bad.to_csv(tmp_path / "bad.csv", index=False)
    start(page, form, "Português")
    page.get_by_role("tab", name="Lista em CSV").click()
    page.locator("input[type=file]").set_input_files(tmp_path / "bad.csv")
    page.get_by_text("28 de 30 linhas calculadas").wait_for()
    said = page.get_by_test_id("stAlert").last.inner_text()
    for words in ("Linha 5. Marca: encontrado 'Tijolo'", "Linha 9.", "Memória RAM (GB): "):
        assert words in said
    with page.expect_download() as download:
        page.get_by_text("Baixar o CSV calculado").click()
    download.value.save_as(tmp_path / "priced.csv")
    priced = pd.read_csv(tmp_path / "priced.csv")
    expected = pd.read_csv(tmp_path / "expected.csv").drop(index=[3, 7])
    pd.testing.assert_frame_equal(priced.drop(index=[3, 7])[[*expected]], expected)
    assert priced["error"].notna().sum() == 2 and priced.loc[[3, 7], PREDICTION].isna().all()
    page.wait_for_timeout(500)
    keep(page, "form-file")
