"""Whether cases differ from those that a model learned from.

Every quantity is counted: categories by name, numbers by the tenths of the reference. A bundle
keeps the counts, so that nobody needs the training data to compare.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from ..problem import Problem, amount

BINS = 10
MOST_VALUES = 20  # of a number that has a bin for each of its values
LEAST_EXPECTED = 5  # rows in a bin, else it is joined to others
UNKNOWN, OTHERS = "unknown", "others"
PREDICTION, WARNINGS = "prediction", "warnings"  # quantities beside the features


def count(values: pd.Series) -> dict[str, Any]:
    """The reference for a quantity: its bins, and how many of the values fall into each."""
    known = values.dropna()
    if not is_numeric_dtype(values) or is_bool_dtype(values) or not len(known):
        bins: dict[str, Any] = {"labels": sorted({str(value) for value in known})}
    elif known.nunique() <= MOST_VALUES:
        bins = {"values": np.unique(known).astype(float).tolist()}
    else:
        tenths = known.quantile(np.linspace(0, 1, BINS + 1), interpolation="lower")
        bins = {"edges": np.unique(tenths).astype(float).tolist()}
    return bins | {"counts": count_again(bins, values).tolist()}


def count_again(bins: Mapping[str, Any], values: pd.Series) -> np.ndarray:
    """How many other values fall into the bins of a reference, which :func:`bin_labels` names."""
    labels = bin_labels(bins)
    missing, last = values.isna().to_numpy(), len(labels) - 1
    if "labels" in bins:
        known = {label: place for place, label in enumerate(bins["labels"])}
        places = values.astype(str).map(known).fillna(last - 1).to_numpy(int)
    else:
        numbers = pd.to_numeric(values).to_numpy(float)
        ends = np.array(bins.get("edges") or bins["values"])
        places = np.searchsorted(ends, numbers, side="right")
        places[numbers > ends[-1]] += 1
        if "values" in bins:
            between = (numbers > ends[0]) & (numbers < ends[-1]) & ~np.isin(numbers, ends)
            places[between] = last - 1
    return np.bincount(np.where(missing, last, places), minlength=len(labels))


def bin_labels(bins: Mapping[str, Any]) -> list[str]:
    """The bins in words: of numbers those between, below and above all, then others, unknown."""
    if "labels" in bins:
        return [*bins["labels"], OTHERS, UNKNOWN]
    ends = [amount(end) for end in bins.get("edges") or bins["values"]]
    between = [f"from {end}" for end in ends] if "edges" in bins else ends
    return [f"below {ends[0]}", *between, f"above {ends[-1]}", OTHERS, UNKNOWN]


def outside(bins: Mapping[str, Any], counts: np.ndarray) -> int:
    """How many of the counted numbers are below or above all of the reference."""
    return 0 if "labels" in bins else int(counts[0] + counts[-3])


def quantities(
    problem: Problem, cases: pd.DataFrame, predicted: Sequence[Any], doubtful: Sequence[bool]
) -> pd.DataFrame:
    """What is compared: the fields of cases, the predictions, and whether there was a warning."""
    table = cases.reindex(columns=list(problem.names))
    table[PREDICTION] = [_four_digits(value) for value in predicted]
    return table.assign(**{WARNINGS: list(doubtful)})


def _four_digits(value: Any) -> Any:
    """A number in which processors agree."""
    return value if isinstance(value, str) else float(f"{value:.4g}")


def make_reference(quantities: pd.DataFrame) -> dict[str, Any]:
    """The reference of a bundle: the counts of each column."""
    return {str(name): count(values) for name, values in quantities.items()}


def compare(reference: Mapping[str, Any], quantities: pd.DataFrame) -> pd.DataFrame:
    """How much the cases asked about differ from the reference: a line for each quantity.

    ``psi`` is the population stability index, ``p`` the p-value of :func:`same`; ``unknown`` and
    ``outside`` (of all that the reference has) are shares of the cases. Columns that either lacks
    are left out.
    """
    lines = []
    for name in [name for name in reference if name in quantities]:
        bins = reference[name]
        was, now = np.array(bins["counts"]), count_again(bins, quantities[name])
        told = {"quantity": name, "psi": psi(was, now), "p": same(was, now)}
        told |= {"unknown": now[-1] / now.sum(), "outside": outside(bins, now) / now.sum()}
        lines.append(told | {"labels": bin_labels(bins), "was": was, "now": now})
    return pd.DataFrame(lines)


def psi(was: np.ndarray, now: np.ndarray) -> float:
    """The population stability index of two samples by their counts.

    After N. Siddiqi, "Credit Risk Scorecards", 2006: sum of (p - q) ln(p / q) over the bins.
    """
    used = (was + now) > 0
    p, q = (counts[used] + 0.5 for counts in (was, now))
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())


def same(was: np.ndarray, now: np.ndarray) -> float:
    """The p-value of the hypothesis that two samples, given by their counts, are of one kind.

    Pearson's chi-squared test; bins with few rows are joined, since it is wrong about them
    (W. G. Cochran, "Some methods for strengthening the common chi-squared tests", 1954).
    """
    from scipy.stats import chi2_contingency

    both = np.array([was, now])
    both = both[:, np.argsort(-both.sum(axis=0), kind="stable")]
    least = LEAST_EXPECTED * both.sum() / both.sum(axis=1).min()
    columns, rest = list[np.ndarray](), np.zeros(2, int)
    for column in both.T:
        rest = rest + column
        if rest.sum() >= least:
            columns.append(rest)
            rest = np.zeros(2, int)
    if len(columns) < 2:
        return 1.0
    columns[-1] = columns[-1] + rest
    return float(chi2_contingency(np.array(columns).T, correction=False).pvalue)
