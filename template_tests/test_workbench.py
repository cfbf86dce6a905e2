"""The notebooks on the real data, and what a data scientist sees: the site, its notebook pages,
MLflow's pages. Looked at in Chromium, whose pictures go to .scratch/screenshots.
"""

import json
import os
import sys
from pathlib import Path

import pytest
from baking import check
from browsing import keep
from environments import ROOT
from servers import free_port, running
from solo import change_params

pytestmark = [pytest.mark.services, pytest.mark.slow]

NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
EXECUTE = ["jupyter", "nbconvert", "--to", "notebook", "--execute", "notebooks/*.ipynb"]
EXECUTE += ["--output-dir", ".scratch/notebooks", "--log-level=ERROR"]


@pytest.fixture(scope="module")
def project(snapshot, tmp_path_factory, laptop_csv):
    """A clone on the real data whose result is a registered version. Read only."""
    clone = tmp_path_factory.mktemp("workbench") / "laptops"
    check(snapshot, "git", "clone", "-q", snapshot, clone)
    change_params(clone, train__seeds=[0])  # seconds, where all seeds are minutes
    check(clone, "laptop-pricing", "ingest", laptop_csv)
    check(clone, "laptop-pricing", "run")
    author = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    check(clone, "git", *author, "commit", "-qam", "one seed")
    check(clone, "laptop-pricing", "dataset")
    check(clone, "laptop-pricing", "register")
    return clone


@pytest.fixture(scope="module")
def executed(project):
    """Its notebooks, run from top to bottom: the documents, by name."""
    check(project, *EXECUTE, timeout=600)
    folder = project / ".scratch" / "notebooks"
    return {name: json.loads((folder / f"{name}.ipynb").read_text("utf-8")) for name in NOTEBOOKS}


def outputs(notebook):
    return [o for cell in notebook["cells"] for o in cell.get("outputs", [])]


def printed(notebook):
    return "".join("".join(o.get("text", [])) for o in outputs(notebook))


def test_the_notebooks_run_on_the_real_data(executed):
    for name, notebook in executed.items():
        assert "The project's own data and model" in printed(notebook), name
        assert "synthetic" not in printed(notebook), name
        assert sum("image/png" in o.get("data", {}) for o in outputs(notebook)) >= 3, name
    assert "823 rows, 0 of them break a rule" in printed(executed["1.0-data-processing"])
    registered = printed(executed["3.0-registered-model"])
    assert "registered for this branch: 823 rows" in registered
    assert "version 1\n" in registered and "never lower along a step: True" in registered


@pytest.fixture(scope="module")
def site(project, executed):
    """The address of the built site, with the notebooks' outputs."""
    check(project, "mkdocs", "build", "--strict", "-d", project / "site")
    port = free_port()
    command = [sys.executable, "-m", "http.server", port, "--bind", "127.0.0.1", "-d", "site"]
    with running(command, f"http://127.0.0.1:{port}", project / "site.log"):
        yield f"http://127.0.0.1:{port}"


def test_home_says_what_it_is_and_where_to_go(site, page):
    page.goto(site, wait_until="networkidle")
    keep(page, "home")
    text = page.inner_text("body")
    assert page.title().startswith("Laptop pricing")
    for word in ("Quick start", "Tutorial", "Reference", "Troubleshooting", "Notebooks"):
        assert word in text, word
    assert page.elsewhere == []


def test_a_notebook_page_shows_code_and_pictures(site, page):
    page.goto(f"{site}/notebooks/1.0-data-processing/", wait_until="networkidle")
    keep(page, "notebook")
    text = page.inner_text("article")
    assert "Duplicates, and why they leak" in text and "The project's own data and model" in text
    sizes = page.eval_on_selector_all("article img", "all => all.map(i => i.naturalWidth)")
    assert len(sizes) >= 5 and min(sizes) > 200, sizes
    assert page.elsewhere == []


def test_the_search_finds_a_page(site, page):
    page.goto(site, wait_until="networkidle")
    page.keyboard.press("/")
    page.keyboard.type("hold-out")
    page.wait_for_selector("text=Evidence")
    keep(page, "search")


def test_mlflow_shows_the_projects_runs(project, executed, page):
    broken = []
    page.on("response", lambda answer: answer.status >= 500 and broken.append(answer.url))
    port = free_port()
    program = Path(sys.executable).parent / "mlflow"
    command = [program, "ui", "--backend-store-uri", "sqlite:///mlflow.db", "--port", port]
    quiet = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    with running(command, f"http://127.0.0.1:{port}/health", project / "ui.log", quiet):
        page.goto(f"http://127.0.0.1:{port}/#/experiments")
        page.get_by_text("Model training").click()
        for name in ("laptop-pricing", "laptop-pricing-datasets", "laptop-pricing-notebooks"):
            page.get_by_role("link", name=name, exact=True).wait_for()
        page.get_by_role("link", name="laptop-pricing-notebooks").click()
        page.get_by_text("Median").first.wait_for()
        page.get_by_role("button", name="Close", exact=True).click()  # the assistant
        keep(page, "mlflow-runs")
        text = page.inner_text("body")
        for name in ("This project's model", "Plain Ridge", "5 matching runs"):
            assert name in text, name
        page.goto(page.url.split("?")[0] + "?compareRunsMode=CHART")
        page.get_by_text("MAPE", exact=True).first.wait_for()
        page.locator(".barlayer path").nth(10).wait_for()
        page.wait_for_timeout(2000)  # the charts grow
        keep(page, "mlflow-charts")
        page.goto(f"http://127.0.0.1:{port}/#/models")
        page.get_by_role("link", name="laptop-pricing", exact=True).wait_for()
        page.get_by_text("@ devl").wait_for()
        keep(page, "mlflow-models")
    assert broken == []
