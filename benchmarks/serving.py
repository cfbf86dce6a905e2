"""How many quotes a second, how soon and at what cost: our server beside others, in one run.

All are on 127.0.0.1, with one process unless the name says more. They are asked in turn, in rounds,
since machines are noisy: the median round counts, and only ratios travel. ``canned answer`` is a
FastAPI app that reads the body and gives our answer's very bytes: it shows what is not ours to
save. MLflow serves a plain scikit-learn pipeline, the team's own fitted estimator, and our bundle
as ``track`` logs it, which tells the server's share from the model's. BentoML and LitServe give
our quotes, each from an environment of its own, below .scratch::

    apt install wrk
    python benchmarks/serving.py --others --soak 1000000

prints a page in about ten minutes. ``--quick`` is for a look; names of servers may follow, as
``ours "canned answer"``. Needs a model and a processed table: ``laptop-pricing run``.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import date
from functools import partial
from math import isclose
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
from beside.asking import HERE, ROOT, ROW, Running, Server, load, serving
from threadpoolctl import threadpool_limits

from laptop_pricing.kit.data.split import is_held_out
from laptop_pricing.kit.data.table import KEY, features
from laptop_pricing.kit.modeling.bundle import Bundle, load_bundle
from laptop_pricing.kit.modeling.evaluate import baselines, fit
from laptop_pricing.kit.modeling.quote import quote_rows
from laptop_pricing.kit.modeling.task import task_of
from laptop_pricing.kit.modeling.train import read_processed
from laptop_pricing.kit.project import Project, open_project
from laptop_pricing.kit.tracking import runs
from laptop_pricing.model import build_model
from laptop_pricing.problem import PROBLEM

SCRATCH = ROOT / ".scratch"
CONNECTIONS, SECONDS, ROUNDS, STARTS = (4, 64), 3, 3, 5
SOAK_STEP = 100_000
RATIOS = (  # of which figure, of which servers, what is wanted
    ("rate", "ours", "canned answer", ">= 0.75"),
    ("p99", "ours", "canned answer", "<= 2 at 64"),
    ("CPU", "ours", "canned answer", ""),
    ("rate", "ours", "canned answer, with log", ""),
    ("rate", "ours", "ours, no log", ">= 0.9"),
    ("rate", "ours, 2 workers", "ours", ">= 1.7"),
    ("rate", "ours", "MLflow, plain pipeline", ">= 100"),
    ("rate", "ours", "MLflow, our estimator", ">= 100"),
    ("rate", "ours", "MLflow, our bundle", "the server's share"),
    ("rate", "MLflow, our bundle", "MLflow, plain pipeline", "the model's share"),
    ("rate", "MLflow, our bundle", "MLflow, our estimator", "the model's share"),
    ("rate", "ours", "BentoML", ""),
    ("rate", "ours", "LitServe", ""),
    ("rate", "ours", "before", ""),
    ("start-up", "ours", "before", "<= 1"),
)


def save_models(project: Project, bundle: Bundle, folder: Path) -> dict[str, Any]:
    """What MLflow is to serve, each with a signature; the estimators are also returned."""
    import mlflow.sklearn
    from mlflow.models import infer_signature

    table = read_processed(project)[0]
    runs._save_copy(project, bundle, table, folder / "our bundle")
    seen, model = table[~is_held_out(table[KEY])], build_model(PROBLEM, project.params)
    own = getattr(model, "estimator", model).set_params(**bundle.metadata["chosen"])
    models = {"plain pipeline": baselines(PROBLEM)[task_of(PROBLEM).plain], "our estimator": own}
    for name, unfitted in models.items():
        models[name] = fit(unfitted, PROBLEM, seen)
        predicted = models[name].predict(features(PROBLEM.features, table))
        mlflow.sklearn.save_model(
            models[name],
            folder / name,
            signature=infer_signature(table[list(PROBLEM.names)], predicted),
            pip_requirements=[],
            serialization_format="cloudpickle",
        )
    return models


def microseconds(bundle: Bundle, models: dict[str, Any]) -> str:
    """What one case costs in Python, without a server."""
    case = features(PROBLEM.features, pd.DataFrame([ROW]))
    calls: dict[str, Any] = {name: (model.predict, case) for name, model in models.items()}
    calls["our whole quote"] = partial(quote_rows, PROBLEM, bundle), [ROW]
    texts = []
    for name, (call, told) in calls.items():
        times = []
        for _ in range(200):
            start = time.perf_counter()
            call(told)
            times.append(time.perf_counter() - start)
        texts.append(f"{name} {figure(1e6 * median(times))}")
    return f"One case without a server, in microseconds: {', '.join(texts)}."


def servers(options: argparse.Namespace, bundle: Bundle, folder: Path) -> dict[str, Server]:
    """All that can be started; the canned answer is one of ours."""
    python, models = sys.executable, ROOT / "models"
    quotes = [python, "-m", "laptop_pricing", "serve", "--model", models, "--quotes"]
    ours = Server([*quotes, folder / "quotes"])
    with serving(ours) as running:
        canned = [python, HERE / "canned.py", running.answer.decode()]
    found = {
        "hello": Server([*canned, "no log"], path="/hello", method="GET"),
        "canned answer": Server([*canned, "no log"]),
        "canned answer, with log": Server([*canned, "log"]),
        "ours": ours,
        "ours, no log": Server([*quotes, "none"]),
        "ours, 2 workers": Server([*ours.command, "--workers", "2"]),
    }
    if options.before:
        found["before"] = Server([*quotes[:-1]], code=options.before.resolve())
    frame = {"dataframe_split": {"columns": list(ROW), "data": [list(ROW.values())]}}
    for name in ("plain pipeline", "our estimator", "our bundle"):
        command = [python, "-m", "mlflow", "models", "serve", "-m", folder / name]
        command += ["--env-manager", "local", "--workers", "1"]
        found[f"MLflow, {name}"] = Server(command, frame, "/invocations")
    if options.others:
        bento = ["-m", "bentoml", "serve", "on_bentoml:Quotes", "--working-dir", HERE]
        found["BentoML"] = Server([installed("bentoml", bundle), *bento], {"case": ROW})
        found["LitServe"] = Server([installed("litserve", bundle), HERE / "on_litserve.py"])
    return {name: found[name] for name in options.names or found}


def installed(package: str, bundle: Bundle) -> Path:
    """The Python of an environment with a package and the bundle's, as far as pip gets them."""
    place = SCRATCH / "bench-venvs" / package
    python = place / "bin" / "python"
    needed = [f"{name}=={version}" for name, version in bundle.metadata["versions"].items()]
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", place], stdout=sys.stderr)
    if python.exists():
        subprocess.run([python, "-m", "pip", "install", "-q", package, *needed], stdout=sys.stderr)
    return python


