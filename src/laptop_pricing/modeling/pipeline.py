"""The model: Ridge regression on the logarithm of the price, in stock scikit-learn parts.

A laptop answers questions: is it a DELL? does its RAM reach 8 GB? its processor a Core i5? (Between
two sizes the answer is a fraction.) The model adds what each answer is worth, alone and together
with each answer about the ``crossed`` fields of params.yaml.

**More machine never costs less**, for every combination, by construction. A question about a size
or a ladder of processors is *rising*; its coefficient is zero or more; and together with a free
question F (is it a DELL?) it enters twice, as "reaches 8 GB and F" and as "reaches 8 GB and not F",
both with coefficients of zero or more. So a step may be worth more to one brand than to another,
but less than nothing to none. Folded together these are plain coefficients of the products, and
the fitted model is a plain :class:`~sklearn.linear_model.Ridge`.
"""

import numpy as np
from scipy.linalg import block_diag
from scipy.sparse import csc_array
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_percentage_error
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
)

from laptop_pricing.data.schema import SPECIFICATION, TARGET
from laptop_pricing.modeling.ridge import fit_ridge

_DECIMALS = 9


def build_pipeline():
    """Build the unfitted regressor; :func:`fit_pipeline` fits it.

    Returns
    -------
    TransformedTargetRegressor
        Takes a table with the columns of ``SPECIFICATION`` by name (others are ignored) and
        predicts the price. Its own ``fit`` is a Ridge without the constraints.
    """
    encode = ColumnTransformer([(c.name, _encoder(c), [c.name]) for c in SPECIFICATION])
    ridge = Pipeline(
        [
            ("encode", encode),
            ("products", PolynomialFeatures(2, interaction_only=True, include_bias=False)),
            ("centre", StandardScaler(with_std=False)),
            ("ridge", Ridge()),
        ]
    )
    return TransformedTargetRegressor(ridge, func=np.log, inverse_func=np.exp)


def _encoder(column):
    """What turns a column into the answers to its questions."""
    if column.kind == "flag":
        return "passthrough"
    if column.kind == "category":
        ladders = column.ladders or tuple((value,) for value in column.allowed)
        values = [value for ladder in ladders for value in ladder]
        one_hot = OneHotEncoder(categories=[values], sparse_output=False)
        reached = block_diag(*(np.tri(len(ladder)) for ladder in ladders))
        return Pipeline([("is", one_hot), ("reaches", _dot(reached))])
    knots = np.log1p(column.levels)[:, np.newaxis]
    between = SplineTransformer(degree=1, knots=knots, extrapolation="constant")
    reached = np.tri(len(column.levels))[:, 1:]
    log = FunctionTransformer(np.log1p)
    return Pipeline([("log", log), ("between", between), ("reaches", _dot(reached))])


def _dot(matrix):
    return FunctionTransformer(np.dot, kw_args={"b": matrix})


def questions():
    """The questions behind the encoded columns, in their order.

    Returns
    -------
    fields : ndarray of str, shape (n_questions,)
        Which field each is about.
    rising : ndarray of bool, shape (n_questions,)
        Whether "yes" never lowers the price.
    """
    fields, rising = [], []
    for column in SPECIFICATION:
        if column.kind == "flag":
            steps = [False]
        elif column.kind == "category":
            ladders = column.ladders or tuple((value,) for value in column.allowed)
            steps = [i > 0 and column.monotonic for ladder in ladders for i in range(len(ladder))]
        else:
            steps = [column.monotonic] * (len(column.levels) - 1)
        fields += [column.name] * len(steps)
        rising += steps
    return np.array(fields), np.array(rising)


def fit_pipeline(table, params):
    """Choose alpha by grouped cross-validation within `table`, then fit on all of it.

    Rows are weighted by 1 / price, as the mean absolute percentage error weighs them.

    Parameters
    ----------
    table : DataFrame, shape (n_rows, ...)
        Rows of the processed table: features, the target, ``specification`` for the group.
    params : TrainParams

    Returns
    -------
    TransformedTargetRegressor
        Fitted. Its coefficients are rounded to 9 decimals, so that processors whose last bits
        differ make the same model.
    """
    model = build_pipeline().fit(table, table[TARGET])
    alpha = choose_alpha(table, params)
    columns, bounded = basis(params.crossed)
    terms = model.regressor_[:-1].transform(table) @ columns
    fitted = fit_ridge(terms, np.log(table[TARGET]), bounded, alpha, weights(table))
    ridge = model.regressor_["ridge"].set_params(alpha=alpha)
    # Rounded before the sums, which would not stay above zero otherwise, and after them.
    ridge.coef_ = (columns @ fitted.coef_.round(_DECIMALS)).round(_DECIMALS)
    ridge.intercept_ = float(np.round(fitted.intercept_, _DECIMALS))
    return model


def choose_alpha(table, params):
    """The Ridge penalty with the lowest mean MAPE over grouped folds of `table`.

    Parameters
    ----------
    table : DataFrame
        As for :func:`fit_pipeline`.
    params : TrainParams

    Returns
    -------
    float
    """
    if len(params.alphas) == 1:
        return params.alphas[0]
    columns, bounded = basis(params.crossed)
    errors = np.zeros(len(params.alphas))
    folds = GroupKFold(n_splits=params.inner_folds)
    for train, test in folds.split(table, groups=table["specification"]):
        train, test = table.iloc[train], table.iloc[test]
        encode = build_pipeline().regressor[:-1]
        seen, unseen = encode.fit_transform(train) @ columns, encode.transform(test) @ columns
        start = None
        for i, alpha in enumerate(params.alphas):
            ridge = fit_ridge(seen, np.log(train[TARGET]), bounded, alpha, weights(train), start)
            start = ridge.coef_ != 0
            predicted = np.exp(ridge.predict(unseen))
            errors[i] += mean_absolute_percentage_error(test[TARGET], predicted)
    return params.alphas[int(errors.argmin())]


def chosen_alpha(model):
    """The Ridge penalty of a fitted model."""
    return float(model.regressor_["ridge"].alpha)


def weights(table):
    """1 / price, in units of the median: ndarray, shape (n_rows,)."""
    return (table[TARGET].median() / table[TARGET]).to_numpy()


def basis(crossed):
    """The columns that are fitted, as sums of the pipeline's terms.

    Returns
    -------
    basis : sparse array, shape (n_terms, n_columns)
        ``terms @ basis`` is what is fitted, ``basis @ coef`` what is kept.
    bounded : ndarray of bool, shape (n_columns,)
        Whose coefficients are zero or more.
    """
    fields, rising = questions()
    size = len(fields)
    first, second = np.triu_indices(size, 1)
    pair = size + np.arange(len(first))  # as PolynomialFeatures numbers them
    used = (fields[first] != fields[second]) & (
        np.isin(fields[first], crossed) | np.isin(fields[second], crossed)
    )
    first, second, pair = first[used], second[used], pair[used]
    one_rising = rising[first] != rising[second]
    step = np.where(rising[first], first, second)[one_rising]

    plus = np.concatenate([np.arange(size), pair, step])
    minus = pair[one_rising]  # in the last columns
    column = np.arange(len(plus))
    values = np.repeat([1.0, -1.0], [len(plus), len(minus)])
    rows = np.concatenate([plus, minus])
    columns = np.concatenate([column, column[len(plus) - len(minus) :]])
    shape = (size + size * (size - 1) // 2, len(plus))
    bounded = np.concatenate([rising, rising[first] | rising[second], np.ones(len(step), bool)])
    return csc_array((values, (rows, columns)), shape=shape), bounded
