"""Projects under real Git and real DVC, whose pipeline is made of the kit's own steps."""

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from environments import ROOT
from problems import MADE, make_project
from solo import BIN, call, commit

SECRET = "hunter2"
PARTS = (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore", ".gitattributes")
PIPELINE = """
stages:
  preprocess:
    cmd: python -m team preprocess
    deps: [data/raw]
    params: [preprocess]
    outs: [data/processed]
  train:
    cmd: python -m team train
    deps: [data/processed, src/team/model.py]
    params: [model, train]
    outs: [models, reports/figures, reports/plots]
    metrics: [{metrics.json: {cache: false}}]
"""
MAIN = """
import sys
from laptop_pricing.kit.errors import ProjectError
from laptop_pricing.kit.data.preprocess import preprocess
from laptop_pricing.kit.modeling.train import train
from laptop_pricing.kit.project import open_project
from laptop_pricing.kit.sharing.reproduce import reproduce
from laptop_pricing.kit.workflow import run
from problems import PROBLEMS
from team.model import build_model

(problem,) = [problem for problem in PROBLEMS if problem.name == "%s"]
try:
    print(globals()[sys.argv[1]](open_project(problem, build_model), *sys.argv[2:]))
except ProjectError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""
MODEL = "from problems import build_plain as build_model\n"
SETTINGS = {
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    "PYTHONPATH": os.pathsep.join(["src", str(ROOT / "src"), str(ROOT / "template_tests/kit")]),
    "GIT_CONFIG_GLOBAL": os.devnull,
}


def make_repo(root, problem=MADE, raw=True, files=(), **changes):
    """A committed project in which nothing has run; `files` by path take the place of ours."""
    project = make_project(root, problem, raw, **changes)
    for name in PARTS:
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, root / name)
    texts = {
        "data.dvc": "outs:\n- path: data/raw\n",
        "dvc.yaml": PIPELINE,
        "src/team/__init__.py": "",
        "src/team/__main__.py": MAIN % problem.name,
        "src/team/model.py": MODEL,
    }
    for name, text in (texts | dict(files)).items():
        write(root / name, text)
    call(root, "git", "init", "-q", "-b", "devl")
    for name, value in (("user.name", "tester"), ("user.email", "tester@localhost")):
        call(root, "git", "config", name, value)
    commit(root, "start")
    return replace(project, given_params=None)  # DVC's stages read params.yaml, too


def make_shared(root):
    """A project whose data are registered, and pushed to a folder beside it."""
    project = make_repo(root)
    dvc(project, "remote", "add", "-q", "--default", "storage", root.parent / "remote")
    dvc(project, "commit", "-q", "-f", "data.dvc")
    dvc(project, "push", "-q")
    commit(root, "data")
    return project


def copy_of(project, folder):
    """A copy of the project and of what lies beside it, such as its remote."""
    shutil.copytree(project.root.parent, folder, symlinks=True)
    copy = replace(project, root=folder / project.root.name)
    config = copy.root / ".dvc" / "config"
    text = config.read_text(encoding="utf-8")
    write(config, text.replace(str(project.root.parent), str(folder)))
    return copy


def team(project, *arguments, **environment):
    """What a user does with the project's command; heavy libraries are loaded."""
    return call(project.root, sys.executable, "-m", "team", *arguments, **environment)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def dvc(project, *arguments):
    done = call(project.root, "dvc", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def file_of(folder, oid):
    return Path(folder) / "files" / "md5" / oid[:2] / oid[2:]


def spoil(path):
    """Other bytes of the same length, and the same mode."""
    mode, content = path.stat().st_mode, path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(content[:-2] + b"##")
    path.chmod(mode)
