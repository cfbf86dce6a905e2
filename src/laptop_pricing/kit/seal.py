"""Whether the kit is as it was released: ``python -m <package>.kit.seal`` writes its checksums.

SHA256 has a line for each file, as ``sha256sum --check`` reads it. Line endings do not count.
"""

import hashlib
import re
from pathlib import Path

KIT, SEAL = Path(__file__).resolve().parent, "SHA256"


def checksums(kit: Path = KIT) -> dict[str, str]:
    """The SHA-256 of each file of the kit, by its path in it."""
    paths = {p.relative_to(kit).as_posix(): p for p in sorted(kit.rglob("*")) if p.is_file()}
    return {
        name: hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
        for name, path in paths.items()
        if name != SEAL and not re.search(r"(^|/)(\.|__pycache__/)", name)
    }


def edited(kit: Path = KIT) -> list[str]:
    """The files that were changed, added or taken away since the kit was sealed."""
    lines = (kit / SEAL).read_text(encoding="utf-8") if (kit / SEAL).is_file() else ""
    sealed, now = dict(re.findall(r"SHA256 \((.+)\) = (\w+)", lines)), checksums(kit)
    return sorted(name for name in sealed | now if sealed.get(name) != now.get(name))


if __name__ == "__main__":
    lines = [f"SHA256 ({name}) = {digest}\n" for name, digest in checksums().items()]
    (KIT / SEAL).write_text("".join(lines), encoding="utf-8", newline="\n")
