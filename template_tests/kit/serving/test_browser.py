"""The web form in Chromium, as a clerk uses it, against real `serve` and `form` processes.

Its pictures go to .scratch/screenshots.
"""

import json
import os
import re
import sys

import pandas as pd
import pytest
from browsing import answer, keep
from problems import LAPTOPS
from servers import free_port, running

from laptop_pricing.kit.modeling.bundle import load_bundle
from laptop_pricing.kit.modeling.predict import predict_file
from laptop_pricing.kit.modeling.task import task_of

pytestmark = pytest.mark.services

KEY = "form-test"
EXAMPLE = {
    column.name: column.spell(column.read(LAPTOPS.example[column.name])).split(" GB")[0]
    for column in LAPTOPS.features
    if column.name in LAPTOPS.example
} | {"warranty": "1"}
PREDICTION = task_of(LAPTOPS).cell_names[0]
PHONE = {"width": 390, "height": 844}
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


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
        with running(form, address, project.root / "form.log", environment):
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
    page.get_by_role("button", name=language).click()
    page.locator(f"button[aria-current]:has-text('{language}')").wait_for()


def ask(page, cells=EXAMPLE):
    for name, value in cells.items():
        answer(page, name, value)
    page.locator("button.main").click()
    page.wait_for_function("document.activeElement.id == 'result'")


def price_of(project, cells):
    table = pd.DataFrame([LAPTOPS.read_row(cells)[0]])
    return load_bundle(project.models, LAPTOPS).predict(table).item()


def figure(page):
    return page.locator("#result strong").inner_text()


def in_view(page, selector="#result"):
    box = page.locator(selector).bounding_box()
    return 0 <= box["y"] < page.viewport_size["height"] / 2


def test_the_price_is_that_of_the_model(form, page, project):
    start(page, form, "Português")
    ask(page)
    digits = f"{price_of(project, EXAMPLE):,.0f}".replace(",", ".")
    assert figure(page) == f"R$\N{NO-BREAK SPACE}{digits}"
    assert page.title().startswith(figure(page)) and in_view(page)
    keep(page, "form", full_page=True)
    assert page.elsewhere == []


def test_it_is_filled_in_with_the_keyboard_alone(form, page, project):
    start(page, form, "English")
    page.keyboard.press("Tab")  # from the language to the first field
    while page.evaluate("document.activeElement.id") != "field.brand":
        page.keyboard.press("Tab")
    for column in LAPTOPS.features:
        assert page.evaluate("document.activeElement.name") == f"field.{column.name}"
        value = EXAMPLE.get(column.name, "")
        radios = page.locator(f'input[type=radio][name="field.{column.name}"]')
        if radios.count():
            choices = [radio.get_attribute("value") for radio in radios.all()]
            page.keyboard.press("Space")
            for _ in range(choices.index(value)):
                page.keyboard.press("ArrowRight")
        elif value:
            page.keyboard.type(value)
        page.keyboard.press("Tab")
        kept = radios.and_(page.locator(":checked")) if radios.count() else None
        kept = kept or page.locator(f'[id="field.{column.name}"]')
        assert kept.input_value() == value
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.id == 'result'")
    assert figure(page)[4:] == f"{price_of(project, EXAMPLE):,.0f}"


def test_enter_in_a_field_asks_for_the_price(form, page):
    start(page, form, "English")
    for name, value in EXAMPLE.items():
        answer(page, name, value)
    page.locator('[id="field.ram_gb"]').press("Enter")
    assert figure(page).startswith("BRL")


def test_a_change_of_language_keeps_all_answers(form, page, project):
    start(page, form, "English")
    cells = EXAMPLE | {"ram_gb": "24", "brand": "HP", "msoffice": "Yes"}
    for name, value in cells.items():
        answer(page, name, value)
    page.get_by_role("button", name="Português").click()  # before they were sent
    assert page.locator("html").get_attribute("lang") == "pt-BR"
    assert page.get_by_label("Marca").input_value() == "HP"
    ask(page, {})
    digits = f"{price_of(project, cells):,.0f}"
    assert re.sub(r"\D", "", figure(page)) == digits.replace(",", "")
    page.get_by_role("button", name="English").click()
    assert figure(page) == f"BRL\N{NO-BREAK SPACE}{digits}"
    assert page.get_by_label("Brand").input_value() == "HP"


def test_defect_7_a_chosen_processor_never_overwrites_the_brand(form, page, project):
    start(page, form, "English")
    ask(page)
    other = {"processor_brand": "AMD", "processor_name": "Ryzen 9"}
    ask(page, other)
    assert figure(page)[4:] == f"{price_of(project, EXAMPLE | other):,.0f}"
    assert page.get_by_label("Brand").input_value() == "DELL"


