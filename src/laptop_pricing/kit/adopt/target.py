"""What the target is: numbers or classes, and whether there is enough of it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Optional

from ..errors import UserError
from ..modeling.classification import MOST_CLASSES
from ..modeling.train import MIN_GROUPS
from ..problem import category
from .look import Finding, identifier
from .survey import Tally

LEAST_ROWS = 10  # of a class: for five folds, and three within
FEW = 10  # so many different whole numbers may be codes of classes
Ask = Callable[[str, bool], bool]  # a question and its likely answer -> the answer


def as_target(
    source: Path, finding: Finding, tally: Tally, classes: Optional[bool], ask: Ask
) -> tuple[Finding, str]:
    """The target as numbers or classes, and a note where that is not plain.

    `classes` says which, where the user did. A UserError says what it cannot be predicted for.
    """
    place, words = f"{source}: {finding.raw_name}", tally.words
    if tally.known < MIN_GROUPS:
        found = f"found {tally.known} rows with {finding.raw_name}; expected {MIN_GROUPS} or more"
        raise UserError(source, found)
    if len(words) < 2:
        raise UserError(place, "found one value in every row; expected numbers or two classes")
    note = ""
    if classes is None:
        classes, note = _guess(finding.raw_name, tally, ask)
    why = finding.why.partition(";")[0]  # of blanks a note tells: these rows are set aside
    if not classes:
        if finding.column is None or not finding.column.numeric:
            found = f"found {finding.kind or finding.why}, such as {next(iter(words))}"
            raise UserError(place, f"{found}; expected numbers, or --classes")
        bare = replace(finding.column, levels=(), unknown=False, monotonic=True)
        return finding._replace(decision="target", column=bare, why=why, check=""), note
    counts = _counted(place, words, tally.more)
    column = finding.column
    if column is None or column.kind != "flag":
        allowed = tuple(counts) if column is None or column.numeric else column.allowed
        ordered = tally.numeric or (column is not None and column.ladders)
        if len(allowed) == 2 and not ordered:  # the rarer one is what people ask for
            allowed = tuple(sorted(allowed, key=lambda name: -counts[name]))
        title = column.description if column else finding.raw_name
        name = column.name if column else identifier(finding.raw_name)
        column = category(name, title, allowed, raw_name=finding.raw_name)
    column = replace(column, unknown=False)
    shares = (f"{column.spell(column.parse(n))} {c / tally.known:.1%}" for n, c in counts.items())
    why = f"classes: {', '.join(shares)}"
    return finding._replace(decision="target", column=column, why=why, check=""), note


def _guess(name: str, tally: Tally, ask: Ask) -> tuple[bool, str]:
    """Whether a target without a word of its user's is classes; and what to say about it."""
    if not tally.numeric:
        return True, ""
    values = sorted(map(float, tally.words))
    if tally.more or len(values) > FEW or not (tally.whole or len(values) == 2):
        return False, ""
    told = f"{name} has {len(values)} different values ({', '.join(f'{v:g}' for v in values)})"
    likely = len(values) <= FEW // 2
    classes = likely if len(values) == 2 else ask(f"{told}. Are they classes?", likely)
    taken, other = ("classes", "--numbers") if classes else ("amounts", "--classes")
    return classes, f"{told}, taken as {taken}; add {other} if they are not"


def _counted(place: str, words: Counter[str], more: bool) -> dict[str, int]:
    """The classes in order, and how many rows each has; refused where they cannot be learned."""
    folded: dict[str, str] = {}
    for word in words:
        if (other := folded.setdefault(" ".join(word.split()).casefold(), word)) != word:
            problem = f"found the classes {other} and {word}, which differ in case or spaces alone"
            raise UserError(place, problem, "make them one in the file")
    if more or len(words) > MOST_CLASSES:
        found = f"found {len(words):,}{' or more' if more else ''} classes"
        raise UserError(place, f"{found}; expected 2 to {MOST_CLASSES}", "join some of them")
    for word, count in words.items():
        if count < LEAST_ROWS:
            problem = f"found {count} rows of class {word}; expected {LEAST_ROWS} or more"
            raise UserError(place, problem, "join it to another class, or leave its rows out")
    try:
        order = sorted(words, key=float)
    except ValueError:
        order = sorted(words)
    return {word: words[word] for word in order}
