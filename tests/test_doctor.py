"""The doctor looks at every link from Python to storage and servers, and says what to do."""

import json

import pytest
from projects import make_project, ours

pytestmark = pytest.mark.services


def test_in_a_fresh_project_every_link_is_ok_or_says_what_to_do(tmp_path, sample_csv):
    project = make_project(tmp_path / "my project", sample_csv)
    found = {link["name"]: link for link in json.loads(ours(project, "doctor", "--json"))}
    assert [*found] == ["Python", "packages", "Git", "secrets", "DVC remote", "data", "MLflow"]
    assert {link["state"] for link in found.values()} <= {"ok", "warning"}
    assert all(link["fix"] for link in found.values() if link["state"] != "ok")
    assert found["Git"]["state"] == found["secrets"]["state"] == "ok"
