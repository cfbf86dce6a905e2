"""A file is predicted block by block: the same as at once, bad rows in their place."""

from dataclasses import replace

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from problems import LOANS, MADE, each

from laptop_pricing.kit.data.source import read_csv
from laptop_pricing.kit.errors import UserError
from laptop_pricing.kit.modeling.predict import predict_file
from laptop_pricing.kit.modeling.task import task_of
from laptop_pricing.kit.params import ScaleParams


def scaled(project, **scale):
    params = project.params.model_copy(update={"scale": ScaleParams(**scale)})
    return replace(project, given_params=params)


@each(MADE, LOANS)
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_blocks_are_predicted_as_the_whole(trained, problem, ending, tmp_path):
    project, rows = trained(problem), read_csv(trained(problem).raw)
    rows = rows.assign(note=["=1+1", "x"] * 200, number=[None, *range(399)], whole=7, gap=None)
    for source in (tmp_path / "in.csv", tmp_path / "in.parquet"):
        csv = source.suffix == ".csv"
        rows.to_csv(source, index=False) if csv else rows.to_parquet(source)
        whole, few = tmp_path / f"whole{ending}", tmp_path / f"few{ending}"
        expected, told = predict_file(project, source, whole)
        predictions, warnings = predict_file(scaled(project, block_rows=37), source, few)
        pd.testing.assert_frame_equal(predictions, expected)
        assert warnings == told and predictions.attrs == {"rows": 400, "refused": 0}
        if ending == ".csv":
            assert few.read_bytes() == whole.read_bytes() and b"'=1+1" in few.read_bytes()
        else:
            first, second = pyarrow.parquet.read_table(whole), pyarrow.parquet.read_table(few)
            assert first.equals(second) and len(first) == 400
            for name in ("note", "whole"):
                kept = pa.string() if csv else pyarrow.parquet.read_schema(source).field(name).type
                assert first.schema.field(name).type == kept
        assert not any(project.interim.iterdir())


def test_of_many_rows_a_sample_is_given_back(trained, tmp_path):
    project = scaled(trained(MADE), block_rows=37, memory_rows=120)
    expected, _ = predict_file(trained(MADE), project.raw, tmp_path / "all.csv")
    predictions, warnings = predict_file(project, project.raw, tmp_path / "out.csv")
    pd.testing.assert_frame_equal(predictions, expected[::4])
    assert predictions.attrs == {"rows": 400, "refused": 0} and all(
        "of 400 rows)" in text for text in warnings
    )
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "all.csv").read_bytes()


@each(MADE, LOANS)
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_bad_rows_stay_in_their_place_and_say_why(trained, problem, ending, tmp_path):
    project, rows = trained(problem), read_csv(trained(problem).raw).assign(error="old")
    good, name = tmp_path / "good.csv", problem.features[0].raw_name
    expected, _ = predict_file(project, project.raw, good)
    bad = [*range(37, 74), 250, 398]  # a whole block of them, and the last but one
    rows.loc[bad, name] = "=moon"
    rows.to_csv(tmp_path / "in.csv", index=False)
    whole, few = tmp_path / f"whole{ending}", tmp_path / f"few{ending}"
    predictions, told = predict_file(project, tmp_path / "in.csv", whole)
    again = predict_file(scaled(project, block_rows=37), tmp_path / "in.csv", few)
    pd.testing.assert_frame_equal(predictions, expected.drop(index=bad))
    pd.testing.assert_frame_equal(again[0], predictions)
    assert again[1] == told and again[0].attrs == {"rows": 361, "refused": 39}
    said = [f"row {row + 1}: {problem.features[0].name}: found '=moon'; expected" for row in bad]
    assert all(text.startswith(start) for text, start in zip(told[:20], said))
    assert told[20] == "19 more rows were refused" and "row" not in told[21:]
    if ending == ".csv":
        assert whole.read_bytes() == few.read_bytes()
        table, before = read_csv(whole), read_csv(good)
    else:
        assert pyarrow.parquet.read_table(few).equals(pyarrow.parquet.read_table(whole))
        table = pd.read_parquet(whole).astype(expected.dtypes)  # text is str from pandas 3 on
        before = expected.round(task_of(problem).decimals)
    assert [*table] == [*read_csv(good), "error"] and len(table) == 400
    cells = [*expected]
    pd.testing.assert_frame_equal(table[cells].drop(index=bad), before[cells].drop(index=bad))
    assert table.loc[bad, cells].replace("", None).isna().all(axis=None)
    assert table["error"].loc[bad].str.contains(": found '=moon'; expected").all()
    assert not table["error"].drop(index=bad).any()


def test_a_file_without_a_good_row_says_of_each_why(trained, tmp_path):
    rows = read_csv(trained(MADE).raw)[:2].assign(rooms="?", view="moon")
    rows.to_csv(tmp_path / "in.csv", index=False)
    predictions, told = predict_file(trained(MADE), tmp_path / "in.csv", tmp_path / "out.csv")
    assert len(predictions) == 0 and predictions.attrs == {"rows": 0, "refused": 2}
    table = read_csv(tmp_path / "out.csv")
    assert [f"row {row}: {text}" for row, text in zip((1, 2), table["error"])] == told
    assert told[0].count("found") == 2 and (table["predicted_rent"] == "").all()


def test_a_file_that_cannot_be_read_is_refused_as_a_whole(trained, tmp_path):
    """Here by its last line, when other blocks are written already."""
    text = trained(MADE).raw.read_text(encoding="utf-8")
    (tmp_path / "in.csv").write_text(f"{text}x\n", encoding="utf-8")
    (tmp_path / "out.csv").write_text("old", encoding="utf-8")
    with pytest.raises(UserError, match="in.csv: line 402: 1 cells"):
        predict_file(
            scaled(trained(MADE), block_rows=37), tmp_path / "in.csv", tmp_path / "out.csv"
        )
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "out.csv"}


@pytest.mark.parametrize("unit, told", [("EUR", "median rent 7 EUR"), ("", "median rent 7")])
def test_many_predictions_in_a_few_words(unit, told):
    problem = replace(MADE, target=replace(MADE.target, unit=unit))
    assert task_of(problem).tell_all(pd.DataFrame({"predicted": [3.0, 7.0, 70.0]})) == told
