"""The target: numbers or classes, in which order, and when a person is asked."""

from pathlib import Path

import pandas as pd
import pytest

from laptop_pricing.kit.adopt.look import look
from laptop_pricing.kit.adopt.survey import survey
from laptop_pricing.kit.adopt.target import as_target
from laptop_pricing.kit.errors import UserError


def never(question, likely):
    raise AssertionError(f"asked: {question}")


def target(counts, classes=None, ask=never):
    """What is found out about a target of which each word is there so many times."""
    cells = [word for word, count in counts.items() for _ in range(count)]
    tallies, _ = survey([pd.DataFrame({"it": pd.Series(cells, dtype=object).astype(str)})])
    (finding,) = look(tallies, (), "it")
    finding, note = as_target(Path("t.csv"), finding, tallies["it"], classes, ask)
    assert finding.decision == "target" and finding.raw_name == "it"
    return finding.column, note


EIGHT = {str(n): 20 for n in range(8)}
# fmt: off
CLASSES = {  # the words with their counts, whether the user says so; the classes in order
    "yes and no": ({"yes": 30, "No": 40}, None, ("No", "Yes")),
    "two codes": ({"1": 60, "0": 20}, None, ("0", "1")),
    "two numbers": ({"0.5": 30, "1.5": 30}, None, ("0.5", "1.5")),
    "words": ({"b": 30, "a": 30, "c": 30}, None, ("a", "b", "c")),
    "words in their order": ({"Good": 30, "Fair": 20, "Very Good": 20}, None,
                             ("Fair", "Good", "Very Good")),
    "of two words the rarer one last": ({"bad": 20, "good": 40}, None, ("good", "bad")),
    "eight numbers, as was said": (EIGHT, True, tuple(EIGHT)),
    "ten is more than nine": ({"10": 30, "9": 30, "1": 30}, True, ("1", "9", "10")),
}
NUMBERS = {
    "decimals": ({"0.5": 30, "1.5": 30, "2.5": 30}, None),
    "eleven whole numbers": ({str(n): 6 for n in range(11)}, None),
    "two codes, as was said": ({"0": 30, "1": 30}, False),
}
# fmt: on


@pytest.mark.parametrize("counts, said, allowed", CLASSES.values(), ids=CLASSES)
def test_classes_and_their_order(counts, said, allowed):
    column, note = target(counts, said)
    assert (("No", "Yes") if column.kind == "flag" else column.allowed) == allowed
    assert not column.numeric and not column.unknown
    told = "it has 2 different values" in note and note.endswith("add --numbers if they are not")
    assert told == (said is None and allowed[0][0] in "01") and told == bool(note)


@pytest.mark.parametrize("counts, said", NUMBERS.values(), ids=NUMBERS)
def test_numbers(counts, said):
    column, note = target(counts, said)
    assert column.numeric and note == ""


@pytest.mark.parametrize("counts, likely", [({"0": 30, "1": 30, "2": 30}, True), (EIGHT, False)])
@pytest.mark.parametrize("answer", [True, False])
def test_of_a_few_whole_numbers_a_person_is_asked_and_the_answer_is_taken(counts, likely, answer):
    asked = []

    def ask(question, as_likely):
        asked.append((question, as_likely))
        return answer

    column, note = target(counts, None, ask)
    ((question, as_likely),) = asked
    assert f"it has {len(counts)} different values (0, 1, 2" in question and as_likely == likely
    assert column.numeric != answer
    taken = "taken as classes; add --numbers" if answer else "taken as amounts; add --classes"
    assert f"{taken} if they are not" in note


# fmt: off
BAD = {
    "one class": ({"yes": 60}, None, "found one value in every row; expected numbers or two"),
    "50 classes": ({f"w{n}": 12 for n in range(50)}, None, "found 50 classes; expected 2 to 20"),
    "a rare class": ({"a": 60, "b": 9}, None, "found 9 rows of class b; expected 10 or more"),
    "case alone": ({"Pass": 60, "pass": 60, "fail": 60}, None, "classes Pass and pass, which"),
    "words as numbers": ({"a": 60, "b": 60}, False, "found category, such as a; expected numbers"),
    "few rows": ({"a": 20, "b": 20}, None, "found 40 rows with it; expected 50 or more"),
}
# fmt: on


@pytest.mark.parametrize("counts, said, told", BAD.values(), ids=BAD)
def test_what_cannot_be_predicted_is_refused_in_one_line(counts, said, told):
    with pytest.raises(UserError) as error:
        target(counts, said)
    assert told in str(error.value) and "\n" not in str(error.value)
