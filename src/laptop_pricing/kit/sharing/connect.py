"""Connect the project to its team's storage and servers: .dvc/config, .dvc/config.local, .env.

What the team shares goes to .dvc/config, which Git tracks. Secrets go to .dvc/config.local and
.env, which Git ignores and only their owner may read. connections.json has all settings: DVC checks
objects as they come, and gives a silent storage up.
"""

import getpass
import json
import os
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

from ..errors import StepFailed, UserError
from ..process import git
from ..project import Project
from .doctor import LOCAL, check_remote
from .storage import open_repo

SHARED, REMOTE = ".dvc/config", "storage"
AWS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
Settings = dict[str, dict[str, str]]  # by file and name; what is blank is taken out


def s3_settings(
    bucket: str, prefix: str = "dvc", profile: str = "", endpoint_url: str = "", **keys: str
) -> Settings:
    """DVC's objects lie under ``s3://bucket/prefix``; a `profile` of the AWS tools holds the keys.

    Else `keys` are some of `AWS`. An `endpoint_url` is that of a storage other than Amazon's.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        raise UserError(bucket, "not a bucket's name; expected one like my-team-data, no s3://")
    if endpoint_url and not re.fullmatch(r"https?://[^\s/@]+(/[^\s@]*)?", endpoint_url):
        problem = f"found {endpoint_url}; expected https://host, without a user name"
        raise UserError("--endpoint-url", problem)
    places = {"bucket": bucket, "prefix": prefix.strip("/"), "endpoint_url": endpoint_url}
    return _settings("s3", places | {"profile": profile} | keys)


def dagshub_settings(
    repository: str, user: str, token: str, host: str = "https://dagshub.com"
) -> Settings:
    """For ``OWNER/REPO``: the token opens storage, runs and datasets."""
    return _settings("dagshub", {"address": f"{host}/{repository}", "user": user, "token": token})


def _settings(kind: str, values: Mapping[str, str]) -> Settings:
    text = Path(__file__).with_name("connections.json").read_text("utf-8")
    given = defaultdict(str, {name: value for name, value in values.items() if value})
    return {
        file: {name: value.format_map(given) for name, value in lines.items()}
        for file, lines in json.loads(text)[kind].items()
    }


def lines(settings: Settings) -> list[str]:
    """The settings for people, without secrets and without what is blank."""
    secret = re.compile("(?i)key|secret|token|password")
    return [
        f"{file}: {name} = {'(secret)' if secret.search(name) else value}"
        for file, values in settings.items()
        for name, value in values.items()
        if value
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
        _write(paths, list(settings.values()))
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


def _write(paths: list[Path], settings: list[dict[str, str]]) -> None:
    """What an earlier storage had set is taken out."""
    from dotenv import dotenv_values, set_key, unset_key
    from dvc.config import Config, ConfigError

    try:
        dvc = Config(str(paths[0].parent), validate=False)
        for level, values in zip(("repo", "local"), settings):
            with dvc.edit(level) as content:
                content["remote"][REMOTE] = {n: v for n, v in values.items() if v}
                content["core"] |= {"remote": REMOTE} if level == "repo" else {}
    except ConfigError as error:
        raise StepFailed(SHARED, str(error), f"correct it and {LOCAL}") from None
    env = paths[-1]
    for name, value in settings[-1].items():
        if value:
            set_key(env, name, value, quote_mode="auto")
        elif name in dotenv_values(env):
            unset_key(env, name)


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


def aws_keys(profile: str = "") -> dict[str, str]:
    """The keys that go into the files: none where AWS's own files or the machine hold them."""
    import botocore.session
    from botocore.exceptions import BotoCoreError

    if profile or not os.environ.get(AWS[0]):
        remedy = f"aws configure --profile {profile}"
        try:
            known = botocore.session.Session(profile=profile or None).get_credentials()
        except BotoCoreError as error:
            raise UserError("", str(error), remedy) from None
        if known:
            return {}
        if profile:
            raise UserError(f"profile {profile}", "found no keys in it", remedy)
    keys = {name: ask(name, name) for name in AWS[:2]}
    return keys | {name: os.environ[name] for name in AWS[2:] if os.environ.get(name)}
