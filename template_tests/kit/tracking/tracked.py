"""Trained projects of a test's own, in Git and DVC where it matters."""

import shutil
import time
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from problems import make_params
from solo import call, commit

PATIENCE_S = 15
STAGES = """
stages:
  train:
    cmd: python -c "raise SystemExit('it was trained already')"
    deps: [data/raw]
    params: [model, train]
    outs: [data/processed, models, reports/figures, reports/plots]
    metrics: [{metrics.json: {cache: false}}]
"""


def copy_of(project, folder, **changes):
    """A project in `folder`, with other params where `changes` says so."""
    shutil.copytree(project.root, folder, symlinks=True)
    params = make_params(project.problem, **changes) if changes else project.params
    return replace(project, root=folder, given_params=params)


def in_git(project):
    """Put the project into a Git repository, its result into DVC; all of it is committed."""
    root = project.root
    (root / "dvc.yaml").write_text(STAGES, encoding="utf-8")
    (root / "data.dvc").write_text("outs:\n- path: data/raw\n", encoding="utf-8")
    ignored = ("data/raw", "data/processed", "data/interim", "models", "reports")
    ignored += ("mlflow.db*", "mlartifacts")
    (root / ".gitignore").write_text("".join(f"/{n}\n" for n in ignored), encoding="utf-8")
    for command in (
        "git init -q -b devl",
        "git config user.name tester",
        "git config user.email tester@localhost",
        "dvc init -q",
        "dvc config core.analytics false",
        "dvc commit -q -f",
    ):
        check(project, *command.split())
    commit(root, "trained")
    return project


def check(project, *command):
    done = call(project.root, *command)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def with_shared_data(project, folder):
    """The project in Git, its data in a DVC remote beside it."""
    project = in_git(copy_of(project, folder / "project"))
    check(project, "dvc", "remote", "add", "-q", "--default", "storage", folder / "remote")
    check(project, "dvc", "push", "-q", "data.dvc")
    commit(project.root, "storage")
    return project


def replace_file(path, text):
    path.unlink()  # DVC may have made it read-only
    path.write_text(text, encoding="utf-8")


def named(project, name):
    """The same project under another name: a registered model of its own."""
    return replace(project, problem=replace(project.problem, name=name))


def client_of(project):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=project.tracking_uri)


def runs_of(project, experiment=None):
    client = client_of(project)
    known = client.get_experiment_by_name(experiment or project.params.track.experiment)
    return client.search_runs([known.experiment_id]) if known else []


@contextmanager
def web_server(answer):
    """The port of a web server; ``answer(path)`` gives a status and a body."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@contextmanager
def within_seconds():
    start = time.monotonic()
    yield
    assert time.monotonic() - start < PATIENCE_S
