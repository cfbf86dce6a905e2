"""Connect the project to its team's storage and servers: .dvc/config, .dvc/config.local, .env.

What the team shares goes to .dvc/config, which Git tracks. Secrets go to .dvc/config.local and
.env, which Git ignores and only their owner may read.
"""

import getpass
import os
import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass

from dotenv import set_key, unset_key

from laptop_pricing import NAME
from laptop_pricing.errors import StepFailed, UserError
from laptop_pricing.programs import git, last_line, run_dvc

REMOTE = "storage"
SHARED, LOCAL, ENVIRONMENT = ".dvc/config", ".dvc/config.local", ".env"

# Objects are checked as they come; a silent storage is given up.
_CAREFUL = {"verify": "true", "connect_timeout": "8", "read_timeout": "8"}
_AWS = {
    "access_key_id": "AWS_ACCESS_KEY_ID",
    "secret_access_key": "AWS_SECRET_ACCESS_KEY",  # pragma: allowlist secret
    "session_token": "AWS_SESSION_TOKEN",
}


@dataclass(frozen=True)
class Setting:
    """One value of one file; without a value it is taken out."""

    file: str
    name: str
    value: str = ""
    secret: bool = False


def s3_settings(bucket, prefix="dvc", profile=None, endpoint_url=None, keys=None):
    """What DVC and ``ingest`` need to know of an S3 bucket.

    Parameters
    ----------
    bucket, prefix : str
        DVC's objects lie under ``s3://bucket/prefix``.
    profile : str, optional
        A profile of the AWS command line tool, which then holds the keys.
    endpoint_url : str, optional
        Of an S3 storage that is not Amazon's.
    keys : dict of str to str, optional
        Some of ``access_key_id``, ``secret_access_key``, ``session_token``.

    Returns
    -------
    list of Setting

    Raises
    ------
    UserError
        If the bucket or the address is none.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        raise UserError(f"{bucket}: not a bucket's name; expected one like my-team-data, no s3://")
    _check_url("--endpoint-url", endpoint_url)
    url = f"s3://{bucket}/{prefix.strip('/')}".rstrip("/")
    shared = {"url": url, "endpointurl": endpoint_url} | _CAREFUL
    environment = {"AWS_PROFILE": profile, "AWS_ENDPOINT_URL_S3": endpoint_url}
    keys = keys or {}
    return [
        *(Setting(SHARED, name, value) for name, value in shared.items() if value),
        Setting(LOCAL, "profile", profile or ""),  # not shared: CI has none
        *(Setting(LOCAL, name, keys.get(name, ""), secret=True) for name in _AWS),
        *(Setting(ENVIRONMENT, name, value or "") for name, value in environment.items()),
        *(Setting(ENVIRONMENT, name, keys.get(key, ""), True) for key, name in _AWS.items()),
    ]


def dagshub_settings(repository, user, token, host="https://dagshub.com"):
    """What DVC, MLflow and the dataset registry need to know of a DagsHub repository.

    Parameters
    ----------
    repository : str
        ``OWNER/REPO``.
    user, token : str
        Who the token belongs to, and the access token, which opens all three.
    host : str, optional

    Returns
    -------
    list of Setting
    """
    shared = {"url": "s3://dvc", "endpointurl": f"{host}/{repository}.s3"} | _CAREFUL
    keys = {"access_key_id": token, "secret_access_key": token}
    return [
        *(Setting(SHARED, name, value) for name, value in shared.items()),
        Setting(LOCAL, "profile"),
        *(Setting(LOCAL, name, keys.get(name, ""), secret=True) for name in _AWS),
        Setting(ENVIRONMENT, "MLFLOW_TRACKING_URI", f"{host}/{repository}.mlflow"),
        Setting(ENVIRONMENT, "MLFLOW_TRACKING_USERNAME", user),
        Setting(ENVIRONMENT, "MLFLOW_TRACKING_PASSWORD", token, secret=True),
        Setting(ENVIRONMENT, "DAGSHUB_USER_TOKEN", token, secret=True),
    ]


def apply(settings, workspace):
    """Write the settings: secrets last, files of secrets for their owner's eyes only.

    The remote ``storage`` is made anew, so that nothing of an earlier one stays. Doing it twice
    is as good as once.

    Raises
    ------
    UserError
        If Git tracks a file that secrets would go to.
    StepFailed
        If DVC refuses.
    """
    local, environment = workspace.root / LOCAL, workspace.root / ENVIRONMENT
    for path in (local, environment):
        if git(workspace.root, "ls-files", "--", path):
            raise UserError(
                f"{path}: Git tracks it; git rm --cached {path.name}, commit, try again"
            )
        path.touch(mode=0o600)
        path.chmod(0o600)
    shared = {s.name: s.value for s in settings if s.file == SHARED}
    _dvc(workspace, "remote", "add", "--force", "--default", REMOTE, shared.pop("url"))
    for name, value in shared.items():
        _dvc(workspace, "remote", "modify", REMOTE, name, value)
    for setting in settings:
        if setting.file == LOCAL and (setting.value or setting.name in _read(local)):
            value = [setting.value] if setting.value else ["--unset"]
            _dvc(workspace, "remote", "modify", "--local", REMOTE, setting.name, *value)
        elif setting.file == ENVIRONMENT and setting.value:
            set_key(environment, setting.name, setting.value, quote_mode="auto")
        elif setting.file == ENVIRONMENT and f"{setting.name}=" in _read(environment):
            unset_key(environment, setting.name)


@contextmanager
def all_or_nothing(workspace):
    """Give the three files their old content back if the block fails."""
    paths = [workspace.root / name for name in (SHARED, LOCAL, ENVIRONMENT)]
    before = {path: path.read_bytes() for path in paths if path.is_file()}
    try:
        yield
    except BaseException:
        for path in paths:
            if path in before:
                path.write_bytes(before[path])
            else:
                path.unlink(missing_ok=True)
        raise


def ask(variable, prompt):
    """A secret, from the environment or typed without echo.

    Raises
    ------
    UserError
        If there is neither.
    """
    value = os.environ.get(variable, "")
    if not value and sys.stdin.isatty():
        value = getpass.getpass(f"{prompt} (not shown): ")
    value = value.strip()
    if not value or not value.isascii() or re.search(r"\s", value):
        found = "nothing" if not value else "spaces or letters that no key has"
        raise UserError(f"{variable}: found {found}; set it, or run {NAME} connect in a terminal")
    return value


def aws_keys(profile):
    """The keys that go into the files: none where AWS's own files or the machine hold them.

    Returns
    -------
    dict of str to str

    Raises
    ------
    UserError
        If there is no such profile, or no keys are to be had.
    """
    import botocore.session
    from botocore.exceptions import BotoCoreError, PartialCredentialsError

    try:
        found = botocore.session.Session(profile=profile).get_credentials()
    except PartialCredentialsError:
        found = None
    except BotoCoreError as error:
        raise UserError(f"{error}; aws configure --profile {profile}") from None
    if profile and found is None:
        raise UserError(
            f"profile {profile}: found no keys in it; aws configure --profile {profile}"
        )
    if found is not None and found.method != "env":
        return {}
    keys = {"access_key_id": ask("AWS_ACCESS_KEY_ID", "AWS access key id")}
    keys["secret_access_key"] = ask("AWS_SECRET_ACCESS_KEY", "AWS secret access key")
    if os.environ.get("AWS_SESSION_TOKEN"):
        keys["session_token"] = os.environ["AWS_SESSION_TOKEN"]
    return keys


def _check_url(name, url):
    if url and not re.fullmatch(r"https?://[^\s/@]+(/[^\s@]*)?", url):
        raise UserError(f"{name}: found {url}; expected https://host, without a user name")


def _dvc(workspace, *arguments):
    done = run_dvc(workspace, *arguments, capture=True)
    if done.returncode:
        raise StepFailed(f"dvc {' '.join(arguments[:2])}: {last_line(done.stderr)}")


def _read(path):
    return path.read_text(encoding="utf-8")
