"""Which quotes were given: each is in a file of SQLite before its answer leaves.

It is safe once the process is killed; what the system has not written when the power goes may be
lost. Quotes of the same moment are written together. If they cannot be written, the answers go on
without a ``quote_id``, and are counted.
"""

import asyncio
import os
import random
import re
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple, Optional

from ..errors import UserError

ENDING = ".sqlite"
ROWS_PER_FILE, MOST_BYTES = 5_000, 2_000_000_000  # then the oldest file is removed
AT_ONCE = 50  # lines of a transaction, which takes about a millisecond
RETRY_S = 5
_QUERY = """
SELECT quote_id, time, version, sha256, data_md5, CAST(asked AS BLOB), CAST(answer AS BLOB)
FROM quotes WHERE time >= ? AND (quote_id = ? OR ?) ORDER BY quote_id
"""
_NO_ID = b'{"quote_id":null'  # how an answer begins
_SCHEMA = """
CREATE TABLE IF NOT EXISTS quotes (
    quote_id INTEGER PRIMARY KEY,
    time REAL NOT NULL,      -- seconds since 1970
    version TEXT,            -- of the registry; none for a folder
    sha256 TEXT NOT NULL,    -- of the model
    data_md5 TEXT NOT NULL,  -- of the data that it learned from
    asked BLOB NOT NULL,     -- the fields, margin and risk, as JSON
    answer BLOB NOT NULL     -- as JSON, as it was sent but for its quote_id
)
"""


class Logged(NamedTuple):
    """A line of the log."""

    quote_id: int
    time: float
    version: Optional[str]
    sha256: str
    data_md5: str
    asked: bytes
    answer: bytes


