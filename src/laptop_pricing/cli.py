"""The commands. Each parses its arguments, calls one function and prints what it found.

Nothing heavy is imported before a command needs it.
"""

import contextlib
import errno
import inspect
import os
import re
import shlex
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer

from laptop_pricing import NAME
from laptop_pricing.data.schema import EXAMPLE, ITEMS, SPECIFICATION, TARGET, UNIT
from laptop_pricing.errors import DataUnavailable, StepFailed, UserError
from laptop_pricing.files import short, write_text


class _Target(str, Enum):
    """Where a version can be promoted to."""

    stag = "stag"
    prod = "prod"


app = typer.Typer(
    name=NAME,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=f"The {TARGET} of {ITEMS}: raw CSV, validated table, Ridge model, tracked runs."
    f"\n\nStart with: {NAME} run",
)


def main():
    """Run the command line. Exit code 0: done, 1: failed, 2: the user's mistake."""
    for stream in (sys.stdout, sys.stderr):  # a console of another code page is no reason to fail
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except UserError as error:
        _fail(error, 2)
    except StepFailed as error:
        _fail(error, 1)
    except OSError as error:
        name = re.sub(r"\.([^/\\]+)\.\d+\.part$", r"\1", str(error.filename or ""))
        full = error.errno == errno.ENOSPC
        remedy = "make room and try again" if full else "is it open elsewhere?"
        _fail(f"{name}: {error.strerror or error}; {remedy}", 1)


def _fail(error, code):
    text = str(error).replace(f"{Path.cwd()}{os.sep}", "")  # paths as the user would type them
    typer.echo(f"{typer.style('Error:', fg='red', bold=True)} {text}", err=True)
    sys.exit(code)


def _example(command):
    return f"Example: {NAME} {command}"


def _settings(environment=True):
    from laptop_pricing.settings import (
        PARAMS_FILE,
        find_workspace,
        load_environment,
        load_params,
    )

    workspace = find_workspace()
    if environment:
        load_environment(workspace)
    return workspace, load_params(Path(short(workspace.root / PARAMS_FILE)))


def _output(path):
    """`path` as one to write to, outside what the pipeline owns; of a link what it leads to."""
    from laptop_pricing.settings import find_workspace

    try:
        owned = find_workspace().owned
    except UserError:
        owned = ()
    if any(path.resolve().is_relative_to(folder) for folder in owned):
        raise UserError(f"{path}: lies in a folder that the pipeline writes; name another output")
    if path.is_dir():
        raise UserError(f"{path}: found a folder; expected the name of a file to write")
    leads_to_file = path.is_symlink() and (path.is_file() or not path.exists())
    return path.resolve() if leads_to_file else path


def _step(text):
    typer.secho(text, bold=True)


def _warn(warnings):
    for warning in warnings:
        typer.echo(f"{typer.style('Warning:', fg='yellow')} {warning}", err=True)


@app.command(epilog=_example("run"))
def run(
    sample: Annotated[
        bool, typer.Option("--sample", help="Use the built-in synthetic sample, in .scratch/.")
    ] = False,
):
    """Do the whole job, from the data to a tracked model.

    Gets the data if there is none, runs dvc repro, tracks the result and sums it up. Exit code 1
    if the success criteria of params.yaml are missed, or the result is not tracked.
    """
    from laptop_pricing import workflow
    from laptop_pricing.modeling.gate import criteria
    from laptop_pricing.summary import print_summary

    workspace, params = _settings()
    if not sample:
        try:
            result = workflow.run(workspace, params, _step)
        except DataUnavailable as error:
            if os.environ.get("CI", "").lower() not in ("", "0", "false"):
                raise
            _warn([error])
            typer.echo(
                "The data cannot be had, so the same steps run on the built-in synthetic sample. "
                f"With a copy of the CSV: {NAME} ingest PATH, then {NAME} run",
                err=True,
            )
            sample = True
    if sample:
        result = workflow.run_sample(workspace, params, _step)
    print_summary(result, params, sample)
    problems = [result.problem] if result.problem else []
    if not sample and not all(met for *_, met in criteria(result.metrics, params)):
        problems.append("the success criteria of params.yaml are missed")
    if problems:
        raise StepFailed("; ".join(problems))


