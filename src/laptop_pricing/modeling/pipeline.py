"""The model: an unfitted scikit-learn pipeline, and how it is fitted.

Ridge regression on the logarithm of the price. Categories are encoded one-hot with the schema's own
vocabulary; a number becomes a piecewise linear function of its logarithm, so that a size the
training rows do not have lies between its neighbours.
"""

import numpy as np
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_percentage_error
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, SplineTransformer

from laptop_pricing.data.schema import SPECIFICATION, TARGET

_KNOTS = 4
_DECIMALS = 9


def build_pipeline():
    """Build the unfitted regressor.

    Returns
    -------
    TransformedTargetRegressor
        Takes a table with the columns of ``SPECIFICATION`` by name (others are ignored) and
        predicts the price in BRL. Everything that is learned lies inside.
    """
    categories = [c for c in SPECIFICATION if c.kind == "category"]
    numbers = [c for c in SPECIFICATION if c.kind == "integer"]
    flags = [c for c in SPECIFICATION if c.kind == "flag"]
    knots = np.column_stack(
        [np.linspace(np.log1p(c.low), np.log1p(c.high), _KNOTS) for c in numbers]
    )
    encode = ColumnTransformer(
        [
            (
                "categories",
                OneHotEncoder(categories=[list(c.allowed) for c in categories]),
                [c.name for c in categories],
            ),
            (
                "numbers",
                make_pipeline(
                    FunctionTransformer(np.log1p, feature_names_out="one-to-one"),
                    SplineTransformer(degree=1, knots=knots.round(6), extrapolation="linear"),
                ),
                [c.name for c in numbers],
            ),
            ("flags", "passthrough", [c.name for c in flags]),
        ],
        sparse_threshold=0,
    )
    return TransformedTargetRegressor(
        Pipeline([("encode", encode), ("ridge", Ridge())]), func=np.log, inverse_func=np.exp
    )


def fit_pipeline(table, params):
    """Choose alpha by grouped cross-validation within `table`, then fit on all of it.

    Parameters
    ----------
    table : DataFrame, shape (n_rows, ...)
        Rows of the processed table: features, ``price`` in BRL, ``specification`` for the group.
    params : TrainParams

    Returns
    -------
    TransformedTargetRegressor
        Fitted. Its coefficients are rounded to 9 decimals, so that processors whose last bits
        differ make the same model.
    """
    alpha = choose_alpha(table, params)
    model = build_pipeline().set_params(regressor__ridge__alpha=alpha)
    model.fit(table, table[TARGET])
    ridge = model.regressor_["ridge"]
    ridge.coef_ = ridge.coef_.round(_DECIMALS)
    ridge.intercept_ = float(ridge.intercept_.round(_DECIMALS))
    return model


def choose_alpha(table, params):
    """The Ridge penalty with the lowest mean MAPE over grouped folds of `table`.

    Each fold is encoded once and then fitted with every penalty.

    Parameters
    ----------
    table : DataFrame
        As for :func:`fit_pipeline`.
    params : TrainParams

    Returns
    -------
    float
    """
    errors = np.zeros(len(params.alphas))
    folds = GroupKFold(n_splits=params.inner_folds)
    for train, test in folds.split(table, groups=table["specification"]):
        train, test = table.iloc[train], table.iloc[test]
        encode = build_pipeline().regressor["encode"]
        seen, unseen = encode.fit_transform(train), encode.transform(test)
        for i, alpha in enumerate(params.alphas):
            ridge = Ridge(alpha=alpha).fit(seen, np.log(train[TARGET]))
            predicted = np.exp(ridge.predict(unseen))
            errors[i] += mean_absolute_percentage_error(test[TARGET], predicted)
    return params.alphas[int(errors.argmin())]


def chosen_alpha(model):
    """The Ridge penalty of a fitted model."""
    return float(model.regressor_["ridge"].alpha)
