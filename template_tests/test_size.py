"""The package stays small enough to be read: its own half in fifteen minutes, the kit in a day.

A limit that is reached is a question: which capability would no user miss, and which lines does a
library have? Raise it only with an answer. The aim for all but `adopt` and what any table needs is
5,000 lines: `kit/adopt` and `kit/data/source.py` have a thousand; targets of any sign, blank cells
and straight lines cost some 450 in the rest of the kit; classes cost 1,450, where 600 were planned;
tables of any size and Dask 1,340, where 400 were planned; a service that can be left alone and its
log of quotes 1,180; monitor and export
590; `ingest --append` 105; cheaper quotes and their log 115; the form as HTML 60; `demo` 90.
"""

import ast
from pathlib import Path

import laptop_pricing

FOLDER = Path(laptop_pricing.__file__).parent
KIT = FOLDER / "kit"
MOST_LINES, MOST_OUTSIDE, LONGEST_FUNCTION = 12_620, 450, 60


def sources():
    """The lines of each module."""
    return {path: path.read_text("utf-8").splitlines() for path in sorted(FOLDER.rglob("*.py"))}


def test_the_package_has_at_most_so_many_lines():
    assert sum(map(len, sources().values())) <= MOST_LINES


def test_what_a_team_owns_is_read_in_fifteen_minutes():
    ours = {path: lines for path, lines in sources().items() if KIT not in path.parents}
    assert sum(map(len, ours.values())) <= MOST_OUTSIDE


def test_no_function_is_longer_than_a_screen():
    long = [
        f"{path.name}: {node.name}, {node.end_lineno - node.lineno + 1} lines"
        for path, lines in sources().items()
        for node in ast.walk(ast.parse("\n".join(lines)))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.end_lineno - node.lineno >= LONGEST_FUNCTION
    ]
    assert long == []