@app.command(epilog=_example("ingest https://example.org/data.csv"))
def ingest(
    source: Annotated[str, typer.Argument(help="https:// URL, s3://bucket/key, or a path.")],
    shrink: Annotated[
        bool, typer.Option("--shrink", help="Also if less than half the rows are left.")
    ] = False,
):
    """Fetch the dataset, check it, and only then replace data/raw."""
    from laptop_pricing.data.ingest import ingest

    def may_shrink(question: str) -> bool:
        return shrink or (sys.stdin.isatty() and typer.confirm(question))

    workspace, params = _settings()
    found = ingest(source, workspace, params, may_shrink)
    typer.echo(f"{short(workspace.raw)}: {found['rows']} rows, md5 {found['md5']}")


@app.command(epilog=_example("preprocess"))
def preprocess():
    """Clean data/raw into data/processed. A step of dvc repro."""
    from laptop_pricing.data.preprocess import preprocess

    workspace, params = _settings()
    found = preprocess(workspace, params.preprocess)
    typer.echo(
        f"{found['rows']} rows: {found['rejected']} rejected, {found['duplicates']} duplicates, "
        f"{found['kept']} kept in {short(workspace.processed)}"
    )
    _warn(f"{text}: {n} kept" for text, n in found["contradictions"].items() if n)


@app.command(epilog=_example("train"))
def train():
    """Evaluate and fit the model: models/, metrics.json, plots. A step of dvc repro."""
    from laptop_pricing.modeling.train import train

    workspace, params = _settings()
    metrics = train(workspace, params)
    for name, figure in metrics["cv"].items():
        digits = 3 if name in ("R2", "MAPE") else 0
        typer.echo(f"{name:<5}{figure['mean']:,.{digits}f} ± {figure['sd']:,.{digits}f}")


@app.command(epilog=_example("track"))
def track():
    """Log the result as an MLflow run, once.

    Model, metrics, plots, dataset and params go to MLFLOW_TRACKING_URI, or to a local database.
    """
    from laptop_pricing.summary import how_to_open
    from laptop_pricing.tracking.runs import track

    workspace, params = _settings()
    tracked = track(workspace, params)
    said = "new run" if tracked.new else "this result has its run already:"
    typer.echo(f"{said} {tracked.run_id} in {tracked.experiment}")
    typer.echo(f"Look at it: {how_to_open(workspace, tracked)}")


@app.command(epilog=_example("reproduce HEAD~1"))
def reproduce(
    revision: Annotated[str, typer.Argument(help="A commit, branch or tag.")] = "HEAD",
):
    """Run a commit's pipeline again, and compare with what it promises.

    In a temporary folder, with that commit's code and data. Exit code 1 if dvc.lock or
    metrics.json come out differently.
    """
    from laptop_pricing.reproduce import reproduce

    workspace, _ = _settings()
    same = reproduce(workspace, revision, _step, lambda text: _warn([text]))
    typer.echo(f"identical: {same}")


connect = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(connect, name="connect", help="Connect to the team's storage and servers.")
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be written.")]


@connect.command("s3", epilog=_example("connect s3 acme-data --profile acme"))
def connect_s3(
    bucket: Annotated[str, typer.Argument(help="Name of the bucket, without s3://")],
    prefix: Annotated[str, typer.Option(help="Folder of DVC's objects in it.")] = "dvc",
    profile: Annotated[
        Optional[str], typer.Option(help="Profile of the AWS command line tool.")
    ] = None,
    endpoint_url: Annotated[
        Optional[str], typer.Option(help="Address of an S3 storage that is not Amazon's.")
    ] = None,
    dry_run: _DryRun = False,
):
    """Keep data and models in an S3 bucket.

    Without --profile and without keys that the AWS tools know, AWS_ACCESS_KEY_ID and
    AWS_SECRET_ACCESS_KEY are read from the environment, or asked for.
    """
    from laptop_pricing.connect import aws_keys, s3_settings

    workspace, _ = _settings(environment=False)
    settings = s3_settings(bucket, prefix, profile, endpoint_url)
    if not dry_run:
        settings = s3_settings(bucket, prefix, profile, endpoint_url, aws_keys(profile))
    _connect(settings, workspace, dry_run)


