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

from laptop_pricing.problem import PROBLEM

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(sys.platform == "win32", reason="process groups and file modes of POSIX"),
]


@pytest.fixture
def team(tmp_path_factory, tmp_path):
    """A team of the test's own: ana has trained and pushed."""
    with copy_of(first_team("s3", tmp_path_factory.getbasetemp()), tmp_path) as team:
        yield team


def priced(clone, laptops):
    """What the member's model says: a quote as shown, and a file of prices, byte by byte."""
    fields = [f"{name}={value}" for name, value in PROBLEM.example.items()]
    quote = laptop_pricing(clone, "quote", *fields, "--margin", "0.2", run=ok)
    output = clone.parent / f"{clone.name}-priced.csv"
    laptop_pricing(clone, "predict", laptops, "-o", output, run=ok)
    return quote, output.read_bytes()


def no_secret_is_tracked(clone):
    """Neither a key nor a secret of anybody is in any commit, and the files of secrets are ours."""
    commits = ok(clone, "git", "rev-list", "--all").split()
    words = [part for pair in KEYS.values() for word in pair for part in ("-e", word)]
    # The hook's own list of the passwords that tests may have.
    places = (*commits, "--", ".", ":!.pre-commit-config.yaml")
    shown = call(clone, "git", "grep", "-n", *words, *places)
    assert (shown.returncode, shown.stdout, shown.stderr) == (1, "", "")
    for name in (".env", ".dvc/config.local"):
        assert ok(clone, "git", "ls-files", name) == ""
        assert stat.S_IMODE((clone / name).stat().st_mode) == 0o600
        assert any(secret in (clone / name).read_text() for _, secret in KEYS.values())


def test_two_members_have_the_same_prices_after_each_others_changes(team):
    laptops = team.folder / "laptops.csv"
    laptop_pricing(team.ana, "sample", laptops, "--rows", 50, "--seed", 9, run=ok)
    at_first = priced(team.ana, laptops)

    ben = team.clone("ben")
    team.connect("ben")
    ok(ben, "dvc", "pull")
    assert status(ben) == ""
    assert priced(ben, laptops) == at_first

    new_data(ben, 2)
    ok(ben, "dvc", "repro")
    commit(ben, "More data")
    ok(ben, "dvc", "push")
    ok(ben, "git", "push", "-q")
    changed = priced(ben, laptops)
    assert changed[0] != at_first[0] and changed[1] != at_first[1]

    ok(team.ana, "git", "pull", "-q")
    ok(team.ana, "dvc", "pull")
    assert status(team.ana) == ""
    assert priced(team.ana, laptops) == changed
    links, _ = doctor(team.ana)
    for name in ("DVC remote", "workspace", "cache", "remote"):
        assert links[name]["state"] == "ok", links[name]
    for clone in (team.ana, ben):
        no_secret_is_tracked(clone)


def failed_hooks(done):
    return set(re.findall(r"^(.+?)\.\.+Failed$", done.stdout + done.stderr, re.MULTILINE))


def test_planted_secrets_are_stopped_by_the_commit_hook_and_by_ci(team):
    """A connected clone passes both; a key in the config, in .env or in code does not."""
    clone = team.ana
    ok(clone, "pre-commit", "install")
    (clone / "notes.txt").write_text("nothing secret\n", encoding="utf-8")
    commit(clone, "Notes")
    ok(clone, "pre-commit", "run", "--all-files")

    ok(clone, "dvc", "remote", "modify", "storage", "secret_access_key", "s3cret")
    (clone / ".env").write_text("AWS_PROFILE=ana\n", encoding="utf-8")
    key = "AKIA" + 4 * "Z7Q4"  # in two parts, for the hook reads this file, too
    (clone / "upload.py").write_text(f'KEY = "{key}"\n', encoding="utf-8")
    ok(clone, "git", "add", "--force", ".env")
    ok(clone, "git", "add", "-A")
    hooks = {
        "secrets in .dvc/config (use dvc remote modify --local)",
        ".env itself (it stays on your machine)",
        "secrets",
    }
    done = call(clone, "git", "commit", "-m", "A mistake")
    assert done.returncode != 0 and failed_hooks(done) == hooks
    assert ok(clone, "git", "log", "-1", "--format=%s") == "Notes\n"

    ok(clone, "git", "commit", "--no-verify", "-qm", "On purpose")
    done = call(clone, "pre-commit", "run", "--all-files")
    assert done.returncode != 0 and failed_hooks(done) == hooks
    assert "upload.py" in done.stdout and ".dvc/config" in done.stdout
