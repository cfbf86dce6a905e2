"""Long work here and on Dask's workers: the same results, whatever is lost on the way."""

import errno
import io
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from problems import MADE, make_project
from servers import free_port, running
from solo import BIN, call

import laptop_pricing
from laptop_pricing.kit import progress as progress_module
from laptop_pricing.kit import workers as module
from laptop_pricing.kit.errors import StepFailed, UserError
from laptop_pricing.kit.progress import progress
from laptop_pricing.kit.workers import AHEAD, Workers, open_workers

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(sys.platform == "win32", reason="processes are killed by POSIX signals"),
]
COMMAND, MARK = BIN / "laptop-pricing", "TEST_OF_WORKERS"


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes of our own."""
    with open_workers("local:2") as workers:
        yield workers


@contextmanager
def dask(folder, what, *arguments, environment=None):
    """A program of Dask's, from when it is well; its log is in the folder."""
    port = free_port()
    command = [sys.executable, "-m", "dask", what, *arguments]
    command += ["--host", "127.0.0.1", "--dashboard-address", f"127.0.0.1:{port}"]
    (folder / what).mkdir()
    address = f"http://127.0.0.1:{port}/health"
    with running(command, address, folder / what / "log", environment) as process:
        yield process


@contextmanager
def scheduler(folder):
    port = free_port()
    with dask(folder, "scheduler", "--port", str(port)) as process:
        yield f"tcp://127.0.0.1:{port}", process


def worker(folder, address, environment=None):
    options = ("--nthreads", "2", "--no-nanny")
    return dask(folder, "worker", address, *options, environment=environment)


