"""What a column is: its kind, its range, its order; and what is left out, with the reason."""

import numpy as np
import pandas as pd
import pytest

from laptop_pricing.kit.adopt import survey as survey_module
from laptop_pricing.kit.adopt.look import identifier, look
from laptop_pricing.kit.adopt.survey import survey

ROWS = 120
RANDOM = np.random.default_rng(0)


def found(cells, name="it", target=""):
    """What is found out about one column."""
    table = pd.DataFrame({name: pd.Series(cells, dtype=object).astype(str)})
    (finding,) = look(survey([table])[0], (), target)
    return finding


def drawn(*words):
    """Each word at least once, in a random order."""
    return [*words, *RANDOM.choice(np.array(words, object), ROWS - len(words))]


def column(cells, **more):
    finding = found(cells, **more)
    assert finding.decision == "feature", finding
    return finding.column


def test_kinds():
    assert column(drawn("yes", "No", "NO")).kind == "flag"
    assert column(drawn("TRUE", "false")).kind == "flag"
    assert column(drawn("a", "b")).kind == "category"
    assert column(drawn("1", "2", "30")).kind == "integer"
    assert column(drawn("1", "2.5", "-.5", "1e3")).kind == "number"
    assert column(drawn("0", "1")).kind == "integer"


def test_what_is_too_large_is_no_number():
    assert column(drawn("1e400", "-1e300", "1")).kind == "category"
    assert column(drawn("12345678901234567890", "7", "12")).kind == "number"
    assert column(["5e-324", "1e-323", "2e-323"]).kind == "number"


def test_words_that_differ_in_case_alone_are_one_spelled_as_most_often():
    cells = ["Red"] * 50 + ["red"] * 49 + ["RED ", " blue"]
    assert column(cells).allowed == ("Red", "blue")


def test_blank_cells_and_words_for_nothing_are_a_level():
    for nothing in ("", "N/A", "-", "unknown", "nan", " ? "):
        finding = found([*drawn("1", "2"), nothing])
        assert finding.column.unknown and "0.8% blank" in finding.why, nothing
    assert not column(drawn("1", "2")).unknown


def test_a_range_has_some_room_but_keeps_its_sign():
    size = column(["0", "100", "37"])
    assert (size.low, size.high) == (0, 110)
    debt = column(["-100", "0", "-37"])
    assert (debt.low, debt.high) == (-110, 0)


ORDERED = {
    "numbered": (("2. HS", "10. PhD", "1. < HS"), ("1. < HS", "2. HS", "10. PhD")),
    "of quality": (("Good", "Very Good", "Fair"), ("Fair", "Good", "Very Good")),
    "of size": (("L", "S", "M", "XL"), ("S", "M", "L", "XL")),
}


@pytest.mark.parametrize("words, order", ORDERED.values(), ids=ORDERED)
def test_ordinal_words_get_their_order(words, order):
    category = column(drawn(*words))
    assert category.allowed == order and category.ladders == (order,)


def test_an_order_that_is_not_plain_is_asked_for():
    finding = found(drawn("Fair", "Good", "Very Good", "Premium", "Ideal"))
    assert not finding.column.ladders
    assert "Fair, Good, Very Good have an order: where do the others belong?" in finding.check
    assert not found(drawn("red", "green", "blue")).check


TEXTS = [f"text {n}" for n in range(60)]
# fmt: off
LEFT_OUT = {
    "one value": (["x"] * 60, "one value in every row"),
    "no value": (["", "n/a"] * 30, "no values"),
    "a date": ([f"2024-01-{d:02}" for d in range(1, 29)], "a date"),
    "another date": ([f"{d}/12/24 10:30" for d in range(1, 29)], "a date"),
    "free text": (TEXTS, "60 different texts in 60 rows: an id or free text"),
    "many words": ([f"word {n % 51}" for n in range(600)], "51 different words"),
    "an id": (RANDOM.permutation(60) + 1000, "a number of its own in every row"),
}
# fmt: on


@pytest.mark.parametrize("cells, why", LEFT_OUT.values(), ids=LEFT_OUT)
def test_it_is_left_out_for_a_reason(cells, why):
    finding = found(cells)
    assert (finding.decision, finding.column, finding.why) == ("left out", None, why)


def test_an_id_is_told_by_its_name_but_a_target_never_is_one():
    numbers = RANDOM.choice(10**9, 60, replace=False)
    assert found(numbers, "customer_id").decision == "left out"
    assert found(numbers, "income").decision == "feature"
    assert found(range(60), "income", target="income").decision == "feature"


NAMES = {
    "CompPrice": "comp_price",
    "Grad.Rate": "grad_rate",
    "class": "class_",
    "2nd floor": "n_2nd_floor",
    "Área": "rea",
    "価格": "column",
    "group": "group2",
}


@pytest.mark.parametrize("raw_name, name", NAMES.items())
def test_names_become_identifiers(raw_name, name):
    assert identifier(raw_name, ["group"]) == name


def test_names_that_would_be_alike_are_told_apart():
    table = pd.DataFrame([["1", "2", "3"]], columns=["a b", "A_B", "a.b"])
    findings = look(survey([table])[0], (), "a b")
    names = [identifier(f.raw_name, ()) for f in findings]
    assert names == ["a_b"] * 3
    taken = []
    for raw_name in table:
        taken.append(identifier(raw_name, taken))
    assert taken == ["a_b", "a_b2", "a_b3"]


def test_counts_are_exact_over_blocks_and_the_sample_is_bounded(monkeypatch):
    monkeypatch.setattr(survey_module, "SAMPLE_ROWS", 40)
    monkeypatch.setattr(survey_module, "_MOST_WORDS", 30)
    table = pd.DataFrame({"n": range(100), "w": ["a", "b", "", "a "] * 25}).astype(str)
    blocks = [table[:33].copy(), table[33:80].copy(), table[80:].copy()]
    tallies, sample = survey(blocks)
    assert (tallies["n"].low, tallies["n"].high, tallies["n"].known) == (0, 99, 100)
    assert tallies["n"].more and len(tallies["n"].words) == 30
    assert tallies["w"].words == {"a": 50, "b": 25} and tallies["w"].blank == 25
    assert len(sample) == 40 and sample.index.is_monotonic_increasing
    pd.testing.assert_frame_equal(sample, table.loc[sample.index])
    words = survey([table[["w"]][:4].copy(), table[["w"]][2:3].copy()])[0]["w"]
    assert not words.numeric  # nor does a block without any word change that
    whole, same = survey([table.copy()])
    assert whole == tallies and same.equals(sample)
