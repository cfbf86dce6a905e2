"""The evaluation can fail: figures that are too good to be true are noticed.

They hold for any data and any model of the project, so keep them when you change either. They run
on the data in data/raw where they are there, else on the synthetic sample.
"""

import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from sklearn.compose import ColumnTransformer

from laptop_pricing.data.preprocess import preprocess
from laptop_pricing.data.schema import COLUMNS, FEATURES, TARGET
from laptop_pricing.data.split import is_held_out
from laptop_pricing.modeling import evaluate
from laptop_pricing.modeling.evaluate import cross_validate, noise_floor, score, summarise
from laptop_pricing.modeling.pipeline import choose_alpha, fit_pipeline
from laptop_pricing.modeling.train import read_processed
from laptop_pricing.settings import Workspace

CHANCE = 0.1  # the largest R2 of a model that cannot know the target
NEARLY_PERFECT = 0.98
KNOWN_LATER = [column.name for column in COLUMNS if column.name not in FEATURES]


@pytest.fixture(scope="module")
def table(sample_csv, params, tmp_path_factory):
    """The data in data/raw, else the sample, as the model is given them. Read only."""
    workspace = Workspace(tmp_path_factory.mktemp("evidence"))
    workspace.raw.parent.mkdir(parents=True)
    ours = Workspace(ROOT).raw
    shutil.copyfile(ours if ours.is_file() else sample_csv, workspace.raw)
    preprocess(workspace, params.preprocess)
    return read_processed(workspace)[0]


@pytest.fixture(scope="module")
def twins(table):
    """Each row twice, so that every row has a twin that could give it away. Read only."""
    return pd.concat([table, table], ignore_index=True)


@pytest.fixture(scope="module")
def few(params):
    """Three folds, one seed."""
    return params.train


@pytest.fixture(scope="module")
def validated(table, few):
    return cross_validate(table, few)


def shared(one, other):
    return set(one["specification"]) & set(other["specification"])


# A target that nothing can predict


def test_the_true_target_can_be_predicted(validated):
    """Else those below would pass for a model that learns nothing."""
    assert summarise(validated[0])["R2"]["mean"] > 2 * CHANCE


def shuffled(table, random):
    """Each row gets the target of another."""
    return random.permutation(table[TARGET])


def shuffled_between_specifications(table, random):
    """Each specification gets, in all of its rows, the target of another."""
    targets = table.groupby("specification")[TARGET].first()
    targets[:] = random.permutation(targets)
    return table["specification"].map(targets)


def random_per_specification(table, random):
    return np.exp(random.normal(0, 0.6, table["specification"].max() + 1))[table["specification"]]


class ByHeart:
    """What knows the specifications that it has seen, and nothing about any other."""

    def __init__(self, train, params):
        self.mean = train[TARGET].mean()
        self.known = train.groupby("specification")[TARGET].mean()

    def predict(self, test):
        return test["specification"].map(self.known).fillna(self.mean).to_numpy()


@pytest.mark.parametrize(
    "invented", [shuffled, shuffled_between_specifications, random_per_specification]
)
@pytest.mark.parametrize("fit", [pytest.param(fit_pipeline, marks=pytest.mark.services), ByHeart])
def test_a_target_without_a_reason_cannot_be_predicted(table, few, fit, invented):
    """Not even by what knows the twin of a row, and each has one here."""
    found = table.assign(**{TARGET: invented(table, np.random.default_rng(0))})
    twins = pd.concat([found, found], ignore_index=True)
    if invented is not shuffled:
        assert score(twins[TARGET], ByHeart(twins, few).predict(twins))["R2"] > NEARLY_PERFECT
    assert summarise(cross_validate(twins, few, fit)[0])["R2"]["mean"] <= CHANCE


# A copy of the target


def given_away(values, target):
    """How much of the target's variance a feature explains, at most.

    Two rows with equal values, or neighbours among numbers, differ in the target by what the
    feature cannot explain.
    """
    mixed = np.random.default_rng(0).permutation(len(values))  # the file itself may be sorted
    values, target = values.to_numpy()[mixed], target.to_numpy()[mixed]
    order = np.argsort(values, kind="stable")
    steps = np.diff(target[order])
    if values.dtype == object:
        steps = steps[values[order][1:] == values[order][:-1]]
    return 1 - np.mean(steps**2) / (2 * target.var())


@pytest.mark.parametrize("name", FEATURES)
def test_no_single_feature_gives_the_target_away(table, name):
    assert given_away(table[name], np.log(table[TARGET])) < NEARLY_PERFECT


def test_a_feature_that_does_is_noticed(table):
    target = table[TARGET]
    band = target.rank() // 9
    for copy in (-target, target.round(-1), band, band.astype(str)):
        assert given_away(copy, np.log(target)) > NEARLY_PERFECT


