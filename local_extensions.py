"""What the template calls: a check of the answers, and where this repository lies."""

import keyword
import re
import sys
from pathlib import Path

from cookiecutter.exceptions import FailedHookException
from cookiecutter.utils import simple_filter

ROOT = Path(__file__).resolve().parent
LONGEST_MODULE = 24  # so that no line of the package grows beyond 100 characters
RESERVED = {"con", "prn", "aux", "nul", "src", "tests", "data", "docs", "conftest", "setup"}


@simple_filter
def template_root(name):
    """The folder of the template, in which cookiecutter renders the hooks."""
    return str(Path(name).resolve())


@simple_filter
def checked(answers):
    """Refuse answers that would make a broken project, before anything is written."""
    for problem in _problems(answers):
        raise FailedHookException(problem)
    return "yes"


def _problems(answers):
    rules = (
        ("project_name", r"[^\x00-\x1f]*\w[^\x00-\x1f]*", "a name on one line"),
        (
            "repo_name",
            r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(?<![.])",
            "letters, digits, dots, hyphens and underscores, such as laptop-pricing",
        ),
        ("author_name", r"[^\x00-\x1f]*\S[^\x00-\x1f]*", "a name on one line"),
        ("description", r"[^\x00-\x1f]*", "one line"),
        (
            "storage",
            r"local|dagshub://[A-Za-z0-9][\w.-]*"
            r"|s3://(?!\d+\.\d+\.\d+\.\d+$)(?!xn--)[a-z0-9](?!.*\.\.)[a-z0-9.-]{1,61}[a-z0-9]",
            "local, s3://BUCKET or dagshub://OWNER",
        ),
        (
            "module_name",
            rf"[a-z][a-z0-9_]{{0,{LONGEST_MODULE - 1}}}",
            f"at most {LONGEST_MODULE} lower-case letters, digits and underscores",
        ),
    )
    for name, pattern, expected in rules:
        if not re.fullmatch(pattern, answers[name], re.ASCII if name == "module_name" else 0):
            yield f"{name}: found {answers[name]!r}; expected {expected}"
    module = answers["module_name"]
    if keyword.iskeyword(module) or module in sys.stdlib_module_names | RESERVED | _locked():
        yield f"module_name: found {module!r}, which Python or a library uses; choose another name"
    if answers["repo_name"].split(".")[0].lower() in RESERVED:
        yield f"repo_name: found {answers['repo_name']!r}, which is reserved; choose another name"


def _locked():
    """The names of the libraries that a project installs, as modules."""
    lock = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    names = re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)
    return {name.lower().replace("-", "_") for name in names} | {"sklearn", "dotenv", "yaml"}
