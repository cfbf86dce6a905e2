"""``cookiecutter`` on this repository: what comes out, from every way in, and what is refused."""

import json
import re
import shutil
import sys

import pytest
import yaml
from baking import bake, check, content, run, tracked
from cookiecutter.exceptions import CookiecutterException
from environments import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("own_home")]

DEFAULTS = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
# The laptop project's own answers.
TWIN = {
    "project_name": "Laptop pricing",
    "author_name": "The laptop-pricing authors",
    "description": "Prices used laptops",
    "python_version": "3.10",
}
ODD = {
    "project_name": """O'Connor's "best" \\prices\\ é {x} # %s""",
    "author_name": """Zoë "Z" O'Neil \\""",
    "description": """It's "all" \\ of it: {a}, #1 é""",
    "repo_name": "Best.prices_2",
    "module_name": "z" * 24,
}
# Each answer, and what DVC's remote is then.
STORAGES = {
    "local": "{folder}-storage",
    "s3://acme.data-1": "s3://acme.data-1/dvc",
    "dagshub://acme": "s3://dvc",
}
# What each project has of its own; all else is shared with this repository.
OWN = {"LICENSE", ".dvc/config", "data.dvc"}
# Of the shared folders: what is about the template, pictures of our data.
BENCHMARKS = {
    f"benchmarks/{name}.py"
    for name in ("bake", "classes", "course", "drift", "endurance", "scale", "tables", "words")
}
LEFT_OUT = {
    "docs/course-map.md",
    *(f"docs/images/{path.name}" for path in (ROOT / "docs" / "images").iterdir()),
    "docs/other-tables.md",
    "docs/pt/course-map.md",
    "docs/template.md",
    "src/laptop_pricing/course.py",
} - {"docs/images/cycle.svg"}
SHARED = re.findall(
    r'^    "(.+)",$', (ROOT / "hooks" / "post_gen_project.py").read_text("utf-8"), re.MULTILINE
)


@pytest.mark.parametrize(
    "storage, licence, python, names",
    [
        ("local", "MIT", "python3", {}),
        ("s3://acme.data-1", "BSD-3-Clause", "python", ODD),
        ("dagshub://acme", "No license file", "python3", {"module_name": "ab"}),
        ("local", "No license file", "python", ODD),
    ],
)
def test_a_project_is_whole_under_its_own_name(snapshot, tmp_path, storage, licence, python, names):
    answers = {"storage": storage} | names
    project = bake(
        snapshot, tmp_path, open_source_license=licence, python_interpreter=python, **answers
    )
    module = answers.get("module_name", "my_project")
    slug, repo = module.replace("_", "-"), answers.get("repo_name", "my-project")

    shared = {name for name in tracked(snapshot) if name.startswith(tuple(SHARED))}
    shared -= LEFT_OUT
    expected = {name.replace("laptop_pricing", module) for name in shared} | OWN
    expected -= {"LICENSE"} if licence == "No license file" else set()
    assert tracked(project) == expected
    assert check(project, "git", "status", "--porcelain") == ""
    branches = check(project, "git", "for-each-ref", "--format=%(refname:short)").split()
    assert branches == ["devl", "main", "stag"]
    assert check(project, "git", "rev-list", "--all", "--count").strip() == "1"

    for name, data in content(project).items():
        text = data.decode("utf-8").replace("michelpf/dataset-laptop-pricing", "")
        assert not re.search("laptop[_ -]pricing", text, re.IGNORECASE), name
        jinja = "" if "/kit/templates/" in name else r"|\{%"  # those are the kit's own
        assert not re.search(rf"cookiecutter\.|of the template -->{jinja}", text), name
    package = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    assert package["name"] == slug and list(package["scripts"]) == [slug]
    given = {**DEFAULTS, **answers}
    assert package["authors"] == [{"name": given["author_name"]}]
    assert package["description"] == given["description"]
    assert package.get("license") == (None if licence == "No license file" else licence)
    site = yaml.safe_load((project / "mkdocs.yml").read_text("utf-8"))
    assert site["site_name"] == given["project_name"]
    assert site["site_author"] == given["author_name"]
    for name in ("README.md", "README.pt-BR.md"):
        readme = (project / name).read_text("utf-8")
        assert f"{python} -m venv" in readme
        assert ("](LICENSE)" in readme) == (licence != "No license file")
        for image in re.findall(r"!\[.*\]\((.*)\)", readme):
            assert (project / image).is_file(), image
    for name, by in {"README.md": "By", "README.pt-BR.md": "Por", "docs/index.md": "By"}.items():
        opening = (project / name).read_text("utf-8").partition("<!-- about -->")[0]
        assert opening.startswith(f"# {given['project_name']}\n"), name
        assert opening.endswith(f"\n{given['description']}\n\n{by} {given['author_name']}\n\n")
    if licence != "No license file":
        assert given["author_name"] in (project / "LICENSE").read_text("utf-8")
    for path in (project / ".github" / "workflows").iterdir():
        workflow = yaml.safe_load(path.read_text("utf-8"))
        assert all(job["steps"] and job["runs-on"] for job in workflow["jobs"].values())
    for name in (".vscode/settings.json", ".vscode/tasks.json", ".devcontainer/devcontainer.json"):
        json.loads((project / name).read_text("utf-8"))
    _the_container_has_its_own_environment(project)
    for path in (project / ".github" / "ISSUE_TEMPLATE").iterdir():
        asked = yaml.safe_load(path.read_text("utf-8"))
        assert asked["name"] and asked["description"] and asked["body"], path.name
    guide = (project / "AGENTS.md").read_text("utf-8")
    named = re.findall(r"`((?:src|docs|tests)/[\w/.-]+|[\w.-]+\.(?:yaml|txt|toml|md))`", guide)
    assert f"src/{module}/problem.py" in named and len(named) > 8
    for name in named:
        assert (project / name).exists(), name

    for tool in (["black", "--check", "-q"], ["isort", "--check", "-q"], ["flake8"]):
        check(project, *tool, "src", "tests", "benchmarks", "docs")
    check(project, "dvc", "status", DVC_SITE_CACHE_DIR=str(tmp_path / "site"))
    remote = check(project, "dvc", "remote", "list", COLUMNS="400").split()
    assert remote[:2] == ["storage", STORAGES[storage].format(folder=tmp_path / repo)]
    config = (project / ".dvc" / "config").read_text("utf-8")
    hub = f"endpointurl = https://dagshub.com/acme/{repo}.s3\n"
    assert (hub in config) == storage.startswith("dagshub")


