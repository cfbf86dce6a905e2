"""How long ``cookiecutter`` takes for this template, beside others; and what a team comes to own.

All are measured in one run. The floor is a template of one file, which is what cookiecutter itself
takes. Other templates are given by name and path, since they are not ours to keep here::

    python benchmarks/bake.py ccds=../cookiecutter-data-science

prints a table. It is in no page: each change of the template moves it.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REPEAT = 5


def bake(template, folder):
    """Seconds of one ``cookiecutter TEMPLATE --no-input``, and the project's folder."""
    command = ["cookiecutter", str(template), "--no-input", "-o", str(folder)]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start, next(folder.iterdir())


def measure(template, folder):
    """One line of the table: seconds (the median), files, lines of Python in src and in tests."""
    bakes = [bake(template, folder / str(i)) for i in range(REPEAT)]
    seconds = sorted(seconds for seconds, _ in bakes)[REPEAT // 2]
    project = bakes[-1][1]
    files = [p for p in project.rglob("*") if p.is_file() and ".git" not in p.parts]
    tests = [p for p in files if p.suffix == ".py" and "tests" in p.parts]
    code = [p for p in files if p.suffix == ".py" and p not in tests]
    return seconds, len(files), lines(code), lines(tests)


def lines(paths):
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def one_file(folder):
    """A template of one file."""
    (folder / "{{ cookiecutter.name }}").mkdir(parents=True)
    (folder / "{{ cookiecutter.name }}" / "README.md").write_text("# {{ cookiecutter.name }}\n")
    (folder / "cookiecutter.json").write_text('{"name": "project"}')
    return folder


def main():
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    table = [
        "| Template | Seconds, beside the floor | Files | Lines of Python | of its tests |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        templates = {"a template of one file": one_file(folder / "floor"), "this one": ROOT}
        found = {
            name: measure(template, folder / f"out-{i}")
            for i, (name, template) in enumerate((templates | given).items())
        }
    floor = found["a template of one file"][0]
    for name, (seconds, files, code, tests) in found.items():
        table.append(f"| {name} | {seconds / floor:.1f} | {files} | {code:,} | {tests:,} |")
    print("\n".join(table))


if __name__ == "__main__":
    main()
