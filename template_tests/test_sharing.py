"""Two members share data and models through a storage, and secrets with nobody."""

import re
import stat
import sys

import pytest
from sharing import (
    KEYS,
    call,
    commit,
    copy_of,
    doctor,
    first_team,
    laptop_pricing,
    new_data,
    ok,
    status,
)

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(sys.platform == "win32", reason="process groups and file modes of POSIX"),
]

LAPTOP = "brand=dell processor_brand=intel processor_name=core_i5 ram_gb=8 ram_type=ddr4 ssd=512"
LAPTOP += (
    " hdd=0 os=windows os_bit=64-bit graphic_card_gb=0 weight=casual warranty=1 touchscreen=no"
)


@pytest.fixture
def team(request, tmp_path_factory, tmp_path):
    """A team of the test's own: ana has trained and pushed."""
    first = first_team(getattr(request, "param", "s3"), tmp_path_factory.getbasetemp())
    with copy_of(first, tmp_path) as team:
        yield team


def priced(clone, laptops):
    """What the member's model says: a quote as shown, and a file of prices, byte by byte."""
    fields = [field.replace("core_i5", "core i5") for field in LAPTOP.split()]
    quote = laptop_pricing(clone, "quote", *fields, "--margin", "0.2", run=ok)
    output = clone.parent / f"{clone.name}-priced.csv"
    laptop_pricing(clone, "predict", laptops, "-o", output, run=ok)
    return quote, output.read_bytes()


def share(clone, message):
    commit(clone, message)
    ok(clone, "dvc", "push")
    ok(clone, "git", "push", "-q")


def no_secret_is_tracked(clone):
    """Neither a key nor a secret of anybody is in any commit, and the files of secrets are ours."""
    commits = ok(clone, "git", "rev-list", "--all").split()
    words = [part for pair in KEYS.values() for word in pair for part in ("-e", word)]
    # The hook's own list of the passwords that tests may have.
    found = call(
        clone, "git", "grep", "-n", *words, *commits, "--", ".", ":!.pre-commit-config.yaml"
    )
    assert (found.returncode, found.stdout, found.stderr) == (1, "", "")
    for name in (".env", ".dvc/config.local"):
        assert ok(clone, "git", "ls-files", name) == ""
        assert stat.S_IMODE((clone / name).stat().st_mode) == 0o600
        assert any(secret in (clone / name).read_text() for _, secret in KEYS.values())


@pytest.mark.parametrize("team", ["s3", "path"], indirect=True)
def test_two_members_have_the_same_prices_after_each_others_changes(team):
    laptops = team.folder / "laptops.csv"
    laptop_pricing(team.ana, "sample", laptops, "--rows", 50, "--seed", 9, run=ok)
    at_first = priced(team.ana, laptops)

    ben = team.clone("ben")
    if team.endpoint:  # a path needs no keys, so the clone is connected as it is
        team.connect("ben")
        no_secret_is_tracked(team.ana)
        no_secret_is_tracked(ben)
    ok(ben, "dvc", "pull")
    assert status(ben) == ""
    assert priced(ben, laptops) == at_first

    new_data(ben, 2)
    ok(ben, "dvc", "repro")
    share(ben, "More data")
    changed = priced(ben, laptops)
    assert changed[0] != at_first[0] and changed[1] != at_first[1]

    ok(team.ana, "git", "pull", "-q")
    ok(team.ana, "dvc", "pull")
    assert status(team.ana) == ""
    assert priced(team.ana, laptops) == changed
    found, _ = doctor(team.ana)
    for name in ("DVC remote", "workspace", "cache", "remote"):
        assert found[name]["state"] == "ok", found[name]
    if team.endpoint:
        no_secret_is_tracked(team.ana)


def plant_in_config(clone):
    ok(clone, "dvc", "remote", "modify", "storage", "secret_access_key", "s3cret")
    return ".dvc/config", "secrets in .dvc/config (use dvc remote modify --local)"


def plant_in_environment(clone):
    (clone / ".env").write_text("AWS_PROFILE=ana\n", encoding="utf-8")
    ok(clone, "git", "add", "--force", ".env")
    return ".env", ".env itself (it stays on your machine)"


def plant_in_code(clone):
    name = "AKIA" + 4 * "Z7Q4"  # in two parts, for the hook reads this file, too
    (clone / "upload.py").write_text(f'KEY = "{name}"\n', encoding="utf-8")
    return "upload.py", "secrets"


def failed_hooks(done):
    return re.findall(r"^(.+?)\.\.+Failed$", done.stdout + done.stderr, re.MULTILINE)


def test_a_connected_clone_passes_the_commit_hook_and_ci(team):
    ok(team.ana, "pre-commit", "install")
    (team.ana / "notes.txt").write_text("nothing secret\n", encoding="utf-8")
    commit(team.ana, "Notes")
    done = call(team.ana, "pre-commit", "run", "--all-files")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "plant", [plant_in_config, plant_in_environment, plant_in_code], ids=lambda f: f.__name__
)
def test_a_planted_secret_is_stopped_by_the_commit_hook_and_by_ci(team, plant):
    ok(team.ana, "pre-commit", "install")
    head = ok(team.ana, "git", "rev-parse", "HEAD")
    file, hook = plant(team.ana)
    ok(team.ana, "git", "add", "-A")

    done = call(team.ana, "git", "commit", "-m", "A mistake")
    assert done.returncode != 0 and failed_hooks(done) == [hook]
    assert ok(team.ana, "git", "rev-parse", "HEAD") == head

    ok(team.ana, "git", "commit", "--no-verify", "-qm", "On purpose")
    done = call(team.ana, "pre-commit", "run", "--all-files")
    assert done.returncode != 0 and failed_hooks(done) == [hook] and file in done.stdout