def start(wanted: dict[str, Server], stack: ExitStack, times: int) -> tuple:
    """The servers that run, and the seconds that each took: of ours, the median of some starts."""
    running, took = {}, {name: list[float]() for name in wanted}
    for _ in range(times - 1):
        for name in {"ours", "before"} & set(wanted):
            with serving(wanted[name]) as one:
                took[name].append(one.started)
    for name, server in wanted.items():
        try:
            running[name] = stack.enter_context(serving(server))
            took[name].append(running[name].started)
        except (OSError, RuntimeError) as error:
            print(f"{name} is left out, since it does not start: {error}")
    return running, {name: median(took[name]) for name in running}


def check(running: dict[str, Running]) -> None:
    """Whoever has our model predicts what we do."""
    for name in {"ours", "MLflow, our bundle", "BentoML", "LitServe"} & set(running):
        answer = json.loads(running[name].answer)
        found = answer["predictions"][0] if "predictions" in answer else answer["prediction"]
        ours = quote_rows(PROBLEM, load_bundle(ROOT / "models", PROBLEM), [ROW])[0].prediction
        if not PROBLEM.classes and not isclose(found, ours):
            sys.exit(f"{name} predicts {found}, not {ours}")


def soak(running: Running, wanted: int) -> list[str]:
    """A table of the memory over so many requests."""
    done, lines = 0, ["", line("requests to ours", "bad answers", "MB"), line(*["---"] * 3)]
    rate = load(running, CONNECTIONS[1], 1)["rate"]
    while done < wanted:
        found = load(running, CONNECTIONS[1], max(1, round(SOAK_STEP / rate)))
        done, rate = done + int(found["requests"]), found["rate"]
        lines.append(line(f"{done:,}", int(found["bad"]), running.memory()))
        print(lines[-1], file=sys.stderr)
    return lines


