"""The commands that the pages of docs/ teach, for tests that type them."""

import re

from environments import ROOT


def blocks(page, heading):
    """The blocks of commands under a heading of the second level."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```bash\n(.*?)```", section, re.DOTALL)
