"""A team that shares a project: an origin, a storage and clones, with real Git, DVC and S3.

A team is one folder, whose parts name each other by relative paths. So it can be copied.
"""

import contextlib
import functools
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import boto3
import yaml
from environments import ROOT
from servers import s3_server

BIN = Path(sys.executable).parent
KEYS = {"ana": ("ana-key-id", "hunter2"), "ben": ("ben-key-id", "s3cret")}
FOREIGN = ("AWS_", "DVC_", "MLFLOW_", "DAGSHUB_", "GIT_", "PRE_COMMIT", "XDG_")
LEFT_OUT = ("benchmarks/", "docs/", "notebooks/", "references/", "template_tests/", "tests/")
ROWS = 400


def environment(clone, **changes):
    """What a member's programs see: this environment's tools, the clone's code, no other keys."""
    home = clone.parent / "home"
    ours = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    ours |= {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(clone / "src"),
        "HOME": str(home),
        "DVC_SITE_CACHE_DIR": str(home / f"dvc-{clone.name}"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "GIT_CONFIG_NOSYSTEM": "1",
        "CI": "true",
    }
    return ours | {name: str(value) for name, value in changes.items()}


def start(clone, *command, **changes):
    """Start a program in a clone, as the head of a process group."""
    return subprocess.Popen(
        [str(part) for part in command],
        cwd=clone,
        env=environment(clone, **changes),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )


def call(clone, *command, timeout=240, **changes):
    """Run a program in a clone, whatever it answers."""
    process = start(clone, *command, **changes)
    try:
        out, err = process.communicate(timeout=timeout)
    except BaseException:
        kill(process)
        raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def kill(process):
    """Kill a program that `start` started, with all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def ok(clone, *command, **changes):
    """Run a program that has to succeed, and return what it printed."""
    done = call(clone, *command, **changes)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def laptop_pricing(clone, *arguments, run=call, **changes):
    return run(clone, sys.executable, "-m", "laptop_pricing", *arguments, **changes)


def doctor(clone, **changes):
    """The links of ``doctor --json`` by name, and its exit code."""
    done = laptop_pricing(clone, "doctor", "--json", **changes)
    assert done.stdout, done.stderr
    return {link["name"]: link for link in json.loads(done.stdout)}, done.returncode


@dataclass(frozen=True)
class Team:
    """A folder that holds an origin, a storage and clones, and how its members reach the storage.

    Parameters
    ----------
    folder : Path
    store : Path
        The folder in which DVC's objects lie, whatever serves it.
    endpoint : str, optional
        The address of the S3 server, if there is one.
    """

    folder: Path
    store: Path
    endpoint: str = ""

    @property
    def ana(self):
        return self.folder / "ana"

    @property
    def ben(self):
        return self.folder / "ben"

    @property
    def origin(self):
        return self.folder / "origin.git"

    @property
    def bucket(self):
        return self.store.parent.name

    def clone(self, member):
        """A clone of the origin. Its code is that of the working tree, as the origin's is."""
        clone = self.folder / member
        ok(self.folder, "git", "clone", "-q", "origin.git", member)
        for name, value in (
            ("user.name", member),
            ("user.email", f"{member}@localhost"),
            ("remote.origin.url", "../origin.git"),
        ):
            ok(clone, "git", "config", name, value)
        return clone

    def connect(self, member):
        """Connect a clone as a member does."""
        clone = self.folder / member
        if not self.endpoint:
            store = os.path.relpath(self.store, clone)  # relative in .dvc/config, too
            ok(clone, "dvc", "remote", "add", "-f", "-d", "storage", store)
            ok(clone, "dvc", "remote", "modify", "storage", "verify", "true")
            return
        connect = ("connect", "s3", self.bucket, "--endpoint-url", self.endpoint)
        laptop_pricing(clone, *connect, run=ok, **keys_of(member))

    def objects(self):
        """What the storage holds, by name; a folder's own object, its listing, ends in ``.dir``."""
        return _objects(self.store / "files" / "md5")

    def remove(self, name):
        """Delete an object as the owner of the storage does."""
        if self.endpoint:
            self._s3().delete_object(Bucket=self.bucket, Key=self._key(name))
        else:
            self.objects()[name].unlink()

    def corrupt(self, name):
        """Put other bytes, as many as before, in the place of an object."""
        content = spoilt(self.objects()[name].read_bytes())
        if self.endpoint:
            self._s3().put_object(Bucket=self.bucket, Key=self._key(name), Body=content)
        else:
            overwrite(self.objects()[name], content)

    def _key(self, name):
        return self.objects()[name].relative_to(self.store.parent).as_posix()

    def _s3(self):
        name, secret = KEYS["ana"]
        return boto3.session.Session(name, secret, region_name="us-east-1").client(
            "s3", endpoint_url=self.endpoint
        )


def keys_of(member):
    return dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), KEYS[member]))


