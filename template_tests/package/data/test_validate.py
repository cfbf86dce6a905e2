"""Text becomes typed rows; what breaks a rule is named and set aside, never mended."""

import csv
import os

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laptop_pricing.data.read import fill_default, read_csv, read_dataset, read_rows
from laptop_pricing.data.schema import COLUMNS, ROW_RULES, SPECIFICATION
from laptop_pricing.data.validate import validate
from laptop_pricing.errors import UserError

BY_NAME = {column.name: column for column in COLUMNS}
HEADER = [column.raw_name for column in COLUMNS]
CELLS = (
    "ASUS,Intel,Core i5,11th,8 GB,DDR4,512 GB,0 GB,Windows,64-bit,0 GB,Casual,1 year,No,No,"
    "5000,4 stars,10,1"
)
LAPTOP = dict(zip(BY_NAME, CELLS.split(",")))
NUMBERS = [column.name for column in COLUMNS if column.kind in ("integer", "number")]
NO_LIMIT = (1e-9, 1e300)


def _text(*changes):
    """One row per change of LAPTOP."""
    return pd.DataFrame([{**LAPTOP, **change} for change in changes], dtype=object)


def _failures(*changes):
    return list(validate(_text(*changes), COLUMNS)[1].itertuples(index=False, name=None))


def _refused(read, *args):
    with pytest.raises(UserError) as error:
        read(*args)
    message = str(error.value)
    assert message.splitlines() == [message]
    assert message.startswith(f"{args[0]}: ")
    return message


# Rows


def test_a_good_row_is_typed():
    table, failures = validate(_text({}), COLUMNS)
    assert failures.empty
    assert list(failures.columns) == ["row", "column", "value", "rule"]
    assert list(table.columns) == list(BY_NAME)
    kinds = {"category": "object", "integer": "int64", "number": "float64", "flag": "bool"}
    assert {name: str(table[name].dtype) for name in table} == {
        column.name: kinds[column.kind] for column in COLUMNS
    }
    row = table.loc[0]
    assert (row.brand, row.ram_gb, row.hdd, row.warranty, row.price) == ("ASUS", 8, 0, 1, 5000)
    assert not row.touchscreen


def test_types_do_not_depend_on_the_rejected_rows():
    table, _ = validate(_text({}, {"ram_gb": "?", "price": "?", "msoffice": "?"}, {}), COLUMNS)
    pd.testing.assert_frame_equal(table, validate(_text({}, {}, {}), COLUMNS)[0].drop(index=1))


def _out_of_range(column):
    return [str(value) for value in (column.low - 1, column.high + 1)]


@pytest.mark.parametrize("name", BY_NAME)
def test_every_column_rejects_what_breaks_its_rule(name):
    column = BY_NAME[name]
    wrong = {"category": ["Other", "0"], "flag": ["maybe", "1"]}.get(column.kind)
    for value in wrong or _out_of_range(column):
        table, failures = validate(_text({}, {name: value}, {}), COLUMNS)
        found = list(failures.itertuples(index=False, name=None))
        assert (1, name, value, column.rule) in found
        assert table.index.tolist() == [0, 2]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("limit", ["low", "high"])
def test_the_limits_themselves_are_allowed(name, limit):
    other_disk = {"hdd": "512 GB"} if name == "ssd" else {}
    value = str(getattr(BY_NAME[name], limit))
    table, failures = validate(_text({**other_disk, name: value}), COLUMNS)
    assert failures.empty
    assert table.loc[0, name] == getattr(BY_NAME[name], limit)


ODD_NUMBERS = ["abc", "-1", "8.5", "1e", "", "  ", "NaN", "inf", "８", "0x8", "1_0", "8,5", "None"]


@pytest.mark.parametrize("name", NUMBERS)
def test_defect_3_bad_numbers_are_rejected_and_not_coerced_to_0(name):
    table, failures = validate(_text(*({name: value} for value in ODD_NUMBERS)), COLUMNS)
    assert table.empty
    assert list(failures.itertuples(index=False, name=None)) == [
        (row, name, value, BY_NAME[name].rule) for row, value in enumerate(ODD_NUMBERS)
    ]


def test_an_impossible_price_is_rejected():
    prices = ["0", "499", "499.99", "60000.01", "60001", "-5000", "999999999"]
    rule = BY_NAME["price"].rule
    found = _failures(*({"price": price} for price in prices))
    assert found == [(row, "price", price, rule) for row, price in enumerate(prices)]