class QuoteLog:
    """Appends to files in a folder, of which each process has one of its own.

    SQLite writes first to a second file beside it, and from there into the file itself while a
    checkpoint lasts, which would make answers wait. So there is one at the end of each file, in
    another thread, and files are small.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.lost = folder, 0
        self._waiting: list[tuple[Sequence[Logged], asyncio.Future[bool]]] = []
        self._file: Optional[sqlite3.Connection] = None
        self._path, self._rows, self._retry = folder, 0, 0.0
        self._turning: Optional[asyncio.Task[None]] = None

    async def add(self, lines: Sequence[Logged]) -> bool:
        """Whether the lines are in the log; between some of them others have their turn."""
        loop = asyncio.get_running_loop()
        for i in range(0, len(lines), AT_ONCE):
            done = loop.create_future()
            self._waiting.append((lines[i : i + AT_ONCE], done))
            if len(self._waiting) == 1:
                loop.call_soon(self._write)
            if not await done:
                self.lost += len(lines) - i
                return False
        return True

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        good = self._append([line for some, _ in waiting for line in some])
        for _, done in waiting:
            if not done.done():  # its client may have gone
                done.set_result(good)
        if self._rows >= ROWS_PER_FILE:
            self._rows = 0
            self._turning = asyncio.create_task(self._turn())

    def _append(self, lines: Sequence[Logged]) -> bool:
        if time.monotonic() < self._retry:
            return False
        try:
            if self._file and not os.path.exists(self._path):  # another process needed room
                self.close()
            if not self._file:
                self._file, self._path = self._open()
            with self._file:
                if len(lines) > 1:  # one is a transaction by itself
                    self._file.execute("BEGIN")
                self._file.executemany("INSERT INTO quotes VALUES (?, ?, ?, ?, ?, ?, ?)", lines)
            self._rows += len(lines)
            return True
        except (OSError, sqlite3.Error):
            self._retry = time.monotonic() + RETRY_S
            self.close()
            return False

    async def _turn(self) -> None:
        """Go on in a new file; where there can be none, in the same."""
        with suppress(OSError, sqlite3.Error):
            new = await asyncio.to_thread(self._open)
            old, (self._file, self._path) = self._file, new
            await asyncio.to_thread(_finish, old)

    def _open(self) -> tuple[sqlite3.Connection, Path]:
        """A new file; the oldest are removed where all take too much room."""
        self.folder.mkdir(parents=True, exist_ok=True)
        sizes = {path: _size(path) for path in log_files(self.folder)}
        while sum(sizes.values()) > MOST_BYTES and len(sizes) > 1:  # the last is written to
            oldest = min(sizes)
            for part in _parts(oldest):
                part.unlink(missing_ok=True)
            del sizes[oldest]
        path = self.folder / f"{time.time_ns():x}-{os.getpid()}{ENDING}"
        with tempfile.TemporaryDirectory(dir=self.folder) as temporary:  # nobody reads half of one
            with closing(sqlite3.connect(f"{temporary}/{ENDING}")) as file:
                file.execute("PRAGMA journal_mode = WAL")
                file.execute(_SCHEMA)
            os.rename(f"{temporary}/{ENDING}", path)
        file = sqlite3.connect(path, timeout=0.1, isolation_level=None, check_same_thread=False)
        file.execute("PRAGMA synchronous = NORMAL")
        file.execute("PRAGMA wal_autocheckpoint = 0")
        file.execute("PRAGMA user_version = 1")  # the first write waits for the disk
        return file, path

    def close(self) -> None:
        """Leave the file to whoever reads it."""
        _finish(self._file)
        self._file, self._rows = None, 0


def _finish(file: Optional[sqlite3.Connection]) -> None:
    if file:
        with suppress(sqlite3.Error), closing(file):
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # other threads run meanwhile


def _parts(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + ending) for ending in ("-wal", "-shm"))]


def _size(path: Path) -> int:
    return sum(part.stat().st_size for part in _parts(path) if part.exists())


def with_id(line: Logged) -> bytes:
    """The answer of a line, as it is sent."""
    return b'{"quote_id":"%016x"%s' % (line.quote_id, line.answer[len(_NO_ID) :])


def new_id() -> int:
    """An id for a quote: the time in microseconds, then random bits."""
    return time.time_ns() // 1000 << 12 | random.getrandbits(12)


def text_of(quote_id: int) -> str:
    """An id as people have it."""
    return f"{quote_id:016x}"


def log_files(folder: Path) -> list[Path]:
    """The files of a log, from the oldest on."""
    return sorted(folder.glob(f"*{ENDING}"))


def _id(text: str) -> int:
    """An id from its text; -1, which none is, where it is no such text."""
    return int(text, 16) if re.fullmatch("[0-9a-f]{1,16}", text) else -1


def read_log(folder: Path, quote_id: str = "", since: float = 0) -> Iterator[Logged]:
    """The quotes of a log since a time, or one of them, by file and id.

    A UserError names a file that cannot be read.
    """
    files = log_files(folder)
    if not files:
        raise UserError(folder, "no quotes here", "name the folder that serve was given")
    for path in files:
        yield from read_file(path, quote_id, since)


def read_file(path: Path, quote_id: str = "", since: float = 0) -> Iterator[Logged]:
    """The same of one file."""
    try:
        with closing(sqlite3.connect(path, timeout=5)) as file:
            yield from map(Logged._make, file.execute(_QUERY, (since, _id(quote_id), not quote_id)))
    except (sqlite3.Error, TypeError) as error:
        raise UserError(path, f"damaged: {error}", "move it elsewhere") from None


def forget(folder: Path, quote_id: str) -> bool:
    """Erase a quote, also from the bytes of its file; says whether there was one."""
    found = 0
    for path in log_files(folder):
        with closing(sqlite3.connect(path, timeout=5)) as file:
            file.execute("PRAGMA secure_delete = ON")
            with file:
                delete = "DELETE FROM quotes WHERE quote_id = ?"
                found += file.execute(delete, [_id(quote_id)]).rowcount
            file.execute("PRAGMA wal_checkpoint(PASSIVE)")  # most of it, while others write
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return found > 0
