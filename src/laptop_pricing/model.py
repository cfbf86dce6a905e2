"""The model: any scikit-learn regressor that ``build_model`` gives, unfitted.

What it needs is imported inside: a quote starts without scikit-learn.
"""

from typing import TYPE_CHECKING, Any

from .kit.problem import Problem

if TYPE_CHECKING:
    from .kit.params import Params


def build_model(problem: Problem, params: "Params") -> Any:
    """The kit's Ridge; what params.yaml gives several values for is chosen by grouped folds."""
    from sklearn.model_selection import GridSearchCV, GroupKFold

    from .kit.modeling.factor_ridge import FactorRidge

    settings = params.model  # the section `model` of params.yaml
    return GridSearchCV(
        FactorRidge(problem.features, settings["crossed"], knots=settings["knots"]),
        {
            "alpha": settings["alphas"],
            "link": settings["links"],
            "weighted": settings["weighted"],
        },
        scoring=settings["scoring"],
        cv=GroupKFold(settings["inner_folds"], shuffle=True, random_state=0),
        error_score="raise",
    )