def left_behind(mark):
    """The processes that were started with this mark, and live."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != "zombie":
                found.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            pass
    return found


def all_gone(mark):
    end = time.monotonic() + 10
    while left_behind(mark) and time.monotonic() < end:
        time.sleep(0.1)
    return not left_behind(mark)


@pytest.mark.parametrize("n", [1, 2, 100, 600])
def test_workers_give_what_this_process_gives_to_the_last_bit(cluster, n):
    def part(i):
        time.sleep(0.02 if i % 7 == 0 and n < 200 else 0)  # some come later than their neighbours
        return 1 / (i + 3)

    assert list(cluster.map(part, range(n))) == [1 / (i + 3) for i in range(n)]
    here = Workers().reduce(part, range(n), lambda a, b: a + b)
    assert here == pytest.approx(sum(1 / (i + 3) for i in range(n)))
    assert cluster.reduce(part, range(n), lambda a, b: a + b) == here


def test_few_results_wait_to_be_asked_for(cluster):
    taken = []
    results = cluster.map(lambda i: i, (taken.append(i) or i for i in range(1000)))
    assert taken == []
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    assert len(taken) <= 2 * AHEAD + 3


def test_a_sum_here_keeps_few_results():
    alive, most = set(), []

    class Result:
        def __init__(self, i):
            alive.add(self)
            most.append(len(alive))

    def add(a, b):
        alive.discard(b)
        return a

    Workers().reduce(Result, range(1200), add)
    assert max(most) <= 3


@pytest.mark.parametrize("way", ["map", "reduce"])
def test_what_a_killed_worker_had_runs_again(cluster, tmp_path, way):
    def third(i):
        if i == 20 and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return i / 3

    if way == "map":
        assert list(cluster.map(third, range(40))) == [i / 3 for i in range(40)]
    else:
        total = cluster.reduce(third, range(40), lambda a, b: a + b)
        assert total == Workers().reduce(lambda i: i / 3, range(40), lambda a, b: a + b)
    assert (tmp_path / "killed").exists()


def test_work_that_kills_its_workers_is_an_error():
    with pytest.raises(StepFailed, match="a part of the work ended 4 workers; .* memory"):
        with open_workers("local:2") as workers:
            list(workers.map(lambda i: os.kill(os.getpid(), signal.SIGKILL), range(1)))


def test_errors_of_the_work_come_through_as_they_are(cluster):
    def refuse(i):
        raise UserError(Path("cases.csv"), "found 3", "expected 4")

    def full(i):
        raise OSError(errno.ENOSPC, "No space left on device", "/there/part")

    with pytest.raises(UserError) as refused:
        cluster.reduce(refuse, range(3), max)
    told = refused.value
    assert (told.place, told.problem, told.remedy) == ("cases.csv", "found 3", "expected 4")
    assert vars(pickle.loads(pickle.dumps(told))) == vars(told)
    with pytest.raises(OSError) as failed:
        list(cluster.map(full, range(3)))
    assert (failed.value.errno, failed.value.filename) == (errno.ENOSPC, "/there/part")


def test_a_problem_with_its_rules_can_be_sent(cluster):
    row, failures = MADE.read_row(dict(MADE.example))
    assert list(cluster.map(lambda cells: MADE.read_row(cells), [dict(MADE.example)])) == [
        (row, failures)
    ]


def test_fits_run_on_the_workers_or_in_threads(cluster):
    def where(i):
        time.sleep(0.1)
        return os.getpid(), threading.get_ident()

    found = {}
    for workers in (cluster, Workers()):
        found[workers] = set(workers.fits(where, range(8)))
    pids = set(cluster.client.run(os.getpid).values())
    assert {pid for pid, _ in found[cluster]} <= pids and os.getpid() not in pids
    assert {pid for pid, _ in found[workers]} == {os.getpid()}
    assert len(found[workers]) > 1 or os.cpu_count() == 1


@pytest.mark.parametrize("way", ["map", "fits"])
def test_a_lost_scheduler_is_told_in_one_line(tmp_path, way):
    def slow(i):
        time.sleep(0.2)

    with scheduler(tmp_path) as (address, process), worker(tmp_path, address):
        with pytest.raises(StepFailed) as failed:
            with open_workers(address) as workers:
                lost = threading.Timer(2, process.kill)
                lost.start()
                list(getattr(workers, way)(slow, range(300)))
    assert str(failed.value) == f"{address}: the scheduler is lost; see its log; run again"


def test_without_workers_the_wait_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "NO_WORKER_S", 3)
    with scheduler(tmp_path) as (address, _):
        said = f"{address}: no worker for 3 s; dask worker {address}"
        with pytest.raises(StepFailed) as failed, open_workers(address):
            pass
        assert str(failed.value) == said
        with worker(tmp_path, address) as process, pytest.raises(StepFailed) as failed:
            with open_workers(address) as workers:
                threading.Timer(1, process.kill).start()
                list(workers.map(lambda i: time.sleep(0.2), range(300)))
        assert str(failed.value) == said


def test_workers_of_another_kind_are_refused(cluster, monkeypatch):
    module._check_versions(cluster.client)
    monkeypatch.setattr(module.platform, "python_version", lambda: "3.99.1")
    module.versions.cache_clear()
    try:
        with pytest.raises(UserError, match="is not as we are: Python; install there what is here"):
            module._check_versions(cluster.client)
    finally:
        module.versions.cache_clear()


def test_workers_without_the_package_are_refused(tmp_path):
    name = laptop_pricing.__name__
    (tmp_path / "bare" / name).mkdir(parents=True)
    (tmp_path / "bare" / name / "__init__.py").touch()
    bare = os.environ | {"PYTHONPATH": str(tmp_path / "bare")}
    with scheduler(tmp_path) as (address, _), worker(tmp_path, address, bare):
        with pytest.raises(
            UserError, match=rf"{address}: .*No module named '{name}\.kit'.*; install"
        ):
            with open_workers(address):
                pass


def test_without_dask_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with open_workers() as workers:
        assert list(workers.map(abs, [-1])) == [1]
    with pytest.raises(UserError, match=r'needs Dask; pip install -e "\.\[dask\]"'):
        with open_workers("local"):
            pass


def test_nothing_of_dask_is_imported_unless_asked_for():
    program = (
        "import sys; from laptop_pricing.kit.workers import open_workers, Workers\n"
        "with open_workers() as w: list(w.map(abs, [1]))\n"
        "assert not {'dask', 'distributed'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_command_line_uses_workers_and_leaves_nothing(tmp_path):
    root = make_project(tmp_path / "project", MADE).root
    for path in ("here", "there"):
        program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from problems import MADE, build_plain
from laptop_pricing.kit.cli import make_cli
if __name__ == "__main__":
    make_cli(MADE, build_plain)()
"""
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    before = sorted(root.rglob("*"))
    said = {}
    for scheduler, code in (
        ("", 0),
        ("local:1", 0),
        ("here", 2),
        ("local:0", 2),
        (f"tcp://127.0.0.1:{free_port()}", 1),
    ):
        command = (sys.executable, tmp_path / "program.py", "preprocess")
        options = {"SCHEDULER": scheduler} if scheduler else {}
        done = call(root, *command, **options, **{MARK: str(tmp_path)}, TMPDIR=str(tmp_path))
        assert done.returncode == code, done.stderr
        said[scheduler] = done.stderr
        assert len(done.stderr.splitlines()) <= 1 + len(said[""].splitlines()), done.stderr
        assert all_gone(str(tmp_path))
    assert "http://127.0.0.1:" in said["local:1"] and "Workers" not in said[""]
    assert "no scheduler" in done.stderr
    assert [p.name for p in tmp_path.glob("workers-*")] == []
    new = [path for path in sorted(root.rglob("*")) if path not in before]
    changed = {("data", "processed"), ("data", "interim")}
    assert {path.relative_to(root).parts[:2] for path in new} == changed
    assert list((root / "data" / "interim").iterdir()) == []


