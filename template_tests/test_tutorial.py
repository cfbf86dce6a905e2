"""The tutorial, typed in an empty folder: its blocks in their order, to the letter.

But for four things: the repository's path stands for its address, LAPTOP_CSV for the published
one, the environment is the running one (test_baked.py installs afresh), and there is one seed.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from baking import check
from environments import ROOT
from servers import free_port, running

pytestmark = [
    pytest.mark.services,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="its commands are those of a POSIX shell"),
]

INSTALL = "python3 -m venv .venv\nsource .venv/bin/activate\npip install -r requirements.txt\n"
SEEDS = "".join(f"  - {seed}\n" for seed in range(5))
URL = "https://raw.githubusercontent.com/michelpf/dataset-laptop-pricing/main/laptop-price-brl.csv"


@pytest.fixture(scope="module")
def said(snapshot, laptop_csv, tmp_path_factory):
    """What each command of the tutorial said, in its order: pairs of the line and its output."""
    folder = tmp_path_factory.mktemp("tutorial")
    template = shutil.copytree(snapshot, folder / "template")
    params = (template / "params.yaml").read_text("utf-8")
    assert SEEDS in params  # seconds, where all seeds are minutes
    (template / "params.yaml").write_text(params.replace(SEEDS, "  - 0\n"), encoding="utf-8")
    check(template, "laptop-pricing", "ingest", laptop_csv)  # so that Git promises that result
    check(template, "dvc", "repro", "-q", timeout=600)
    check(template, "git", "-c", "user.name=T", "-c", "user.email=t@t", "commit", "-qam", "one")
    command = folder / "bin" / "laptop-pricing"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m laptop_pricing "$@"\n')
    command.chmod(0o755)
    names = ("AWS_", "DVC_", "MLFLOW_", "DAGSHUB_", "PYTEST_")
    environment = {name: v for name, v in os.environ.items() if not name.startswith(names)}
    environment |= {
        "PATH": os.pathsep.join(
            [str(command.parent), str(Path(sys.executable).parent), os.environ["PATH"]]
        ),
        "PYTHONPATH": str(folder / "laptop-pricing" / "src"),
        "MLFLOW_PORT": str(free_port()),
        "DVC_NO_ANALYTICS": "1",
        "HOME": str(folder / "home"),
    }
    page = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
    blocks = re.findall(r"^```(bash|yaml)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert ("bash", INSTALL) in blocks
    blocks.remove(("bash", INSTALL))
    heard, place, old = [], folder, None
    for kind, text in blocks:
        if kind == "yaml" and old is None:
            old = text
        elif kind == "yaml":
            params = place / "params.yaml"
            content = params.read_text("utf-8")
            assert content.count(old.rstrip("\n")) == 1
            changed = content.replace(old.rstrip("\n"), text.rstrip("\n"))
            params.write_text(changed, encoding="utf-8")
        else:
            for line in text.splitlines():
                if line.startswith("cd "):
                    place = place / line[3:]
                else:
                    heard.append((line, type_in(line, place, environment, template, laptop_csv)))
    yield heard


def shape(text):
    """The lines without what may differ from run to run: figures, hashes, bars, spaces."""
    text = re.sub(r"\b[0-9a-f]{7,}\b|[\d,.]*\d|[-+]*\|[-+]*|─+|\b[AP]M\b", "#", text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_what_the_page_shows_is_what_is_printed(said):
    page = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
    blocks = re.findall(r"^```(bash|text)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    shown = [
        (typed, text) for (_, typed), (kind, text) in zip(blocks, blocks[1:]) if kind == "text"
    ]
    assert len(shown) >= 9
    rest = iter(said)
    for typed, text in shown:
        lines = typed.splitlines()
        printed = []
        for line, output in rest:
            if line in lines:
                printed += shape(output)
            if line == lines[-1]:
                break
        printed = iter(printed)
        for line in shape(text):
            assert line == "..." or line in printed, f"{lines[0]}: {line}"


def type_in(line, place, environment, template, laptop_csv):
    stand_ins = {"PATH-OR-URL": str(template), URL: str(laptop_csv)}
    words = [stand_ins.get(word, word) for word in shlex.split(line)]
    if line.startswith("mlflow ui"):
        return look_at(words, place, environment)
    done = subprocess.run(
        words, cwd=place, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    return done.stdout


def look_at(words, place, environment):
    """The front page of a server, which is stopped again; test_workbench.py looks closer."""
    address = f"http://127.0.0.1:{environment['MLFLOW_PORT']}"
    with running(words, address, place / "mlflow.db.log", environment):
        return urllib.request.urlopen(address, timeout=60).read().decode()


def outputs(said, beginning):
    found = [text for line, text in said if line.startswith(beginning)]
    assert found, f"the tutorial has no line {beginning}"
    return found


def price(quote):
    return float(re.search(r"^([\d,]+) BRL", quote, re.MULTILINE)[1].replace(",", ""))


def test_git_is_silent_wherever_the_page_says_so(said):
    assert outputs(said, "git status") == ["", "", ""]


def test_the_first_run_keeps_the_promises_and_the_second_does_nothing(said):
    first, second = outputs(said, "laptop-pricing run")
    assert first.count("Running stage") == 2 and "Running stage" not in second
    for name in ("R2", "MAPE"):
        assert re.search(rf"^{name} .* met\b", first, re.MULTILINE)
    assert "new run" in first and "tracked before" in second
    assert "<title>MLflow</title>" in outputs(said, "mlflow ui")[0]


def change(diff, figure):
    return float(re.search(rf"cv\.{figure}\.mean .* (\S+)$", diff, re.MULTILINE)[1])


def test_a_change_trains_alone_and_both_tries_are_worse(said):
    assert "params.yaml" in outputs(said, "dvc status")[0]
    repro = outputs(said, "dvc repro")[0]
    assert "Stage 'preprocess' didn't change" in repro and "Running stage 'train'" in repro
    assert "[1000]" in outputs(said, "dvc params diff")[0]
    for diff in outputs(said, "dvc metrics diff"):
        assert change(diff, "MAPE") > 0 > change(diff, "R2")
    assert "[one-crossed]" in outputs(said, "dvc exp show")[0]


def test_one_version_has_all_three_names(said):
    assert "version 1" in outputs(said, "laptop-pricing register")[0]
    table = outputs(said, "laptop-pricing promote --to prod")[0]
    assert re.findall(r"^\| (\d+) +\| ([\w, ]+) \|", table, re.MULTILINE) == [
        ("1", "devl, stag, prod")
    ]


def test_the_quote_has_price_interval_reasons_and_offers(said):
    (quote,) = outputs(said, "laptop-pricing quote")
    assert re.search(r"90 % of such laptops: [\d,]+ to [\d,]+", quote)
    assert re.search(r"^  processor_name [\w ]+ x \d\.\d{2}", quote, re.MULTILINE)
    assert "lose money" in quote and price(quote) > 500


def test_the_list_is_priced(said):
    assert "predicted.csv: 100 laptops" in outputs(said, "laptop-pricing predict")[0]
