"""The commands. Each parses its arguments, calls one function and prints what it found.

Nothing heavy is imported before a command needs it.
"""

import contextlib
import difflib
import errno
import json
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from typer import Argument, Context, Option

from .console import (
    ask_for,
    how_to_open,
    print_adopted,
    print_quote,
    print_summary,
    say,
    warn,
)
from .errors import DataUnavailable, ProjectError, StepFailed, UserError
from .files import short
from .problem import Failure, Problem
from .project import BuildModel, Project, open_project

Alias = Enum("Alias", {"stag": "stag", "prod": "prod"}, type=str)
AliasName = Annotated[Optional[Alias], Argument(metavar="ALIAS", help="stag or prod.")]
Append = Annotated[bool, Option("--append", help="Add the rows that data/raw does not have yet.")]
Api = Annotated[str, Option(help="Address of the REST API.")]
Base = Annotated[
    Optional[str], Option(help="A branch, by default stag or main; or prod, what serves.")
]
BundleFolder = Annotated[Optional[Path], Argument(metavar="FOLDER", help="Of a bundle.")]
Bucket = Annotated[str, Argument(help="Name of the bucket, without s3://")]
Classes = Annotated[
    Optional[bool],
    Option("--classes/--numbers", help="The kind of the target; else adopt decides."),
]
DryRun = Annotated[bool, Option("--dry-run", help="Show what would be written.")]
Endpoint = Annotated[str, Option(help="Address of an S3 storage that is not Amazon's.")]
ExportTarget = Annotated[str, Argument(metavar="TARGET", help="A folder, or s3://bucket/prefix.")]
Fields = Annotated[Optional[list[str]], Argument(metavar="FIELD=VALUE ...")]
Host = Annotated[str, Option(help="Address to listen on; 0.0.0.0 for all.")]
In = Annotated[Path, Argument(metavar="IN", help="CSV or Parquet; raw or clean names and words.")]
Item = Annotated[
    str, Option(help="What a row is about, such as house; by default the file's name.")
]
Items = Annotated[str, Option(help="Its plural, such as houses.")]
Json = Annotated[bool, Option("--json", help="For programs to read.")]
Log = Annotated[str, Option(metavar="FOLDER", help="Of quotes, also as exported: s3://...")]
Margin = Annotated[Optional[float], Option(min=0, max=0.95, help="Of the sale: shows offers.")]
Model = Annotated[Optional[str], Option(help="Folder of a bundle, or models:/NAME@prod.")]
Out = Annotated[Path, Option("--output", "-o", metavar="OUT", help="The file to write.")]
OutcomesFile = Annotated[
    Optional[Path], Option(metavar="FILE", help="CSV or Parquet: quote_id, and the actual target.")
]
PlotUrl = Annotated[str, Option(help="Where readers find the plot, if not beside the report.")]
Port = Annotated[int, Option(min=0, max=65535, help="0 for any free one.")]
Prefix = Annotated[str, Option(help="Folder of DVC's objects in it.")]
Profile = Annotated[str, Option(help="Profile of the AWS command line tool.")]
Reason = Annotated[str, Option(metavar="REASON", help="Override the gate; kept as a tag.")]
QuoteId = Annotated[str, Argument(metavar="QUOTE_ID", help="Of an answer; by default all.")]
Quotes = Annotated[Optional[Path], Option(help="Folder of the log of quotes; none for no log.")]
Report = Annotated[Path, Option("--output", "-o", metavar="HTML", help="The report to write.")]
Repair = Annotated[bool, Option("--repair", help="First upload what the remote lacks.")]
Repository = Annotated[str, Argument(metavar="OWNER/REPO")]
Revision = Annotated[str, Argument(help="A commit, branch or tag.")]
Risk = Annotated[Optional[float], Option(min=0.01, max=0.99, help="Of missing the margin.")]
Rows = Annotated[int, Option(min=1, max=10_000_000)]
Sample = Annotated[bool, Option("--sample", help="On the synthetic sample, in .scratch/.")]
Scheduler = Annotated[
    Optional[str], Option(envvar="SCHEDULER", help="Of Dask: local, local:N or tcp://HOST:PORT.")
]
Seed = Annotated[Optional[int], Option(min=0, max=2**32 - 1)]
Shrink = Annotated[bool, Option("--shrink", help="Accept a file with less than half the rows.")]
Since = Annotated[str, Option(help="A date as 2026-11-01, or 7d, 36h or 2w; by default all.")]
Source = Annotated[str, Argument(help="https:// URL, s3://bucket/key, or a path.")]
Table = Annotated[Path, Argument(metavar="FILE", help="CSV, TSV, Parquet, or a folder of them.")]
TargetColumn = Annotated[str, Option("--target", metavar="COLUMN", help="What is predicted.")]
Target = Annotated[Path, Argument(metavar="OUT", help="CSV to write.")]
To = Annotated[Optional[Alias], Option(help="The same.")]
Version = Annotated[Optional[int], Option(min=1, help="By default that of the previous alias.")]
Workers = Annotated[int, Option(min=1, max=64, help="Processes that answer.")]


