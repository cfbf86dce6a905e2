"""Who may import whom, and what an import may cost: the rules of the package's layout."""

import ast
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import laptop_pricing

PACKAGE = laptop_pricing.__name__
FOLDER = Path(laptop_pricing.__file__).parent

# A module imports its own level and the levels before it. A name stands for what lies below it.
LEVELS = (
    ("", "errors", "files", "programs", "settings", "storage", "data.columns", "data.schema"),
    ("data",),
    ("modeling",),
    ("tracking",),
    ("workflow", "reproduce", "report", "connect", "doctor", "serving"),
    ("summary",),
    ("cli",),
    ("__main__",),
)
TRACKERS = {"mlflow", "dagshub"}
NOT_FOR_SERVING = {"modeling.train", "modeling.predict", "data.preprocess", "data.ingest"}
HEAVY = {"pandas", "sklearn", "mlflow", "matplotlib", "pydantic", "dvc", "dagshub", "boto3"}


def _sources():
    """Source by module name, the package's own name left out: ``modeling.train``."""
    sources = {}
    for path in sorted(FOLDER.rglob("*.py")):
        parts = path.relative_to(FOLDER).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        sources[name] = path.read_text(encoding="utf-8")
    return sources


def _imports(sources, module):
    """What `module` imports: (name, whether inside a function), our own modules by short name."""

    def walk(node, inside):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, inside) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{module}: relative import in line {child.lineno}"
                for alias in child.names:
                    whole = f"{child.module}.{alias.name}"
                    is_module = whole.removeprefix(f"{PACKAGE}.") in sources
                    yield whole if is_module else child.module, inside
            deeper = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            yield from walk(child, inside or deeper)

    return list(walk(ast.parse(sources[module]), False))


def _ours(name):
    """The short name of a module of ours, else None."""
    if name == PACKAGE:
        return ""
    return name.removeprefix(f"{PACKAGE}.") if name.startswith(f"{PACKAGE}.") else None


def _level(module):
    """The level of the longest name that `module` lies under."""
    while True:
        for level, names in enumerate(LEVELS):
            if module in names:
                return level
        if "." not in module:
            raise AssertionError(f"{module}: in no level; give it one in LEVELS")
        module = module.rpartition(".")[0]


def _violations(sources):
    """Each rule that is broken, in words."""
    libraries = {
        name.partition(".")[0]
        for module in sources
        for name, _ in _imports(sources, module)
        if _ours(name) is None
    }
    for module in sources:
        for name, inside in _imports(sources, module):
            ours, library = _ours(name), name.partition(".")[0]
            if ours is not None and _level(ours) > _level(module):
                yield f"{module} imports {ours}, which comes after it"
            if module.startswith("serving") and ours in NOT_FOR_SERVING:
                yield f"{module} imports {ours}"
            if library in TRACKERS and not module.startswith("tracking."):
                yield f"{module} imports {library}"
            if library in TRACKERS and not inside:
                yield f"{module} imports {library} before it is called"
        if module.rpartition(".")[2] in libraries:
            yield f"{module} bears the name of a library"


def test_imports_point_one_way_and_mlflow_stays_in_its_room():
    sources = _sources()
    assert {"settings", "data.schema", "modeling.predict", "tracking.runs", "cli"} <= set(sources)
    assert list(_violations(sources)) == []


