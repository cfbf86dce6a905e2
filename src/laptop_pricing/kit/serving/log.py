"""Log lines that never make an answer wait: a thread writes them, and drops what nobody reads.

The thread does little else, and seldom: while it runs, no answer is computed.
"""

import logging
import os
import threading
import time
from collections import deque
from typing import Any

from pydantic_core import to_json

MOST_LINES = 10_000  # that wait to be written
WRITE_EVERY_S = 0.2


class LogLines(logging.Handler):
    """Writes lines to a file descriptor: JSON, or at a terminal what people like to read."""

    def __init__(self, file: int = 2) -> None:
        super().__init__()
        self.file, self.dropped = file, 0
        self._text = _readable if os.isatty(file) else to_json
        self._lines = deque[bytes]()
        threading.Thread(target=self._write, daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """A line of Python's own logging."""
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{logging.Formatter().formatException(record.exc_info)}"
        text = text.encode("utf-8", "replace").decode()
        self.put(time=time.time(), level=record.levelname.lower(), message=text)

    def put(self, **line: Any) -> None:
        """Have a line written soon, or drop it if too many wait."""
        if len(self._lines) < MOST_LINES:
            self._lines.append(self._text(line) + b"\n")
        else:
            self.dropped += 1

    def _write(self) -> None:
        while True:
            lines = list(self._lines)
            try:
                content = b"".join(lines)
                while content:
                    content = content[os.write(self.file, content) :]
            except OSError:  # a disk that is full, a pipe that was closed: the answers go on
                self.dropped += len(lines)
            for _ in lines:
                self._lines.popleft()
            time.sleep(WRITE_EVERY_S)


def _readable(line: dict[str, Any]) -> bytes:
    hour = time.strftime("%H:%M:%S", time.localtime(line["time"]))
    text = "{message}" if "message" in line else "{method} {path} {status} {ms:.1f} ms"
    return f"{hour} {text.format_map(line)}".encode()


_of_process: dict[int, LogLines] = {}  # a fork has none of the threads


def log_lines() -> LogLines:
    """Those of this process, to which Uvicorn's messages go, too."""
    if os.getpid() not in _of_process:
        lines, logger = LogLines(), logging.getLogger("uvicorn")
        logger.handlers, logger.propagate = [lines], False
        logger.setLevel(logging.INFO)
        _of_process[os.getpid()] = lines
    return _of_process[os.getpid()]
