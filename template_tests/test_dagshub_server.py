"""The stand-in for DagsHub answers the real client, Git, DVC and MLflow."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from pathlib import Path

import dagshub_server
import pytest

pytestmark = pytest.mark.services

REPO = "acme/prices"
WRITER, READER, WRONG = "token-of-ana", "token-of-bob", "token-of-nobody"
DATA = {
    "main": {"prices.csv": "a,b\n1,2\n", "notes/units.csv": "unit\nBRL\n"},
    "devl": {"prices.csv": "a,b\n3,4\n", "more.csv": "c\n5\n"},
}
CLIENT = """
import json
from pathlib import Path
from dagshub.auth.token_auth import HTTPBearerAuth
from dagshub.common import config
from dagshub.common.api.repo import RepoAPI
from dagshub.common.api.user import UserAPI
from dagshub.data_engine import datasources
from dagshub.data_engine.client.data_client import DataClient
from dagshub.data_engine.model.datapoint import Datapoint

REPO = "acme/prices"

def api(repo=REPO):
    return RepoAPI(repo, auth=HTTPBearerAuth(config.token))

def downloaded(source, folder):
    source.download_files(folder, keep_source_prefix=False)
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}

def refused(call, *arguments):
    try:
        call(*arguments)
    except Exception as error:
        return [type(error).__name__, str(error)]

def run():
STEPS

print(json.dumps(run()))
"""


def _environment(folder):
    """Nothing of the developer's: no settings, credentials or proxies."""
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(folder),
        "AWS_EC2_METADATA_DISABLED": "true",
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(folder / "dvc-site"),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{who}_NAME": "Test" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "test@example.org" for who in ("AUTHOR", "COMMITTER")},
    }


