"""Log lines that never make an answer wait: a thread writes them, and drops what nobody reads."""

import json
import logging
import os
import threading
import time
from collections import deque
from typing import Any

MOST_LINES = 10_000  # that wait to be written
WRITE_EVERY_S = 0.05


class LogLines(logging.Handler):
    """Writes lines to a file descriptor: JSON, or at a terminal what people like to read."""

    def __init__(self, file: int = 2) -> None:
        super().__init__()
        self.file, self.dropped = file, 0
        self.readable = os.isatty(file)
        self._lines = deque[dict[str, Any]]()
        threading.Thread(target=self._write, daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """A line of Python's own logging."""
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{logging.Formatter().formatException(record.exc_info)}"
        self.put({"level": record.levelname.lower(), "message": text})

    def put(self, line: dict[str, Any]) -> None:
        """Have a line written soon, or drop it if too many wait."""
        if len(self._lines) < MOST_LINES:
            self._lines.append({"time": time.time()} | line)
        else:
            self.dropped += 1

    def _write(self) -> None:
        text = _readable if self.readable else json.dumps
        while True:
            lines = [text(self._lines[i]) for i in range(len(self._lines))]
            try:
                content = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
                while content:
                    content = content[os.write(self.file, content) :]
            except OSError:  # a disk that is full, a pipe that was closed: the answers go on
                self.dropped += len(lines)
            for _ in lines:
                self._lines.popleft()
            time.sleep(WRITE_EVERY_S)


def _readable(line: dict[str, Any]) -> str:
    hour = time.strftime("%H:%M:%S", time.localtime(line["time"]))
    if "message" in line:
        return f"{hour} {line['message']}"
    return f"{hour} {line['method']} {line['path']} {line['status']} {line['ms']:.1f} ms"


_of_process: dict[int, LogLines] = {}  # a fork has none of the threads


def log_lines() -> LogLines:
    """Those of this process, to which Uvicorn's messages go, too."""
    if os.getpid() not in _of_process:
        lines, logger = LogLines(), logging.getLogger("uvicorn")
        logger.handlers, logger.propagate = [lines], False
        logger.setLevel(logging.INFO)
        _of_process[os.getpid()] = lines
    return _of_process[os.getpid()]