def test_the_value_is_reported_as_found():
    value = " 8,5\tGB\n "
    assert _failures({"ram_gb": value}) == [(0, "ram_gb", value, BY_NAME["ram_gb"].rule)]


@pytest.mark.parametrize("name", [column.name for column in COLUMNS if column.default is not None])
def test_a_datasets_blank_cell_is_not_filled(name):
    assert _failures({name: ""}) == [(0, name, "", BY_NAME[name].rule)]


BROKEN_RULES = {
    "the laptop has an SSD or an HDD": {"ssd": "0 GB", "hdd": "0 GB"},
    "an APPLE runs Mac": {"brand": "APPLE", "os": "Windows"},
}


def test_every_rule_of_a_row_has_a_row_here_that_breaks_it():
    assert set(BROKEN_RULES) == {rule.text for rule in ROW_RULES}


@pytest.mark.parametrize("rule", BROKEN_RULES)
def test_every_rule_of_a_row_rejects_the_row(rule):
    table, failures = validate(_text({}, BROKEN_RULES[rule], {}), COLUMNS)
    assert list(failures.itertuples(index=False, name=None)) == [(1, "", "", rule)]
    assert table.index.tolist() == [0, 2]


def test_an_unreadable_cell_breaks_no_rule_of_the_row_that_it_may_obey():
    assert _failures({"ssd": "?", "hdd": "0 GB"}) == [(0, "ssd", "?", BY_NAME["ssd"].rule)]


def test_rules_of_a_row_hold_for_a_laptop_without_a_price():
    names = [column.name for column in SPECIFICATION]
    table, failures = validate(_text({}, BROKEN_RULES["an APPLE runs Mac"])[names], SPECIFICATION)
    assert list(table.columns) == names
    assert failures["rule"].tolist() == ["an APPLE runs Mac"]


def test_every_broken_cell_of_a_row_is_named():
    found = _failures({"brand": "Other", "ram_gb": "?", "price": "0"})
    assert [(column, value) for _, column, value, _ in found] == [
        ("brand", "Other"),
        ("price", "0"),
        ("ram_gb", "?"),
    ]


def test_a_rejected_row_shifts_no_other():
    prices = ["1000", "?", "3000", "0", "5000"]
    text = _text(*({"price": price} for price in prices)).set_axis([10, 20, 30, 40, 50])
    table, failures = validate(text, COLUMNS)
    assert table["price"].to_dict() == {10: 1000, 30: 3000, 50: 5000}
    assert failures[["row", "value"]].to_dict("list") == {"row": [20, 40], "value": ["?", "0"]}


def test_every_row_may_be_rejected():
    table, failures = validate(_text({"brand": "?"}, {"price": "?"}), COLUMNS)
    assert table.empty
    assert list(table.columns) == list(BY_NAME)
    assert failures["row"].tolist() == [0, 1]


def test_the_text_is_left_as_it_was():
    text = _text({}, {"price": "?"})
    before = text.copy()
    validate(text, COLUMNS)
    pd.testing.assert_frame_equal(text, before)


def test_defect_4_ryzen_3_stays_ryzen_3_and_rare_categories_stay_apart():
    names = ["Ryzen 3", "Ryzen 7", "Celeron Dual", "Core i9"]
    table, failures = validate(_text(*({"processor_name": name} for name in names)), COLUMNS)
    assert failures.empty
    assert table["processor_name"].tolist() == names


# The dataset as a file


@pytest.fixture
def write(tmp_path):
    """Write rows of cells, or bytes, as a CSV."""

    def write_csv(content, name="laptops.csv"):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            with open(path, "w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows(content)
        return path

    return write_csv


def test_cells_are_read_as_the_text_that_they_are(write):
    cells = ["NaN", "", "007", "1e3", " 8 GB ", "None", 'a "b", c', "two\nlines", "preço", "True"]
    text = read_csv(write([[f"column {i}" for i in range(len(cells))], cells]))
    assert text.loc[0].tolist() == cells


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda content: b"\xef\xbb\xbf" + content, id="byte order mark"),
        pytest.param(lambda content: content.replace(b"\r\n", b"\n"), id="line ends of Linux"),
        pytest.param(lambda content: content.rstrip(), id="no line end at the end"),
        pytest.param(lambda content: content.replace(b"\r\n", b"\r\n\r\n"), id="blank lines"),
        pytest.param(lambda content: content.replace(b"Price", b" Price "), id="header spaces"),
    ],
)
def test_harmless_differences_do_not_matter(write, edit):
    path = write([HEADER, LAPTOP.values(), LAPTOP.values()])
    path.write_bytes(edit(path.read_bytes()))
    text = read_dataset(path, (2000, 15000))
    pd.testing.assert_frame_equal(text, _text({}, {}))


