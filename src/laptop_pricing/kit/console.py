"""What a run of the project and a quote look like in the terminal."""

import math
import shutil
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import typer

from .errors import without_credentials
from .files import short
from .problem import REFUSED, Column, Problem, amount
from .project import Project

if TYPE_CHECKING:
    from .adopt.adopt import Decision
    from .modeling.quote import Quote
    from .workflow import Result

SMALL_FACTOR = 0.005  # nearer to 1 than this, factors are summed up
_BAR = 20  # characters for a doubling
_PLAIN = {"median": "the median", "ridge": "a plain Ridge"}


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

    problem, data, metrics, home = project.problem, result.data, result.metrics, result.project
    held, unit = metrics["holdout"], problem.target.unit
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
        spread = f"{figure(c.name, c.mean)} ± {figure(c.name, c.sd)}"
        lines.append((c.name, f"{spread}   {verdict}"))
    lines += [("Against", text) for text in _ahead(problem, metrics)]
    mae, name = metrics["cv"]["MAE"], problem.error_name
    unseen = f"R2 {held['R2']:.2f}, {name} {figure(name, held[name])}"
    if problem.relative:
        lines.append(("MAE", f"{amount(mae['mean'])} ± {amount(mae['sd'])} {unit}".strip()))
    lines += [
        ("Interval", f"the 90 % interval held {metrics['interval']['coverage']:.1%}"),
        (
            "Hold-out",
            f"{unseen} on {metrics['rows']['held_out']} rows that the model never saw",
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


def print_adopted(
    project: Project, decision: "Decision", texts: Mapping[Path, str], dry_run: bool
) -> None:
    """Print what was decided about each column and why, the models, and what to do next."""
    for note in decision.notes:
        typer.echo(f"{typer.style('Note:', fg='yellow')} {note}")
    width = max(len(finding.raw_name) for finding in decision.findings)
    colours = {"target": "green", "late": "red", "left out": "yellow"}
    for finding in decision.findings:
        word = typer.style(f"{finding.decision:<9}", fg=colours.get(finding.decision))
        line = f"{finding.raw_name:<{width}}  {word} {finding.kind:<9} {finding.why}"
        typer.echo(f"{line}. Look at this: {finding.check}" if finding.check else line)
    typer.echo("\nMean absolute error, on the same folds; the simplest of the best is taken:")
    for choice in decision.tried:
        taken = "   taken" if choice is decision.taken else ""
        typer.echo(f"  {amount(choice.error):>10}  {choice.name}{taken}")
    typer.echo(f"  {amount(decision.median):>10}  the median of all rows\n")
    ours = [path for path in texts if path.name in decision.texts]
    for path in ours if dry_run else []:
        typer.echo(f"{typer.style(f'--- {short(path)}', bold=True)}\n{texts[path]}")
    if dry_run:
        would = ", ".join(map(short, texts))
        return typer.echo(f"Nothing was written. Without --dry-run it would be: {would}")
    written = ", ".join([f"data/raw/{decision.problem.raw_file}", *map(short, ours)])
    typer.echo(f"Wrote {written}")
    typer.echo(f"Put its words into {len(texts) - len(ours)} pages: git diff shows them")
    first = short(ours[0])
    typer.echo(f"Next: read {first}, edit it; then {command(project.name)} run")
    typer.echo("and keep it: git add --all && git commit")


def _ahead(problem: Problem, metrics: Mapping[str, Any]) -> Iterator[str]:
    """By how much the model is better than each plain one, with the 95 % interval's half."""
    name = problem.error_name
    for other, line in metrics["baselines"].items():
        better = f"R2 {-line['R2']['more']:+.2f} ± {line['R2']['margin']:.2f}"
        error = f"{figure(name, -line[name]['more'])} ± {figure(name, line[name]['margin'])}"
        yield f"{_PLAIN[other]}: {better}, {name} {error}"


def figure(name: str, value: float) -> str:
    """The figure of a metric, with the digits that say something."""
    return f"{value:.2f}" if name in ("R2", "MAPE") else amount(value)


def print_quote(
    problem: Problem, row: dict[str, Any], quote: "Quote", margin: Optional[float]
) -> None:
    """Print a prediction, its interval, a bar per factor, and the offers if a margin was given."""
    unit, items = problem.target.unit, problem.items
    predicted = typer.style(f"{amount(quote.prediction)} {unit}", bold=True)
    ends = f"{amount(quote.low)} to {amount(quote.high)} {unit}"
    typer.echo(f"{predicted}   90 % of such {items}: {ends}")
    fields = "one field" if quote.distance == 1 else f"{quote.distance} fields"
    near = f"differs in {fields}" if quote.distance else "is the same"
    typer.echo(
        f"The nearest {problem.item} in the data {near}; the usual error is then "
        f"{problem.tell_error(quote.typical_error)}."
    )
    if quote.base is not None:
        word = "times" if quote.factors else "plus"
        typer.echo(f"\nWhy: the average {problem.item} is {amount(quote.base)} {unit}, {word}")
        _print_reasons(problem, row, quote)
    if quote.offers:
        typer.echo(f"\nOffers that leave a margin of {margin:.0%} of the sale:")
        typer.echo(f"  {f'offer, {unit}':>10}  {'miss it':>8}  {'lose money':>10}  expected margin")
    for line in quote.offers or ():
        losing = f"{line.losing:.0%}" if line.losing else "under 1%"
        start = f"  {line.offer:>10,.0f}  {line.risk:>8.0%}  {losing:>10}"
        typer.echo(f"{start}  {line.expected_margin:>15.0%}")


def _print_reasons(problem: Problem, row: dict[str, Any], quote: "Quote") -> None:
    """A line per field with its factor or term, and a bar: the longest for the largest."""
    columns = {column.name: column for column in problem.features}
    if quote.factors:
        sizes = {name: math.log(factor) for name, factor in quote.factors.items()}
        full, least = math.log(2), SMALL_FACTOR
    else:
        sizes = quote.terms or {}
        full = max(map(abs, sizes.values())) or 1.0
        least = SMALL_FACTOR * full
    ordered = sorted(sizes.items(), key=lambda item: -abs(item[1]))
    rest = [size for _, size in ordered if abs(size) < least]
    shown = ordered[: len(ordered) - len(rest)]

    def told(size: float) -> str:
        return f"x {math.exp(size):.2f}" if quote.factors else f"{size:+,.3g}"

    labels = [f"{name} {columns[name].spell(row[name])}" for name, _ in shown]
    width = max(map(len, [*labels, "99 others"])) + 1
    for label, (_, size) in zip(labels, shown):
        bar = min(_BAR, max(1, round(abs(size) / full * _BAR)))
        left, right = ("", "+" * bar) if size > 0 else ("-" * bar, "")
        drawn = typer.style(f"{left:>{_BAR}}|{right}", fg="green" if size > 0 else "red")
        typer.echo(f"  {label:<{width}}{told(size)}  {drawn}")
    if rest:
        typer.echo(f"  {f'{len(rest)} others':<{width}}{told(math.fsum(rest))}")


def ask_for(column: Column) -> str:
    """The user's answer about a column, typed at a terminal until it can be read."""
    default = column.spell(column.default) if column.optional else None
    while True:
        answer = typer.prompt(f"{column.description} ({column.rule})", default=default)
        if column.read(answer) is not REFUSED:
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