def test_an_impossible_laptop_is_explained_on_a_phone(form, page):
    page.set_viewport_size(PHONE)
    start(page, form, "Português")
    ask(page, EXAMPLE | {"ssd": "0", "hdd": "0"})
    assert page.locator("#result h3").inner_text() == "Corrija e calcule de novo"
    assert "Espera-se que o laptop tenha SSD ou HD" in page.inner_text("#result")
    assert in_view(page) and page.evaluate(SIDEWAYS) == 0
    keep(page, "form-phone")


def test_an_error_leads_to_its_field(form, page):
    page.set_viewport_size(PHONE)
    start(page, form, "English")
    ask(page, EXAMPLE | {"ram_gb": "many"})
    page.get_by_role("link", name="Memory (RAM): found 'many'; expected a number").click()
    field = page.get_by_label("Memory (RAM)")
    assert page.evaluate("document.activeElement.id") == "field.ram_gb"
    assert field.get_attribute("aria-invalid") == "true" and in_view(page, '[id="field.ram_gb"]')
    ask(page, {"ram_gb": "8", "touchscreen": "Yes"})
    assert in_view(page) and page.evaluate(SIDEWAYS) == 0
    keep(page, "form-phone-answer")


def test_a_file_is_priced_and_its_bad_rows_are_told(form, page, project, tmp_path):
    good = pd.read_csv(project.raw, dtype=str, keep_default_na=False).head(30)
    good.to_csv(tmp_path / "good.csv", index=False)
    predict_file(project, tmp_path / "good.csv", tmp_path / "expected.csv")
    bad = good.copy()
    bad.loc[[3, 7], "brand"] = "Tijolo"
    bad.loc[7, "ram_gb"] = ""
    bad.to_csv(tmp_path / "bad.csv", index=False)
    start(page, form, "Português")
    page.get_by_label("Arquivo CSV").set_input_files(tmp_path / "bad.csv")
    page.get_by_role("button", name="Calcular o arquivo").click()
    said = page.locator("#result .errors").inner_text()
    assert "28 de 30 linhas calculadas" in page.inner_text("#result")
    for words in ("Linha 4. Marca: encontrado 'Tijolo'", "Linha 8.", "Memória RAM: falta"):
        assert words in said
    with page.expect_download() as download:
        page.get_by_text("Baixar o CSV calculado").click()
    download.value.save_as(tmp_path / "priced.csv")
    priced = pd.read_csv(tmp_path / "priced.csv")
    expected = pd.read_csv(tmp_path / "expected.csv").drop(index=[3, 7])
    pd.testing.assert_frame_equal(priced.drop(index=[3, 7])[[*expected]], expected)
    assert priced["error"].notna().sum() == 2 and priced.loc[[3, 7], PREDICTION].isna().all()
    keep(page, "form-file", full_page=True)


def test_the_template_is_downloaded_and_can_be_priced(form, page, tmp_path):
    start(page, form, "English")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download a template").click()
    download.value.save_as(tmp_path / "template.csv")
    page.get_by_label("CSV file").set_input_files(tmp_path / "template.csv")
    page.get_by_role("button", name="Predict the file").click()
    assert "1 of 1 rows predicted" in page.inner_text("#result")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["Português", "English"])
@pytest.mark.parametrize("size", [{"width": 1280, "height": 900}, PHONE], ids=["wide", "phone"])
def test_it_can_be_used_by_all(form, page, axe, size, language, scheme, tmp_path):
    def check(state):
        page.evaluate(axe)
        faults = page.evaluate("axe.run()")["violations"]
        assert faults == [], f"{state}: {json.dumps(faults, indent=1)}"
        assert page.evaluate(SIDEWAYS) == 0, state

    page.set_viewport_size(size)
    page.emulate_media(color_scheme=scheme)
    start(page, form, language)
    check("empty")
    ask(page, {})
    check("errors")
    ask(page, EXAMPLE | {"weight": "Gaming", "processor_name": "Ryzen 9"})
    assert page.locator(".warning").count()
    check("answer")
    row, names = ",".join(EXAMPLE.values()), ",".join(EXAMPLE)
    (tmp_path / "rows.csv").write_text(f"{names}\n{row}\nx{row}\n", encoding="utf-8")
    page.locator("#upload").set_input_files(tmp_path / "rows.csv")
    page.locator("button[value=many]").click()
    page.locator(".scrolled").wait_for()
    check("file")


@pytest.mark.slow
def test_the_page_of_the_api_can_be_used_by_all(addresses, page, axe):
    page.goto(f"{addresses[0]}/docs")
    page.locator(".opblock").first.wait_for()
    page.evaluate(axe)
    faults = page.evaluate("axe.run()")["violations"]
    assert [fault["id"] for fault in faults] == ["heading-order"], json.dumps(faults, indent=1)
