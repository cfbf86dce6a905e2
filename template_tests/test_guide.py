"""The guide to another dataset, followed to the letter in a new project; its pictures are kept."""

import json
import os
import re
import shlex
import shutil
import sys

import pytest
from baking import bake, check, ready, run, tracked
from browsing import SCREENSHOTS, ask_form, keep, summary, terminal
from servers import free_port, running

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.usefixtures("own_home")]

OURS = {"src/diabetes/problem.py", "params.yaml", "data.dvc", "dvc.lock", "metrics.json"}
FIELDS = {"age": "48", "sex": "1", "bmi": "26.4", "bp": "95", "s1": "189", "s2": "115.4"}
FIELDS |= {"s3": "50", "s4": "4", "s5": "4.6", "s6": "91"}
# A file that is saved, a file that is edited, or commands that are typed.
BLOCK = re.compile(
    r"`([\w./]+)`[^`]*\n\n```(python|diff)\n(.*?)^```$|^```(bash)\n(.*?)^```$", re.M | re.S
)


@pytest.fixture(scope="module")
def followed(snapshot, tmp_path_factory):
    """The project after the last line of the guide, what each command said, its variables."""
    patch = pytest.MonkeyPatch()
    patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    folder = tmp_path_factory.mktemp("guide")
    project, variables = ready(bake(snapshot, folder, project_name="Diabetes"))
    for name, value in (("user.name", "tester"), ("user.email", "tester@localhost")):
        check(project, "git", "config", name, value)
    said = {}
    guide = (project / "docs" / "your-own-data.md").read_text("utf-8")
    for path, kind, content, typed, commands in BLOCK.findall(guide):
        if path.endswith("model.py"):  # shown, not taken over
            continue
        if kind == "python":
            (project / path).parent.mkdir(exist_ok=True)
            (project / path).write_text(content, encoding="utf-8")
        if kind == "diff":
            edit(project / path, content)
        for line in commands.splitlines():
            program, *arguments = shlex.split(line)
            command = [sys.executable] if program == "python" else [program]
            command = [sys.executable, "-m", "pytest"] if program == "pytest" else command
            said[line] = check(project, *command, *arguments, timeout=900, **variables)
    yield project, said, variables
    patch.undo()


def edit(path, diff):
    """Put each line with + in the place of the line with - before it."""
    text = path.read_text("utf-8")
    for before, after in re.findall(r"^-(.*)\n\+(.*)$", diff, re.M):
        assert text.count(f"{before}\n") == 1, before
        text = text.replace(f"{before}\n", f"{after}\n")
    path.write_text(text, encoding="utf-8")


def output(said, beginning):
    return next(text for line, text in said.items() if line.startswith(beginning))


def test_it_is_committed_as_a_whole(followed):
    project, said, _ = followed
    assert check(project, "git", "status", "--porcelain") == ""
    changed = set(check(project, "git", "diff", "--name-only", "HEAD~1").split())
    assert OURS <= changed and "data/raw" not in tracked(project)
    pages = changed - OURS
    assert f"Put its words into {len(pages)} pages" in output(said, "diabetes adopt")
    assert {"README.md", "mkdocs.yml", "docs/quoting.md"} <= pages


def test_adopt_said_what_it_did(followed):
    _, said, _ = followed
    written = output(said, "diabetes adopt")
    assert re.search(
        r"^sex +feature +integer +.* Look at this: 2 different: a code\?", written, re.M
    )
    assert re.search(r"^target +target +integer", written, re.M)
    assert "taken" in written and "Next: read src/diabetes/problem.py" in written


def test_its_tests_pass(followed):
    _, said, _ = followed
    assert int(re.search(r"(\d+) passed", output(said, "pytest"))[1]) > 80
    assert "failed" not in output(said, "pytest")


def test_it_keeps_its_promises_on_the_new_data(followed):
    project, said, _ = followed
    summary = output(said, "diabetes run")
    assert re.search(r"Rows +442 read, 0 duplicates, 0 rejected, 442 kept \(442 different", summary)
    assert re.search(r"R2 .*met", summary) and re.search(r"MAPE .*met", summary)
    assert "missed" not in summary
    metrics = json.loads((project / "metrics.json").read_text())
    assert metrics["cv"]["R2"]["mean"] > 0.3


def test_it_quotes_a_case_in_its_own_words(followed):
    _, said, _ = followed
    quote = output(said, "diabetes quote")
    found = re.search(r"^([\d,]+) points   90 % of such patients: ([\d,]+) to ([\d,]+)", quote)
    price, low, high = (float(number.replace(",", "")) for number in found.groups())
    assert 10 < low < price < high < 380


def test_a_second_adopt_is_refused_with_the_way(followed):
    project, _, variables = followed
    source = (".scratch/diabetes.csv", "--target", "target")
    done = run(project, "diabetes", "adopt", *source, **variables)
    assert done.returncode == 2 and "describes a table of yours already" in done.stderr
    assert "git restore --source=" in done.stderr and done.stderr.count("\n") == 1


def test_no_word_of_the_worked_example_is_left(followed):
    project, said, _ = followed
    worked = {"docs/example.md", "docs/model.md", "docs/tutorial.md", "docs/pt/tutorial.md"}
    for name in tracked(project) - worked:
        text = (project / name).read_text("utf-8")
        assert not re.search(r"laptop|\bBRL\b|processor_|=dell", text, re.IGNORECASE), name
    for line, text in said.items():
        assert not re.search("laptop|BRL|brand", text, re.IGNORECASE), f"{line}: {text}"


def test_its_documentation_builds(followed):
    project, _, variables = followed
    check(project, sys.executable, "-m", "mkdocs", "build", "--strict", "-q", **variables)
    dictionary = (project / "site/reference/data-dictionary/index.html").read_text("utf-8")
    assert "Body mass index" in dictionary


def test_the_notebooks_run_on_its_own_data(followed):
    project, _, variables = followed
    names = sorted(path.name for path in (project / "notebooks").glob("*.ipynb"))
    for name in names:
        command = ("-m", "jupyter", "nbconvert", "--to", "notebook", "--execute", "--stdout")
        shown = check(project, sys.executable, *command, f"notebooks/{name}", **variables)
        assert "The project's own data and model" in shown


def test_the_api_and_the_form_ask_for_its_fields(followed, page):
    project, said, variables = followed
    port, other = free_port(), free_port()
    api, form = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{other}"
    environment = os.environ | variables
    serve = ["diabetes", "serve", "--port", port]
    show = ["diabetes", "form", "--api", api, "--port", other]
    serve[0] = show[0] = shutil.which("diabetes", path=variables["PATH"])
    with running(serve, f"{api}/healthz", project / "api.log", environment):
        fields = page.request.get(f"{api}/openapi.json").json()["components"]["schemas"]
        asked = [schema["properties"] for schema in fields.values() if "bmi" in str(schema)]
        assert [*FIELDS] in [list(properties) for properties in asked]
        with running(show, f"{form}/template.csv", project / "form.log", environment):
            said_here = ask_form(page, form, FIELDS)
            keep(page, "adopted-form", full_page=True)
    assert re.search(r"[\d,]+ points", output(said, "diabetes quote"))[0].split()[0] in said_here
    adopt = next(line for line in said if line.startswith("diabetes adopt"))
    terminal(SCREENSHOTS / "adopt.svg", (adopt, said[adopt]))
    terminal(SCREENSHOTS / "run.svg", ("diabetes run", summary(said["diabetes run"])))
    figure = project / "reports" / "figures" / "predictions.png"
    shutil.copyfile(figure, SCREENSHOTS / "adopted-predictions.png")
