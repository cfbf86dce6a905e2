"""The task to predict classes: its measures, its plain models, its checks, what a quote holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Optional

import numpy as np

from ..errors import StepFailed, UserError
from ..problem import Problem
from .factors import Explanation
from .sets import (
    HALF_95,
    calibration_error,
    cost_curve,
    cost_matrix,
    decide,
    least_chances,
    sets,
    share_margin,
    threshold,
)

if TYPE_CHECKING:
    from pandas import DataFrame, Series

    from ..params import TrainParams

MOST_CLASSES = 20
_LEAST = 1e-15  # chance that counts in a logarithm


@dataclass(frozen=True)
class ClassQuote:
    """The chances of each class, what to say, and what that rests on."""

    prediction: str  # the class to say: the one whose mistakes cost least
    chances: dict[str, float]
    set: list[str]  # the classes that are as likely as for 90 % of their rows: several, or none
    odds: list[str]  # the base and the factors are those of the first one against the other
    base: Optional[float]  # the odds of the average case; None where the model gives no reasons
    factors: Optional[dict[str, float]]  # by field: the base times all of them are this one's odds
    distance: int  # in how many fields the nearest training case differs
    typical_error: float  # at that distance: log loss
    warnings: list[str]  # what is doubtful in the case, or weak in the model
    terms: ClassVar[None] = None  # as numbers may have
    offers: ClassVar[None] = None


class Classification:
    """Classes. The methods are described where :class:`Regression` has them."""

    name = "classification"
    quote = ClassQuote
    error_name = "log_loss"
    score_name = "ROC_AUC"
    trivial, plain = "largest_class", "logistic"
    promise = "a 90 % set"
    error_word, factor_text = "log loss", "x {:.3g}"
    decimals = 4  # of predictions in a file
    plain_words = ("always the largest class", "a plain logistic regression")
    metrics = ("log_loss", "Brier", "ROC_AUC", "accuracy", "balanced_accuracy")

    def __init__(self, problem: Problem) -> None:
        self.problem, self.target, self.classes = problem, problem.target, problem.classes
        against = f" against {self.classes[0]}" if len(self.classes) > 2 else ""
        self.moved = f"odds of {self.classes[-1]}{against}"  # by reasons
        self.moved_scale = "log"
        self.by_target = self.target.name  # as what slices by the target are known
        self._chances = [f"chance_of_{name}" for name in self.classes]

    def tell_error(self, error: float) -> str:
        return f"{error:.3f}"

    # Evaluation

    def check(self, table: DataFrame, params: TrainParams) -> None:
        """Refuse a table that nothing can be learned from, or whose classes are too rare."""
        from ..data.table import GROUP

        place, folded = f"problem.py: {self.target.name}", {c.casefold() for c in self.classes}
        if len(folded) < len(self.classes):
            raise UserError(place, "found classes that differ in case alone", "make them one")
        if not 2 <= len(folded) <= MOST_CLASSES:
            found = f"found classes: {len(folded)}; expected 2 to {MOST_CLASSES}"
            raise UserError(place, found, "join some of them")
        groups = self.learned(table).groupby(table[GROUP]).first().value_counts()
        for code, name in enumerate(self.classes):
            if (rows := int(groups.get(code, 0))) < params.folds:
                found = f"{rows or 'no'} different {self.problem.items} of class {name}"
                expected = f"expected {params.folds} or more, as many as train.folds"
                raise UserError(
                    place, f"found {found}; {expected}", "join it to another, or drop it"
                )
        if self.problem.bought:
            raise UserError("problem.py: bought", "is for numbers; expected False")
        cost_matrix(self.classes, params.costs)

    def check_outputs(self, outputs: np.ndarray) -> None:
        sums = outputs.sum(axis=1)
        if not ((outputs >= 0).all() and np.allclose(sums, 1, atol=1e-4)):
            raise StepFailed("model.py", "found chances of a row that do not add up to 1")

    def folds(
        self, table: DataFrame, params: TrainParams
    ) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
        from ..data.split import StratifiedGroups, grouped_folds

        target = self.learned(table)
        return grouped_folds(StratifiedGroups, table, params.folds, params.seeds, target)

    def strata(self, table: DataFrame) -> list[Any]:
        from ..data.table import GROUP

        first = table.drop_duplicates(GROUP)
        return [part[GROUP].to_numpy() for _, part in first.groupby(self.target.name)]

    def learned(self, table: DataFrame) -> Series:
        places = {self.target.read(name): place for place, name in enumerate(self.classes)}
        return table[self.target.name].map(places).astype("int64")

    def columns(self, outputs: np.ndarray) -> dict[str, Any]:
        return {"predicted": outputs.argmax(axis=1)} | dict(zip(self._chances, outputs.T))

    def outputs_in(self, predictions: DataFrame) -> np.ndarray:
        return predictions[self._chances].to_numpy()

    def score(self, actual: Any, outputs: Any) -> dict[str, float]:
        """The metrics: those of what is said are of the likeliest class.

        Of several classes, the Brier score is the sum over them, and ROC AUC the mean of each
        against the rest.
        """
        from sklearn import metrics

        actual, said = np.asarray(actual), outputs.argmax(axis=1)
        return {
            "log_loss": float(self.errors(actual, outputs).mean()),
            "Brier": float(self._brier(actual, outputs).mean()),
            "ROC_AUC": self._auc(actual, outputs),
            "accuracy": float((actual == said).mean()),
            "balanced_accuracy": float(
                metrics.recall_score(actual, said, labels=np.unique(actual), average="macro")
            ),
        }

    def _auc(self, actual: np.ndarray, outputs: np.ndarray) -> float:
        from sklearn.metrics import roc_auc_score

        places = [1] if len(self.classes) == 2 else np.unique(actual)
        own = [(actual == place, outputs[:, place]) for place in places]
        areas = [roc_auc_score(*pair) for pair in own if 0 < pair[0].mean() < 1]
        return float(np.mean(areas)) if areas else 0.5

    def _brier(self, actual: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        squares = (outputs - np.eye(len(self.classes))[actual]) ** 2
        return squares.sum(axis=1) / (2 if len(self.classes) == 2 else 1)

    def errors(self, actual: Any, outputs: Any) -> Any:
        """The error of each prediction: the negative logarithm of the true class's chance."""
        chance = np.take_along_axis(outputs, np.asarray(actual)[:, np.newaxis], axis=1)[:, 0]
        return -np.log(np.maximum(chance, _LEAST))

    def row_figures(self, actual: Any, outputs: Any) -> dict[str, Any]:
        right = np.asarray(actual) == outputs.argmax(axis=1)
        return {self.error_name: self.errors(actual, outputs), "accuracy": right.astype(float)}

    def sums(self, actual: Any, outputs: Any) -> dict[str, Any]:
        terms = {"error": self.errors(actual, outputs), "brier": self._brier(actual, outputs)}
        return {"n": 1.0} | terms | {"right": self.row_figures(actual, outputs)["accuracy"]}

    def from_sums(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(("log_loss", "Brier", "accuracy"), sums[1:] / sums[0]))

    def bands(self, actual: Series) -> Series:
        import pandas as pd

        codes = pd.Categorical.from_codes(actual.to_numpy(), list(self.classes))
        return pd.Series(codes, actual.index)

    def noise_floor(self, table: DataFrame, predictions: DataFrame) -> tuple[float, ...]:
        """Not known: too few rows are equal to say what the chances of their classes are."""
        return (np.nan, np.nan, np.nan)

    def plain_models(self) -> tuple[Any, Any]:
        from sklearn.dummy import DummyClassifier
        from sklearn.linear_model import LogisticRegression

        return DummyClassifier(strategy="prior"), LogisticRegression(max_iter=10_000)

    # How sure

    def calibrate(self, predictions: DataFrame, params: TrainParams) -> dict[str, Any]:
        copies = predictions["seed"].nunique()
        least = least_chances(predictions["actual"], self.outputs_in(predictions), copies)
        costs = cost_matrix(self.classes, params.costs).tolist()
        return {"classes": list(self.classes), "least": least, "costs": costs}

    def covered(self, predictions: DataFrame, params: TrainParams) -> DataFrame:
        """The predictions with ``said``, and ``inside``, ``size`` of sets from the other folds."""
        import pandas as pd

        parts = []
        for _, drawn in predictions.groupby("seed"):
            for _, fold in drawn.groupby("fold"):
                known = self.calibrate(drawn.drop(fold.index), params)
                chances = self.outputs_in(fold)
                held = sets(chances, known["least"])
                inside = held[np.arange(len(fold)), fold["actual"]]
                told = {"said": decide(chances, known["costs"]), "size": held.sum(axis=1)}
                parts.append(fold.assign(**told, inside=inside))
        return pd.concat(parts).sort_index()

    def measured(self, covered: DataFrame, params: TrainParams) -> dict[str, Any]:
        """What metrics.json says beside the metrics of all tasks.

        ``classes``: the figures of each, and the share of its rows that its sets hold;
        ``confusion``: what is said of the rows of a class, as shares; ``sets``; ``calibration``;
        ``decision``: mean costs per row.
        """
        import pandas as pd
        from sklearn.metrics import precision_recall_fscore_support as figures

        places, names = range(len(self.classes)), list(self.classes)
        parts = [fold for _, fold in covered.groupby(["seed", "fold"])]
        lines = [
            figures(part["actual"], part["said"], labels=places, zero_division=0)[:3]
            for part in parts
        ]
        mean, sd = np.mean(lines, axis=0), np.std(lines, axis=0)
        rows = np.bincount(covered.drop_duplicates("row")["actual"], minlength=len(names))
        said = pd.crosstab(covered["actual"], covered["said"], normalize="index")
        said = said.reindex(index=places, columns=places, fill_value=0)
        inside = covered.groupby("actual")["inside"].mean()
        return {
            "classes": {
                name: {"rows": int(rows[k]), "share": float(rows[k] / rows.sum())}
                | {
                    metric: {"mean": float(mean[i, k]), "sd": float(sd[i, k])}
                    for i, metric in enumerate(("precision", "recall", "f1"))
                }
                | {"coverage": float(inside[k]), "margin": share_margin(int(rows[k]))}
                for k, name in enumerate(names)
            },
            "confusion": said.set_axis(names).set_axis(names, axis=1).to_dict("index"),
            "sets": {
                "coverage": float(covered["inside"].mean()),
                "one_class": float((covered["size"] == 1).mean()),
                "none": float((covered["size"] == 0).mean()),
            },
            "calibration": {
                "error": calibration_error(covered["actual"], self.outputs_in(covered))
            },
            "decision": self.decision(covered, params),
        }

    def decision(self, covered: DataFrame, params: TrainParams) -> dict[str, float]:
        """The mean cost per row of what is said, and of other ways to say it.

        ``likeliest`` says the likeliest class, ``one_class`` always the same, the cheapest. Of two
        classes ``threshold`` is ours, and ``best_threshold`` the cheapest one for just these rows;
        ``margin`` is half of the 95 % interval of the difference of their costs.
        """
        costs = cost_matrix(self.classes, params.costs)
        actual = covered["actual"].to_numpy()
        ours = costs[actual, covered["said"]]
        found = {
            "cost": float(ours.mean()),
            "likeliest": float(costs[actual, covered["predicted"]].mean()),
            "one_class": float(costs[actual].mean(axis=0).min()),
        }
        if len(costs) > 2:
            return found
        chance = self.outputs_in(covered)[:, 1]
        at, curve = cost_curve(actual, chance, costs)
        best = float(at[curve.argmin()])
        more = ours - costs[actual, (chance >= best).astype(int)]
        found |= {"threshold": threshold(costs), "best_threshold": best}
        return found | {
            "best_cost": float(curve.min()),
            "margin": float(HALF_95 * more.std() / np.sqrt(covered["row"].nunique())),
        }

    def held_out(self, calibration: Mapping[str, Any], actual: Any, outputs: Any) -> dict[str, Any]:
        held, costs = sets(outputs, calibration["least"]), np.array(calibration["costs"])
        inside = held[np.arange(len(held)), actual]
        cost = costs[actual, decide(outputs, costs)].mean()
        return {"coverage": float(inside.mean()), "cost": float(cost)}

    def evidence(self, metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
        lines, sure, costs = metrics["classes"], metrics["sets"], metrics["decision"]
        held = [f"{name} {line['coverage']:.1%}" for name, line in lines.items()]
        found = [("Accuracy", self.right(metrics))]
        for name, line in lines.items():
            means = {
                "precision": line["precision"]["mean"],
                "recall": metrics["confusion"][name][name],
            }
            spread = [f"{m} {mean:.2f} ± {line[m]['sd']:.2f}" for m, mean in means.items()]
            found.append((name, f"{line['rows']} rows ({line['share']:.1%}), {', '.join(spread)}"))
        said = f"cost per row {costs['cost']:.3g}; always one class {costs['one_class']:.3g}"
        if "threshold" in costs:
            said = f"{self.classes[1]} from {costs['threshold']:.0%} on: {said}"
        return found + [
            ("Chances", f"off by {metrics['calibration']['error']:.3f} on average"),
            ("Sets", f"held the true class of {', '.join(held)}; target 90 %"),
            (
                "Sure",
                f"{sure['one_class']:.1%} of the sets hold one class, {sure['none']:.1%} none",
            ),
            ("Decision", said),
        ]

    def right(self, metrics: Mapping[str, Any]) -> str:
        """How many of the predicted classes are right."""
        shares = {name: line["share"] for name, line in metrics["classes"].items()}
        right = sum(share * metrics["confusion"][name][name] for name, share in shares.items())
        largest = max(shares, key=lambda name: shares[name])
        return f"{right:.1%} right; always {largest} would be {shares[largest]:.1%}"

    def promise_kept(self, metrics: Mapping[str, Any]) -> str:
        found, held = metrics["sets"]["coverage"], metrics["holdout"]["coverage"]
        told = f"The 90 % sets held the class of {found:.1%} out of fold, and of {held:.1%}"
        return f"{told} of the hold-out: measured, not guaranteed."

    def plots(
        self, covered: DataFrame, metrics: Mapping[str, Any], params: TrainParams
    ) -> dict[str, Any]:
        from . import class_plots

        costs = cost_matrix(self.classes, params.costs)
        return {
            "predictions": class_plots.draw_confusion(self, covered, metrics),
            "calibration": class_plots.draw_calibration(
                self, covered, metrics["calibration"]["error"]
            ),
            "costs": class_plots.draw_costs(self, covered, costs, metrics["decision"]),
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
        held, said = sets(outputs, calibration["least"]), decide(outputs, calibration["costs"])
        for i, chances in enumerate(outputs.tolist()):
            yield {
                "prediction": self.classes[said[i]],
                "chances": dict(zip(self.classes, chances)),
                "set": [name for name, inside in zip(self.classes, held[i]) if inside],
            } | self._reasons(explained, i)

    def _reasons(self, explained: Optional[Explanation], i: int) -> dict[str, Any]:
        if explained is None:
            return {"odds": [], "base": None, "factors": None}
        return {
            "odds": [self.classes[place] for place in explained.classes[i]],
            "base": float(explained.base[i]),
            "factors": dict(zip(self.problem.names, explained.effects[i].tolist())),
        }

    def headline(self, quote: ClassQuote) -> tuple[str, str]:
        if not quote.set:
            return quote.prediction, "no class fits (90 % set): unlike what is known, or between"
        held = " or ".join(quote.set)
        sure = f"sure: only {held} fits" if quote.set == [quote.prediction] else f"not sure: {held}"
        return quote.prediction, f"{sure} (90 % set)"

    def details(self, quote: ClassQuote) -> list[str]:
        width = max(map(len, quote.chances))
        bars = ((name, chance, "#" * round(40 * chance)) for name, chance in quote.chances.items())
        return [f"  {name:<{width}}  {chance:>6.1%}  {bar}" for name, chance, bar in bars]

    def why(self, quote: ClassQuote) -> str:
        one, other = quote.odds
        average = f"the odds of {one} against {other} are {quote.base:.3g}"
        return f"for the average {self.problem.item} {average}, times"

    def cells(self, calibration: Mapping[str, Any], outputs: np.ndarray) -> dict[str, Any]:
        names = np.array(self.classes, dtype=object)
        held = sets(outputs, calibration["least"])
        said = names[decide(outputs, calibration["costs"])]
        columns = [said, *outputs.T, np.array([" or ".join(names[row]) for row in held], object)]
        return dict(zip(self.cell_names, columns))

    @property
    def cell_names(self) -> list[str]:
        return [f"predicted_{self.target.name}", *self._chances, f"{self.target.name}_set"]

    def tell_all(self, predictions: DataFrame) -> str:
        shares = predictions.iloc[:, 0].value_counts(normalize=True)
        return ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
