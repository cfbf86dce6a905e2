"""The course map has a row for each system that the course names, in both languages."""

import re

import pytest
from environments import ROOT

from laptop_pricing.kit.cli import named_command
from laptop_pricing.problem import PROBLEM

SYSTEMS = (
    "Git GitHub .gitignore Cookiecutter DVC S3 IAM DagsHub MLflow pyenv venv requirements.txt "
    "notebooks Ridge"
).split() + ["AWS CLI", "VS Code"]
CYCLE = {
    "course-map": "the laptop data|notebook|dataset registry|experiments|model registry|stage|"
    "artifact|REST API|front end",
    "pt/course-map": "dados de laptops|notebook|registro de dataset|registro de experimentos|"
    "registro de modelo|estágio do modelo|artefato para API|API REST|frontend",
}


@pytest.mark.parametrize("page", CYCLE)
def test_each_system_and_each_step_has_a_row_that_leads_to_something(page):
    place = ROOT / "docs" / f"{page}.md"
    text = place.read_text("utf-8")
    named = {line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")}
    assert {*SYSTEMS, *CYCLE[page].split("|")} - named == set()

    table = text.split("\n## Commands")[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| ")]
    commands = set(named_command(PROBLEM).commands)
    for _, system, here, *_ in rows:
        if system.strip() in ("in the course", "no curso"):
            continue
        links = re.findall(r"\]\(([\w./-]+\.md)(?:#[\w-]+)?\)", here)
        code = re.findall(r"`([^`]+)`", here)
        ours = [word.split()[1] for word in code if word.startswith("laptop-pricing ")]
        paths = [word for word in code if "/" in word or word.startswith((".", "require"))]
        assert links or ours or paths, f"{system}: leads nowhere"
        assert all((place.parent / link).is_file() for link in links), (system, links)
        assert set(ours) <= commands, (system, ours)
        assert all((ROOT / path).exists() for path in paths if path != "models/"), (system, paths)
