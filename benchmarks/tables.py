"""Tables of different nature, each adopted by a fresh project and run: how long, and how good.

The tables ship inside Python packages. Each is put into a project of its own, baked from this
repository, by two commands: ``adopt`` and ``run``. Then the project's model stands beside the
median, scikit-learn's Ridge on one-hot columns, and HistGradientBoosting as it comes, over the same
folds. Takes some minutes per table::

    pip install --no-deps -r benchmarks/requirements-tables.txt
    python benchmarks/tables.py

prints the table of docs/your-own-data.md. Names of tables may follow: only these are run then.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# name: (package, file in it, target, what a row is, rows at most)
TABLES = {
    "carseats": ("ISLP", "data/Carseats.csv", "Sales", "store", None),
    "penguins": ("palmerpenguins", "data/penguins.csv", "body_mass_g", "penguin", None),
    "diabetes": ("sklearn", "", "target", "patient", None),
    "hitters": ("ISLP", "data/Hitters.csv", "Salary", "player", None),
    "college": ("ISLP", "data/College.csv", "Apps", "college", None),
    "mpg": ("plotnine", "data/mpg.csv", "hwy", "car", None),
    "wage": ("ISLP", "data/Wage.csv", "wage", "worker", None),
    "bikeshare": ("ISLP", "data/Bikeshare.csv", "bikers", "hour", 5_000),
    "diamonds": ("plotnine", "data/diamonds.csv", "price", "diamond", 5_000),
}


def main():
    """Adopt and run each table, and print a line of Markdown for it."""
    chosen = sys.argv[1:] or list(TABLES)
    heads = "table|target|rows|columns|adopt, s|run, s|error|ours|median|Ridge|HistGB"
    heads += "|R2 ours|Ridge|HistGB|model"
    print("| " + " | ".join(heads.split("|")) + " |")
    print("|" + "---|" * (heads.count("|") + 1), flush=True)
    for name in chosen:
        with tempfile.TemporaryDirectory() as folder:
            print(_line(name, Path(folder)), flush=True)


def _line(name, folder):
    _, _, target, item, _ = TABLES[name]
    source = _source(name, folder)
    project = _bake(folder, name)
    adopted = _timed(project, name, "adopt", source, "--target", target, "--item", item)
    ran = _timed(project, name, "run")
    found = json.loads(_python(project, name, __file__, "--measure", name))
    error, scores = found["error"], found["scores"]
    figures = [f"{scores[n][error]:.3g}" for n in ("ours", "median", "ridge", "boosted")]
    figures += [f"{scores[n]['R2']:.3f}" for n in ("ours", "ridge", "boosted")]
    cells = [name, target, found["rows"], found["columns"], f"{adopted:.0f}", f"{ran:.0f}"]
    return "| " + " | ".join(map(str, [*cells, "MAE", *figures, found["model"]])) + " |"


def _source(name, folder):
    """The table as a file; of a long one its rows at random, as many as are wanted."""
    import pandas as pd

    package, path, *_, most = TABLES[name]
    if name == "diabetes":
        from sklearn.datasets import load_diabetes

        table = load_diabetes(as_frame=True, scaled=False).frame
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
    command.write_text(f"#!/bin/sh\nexec {sys.executable} -m {name} \"$@\"\n", encoding="utf-8")
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


def _measure(name):
    """The figures of all models, over the folds of the project in this folder."""
    from importlib import import_module

    problem = import_module(f"{name}.problem").PROBLEM
    model = import_module(f"{name}.model")
    evaluate = import_module(f"{name}.kit.modeling.evaluate")
    train = import_module(f"{name}.kit.modeling.train")
    project = import_module(f"{name}.kit.project").open_project(problem, model.build_model)
    from sklearn.ensemble import HistGradientBoostingRegressor

    table, params = train.read_processed(project)[0], project.params.train
    models = {"ours": project.model()} | evaluate.baselines(problem)
    models["boosted"] = HistGradientBoostingRegressor(random_state=0)
    scores, ours = {}, None
    for key, entrant in models.items():
        folds, _ = evaluate.cross_validate(entrant, problem, table, params, key)
        ours = folds if ours is None else ours
        scores[key] = folds[["R2", "MAE"]].mean().to_dict()
        for metric in ("R2", "MAE"):
            more = folds[metric] - ours[metric]
            scores[key][f"{metric} more"] = [more.mean(), more.std()]
    crossed = project.params.model.get("crossed")
    kind = "boosted trees" if crossed is None else f"Ridge, {project.params.model['knots']} knots"
    found = {"rows": len(table), "columns": len(problem.features), "error": "MAE"}
    print(json.dumps(found | {"scores": scores, "model": kind + (f" x {crossed}" if crossed else "")}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        _measure(sys.argv[2])
    else:
        main()
