"""One way to a price, for files and for single laptops."""

import csv
import math
import re

import pandas as pd
import pytest

from laptop_pricing.data.schema import COLUMNS, FEATURES, SPECIFICATION
from laptop_pricing.errors import UserError
from laptop_pricing.modeling.bundle import load_bundle
from laptop_pricing.modeling.predict import PREDICTION, predict, predict_file
from laptop_pricing.modeling.quote import quote
from laptop_pricing.modeling.train import read_processed

ROWS = 12
RAW_NAMES = {column.name: column.raw_name for column in SPECIFICATION}

CELLS = {
    "brand": "dell",
    "processor_brand": "INTEL",
    "processor_name": "core i5",
    "ram_gb": "8 GB",
    "ram_type": "ddr4",
    "ssd": "512",
    "hdd": "0",
    "os": "Windows",
    "os_bit": "64-bit",
    "graphic_card_gb": "0 gb",
    "weight": "casual",
    "warranty": "1 year",
    "touchscreen": "no",
}


PRICES = [PREDICTION, "price_low", "price_high"]


@pytest.fixture(scope="module")
def table(trained):
    """The clean table's first rows and what the model makes of them."""
    table = read_processed(trained)[0].head(ROWS)
    prices = predict(load_bundle(trained.models), table)
    return (
        table[list(FEATURES)].reset_index(drop=True).assign(expected=prices[PREDICTION].to_numpy())
    )


@pytest.fixture(scope="module")
def models(trained):
    return trained.models


def _raw(table):
    """The rows under the raw file's names and in its spelling."""
    return pd.DataFrame({c.raw_name: table[c.name].map(c.spell) for c in SPECIFICATION})


def _write(frame, path):
    frame.to_csv(path, index=False, quoting=1) if path.suffix == ".csv" else frame.to_parquet(path)
    return path


def _mixed(table):
    """Names and cells in any case, spaces around them, columns in another order."""
    raw = _raw(table)
    raw = raw.apply(
        lambda cells: [f" {c.swapcase() if i % 2 else c} " for i, c in enumerate(cells)]
    )
    raw.columns = [f" {name.swapcase()} " for name in raw.columns]
    return raw[raw.columns[::-1]]


SPELLINGS = {
    "clean": lambda table: table[list(FEATURES)],
    "clean text": lambda table: table[list(FEATURES)].astype(str),
    "raw": _raw,
    "mixed case": _mixed,
}


@pytest.mark.parametrize("target", ["out.csv", "out.parquet", "OUT.CSV"])
@pytest.mark.parametrize("source", ["in.csv", "in.parquet"])
@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_each_spelling_and_format_gives_the_same_prices(
    models, table, tmp_path, spell, source, target
):
    given = spell(table)
    source = _write(given, tmp_path / source)
    prices, _ = predict_file(models, source, tmp_path / target)
    assert list(prices[PREDICTION]) == pytest.approx(list(table["expected"]), rel=1e-12)
    assert (prices["price_low"] < prices[PREDICTION]).all()
    assert (prices[PREDICTION] < prices["price_high"]).all()
    path = tmp_path / target
    written = pd.read_csv(path) if target.lower().endswith(".csv") else pd.read_parquet(path)
    assert [c.strip() for c in written] == [c.strip() for c in given] + PRICES
    for name in PRICES:
        assert list(written[name]) == list(prices[name].round(2))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([source.name, target])


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_extra_columns_are_kept_as_they_are(models, table, tmp_path, ending):
    extra = {"id": [f"00{i}" for i in range(ROWS)], "Preço pago": "1,234.50", "price": "n/a"}
    source = _write(_raw(table).assign(**extra), tmp_path / f"in{ending}")
    predict_file(models, source, tmp_path / "out.parquet")
    written = pd.read_parquet(tmp_path / "out.parquet")
    for name in extra:
        assert list(written[name]) == list(pd.DataFrame(extra)[name])
    pd.testing.assert_frame_equal(written[list(_raw(table))], _raw(table))
    assert list(written[PREDICTION]) == list(table["expected"].round(2))


