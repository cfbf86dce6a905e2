"""Classes: chances, sets, costs and folds, each against what is known by other means."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import GRADES, LOANS, MADE, each_class
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn import metrics
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from laptop_pricing.kit.console import print_quote
from laptop_pricing.kit.data.preprocess import TABLE_FILE, preprocess
from laptop_pricing.kit.data.split import StratifiedGroups
from laptop_pricing.kit.data.table import GROUP
from laptop_pricing.kit.errors import UserError
from laptop_pricing.kit.modeling.bundle import load_bundle
from laptop_pricing.kit.modeling.factor_logistic import FactorLogistic, fit_logistic
from laptop_pricing.kit.modeling.quote import quote_rows
from laptop_pricing.kit.modeling.sets import (
    calibration_error,
    cost_curve,
    cost_matrix,
    decide,
    least_chances,
    sets,
    share_margin,
    threshold,
)
from laptop_pricing.kit.modeling.task import task_of
from laptop_pricing.kit.modeling.train import train
from laptop_pricing.kit.problem import category, flag, integer

COLOURS, LADDERS = ("red", "green", "blue"), (("old", "new"), ("none",))
COLUMNS = (
    category("colour", "", COLOURS, unknown=True),
    category("state", "", sum(LADDERS, ()), ladders=LADDERS),
    integer("size", "", "", 0, 9, levels=(0, 2, 5, 9)),
    flag("big", ""),
)


def made(random, rows):
    """Features at random, a few of them unknown."""
    columns = {c.name: c.allowed or c.levels or (False, True) for c in COLUMNS}
    table = pd.DataFrame({name: random.choice(v, rows) for name, v in columns.items()})
    return table.assign(colour=table["colour"].where(random.random(rows) > 0.1, None))


def drawn(rows=20_000, seed=0, sharper=1.0):
    """Classes drawn by chances, and these: of the last class 5 %."""
    random = np.random.default_rng(seed)
    scores = random.normal([0.5, 0, -2.6], 1.2, (rows, 3))
    chances = softmax(scores, axis=1)
    actual = (random.random((rows, 1)) > chances.cumsum(axis=1)).sum(axis=1)
    return np.minimum(actual, 2), softmax(sharper * scores, axis=1)


# The logistic regression


@pytest.mark.parametrize("classes", [2, 3])
def test_it_is_scikit_learns_where_nothing_is_bounded(classes):
    random = np.random.default_rng(0)
    X, y = made(random, 300)[["colour", "big"]].fillna("red"), random.integers(classes, size=300)
    columns = (category("colour", "", COLOURS), flag("big", ""))
    ours = FactorLogistic(columns, alpha=0.7).fit(X, y).predict_proba(X)
    plain = pd.get_dummies(X[["colour"]]).assign(big=X["big"]).astype(float)
    theirs = LogisticRegression(C=1 / 0.7, tol=1e-10, max_iter=10_000).fit(plain, y)
    np.testing.assert_allclose(ours, theirs.predict_proba(plain), atol=1e-6)


def test_under_bounds_it_is_scipys():
    random = np.random.default_rng(0)
    X, bounded = random.normal(size=(300, 6)), np.arange(6) < 4
    y = random.random(300) < 1 / (1 + np.exp(-X @ [1, -1, 0.5, -0.2, 1, -1]))
    coef, intercept = fit_logistic(X, y, bounded, 0.5)

    def objective(values):
        scores = X @ values[:-1] + values[-1]
        loss = np.logaddexp(0, scores).sum() - y @ scores
        slope = 1 / (1 + np.exp(-scores)) - y
        gradient = [*(X.T @ slope + 0.5 * values[:-1]), slope.sum()]
        return loss + 0.25 * (values[:-1] ** 2).sum(), np.array(gradient)

    limits = [(0 if low else None, None) for low in [*bounded, False]]
    found = minimize(objective, np.zeros(7), jac=True, bounds=limits, options={"ftol": 1e-15})
    np.testing.assert_allclose([*coef, intercept], found.x, atol=1e-5)
    assert (coef[[1, 3]] == 0).all() and (coef[[0, 2]] > 0).all() and coef[5] < 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.01, 1]), st.sampled_from(["", "big", "size"]))
def test_no_step_up_lowers_the_chance_of_the_second_class(seed, alpha, crossed):
    random = np.random.default_rng(seed)
    X, y = made(random, 60), random.permutation(np.arange(60) < random.integers(3, 57))
    model = FactorLogistic(COLUMNS, (crossed,) if crossed else (), alpha).fit(X, y)
    cases = made(random, 200)
    for name, ladder in (("state", LADDERS[0]), ("size", range(10))):
        chances = [model.predict_proba(cases.assign(**{name: step}))[:, 1] for step in ladder]
        assert (np.diff(chances, axis=0) >= -1e-12).all(), name


def test_a_target_of_one_class_is_refused():
    with pytest.raises(ValueError, match=r"the target: found \[1\]; expected two classes"):
        FactorLogistic(COLUMNS).fit(made(np.random.default_rng(0), 9), np.ones(9, int))


# Figures


@each_class
def test_the_score_is_scikit_learns(problem):
    (actual, chances), task = drawn(500), task_of(problem)
    if problem is LOANS:
        actual, chances = (actual > 0).astype(int), np.c_[chances[:, 0], 1 - chances[:, 0]]
    found, said = task.score(actual, chances), chances.argmax(axis=1)
    auc = chances[:, 1] if problem is LOANS else chances
    theirs = {
        "log_loss": metrics.log_loss(actual, chances),
        "Brier": metrics.brier_score_loss(actual, auc) if problem is LOANS else found["Brier"],
        "ROC_AUC": metrics.roc_auc_score(actual, auc, multi_class="ovr"),
        "accuracy": metrics.accuracy_score(actual, said),
        "balanced_accuracy": metrics.balanced_accuracy_score(actual, said),
    }
    assert found == pytest.approx(theirs)
    sums = np.array([*map(np.sum, task.sums(actual, chances).values())])
    sums[0] = len(actual)
    assert task.from_sums(sums).items() <= {n: pytest.approx(v) for n, v in found.items()}.items()


def test_calibration_error_is_small_for_true_chances_alone():
    assert calibration_error(*drawn()) < 0.01
    assert calibration_error(*drawn(sharper=3)) > 0.05
    assert calibration_error(*drawn(sharper=0.3)) > 0.05


# Sets


def test_sets_hold_nine_in_ten_of_each_class_also_of_a_rare_one():
    actual, chances = drawn(40_000)
    known = np.arange(len(actual)) % 2 == 0
    least = least_chances(actual[known], chances[known], 1)
    held = sets(chances[~known], least)
    for place, share in enumerate((0.55, 0.40, 0.05)):
        own = actual[~known] == place
        assert own.mean() == pytest.approx(share, abs=0.1 * share + 0.03)
        assert held[own, place].mean() == pytest.approx(0.9, abs=2 * share_margin(own.sum()))
    assert share_margin(900) == pytest.approx(1.96 * 0.01)


def test_the_least_chance_by_hand():
    rows = np.arange(1, 20) / 20
    for count, copies, expected in ((8, 1, 0), (9, 1, 0.05), (19, 1, 0.1), (17, 3, 0.1)):
        chances = np.c_[rows, rows][:count]
        assert least_chances(np.zeros(count, int), chances, copies)[0] == pytest.approx(expected)
    assert sets(np.array([[0.1, 0.0999]]), [0.1, 0.1]).tolist() == [[True, False]]


# Costs

COSTS = cost_matrix(("no", "yes"), {"yes": {"no": 4}})


def test_the_class_to_say_is_the_cheapest_and_of_equal_ones_the_likelier():
    assert COSTS.tolist() == [[0, 1], [4, 0]] and threshold(COSTS) == 0.2
    chance = np.linspace(0, 1, 1001)
    said = decide(np.c_[1 - chance, chance], COSTS)
    assert (said == (chance > 0.2))[chance != 0.2].all()
    three = 1 - np.eye(3)
    assert decide(np.array([[0.2, 0.3, 0.5], [0.4, 0.4, 0.2]]), three).tolist() == [2, 0]
    three[2, 0] = 9  # equal costs of the second and third: the third is likelier
    assert decide(np.array([[0.1, 0.3, 0.6]]), three).tolist() == [2]
    assert decide(np.array([[0.0, 0.2, 0.8]]), [[0, 1, 1], [1, 0, 4], [1, 1, 0]]).tolist() == [2]


def test_the_threshold_of_true_chances_costs_hardly_more_than_the_best_in_hindsight():
    actual, chances = drawn()
    actual, chance = (actual > 0).astype(int), 1 - chances[:, 0]
    at, curve = cost_curve(actual, chance, COSTS)
    ours = COSTS[actual, (chance >= threshold(COSTS)).astype(int)].mean()
    assert curve.min() <= ours * (1 + 1e-9) and ours < 1.02 * curve.min() < 0.8 * curve[0]
    assert curve[at == threshold(COSTS)] == pytest.approx(ours)


def test_the_cost_curve_is_a_count_also_where_chances_are_tied():
    random = np.random.default_rng(0)
    actual, chance = random.integers(2, size=200), random.choice([0, 0.25, 0.5, 1], 200)
    at, curve = cost_curve(actual, chance, COSTS)
    counted = [COSTS[actual, (chance >= limit).astype(int)].mean() for limit in at]
    np.testing.assert_allclose(curve, counted, atol=1e-12)


# Folds


def test_folds_keep_groups_whole_and_each_has_its_share_of_a_rare_class():
    random = np.random.default_rng(0)
    group = random.permutation(np.repeat(np.arange(1_000), 2))
    rare = group < 20
    for train_rows, test_rows in StratifiedGroups(5, shuffle=True, random_state=1).split(
        group, rare, group
    ):
        assert not set(group[train_rows]) & set(group[test_rows])
        assert len(train_rows) + len(test_rows) == 2_000 and rare[test_rows].sum() == 8


@each_class
def test_a_quote_and_many_predictions_in_words(trained, capsys, problem):
    bundle, row = (
        load_bundle(trained(problem).models, problem),
        problem.read_row(problem.example)[0],
    )
    (quote,) = quote_rows(problem, bundle, [row])
    print_quote(problem, row, quote)
    said = capsys.readouterr().out
    assert said.startswith(f"{quote.prediction}   ") and f"{' or '.join(quote.set)} " in said
    for name, chance in quote.chances.items():
        assert re.search(rf"  {name} +{chance:.1%}  #{{{round(40 * chance)}}}\n", said)
    one, other = quote.odds
    assert f"the odds of {one} against {other} are {quote.base:.3g}, times" in said
    many = pd.DataFrame({"said": ["a", "b", "a", "a"]})
    assert task_of(problem).tell_all(many) == "a 75%, b 25%"


def early(problem, params):
    """As ``adopt`` takes it; it keeps rows of each class apart for itself."""
    return HistGradientBoostingClassifier(early_stopping=True, max_iter=20, random_state=0)


@each_class
@pytest.mark.parametrize("build_model", [None, early], ids=["ours", "boosted"])
def test_a_rare_class_is_learned_and_parts_of_the_learning_curve_have_it(
    new_project, problem, build_model
):
    project = with_few(new_project(problem, build_model=build_model), count=6)
    line = train(project)["classes"][problem.classes[-1]]
    assert line["rows"] == 6 and line["coverage"] > 0.5
    curve = pd.read_csv(project.plots / "learning_curve.csv")
    assert curve["share"].tolist()[-1] == 1  # a part may be too small for other models
    assert build_model or curve["share"].tolist() == [0.125, 0.25, 0.5, 1]


# What cannot be

GRADE, BOUGHT = GRADES.target.allowed, replace(GRADES, bought=True)


def as_it_is(project):
    preprocess(project)
    return project


def with_classes(*allowed):
    other = replace(GRADES, target=category("grade", "", allowed))
    return lambda project: as_it_is(replace(project, problem=other))


def with_few(project, count=2):
    """All but a few rows of the last class are gone."""
    path, name = as_it_is(project).processed / TABLE_FILE, project.problem.target.name
    table = pd.read_parquet(path).drop_duplicates(GROUP)
    rare = table[name] == project.problem.target.read(project.problem.classes[-1])
    table.drop(table.index[rare][count:]).to_parquet(path)
    return project


COST = {"train": {"costs": {"fail": {"pass": 2}}}}
# fmt: off
REFUSED = {  # problem, params, what is changed, what is said
    "a class of few rows": (
        GRADES, {}, with_few,
        "problem.py: grade: found 2 different students of class with honours; expected 3 or more, "
        "as many as train.folds; join it to another, or drop it"),
    "a class without rows": (
        GRADES, {}, with_classes(*GRADE, "absent"),
        "problem.py: grade: found no different students of class absent"),
    "one class": (
        GRADES, {"preprocess": {"max_rejected": 1}}, with_classes("pass"),
        "problem.py: grade: found classes: 1; expected 2"),
    "many classes": (
        GRADES, {}, with_classes(*GRADE, *map(str, range(47))),
        "problem.py: grade: found classes: 50; expected 2 to 20"),
    "classes that differ in case": (
        GRADES, {}, with_classes("Pass", *GRADE), "found classes that differ in case alone"),
    "MAPE of classes": (
        GRADES, {"criteria": {"MAPE": 0.1}}, as_it_is,
        "criteria.MAPE: not measured for this kind of target; expected one of log_loss, Brier"),
    "ROC AUC of numbers": (
        MADE, {"criteria": {"ROC_AUC": 0.6}}, as_it_is,
        "criteria.ROC_AUC: not measured for this kind of target; expected one of R2"),
    "a median of classes": (
        GRADES, {"preprocess": {"median_target": [0, 1]}}, as_it_is,
        "preprocess.median_target: is for numbers; grade is a category; take it out"),
    "offers of classes": (
        GRADES, {}, lambda project: as_it_is(replace(project, problem=BOUGHT)), "bought"),
    "costs of numbers": (MADE, COST, as_it_is, "train.costs: is for classes; rent is a number"),
    "costs of another class": (
        LOANS, COST, as_it_is, "train.costs: found fail, then pass; expected two of No, Yes"),
    "costs of no mistake": (
        GRADES, {"train": {"costs": {"fail": {"fail": 2}}}}, as_it_is,
        "train.costs: found fail, then fail; expected two of fail, pass, with honours"),
}
# fmt: on


@pytest.mark.parametrize("problem, params, change, said", REFUSED.values(), ids=REFUSED)
def test_it_is_refused_in_one_line(new_project, problem, params, change, said):
    project = new_project(problem, **params)
    with pytest.raises(UserError) as error:
        train(change(project))
    assert said in str(error.value) and "\n" not in str(error.value)
    assert not project.models.exists()
