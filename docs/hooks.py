"""A hook of MkDocs: pages that are made from the code when the site is built.

The reference pages come from the commands, params.yaml, PROBLEM and the docstrings; the notebook
pages from notebooks/.
"""

import re
from pathlib import Path

import nbformat
import typer
import yaml
from mkdocs.structure.files import File
from nbconvert import MarkdownExporter

import laptop_pricing
from laptop_pricing.kit.cli import named_command
from laptop_pricing.kit.params import Params
from laptop_pricing.problem import PROBLEM

ROOT = Path(__file__).parent.parent
NOTEBOOKS, EXECUTED = ROOT / "notebooks", ROOT / ".scratch" / "notebooks"
PACKAGE, NAME = ROOT / "src" / laptop_pricing.__name__, PROBLEM.name
KIT = PACKAGE / "kit"
EXECUTE = "jupyter nbconvert --to notebook --execute notebooks/*.ipynb --output-dir "
EXECUTE += ".scratch/notebooks"


def on_files(files, config, **_):
    """Add the generated pages, and name those of the notebooks in the navigation."""
    for name, content in {
        "cli": _cli(),
        "params": _params(),
        "data-dictionary": _data_dictionary(),
        **{f"api-{room.parent.name}": _api(room.parent) for room in KIT.glob("*/__init__.py")},
        "api-rest": _api(KIT),
    }.items():
        files.append(File.generated(config, f"reference/{name}.md", content=content))
    pages = []
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        content, images = _notebook(path)
        pages.append(f"notebooks/{path.stem}.md")
        files.append(File.generated(config, pages[-1], content=content))
        for name, image in images.items():
            files.append(File.generated(config, f"notebooks/{name}", content=image))
    named = ({**item, "Notebooks": pages} if "Notebooks" in item else item for item in config.nav)
    config.nav = [item for item in named if item.get("Notebooks", True)]
    return files


def on_post_page(output, **_):
    """Name the search for screen readers; the theme does not."""
    return output.replace('role="dialog"', 'role="dialog" aria-label="Search"')