@dataclass(frozen=True)
class Team:
    """What a team's half gives to the commands."""

    problem: Problem
    build_model: BuildModel
    trusted: tuple[str, ...] = ()
    add_routes: Optional[Callable[..., None]] = None

    def open(self, environment: bool = True) -> Project:
        project = open_project(self.problem, self.build_model, trusted=self.trusted)
        if environment:
            project.load_environment()
        return project


_STYLE: dict[str, Any] = {"no_args_is_help": True, "rich_markup_mode": None}
app = typer.Typer(
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    **_STYLE,
)
connect = typer.Typer(**_STYLE)
app.add_typer(connect, name="connect", help="Connect to the team's storage and servers.")


def make_cli(
    problem: Problem,
    build_model: BuildModel,
    trusted: tuple[str, ...] = (),
    add_routes: Optional[Callable[..., None]] = None,
) -> Callable[[], None]:
    """The command line of a project, as a function without arguments.

    `trusted` are the team's own types that a model file may hold; ``add_routes(app)`` adds to the
    REST API.
    """
    team = Team(problem, build_model, trusted, add_routes)

    def main() -> None:
        _run(lambda: named_command(problem)(obj=team, prog_name=problem.name))

    return main


def named_command(problem: Problem) -> Any:
    """All commands as Click knows them, under the project's name and with its fields."""
    root = typer.main.get_command(app)
    what = f"{problem.target.name} of {problem.items}"
    root.help = f"Predict {what}: from a raw table to a served model."
    root.epilog = f"Start with: {problem.name} run"
    commands: Any = root.commands  # type: ignore[attr-defined]
    quote_command = commands["quote"]
    fields = "\n".join(f"  {c.name}: {c.description.lower()}, {c.rule}" for c in problem.features)
    told = " ".join(f"{name}={shlex.quote(text)}" for name, text in problem.example.items())
    quote_command.help += f"\n\n\b\nFields:\n{fields}"
    quote_command.epilog = f"quote {told}"
    if problem.bought:
        quote_command.epilog += " --margin 0.2"
    else:
        asked = [p for p in quote_command.params if p.name not in ("margin", "risk")]
        quote_command.params = asked
    for command in (*commands.values(), *commands["connect"].commands.values()):
        command.epilog = command.epilog and f"Example: {problem.name} {command.epilog}"
    return root


def _run(command: Callable[[], object]) -> None:
    """Exit code 0: done, 1: failed, 2: the user's mistake."""
    for stream in (sys.stdout, sys.stderr):  # a console of another code page is no reason to fail
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        command()
        return
    except ProjectError as error:
        failure = error
    except OSError as error:
        name = re.sub(r"\.([^/\\]+)\.\d+\.part$", r"\1", str(error.filename or ""))
        full = error.errno == errno.ENOSPC
        remedy = "make room and try again" if full else "is it open elsewhere?"
        failure = StepFailed(name, error.strerror or str(error), remedy)
    text = str(failure).replace(f"{Path.cwd()}{os.sep}", "")  # paths as the user would type them
    typer.echo(f"{typer.style('Error:', fg='red', bold=True)} {text}", err=True)
    sys.exit(2 if isinstance(failure, UserError) else 1)


