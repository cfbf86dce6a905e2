"""The task to predict numbers: its measures, its plain models, its checks, what a quote holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from ..errors import StepFailed, UserError
from ..problem import Problem, amount
from .factors import Explanation
from .interval import RISKS, Offer, calibrate, coverage, interval, offers, summarise_coverage

if TYPE_CHECKING:
    from pandas import DataFrame, Series

    from ..params import TrainParams


@dataclass(frozen=True)
class Quote:
    """A prediction and what it rests on."""

    prediction: float
    low: float  # of the interval that held 90 % of the actual values
    high: float
    base: Optional[float]  # the average prediction; None where the model gives no reasons
    factors: Optional[dict[str, float]]  # by field: the base times all of them is the prediction
    terms: Optional[dict[str, float]]  # by field: or the base plus all of them is
    distance: int  # in how many fields the nearest training case differs
    typical_error: float  # at that distance: a share of the actual value, or in its unit
    offers: Optional[list[Offer]]  # if a margin was given
    warnings: list[str]  # what is doubtful in the case, or weak in the model


MOST_COMPARED = 2000  # groups of equal rows


class Regression:
    """Numbers. ``task.py`` says what outputs, actual targets and predictions are."""

    name = "regression"
    quote = Quote
    score_name = "R2"  # a metric that is better the higher
    trivial, plain = "median", "ridge"  # what every model is measured against
    promise = "a 90 % interval"
    error_word, factor_text = "error", "x {:.2f}"
    decimals = 2  # of predictions in a file
    plain_words = ("the median", "a plain Ridge")

    def __init__(self, problem: Problem) -> None:
        self.problem, self.target = problem, problem.target
        self.moved, self.moved_scale = self.target.name, "linear"  # by what reasons multiply
        relative = problem.relative
        self.metrics = ("R2", "MAPE", "MAE", "MSE") if relative else ("R2", "MAE", "RMSE")
        self.by_target = f"{self.target.name} band"  # as what slices by the target are known

    @property
    def error_name(self) -> str:
        """The mean error that is promised: a share, or an amount in the target's unit."""
        return "MAPE" if self.problem.relative else "MAE"

    def tell_error(self, error: float) -> str:
        """A mean error in words."""
        if self.problem.relative:
            return f"{error:.1%}"
        return f"{amount(error)} {self.target.unit}".strip()

    # Evaluation

    def check(self, table: DataFrame, params: TrainParams) -> None:
        """Refuse a table that nothing can be learned from."""
        target, place = table[self.target.name], f"{self.problem.raw_file}: {self.target.name}"
        if params.costs:
            problem = f"is for classes; {self.target.name} is a number"
            raise UserError("params.yaml: train.costs", problem, "take it out")
        if self.problem.relative and target.min() <= 0:
            remedy = 'say errors="absolute" in problem.py'
            raise UserError(
                place, f"found {target.min():g}; relative errors need above zero", remedy
            )
        if target.nunique() == 1:
            problem = f"is {target.iloc[0]:g} in every row; expected values that differ"
            raise UserError(place, problem)

    def check_outputs(self, outputs: np.ndarray) -> None:
        """Refuse a model whose predictions cannot be used."""
        expected = "above zero" if self.problem.relative else "a number"
        if not (np.isfinite(outputs) & (outputs > (0 if self.problem.relative else -np.inf))).all():
            raise StepFailed("model.py", f"a predicted {self.target.name} is not {expected}")

    def folds(
        self, table: DataFrame, params: TrainParams
    ) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
        """Seed, fold, positions of training and of test rows."""
        from sklearn.model_selection import GroupKFold

        from ..data.split import grouped_folds

        return grouped_folds(GroupKFold, table, params.folds, params.seeds)

    def strata(self, table: DataFrame) -> list[Any]:
        """The groups of equal rows, in parts of each of which a smaller sample keeps its share."""
        from ..data.table import GROUP

        return [table[GROUP].unique()]

    def learned(self, table: DataFrame) -> Series:
        """The targets as a model learns them."""
        return table[self.target.name]

    def columns(self, outputs: np.ndarray) -> dict[str, Any]:
        """The columns of the table of predictions that hold the outputs."""
        return {"predicted": outputs}

    def outputs_in(self, predictions: DataFrame) -> Any:
        """The inverse of :meth:`columns`."""
        return predictions["predicted"]

    def score(self, actual: Any, outputs: Any) -> dict[str, float]:
        """The metrics that count: MAPE is a fraction, MAE in the target's unit."""
        from sklearn import metrics

        ways = {
            "R2": metrics.r2_score,
            "MAPE": metrics.mean_absolute_percentage_error,
            "MAE": metrics.mean_absolute_error,
            "MSE": metrics.mean_squared_error,
            "RMSE": metrics.root_mean_squared_error,
        }
        return {name: float(ways[name](actual, outputs)) for name in self.metrics}

    def errors(self, actual: Any, outputs: Any) -> Any:
        """The error of each prediction: a share of the actual value, or in the target's unit."""
        error = abs(outputs - actual)
        return error / actual if self.problem.relative else error

    def row_figures(self, actual: Any, outputs: Any) -> dict[str, Any]:
        """The figures of each row of which slices show the mean."""
        return {self.error_name: self.errors(actual, outputs), "MAE": abs(outputs - actual)}

    def sums(self, actual: Any, outputs: Any) -> dict[str, Any]:
        """For each row the terms of sums, of which :meth:`from_sums` makes metrics."""
        squares = {"y": actual, "yy": actual**2, "ee": (outputs - actual) ** 2}
        errors = {"error": self.errors(actual, outputs), "amount": abs(outputs - actual)}
        return {"n": 1.0} | squares | errors

    def from_sums(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        n, y, yy, ee, error, _ = sums
        return {"R2": 1 - ee / (yy - y**2 / n), self.error_name: error / n}

    def total(self, sums: np.ndarray) -> dict[str, float]:
        """The metrics as :meth:`score` gives them, from the sums over all rows."""
        n, _, _, ee, _, amounts = sums
        more = {"MAE": amounts / n, "MSE": ee / n, "RMSE": np.sqrt(ee / n)}
        found = more | self.from_sums(sums)
        return {name: float(found[name]) for name in self.metrics}

    def bands(self, actual: Series) -> Series:
        """The band of each value of the target, in words and in order: a categorical Series."""
        import pandas as pd

        edges = (*self.problem.bands, np.inf)
        names = [f"{low:,} to {high:,}" for low, high in zip(edges, edges[1:])]
        names[-1] = f"{edges[-2]:,} and more"
        return pd.cut(actual, edges, labels=names, right=False)

    def noise_floor(self, table: DataFrame, predictions: DataFrame) -> tuple[float, ...]:
        """As ``evaluate.noise_floor``: equal rows are predicted by the median of their group."""
        import pandas as pd

        from ..data.table import GROUP

        same = table[table.duplicated(GROUP, keep=False)]
        same = same[same[GROUP].isin(same[GROUP].unique()[:MOST_COMPARED])]
        groups, own = same.groupby(GROUP)[self.target.name], predictions["row"].isin(same.index)
        within = [self.errors(value, g.median()) for _, g in groups for value in g]
        without = [self.errors(g[row], g.drop(row).median()) for _, g in groups for row in g.index]
        model = self.errors(predictions["actual"], predictions["predicted"])[own]
        return tuple(float(pd.Series(e, dtype=float).mean()) for e in (within, without, model))

    def plain_models(self) -> tuple[Any, Any]:
        """The model that knows no feature, and the one that stands behind a plain encoding."""
        from sklearn.dummy import DummyRegressor
        from sklearn.linear_model import Ridge

        return DummyRegressor(strategy="median"), Ridge()

    # How sure

    def calibrate(self, predictions: DataFrame, params: TrainParams) -> dict[str, Any]:
        """What a bundle has to know beside its model to say how sure it is."""
        return calibrate(self.problem, predictions)

    def covered(self, predictions: DataFrame, params: TrainParams) -> DataFrame:
        """The predictions with their intervals, and which of them hold."""
        return coverage(self.problem, predictions)

    def measured(self, covered: DataFrame, params: TrainParams) -> dict[str, Any]:
        """What metrics.json says beside the metrics of all tasks."""
        return {"interval": summarise_coverage(self.problem, covered)}

    def held_out(self, calibration: Mapping[str, Any], actual: Any, outputs: Any) -> dict[str, Any]:
        """The same for the hold-out, where it is one figure."""
        inside = actual.between(*interval(calibration, outputs).T).mean()
        return {"coverage": float(inside)}

    def evidence(self, metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
        """What a summary says beside the criteria, as label and text."""
        mae, lines = metrics["cv"]["MAE"], []
        if self.problem.relative:
            told = f"{amount(mae['mean'])} ± {amount(mae['sd'])} {self.target.unit}"
            lines.append(("MAE", told.strip()))
        held = metrics["interval"]["coverage"]
        return [*lines, ("Interval", f"the 90 % interval held {held:.1%}")]

    def promise_kept(self, metrics: Mapping[str, Any]) -> str:
        """What became of the 90 %, in a sentence for the model card."""
        found, held = metrics["interval"], metrics["holdout"]["coverage"]
        thirds = "".join(f", {name} third {share:.1%}" for name, share in found["thirds"].items())
        width = self.tell_error(found["width"]) + self.problem.relative * " of the prediction"
        told = f"The 90 % interval held {found['coverage']:.1%} out of fold{thirds}, and {held:.1%}"
        return f"{told} of the hold-out: measured, not guaranteed. Its median width is {width}."

    def plots(
        self, covered: DataFrame, metrics: Mapping[str, Any], params: TrainParams
    ) -> dict[str, Any]:
        """The plots beside those of all tasks, by name."""
        from . import plots

        return {
            "predictions": plots.draw_predictions(self.problem, covered),
            "intervals": plots.draw_intervals(self.problem, covered, metrics["interval"]),
        }

    # What a prediction says

    def quotes(
        self,
        calibration: Mapping[str, Any],
        outputs: np.ndarray,
        explained: Optional[Explanation],
        margin: Optional[float],
        risk: Optional[float],
    ) -> Iterator[dict[str, Any]]:
        """For each row the part of its quote that is this task's own."""
        risks = RISKS if risk is None else (risk,)
        ends = interval(calibration, outputs).tolist()
        for i, value in enumerate(outputs.tolist()):
            sold = None if margin is None else offers(calibration, value, margin, risks)
            told = {"prediction": value, "low": ends[i][0], "high": ends[i][1], "offers": sold}
            yield told | self._reasons(explained, i)

    def _reasons(self, explained: Optional[Explanation], i: int) -> dict[str, Any]:
        if explained is None:
            return {"base": None, "factors": None, "terms": None}
        effects = dict(zip(self.problem.names, explained.effects[i].tolist()))
        factors, terms = (None, effects) if explained.additive else (effects, None)
        return {"base": explained.base, "factors": factors, "terms": terms}

    def headline(self, quote: Quote) -> tuple[str, str]:
        """A prediction in words, and how sure it is."""
        unit = self.target.unit
        ends = f"{amount(quote.low)} to {amount(quote.high)} {unit}"
        return f"{amount(quote.prediction)} {unit}", f"90 % of such {self.problem.items}: {ends}"

    def details(self, quote: Quote) -> list[str]:
        """Further lines about it."""
        return []

    def why(self, quote: Quote) -> str:
        """What the reasons start from."""
        word = "times" if quote.factors else "plus"
        average = f"{amount(quote.base or 0)} {self.target.unit}".strip()
        return f"the average {self.problem.item} is {average}, {word}"

    def cells(self, calibration: Mapping[str, Any], outputs: np.ndarray) -> dict[str, Any]:
        """The columns that ``predict`` adds to a table."""
        low, high = interval(calibration, outputs).T
        return dict(zip(self.cell_names, (outputs, low, high)))

    @property
    def cell_names(self) -> list[str]:
        name = self.target.name
        return [f"predicted_{name}", f"{name}_low", f"{name}_high"]

    def tell_all(self, predictions: DataFrame) -> str:
        """Many predictions in a few words."""
        middle = amount(predictions.iloc[:, 0].median())
        return f"median {self.target.name} {middle} {self.target.unit}".strip()
