"""The notebooks: they import the package, hold no outputs, and run from top to bottom."""

import ast
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import ROOT
from projects import call, commit, make_project

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def cells(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in content["cells"] if cell["cell_type"] == "code"]


def code(cell):
    lines = "".join(cell["source"]).splitlines()
    return ast.parse("\n".join(line for line in lines if not line.startswith(("%", "!"))))


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_committed_without_outputs(path):
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells(path))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_defines_nothing(path):
    """A function or a class belongs into the package, where tests reach it."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    found = [
        node.name for cell in cells(path) for node in ast.walk(code(cell)) if type(node) in kinds
    ]
    assert found == []


@pytest.fixture(scope="module")
def executed(tmp_path_factory, sample_csv, trained):
    """The notebooks, run side by side in a project that has the sample alone; by name the ends."""
    project = make_project(tmp_path_factory.mktemp("notebooks") / "my project", sample_csv)
    shutil.copytree(trained.root, project / ".scratch" / "sample")  # as `run --sample` leaves it
    shutil.copytree(ROOT / "notebooks", project / "notebooks")
    commit(project, "notebooks")
    command = ["jupyter", "nbconvert", "--to", "notebook", "--execute", "--log-level=ERROR"]
    command += ["--output-dir", ".scratch/notebooks"]
    with ThreadPoolExecutor() as pool:
        running = {
            path.name: pool.submit(call, project, *command, f"notebooks/{path.name}")
            for path in NOTEBOOKS
        }
    return project, running


@pytest.mark.services
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_on_the_sample_and_changes_no_file(path, executed):
    project, running = executed
    running[path.name].result()
    made = cells(project / ".scratch" / "notebooks" / path.name)
    outputs = [output for cell in made for output in cell["outputs"]]
    printed = "".join("".join(output.get("text", [])) for output in outputs)
    assert "this is the built-in synthetic sample" in printed
    assert len([output for output in outputs if "image/png" in output.get("data", {})]) >= 2
    assert call(project, "git", "status", "--porcelain") == ""
