"""What goes wrong between a member and the storage is noticed, and costs nothing that was there.

docs/troubleshooting.md says what to do.
"""

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sharing import (
    cached,
    call,
    copy_of,
    corrupt,
    digest,
    doctor,
    first_team,
    kill,
    laptop_pricing,
    ok,
    overwrite,
    spoilt,
    start,
    status,
)

from laptop_pricing.problem import PROBLEM

RAW_FILE = PROBLEM.raw_file

pytestmark = [
    pytest.mark.services,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="process groups and mounts of POSIX"),
]
PATIENCE_S = 60  # plain DVC asks a silent storage for many minutes
both_storages = pytest.mark.parametrize("team", ["s3", "path"], indirect=True)


@pytest.fixture
def team(request, tmp_path_factory, tmp_path):
    """A team of the test's own: ana has trained and pushed."""
    first = first_team(getattr(request, "param", "s3"), tmp_path_factory.getbasetemp())
    with copy_of(first, tmp_path) as team:
        yield team


def clone(team, member):
    """A clone that is connected with ana's keys; a second machine of hers."""
    made = team.clone(member)
    if team.endpoint:
        for name in (".env", ".dvc/config.local"):
            shutil.copy(team.ana / name, made / name)
    return made


def reconfigure(clone, old, new):
    """Replace a text in all settings of a clone."""
    for name in (".dvc/config", ".dvc/config.local", ".env"):
        text = (clone / name).read_text(encoding="utf-8")
        overwrite(clone / name, text.replace(old, new).encode("utf-8"))


def one_line(done):
    """The one line that a failed command says."""
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1 and len(lines) == 1, done.stdout + done.stderr
    assert lines[0].startswith("Error: ")
    return lines[0]


def raw_object(clone):
    """The name of the object that holds the raw data."""
    return digest(clone / "data" / "raw" / RAW_FILE)


def files(clone):
    """What the pipeline made, as names and checksums."""
    folders = ("data", "models", "reports")
    found = [p for f in folders for p in (clone / f).rglob("*") if p.is_file()]
    found += [clone / "metrics.json", clone / "dvc.lock", clone / "data.dvc"]
    return {path.relative_to(clone).as_posix(): digest(path) for path in found if path.is_file()}


# A storage that cannot be reached


@contextlib.contextmanager
def silence():
    """The address of a server that accepts and never answers."""
    held = []

    def accept():
        with contextlib.suppress(OSError):
            while True:
                held.append(server.accept()[0])

    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    for connection in held:
        connection.close()


@contextlib.contextmanager
def wrong_keys(team):
    yield "hunter2", "s3cret", "the keys are refused"


@contextlib.contextmanager
def missing_bucket(team):
    yield f"s3://{team.bucket}/", "s3://nowhere/", "no such bucket"


@contextlib.contextmanager
def endpoint_down(team):
    with socket.socket() as closed:  # held, so that nobody else listens there
        closed.bind(("127.0.0.1", 0))
        yield team.endpoint, f"http://127.0.0.1:{closed.getsockname()[1]}", "does not answer"


@contextlib.contextmanager
def endpoint_silent(team):
    with silence() as address:
        yield team.endpoint, address, "does not answer"


@pytest.mark.parametrize(
    "fault",
    [wrong_keys, missing_bucket, endpoint_down, endpoint_silent],
    ids=lambda fault: fault.__name__,
)
def test_a_storage_out_of_reach_is_named_in_time_and_nothing_is_lost(team, fault):
    runs, asks, pulls = (clone(team, member) for member in ("runs", "asks", "pulls"))
    before = files(team.ana), team.objects().keys(), cached(team.ana).keys()
    with fault(team) as (old, new, found), ThreadPoolExecutor() as pool:
        for member in (runs, asks, pulls, team.ana):
            reconfigure(member, old, new)
        once = {"AWS_MAX_ATTEMPTS": 1}  # without it DVC asks a dead server for minutes
        plain = [
            start(pulls, "dvc", "pull", **once),
            start(team.ana, "dvc", "push", **once),
        ]
        try:
            # Our commands come to an end by themselves; plain DVC not where there is silence.
            run = pool.submit(laptop_pricing, runs, "run", timeout=PATIENCE_S)
            examined = pool.submit(doctor, asks, timeout=PATIENCE_S)
            line, (links, code) = one_line(run.result()), examined.result()
            for process in plain:
                assert fault is endpoint_silent or process.wait(PATIENCE_S) > 0
        finally:
            for process in plain:
                kill(process)
        assert found in line
        assert code == 1 and links["DVC remote"]["state"] == "broken"
        assert found in links["DVC remote"]["found"] and links["DVC remote"]["fix"]
        assert all(process.returncode != 0 for process in plain)
    assert (files(team.ana), team.objects().keys(), cached(team.ana).keys()) == before
    assert corrupt(team.objects()) == []
    for member in (runs, asks, pulls):
        assert corrupt(cached(member)) == [] and not (member / "data" / "raw" / RAW_FILE).exists()


