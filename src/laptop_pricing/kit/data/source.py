"""A table as people have it -> text under its own names: CSV, TSV, Parquet, or a folder of them.

What is written in another way than the project's own CSV is read all the same, and said. A source
of any size is read in blocks.
"""

import csv
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple, Optional

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from pyarrow import ArrowException

from ..errors import UserError
from ..files import atomic_path
from ..problem import says_nothing

BLOCK_ROWS = 50_000
ENDINGS = (".csv", ".tsv", ".txt", ".parquet")
_DELIMITERS = ",;\t|"
_MARK = r"(?:R\$|[$€£¥₹%])?"
_ENGLISH = r"(\d{1,3}(?:,\d{3})+|\d+)?(\.\d+)?"  # 1,234.5
_COMMA = r"(\d{1,3}(?:[. ]\d{3})+|\d+)?(,\d+)?"  # 1.234,5
_CELLS = pa.dictionary(pa.int32(), pa.string())
Blocks = Callable[[], Iterator[pd.DataFrame]]


def read_csv(path: Path) -> pd.DataFrame:
    """Every cell as its text. (pandas would fill up a short line, pyarrow end an open quote.)"""
    return pd.concat(csv_blocks(path), ignore_index=True)


def csv_blocks(path: Path, delimiter: str = ",", size: int = BLOCK_ROWS) -> Iterator[pd.DataFrame]:
    """The same in blocks of so many rows; there is at least one."""
    for table in csv_tables(path, delimiter, size):
        yield table.to_pandas().astype(object)


def csv_tables(path: Path, delimiter: str = ",", size: int = BLOCK_ROWS) -> Iterator[pa.Table]:
    """The same blocks as Arrow tables, each column as a dictionary of its cells.

    Arrow reads thirty times as fast as Python, and no quotes are no matter of opinion. Where there
    is one, or anything is wrong, Python's reader goes on: it says what, and in which line.
    """
    done = 0
    with suppress(ArrowException, OSError):
        if _is_plain(path):
            for table in _quick_tables(path, delimiter, size):
                yield table
                done += 1
            return
    yield from islice(_strict_tables(path, delimiter, size), done, None)


def _is_plain(path: Path) -> bool:
    """Whether there is no quote below the header's line, which Arrow need not understand."""
    with open(path, "rb") as file:
        rest = re.split(b"[\r\n]", file.readline(1 << 16), maxsplit=1)[-1]
        parts = chain([rest], iter(lambda: file.read(1 << 20), b""))
        return not any(b'"' in part or b"\0" in part for part in parts)


def _quick_tables(path: Path, delimiter: str, size: int) -> Iterator[pa.Table]:
    names = next(_strict_tables(path, delimiter, 1)).column_names
    parsing = pyarrow.csv.ParseOptions(delimiter=delimiter, quote_char=False)
    reading = pyarrow.csv.ReadOptions(column_names=names, block_size=1 << 22)
    types = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, _CELLS))
    with open(path, "rb") as file, pyarrow.csv.open_csv(file, reading, parsing, types) as batches:
        held = pa.Table.from_batches([next(batches)])[1:]  # without the header
        for batch in batches:
            held = pa.concat_tables([held, pa.Table.from_batches([batch])])
            while len(held) > size:
                yield held[:size].unify_dictionaries()
                held = held[size:]
        for start in range(0, max(len(held), 1), size):
            yield held[start : start + size].unify_dictionaries()


def _strict_tables(path: Path, delimiter: str, size: int) -> Iterator[pa.Table]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, delimiter=delimiter, strict=True)
            rows = filter(None, lines)  # no empty lines
            if not (header := next(rows, [])):
                raise UserError(path, "the file is empty; expected a CSV with a header")
            names = [name.strip() for name in header]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise UserError(path, f"column found twice: {', '.join(twice)}", "keep one of each")
            block: list[list[str]] = []
            for row in rows:
                if len(block) == size:
                    yield _as_table(names, block)
                    block = []
                if "\0" in "".join(row):  # since 3.11 Python does not mind
                    raise csv.Error("line contains NUL")
                if len(row) != len(names):
                    raise csv.Error(f"{len(row)} cells; expected {len(names)} as in the header")
                block.append(row)
            yield _as_table(names, block)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(path, reason(error)) from None
    except csv.Error as error:
        raise UserError(f"{path}: line {lines.line_num}", f"{error}", "correct that line") from None


def _as_table(names: list[str], rows: list[list[str]]) -> pa.Table:
    columns = zip(*rows) if rows else [()] * len(names)
    return pa.table([pa.array(cells, pa.string()).cast(_CELLS) for cells in columns], names)


def reason(error: Exception) -> str:
    """Why something could not be read, in a few words and without its path."""
    text = str(getattr(error, "strerror", None) or error).partition("\n")[0]
    return f"not readable: {text[:1].lower()}{text[1:]}"


class Source(NamedTuple):
    """A table whose cells are text, block by block, and in what it differs from a plain CSV."""

    blocks: Blocks  # each time it is called from the beginning
    notes: list[str]

    def read(self) -> pd.DataFrame:
        """The whole table."""
        return pd.concat(self.blocks(), ignore_index=True)

    def write(self, path: Path) -> None:
        """Write it as a plain CSV."""
        with atomic_path(path) as part, open(part, "w", encoding="utf-8", newline="") as file:
            for i, block in enumerate(self.blocks()):
                block.to_csv(file, index=False, header=i == 0, lineterminator="\n")


