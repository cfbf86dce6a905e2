"""The command line as its user meets it: help, output, errors and exit codes."""

import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from environments import ROOT

from laptop_pricing import NAME
from laptop_pricing.cli import main
from laptop_pricing.errors import UserError

COMMANDS = (
    "run",
    "ingest",
    "preprocess",
    "train",
    "track",
    "predict",
    "sample",
    "compare",
    "versions",
    "reproduce",
    "quote",
)
LAPTOP = (
    "--brand=dell --processor-brand=intel --processor-name=core_i5 --ram-gb=8 --ram-type=ddr4 "
    "--ssd=512 --hdd=0 --os=windows --os-bit=64-bit --graphic-card-gb=0 --weight=casual "
    "--warranty=1 --no-touchscreen"
)


def laptop(**changes):
    """The options of a good quote, some of them changed or, with None, left out."""
    options = dict(option.split("=") for option in LAPTOP.split()[:-1])
    options["--processor-name"] = "core i5"
    options |= {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
    return ["quote", "--no-touchscreen"] + [
        f"{name}={value}" for name, value in options.items() if value is not None
    ]


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
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def in_trained(trained, tmp_path, monkeypatch):
    """A copy of the trained workspace, as the working directory."""
    shutil.copytree(trained.root, tmp_path / "project")
    root = tmp_path / "project"
    shutil.copyfile(ROOT / "params.yaml", root / "params.yaml")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def in_workspace(workspace, monkeypatch):
    monkeypatch.chdir(workspace.root)
    return workspace


def snapshot(root):
    return {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_help_lists_every_command(cli):
    code, out, _ = cli("--help")
    assert code == 0
    assert all(command in out for command in COMMANDS)


def test_module_and_command_are_the_same_program():
    done = subprocess.run(
        [sys.executable, "-m", "laptop_pricing", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "quote" in done.stdout


@pytest.mark.services
def test_preprocess_and_train_say_what_they_did(cli, in_workspace):
    code, out, err = cli("preprocess")
    assert code == 0
    assert re.match(r"400 rows: 0 rejected, \d+ duplicates, \d+ kept", out)
    assert "Warning:" in err
    text = (in_workspace.root / "params.yaml").read_text()
    text = text.replace("folds: 5", "folds: 2").replace("  - 1\n  - 2\n  - 3\n  - 4\n", "")
    (in_workspace.root / "params.yaml").write_text(text)
    code, out, _ = cli("train")
    assert code == 0
    assert re.search(r"^R2 +0\.\d{3} ± 0\.\d{3}$", out, re.MULTILINE)
    assert "\x1b" not in out and "\r" not in out


def test_ingest_prints_rows_and_md5(cli, in_workspace, sample_csv):
    in_workspace.raw.unlink()
    code, out, _ = cli("ingest", sample_csv)
    assert code == 0
    assert re.search(r"400 rows, md5 [0-9a-f]{32}$", out.strip())
    assert in_workspace.raw.read_bytes() == sample_csv.read_bytes()


@pytest.mark.parametrize(
    ("typed", "options", "code"),
    [("", [], 2), ("", ["--shrink"], 0), ("y\n", [], 0), ("n\n", [], 2)],
    ids=["no terminal", "--shrink", "yes at a terminal", "no at a terminal"],
)
def test_ingest_asks_before_a_dataset_shrinks(cli, in_workspace, monkeypatch, typed, options, code):
    before = in_workspace.raw.read_bytes()
    Path("cut.csv").write_bytes(b"".join(before.splitlines(keepends=True)[:200]))
    stdin = io.StringIO(typed)
    stdin.isatty = lambda: bool(typed)
    monkeypatch.setattr(sys, "stdin", stdin)
    found, _, err = cli("ingest", "cut.csv", *options)
    assert found == code
    assert (in_workspace.raw.read_bytes() == before) == (code == 2)
    assert ("Error: cut.csv: found 199 rows, data/raw has 400; " in err) == (code == 2)
    assert ("--shrink" in err) == (code == 2)


def test_sample_writes_what_was_asked_for(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli("sample", "a.csv", "--rows", 12)[0] == 0
    assert len(pd.read_csv("a.csv")) == 12


def test_output_goes_through_a_link(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("old.csv").touch()
    for target in ("old.csv", "new.csv"):
        Path(f"to {target}").symlink_to(target)
        assert cli("sample", f"to {target}", "--rows", 3)[0] == 0
        assert Path(f"to {target}").is_symlink() and len(pd.read_csv(target)) == 3


def test_output_does_not_go_through_a_link_into_the_cache_of_dvc(cli, in_workspace):
    Path(".dvc/cache").mkdir(parents=True)
    Path("mine.csv").symlink_to(".dvc/cache/object")
    assert cli("sample", "mine.csv")[0] == 2


@pytest.mark.skipif(sys.platform == "win32", reason="pipes are no files there")
@pytest.mark.parametrize("link", [False, True])
def test_output_goes_into_a_pipe_and_leaves_it_there(cli, tmp_path, monkeypatch, link):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    path = Path("to pipe") if link else Path("pipe")
    if link:
        path.symlink_to("pipe")
    reader = os.open("pipe", os.O_RDWR)  # so that nobody waits
    try:
        assert cli("sample", path, "--rows", 3)[0] == 0
        assert path.is_fifo()
        assert os.read(reader, 1 << 16).count(b"\n") == 4
    finally:
        os.close(reader)
    assert {p.name for p in tmp_path.iterdir()} == {"pipe", path.name}


def test_quote_prints_a_price(cli, in_trained):
    code, out, _ = cli(*laptop())
    assert code == 0
    first, *lines = out.splitlines()
    assert re.fullmatch(r"[\d,]+ BRL   90 % of such laptops: [\d,]+ to [\d,]+ BRL", first)
    assert out.isascii() and not any(line != line.rstrip() for line in lines)
    product = float(re.search(r"average laptop is ([\d,]+) BRL", out)[1].replace(",", ""))
    for factor in re.findall(r" x (\d\.\d{3})", out):
        product *= float(factor)
    price = float(first.split()[0].replace(",", ""))
    assert product == pytest.approx(price, rel=0.01)
    assert "Offers" not in out


def test_quote_does_not_mind_case_spaces_and_units(cli, in_trained):
    plain = cli(*laptop())
    assert cli(*laptop(brand=" DELL ", ram_gb="8 GB", processor_name="CORE  I5")) == plain


def test_quote_fills_in_what_the_seller_need_not_know(cli, in_trained):
    assert cli(*laptop(processor_gnrtn="not available")) == cli(*laptop())


def test_quote_warns_about_contradictions(cli, in_trained):
    code, out, err = cli(*laptop(os_bit="32-bit"))
    assert code == 0 and "BRL" in out
    assert "Warning: 32-bit system with more than 4 GB of RAM" in err


def test_predict_writes_a_price_for_each_row(cli, in_trained, sample_csv):
    code, out, _ = cli("predict", sample_csv, "-o", "priced.csv")
    assert code == 0 and "400 laptops" in out
    priced = pd.read_csv("priced.csv")
    assert priced["predicted_price"].between(500, 60_000).all()


BAD_QUOTES = {
    "unknown brand": (laptop(brand="dll"), "brand: found 'dll'; expected one of acer, APPLE"),
    "not a number": (laptop(ram_gb="much"), "ram_gb: found 'much'; expected a whole number of GB"),
    "unit that is not ours": (laptop(ssd="1 TB"), "ssd: found '1 TB'"),
    "outside the range": (laptop(ram_gb="512"), "ram_gb: found '512'"),
    "negative": (laptop(hdd="-1"), "hdd: found '-1'"),
    "empty": (laptop(brand=""), "brand: found ''"),
    "no storage": (laptop(ssd="0"), "the laptop has an SSD or an HDD"),
    "apple without mac": (laptop(brand="apple"), "an APPLE runs Mac"),
    "two at once": (laptop(brand="dll", os="beos"), "os: found 'beos'"),
    "missing": (laptop(brand=None), "--brand"),
    "unknown option": ([*laptop(), "--colour=red"], "--colour"),
}


@pytest.mark.parametrize("arguments, message", BAD_QUOTES.values(), ids=BAD_QUOTES)
def test_a_bad_quote_is_one_clear_error(cli, in_trained, arguments, message):
    code, out, err = cli(*arguments)
    assert code == 2
    assert message in err
    assert out == "" and "Traceback" not in err


BAD_COMMANDS = {
    "file that is not there": ["ingest", "nowhere.csv"],
    "scheme that is not ours": ["ingest", "ftp://127.0.0.1/a.csv"],
    "s3 without a key": ["ingest", "s3://bucket"],
    "predict without input": ["predict", "nowhere.csv", "-o", "out.csv"],
    "predict to an unknown ending": ["predict", "params.yaml", "-o", "out.txt"],
    "predict onto its input": ["predict", "params.yaml", "-o", "params.yaml"],
    "predict into the registered data": [
        *("predict", "data/processed/table.parquet", "-o", "data/raw/laptop-price-brl.csv")
    ],
    "predict to a folder": ["predict", "data/processed/table.parquet", "-o", "data"],
    "sample over the registered data": ["sample", "data/raw/laptop-price-brl.csv"],
    "sample into the models": ["sample", "models/a.csv"],
    "sample of no rows": ["sample", "a.csv", "--rows", "0"],
    "command that does not exist": ["fly"],
}


@pytest.mark.parametrize("arguments", BAD_COMMANDS.values(), ids=BAD_COMMANDS)
def test_a_mistake_exits_with_2_and_changes_nothing(cli, in_trained, arguments):
    before = snapshot(in_trained)
    code, out, err = cli(*arguments)
    assert code == 2
    assert out == "" and err.strip() and "Traceback" not in err
    assert snapshot(in_trained) == before


@pytest.mark.parametrize(
    "text",
    [
        "http://me:pa/ss@host/x",
        "https://me:s3cret@word@host",
        "http://t0ken@host",
        "s3://a:b c@d/e",
        "https://me:s3cret:word@host:5000/x",
        "https://me:s3cret%40w%3Aord@host",
        "https://me:12345@host",
        "https://me:12:word@host",
    ],
)
def test_a_message_never_holds_credentials(text):
    shown = str(UserError(f"{text}: user ana@acme.org may not"))
    secrets = ("pa/ss", "s3cret", "word", "ord@", "t0ken", "b c", "12345", "me:")
    assert not any(secret in shown for secret in secrets)
    assert shown.endswith(": user ana@acme.org may not")


@pytest.mark.parametrize(
    "text",
    [
        "https://host/data@v1/a.csv",
        "http://mlflow.acme.org:5000: user ana@acme.org may not",
        "http://mlflow.acme.org: user ana@acme.org may not",
        "http://mlflow.acme.org:5000/ana@acme.org",
        "http://[::1]:5000; user ana@acme.org may not",
    ],
)
def test_an_at_sign_outside_of_an_address_is_no_credential(text):
    assert str(UserError(text)) == text


def test_bad_params_name_file_and_key(cli, in_workspace):
    path = in_workspace.root / "params.yaml"
    path.write_text(path.read_text().replace("folds: 5", "folds: five"))
    code, _, err = cli("train")
    assert code == 2
    assert err.startswith("Error: params.yaml: train.folds: found 'five'; allowed:")


def test_without_a_bundle_quote_says_what_to_run(cli, in_workspace):
    code, _, err = cli(*laptop())
    assert code == 2
    assert "metadata.json: no such file; run" in err and err.count("\n") == 1


def test_a_source_that_does_not_answer_exits_with_1(cli, in_workspace):
    code, _, err = cli("ingest", "http://127.0.0.1:9/laptops.csv")
    assert code == 1
    assert "http://127.0.0.1:9/laptops.csv: not reachable" in err


def test_credentials_in_an_address_are_refused_and_not_shown(cli, in_workspace):
    code, _, err = cli("ingest", "http://user:hunter2@127.0.0.1:9/laptops.csv")
    assert code == 2
    assert "found a user name in the address" in err and "hunter2" not in err
