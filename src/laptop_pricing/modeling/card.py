"""The model card: what a model is for, what it was made from, how good it is, where it ends.

After M. Mitchell et al., "Model cards for model reporting", FAT* 2019.
"""

from laptop_pricing.data.schema import CAVEAT, ITEMS, TARGET, UNIT
from laptop_pricing.modeling.evaluate import MIN_SLICE_ROWS


def model_card(metadata, summary, slices, commit):
    """The card as Markdown.

    Parameters
    ----------
    metadata : dict
        The bundle's.
    summary : dict
        From :func:`~laptop_pricing.data.preprocess.preprocess`.
    slices : DataFrame
        From :func:`~laptop_pricing.modeling.evaluate.slices`.
    commit : str
        Of the code that made it.

    Returns
    -------
    str
        Below 5,000 characters, which a version's description may have.
    """
    metrics, rows = metadata["metrics"], metadata["metrics"]["rows"]
    cv, holdout, interval = metrics["cv"], metrics["holdout"], metrics["interval"]
    doubtful = sum(summary["contradictions"].values())
    lines = [
        "## Use",
        f"Estimates the {TARGET} of {ITEMS} in {UNIT}, with a 90 % interval, as a start for a "
        "person's decision. Not for other things than it was trained on, and not for other times: "
        "it knows the data below and nothing later.",
        "",
        "## Data",
        f"{summary['rows']} rows, md5 {metadata['data_md5']}: {summary['rejected']} rejected, "
        f"{summary['duplicates']} duplicates, {summary['kept']} kept "
        f"({summary['specifications']} different); {doubtful} contradictions in what was kept. "
        f"{rows['trained']} rows trained the model, {rows['held_out']} were held out by rule "
        f"{metadata['holdout']['rule']}. {CAVEAT}",
        "",
        "## Model",
        f"Ridge regression on the logarithm of the {TARGET}, alpha {metadata['alpha']:g}; "
        f"commit {commit[:12]}, SHA-256 {metadata['model_sha256'][:12]}.",
        "",
        "## Quality",
        "| metric | cross-validation, mean ± SD over folds | hold-out |",
        "|---|---|---|",
        *(
            f"| {name} | {cv[name]['mean']:,.4g} ± {cv[name]['sd']:,.2g} | {holdout[name]:,.4g} |"
            for name in ("R2", "MAPE", "MAE")
        ),
        "",
        f"The 90 % interval held {interval['coverage']:.1%} out of fold "
        f"({', '.join(f'{k} third {v:.1%}' for k, v in interval['terciles'].items())}) and "
        f"{holdout['coverage']:.1%} of the hold-out; its median width is "
        f"{interval['width']:.0%} of the prediction.",
        "",
        "## Where it is better and worse",
        f"| slice (with {MIN_SLICE_ROWS} rows or more) | rows | MAPE |",
        "|---|---|---|",
        *(f"| {s.by} {s.slice} | {s.rows} | {s.MAPE:.1%} |" for s in slices.itertuples()),
        "",
        "## Limits",
        "Slices that are not listed had too few rows to say anything about. Errors are largest "
        "where data are few. The factors explain the model, not the world.",
    ]
    return "\n".join(lines) + "\n"
