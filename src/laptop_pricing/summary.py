"""The summary of a run of the project, as its user reads it."""

import shutil
import sysconfig
from pathlib import Path

import typer

from laptop_pricing import NAME
from laptop_pricing.errors import without_credentials
from laptop_pricing.files import short
from laptop_pricing.workflow import criteria


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
    data, cv, workspace = result.data, result.metrics["cv"], result.workspace
    lines = [
        (
            "Rows",
            f"{data['rows']} read, {data['duplicates']} duplicates, {data['rejected']} rejected, "
            f"{data['kept']} kept ({data['specifications']} different laptops)",
        )
    ]
    for name, mean, spread, promised, met in criteria(result.metrics, params):
        word, colour = ("met", "green") if met else ("missed", "red")
        if sample:
            word, colour = f"{word}, not enforced", None
        verdict = typer.style(f"{promised} {word}", fg=colour)
        lines.append((name, f"{mean:.3f} ± {spread:.3f}   {verdict}"))
    mae, holdout = cv["MAE"], result.metrics["holdout"]
    lines += [
        ("MAE", f"{mae['mean']:,.0f} ± {mae['sd']:,.0f} BRL"),
        (
            "Hold-out",
            f"R2 {holdout['R2']:.3f}, MAPE {holdout['MAPE']:.3f} on "
            f"{result.metrics['rows']['held_out']} rows that the model never saw",
        ),
        ("Model", short(workspace.models)),
        ("Plots", short(workspace.figures)),
    ]
    if result.data_changed:
        lines.insert(1, ("Data", "not those registered before: review git diff data.dvc"))
    if result.tracked:
        new = "new run" if result.tracked.new else "tracked before, as run"
        lines.append(("Run", f"{new} {result.tracked.run_id} in {params.track.experiment}"))
        lines.append(("Look at it", how_to_open(workspace, result.tracked.uri)))
    else:
        lines.append(("Run", typer.style(result.problem, fg="yellow")))
    if not sample:
        lines.append(("Next", f"{_command(NAME)} quote --help"))
    prefix = typer.style("[sample] ", fg="yellow") if sample else ""
    typer.echo(prefix)
    for label, text in lines:
        typer.echo(f"{prefix}{typer.style(f'{label:<11}', bold=True)}{text}")
    if sample:
        typer.echo(
            f"{prefix}All figures are the synthetic sample's: they say nothing about laptops."
        )


def _command(name):
    """`name` as it can be typed: with its folder where the environment is not active."""
    return name if shutil.which(name) else short(Path(sysconfig.get_path("scripts")) / name)


def how_to_open(workspace, uri):
    """What to type, or where to go, to see the runs."""
    if uri == workspace.local_tracking_uri:
        database = short(workspace.root / "mlflow.db")
        return f"{_command('mlflow')} ui --backend-store-uri sqlite:///{Path(database).as_posix()}"
    return without_credentials(uri)
