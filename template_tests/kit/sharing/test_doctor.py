"""The doctor finds what is planted, says what to do about it, and never shows a secret."""

import os
import re
import shutil
import sys

import pytest
from environments import ROOT
from repos import SECRET, dvc, file_of, make_shared, spoil, write
from solo import call, commit

from laptop_pricing.kit import seal
from laptop_pricing.kit.files import checksum
from laptop_pricing.kit.sharing import doctor, storage

pytestmark = pytest.mark.services

KEY = "AKIA" + "Q3EGRIZNV5TSEXAM"  # pragma: allowlist secret


@pytest.fixture(scope="module")
def once(tmp_path_factory, _settings):
    project = make_shared(tmp_path_factory.mktemp("doctor") / "project")
    for name in ("requirements.txt", ".env.example"):
        shutil.copyfile(ROOT / name, project.root / name)
    commit(project.root, "checks")
    for branch in ("stag", "main"):
        call(project.root, "git", "branch", branch)
    return project


def examined(project, *names):
    """The links by name; those after the last of `names` are not looked at."""
    links = {}
    for link in doctor.examine(project):
        links[link.name] = link
        assert link.state in ("ok", "warning", "broken") and link.found
        assert bool(link.fix) == (link.state != "ok")
        assert SECRET not in str(link) and KEY not in str(link)
        if names and set(names) <= set(links):
            break
    return links


def with_hooks(project):
    """Slow, so only where the secrets are what is asked for."""
    shutil.copyfile(ROOT / ".pre-commit-config.yaml", project.root / ".pre-commit-config.yaml")


def append(path, text):
    write(path, (path.read_text(encoding="utf-8") if path.exists() else "") + text)


def cached(project):
    return file_of(project.root / ".dvc" / "cache", checksum(project.raw, "md5"))


def stored(project):
    return file_of(project.root.parent / "remote", checksum(project.raw, "md5"))


def test_a_whole_chain_is_ok_from_end_to_end(shared):
    with_hooks(shared)
    states = {name: link.state for name, link in examined(shared).items()}
    assert states.pop("MLflow") == "warning"  # no server is named
    names = ["Python", "packages", "Git", "secrets", "kit", "DVC remote"]
    assert states == dict.fromkeys([*names, "workspace", "cache", "remote"], "ok")
    assert [path.name for path in (shared.root.parent / "remote").iterdir()] == ["files"]


def lines(name, text, track=False, mode=0o644):
    """A change that appends to a file, and adds it to Git."""

    def change(project):
        append(project.root / name, text)
        os.chmod(project.root / name, mode)
        if track:
            call(project.root, "git", "add", "--force", name)

    return change


CHANGES = {
    "other": lambda p: write(p.root / "requirements.txt", "# x\n-e .\nnumpy==1.0\nno-such==1\n"),
    "left out": lambda p: write(p.root / "requirements.txt", 'x==1 ; python_version < "3"\n'),
    "no lock": lambda p: (p.root / "requirements.txt").unlink(),
    "no branch": lambda p: call(p.root, "git", "branch", "-D", "stag"),
    "no two": lambda p: call(p.root, "git", "branch", "-D", "stag", "main"),
    "no git": lambda p: shutil.rmtree(p.root / ".git"),
    "in env": lines(".env", f"MLFLOW_TRACKING_PASSWORD={KEY}\n", track=True, mode=0o600),
    "in config": lines(".dvc/config", f"    access_key_id = {KEY}\n", track=True),
    "in example": lines(".env.example", f"DAGSHUB_USER_TOKEN={KEY}\n"),
    "in code": lines("keys.py", f"KEY = '{KEY}'\n", track=True),
    "readable": lines(".env", f"DAGSHUB_USER_TOKEN={SECRET}\n", mode=0o640),
    "no remote": lambda p: dvc(p, "remote", "remove", "storage"),
    "no folder": lambda p: shutil.rmtree(p.root.parent / "remote"),
    "garbled": lines(".dvc/config", "[["),
    "unknown": lambda p: dvc(p, "config", "core.remote", "other"),
    "spoilt file": lambda p: spoil(p.raw),
    "spoilt cache": lambda p: spoil(cached(p)),
    "lost cache": lambda p: cached(p).unlink(),
    "spoilt remote": lambda p: spoil(stored(p)),
    "lost remote": lambda p: stored(p).unlink(),
    "lost": lambda p: (cached(p).unlink(), stored(p).unlink()),
    "nothing": lambda p: write(p.root / "data.dvc", "outs:\n- path: data/raw\n"),
}
TABLE = r"""
other         ! packages   ! broken  ! numpy [\d.]+, locked ==1\.0 and 1 more ! pip install
left out      ! packages   ! ok      ! as requirements.txt                    !
no lock       ! packages   ! broken  ! no requirements.txt                    ! git checkout
no branch     ! Git        ! warning ! on devl; no branch stag                ! git branch stag; git
no two        ! Git        ! warning ! no branch stag, main ! stag; git branch main; .* stag main$
no git        ! Git        ! broken  ! not a repository                       ! git init
in env        ! secrets    ! broken  ! hook env-file fails                    ! then withdraw
in config     ! secrets    ! broken  ! hook dvc-config fails                  ! then withdraw
in example    ! secrets    ! broken  ! hook env-example fails                 ! then withdraw
in code       ! secrets    ! broken  ! hook secrets fails                     ! then withdraw
readable      ! secrets    ! broken  ! others may read .env                   ! chmod 600 .env
no remote     ! DVC remote ! warning ! none: data and models stay here        ! connect s3 BUCKET
no remote     ! cache      ! ok      ! 2 objects intact$                      !
no folder     ! DVC remote ! warning ! no such folder                         ! dvc push makes it
garbled       ! DVC        ! broken  ! config                                 ! correct .*dvc/config
unknown       ! DVC remote ! broken  ! other                                  ! correct .*dvc/config
spoilt file   ! workspace  ! warning ! flats.csv: missing or changed           ! dvc repro
spoilt cache  ! cache      ! broken  ! 1 objects intact, corrupt: / ! delete .*; then dvc pull
lost cache    ! cache      ! warning ! 1 objects intact, 1 missing            ! dvc pull
spoilt remote ! remote     ! broken  ! 1 objects intact, corrupt: /           ! doctor --repair
lost remote   ! remote     ! warning ! 1 objects intact, 1 missing ! dvc push; .* --repair
lost          ! remote     ! broken  ! 1 of them here, too                    ! doctor --repair
nothing       ! data       ! warning ! name no data yet                       ! flat-rents run
"""


