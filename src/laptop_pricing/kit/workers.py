"""Where the parts of long work run: here, one by one, or on the workers of a Dask cluster."""

import logging
import platform
import re
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, partial, reduce
from importlib.metadata import version
from operator import length_hint
from tempfile import TemporaryDirectory
from typing import Any, Optional

from .errors import StepFailed, UserError
from .progress import progress
from .seal import KIT, checksums

AHEAD, RETRIES = 3, 2  # parts under way for each thread of the workers; of a part that fails
ASK_S, ANSWER_S, NO_WORKER_S = 2, 20, 60  # how often the scheduler is asked; patience
GROUPS, GROUP = 256, 16  # many parts are summed in groups: at least so many, of at most so many
Function = Callable[[Any], Any]
Rows = Sequence[int]


class Workers:
    """Runs functions in this process. Results come in the order of the items."""

    def map(
        self, function: Function, items: Iterable[Any], what: str = "", rows: Rows = ()
    ) -> Iterator[Any]:
        """What the function gives for each item, as it is asked for.

        `what` is the work, in words, for people, who see how far it is; `rows` are those of each
        item. A function may run twice for an item, after a failure: it must do no harm then.
        """
        return progress(self._results(function, items), what, rows, length_hint(items))

    def reduce(
        self, function: Function, items: Sequence[Any], add: Any, what: str = "", rows: Rows = ()
    ) -> Any:
        """The sum, by `add`, of what the function gives for the items.

        In an order that follows from the number of items alone, so to the same bits everywhere:
        neighbours where they run, then their sums here. `add` may change its first argument.
        """
        size = max(1, min(GROUP, len(items) // GROUPS))
        groups, counts = ([x[i : i + size] for i in range(0, len(x), size)] for x in (items, rows))
        sums = self.map(partial(_sum, function, add), groups, what, [*map(sum, counts)])
        return reduce(add, sums)

    def fits(self, function: Function, items: Sequence[Any], what: str = "") -> Iterator[Any]:
        """As :meth:`map`, for long calculations: here in threads, as many as processors."""
        from sklearn.utils.parallel import Parallel, delayed

        run = delayed(function)
        runs = Parallel(n_jobs=-1, prefer="threads", return_as="generator")(map(run, items))
        return progress(runs, what, total=len(items))

    def _results(self, function: Function, items: Iterable[Any]) -> Iterator[Any]:
        return map(function, items)


def _sum(function: Function, add: Any, items: Iterable[Any]) -> Any:
    return reduce(add, map(function, items))


class _Cluster(Workers):
    """Runs functions on Dask's workers. What is lost with a worker runs again on another."""

    def __init__(self, client: Any) -> None:
        self.client, self.address = client, client.scheduler.address

    def fits(self, function: Function, items: Sequence[Any], what: str = "") -> Iterator[Any]:
        return self.map(function, items, what)

    def _results(self, function: Function, items: Iterable[Any]) -> Iterator[Any]:
        waiting: deque[Any] = deque()
        for item in items:
            part = partial(function, item)
            waiting.append(self.client.submit(part, pure=False, retries=RETRIES))
            if len(waiting) >= AHEAD * self._threads():
                yield self._result(waiting.popleft())
        while waiting:
            yield self._result(waiting.popleft())

    def _result(self, part: Any) -> Any:
        from distributed import TimeoutError, wait

        alone = time.monotonic()
        while not part.done():
            with suppress(TimeoutError):
                wait([part], ASK_S)
            alone = time.monotonic() if part.done() or self._threads() else alone
            if time.monotonic() - alone > NO_WORKER_S:
                raise _no_worker(self.address)
        return part.result()

    def _threads(self) -> int:
        """How many parts can run at once; 0 without workers."""
        from distributed import TimeoutError

        try:
            ask = self.client.scheduler.ncores
            return sum(self.client.sync(ask, callback_timeout=ANSWER_S).values())
        except (AttributeError, OSError, TimeoutError):  # no client any more; no answer
            remedy = "see its log; run again"
            raise StepFailed(self.address, "the scheduler is lost", remedy) from None


@contextmanager
def open_workers(scheduler: Optional[str] = None) -> Iterator[Workers]:
    """Workers here; with Dask in ``local:N`` processes, or those of its scheduler ``tcp://...``."""
    if not scheduler:
        yield Workers()
        return
    local = re.fullmatch(r"local(?::([1-9]\d*))?", scheduler)
    if not local and not re.fullmatch(r"(tcp|tls)://[^/\s]+:\d+", scheduler):
        expected = "expected local, local:N or tcp://HOST:PORT"
        raise UserError("--scheduler", f"found {scheduler}; {expected}")
    try:
        import dask
        from distributed import Client, LocalCluster, TimeoutError
    except ImportError:
        raise UserError("--scheduler", "needs Dask", 'pip install -e ".[dask]"') from None
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        place: Any = scheduler
        if local:
            folder = TemporaryDirectory(prefix="workers-", ignore_cleanup_errors=True)
            places = {"temporary-directory": stack.enter_context(folder)}
            stack.enter_context(dask.config.set(places))
            place = LocalCluster(
                n_workers=int(local[1]) if local[1] else None,  # else as many as cores
                threads_per_worker=1,
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
                preload=__name__,
            )
            stack.enter_context(place)
        try:
            client = stack.enter_context(Client(place, timeout=10))
            client.wait_for_workers(1, timeout=NO_WORKER_S)
        except TimeoutError:
            raise _no_worker(scheduler) from None
        except OSError as error:
            raise StepFailed(scheduler, f"no scheduler: {error}", "dask scheduler") from None
        _check_versions(client)
        print(f"Workers: {client.dashboard_link} shows what they do", file=sys.stderr)
        with _in_one_line(client):
            yield _Cluster(client)


def dask_setup(worker: Any) -> None:
    """In a worker of ours: it ends when we do, and not by itself when somebody types Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _in_one_line(client: Any) -> Iterator[None]:
    """What Dask raises as an error of ours; what a function raises stays as it is."""
    from distributed import CancelledError, KilledWorker
    from distributed.client import ClosedClientError
    from distributed.comm import CommClosedError

    address = client.scheduler.address
    try:
        yield
    except KilledWorker as error:
        found = f"a part of the work ended {error.allowed_failures + 1} workers"
        raise StepFailed(address, found, "they may need more memory") from None
    except (CancelledError, ClosedClientError, CommClosedError):
        raise StepFailed(address, "the scheduler is lost", "see its log; run again") from None


def _no_worker(address: str) -> StepFailed:
    return StepFailed(address, f"no worker for {NO_WORKER_S} s", f"dask worker {address}")


@cache  # what a process has imported stays, whatever becomes of the files
def versions() -> dict[str, str]:
    """What must be the same everywhere, for the same results: the libraries, and our sources."""
    libraries = {name: version(name) for name in ("numpy", "pandas", "scikit-learn")}
    return {"Python": platform.python_version()} | libraries | checksums(KIT.parent)


def _check_versions(client: Any) -> None:
    address, ours = client.scheduler.address, versions()
    try:
        theirs = [client.run_on_scheduler(versions), *client.run(versions).values()]
        differ = [name for has in theirs for name in ours if has.get(name) != ours[name]]
    except Exception as error:  # such as: there is no such package
        differ = [str(error)]
    if differ:
        remedy = "install there what is here, and start it again"
        raise UserError(address, f"worker or scheduler is not as we are: {differ[0]}", remedy)
