"""Connecting writes what the team shares to Git's files, and secrets to nobody else's."""

import contextlib
import os
import socket
import stat
import threading
import time

import pytest
import servers
from repos import SECRET, copy_of, dvc, make_repo, write
from solo import call

from laptop_pricing.kit.errors import StepFailed, UserError
from laptop_pricing.kit.sharing.connect import (
    ask,
    aws_keys,
    connect,
    dagshub_settings,
    lines,
    s3_settings,
)

LOCAL, ENVIRONMENT, SHARED = ".dvc/config.local", ".env", ".dvc/config"
KEY_ID = "test-id"
AWS = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}


@pytest.fixture(autouse=True)
def _no_keys_of_this_machine(monkeypatch, tmp_path):
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="module")
def once(tmp_path_factory, _settings):
    return make_repo(tmp_path_factory.mktemp("connect") / "my project", raw=False)


@pytest.fixture
def project(once, tmp_path):
    return copy_of(once, tmp_path / "copy")


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory):
    """A real S3 server that has one bucket, ``team``; its folder is beside its address."""
    folder = tmp_path_factory.mktemp("s3") / "root"
    (folder / "team").mkdir(parents=True)
    with servers.s3_server(folder, (KEY_ID, SECRET)) as address:
        yield address, folder


@pytest.fixture
def silent():
    """The address of a server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        kept = []

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    kept.append(server.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    for connection in kept:
        connection.close()


def contents(project):
    paths = [project.root / name for name in (SHARED, LOCAL, ENVIRONMENT)]
    return {path.name: path.read_text("utf-8") for path in paths if path.exists()}


def set_in(settings, file):
    return {name: value for name, value in settings[file].items() if value}


def test_of_s3_the_team_shares_the_place_and_keeps_the_keys():
    settings = s3_settings("team", "dvc/", "", "http://127.0.0.1:9", **AWS)
    shared = set_in(settings, SHARED)
    assert shared["url"] == "s3://team/dvc" and shared["endpointurl"] == "http://127.0.0.1:9"
    assert shared["verify"] == "true" and float(shared["read_timeout"]) < 10
    keys = {"access_key_id": KEY_ID, "secret_access_key": SECRET}  # pragma: allowlist secret
    assert set_in(settings, LOCAL) == keys
    assert set_in(settings, ENVIRONMENT) == AWS | {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}


def test_with_a_profile_no_secret_is_written_at_all():
    settings = s3_settings("team", profile="acme")
    assert "profile" not in settings[SHARED]  # CI would not find it
    assert set_in(settings, LOCAL) == {"profile": "acme"}
    assert set_in(settings, ENVIRONMENT) == {"AWS_PROFILE": "acme"}
    assert not any("ACCESS_KEY" in line for line in lines(settings))


def test_of_dagshub_one_token_opens_storage_runs_and_datasets():
    settings = dagshub_settings("acme/laptops", "maria", SECRET)
    assert settings[SHARED]["url"] == "s3://dvc"
    assert settings[SHARED]["endpointurl"] == "https://dagshub.com/acme/laptops.s3"
    assert settings[LOCAL] == {"access_key_id": SECRET, "secret_access_key": SECRET}
    assert settings[ENVIRONMENT] == {
        "MLFLOW_TRACKING_URI": "https://dagshub.com/acme/laptops.mlflow",
        "MLFLOW_TRACKING_USERNAME": "maria",
        "MLFLOW_TRACKING_PASSWORD": SECRET,
        "DAGSHUB_USER_TOKEN": SECRET,
    }
    said = "\n".join(lines(settings))
    assert SECRET not in said and f"{LOCAL}: access_key_id = (secret)" in said
    assert f"{SHARED}: url = s3://dvc" in said


@pytest.mark.parametrize("bucket", ["s3://team", "Team", "a", "team/dvc", "", "te am"])
def test_what_is_no_bucket_is_refused(bucket):
    with pytest.raises(UserError, match="not a bucket's name"):
        s3_settings(bucket)


@pytest.mark.parametrize("url", ["127.0.0.1:9", "ftp://h", f"http://k:{SECRET}@h", "http://a b"])
def test_what_is_no_endpoint_is_refused_without_its_password(url):
    with pytest.raises(UserError, match="--endpoint-url: found .*; expected https://host") as told:
        s3_settings("team", endpoint_url=url)
    assert SECRET not in str(told.value)


@pytest.mark.parametrize(
    "value, told",
    [
        (f" {SECRET}\n", ""),
        ("", "found nothing; set it, or connect in a terminal"),
        (f"{SECRET} x", "found spaces"),
        ("é", "found spaces"),
    ],
)
def test_a_secret_comes_from_the_environment_and_is_never_repeated(monkeypatch, value, told):
    monkeypatch.setenv("DAGSHUB_USER_TOKEN", value)
    if not told:
        assert ask("DAGSHUB_USER_TOKEN", "token") == SECRET
        return
    with pytest.raises(UserError, match=f"DAGSHUB_USER_TOKEN: {told}") as error:
        ask("DAGSHUB_USER_TOKEN", "token")
    assert SECRET not in str(error.value)


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_a_secret_is_typed_without_echo():
    import pexpect

    code = "from laptop_pricing.kit.sharing.connect import ask; print(len(ask('TOKEN', 'token')))"
    child = pexpect.spawn("python", ["-c", code], encoding="utf-8", timeout=60)
    child.expect(r"token \(not shown\): ")
    child.sendline(SECRET)
    child.expect(pexpect.EOF)
    assert child.before.split() == [str(len(SECRET))]


def test_keys_of_a_profile_stay_in_their_file(monkeypatch, tmp_path):
    credentials = tmp_path / "credentials"
    keys = f"aws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}"
    write(credentials, f"[acme]\n{keys}\n[empty]\n[half]\naws_access_key_id = {KEY_ID}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    assert aws_keys("acme") == {}
    for name, told in (
        ("empty", "profile empty: found no keys in it; aws configure --profile empty"),
        ("half", "Partial credentials found.*; aws configure --profile half"),
        ("nobody", "nobody.*could not be found; aws configure"),
    ):
        with pytest.raises(UserError, match=told):
            aws_keys(name)


def test_keys_of_the_environment_are_taken_with_their_session(monkeypatch):
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    assert aws_keys() == AWS
    monkeypatch.setenv("AWS_SESSION_TOKEN", "s3cret")
    assert aws_keys() == AWS | {"AWS_SESSION_TOKEN": "s3cret"}


@pytest.mark.services
def test_it_connects_tries_and_keeps_secrets_for_their_owner(project, s3_server):
    address, folder = s3_server
    write(project.root / ENVIRONMENT, "# mine\nOTHER=1\nAWS_PROFILE=old\n")
    said = []
    found = connect(project, s3_settings("team", endpoint_url=address, **AWS), said.append)
    assert found == "storage: s3://team/dvc: reachable and writable"
    assert not [path for path in folder.rglob("*") if path.is_file()]  # the trial is gone
    for name in (LOCAL, ENVIRONMENT):
        assert stat.S_IMODE((project.root / name).stat().st_mode) == 0o600 or os.name != "posix"
        assert SECRET in (project.root / name).read_text("utf-8")
    assert SECRET not in contents(project)["config"] + found + "".join(said)
    kept = contents(project)[".env"].splitlines()
    assert kept[:2] == ["# mine", "OTHER=1"] and not any("AWS_PROFILE" in line for line in kept)
    status = call(project.root, "git", "status", "--porcelain", "-uall").stdout
    assert status.split() == ["M", SHARED]
    assert dvc(project, "remote", "list").split()[:2] == ["storage", "s3://team/dvc"]


@pytest.mark.services
def test_twice_is_as_good_as_once_and_another_place_leaves_nothing_behind(
    project, s3_server, monkeypatch, tmp_path
):
    keys = f"[acme]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n"
    write(tmp_path / "credentials", keys)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    dvc(project, "remote", "add", "mine", "/elsewhere")
    connect(project, s3_settings("team", "other", endpoint_url=s3_server[0], **AWS))
    settings = s3_settings("team", profile="acme", endpoint_url=s3_server[0])
    connect(project, settings)
    first = contents(project)
    connect(project, settings)
    assert contents(project) == first
    assert not any(SECRET in text or "other" in text for text in first.values())
    assert "/elsewhere" in first["config"] and "analytics = false" in first["config"]


@pytest.mark.services
@pytest.mark.parametrize("name", [LOCAL, ENVIRONMENT])
def test_no_secret_goes_to_a_file_that_git_tracks(project, name):
    write(project.root / name, "")
    call(project.root, "git", "add", "--force", name)
    before = contents(project)
    with pytest.raises(UserError, match="Git tracks it; git rm --cached"):
        connect(project, s3_settings("team", **AWS))
    assert contents(project) == before


@pytest.mark.services
@pytest.mark.parametrize(
    "bucket, keys, told",
    [
        ("team", AWS | {"AWS_SECRET_ACCESS_KEY": "s3cret"}, "the keys are refused"),
        ("team-2", AWS, "no such bucket"),
    ],
)
def test_a_storage_that_refuses_is_one_line_and_changes_nothing(
    project, s3_server, bucket, keys, told
):
    address, folder = s3_server
    before = contents(project)
    with pytest.raises(StepFailed, match=f"{told}: nothing was changed; ") as error:
        connect(project, s3_settings(bucket, endpoint_url=address, **keys))
    assert SECRET not in str(error.value) and "s3cret" not in str(error.value)
    assert contents(project) == before
    assert [path.name for path in folder.iterdir()] == ["team"]


@pytest.mark.services
def test_what_is_interrupted_or_cannot_be_read_leaves_the_files_as_they_were(project):
    def interrupt(step):
        assert SECRET in contents(project)["config.local"], "it is half done"
        raise KeyboardInterrupt

    before = contents(project)
    with pytest.raises(KeyboardInterrupt):
        connect(project, s3_settings("team", **AWS), interrupt)
    assert contents(project) == before
    write(project.root / SHARED, "[[")
    with pytest.raises(StepFailed, match=r"^\.dvc/config: .*; correct it"):
        connect(project, s3_settings("team", **AWS))
    assert contents(project) == {"config": "[["}


@pytest.mark.services
def test_a_storage_that_never_answers_is_given_up(project, silent):
    before, begin = contents(project), time.monotonic()
    with pytest.raises(StepFailed, match="does not answer: nothing was changed; check the network"):
        connect(project, s3_settings("team", endpoint_url=silent, **AWS))
    assert time.monotonic() - begin < 60
    assert contents(project) == before
