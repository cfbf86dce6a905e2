"""The evaluation can fail: figures that are too good to be true are noticed.

They hold for any data and any model of the project, so keep them when you change either. They run
on the data in data/raw where they are there, else on the synthetic sample.
"""

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, processed
from outputs import CHANCE, CLASSES, TASK, as_learned, invented, signal
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.model_selection import KFold
from sklearn.model_selection._search import BaseSearchCV

from laptop_pricing.kit.data.split import is_held_out
from laptop_pricing.kit.data.table import GROUP, KEY, features
from laptop_pricing.kit.modeling.evaluate import cross_validate, fit, noise_floor
from laptop_pricing.kit.modeling.task import outputs
from laptop_pricing.kit.modeling.train import read_processed
from laptop_pricing.problem import PROBLEM

TARGET = PROBLEM.target.name
NEARLY_PERFECT = 0.98
KNOWN_LATER = [column.name for column in PROBLEM.late]


class ByHeart(ClassifierMixin if CLASSES else RegressorMixin, BaseEstimator):
    """What knows the rows that it has seen, and nothing about any other."""

    def __init__(self, memory=True):
        self.memory = memory

    def fit(self, X, y):
        self.classes_ = np.arange(len(CLASSES))
        learned = as_learned(y)
        self.mean_ = learned.mean(axis=0)
        self.known_ = dict(zip(self._keys(X), learned)) if self.memory else {}
        return self

    def predict_proba(self, X):
        return np.array([self.known_.get(key, self.mean_) for key in self._keys(X)])

    def predict(self, X):
        found = self.predict_proba(X)
        return found.argmax(axis=1) if CLASSES else found

    def _keys(self, X):
        return list(X.astype(str).agg("|".join, axis=1))


@pytest.fixture(scope="module")
def project(sample_csv, params, tmp_path_factory):
    """The data in data/raw, else the sample, as the model is given them. Read only."""
    ours = ROOT / "data" / "raw" / PROBLEM.raw_file
    return processed(
        tmp_path_factory.mktemp("evidence"), ours if ours.is_file() else sample_csv, params
    )


@pytest.fixture(scope="module")
def table(project):
    return read_processed(project)[0]


@pytest.fixture(scope="module")
def validate(project):
    """``validate(table, model)``: the folds and predictions, by the project's model or another."""

    def run(table, model=None):
        return cross_validate(model or project.model(), PROBLEM, table, project.params.train)

    return run


@pytest.fixture(scope="module")
def validated(validate, table):
    return validate(table)


# A target that nothing can predict


def test_the_true_target_can_be_predicted(validated):
    """Else those below would pass for a model that learns nothing."""
    if (ROOT / "data" / "raw" / PROBLEM.raw_file).is_file() and signal(validated) <= 2 * CHANCE:
        pytest.skip(f"{signal(validated):.2f}: these columns say little about the target")
    assert signal(validated) > 2 * CHANCE


def shuffled(table, random):
    """Each group gets, in all of its rows, the target of another."""
    targets = table.groupby(GROUP)[TARGET].first()
    targets[:] = random.permutation(targets)
    return table[GROUP].map(targets)


def drawn(table, random):
    return invented(random, table[GROUP].max() + 1)[table[GROUP]]


BY_HEART = [(shuffled, False), (drawn, False)]


@pytest.mark.parametrize(
    "make, ours", [*BY_HEART, pytest.param(shuffled, True, marks=pytest.mark.services)]
)
def test_a_target_without_a_reason_cannot_be_predicted(validate, table, make, ours):
    """Not even by what knows the twin of a row, and each has one here."""
    found = table.assign(**{TARGET: make(table, np.random.default_rng(0))})
    twins = pd.concat([found, found], ignore_index=True)
    assert signal(validate(twins, None if ours else ByHeart())) <= CHANCE


