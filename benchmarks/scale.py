"""How long each step takes and what memory, from a thousand rows to ten million; beside others.

The rows are the synthetic sample's, so the figures say nothing about the model but that it learns.
Four ways are measured: all rows in memory, block by block, and block by block on one and two of
Dask's workers. Beside them stand a bare read and write of the table as Parquet, the floor of
``preprocess``, and two other models on the same rows: scikit-learn's HistGradientBoosting, which
has the whole table in memory, and XGBoost on two of Dask's workers. Each step is a process of its
own; its memory is the most that it and its children had together. Takes hours::

    pip install -e ".[dask,boosters]"
    python benchmarks/scale.py 1000 10000 100000 1000000 10000000

measures what is not yet in .scratch/scale/results.json, prints the tables, of which docs/scale.md
has the main figures, and draws docs/images/scale.png.
"""

import json
import multiprocessing
import os
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from laptop_pricing.kit.data.parts import part_paths, read_part
from laptop_pricing.kit.data.preprocess import TABLE_FILE, preprocess
from laptop_pricing.kit.data.read import dataset_tables, row_tables
from laptop_pricing.kit.data.sample import write_sample
from laptop_pricing.kit.data.split import is_held_out
from laptop_pricing.kit.data.table import KEY, features
from laptop_pricing.kit.modeling.predict import predict_file
from laptop_pricing.kit.modeling.task import task_of
from laptop_pricing.kit.modeling.train import train
from laptop_pricing.kit.project import open_project
from laptop_pricing.kit.workers import open_workers
from laptop_pricing.model import build_model
from laptop_pricing.problem import PROBLEM

ROOT = Path(__file__).resolve().parent.parent
SCRATCH = ROOT / ".scratch" / "scale"
STEPS = ("preprocess", "train", "predict")
WAYS = {"in memory": None, "by blocks": None, "Dask, 1 worker": "local:1", "Dask, 2": "local:2"}
OTHERS = ("floor", "HistGB", "XGBoost on Dask, 2", "read")
MOST = {"in memory": 100_000}  # rows: with more it would not end, or not fit
# A cluster on which the table of a company of the largest kind is thought through.
CLUSTER = {"rows": 10**9, "machines": 8, "kind": "m6i.16xlarge", "threads": 64, "dollars": 3.072}
CLUSTER["block_rows"] = 500_000


def project_of(rows, way):
    """A project in the scratch folder for so many rows."""
    project = open_project(PROBLEM, build_model, ROOT)
    params = project.params
    unit = params.preprocess.model_copy(update={"median_target": None})
    whole = {"block_rows": 10**9, "memory_rows": 10**9} if way == "in memory" else {}
    changed = {"preprocess": unit, "scale": params.scale.model_copy(update=whole)}
    return replace(
        project, root=SCRATCH / str(rows), given_params=params.model_copy(update=changed)
    )


def do(rows, way, step, told):
    """One step, in a process of its own; puts its seconds and what it found into `told`."""
    project, found = project_of(rows, way), {}
    table = project.processed / TABLE_FILE
    with open_workers(WAYS.get(way)) as workers:
        start = time.perf_counter()
        if step == "sample":
            write_sample(PROBLEM, project.raw, rows)
        elif step == "preprocess":
            preprocess(project, workers)
        elif step == "train":
            found = train(project, workers)["holdout"]
        elif step == "predict":
            predict_file(project, project.raw, project.root / "predicted.csv", workers)
        elif step == "floor":
            for i, path in enumerate(part_paths(table)):
                read_part(path).to_parquet(project.root / f"floor-{i}.parquet")
        elif step == "read":
            found = read(project, table)
        else:
            found = {"HistGB": boosted, "XGBoost on Dask, 2": boosted_on_dask}[step](table)
        told.send({"seconds": time.perf_counter() - start} | found)


def read(project, table):
    """Seconds of what one process does for all workers: it reads the files, block by block."""
    found = {}
    for step, blocks in (
        ("preprocess", dataset_tables(project.raw, PROBLEM)),
        ("train", map(read_part, part_paths(table))),
        ("predict", row_tables(project.raw, PROBLEM)),
    ):
        start = time.perf_counter()
        for _ in blocks:
            pass
        found[step] = time.perf_counter() - start
    return found


