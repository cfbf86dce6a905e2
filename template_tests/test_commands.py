"""The commands that the pages teach: each block is typed, or says why it is not.

A block that cannot be typed here stands behind a line ``<!-- not run: REASON -->``. Pages that lead
through a longer story have a test of their own.
"""

import os
import re
import shlex
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from baking import check
from environments import ROOT
from servers import free_port, running
from solo import call, change_params

pytestmark = [
    pytest.mark.services,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="the blocks are for a POSIX shell"),
]

BLOCK = re.compile(
    r"(?:<!-- not run: ([^\n]+) -->\n+)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
SHELLS = ("bash", "sh", "shell", "console", "powershell")
FOLLOWED = {
    "docs/branches.md": "test_story.py",
    "docs/loop.md": "test_loop.py",
    "docs/tutorial.md": "test_tutorial.py",
    "docs/your-own-data.md": "test_guide.py",
}
# Portuguese pages, with the blocks of their English twins.
TWINS = {f"docs/pt/{name}.md": f"docs/{name}.md" for name in ("quick-start", "tutorial")}
TWINS |= {"docs/pt/your-own-data.md": "docs/your-own-data.md", "README.pt-BR.md": "README.md"}
SERVERS = ("mlflow ui", "mlflow server", "mkdocs serve", "laptop-pricing serve")
SERVERS += ("laptop-pricing form",)
# What is installed already stands for an installation: test_baked.py does it by README's own line.
INSTALLED = {
    r"python3 -m venv \.venv": f"ln -sfn {shlex.quote(sys.prefix)} .venv",
    r"source \.venv/bin/activate": "true",
    r"\S*pip install [^&\n]*": "true ",
}


def pages():
    found = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "references").rglob("*.md"),
    ]
    return sorted(page.relative_to(ROOT).as_posix() for page in found)


def blocks(page):
    """Reason or None, language and text of each block of commands."""
    found = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    return [(reason or None, kind, text) for reason, kind, text in found if kind in SHELLS]


TYPED = [p for p in pages() if p not in FOLLOWED and any(b[0] is None for b in blocks(p))]
TYPED = [page for page in TYPED if page not in TWINS]


@pytest.fixture(scope="module")
def ready(snapshot, tmp_path_factory, sample_csv):
    """A clone with quick params in which the sample went all the way, twice. Read only."""
    folder = tmp_path_factory.mktemp("commands")
    root = folder / "laptops"
    check(folder, "git", "clone", "-q", snapshot, root)
    for name, value in (("user.name", "tester"), ("user.email", "tester@localhost")):
        check(root, "git", "config", name, value)
    shutil.copyfile(sample_csv, folder / "sample.csv")
    change_params(root, train__folds=2, train__seeds=[0], model__inner_folds=2)
    change_params(root, criteria__R2=-1.0, criteria__MAPE=9.0)
    change_params(root, ingest__source=str(folder / "sample.csv"), ingest__md5=None)
    for alphas in ([4.0], [2.0, 8.0]):
        change_params(root, model__alphas=alphas)
        check(root, "laptop-pricing", "run")
        check(root, "git", "commit", "-qam", f"alphas {alphas}")
    for name in ("laptop-price-brl.csv", "new.csv"):
        shutil.copyfile(sample_csv, root / name)
    return root


@pytest.fixture
def project(ready, tmp_path):
    """A copy of it, whose origin is a repository without files."""
    root = tmp_path / "laptops"
    ours = shutil.ignore_patterns("mlflow.db*", "mlartifacts")  # which name their folder
    shutil.copytree(ready, root, symlinks=True, ignore=ours)
    check(tmp_path, "git", "clone", "-q", "--bare", ready, "origin.git")
    check(root, "git", "remote", "set-url", "origin", tmp_path / "origin.git")
    return root


def test_every_page_is_typed_or_followed():
    assert len(TYPED) > 8 and FOLLOWED.keys() <= set(pages())
    for page, test in FOLLOWED.items():
        assert Path(page).name in (ROOT / "template_tests" / test).read_text("utf-8"), page


@pytest.mark.parametrize("page, twin", TWINS.items())
def test_a_portuguese_page_has_the_blocks_of_its_twin(page, twin):
    ours, theirs = (BLOCK.findall((ROOT / name).read_text("utf-8")) for name in (page, twin))
    assert [block[1:] for block in ours if not block[0]] == [b[1:] for b in theirs if not b[0]]
    assert [(reason, kind) for reason, kind, _ in ours] == [(b[0], b[1]) for b in theirs]


@pytest.mark.parametrize("page", pages())
def test_what_is_not_typed_says_why(page):
    if page in FOLLOWED or page in TWINS:
        return
    fences = re.findall(
        rf"^```(?:{'|'.join(SHELLS)})$", (ROOT / page).read_text("utf-8"), re.MULTILINE
    )
    assert len(blocks(page)) == len(fences), "a block is overlooked"
    twins = [kind for _, kind, _ in blocks(page)]
    for reason, kind, text in blocks(page):
        if kind == "powershell":  # typed as its twin for POSIX
            assert "bash" in twins or reason, text
        assert reason is None or len(reason) >= 10, text


@pytest.mark.parametrize("page", TYPED)
def test_the_commands_of_a_page_work(page, project):
    port = free_port()  # for the API, which later blocks of its page ask
    with ExitStack() as servers:
        for reason, kind, text in blocks(page):
            if reason is None and kind != "powershell":
                type_block(project, text.replace("127.0.0.1:8000", f"127.0.0.1:{port}"))
                for line in text.splitlines():
                    if line.startswith(SERVERS):
                        api = line.startswith("laptop-pricing serve")
                        servers.enter_context(served(project, line, port if api else free_port()))


def type_block(project, text):
    """Type the lines that end by themselves."""
    for pattern, instead in INSTALLED.items():
        text = re.sub(pattern, instead, text)
    lines = [line for line in text.splitlines() if not line.startswith(SERVERS)]
    done = call(project, "bash", "-e", "-o", "pipefail", "-c", "\n".join(lines))
    assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    assert '"detail"' not in done.stdout, done.stdout


def served(project, line, port):
    """The server of a line, once it answers."""
    option = ["--dev-addr", f"127.0.0.1:{port}"] if "mkdocs" in line else ["--port", str(port)]
    words = [word for word in shlex.split(line) if word not in ("--port", "5000")]
    program = shutil.which(words[0], path=str(Path(sys.executable).parent))
    quiet = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [program, *words[1:], *option]
    return running(command, f"http://127.0.0.1:{port}", project / f"server-{port}.log", quiet)
