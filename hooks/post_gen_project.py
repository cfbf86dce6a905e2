"""Fill the new project: this repository's shared files, under the new names; then Git.

Runs in the new project's folder, with the standard library alone.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")
TEMPLATE = Path(json.loads(r"""[{{ "." | template_root | tojson }}]""")[0])

# What a team gets. Everything else serves this repository alone.
SHARED = (
    ".devcontainer",
    ".dockerignore",
    ".dvc/.gitignore",
    ".dvc/plots",
    ".dvcignore",
    ".env.example",
    ".flake8",
    ".gitattributes",
    ".github",
    ".gitignore",
    ".pre-commit-config.yaml",
    ".python-version",
    ".readthedocs.yaml",
    ".vscode",
    "AGENTS.md",
    "CONTRIBUTING.md",
    "Dockerfile",
    "README.md",
    "README.pt-BR.md",
    "SECURITY.md",
    "benchmarks/beside",
    "benchmarks/compare.py",
    "benchmarks/serving.py",
    "compose.registry.yaml",
    "compose.yaml",
    "deploy",
    "docs",
    "dvc.yaml",
    "mkdocs.yml",
    "notebooks",
    "params.yaml",
    "pyproject.toml",
    "references",
    "requirements-boosters.txt",
    "requirements-serving.txt",
    "requirements.txt",
    "src",
    "tests",
)
SOURCE = ("dataset-laptop-pricing", "dataset-\0")
BEGIN, END = "<!-- of the template -->", "<!-- end of the template -->"
WHOLE = "<!-- this page is of the template -->"
# What a page says the project is about; `adopt` replaces it later.
ABOUT = re.compile(r"(<!-- about -->\n\n).*?(\n\n<!-- end of about -->)", re.DOTALL)
WORKED = {
    "README.md": """Until `{0} adopt FILE --target COLUMN` puts a table of yours in its place, it
shows [the worked example](docs/example.md): used laptops and their prices.""",
    "README.pt-BR.md": """Até que `{0} adopt ARQUIVO --target COLUNA` ponha uma tabela sua no
lugar, ele mostra [um exemplo](docs/example.md) (em inglês): laptops usados e os seus preços.""",
    "docs/index.md": """Until `{0} adopt FILE --target COLUMN` puts a table of yours in its place,
