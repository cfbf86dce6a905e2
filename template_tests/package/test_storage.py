"""What is promised is read, every byte, in cache and remote; with real DVC and a local remote."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from solo import call, commit, make_project

from laptop_pricing import storage
from laptop_pricing.errors import StepFailed
from laptop_pricing.files import checksum
from laptop_pricing.programs import run_dvc
from laptop_pricing.settings import Workspace

pytestmark = pytest.mark.services


def make_shared(root, sample_csv):
    """A project whose data are registered, and pushed to a folder beside it."""
    make_project(root, sample_csv)
    workspace = Workspace(root)
    workspace.raw.parent.mkdir(parents=True)
    shutil.copyfile(sample_csv, workspace.raw)
    for command in (
        ["remote", "add", "-q", "--default", "storage", root.parent / "remote"],
        ["commit", "-q", "-f", "data.dvc"],
        ["push", "-q"],
    ):
        done = call(root, "dvc", *command)
        assert done.returncode == 0, done.stderr
    commit(root, "data")
    return workspace


@pytest.fixture(scope="module")
def once(tmp_path_factory, sample_csv):
    return make_shared(tmp_path_factory.mktemp("shared") / "project", sample_csv)


@pytest.fixture
def shared(once, tmp_path):
    """A copy of the project and of its remote."""
    shutil.copytree(once.root.parent, tmp_path / "copy", symlinks=True)
    root = tmp_path / "copy" / "project"
    call(root, "dvc", "remote", "modify", "storage", "url", root.parent / "remote")
    return Workspace(root)


def file_of(folder, oid):
    return Path(folder) / "files" / "md5" / oid[:2] / oid[2:]


def spoil(path):
    """Other bytes of the same length, and the same mode."""
    mode, content = path.stat().st_mode, path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(content[:-2] + b"##")
    path.chmod(mode)


def inspected(workspace):
    repo = storage.open_repo(workspace)
    oids = storage.promised(repo).values()
    return storage.inspect(oids, storage.cache(repo), storage.remote(repo))


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_the_index_of_dvc_lies_where_only_its_owner_may_write(shared, monkeypatch):
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", "")
    monkeypatch.delenv("DVC_SITE_CACHE_DIR")
    folder = shared.root / ".dvc" / "tmp" / "site"
    folder.mkdir(parents=True)
    folder.chmod(0o777)  # as DVC itself makes it
    said = run_dvc(shared, "version", capture=True).stdout
    assert f"Repo.site_cache_dir: {folder}{os.sep}" in said
    assert folder.stat().st_mode & 0o777 == 0o700
    assert Path(storage.open_repo(shared).site_cache_dir).is_relative_to(folder)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(shared.root.parent / "elsewhere"))
    assert "elsewhere" in run_dvc(shared, "version", capture=True).stdout


def test_the_promise_is_what_data_dvc_says(shared):
    repo = storage.open_repo(shared)
    promised = storage.promised(repo)
    assert list(promised) == [os.path.join("data", "raw")]
    assert promised[os.path.join("data", "raw")] in (shared.root / "data.dvc").read_text()


def test_intact_objects_are_intact_with_what_their_folder_lists(shared):
    raw = checksum(shared.raw, "md5")
    for held in inspected(shared):
        assert raw in held.intact and len(held.intact) == 2
        assert held.missing == held.corrupt == ()
    assert storage.changed(storage.open_repo(shared)) == []
    storage.check_cache(shared)


@pytest.mark.parametrize("place", [0, 1], ids=["cache", "remote"])
@pytest.mark.parametrize("what", ["file", "listing"])
def test_a_corrupt_object_is_noticed_where_it_is(shared, place, what):
    raw = checksum(shared.raw, "md5")
    (folder,) = storage.promised(storage.open_repo(shared)).values()
    oid = raw if what == "file" else folder
    stores = (shared.root / ".dvc" / "cache", shared.root.parent / "remote")
    spoil(file_of(stores[place], oid))
    found = inspected(shared)
    assert found[place].corrupt == (oid,)
    assert found[1 - place].corrupt == () and len(found[1 - place].intact) == 2
    if place == 0:
        with pytest.raises(StepFailed, match=f"{oid[2:]}: corrupt in DVC's cache; delete it"):
            storage.check_cache(shared)
    else:
        storage.check_cache(shared)


@pytest.mark.parametrize("place", [0, 1], ids=["cache", "remote"])
def test_a_missing_object_is_noticed_where_it_is(shared, place):
    raw = checksum(shared.raw, "md5")
    stores = (shared.root / ".dvc" / "cache", shared.root.parent / "remote")
    file_of(stores[place], raw).unlink()
    found = inspected(shared)
    assert found[place].missing == (raw,) and found[1 - place].missing == ()


def test_a_changed_file_of_the_workspace_is_named(shared):
    spoil(shared.raw)
    changed = storage.changed(storage.open_repo(shared))
    assert changed == [os.path.relpath(shared.raw, shared.root)]


def test_a_lost_file_of_the_workspace_is_named(shared):
    shared.raw.unlink()
    assert storage.changed(storage.open_repo(shared)) == [os.path.relpath(shared.raw, shared.root)]


@pytest.mark.parametrize("text", ["outs: [", "outs:\n- md5: 1\n"])
def test_a_pointer_that_dvc_cannot_read_is_one_line(shared, text):
    (shared.root / "data.dvc").write_text(text, encoding="utf-8")
    with pytest.raises(StepFailed, match="data.dvc"):
        storage.open_repo(shared)


def test_a_folder_without_dvc_is_one_line(tmp_path):
    with pytest.raises(StepFailed, match="^dvc: "):
        storage.open_repo(Workspace(tmp_path))
