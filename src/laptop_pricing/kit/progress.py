"""How far long work is: a bar at a terminal, else a plain line now and then."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from operator import length_hint
from typing import Any

from tqdm import tqdm

BAR_AFTER_S, LINE_EVERY_S = 2, 30


def progress(
    items: Iterable[Any], what: str, rows: Sequence[int] = (), total: int = 0
) -> Iterator[Any]:
    """The items as they come, and on stderr how far `what` is; of nothing nothing is said.

    `rows` are those of each item, which are counted then; `total` is the number of items, where
    they do not tell it.
    """
    unit, total = ("rows", sum(rows)) if len(rows) else ("parts", total or length_hint(items))
    sizes, tty = chain(rows, repeat(0 if len(rows) else 1)), sys.stderr.isatty()
    style = {"unit": f" {unit}", "unit_scale": True, "delay": BAR_AFTER_S, "leave": False}
    bar = tqdm(total=total or None, desc=what, disable=not (tty and what), **style)
    done, start, told = 0, time.monotonic(), time.monotonic()
    with bar:
        for item, size in zip(items, sizes):
            yield item
            done, now = done + size, time.monotonic()
            bar.update(size)
            if what and not tty and now - told >= LINE_EVERY_S:
                told = now
                print(f"{what}: {_how_far(done, total, unit, now - start)}", file=sys.stderr)


def _how_far(done: int, total: int, unit: str, seconds: float) -> str:
    speed, left = done / seconds, (total - done) * seconds / max(done, 1)
    rate = f"{speed:,.0f}" if speed >= 10 else f"{speed:.2g}"
    if not total:
        return f"{done:,} {unit}, {rate} {unit}/s"
    time_left = f"{left:,.0f} s" if left < 120 else f"{left / 60:,.0f} min"
    return f"{done:,} of {total:,} {unit}, {rate} {unit}/s, about {time_left} left"
