"""The fitted model as plain numbers: a price without scikit-learn, with NumPy alone.

A row becomes shares of levels: 1 for the level that a field has, and where a size lies between two
levels a part for each. The logarithm of the price is a sum over levels and over pairs of levels.

The factors are exact Shapley values [1]_ of that logarithm against the rows that the model was
trained on. Since there are no terms of three fields, they have a closed form: a field gets the
whole of its own terms, and of a term that it shares half of what it brings alone and half of what
it brings last.

References
----------
.. [1] E. Strumbelj and I. Kononenko, "Explaining prediction models and individual predictions with
   feature contributions", Knowledge and Information Systems 41, 2014.
"""

import math
from bisect import bisect
from operator import mul

import numpy as np

from laptop_pricing.data.schema import SPECIFICATION
from laptop_pricing.errors import StepFailed

TOLERANCE = 1e-12
_BLOCK = 10_000  # rows at a time, which bounds the memory


class CompiledModel:
    """Prices rows that hold a valid value for each field.

    Parameters
    ----------
    numbers : dict
        From :func:`compile_model`, perhaps by way of JSON.

    Attributes
    ----------
    base : float
        What the factors multiply: the average of the training rows' predictions, in logs.
    """

    def __init__(self, numbers):
        self.base = numbers["base"]
        self._offsets, self._alone, pairs = (
            np.array(numbers[name]) for name in ("offsets", "alone", "pairs")
        )
        self._half = pairs / 2
        self._sums = math.log(self.base) + self._offsets.sum(), self._alone.sum(axis=0)
        self._places, self._knots, self._starts = {}, {}, []
        start = 0
        for column in SPECIFICATION:
            levels = numbers["levels"][column.name]
            if not {*column.allowed} <= {*levels}:
                raise ValueError(f"{column.name}: trained for {', '.join(map(str, levels))}")
            self._places[column.name] = {level: start + i for i, level in enumerate(levels)}
            if column.levels:
                self._knots[column.name] = start, [math.log1p(level) for level in levels]
            self._starts.append(start)
            start += len(levels)
        self._blank = np.zeros(start)

    def explain(self, rows):
        """The prices of a few rows, and their reasons.

        Parameters
        ----------
        rows : list of dict
            Valid values by field.

        Returns
        -------
        prices : ndarray, shape (n_rows,)
        factors : ndarray, shape (n_rows, n_fields)
            As from :meth:`factors`.
        """
        shares = np.array([self._row_shares(row) for row in rows])
        return self._prices(shares), self._factors(shares)

    def prices(self, columns):
        """The prices of many rows.

        Parameters
        ----------
        columns : mapping of array-like
            Valid values by field: a DataFrame, or a dict.

        Returns
        -------
        ndarray, shape (n_rows,)
        """
        return np.concatenate([self._prices(shares) for shares in self._blocks(columns)])

    def factors(self, columns):
        """By how much each field raises (above 1) or lowers (below 1) each price.

        Parameters
        ----------
        columns : mapping of array-like
            As for :meth:`prices`.

        Returns
        -------
        ndarray, shape (n_rows, n_fields)
            The product of a line with ``base`` is the price.
        """
        return np.concatenate([self._factors(shares) for shares in self._blocks(columns)])

    def _prices(self, shares):
        offset, alone = self._sums
        return np.exp(offset + ((shares @ self._half + alone) * shares).sum(axis=1))

    def _factors(self, shares):
        shared = np.add.reduceat(shares * (shares @ self._half), self._starts, axis=1)
        return np.exp(self._offsets + shares @ self._alone.T + shared)

    def _row_shares(self, row):
        shares = self._blank.copy()
        for name, places in self._places.items():
            place = places.get(row[name])
            if place is not None:
                shares[place] = 1.0
                continue
            start, knots = self._knots[name]
            log = math.log1p(row[name])
            right = min(max(bisect(knots, log), 1), len(knots) - 1)
            share = (log - knots[right - 1]) / (knots[right] - knots[right - 1])
            share = min(max(share, 0.0), 1.0)
            shares[start + right - 1], shares[start + right] = 1.0 - share, share
        return shares

    def _blocks(self, columns):
        columns = {column.name: np.asarray(columns[column.name]) for column in SPECIFICATION}
        size = len(columns[SPECIFICATION[0].name])
        for start in range(0, max(size, 1), _BLOCK):
            yield self._shares({n: values[start : start + _BLOCK] for n, values in columns.items()})

    def _shares(self, columns):
        size = len(columns[SPECIFICATION[0].name])
        rows, shares = np.arange(size), np.zeros((size, len(self._blank)))
        for name, places in self._places.items():
            if name not in self._knots:
                found = map(places.__getitem__, columns[name])
                shares[rows, np.fromiter(found, np.intp, size)] = 1
                continue
            start, knots = self._knots[name]
            logs = np.log1p(columns[name].astype(float))
            place = np.interp(logs, knots, np.arange(len(knots)))
            left = np.minimum(place.astype(np.intp), len(knots) - 2)
            shares[rows, start + left] = 1 - (place - left)
            shares[rows, start + left + 1] = place - left
        return shares


