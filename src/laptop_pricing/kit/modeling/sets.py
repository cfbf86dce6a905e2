"""How sure a class is, and which one to say: sets of classes, and the costs of mistakes.

A set holds every class that is as likely as it is for nine in ten of its own rows:
label-conditional conformal prediction (M. Sadinle, J. Lei and L. Wasserman, "Least ambiguous
set-valued classifiers with bounded error levels", JASA 114, 2019). So the promise is kept for the
rare class as for the frequent one. A set of several says that they cannot be told apart, an empty
one that the case is unlike what is known. The chances come from cross-validation: 90 % is measured,
not guaranteed.

What is said is the class whose mistakes would cost least (C. Elkan, "The foundations of
cost-sensitive learning", IJCAI 2001).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Optional

import numpy as np

from ..errors import UserError
from .interval import COVERAGE

_STEPS = 201  # of a cost curve
HALF_95 = 1.96  # half of a 95 % interval, in standard errors


def cost_matrix(
    classes: Sequence[str], costs: Optional[Mapping[str, Mapping[str, float]]]
) -> np.ndarray:
    """What saying each class costs where each is true: shape (n_classes, n_classes).

    `costs` is that of params.yaml: by actual class, then by what is said instead. A mistake that is
    not named there costs 1.
    """
    matrix = 1 - np.eye(len(classes))
    for actual, line in (costs or {}).items():
        for said, cost in line.items():
            if actual == said or not {actual, said} <= set(classes):
                problem = f"found {actual}, then {said}; expected two of {', '.join(classes)}"
                raise UserError("params.yaml: train.costs", problem)
            matrix[classes.index(actual), classes.index(said)] = cost
    return matrix


def decide(chances: np.ndarray, costs: Any) -> np.ndarray:
    """The class to say for each row, by its place: the one whose expected cost is least."""
    expected = chances @ np.asarray(costs, dtype=float)
    return np.lexsort((-chances, expected), axis=1)[:, 0]  # of equal ones the likelier


def threshold(costs: Any) -> float:
    """From which chance of the second of two classes on it is said."""
    (_, alarm), (missed, _) = costs
    return float(alarm / (alarm + missed))


def least_chances(actual: Any, chances: np.ndarray, copies: int) -> list[float]:
    """For each class the chance that nine in ten of its rows have, or more.

    Each row is there `copies` times, as another model saw it.
    """
    found = []
    for place in range(chances.shape[1]):
        own = np.sort(chances[np.asarray(actual) == place, place])
        rank = int((1 - COVERAGE) * (len(own) + copies) + 1e-9)  # that of the least one
        found.append(float(own[rank - 1]) if rank else 0.0)
    return found


def sets(chances: np.ndarray, least: Sequence[float]) -> np.ndarray:
    """Which classes the set of each row holds: booleans, shape (n_rows, n_classes)."""
    return chances >= np.asarray(least)


def binned(actual: Any, chance: np.ndarray, bins: int = 10) -> tuple[np.ndarray, ...]:
    """Mean chance, share of the class, and rows, in bins of equally many rows by their chance."""
    order = np.argsort(chance, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    lines = [(chance[part].mean(), np.asarray(actual)[part].mean(), len(part)) for part in parts]
    return tuple(np.array(lines).T)


def calibration_error(actual: Any, chances: np.ndarray) -> float:
    """The mean distance of a chance from the share that comes true, over the classes' bins.

    M. P. Naeini, G. F. Cooper and M. Hauskrecht, "Obtaining well calibrated probabilities using
    Bayesian binning", AAAI 2015, with bins of equally many rows.
    """
    errors = []
    for place in range(chances.shape[1]):
        said, true, rows = binned(np.asarray(actual) == place, chances[:, place])
        errors.append((abs(said - true) * rows).sum() / rows.sum())
    return float(np.mean(errors))


def cost_curve(actual: Any, chance: np.ndarray, costs: Any) -> tuple[np.ndarray, np.ndarray]:
    """The mean cost per row at each threshold on the chance of the second of two classes."""
    (_, alarm), (missed, _) = costs
    at, true = np.linspace(0, 1, _STEPS), np.asarray(actual) == 1
    below = np.searchsorted(np.sort(chance[true]), at)  # so many are missed
    above = (~true).sum() - np.searchsorted(np.sort(chance[~true]), at)
    return at, (missed * below + alarm * above) / len(true)


def share_margin(rows: int) -> float:
    """Half of the 95 % interval of a share that is promised as COVERAGE, of so many rows."""
    return float(HALF_95 * np.sqrt(COVERAGE * (1 - COVERAGE) / max(rows, 1)))