def _output(team: Team, path: Path) -> Path:
    """`path` as one to write to, outside what the pipeline owns; of a link what it leads to."""
    owned: tuple[Path, ...] = ()
    with contextlib.suppress(UserError):
        owned = team.open(environment=False).owned
    if any(path.resolve().is_relative_to(folder) for folder in owned):
        raise UserError(path, "lies in a folder that the pipeline writes", "name another output")
    if path.is_dir():
        raise UserError(path, "found a folder; expected the name of a file to write")
    leads_to_file = path.is_symlink() and (path.is_file() or not path.exists())
    return path.resolve() if leads_to_file else path


@app.command(epilog="run")
def run(ctx: Context, sample: Sample = False) -> None:
    """Do the whole job, from the data to a tracked model.

    Gets the data if there is none, runs dvc repro, tracks the result and sums it up. Exit code 1
    if the success criteria of params.yaml are missed, or the result could not be tracked.
    """
    from . import workflow
    from .modeling.gate import criteria, unbeaten
    from .modeling.task import task_of

    project, result = ctx.obj.open(), None
    if not sample:
        try:
            result = workflow.run(project, say)
        except DataUnavailable as error:
            if os.environ.get("CI", "").lower() not in ("", "0", "false"):
                raise
            warn([error])
            typer.echo(
                "The data cannot be had, so the same steps run on the built-in synthetic sample. "
                f"With a copy of the file: {project.name} ingest PATH, then {project.name} run",
                err=True,
            )
    sample = result is None
    result = result or workflow.run_sample(project, say)
    print_summary(project, result, sample)
    if sample:
        return
    problem = project.problem
    if not all(c.met for c in criteria(result.metrics, project.params)):
        raise StepFailed("params.yaml: criteria", "the success criteria are missed")
    if plain := unbeaten(problem, result.metrics, task_of(problem).trivial):
        raise StepFailed("", plain[0], "docs/model.md names other models to try")
    if not result.tracked:
        raise StepFailed("", "the model is there, but its run is not tracked")


@app.command(epilog="adopt houses.csv --target value")
def adopt(
    ctx: Context,
    source: Table,
    target: TargetColumn,
    item: Item = "",
    items: Items = "",
    classes: Classes = None,
    dry_run: DryRun = False,
) -> None:
    """Make the project yours: write its half for your table.

    Writes problem.py, params.yaml and model.py. It decides what each column is, says why, and
    leaves out columns that leak the target. Edit the files afterwards; adopt works once.
    """
    from .adopt.adopt import adopt, check_first, decide

    project, half = ctx.obj.open(environment=False), Path(__file__).resolve().parents[1]
    check_first(project, half / "problem.py")
    asks = sys.stdin.isatty() and sys.stdout.isatty()
    ask = typer.confirm if asks else lambda question, likely: likely
    decision = decide(
        project.name, project.root, source, target, item, items, classes, say=say, ask=ask
    )
    texts = adopt(project, half, decision, dry_run)
    print_adopted(project, decision, texts, dry_run)


@app.command(epilog="ingest new.csv --append")
def ingest(ctx: Context, source: Source, shrink: Shrink = False, append: Append = False) -> None:
    """Fetch the dataset, check it, and only then replace data/raw.

    With --append its rows are added to those of data/raw; rows that are there already are not.
    """
    from .data import ingest

    project = ctx.obj.open()
    found = ingest.append(project, source) if append else ingest.ingest(project, source, shrink)
    for note in found["notes"]:
        typer.echo(f"Note: {note}")
    if append:
        typer.echo(f"{found['added']} rows added, {found['known']} were there already")
        warn([f"preprocess will set {n} of them aside" for n in [found["aside"]] if n])
    typer.echo(f"{short(project.raw)}: {found['rows']} rows, md5 {found['md5']}")


@app.command(epilog="preprocess")
def preprocess(ctx: Context, scheduler: Scheduler = None) -> None:
    """Clean data/raw into data/processed. A step of dvc repro."""
    from .data.preprocess import preprocess
    from .workers import open_workers

    project = ctx.obj.open()
    with open_workers(scheduler) as workers:
        found = preprocess(project, workers)
    typer.echo(
        f"{found['rows']} rows: {found['rejected']} rejected, {found['duplicates']} duplicates, "
        f"{found['kept']} kept in {short(project.processed)}"
    )
    warn(f"{text}: {n} kept" for text, n in found["doubts"].items() if n)