def figure(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def line(*cells: Any) -> str:
    return f"| {' | '.join(figure(c) if isinstance(c, float) else str(c) for c in cells)} |"


def tables(rounds: list[dict], running: dict[str, Running], started: dict[str, float]) -> list[str]:
    """A line for each server, and each ratio; a round has figures by server and connections."""
    heads = [f"{n}: {name}" for n in CONNECTIONS for name in ("requests/s", "p50, ms", "p99, ms")]
    heads = ["connections", *heads, "CPU, us per request", "MB", "start-up, s"]
    lines = [line(*heads), line(*["---"] * len(heads))]
    for name, one in running.items():
        cells = [
            median(found[name, n][key] for found in rounds)
            for n in CONNECTIONS
            for key in ("rate", "p50", "p99")
        ]
        cpu = median(found[name, n]["CPU"] for found in rounds for n in CONNECTIONS)
        lines.append(line(name, *cells, cpu, one.memory(), started[name]))
    lines += ["", line("ratio", *CONNECTIONS, "wanted"), line(*["---"] * 4)]
    for key, a, b, wanted in RATIOS:
        if a not in running or b not in running:
            continue
        if key == "start-up":
            cells = [started[a] / started[b], ""]
        else:
            cells = [median(f[a, n][key] / f[b, n][key] for f in rounds) for n in CONNECTIONS]
        lines.append(line(f"{key}: {a} / {b}", *cells, wanted))
    return lines


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How fast our server is beside others.")
    parser.add_argument("names", nargs="*", help="servers to ask; all if none are named")
    parser.add_argument("--quick", action="store_true", help="one round of a second, for a look")
    parser.add_argument("--others", action="store_true", help="BentoML and LitServe, too, by pip")
    parser.add_argument("--before", type=Path, help="checkout of another commit, to set beside")
    parser.add_argument("--soak", type=int, default=0, help="requests over which memory is shown")
    return parser.parse_args()


def main() -> None:
    """Measure, and print the page."""
    options, project = arguments(), open_project(PROBLEM, build_model, ROOT)
    seconds, times, starts = (1, 1, 1) if options.quick else (SECONDS, ROUNDS, STARTS)
    bundle, rounds = load_bundle(project.models, PROBLEM), []
    SCRATCH.mkdir(exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=SCRATCH)))
        with threadpool_limits(1):
            all_or_mlflow = not options.names or "MLflow" in " ".join(options.names)
            models = save_models(project, bundle, folder) if all_or_mlflow else {}
            alone = microseconds(bundle, models)
        wanted = servers(options, bundle, folder)
        running, started = start(wanted, stack, starts)
        check(running)
        for one in running.values():
            load(one, CONNECTIONS[0], 1)  # not counted
        for i in range(times):
            print(f"round {i + 1} of {times}", file=sys.stderr)
            asked = [(name, n) for n in CONNECTIONS for name in running]
            rounds.append({(name, n): load(running[name], n, seconds) for name, n in asked})
        lines = tables(rounds, running, started)
        lines += soak(running["ours"], options.soak) if options.soak and "ours" in running else []
    bad = {
        name: sum(int(f[name, n]["bad"]) for f in rounds for n in CONNECTIONS) for name in running
    }
    lines += ["", f"Bad answers: {bad if any(bad.values()) else 'none'}. {alone}"]
    if not shutil.which("wrk"):
        lines.append("Asked from Python, which takes much of a core: better, `apt install wrk`.")
    cores, version = os.cpu_count(), platform.python_version()
    made = f"Measured on {date.today()} by `python benchmarks/serving.py`"
    lines += ["", f"{made}: Python {version}, {cores} cores, the median of {times} rounds."]
    print("\n".join(lines))
    sys.exit(any(bad.values()))


if __name__ == "__main__":
    main()
