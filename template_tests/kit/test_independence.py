"""The kit knows no dataset and nothing of its parent; and what its rooms may import, and when."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import laptop_pricing
from laptop_pricing.problem import PROBLEM

PACKAGE = laptop_pricing.__name__
FOLDER = Path(laptop_pricing.__file__).parent
KIT = FOLDER / "kit"

# A module imports its own level and the levels before it. A name stands for what lies below it.
LEVELS = (
    ("", "errors", "files", "problem", "params", "process", "progress", "project", "seal")
    + ("workers",),
    ("data",),
    ("modeling",),
    ("tracking", "sharing", "adopt"),
    ("workflow", "serving"),
    ("console", "demo", "cli"),
)
TRACKERS = {"mlflow", "dagshub"}
FAST = {"serving.api", "serving.schemas", "serving.server", "modeling.quote", "modeling.bundle"}
SLOW = {"pandas", "sklearn", "scipy", "mlflow", "matplotlib", "dvc", "dagshub", "boto3", "skops"}
COMMON = {
    "windows",
    "dos",
    "mac",
    "not",
    "one",
    "available",
    "casual",
    "brand",
    "weight",
    "build",
    "year",
    "graphics",
}


def sources():
    """Source by module name: ``modeling.train``."""
    found = {}
    for path in sorted(KIT.rglob("*.py")):
        parts = path.relative_to(KIT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text("utf-8")
    return found


def texts():
    """Every file of the kit that people or programs read."""
    files = [p for p in sorted(KIT.rglob("*")) if p.is_file() and "__pycache__" not in p.parts]
    return {path.relative_to(KIT).as_posix(): path.read_text("utf-8") for path in files}


def vocabulary():
    """The words by which the kit would betray that it knows this dataset."""
    words = {PROBLEM.name, PACKAGE, PROBLEM.item, PROBLEM.items, PROBLEM.target.name}
    words |= {PROBLEM.target.unit, "ryzen", "touchscreen", "laptop"}
    for column in PROBLEM.columns:
        words |= {column.name, column.raw_name, *column.allowed}
    plain = {word.casefold() for word in words} - COMMON
    return {
        word for word in plain if len(word) > 2 and word not in ("rating", "reviews", "ratings")
    }


def words_of_the_dataset(files):
    known = "|".join(sorted(map(re.escape, vocabulary()), key=len, reverse=True))
    pattern = re.compile(rf"(?<![a-z0-9])({known})(?![a-z0-9])", re.IGNORECASE)
    return [
        f"{name}: {match[0]}" for name, text in files.items() for match in pattern.finditer(text)
    ]


def test_the_kit_holds_no_word_of_the_dataset():
    assert {"brand", "processor_name", "brl", "laptops", "price"} - COMMON <= vocabulary()
    assert words_of_the_dataset(texts()) == []


@pytest.mark.parametrize("word", ["a laptop", "# BRL", "x_price = 1", "'DELL'", "ram_gb", PACKAGE])
def test_a_word_of_the_dataset_is_noticed(word):
    assert words_of_the_dataset({"errors.py": f"x = 1\n{word}\n"})


def imports(module, source, known):
    """What a module imports: (name, whether inside a function); the kit's modules as .name."""
    package = module if any(name.startswith(f"{module}.") for name in known) else None
    here = (package if package is not None else module.rpartition(".")[0]).split(".")

    def walk(node, inside):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, inside) for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and not child.level:
                yield child.module, inside
            elif isinstance(child, ast.ImportFrom):
                base = [part for part in here if part]
                up = child.level - 1
                if up > len(base):
                    yield "..the parent", inside
                    continue
                base = base[: len(base) - up] + ([child.module] if child.module else [])
                for alias in child.names:
                    whole = ".".join([*base, alias.name])
                    yield f".{whole if whole in known else '.'.join(base)}", inside
            deep = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            checking = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
            yield from walk(child, inside or deep or checking)

    return list(walk(ast.parse(source), False))


def level(module):
    while True:
        for number, names in enumerate(LEVELS):
            if module in names:
                return number
        assert "." in module, f"{module}: in no level; give it one in LEVELS"
        module = module.rpartition(".")[0]


