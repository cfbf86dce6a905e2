"""Which columns give the target away, or cannot be known when a prediction is asked for."""

import numpy as np
import pandas as pd
from scipy.stats import rankdata, spearmanr
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

NEARLY = 0.97  # of the target's variance: nothing honest says so much alone
_EXACT = 1 - 1e-6
_ROWS = 30  # with fewer nothing can be said


def find_leaks(numbers: pd.DataFrame, target: pd.Series) -> dict[str, str]:
    """What gives the target away, by column, with the evidence.

    `numbers` has a column of floats for each candidate: its values, or a code for each word.
    """
    found = {name: reason for name in numbers if (reason := _exact(numbers[name], target))}
    rest = numbers.drop(columns=list(found))
    found |= dict.fromkeys(_parts(rest, target), "the target is a sum in which it is a part")
    for name in rest.columns.difference(list(found), sort=False):
        if (share := _share(rest[name], target)) > NEARLY:
            found[name] = f"explains {share:.1%} of the target alone"
    return found


def find_class_leaks(numbers: pd.DataFrame, codes: pd.Series) -> dict[str, str]:
    """What gives a class away, by column: a tree on it alone is nearly always right, unseen."""
    tree, found = DecisionTreeClassifier(min_samples_leaf=3, random_state=0), {}
    wrong = 1 - codes.value_counts(normalize=True).max()  # if the largest class is always said
    for name in numbers if len(codes) >= _ROWS and wrong else ():
        values = numbers[[name]].fillna(-1e9).to_numpy()
        right = (cross_val_predict(tree, values, codes, cv=5) == codes).mean()
        if 1 - (1 - right) / wrong > NEARLY:
            found[name] = f"tells the class alone, in {right:.1%} of the rows"
    return found


def _known(values: pd.Series, target: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Where the values are known: they and the target, if there are enough of them."""
    known = values.notna()
    x, y = values[known].to_numpy(float), target[known].to_numpy(float)
    few = len(x) < _ROWS or len(np.unique(x)) < 5 or len(np.unique(y)) < 2
    return (x[:0], y[:0]) if few else (x, y)


def _exact(values: pd.Series, target: pd.Series) -> str:
    """How the target is a function of one column, if it is."""
    x, y = _known(values, target)
    if not len(x):
        return ""
    if np.corrcoef(x, y)[0, 1] ** 2 > _EXACT:
        return "a copy of the target, in another unit"
    ranks = abs(spearmanr(x, y).statistic)
    if ranks > _EXACT and len(np.unique(x)) > 0.5 * len(np.unique(y)):
        return "rises and falls exactly as the target: a function of it"
    return ""


def _share(values: pd.Series, target: pd.Series) -> float:
    """How much of the target's variance one column explains: by a line or a tree, unseen."""
    x, y = _known(values, target)
    if not len(x):
        return 0.0
    tree = DecisionTreeRegressor(min_samples_leaf=3, random_state=0)
    folds = KFold(5, shuffle=True, random_state=0)
    shares = []
    for scaled in (y, rankdata(y)):  # a long tail hides what is so of the rest
        predicted = cross_val_predict(tree, x[:, np.newaxis], scaled, cv=folds)
        shares += [1 - (scaled - predicted).var() / scaled.var()]
        shares += [np.corrcoef(x, scaled)[0, 1] ** 2]
    return float(max(shares))


def _parts(numbers: pd.DataFrame, target: pd.Series) -> list[str]:
    """The columns that add up to the target, each with the same weight."""
    complete = numbers.dropna(axis=1)
    if complete.shape[1] < 2 or len(complete) < 3 * complete.shape[1]:
        return []
    scale = complete.std().replace(0, 1)
    model = LinearRegression().fit(complete / scale, target)
    if model.score(complete / scale, target) < _EXACT:
        return []
    weights = pd.Series(model.coef_, complete.columns) / scale
    worth = (weights * scale).abs()
    return list(worth.index[worth > 0.01 * worth.max()])
