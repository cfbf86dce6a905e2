"""Connecting writes what the team shares to Git's files, and secrets to nobody else's."""

import contextlib
import os
import re
import shutil
import socket
import stat
import threading
import time
from pathlib import Path

import pytest
import servers
from solo import call, make_project, ours

from laptop_pricing.connect import (
    ENVIRONMENT,
    LOCAL,
    SHARED,
    all_or_nothing,
    apply,
    ask,
    aws_keys,
    dagshub_settings,
    s3_settings,
)
from laptop_pricing.errors import UserError
from laptop_pricing.settings import Workspace

KEY_ID = "test-id"
SECRET = "hunter2"
KEYS = {"access_key_id": KEY_ID, "secret_access_key": SECRET}  # pragma: allowlist secret
FILES = (SHARED, LOCAL, ENVIRONMENT)


@pytest.fixture(autouse=True)
def _no_keys_of_this_machine(monkeypatch, tmp_path):
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="module")
def once(tmp_path_factory, sample_csv):
    return make_project(tmp_path_factory.mktemp("connect") / "my project", sample_csv)


@pytest.fixture
def project(once, tmp_path):
    return Path(shutil.copytree(once, tmp_path / "my project", symlinks=True))


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
        thread = threading.Thread(target=_accept, args=(server, kept), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    for connection in kept:
        connection.close()


def _accept(server, kept):
    with contextlib.suppress(OSError):
        while True:
            kept.append(server.accept()[0])


def contents(root):
    paths = [root / name for name in FILES]
    return {path.name: path.read_text("utf-8") for path in paths if path.exists()}


def by_file(settings, file):
    return {s.name: s.value for s in settings if s.file == file and s.value}


def test_of_s3_the_team_shares_the_place_and_keeps_the_keys():
    settings = s3_settings("team", "dvc/", None, "http://127.0.0.1:9", KEYS)
    shared = by_file(settings, SHARED)
    assert shared["url"] == "s3://team/dvc" and shared["endpointurl"] == "http://127.0.0.1:9"
    assert shared["verify"] == "true" and float(shared["read_timeout"]) < 10
    assert by_file(settings, LOCAL) == KEYS
    assert by_file(settings, ENVIRONMENT) == {
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
    }


def test_with_a_profile_no_secret_is_written_at_all():
    settings = s3_settings("team", profile="acme")
    assert "profile" not in by_file(settings, SHARED)  # CI would not find it
    assert by_file(settings, LOCAL) == {"profile": "acme"}
    assert by_file(settings, ENVIRONMENT) == {"AWS_PROFILE": "acme"}


def test_of_dagshub_one_token_opens_storage_runs_and_datasets():
    settings = dagshub_settings("acme/laptops", "maria", "hunter2")
    shared = by_file(settings, SHARED)
    assert shared["url"] == "s3://dvc"
    assert shared["endpointurl"] == "https://dagshub.com/acme/laptops.s3"
    assert by_file(settings, LOCAL) == {"access_key_id": SECRET, "secret_access_key": SECRET}
    assert by_file(settings, ENVIRONMENT) == {
        "MLFLOW_TRACKING_URI": "https://dagshub.com/acme/laptops.mlflow",
        "MLFLOW_TRACKING_USERNAME": "maria",
        "MLFLOW_TRACKING_PASSWORD": SECRET,
        "DAGSHUB_USER_TOKEN": SECRET,
    }
    for setting in settings:
        assert setting.secret or SECRET not in setting.value
        assert not setting.secret or setting.file in (LOCAL, ENVIRONMENT)


@pytest.mark.parametrize("bucket", ["s3://team", "Team", "a", "team/dvc", "", "te am"])
def test_what_is_no_bucket_is_refused(bucket):
    with pytest.raises(UserError, match="not a bucket's name"):
        s3_settings(bucket)


@pytest.mark.parametrize("url", ["127.0.0.1:9", "ftp://h", "http://k:hunter2@h", "http://a b"])
def test_what_is_no_endpoint_is_refused_without_its_password(url):
    with pytest.raises(UserError, match="--endpoint-url: found .*; expected https://host") as told:
        s3_settings("team", endpoint_url=url)
    assert SECRET not in str(told.value)


def test_a_secret_is_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("DAGSHUB_USER_TOKEN", " hunter2\n")
    assert ask("DAGSHUB_USER_TOKEN", "token") == SECRET


def test_a_secret_is_typed_without_echo(monkeypatch):
    asked = []
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("getpass.getpass", lambda prompt: asked.append(prompt) or SECRET)
    assert ask("DAGSHUB_USER_TOKEN", "token") == SECRET
    assert asked == ["token (not shown): "]


@pytest.mark.parametrize(
    "value, found", [("", "nothing"), ("hunter2 x", "spaces"), ("é", "spaces")]
)
def test_no_secret_or_a_garbled_one_is_one_line_that_does_not_repeat_it(monkeypatch, value, found):
    monkeypatch.setattr("sys.stdin", type("Pipe", (), {"isatty": lambda self: False})())
    monkeypatch.setenv("DAGSHUB_USER_TOKEN", value)
    with pytest.raises(UserError, match=f"DAGSHUB_USER_TOKEN: found {found}") as told:
        ask("DAGSHUB_USER_TOKEN", "token")
    assert SECRET not in str(told.value)


def test_keys_of_a_profile_stay_in_their_file(monkeypatch, tmp_path):
    credentials = tmp_path / "credentials"
    credentials.write_text(
        f"[acme]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n[empty]\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    assert aws_keys("acme") == {}
    with pytest.raises(UserError, match="profile empty: found no keys in it; aws configure"):
        aws_keys("empty")
    with pytest.raises(UserError, match="nobody.*could not be found; aws configure"):
        aws_keys("nobody")


def test_keys_of_the_environment_are_taken_with_their_session(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert aws_keys(None) == KEYS
    monkeypatch.setenv("AWS_SESSION_TOKEN", "s3cret")
    assert aws_keys(None) == KEYS | {"session_token": "s3cret"}


@pytest.mark.services
def test_secrets_are_for_their_owner_and_unknown_to_git(project):
    (project / ENVIRONMENT).write_text("# mine\nOTHER=1\nAWS_PROFILE=old\n", encoding="utf-8")
    apply(s3_settings("team", keys=KEYS), Workspace(project))
    for name in (LOCAL, ENVIRONMENT):
        assert stat.S_IMODE((project / name).stat().st_mode) == 0o600 or os.name != "posix"
        assert SECRET in (project / name).read_text("utf-8")
    assert SECRET not in (project / SHARED).read_text("utf-8")
    lines = (project / ENVIRONMENT).read_text("utf-8").splitlines()
    assert lines[:2] == ["# mine", "OTHER=1"] and not any("AWS_PROFILE" in line for line in lines)
    status = call(project, "git", "status", "--porcelain", "-uall").stdout
    assert status.split() == ["M", SHARED]
    assert call(project, "dvc", "remote", "list").stdout.split()[:2] == ["storage", "s3://team/dvc"]


@pytest.mark.services
def test_twice_is_as_good_as_once_and_another_place_leaves_nothing_behind(project):
    workspace = Workspace(project)
    first = s3_settings("team", profile="acme", endpoint_url="http://127.0.0.1:9")
    apply(s3_settings("other", keys=KEYS), workspace)
    apply(first, workspace)
    once = contents(project)
    apply(first, workspace)
    assert contents(project) == once
    assert not any(SECRET in text or "other" in text for text in once.values())


@pytest.mark.services
@pytest.mark.parametrize("name", [LOCAL, ENVIRONMENT])
def test_no_secret_goes_to_a_file_that_git_tracks(project, name):
    (project / name).write_text("", encoding="utf-8")
    call(project, "git", "add", "--force", name)
    with pytest.raises(UserError, match="Git tracks it; git rm --cached"):
        apply(s3_settings("team", keys=KEYS), Workspace(project))
    assert not any(SECRET in text for text in contents(project).values())


def test_what_fails_half_way_leaves_the_files_as_they_were(tmp_path):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / SHARED).write_text("[core]\n", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt), all_or_nothing(Workspace(tmp_path)):
        for name in FILES:
            (tmp_path / name).write_text("half", encoding="utf-8")
        raise KeyboardInterrupt
    assert contents(tmp_path) == {"config": "[core]\n"}


@pytest.mark.services
def test_the_command_connects_checks_and_prints_no_secret(project, s3_server):
    address, folder = s3_server
    keys = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}
    command = ("connect", "s3", "team", "--endpoint-url", address)
    before = contents(project)
    done = ours(project, *command, "--dry-run")
    assert done.returncode == 0 and done.stdout.endswith("Nothing was written.\n")
    assert contents(project) == before
    done = ours(project, *command, **keys)
    assert done.returncode == 0, done.stderr
    assert "storage: s3://team/dvc: reachable and writable" in done.stdout
    assert SECRET not in done.stdout + done.stderr and "(secret)" in done.stdout
    assert not [path for path in folder.rglob("*") if path.is_file()]  # the trial is gone


@pytest.mark.services
@pytest.mark.parametrize(
    "bucket, secret, told",
    [
        ("team", "s3cret", "the keys are refused"),
        ("team-2", SECRET, "no such bucket"),
        ("team", "", "AWS_SECRET_ACCESS_KEY: found nothing"),
    ],
)
def test_a_storage_that_refuses_is_one_line_and_changes_nothing(
    project, s3_server, bucket, secret, told
):
    address, folder = s3_server
    before = contents(project)
    keys = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": secret}
    done = ours(project, "connect", "s3", bucket, "--endpoint-url", address, **keys)
    assert done.returncode == (1 if secret else 2)
    assert re.fullmatch(f"Error: .*{told}.*\n", done.stderr)
    assert contents(project) == before
    assert [path.name for path in folder.iterdir()] == ["team"]


@pytest.mark.services
def test_a_storage_that_never_answers_is_given_up(project, silent):
    before, begin = contents(project), time.monotonic()
    keys = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}
    done = ours(project, "connect", "s3", "team", "--endpoint-url", silent, **keys)
    assert done.returncode == 1 and "does not answer" in done.stderr
    assert time.monotonic() - begin < 60
    assert contents(project) == before