@app.command(epilog="train")
def train(ctx: Context, scheduler: Scheduler = None) -> None:
    """Evaluate and fit the model: models/, metrics.json, plots. A step of dvc repro."""
    from .modeling.task import figure
    from .modeling.train import train
    from .workers import open_workers

    with open_workers(scheduler) as workers:
        metrics = train(ctx.obj.open(), workers)
    for name, line in metrics["cv"].items():
        typer.echo(f"{name:<18}{figure(name, line['mean'])} ± {figure(name, line['sd'])}")


@app.command(epilog="track")
def track(ctx: Context) -> None:
    """Log the result as an MLflow run, once.

    Model, metrics, plots, dataset and params go to MLFLOW_TRACKING_URI, or to a local database.
    """
    from .tracking.runs import track

    project = ctx.obj.open()
    tracked = track(project)
    said = "new run" if tracked.new else "this result has its run already:"
    typer.echo(f"{said} {tracked.run_id} in {project.params.track.experiment}")
    for line in how_to_open(project, tracked):
        typer.echo(f"Look at it: {line}")


@app.command(epilog="demo")
def demo(ctx: Context) -> None:
    """Start the REST API, the web form and MLflow, until Ctrl+C."""
    from .demo import demo

    demo(ctx.obj.open(), say)


@app.command(epilog="reproduce HEAD~1")
def reproduce(ctx: Context, revision: Revision = "HEAD") -> None:
    """Rerun a commit's pipeline, and compare the results.

    In a temporary folder, with that commit's code and data. Exit code 1 if dvc.lock or
    metrics.json differ.
    """
    from .sharing.reproduce import reproduce

    typer.echo(f"identical: {reproduce(ctx.obj.open(), revision, say)}")


@connect.command("s3", epilog="connect s3 acme-data --profile acme")
def connect_s3(
    ctx: Context,
    bucket: Bucket,
    prefix: Prefix = "dvc",
    profile: Profile = "",
    endpoint_url: Endpoint = "",
    dry_run: DryRun = False,
) -> None:
    """Keep data and models in an S3 bucket.

    Without --profile and without keys that the AWS tools know, AWS_ACCESS_KEY_ID and
    AWS_SECRET_ACCESS_KEY are read from the environment, or asked for.
    """
    from .sharing.connect import aws_keys, s3_settings

    project = ctx.obj.open(environment=False)
    settings = s3_settings(bucket, prefix, profile, endpoint_url)
    if not dry_run:
        settings = s3_settings(bucket, prefix, profile, endpoint_url, **aws_keys(profile))
    _connect(settings, project, dry_run)


@connect.command("dagshub", epilog="connect dagshub acme/project")
def connect_dagshub(ctx: Context, repository: Repository, dry_run: DryRun = False) -> None:
    """Keep data, models and experiments in a DagsHub repository.

    The access token is read from DAGSHUB_USER_TOKEN, or asked for.
    """
    from .sharing.connect import ask, dagshub_settings
    from .tracking.hub import find_user, host

    project = ctx.obj.open()
    user, token = "USER", ""
    if not dry_run:
        token = ask("DAGSHUB_USER_TOKEN", "DagsHub access token")
        user = find_user(repository, token)
    _connect(dagshub_settings(repository, user, token, host()), project, dry_run)


def _connect(settings: Any, project: Project, dry_run: bool) -> None:
    from .sharing.connect import connect, lines

    typer.echo("\n".join(lines(settings)))
    if dry_run:
        typer.echo("Nothing was written.")
        return
    typer.echo(connect(project, settings, say))
    typer.echo("Next: commit .dvc/config, then dvc push; or dvc pull")


@app.command(epilog="doctor --json")
def doctor(ctx: Context, as_json: Json = False, repair: Repair = False) -> None:
    """Check the setup, from Python to storage and servers.

    Says how to fix each problem. Reads every object of cache and remote. Exit code 1 if something
    is broken.
    """
    from .sharing import storage
    from .sharing.doctor import examine

    project = ctx.obj.open()
    if repair:
        uploaded = storage.repair_remote(storage.open_repo(project))
        typer.echo(f"{uploaded} objects uploaded to the remote", err=True)
    links = []
    for link in examine(project):
        links.append(link)
        if not as_json:
            color = {"ok": "green", "warning": "yellow", "broken": "red"}[link.state]
            fix = f" -> {link.fix}" if link.fix else ""
            state = typer.style(f"{link.state:<8}", fg=color)
            typer.echo(f"{state} {link.name}: {link.found}{fix}")
    if as_json:
        typer.echo(json.dumps([asdict(link) for link in links], indent=2))
    if any(link.state == "broken" for link in links):
        sys.exit(1)


