"""Where the tests have to know whether the project predicts numbers or classes."""

import numpy as np

from laptop_pricing.kit.modeling.task import task_of
from laptop_pricing.problem import PROBLEM

TASK, CLASSES = task_of(PROBLEM), PROBLEM.classes
# What any model reaches, and what one that cannot know the target hardly does: see `signal`.
LEAST, CHANCE = (0.0, 0.02) if CLASSES else (-1.0, 0.1)


def signal(found):
    """What a cross-validated model knows: its R2, or the share that it takes off the log loss."""
    folds, predictions = found
    if not CLASSES:
        return folds["R2"].mean()
    shares = predictions["actual"].value_counts(normalize=True)
    return 1 - folds["log_loss"].mean() / -(shares * np.log(shares)).sum()


def invented(random, rows):
    """Targets without a reason."""
    if not CLASSES:
        return np.exp(random.normal(0, 0.6, rows))
    names = [PROBLEM.target.read(name) for name in CLASSES]
    return np.array(names, dtype=object)[random.integers(len(names), size=rows)]


def as_learned(targets):
    """The targets in such a way that outputs are numbers about them: of classes 1 for the true."""
    return np.eye(len(CLASSES))[targets] if CLASSES else np.asarray(targets, dtype=float)


def rising(outputs):
    """What a step up never lowers: the numbers, or the chances of the second of two classes."""
    return outputs[:, 1] if CLASSES else outputs


def told(quote):
    """What a quote predicts, as the columns of a file hold it, and what its reasons lead to."""
    if not CLASSES:
        return [quote.prediction], quote.prediction
    one, other = quote.odds or CLASSES[:2]
    return [*quote.chances.values()], quote.chances[one] / quote.chances[other]