def halves(path):
    """Features and targets of a part: those to learn from, and the held-out ones."""
    rows = read_part(path)
    held = is_held_out(rows[KEY])
    X, y = features(PROBLEM.features, rows), rows[PROBLEM.target.name].astype(float)
    return (X[~held], y[~held]), (X[held], y[held])


def boosted(table):
    import pandas as pd
    from sklearn.ensemble import HistGradientBoostingRegressor

    parts = [halves(path) for path in part_paths(table)]
    (X, y), (X_held, y_held) = (
        [pd.concat(columns) for columns in zip(*side)] for side in zip(*parts)
    )
    model = HistGradientBoostingRegressor(categorical_features="from_dtype").fit(X, np.log(y))
    return task_of(PROBLEM).score(y_held, np.exp(model.predict(X_held)))


def boosted_on_dask(table):
    import dask.dataframe as dd
    from distributed import Client, LocalCluster
    from xgboost import dask as xgb

    def side(path, i):
        X, y = halves(path)[i]
        return X.assign(target=y)

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        with Client(cluster):
            seen, held = (dd.from_map(side, part_paths(table), i=i) for i in (0, 1))
            model = xgb.DaskXGBRegressor(enable_categorical=True, tree_method="hist")
            model.fit(seen.drop(columns="target"), np.log(seen["target"]))
            predicted = model.predict(held.drop(columns="target")).compute()
            return task_of(PROBLEM).score(held["target"].compute(), np.exp(predicted))


def measure(rows, way, step):
    """Seconds and peak megabytes of a step, and the figures of its model on held-out rows."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=do, args=(rows, way, step, theirs))
    process.start()
    theirs.close()
    peak = 0
    while process.is_alive():
        peak = max(peak, memory(process.pid))
        time.sleep(0.2)
    try:
        return ours.recv() | {"megabytes": peak / 1e6}
    except EOFError:
        return {"failed": process.exitcode, "megabytes": peak / 1e6}


def memory(pid):
    """Bytes that a process and its children hold; of what they share, their shares."""
    total = 0
    try:
        tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for process in tree:
        try:
            total += process.memory_full_info().pss if sys.platform == "linux" else 0
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            pass
    return total


def main():
    """Measure what is missing, then print and draw all that there is."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    file = SCRATCH / "results.json"
    results = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    for rows in map(int, sys.argv[1:]):
        jobs = [(w, s) for w in WAYS for s in STEPS if rows <= MOST.get(w, rows)]
        jobs = [("", "sample"), *jobs, *(("", step) for step in OTHERS)]
        for way, step in jobs:
            key = f"{rows} | {way} | {step}"
            if key in results:
                continue
            if step != "sample" and not project_of(rows, way).raw.is_file():
                measure(rows, "", "sample")
            results[key] = measure(rows, way, step)
            print(key, results[key], file=sys.stderr, flush=True)
            file.write_text(json.dumps(results, indent=1), "utf-8")
        shutil.rmtree(SCRATCH / str(rows), ignore_errors=True)
    print(f"{os.cpu_count()} processors, {psutil.virtual_memory().total / 1e9:.0f} GB")
    for line in (*tables(results), "", *estimate(results)):
        print(line)
    draw(results)


def tables(results):
    """Lines of Markdown: one per number of rows and step, then the models' figures."""
    sizes = sorted({int(key.split(" | ")[0]) for key in results})
    beside = {"preprocess": ["floor"], "train": ["HistGB", "XGBoost on Dask, 2"]}
    yield f"| rows | step | {' | '.join(WAYS)} | beside |"
    yield "|---" * (len(WAYS) + 3) + "|"
    for rows in sizes:
        alone = cell(rows, results.get(f"{rows} |  | sample"))
        yield f"| {rows:,} | sample |  | {alone} |" + "  |" * (len(WAYS) - 1)
        for step in STEPS:
            cells = [cell(rows, results.get(f"{rows} | {way} | {step}")) for way in WAYS]
            others = [(name, results.get(f"{rows} |  | {name}")) for name in beside.get(step, ())]
            told = "; ".join(f"{name}: {cell(rows, found)}" for name, found in others if found)
            yield f"| {rows:,} | {step} | {' | '.join(cells)} | {told} |"
    yield ""
    names = ("by blocks | train", " | HistGB", " | XGBoost on Dask, 2")
    yield "| rows | Ridge: R2, MAPE | HistGB | XGBoost |"
    yield "|---|---|---|---|"
    for rows in sizes:
        found = [results.get(f"{rows} | {name}", {}) for name in names]
        cells = [f"{one['R2']:.3f}, {one['MAPE']:.4f}" if "R2" in one else "" for one in found]
        yield f"| {rows:,} | {' | '.join(cells)} |"


