"""params.yaml becomes settings, or one line that says what is wrong."""

import pytest
from conftest import ROOT

from laptop_pricing.errors import UserError
from laptop_pricing.settings import PARAMS_FILE, load_params

TEXT = (ROOT / PARAMS_FILE).read_text(encoding="utf-8")


def refusal(path, text):
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as error:
        load_params(path)
    return str(error.value)


def test_the_projects_own_params_load_and_cannot_be_changed():
    params = load_params(ROOT / PARAMS_FILE)
    with pytest.raises(ValueError, match="frozen"):
        params.criteria.R2 = 0.0


def test_an_unknown_section_is_named(tmp_path):
    said = refusal(tmp_path / "p.yaml", f"{TEXT}\ncriterion:\n  R2: 0\n")
    assert "p.yaml: criterion: unknown key; allowed: ingest, preprocess, train, " in said


def test_an_unknown_key_is_named(tmp_path):
    said = refusal(tmp_path / "p.yaml", TEXT.replace("\ncriteria:", "\n  fold: 3\n\ncriteria:"))
    assert "p.yaml: train.fold: unknown key; allowed: crossed, alphas, folds, " in said


@pytest.mark.parametrize("key, value", [("folds", "1"), ("alphas", "[]"), ("crossed", "[no]")])
def test_a_value_that_cannot_be_is_named(tmp_path, key, value):
    lines = [
        f"  {key}: {value}" if line.startswith(f"  {key}:") else line for line in TEXT.splitlines()
    ]
    assert f"p.yaml: train.{key}" in refusal(tmp_path / "p.yaml", "\n".join(lines))
