"""A hook of MkDocs: a line ``<!-- table: NAME -->`` of a page becomes docs/tables/NAME.md."""

import re
from pathlib import Path

from mkdocs.exceptions import PluginError

TABLES = Path(__file__).parent / "tables"
COMMANDS = {
    "comparison": "laptop-pricing compare -o docs/tables/comparison.md",
    "speed": "python benchmarks/speed.py",
}


def on_page_markdown(markdown, page, **_):
    """Put the generated tables where the page names them."""

    def table(match):
        try:
            return (TABLES / f"{match[1]}.md").read_text(encoding="utf-8").rstrip("\n")
        except FileNotFoundError:
            command = COMMANDS.get(match[1], "a command that docs/hooks.py does not know")
            raise PluginError(
                f"{page.file.src_uri}: docs/tables/{match[1]}.md: no such file; made by: {command}"
            ) from None

    return re.sub(r"^<!-- table: ([\w-]+) -->$", table, markdown, flags=re.MULTILINE)
