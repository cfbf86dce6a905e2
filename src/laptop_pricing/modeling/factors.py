"""Why a thing costs what it costs: one factor per field.

Exact Shapley values [1]_ of the log price against the rows that the model was trained on. The
model has terms of at most two fields, so they have a closed form: a field gets the whole of its own
terms, and of a term that it shares half of what it brings alone and half of what it brings last.

References
----------
.. [1] E. Strumbelj and I. Kononenko, "Explaining prediction models and individual predictions with
   feature contributions", Knowledge and Information Systems 41, 2014.
"""

import numpy as np
import pandas as pd

from laptop_pricing.data.schema import FEATURES
from laptop_pricing.modeling.pipeline import questions


def base_price(model):
    """What the factors multiply: the average of the training rows' predictions, in logs.

    Parameters
    ----------
    model : TransformedTargetRegressor
        From :func:`~laptop_pricing.modeling.pipeline.fit_pipeline`.

    Returns
    -------
    float
    """
    return float(np.exp(model.regressor_["ridge"].intercept_))


def factors(model, table):
    """By how much each field raises (above 1) or lowers (below 1) each price.

    Parameters
    ----------
    model : TransformedTargetRegressor
        As for :func:`base_price`.
    table : DataFrame, shape (n_rows, ...)
        Validated rows.

    Returns
    -------
    DataFrame, shape (n_rows, 15)
        One column per field. The product of a row with the base price is its price.
    """
    encode, _, centre, ridge = (step for _, step in model.regressor_.steps)
    answers = encode.transform(table)
    size = answers.shape[1]
    mean, worth = centre.mean_[:size], ridge.coef_[:size]
    pair_worth, pair_mean = np.zeros((2, size, size))
    upper = np.triu_indices(size, 1)
    pair_worth[upper], pair_mean[upper] = ridge.coef_[size:], centre.mean_[size:]
    pair_worth, pair_mean = pair_worth + pair_worth.T, pair_mean + pair_mean.T

    alone = answers * (pair_worth @ mean) - (pair_worth * pair_mean).sum(axis=1)
    last = (answers - mean) * (answers @ pair_worth)
    shares = (answers - mean) * worth + (alone + last) / 2
    fields, _ = questions()
    by_field = pd.DataFrame(shares.T, index=fields, columns=table.index).groupby(level=0).sum()
    return np.exp(by_field.T[list(FEATURES)])
