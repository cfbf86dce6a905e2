"""The two tasks: to predict numbers (regression), or classes (classification).

:func:`task_of` is the one place that chooses between them. What differs, from the measures to what
a quote holds, is a method that :class:`Regression` and :class:`Classification` both have; whoever
calls it need not know of which.

In both, `outputs` are what a model gives: numbers, shape (n_rows,), or chances, shape (n_rows,
n_classes). `actual` are targets as a model learns them: numbers, or places among the classes.
`predictions` is the table that ``cross_validate`` gives.
"""

from collections.abc import Sequence
from typing import Any, Union

import numpy as np

from ..problem import Problem, amount
from .classification import Classification
from .regression import Regression

Task = Union[Regression, Classification]
HIGHER = ("R2", "ROC_AUC", "accuracy", "balanced_accuracy")  # the metrics that are better so
_AMOUNTS = ("MAE", "MSE", "RMSE")  # those in the target's unit, or its square


def task_of(problem: Problem) -> Task:
    """The task of a problem, which its target's kind decides."""
    return Classification(problem) if problem.classes else Regression(problem)


def outputs(model: Any, X: Any, classes: Sequence[str]) -> np.ndarray:
    """What a fitted model gives for rows; the chance of a class that it never saw is 0."""
    if not classes:
        return np.asarray(model.predict(X), dtype=float)
    chances = np.zeros((len(X), len(classes)))
    chances[:, model.classes_] = model.predict_proba(X)
    return chances


def figure(name: str, value: float) -> str:
    """The figure of a metric, with the digits that say something."""
    if name in _AMOUNTS:
        return amount(value)
    return f"{value:.2f}" if name == "R2" else f"{value:.3f}"
