"""docs/tables: each table is one that a page shows and that its command would write today.

Seconds differ with the machine, and the comparison takes half an hour. So of those the names are
compared, and of the comparison our own line, which metrics.json holds too.
"""

import importlib.util
import json
import re

import pytest
from environments import ROOT

from laptop_pricing.modeling.compare import OURS, contenders

BOOSTERS = {"XGBoost", "LightGBM", "CatBoost"}  # take part where they are installed
TABLES = {path.stem: path.read_text("utf-8") for path in (ROOT / "docs" / "tables").iterdir()}
METRICS = json.loads((ROOT / "metrics.json").read_text("utf-8"))["cv"]


def module(path):
    spec = importlib.util.spec_from_file_location(path.replace("/", "_"), ROOT / f"{path}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def cells(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names(text):
    """The first line, the first column, and the sentences below: all but the figures."""
    head, _, *rows = cells(text)
    said = re.sub(r"\d{4}-\d\d-\d\d", "DAY", text.rpartition("|\n")[2])
    return head, [name for name, *_ in rows if name not in BOOSTERS], said


def models(params):
    return [name for name, *_ in contenders(params.train) if name not in BOOSTERS]


def test_each_table_is_shown_by_a_page_and_has_a_command():
    pages = "".join(path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md"))
    shown = set(re.findall(r"^<!-- table: (\S+) -->$", pages, re.MULTILINE))
    assert set(TABLES) == shown == set(module("docs/hooks").COMMANDS)


@pytest.mark.parametrize("name", ["serving", "speed"])
def test_a_measured_table_has_the_lines_of_its_command_and_its_day(name, params):
    benchmark = module(f"benchmarks/{name}")
    ones = ((1.0,) * 4,) * 2
    given = {"serving": (ones, ones), "speed": (dict.fromkeys(models(params), ones[0][:3]),)}
    assert names(TABLES[name]) == names(benchmark.page(*given[name]))
    assert f"Measured on DAY by `python benchmarks/{name}.py`." in names(TABLES[name])[2]


def test_the_comparison_has_the_models_and_our_line_is_that_of_metrics_json(params):
    _, _, *rows = cells(TABLES["comparison"])
    found = {name: figures for name, *figures in rows}
    assert [name for name in found if name not in BOOSTERS] == models(params)
    mean, sd = ({m: METRICS[m][part] for m in METRICS} for part in ("mean", "sd"))
    assert found[OURS][1:4] == [
        f"{mean['R2']:.3f} ± {sd['R2']:.3f}",
        f"{mean['MAPE']:.4f} ± {sd['MAPE']:.4f}",
        f"{mean['MAE']:,.0f}",
    ]
