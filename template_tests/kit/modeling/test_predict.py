"""A file is predicted block by block: the same as at once, all of it or nothing."""

from dataclasses import replace

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from problems import LOANS, MADE, each

from laptop_pricing.kit.data.source import read_csv
from laptop_pricing.kit.errors import UserError
from laptop_pricing.kit.modeling.predict import predict_file
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
        assert warnings == told and predictions.attrs == {"rows": 400}
        if ending == ".csv":
            assert few.read_bytes() == whole.read_bytes() and b"'=1+1" in few.read_bytes()
        else:
            first, second = pyarrow.parquet.read_table(whole), pyarrow.parquet.read_table(few)
            assert first.equals(second) and len(first) == 400
            types = (pa.string(), pa.int64()) if not csv else (pa.string(), pa.string())
            assert (first.schema.field("note").type, first.schema.field("whole").type) == types
        assert not any(project.interim.iterdir())


def test_of_many_rows_a_sample_is_given_back(trained, tmp_path):
    project = scaled(trained(MADE), block_rows=37, memory_rows=120)
    expected, _ = predict_file(trained(MADE), project.raw, tmp_path / "all.csv")
    predictions, warnings = predict_file(project, project.raw, tmp_path / "out.csv")
    pd.testing.assert_frame_equal(predictions, expected[::4])
    assert predictions.attrs == {"rows": 400} and all("of 400 rows)" in text for text in warnings)
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "all.csv").read_bytes()


def test_a_bad_cell_in_any_block_stops_all_and_is_named_by_its_row(trained, tmp_path):
    project, rows = scaled(trained(MADE), block_rows=37), read_csv(trained(MADE).raw)
    rows.loc[[250, 390], "view"] = "moon"
    rows.to_csv(tmp_path / "in.csv", index=False)
    (tmp_path / "out.csv").write_text("old", encoding="utf-8")
    with pytest.raises(UserError) as error:
        predict_file(project, tmp_path / "in.csv", tmp_path / "out.csv")
    place, said = f"{tmp_path / 'in.csv'}: row 250 (2 such cells in all): ", str(error.value)
    assert said.startswith(f"{place}view: found 'moon'") and said.endswith("nothing was predicted")
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "out.csv"}
    assert not any(project.interim.iterdir())
