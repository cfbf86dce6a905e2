"""What each step of the model bought, and its challengers, under one protocol.

Every model gets the same outer folds, the same inner folds to choose among its settings, and the
same number of settings to choose from. The boosted trees are an optional extra.
"""

from functools import partial
from importlib.util import find_spec

import numpy as np
import pandas as pd
from scipy.stats import t as student
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_percentage_error
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from laptop_pricing.data.schema import FEATURES, SPECIFICATION, TARGET
from laptop_pricing.modeling.evaluate import cross_validate, summarise
from laptop_pricing.modeling.pipeline import basis, build_pipeline, fit_pipeline, weights

OURS = "Ridge, more never costs less (ours)"
_PLAIN_ALPHAS = (0.3, 1, 3, 10)
_CATEGORIES = {c.name: list(c.allowed) for c in SPECIFICATION if c.kind == "category"}


def contenders(params):
    """The models of the comparison, in its order.

    Parameters
    ----------
    params : TrainParams
        The number of its ``alphas`` is the number of settings that each may try.

    Returns
    -------
    list of (str, callable, int)
        Name; ``fit(table, params)``, which chooses a setting and gives a fitted model; number of
        settings.
    """
    tries = len(params.alphas)

    def entry(name, settings, fit_params):
        settings = settings[:tries]
        return name, partial(fit_best, settings=settings, fit_params=fit_params), len(settings)

    return [
        *(entry(*step) for step in _steps(params)),
        (OURS, fit_pipeline, tries),
        *(entry(*booster) for booster in _boosters()),
    ]


def fit_best(table, params, settings, fit_params):
    """Choose a setting by the grouped inner folds of `table`, then fit it on all of it.

    Parameters
    ----------
    table : DataFrame
        The processed table.
    params : TrainParams
    settings : list of estimator
        Unfitted; they take a table and predict the price.
    fit_params : dict
        What ``fit`` is told; the function ``pipeline.weights`` as a value stands for the weights
        of the rows.

    Returns
    -------
    estimator
        Fitted.
    """

    def fit(setting, table):
        told = {k: v(table) if v is weights else v for k, v in fit_params.items()}
        return clone(setting).fit(table, table[TARGET], **told)

    errors = np.zeros(len(settings))
    folds = GroupKFold(n_splits=params.inner_folds)
    if len(settings) > 1:
        for train, test in folds.split(table, groups=table["specification"]):
            train, test = table.iloc[train], table.iloc[test]
            for i, setting in enumerate(settings):
                predicted = fit(setting, train).predict(test)
                errors[i] += mean_absolute_percentage_error(test[TARGET], predicted)
    return fit(settings[int(errors.argmin())], table)


def compare(table, params, say=print):
    """Cross-validate the steps towards our model, our model, and the boosted trees.

    Parameters
    ----------
    table : DataFrame
        The processed table.
    params : TrainParams
    say : callable, optional
        Gets one line before each model.

    Returns
    -------
    DataFrame
        One line per model: ``model``, ``tries``; the mean of R2, MAPE and MAE over the folds and
        the standard deviation (``_sd``) of the first two; ``R2_more`` and ``MAPE_more``, the mean
        paired difference to our model, with the half-width of its 95 % interval (``_pm``) by the
        corrected resampled t-test [1]_.

    References
    ----------
    .. [1] C. Nadeau and Y. Bengio, "Inference for the generalization error", Machine Learning 52,
       2003.
    """
    scores, tries = {}, {}
    for name, fit, settings in contenders(params):
        say(name)
        tries[name] = settings
        scores[name], _ = cross_validate(table, params, fit)
    lines = []
    for name, folds in scores.items():
        found = summarise(folds)
        line = {"model": name, "tries": tries[name], "MAE": found["MAE"]["mean"]}
        for metric in ("R2", "MAPE"):
            line[metric], line[f"{metric}_sd"] = found[metric].values()
            difference = folds[metric] - scores[OURS][metric]
            line[f"{metric}_more"] = difference.mean()
            line[f"{metric}_pm"] = _half_width(difference, params.folds)
        lines.append(line)
    return pd.DataFrame(lines)


