"""The doctor finds what is planted, says what to do about it, and never shows a secret."""

import json
import os
import re
import shutil
import stat

import pytest
from environments import ROOT
from solo import call, commit, ours
from test_storage import file_of, make_shared, spoil

from laptop_pricing import doctor
from laptop_pricing.files import checksum
from laptop_pricing.settings import Workspace

pytestmark = pytest.mark.services

SECRET = "hunter2"


@pytest.fixture(scope="module")
def once(tmp_path_factory, sample_csv):
    workspace = make_shared(tmp_path_factory.mktemp("doctor") / "project", sample_csv)
    for name in ("requirements.txt", ".pre-commit-config.yaml", ".env.example"):
        shutil.copyfile(ROOT / name, workspace.root / name)
    commit(workspace.root, "checks")
    for branch in ("stag", "main"):
        call(workspace.root, "git", "branch", branch)
    return workspace


@pytest.fixture
def project(once, tmp_path):
    """A copy of the project and of its remote, all of it whole."""
    shutil.copytree(once.root.parent, tmp_path / "copy", symlinks=True)
    root = tmp_path / "copy" / "project"
    call(root, "dvc", "remote", "modify", "storage", "url", root.parent / "remote")
    return Workspace(root)


def examined(workspace):
    return {link.name: link for link in doctor.examine(workspace)}


def test_a_whole_chain_is_ok_from_end_to_end(project):
    done = ours(project.root, "doctor", "--json")
    links = json.loads(done.stdout)
    states = {link["name"]: link["state"] for link in links}
    assert states.pop("MLflow") == "warning"  # no server is named
    names = ["Python", "packages", "Git", "secrets", "DVC remote", "workspace", "cache", "remote"]
    assert states == dict.fromkeys(names, "ok"), links
    assert done.returncode == 0
    assert list((project.root.parent / "remote").iterdir()) == [
        project.root.parent / "remote/files"
    ]


def test_each_link_is_a_line_with_what_to_do(project):
    shutil.rmtree(project.root.parent / "remote")
    done = ours(project.root, "doctor")
    lines = done.stdout.splitlines()
    assert len(lines) == 9 and all(re.match(r"(ok|warning|broken) +\w.*: ", line) for line in lines)
    assert all(" -> " in line for line in lines if not line.startswith("ok"))


def test_another_version_than_the_locked_one_is_broken(project):
    (project.root / "requirements.txt").write_text("# x\n-e .\nnumpy==1.0\nno-such-package==1\n")
    found = examined(project)["packages"]
    assert found.state == "broken" and found.fix == "pip install -r requirements.txt"
    assert re.fullmatch(r"numpy [\d.]+, locked ==1\.0 and 1 more", found.found)


def test_what_a_marker_leaves_out_is_not_missed(project):
    line = 'no-such-package==1 ; python_version < "3"\n'
    (project.root / "requirements.txt").write_text(line)
    assert examined(project)["packages"].state == "ok"


def test_a_missing_branch_is_a_warning(project):
    call(project.root, "git", "branch", "-D", "stag")
    found = examined(project)["Git"]
    assert (found.state, found.found) == ("warning", "on devl; no branch stag")
    assert found.fix == "git branch stag, git push -u origin stag"


def test_a_folder_without_git_is_broken(project, monkeypatch):
    shutil.rmtree(project.root / ".git")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.root.parent))
    assert examined(project)["Git"].state == "broken"


@pytest.mark.parametrize("hook", ["env-file", "dvc-config", "env-example", "secrets"])
def test_a_tracked_secret_is_broken_and_not_shown(project, hook):
    root = project.root
    secret = "AKIA" + "Q3EGRIZNV5TSEXAM"  # pragma: allowlist secret
    if hook == "env-file":
        (root / ".env").write_text(f"MLFLOW_TRACKING_PASSWORD={secret}\n")
        os.chmod(root / ".env", 0o600)
        call(root, "git", "add", "--force", ".env")
    elif hook == "dvc-config":
        with open(root / ".dvc" / "config", "a") as file:
            file.write(f"    access_key_id = {secret}\n")
        call(root, "git", "add", ".dvc/config")
    elif hook == "env-example":
        with open(root / ".env.example", "a") as file:
            file.write(f"DAGSHUB_USER_TOKEN={secret}\n")
    else:
        (root / "keys.py").write_text(f"KEY = '{secret}'\n")
        call(root, "git", "add", "keys.py")
    found = examined(project)["secrets"]
    assert found.state == "broken" and hook in found.found
    assert "withdraw" in found.fix and secret not in str(found)