def test_after_an_interrupt_no_process_is_left(tmp_path):
    program = """
import time
from laptop_pricing.kit.workers import open_workers
if __name__ == "__main__":
    with open_workers("local:2") as workers:
        for result in workers.map(lambda i: time.sleep(0.1), range(1000)):
            print("part", flush=True)
"""
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    environment = os.environ | {MARK: str(tmp_path), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout.readline() == "part\n"
        assert len(left_behind(str(tmp_path))) >= 3
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert said.splitlines()[-1] == "KeyboardInterrupt" and said.count("Traceback") == 1, said
    assert all_gone(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["program.py"]


def test_without_a_terminal_a_plain_line_tells_how_far_the_work_is(monkeypatch, capsys):
    list(progress(range(3), "Cleaning"))
    list(Workers().map(abs, range(3)))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress_module, "LINE_EVERY_S", 0)
    items = [0.05] * 4
    assert list(Workers().map(time.sleep, items, "Cleaning", [10_000] * 4)) == [None] * 4
    first, *_, last = capsys.readouterr().err.splitlines()
    rows = r"Cleaning: 10,000 of 40,000 rows, [\d,]{6,} rows/s, about \d s left"
    assert re.fullmatch(rows, first) and last.startswith("Cleaning: 40,000 of 40,000 rows, ")
    list(progress((time.sleep(0.05) for _ in range(2)), "Fitting", total=2))
    assert "Fitting: 1 of 2 parts, " in capsys.readouterr().err
    Workers().reduce(abs, range(600), max, "Adding", [5] * 600)
    assert "Adding: 3,000 of 3,000 rows, " in capsys.readouterr().err


def test_rows_that_are_too_few_lose_no_item():
    assert list(progress(range(5), "Cleaning", [1, 1])) == list(range(5))


def test_at_a_terminal_there_is_a_bar_that_goes_away(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    def work(parts):
        monkeypatch.setattr(sys, "stderr", Terminal())
        for _ in progress(range(parts), "Cleaning", [10_000] * parts):
            time.sleep(0.15)
        return sys.stderr.getvalue()

    assert work(2) == ""  # soon done
    monkeypatch.setattr(progress_module, "BAR_AFTER_S", 0.1)
    said = work(4)
    assert re.search(r"Cleaning: .*/40.0k .*rows/s", said)
    assert said.endswith("\r") and said.rstrip("\r").split("\r")[-1].strip() == ""
