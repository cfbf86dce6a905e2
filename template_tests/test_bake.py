"""``cookiecutter`` on this repository: what comes out, from every way in, and what is refused."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from cookiecutter.exceptions import CookiecutterException
from cookiecutter.main import cookiecutter
from environments import ROOT
from servers import s3_server

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.services

DEFAULTS = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
# The laptop project's own answers.
TWIN = {
    "project_name": "Laptop pricing",
    "author_name": "The laptop-pricing authors",
    "description": "Prices used laptops",
}
ODD = {
    "project_name": """O'Connor's "best" \\prices\\ é {x} # %s""",
    "author_name": """Zoë "Z" O'Neil \\""",
    "description": """It's "all" \\ of it: {a}, #1 é""",
    "repo_name": "Best.prices_2",
    "module_name": "z" * 24,
}
STORAGES = {
    "local": {"storage": "local"},
    "s3": {"storage": "s3", "s3_bucket": "acme.data-1", "aws_profile": "acme@work"},
    "dagshub": {"storage": "dagshub", "dagshub_owner": "acme"},
}
LICENCES = ("MIT", "BSD-3-Clause", "No license file")
# What each project has of its own; all else is shared with this repository.
OWN = {"LICENSE", ".dvc/config", "data.dvc"}
SHARED = re.findall(
    r'^    "(.+)",$', (ROOT / "hooks" / "post_gen_project.py").read_text("utf-8"), re.MULTILINE
)


def run(folder, *command, **variables):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "DVC_NO_ANALYTICS": "1"} | variables
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def check(folder, *command, **variables):
    done = run(folder, *command, **variables)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(autouse=True)