def estimate(results):
    """Lines of Markdown: the hours of a larger cluster, from the growth of the two largest sizes.

    What the workers do grows with the rows; of ``preprocess`` a part grows with the blocks times
    the parts, since each part is put together from all blocks. One process alone reads the files.
    """
    sizes = sorted(int(key.split(" | ")[0]) for key in results if key.endswith("|  | read"))
    if len(sizes) < 2:
        return
    few, many = sizes[-2:]
    rows, cores = CLUSTER["rows"], CLUSTER["machines"] * CLUSTER["threads"] / 2
    now, total = project_of(few, "by blocks").params.scale.block_rows, 0
    yield "| step | workers, core hours | workers, minutes | one process, minutes |"
    yield "|---|---|---|---|"
    for step in STEPS:
        less, more = (results[f"{size} | by blocks | {step}"]["seconds"] for size in (few, many))
        alone = rows * results[f"{many} |  | read"][step] / many
        powers = 2 if step == "preprocess" else 0  # of the number of blocks
        grown = [[size, (size / now) ** powers] for size in (few, many)]
        per_row, other = np.linalg.solve(grown, [less, more])
        busy = rows * per_row + (rows / CLUSTER["block_rows"]) ** powers * other - alone
        total += busy / cores + alone
        cells = (busy / 3600, busy / cores / 60, alone / 60)
        yield f"| {step} | {' | '.join(f'{cell:,.0f}' for cell in cells)} |"
    price = (CLUSTER["machines"] + 1) * CLUSTER["dollars"] * total / 3600
    yield ""
    yield f"{total / 3600:.1f} hours, {price:,.0f} dollars."


def cell(rows, found):
    """Seconds, rows per second and peak memory; blank where nothing was measured."""
    if not found:
        return ""
    memory = f"{found['megabytes'] / 1000:.1f} GB"
    if "failed" in found:
        return f"did not end, {memory}"
    seconds = found["seconds"]
    return f"{seconds:,.{0 if seconds >= 10 else 1}f} s, {rows / seconds:,.0f}/s, {memory}"


def draw(results):
    """Seconds and memory against rows, both logarithmic, a line per way."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 7), layout="constrained")
    axes = figure.subplots(2, len(STEPS), sharex=True, sharey="row")
    beside = {"preprocess": {"floor"}, "train": {"HistGB", "XGBoost on Dask, 2"}, "predict": set()}
    for column, step in enumerate(STEPS):
        for line, (unit, name) in enumerate((("seconds", "seconds"), ("megabytes", "peak, MB"))):
            panel = axes[line, column]
            for way in (*WAYS, *OTHERS):
                told = way in WAYS
                points = sorted(
                    (int(key.split(" | ")[0]), found[unit])
                    for key, found in results.items()
                    if key.endswith(f"| {way} | {step}" if told else f"|  | {way}")
                    and "failed" not in found
                )
                if points and (told or way in beside[step]):
                    style = {"marker": "o"} if told else {"marker": "s", "linestyle": "--"}
                    panel.plot(*zip(*points), label=way, **style)
            panel.set(xscale="log", yscale="log", ylabel=name if column == 0 else "")
            panel.grid(alpha=0.3)
            if line == 0:
                panel.set_title(step)
                panel.legend(frameon=False, fontsize=8)
            else:
                panel.set_xlabel("rows")
    figure.savefig(ROOT / "docs" / "images" / "scale.png", dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