@pytest.mark.skipif(os.name != "posix", reason="file modes are of POSIX")
def test_a_file_of_secrets_that_others_may_read_is_broken(project):
    (project.root / ".env").write_text("DAGSHUB_USER_TOKEN=hunter2\n")
    os.chmod(project.root / ".env", 0o640)
    found = examined(project)["secrets"]
    assert (found.state, found.fix) == ("broken", "chmod 600 .env")
    assert stat.S_IMODE((project.root / ".env").stat().st_mode) == 0o640


def test_no_remote_is_a_warning(project):
    call(project.root, "dvc", "remote", "remove", "storage")
    found = examined(project)
    assert found["DVC remote"].state == "warning" and "connect s3" in found["DVC remote"].fix
    assert "remote" not in found and found["cache"].state == "ok"


def test_a_local_config_without_its_remote_is_broken_and_explained(project):
    """As after git switch to a branch from before ``connect``."""
    call(project.root, "dvc", "remote", "remove", "storage")
    (project.root / ".dvc" / "config.local").write_text("['remote \"storage\"']\n    user = me\n")
    links = list(doctor.examine(project))
    (found,) = [link for link in links if link.name == "DVC"]
    assert found.state == "broken" and "config.local" in found.fix


def test_a_changed_workspace_is_a_warning(project):
    spoil(project.raw)
    found = examined(project)["workspace"]
    assert found.state == "warning" and project.raw.name in found.found


def test_a_corrupt_cache_is_broken_and_mended_as_it_says(project):
    raw = checksum(project.raw, "md5")
    path = file_of(project.root / ".dvc" / "cache", raw)
    spoil(path)
    project.raw.unlink()
    found = examined(project)["cache"]
    assert found.state == "broken" and str(path) in found.found
    path.unlink()
    assert call(project.root, "dvc", "pull", "data.dvc").returncode == 0
    assert checksum(project.raw, "md5") == raw
    assert examined(project)["cache"].state == "ok"


@pytest.mark.parametrize("what", ["corrupt", "missing"])
def test_a_remote_with_damage_is_named_and_mended_from_an_intact_cache(project, what):
    path = file_of(project.root.parent / "remote", checksum(project.raw, "md5"))
    spoil(path) if what == "corrupt" else path.unlink()
    found = examined(project)["remote"]
    assert found.state == ("broken" if what == "corrupt" else "warning")
    assert f"1 of the objects {what}" in found.found and "doctor --mend" in found.fix
    done = ours(project.root, "doctor", "--mend")
    assert done.returncode == 0 and "1 objects uploaded to the remote" in done.stderr
    assert examined(project)["remote"].state == "ok"


def test_what_is_nowhere_is_broken(project):
    for folder in (project.root / ".dvc" / "cache", project.root.parent / "remote"):
        file_of(folder, checksum(project.raw, "md5")).unlink()
    found = examined(project)["remote"]
    assert found.state == "broken" and "1 of them here, too" in found.found


def test_a_server_that_is_down_is_broken_without_its_password(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{SECRET}@127.0.0.1:9")
    found = examined(project)["MLflow"]
    assert found.state == "broken" and "does not answer" in found.found
    assert SECRET not in str(found) and "MLFLOW_TRACKING_URI" in found.fix


def test_a_broken_link_is_exit_code_1(project):
    (project.root / "requirements.txt").write_text("numpy==1.0\n")
    assert ours(project.root, "doctor").returncode == 1