def test_nothing_that_the_ridge_is_given_gives_the_target_away(table, few):
    """Spearman's rank correlation of every term with the target, products among them."""
    terms = pd.DataFrame(fit_pipeline(table, few).regressor_[:-1].transform(table))
    terms = terms.loc[:, terms.nunique() > 1]
    found = terms.rank().corrwith(table[TARGET].rank().reset_index(drop=True)).abs()
    assert len(found) > len(FEATURES) and found.notna().all()
    assert found.max() < NEARLY_PERFECT, f"term {found.idxmax()} gives the target away"


def test_the_model_is_not_better_than_the_data_allow(table, validated):
    """Rows of one specification have different targets, between which no feature can tell."""
    floor, _ = noise_floor(table)
    if np.isnan(floor):
        pytest.skip("no specification is listed twice in these data")
    repeated = table.index[table["specification"].duplicated(keep=False)]
    predictions = validated[1][validated[1]["row"].isin(repeated)]
    error = (predictions["predicted"] / predictions["actual"] - 1).abs().mean()
    assert error >= floor, "figures that are too good: does a feature know the target?"


# A specification on both sides


class Watched:
    """A model that remembers what it was asked to predict."""

    def __init__(self, train, params):
        self.train, self.model = train, fit_pipeline(train, params)

    def predict(self, test):
        self.test = test
        return self.model.predict(test)


def test_no_specification_is_on_both_sides_of_an_outer_fold(twins, few):
    watched = []

    def fit(train, params):
        watched.append(Watched(train, params))
        return watched[-1]

    cross_validate(twins, few, fit)
    assert len(watched) == few.folds * len(few.seeds)
    for fold in watched:
        assert not shared(fold.train, fold.test)
    tested = pd.concat([fold.test for fold in watched])
    assert sorted(tested.index) == sorted(twins.index)


def test_no_specification_is_on_both_sides_of_an_inner_fold(twins, few, monkeypatch):
    """What each encoder learned from, and what else it was then asked to encode."""
    seen, asked = [], []
    fit_transform, transform = ColumnTransformer.fit_transform, ColumnTransformer.transform

    def learn(self, table, *more, **named):
        seen.append((self, table))
        return fit_transform(self, table, *more, **named)

    def encode(self, table, **named):
        learned = next(known for encoder, known in reversed(seen) if encoder is self)
        asked.append((learned, table))
        return transform(self, table, **named)

    monkeypatch.setattr(ColumnTransformer, "fit_transform", learn)
    monkeypatch.setattr(ColumnTransformer, "transform", encode)
    choose_alpha(twins, few)
    assert len(seen) == few.inner_folds
    unseen = [(learned, other) for learned, other in asked if not other.equals(learned)]
    for learned, other in unseen:
        assert not shared(learned, other)
    judged = pd.concat([other for _, other in unseen])
    assert sorted(judged.index) == sorted(twins.index)


def test_no_specification_is_on_both_sides_of_the_hold_out(table):
    held_out = is_held_out(table["key"])
    assert 0.05 < held_out.mean() < 0.4
    assert not shared(table[held_out], table[~held_out])


@pytest.mark.parametrize("moved", [1, 40])
def test_an_evaluation_on_leaking_folds_is_refused(twins, few, monkeypatch, moved):
    """So is one in which a single row is on both sides."""
    grouped_folds = evaluate.grouped_folds

    def leaking(groups, folds, seeds):
        for seed, fold, train, test in grouped_folds(groups, folds, seeds):
            yield seed, fold, np.append(train, test[:moved]), test

    monkeypatch.setattr(evaluate, "grouped_folds", leaking)
    with pytest.raises(ValueError, match=r"\d+ specifications on both sides of fold 0"):
        cross_validate(twins, few)


# What is only known later


def rewritten(table, names):
    """The table with other values, drawn from its own, in the named columns."""
    random = np.random.default_rng(0)
    return table.assign(**{name: random.permutation(table[name]) for name in names})


def test_what_is_known_later_changes_no_prediction(table, few):
    assert TARGET in KNOWN_LATER
    model = fit_pipeline(table, few)
    for other in (rewritten(table, KNOWN_LATER), table.drop(columns=KNOWN_LATER)):
        np.testing.assert_array_equal(model.predict(other), model.predict(table))


def test_what_is_known_later_changes_no_score(table, few, validated):
    late = [name for name in KNOWN_LATER if name != TARGET]
    if not late:
        pytest.skip("beside the target all columns are features")
    folds, predictions = cross_validate(rewritten(table, late), few)
    pd.testing.assert_frame_equal(folds, validated[0], check_exact=True)
    pd.testing.assert_frame_equal(predictions, validated[1], check_exact=True)