def _run(folder, *command, **variables):
    return subprocess.run(
        command,
        cwd=folder,
        env={**_environment(folder.parent), **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )


def _check(folder, *command):
    done = _run(folder, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def _remote(folder, address, key, secret):
    """The DVC remote as DagsHub shows it, with a user's credentials."""
    remote = f"['remote \"storage\"']\n    url = s3://dvc\n    endpointurl = {address}/{REPO}.s3\n"
    (folder / ".dvc" / "config").write_text(f"[core]\n    remote = storage\n{remote}")
    keys = f"    access_key_id = {key}\n    secret_access_key = {secret}\n"
    (folder / ".dvc" / "config.local").write_text(f"['remote \"storage\"']\n{keys}")


def _write_data(folder, branch):
    for name, content in DATA[branch].items():
        path = folder / "data" / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


@pytest.fixture(scope="module")
def dagshub(tmp_path_factory):
    """The stand-in, whose main and devl have data of their own; a third has Git's part only."""
    folder = tmp_path_factory.mktemp("dagshub")
    work = folder / "work"
    with dagshub_server.start(folder, WRITER, "ana", REPO, readers={READER: "bob"}) as server:
        work.mkdir()
        _check(work, "git", "init", "--quiet", "--initial-branch=main")
        _check(work, "dvc", "init", "--quiet")
        _remote(work, server.address, WRITER, WRITER)
        (work / "README.md").write_text("# Prices\n")
        for branch in ("main", "devl", "team/unpushed"):
            if branch != "main":
                _check(work, "git", "switch", "--quiet", "--create", branch)
            if branch in DATA:
                (work / "data" / "raw" / "notes" / "units.csv").unlink(missing_ok=True)
                _write_data(work, branch)
            else:
                (work / "data" / "raw" / "prices.csv").write_text("not pushed")
            (work / "units.csv").write_text(f"units of {branch}")
            _check(work, "dvc", "add", "--quiet", "data/raw", "units.csv")
            out = (work / "units.csv.dvc").read_text().replace("units.csv", "copy.csv")
            stages = f"schema: '2.0'\nstages:\n  copy:\n{textwrap.indent(out, '    ')}"
            (work / "dvc.lock").write_text(stages)
            _check(work, "git", "add", ".")
            _check(work, "git", "commit", "--quiet", "--message", branch)
            if branch in DATA:
                _check(work, "dvc", "push")
        _check(work, "git", "push", "--quiet", str(server.git), "main", "devl", "team/unpushed")
        assert not server.unexpected
        server.work = work
        yield server


@pytest.fixture
def hub(dagshub):
    """The stand-in without datasources; the client must call nothing that it does not know."""
    for kept in (dagshub.requests, dagshub.unexpected, dagshub.data_engine.datasources):
        kept.clear()
    yield dagshub
    dagshub.data_engine.scan_s = 0.0
    assert not dagshub.unexpected


@pytest.fixture
def client(hub, tmp_path):
    """Run the body of a function in a new process with the real client: what it returned."""

    def run(steps, token=WRITER):
        (tmp_path / "work").mkdir(exist_ok=True)
        script = CLIENT.replace("STEPS", textwrap.indent(textwrap.dedent(steps), "    "))
        done = _run(
            tmp_path / "work",
            *(sys.executable, "-c", script),
            DAGSHUB_CLIENT_HOST=hub.address,
            DAGSHUB_CLIENT_TOKENS_CACHE=str(tmp_path / "tokens"),
            DAGSHUB_DISABLE_ANALYTICS="1",
            DAGSHUB_QUIET="1",
            DAGSHUB_USER_TOKEN=token,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


# Users and the repository


@pytest.mark.parametrize(("token", "name"), [(WRITER, "ana"), (READER, "bob")])
def test_a_token_has_its_user(client, token, name):
    assert client("return UserAPI.get_user_from_token(config.token).username", token) == name


def test_a_wrong_token_is_refused(client):
    steps = """
        return [
            refused(UserAPI.get_user_from_token, config.token),
            refused(api().get_repo_info),
            refused(datasources.get_datasource, REPO, "raw"),
        ]
    """
    user, repository, datasource = client(steps, WRONG)
    assert user[0] == repository[0] == datasource[0] == "RuntimeError"
    assert "401" in user[1] and "401" in repository[1]
    assert datasource[1] == "Provided DagsHub token is not valid"


def test_a_repository_has_branch_commit_and_rights(client, dagshub):
    steps = """
        rights = api().get_repo_info().permissions
        last = api().last_commit("devl")
        return [api().default_branch, rights["push"], last.id, last.message,
                api().get_commit_info(last.id).author.name]
    """
    devl = _check(dagshub.work, "git", "rev-parse", "devl")
    assert client(steps) == ["main", True, devl, "devl", "Test"]
    assert client(steps, READER)[1] is False


def test_what_is_missing_is_not_found(client):
    steps = """
        return [
            refused(api("acme/nothing").get_repo_info),
            refused(api().last_commit_sha, "none"),
            refused(api().get_commit_info, "0" * 40),
            refused(api().get_file, "none.csv"),
            refused(api().get_file, "README.md", "none"),
            refused(api().list_path, "data/none"),
            refused(api().get_file, "data/raw/prices.csv", "team/unpushed"),
            refused(api().get_file, "units.csv", "team/unpushed"),
            refused(datasources.get_datasource, "acme/nothing", "raw"),
        ]
    """
    *kinds, (_, message) = client(steps)
    branch, path = "BranchNotFoundError", "PathNotFoundError"
    expected = ["RepoNotFoundError", branch, branch, path, path, path, path, path]
    assert [kind for kind, _ in kinds] == expected
    assert "404" in message


def test_files_of_git_and_dvc_are_those_of_the_branch(client, dagshub):
    steps = """
        devl = api().last_commit_sha("devl")
        return [api().get_file(*place).decode() for place in [
            ("README.md", "main"), ("README.md", "team/unpushed"), ("data/raw/prices.csv",),
            ("data/raw/prices.csv", "devl"), ("data/raw/prices.csv", devl),
            ("units.csv", "devl"), ("copy.csv", "devl"),
        ]]
    """
    main, devl = (DATA[branch]["prices.csv"] for branch in ("main", "devl"))
    readme, units = "# Prices\n", "units of devl"
    assert client(steps) == [readme, readme, main, devl, devl, units, units]


def test_folders_list_what_git_and_dvc_have(client):
    steps = """
        places = [("/", "main"), ("data/raw", "main"), ("data/raw/prices.csv", "main")]
        return [[(e.path, e.type, e.versioning) for e in api().list_path(*p)] for p in places]
    """
    root, folder, file = client(steps)
    assert ["README.md", "file", "git"] in root
    assert folder == [
        ["data/raw/notes", "dir", "dvc"],
        ["data/raw/prices.csv", "file", "dvc"],
    ]
    assert file == [["data/raw/prices.csv", "file", "dvc"]]


# Data Engine


@pytest.mark.parametrize(("revision", "branch"), [(None, "main"), ("devl", "devl")])
def test_a_datasource_has_the_files_of_its_branch(client, revision, branch):
    steps = f"""
        source = datasources.get_or_create(REPO, "raw", "data/raw", {revision!r})
        found = source.all()
        sizes = dict(zip(found.dataframe["path"], found.dataframe["size"].tolist()))
        return [source.source.path, sizes, downloaded(found, "files")]
    """
    url, sizes, files = client(steps)
    assert url == f"repo://{REPO}/{branch}:data/raw"
    assert sizes == {name: len(content) for name, content in DATA[branch].items()}
    assert files == DATA[branch]


def test_one_datasource_gives_the_bytes_of_the_revision_asked_for(client):
    steps = """
        datasources.create_datasource(REPO, "raw", "data/raw")
        def read(**revision):
            source = datasources.get_datasource(REPO, "raw", **revision)
            point = Datapoint(1, "prices.csv", {}, source)
            return Path(point.download_file("files", redownload=True)).read_text()
        return [read(), read(revision="devl"), read(revision="main")]
    """
    main, devl = (DATA[branch]["prices.csv"] for branch in ("main", "devl"))
    assert client(steps) == [main, devl, main]


def test_a_query_makes_the_client_forget_the_revision(client):
    steps = """
        datasources.create_datasource(REPO, "raw", "data/raw")
        source = datasources.get_datasource(REPO, "raw", revision="devl")
        asked = source.source.revision
        source.all()
        return [asked, source.source.revision]
    """
    assert client(steps) == ["devl", "main"]


def test_a_datasource_has_one_name(client):
    steps = """
        none = refused(datasources.get_datasource, REPO, "raw")
        source = datasources.get_or_create(REPO, "raw", "data/raw").source
        same = datasources.get_or_create(REPO, "raw", "data/raw", "devl").source
        other = datasources.get_or_create(REPO, "other", "data/raw", "devl").source
        again = refused(datasources.create_datasource, REPO, "raw", "data/raw")
        return [none[0], source.id, same.id, same.revision, other.id, other.revision, again[0]]
    """
    none, source, same, revision, other, devl, again = client(steps)
    assert [none, again] == ["DatasourceNotFoundError", "DatasourceAlreadyExistsError"]
    assert (source, revision, devl) == (same, "main", "devl")
    assert source != other


def test_only_a_branch_of_the_repository_becomes_a_datasource(client):
    steps = """
        from dagshub.data_engine.client.models import DatasourceType
        elsewhere = "repo://acme/other/main:data/raw"
        create = datasources._create_datasource_state
        return [
            refused(datasources.create_datasource, REPO, "raw", "data/raw", "none"),
            refused(create, REPO, "raw", DatasourceType.REPOSITORY, elsewhere),
        ]
    """
    branch, repository = client(steps)
    assert "no none" in branch[1]
    assert "not in acme/prices" in repository[1]


def test_pages_together_have_every_file(client, hub):
    steps = """
        source = datasources.create_datasource(REPO, "raw", "data/raw")
        DataClient.FULL_LIST_PAGE_SIZE = 1
        return [[p.path for p in source.all()], [p.path for p in source.head(1)]]
    """
    everything, first = client(steps)
    assert sorted(everything) == sorted(DATA["main"])
    assert first == everything[:1]


def test_a_scan_takes_time_adds_and_removes_nothing(client, hub):
    look = """
        def look():
            source = datasources.get_datasource(REPO, "raw")
            names = sorted(point.path for point in source.all())
            return [source.source.preprocessing_status.value, *names]
    """
    create = """
        datasources.create_datasource(REPO, "raw", "data/raw", "moving")
        return look()
    """
    scan = f"""
        import subprocess
        found = []
        for branch in ("main", "devl"):
            move = ["git", "--git-dir", {str(hub.git)!r}, "branch", "--force", "moving", branch]
            subprocess.run(move, check=True)
            found.append(look())
            datasources.get_datasource(REPO, "raw").scan_source()
            found.append(look())
        return found
    """
    _check(hub.work, "git", "push", "--quiet", str(hub.git), "main:moving")
    hub.data_engine.scan_s = 3600
    assert client(look + create) == ["IN_PROGRESS"]
    hub.data_engine.scan_s = 0.0
    main = sorted(DATA["main"])
    both = sorted({**DATA["main"], **DATA["devl"]})
    assert client(look + scan) == [
        ["IN_PROGRESS"],
        ["READY", *main],
        ["READY", *main],
        ["READY", *both],
    ]


def test_who_may_only_read_changes_no_datasource(client):
    client('datasources.create_datasource(REPO, "raw", "data/raw")')
    steps = """
        source = datasources.get_datasource(REPO, "raw")
        created = refused(datasources.create_datasource, REPO, "more", "data/raw")
        return [len(source.all()), created, refused(source.scan_source)]
    """
    found, created, scanned = client(steps, READER)
    assert found == len(DATA["main"])
    assert created[0] == scanned[0] == "DataEngineGqlError"
    assert "403" in created[1] and "403" in scanned[1]


# S3


@pytest.fixture
def clone(hub, tmp_path):
    """A second member's clone of main, without data."""
    folder = tmp_path / "clone"
    _check(hub.work, "git", "clone", "--quiet", str(hub.git), str(folder))
    return folder


@pytest.mark.parametrize("token", [WRITER, READER])
def test_a_second_member_pulls_the_data_of_each_branch(hub, clone, token):
    _remote(clone, hub.address, token, token)
    for branch, files in DATA.items():
        _check(clone, "git", "switch", "--force", "--quiet", branch)
        _remote(clone, hub.address, token, token)
        _check(clone, "dvc", "pull")
        raw = clone / "data" / "raw"
        found = {p.relative_to(raw).as_posix(): p.read_text() for p in raw.rglob("*.csv")}
        assert found == files


@pytest.mark.parametrize(
    ("key", "secret", "code"),
    [
        pytest.param(WRONG, WRONG, "InvalidAccessKeyId", id="wrong token"),
        pytest.param(WRITER, "something else", "SignatureDoesNotMatch", id="wrong secret"),
    ],
)
def test_without_the_token_nothing_is_pulled(hub, clone, key, secret, code):
    done = _s3(hub, key, secret, "get_object", Bucket="dvc", Key="any")
    assert done == code
    _remote(clone, hub.address, key, secret)
    assert _run(clone, "dvc", "pull").returncode != 0
    assert not (clone / "data" / "raw" / "prices.csv").exists()


def test_s3_gives_what_it_was_given(hub):
    _s3(hub, WRITER, WRITER, "put_object", Bucket="dvc", Key="a b+c", Body=b"12")
    assert (hub.bucket / "a b+c").read_bytes() == b"12"
    about = _s3(hub, READER, READER, "head_object", Bucket="dvc", Key="a b+c")
    assert about["ContentLength"] == 2
    assert _s3(hub, WRITER, WRITER, "get_object", Bucket="dvc", Key="none") == "NoSuchKey"


def test_who_may_only_read_pushes_nothing(hub, clone):
    put = _s3(hub, READER, READER, "put_object", Bucket="dvc", Key="new", Body=b"1")
    delete = _s3(hub, READER, READER, "delete_object", Bucket="dvc", Key="new")
    assert put == delete == "AccessDenied"
    _remote(clone, hub.address, READER, READER)
    (clone / "own.csv").write_text("own")
    _check(clone, "dvc", "add", "--quiet", "own.csv")
    assert _run(clone, "dvc", "push").returncode != 0


def _s3(hub, key, secret, call, **arguments):
    """What S3 answers, or the code with which it refuses."""
    import boto3
    import botocore.exceptions

    session = boto3.Session(key, secret, region_name="us-east-1")
    client = session.client("s3", endpoint_url=f"{hub.address}/{REPO}.s3")
    try:
        return getattr(client, call)(**arguments)
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]


# MLflow


@pytest.fixture(scope="module")
def mlflow_hub(tmp_path_factory):
    """The stand-in before a real MLflow server."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", "--workers=1"]
    command += [f"--port={address.rpartition(':')[2]}"]
    command += [f"--backend-store-uri=sqlite:///{(folder / 'db').as_posix()}"]
    command += [f"--artifacts-destination={(folder / 'artifacts').as_uri()}"]
    variables = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**_environment(folder), **variables},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_for(process, f"{address}/health", folder / "log")
        with dagshub_server.start(
            folder / "hub", WRITER, "ana", REPO, readers={READER: "bob"}, mlflow=address
        ) as hub:
            yield hub
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # It has workers.
        process.wait(20)


def _wait_for(process, address, log):
    deadline = time.monotonic() + 180
    while process.poll() is None and time.monotonic() < deadline:
        try:
            return urllib.request.urlopen(address, timeout=2).close()
        except OSError:
            time.sleep(0.2)
    pytest.fail(log.read_text(errors="replace")[-3000:])


def test_mlflow_asks_for_the_token(mlflow_hub, tmp_path):
    script = """
        import json, mlflow
        try:
            mlflow.set_experiment("prices")
            with mlflow.start_run() as run:
                mlflow.log_metric("R2", 0.5)
                mlflow.log_text("text", "notes.txt")
            (run,) = mlflow.search_runs(output_format="list")
            text = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/notes.txt")
            print(json.dumps([run.data.metrics["R2"], text]))
        except Exception as error:
            print(json.dumps(str(error)))
    """
    look = """
        import json, mlflow
        print(json.dumps([e.name for e in mlflow.search_experiments()]))
    """

    def run(script, user, password):
        (tmp_path / "work").mkdir(exist_ok=True)
        done = _run(
            tmp_path / "work",
            *(sys.executable, "-c", textwrap.dedent(script)),
            MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
            MLFLOW_TRACKING_URI=f"{mlflow_hub.address}/{REPO}.mlflow",
            MLFLOW_TRACKING_USERNAME=user,
            MLFLOW_TRACKING_PASSWORD=password,
        )
        return json.loads(done.stdout.splitlines()[-1])

    assert "wrong token" in run(script, "ana", WRONG)
    assert "wrong token" in run(script, "bob", WRITER)
    assert "read only" in run(script, "bob", READER)
    assert run(script, "ana", WRITER) == [0.5, "text"]
    assert "prices" in run(look, "bob", READER)
    assert "prices" in run(look, READER, "anything")
    assert not mlflow_hub.unexpected


# What the stand-in does not have


def test_every_request_is_recorded_and_the_unknown_ones_apart(hub):
    known = ["/api/v1/user", "/api/v1/repos/acme/nothing"]
    unknown = [f"/api/v1/repos/{REPO}/storage", "/login/oauth/authorize"]
    assert [_get(hub, path, WRITER) for path in known] == [200, 404]
    assert _get(hub, known[0], WRONG) == 401
    assert [_get(hub, path, token) for path in unknown for token in (WRITER, WRONG)] == [404] * 4
    assert hub.requests[:2] == [("GET", path) for path in known]
    assert hub.unexpected == [("GET", path) for path in unknown for _ in range(2)]
    assert len(hub.requests) == 7
    hub.unexpected.clear()


def test_without_mlflow_its_address_is_unknown(hub):
    assert _get(hub, f"/{REPO}.mlflow/api/2.0/mlflow/experiments/search", WRITER) == 404
    assert len(hub.unexpected) == 1
    hub.unexpected.clear()


def _get(hub, path, token):
    headers = {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{hub.address}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