def compile_model(model):
    """The numbers of a fitted pipeline.

    Parameters
    ----------
    model : TransformedTargetRegressor
        From :func:`~laptop_pricing.modeling.pipeline.fit_pipeline`.

    Returns
    -------
    dict
        ``levels`` by field; ``base``; ``offsets``, one per field; ``alone``, of each field
        and level, what the level does to the field's factor; ``pairs``, of two levels,
        what they are worth together. All sums are correctly rounded, so that every processor
        finds the same.
    """
    import pandas as pd

    from laptop_pricing.modeling.pipeline import questions

    encode, _, centre, ridge = (step for _, step in model.regressor_.steps)
    levels = {c.name: list(c.allowed or c.levels or (False, True)) for c in SPECIFICATION}
    most = max(map(len, levels.values()))
    every = pd.DataFrame({n: (few * most)[:most] for n, few in levels.items()})
    answered, about = encode.transform(every).round(9), questions()[0]
    owns = np.array([about == name for name in levels])
    answers = np.hstack(  # of each level, a column, to the questions about its field
        [(answered[: len(few)] * own).T for few, own in zip(levels.values(), owns)]
    )
    size = len(about)
    mean, worth = centre.mean_[:size], ridge.coef_[:size]
    pair_worth, pair_mean = np.zeros((2, size, size))
    upper = np.triu_indices(size, 1)
    pair_worth[upper], pair_mean[upper] = ridge.coef_[size:], centre.mean_[size:]
    pair_worth, pair_mean = pair_worth + pair_worth.T, pair_mean + pair_mean.T

    with_mean = _dot(pair_worth, mean[:, np.newaxis])[:, 0]
    own_terms = _dot(owns * (worth + with_mean / 2), answers)
    shared = _dot(owns * mean, _dot(pair_worth, answers))
    pairs_mean = np.array([math.fsum(line) for line in pair_worth * pair_mean])
    offsets = [math.fsum([*(-mean * worth)[own], *(-pairs_mean / 2)[own]]) for own in owns]
    return {
        "levels": levels,
        "base": math.exp(ridge.intercept_),
        "offsets": offsets,
        "alone": (own_terms - shared / 2).tolist(),
        "pairs": _dot(answers.T, _dot(pair_worth, answers)).tolist(),
    }


def prove_equal(model, compiled, rows=1000, seed=0):
    """Price random rows in both ways.

    Parameters
    ----------
    model : TransformedTargetRegressor
    compiled : CompiledModel
    rows, seed : int, optional

    Raises
    ------
    StepFailed
        If a price, or the product of its factors, differs by more than rounding.
    """
    table = random_rows(rows, seed)
    expected = model.predict(table)
    product = compiled.base * compiled.factors(table).prod(axis=1)
    for found in (compiled.prices(table), product):
        worst = abs(found / expected - 1).max()
        if not worst < TOLERANCE:
            raise StepFailed(
                f"the compiled model differs from the fitted one by {worst:.2g}; expected less "
                f"than {TOLERANCE:g}; report this with data/schema.py"
            )


def random_rows(rows, seed=0):
    """Rows from the whole vocabulary, sizes between and beyond the levels too.

    Returns
    -------
    DataFrame, shape (rows, n_fields)
    """
    import pandas as pd

    random, table = np.random.default_rng(seed), {}
    for column in SPECIFICATION:
        if column.levels:
            high = min(column.high, column.levels[-1] * 1.25)
            drawn = random.uniform(column.low, high, rows)
            table[column.name] = drawn.astype(int) if column.kind == "integer" else drawn
        else:
            values = column.allowed or (False, True)
            table[column.name] = pd.Series(values).take(random.integers(len(values), size=rows))
    return pd.DataFrame({name: np.asarray(values) for name, values in table.items()})


def _dot(first, second):
    """The product of two matrices, in which each sum is correctly rounded."""
    lines, columns = first.tolist(), second.T.tolist()
    return np.array([[math.fsum(map(mul, line, column)) for column in columns] for line in lines])
