"""A Ridge with bounds is the minimum that it says it is."""

import doctest

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from laptop_pricing.modeling import ridge
from laptop_pricing.modeling.ridge import fit_ridge

many = settings(max_examples=150, deadline=None)


@pytest.fixture(autouse=True)
def fits(monkeypatch):
    """One item for each ordinary Ridge that is fitted; too many are an error."""
    counted, fit = [], Ridge.fit

    def count(self, *args, **kwargs):
        counted.append(1)
        if len(counted) > 2_500:
            raise TimeoutError("goes in circles")
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(Ridge, "fit", count)
    return counted


def _problem(seed, rows, columns):
    random = np.random.default_rng(seed)
    X = random.normal(size=(rows, columns))
    y = X @ random.normal(size=columns) + random.normal(size=rows)
    return X, y, random.uniform(0.2, 2, rows)


def _objective(fitted, X, y, alpha, weight):
    return float(weight @ (y - fitted.predict(X)) ** 2 + alpha * fitted.coef_ @ fitted.coef_)


def _assert_optimal(fitted, X, y, bounded, alpha, weight, tolerance=1e-7):
    """The Karush-Kuhn-Tucker conditions: the problem is convex, so they hold at its minimum alone.

    No bounded coefficient is negative, and nowhere does a small allowed step lower the objective.
    """
    coef, left = fitted.coef_, weight * (y - fitted.predict(X))
    scale = max(1, abs(y).max()) * max(1, abs(X).max()) * weight.sum()
    slope = (X.T @ left - alpha * coef) / scale
    assert (coef[bounded] >= 0).all()
    assert abs(left.sum()) / scale < tolerance
    assert np.all(abs(slope[~bounded | (coef > 0)]) < tolerance)
    assert np.all(slope[bounded] < tolerance)


@pytest.mark.parametrize("alpha", [0.5, 5, 50])
@pytest.mark.parametrize("rows, columns", [(60, 20), (20, 40)])
def test_with_all_bounded_it_is_scikit_learns_positive_ridge(rows, columns, alpha):
    X, y, weight = _problem(0, rows, columns)
    ours = fit_ridge(X, y, np.ones(columns, bool), alpha, weight)
    theirs = Ridge(alpha=alpha, positive=True, tol=1e-12, max_iter=100_000)
    theirs.fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)
    assert ours.intercept_ == pytest.approx(theirs.intercept_, abs=1e-5)
    assert 0 < np.count_nonzero(ours.coef_) < columns
    best, found = (_objective(r, X, y, alpha, weight) for r in (theirs, ours))
    assert found <= best * (1 + 1e-12)


@pytest.mark.parametrize("rows, columns", [(60, 20), (20, 40)])
def test_with_nothing_bounded_it_is_the_plain_ridge(rows, columns):
    X, y, weight = _problem(1, rows, columns)
    ours = fit_ridge(X, y, np.zeros(columns, bool), 0.5, weight)
    theirs = Ridge(alpha=0.5).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-10)
    assert ours.intercept_ == pytest.approx(theirs.intercept_, abs=1e-10)
    assert (ours.coef_ < 0).any()


@pytest.mark.parametrize("alpha", [1e-6, 0.01, 1, 100])
@pytest.mark.parametrize("rows, columns", [(80, 30), (30, 80), (5, 60)])
def test_with_some_bounded_the_conditions_of_the_minimum_hold(rows, columns, alpha):
    X, y, weight = _problem(2, rows, columns)
    bounded = np.arange(columns) % 3 > 0
    fitted = fit_ridge(X, y, bounded, alpha, weight)
    _assert_optimal(fitted, X, y, bounded, alpha, weight)
    assert (fitted.coef_[~bounded] < 0).any() and (fitted.coef_[bounded] == 0).any()


@st.composite
def _small_problems(draw):
    """Few rows and columns of small integers: many are constant, equal or sums of each other."""
    rows, columns = draw(st.integers(1, 8)), draw(st.integers(1, 9))
    cell, flag = st.integers(-2, 2), st.booleans()
    X = draw(
        st.lists(st.lists(cell, min_size=rows, max_size=rows), min_size=columns, max_size=columns)
    )
    copied = draw(st.lists(st.integers(0, columns - 1), max_size=3))
    X = np.array([*X, *(X[i] for i in copied)], dtype=float).T
    y = np.array(draw(st.lists(cell, min_size=rows, max_size=rows)), dtype=float)
    bounded = np.array(draw(st.lists(flag, min_size=X.shape[1], max_size=X.shape[1])))
    weight = st.sampled_from([0.25, 1.0, 3.0])
    weight = np.array(draw(st.lists(weight, min_size=rows, max_size=rows)))
    start = np.array(draw(st.lists(flag, min_size=X.shape[1], max_size=X.shape[1])))
    return X, y, bounded, draw(st.sampled_from([1e-6, 1e-3, 1.0, 50.0])), weight, start


@many
@given(problem=_small_problems())
def test_any_small_problem_is_solved_from_any_start(problem):
    X, y, bounded, alpha, weight, start = problem
    cold = fit_ridge(X, y, bounded, alpha, weight)
    _assert_optimal(cold, X, y, bounded, alpha, weight)
    warm = fit_ridge(X, y, bounded, alpha, weight, start)
    _assert_optimal(warm, X, y, bounded, alpha, weight)
    if alpha >= 1e-3:
        np.testing.assert_allclose(warm.coef_, cold.coef_, atol=1e-9)