@app.command(epilog="dataset")
def dataset(ctx: Context) -> None:
    """Register the current dataset for the current branch.

    On the MLflow server, and on DagsHub also as a datasource. A notebook loads it with
    kit.tracking.datasets.load_dataset(project).
    """
    from .tracking.datasets import register_dataset

    entry = register_dataset(ctx.obj.open())
    said = "registered" if entry.new else "registered already"
    typer.echo(f"{said}: md5 {entry.md5} for branch {entry.branch}, run {entry.run_id}")


@app.command(epilog="register")
def register(ctx: Context) -> None:
    """Register the committed result as a version: alias devl.

    Tracks it first if needed. The version names its run, commit, data and model; its description
    is the model card.
    """
    from .tracking.registry import register_result

    project = ctx.obj.open()
    typer.echo(f"version {register_result(project)} of {project.name}: alias devl")
    _print_versions(project, aliased=True)


@app.command(epilog="promote stag")
def promote(
    ctx: Context,
    alias: AliasName = None,
    to: To = None,
    version: Version = None,
    force: Reason = "",
) -> None:
    """Move the alias stag or prod to a version that passes the gate.

    The gate: the version meets the success criteria, no plain model is better, and its error on the
    held-out rows exceeds that of the current version by promote.tolerance at most. To go back to a
    version that had the alias before, name it with --version.
    """
    from .modeling.task import task_of
    from .tracking.registry import promote

    named = {given for given in (alias, to) if given}
    if len(named) != 1:
        raise UserError("promote", "expected one alias: stag or prod", "promote stag")
    (to,) = named
    project = ctx.obj.open()
    found = promote(project, to.value, str(version or "") or None, force.strip())
    warn(found.objections)
    if found.comparison:
        name, ours = task_of(project.problem).error_name, found.comparison
        was, now = ours.champion[name], ours.candidate[name]
        typer.echo(f"{name} on the hold-out {was:.4f} -> {now:.4f}")
    said = " has had it before: back without the gate" if found.back else ""
    said = said if found.new else " has it already"
    typer.echo(f"{to.value}: version {found.version}{said}")
    _print_versions(project, aliased=True)


@app.command(epilog="versions")
def versions(ctx: Context) -> None:
    """Print all versions as a table, the newest first.

    Those that an alias means are bold at a terminal. The table is Markdown.
    """
    _print_versions(ctx.obj.open())


def _print_versions(project: Project, aliased: bool = False) -> None:
    """Print the versions, or those with an alias, as a table that people can read, too."""
    from .modeling.task import task_of
    from .tracking.registry import list_versions

    error = task_of(project.problem).error_name
    rows: list[tuple[str, ...]]
    rows = [("version", "aliases", "registered", error, "commit", "data")]
    for version, aliases, time, *facts in list_versions(project).itertuples(index=False):
        if aliases or not aliased:
            when = f"{datetime.fromtimestamp(time / 1000):%Y-%m-%d %H:%M}"
            rows.append((version, ", ".join(aliases), when, *(fact[:7] for fact in facts)))
    widths = [max(map(len, column)) for column in zip(*rows)]
    rows.insert(1, tuple("-" * width for width in widths))
    for i, row in enumerate(rows):
        cells = " | ".join(f"{cell:<{width}}" for cell, width in zip(row, widths))
        typer.secho(f"| {cells} |", bold=i > 1 and bool(row[1]))


@app.command(epilog="report --base stag -o report.md")
def report(ctx: Context, output: Out, base: Base = None, plot_url: PlotUrl = "") -> None:
    """Write a report that compares the change with its base.

    Data, params and model, for reviewers. Says whether to promote, and why not. The base's model
    comes from DVC's cache or remote; with --base prod it is the version in production.
    """
    from .sharing.report import report

    found = report(ctx.obj.open(), base, _output(ctx.obj, output), plot_url)
    typer.echo(f"{output}: {'promote' if found.promote else 'do not promote'}")
    warn(found.objections)


