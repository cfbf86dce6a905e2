"""What a table's columns are: kinds, ranges, order; what is left out, and why."""

import keyword
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Optional

from ..problem import Column, category, flag, integer, number
from .survey import Tally

MOST_WORDS = 50  # of a category
MOST_LEVELS = 12  # of a number: with more, the model learns its knots from the training data
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}([T ].*)?"
    r"|\d{1,2} [A-Za-z]{3,9} \d{4}|[A-Za-z]{3,9} \d{1,2}, \d{4}"
)
_ID = re.compile(r"(^|_)(id|ids|uuid|guid|key|index|idx|row|rownames|no|nr)$", re.IGNORECASE)
_SCALES = (
    "very poor,poor,fair,average,good,very good,excellent",
    "very low,low,medium,high,very high",
    "very bad,bad,medium,good,very good",
    "xs,s,m,l,xl,xxl",
    "tiny,small,medium,large,huge",
    "never,rarely,sometimes,often,always",
    "none,primary,secondary,tertiary",
    "beginner,intermediate,advanced",
)
_FLAGS = {frozenset(pair) for pair in (("yes", "no"), ("true", "false"))}


class Finding(NamedTuple):
    """A column of the file, and what was decided about it."""

    raw_name: str
    decision: str  # target, feature, late or left out
    column: Optional[Column]
    why: str
    check: str = ""  # what a person should look at

    @property
    def kind(self) -> str:
        return self.column.kind if self.column else ""


def identifier(raw_name: str, taken: Sequence[str] = ()) -> str:
    """A raw name as one that Python and the command line take, and that nobody has yet."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", raw_name)
    name = re.sub(r"\W+", "_", spaced, flags=re.ASCII).strip("_").lower() or "column"
    name = f"n_{name}" if name[0].isdigit() else name
    name = f"{name}_" if keyword.iskeyword(name) else name
    count = 2
    while name in taken:
        name, count = f"{name.rstrip('0123456789')}{count}", count + 1
    return name


def look(tallies: Mapping[str, Tally], reserved: Sequence[str], target: str) -> list[Finding]:
    """What each column is; none is called ``late`` or the target yet."""
    findings: list[Finding] = []
    taken = list(reserved)
    for raw_name, tally in tallies.items():
        name = identifier(raw_name, taken)
        taken.append(name)
        findings.append(_look(raw_name, name, tally, raw_name == target))
    return findings


def _look(raw_name: str, name: str, tally: Tally, is_target: bool) -> Finding:
    words = tally.words
    more = {"raw_name": raw_name, "unknown": tally.blank > 0}
    said = f"{tally.blank_share:.1%} blank: unknown is a level" if tally.blank else ""

    def out(why: str, check: str = "") -> Finding:
        return Finding(raw_name, "left out", None, why, check)

    if len(words) < 2:
        return out("one value in every row" if len(words) else "no values")
    title = re.sub(r"[_\W]+", " ", re.sub(r"([a-z])([A-Z])", r"\1 \2", raw_name)).strip()
    title = title[:1].upper() + title[1:] if title else name
    if tally.numeric:
        if _counts_rows(raw_name, tally) and not is_target:
            return out("a number of its own in every row", "if it means something, take it in")
        return Finding(raw_name, "feature", *_number(name, title, tally, said, more))
    if sum(map(bool, map(_DATE.fullmatch, words))) >= 0.95 * len(words):
        return out("a date", "add columns such as year or month, if they matter")
    if {word.casefold() for word in words} in _FLAGS:
        return Finding(raw_name, "feature", flag(name, title, **more), said or "yes or no")
    spellings: dict[str, str] = {}  # of words that differ in case alone, the most frequent one
    for word, _ in words.most_common():
        spellings.setdefault(" ".join(word.split()).casefold(), word)
    allowed = sorted(spellings.values())
    if len(allowed) > max(2, 0.5 * tally.known):
        return out(f"{len(allowed)} different texts in {tally.known} rows: an id or free text")
    if len(allowed) > MOST_WORDS:
        count = f"{len(allowed):,}{' or more' if tally.more else ''} different words"
        return out(count, f"group them into {MOST_WORDS} or fewer")
    ladder, check = _order(allowed)
    ladders = {"ladders": (ladder,), "monotonic": False} if ladder else {}
    column = category(name, title, ladder or allowed, **ladders, **more)
    why = f"{len(allowed)} words{', in their order' if ladder else ''}"
    return Finding(raw_name, "feature", column, "; ".join(filter(None, (why, said))), check)


def _counts_rows(raw_name: str, tally: Tally) -> bool:
    """Whether a column is an id: a whole number of its own in every row."""
    distinct = tally.more or len(tally.words) == tally.known
    if not tally.whole or not distinct or tally.known < 20:
        return False
    return bool(_ID.search(raw_name)) or tally.high - tally.low + 1 <= 1.05 * tally.known


def _number(
    name: str, title: str, tally: Tally, said: str, more: dict[str, Any]
) -> tuple[Column, str, str]:
    """A number's range is that of the data, and a tenth more where that keeps its sign."""
    low, high = tally.low, tally.high
    whole = tally.whole and max(-low, high) < 2**53  # larger ones are not exact as floats
    values = sorted(set(map(float, tally.words)))
    room = max((high - low) / 10, 1e-300)
    step = 10.0 ** math.floor(math.log10(room))
    ends = [_rounded(low - room, step, math.floor), _rounded(high + room, step, math.ceil)]
    ends[0] = max(ends[0], 0.0) if low >= 0 else ends[0]
    ends[1] = min(ends[1], 0.0) if high <= 0 else ends[1]
    make: Any = integer if whole else number
    kind: Any = int if whole else float
    few = map(kind, values) if len(values) <= MOST_LEVELS else ()
    column = make(name, title, "", *map(kind, ends), levels=tuple(few), monotonic=False, **more)
    why = f"{'whole numbers' if whole else 'numbers'} from {low:g} to {high:g}"
    check = f"{len(values)} different: a code?" if whole and len(values) <= 5 else ""
    return column, "; ".join(filter(None, (why, said))), check


def _rounded(value: float, step: float, way: Callable[[float], float]) -> float:
    """Away from the data, to a round step."""
    return float(f"{way(value / step) * step:.6g}")


def _order(allowed: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """The words from least to most where that is plain; else what to ask."""
    numbered = {word: match[1] for word in allowed if (match := re.match(r"(\d+)\W", word))}
    if len(set(numbered.values())) == len(allowed):
        return tuple(sorted(allowed, key=lambda word: int(numbered[word]))), ""
    for text in _SCALES:
        place = {word: i for i, word in enumerate(text.split(","))}
        known = [word for word in allowed if word.casefold() in place]
        known.sort(key=lambda word: place[word.casefold()])
        if len(known) > 2:
            asked = f"{', '.join(known)} have an order: where do the others belong?"
            return (tuple(known), "") if len(known) == len(allowed) else ((), asked)
    return (), ""
