"""The model: any scikit-learn regressor that ``build_model`` gives, unfitted."""

from sklearn.model_selection import GridSearchCV, GroupKFold

from .kit.modeling.factor_ridge import FactorRidge
from .kit.params import Params
from .kit.problem import Problem


def build_model(problem: Problem, params: Params) -> GridSearchCV:
    """A Ridge on the logarithm of the target, its penalty chosen by grouped folds."""
    settings = params.model
    return GridSearchCV(
        FactorRidge(problem.features, settings["crossed"]),
        {"alpha": settings["alphas"]},
        scoring="neg_mean_absolute_percentage_error",
        cv=GroupKFold(settings["inner_folds"], shuffle=True, random_state=0),
        error_score="raise",
    )
