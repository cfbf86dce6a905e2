"""How fast the model is beside others: fit, one prediction, a million rows.

Everything is measured in one run on one thread and divided by ours, since machines are noisy and
only ratios travel. Fitting is one fit with one setting, without the search for it::

    python benchmarks/speed.py

writes docs/tables/speed.md. Needs a processed table (``laptop-pricing run``); the boosted
trees take part where they are installed.
"""

import time
from datetime import date
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits

from laptop_pricing.data.schema import FEATURES
from laptop_pricing.files import write_text
from laptop_pricing.modeling.compare import OURS, contenders
from laptop_pricing.modeling.train import read_processed
from laptop_pricing.settings import find_workspace, load_params

ROOT = Path(__file__).resolve().parent.parent
ROWS = 1_000_000
BLOCK = 10_000


def seconds(call, repeat):
    """The median time of `repeat` calls, after one that is not counted."""
    call()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return sorted(times)[repeat // 2]


def measure(fit, table, many):
    """Seconds to fit, to price one laptop, and to price many, in blocks."""
    model = fit()
    one = table.head(1)
    start = time.perf_counter()
    for first in range(0, len(many), BLOCK):
        model.predict(many[first : first + BLOCK])
    return seconds(fit, 5), seconds(lambda: model.predict(one), 50), time.perf_counter() - start


def page(found: dict[str, tuple]) -> str:
    """The page: the times of each model, divided by ours."""
    lines = ["| Model | Fit | One laptop | A million rows |", "|---|---|---|---|"]
    for name, times in found.items():
        cells = " | ".join(f"{t / o:.2f}" for t, o in zip(times, found[OURS]))
        lines.append(f"| {name} | {cells} |")
    made = f"Measured on {date.today()} by `python benchmarks/speed.py`."
    return "\n".join([*lines, "", made, ""])


def main():
    """Measure all models and write the table."""
    workspace = find_workspace(ROOT)
    params = load_params(ROOT / "params.yaml").train.model_copy(update={"alphas": (8.0,)})
    table, _ = read_processed(workspace)
    many = pd.concat([table[list(FEATURES)]] * (ROWS // len(table) + 1), ignore_index=True)[:ROWS]
    found = {}
    with threadpool_limits(1):
        for name, fit, _ in contenders(params):
            print(name, flush=True)
            found[name] = measure(lambda fit=fit: fit(table, params), table, many)
    text = page(found)
    write_text(ROOT / "docs" / "tables" / "speed.md", text)
    print(text)


if __name__ == "__main__":
    main()
