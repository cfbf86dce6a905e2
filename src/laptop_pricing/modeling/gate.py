"""May a model take another's place? Both are scored on the same rows, which neither has seen.

The rows are those of the frozen hold-out rule. The errors are compared row by row, since both
models find the same rows hard; the interval of the difference comes from a bootstrap [1]_ in which
the rows of one specification are drawn together.

References
----------
.. [1] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 8.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from laptop_pricing.data.schema import SLICED_BY, TARGET
from laptop_pricing.data.split import is_held_out
from laptop_pricing.errors import UserError
from laptop_pricing.modeling.evaluate import MIN_SLICE_ROWS, price_bands, score

DRAWS = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Comparison:
    """A candidate beside the champion, on the hold-out.

    Parameters
    ----------
    candidate, champion : dict of float
        From :func:`~laptop_pricing.modeling.evaluate.score`.
    difference, low, high : float
        MAPE of the candidate less that of the champion, and its 95 % interval.
    slices : DataFrame
        ``by``, ``slice``, ``rows``, ``difference``; slices with 30 rows or more.
    errors : DataFrame
        ``candidate`` and ``champion``: the relative error of each row.
    """

    candidate: dict
    champion: dict
    difference: float
    low: float
    high: float
    slices: pd.DataFrame
    errors: pd.DataFrame


def compare_on_holdout(candidate, champion, table):
    """Score two bundles on the held-out rows of a table.

    Parameters
    ----------
    candidate, champion : Bundle
    table : DataFrame
        The processed table.

    Returns
    -------
    Comparison

    Raises
    ------
    UserError
        If they were held out by different rules, so that one may have seen the rows.
    """
    rules = [bundle.metadata["holdout"] for bundle in (candidate, champion)]
    if rules[0] != rules[1]:
        raise UserError(
            f"the candidate's hold-out rule is {rules[0]}, the champion's {rules[1]}: no rows that "
            "neither has seen; --force REASON promotes without a comparison"
        )
    unseen = table[is_held_out(table["key"])]
    actual = unseen[TARGET]
    predicted = {"candidate": candidate.model.predict(unseen)}
    predicted["champion"] = champion.model.predict(unseen)
    errors = pd.DataFrame({name: abs(p / actual - 1) for name, p in predicted.items()})
    more = errors["candidate"] - errors["champion"]

    groups = more.groupby(unseen["specification"]).agg(["sum", "size"]).to_numpy()
    random, n = np.random.default_rng(0), len(groups)
    drawn = (groups[random.integers(n, size=n)].sum(axis=0) for _ in range(DRAWS))  # one at a time
    sums, sizes = np.array(list(drawn)).T
    outside = (1 - CONFIDENCE) / 2
    low, high = np.quantile(sums / sizes, [outside, 1 - outside])
    parts = [
        more.groupby(by, observed=True).agg(rows="size", difference="mean").rename_axis("slice")
        for by in (unseen[SLICED_BY], price_bands(actual))
    ]
    slices = pd.concat(parts, keys=[SLICED_BY, f"{TARGET} band"], names=["by"]).reset_index()
    return Comparison(
        **{name: score(actual, p) for name, p in predicted.items()},
        difference=float(more.mean()),
        low=float(low),
        high=float(high),
        slices=slices[slices["rows"] >= MIN_SLICE_ROWS].reset_index(drop=True),
        errors=errors,
    )


def criteria(metrics, params):
    """The success criteria beside what was measured.

    Parameters
    ----------
    metrics : dict
        The content of metrics.json.
    params : Params

    Returns
    -------
    list of (str, float, float, str, bool)
        Metric, mean, standard deviation, what is promised, and whether it is met.
    """
    found = metrics["cv"]
    least, most = params.criteria.R2, params.criteria.MAPE
    return [
        ("R2", *found["R2"].values(), f"> {least:g}", found["R2"]["mean"] > least),
        ("MAPE", *found["MAPE"].values(), f"< {most:g}", found["MAPE"]["mean"] < most),
    ]


def objections(metrics, comparison, params):
    """Why a candidate should not be promoted, one line each; nothing if it should.

    Parameters
    ----------
    metrics : dict
        The candidate's.
    comparison : Comparison or None
        None where there is no champion yet.
    params : Params
    """
    found = [
        f"{name} {mean:.4g}, promised {promised}"
        for name, mean, _, promised, met in criteria(metrics, params)
        if not met
    ]
    if comparison is None:
        return found
    limits = params.promote
    if comparison.difference > limits.tolerance:
        found.append(
            f"MAPE on the hold-out {comparison.candidate['MAPE']:.4f}, the champion's "
            f"{comparison.champion['MAPE']:.4f}: worse by {comparison.difference:.4f}, more than "
            f"promote.tolerance = {limits.tolerance:g}"
        )
    return found + [
        f"{line.by} {line.slice} ({line.rows} rows): MAPE worse by {line.difference:.4f}, "
        f"more than promote.slice_tolerance = {limits.slice_tolerance:g}"
        for line in comparison.slices.itertuples()
        if line.difference > limits.slice_tolerance
    ]
