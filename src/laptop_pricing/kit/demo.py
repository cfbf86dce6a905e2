"""All that people see of a project, at once: the REST API, the web form and MLflow's pages."""

import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from .console import command, without_credentials
from .errors import StepFailed
from .files import short
from .modeling.bundle import read_metadata
from .process import last_line
from .project import Project
from .serving.port import free_port

START_S = 120


def demo(project: Project, say: Callable[[str], None]) -> None:
    """Start all on free ports, say their addresses, and end all at Ctrl+C.

    StepFailed if one of them ends by itself, with its last words.
    """
    read_metadata(project.models)  # says what to do where there is none
    api, form, pages = (f"http://127.0.0.1:{free_port()}" for _ in range(3))
    serve = [command(project.name), "serve", "--port", api.rpartition(":")[2]]
    show = [command(project.name), "form", "--api", api, "--port", form.rpartition(":")[2]]
    store = ["--backend-store-uri", project.local_tracking_uri, "--workers", "1"]
    mlflow = [sys.executable, "-m", "mlflow", "server", *store, "--port", pages.rpartition(":")[2]]
    commands = {"REST API": (serve, f"{api}/docs"), "Web form": (show, form)}
    if project.tracking_uri == project.local_tracking_uri:
        commands["MLflow"] = (mlflow, pages)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nothing is left behind
    folder, running = project.root / ".scratch" / "demo", dict[Path, "subprocess.Popen[bytes]"]()
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        for name, (line, _) in commands.items():
            log = folder / f"{name}.log"
            running[log] = stack.enter_context(_started(line, log))
        for (name, (_, address)), log in zip(commands.items(), running):
            _wait_for(address, log, running)
            say(f"{name:<10} {address}")
        if "MLflow" not in commands:
            say(f"{'MLflow':<10} {without_credentials(project.tracking_uri)}")
        say("Ctrl+C ends all.")
        with suppress(KeyboardInterrupt):
            while True:
                _check(running)
                time.sleep(0.5)


@contextmanager
def _started(line: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program whose output goes into a file, and which ends with the block."""
    with open(log, "wb") as file:
        process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _check(running: dict[Path, subprocess.Popen[bytes]]) -> None:
    for log, process in running.items():
        if process.poll() is not None:
            said = last_line(log.read_text(encoding="utf-8", errors="replace"))
            raise StepFailed(log.stem, f"ended: {said}", f"see {short(log)}")


def _wait_for(address: str, log: Path, running: dict[Path, subprocess.Popen[bytes]]) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        _check(running)
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except urllib.error.HTTPError:  # it asks for a key, for example
            return
        except OSError:
            time.sleep(0.1)
    raise StepFailed(log.stem, f"did not start within {START_S} s", f"see {short(log)}")
