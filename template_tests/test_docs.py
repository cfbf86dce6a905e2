"""The site, built once: its reference is whole, and notebooks are pages."""

import ast
import importlib
import json
import re
import runpy
import shutil
import sys

import nbformat
import pytest
from baking import bake, check, ready
from environments import ROOT
from screens import LARGEST, PARTS
from servers import free_port, running

from laptop_pricing.kit.params import Params
from laptop_pricing.problem import PROBLEM

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("own_home")]

NAMES = ("1.0-shown", "2.0-changed", "3.0-never-run")


def notebook(*sources, outputs=()):
    said = "# Looking\n\nSee [the data](../docs/data.md#the-columns), [more](2.0-changed.ipynb)."
    cells = [nbformat.v4.new_markdown_cell(said)]
    cells += [nbformat.v4.new_code_cell(source, outputs=list(outputs)) for source in sources]
    return nbformat.v4.new_notebook(cells=cells)


@pytest.fixture(scope="module")
def site(snapshot, tmp_path_factory):
    """The site of this repository with three notebooks, one of them executed as it is."""
    folder = tmp_path_factory.mktemp("docs")
    tree = folder / "tree"
    shutil.copytree(snapshot, tree)
    executed = tree / ".scratch" / "notebooks"
    executed.mkdir(parents=True)
    for path in (tree / "notebooks").glob("*.ipynb"):
        path.unlink()
    printed = nbformat.v4.new_output("stream", text="a printed line")
    for name in NAMES:
        nbformat.write(notebook("print(1)"), tree / "notebooks" / f"{name}.ipynb")
    nbformat.write(notebook("print(1)", outputs=[printed]), executed / f"{NAMES[0]}.ipynb")
    nbformat.write(notebook("print(2)", outputs=[printed]), executed / f"{NAMES[1]}.ipynb")
    build(tree, folder / "site")
    return folder / "site"


def build(tree, site):
    check(tree, sys.executable, "-m", "mkdocs", "build", "--strict", "-d", site)


def text(site, page):
    return (site / page / "index.html").read_text("utf-8")


def test_every_command_has_its_help_and_its_example(site):
    opening, _, listed = check(ROOT, "laptop-pricing", "--help").partition("Commands:")
    assert "Predict price of laptops: from a raw table to a served model." in opening
    names = set(re.findall(r"^  ([a-z]+) ", listed, re.MULTILINE)) - {"connect"}
    assert "quote" in names and "..." not in listed  # no line is cut at 80 columns
    page = text(site, "reference/cli")
    for name in (*names, "connect s3", "connect dagshub"):
        section = page.split(f'<h2 id="{name.replace(" ", "-")}"')[1].split("<h2")[0]
        assert "Usage: " in section and f"laptop-pricing {name}" in section, name
    for column in PROBLEM.features:
        assert f"{column.name}: " in page


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_site_can_be_used_by_all_and_without_a_network(site, page, axe, scheme, tmp_path):
    page.emulate_media(color_scheme=scheme)
    port = str(free_port())
    command = [sys.executable, "-m", "http.server", port, "--bind", "127.0.0.1", "-d", site]
    address = f"http://127.0.0.1:{port}"
    with running(command, address, tmp_path / "log"):
        for name in ("", "tutorial/", "glossary/", "troubleshooting/", "reference/cli/"):
            page.goto(f"{address}/{name}")
            page.evaluate(axe)
            faults = page.evaluate("axe.run()")["violations"]
            serious = [fault for fault in faults if fault["impact"] in ("serious", "critical")]
            assert serious == [], f"{name}: {json.dumps(serious, indent=1)}"
    assert page.elsewhere == []


def test_every_task_of_the_editor_is_a_command():
    listed = check(ROOT, "laptop-pricing", "--help").split("Commands:")[1]
    tasks = json.loads((ROOT / ".vscode" / "tasks.json").read_text("utf-8"))["tasks"]
    ours = [words for task in tasks if (words := task["command"].split())[0] == "laptop-pricing"]
    assert {"run", "serve", "form"} <= {words[1] for words in ours}
    assert all(f"\n  {words[1]} " in listed for words in ours)