# Pushes that end early, or meet


def add_files(clone, folder, contents):
    """A folder of files of their own under DVC, not yet pushed; their objects' names."""
    (clone / folder).mkdir()
    for n, content in enumerate(contents):
        (clone / folder / f"{n}.bin").write_bytes(content)
    before = cached(clone).keys()
    ok(clone, "dvc", "add", "-q", folder)
    return cached(clone).keys() - before


def noise(seed, count, size=100_000):
    generator = random.Random(seed)
    return [generator.randbytes(size) for _ in range(count)]


@both_storages
def test_a_push_killed_half_way_is_completed_by_the_next(team):
    new = add_files(team.ana, "photos", noise(1, 200))
    process = start(team.ana, "dvc", "push", "-j", "2")
    try:
        deadline = time.monotonic() + 60
        while len(team.objects().keys() & new) < 20:
            assert process.poll() is None and time.monotonic() < deadline
    finally:
        kill(process)
    there = team.objects().keys() & new
    assert there < new, "it was killed too late"
    # Listings come last, so nobody takes the rest for granted.
    assert not [name for name in there if name.endswith(".dir")]

    ok(team.ana, "dvc", "push")
    assert new <= team.objects().keys() and corrupt(team.objects()) == []
    ok(team.ana, "git", "commit", "-qam", "Photos")
    ok(team.ana, "git", "push", "-q")
    ben = clone(team, "ben")
    ok(ben, "dvc", "pull")
    assert status(ben) == ""
    assert digest(ben / "photos" / "7.bin") == digest(team.ana / "photos" / "7.bin")


@both_storages
def test_two_pushes_at_the_same_time_leave_everything_there_and_intact(team):
    ben, same = clone(team, "ben"), noise(3, 40)
    new = add_files(team.ana, "from-ana", noise(4, 30) + same)
    new |= add_files(ben, "from-ben", same + noise(5, 30))
    with ThreadPoolExecutor() as pool:
        for done in pool.map(lambda member: call(member, "dvc", "push"), (team.ana, ben)):
            assert done.returncode == 0, done.stderr
    assert len(new) == 102  # 40 shared, 30 each, two listings
    assert new <= team.objects().keys() and corrupt(team.objects()) == []


# Objects that are not what they were


def test_an_object_corrupt_in_the_remote_is_not_trusted_and_repaired(team):
    name = raw_object(team.ana)
    team.corrupt(name)
    assert corrupt(team.objects()) == [name]

    ben = clone(team, "ben")
    assert call(ben, "dvc", "pull").returncode != 0
    assert corrupt(cached(ben)) == [] and not (ben / "data" / "raw" / RAW_FILE).exists()
    assert "doctor" in one_line(laptop_pricing(ben, "run"))

    links, code = doctor(team.ana)
    assert code == 1 and links["remote"]["state"] == "broken"
    assert f"{name[:2]}/{name[2:]}" in links["remote"]["found"]
    assert "doctor --repair" in links["remote"]["fix"]

    laptop_pricing(team.ana, "doctor", "--repair")
    assert corrupt(team.objects()) == []
    ok(ben, "dvc", "pull")
    assert status(ben) == ""


@pytest.mark.parametrize("lost", ["file", "listing"])
def test_an_object_deleted_in_the_remote_is_noticed_and_repaired(team, lost):
    name = raw_object(team.ana)
    if lost == "listing":
        (name,) = (n for n, p in cached(team.ana).items() if p.suffix and name in p.read_text())
    ok(team.ana, "dvc", "push")  # from now on DVC remembers that it is there
    team.remove(name)

    links, _ = doctor(team.ana)
    assert links["remote"]["state"] == "warning"
    assert ", 1 missing" in links["remote"]["found"]
    assert "doctor --repair" in links["remote"]["fix"]

    laptop_pricing(team.ana, "doctor", "--repair")
    assert name in team.objects() and corrupt(team.objects()) == []
    ben = clone(team, "ben")
    ok(ben, "dvc", "pull")
    assert status(ben) == ""


