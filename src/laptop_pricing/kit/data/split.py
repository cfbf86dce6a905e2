"""Which rows are held out, and which rows a fold may see: no copy on the other side."""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold

HOLDOUT_RULE = "v1"  # Frozen. Another rule is another name: results under both do not compare.
HOLDOUT_PERCENT = 20


def raw_key(text: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """The cells of the columns `names` as found: stripped, lower-cased, joined by ``|``.

    Made from the text as found, so that a change of the cleaning moves no row.
    """
    cells = [text[name].str.strip().str.lower() for name in names]
    return cells[0].str.cat(cells[1:], sep="|") if len(cells) > 1 else cells[0]


def is_held_out(keys: pd.Series) -> pd.Series:
    """Whether each row belongs to the hold-out, by a hash of its key from :func:`raw_key`.

    New rows never move old ones, and equal rows are never on both sides.
    """
    digests = (hashlib.sha256(f"{HOLDOUT_RULE}|{key}".encode()).hexdigest() for key in keys)
    held_out = [int(digest[:8], 16) % 100 < HOLDOUT_PERCENT for digest in digests]
    return pd.Series(held_out, keys.index, dtype=bool)


def grouped_folds(
    groups: pd.Series, folds: int, seeds: Sequence[int]
) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """Folds with no group on both sides, drawn once per seed.

    Yields the numbers of seed and fold, and the positions of the training and of the test rows.
    """
    for seed in seeds:
        splitter = GroupKFold(n_splits=folds, shuffle=True, random_state=seed)
        for fold, (train, test) in enumerate(splitter.split(np.zeros(len(groups)), groups=groups)):
            yield seed, fold, train, test
