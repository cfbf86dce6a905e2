"""Files written whole or not at all, and their checksums."""

import errno
import hashlib
import json
import os
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic_path(target, folder=None):
    """Give a path to write to; it takes the place of `target` when the block ends well.

    A device or a pipe is not replaced but written to: it is the path itself.

    A process that is killed half-way leaves `target` as it was, and a ``.part`` file that
    nothing reads.

    Parameters
    ----------
    target : Path
        The file to create or to replace. Missing folders are made.
    folder : Path, optional
        Where the ``.part`` file lies, on the same disk; beside `target` by default.

    Yields
    ------
    Path
        The path to write to.
    """
    if target.exists() and not target.is_file():
        yield target
        return
    folder = folder or target.parent
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{target.name}.{os.getpid()}.part"
    try:
        yield part
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, target)
    except OSError as error:
        if error.errno == errno.ENOSPC:  # the error may name another file, or none
            raise OSError(error.errno, os.strerror(error.errno), str(target)) from None
        raise
    finally:
        with suppress(OSError):  # Windows keeps a file that is still open
            part.unlink(missing_ok=True)


def short(path):
    """`path` as the user would type it from the working directory."""
    try:
        return os.path.relpath(path)
    except ValueError:  # on another drive
        return str(path)


def write_text(target, text):
    """Write `text` as UTF-8 with ``\\n`` line ends on every system, whole or not at all."""
    with atomic_path(Path(target)) as part:
        part.write_bytes(text.encode("utf-8"))


def write_json(target, value):
    """Write `value` as indented JSON, whole or not at all. NaN is an error, not a token."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def checksum(path, algorithm):
    """Hexadecimal ``"md5"`` or ``"sha256"`` of a file, read in blocks."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
