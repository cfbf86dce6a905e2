"""One pass over a source of any size: what each column holds, and a sample of rows."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ..problem import says_nothing

SAMPLE_ROWS = 20_000
_MOST_WORDS = 20_000  # that are kept of a column
_HUGE = 1e100  # what is larger is no quantity
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,3})?", re.IGNORECASE)


@dataclass
class Tally:
    """What a column holds, over all rows."""

    blank: int = 0  # cells that say nothing
    known: int = 0
    words: Counter[str] = field(default_factory=Counter)  # known cells, the first _MOST_WORDS
    more: bool = False  # whether there are others
    numeric: bool = True  # whether all known cells are numbers
    whole: bool = True
    low: float = np.inf
    high: float = -np.inf

    def add(self, cells: pd.Series) -> None:
        """Count the cells of another block."""
        counts = cells.str.strip().value_counts()
        nothing = np.array([says_nothing(word) for word in counts.index], bool)
        self.blank += int(counts[nothing].sum())
        counts = counts[~nothing]
        self.known += int(counts.sum())
        for word, count in counts.items():
            if word in self.words or len(self.words) < _MOST_WORDS:
                self.words[word] += count
            else:
                self.more = True
        if not (self.numeric and len(counts)):
            return
        self.numeric = all(map(_NUMBER.fullmatch, counts.index))
        values = counts.index.to_numpy().astype(float) if self.numeric else np.array([np.inf])
        self.numeric = bool((abs(values) < _HUGE).all())
        if self.numeric:
            self.whole = self.whole and bool((values % 1 == 0).all())
            self.low, self.high = min(self.low, values.min()), max(self.high, values.max())

    @property
    def blank_share(self) -> float:
        return self.blank / max(1, self.blank + self.known)


def survey(blocks: Iterable[pd.DataFrame]) -> tuple[dict[str, Tally], pd.DataFrame]:
    """The tally of each column, and up to SAMPLE_ROWS rows drawn at random, in their order."""
    random = np.random.default_rng(0)
    tallies: dict[str, Tally] = {}
    sample, draws, start = pd.DataFrame(), np.array([]), 0
    for block in blocks:
        for name in block:
            tallies.setdefault(str(name), Tally()).add(block[name])
        block.index = pd.RangeIndex(start, start + len(block))
        start += len(block)
        sample = pd.concat([sample, block])
        draws = np.concatenate([draws, random.random(len(block))])
        kept = np.sort(np.argsort(draws, kind="stable")[:SAMPLE_ROWS])
        sample, draws = sample.iloc[kept], draws[kept]
    return tallies, sample