it shows [the worked example](example.md): used laptops and their prices.""",
}


def main():
    renames = _renames()
    for name in _shared_files():
        if name.startswith("docs/images/") and name != "docs/images/cycle.svg":
            continue  # what our data look like
        text = (TEMPLATE / name).read_bytes().decode("utf-8")
        if text.removeprefix("# ").startswith(WHOLE):
            continue
        if name in WORKED:
            by = "Por" if "pt-BR" in name else "By"
            text = _about(text, by, WORKED[name].format(ANSWERS["module_name"].replace("_", "-")))
        target = Path(name.replace("laptop_pricing", ANSWERS["module_name"]))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(_renamed(_without_template(text), renames).encode("utf-8"))
    if ANSWERS["open_source_license"] == "No license file":
        Path("LICENSE").unlink()
    Path("data.dvc").write_bytes(b"outs:\n- path: data/raw\n")  # the first run registers data
    # Not for cruft, which keeps its own history, nor into a history that is there already.
    if "_commit" not in ANSWERS and not Path(".git").exists():
        _commit()
    _say_what_is_next()


def _shared_files():
    """What Git knows of the shared paths; all that is there where there is no Git (a zip)."""
    missing = [name for name in SHARED if not (TEMPLATE / name).exists()]
    if missing:
        sys.exit(f"the template is not whole: {missing[0]} is missing in {TEMPLATE}")
    if (TEMPLATE / ".git").exists():
        command = ["git", "ls-files", "-z", "--", *SHARED]
        listed = subprocess.run(command, cwd=TEMPLATE, check=True, capture_output=True)
        names = [os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]
        return [name for name in names if (TEMPLATE / name).is_file()]
    found = [path for name in SHARED for path in (TEMPLATE / name, *(TEMPLATE / name).rglob("*"))]
    files = [path for path in found if path.is_file() and "__pycache__" not in path.parts]
    return [path.relative_to(TEMPLATE).as_posix() for path in files]


def _renames():
    """What is replaced by what, in this order. In quotes stands what becomes code."""
    slug = ANSWERS["module_name"].replace("_", "-")
    author, project = ANSWERS["author_name"], ANSWERS["project_name"]
    described = json.dumps(ANSWERS["description"], ensure_ascii=False)
    renames = {
        '"The laptop-pricing authors"': json.dumps(author, ensure_ascii=False),
        '"Laptop pricing"': json.dumps(project, ensure_ascii=False),
        "# Laptop pricing\n": f"# {project}\n",
        'description = "Prices used laptops: a worked machine-learning project and the template '
        'made from it."': f"description = {described}",
        'site_description: "Prices used laptops in BRL, from the raw CSV to a tracked model."': (
            f"site_description: {described}"
        ),
        "devcontainers/python:3.10-": f"devcontainers/python:{ANSWERS['python_version']}-",
        'python: "3.10"': f'python: "{ANSWERS["python_version"]}"',  # .readthedocs.yaml
        'license = "MIT"\nlicense-files = ["LICENSE"]\n': _licence(),
        SOURCE[0]: SOURCE[1],  # where the data are published keeps its name
        "LAPTOP_PRICING": ANSWERS["module_name"].upper(),
        "laptop_pricing": ANSWERS["module_name"],
        "laptop-pricing": slug,
    }
    if ANSWERS["open_source_license"] == "No license file":
        renames["The code is under the [MIT licence](LICENSE). "] = ""
        renames["O código está sob a [licença MIT](LICENSE). "] = ""
    elif ANSWERS["open_source_license"] != "MIT":
        renames["[MIT licence]"] = f"[{ANSWERS['open_source_license']} licence]"
        renames["[licença MIT]"] = f"[licença {ANSWERS['open_source_license']}]"
    if ANSWERS["python_interpreter"] != "python3":
        renames["python3 -m venv"] = "python -m venv"
    return renames


def _licence():
    if ANSWERS["open_source_license"] == "No license file":
        return ""
    return f'license = "{ANSWERS["open_source_license"]}"\nlicense-files = ["LICENSE"]\n'


def _renamed(text, renames):
    if text == "3.10\n":  # .python-version
        return ANSWERS["python_version"] + "\n"
    for old, new in renames.items():
        text = text.replace(old, new)
    return text.replace(SOURCE[1], SOURCE[0])


def _without_template(text):
    """Pages without the passages about the template."""
    while BEGIN in text:
        before, _, rest = text.partition(BEGIN)
        text = before.rstrip(" #\n") + "\n" + rest.partition(END)[2]
    return text


def _about(text, by, said):
    """A page that opens with the team's own description and name."""
    before, mark, rest = text.partition("<!-- about -->\n")
    own = f"{ANSWERS['description']}\n\n{by} {ANSWERS['author_name']}"
    text = f"{before}{own}\n\n{mark}{rest}"
    return ABOUT.sub(lambda match: f"{match[1]}{said}{match[2]}", text)


def _commit():
    """A repository with the branches main, stag and devl, on devl."""
    if not shutil.which("git"):
        print("Git is not installed: install it, then git init in the new folder")
        return
    git = ["git", "-c", "commit.gpgsign=false", "-c", f"core.hooksPath={os.devnull}"]
    known = subprocess.run(["git", "config", "user.email"], capture_output=True).stdout.strip()
    if not known:
        git += ["-c", "user.name=cookiecutter", "-c", "user.email=cookiecutter@localhost"]
    for arguments in (
        ["init", "--quiet"],
        ["symbolic-ref", "HEAD", "refs/heads/main"],
        ["add", "--all"],
        ["commit", "--quiet", "-m", "Start from the template"],
        ["branch", "stag"],
        ["checkout", "--quiet", "-b", "devl"],
    ):
        subprocess.run([*git, *arguments], check=True)


def _say_what_is_next():
    command = ANSWERS["module_name"].replace("_", "-")
    folder, python = ANSWERS["repo_name"], ANSWERS["python_interpreter"]
    scripts = ".venv\\Scripts" if os.name == "nt" else ".venv/bin"
    print(f"\n{folder} is ready. Next:\n")
    print(f"  cd {folder} && {python} -m venv .venv && {scripts}/pip install -r requirements.txt")
    print(f"  {scripts}/{command} run\n")
    kind, _, place = ANSWERS["storage"].partition("://")
    if kind == "s3":
        print(f"To use a profile of the AWS tools: {command} connect s3 {place} --profile NAME")
    if kind == "dagshub":
        print(f"With your token from DagsHub: {command} connect dagshub {place}/{folder}")


if __name__ == "__main__":
    main()