@connect.command("dagshub", epilog=_example("connect dagshub acme/laptop-pricing"))
def connect_dagshub(
    repository: Annotated[str, typer.Argument(metavar="OWNER/REPO")],
    dry_run: _DryRun = False,
):
    """Keep data, models and experiments in a DagsHub repository.

    The access token is read from DAGSHUB_USER_TOKEN, or asked for.
    """
    from laptop_pricing.connect import ask, dagshub_settings
    from laptop_pricing.tracking.hub import find_user, host

    workspace, _ = _settings()
    user, token = "USER", ""
    if not dry_run:
        token = ask("DAGSHUB_USER_TOKEN", "DagsHub access token")
        user = find_user(repository, token)
    _connect(dagshub_settings(repository, user, token, host()), workspace, dry_run)


def _connect(settings, workspace, dry_run):
    from laptop_pricing import storage
    from laptop_pricing.connect import all_or_nothing, apply
    from laptop_pricing.doctor import check_remote

    for setting in settings:
        if setting.value or dry_run:
            value = "(secret)" if setting.secret else setting.value or "(taken out)"
            typer.echo(f"{setting.file}: {setting.name} = {value}")
    if dry_run:
        typer.echo("Nothing was written.")
        return
    with all_or_nothing(workspace):
        apply(settings, workspace)
        _step("Trying the storage")
        link = check_remote(storage.open_repo(workspace))
        if link.state == "broken":
            raise StepFailed(f"{link.found}; {link.fix}; nothing was changed")
    typer.echo(f"{link.found}\nNext: commit .dvc/config, then dvc push; or dvc pull")


@app.command(epilog=_example("doctor --json"))
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="For programs to read.")] = False,
    mend: Annotated[
        bool, typer.Option("--mend", help="First upload what the remote lacks or has corrupt.")
    ] = False,
):
    """Check every link of the chain, from Python to storage and servers.

    Says what to do about each that is not whole. Reads every object of cache and remote. Exit code
    1 if a link is broken.
    """
    import json
    from dataclasses import asdict

    from laptop_pricing.doctor import examine

    workspace, _ = _settings()
    if mend:
        from laptop_pricing import storage

        mended = storage.mend_remote(storage.open_repo(workspace))
        typer.echo(f"{mended} objects uploaded to the remote", err=True)
    links = []
    for link in examine(workspace):
        links.append(link)
        if not as_json:
            color = {"ok": "green", "warning": "yellow", "broken": "red"}[link.state]
            fix = f" -> {link.fix}" if link.fix else ""
            typer.echo(
                f"{typer.style(f'{link.state:<8}', fg=color)} {link.name}: {link.found}{fix}"
            )
    if as_json:
        typer.echo(json.dumps([asdict(link) for link in links], indent=2))
    if any(link.state == "broken" for link in links):
        sys.exit(1)


@app.command(epilog=_example("dataset"))
def dataset():
    """Register the current dataset for the branch one is on.

    On the MLflow server, and on DagsHub also as a datasource. A notebook gets it by
    laptop_pricing.tracking.datasets.load_dataset().
    """
    from laptop_pricing.tracking.datasets import register_dataset

    workspace, params = _settings()
    entry = register_dataset(workspace, params)
    said = "registered" if entry.new else "registered already"
    typer.echo(f"{said}: md5 {entry.md5} for branch {entry.branch}, run {entry.run_id}")


@app.command(epilog=_example("register"))
def register():
    """Make the committed result a version of the registered model, with the alias devl.

    Tracks it first if need be. The version names its run, commit, data and model; its description
    is the model card.
    """
    from laptop_pricing.tracking.promotion import register_result

    workspace, params = _settings()
    version = register_result(workspace, params)
    typer.echo(f"version {version} of {NAME}: alias devl")
    _print_holders(workspace)


@app.command(epilog=_example("promote --to stag"))
def promote(
    to: Annotated[_Target, typer.Option(help="The alias that a version is to have.")],
    version: Annotated[
        Optional[int], typer.Option(min=1, help="By default the one of the alias before.")
    ] = None,
    force: Annotated[
        str, typer.Option(metavar="REASON", help="Promote against the gate; kept as a tag.")
    ] = "",
):
    """Let stag or prod mean a version that passes the gate.

    The gate: the success criteria, and no worse than the alias's holder on the same held-out rows
    by more than promote.tolerance. The way back is --version: what held an alias may have it again.
    """
    from laptop_pricing.tracking.promotion import promote

    workspace, params = _settings()
    found = promote(workspace, params, to.value, version and str(version), force.strip())
    _warn(found.objections)
    if found.comparison:
        typer.echo(
            f"MAPE on the hold-out {found.comparison.champion['MAPE']:.4f} -> "
            f"{found.comparison.candidate['MAPE']:.4f}"
        )
    said = " has had it before: back without the gate" if found.back else ""
    said = said if found.new else " has it already"
    typer.echo(f"{to.value}: version {found.version}{said}")
    _print_holders(workspace)


