"""DagsHub: storage, runs and datasets by one token, and the client as the guide uses it.

Against the stand-in only: this is also the proof that the real client understands it.
"""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import dagshub_server
import pytest
import requests
import servers
from environments import ROOT

from laptop_pricing.kit.data.sample import write_sample
from laptop_pricing.kit.files import checksum
from laptop_pricing.problem import PROBLEM

pytestmark = pytest.mark.services

RAW_FILE, REPO = PROBLEM.raw_file, "acme/laptops"
RAW = f"data/raw/{RAW_FILE}"
ROWS = {"main": 80, "devl": 60}
WRITER, READER, WRONG = "token-of-ana", "token-of-bob", "token-of-nobody"
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
CLIENT = """
import json
from pathlib import Path
from dagshub.auth.token_auth import HTTPBearerAuth
from dagshub.common import config
from dagshub.common.api.repo import RepoAPI
from dagshub.data_engine import datasources

def api(repo="acme/laptops"):
    return RepoAPI(repo, auth=HTTPBearerAuth(config.token))

def refused(call, *arguments):
    try:
        call(*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"

def run():
STEPS

print(json.dumps(run()))
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
        timeout=300,
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
    for branch, rows in ROWS.items():
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


def test_the_second_member_has_the_data_of_each_branch(ana, bob, hub):
    """A notebook by name, the command line by ``dvc pull``; all with the right to read alone."""
    variables = {"DAGSHUB_CLIENT_HOST": hub.address, "DAGSHUB_USER_TOKEN": READER}
    done = ours(bob, "connect", "dagshub", REPO, **variables)
    assert done.returncode == 0 and "not writable" in done.stdout, done.stdout + done.stderr
    assert check(bob, "git", "status", "--porcelain") == ""
    for branch in ("devl", "main"):
        check(bob, "git", "switch", "-q", branch)
        loaded = check(bob, sys.executable, "-c", LOAD, **variables)
        assert loaded.splitlines()[-1] == str(ROWS[branch])
    check(bob, "git", "switch", "-q", "devl")
    check(bob, "dvc", "pull", "data.dvc")
    assert checksum(bob / RAW, "md5") == checksum(ana / RAW, "md5")
    (bob / "own.csv").write_text("own")
    check(bob, "dvc", "add", "-q", "own.csv")
    assert run(bob, "dvc", "push", "own.csv").returncode != 0


def test_data_that_dagshub_does_not_have_are_not_registered(ana, hub):
    check(ana, "git", "switch", "-q", "-c", "unpushed")
    try:
        done = ours(ana, "dataset", DAGSHUB_CLIENT_HOST=hub.address)
    finally:
        check(ana, "git", "switch", "-q", "devl")
    assert done.returncode == 2
    assert "on branch unpushed; dvc push, git push, and try again" in done.stderr


@pytest.mark.parametrize(
    "repository, changes, code, told",
    [
        (REPO, {"DAGSHUB_USER_TOKEN": WRONG}, 2, "the token is refused; make a new one"),
        ("acme/unknown", {}, 2, "acme/unknown: no OWNER/REPO that you may see"),
        (REPO, {"DAGSHUB_CLIENT_HOST": "http://127.0.0.1:9"}, 1, "no answer (ConnectError: "),
    ],
)
def test_what_dagshub_refuses_is_one_line_and_changes_nothing(
    bob, hub, repository, changes, code, told
):
    before = (bob / ".dvc" / "config").read_bytes()
    variables = {"DAGSHUB_CLIENT_HOST": hub.address, "DAGSHUB_USER_TOKEN": WRITER} | changes
    done = ours(bob, "connect", "dagshub", repository, **variables)
    assert done.returncode == code and told in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert variables["DAGSHUB_USER_TOKEN"] not in done.stderr
    assert (bob / ".dvc" / "config").read_bytes() == before
    assert not (bob / ".env").exists() and not (bob / ".dvc" / "config.local").exists()


@pytest.fixture
def client(ana, hub, tmp_path):
    """Run the body of a function in a new process with the real client: what it returned."""

    def answer(steps, token):
        (tmp_path / "work").mkdir(exist_ok=True)
        script = CLIENT.replace("STEPS", textwrap.indent(textwrap.dedent(steps), "    "))
        variables = {"DAGSHUB_CLIENT_HOST": hub.address, "DAGSHUB_USER_TOKEN": token}
        variables |= {"DAGSHUB_DISABLE_ANALYTICS": "1", "DAGSHUB_QUIET": "1"}
        said = check(tmp_path / "work", sys.executable, "-c", script, **variables)
        return json.loads(said.splitlines()[-1])

    return answer


def test_the_guides_calls_by_hand_give_what_it_says(ana, client):
    """One datasource is of one branch, and a query forgets another; ``get_file`` does not."""
    steps = f"""
        source = datasources.get_datasource("{REPO}", "laptop-pricing", revision="devl")
        asked, points = source.source.revision, source.all()
        points.download_files("files", keep_source_prefix=False)
        (file,) = [path for path in Path("files").rglob("*") if path.is_file()]
        by_hand = [api().get_file("{RAW}", branch).decode() for branch in ("main", "devl")]
        listed = [(entry.path, entry.versioning) for entry in api().list_path("data/raw", "devl")]
        return [asked, source.source.revision, file.read_text(), by_hand, listed]
    """
    asked, kept, downloaded, (main, devl), listed = client(steps, READER)
    assert (asked, kept) == ("devl", "main")
    assert downloaded == main != devl == (ana / RAW).read_text()
    assert len(main.splitlines()) == ROWS["main"] + 1
    assert listed == [[RAW, "dvc"]]


def test_the_stand_in_refuses_what_dagshub_would(client, hub):
    missing = f"""
        return [
            refused(api("acme/nothing").get_repo_info),
            refused(api().get_file, "none.csv"),
            refused(api().get_file, "{RAW}", "none"),
            refused(api().list_path, "data/none"),
            refused(datasources.get_datasource, "{REPO}", "none"),
            refused(datasources.create_datasource, "{REPO}", "more", "data/raw"),
        ]
    """
    kinds = ["RepoNotFoundError", *3 * ["PathNotFoundError"]]
    kinds += ["DatasourceNotFoundError", "DataEngineGqlError"]
    said = client(missing, READER)
    assert [line.partition(":")[0] for line in said] == kinds and "403" in said[-1]
    wrong = f"""
        return [
            refused(api().get_repo_info),
            refused(datasources.get_datasource, "{REPO}", "laptop-pricing"),
        ]
    """
    repository, datasource = client(wrong, WRONG)
    assert "401" in repository and "token is not valid" in datasource
    runs = f"{hub.address}/{REPO}.mlflow/api/2.0/mlflow/experiments/create"
    for user, status in (("ana", WRONG), 401), (("bob", READER), 403), (("bob", WRITER), 401):
        assert (
            requests.post(runs, json={"name": "any"}, auth=user, timeout=30).status_code == status
        )
    stored = f"{hub.address}/{REPO}.s3/{dagshub_server.BUCKET}/any"
    key = {"Authorization": f"AWS4-HMAC-SHA256 Credential={WRONG}/20260101/us-east-1/s3/..."}
    assert requests.get(stored, headers=key, timeout=30).status_code == 403
    assert not hub.unexpected, "a call that the stand-in does not know was made"
