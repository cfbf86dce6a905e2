"""A project that was made by ``cruft`` follows the template and keeps its own edits."""

import json
import os
import shutil
import subprocess

import pytest
from environments import ROOT, environment

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """``run(folder, *command)``: a program, with cruft on the PATH and a home of its own."""
    tools = environment("cruft", ["cruft==2.16.0", "cookiecutter==2.7.1"])
    home = tmp_path_factory.mktemp("home")
    path = os.pathsep.join([str(tools), os.environ["PATH"]])
    names = {f"GIT_{who}_NAME": "Test" for who in ("AUTHOR", "COMMITTER")}
    names |= {f"GIT_{who}_EMAIL": "test@example.org" for who in ("AUTHOR", "COMMITTER")}
    variables = os.environ | names | {"PATH": path, "HOME": str(home), "COLUMNS": "200"}

    def call(folder, *command, works=True):
        done = subprocess.run(
            [str(part) for part in command],
            cwd=folder,
            env=variables | {"GIT_CONFIG_GLOBAL": os.devnull},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (done.returncode == 0) == works, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    return call


@pytest.fixture
def template(run, tmp_path):
    """This repository as it is now, in a repository of its own."""
    folder = tmp_path / "template"
    names = run(ROOT, "git", "ls-files", "-co", "--exclude-standard", "-z").split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    run(folder, "git", "init", "-q")
    commit(run, folder, "the template")
    return folder


def commit(run, folder, message):
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", message)


def change(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_create_update_and_check(run, template, tmp_path):
    run(tmp_path, "cruft", "create", "--no-input", "-y", template)
    project = tmp_path / "my-project"
    assert not (project / ".git").exists()  # its history is the user's to begin
    assert json.loads((project / ".cruft.json").read_text())["template"] == str(template)
    run(project, "git", "init", "-q")
    commit(run, project, "start")
    run(project, "cruft", "check")

    shared, rendered = "docs/pipeline.md", ".dvc/config"
    title = (template / shared).read_text(encoding="utf-8").splitlines()[0]
    change(template / shared, title, f"{title} of laptop-pricing")
    change(
        template / "{{ cookiecutter.repo_name }}" / rendered,
        "verify = true\n",
        "verify = true\n    jobs = 4\n",
    )
    commit(run, template, "a shared file and a rendered one")
    change(
        project / "README.md", "A short description of the project.", "Our shop buys used bikes."
    )
    with open(project / shared, "a", encoding="utf-8") as file:
        file.write("\nOur own last line.\n")
    (project / "src" / "my_project" / "ours.py").write_text("OURS = 1\n")
    commit(run, project, "ours")

    run(project, "cruft", "check", works=False)
    run(project, "cruft", "update", "-y")
    run(project, "cruft", "check")
    page = (project / shared).read_text(encoding="utf-8")
    assert page.startswith(f"{title} of my-project\n") and page.endswith("Our own last line.\n")
    assert "jobs = 4" in (project / rendered).read_text()
    assert "Our shop buys used bikes" in (project / "README.md").read_text(encoding="utf-8")
    assert (project / "src" / "my_project" / "ours.py").exists()
    assert not list(project.rglob("*.rej"))
