"""The dataset of the current branch, by name: registered once, loaded as it was registered."""

import shutil
from dataclasses import replace

import pandas as pd
import pytest
from problems import MADE, write_raw
from solo import commit
from tracked import check, client_of, with_shared_data

from laptop_pricing.kit.errors import DataUnavailable, UserError
from laptop_pricing.kit.files import checksum
from laptop_pricing.kit.tracking.datasets import load_dataset, register_dataset

pytestmark = pytest.mark.services
ROWS = 400
CHANGE = "f=$(echo data/raw/*.csv); head -60 $f > other; rm $f; mv other $f"


@pytest.fixture(scope="module")
def once(trained, tmp_path_factory):
    return with_shared_data(trained(MADE), tmp_path_factory.mktemp("datasets"))


@pytest.fixture
def shared(once, tmp_path):
    """A copy of the project, its data pushed to a copy of its remote."""
    shutil.copytree(once.root.parent, tmp_path / "copy", symlinks=True)
    project = replace(once, root=tmp_path / "copy" / "project")
    check(project, "dvc", "remote", "modify", "storage", "url", tmp_path / "copy" / "remote")
    commit(project.root, "another remote")
    return project


def test_the_entry_says_which_data_from_where_and_is_made_once(shared):
    entry, again = register_dataset(shared), register_dataset(shared)
    assert entry.new and again == entry._replace(new=False)
    assert (entry.branch, entry.md5) == ("devl", checksum(shared.raw, "md5"))
    assert entry.commit == check(shared, "git", "rev-parse", "HEAD")
    run = client_of(shared).get_run(entry.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags.items() >= {"commit": entry.commit, "dataset": MADE.name}.items()
    (known,) = run.inputs.dataset_inputs
    assert (known.dataset.name, known.dataset.digest) == (shared.raw.name, entry.md5)
    assert f'"num_rows": {ROWS}' in known.dataset.profile
    assert "data.dvc" in known.dataset.source and "Monthly rent" in known.dataset.schema


def test_defect_10_a_notebook_gets_the_data_of_the_branch_it_is_on(shared):
    """The course's notebook reads main's data, whatever branch it runs on."""
    check(shared, "git", "switch", "-q", "-c", "main")
    mains = register_dataset(shared).md5
    check(shared, "git", "switch", "-q", "-c", "experiment")
    write_raw(MADE, shared.raw, 60, seed=1)
    check(shared, "sh", "-c", "dvc commit -q -f data.dvc; dvc push -q data.dvc; git commit -qam 60")
    assert register_dataset(shared).md5 == checksum(shared.raw, "md5") != mains
    for branch, rows in (("experiment", 60), ("main", ROWS), ("experiment", 60)):
        check(shared, "git", "switch", "-q", branch)  # and not dvc checkout: data/raw is another's
        assert len(load_dataset(shared)) == rows
    assert len(load_dataset(shared, "main")) == ROWS


@pytest.mark.parametrize("lost", ["nothing", "data/raw", "data/raw and the cache"])
def test_the_table_is_the_raw_file_wherever_it_comes_from(shared, lost):
    register_dataset(shared)
    expected = pd.read_csv(shared.raw)
    if lost != "nothing":
        shared.raw.unlink()
    if "cache" in lost:
        shutil.rmtree(shared.root / ".dvc" / "cache")
    pd.testing.assert_frame_equal(load_dataset(shared), expected)


def test_data_that_are_nowhere_are_one_line(shared):
    register_dataset(shared)
    for folder in (shared.root / ".dvc" / "cache", shared.root.parent / "remote"):
        shutil.rmtree(folder)
    shared.raw.unlink()
    with pytest.raises(DataUnavailable, match=r"of commit \w{7}: [^\n]*; git fetch, "):
        load_dataset(shared)


def test_a_branch_without_an_entry_is_one_line(shared):
    said = "branch devl: has no registered dataset; switch to it and run flat-rents dataset"
    with pytest.raises(UserError, match=said):
        load_dataset(shared)


@pytest.mark.parametrize(
    "change, said",
    [
        (f"{CHANGE}; dvc commit -q -f data.dvc", "data.dvc: not that of the last commit"),
        (CHANGE, "data.dvc: not that of the last commit"),
        (f"{CHANGE}; dvc commit -q -f data.dvc; git commit -qam 'not pushed'",
         "data.dvc: its data are not in the DVC remote; dvc push"),
        ("rm data/raw/*.csv", "data.dvc: not that of the last commit; dvc pull it; or dvc commit"),
        ("git switch -q --detach", "not on a branch"),
    ],
)  # fmt: skip
def test_what_others_could_not_get_is_not_registered(shared, change, said):
    check(shared, "sh", "-c", change)
    with pytest.raises(UserError, match=said):
        register_dataset(shared)
    assert not (shared.root / "mlflow.db").exists()
