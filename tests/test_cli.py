"""The command line as its user meets it: help, output, errors and exit codes."""

import re
import shlex
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

from laptop_pricing import NAME
from laptop_pricing.cli import app, main
from laptop_pricing.data.schema import EXAMPLE, SPECIFICATION, UNIT
from laptop_pricing.modeling.quote import quote
from laptop_pricing.settings import PARAMS_FILE

EXAMPLES = {
    command.name or command.callback.__name__: command.epilog for command in app.registered_commands
}
FIRST = next(column for column in SPECIFICATION if column.kind != "flag" and column.name in EXAMPLE)


@pytest.fixture
def cli(monkeypatch, capsys):
    """Run a command in the working directory: ``code, out, err = cli("quote", ...)``."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", [NAME, *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def project(trained, tmp_path, monkeypatch):
    """A copy of the trained workspace, as the working directory."""
    root = shutil.copytree(trained.root, tmp_path / "project")
    shutil.copyfile(ROOT / PARAMS_FILE, root / PARAMS_FILE)
    monkeypatch.chdir(root)
    return root


def quote_example():
    """What the help of ``quote`` proposes to type."""
    return shlex.split(EXAMPLES["quote"].removeprefix(f"Example: {NAME} "))


@pytest.mark.parametrize("command", EXAMPLES)
def test_every_help_has_an_example(cli, command):
    code, out, _ = cli(command, "--help")
    assert code == 0
    assert f"Example: {NAME} {command}" in re.sub(r"\s+", " ", out)


def test_the_example_of_quote_prints_the_price_its_reasons_and_offers(cli, project):
    code, out, err = cli(*quote_example())
    expected = quote(project / "models", EXAMPLE)
    assert (code, err) == (0, "")
    assert out.startswith(f"{expected.price:,.0f} {UNIT}")
    assert f"{expected.low:,.0f} to {expected.high:,.0f} {UNIT}" in out
    assert "Why: " in out and "Offers " in out


BAD = {
    "a bad cell": ([*quote_example(), f"--{FIRST.name.replace('_', '-')}=???"], f"{FIRST.name}: "),
    "a file that is not there": (["predict", "nowhere.csv", "-o", "out.csv"], "no such file"),
    "an unknown ending": (["predict", "a.csv", "-o", "out.txt"], "expected .csv or .parquet"),
    "a folder that is the pipeline's": (["sample", "models/a.csv"], "name another output"),
    "a source that is not there": (["ingest", "nowhere.csv"], "no such file"),
}


@pytest.mark.parametrize("arguments, message", BAD.values(), ids=BAD)
def test_a_mistake_is_one_line_and_exit_code_2_and_changes_nothing(
    cli, project, arguments, message
):
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    code, out, err = cli(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("Error: ") and message in err and len(err.splitlines()) == 1
    assert before == {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}


@pytest.mark.parametrize("arguments", [["fly"], ["quote", "--no-such-option"], ["sample"]])
def test_an_unknown_command_or_option_is_exit_code_2(cli, project, arguments):
    code, out, err = cli(*arguments)
    assert (code, out) == (2, "") and "Traceback" not in err


def test_outside_of_a_project_the_error_says_where_to_go(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = cli("preprocess")
    assert code == 2 and "change to the project's folder" in err


def test_a_quote_needs_no_heavy_library(project):
    program = (
        "import sys; from laptop_pricing import cli\n"
        "try: cli.main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print(*sorted({'pandas', 'sklearn', 'scipy', 'mlflow'} & set(sys.modules)), 'loaded')"
    )
    command = [sys.executable, "-c", program, *quote_example()]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.splitlines()[-1].strip() == "loaded", done.stderr