def cached(clone):
    """What the clone's cache holds, by name."""
    return _objects(clone / ".dvc" / "cache" / "files" / "md5")


def _objects(folder):
    found = {path.parent.name + path.name: path for path in folder.glob("??/*")}
    return {n: found[n] for n in found if re.fullmatch(r"[0-9a-f]{32}(\.dir)?", n)}


def digest(path):
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def corrupt(objects):
    """The names of those objects whose bytes are not those that they promise."""
    return sorted(n for n, path in objects.items() if digest(path) != n.removesuffix(".dir"))


def spoilt(content):
    """The same bytes but one."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def overwrite(path, content):
    """Write a file whose permissions forbid it and stay as they are."""
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)


def commit(clone, message):
    ok(clone, "git", "add", "-A")
    ok(clone, "git", "commit", "-qm", message)


def status(clone):
    """What Git and DVC find changed in a clone: nothing if all is well."""
    found = ok(clone, "git", "status", "--porcelain")
    return found + ok(clone, "dvc", "status", "-q")


def new_data(clone, seed):
    """Ingest another sample. Its prices are in the range that params.yaml expects."""
    path = clone.parent / f"sample-{seed}.csv"
    laptop_pricing(clone, "sample", path, "--rows", ROWS, "--seed", seed, run=ok)
    laptop_pricing(clone, "ingest", path, run=ok)


@functools.cache
def first_team(kind, base):
    """A team whose first member, ana, has connected, trained, committed and pushed.

    Made once. Nobody changes it: `copy_of` gives one to use.
    """
    folder = base / f"first-{kind}"
    shutil.rmtree(folder, ignore_errors=True)  # of an attempt that failed
    (folder / "team" / "home").mkdir(parents=True)
    with _storage(kind, folder) as (store, endpoint):
        team = Team(folder / "team", store, endpoint)
        _make_origin(team)
        team.clone("ana")
        team.connect("ana")
        new_data(team.ana, 1)
        ok(team.ana, "dvc", "repro")
        commit(team.ana, "First model")
        ok(team.ana, "dvc", "push")
        ok(team.ana, "git", "push", "-q")
    return team


@contextlib.contextmanager
def _storage(kind, folder):
    if kind == "path":
        yield folder / "team" / "store", ""
        return
    (folder / "buckets" / "first").mkdir(parents=True)
    with s3_server(folder / "buckets", *KEYS.values()) as endpoint:
        yield folder / "buckets" / "first" / "dvc", endpoint


@contextlib.contextmanager
def copy_of(first, folder):
    """A team of one's own, with its own S3 server if the first team had one."""
    shutil.copytree(first.folder, folder / "team", symlinks=True)
    if not first.endpoint:
        yield Team(folder / "team", folder / "team" / first.store.name)
        return
    shutil.copytree(first.store.parents[1], folder / "buckets")
    with s3_server(folder / "buckets", *KEYS.values()) as endpoint:
        team = Team(folder / "team", folder / "buckets" / first.bucket / "dvc", endpoint)
        for name in (".dvc/config", ".env"):
            text = (team.ana / name).read_text(encoding="utf-8")
            overwrite(team.ana / name, text.replace(first.endpoint, endpoint).encode("utf-8"))
        commit(team.ana, "Another address")
        ok(team.ana, "git", "push", "-q")
        yield team


def _make_origin(team):
    """A bare repository with this working tree's code, and settings that are quick to train."""
    ok(team.folder, "git", "init", "-q", "--bare", "-b", "devl", team.origin)
    seed = team.folder / "seed"
    seed.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-zco", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        if not name.startswith(LEFT_OUT) and (ROOT / name).is_file():
            (seed / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, seed / name)
    params = yaml.safe_load((seed / "params.yaml").read_text(encoding="utf-8"))
    params["train"] |= {"folds": 3, "seeds": [0]}
    params["model"] |= {"inner_folds": 2, "alphas": [1.0, 10.0]}
    params["ingest"] = {"source": "http://127.0.0.1:9/laptops.csv", "timeout_s": 60}
    (seed / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (seed / "data.dvc").write_text("outs:\n- path: data/raw\n", encoding="utf-8")
    for name in ("dvc.lock", "metrics.json"):
        (seed / name).unlink(missing_ok=True)
    ok(seed, "git", "init", "-q", "-b", "devl")
    for name, value in (("user.name", "start"), ("user.email", "start@localhost")):
        ok(seed, "git", "config", name, value)
    commit(seed, "Start")
    ok(seed, "git", "push", "-q", team.origin, "devl")
    shutil.rmtree(seed)
