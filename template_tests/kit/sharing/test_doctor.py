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


def other_versions(project):
    write(project.root / "requirements.txt", "# x\n-e .\nnumpy==1.0\nno-such-package==1\n")


def left_out_version(project):
    write(project.root / "requirements.txt", 'no-such-package==1 ; python_version < "3"\n')


def no_lock(project):
    (project.root / "requirements.txt").unlink()


def no_branch(project):
    call(project.root, "git", "branch", "-D", "stag")


def no_git(project):
    shutil.rmtree(project.root / ".git")


def tracked_env(project):
    append(project.root / ".env", f"MLFLOW_TRACKING_PASSWORD={KEY}\n")
    os.chmod(project.root / ".env", 0o600)
    call(project.root, "git", "add", "--force", ".env")


def tracked_config(project):
    append(project.root / ".dvc" / "config", f"    access_key_id = {KEY}\n")
    call(project.root, "git", "add", ".dvc/config")


def tracked_example(project):
    append(project.root / ".env.example", f"DAGSHUB_USER_TOKEN={KEY}\n")


def tracked_code(project):
    append(project.root / "keys.py", f"KEY = '{KEY}'\n")
    call(project.root, "git", "add", "keys.py")


def readable_env(project):
    append(project.root / ".env", f"DAGSHUB_USER_TOKEN={SECRET}\n")
    os.chmod(project.root / ".env", 0o640)


def no_remote(project):
    dvc(project, "remote", "remove", "storage")


def no_folder(project):
    shutil.rmtree(project.root.parent / "remote")


def broken_config(project):
    append(project.root / ".dvc" / "config", "[[")


def unknown_remote(project):
    dvc(project, "config", "core.remote", "other")


def spoilt_file(project):
    spoil(project.raw)


def spoilt_cache(project):
    spoil(cached(project))


def lost_cache(project):
    cached(project).unlink()


def spoilt_remote(project):
    spoil(stored(project))


def lost_remote(project):
    stored(project).unlink()


def lost_everywhere(project):
    lost_cache(project), lost_remote(project)


def no_promise(project):
    write(project.root / "data.dvc", "outs:\n- path: data/raw\n")


WITHDRAW = "--all-files shows where; then withdraw"
CASES = [
    (
        other_versions,
        "packages",
        "broken",
        r"numpy [\d.]+, locked ==1\.0 and 1 more",
        "pip install",
    ),
    (left_out_version, "packages", "ok", "as requirements.txt", ""),
    (no_lock, "packages", "broken", "no requirements.txt", "git checkout requirements.txt"),
    (no_branch, "Git", "warning", "on devl; no branch stag", "git branch stag, git push -u origin"),
    (no_git, "Git", "broken", "not a repository", "git init"),
    (tracked_env, "secrets", "broken", "hook env-file fails", WITHDRAW),
    (tracked_config, "secrets", "broken", "hook dvc-config fails", WITHDRAW),
    (tracked_example, "secrets", "broken", "hook env-example fails", WITHDRAW),
    (tracked_code, "secrets", "broken", "hook secrets fails", WITHDRAW),
    (readable_env, "secrets", "broken", "others may read .env", "chmod 600 .env"),
    (no_remote, "DVC remote", "warning", "none: data and models stay here", "connect s3 BUCKET"),
    (no_remote, "cache", "ok", "2 objects intact$", ""),
    (no_folder, "DVC remote", "warning", "no such folder", "dvc push makes it"),
    (broken_config, "DVC", "broken", "", r"correct .*\.dvc/config"),
    (unknown_remote, "DVC remote", "broken", "other", r"correct .*\.dvc/config"),
    (spoilt_file, "workspace", "warning", "flats.csv: not as promised", "dvc repro"),
    (spoilt_cache, "cache", "broken", "1 objects intact, corrupt: /", "delete .*; then dvc pull"),
    (lost_cache, "cache", "warning", "1 objects intact, 1 missing", "dvc pull"),
    (spoilt_remote, "remote", "broken", "1 objects intact, corrupt: /", "doctor --repair"),
    (
        lost_remote,
        "remote",
        "warning",
        "1 objects intact, 1 missing",
        "dvc push; .* doctor --repair",
    ),
    (lost_everywhere, "remote", "broken", "1 of them here, too", "doctor --repair"),
    (no_promise, "data", "warning", "promise nothing yet", "flat-rents run"),
]


@pytest.mark.parametrize(
    "change, name, state, found, fix", CASES, ids=[f"{c[0].__name__}-{c[1]}" for c in CASES]
)
def test_what_is_wrong_is_named_with_what_to_do(
    shared, monkeypatch, change, name, state, found, fix
):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(shared.root.parent))
    change(shared)
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


@pytest.mark.parametrize("damage", [spoilt_remote, lost_remote, no_folder])
def test_a_remote_with_damage_is_repaired_from_an_intact_cache(shared, damage):
    damage(shared)
    whole = 2 if damage is no_folder else 1
    assert storage.repair_remote(storage.open_repo(shared)) == whole
    assert examined(shared, "remote")["remote"].state == "ok"
    assert storage.repair_remote(storage.open_repo(shared)) == 0


def test_a_server_that_is_down_is_broken_without_its_password(shared, monkeypatch):
    pytest.importorskip("laptop_pricing.kit.tracking.server")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{SECRET}@127.0.0.1:9")
    link = examined(shared)["MLflow"]
    assert link.state == "broken" and "does not answer" in link.found
    assert "MLFLOW_TRACKING_URI" in link.fix


def test_the_kit_is_sealed():
    assert seal.edited() == [], "python -m laptop_pricing.kit.seal"


@pytest.fixture
def kit(tmp_path):
    folder = tmp_path / "src" / "laptop_pricing" / "kit"
    shutil.copytree(seal.KIT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_neither_line_endings_nor_what_python_and_editors_leave_behind_are_edits(kit):
    for path in (kit / "problem.py", kit / "SHA256"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    write(kit / "data" / "__pycache__" / "x.pyc", "x")
    write(kit / ".ipynb_checkpoints" / "x.py", "x")
    assert seal.edited(kit) == []


@pytest.mark.parametrize("name", ["data/split.py", "templates/card.md", "VERSION"])
@pytest.mark.parametrize(
    "change", [lambda path: append(path, "#"), os.unlink], ids=["edit", "lack"]
)
def test_an_edited_file_of_the_kit_is_named(kit, name, change):
    change(kit / name)
    write(kit / "zeal.py", "")
    assert seal.edited(kit) == sorted([name, "zeal.py"])


def test_without_its_seal_everything_is_edited(kit):
    (kit / "SHA256").unlink()
    assert seal.edited(kit) == sorted(seal.checksums(kit))


def test_an_edited_kit_is_a_warning(kit, tmp_path):
    append(kit / "files.py", "# ours\n")
    write(kit / "zeal.py", "")
    code = (
        "from pathlib import Path; from laptop_pricing.kit.project import Project\n"
        "from laptop_pricing.kit.sharing.doctor import examine\n"
        f"project = Project(None, None, Path({str(tmp_path)!r}))\n"
        "print(next(link for link in examine(project) if link.name == 'kit'))"
    )
    paths = {"PYTHONPATH": str(kit.parents[1])}
    shutil.copyfile(ROOT / "src/laptop_pricing/__init__.py", kit.parent / "__init__.py")
    done = call(tmp_path, sys.executable, "-c", code, **paths)
    assert "'warning', found='1.0.0, edited: files.py and 1 more'" in done.stdout.replace(
        "state=", ""
    ), done.stderr
    assert "outside kit/" in done.stdout and "from the template" in done.stdout
