"""Which rows are held out, and which rows a fold may see.

Rows are grouped by their specification (all features together), since a dataset
may list one thing more than once and a copy in the training part would give the answer away.
"""

import hashlib

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold

from laptop_pricing.data.schema import FEATURES

HOLDOUT_RULE = "v1"  # Frozen. Another rule is another name: results under both do not compare.
HOLDOUT_PERCENT = 20


def specification_key(text):
    """The raw specification of each row as one string.

    Made from the text as found, so that a change of the cleaning moves no row.

    Parameters
    ----------
    text : DataFrame of str
        Raw cells under the schema's names.

    Returns
    -------
    Series of str
        The features' cells, stripped, lower-cased and joined by ``|``.
    """
    cells = [text[name].str.strip().str.lower() for name in FEATURES]
    return cells[0].str.cat(cells[1:], sep="|")


def is_held_out(keys):
    """Whether each row belongs to the hold-out, by a hash of its specification.

    New rows never move old ones, and a specification is never on both sides.

    Parameters
    ----------
    keys : Series of str
        From :func:`specification_key`.

    Returns
    -------
    Series of bool
    """

    def held_out(key):
        digest = hashlib.sha256(f"{HOLDOUT_RULE}|{key}".encode()).hexdigest()
        return int(digest[:8], 16) % 100 < HOLDOUT_PERCENT

    return pd.Series([held_out(key) for key in keys], index=keys.index, dtype=bool)


def grouped_folds(groups, folds, seeds):
    """Cross-validation folds with no specification on both sides, drawn once per seed.

    Parameters
    ----------
    groups : Series
        The specification of each row.
    folds : int
        Folds per seed.
    seeds : sequence of int
        One shuffle of the groups each.

    Yields
    ------
    seed, fold : int
    train, test : ndarray of int
        Positions of the rows.
    """
    for seed in seeds:
        splitter = GroupKFold(n_splits=folds, shuffle=True, random_state=seed)
        for fold, (train, test) in enumerate(splitter.split(np.zeros(len(groups)), groups=groups)):
            yield seed, fold, train, test
