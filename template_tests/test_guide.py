"""The guide to another dataset, followed to the letter in a new project."""

import json
import re
import shlex
import sys

import pytest
from baking import bake, check, ready, tracked

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.usefixtures("own_home")]

REPLACED = {"src/diabetes/problem.py", "params.yaml"}
BLOCK = re.compile(
    r"`([\w./]+)`[^`]*\n\n```(?:python|yaml)\n(.*?)^```$|^```bash\n(.*?)^```$", re.M | re.S
)


@pytest.fixture(scope="module")
def followed(snapshot, tmp_path_factory):
    """The project after the last line of the guide, and what each command said."""
    patch = pytest.MonkeyPatch()
    patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    folder = tmp_path_factory.mktemp("guide")
    project, variables = ready(bake(snapshot, folder, project_name="Diabetes"))
    said = {}
    guide = (project / "docs" / "your-own-data.md").read_text("utf-8")
    for path, content, commands in BLOCK.findall(guide):
        if path.endswith("model.py"):  # shown, not taken over
            continue
        if path:
            (project / path).parent.mkdir(exist_ok=True)
            (project / path).write_text(content, encoding="utf-8")
        for line in commands.splitlines():
            program, *arguments = shlex.split(line)
            if program in ("pytest", "black", "flake8"):
                program = [sys.executable, "-m", program]
            else:
                program = [sys.executable if program == "python" else program]
            said[line] = check(project, *program, *arguments, timeout=900, **variables)
    yield project, said
    patch.undo()


def output(said, beginning):
    return next(text for line, text in said.items() if line.startswith(beginning))


def test_exactly_the_named_files_were_replaced(followed):
    project, _ = followed
    changed = set(check(project, "git", "diff", "--name-only", "HEAD").split())
    assert changed - {"data.dvc", "dvc.lock", "metrics.json"} == REPLACED
    assert "dvc.lock" in tracked(project) and "data/raw" not in tracked(project)


def test_its_tests_pass(followed):
    _, said = followed
    assert int(re.search(r"(\d+) passed", output(said, "pytest"))[1]) > 80
    assert "failed" not in output(said, "pytest")


def test_it_keeps_its_promises_on_the_new_data(followed):
    project, said = followed
    summary = output(said, "diabetes run")
    assert re.search(r"Rows +442 read, 0 duplicates, 0 rejected, 442 kept \(442 different", summary)
    assert re.search(r"R2 .*met", summary) and re.search(r"MAE .*met", summary)
    assert "missed" not in summary
    metrics = json.loads((project / "metrics.json").read_text())
    assert metrics["cv"]["R2"]["mean"] > 0.3 and metrics["cv"]["MAE"]["mean"] < 60


def test_it_quotes_a_case_in_its_own_words(followed):
    project, said = followed
    quote = output(said, "diabetes quote")
    found = re.search(r"^([\d,]+) points   90 % of such patients: ([\d,]+) to ([\d,]+)", quote)
    price, low, high = (float(number.replace(",", "")) for number in found.groups())
    assert 25 < low < price < high < 346
    assert re.search(r"^  bmi 26.4 +x \d\.\d{2}", quote, re.M)


def test_nothing_that_it_says_is_about_laptops(followed):
    _, said = followed
    for line, text in said.items():
        assert not re.search("laptop|BRL|brand", text, re.IGNORECASE), f"{line}: {text}"
