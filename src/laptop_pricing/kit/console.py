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
    from .modeling.task import figure, task_of

    problem, data, metrics, home = project.problem, result.data, result.metrics, result.project
    task, held = task_of(problem), metrics["holdout"]
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
    unseen = ", ".join(f"{n} {figure(n, held[n])}" for n in (task.score_name, task.error_name))
    told = f"{unseen} on {metrics['rows']['held_out']} rows that the model never saw"
    lines += [
        *task.evidence(metrics),
        ("Hold-out", told),
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
    from .adopt.choose import KINDS
    from .modeling.task import task_of

    for note in decision.notes:
        typer.echo(f"{typer.style('Note:', fg='yellow')} {note}")
    width = max(len(finding.raw_name) for finding in decision.findings)
    colours = {"target": "green", "late": "red", "left out": "yellow"}
    for finding in decision.findings:
        word = typer.style(f"{finding.decision:<9}", fg=colours.get(finding.decision))
        line = f"{finding.raw_name:<{width}}  {word} {finding.kind:<9} {finding.why}"
        typer.echo(f"{line}. Look at this: {finding.check}" if finding.check else line)
    task = task_of(decision.problem)
    words = KINDS[task.name].in_words
    typer.echo(f"\n{words}, on the same folds; the simplest of the best is taken:")
    for choice in decision.tried:
        taken = "   taken" if choice is decision.taken else ""
        typer.echo(f"  {amount(choice.error):>10}  {choice.name}{taken}")
    typer.echo(f"  {amount(decision.trivial):>10}  {task.plain_words[0]}\n")
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
    from .modeling.task import figure, task_of

    task = task_of(problem)
    for other, line in zip(task.plain_words, metrics["baselines"].values()):
        parts = []
        for name in (task.score_name, task.error_name):
            more, margin = -line[name]["more"], line[name]["margin"]
            sign = "+" if more >= 0 and name == task.score_name else ""
            parts.append(f"{name} {sign}{figure(name, more)} ± {figure(name, margin)}")
        yield f"{other}: {', '.join(parts)}"


def print_quote(
    problem: Problem, row: dict[str, Any], quote: Any, margin: Optional[float] = None
) -> None:
    """Print a prediction, how sure it is, a bar per factor, and offers if there was a margin."""
    from .modeling.task import task_of

    task = task_of(problem)
    said, how_sure = task.headline(quote)
    typer.echo(f"{typer.style(said, bold=True)}   {how_sure}")
    for line in task.details(quote):
        typer.echo(line)
    fields = "one field" if quote.distance == 1 else f"{quote.distance} fields"
    near = f"differs in {fields}" if quote.distance else "is the same"
    typer.echo(
        f"The nearest {problem.item} in the data {near}; the usual {task.error_word} is then "
        f"{task.tell_error(quote.typical_error)}."
    )
    if quote.base is not None:
        typer.echo(f"\nWhy: {task.why(quote)}")
        _print_reasons(problem, row, quote, task.factor_text)
    if quote.offers:
        typer.echo(f"\nOffers that leave a margin of {margin:.0%} of the sale:")
        offer = f"offer, {problem.target.unit}"
        typer.echo(f"  {offer:>10}  {'miss it':>8}  {'lose money':>10}  expected margin")
    for line in quote.offers or ():
        losing = f"{line.losing:.0%}" if line.losing else "under 1%"
        start = f"  {line.offer:>10,.0f}  {line.risk:>8.0%}  {losing:>10}"
        typer.echo(f"{start}  {line.expected_margin:>15.0%}")


def _print_reasons(problem: Problem, row: dict[str, Any], quote: Any, factor: str) -> None:
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
        return factor.format(math.exp(size)) if quote.factors else f"{size:+,.3g}"

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
