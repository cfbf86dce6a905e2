"""The doctor looks at every link from Python to storage and servers, and says what to do."""

import json

import pytest
from projects import call, make_project, ours

pytestmark = pytest.mark.services


@pytest.fixture
def project(tmp_path, sample_csv):
    return make_project(tmp_path / "my project", sample_csv)


def links(project, code=0):
    return {link["name"]: link for link in json.loads(ours(project, "doctor", "--json", code=code))}


def test_in_a_fresh_project_every_link_is_ok_or_says_what_to_do(project):
    found = links(project)
    assert [*found] == ["Python", "packages", "Git", "secrets", "DVC remote", "data", "MLflow"]
    assert {link["state"] for link in found.values()} <= {"ok", "warning"}
    assert all(link["fix"] for link in found.values() if link["state"] != "ok")
    assert found["Git"]["state"] == found["secrets"]["state"] == "ok"


def test_a_secret_that_git_tracks_is_broken(project):
    (project / ".env").write_text("DAGSHUB_USER_TOKEN=1\n", encoding="utf-8")
    (project / ".env").chmod(0o600)
    call(project, "git", "add", "--force", ".env")
    secrets = links(project, code=1)["secrets"]
    assert secrets["state"] == "broken" and secrets["fix"]
