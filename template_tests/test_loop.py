"""The loop closes: docs/loop.md, typed while a client asks the running server again and again.

Git, DVC, the MLflow server and the REST API are real; the new rows are synthetic.
"""

import json
import re
import sys
import threading
import time
import urllib.request

import pytest
from environments import ROOT
from servers import free_port, mlflow_server, running
from sharing import BIN, ROWS, copy_of, environment, first_team, laptop_pricing, ok, status

from laptop_pricing.kit.data.split import is_held_out
from laptop_pricing.kit.data.table import KEY
from laptop_pricing.kit.modeling.train import read_processed
from laptop_pricing.kit.project import Project
from laptop_pricing.model import build_model
from laptop_pricing.problem import PROBLEM

pytestmark = [
    pytest.mark.services,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="process groups of POSIX"),
]

PAGE = (ROOT / "docs" / "loop.md").read_text(encoding="utf-8")
SERVE, BEFORE, APPEND, COMPARE, COMMIT, PROMOTE, AFTER = re.findall(
    r"```bash\n(.*?)```", PAGE, re.DOTALL
)
(SAID,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
(TAKE_BACK,) = re.findall(r"`(git checkout HEAD -- [^`]*)`", PAGE)
UNTRACKED = "?? new.csv\n?? report.md\n?? report.png\n"
MOST_S, FOLLOWS_S = 300, 60


class Client(threading.Thread):
    """Asks for a quote every 50 ms; the versions that answered, and what went wrong."""

    def __init__(self, address):
        super().__init__()
        self.address, self.over = address, threading.Event()
        self.versions, self.failures = [], []

    def run(self):
        body = json.dumps(dict(PROBLEM.example)).encode()
        while not self.over.wait(0.05):
            request = urllib.request.Request(f"{self.address}/v1/quote", body)
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    self.versions.append(json.loads(answer.read())["model"]["version"])
            except (OSError, ValueError) as error:
                self.failures.append(error)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


@pytest.fixture
def team(tmp_path_factory, tmp_path):
    """One whose first version is in production; the registry is up."""
    first = first_team("path", tmp_path_factory.getbasetemp())
    (tmp_path / "mlflow").mkdir()
    with copy_of(first, tmp_path) as team, mlflow_server(tmp_path / "mlflow") as address:
        with open(team.ana / ".env", "a", encoding="utf-8") as file:
            file.write(f"MLFLOW_TRACKING_URI={address}\n")
        laptop_pricing(team.ana, "register", run=ok)
        for alias in ("stag", "prod"):
            laptop_pricing(team.ana, "promote", "--to", alias, run=ok)
        yield team


def held_out(clone):
    """By position in data/raw, whether a row is held out; and how many rows were read."""
    table, summary = read_processed(Project(PROBLEM, build_model, clone))
    return is_held_out(table[KEY]), summary["rows"]


def take_back_and_add_again(clone, type_in):
    """What the page says to do if the report says no; all of it is then done once more."""
    type_in(f"{TAKE_BACK}\ndvc checkout")
    assert status(clone) == UNTRACKED and held_out(clone)[1] == ROWS
    type_in(f"{APPEND}\ndvc repro")


def test_new_rows_change_what_the_running_server_answers(team):
    ana, port = team.ana, free_port()
    address = f"http://127.0.0.1:{port}"

    def type_in(block):
        return ok(ana, "bash", "-e", "-c", block.replace("http://127.0.0.1:8000", address))

    program, *options = SERVE.split()
    command = [BIN / program, *options, "--port", port]
    was, rows = held_out(ana)
    start = time.monotonic()
    log = ana / ".scratch" / "log"  # within the project, where serve finds the registry
    log.parent.mkdir(exist_ok=True)
    with running(command, f"{address}/readyz", log, environment(ana)):
        with Client(address) as client:
            assert '"version":"1"' in type_in(BEFORE)
            assert SAID in type_in(APPEND)
            type_in(COMPARE)
            take_back_and_add_again(ana, type_in)
            assert set(client.versions) == {"1"}
            type_in(COMMIT)
            assert status(ana) == UNTRACKED
            assert re.search(r"^prod: version 2$", type_in(PROMOTE), re.M)
            promoted = time.monotonic()
            while client.versions[-1] != "2" and time.monotonic() < promoted + FOLLOWS_S:
                time.sleep(0.1)
            assert '"version":"2"' in type_in(AFTER)
            time.sleep(1)
    assert time.monotonic() - start < MOST_S
    assert client.failures == []
    assert client.versions == sorted(client.versions) and len(client.versions) > 100
    assert set(client.versions) == {"1", "2"}

    now, more = held_out(ana)
    assert more == rows + int(SAID.split()[0])
    assert now[was.index].equals(was), "an old row has changed sides"
    report = (ana / "report.md").read_text(encoding="utf-8")
    assert "this change against `prod`" in report and "**Verdict: promote.**" in report
    assert f"Changed: {rows} → {more} rows" in report
