"""Whether a bundle is one that the team made: an HMAC by a key that only the team has.

metadata.json has the checksums of all other files of a bundle, so a signature of it is one of all.
It lies beside the bundle's folder, since the bundle itself is a pure function of code and data.
"""

import hmac
import os
from pathlib import Path

from ..errors import UserError
from ..files import write_text
from ..problem import Problem
from .bundle import METADATA_FILE

ENDING = ".sig"


def signature_of(problem: Problem, folder: Path) -> str:
    """HMAC-SHA256 of a bundle by the key in the environment; blank without a key."""
    key = os.environ.get(problem.signing_variable, "")
    content = (folder / METADATA_FILE).read_bytes()
    return hmac.new(key.encode(), content, "sha256").hexdigest() if key else ""


def sign(problem: Problem, folder: Path) -> Path:
    """Write the signature of a bundle beside its folder; gives the file."""
    if not (signature := signature_of(problem, folder)):
        remedy = "put a long random text into .env"
        raise UserError(problem.signing_variable, "is not set; it is the key", remedy)
    write_text(signature_file(folder), f"{signature}\n")
    return signature_file(folder)


def signature_file(folder: Path) -> Path:
    """Where the signature of a bundle lies."""
    return folder.with_name(f"{folder.name}{ENDING}")


def check_signature(problem: Problem, folder: Path) -> None:
    """Where the environment has a key, refuse a bundle that is not signed by it: a UserError."""
    if not (expected := signature_of(problem, folder)):
        return
    try:
        found = signature_file(folder).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        found = ""
    if not hmac.compare_digest(found.encode(), expected.encode()):
        what = "has another signature than ours" if found else "is not signed"
        raise UserError(
            folder, f"{what}; {problem.signing_variable} is set", "sign it, or fetch it"
        )