@pytest.mark.parametrize("line", TABLE.strip().splitlines(), ids=lambda line: line[:26])
def test_what_is_wrong_is_named_with_what_to_do(shared, monkeypatch, line):
    change, name, state, found, fix = (cell.strip() for cell in line.split("!"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(shared.root.parent))
    CHANGES[change](shared)
    if name == "secrets":
        with_hooks(shared)
    link = examined(shared, name)[name]
    assert link.state == state
    assert re.search(found, link.found) and re.search(fix, link.fix), link


def test_a_corrupt_cache_is_put_right_as_it_says(shared):
    raw, path = checksum(shared.raw, "md5"), cached(shared)
    spoil(path)
    shared.raw.unlink()
    assert str(path) in examined(shared, "cache")["cache"].found
    path.unlink()
    dvc(shared, "pull", "data.dvc")
    assert checksum(shared.raw, "md5") == raw
    assert examined(shared, "cache")["cache"].state == "ok"


@pytest.mark.parametrize("damage, n", [("spoilt remote", 1), ("lost remote", 1), ("no folder", 2)])
def test_a_remote_with_damage_is_repaired_from_an_intact_cache(shared, damage, n):
    CHANGES[damage](shared)
    assert storage.repair_remote(storage.open_repo(shared)) == n
    assert examined(shared, "remote")["remote"].state == "ok"
    assert storage.repair_remote(storage.open_repo(shared)) == 0


def test_a_server_that_is_down_is_broken_without_its_password(shared, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{SECRET}@127.0.0.1:9")
    link = examined(shared)["MLflow"]
    assert link.state == "broken" and "does not answer" in link.found
    assert "MLFLOW_TRACKING_URI" in link.fix


def test_the_kit_is_sealed():
    assert seal.edited() == [], "python -m laptop_pricing.kit.seal"


@pytest.fixture
def kit(tmp_path):
    """A copy of the kit that is sealed."""
    folder = tmp_path / "src" / "laptop_pricing" / "kit"
    shutil.copytree(seal.KIT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    write(folder.parent / "__init__.py", "")
    done = call(tmp_path, sys.executable, "-m", "laptop_pricing.kit.seal", PYTHONPATH="src")
    assert done.returncode == 0 and seal.edited(folder) == []
    return folder


def test_neither_line_endings_nor_what_python_and_editors_leave_behind_are_edits(kit):
    for path in (kit / "problem.py", kit / "SHA256"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    write(kit / "data" / "__pycache__" / "x.pyc", "x")
    write(kit / ".ipynb_checkpoints" / "x.py", "x")
    assert seal.edited(kit) == []


@pytest.mark.parametrize("name", ["data/split.py", "templates/card.md", "VERSION"])
def test_an_edited_a_missing_and_a_new_file_of_the_kit_are_named(kit, name):
    append(kit / name, "#")
    write(kit / "zeal.py", "")
    assert seal.edited(kit) == sorted([name, "zeal.py"])
    (kit / name).unlink()
    assert seal.edited(kit) == sorted([name, "zeal.py"])
    (kit / "SHA256").unlink()
    assert seal.edited(kit) == sorted(seal.checksums(kit))


def test_an_edited_kit_is_a_warning(kit, tmp_path):
    append(kit / "files.py", "# ours\n")
    write(kit / "zeal.py", "")
    code = (
        "from pathlib import Path; from laptop_pricing.kit.project import Project\n"
        "from laptop_pricing.kit.sharing.doctor import examine\n"
        "links = examine(Project(None, None, Path.cwd()))\n"
        "print(next(link for link in links if link.name == 'kit'))"
    )
    said = call(tmp_path, sys.executable, "-c", code, PYTHONPATH="src").stdout
    assert "'warning'" in said and ", edited: files.py and 1 more" in said
    assert "outside kit/" in said and "from the template" in said
