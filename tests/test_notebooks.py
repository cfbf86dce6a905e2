"""The notebooks: they import the package, hold no outputs, and run from top to bottom."""

import ast
import json

import pytest
from conftest import ROOT
from projects import call, make_project

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
def project(tmp_path_factory, sample_csv):
    """A project in which nothing has run, so that the notebooks show the sample."""
    return make_project(tmp_path_factory.mktemp("notebooks") / "my project", sample_csv)


@pytest.mark.services
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_on_the_sample(path, project):
    (project / "notebooks").mkdir(exist_ok=True)
    (project / "notebooks" / path.name).write_bytes(path.read_bytes())
    before = call(project, "git", "status", "--porcelain")
    command = ["jupyter", "nbconvert", "--to", "notebook", "--execute", "--log-level=ERROR"]
    call(project, *command, f"notebooks/{path.name}", "--output-dir", ".scratch/notebooks")
    made = project / ".scratch" / "notebooks" / path.name
    printed = "".join(
        "".join(output.get("text", [])) for cell in cells(made) for output in cell["outputs"]
    )
    assert "this is the built-in synthetic sample" in printed
    pictures = [
        o for cell in cells(made) for o in cell["outputs"] if "image/png" in o.get("data", {})
    ]
    assert len(pictures) >= 2
    assert call(project, "git", "status", "--porcelain") == before
