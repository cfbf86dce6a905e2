"""A fitted factor model as plain numbers: predictions and their reasons, with NumPy alone.

A case becomes shares of levels: 1 for the level that a field has, and where a number lies between
two levels a part for each. The prediction, or its logarithm, is a sum over the answers to questions
about levels ("does it reach 8?") and over products of two answers.

The reasons are exact Shapley values of that sum against the training average (E. Strumbelj
and I. Kononenko, "Explaining prediction models and individual predictions with feature
contributions", Knowledge and Information Systems 41, 2014). Since there are no terms of three
fields they have a closed form: a field gets the whole of its own terms, and of a term that it
shares half of what it brings alone and half of what it brings last.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

_BLOCK = 10_000  # rows at a time, which bounds the memory


def spaced(values: Any) -> Any:
    """Numbers as they are spaced between levels: log(1 + x), mirrored below zero."""
    return np.sign(values) * np.log1p(np.abs(values))


def _between(values: Any, knots: np.ndarray, straight: bool) -> tuple[Any, Any]:
    """Between which knots numbers lie: the place of the left one, and the share of the right.

    A straight line has two, and goes on beyond them.
    """
    if straight:
        share = (values - knots[0]) / (knots[1] - knots[0])
        return np.zeros(np.shape(share), np.intp), share
    place = np.interp(spaced(values), knots, np.arange(len(knots)))
    left = np.minimum(place.astype(np.intp), len(knots) - 2)
    return left, place - left


class Explanation(NamedTuple):
    """What predictions are made of: times its factors, or plus its terms, the base is each.

    Of classes, the base and the factors are those of odds: of one class against another.
    """

    base: Any  # the prediction for the average case; of classes one per row, shape (n_rows,)
    effects: np.ndarray  # a factor or a term per field: shape (n_rows, n_fields)
    additive: bool = False  # whether they are terms
    classes: Any = None  # of classes: whose odds, and against whom: shape (n_rows, 2)


class Levels:
    """The levels of each field, and what they answer.

    Parameters
    ----------
    fields
        For each field ``name``, ``levels``, ``numeric``, and ``answers``: a line per level, with
        its answer to each question about the field. Between levels, numbers are spaced by their
        logarithms, unless ``straight`` is true.
    """

    def __init__(self, fields: Sequence[Mapping[str, Any]]) -> None:
        self.fields = [dict(field) for field in fields]
        self.names = [field["name"] for field in fields]
        sizes = [len(field["levels"]) for field in fields]
        self.starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(int).tolist()
        self.size = sum(sizes)
        counts = [len(field["answers"][0]) for field in fields]
        self.owner = np.repeat(np.arange(len(fields)), counts)  # of each question
        self.answers = np.zeros((len(self.owner), self.size))
        self._known = []  # for each field its name, start, places, knots, and if it is straight
        for i, (field, start) in enumerate(zip(fields, self.starts)):
            own = self.owner == i
            self.answers[own, start : start + sizes[i]] = np.array(field["answers"], float).T
            places = {level: start + k for k, level in enumerate(field["levels"])}
            numbers = [x for x in field["levels"] if x is not None] if field["numeric"] else []
            straight, knots = field.get("straight", False), np.array(numbers, float)
            knots = knots if straight else spaced(knots)
            self._known.append((field["name"], start, places, knots, straight))

    def of_row(self, row: Mapping[str, Any]) -> np.ndarray:
        """The shares of one case: shape (n_levels,)."""
        shares = np.zeros(self.size)
        for name, start, places, knots, straight in self._known:
            place = places.get(row[name])
            if place is not None:
                shares[place] = 1.0
                continue
            left, share = _between(row[name], knots, straight)
            shares[start + left : start + left + 2] = 1 - share, share
        return shares

    def of_table(self, columns: Any) -> np.ndarray:
        """The shares of many cases: shape (n_rows, n_levels)."""
        size = len(columns[self.names[0]])
        rows, shares = np.arange(size), np.zeros((size, self.size))
        for name, start, places, knots, straight in self._known:
            values, unknown = np.asarray(columns[name]), places.get(None)
            if not len(knots):
                if unknown is not None:
                    values = np.array([None if v != v else v for v in values], object)
                shares[rows, np.fromiter(map(places.__getitem__, values), np.intp, size)] = 1
                continue
            values = values.astype(float)
            if unknown is not None:
                shares[np.isnan(values), unknown] = 1
            known = rows[~np.isnan(values)]
            left, share = _between(values[known], knots, straight)
            shares[known, start + left] = 1 - share
            shares[known, start + left + 1] = share
        return shares


class Factors:
    """Predicts cases that hold a valid value for each field.

    Parameters
    ----------
    numbers
        ``fields`` as for :class:`Levels`; ``link``: "log" or "identity"; ``unit``, of which the
        others are multiples (under "log" 1); ``intercept``; ``worth`` and ``means``, one per
        question; ``pairs``: two questions, what "yes" to both is worth, the mean of their product;
        ``least``: the lowest prediction, or null.
    """

    def __init__(self, numbers: Mapping[str, Any]) -> None:
        self.numbers = dict(numbers)
        self.levels = levels = Levels(numbers["fields"])
        self.additive, self.unit = numbers["link"] == "identity", numbers["unit"]
        self.base = float(self._unlinked(np.array(numbers["intercept"])))  # the average case
        worth, mean = np.array(numbers["worth"], float), np.array(numbers["means"], float)
        pair_worth, pair_mean = np.zeros((2, len(worth), len(worth)))
        if numbers["pairs"]:
            first, second, together, both = np.array(numbers["pairs"], float).T
            first, second = first.astype(int), second.astype(int)
            pair_worth[first, second] = pair_worth[second, first] = together
            pair_mean[first, second] = pair_mean[second, first] = both
        owns = levels.owner == np.arange(len(levels.names))[:, np.newaxis]
        own_terms = (owns * (worth + pair_worth @ mean / 2)) @ levels.answers
        shared = (owns * mean) @ (pair_worth @ levels.answers)
        pairs_mean = (pair_worth * pair_mean).sum(axis=1)
        self._offsets = owns @ (-mean * worth - pairs_mean / 2)
        self._alone = own_terms - shared / 2
        self._half = levels.answers.T @ pair_worth @ levels.answers / 2

    def predict(self, columns: Any) -> np.ndarray:
        """The predictions for a table, a DataFrame or a mapping of arrays: shape (n_rows,)."""
        sums = [self.effects(shares).sum(axis=1) for shares in self.blocks(columns)]
        return self._predicted(np.concatenate(sums))

    def explain(self, columns: Any) -> Explanation:
        """By how much each field raises or lowers each prediction."""
        effects = [self._unlinked(self.effects(shares)) for shares in self.blocks(columns)]
        return Explanation(self.base, np.concatenate(effects), self.additive)

    def predict_rows(self, rows: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, Explanation]:
        """The predictions for a few cases, and what they are made of."""
        effects = self.effects(self.shares(rows))
        explained = Explanation(self.base, self._unlinked(effects), self.additive)
        return self._predicted(effects.sum(axis=1)), explained

    def _unlinked(self, values: np.ndarray) -> np.ndarray:
        return values * self.unit if self.additive else np.exp(values)

    def _predicted(self, sums: np.ndarray) -> np.ndarray:
        predicted = self._unlinked(self.numbers["intercept"] + sums)
        least = self.numbers["least"]
        return predicted if least is None else np.maximum(predicted, least)

    def shares(self, rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """The shares of levels of a few cases: shape (n_rows, n_levels)."""
        return np.array([self.levels.of_row(row) for row in rows])

    def effects(self, shares: np.ndarray) -> np.ndarray:
        """What each field adds to the sum, against the average case: shape (n_rows, n_fields)."""
        shared = np.add.reduceat(shares * (shares @ self._half), self.levels.starts, axis=1)
        return self._offsets + shares @ self._alone.T + shared

    def blocks(self, columns: Any) -> Iterator[np.ndarray]:
        """The shares of levels of a table, some rows at a time."""
        values = {name: np.asarray(columns[name]) for name in self.levels.names}
        size = len(values[self.levels.names[0]])
        for start in range(0, max(size, 1), _BLOCK):
            part = {name: column[start : start + _BLOCK] for name, column in values.items()}
            yield self.levels.of_table(part)


class ClassFactors:
    """Chances of classes: each class has a score, a sum as in :class:`Factors`, on a log scale.

    So the odds of one class against another are a product of factors, one per field.

    Parameters
    ----------
    numbers
        ``classes``: their codes; ``fields`` as for :class:`Levels`; ``scores``: what
        :class:`Factors` takes beside. Of two classes only the second has one, the first is 0.
    """

    def __init__(self, numbers: Mapping[str, Any]) -> None:
        self.numbers = dict(numbers)
        self.classes_ = np.array(numbers["classes"])
        shared = {"fields": numbers["fields"], "link": "log", "unit": 1.0, "least": None}
        self._scores = [Factors(shared | score) for score in numbers["scores"]]
        self._without = len(self.classes_) - len(self._scores)  # classes whose score is 0
        intercepts = [score["intercept"] for score in numbers["scores"]]
        self._intercepts = np.array([0.0] * self._without + intercepts)

    def predict_proba(self, columns: Any) -> np.ndarray:
        """The chances for a table: shape (n_rows, n_classes)."""
        blocks = self._scores[0].blocks(columns)
        return np.concatenate([self._chances(self._effects(shares)) for shares in blocks])

    def explain(self, columns: Any) -> Explanation:
        """By how much each field moves the odds of the last class against the first."""
        blocks = self._scores[0].blocks(columns)
        effects = np.concatenate([self._effects(shares) for shares in blocks], axis=1)
        return self._odds(effects, np.array([[len(self.classes_) - 1, 0]] * effects.shape[1]))

    def predict_rows(self, rows: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, Explanation]:
        """The chances of a few cases, and the odds of the likeliest class against the next.

        Of two classes, always those of the second.
        """
        effects = self._effects(self._scores[0].shares(rows))
        chances = self._chances(effects)
        pairs = chances.argsort(axis=1, kind="stable")[:, :-3:-1]
        return chances, self._odds(effects, np.sort(pairs)[:, ::-1] if self._without else pairs)

    def _effects(self, shares: np.ndarray) -> np.ndarray:
        """What each field adds to each score: shape (n_classes, n_rows, n_fields)."""
        effects = [score.effects(shares) for score in self._scores]
        return np.array([np.zeros_like(effects[0])] * self._without + effects)

    def _chances(self, effects: np.ndarray) -> np.ndarray:
        scores = effects.sum(axis=2).T + self._intercepts
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def _odds(self, effects: np.ndarray, pairs: np.ndarray) -> Explanation:
        one, other = pairs.T
        rows = np.arange(len(pairs))
        base = np.exp(self._intercepts[one] - self._intercepts[other])
        factors = np.exp(effects[one, rows] - effects[other, rows])
        return Explanation(base, factors, classes=self.classes_[pairs])


def read_numbers(numbers: Mapping[str, Any]) -> Any:
    """The factor model that plain numbers are."""
    return ClassFactors(numbers) if "scores" in numbers else Factors(numbers)
