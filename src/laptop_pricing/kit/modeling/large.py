"""A table of any size: its parts are read twice, and the sums of each fold are enough for all fits.

The first time each part gives the sums of its rows by fold, and by whether they are held out; the
training rows of a model are those of some of these cells. The second time each row is predicted by
the model that saw no row of its group. What has to see rows together, such as the choice of a
penalty, the quantiles of numbers, intervals and plots, sees a sample: whole groups, some
``memory_rows`` in all.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from ..data.parts import part_paths, read_part
from ..data.preprocess import TABLE_FILE
from ..data.split import is_held_out
from ..data.table import GROUP, KEY, features
from ..params import TrainParams
from ..problem import Problem
from ..project import Project
from ..workers import Workers
from .evaluate import Fold
from .factor_ridge import FactorRidge
from .questions import Questions
from .regression import Regression
from .search import choose, shares_sums
from .sums import Sums, add_up, gather_sums
from .task import outputs, task_of

Cell = tuple[int, int, bool]  # seed, fold, whether held out


class Part(NamedTuple):
    """A part of the table: the groups in it follow each other."""

    path: Path
    rows: int
    first: int  # group
    folds: Mapping[int, np.ndarray]  # by seed, the fold of each of its groups


class Learned(NamedTuple):
    """What the whole table gave."""

    folds: pd.DataFrame  # as of ``cross_validate``: the figures of all rows
    on_sample: list[Fold]  # with their models, for the rows of the sample
    model: Any  # fitted on all rows that are not held out
    rows: int  # so many


def can_learn(model: Any) -> bool:
    """Whether sums are enough for a model."""
    return isinstance(model, FactorRidge) or shares_sums(model)


def fold_of_groups(count: int, folds: int, seed: int) -> np.ndarray:
    """The fold of each of so many groups: that of scikit-learn's shuffled ``GroupKFold``."""
    shuffled = np.random.RandomState(seed).permutation(count)
    found = np.empty(count, np.int8)
    for fold, groups in enumerate(np.array_split(shuffled, folds)):
        found[groups] = fold
    return found


@threadpool_limits.wrap(limits=1)
def learn(
    project: Project, sample: pd.DataFrame, groups: int, params: TrainParams, workers: Workers
) -> Learned:
    """Validate and fit a model that sums are enough for, on all rows of the processed table."""
    problem, model = project.problem, project.model()
    of_group = {seed: fold_of_groups(groups, params.folds, seed) for seed in params.seeds}
    parts = [_part(path, of_group) for path in part_paths(project.processed / TABLE_FILE)]
    rows, drawn = [part.rows for part in parts], []
    for seed, found in of_group.items():
        held = [found[sample[GROUP]] == fold for fold in range(params.folds)]
        drawn += [Fold(seed, i, *map(np.flatnonzero, (~out, out))) for i, out in enumerate(held)]
    seen = [sample.iloc[fold.train] for fold in drawn] + [sample[~is_held_out(sample[KEY])]]
    chosen = list(workers.fits(partial(_choose, model, problem), seen, "Choosing params"))

    asked = _ridge(model).questions(features(problem.features, sample))
    weightings = sorted({_ridge(one).weighted for one in chosen})
    summed = partial(part_sums, problem=problem, asked=asked, weightings=weightings)
    cells = workers.reduce(summed, parts, _merged, "Summing up", rows)
    trainings = [[c for c in cells if c[0] == f.seed and c[1] != f.fold] for f in drawn]
    trainings.append([c for c in cells if c[0] == params.seeds[0] and not c[2]])
    totals = [
        add_up(cells[c] for c in own)._replace(median=float(part[problem.target.name].median()))
        for own, part in zip(trainings, seen)
    ]
    *fitted, final = map(_solved, chosen, totals)
    validated = [fold._replace(fitted=model) for fold, model in zip(drawn, fitted)]
    models = {(fold.seed, fold.fold): fold.fitted for fold in validated}

    scored = partial(part_scores, problem=problem, models=models)
    scores = workers.reduce(scored, parts, _merged, "Predicting held-out rows", rows)
    task = Regression(problem)
    lines = [
        {"seed": f.seed, "fold": f.fold, "rows": sums.rows} | task.total(scores[f.seed, f.fold])
        for f, sums in zip(drawn, totals)
    ]
    return Learned(pd.DataFrame(lines), validated, final, totals[-1].rows)


def _part(path: Path, of_group: Mapping[int, np.ndarray]) -> Part:
    groups = read_part(path, [GROUP])[GROUP]
    low, high = int(groups.min()), int(groups.max()) + 1
    return Part(path, len(groups), low, {seed: own[low:high] for seed, own in of_group.items()})


@threadpool_limits.wrap(limits=1)
def _choose(model: Any, problem: Problem, rows: pd.DataFrame) -> Any:
    """A copy of the model that knows its params, but is not fitted."""
    if isinstance(model, FactorRidge):
        return clone(model)
    X, y = features(problem.features, rows), task_of(problem).learned(rows)
    return choose(model, X, y, rows[GROUP])


def _ridge(chosen: Any) -> FactorRidge:
    """The estimator, of a search that with the best params."""
    if isinstance(chosen, FactorRidge):
        return chosen
    return clone(chosen.estimator).set_params(**getattr(chosen, "best_params_", {}))


def _solved(chosen: Any, sums: Sums) -> Any:
    ridge = _ridge(chosen)
    ridge.check(sums.least)
    [solution] = sums.solve([ridge.alpha], ridge.link, ridge.weighted)
    ridge.take(sums.questions, solution)
    if ridge is not chosen:
        chosen.best_estimator_ = ridge
    return chosen


def part_sums(
    part: Part, problem: Problem, asked: Questions, weightings: Sequence[bool]
) -> dict[Cell, Sums]:
    """The sums of each cell of a part that has rows."""
    table = read_part(part.path)
    X, y = features(problem.features, table), table[problem.target.name].to_numpy(float)
    places, held = table[GROUP].to_numpy() - part.first, is_held_out(table[KEY]).to_numpy()
    cells = {}
    for seed, folds in part.folds.items():
        for fold, out in {*zip(folds[places].tolist(), held.tolist())}:
            rows = np.flatnonzero((folds[places] == fold) & (held == out))
            cells[seed, fold, out] = gather_sums(asked, X.iloc[rows], y[rows], weightings)
    return cells


def part_scores(
    part: Part, problem: Problem, models: Mapping[tuple[int, int], Any]
) -> dict[tuple[int, int], np.ndarray]:
    """What each model's errors for the rows of its fold add up to, in a part."""
    task, table = Regression(problem), read_part(part.path)
    places, found = table[GROUP].to_numpy() - part.first, {}
    for (seed, fold), model in models.items():
        rows = table[part.folds[seed][places] == fold]
        predicted = outputs(model, features(problem.features, rows), problem.classes)
        terms = pd.DataFrame(task.sums(task.learned(rows), predicted), rows.index)
        found[seed, fold] = terms.sum().to_numpy()
    return found


def _merged(one: dict[Any, Any], other: dict[Any, Any]) -> dict[Any, Any]:
    """Two dictionaries, what both have added up."""
    return {
        key: one[key] + other[key] if key in one and key in other else (one | other)[key]
        for key in sorted(one.keys() | other.keys())
    }