def _half_width(differences, folds):
    """Half of the 95 % interval of a mean over folds that share training rows."""
    count = len(differences)
    variance = differences.var(ddof=1) * (1 / count + 1 / (folds - 1))
    return float(student.ppf(0.975, count - 1) * np.sqrt(variance))


def _steps(params):
    """The Ridges on the way to ours, each with one thing more than the one before."""
    numbers = [c.name for c in SPECIFICATION if c.kind in ("integer", "number")]
    flags = [c.name for c in SPECIFICATION if c.kind == "flag"]
    one_hot = OneHotEncoder(categories=list(_CATEGORIES.values()))
    plain = make_column_transformer(
        (one_hot, list(_CATEGORIES)), (StandardScaler(), numbers), ("passthrough", flags)
    )
    whole = build_pipeline().regressor
    columns, bounded = basis(params.crossed)
    used = np.unique(columns.indices)
    products = [
        whole["encode"],
        whole["products"],
        FunctionTransformer(np.take, kw_args={"indices": used, "axis": 1}),
    ]

    def settings(steps, alphas, log=True):
        named = [(str(number), step) for number, step in enumerate(steps)]
        ridges = [Pipeline([*named, ("ridge", Ridge(alpha=alpha))]) for alpha in alphas]
        return [_on_log(ridge) for ridge in ridges] if log else ridges

    weighted = {"ridge__sample_weight": weights}
    return [
        ("Ridge: one-hot, numbers as they are", settings([plain], _PLAIN_ALPHAS, False), {}),
        ("+ logarithm of the price", settings([plain], _PLAIN_ALPHAS), {}),
        ("+ sizes and processors as steps", settings([whole["encode"]], _PLAIN_ALPHAS), {}),
        ("+ products with the crossed fields", settings(products, params.alphas), {}),
        ("+ weights 1 / price", settings(products, params.alphas), weighted),
    ]


def _on_log(model):
    return TransformedTargetRegressor(model, func=np.log, inverse_func=np.exp)


def _boosters():
    """The boosted trees that are installed: categories as such, log price, weights 1 / price."""
    encode = FunctionTransformer(_typed)

    def contender(name, model, changes, **fit_params):
        trees = [clone(model).set_params(**change) for change in changes]
        settings = [_on_log(Pipeline([("typed", encode), ("trees", each)])) for each in trees]
        return name, settings, {"trees__sample_weight": weights} | fit_params

    if find_spec("xgboost"):
        from xgboost import XGBRegressor

        model = XGBRegressor(
            n_estimators=400,
            learning_rate=0.05,
            subsample=0.8,
            colsample_bytree=0.5,
            enable_categorical=True,
            n_jobs=1,
            random_state=0,
        )
        yield contender("XGBoost", model, [{"max_depth": depth} for depth in (3, 4, 6, 8)])
    if find_spec("lightgbm"):
        from lightgbm import LGBMRegressor

        model = LGBMRegressor(
            n_estimators=400,
            learning_rate=0.05,
            min_child_samples=5,
            subsample=0.8,
            subsample_freq=1,
            colsample_bytree=0.5,
            n_jobs=1,
            random_state=0,
            verbose=-1,
        )
        yield contender("LightGBM", model, [{"num_leaves": leaves} for leaves in (7, 15, 31, 63)])
    if find_spec("catboost"):
        from catboost import CatBoostRegressor

        model = CatBoostRegressor(
            iterations=600,
            learning_rate=0.05,
            thread_count=1,
            random_seed=0,
            verbose=False,
            allow_writing_files=False,
        )
        depths = [{"depth": depth} for depth in (4, 5, 6, 7)]
        yield contender("CatBoost", model, depths, trees__cat_features=list(_CATEGORIES))


def _typed(table):
    """The features, with categories as pandas categoricals that all folds share."""
    return table[list(FEATURES)].astype(
        {name: pd.CategoricalDtype(values) for name, values in _CATEGORIES.items()}
    )