def _own_home(monkeypatch, tmp_path):
    """Neither the replay files nor the Git settings of whoever runs the tests."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    config = tmp_path / "cookiecutter.yaml"
    config.write_text(
        f"cookiecutters_dir: {tmp_path / 'clones'}\nreplay_dir: {tmp_path / 'replay'}\n"
    )
    monkeypatch.setenv("COOKIECUTTER_CONFIG", str(config))


@pytest.fixture(scope="session")
def snapshot(tmp_path_factory):
    """This repository as it is now, all of it committed."""
    folder = tmp_path_factory.mktemp("snapshot") / "template"
    names = check(ROOT, "git", "ls-files", "-co", "--exclude-standard", "-z").split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    check(folder, "git", "init", "-q", "-b", "main")
    check(folder, "git", "add", "-A")
    author = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    check(folder, "git", *author, "commit", "-qm", "snapshot")
    return folder


def bake(template, folder, **answers):
    return Path(
        cookiecutter(str(template), no_input=True, output_dir=str(folder), extra_context=answers)
    )


def tracked(folder):
    return {name for name in check(folder, "git", "ls-files", "-z").split("\0") if name}


def content(folder):
    return {name: (folder / name).read_bytes() for name in tracked(folder)}


@pytest.mark.parametrize(
    "storage, licence, python, names",
    [
        (storage, licence, python, names)
        for (storage, licence), (python, names) in zip(
            itertools.product(STORAGES, LICENCES),
            itertools.cycle([("python3", {}), ("python", ODD), ("python3", {"module_name": "ab"})]),
        )
    ]
    + [("s3", "BSD-3-Clause", "python3", ODD), ("dagshub", "No license file", "python", ODD)],
)
def test_a_project_is_whole_under_its_own_name(snapshot, tmp_path, storage, licence, python, names):
    answers = STORAGES[storage] | names
    project = bake(
        snapshot, tmp_path, open_source_license=licence, python_interpreter=python, **answers
    )
    module = answers.get("module_name", "my_project")
    slug, repo = module.replace("_", "-"), answers.get("repo_name", "my-project")

    shared = {name for name in tracked(snapshot) if name.startswith(tuple(SHARED))}
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
        assert not re.search(r"cookiecutter\.|\{%|of the template -->", text), name
    package = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    assert package["name"] == slug and list(package["scripts"]) == [slug]
    given = {**DEFAULTS, **answers}
    assert package["authors"] == [{"name": given["author_name"]}]
    assert package["description"] == given["description"]
    assert package.get("license") == (None if licence == "No license file" else licence)
    site = yaml.safe_load((project / "mkdocs.yml").read_text("utf-8"))
    assert site["site_name"] == given["project_name"]
    readme = (project / "README.md").read_text("utf-8")
    assert readme.startswith(f"# {given['project_name']}\n") and f"{python} -m venv" in readme
    if licence != "No license file":
        assert given["author_name"] in (project / "LICENSE").read_text("utf-8")
    workflow = yaml.safe_load((project / ".github/workflows/ci.yml").read_text("utf-8"))
    assert all(job["steps"] and job["runs-on"] for job in workflow["jobs"].values())
    json.loads((project / ".vscode/settings.json").read_text("utf-8"))

    for tool in (["black", "--check", "-q"], ["isort", "--check", "-q"], ["flake8"]):
        check(project, *tool, "src", "tests", "benchmarks", "docs")
    check(project, "dvc", "status", DVC_SITE_CACHE_DIR=str(tmp_path / "site"))
    url = {
        "local": f"{tmp_path / repo}-storage",
        "s3": "s3://acme.data-1/dvc",
        "dagshub": "s3://dvc",
    }
    assert check(project, "dvc", "remote", "list", COLUMNS="400").split()[:2] == [
        "storage",
        url[storage],
    ]
    own = project / ".env"
    assert own.exists() == (storage == "s3")
    if storage == "s3":
        assert own.read_text() == "AWS_PROFILE=acme@work\n"
        assert own.stat().st_mode & 0o077 == 0 or os.name != "posix"


def test_the_project_with_our_answers_is_this_repository(snapshot, tmp_path):
    """But for the passages about the template, and what says who and what it is."""
    twin = content(bake(snapshot, tmp_path, **TWIN))
    ours = content(snapshot)
    differ = {name for name in twin if twin[name] != ours.get(name)}
    assert differ == {
        ".dvc/config",  # has a remote
        "LICENSE",  # its author's, of this year; the same text
        "README.md",  # without the template
        "data.dvc",  # promises nothing yet
        "docs/faults.md",  # without the template
        "mkdocs.yml",  # the description
        "pyproject.toml",  # the description
    } - ({"LICENSE"} if twin["LICENSE"] == ours["LICENSE"] else set())
    left_out = set(ours) - set(twin)
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
        ({"s3_bucket": "s3://acme"}, "s3_bucket: found 's3://acme'; expected 3 to 63 lower-case"),
        ({"s3_bucket": "Acme"}, "s3_bucket"),
        ({"s3_bucket": "192.168.0.1"}, "s3_bucket"),
        ({"s3_bucket": "a..b"}, "s3_bucket"),
        ({"storage": "s3"}, "s3_bucket: found nothing; expected a bucket's name"),
        ({"storage": "dagshub"}, "dagshub_owner: found nothing"),
        ({"storage": "dagshub", "dagshub_owner": "a/b"}, "dagshub_owner: found 'a/b'"),
        ({"aws_profile": "two words"}, "aws_profile"),
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


def test_a_template_that_is_not_whole_says_so(snapshot, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(snapshot, broken)
    (broken / "dvc.yaml").unlink()
    done = run(tmp_path, "cookiecutter", broken, "--no-input", "-o", "out")
    assert done.returncode == 1 and "not whole: dvc.yaml is missing" in done.stderr
    assert not (tmp_path / "out" / "my-project").exists()


def ready(project):
    """The project, and the variables with which its commands are found without an install."""
    pins = [
        re.findall(r"^\w[^ ]*==.*$", (folder / "requirements.txt").read_text("utf-8"), re.MULTILINE)
        for folder in (project, ROOT)
    ]
    assert pins[0] == pins[1] != [], "another environment is needed"
    command = project.parent / "bin" / "bike-fares"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bike_fares "$@"\n')
    command.chmod(0o755)
    path = os.pathsep.join([str(command.parent), str(Path(sys.executable).parent)])
    variables = {"PYTHONPATH": str(project / "src")}
    return project, variables | {"PATH": os.pathsep.join([path, os.environ["PATH"]])}


@pytest.fixture
def bikes(snapshot, tmp_path):
    return ready(bake(snapshot, tmp_path, project_name="Bike fares"))


def test_on_s3_it_does_its_main_job_with_the_real_data(snapshot, tmp_path, laptop_csv):
    store = tmp_path / "s3"
    (store / "acme-bikes").mkdir(parents=True)
    answers = {"storage": "s3", "s3_bucket": "acme-bikes"}
    project, variables = ready(bake(snapshot, tmp_path, project_name="Bike fares", **answers))
    key = "test-id"
    secret = "hunter2"
    variables |= {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    variables |= {"AWS_EC2_METADATA_DISABLED": "true"}
    author = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    with s3_server(store, (key, secret)) as address:
        connect = ("connect", "s3", "acme-bikes", "--endpoint-url", address)
        check(project, "bike-fares", *connect, **variables)
        check(project, "bike-fares", "ingest", laptop_csv, **variables)
        said = check(project, "bike-fares", "run", **variables)
        check(project, "dvc", "push", **variables)
    assert re.search(r"Rows +823 read, 21 duplicates, 0 rejected", said), said
    assert re.search(r"R2 +0\.7\d+ .* > 0\.6 met", said) and re.search(r"MAPE .* met", said)
    metrics = json.loads((project / "metrics.json").read_text())
    assert metrics == json.loads((ROOT / "metrics.json").read_text())
    check(project, "git", *author, "commit", "-qam", "the first model")
    assert secret not in check(project, "git", "grep", "-n", "acme-bikes", "HEAD")
    assert len(list((store / "acme-bikes" / "dvc" / "files" / "md5").rglob("*"))) > 20


def test_it_does_its_main_job_on_the_sample_before_anyone_edits_a_line(bikes):
    project, variables = bikes
    done = run(project, "bike-fares", "run", "--sample", **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\[sample\].*MAPE +0\.\d+ ± 0\.\d+", done.stdout), done.stdout
    assert re.search(r"new run \w{32} in bike-fares", done.stdout)
    assert check(project, "git", "status", "--porcelain") == ""


def test_its_quick_tests_pass_before_anyone_edits_a_line(bikes):
    project, variables = bikes
    quick = ("-m", "not services", "-p", "no:cacheprovider", "-q")
    done = run(project, sys.executable, "-m", "pytest", *quick, **variables)
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 1000