def violations(files):
    """Each rule that is broken, in words."""
    libraries = set()
    for module, source in files.items():
        for name, inside in imports(module, source, files):
            if name == "..the parent":
                yield f"{module} imports of its parent"
            elif name.startswith("."):
                if level(name[1:]) > level(module) and not inside:
                    yield f"{module} imports {name[1:]}, which comes after it"
                if level(name[1:]) > level(module) and inside and level(module) < 4:
                    yield f"{module} imports {name[1:]}, which comes after it"
            else:
                library = name.partition(".")[0]
                libraries.add(library)
                if library == PACKAGE:
                    yield f"{module} imports {PACKAGE}, not by a relative import"
                if library in TRACKERS and not module.startswith("tracking."):
                    yield f"{module} imports {library}"
                if library in TRACKERS and not inside:
                    yield f"{module} imports {library} before it is called"
                if library in SLOW and not inside and module in FAST:
                    yield f"{module} imports {library}, which a quote does not need"
    for module in files:
        if module.rpartition(".")[2] in libraries - {""}:
            yield f"{module} bears the name of a library"


def test_imports_point_one_way_and_mlflow_stays_in_its_room():
    files = sources()
    assert {"problem", "data.table", "modeling.train", "tracking.runs", "cli"} <= set(files)
    assert list(violations(files)) == []


@pytest.mark.parametrize(
    "module, line, said",
    [
        ("problem", "from .data import split", "problem imports data.split"),
        ("project", "from ..problem import PROBLEM", "project imports of its parent"),
        ("data.split", "from ...problem import PROBLEM", "data.split imports of its parent"),
        ("data.split", f"import {PACKAGE}.problem", "not by a relative import"),
        ("data.split", "from ..modeling import gate", "data.split imports modeling.gate"),
        ("modeling.train", "def f():\n    from ..tracking.runs import track", "tracking.runs"),
        ("tracking.runs", "from ..workflow import run", "tracking.runs imports workflow"),
        ("cli", "def f():\n    import mlflow.sklearn", "cli imports mlflow"),
        ("modeling.bundle", "def f():\n    from dagshub import init", "imports dagshub"),
        ("modeling.bundle", "import pandas", "imports pandas, which a quote does not need"),
        ("tracking.runs", "import mlflow", "imports mlflow before it is called"),
        ("tracking.mlflow", "", "tracking.mlflow bears the name of a library"),
    ],
)
def test_a_broken_rule_is_noticed(module, line, said):
    files = sources()
    files[module] = f"{line}\n{files.get(module, '')}"
    found = [text for text in violations(files) if said in text]
    assert found


def python(program, folder, *arguments):
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
    "arguments",
    [["--help"], ["quote", "--help"], ["quote", "a=b"], ["no-such-command"]],
    ids=" ".join,
)
def test_the_command_line_pays_for_nothing_it_does_not_need(tmp_path, arguments):
    program = (
        f"import sys\nfrom {PACKAGE}.__main__ import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        f"    found = {SLOW} & {{name.partition('.')[0] for name in sys.modules}}\n"
        "    print('loaded:', *sorted(found))\n"
    )
    done = python(program, tmp_path, *arguments)
    assert done.stdout.splitlines()[-1].strip() == "loaded:", done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.services
def test_importing_a_module_does_nothing_else(tmp_path):
    """Each module by itself, from an empty folder: no output, no settings read, no file made."""
    modules = [f"{PACKAGE}.kit.{name}" for name in sources() if name]
    program = """
import importlib, os, sys
package, *modules = sys.argv[1:]
now, opened, before = None, [], dict(os.environ)

def watch(event, arguments):
    if event == "open" and now:
        name = os.path.basename(os.fsdecode(arguments[0])) if type(arguments[0]) is str else ""
        if name in ("params.yaml", ".env", "metrics.json") or "w" in str(arguments[1] or ""):
            opened.append(f"{now} opens {arguments[0]}")
    elif event in ("socket.connect", "subprocess.Popen") and now:
        opened.append(f"{now}: {event}")

sys.dont_write_bytecode = True
sys.addaudithook(watch)
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
    done = python(program, tmp_path, PACKAGE, *modules)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
