"""The dataset of the current branch, by name: registered once, loaded as it was registered."""

import shutil

import pandas as pd
import pytest
from solo import call, commit, ours
from test_storage import make_shared

from laptop_pricing.data.sample import write_sample
from laptop_pricing.errors import DataUnavailable, UserError
from laptop_pricing.files import checksum
from laptop_pricing.settings import Workspace
from laptop_pricing.tracking.datasets import load_dataset, register_dataset

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def once(tmp_path_factory, sample_csv):
    return make_shared(tmp_path_factory.mktemp("datasets") / "project", sample_csv)


@pytest.fixture
def shared(once, tmp_path):
    """A copy of the project, its data pushed to a copy of its remote."""
    shutil.copytree(once.root.parent, tmp_path / "copy", symlinks=True)
    root = tmp_path / "copy" / "project"
    call(root, "dvc", "remote", "modify", "storage", "url", root.parent / "remote")
    commit(root, "another remote")
    return Workspace(root)


def change_data(workspace, seed=1, push=True):
    """Other data on the current branch, committed and pushed; what they are."""
    write_sample(workspace.raw, 60, seed)
    for command in (["commit", "-q", "-f", "data.dvc"], *([["push", "-q"]] if push else [])):
        done = call(workspace.root, "dvc", *command)
        assert done.returncode == 0, done.stderr
    commit(workspace.root, "other data")
    return checksum(workspace.raw, "md5")


def switch(workspace, *branch):
    done = call(workspace.root, "git", "switch", "-q", *branch)
    assert done.returncode == 0, done.stderr


def test_the_entry_says_which_data_from_where_and_what_is_in_them(shared, params):
    from mlflow import MlflowClient

    entry = register_dataset(shared, params)
    assert entry.new and entry.branch == "devl" and entry.md5 == checksum(shared.raw, "md5")
    run = MlflowClient(shared.tracking_uri).get_run(entry.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["commit"] == call(shared.root, "git", "rev-parse", "HEAD").stdout.strip()
    (known,) = run.inputs.dataset_inputs
    assert (known.dataset.name, known.dataset.digest) == (shared.raw.name, entry.md5)
    assert known.dataset.profile == '{"num_rows": 400}'
    assert "data.dvc" in known.dataset.source and "processor_name" in known.dataset.schema


def test_the_same_data_are_registered_once(shared, params):
    first, again = register_dataset(shared, params), register_dataset(shared, params)
    assert first.run_id == again.run_id and first.new and not again.new


def test_a_branchs_name_may_have_an_apostrophe(shared, params):
    switch(shared, "-c", "ana's")
    assert [register_dataset(shared, params).new for _ in range(2)] == [True, False]


def test_defect_10_a_notebook_gets_the_data_of_the_branch_it_is_on(shared, params, monkeypatch):
    """The course's notebook reads main's data, whatever branch it runs on."""
    switch(shared, "-c", "main")
    mains = register_dataset(shared, params).md5
    switch(shared, "-c", "experiment")
    others = change_data(shared)
    assert register_dataset(shared, params).md5 == others != mains
    monkeypatch.chdir(shared.root / "src")
    for branch, rows in (("experiment", 60), ("main", 400), ("experiment", 60)):
        switch(shared, branch)  # without dvc checkout: data/raw is not this branch's yet
        assert len(load_dataset()) == rows
    assert len(load_dataset("main")) == 400


def test_the_table_is_the_raw_file(shared, params):
    register_dataset(shared, params)
    expected = pd.read_csv(shared.raw)
    shared.raw.unlink()
    pd.testing.assert_frame_equal(load_dataset(workspace=shared), expected)


def test_what_is_not_here_comes_from_the_remote(shared, params):
    register_dataset(shared, params)
    shutil.rmtree(shared.root / ".dvc" / "cache")
    shared.raw.unlink()
    assert len(load_dataset(workspace=shared)) == 400


def test_data_that_are_nowhere_are_one_line(shared, params):
    register_dataset(shared, params)
    shutil.rmtree(shared.root / ".dvc" / "cache")
    shutil.rmtree(shared.root.parent / "remote")
    shared.raw.unlink()
    with pytest.raises(DataUnavailable, match=r"of commit \w{7}: .*; git fetch, then"):
        load_dataset(workspace=shared)


def test_a_branch_without_an_entry_is_one_line(shared, params):
    with pytest.raises(UserError, match="branch devl has no registered dataset; switch to it"):
        load_dataset(workspace=shared)


@pytest.mark.parametrize(
    "state, told",
    [
        ("uncommitted", "data.dvc: not that of the last commit"),
        ("changed", "data.dvc: not that of the last commit"),
        ("not pushed", "its data are not in the DVC remote; dvc push"),
        ("absent", "not there; run dvc pull"),
        ("detached", "not on a branch"),
    ],
)
def test_what_others_could_not_get_is_not_registered(shared, params, state, told):
    if state == "changed":
        write_sample(shared.raw, 60, 1)
    elif state == "uncommitted":
        write_sample(shared.raw, 60, 1)
        call(shared.root, "dvc", "commit", "-q", "-f", "data.dvc")
    elif state == "not pushed":
        change_data(shared, push=False)
    elif state == "absent":
        shared.raw.unlink()
    else:
        switch(shared, "--detach")
    with pytest.raises(UserError, match=told):
        register_dataset(shared, params)
    assert not (shared.root / "mlflow.db").exists()


def test_the_command_says_what_is_registered(shared):
    first, again = (ours(shared.root, "dataset") for _ in range(2))
    md5 = checksum(shared.raw, "md5")
    assert first.stdout.startswith(f"registered: md5 {md5} for branch devl, run ")
    assert again.stdout.startswith(f"registered already: md5 {md5} for branch devl, run ")
