"""Which quotes were given: each is a line of JSON in a file before its answer leaves.

It is safe once the process is killed; what the system has not written when the power goes may be
lost. If a quote cannot be written, its answer goes on without a ``quote_id``, and is counted.
"""

import os
import random
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Optional

from pydantic_core import to_json

from ..errors import UserError

ENDING = ".jsonl"
BYTES_PER_FILE, MOST_BYTES = 10_000_000, 2_000_000_000  # then the oldest file is removed
RETRY_S = 5
_NEW = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_NO_ID = b'{"quote_id":null'  # how an answer begins
_WRITTEN = (
    b'{"quote_id":"%s","time":%.6f,"version":%s,"sha256":"%s",'
    b'"data_md5":"%s","asked":%s,"answer":%s}\n'
)
_LINE = re.compile(
    rb'{"quote_id":"([0-9a-f]{16})","time":([\d.]+),"version":(?:null|"(.*?)"),"sha256":"(.*?)",'
    rb'"data_md5":"(.*?)","asked":({.*?}),"answer":({.*})}\n'
)
_ID = re.compile(rb'{"quote_id":"([0-9a-f]{16})"')


class Logged(NamedTuple):
    """A line of the log."""

    quote_id: str  # of a damaged line perhaps its place
    time: float  # seconds since 1970
    version: Optional[str]  # of the registry; none for a folder
    sha256: str  # of the model
    data_md5: str  # of the data that it learned from
    asked: bytes  # the fields, margin and risk, as JSON
    answer: bytes  # as JSON, as it was sent but for its quote_id


class QuoteLog:
    """Appends to files in a folder, of which each process has one of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lost = folder, 0
        self._file: Optional[int] = None
        self._size, self._retry = 0, 0.0

    def add(self, lines: Sequence[Logged]) -> bool:
        """Whether the lines are in the log now."""
        known = time.monotonic() >= self._retry and self._append(b"".join(map(_text, lines)))
        self.lost += 0 if known else len(lines)
        return known

    def _append(self, content: bytes) -> bool:
        try:
            # Another process that needed room may have removed the file.
            if (
                self._file is None
                or self._size > BYTES_PER_FILE
                or not os.fstat(self._file).st_nlink
            ):
                self.close()
                self._file = self._open()
            written = os.write(self._file, content)
            if written < len(content):
                os.ftruncate(self._file, self._size)
                raise OSError("the disk is full")
            self._size += written
            return True
        except OSError:
            self._retry = time.monotonic() + RETRY_S
            self.close()
            return False

    def _open(self) -> int:
        """A new file; the oldest are removed where all take too much room."""
        self.folder.mkdir(parents=True, exist_ok=True)
        sizes = {path: path.stat().st_size for path in log_files(self.folder)}
        while sum(sizes.values()) > MOST_BYTES:
            oldest = min(sizes)
            oldest.unlink(missing_ok=True)
            del sizes[oldest]
        return os.open(self.folder / f"{time.time_ns():x}-{os.getpid()}{ENDING}", _NEW, 0o644)

    def close(self) -> None:
        """Let the next quote begin a new file."""
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
        self._file, self._size = None, 0


def _text(line: Logged) -> bytes:
    quote_id, sha256, md5 = map(str.encode, (line.quote_id, line.sha256, line.data_md5))
    facts = (quote_id, line.time, to_json(line.version), sha256, md5)
    return _WRITTEN % (*facts, line.asked, line.answer)


def with_id(line: Logged) -> bytes:
    """The answer of a line, as it is sent."""
    return b'{"quote_id":"%s"%s' % (line.quote_id.encode(), line.answer[len(_NO_ID) :])


def new_id() -> str:
    """An id for a quote: the time in microseconds, then random bits, in hexadecimal digits."""
    return f"{time.time_ns() // 1000 << 12 | random.getrandbits(12):016x}"


def log_files(folder: Path) -> list[Path]:
    """The files of a log, from the oldest on."""
    return sorted(folder.glob(f"*{ENDING}"))


def read_log(folder: Path, quote_id: str = "", since: float = 0) -> Iterator[Logged]:
    """The quotes of a log since a time, or one of them, as they were written.

    Damaged lines are among them, without an answer. A UserError names a file that cannot be read.
    """
    files = log_files(folder)
    if not files:
        raise UserError(folder, "no quotes here", "name the folder that serve was given")
    for path in files:
        lines = read_file(path, quote_id)
        yield from (line for line in lines if line.time >= since or not line.answer)


def read_file(path: Path, quote_id: str = "") -> Iterator[Logged]:
    """The same of one file."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if quote_id.encode() not in line or line.isspace() or not line.endswith(b"\n"):
                    continue  # a blank one was erased, and one without an end is being written
                read = _read(line, f"{path.name}, line {number}")
                if quote_id in ("", read.quote_id) or not read.answer:
                    yield read
    except OSError as error:
        raise UserError(path, f"not read: {error.strerror}") from None


def _read(line: bytes, place: str) -> Logged:
    if found := _LINE.fullmatch(line):
        known, seconds, version, sha256, md5, asked, answer = found.groups()
        of = version.decode() if version else None
        texts = sha256.decode(), md5.decode()
        return Logged(known.decode(), float(seconds), of, *texts, asked, answer)
    named = _ID.match(line)
    return Logged(named[1].decode() if named else place, 0, None, "", "", line, b"")


def forget(folder: Path, quote_id: str) -> bool:
    """Erase a quote, also from the bytes of its file; says whether there was one."""
    found, begins = False, b'{"quote_id":"%s"' % quote_id.encode()
    for path in log_files(folder):
        with path.open("r+b") as file:
            place = 0
            for line in file.readlines():
                if line.startswith(begins):
                    file.seek(place)
                    file.write(b" " * (len(line) - 1))  # as long as before: others may append
                    found = True
                place += len(line)
    return found
