"""Tables of different nature, each adopted by a fresh project and run: how long, and how good.

The tables ship inside Python packages. Each is put into a project of its own, baked from this
repository, by two commands: ``adopt`` and ``run``. Then the project's model stands beside the
median, scikit-learn's Ridge on one-hot columns, and HistGradientBoosting as it comes, over the same
folds. Takes some minutes per table::

    pip install --no-deps ISLP plotnine palmerpenguins
    python benchmarks/tables.py

prints the table, of which docs/other-tables.md shows a part. Names of tables may follow: then only
these are run.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# name: (package, file in it, target, what a row is, rows at most)
TABLES = {
    "carseats": ("ISLP", "data/Carseats.csv", "Sales", "store", None),
    "penguins": ("palmerpenguins", "data/penguins.csv", "body_mass_g", "penguin", None),
    "diabetes": ("load_diabetes", "", "target", "patient", None),
    "hitters": ("ISLP", "data/Hitters.csv", "Salary", "player", None),
    "college": ("ISLP", "data/College.csv", "Apps", "college", None),
    "mpg": ("plotnine", "data/mpg.csv", "hwy", "car", None),
    "wage": ("ISLP", "data/Wage.csv", "wage", "worker", None),
    "bikeshare": ("ISLP", "data/Bikeshare.csv", "bikers", "hour", 5_000),
    "diamonds": ("plotnine", "data/diamonds.csv", "price", "diamond", 5_000),
}


def main():
    """Adopt and run each table, and print a line of Markdown for it."""
    heads = ("table", "target", "rows x columns", "adopt, run", "model", "MAE: ours", "median")
    heads += ("Ridge", "HistGB", "R2: ours", "Ridge", "HistGB", "better than Ridge: MAE", "R2")
    print(cells(heads))
    print(cells(["---"] * len(heads)), flush=True)
    for name in sys.argv[1:] or TABLES:
        with tempfile.TemporaryDirectory() as folder:
            print(cells(_line(name, Path(folder))), flush=True)


def cells(values):
    """A line of a Markdown table."""
    return f"| {' | '.join(map(str, values))} |"


def adopt_and_run(name, folder, measure=__file__):
    """Seconds of ``adopt`` and ``run`` in a fresh project, and what `measure` finds there."""
    _, _, target, item, _ = TABLES[name]
    source = _source(name, folder)
    project = _bake(folder, name)
    adopted = _timed(project, name, "adopt", source, "--target", target, "--item", item)
    ran = _timed(project, name, "run")
    found = json.loads(_python(project, name, measure, "--measure", name))
    return f"{adopted:.0f} s, {ran:.0f} s", found


def _line(name, folder):
    seconds, found = adopt_and_run(name, folder)
    target = TABLES[name][2]
    mae, r2, better = found["MAE"], found["R2"], found["better"]
    return (
        *(name, target, f"{found['rows']:,} x {found['columns']}"),
        *(seconds, found["model"]),
        *(_short(mae[model]) for model in ("ours", "median", "ridge", "boosted")),
        *(f"{r2[model]:.3f}" for model in ("ours", "ridge", "boosted")),
        f"{_short(better['MAE']['more'], '+')} ± {_short(better['MAE']['margin'])}",
        f"{-better['R2']['more']:+.3f} ± {better['R2']['margin']:.3f}",
    )


def _short(value, sign=""):
    """Three digits, and no power of ten."""
    return f"{value:{sign},.{'0f' if abs(value) >= 100 else '3g'}}"


def _source(name, folder):
    """The table as a file; of a long one its rows at random, as many as are wanted."""
    import pandas as pd

    package, path, *_, most = TABLES[name]
    if package.startswith("load_"):
        from sklearn import datasets

        options = {"scaled": False} if package == "load_diabetes" else {}
        table = getattr(datasets, package)(as_frame=True, **options).frame
    else:
        table = pd.read_csv(Path(find_spec(package).origin).parent / path, dtype=str)
    if most and len(table) > most:
        table = table.sample(most, random_state=0).sort_index()
    source = folder / f"{name}.csv"
    table.to_csv(source, index=False)
    return source


def _bake(folder, name):
    """A fresh project of that name, which uses the libraries of this environment."""
    from cookiecutter.main import cookiecutter

    answers = {"project_name": name, "module_name": name}
    return Path(cookiecutter(str(ROOT), no_input=True, extra_context=answers, output_dir=folder))


def _python(project, name, *arguments):
    """What a program prints in a project; its commands find the project's package."""
    scripts = project / ".venv"
    scripts.mkdir(exist_ok=True)
    command = scripts / name  # what dvc.yaml calls
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m {name} "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    paths = {"PYTHONPATH": project / "src", "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    environment = os.environ | {key: str(value) for key, value in paths.items()}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{name}: {arguments}\n{done.stdout}{done.stderr}")
    return done.stdout


def _timed(project, name, *arguments):
    start = time.perf_counter()
    _python(project, name, "-m", name, *arguments)
    return time.perf_counter() - start


def opened(name):
    """The project in this folder, its problem, and ``kit(module)``."""
    from importlib import import_module

    problem = import_module(f"{name}.problem").PROBLEM
    build_model = import_module(f"{name}.model").build_model

    def kit(module):
        return import_module(f"{name}.kit.{module}")

    return kit("project").open_project(problem, build_model), problem, kit


def _measure(name):
    """The figures of all models, over the folds of the project in this folder."""
    project, problem, kit = opened(name)
    evaluate, train = kit("modeling.evaluate"), kit("modeling.train")
    from sklearn.ensemble import HistGradientBoostingRegressor

    table, params = train.read_processed(project)[0], project.params.train
    models = {"ours": project.model()} | evaluate.baselines(problem)
    models["boosted"] = HistGradientBoostingRegressor(random_state=0)
    folds = {
        key: evaluate.cross_validate(entrant, problem, table, params, key)[0]
        for key, entrant in models.items()
    }
    absolute = replace(problem, errors="absolute")
    settings = project.params.model
    kind = "boosted trees" if "crossed" not in settings else f"Ridge, {settings['knots']} knots"
    kind = "Ridge, straight lines" if settings.get("knots") == 2 else kind
    crossed = "".join(f", x {field}" for field in settings.get("crossed", ()))
    found = {metric: {k: f[metric].mean() for k, f in folds.items()} for metric in ("MAE", "R2")}
    found["better"] = evaluate.against(absolute, folds["ours"], folds["ridge"], params)
    found |= {"rows": len(table), "columns": len(problem.features), "model": kind + crossed}
    print(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        _measure(sys.argv[2])
    else:
        main()
