"""Workers, or the whole program, are killed in the middle: the same bytes in the end."""

import signal
import sys
from pathlib import Path

import pytest
from problems import make_project, write_raw
from solo import call

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(sys.platform == "win32", reason="processes are killed by POSIX signals"),
]
# The command line of a project in which the process dies, once each, at the calls in KILL: of a
# rule about rows, of the questions about a table, of a prediction.
PROGRAM = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, {here!r})
from problems import MADE, RowRule
from sklearn.model_selection import GridSearchCV, GroupKFold
from laptop_pricing.kit.cli import make_cli
from laptop_pricing.kit.modeling.factor_ridge import FactorRidge
from laptop_pricing.kit.modeling.questions import Questions

FOLDER, KILL = Path({folder!r}), os.environ.get("KILL", "").split()

def call(what):
    '''Count a call, in all processes together; die at those that are asked for.'''
    file = os.open(FOLDER / what, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.write(file, b".")
    if f"{{what}}:{{os.fstat(file).st_size}}" in KILL:
        (FOLDER / f"killed-{{what}}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    os.close(file)

def always(table):
    call("rule")
    return table.rooms >= 0

class Asking(Questions):
    def terms(self, X):
        call("terms")
        return super().terms(X)

class Deadly(FactorRidge):
    def questions(self, X):
        return Asking(self.columns, X, self.crossed, self.knots)

    def predict(self, X):
        call("predict")
        return super().predict(X)

def build_model(problem, params):
    cv = GroupKFold(3, shuffle=True, random_state=0)
    return GridSearchCV(Deadly(problem.features), {{"alpha": [1, 20]}}, cv=cv, error_score="raise")

PROBLEM = replace(MADE, rules=(*MADE.rules, RowRule("some rooms", always)))
if __name__ == "__main__":
    make_cli(PROBLEM, build_model)()
"""
ROWS = 1500


def run(folder, *commands, scheduler="", kill="", code=0):
    """Run the commands in a project of the folder, which is made where there is none."""
    from problems import MADE

    root = folder / "project"
    if not root.exists():
        scale = {"block_rows": 150, "memory_rows": 600}
        project = make_project(root, MADE, raw=False, scale=scale)
        write_raw(MADE, project.raw, ROWS)
    program = folder / "program.py"
    text = PROGRAM.format(here=str(Path(__file__).parent), folder=str(folder))
    program.write_text(text, encoding="utf-8")
    for command in commands:
        options = {"SCHEDULER": scheduler} if scheduler else {}
        done = call(root, sys.executable, program, command, KILL=kill, **options)
        assert done.returncode == code, done.stderr
    return root


def results(root):
    """The content of what the steps write, by path."""
    folders = ("data/processed", "models", "reports/plots")
    files = [p for f in folders for p in sorted((root / f).rglob("*")) if p.is_file()]
    files.append(root / "metrics.json")
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    root = run(tmp_path_factory.mktemp("undisturbed"), "preprocess", "train")
    found = results(root)
    assert len([name for name in found if "/part-" in name]) > 5
    return found


def test_killed_workers_leave_no_trace(tmp_path, undisturbed):
    kill = "rule:3 terms:5 terms:60 predict:4 predict:40"
    root = run(tmp_path, "preprocess", "train", scheduler="local:2", kill=kill)
    assert {path.name for path in tmp_path.glob("killed-*")} == {
        "killed-rule",
        "killed-terms",
        "killed-predict",
    }
    assert results(root) == undisturbed
    assert list((root / "data" / "interim").iterdir()) == []


def test_a_program_that_was_killed_starts_anew(tmp_path, undisturbed):
    killed = -signal.SIGKILL
    root = run(tmp_path, "preprocess", kill="rule:4", code=killed)
    assert not (root / "data" / "processed" / "table.parquet").exists()
    run(tmp_path, "preprocess")
    assert list((root / "data" / "interim").iterdir()) == []
    for at in ("terms:50", "predict:30"):
        run(tmp_path, "train", kill=at, code=killed)
        assert not (root / "metrics.json").exists()
    run(tmp_path, "train")
    assert results(root) == undisturbed
