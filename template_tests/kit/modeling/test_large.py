"""A table in parts: what it gives does not depend on how many there are."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from problems import MADE, make_project, plain
from sklearn.model_selection import GridSearchCV, GroupKFold

from laptop_pricing.kit.data.parts import part_paths
from laptop_pricing.kit.data.preprocess import preprocess
from laptop_pricing.kit.data.split import is_held_out
from laptop_pricing.kit.data.table import GROUP, KEY
from laptop_pricing.kit.modeling import large
from laptop_pricing.kit.modeling.bundle import load_bundle
from laptop_pricing.kit.modeling.evaluate import cross_validate, fit
from laptop_pricing.kit.modeling.train import read_processed, train
from laptop_pricing.kit.workers import Workers

# Without numbers that have no levels, so that the questions do not depend on the rows.
FIXED = replace(MADE, features=tuple(c for c in MADE.features if c.name != "area"), example={})
TRAIN = {"folds": 3, "seeds": [0, 1], "repeat_rows": 10_000}


def in_parts(folder, parts, build_model=None, rows=1400, **scale):
    """A processed project of 1,400 rows in about so many parts."""
    scale = {"block_rows": -(-rows // parts), "memory_rows": 600} | scale
    project = make_project(
        folder, FIXED, raw=False, build_model=build_model, train=TRAIN, scale=scale
    )
    from problems import write_raw

    write_raw(FIXED, project.raw, rows)
    preprocess(project)
    return project


def searched(problem, params):
    cv = GroupKFold(3, shuffle=True, random_state=0)
    return GridSearchCV(plain(problem), {"alpha": [1, 20]}, cv=cv, error_score="raise")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """By parts: metrics, predictions of the model, and the parts that there were."""
    found = {}
    for parts in (1, 7, 64):
        project = in_parts(tmp_path_factory.mktemp("large") / "project", parts, searched)
        metrics, (table, _) = train(project), read_processed(project, whole=True)
        bundle = load_bundle(project.models, FIXED)
        predicted = bundle.predict(table.sort_index())
        found[parts] = (
            metrics,
            predicted,
            len(part_paths(project.processed / "table.parquet")),
            project,
        )
    return found


@pytest.mark.parametrize("parts", [7, 64])
def test_the_number_of_parts_changes_nothing(parts, results):
    expected, found = results[1], results[parts]
    assert expected[2] == 1 and found[2] == parts
    assert flat(found[0]) == pytest.approx(flat(expected[0]), rel=1e-8)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-8)


def flat(value, place=""):
    """The numbers of nested dictionaries, by where they stand."""
    if isinstance(value, dict):
        return {k: v for key in value for k, v in flat(value[key], f"{place}/{key}").items()}
    if isinstance(value, list):
        return {f"{place}/{i}": number for i, number in enumerate(value)}
    return {place: value}


def test_all_rows_are_learned_from_and_all_are_predicted(results):
    """As if the whole table were in memory, and the penalties the same."""
    metrics, _, _, project = results[7]
    project = replace(project, build_model=lambda problem, params: plain(problem))
    whole, summary = read_processed(project, whole=True)
    sample, _ = read_processed(project)
    assert 400 < len(sample) < 800 and len(whole) == summary["kept"] > 1200
    params = project.params.train
    learned = large.learn(project, sample, summary["groups"], params, Workers())
    folds, _ = cross_validate(plain(FIXED), FIXED, whole, params)
    pd.testing.assert_frame_equal(learned.folds, folds, rtol=2e-3)  # the weights' median is near
    seen = whole[~is_held_out(whole[KEY])]
    assert learned.rows == len(seen) == metrics["rows"]["trained"]
    expected = fit(plain(FIXED), FIXED, seen).predict(whole)
    np.testing.assert_allclose(learned.model.predict(whole), expected, rtol=2e-3)


def test_the_sample_holds_whole_groups_and_is_the_same_each_time(results):
    project = results[64][-1]
    sample, summary = read_processed(project)
    whole, _ = read_processed(project, whole=True)
    pd.testing.assert_frame_equal(sample, read_processed(results[7][-1])[0])
    assert sample.index.is_monotonic_increasing
    own = whole[whole[GROUP].isin(sample[GROUP])]
    assert sorted(own.index) == list(sample.index)
    assert abs(sample[GROUP].nunique() / summary["groups"] - 600 / summary["kept"]) < 0.01


@pytest.mark.parametrize("groups, folds, seed", [(50, 5, 0), (1001, 7, 4), (12_345, 3, 1)])
def test_folds_are_those_of_scikit_learn(groups, folds, seed):
    found = large.fold_of_groups(groups, folds, seed)
    splitter = GroupKFold(folds, shuffle=True, random_state=seed)
    names = np.arange(groups)
    for fold, (_, test) in enumerate(splitter.split(names, groups=names)):
        assert (np.flatnonzero(found == fold) == test).all()


def test_repetitions_fall_as_rows_grow(results):
    params = results[1][-1].params.train
    assert [len(params.for_rows(n).seeds) for n in (1, 10_000, 19_000, 20_000, 10**7)] == [
        2,
        2,
        1,
        1,
        1,
    ]
    assert json.loads((results[1][-1].metrics).read_text())["rows"]["trained"] > 900
