"""What a run of the project and a quote look like in the terminal."""

import math
import shlex
import shutil
import sysconfig
from pathlib import Path

import typer

from laptop_pricing import NAME
from laptop_pricing.data.schema import ITEM, ITEMS, UNIT
from laptop_pricing.errors import without_credentials
from laptop_pricing.files import short

SMALL_FACTOR = 0.005  # nearer to 1 than this, factors are summed up
_BAR = 20  # characters for a doubling


def print_summary(result, params, sample):
    """Print what a run left behind and where to look at it.

    Parameters
    ----------
    result : Result
        From :mod:`laptop_pricing.workflow`.
    params : Params
    sample : bool
        Whether the figures are the synthetic sample's: every line says so then.
    """
    # It brings pandas, which a quote does not need.
    from laptop_pricing.modeling.gate import criteria

    data, cv, workspace = result.data, result.metrics["cv"], result.workspace
    lines = [
        (
            "Rows",
            f"{data['rows']} read, {data['duplicates']} duplicates, {data['rejected']} rejected, "
            f"{data['kept']} kept ({data['specifications']} different {ITEMS})",
        )
    ]
    for name, mean, spread, promised, met in criteria(result.metrics, params):
        word, colour = ("met", "green") if met else ("missed", "red")
        if sample:
            word, colour = f"{word}, not enforced", None
        verdict = typer.style(f"{promised} {word}", fg=colour)
        lines.append((name, f"{mean:.3f} ± {spread:.3f}   {verdict}"))
    mae, holdout, interval = (
        cv["MAE"],
        result.metrics["holdout"],
        result.metrics["interval"],
    )
    lines += [
        ("MAE", f"{mae['mean']:,.0f} ± {mae['sd']:,.0f} {UNIT}"),
        ("Interval", f"the 90 % interval held {interval['coverage']:.1%} of the {ITEMS}"),
        (
            "Hold-out",
            f"R2 {holdout['R2']:.3f}, MAPE {holdout['MAPE']:.3f} on "
            f"{result.metrics['rows']['held_out']} rows that the model never saw",
        ),
        ("Model", short(workspace.models)),
        ("Plots", short(workspace.figures)),
    ]
    if result.data_changed:
        lines.insert(1, ("Data", "not those registered before: review git diff HEAD -- data.dvc"))
    if result.tracked:
        new = "new run" if result.tracked.new else "tracked before, as run"
        lines.append(("Run", f"{new} {result.tracked.run_id} in {params.track.experiment}"))
        lines.append(("Look at it", how_to_open(workspace, result.tracked)))
    if not sample:
        lines.append(("Next", f"{_command(NAME)} quote --help"))
    if result.uncommitted:
        names = " ".join(shlex.quote(short(workspace.root / name)) for name in result.uncommitted)
        lines.append(("Commit it", f'git add {names} && git commit -m "Result of {NAME} run"'))
    prefix = typer.style("[sample] ", fg="yellow") if sample else ""
    typer.echo(prefix)
    for label, text in lines:
        typer.echo(f"{prefix}{typer.style(f'{label:<11}', bold=True)}{text}")
    if sample:
        typer.echo(
            f"{prefix}All figures are the synthetic sample's: they say nothing about {ITEMS}."
        )


def print_quote(quote, margin):
    """Print a price, its interval, a bar per factor, and the offers if a margin was given.

    Parameters
    ----------
    quote : Quote
        From :func:`~laptop_pricing.modeling.predict.quote`.
    margin : float or None
    """
    price = typer.style(f"{quote.price:,.0f} {UNIT}", bold=True)
    typer.echo(f"{price}   90 % of such {ITEMS}: {quote.low:,.0f} to {quote.high:,.0f} {UNIT}")
    typer.echo(f"\nWhy: the average {ITEM} is {quote.base:,.0f} {UNIT}, times")
    factors = sorted(quote.factors.items(), key=lambda item: -abs(item[1] - 1))
    rest = [factor for _, factor in factors if abs(factor - 1) < SMALL_FACTOR]
    for name, factor in factors[: len(factors) - len(rest)]:
        bar = min(_BAR, max(1, round(abs(math.log(factor)) / math.log(2) * _BAR)))
        left, right = ("", "+" * bar) if factor > 1 else ("-" * bar, "")
        colour = "green" if factor > 1 else "red"
        drawn = typer.style(f"{left:>{_BAR}}|{right}", fg=colour)
        typer.echo(f"  {name:<16}x {factor:.3f}  {drawn}")
    if rest:
        typer.echo(f"  {f'{len(rest)} others':<16}x {math.prod(rest):.3f}")
    if margin is not None:
        typer.echo(f"\nOffers that leave a margin of {margin:.0%} of the selling price:")
        typer.echo(f"  {f'offer, {UNIT}':>10}  {'miss it':>8}  {'lose money':>10}  expected margin")
        for line in quote.offers:
            losing = f"{line.losing:.0%}" if line.losing else "under 1%"
            typer.echo(
                f"  {line.offer:>10,.0f}  {line.risk:>8.0%}  {losing:>10}  "
                f"{line.expected_margin:>15.0%}"
            )


def comparison_lines(found):
    """The comparison of models as a Markdown table that reads well in a terminal, too.

    Parameters
    ----------
    found : DataFrame
        From :func:`~laptop_pricing.modeling.compare.compare`.

    Returns
    -------
    list of str
    """
    head = ("Model", "Tries", "R2", "MAPE", f"MAE, {UNIT}", "MAPE against ours", "R2 against ours")
    rows = [
        (
            line.model,
            f"{line.tries}",
            f"{line.R2:.3f} ± {line.R2_sd:.3f}",
            f"{line.MAPE:.4f} ± {line.MAPE_sd:.4f}",
            f"{line.MAE:,.0f}",
            f"{line.MAPE_more:+.4f} ± {line.MAPE_pm:.4f}",
            f"{line.R2_more:+.3f} ± {line.R2_pm:.3f}",
        )
        for line in found.itertuples()
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    cells = [head, ["-" * width for width in widths], *rows]
    return [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
        for row in cells
    ]


def _command(name):
    """`name` as it can be typed: with its folder where the environment is not active."""
    return name if shutil.which(name) else short(Path(sysconfig.get_path("scripts")) / name)


def how_to_open(workspace, tracked) -> str:
    """What to type, and where to go: only under that address does MLflow 3.17 show the runs."""
    page = f"#/experiments/{tracked.experiment_id}?workflowType=machine_learning"
    if tracked.uri != workspace.local_tracking_uri:
        return f"{without_credentials(tracked.uri).rstrip('/')}/{page}"
    database = shlex.quote(f"sqlite:///{Path(short(workspace.root / 'mlflow.db')).as_posix()}")
    command = f"{_command('mlflow')} ui --backend-store-uri {database}"
    return f"{command}, then open http://127.0.0.1:5000/{page}"
