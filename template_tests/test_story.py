"""Two developers, three branches, one registry: from the first model to the way back.

The commands are those of docs/branches.md, taken from the page. Git, DVC, S3 and MLflow are real;
the pull requests are merged in a clone that stands for GitHub.
"""

import re
import sys
from pathlib import Path

import pytest
from environments import ROOT
from servers import mlflow_server
from sharing import call, commit, copy_of, first_team, laptop_pricing, ok, status
from solo import change_params

from laptop_pricing.kit.files import checksum
from laptop_pricing.kit.modeling.bundle import load_bundle, read_metadata
from laptop_pricing.kit.modeling.train import read_processed
from laptop_pricing.kit.project import Project
from laptop_pricing.model import build_model
from laptop_pricing.problem import PROBLEM

pytestmark = [
    pytest.mark.services,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="process groups of POSIX"),
]

NAME, FILES = "laptop-pricing", "model/data/models"
POOR = {"model__crossed": [], "model__alphas": [60.0], "train__folds": 2}
POOR |= {"criteria__R2": 0.0, "criteria__MAPE": 0.5}
GOOD = {"model__crossed": ["processor_name"], "model__alphas": [4.0]}
WORSE = {"model__alphas": [100.0]}


def blocks(heading):
    """The blocks of commands under a heading of the page."""
    text = (ROOT / "docs" / "branches.md").read_text(encoding="utf-8")
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```bash\n(.*?)```", section, re.DOTALL)


(ONCE,) = blocks("Once per clone")
BEGIN, COMMIT, REPORT, REGISTER, TO_STAG, TO_PROD = blocks("A day's work")
MERGE, RESOLVE, _ = blocks("A conflict")
(BACK,) = blocks("The way back")


def run(clone, block, runner=ok, **words):
    """Type a block of the page, with other words where the page has examples."""
    for before, after in words.items():
        assert before in block, before
        block = block.replace(before, after)
    return runner(clone, "bash", "-e", "-c", block)


class Story:
    """The team, its branches and its registry."""

    def __init__(self, team, address):
        from mlflow import MlflowClient

        self.team, self.address, self.client = team, address, MlflowClient(address)
        self.hub = team.clone("hub")

    def member(self, clone):
        run(clone, ONCE)
        with open(clone / ".env", "a", encoding="utf-8") as file:
            file.write(f"MLFLOW_TRACKING_URI={self.address}\n")

    def pull_request(self, source, target):
        """What GitHub does when a pull request is merged."""
        ok(self.hub, "git", "fetch", "-q")
        ok(self.hub, "git", "switch", "-q", "-C", target, f"origin/{target}")
        ok(self.hub, "git", "merge", "-q", "--no-ff", "-m", f"{source}", f"origin/{source}")
        ok(self.hub, "git", "push", "-q", "origin", target)

    def all_the_way(self, clone):
        """From devl to production, as the page has it."""
        run(clone, REGISTER)
        self.pull_request("devl", "stag")
        run(clone, TO_STAG)
        self.pull_request("stag", "main")
        return run(clone, TO_PROD)

    def aliases(self):
        found = self.client.get_registered_model(NAME).aliases
        return {alias: int(version) for alias, version in found.items()}

    def version(self, number):
        return self.client.get_model_version(NAME, str(number))


def head(clone, name="HEAD"):
    return ok(clone, "git", "rev-parse", name).strip()


def test_the_way_to_production_and_back(tmp_path_factory, tmp_path, monkeypatch):
    first = first_team("s3", tmp_path_factory.getbasetemp())
    (tmp_path / "mlflow").mkdir()
    with copy_of(first, tmp_path) as team, mlflow_server(tmp_path / "mlflow") as address:
        story = Story(team, address)
        the_first_model_goes_to_production(story)
        a_better_model_follows(story)
        the_gate_stops_a_worse_one(story)
        data_and_params_change_at_once(story)
        the_way_back(story)
        prod_is_what_was_tested(story, tmp_path, monkeypatch)


def the_first_model_goes_to_production(story):
    ana = story.team.ana
    story.member(ana)
    change_params(ana, **POOR)
    ok(ana, "dvc", "repro")
    commit(ana, "A modest beginning")
    ok(ana, "dvc", "push")
    ok(ana, "git", "push", "-q", "origin", "devl", "devl:stag", "devl:main")
    story.all_the_way(ana)
    assert story.aliases() == {"devl": 1, "stag": 1, "prod": 1}