def test_every_picture_is_shown_small_and_taken_by_a_command():
    pages = [*ROOT.glob("README*.md"), *(ROOT / "docs").rglob("*.md")]
    text = "".join(page.read_text("utf-8") for page in pages)
    taken = {"cycle.svg", "scale.png"}.union(*PARTS.values())  # drawn by hand; benchmarks/scale.py
    pictures = {path.name: path for path in (ROOT / "docs" / "images").iterdir()}
    assert pictures.keys() == taken
    for name, path in pictures.items():
        assert f"images/{name})" in text and path.stat().st_size < LARGEST, name


def test_the_headline_is_that_of_the_metrics():
    mape = json.loads((ROOT / "metrics.json").read_text("utf-8"))["cv"]["MAPE"]["mean"]
    for name in ("README.md", "README.pt-BR.md", "docs/index.md"):
        assert f" {mape:.0%}" in (ROOT / name).read_text("utf-8"), name


def test_every_parameter_has_its_row(site):
    page = text(site, "reference/params")
    for section, field in Params.model_fields.items():
        rows = page.split(f'<h2 id="{section}"')[1].split("<h2")[0]
        for key in getattr(field.annotation, "model_fields", ()):
            row = rows.split(f"<code>{key}</code>")[1].split("</tr>")[0]
            assert re.search(r"text|number", row.split("<td>")[2]), (key, row)


def test_every_column_and_every_rule_is_in_the_dictionary(site):
    page = text(site, "reference/data-dictionary")
    for column in PROBLEM.columns:
        row = page.split(f"<tr>\n<td><code>{column.name}</code></td>")[1].split("</tr>")[0]
        assert column.description in row and column.rule in row
    for rule in (*PROBLEM.rules, *PROBLEM.warnings):
        assert f"<li>{rule.text}</li>" in page


def test_every_public_function_has_its_entry(site):
    pages = "".join(page.read_text("utf-8") for page in site.glob("reference/api-*/index.html"))
    missing, count = [], 0
    for path in (ROOT / "src" / "laptop_pricing" / "kit").rglob("*.py"):
        module = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                count += 1
                if f'id="{module}.{node.name}"' not in pages:
                    missing.append(f"{module}.{node.name}")
    assert missing == [] and count > 100


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_what_a_page_imports_of_ours_is_there(page):
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.M | re.S):
        for module, names in re.findall(
            r"^from (laptop_pricing[\w.]*) import ([\w, ]+)$", block, re.M
        ):
            missing = set(names.split(", ")) - set(dir(importlib.import_module(module)))
            assert missing == set(), module


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda p: p.stem)
def test_a_benchmark_finds_what_it_imports(path, monkeypatch):
    monkeypatch.syspath_prepend(path.parent)
    assert runpy.run_path(str(path))["main"]


def test_a_notebook_shows_the_outputs_of_this_very_notebook_alone(site):
    pages = [text(site, f"notebooks/{name}") for name in NAMES]
    assert "a printed line" in pages[0] and "with the outputs of its last run" in pages[0]
    for page in pages[1:]:
        assert "a printed line" not in page and "without outputs" in page
    assert '<a href="../../data/#the-columns">' in pages[0]
    assert '<a href="../2.0-changed/">' in pages[0]
    assert all(f"notebooks/{name}/" in text(site, ".") for name in NAMES)


def test_another_project_builds_its_own_site(snapshot, tmp_path):
    project, variables = ready(bake(snapshot, tmp_path, module_name="z" * 24))
    for path in (project / "notebooks").glob("*.ipynb"):
        path.unlink()
    problem = project / "src" / ("z" * 24) / "problem.py"
    code = problem.read_text("utf-8")
    code += "\nimport dataclasses\n\nnone = {'rules': (), 'warnings': (), 'late_warnings': ()}\n"
    code += "PROBLEM = dataclasses.replace(PROBLEM, **none)\n"
    problem.write_text(code, encoding="utf-8")
    check(project, "mkdocs", "build", "--strict", "-d", tmp_path / "site", **variables)
    pages = "".join(path.read_text("utf-8") for path in (tmp_path / "site").rglob("*.html"))
    assert "z" * 24 in pages and not re.search("laptop.pricing", pages.replace("set-laptop", ""))
    assert "(no rule)" in pages and "notebooks/" not in text(tmp_path / "site", ".")