FORMULAS = ["=1+1", "+1+1", "-2+3", "@SUM(A1)", "\t=1+1", "\r=1+1", "-", "+", "-5 A1", "=", "＝1"]
HARMLESS = ["-5", "+3", "-1.5E-3", "-1,5", "a=b", "a\r=1", "", "dell@home", "1-2", " -5"]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_no_cell_of_a_priced_csv_is_a_formula(models, table, tmp_path, ending):
    rows = pd.concat([_raw(table)] * 2, ignore_index=True).head(len(FORMULAS + HARMLESS))
    rows["=note"] = FORMULAS + HARMLESS
    rows["number"] = -5
    predict_file(models, _write(rows, tmp_path / f"in{ending}"), tmp_path / "out.csv")
    with open(tmp_path / "out.csv", encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file))
    found = [row["'=note"] for row in written]
    assert found == [f"'{cell}" for cell in FORMULAS] + HARMLESS
    assert {row["number"] for row in written} == {"-5"}


def test_a_prediction_that_is_there_already_is_replaced(models, table, tmp_path):
    source = _write(table[list(FEATURES)].assign(**{PREDICTION: 0}), tmp_path / "in.csv")
    predict_file(models, source, tmp_path / "out.csv")
    written = pd.read_csv(tmp_path / "out.csv")
    assert list(written).count(PREDICTION) == 1
    assert list(written[PREDICTION]) == list(table["expected"].round(2))


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("column", SPECIFICATION, ids=lambda column: column.name)
def test_a_missing_column_is_filled_only_where_there_is_a_default(
    models, table, tmp_path, column, ending
):
    source = _write(table[list(FEATURES)].drop(columns=column.name), tmp_path / f"in{ending}")
    target = tmp_path / "out.parquet"
    if column.default is None:
        with pytest.raises(UserError, match=f"column missing: {column.name} ") as caught:
            predict_file(models, source, target)
        assert column.rule in str(caught.value) and not target.exists()
    else:
        prices, _ = predict_file(models, source, target)
        filled = table[list(FEATURES)].assign(**{column.name: column.default})
        expected = predict(load_bundle(models), filled)
        pd.testing.assert_frame_equal(prices, expected, rtol=1e-12)


def test_a_blank_cell_is_filled_only_where_there_is_a_default(models, table, tmp_path):
    raw = _raw(table)
    raw.loc[3, "msoffice"] = raw.loc[3, "processor_gnrtn"] = " "
    prices, _ = predict_file(models, _write(raw, tmp_path / "in.csv"), tmp_path / "out.csv")
    filled = table[list(FEATURES)].copy()
    filled.loc[3, "msoffice"], filled.loc[3, "processor_gnrtn"] = False, "Not Available"
    expected = predict(load_bundle(models), filled)
    pd.testing.assert_frame_equal(prices, expected, rtol=1e-12)

    raw.loc[3, "ram_gb"] = ""
    with pytest.raises(UserError, match="row 3: ram_gb: found ''"):
        predict_file(models, _write(raw, tmp_path / "in.csv"), tmp_path / "out.csv")


BAD_CELLS = {
    "unknown brand": ("brand", "Toshiba"),
    "brand of no text": ("brand", "0"),
    "unknown processor": ("processor_name", "Core i11"),
    "other system": ("os", "Linux"),
    "nothing where something must be": ("ram_type", ""),
    "words for a number": ("ram_gb", "eight"),
    "negative": ("ram_gb", "-8 GB"),
    "no memory": ("ram_gb", "0 GB"),
    "too much": ("ram_gb", "1024 GB"),
    "half": ("ram_gb", "8.5 GB"),
    "another unit": ("ssd", "1 TB"),
    "not a number": ("hdd", "nan"),
    "infinite": ("hdd", "inf"),
    "huge": ("hdd", "9" * 40),
    "words for yes": ("touchscreen", "maybe"),
    "number for yes": ("msoffice", "1"),
    "too long a warranty": ("warranty", "10 years"),
}


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("column, value", BAD_CELLS.values(), ids=BAD_CELLS)
def test_a_bad_row_is_named_and_nothing_is_written(models, table, tmp_path, column, value, ending):
    raw = _raw(table)
    raw.loc[7, RAW_NAMES[column]] = value
    source = _write(raw, tmp_path / f"in{ending}")
    target = tmp_path / "out.csv"
    target.write_text("as it was", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        predict_file(models, source, target)
    rule = next(c.rule for c in SPECIFICATION if c.name == column)
    message = str(caught.value)
    assert message.startswith(f"{source}: row 7: {column}: found {value!r}; expected {rule}")
    assert "\n" not in message
    assert target.read_text(encoding="utf-8") == "as it was"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([source.name, "out.csv"])


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"ssd": "0", "hdd": "0"}, "the laptop has an SSD or an HDD"),
        ({"brand": "APPLE", "os": "Windows"}, "an APPLE runs Mac"),
    ],
)
def test_a_laptop_that_cannot_be_is_refused(models, table, tmp_path, changes, said):
    raw = _raw(table)
    for name, value in changes.items():
        raw.loc[7, name] = value
    source = _write(raw, tmp_path / "in.csv")
    with pytest.raises(UserError, match=f"row 7: expected that {said}"):
        predict_file(models, source, tmp_path / "out.csv")
    with pytest.raises(UserError, match=f"expected that {said}"):
        quote(models, CELLS | changes)
    assert not (tmp_path / "out.csv").exists()


