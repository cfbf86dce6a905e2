"""The constrained Ridge: the minimum, whichever way it is found."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from laptop_pricing.kit.modeling.ridge import fit_ridge

SHAPES = [(60, 20), (20, 40), (5, 60)]


def made(rows, columns, seed=0):
    random = np.random.default_rng(seed)
    X = random.normal(size=(rows, columns))
    return X, X @ random.normal(size=columns) + 3, random.uniform(0.2, 2, rows)


def assert_minimum(X, y, bounded, alpha, weights, coef, intercept):
    """The conditions of Karush, Kuhn and Tucker."""
    residual = y - intercept - X @ coef
    slope = X.T @ (weights * residual) - alpha * coef
    scale = 1e-7 * (1 + abs(X).max()) * (1 + abs(y).max()) * len(X)
    assert abs((weights * residual).sum()) < scale
    assert (coef[bounded] >= 0).all()
    assert (abs(slope[~bounded | (coef > 1e-9)]) < scale).all()
    assert (slope[bounded] < scale).all()


@pytest.mark.parametrize("alpha", [0.5, 50])
@pytest.mark.parametrize("rows, columns", SHAPES)
@pytest.mark.parametrize("positive", [False, True])
def test_it_is_scikit_learns_ridge_where_that_can_do_it(rows, columns, alpha, positive):
    X, y, weights = made(rows, columns)
    coef, intercept = fit_ridge(X, y, np.full(columns, positive), alpha, weights)
    ridge = Ridge(alpha=alpha, positive=positive, tol=1e-12, max_iter=100_000)
    ridge.fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(coef, ridge.coef_, atol=1e-4 if positive else 1e-9)
    assert intercept == pytest.approx(ridge.intercept_, abs=1e-4 if positive else 1e-9)


@pytest.mark.parametrize("alpha", [1e-6, 1, 100])
@pytest.mark.parametrize("rows, columns", SHAPES)
def test_with_some_bounded_the_conditions_of_the_minimum_hold(rows, columns, alpha):
    X, y, weights = made(rows, columns, seed=1)
    bounded = np.arange(columns) % 2 == 0
    assert_minimum(X, y, bounded, alpha, weights, *fit_ridge(X, y, bounded, alpha, weights))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_small_problem_is_solved(data):
    rows, columns = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    cells = st.integers(-3, 3).map(float)
    X = np.array(data.draw(st.lists(cells, min_size=rows * columns, max_size=rows * columns)))
    X = X.reshape(rows, columns)
    y = np.array(data.draw(st.lists(cells, min_size=rows, max_size=rows)))
    bounded = np.array(data.draw(st.lists(st.booleans(), min_size=columns, max_size=columns)))
    found = fit_ridge(X, y, bounded, 0.1, np.ones(rows))
    assert_minimum(X, y, bounded, 0.1, np.ones(rows), *found)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rows, columns", [(60, 40), (20, 60)])
def test_strongly_correlated_columns_and_hardly_a_penalty_come_to_an_end(rows, columns, seed):
    random = np.random.default_rng(seed)
    X = random.normal(size=(rows, 3)) @ random.normal(size=(3, columns))
    X += 1e-3 * random.normal(size=X.shape)
    y, bounded = random.normal(size=rows), random.random(columns) < 0.7
    found = fit_ridge(X, y, bounded, 1e-3, np.ones(rows))
    assert_minimum(X, y, bounded, 1e-3, np.ones(rows), *found)


def test_equal_columns_share_and_constant_ones_get_nothing():
    X, y, weights = made(30, 2)
    X = np.column_stack([X[:, 0], X[:, 0], np.ones(30)])
    coef, _ = fit_ridge(X, y, np.array([False, False, True]), 1.0, weights)
    assert coef[0] == pytest.approx(coef[1]) and coef[2] == 0


def test_a_weight_of_two_is_a_row_that_is_there_twice_and_nothing_given_is_changed():
    X, y, _ = made(12, 4)
    twice = np.arange(12) % 3 == 0
    bounded, weights = np.array([True, False] * 2), 1.0 + twice
    before = X.copy(), y.copy(), weights.copy()
    coef, intercept = fit_ridge(X, y, bounded, 2, weights)
    for now, was in zip((X, y, weights), before):
        np.testing.assert_array_equal(now, was)
    X, y = np.vstack([X, X[twice]]), np.concatenate([y, y[twice]])
    again, same = fit_ridge(X, y, bounded, 2, np.ones(len(y)))
    np.testing.assert_allclose(again, coef, atol=1e-10)
    assert same == pytest.approx(intercept)
