"""The pages of a project that speak of its problem: their examples and what they say it is about.

What stands between the lines ``<!-- about -->`` and ``<!-- end of about -->`` is replaced; so are
the examples that are made from the problem, and the raw file's name.
"""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from ..problem import Problem

# These tell of the worked example, whatever the project is about now.
_WORKED = ("docs/example.md", "docs/model.md", "docs/tutorial.md", "docs/pt/tutorial.md")
_ABOUT = re.compile(r"(<!-- about -->\n\n).*?(\n\n<!-- end of about -->)", re.DOTALL)
_UNSAID = "A short description of the project"  # where cookiecutter was told nothing


def example_command(problem: Problem) -> str:
    """``quote`` with the problem's example, as it is typed."""
    told = " ".join(f"{name}={_quoted(text)}" for name, text in problem.example.items())
    return f"{problem.name} quote {told}"


def example_body(problem: Problem) -> str:
    """The same as JSON between single quotes."""
    columns = {column.name: column for column in problem.features}
    values = {name: columns[name].read(text) for name, text in problem.example.items()}
    return json.dumps(values, ensure_ascii=False).replace("'", "'\\''")


def pages(root: Path, old: Problem, new: Problem) -> Iterator[tuple[Path, str]]:
    """The pages that speak of the problem, and what they say of the new one."""
    pairs = {
        example_command(old): example_command(new),
        example_body(old): example_body(new),
        old.raw_file: new.raw_file,
    }
    if old.bought and not new.bought:
        pairs |= {f"{example_command(new)} --margin 0.2": example_command(new)}
        pairs |= {"/v1/quote?margin=0.2": "/v1/quote"}
    described = re.compile(rf'"[^"\n]*(?:{_UNSAID}|\b{re.escape(old.items)}\b)[^"\n]*"')
    folders = ("docs", "references")
    names = [*root.glob("*.md"), *(p for f in folders for p in sorted((root / f).rglob("*.md")))]
    for path in (*names, root / "mkdocs.yml", root / "pyproject.toml"):
        name = path.relative_to(root).as_posix()
        if name in _WORKED or not path.is_file():
            continue
        text = before = path.read_text(encoding="utf-8")
        text = text.replace(f"{_UNSAID}.\n\n", "", 1)
        for was, becomes in pairs.items():
            text = text.replace(was, becomes)
        text = _ABOUT.sub(lambda match: f"{match[1]}{_about(name, new)}{match[2]}", text)
        if path.suffix != ".md":
            said = json.dumps(f"Predicts {new.target.name} of {new.items}.", ensure_ascii=False)
            text = described.sub(lambda match: said, text, 1)
        if text != before:
            yield path, text


def _about(page: str, problem: Problem) -> str:
    target, count = f"`{problem.target.raw_name}`", len(problem.features)
    if page == "references/README.md":
        return (
            f"- `{problem.raw_file}`: say here where it comes from, when, and under which licence."
        )
    if page.endswith("pt-BR.md"):
        return (
            f"Prevê {target} ({problem.items}) a partir de {count} colunas de `{problem.raw_file}`."
        )
    return f"It predicts {target} of {problem.items} from {count} columns of `{problem.raw_file}`."


def _quoted(text: str) -> str:
    """Text as a shell takes it: where that will do in double quotes, which every shell knows."""
    quoted = shlex.quote(text)
    return f'"{text}"' if quoted != text and re.fullmatch(r"[^\"$`\\!]+", text) else quoted