@app.command(epilog="predict cases.csv -o predicted.csv")
def predict(ctx: Context, source: In, output: Out, scheduler: Scheduler = None) -> None:
    """Predict the rows of a file.

    OUT has the rows and columns of IN, the prediction and its 90 % interval, or for classes the
    probabilities and the 90 % set. A bad row has no prediction: the column error says why, and the
    exit code is 2. Row 1 is the first below the header.
    """
    from .modeling.predict import predict_file
    from .modeling.task import task_of
    from .workers import open_workers

    problem, project, path = ctx.obj.problem, ctx.obj.open(), _output(ctx.obj, output)
    with open_workers(scheduler) as workers:
        predictions, warnings = predict_file(project, source, path, workers)
    warn(warnings)
    rows, refused = predictions.attrs["rows"], predictions.attrs["refused"]
    told = f", {task_of(problem).tell_all(predictions)}" if rows else ""
    if not refused:
        return typer.echo(f"{output}: {rows} {problem.items}{told}")
    counts = f"{rows} of {rows + refused} rows predicted, {refused} refused"
    typer.echo(f"{output}: {counts}{told}")
    raise UserError(source, counts, f"the column error of {output} says why")


@app.command(epilog="sample sample.csv --rows 1000")
def sample(ctx: Context, output: Target, rows: Rows = 1000, seed: Seed = None) -> None:
    """Write synthetic rows, to try things out.

    They have the raw file's columns and spelling.
    """
    from .data.sample import SEED, write_sample

    problem = ctx.obj.problem
    write_sample(problem, _output(ctx.obj, output), rows, SEED if seed is None else seed)
    typer.echo(f"{output}: {rows} synthetic {problem.items}")


@app.command(context_settings={"ignore_unknown_options": True})
def quote(ctx: Context, answers: Fields = None, margin: Margin = None, risk: Risk = None) -> None:
    """Predict one case, with its interval and reasons.

    Fields with a default may be left out. In a terminal, without any field, it asks for each.
    """
    from .modeling.bundle import load_bundle
    from .modeling.quote import quote_rows

    problem = ctx.obj.problem
    if risk is not None and margin is None:
        raise UserError("--risk", "found no --margin", "give both, or --margin alone")
    if not answers and sys.stdin.isatty() and sys.stdout.isatty():
        cells = {column.name: ask_for(column) for column in problem.features}
    else:
        cells = _cells(problem, answers or [])
    row, failures = problem.read_row(cells)
    if failures:
        missing = [failure.field for failure in failures if failure.found == "nothing"]
        told = [_hint(problem, f, cells) for f in failures if f.found != "nothing"]
        told += [f"missing: {', '.join(missing)}"] if missing else []
        raise UserError("", "; ".join(told), f"{problem.name} quote --help lists the fields")
    project = ctx.obj.open(environment=False)
    bundle = load_bundle(project.models, problem, project.trusted)
    (found,) = quote_rows(problem, bundle, [row], margin, risk)
    warn(found.warnings)
    print_quote(problem, row, found, margin)


def _cells(problem: Problem, answers: list[str]) -> dict[str, str]:
    cells: dict[str, str] = {}
    for answer in answers:
        name, equals, value = answer.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        if not equals:
            raise UserError(answer, "expected FIELD=VALUE", f"such as {problem.names[0]}=...")
        if name in cells:
            raise UserError(name, "found twice", "give it once")
        cells[name] = value
    return cells


def _hint(problem: Problem, failure: Failure, cells: dict[str, str]) -> str:
    """A failure in words, with what was probably meant."""
    allowed = {c.name: c.allowed for c in problem.features}
    word, choices = cells.get(failure.field, ""), allowed.get(failure.field, ())
    if failure.field not in allowed:
        word, choices = failure.field, problem.names
    folded = {choice.casefold(): choice for choice in choices}
    near = difflib.get_close_matches(word.casefold(), folded, 1)
    return f"{failure}; did you mean {folded[near[0]]}?" if near else str(failure)


