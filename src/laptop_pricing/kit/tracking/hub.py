"""DagsHub, by its own client: who a token belongs to, a repository, and its files of a branch."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import ProjectError, StepFailed, UserError
from ..project import Project


def host() -> str:
    """DagsHub's address, or where ``DAGSHUB_CLIENT_HOST`` says that it is."""
    return os.environ.get("DAGSHUB_CLIENT_HOST", "https://dagshub.com").rstrip("/")


def find_repository(project: Project) -> str:
    """The ``OWNER/REPO`` on DagsHub whose MLflow server is the project's; blank if it is not."""
    found = re.fullmatch(rf"{re.escape(host())}/(.+)\.mlflow", project.tracking_uri)
    return found[1] if found else ""


def find_user(repository: str, token: str) -> str:
    """The name of the token's user, who can see the repository ``OWNER/REPO``."""
    with open_repository(repository, token) as (_, user):
        return user


@contextmanager
def open_repository(name: str, token: str) -> Iterator[tuple[Any, str]]:
    """Give the API of ``OWNER/REPO`` and the name of the token's user, once DagsHub accepts both.

    Without a token, DagsHub's client would open a browser and wait.
    """
    if not token:
        raise UserError("DAGSHUB_USER_TOKEN", "not set", "put your DagsHub access token into .env")
    logging.getLogger("dagshub").setLevel(logging.CRITICAL)
    from dagshub.auth.token_auth import HTTPBearerAuth
    from dagshub.common import config
    from dagshub.common.api.repo import RepoAPI, RepoNotFoundError, WrongRepoFormatError
    from dagshub.common.api.user import UserAPI

    config.token, config.quiet, config.disable_analytics = token, True, True
    place = f"{config.host}/{name}"
    try:
        user = UserAPI.get_user_from_token(token).username
        repository = RepoAPI(name, auth=HTTPBearerAuth(token))
        repository.get_repo_info()
        yield repository, user
    except ProjectError:
        raise
    except (RepoNotFoundError, WrongRepoFormatError):
        problem = "no OWNER/REPO that you may see"
        raise UserError(place, problem, "make it on DagsHub, or ask its owner") from None
    except Exception as error:  # of httpx, requests, gql or DagsHub: there is no common class
        if re.search(r"\b401\b", str(error)):
            remedy = "make a new one in your DagsHub settings"
            raise UserError(config.host, "the token is refused", remedy) from None
        problem = f"no answer ({type(error).__name__}: {str(error)[:200]})"
        raise StepFailed(place, problem, "try again later") from None