@app.command(epilog=_example("versions"))
def versions():
    """Say which version each alias means, as a table in Markdown."""
    workspace, _ = _settings()
    _print_holders(workspace)


def _print_holders(workspace):
    from laptop_pricing.tracking.promotion import holders

    typer.echo("| alias | version | MAPE | commit | data |\n|---|---|---|---|---|")
    for found in holders(workspace):
        typer.echo(
            f"| {found.alias} | {found.version} | {found.MAPE} | {found.commit[:7]} "
            f"| {found.data_md5[:7]} |"
        )


@app.command(epilog=_example("report --base stag -o report.md"))
def report(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT", help="Markdown to write.")
    ],
    base: Annotated[
        Optional[str],
        typer.Option(help="The branch that the change is for; by default stag, else main."),
    ] = None,
    plot_url: Annotated[
        str, typer.Option(help="Where readers find the plot, if not beside the report.")
    ] = "",
):
    """Write what a reviewer wants to know: data, params, the model against the base's.

    Says whether to promote, and why not. The base's model comes from DVC's cache or remote.
    """
    from laptop_pricing.report import default_base, report

    workspace, params = _settings()
    base = base or default_base(workspace.root)
    found = report(workspace, params, base, _output(output), plot_url)
    typer.echo(f"{output}: {'promote' if found.promote else 'do not promote'}")
    _warn(found.objections)


@app.command(epilog=_example("predict cases.csv -o priced.csv"))
def predict(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="CSV or Parquet; raw or clean names and spelling.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT", help="CSV or Parquet to write.")
    ],
):
    """Price the rows of a file.

    OUT has the columns of IN, the prediction, and the ends of its 90 % interval.
    """
    from laptop_pricing.modeling.predict import PREDICTION, predict_file

    workspace, _ = _settings()
    prices, warnings = predict_file(workspace.models, source, _output(output))
    _warn(warnings)
    middle = prices[PREDICTION].median()
    typer.echo(f"{output}: {len(prices)} {ITEMS}, median {TARGET} {middle:,.0f} {UNIT}")


@app.command(epilog=_example("sample sample.csv --rows 1000"))
def sample(
    output: Annotated[Path, typer.Argument(metavar="OUT", help="CSV to write.")],
    rows: Annotated[int, typer.Option(min=1, max=10_000_000)] = 1000,
    seed: Annotated[Optional[int], typer.Option(min=0, max=2**32 - 1)] = None,
):
    """Write synthetic rows, to try things out.

    They have the raw file's columns and spelling.
    """
    from laptop_pricing.data.sample import SEED, write_sample

    write_sample(_output(output), rows, SEED if seed is None else seed)
    typer.echo(f"{output}: {rows} synthetic {ITEMS}")


@app.command(epilog=_example("compare -o comparison.md"))
def compare(
    output: Annotated[
        Optional[Path],
        typer.Option("--output", "-o", metavar="OUT", help="CSV or Markdown to write."),
    ] = None,
):
    """Compare the steps of the model and its challengers, the boosted trees.

    All go through the same folds with the same number of tries; half an hour in all. The trees are
    an optional extra: pip install -r requirements-boosters.txt
    """
    from laptop_pricing.modeling.compare import compare
    from laptop_pricing.modeling.train import read_processed
    from laptop_pricing.summary import comparison_lines

    workspace, params = _settings()
    output = output and _output(output)
    table, _ = read_processed(workspace)
    found = compare(table, params.train, _step)
    lines = comparison_lines(found)
    typer.echo("\n" + "\n".join(lines))
    if output:
        csv = found.round(6).to_csv(index=False, lineterminator="\n")
        write_text(output, csv if output.suffix.lower() == ".csv" else "\n".join(lines) + "\n")


