"""Connect the project to its team's storage and servers: .dvc/config, .dvc/config.local, .env.

What the team shares goes to .dvc/config, which Git tracks. Secrets go to .dvc/config.local and
.env, which Git ignores and only their owner may read.
"""

import getpass
import os
import re
import sys
from collections.abc import Callable

from ..errors import StepFailed, UserError
from ..process import git
from ..project import Project
from .doctor import ENVIRONMENT, LOCAL, check_remote
from .storage import open_repo

REMOTE, SHARED = "storage", ".dvc/config"
Keys = dict[str, str]
Settings = dict[str, Keys]  # by file and name; what is blank is taken out

# Objects are checked as they come; a silent storage is given up.
_CAREFUL = {"verify": "true", "connect_timeout": "8", "read_timeout": "8"}
_AWS = {
    "access_key_id": "AWS_ACCESS_KEY_ID",
    "secret_access_key": "AWS_SECRET_ACCESS_KEY",  # pragma: allowlist secret
    "session_token": "AWS_SESSION_TOKEN",
}
_SECRET = {*_AWS, *_AWS.values(), "MLFLOW_TRACKING_PASSWORD", "DAGSHUB_USER_TOKEN"}


def s3_settings(
    bucket: str, prefix: str = "dvc", profile: str = "", endpoint_url: str = "", keys: Keys = {}
) -> Settings:
    """What DVC and ``ingest`` need to know of S3; DVC's objects lie under ``s3://bucket/prefix``.

    A `profile` of the AWS tools holds the keys; `endpoint_url` is a storage's other than Amazon's.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        raise UserError(bucket, "not a bucket's name; expected one like my-team-data, no s3://")
    if endpoint_url and not re.fullmatch(r"https?://[^\s/@]+(/[^\s@]*)?", endpoint_url):
        problem = f"found {endpoint_url}; expected https://host, without a user name"
        raise UserError("--endpoint-url", problem)
    url = f"s3://{bucket}/{prefix.strip('/')}".rstrip("/")
    return {
        SHARED: {"url": url, "endpointurl": endpoint_url} | _CAREFUL,
        LOCAL: {"profile": profile} | keys,  # a profile is not shared: CI has none
        ENVIRONMENT: {"AWS_PROFILE": profile, "AWS_ENDPOINT_URL_S3": endpoint_url}
        | {name: keys.get(key, "") for key, name in _AWS.items()},
    }


def dagshub_settings(
    repository: str, user: str, token: str, host: str = "https://dagshub.com"
) -> Settings:
    """What DVC, MLflow and the dataset registry need to know of ``OWNER/REPO`` on DagsHub."""
    address = f"{host}/{repository}"
    return {
        SHARED: {"url": "s3://dvc", "endpointurl": f"{address}.s3"} | _CAREFUL,
        LOCAL: {"access_key_id": token, "secret_access_key": token},
        ENVIRONMENT: {
            "MLFLOW_TRACKING_URI": f"{address}.mlflow",
            "MLFLOW_TRACKING_USERNAME": user,
            "MLFLOW_TRACKING_PASSWORD": token,
            "DAGSHUB_USER_TOKEN": token,
        },
    }


def lines(settings: Settings) -> list[str]:
    """The settings for people, without secrets."""
    return [
        f"{file}: {name} = " + ("(secret)" if name in _SECRET and value else value or "(taken out)")
        for file, values in settings.items()
        for name, value in values.items()
    ]


def connect(project: Project, settings: Settings, say: Callable[[str], None] = print) -> str:
    """Write the settings, try the storage, and return what was found of it.

    Nothing is changed if it refuses (StepFailed), or if Git tracks a file of secrets (UserError).
    """
    paths = [project.root / name for name in settings]
    before = {path: path.read_bytes() for path in paths if path.is_file()}
    try:
        for path in paths[1:]:
            if git(project.root, "ls-files", "--", path):
                remedy = f"git rm --cached {path.name}, commit, try again"
                raise UserError(path, "Git tracks it", remedy)
            path.touch(mode=0o600)
            path.chmod(0o600)
        _write(project, settings)
        say("Trying the storage")
        link = check_remote(open_repo(project), project.name)
        if link.state == "broken":
            raise StepFailed(link.found, "nothing was changed", link.fix)
        return link.found
    except BaseException:
        for path in paths:
            if path in before:
                path.write_bytes(before[path])
            else:
                path.unlink(missing_ok=True)
        raise


def _write(project: Project, settings: Settings) -> None:
    """What an earlier storage had set is taken out."""
    from dotenv import dotenv_values, set_key, unset_key
    from dvc.config import Config, ConfigError

    try:
        config = Config(str(project.root / ".dvc"), validate=False)
        for level, file in (("repo", SHARED), ("local", LOCAL)):
            with config.edit(level) as content:
                content["remote"][REMOTE] = {n: v for n, v in settings[file].items() if v}
                content["core"] |= {"remote": REMOTE} if level == "repo" else {}
    except ConfigError as error:
        raise StepFailed(SHARED, str(error), f"correct it and {LOCAL}") from None
    path = project.root / ENVIRONMENT
    for name, value in settings[ENVIRONMENT].items():
        if value:
            set_key(path, name, value, quote_mode="auto")
        elif name in dotenv_values(path):
            unset_key(path, name)


def ask(variable: str, prompt: str) -> str:
    """A secret, from the environment or typed without echo; UserError if there is neither."""
    value = os.environ.get(variable, "")
    if not value and sys.stdin.isatty():
        value = getpass.getpass(f"{prompt} (not shown): ")
    value = value.strip()
    if not value or not value.isascii() or re.search(r"\s", value):
        problem = "found spaces or letters that no key has" if value else "found nothing"
        raise UserError(variable, problem, "set it, or connect in a terminal")
    return value


def aws_keys(profile: str = "") -> Keys:
    """The keys that go into the files: none where AWS's own files or the machine hold them.

    UserError if there is no such profile, or no keys are to be had.
    """
    import botocore.session
    from botocore.exceptions import BotoCoreError

    if profile or not os.environ.get("AWS_ACCESS_KEY_ID"):
        remedy = f"aws configure --profile {profile}"
        try:
            known = botocore.session.Session(profile=profile or None).get_credentials()
        except BotoCoreError as error:
            raise UserError("", str(error), remedy) from None
        if known:
            return {}
        if profile:
            raise UserError(f"profile {profile}", "found no keys in it", remedy)
    keys = {"access_key_id": ask("AWS_ACCESS_KEY_ID", "AWS access key id")}
    keys["secret_access_key"] = ask("AWS_SECRET_ACCESS_KEY", "AWS secret access key")
    session = os.environ.get("AWS_SESSION_TOKEN")
    return keys | ({"session_token": session} if session else {})
