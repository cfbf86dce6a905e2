"""What a run of the project and a quote look like in the terminal."""

import math
import shutil
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import typer

from .errors import without_credentials
from .files import short
from .problem import Column, Problem
from .project import Project

if TYPE_CHECKING:
    from .modeling.quote import Quote
    from .workflow import Result

SMALL_FACTOR = 0.005  # nearer to 1 than this, factors are summed up
_BAR = 20  # characters for a doubling


def say(text: str) -> None:
    """Announce a step."""
    typer.secho(text, bold=True)


def warn(warnings: Iterable[object]) -> None:
    """Print warnings where errors go."""
    for warning in warnings:
        typer.echo(f"{typer.style('Warning:', fg='yellow')} {warning}", err=True)


def print_summary(project: Project, result: "Result", sample: bool) -> None:
    """Print what a run left behind and where to look at it; of a sample every line says so."""
    from .modeling.gate import criteria

    problem, data, metrics = project.problem, result.data, result.metrics
    home, cv = result.project, metrics["cv"]
    counts = ", ".join(f"{data[key]} {key}" for key in ("duplicates", "rejected", "kept"))
    lines = [
        ("Rows", f"{data['rows']} read, {counts} ({data['groups']} different {problem.items})")
    ]
    if result.data_changed:
        lines.append(("Data", "not those of the last commit: review git diff HEAD -- data.dvc"))
    for c in criteria(metrics, project.params):
        word, colour = ("met", "green") if c.met else ("missed", "red")
        word, colour = (f"{word}, not enforced", "") if sample else (word, colour)
        verdict = typer.style(f"{c.promised} {word}", fg=colour or None)
        plain = metrics["baselines"]["ridge"][c.name]["mean"]
        lines.append((c.name, f"{c.mean:.2f} ± {c.sd:.2f}   {verdict}   (plain Ridge {plain:.2f})"))
    held = metrics["holdout"]
    lines += [
        ("MAE", f"{cv['MAE']['mean']:,.0f} ± {cv['MAE']['sd']:,.0f} {problem.target.unit}"),
        ("Interval", f"the 90 % interval held {metrics['interval']['coverage']:.1%}"),
        (
            "Hold-out",
            f"R2 {held['R2']:.2f}, MAPE {held['MAPE']:.2f} on {metrics['rows']['held_out']} rows "
            "that the model never saw",
        ),
        ("Model", short(home.models)),
        ("Plots", short(home.figures)),
    ]
    if result.tracked:
        new = "new run" if result.tracked.new else "tracked before, as run"
        lines.append(("Run", f"{new} {result.tracked.run_id} in {home.params.track.experiment}"))
        lines += [("Look at it", line) for line in how_to_open(home, result.tracked)]
    else:
        lines.append(("Run", typer.style(result.problem, fg="yellow")))
    if not sample:
        lines += [("Next", line) for line in (*result.to_commit, f"{command(problem.name)} quote")]
    prefix = typer.style("[sample] ", fg="yellow") if sample else ""
    typer.echo(prefix)
    for label, text in lines:
        typer.echo(f"{prefix}{typer.style(f'{label:<11}', bold=True)}{text}")
    if sample:
        about = f"they say nothing about {problem.items}"
        typer.echo(f"{prefix}All figures are the synthetic sample's: {about}.")


def print_quote(
    problem: Problem, row: dict[str, Any], quote: "Quote", margin: Optional[float]
) -> None:
    """Print a prediction, its interval, a bar per factor, and the offers if a margin was given."""
    unit, items = problem.target.unit, problem.items
    predicted = typer.style(f"{quote.prediction:,.0f} {unit}", bold=True)
    typer.echo(f"{predicted}   90 % of such {items}: {quote.low:,.0f} to {quote.high:,.0f} {unit}")
    fields = "one field" if quote.distance == 1 else f"{quote.distance} fields"
    near = f"differs in {fields}" if quote.distance else "is the same"
    typer.echo(
        f"The nearest {problem.item} in the data {near}; the usual error is then "
        f"{quote.typical_error:.0%}."
    )
    if quote.factors:
        typer.echo(f"\nWhy: the average {problem.item} is {quote.base:,.0f} {unit}, times")
        _print_factors(problem, row, quote.factors)
    if quote.offers:
        typer.echo(f"\nOffers that leave a margin of {margin:.0%} of the sale:")
        typer.echo(f"  {f'offer, {unit}':>10}  {'miss it':>8}  {'lose money':>10}  expected margin")
    for line in quote.offers or ():
        losing = f"{line.losing:.0%}" if line.losing else "under 1%"
        start = f"  {line.offer:>10,.0f}  {line.risk:>8.0%}  {losing:>10}"
        typer.echo(f"{start}  {line.expected_margin:>15.0%}")


def _print_factors(problem: Problem, row: dict[str, Any], factors: dict[str, float]) -> None:
    columns = {column.name: column for column in problem.features}
    ordered = sorted(factors.items(), key=lambda item: -abs(item[1] - 1))
    rest = [factor for _, factor in ordered if abs(factor - 1) < SMALL_FACTOR]
    shown = ordered[: len(ordered) - len(rest)]
    labels = [f"{name} {columns[name].spell(row[name])}" for name, _ in shown]
    width = max(map(len, [*labels, "99 others"])) + 1
    for label, (_, factor) in zip(labels, shown):
        bar = min(_BAR, max(1, round(abs(math.log(factor)) / math.log(2) * _BAR)))
        left, right = ("", "+" * bar) if factor > 1 else ("-" * bar, "")
        drawn = typer.style(f"{left:>{_BAR}}|{right}", fg="green" if factor > 1 else "red")
        typer.echo(f"  {label:<{width}}x {factor:.2f}  {drawn}")
    if rest:
        typer.echo(f"  {f'{len(rest)} others':<{width}}x {math.prod(rest):.2f}")


def ask_for(column: Column) -> str:
    """The user's answer about a column, typed at a terminal until it can be read."""
    default = None if column.default is None else column.spell(column.default)
    while True:
        answer = typer.prompt(f"{column.description} ({column.rule})", default=default)
        if column.read(answer) is not None:
            return answer
        typer.echo(f"found {answer!r}; expected {column.rule}", err=True)


def command(name: str) -> str:
    """`name` as it can be typed: with its folder where the environment is not active."""
    return name if shutil.which(name) else short(Path(sysconfig.get_path("scripts")) / name)


def how_to_open(project: Project, tracked: Any) -> list[str]:
    """What to type and where to go to see the runs of a tracked result's experiment."""
    page = f"#/experiments/{tracked.experiment_id}?workflowType=machine_learning"
    if project.tracking_uri != project.local_tracking_uri:
        return [f"{without_credentials(project.tracking_uri).rstrip('/')}/{page}"]
    database = Path(short(project.root / "mlflow.db")).as_posix()
    start = f"{command('mlflow')} ui --backend-store-uri sqlite:///{database}"
    return [start, f"then http://127.0.0.1:5000/{page}"]