@app.command(epilog="serve --port 8000")
def serve(
    ctx: Context,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    model: Model = None,
    workers: Workers = 1,
    quotes: Quotes = None,
) -> None:
    """Answer quotes over HTTP: the REST API.

    Asks for a key where the environment or .env sets one; see docs/api.md. Within
    a project the quotes are logged; see docs/service.md.
    """
    team, project = ctx.obj, None
    with contextlib.nullcontext() if model is None else contextlib.suppress(UserError):
        project = team.open()  # a container has the bundle alone
    with contextlib.ExitStack() as stack:
        if workers > 1:  # Prometheus's client asks for it when it is imported
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="metrics-"))
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        from .serving.port import open_port
        from .serving.served import Source
        from .serving.server import serve

        source = Source(team.problem, model or project.models, project, team.trusted)
        log = None if quotes == Path("none") else quotes or (project and project.quotes)
        serve(source, open_port(host, port), workers, log, team.add_routes)


@app.command(epilog="replay 18a4c2")
def replay(ctx: Context, quote_id: QuoteId = "", quotes: Log = "") -> None:
    """Give logged quotes again, from the models that gave them.

    Says whether the answers are the same to the last byte; exit code 1 if not.
    """
    from .serving.replay import replay_quotes

    project = ctx.obj.open()
    replayed = replay_quotes(project, quotes or str(project.quotes), quote_id)
    warn(replayed.differences)
    say(f"Replayed   {replayed.quotes} quotes of {len(replayed.models)} models")
    if replayed.differences:
        raise StepFailed("", f"{len(replayed.differences)} quotes are not what they were")


@app.command(epilog="monitor --since 7d")
def monitor(
    ctx: Context,
    since: Since = "1970-01-02",
    outcomes: OutcomesFile = None,
    output: Report = Path("monitor.html"),
    quotes: Log = "",
) -> None:
    """Compare the log of quotes with what the model learned from.

    Writes an HTML report. Exit code 1 on an alarm: fields, predictions or warnings drifted, or the
    outcomes are worse than what the model stands for. The limits are in params.yaml.
    """
    from .serving.monitor import monitor, parse_since

    project = ctx.obj.open()
    path = _output(ctx.obj, output)
    found = monitor(project, quotes or str(project.quotes), parse_since(since), path, outcomes)
    warn([*found.notes, *found.alarms])
    say(f"Monitored  {len(found.quotes)} quotes: {short(path)}")
    if found.alarms:
        raise StepFailed("", f"{len(found.alarms)} alarms", f"look at {short(path)}")


@app.command(epilog="export s3://acme-data/quotes")
def export(ctx: Context, target: ExportTarget, quotes: Quotes = None) -> None:
    """Write the log of quotes as Parquet to a folder, or to S3.

    What was exported before is replaced. monitor and replay read it: --quotes.
    """
    from .serving.export import export_quotes

    count = export_quotes(quotes or ctx.obj.open().quotes, target)
    say(f"Exported   {count} quotes to {target}")


@app.command(epilog="sign")
def sign(ctx: Context, folder: BundleFolder = None) -> None:
    """Sign a bundle with the team's key, by default that in models/.

    Where the key is set, serve takes signed bundles alone; see docs/service.md.
    """
    from .modeling import signature
    from .modeling.bundle import load_bundle

    project = ctx.obj.open()
    folder = folder or project.models
    load_bundle(folder, project.problem, project.trusted)
    say(f"Signed     {short(signature.sign(project.problem, folder))}")


@app.command(epilog="forget 18a4c2")
def forget(ctx: Context, quote_id: Annotated[str, Argument()], quotes: Quotes = None) -> None:
    """Erase a quote from the log."""
    from .serving import quotelog

    folder = quotes or ctx.obj.open().quotes
    if not quotelog.forget(folder, quote_id):
        raise UserError(quote_id, f"no such quote in {short(folder)}")
    say(f"Forgotten  {quote_id}")


@app.command(epilog="form --api http://127.0.0.1:8000")
def form(
    ctx: Context, api: Api = "http://127.0.0.1:8000", host: Host = "127.0.0.1", port: Port = 8501
) -> None:
    """Show the web form, which asks the REST API.

    Needs a running server (serve), and its key in the environment or .env; see docs/form.md.
    """
    from .serving.form import run_form

    team = ctx.obj
    if not re.match(r"https?://[^/]", api):
        raise UserError("--api", f"found {api}; expected an address", "http://127.0.0.1:8000")
    with contextlib.suppress(UserError):  # without a project the environment alone counts
        team.open()
    run_form(team.problem, api, host, port)
