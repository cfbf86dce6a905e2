"""Sums instead of rows: the same fits, and the same choice as scikit-learn's search."""

import numpy as np
import pytest
from problems import GAINS, LAPTOPS, MADE, each, make_params, plain, write_raw
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold

from laptop_pricing.kit.data.read import read_dataset
from laptop_pricing.kit.data.table import features, validate
from laptop_pricing.kit.modeling import sums
from laptop_pricing.kit.modeling.factor_ridge import FactorRidge
from laptop_pricing.kit.modeling.search import search, shares_sums
from laptop_pricing.kit.modeling.sums import add_up, gather, gather_sums
from laptop_pricing.kit.modeling.task import task_of

WAYS = [("log", True), ("log", False), ("identity", True), ("identity", False)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """``made(problem, rows)``: features and targets. Read only."""

    def give(problem, rows=400):
        path = tmp_path_factory.mktemp("rows") / problem.raw_file
        write_raw(problem, path, rows)
        table, _ = validate(read_dataset(path, problem, None), problem.columns, problem.rules)
        return features(problem.features, table), task_of(problem).learned(table)

    return give


def _fitted(ridge, rows, link, weighted):
    [solution] = rows.solve([ridge.alpha], link, weighted)
    return ridge.set_params(link=link, weighted=weighted).take(rows.questions, solution)


@each(LAPTOPS, MADE, GAINS)
def test_sums_and_rows_have_the_same_solution(problem, made):
    X, y = made(problem)
    ridge, values = plain(problem), y.to_numpy(float)
    for link, weighted in WAYS if values.min() > 0 else [("identity", False)]:
        asked = ridge.questions(X)
        few = asked.n_columns // 2 + 1  # so that they are few
        own = gather(asked, X.head(few - 1), values[: few - 1], [weighted])
        assert isinstance(own, sums.Rows)
        summed = gather_sums(asked, X.head(few - 1), values[: few - 1], [weighted])
        expected = _fitted(ridge, own, link, weighted).predict(X)
        np.testing.assert_allclose(
            _fitted(ridge, summed, link, weighted).predict(X), expected, rtol=1e-8
        )


@each(MADE, GAINS)
def test_the_sums_of_parts_are_those_of_the_whole(problem, made, monkeypatch):
    X, y = made(problem, 1000)
    ridge, values = plain(problem), y.to_numpy(float)
    asked, link, ways = ridge.questions(X), ridge.link, [ridge.weighted]
    whole = gather(asked, X, values, ways)
    assert isinstance(whole, sums.Sums) and whole.rows == len(X)
    monkeypatch.setattr(sums, "_BLOCK", 7)
    cuts = [0, 1, 400, 401, len(X)]
    parts = [slice(*ends) for ends in zip(cuts, cuts[1:])]
    added = add_up(gather_sums(asked, X.iloc[part], values[part], ways) for part in parts)
    assert added.rows == len(X) and added.least == values.min()
    added = added._replace(median=float(np.median(values)))
    expected = _fitted(ridge, whole, link, ways[0]).predict(X)
    found = _fitted(ridge, added, link, ways[0]).predict(X)
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    assert expected.std() > 0.3 * values.std()


def test_many_rows_give_scikit_learns_ridge(made):
    X, y = made(GAINS, 1000)
    ridge = FactorRidge([c for c in GAINS.features if c.kind == "flag"], link="identity", alpha=3)
    ridge.set_params(weighted=False)
    names = [c.name for c in ridge.columns]
    assert isinstance(gather(ridge.questions(X), X, y.to_numpy(float), [False]), sums.Sums)
    matrix = ridge.questions(X).matrix(X)[0]
    expected = Ridge(alpha=3).fit(matrix, y).predict(matrix)
    np.testing.assert_allclose(ridge.fit(X[names], y).predict(X[names]), expected, rtol=1e-7)


@pytest.mark.parametrize("rows", [60, 1000], ids=["fewer rows than columns", "more"])
@each(LAPTOPS, MADE)
def test_the_search_chooses_as_scikit_learns_does(problem, rows, made):
    X, y = made(problem, rows)
    groups = np.arange(len(X)) // 3
    crossed = [problem.features[0].name] if rows < 100 else []
    model = GridSearchCV(
        FactorRidge(problem.features, crossed),
        {"alpha": [0.5, 4, 100], "link": ["log", "identity"], "weighted": [True, False]},
        scoring=make_params(LAPTOPS).model["scoring"],
        cv=GroupKFold(3, shuffle=True, random_state=0),
    )
    assert shares_sums(model)
    found, expected = search(model, X, y, groups), model.fit(X, y, groups=groups)
    assert found.best_params_ == expected.best_params_
    assert found.best_score_ == pytest.approx(expected.best_score_, rel=1e-8)
    np.testing.assert_allclose(found.predict(X), expected.predict(X), rtol=1e-8)


def test_other_searches_are_left_to_scikit_learn():
    ridge = FactorRidge(MADE.features)
    assert not shares_sums(GridSearchCV(ridge, {"knots": [3, 5]}))
    assert not shares_sums(GridSearchCV(Ridge(), {"alpha": [3, 5]}))
    assert not shares_sums(ridge)
