"""Bad rows are set aside with their reason, copies are dropped, and nothing is lost in silence."""

import pandas as pd
import pytest

from laptop_pricing.data.preprocess import REJECTED_FILE, TABLE_FILE, preprocess
from laptop_pricing.data.read import read_csv
from laptop_pricing.data.schema import COLUMNS, FEATURES, TARGET
from laptop_pricing.errors import UserError

BAD = "no such value"


@pytest.fixture
def raw(workspace):
    """The raw file as a table of text, to be spoilt and written back."""
    return read_csv(workspace.raw)


def write(table, workspace):
    table.to_csv(workspace.raw, index=False)


def rejected(workspace):
    return pd.read_csv(workspace.processed / REJECTED_FILE, keep_default_na=False)


def test_the_table_has_the_schemas_columns_and_the_groups(workspace, params, raw):
    summary = preprocess(workspace, params.preprocess)
    table = pd.read_parquet(workspace.processed / TABLE_FILE)
    assert list(table) == [*(column.name for column in COLUMNS), "key", "specification"]
    assert summary["rows"] == len(raw) and summary["kept"] == len(table)
    assert summary["rejected"] == len(rejected(workspace)) == 0
    assert summary["specifications"] == len(table[list(FEATURES)].drop_duplicates())


def test_every_bad_cell_is_set_aside_with_its_reason(workspace, params, raw):
    for row, column in enumerate(COLUMNS):
        raw.loc[row, column.raw_name] = BAD
    write(raw, workspace)
    summary = preprocess(workspace, params.preprocess.model_copy(update={"max_rejected": 1}))
    found = rejected(workspace)
    found = found[found["column"] != ""]  # a rule over several columns names none
    assert found.to_numpy().tolist() == [
        [row, column.name, BAD, column.rule] for row, column in enumerate(COLUMNS)
    ]
    assert summary["rejected"] == len(COLUMNS)
    table = pd.read_parquet(workspace.processed / TABLE_FILE)
    assert table.index.min() == len(COLUMNS), "rows keep their position in the raw file"


def test_too_many_bad_rows_are_a_failure_that_shows_them(workspace, params, raw):
    target = next(column for column in COLUMNS if column.name == TARGET)
    allowed = int(params.preprocess.max_rejected * len(raw))
    for count in (allowed, allowed + 1):
        raw.loc[: count - 1, target.raw_name] = BAD
        write(raw, workspace)
        if count == allowed:
            assert preprocess(workspace, params.preprocess)["rejected"] == allowed
    with pytest.raises(UserError, match=f"{allowed + 1} of {len(raw)} rows rejected.*{TARGET}"):
        preprocess(workspace, params.preprocess)
    assert len(rejected(workspace)) == allowed + 1


def test_exact_copies_are_dropped_and_counted(workspace, params, raw):
    once = preprocess(workspace, params.preprocess)
    before = pd.read_parquet(workspace.processed / TABLE_FILE)
    write(pd.concat([raw, raw.head(5)]), workspace)
    again = preprocess(workspace, params.preprocess)
    assert again["duplicates"] == once["duplicates"] + 5
    pd.testing.assert_frame_equal(pd.read_parquet(workspace.processed / TABLE_FILE), before)
