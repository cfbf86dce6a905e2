"""The figures, on all problems: nothing is cut or struck, and numbers are those of metrics.json."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib import rc_context
from matplotlib.image import imread
from matplotlib.text import Text
from problems import DIABETES, GAINS, GRADES, LAPTOPS, LOANS, MADE, each, each_problem

from laptop_pricing.kit.modeling import drift, evaluate, explore, plots
from laptop_pricing.kit.modeling.bundle import load_bundle
from laptop_pricing.kit.modeling.drift_plots import as_svg, draw_drift, draw_outcomes
from laptop_pricing.kit.modeling.quote import quote_rows
from laptop_pricing.kit.modeling.task import task_of
from laptop_pricing.kit.modeling.train import read_processed
from laptop_pricing.kit.problem import category, integer

LONG = "the finest of all the names that anybody ever gave to anything, number {}"


@pytest.fixture(scope="module")
def drawn(trained):
    """``drawn(problem)``: the figures of a trained project, by name, and its metrics."""
    known = {}

    def draw(problem):
        if problem.name in known:
            return known[problem.name]
        project, task = trained(problem), task_of(problem)
        table, _ = read_processed(project)
        metrics, params = json.loads(project.metrics.read_text()), project.params.train
        model = load_bundle(project.models, problem)
        folds, predictions = evaluate.cross_validate(project.model(), problem, table, params)
        covered, found = task.covered(predictions, params), model.explain(table)
        slices = evaluate.large(evaluate.slices(problem, predictions, table))
        curve = pd.concat([folds.assign(share=0.5, rows=100), folds.assign(share=1.0)])
        effects = pd.DataFrame(found.effects, columns=problem.names)
        row, _ = problem.read_row(problem.example)
        [answer] = quote_rows(problem, model, [row], None)
        floor = evaluate.noise_floor(problem, table, predictions)
        lines = drift.compare(drift.make_reference(table[[*problem.names]]), table[::2])
        figures = {name: plot[0] for name, plot in task.plots(covered, metrics, params).items()}
        figures |= {
            "slices": plots.draw_slices(problem, slices, 0.2)[0],
            "learning_curve": plots.draw_learning_curve(problem, curve, floor, 0.2)[0],
            "factors": plots.draw_factors(problem, effects, bool(found.additive))[0],
            "comparison": plots.draw_comparison(problem, compared(len(table))),
            "drift": draw_drift(problem, lines.assign(drifted=lines["psi"] > 0.01)),
            "target": explore.draw_target(problem, table[problem.target.name]),
            "features": explore.draw_features(problem, table),
            "scores": explore.draw_scores(problem, {"A": folds}, project.params.criteria, floor),
            "reasons": explore.draw_reasons(problem, row, answer),
        }
        for name in explore.explained(problem, table).index:
            figures[f"by {name}"] = explore.draw_by_field(problem, table, name)
        known[problem.name] = figures, metrics
        return known[problem.name]

    return draw


def compared(rows):
    random = np.random.default_rng(0)
    errors = pd.DataFrame(random.uniform(size=(rows, 2)), columns=["candidate", "champion"])
    return SimpleNamespace(errors=errors)


def boxes(figure):
    """The texts of a figure, and where they stand."""
    figure.draw_without_rendering()
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            least = (high - low) * 1e-9
            for tick in axis.get_major_ticks():
                seen = low - least <= tick.get_loc() <= high + least and axes.axison
                hidden |= set() if seen else {tick.label1, tick.label2}
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    return [(t.get_text(), t.get_window_extent()) for t in texts if t not in hidden]


def faults(figure):
    """Texts that leave the figure, and pairs that overlap."""
    found, (width, height) = boxes(figure), figure.bbox.size
    for place, (text, box) in enumerate(found):
        if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1:
            yield f"{text!r} is cut"
        for other, its in found[:place]:
            if (
                min(box.x1, its.x1) - max(box.x0, its.x0)
                > 1
                < min(box.y1, its.y1) - max(box.y0, its.y0)
            ):
                yield f"{text!r} overlaps {other!r}"


@each_problem
def test_no_text_is_cut_or_overlaps_another(problem, drawn):
    figures, _ = drawn(problem)
    assert {name: [*faults(figure)] for name, figure in figures.items() if [*faults(figure)]} == {}


def test_nor_where_names_are_long_and_levels_many():
    names = [LONG.format(i) for i in range(40)]
    many = category("many", "What has many values and a long name that goes on and on", names)
    target = integer("target", "What is to be predicted, if it can be", "", 1, 10_000_000)
    other = replace(many, name="other")
    problem = replace(MADE, features=(many, other), target=target, slice_by="many")
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {"many": random.choice(names, 2000), "target": random.uniform(1, 1e7, 2000)}
    )
    table["other"] = table["many"]
    lines = pd.DataFrame({"by": "many", "slice": names, "rows": 50, "MAPE": np.arange(40) / 100})
    figures = [
        plots.draw_slices(problem, lines, 0.2)[0],
        explore.draw_by_field(problem, table, "many"),
        explore.draw_features(problem, table),
        explore.draw_target(problem, table["target"]),
        plots.draw_slices(problem, lines.head(0), None)[0],
    ]
    assert [fault for figure in figures for fault in faults(figure)] == []


def said(figure):
    return " ".join(text.get_text() for text in figure.findobj(Text)).replace("\n", " ")


@each(LAPTOPS, DIABETES, MADE, GAINS)
def test_a_figure_shows_the_numbers_of_the_summary(problem, drawn):
    """The summary once said 89.2 %, and the figure 89.4 %."""
    figures, metrics = drawn(problem)
    task, found = task_of(problem), metrics["interval"]
    assert f"holds {found['coverage']:.1%} of" in said(figures["intervals"])
    assert f"held {found['coverage']:.1%}" in dict(task.evidence(metrics))["Interval"]
    assert f"low {found['thirds']['low']:.1%}" in said(figures["intervals"])
    whole = task.tell_error(metrics["cv"][task.error_name]["mean"])
    assert f"mean error is {whole}" in said(figures["learning_curve"])


def test_its_numbers_are_of_all_seeds_though_its_dots_are_of_one():
    rows = pd.DataFrame({"seed": [0, 0, 1, 1], "row": [0, 1, 0, 1], "actual": [400.0, 900] * 2})
    rows = rows.assign(predicted=rows["actual"], low=rows["actual"] / 2, high=2 * rows["actual"])
    found = {"coverage": 0.75, "thirds": {"low": 0.5, "middle": 1.0, "high": 0.6}}
    covered = rows.assign(third="low", inside=[True, True, False, True])
    figure, points = plots.draw_intervals(MADE, covered, found)
    assert "holds 75.0% of" in said(figure) and "low 50.0%, middle 100.0%" in said(figure)
    assert len(points) == 2 and points["inside"].all()


@each(LOANS, GRADES)
def test_so_does_a_figure_of_classes(problem, drawn):
    figures, metrics = drawn(problem)
    told = dict(task_of(problem).evidence(metrics))
    assert told["Accuracy"] in said(figures["predictions"])
    assert told["Chances"] in said(figures["calibration"])
    assert f"{metrics['decision']['cost']:.3g} per row" in said(figures["costs"])


def test_columns_bear_the_names_that_people_use(drawn):
    figures, _ = drawn(LAPTOPS)
    for name in ("factors", "features", "drift", "reasons"):
        assert "Graphics memory" in said(figures[name]) and "graphic_card_gb" not in said(
            figures[name]
        )
    assert integer("a", "Memory (RAM), of all", "GB", 1, 2).axis == "Memory (RAM, GB)"
    assert integer("a", "Age", "year", 1, 2).axis == "Age (years)"


def test_bytes_do_not_depend_on_the_settings_of_a_machine(tmp_path):
    made = []
    for name, size in (("a", 10), ("b", 20)):
        with rc_context({"font.size": size, "savefig.facecolor": "red", "axes.grid": True}):
            figure = draw_outcomes(np.arange(50) % 9 == 0, np.zeros(50), 0.15)
            plots.save_figure(figure, tmp_path / f"{name}.png")
            made.append(((tmp_path / f"{name}.png").read_bytes(), as_svg(figure)))
    assert made[0] == made[1] and "88.0%" in said(figure)
    assert imread(tmp_path / "a.png").shape[1] == 2100  # 7 inches at 300 dpi