def test_without_groups_a_twin_would_give_the_target_away(validate, table):
    """So the test above can fail."""
    found = table.assign(**{TARGET: drawn(table, np.random.default_rng(0))})
    twins = pd.concat([found, found], ignore_index=True)
    leaking = twins.assign(**{GROUP: np.random.default_rng(0).permutation(len(twins))})
    assert signal(validate(leaking, ByHeart())) > 5 * CHANCE


def test_the_inner_folds_keep_groups_together(project, table):
    """A search among the project's own folds must not find that learning by heart pays."""
    model = project.model()
    if not isinstance(model, BaseSearchCV):
        pytest.skip("this model chooses nothing by folds")
    found = table.assign(**{TARGET: drawn(table, np.random.default_rng(0))})
    twins = pd.concat([found, found], ignore_index=True)
    search = clone(model).set_params(estimator=ByHeart(), param_grid={"memory": [False, True]})
    assert fit(search, PROBLEM, twins).best_params_ == {"memory": False}
    leaking = search.set_params(cv=KFold(2, shuffle=True, random_state=0))
    assert fit(leaking, PROBLEM, twins).best_params_ == {"memory": True}


# A copy of the target


def given_away(values, target):
    """How much of the target's variance a feature explains, at most.

    Two rows with equal values, or neighbours among numbers, differ in the target by what the
    feature cannot explain.
    """
    mixed = np.random.default_rng(0).permutation(len(values))  # the file itself may be sorted
    values = values.astype(str) if values.dtype in (object, "boolean") else values
    values, target = values.to_numpy()[mixed], target.to_numpy()[mixed]
    order = np.argsort(values, kind="stable")
    steps = np.diff(target[order])
    if values.dtype == object:
        steps = steps[values[order][1:] == values[order][:-1]]
    return 1 - np.mean(steps**2) / (2 * target.var())


def scaled(target):
    return np.log(target) if PROBLEM.relative else target  # of classes their places


@pytest.mark.parametrize("name", PROBLEM.names)
def test_no_single_feature_gives_the_target_away(table, name):
    assert given_away(table[name], scaled(TASK.learned(table))) < NEARLY_PERFECT


def test_a_feature_that_does_is_noticed(table):
    target = TASK.learned(table)
    band, percent = target.rank() // 9, (100 * target / target.std()).round()
    for copy in (band.astype(str), *([] if CLASSES else [-target, percent, band])):
        assert given_away(copy, scaled(target)) > NEARLY_PERFECT


def test_the_model_is_not_better_than_the_data_allow(table, validated):
    """Equal cases have different targets, between which no feature can tell."""
    floor, _, own = noise_floor(PROBLEM, table, validated[1])
    if np.isnan(floor):
        pytest.skip("no case is listed twice in these data")
    assert own >= floor, "figures that are too good: does a feature know the target?"


# The hold-out, and what is only known later


def test_no_group_is_on_both_sides_of_the_hold_out(table):
    held_out = is_held_out(table[KEY])
    assert 0.05 < held_out.mean() < 0.4
    assert not set(table[held_out][GROUP]) & set(table[~held_out][GROUP])


def test_what_is_known_later_changes_nothing(project, table, validate, validated):
    random = np.random.default_rng(0)
    later = {name: random.permutation(table[name]) for name in KNOWN_LATER}
    model = fit(project.model(), PROBLEM, table)
    first, *others = (
        outputs(model, features(PROBLEM.features, other), CLASSES)
        for other in (
            table,
            table.assign(**later, **{TARGET: 1.0}),
            table.drop(columns=KNOWN_LATER),
        )
    )
    assert all((predicted == first).all() for predicted in others)
    folds, predictions = validate(table.assign(**later))
    pd.testing.assert_frame_equal(folds, validated[0], check_exact=True)
    pd.testing.assert_frame_equal(predictions, validated[1], check_exact=True)


def test_a_perfect_score_is_what_it_says():
    actual = np.array([0, 1]) if CLASSES else np.array([1.0, 2.0, 4.0])
    assert TASK.score(actual, as_learned(actual))[TASK.score_name] == 1
