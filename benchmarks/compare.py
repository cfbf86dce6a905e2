"""This project's model beside others, under one protocol: R2, MAPE, and the paired differences.

Every entrant is what ``build_model`` could give, so a new one is one line. All go through the same
outer folds; what an entrant chooses, it chooses inside the training part, by grouped folds, among
as many settings as the project's own model has. Takes about ten minutes::

    python benchmarks/compare.py

prints a table. Needs a processed table (``laptop-pricing run``); XGBoost and
LightGBM take part where they are installed (requirements-boosters.txt).
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import GridSearchCV, GroupKFold

from laptop_pricing.kit.modeling.evaluate import (
    against,
    baselines,
    cross_validate,
    summarise,
)
from laptop_pricing.kit.modeling.factor_ridge import FactorRidge
from laptop_pricing.kit.modeling.train import read_processed
from laptop_pricing.kit.project import open_project
from laptop_pricing.model import build_model
from laptop_pricing.problem import PROBLEM

ROOT = Path(__file__).resolve().parent.parent
OURS = "FactorRidge, the project's model"


def entrants(project):
    """The models of the comparison by name, ours first."""
    folds = GroupKFold(5, shuffle=True, random_state=0)

    def search(model, **grid):
        chosen = {"scoring": "neg_mean_absolute_percentage_error", "cv": folds}
        return GridSearchCV(model, grid, **chosen)

    def on_log(model):
        return TransformedTargetRegressor(model, func=np.log, inverse_func=np.exp)

    rising = {c.name: 1 for c in PROBLEM.features if c.numeric and c.monotonic}
    plain = baselines(PROBLEM)
    boosted = HistGradientBoostingRegressor(random_state=0, learning_rate=0.05)
    monotone = HistGradientBoostingRegressor(
        random_state=0, learning_rate=0.05, monotonic_cst=rising
    )
    sizes = {"regressor__max_leaf_nodes": [7, 15, 31, 63]}
    found = {
        OURS: project.model(),
        "median": plain["median"],
        "Ridge, one-hot": search(plain["ridge"], ridge__alpha=[0.3, 1, 3, 10]),
        "Ridge, one-hot, on the logarithm": search(
            on_log(plain["ridge"]), regressor__ridge__alpha=[0.3, 1, 3, 10]
        ),
        "FactorRidge, nothing crossed": search(
            FactorRidge(PROBLEM.features), alpha=[0.3, 1, 3, 10]
        ),
        "HistGradientBoosting": search(on_log(boosted), **sizes),
        "HistGradientBoosting, sizes rising": search(on_log(monotone), **sizes),
    }
    settings = {"n_estimators": 400, "learning_rate": 0.05, "subsample": 0.8, "n_jobs": 1}
    if find_spec("xgboost"):
        from xgboost import XGBRegressor

        xgboost = XGBRegressor(
            enable_categorical=True, colsample_bytree=0.5, random_state=0, **settings
        )
        depths = {"regressor__max_depth": [3, 4, 6, 8]}
        found["XGBoost"] = search(on_log(xgboost), **depths)
        constraints = {"monotone_constraints": rising}
        found["XGBoost, sizes rising"] = search(
            on_log(XGBRegressor(**xgboost.get_params() | constraints)), **depths
        )
    if find_spec("lightgbm"):
        from lightgbm import LGBMRegressor

        lightgbm = LGBMRegressor(
            subsample_freq=1, colsample_bytree=0.5, random_state=0, verbose=-1, **settings
        )
        found["LightGBM"] = search(on_log(lightgbm), regressor__num_leaves=[7, 15, 31, 63])
    return found


def main():
    """Cross-validate all entrants, and print a line for each."""
    if not PROBLEM.relative:
        sys.exit("these entrants learn logarithms: for another target see notebook 2.0")
    project = open_project(PROBLEM, build_model, ROOT)
    table, _ = read_processed(project)
    params = project.params.train
    print("| Model | R2 | MAPE | R2 against ours | MAPE against ours |\n|---|---|---|---|---|")
    ours = None
    for name, model in entrants(project).items():
        folds, _ = cross_validate(model, PROBLEM, table, params, name)
        ours = folds if ours is None else ours
        cells = [
            f"{line['mean']:.3f} ± {line['sd']:.3f}" for line in list(summarise(folds).values())[:2]
        ]
        more = against(PROBLEM, ours, folds, params).values()
        cells += [f"{line['more']:+.3f} ± {line['margin']:.3f}" for line in more]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
