"""Files written whole or not at all, and their checksums."""

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, Optional

from .problem import amount

TEMPLATES = Path(__file__).parent / "templates"


@contextmanager
def atomic_path(target: Path, folder: Optional[Path] = None) -> Iterator[Path]:
    """Give a path to write to; it takes the place of `target` when the block ends well.

    A process that is killed half-way leaves `target` as it was, and a ``.part`` file that nothing
    reads: in `folder`, on the same disk, or else beside `target`. Missing folders are made.
    """
    if target.exists() and not target.is_file():  # a device or a pipe is written to
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


def short(path: Path) -> str:
    """`path` as the user would type it from the working directory."""
    try:
        return os.path.relpath(path)
    except ValueError:  # on another drive
        return str(path)


def write_bytes(target: Path, content: bytes) -> None:
    """Write bytes, whole or not at all."""
    with atomic_path(target) as part:
        part.write_bytes(content)


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8 with ``\\n`` line ends on every system, whole or not at all."""
    write_bytes(target, text.encode("utf-8"))


def write_json(target: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all. NaN is an error, not a token."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def render(template: str, **values: Any) -> str:
    """A template of the kit's folder ``templates``, filled in; in HTML all values are escaped."""
    return _jinja().get_template(template).render(**values)


@cache
def _jinja() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    shared: Any = {"undefined": StrictUndefined, "autoescape": select_autoescape(["html"])}
    jinja = Environment(loader=FileSystemLoader(TEMPLATES), keep_trailing_newline=True, **shared)
    quoted = partial(json.dumps, ensure_ascii=False)
    jinja.filters |= {"percent": "{:.1%}".format, "amount": amount, "quoted": quoted}
    return jinja


def checksum(path: Path, algorithm: str) -> str:
    """Hexadecimal ``"md5"`` or ``"sha256"`` of a file, read in blocks."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