def a_better_model_follows(story):
    ben = story.team.clone("ben")
    story.team.connect("ben")
    story.member(ben)
    run(ben, BEGIN)
    change_params(ben, **GOOD)
    run(ben, COMMIT)
    run(ben, REPORT)
    report = (ben / "report.md").read_text(encoding="utf-8")
    assert "**Verdict: promote.**" in report and "better." in report
    assert "| model.alphas | [60.0] | [4.0] |" in report
    assert (ben / "report.png").is_file()
    for name in ("report.md", "report.png"):
        (ben / name).unlink()

    story.pull_request("finer-alphas", "devl")
    said = story.all_the_way(ben)
    assert re.search(r"^prod: version 2$", said, re.MULTILINE)
    assert story.aliases() == {"devl": 2, "stag": 2, "prod": 2}
    assert story.version(2).tags["commit"] == head(ben, "origin/devl")


def the_gate_stops_a_worse_one(story):
    ana = story.team.ana
    run(ana, BEGIN, **{"finer-alphas": "stronger-alphas"})
    change_params(ana, **WORSE)
    run(ana, COMMIT, **{"finer-alphas": "stronger-alphas"})
    story.pull_request("stronger-alphas", "devl")
    run(ana, REGISTER)
    assert story.aliases() == {"devl": 3, "stag": 2, "prod": 2}

    done = laptop_pricing(ana, "promote", "--to", "stag")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert re.search("version 3: not promoted to stag: .*MAPE on the hold-out", line)
    assert "more than promote.tolerance" in line and "no alias moved" in line
    assert story.aliases() == {"devl": 3, "stag": 2, "prod": 2}

    ok(ana, "git", "revert", "--no-edit", "-m", "1", "HEAD")
    ok(ana, "git", "push", "-q")
    ok(ana, "dvc", "checkout")
    assert "alias devl" in laptop_pricing(ana, "register", run=ok)
    assert story.aliases() == {"devl": 2, "stag": 2, "prod": 2}


def data_and_params_change_at_once(story):
    ana, ben = story.team.ana, story.team.ben
    run(ana, BEGIN, **{"finer-alphas": "more-data"})
    run(ben, BEGIN, **{"finer-alphas": "other-alphas"})
    more = ana.parent / "more.csv"
    laptop_pricing(ana, "sample", more, "--rows", 500, "--seed", 3, run=ok)
    laptop_pricing(ana, "ingest", more, run=ok)
    ok(ana, "dvc", "repro")
    commit(ana, "More data")
    ok(ana, "dvc", "push")
    ok(ana, "git", "push", "-q", "-u", "origin", "more-data")
    story.pull_request("more-data", "devl")

    change_params(ben, model__alphas=[2.0])
    run(ben, COMMIT, **{"finer-alphas": "other-alphas"})
    done = run(ben, MERGE, call)
    assert done.returncode == 1
    conflicts = set(re.findall(r"CONFLICT.* (\S+)$", done.stdout, re.MULTILINE))
    assert conflicts == {"dvc.lock", "metrics.json"}
    run(ben, RESOLVE)
    assert status(ben) == ""
    metadata = read_metadata(ben / "models")
    assert metadata["data_md5"] == checksum(more, "md5") and metadata["chosen"]["alpha"] == 2

    story.pull_request("other-alphas", "devl")
    story.all_the_way(ben)
    assert story.aliases() == {"devl": 4, "stag": 4, "prod": 4}
    assert story.version(4).tags["data_md5"] == checksum(more, "md5")


def the_way_back(story):
    said = run(story.team.ben, BACK)
    assert "prod: version 2 has had it before: back without the gate" in said
    assert story.aliases() == {"devl": 4, "stag": 4, "prod": 2}


def prod_is_what_was_tested(story, tmp_path, monkeypatch):
    """By its alias, with the right bytes and prices; and nobody has anything left to do."""
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", story.address)
    mlflow.set_tracking_uri(story.address)
    version = story.client.get_model_version_by_alias(NAME, "prod")
    assert int(version.version) == 2
    bundle = Path(story.client.download_artifacts(version.run_id, FILES, str(tmp_path)))
    assert checksum(bundle / "model.json", "sha256") == version.tags["model_sha256"]
    table, _ = read_processed(Project(PROBLEM, build_model, story.team.ben))
    loaded = mlflow.pyfunc.load_model(f"models:/{NAME}@prod").predict(table[list(PROBLEM.names)])
    assert loaded.tolist() == load_bundle(bundle).predict(table).tolist()

    for clone in (story.team.ana, story.team.ben):
        ok(clone, "git", "switch", "-q", "devl")
        ok(clone, "git", "pull", "-q")
        ok(clone, "dvc", "pull")
        assert status(clone) == ""