def test_the_header_again_is_named_as_such(models, table, tmp_path):
    raw = _raw(table)
    raw.loc[3] = list(raw)
    with pytest.raises(UserError, match="row 3: expected that it is not the header again"):
        predict_file(models, _write(raw, tmp_path / "in.csv"), tmp_path / "out.csv")


def test_many_bad_cells_are_counted(models, table, tmp_path):
    raw = _raw(table).assign(ram_type="DDR9")
    with pytest.raises(UserError, match=rf"row 0 \({ROWS} such cells in all\): ram_type"):
        predict_file(models, _write(raw, tmp_path / "in.csv"), tmp_path / "out.csv")


def _content(make):
    return lambda path, table: path.write_bytes(make(table))


BAD_FILES = {
    "no file": ("in.csv", lambda path, table: None, "no such file"),
    "no parquet file": ("in.parquet", lambda path, table: None, "no such file"),
    "a folder": ("in.csv", lambda path, table: path.mkdir(), "found a folder"),
    "a folder as parquet": ("in.parquet", lambda path, table: path.mkdir(), ""),
    "empty": ("in.csv", _content(lambda t: b""), "the file is empty"),
    "empty parquet": ("in.parquet", _content(lambda t: b""), "not readable as Parquet"),
    "corrupt parquet": ("in.parquet", _content(lambda t: b"PAR1" * 99), "not readable as Parquet"),
    "a CSV called parquet": (
        "in.parquet",
        _content(lambda t: _raw(t).to_csv().encode()),
        "not readable as Parquet",
    ),
    "header alone": (
        "in.csv",
        _content(lambda t: _raw(t).head(0).to_csv(index=False).encode()),
        "no rows",
    ),
    "no rows in parquet": (
        "in.parquet",
        lambda path, table: _raw(table).head(0).to_parquet(path),
        "no rows",
    ),
    "semicolons": (
        "in.csv",
        _content(lambda t: _raw(t).to_csv(index=False, sep=";").encode()),
        "separated by semicolons",
    ),
    "an HTML page": ("in.csv", _content(lambda t: b"<html></html>"), "found an HTML page"),
    "another encoding": (
        "in.csv",
        _content(lambda t: _raw(t).assign(Nota="preço").to_csv(index=False).encode("latin-1")),
        "expected UTF-8",
    ),
    "a parquet file called CSV": (
        "in.csv",
        lambda path, table: path.write_bytes(_raw(table).to_parquet()),
        "expected UTF-8",
    ),
    "a column twice": (
        "in.csv",
        _content(lambda t: pd.concat([_raw(t), _raw(t)[["os"]]], axis=1).to_csv().encode()),
        "column found twice: os",
    ),
    "a raw and a clean column": (
        "in.csv",
        _content(lambda t: _raw(t).assign(touchscreen="Yes").to_csv(index=False).encode()),
        "ouchscreen",
    ),
    "unknown ending": ("in.xlsx", _content(lambda t: b"x"), "found .xlsx; expected .csv or .parq"),
    "no ending": ("in", _content(lambda t: b"x"), "found no ending; expected .csv or .parquet"),
}


