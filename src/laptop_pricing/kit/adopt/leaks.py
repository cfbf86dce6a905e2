"""Which columns give the target away, or cannot be known when a prediction is asked for."""

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.tree import DecisionTreeRegressor

NEARLY = 0.98  # of the target's variance: nothing honest says so much alone
_EXACT = 1 - 1e-6


def find_leaks(numbers: pd.DataFrame, target: pd.Series) -> dict[str, str]:
    """What gives the target away, by column, with the evidence.

    `numbers` has a column of floats for each candidate: its values, or a code for each word.
    """
    found: dict[str, str] = {}
    for name in numbers:
        if reason := _alone(numbers[name], target):
            found[name] = reason
    rest = numbers.drop(columns=list(found))
    for name in _parts(rest, target):
        found[name] = "the target is a sum in which it is a part"
    return found


def _alone(values: pd.Series, target: pd.Series) -> str:
    known = values.notna()
    x, y = values[known].to_numpy(float), target[known].to_numpy(float)
    if len(x) < 50 or len(np.unique(x)) < 5:
        return ""
    straight = np.corrcoef(x, y)[0, 1] ** 2
    if straight > _EXACT:
        return "a copy of the target, in another unit"
    ranks = spearmanr(x, y).statistic
    if abs(ranks) > _EXACT and len(np.unique(x)) > 0.5 * len(np.unique(y)):
        return "rises and falls exactly as the target: a function of it"
    tree = DecisionTreeRegressor(min_samples_leaf=3, random_state=0)
    folds = KFold(5, shuffle=True, random_state=0)
    predicted = cross_val_predict(tree, x[:, np.newaxis], y, cv=folds)
    share = max(straight, 1 - np.mean((y - predicted) ** 2) / y.var())
    return f"explains {share:.1%} of the target alone" if share > NEARLY else ""


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
