"""Our commands with DagsHub: storage, runs and datasets by one token. Against the stand-in only."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import dagshub_server
import pytest
import servers
from environments import ROOT

from laptop_pricing.kit.data.sample import write_sample
from laptop_pricing.kit.files import checksum
from laptop_pricing.problem import PROBLEM

pytestmark = pytest.mark.services

RAW_FILE, REPO = PROBLEM.raw_file, "acme/laptops"
WRITER, READER = "token-of-ana", "token-of-bob"
PROJECT = (".dvc/config", ".dvc/.gitignore", ".gitignore", "params.yaml", "dvc.yaml")
LOAD = """
from laptop_pricing.kit.project import open_project
from laptop_pricing.kit.tracking.datasets import load_dataset
from laptop_pricing.model import build_model
from laptop_pricing.problem import PROBLEM
project = open_project(PROBLEM, build_model)
project.load_environment()
print(len(load_dataset(project)))
"""


def run(folder, *command, **variables):
    """A program as a user of a machine that knows nothing yet."""
    home = folder.parent
    environment = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(home),
        "PYTHONPATH": str(ROOT / "src"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "DAGSHUB_CLIENT_TOKENS_CACHE": str(home / "tokens"),
        "DVC_SITE_CACHE_DIR": str(home / "dvc-site"),
        **{f"GIT_{who}_NAME": "Test" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "test@example.org" for who in ("AUTHOR", "COMMITTER")},
    }
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment | variables,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=180,
    )


def check(folder, *command, **variables):
    done = run(folder, *command, **variables)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def ours(folder, *arguments, **variables):
    return run(folder, sys.executable, "-m", "laptop_pricing", *arguments, **variables)


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory):
    """A real MLflow server, as it stands behind DagsHub's address."""
    with servers.mlflow_server(tmp_path_factory.mktemp("mlflow")) as address:
        yield address


@pytest.fixture(scope="module")
def hub(tmp_path_factory, mlflow_server):
    folder = tmp_path_factory.mktemp("hub")
    readers = {READER: "bob"}
    with dagshub_server.start(
        folder, WRITER, "ana", REPO, readers=readers, mlflow=mlflow_server
    ) as server:
        yield server


@pytest.fixture(scope="module")
def ana(hub, tmp_path_factory):
    """The first member's project: connected, data on main and on devl, all pushed, registered."""
    root = tmp_path_factory.mktemp("ana") / "project"
    for name in PROJECT:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, root / name)
    (root / "data.dvc").write_text("outs:\n- path: data/raw\n")
    check(root, "git", "init", "-q", "-b", "main")
    connected = ours(
        root,
        "connect",
        "dagshub",
        REPO,
        DAGSHUB_CLIENT_HOST=hub.address,
        DAGSHUB_USER_TOKEN=WRITER,
    )
    assert connected.returncode == 0, connected.stderr
    (root / "said").write_text(connected.stdout + connected.stderr)
    for branch, rows in (("main", 80), ("devl", 60)):
        if branch != "main":
            check(root, "git", "switch", "-q", "-c", branch)
        (root / "data" / "raw").mkdir(parents=True, exist_ok=True)
        write_sample(PROBLEM, root / "data" / "raw" / RAW_FILE, rows, rows)
        check(root, "dvc", "commit", "-q", "-f", "data.dvc")
        check(root, "git", "add", ".dvc", ".gitignore", "params.yaml", "dvc.yaml", "data.dvc")
        check(root, "git", "commit", "-qm", branch)
        check(root, "dvc", "push")
        check(root, "git", "push", "-q", hub.git, branch)
        done = ours(root, "dataset", DAGSHUB_CLIENT_HOST=hub.address)
        assert done.returncode == 0, done.stdout + done.stderr
    return root


@pytest.fixture
def bob(ana, hub, tmp_path):
    """The second member's clone."""
    root = tmp_path / "project"
    check(tmp_path, "git", "clone", "-q", "-b", "devl", hub.git, root)
    return root