def open_source(path: Path, ending: str = "", size: int = BLOCK_ROWS) -> Source:
    """A file, or all files of a folder, which have the same columns; a UserError says why not.

    What kind of file it is says its name, or `ending`; how its cells are divided and its numbers
    are written, its first rows. A block has up to `size` rows.
    """
    files = [path]
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix.lower() in ENDINGS)
    if not files:
        raise UserError(path, "a folder without tables", f"expected {', '.join(ENDINGS)} in it")
    opened = [_open_file(file, ending or file.suffix.lower(), size) for file in files]
    heads = [next(blocks()) for blocks, _ in opened]
    for file, head in zip(files, heads):
        if list(head) != list(heads[0]):
            raise UserError(file, f"other columns than {files[0].name}", "make them the same")
    notes = list(dict.fromkeys(note for _, notes in opened for note in notes))
    notes += [f"{len(files)} files were put together"] if len(files) > 1 else []
    head = heads[0]
    if dropped := _row_numbers(path, head):
        notes.append("a first column that counts the rows was left out")
    head = head.drop(columns=dropped)
    comma = _has_decimal_commas(head, any("';'" in note for note in notes))
    notes += ["decimal commas were read as points"] if comma else []
    marked = [name for name in head if _has_marks(head[name], comma)]
    if marked and not comma:
        notes.append(f"read without marks and separators: {', '.join(marked)}")

    def blocks() -> Iterator[pd.DataFrame]:
        for parts, _ in opened:
            for block in parts():
                cells = {name: plain_numbers(block[name], comma) for name in marked}
                yield block.assign(**cells).drop(columns=dropped)

    return Source(blocks, notes)


def _open_file(path: Path, ending: str, size: int) -> tuple[Blocks, list[str]]:
    if ending not in ENDINGS:
        expected = f"expected {', '.join(ENDINGS)}, or a folder of them"
        raise UserError(path, f"found {ending or 'no ending'}; {expected}")
    if ending == ".parquet":
        return partial(_parquet_blocks, path, size), ["Parquet"]
    delimiter = _delimiter(path)
    notes = [] if delimiter == "," else [f"columns are divided by {delimiter!r}"]
    return partial(csv_blocks, path, delimiter, size), notes


def _parquet_blocks(path: Path, size: int) -> Iterator[pd.DataFrame]:
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            empty = [file.schema_arrow.empty_table()]  # so that there is a block
            for batch in file.iter_batches(size) if file.metadata.num_rows else empty:
                table = batch.to_pandas()
                table = table if table.index.names == [None] else table.reset_index()
                text = table.map(str).where(table.notna(), "").astype(object)
                yield text.set_axis(map(str, text), axis=1)
    except (ArrowException, OSError) as error:
        raise UserError(path, reason(error)) from None


def _delimiter(path: Path) -> str:
    """What divides the header into most cells; a comma where nothing does."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = list(islice(file, 10))
    except (OSError, UnicodeDecodeError) as error:
        remedy = "save it as UTF-8" if isinstance(error, UnicodeDecodeError) else ""
        raise UserError(path, reason(error), remedy) from None
    try:
        headers = {d: next(csv.reader(lines, delimiter=d), []) for d in _DELIMITERS}
    except csv.Error:  # whoever reads the file says where
        return ","
    return max(headers, key=lambda delimiter: len(headers[delimiter]))


def _has_decimal_commas(head: pd.DataFrame, semicolons: bool) -> bool:
    """Whether numbers are written as 1.234,5: there are such, and none as 1,234.5.

    What 1,234 is only the delimiter can say.
    """
    number = r"[+-]?(\d+,(\d{1,2}|\d{4,})|\d{1,3}(\.\d{3})+,\d+)"
    number = r"[+-]?[\d.]+,\d+" if semicolons else number
    cells = pd.unique(head.to_numpy().ravel())
    commas = any(re.fullmatch(number, cell) for cell in cells)
    return commas and not any(re.fullmatch(r"[+-]?[\d,]*\.\d{1,2}", cell) for cell in cells)


def _row_numbers(path: Path, head: pd.DataFrame) -> list[str]:
    """The first column, if it has no name and counts the rows; no other may be without a name."""
    nameless = [i for i, name in enumerate(head) if str(name).strip() in ("", "Unnamed: 0")]
    plain = head.iloc[:, 0].where(head.iloc[:, 0].str.fullmatch(r"[+-]?[\d.]+"))
    counts = pd.to_numeric(plain, errors="coerce").diff().iloc[1:] == 1  # 1e2147483999 crashes it
    if nameless == [0] and counts.all():
        return [str(head.columns[0])]
    if nameless:
        raise UserError(path, f"column {nameless[0] + 1} has no name", "give it one")
    return []


def _has_marks(cells: pd.Series, comma: bool) -> bool:
    """Whether cells are numbers, some of them with marks or separators."""
    known = [cell.strip() for cell in cells.unique() if not says_nothing(cell)]
    plain = [_plain(cell, comma) for cell in known]
    return None not in plain and plain != known


def plain_numbers(cells: pd.Series, comma: bool = False) -> pd.Series:
    """Numbers without currency marks, percent signs and separators of thousands; others as is."""
    plain = {cell: _plain(cell.strip(), comma) or cell for cell in cells.unique()}
    return cells.map(plain).astype(object)


def _plain(cell: str, comma: bool) -> Optional[str]:
    number = _COMMA if comma else _ENGLISH
    match = re.fullmatch(rf"([+-]?){_MARK}\s?([+-]?){number}\s?{_MARK}(e[+-]?\d+)?", cell)
    if match is None or not (match[3] or match[4]):
        return None
    before, after, whole, decimals, power = match.groups(default="")
    return f"{before or after}{re.sub('[., ]', '', whole)}{decimals.replace(',', '.')}{power}"
