"""What ingest fetches replaces data/raw only if it is the expected file."""

import pytest
from conftest import SAMPLE_ROWS

from laptop_pricing.data.ingest import SOURCE_FILE, ingest
from laptop_pricing.data.sample import write_sample
from laptop_pricing.data.schema import COLUMNS
from laptop_pricing.errors import UserError
from laptop_pricing.files import checksum

FIRST, *OTHERS = [column.raw_name for column in COLUMNS]


@pytest.fixture
def other_csv(tmp_path):
    """Another good file than the one in data/raw."""
    write_sample(tmp_path / "other.csv", SAMPLE_ROWS // 2, seed=7)
    return tmp_path / "other.csv"


def test_a_file_replaces_data_raw(workspace, params, other_csv):
    found = ingest(str(other_csv), workspace, params)
    assert workspace.raw.read_bytes() == other_csv.read_bytes()
    assert found == {
        "rows": SAMPLE_ROWS // 2,
        "md5": checksum(other_csv, "md5"),
        "source": str(other_csv),
    }
    assert [path.name for path in workspace.interim.iterdir()] == [SOURCE_FILE]


WRONG = {
    "a column less": (",".join(OTHERS) + "\n", f"column missing: {FIRST}"),
    "a column more": (",".join([FIRST, *OTHERS, "guess"]) + "\n", "column not known: 'guess'"),
    "no rows": (",".join([FIRST, *OTHERS]) + "\n", "a header without rows"),
    "a web page": ("<!doctype html>\n", "found an HTML page"),
    "nothing": ("", "the file is empty"),
}


@pytest.mark.parametrize("content, message", WRONG.values(), ids=WRONG)
def test_a_wrong_file_leaves_data_raw_untouched(workspace, params, tmp_path, content, message):
    before = workspace.raw.read_bytes()
    (tmp_path / "wrong.csv").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        ingest(str(tmp_path / "wrong.csv"), workspace, params)
    assert workspace.raw.read_bytes() == before


def test_a_file_with_less_than_half_the_rows_is_refused(workspace, params, tmp_path):
    before = workspace.raw.read_bytes()
    write_sample(tmp_path / "few.csv", SAMPLE_ROWS // 2 - 1)
    with pytest.raises(UserError, match="Add --shrink"):
        ingest(str(tmp_path / "few.csv"), workspace, params)
    assert workspace.raw.read_bytes() == before


def test_a_file_in_another_unit_is_refused(workspace, params, other_csv):
    before = workspace.raw.read_bytes()
    beyond = {"median_price": (1e12, 2e12)}
    elsewhere = {"preprocess": params.preprocess.model_copy(update=beyond)}
    with pytest.raises(UserError, match="convert it, or change preprocess.median_price"):
        ingest(str(other_csv), workspace, params.model_copy(update=elsewhere))
    assert workspace.raw.read_bytes() == before