def _the_container_has_its_own_environment(project):
    """A volume lies over .venv: the host's has its paths and its system's binaries."""
    container = json.loads((project / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    [mount] = [dict(part.split("=") for part in m.split(",")) for m in container["mounts"]]
    assert mount["type"] == "volume" and mount["source"].startswith("${devcontainerId}")
    folder = mount["target"].removeprefix("${containerWorkspaceFolder}/")
    assert f"-m venv --clear {folder} && {folder}/bin/pip" in container["postCreateCommand"]
    settings = json.loads((project / ".vscode" / "settings.json").read_text("utf-8"))
    assert settings["python.defaultInterpreterPath"] == f"${{workspaceFolder}}/{folder}"
    version = (project / ".python-version").read_text("utf-8").strip()
    assert f"/python:{version}-" in container["image"]
    assert f'python: "{version}"\n' in (project / ".readthedocs.yaml").read_text("utf-8")


def test_the_project_with_our_answers_is_this_repository(snapshot, tmp_path):
    """But for the passages about the template, and what says who and what it is."""
    twin = content(bake(snapshot, tmp_path, **TWIN))
    ours = content(snapshot)
    differ = {name for name in twin if twin[name] != ours.get(name)}
    assert differ == {
        ".dvc/config",  # has a remote
        ".github/workflows/pull-request.yml",  # without the template
        ".pre-commit-config.yaml",  # without the words of our pages
        "AGENTS.md",  # without the template
        "CONTRIBUTING.md",  # without the template
        "LICENSE",  # its author's, of this year; the same text
        "README.md",  # without the template
        "README.pt-BR.md",  # without the template
        "data.dvc",  # promises nothing yet
        "docs/api.md",  # without the course's payload
        "docs/evidence.md",  # without the template
        "docs/form.md",  # without its picture
        "docs/scale.md",  # without its measurements
        "docs/service.md",  # without its measurements
        "docs/monitor.md",  # without its measurements
        "docs/index.md",  # what it says that the project is about
        "docs/pt/tutorial.md",  # without its pictures
        "docs/pt/your-own-data.md",  # without its pictures
        "docs/tutorial.md",  # without its pictures
        "docs/your-own-data.md",  # without its pictures
        "mkdocs.yml",  # the description, without the template
        "pyproject.toml",  # the description
        "src/laptop_pricing/__main__.py",  # without the course's payload
    } - ({"LICENSE"} if twin["LICENSE"] == ours["LICENSE"] else set())
    left_out = set(ours) - set(twin)
    assert LEFT_OUT | BENCHMARKS < left_out
    left_out -= LEFT_OUT | BENCHMARKS
    assert {name.partition("/")[0] for name in left_out} == {
        ".ci",
        "CHANGELOG.md",
        "cookiecutter.json",
        "dvc.lock",
        "hooks",
        "local_extensions.py",
        "metrics.json",
        "template_tests",
        "{{ cookiecutter.repo_name }}",
    }


@pytest.mark.parametrize(
    "answers, told",
    [
        ({"repo_name": "../elsewhere"}, "repo_name: found '../elsewhere'; expected letters"),
        ({"repo_name": "a/b"}, "repo_name: found 'a/b'"),
        ({"repo_name": "con.1", "module_name": "a"}, "reserved"),
        ({"module_name": "class"}, "module_name: found 'class', which Python or a library uses"),
        ({"module_name": "mlflow"}, "module_name: found 'mlflow'"),
        ({"module_name": "json"}, "module_name: found 'json'"),
        ({"module_name": "my-project"}, "expected at most 24 lower-case letters"),
        ({"module_name": "it's"}, "expected at most 24 lower-case letters"),
        ({"module_name": "z" * 25}, "expected at most 24 lower-case letters"),
        ({"project_name": "two\nlines"}, "project_name: found 'two\\nlines'; expected a name"),
        ({"author_name": "two\nlines"}, "author_name"),
        ({"storage": "s3"}, "storage: found 's3'; expected local, s3://BUCKET or dagshub://OWNER"),
        ({"storage": ""}, "storage: found ''"),
        ({"storage": "s3://Acme"}, "storage"),
        ({"storage": "s3://192.168.0.1"}, "storage"),
        ({"storage": "s3://a..b"}, "storage"),
        ({"storage": "s3://acme/dvc"}, "storage"),
        ({"storage": "dagshub://"}, "storage"),
        ({"storage": "dagshub://a/b"}, "storage: found 'dagshub://a/b'"),
    ],
)
def test_a_bad_answer_is_one_line_before_anything_is_written(snapshot, tmp_path, answers, told):
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(CookiecutterException) as refused:
        bake(snapshot, folder, **answers)
    assert told in str(refused.value) and "\n" not in str(refused.value)
    assert list(folder.iterdir()) == []


def test_the_command_refuses_in_one_line_and_an_existing_folder_stays(snapshot, tmp_path):
    command = ("cookiecutter", snapshot, "--no-input", "-o", tmp_path)
    done = run(tmp_path, *command, "module_name=class")
    said = (done.stdout + done.stderr).strip()
    assert done.returncode == 1 and len(said.splitlines()) == 1 and "'class'" in said, said
    assert not (tmp_path / "my-project").exists()
    (tmp_path / "my-project").mkdir()
    (tmp_path / "my-project" / "mine").touch()
    done = run(tmp_path, *command)
    assert done.returncode == 1 and "already exists" in done.stdout
    assert [path.name for path in (tmp_path / "my-project").iterdir()] == ["mine"]


def test_every_way_in_gives_the_same_project(snapshot, tmp_path):
    expected = content(bake(snapshot, tmp_path / "api"))
    spaced = tmp_path / "a path with spaces"
    shutil.copytree(snapshot, spaced)
    (spaced / "src" / "secret.txt").write_text("untracked")
    check(snapshot, "git", "archive", "--prefix=template/", "-o", tmp_path / "t.zip", "HEAD")
    ways = {
        "absolute": (tmp_path, snapshot),
        "relative": (snapshot.parent, snapshot.name),
        "spaces": (tmp_path, spaced),
        "url": (tmp_path, f"git+file://{snapshot}"),
        "zip": (tmp_path, tmp_path / "t.zip"),
    }
    for name, (folder, template) in ways.items():
        out = tmp_path / name
        check(folder, "cookiecutter", template, "--no-input", "-o", out)
        assert content(out / "my-project") == expected, name


def test_again_over_the_same_folder_and_from_the_last_answers(snapshot, tmp_path):
    check(tmp_path, "cookiecutter", snapshot, "--no-input", "-o", "one", "project_name=Bike fares")
    check(tmp_path, "cookiecutter", snapshot, "--replay", "-o", "two")
    first = content(tmp_path / "one" / "bike-fares")
    assert content(tmp_path / "two" / "bike-fares") == first
    (tmp_path / "one" / "bike-fares" / "README.md").write_text("mine")
    check(tmp_path, "cookiecutter", snapshot, "--replay", "-f", "-o", "one")
    assert content(tmp_path / "one" / "bike-fares") == first


def test_one_question_asks_for_storage_and_its_bucket(snapshot, tmp_path):
    typed = r"Bike fares\n\n\n\n\ns3://acme-bikes\n\n\n\n"
    said = check(tmp_path, "sh", "-c", f"printf '{typed}' | cookiecutter '{snapshot}'")
    assert len(re.findall(r"\[\d+/9\]", said)) == 9 and said.count("BUCKET") == 1
    assert "bike-fares connect s3 acme-bikes --profile NAME" in said
    config = (tmp_path / "bike-fares" / ".dvc" / "config").read_text("utf-8")
    assert "url = s3://acme-bikes/dvc\n" in config


def test_a_template_that_is_not_whole_says_so(snapshot, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(snapshot, broken)
    (broken / "dvc.yaml").unlink()
    done = run(tmp_path, "cookiecutter", broken, "--no-input", "-o", "out")
    assert done.returncode == 1 and "not whole: dvc.yaml is missing" in done.stderr
    assert not (tmp_path / "out" / "my-project").exists()
