"""The course map has a row for each system that the course names, in both languages."""

import pytest
from environments import ROOT

SYSTEMS = (
    "Git GitHub .gitignore Cookiecutter DVC S3 IAM DagsHub MLflow pyenv venv requirements.txt "
    "notebooks Ridge"
).split() + ["AWS CLI", "VS Code"]
CYCLE = {
    "# The course": "the laptop data|notebook|dataset registry|experiments|model registry|stage|"
    "artifact|REST API|front end",
    "# O curso": "dados de laptops|notebook|registro de dataset|registro de experimentos|"
    "registro de modelo|estágio do modelo|artefato para API|API REST|frontend",
}


@pytest.mark.parametrize("heading", CYCLE)
def test_each_system_and_each_step_has_its_row(heading):
    page = (ROOT / "docs" / "course-map.md").read_text("utf-8")
    part = page[page.index(heading) :].split("\n# ")[0]
    rows = {line.split("|")[1].strip() for line in part.splitlines() if line.startswith("| ")}
    assert {*SYSTEMS, *CYCLE[heading].split("|")} - rows == set()
