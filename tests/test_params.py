"""params.yaml becomes settings, or one line that says what is wrong."""

import pytest
from conftest import ROOT

from laptop_pricing.kit.errors import UserError
from laptop_pricing.kit.params import load_params
from laptop_pricing.kit.project import PARAMS_FILE

TEXT = (ROOT / PARAMS_FILE).read_text(encoding="utf-8")
CASES = {
    "an unknown section": (
        f"{TEXT}\ncriterion:\n  R2: 0\n",
        "criterion: unknown key; allowed: ing",
    ),
    "an unknown key": (TEXT.replace("\ntrain:", "\ntrain:\n  fold: 3"), "train.fold: unknown key"),
    "a value that cannot be": (
        TEXT.replace("\n  folds: 5", "\n  folds: 1"),
        "train.folds: found 1; allowed",
    ),
    "a missing key": (TEXT.replace("timeout_s:", "# "), "ingest.timeout_s: missing"),
}


def test_the_projects_own_params_load_and_cannot_be_changed():
    params = load_params(ROOT / PARAMS_FILE)
    with pytest.raises(ValueError, match="frozen"):
        params.criteria.R2 = 0.0


@pytest.mark.parametrize("text, said", CASES.values(), ids=CASES)
def test_what_is_wrong_is_named(tmp_path, text, said):
    (tmp_path / "p.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as error:
        load_params(tmp_path / "p.yaml")
    assert f"p.yaml: {said}" in str(error.value) or said in str(error.value)
    assert "\n" not in str(error.value)