def test_columns_in_another_order_are_put_right(write):
    path = write([HEADER[::-1], list(LAPTOP.values())[::-1]])
    pd.testing.assert_frame_equal(read_dataset(path, (2000, 15000)), _text({}))


@pytest.mark.parametrize(("low", "high"), [(5000, 5001), (4999, 5000)])
def test_a_median_price_on_the_limit_is_allowed(write, low, high):
    path = write([HEADER, LAPTOP.values()])
    assert len(read_dataset(path, (low, high))) == 1


def test_a_median_price_outside_its_range_is_another_currency(write):
    rows = [{**LAPTOP, "price": price}.values() for price in ("700", "900", "60000")]
    path = write([HEADER, *rows])
    message = _refused(read_dataset, path, (2000, 15000))
    assert "median price 900; expected 2,000 to 15,000 BRL" in message
    assert "preprocess.median_price" in message


@pytest.mark.parametrize("read", [read_csv, lambda path: read_dataset(path, NO_LIMIT)])
def test_no_file_and_a_folder_are_named(tmp_path, read):
    assert "no such file" in _refused(read, tmp_path / "none.csv")
    if os.name != "nt":
        assert "found a folder" in _refused(read, tmp_path)


@settings(max_examples=100, deadline=None)
@given(
    content=st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")),
        st.lists(
            st.sampled_from([b",", b"\n", b"\r", b'"', b"ssd", b"\0", b"<", b";", b"\xe9"])
        ).map(b"".join),
        st.text(max_size=50).map(
            lambda text: ",".join(HEADER).encode() + text.encode("utf-8", "replace")
        ),
    )
)
def test_no_file_raises_anything_but_one_line(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "arbitrary.csv"
    path.write_bytes(content)
    _refused(read_dataset, path, NO_LIMIT)


# Laptops to be priced


def _write_laptops(tmp_path, ending, table):
    path = tmp_path / f"laptops{ending}"
    if ending.lower() == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("ending", [".csv", ".CSV", ".parquet"])
@pytest.mark.parametrize("names", ["raw", "clean", "upper"])
def test_laptops_may_have_raw_or_clean_names(tmp_path, ending, names):
    table = _text({}, {"brand": "HP"})
    changes = {"raw": dict(zip(BY_NAME, HEADER)), "clean": {}, "upper": str.upper}
    path = _write_laptops(tmp_path, ending, table.rename(columns=changes[names]))
    found, text = read_rows(path, SPECIFICATION)
    assert len(found) == 2
    assert list(text.columns) == [column.name for column in SPECIFICATION]
    pd.testing.assert_frame_equal(text, table[list(text.columns)])


def test_a_typed_table_is_read_like_its_text(tmp_path):
    typed = validate(_text({}, {"brand": "HP", "warranty": "No warranty"}), COLUMNS)[0]
    path = _write_laptops(tmp_path, ".parquet", typed.set_axis([5, 9]))
    _, text = read_rows(path, SPECIFICATION)
    table, failures = validate(text, SPECIFICATION)
    assert failures.empty
    pd.testing.assert_frame_equal(table, typed[list(table.columns)])


def test_parquet_numbers_with_a_gap_are_read_and_the_gap_is_not(tmp_path):
    table = _text({}, {}).assign(ram_gb=[8.0, None])
    _, text = read_rows(_write_laptops(tmp_path, ".parquet", table), SPECIFICATION)
    good, failures = validate(text, SPECIFICATION)
    assert good["ram_gb"].to_dict() == {0: 8}
    assert failures[["row", "column", "value"]].values.tolist() == [[1, "ram_gb", ""]]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_what_the_seller_does_not_know_gets_its_default(tmp_path, ending):
    table = _text({"processor_gnrtn": " "}, {"processor_gnrtn": "12th"}).drop(columns="msoffice")
    _, text = read_rows(_write_laptops(tmp_path, ending, table), SPECIFICATION)
    assert text["processor_gnrtn"].tolist() == ["Not Available", "12th"]
    assert text["msoffice"].tolist() == ["No", "No"]


def test_what_has_no_default_stays_blank(tmp_path):
    path = _write_laptops(tmp_path, ".csv", _text({"brand": ""}, {}))
    _, text = read_rows(path, SPECIFICATION)
    assert text["brand"].tolist() == ["", "ASUS"]


def test_a_default_takes_the_place_of_nothing_but_blanks():
    cells = pd.Series(["", "\t ", "NaN", "?", "12th"])
    filled = fill_default(BY_NAME["processor_gnrtn"], cells)
    assert filled.tolist() == ["Not Available", "Not Available", "NaN", "?", "12th"]


def test_more_columns_do_not_matter_and_are_kept(tmp_path):
    path = _write_laptops(tmp_path, ".csv", _text({}).assign(shelf="A 3"))
    found, text = read_rows(path, SPECIFICATION)
    assert found["shelf"].tolist() == ["A 3"]
    assert "shelf" not in text


def _as(ending, change):
    return lambda folder: _write_laptops(folder, ending, change(_text({})))


def _bytes(name, content):
    def write(folder):
        (folder / name).write_bytes(content)
        return folder / name

    return write


@pytest.mark.parametrize(
    ("make", "finding"),
    [
        pytest.param(lambda f: f / "none.csv", "no such file", id="no csv"),
        pytest.param(lambda f: f / "none.parquet", "no such file", id="no parquet"),
        pytest.param(_bytes("a.xlsx", b"PK"), "found .xlsx; expected .csv or .parquet", id="excel"),
        pytest.param(_bytes("laptops", b""), "found no ending; expected .csv", id="no ending"),
        pytest.param(_bytes("a.csv", b""), "the file is empty", id="empty csv"),
        pytest.param(_bytes("a.csv", b"<html>"), "an HTML page", id="html"),
        pytest.param(_bytes("a.csv", b"brand;ssd\nHP;1\n"), "semicolons", id="semicolons"),
        pytest.param(_bytes("a.csv", b"brand,ssd,brand\n"), "found twice: brand", id="doubled"),
        pytest.param(_bytes("a.csv", b"brand\nHP,1\n"), "line 2 has 2 cells", id="ragged"),
        pytest.param(_bytes("a.csv", b"brand\n\xe9\n"), "expected UTF-8", id="latin-1"),
        pytest.param(_bytes("a.parquet", b""), "not readable as Parquet", id="empty parquet"),
        pytest.param(_bytes("a.parquet", b"brand\nHP\n"), "not readable as Parquet", id="a csv"),
        pytest.param(_bytes("a.parquet", b"PAR1PAR1"), "not readable as Parquet", id="cut off"),
        pytest.param(_as(".csv", lambda t: t[:0]), "no rows", id="csv without rows"),
        pytest.param(_as(".parquet", lambda t: t[:0]), "no rows", id="parquet without rows"),
        pytest.param(
            _as(".csv", lambda t: t.drop(columns="brand")), "column missing: brand (", id="missing"
        ),
        pytest.param(
            _as(".parquet", lambda t: t.drop(columns="ssd")), "column missing: ssd (", id="no ssd"
        ),
    ],
)
def test_laptops_that_cannot_be_read_are_one_line(tmp_path, make, finding):
    assert finding in _refused(read_rows, make(tmp_path), SPECIFICATION)


def test_one_column_under_two_names_is_not_chosen_between(tmp_path):
    table = _text({"touchscreen": "No"}).assign(Touchscreen="Yes")
    path = _write_laptops(tmp_path, ".csv", table)
    assert "ouchscreen" in _refused(read_rows, path, SPECIFICATION)


def test_lists_in_a_parquet_column_are_rejected_like_any_other_value(tmp_path):
    table = _text({}).assign(brand=[["HP", "ASUS"]])
    _, text = read_rows(_write_laptops(tmp_path, ".parquet", table), SPECIFICATION)
    assert validate(text, SPECIFICATION)[1]["column"].tolist() == ["brand"]