def test_one_token_is_kept_where_only_its_owner_reads_it(ana):
    tracked = check(ana, "git", "grep", "-l", "storage", "HEAD").split()
    assert "HEAD:.dvc/config" in tracked
    assert run(ana, "git", "grep", WRITER, "HEAD", "main").returncode == 1
    assert WRITER not in (ana / "said").read_text()
    for name in (".dvc/config.local", ".env"):
        assert (ana / name).stat().st_mode & 0o077 == 0
        assert WRITER in (ana / name).read_text()


def test_the_second_member_pulls_the_same_bytes(ana, bob, hub):
    variables = {"DAGSHUB_CLIENT_HOST": hub.address, "DAGSHUB_USER_TOKEN": READER}
    done = ours(bob, "connect", "dagshub", REPO, **variables)
    assert done.returncode == 0 and "not writable" in done.stdout, done.stdout + done.stderr
    assert check(bob, "git", "status", "--porcelain") == ""
    check(bob, "dvc", "pull", "data.dvc")
    path = Path("data", "raw", RAW_FILE)
    assert checksum(bob / path, "md5") == checksum(ana / path, "md5")


def test_a_notebook_gets_the_data_of_its_branch_from_dagshub(ana, bob, hub):
    variables = {"DAGSHUB_CLIENT_HOST": hub.address, "DAGSHUB_USER_TOKEN": READER}
    done = ours(bob, "connect", "dagshub", REPO, **variables)
    assert done.returncode == 0, done.stderr
    before = len(hub.requests)
    for branch, rows in (("devl", 60), ("main", 80)):
        check(bob, "git", "switch", "-q", branch)
        loaded = check(bob, sys.executable, "-c", LOAD, **variables)
        assert loaded.splitlines()[-1] == str(rows)
    raw = [path for _, path in hub.requests[before:] if "/raw/" in path and RAW_FILE in path]
    assert len(raw) == 2


def test_data_that_dagshub_does_not_have_are_not_registered(ana, hub):
    check(ana, "git", "switch", "-q", "-c", "unpushed")
    try:
        done = ours(ana, "dataset", DAGSHUB_CLIENT_HOST=hub.address)
    finally:
        check(ana, "git", "switch", "-q", "devl")
    assert done.returncode == 2
    assert "on branch unpushed; dvc push, git push, and try again" in done.stderr


@pytest.mark.parametrize(
    "repository, token, code, told",
    [
        (REPO, "token-of-nobody", 2, "the token is refused; make a new one"),
        ("acme/unknown", WRITER, 2, "acme/unknown: no OWNER/REPO that you may see"),
        ("acme", WRITER, 2, "/acme: no OWNER/REPO that you may see"),
        (REPO, "", 2, "DAGSHUB_USER_TOKEN: found nothing"),
    ],
)
def test_what_dagshub_refuses_is_one_line_and_changes_nothing(
    bob, hub, repository, token, code, told
):
    before = (bob / ".dvc" / "config").read_bytes()
    variables = {"DAGSHUB_CLIENT_HOST": hub.address, "DAGSHUB_USER_TOKEN": token}
    done = ours(bob, "connect", "dagshub", repository, **variables)
    assert done.returncode == code and told in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1 and (token not in done.stderr or not token)
    assert (bob / ".dvc" / "config").read_bytes() == before
    assert not (bob / ".env").exists() and not (bob / ".dvc" / "config.local").exists()


def test_a_dagshub_that_is_down_is_one_line(bob):
    variables = {"DAGSHUB_CLIENT_HOST": "http://127.0.0.1:9", "DAGSHUB_USER_TOKEN": WRITER}
    done = ours(bob, "connect", "dagshub", REPO, **variables)
    assert done.returncode == 1 and "no answer (ConnectError); try again later" in done.stderr
    assert len(done.stderr.splitlines()) == 1