@pytest.mark.parametrize(
    "module, line, found",
    [
        ("settings", "from {0}.data import split", "settings imports data.split"),
        ("data.schema", "def f():\n    import {0}.data.validate", "data.schema imports data.val"),
        ("data.split", "from {0}.modeling import pipeline", "data.split imports modeling.pipe"),
        ("modeling.train", "def f():\n    from {0}.tracking.runs import track", "tracking.runs"),
        ("tracking.runs", "from {0}.workflow import run", "tracking.runs imports workflow"),
        ("workflow", "from {0} import cli", "workflow imports cli"),
        ("serving.api", "from {0}.modeling.train import train", "serving.api imports modeling.t"),
        ("serving.api", "from {0}.data import preprocess", "serving.api imports data.preproc"),
        ("cli", "def f():\n    import mlflow.sklearn", "cli imports mlflow"),
        ("modeling.bundle", "def f():\n    from dagshub import init", "bundle imports dagshub"),
        ("tracking.runs", "import mlflow", "imports mlflow before it is called"),
        (
            "tracking.runs",
            "class A:\n    from mlflow import b",
            "imports mlflow before it is called",
        ),
        ("tracking.mlflow", "", "tracking.mlflow bears the name of a library"),
        ("data.pandas", "", "data.pandas bears the name of a library"),
    ],
)
def test_a_broken_import_rule_is_noticed(module, line, found):
    sources = _sources() | {"serving": ""}
    sources[module] = f"{line.format(PACKAGE)}\n{sources.get(module, '')}"
    broken = list(_violations(sources))
    assert len(broken) == 1 and found in broken[0]


def _python(program, folder, *arguments):
    """Run `program` in `folder`, with this very package to be found."""
    environment = os.environ | {"PYTHONPATH": str(FOLDER.parent), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["quote", "--help"], ["no-such-command"]], ids=" ".join
)
def test_the_command_line_pays_for_nothing_it_does_not_need(tmp_path, arguments):
    # Typer itself asks pydantic as soon as a command is named.
    heavy = HEAVY if arguments in ([], ["--help"]) else HEAVY - {"pydantic"}
    program = (
        f"import sys, {PACKAGE}.cli as cli\n"
        "try:\n"
        "    cli.main() if sys.argv[1:] else None\n"
        "finally:\n"
        f"    found = {heavy} & {{name.partition('.')[0] for name in sys.modules}}\n"
        "    print('loaded:', *sorted(found))\n"
    )
    done = _python(program, tmp_path, *arguments)
    assert done.stdout.splitlines()[-1].strip() == "loaded:", done.stdout + done.stderr
    if "--help" in arguments:
        assert done.returncode == 0 and "Usage" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.services
def test_importing_a_module_does_nothing_else(tmp_path):
    """Each module by itself, from an empty folder: no output, no settings read, no file made."""
    modules = [f"{PACKAGE}.{name}" for name in _sources() if name not in ("", "__main__")]
    program = """
import importlib, os, sys
package, *modules = sys.argv[1:]
now = None

def watch(event, arguments):
    if event == "open" and now:
        name = os.path.basename(os.fsdecode(arguments[0])) if type(arguments[0]) is str else ""
        if name in ("params.yaml", ".env", "metrics.json") or "w" in str(arguments[1] or ""):
            opened.append(f"{now} opens {arguments[0]}")
    elif event in ("socket.connect", "subprocess.Popen") and now:
        opened.append(f"{now}: {event}")

opened = []
sys.dont_write_bytecode = True
sys.addaudithook(watch)
before = dict(os.environ)
for module in modules:
    for name in [n for n in sys.modules if n == package or n.startswith(package + ".")]:
        del sys.modules[name]
    now = module
    importlib.import_module(module)
    now = None
    for name in os.environ:
        if name.startswith(("MLFLOW_", "AWS_", "DVC_", "DAGSHUB_")) and name not in before:
            opened.append(f"{module} sets {name}")
assert opened == [], opened
"""
    done = _python(program, tmp_path, PACKAGE, *modules)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_defect_9_a_test_that_reaches_beyond_this_machine_fails():
    with socket.socket() as probe, pytest.raises(AssertionError, match="reaches out to 192.0.2.1"):
        probe.connect(("192.0.2.1", 80))


def test_defect_9_notebooks_define_nothing_that_belongs_into_the_package():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            lines = cell["source"] if cell["cell_type"] == "code" else []
            assert not [line for line in lines if re.match(r"\s*(def|class) ", line)], path.name
