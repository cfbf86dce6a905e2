"""What is promised is read, every byte, in cache and remote; with real DVC and a local remote."""

import os
import sys
from dataclasses import replace

import pytest
from repos import file_of, spoil

from laptop_pricing.kit.errors import StepFailed
from laptop_pricing.kit.files import checksum
from laptop_pricing.kit.process import run_dvc
from laptop_pricing.kit.sharing import storage

pytestmark = pytest.mark.services

RAW = os.path.join("data", "raw")


def inspected(project):
    repo = storage.open_repo(project)
    stores = {"cache": repo.cache.local, "remote": repo.cloud.get_remote_odb()}
    return list(storage.inspect(repo, **stores).values())


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_the_index_of_dvc_lies_where_only_its_owner_may_write(shared, monkeypatch):
    monkeypatch.delenv("DVC_SITE_CACHE_DIR")
    folder = shared.root / ".dvc" / "tmp" / "site"
    folder.mkdir(parents=True)
    folder.chmod(0o777)  # as DVC itself makes it
    said = run_dvc(shared, "version", capture=True).stdout
    assert f"Repo.site_cache_dir: {folder}{os.sep}" in said
    assert folder.stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(shared.root.parent / "elsewhere"))
    assert "elsewhere" in run_dvc(shared, "version", capture=True).stdout


def test_what_is_whole_is_intact_with_what_its_folder_lists(shared):
    repo = storage.open_repo(shared)
    ((path, folder),) = storage.promised(repo).items()
    assert path == RAW and folder in (shared.root / "data.dvc").read_text()
    for objects in inspected(shared):
        assert set(objects["intact"]) == {folder, checksum(shared.raw, "md5")}
        assert objects["missing"] == objects["corrupt"] == []
    assert storage.changed(repo) == []
    storage.check_cache(shared)


@pytest.mark.parametrize("place", [0, 1], ids=["cache", "remote"])
@pytest.mark.parametrize("what", ["file", "listing"])
@pytest.mark.parametrize("state", ["corrupt", "missing"])
def test_damage_is_noticed_where_it_is(shared, place, what, state):
    (folder,) = storage.promised(storage.open_repo(shared)).values()
    oid = checksum(shared.raw, "md5") if what == "file" else folder
    stores = (shared.root / ".dvc" / "cache", shared.root.parent / "remote")
    path = file_of(stores[place], oid)
    spoil(path) if state == "corrupt" else path.unlink()
    conditions = inspected(shared)
    assert conditions[place][state] == [oid]
    assert len(conditions[place]["intact"]) == 1 and len(conditions[1 - place]["intact"]) == 2
    if (place, state) == (0, "corrupt"):
        with pytest.raises(StepFailed, match=f"{oid[2:]}: corrupt in DVC's cache; delete it"):
            storage.check_cache(shared)
    else:
        storage.check_cache(shared)


@pytest.mark.parametrize("change", [spoil, os.unlink], ids=["spoilt", "lost"])
def test_a_file_that_is_not_as_promised_is_named(shared, change):
    change(shared.raw)
    repo = storage.open_repo(shared)
    assert storage.changed(repo) == [os.path.join(RAW, shared.raw.name)]


@pytest.mark.parametrize("text", ["outs: [", "outs:\n- md5: 1\n"])
def test_what_dvc_cannot_read_is_one_line(shared, tmp_path, text):
    (shared.root / "data.dvc").write_text(text, encoding="utf-8")
    with pytest.raises(StepFailed, match=r"^dvc: .*data\.dvc"):
        storage.open_repo(shared)
    with pytest.raises(StepFailed, match="^dvc: "):
        storage.open_repo(replace(shared, root=tmp_path))


def test_what_dvc_has_of_a_commit_is_fetched_from_the_remote_too(shared, tmp_path):
    for path in (shared.root / ".dvc" / "cache" / "files").rglob("*"):
        path.is_file() and path.unlink()
    storage.fetch(shared, "HEAD", "data/raw", tmp_path / "fetched")
    assert (tmp_path / "fetched" / shared.raw.name).read_bytes() == shared.raw.read_bytes()
    with pytest.raises(StepFailed, match="^models of HEAD: "):
        storage.fetch(shared, "HEAD", "models", tmp_path / "models")