def test_equal_columns_share_and_constant_ones_get_nothing():
    random = np.random.default_rng(3)
    x, free = random.normal(size=(2, 30))
    y = 2 * x - free + random.normal(size=30) / 10
    X = np.column_stack([x, x, -x, free, free, np.full(30, 0.1)])
    bounded = np.array([True, True, True, False, False, True])
    coef = fit_ridge(X, y, bounded, 0.1, random.uniform(0.2, 2, 30)).coef_
    assert coef[0] == pytest.approx(coef[1], abs=1e-10) and coef[0] > 0.9
    assert coef[3] == pytest.approx(coef[4], abs=1e-10) and coef[3] < -0.4
    assert coef[2] == coef[5] == 0


@pytest.mark.parametrize("rows, columns", [(60, 40), (30, 50)])
def test_a_start_changes_the_time_not_the_result(rows, columns, fits):
    X, y, weight = _problem(4, rows, columns)
    bounded = np.arange(columns) % 4 > 0
    cold = fit_ridge(X, y, bounded, 0.3, weight)
    needed = len(fits)
    random = np.random.default_rng(5)
    nothing, all_of_it = np.zeros(columns, bool), np.ones(columns, bool)
    for start in (nothing, all_of_it, *(random.random((5, columns)) < 0.5)):
        warm = fit_ridge(X, y, bounded, 0.3, weight, start)
        np.testing.assert_allclose(warm.coef_, cold.coef_, atol=1e-10)
        assert warm.intercept_ == pytest.approx(cold.intercept_, abs=1e-10)
    fits.clear()
    again = fit_ridge(X, y, bounded, 0.3, weight, cold.coef_ != 0)
    assert len(fits) == 1 < needed
    np.testing.assert_allclose(again.coef_, cold.coef_, atol=1e-10)


# X, y, bounded, alpha and weights: found by trying random integers.
CIRCLE = (
    np.array([[4.0, 3, 5, 8], [-3, -6, -7, -6], [5, 5, 5, 5], [-2, -4, -6, -8]]),
    np.array([-3.0, -3, 1, 2]),
    np.ones(4, bool),
    1e-8,
    np.ones(4),
)


def test_exchanging_all_at_once_would_go_in_circles_here(fits, monkeypatch):
    """The case of the next test does provoke what it guards against."""
    monkeypatch.setattr(ridge, "_PATIENCE", 10**9)
    with pytest.raises(ValueError, match="did not settle"):
        fit_ridge(*CIRCLE)


def test_it_does_not_go_in_circles(fits):
    fitted = fit_ridge(*CIRCLE)
    assert 5 < len(fits) < 30
    _assert_optimal(fitted, *CIRCLE)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rows, columns", [(60, 40), (20, 60)])
def test_strongly_correlated_columns_and_hardly_a_penalty_come_to_an_end(fits, rows, columns, seed):
    random = np.random.default_rng(seed)
    X = random.normal(size=(rows, 1)) + random.normal(size=(rows, columns)) / 100
    y, weight = random.normal(size=rows), np.ones(rows)
    bounded = np.ones(columns, bool)
    fitted = fit_ridge(X, y, bounded, 1e-8, weight)
    _assert_optimal(fitted, X, y, bounded, 1e-8, weight)
    assert len(fits) < 200


def test_equal_columns_and_hardly_a_penalty_are_refused_instead_of_tried_for_ever():
    X = np.array([[-1.0, 0, -1, -1, 0], [2, -1, 2, 2, -1], [-1, 0, -1, -1, 0]])
    bounded = np.array([False, True, False, True, True])
    with pytest.raises(ValueError, match="did not settle in 1000 fits; try an alpha over 1e-08"):
        fit_ridge(X, [-1.0, -2, 1], bounded, 1e-8, np.array([3, 0.25, 1]))


def test_all_coefficients_may_be_zero():
    X = np.array([[0.0, 1], [1, 1], [2, 1]])
    fitted = fit_ridge(X, [2.0, 1, 0], np.array([True, True]), 1.0, np.array([1.0, 1, 2]))
    assert fitted.coef_.tolist() == [0, 0]
    np.testing.assert_allclose(fitted.predict(X), [0.75] * 3)


def test_a_weight_of_two_is_a_row_that_is_there_twice():
    X, y, _ = _problem(6, 25, 10)
    bounded, twice = np.arange(10) % 2 > 0, np.arange(25) < 9
    weighted = fit_ridge(X, y, bounded, 1.0, 1.0 + twice)
    rows = np.concatenate([np.arange(25), np.flatnonzero(twice)])
    repeated = fit_ridge(X[rows], y[rows], bounded, 1.0, np.ones(len(rows)))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-10)
    plain = fit_ridge(X, y, bounded, 1.0, np.ones(25))
    assert abs(weighted.coef_ - plain.coef_).max() > 1e-3


def test_the_result_is_a_fitted_ridge_of_all_columns():
    X, y, weight = _problem(7, 30, 8)
    labelled = pd.Series(y, index=range(100, 130))
    fitted = fit_ridge(X, labelled, np.ones(8, bool), 2.0, weight)
    assert type(fitted) is Ridge
    assert (fitted.alpha, fitted.n_features_in_, fitted.coef_.shape) == (2.0, 8, (8,))
    np.testing.assert_allclose(fitted.predict(X), X @ fitted.coef_ + fitted.intercept_)
    with pytest.raises(ValueError, match="8 features"):
        fitted.predict(X[:, 1:])


def test_nothing_given_is_changed():
    given = [*_problem(8, 20, 6), np.arange(6) > 2, np.arange(6) > 1]
    before = [array.copy() for array in given]
    X, y, weight, bounded, start = given
    fit_ridge(X, y, bounded, 0.1, weight, start)
    for array, copy in zip(given, before):
        np.testing.assert_array_equal(array, copy)


def test_its_example_is_true():
    failed, tried = doctest.testmod(ridge)
    assert tried > 0 and failed == 0