def quote(margin, risk, **answers):
    """Price one row: the price, its 90 % interval, and what raised or lowered it.

    What is not known may be left out where a default is shown. With --margin also the
    highest offer.
    """
    from laptop_pricing.modeling.quote import quote
    from laptop_pricing.settings import find_workspace
    from laptop_pricing.summary import print_quote

    if risk is not None and margin is None:
        raise UserError("--risk: found no --margin; give both, or --margin alone")
    cells = {name: str(value) for name, value in answers.items() if value is not None}
    found = quote(find_workspace().models, cells, margin, risk)
    _warn(found.warnings)
    print_quote(found, margin)


@app.command(epilog=_example("serve --port 8000"))
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any free one.")] = 8000,
    model: Annotated[
        Optional[str],
        typer.Option(help=f"Folder of a bundle, or models:/{NAME}@prod; by default models/."),
    ] = None,
):
    """Answer quotes over HTTP: the REST API.

    Asks for a key where the environment or .env sets one; see docs/api.md.
    """
    from laptop_pricing.serving.server import build_app, open_port, run_server
    from laptop_pricing.settings import find_workspace, load_environment

    try:
        workspace = find_workspace()
        load_environment(workspace)
    except UserError:
        if model is None:
            raise
        workspace = None  # a container has the bundle alone
    built, origin = build_app(model or workspace.models, workspace)
    run_server(built, origin, open_port(host, port))


@app.command(epilog=_example("form --api http://127.0.0.1:8000"))
def form(
    api: Annotated[str, typer.Option(help="Address of the REST API.")] = "http://127.0.0.1:8000",
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8501,
):
    """Show the web form, which asks the REST API.

    Needs a running server (serve), and its key in the environment or .env; see docs/form.md.
    """
    from streamlit.web.cli import main as streamlit

    from laptop_pricing.serving.api import ADDRESS_VARIABLE
    from laptop_pricing.serving.server import open_port
    from laptop_pricing.settings import find_workspace, load_environment

    if not re.match(r"https?://[^/]", api):
        raise UserError(f"--api: found {api}; expected an address such as http://127.0.0.1:8000")
    with contextlib.suppress(UserError):  # without a project the environment alone counts
        load_environment(find_workspace())
    open_port(host, port).close()  # tells who cannot have it
    os.environ[ADDRESS_VARIABLE] = api
    options = {
        "server.address": host,
        "server.port": port,
        "server.headless": "true",  # no question for an e-mail address
        "server.maxUploadSize": 20,  # MB
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
    }
    page = str(Path(__file__).parent / "serving" / "form.py")
    streamlit(["run", page, *(f"--{name}={value}" for name, value in options.items())])


def _flag(column):
    return "--" + column.name.replace("_", "-")


def _spell(column):
    """The example's answer about a column, as one types it."""
    answer = EXAMPLE[column.name]
    if column.kind != "flag":
        return f"{_flag(column)} {shlex.quote(answer)}"
    return _flag(column) if column.parse(answer) else f"--no-{_flag(column)[2:]}"


def _option(column):
    """The option of ``quote`` that asks for a column."""
    flag = _flag(column)
    if column.kind == "flag":
        kind, spelled = bool, f"{flag}/--no-{flag[2:]}"
        declared = typer.Option(spelled, help=column.description)
    else:
        kind, rule = str, column.rule
        declared = typer.Option(flag, help=f"{column.description}: {rule}", metavar="VALUE")
    return inspect.Parameter(
        column.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if column.default is None else column.default,
        annotation=Annotated[kind, declared],
    )


def _share(name, text, low, high):
    declared = typer.Option(f"--{name}", min=low, max=high, metavar="SHARE", help=text)
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(
        name, kind, default=None, annotation=Annotated[Optional[float], declared]
    )


_options = [_option(column) for column in SPECIFICATION] + [
    _share("margin", "Wanted share of the selling price, such as 0.2: shows the offers.", 0, 0.95),
    _share("risk", "Accepted share of deals that miss the margin, such as 0.1.", 0.01, 0.99),
]
quote.__signature__ = inspect.Signature(_options)
quote.__annotations__ = {option.name: option.annotation for option in _options}
_told = " ".join(_spell(column) for column in SPECIFICATION if column.name in EXAMPLE)
app.command(epilog=_example(f"quote {_told} --margin 0.2"))(quote)
