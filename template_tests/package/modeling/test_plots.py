"""What ``dvc plots show`` draws, read from the page's own specifications."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from baking import check
from environments import ROOT

pytestmark = pytest.mark.services

GIVEN = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["plots"]
NAMES = [Path(name).stem for plot in GIVEN for name in plot]
BARS = {"residuals": "band", "factors": "name", "slices": "slice"}


@pytest.fixture(scope="module")
def drawn(trained, tmp_path_factory):
    """By file: what Vega is given."""
    folder = tmp_path_factory.mktemp("plots")
    shutil.copyfile(ROOT / "dvc.yaml", folder / "dvc.yaml")
    shutil.copytree(trained.plots, folder / "reports" / "plots")
    check(folder, "dvc", "init", "-q", "--no-scm")
    if (ROOT / ".dvc" / "plots").is_dir():
        shutil.copytree(ROOT / ".dvc" / "plots", folder / ".dvc" / "plots")
    found = json.loads(check(folder, "dvc", "plots", "show", "--json"))["data"]
    return {Path(name).stem: plot["content"] for name, (plot,) in found.items()}


@pytest.mark.parametrize("name", NAMES)
def test_each_axis_has_its_data_and_says_what_it_shows(drawn, trained, name):
    text = (trained.plots / f"{name}.csv").read_text("utf-8")
    values = drawn[name]["data"]["values"]
    assert len(values) == len(text.splitlines()) - 1
    assert not {"rev", "filename", "field"} & set(text.splitlines()[0].split(",")), "DVC's own"
    axes = {**drawn[name].get("layer", [{}])[0].get("encoding", {}), **drawn[name]["encoding"]}
    for shown in (axes["x"], axes["y"]):
        assert all(value[shown["field"]] != "" for value in values)
        assert shown["title"] not in ("p50", "p95", "rows", "row"), "a column's name says nothing"


@pytest.mark.parametrize("name, column", BARS.items())
def test_bars_have_distinct_names_start_at_zero_and_keep_their_order(drawn, name, column):
    names = [value[column] for value in drawn[name]["data"]["values"]]
    assert len(set(names)) == len(names) > 1
    axes = drawn[name]["encoding"]
    assert axes["y"]["field"] == column and axes["y"].get("sort", "by text") is None
    assert axes["x"]["scale"]["zero"] is True


def test_bands_rise_and_the_field_that_moves_most_comes_first(drawn):
    bands = [value["band"] for value in drawn["residuals"]["data"]["values"]]
    starts = [int(band.split()[0].replace(",", "")) for band in bands]
    assert starts == sorted(starts) and len(starts) > 1
    widths = [
        float(value["p95"]) - float(value["p05"]) for value in drawn["factors"]["data"]["values"]
    ]
    assert widths[0] > widths[-1]