@pytest.mark.parametrize("name, make, said", BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_one_line_and_nothing_is_written(models, table, tmp_path, name, make, said):
    source, target = tmp_path / name, tmp_path / "out.csv"
    make(source, table)
    target.write_text("as it was", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        predict_file(models, source, target)
    message = str(caught.value)
    assert message.startswith(f"{source}: ") and said in message and "\n" not in message
    assert target.read_text(encoding="utf-8") == "as it was"


@pytest.mark.parametrize("target", ["out.xlsx", "out", "out.csv.gz"])
def test_an_unknown_ending_of_the_output_is_refused(models, table, tmp_path, target):
    source = _write(_raw(table), tmp_path / "in.csv")
    with pytest.raises(UserError, match="expected .csv or .parquet"):
        predict_file(models, source, tmp_path / target)
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("other_way", ["the same", "by a detour", "by a link", "by a hard link"])
def test_the_input_is_never_the_output(models, table, tmp_path, other_way):
    source = _write(_raw(table), tmp_path / "in.csv")
    before = source.read_bytes()
    target = source
    if other_way == "by a detour":
        (tmp_path / "folder").mkdir()
        target = tmp_path / "folder" / ".." / "in.csv"
    elif other_way == "by a link":
        target = tmp_path / "link.csv"
        target.symlink_to(source)
    elif other_way == "by a hard link":
        target = tmp_path / "link.csv"
        target.hardlink_to(source)
        predict_file(models, source, target)  # Replaces the name, not the file.
        assert source.read_bytes() == before
        return
    with pytest.raises(UserError, match="input and output are the same file"):
        predict_file(models, source, target)
    assert source.read_bytes() == before


def test_without_a_model_there_is_one_line(table, tmp_path):
    source = _write(_raw(table), tmp_path / "in.csv")
    with pytest.raises(UserError, match="metadata.json: no such file; run .* run"):
        predict_file(tmp_path / "models", source, tmp_path / "out.csv")
    with pytest.raises(UserError, match="metadata.json: no such file; run .* run"):
        quote(tmp_path / "models", CELLS)


def test_a_file_is_priced_as_its_laptops_one_by_one(models, table, tmp_path):
    prices, _ = predict_file(
        models, _write(table[list(FEATURES)], tmp_path / "in.csv"), tmp_path / "out.csv"
    )
    for row, line in zip(_raw(table).to_dict("records"), prices.itertuples(index=False)):
        cells = {column.name: row[column.raw_name] for column in SPECIFICATION}
        found = quote(models, cells)
        assert (found.price, found.low, found.high) == pytest.approx(line, rel=1e-9)


def test_quote_takes_what_a_person_types(models):
    found = quote(models, CELLS)
    assert 500 < found.low < found.price < found.high < 60_000 and found.warnings == []
    plain = {name: re.sub(" (GB|gb|year)$", "", cell).upper() for name, cell in CELLS.items()}
    said = CELLS | {"processor_gnrtn": "Not Available", "msoffice": "No"}
    blank = CELLS | {"processor_gnrtn": " ", "msoffice": ""}
    for cells in (plain, said, blank):
        assert quote(models, cells).price == found.price
    assert quote(models, CELLS | {"msoffice": "yes"}).price != found.price


def test_a_quote_says_why(models):
    found = quote(models, CELLS)
    assert tuple(found.factors) == FEATURES
    assert found.base * math.prod(found.factors.values()) == pytest.approx(found.price, rel=1e-9)
    assert found.offers is None


def test_a_quote_with_a_margin_has_offers(models):
    found = quote(models, CELLS, margin=0.2)
    amounts = [line.offer for line in found.offers]
    assert len(amounts) > 1 and amounts == sorted(amounts) and amounts[-1] < found.price
    (one,) = quote(models, CELLS, margin=0.2, risk=0.1).offers
    assert one in found.offers and one.risk == 0.1


def test_a_long_table_is_priced_like_its_parts(models, table, monkeypatch):
    bundle = load_bundle(models)
    whole = predict(bundle, table[list(FEATURES)])
    monkeypatch.setattr("laptop_pricing.modeling.compiled._BLOCK", 3)
    pd.testing.assert_frame_equal(predict(bundle, table[list(FEATURES)]), whole, rtol=1e-12)


@pytest.mark.parametrize(
    "column", [c for c in SPECIFICATION if c.kind == "category"], ids=lambda column: column.name
)
def test_defect_4_each_category_is_priced_as_itself(models, table, tmp_path, column):
    base = {"brand": "APPLE", "os": "Mac"} if column.name == "brand" else {"brand": "DELL"}
    first = table[list(FEATURES)].iloc[0].to_dict() | {"os": "Windows"} | base
    laptops = pd.DataFrame([first | {column.name: value} for value in column.allowed])
    source = _write(_raw(laptops), tmp_path / "in.csv")
    prices, _ = predict_file(models, source, tmp_path / "out.csv")
    expected = predict(load_bundle(models), laptops)
    pd.testing.assert_frame_equal(prices, expected, rtol=1e-12)
    seen = set(table[column.name])
    assert prices.loc[laptops[column.name].isin(seen), PREDICTION].is_unique


@pytest.mark.parametrize("column, value", BAD_CELLS.values(), ids=BAD_CELLS)
def test_quote_names_the_field(models, column, value):
    rule = next(c.rule for c in SPECIFICATION if c.name == column)
    with pytest.raises(UserError) as caught:
        quote(models, CELLS | {column: value})
    assert str(caught.value) == f"{column}: found {value!r}; expected {rule}"


@pytest.mark.parametrize("column", [c.name for c in SPECIFICATION if c.default is None])
def test_quote_asks_for_what_has_no_default(models, column):
    cells = {name: cell for name, cell in CELLS.items() if name != column}
    with pytest.raises(UserError, match=f"^{column}: found nothing; expected "):
        quote(models, cells)


def test_quote_names_all_bad_fields_in_one_line(models):
    bad = dict(BAD_CELLS[name] for name in ("unknown brand", "too much", "words for yes"))
    with pytest.raises(UserError) as caught:
        quote(models, CELLS | bad)
    message = str(caught.value)
    assert "\n" not in message and message.count("; expected ") == len(bad)
    for name, value in bad.items():
        assert f"{name}: found {value!r}; expected " in message


CONTRADICTIONS = {
    "Ryzen 7 with 4 GB": (
        {"processor_brand": "AMD", "processor_name": "Ryzen 7", "ram_gb": "4"},
        "Ryzen 7 or 9 with 4 GB of RAM or less",
    ),
    "M1 with DDR4": (
        {"brand": "APPLE", "os": "Mac", "processor_brand": "M1", "processor_name": "M1"},
        "M1 with DDR memory or an Intel generation",
    ),
    "32-bit with 8 GB": ({"os_bit": "32-bit"}, "32-bit system with more than 4 GB of RAM"),
    "AMD's Core": ({"processor_brand": "AMD"}, "processor of another maker than it says"),
}


@pytest.mark.parametrize("changes, said", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_contradiction_is_priced_with_a_warning(models, tmp_path, changes, said):
    found = quote(models, CELLS | changes)
    assert found.price > 0 and found.warnings == [said]
    laptops = pd.DataFrame([CELLS, CELLS | changes, CELLS])
    source = _write(laptops, tmp_path / "in.csv")
    prices, warnings = predict_file(models, source, tmp_path / "out.csv")
    assert warnings == [f"{said} (1 of 3 rows)"]
    assert prices.loc[1, PREDICTION] == pytest.approx(found.price, rel=1e-9)


def test_columns_not_known_before_the_sale_are_not_asked_for(models, table, tmp_path):
    raw = _raw(table)
    late = [c.raw_name for c in COLUMNS if c not in SPECIFICATION]
    assert not set(late) & set(raw)
    plain, _ = predict_file(models, _write(raw, tmp_path / "a.csv"), tmp_path / "out.csv")
    raw = raw.assign(**dict.fromkeys(late, "not a number"))
    again, _ = predict_file(models, _write(raw, tmp_path / "b.csv"), tmp_path / "out.csv")
    pd.testing.assert_frame_equal(again, plain)