def _table(heads, rows):
    lines = [heads, ["---"] * len(heads), *rows]
    cells = ([str(cell).replace("|", r"\|").replace("\n", " ") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def _cli():
    """Every command with its options and example, from the parser itself."""
    commands = list(_commands(named_command(PROBLEM), None, NAME))
    brief = [
        (f"[`{name}`](#{name.replace(' ', '-')})", command.get_short_help_str(200))
        for name, command, _ in commands
    ]
    text = f"# Commands\n\nMade from the program itself; `{NAME} COMMAND --help` says the same.\n\n"
    text += _table(["command", "what it does"], brief)
    for name, command, context in commands:
        options = [found for p in command.params if (found := p.get_help_record(context))]
        text += f"\n## {name}\n\n{command.help}\n\n```text\n{command.get_usage(context)}\n```\n\n"
        text += _table(["option", "meaning"], [(f"`{o}`", meaning) for o, meaning in options])
        text += f"\n```bash\n{command.epilog.removeprefix('Example: ')}\n```\n"
    return text


def _commands(command, parent, name):
    context = typer.Context(command, info_name=name, parent=parent)
    if not hasattr(command, "commands"):
        yield context.command_path.removeprefix(f"{NAME} "), command, context
        return
    for inner, found in command.commands.items():
        yield from _commands(found, context, inner)


def _params():
    """Every key of params.yaml with its value, what is allowed and its comment."""
    page = "# params.yaml\n\nMade from the file and `kit/params.py`. An unknown key is an error.\n"
    rules = Params.model_json_schema()["$defs"]
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    given = yaml.safe_load(text)
    for name in Params.model_fields:
        said, lines = "# Not in the file: see [many rows](../scale.md)", ""
        if name in given:
            said, lines = re.search(rf"((?:^#.*\n)*)^{name}:\n((?:  .*\n)+)", text, re.M).groups()
        page += f"\n## {name}\n\n{_comment(said)}\n\n"
        model = rules.get(getattr(Params.model_fields[name].annotation, "__name__", ""), {})
        rows = []
        for comment, key in re.findall(r"((?:^  #.*\n)*)^  (\w+):", lines, re.M):
            allowed = model.get("properties", {}).get(key)
            value = given[name][key]
            told = _allowed(allowed) if allowed else "what `build_model` takes"
            rows.append((f"`{key}`", f"`{value}`", told, _comment(comment)))
        for key, allowed in model.get("properties", {}).items():
            if key not in given.get(name, {}):
                value = f"`{allowed['default']}`" if allowed.get("default") else "not set"
                rows.append((f"`{key}`", value, _allowed(allowed), "May be left out"))
        page += _table(["key", "value", "allowed", "meaning"], rows)
    return page


def _comment(lines):
    """A comment of params.yaml as a sentence."""
    said = " ".join(line.strip("# ") for line in lines.splitlines())
    return said[:1].upper() + said[1:]


def _allowed(rule):
    """A JSON schema in words."""
    if "anyOf" in rule:
        return " or ".join(_allowed(one) for one in rule["anyOf"])
    kind = rule.get("type", "")
    if "prefixItems" in rule:
        return f"{len(rule['prefixItems'])} of: {_allowed(rule['prefixItems'][0])}"
    if kind == "array":
        return f"{'one or more' if rule.get('minItems') else 'any'} of: {_allowed(rule['items'])}"
    if "enum" in rule:
        return ", ".join(f"`{word}`" for word in rule["enum"])
    if "additionalProperties" in rule:
        return f"by name, {_allowed(rule['additionalProperties'])}"
    names = {"null": "nothing", "string": "text", "integer": "whole number", "number": "number"}
    bounds = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to"}
    bounds["exclusiveMaximum"] = "below"
    found = [f"{word} {rule[key]:g}" for key, word in bounds.items() if key in rule]
    return " ".join([names.get(kind, kind), *found])


def _data_dictionary():
    """Every column, and the rules over several of them."""
    roles = {**dict.fromkeys(PROBLEM.names, "feature"), PROBLEM.target.name: "target"}
    heads = ["name", "in the raw file", "meaning", "kind", "allowed", "default", "role"]
    page = """---
hide: [toc]
---

# Data dictionary

Made from `PROBLEM` in `problem.py`. A column without a default must be given; with
the default `unknown` the model has learned what it means when nothing is said.

"""
    rows = (
        (f"`{c.name}`", f"`{c.raw_name}`", c.description, f"{c.kind} {c.unit and f'({c.unit})'}")
        + (c.rule, f"`{c.spell(c.default)}`" if c.optional else "")
        + (roles.get(c.name, "not used"),)
        for c in PROBLEM.columns
    )
    page += _table(heads, rows)
    for title, said, rules in (
        ("Rows that cannot be", "set aside, unless", PROBLEM.rules),
        ("Doubtful rows", "kept and counted, if", PROBLEM.warnings + PROBLEM.late_warnings),
    ):
        rules = "".join(f"- {rule.text}\n" for rule in rules) or "- (no rule)\n"
        page += f"\n## {title}\n\nA row is {said}:\n\n{rules}"
    return page


def _api(folder):
    """The docstrings of a folder's modules."""
    names = [path.stem for path in sorted(folder.glob("*.py")) if path.stem[:2] != "__"]
    inside = ".".join(folder.relative_to(ROOT / "src").parts)
    title = "The rest of the kit" if folder == KIT else f"`{inside}`"
    return f"# {title}\n\n" + "".join(f"::: {inside}.{name}\n\n" for name in names)


def _notebook(path):
    """A notebook as a page: with outputs if this very notebook was executed for the site."""
    notebook, executed = nbformat.read(path, 4), EXECUTED / path.name
    said = f"as it is in Git, without outputs. `{EXECUTE}` makes them"
    if executed.is_file():
        found = nbformat.read(executed, 4)
        if [cell.source for cell in found.cells] == [cell.source for cell in notebook.cells]:
            notebook = found
            said = "with the outputs of its last run. Its first cells say whether the data are real"
    resources = {"output_files_dir": f"{path.stem}_files", "unique_key": path.stem}
    text, resources = MarkdownExporter().from_notebook_node(notebook, resources)
    text = re.sub(r"\]\(([\w.-]+)\.ipynb\)", r"](\1.md)", text.replace("](../docs/", "](../"))
    heading, _, rest = text.lstrip().partition("\n")
    note = f"*This is `notebooks/{path.name}` {said}.*"
    return f"{heading}\n\n{note}\n{rest}", resources["outputs"]