def test_a_corrupt_object_in_the_cache_is_named_and_no_run_uses_it(team):
    name = raw_object(team.ana)
    path = cached(team.ana)[name]
    overwrite(path, spoilt(path.read_bytes()))
    before = files(team.ana)
    shutil.rmtree(team.ana / "data" / "raw")

    links, code = doctor(team.ana)
    assert code == 1 and links["cache"]["state"] == "broken"
    assert f"{name[:2]}/{name[2:]}" in links["cache"]["found"]
    assert f"{name[:2]}/{name[2:]}: corrupt" in one_line(laptop_pricing(team.ana, "run"))
    assert not (team.ana / "data" / "raw").exists()

    assert "delete what is corrupt; then dvc pull" in links["cache"]["fix"]
    path.unlink()
    ok(team.ana, "dvc", "pull")
    assert files(team.ana) == before
    assert corrupt(cached(team.ana)) == [] and status(team.ana) == ""


# A full disk


class Disk:
    """A small disk of its own."""

    def __init__(self, folder):
        self.folder = folder

    def fill(self, left):
        """Leave so many bytes."""
        disk = os.statvfs(self.folder)
        (self.folder / "filler").write_bytes(bytes(disk.f_bavail * disk.f_frsize - left))

    def make_room(self):
        (self.folder / "filler").unlink()


@pytest.fixture
def disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("a small disk is mounted by root only")
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", folder]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no small disk: {done.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def small_team(disk, tmp_path, tmp_path_factory):
    """A team on the small disk. What DVC and others keep in the home folder lies elsewhere."""
    first = first_team("path", tmp_path_factory.getbasetemp())
    with copy_of(first, disk.folder) as team:
        shutil.move(team.folder / "home", tmp_path / "home")
        (team.folder / "home").symlink_to(tmp_path / "home")
        yield team


@pytest.mark.parametrize(
    "step, named",
    [
        ("ingest", "data/raw/"),
        ("preprocess", "data/processed/table.parquet"),
        ("train", "models/model.json"),
    ],
)
def test_on_a_full_disk_a_step_leaves_the_old_files_and_says_so(
    small_team, disk, tmp_path, step, named
):
    ana, source = small_team.ana, tmp_path / "other.csv"
    laptop_pricing(ana, "sample", source, "--rows", 2000, "--seed", 3, run=ok)
    command = (step, source) if step == "ingest" else (step,)
    before = files(ana)
    disk.fill(left=4096)
    line = one_line(laptop_pricing(ana, *command))
    assert named in line and "No space left on device" in line
    assert files(ana) == before and not list(ana.rglob("*.part"))

    disk.make_room()
    laptop_pricing(ana, *command, run=ok)
    assert (files(ana) == before) == (step != "ingest")  # the others make the same bytes


def test_on_a_disk_that_fills_while_dvc_works_a_run_says_so(small_team, disk):
    ana = small_team.ana
    params = (ana / "params.yaml").read_text("utf-8")
    (ana / "params.yaml").write_text(params.replace("  - 1.0\n  - 10.0\n", "  - 5.0\n"))
    assert (ana / "params.yaml").read_text("utf-8") != params
    disk.fill(left=300_000)
    done = laptop_pricing(ana, "run")
    assert done.returncode == 1, done.stdout + done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("Error: dvc repro failed for the reason above; ")
    assert last.endswith("the disk is full: make room there, then run again")
    disk.make_room()
    laptop_pricing(ana, "run", run=ok)


def test_on_a_full_disk_a_pull_trusts_nothing_that_is_half_there(small_team, disk):
    ben = clone(small_team, "ben")
    disk.fill(left=100_000)
    done = call(ben, "dvc", "pull")
    assert done.returncode != 0 and "No space left on device" in done.stderr
    assert corrupt(cached(ben)) == [] and not (ben / "models" / "metadata.json").exists()
    disk.make_room()
    ok(ben, "dvc", "pull")
    assert status(ben) == "" and corrupt(cached(ben)) == []


def test_a_run_on_a_disk_without_room_for_dvc_itself_says_so(disk, tmp_path_factory):
    first = first_team("path", tmp_path_factory.getbasetemp())
    with copy_of(first, disk.folder) as team:
        before = files(team.ana)
        disk.fill(left=0)
        assert "disk" in one_line(laptop_pricing(team.ana, "run"))
        disk.make_room()
        assert files(team.ana) == before and status(team.ana) == ""
