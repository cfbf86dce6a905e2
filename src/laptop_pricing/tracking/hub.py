"""DagsHub, by its own client: who a token belongs to, a repository, and its files of a branch.

The client is given the token outright. Left to find one itself it would open a browser.
"""

import logging
import os
from contextlib import contextmanager
from functools import partial

from laptop_pricing.errors import StepFailed, UserError

HOST = "https://dagshub.com"
_TIMEOUT_S = 10.0


def host():
    """DagsHub's address, or where ``DAGSHUB_CLIENT_HOST`` says that it is."""
    return os.environ.get("DAGSHUB_CLIENT_HOST", HOST).rstrip("/")


def find_repository(workspace):
    """The ``OWNER/REPO`` on DagsHub whose MLflow server is the workspace's, else None."""
    uri = workspace.tracking_uri
    if uri.startswith(f"{host()}/") and uri.endswith(".mlflow"):
        return uri.removeprefix(f"{host()}/").removesuffix(".mlflow")
    return None


def find_user(repository, token):
    """The name of the token's user, who can see the repository; errors as `open_repository`."""
    with open_repository(repository, token) as (_, user):
        return user


@contextmanager
def open_repository(name, token):
    """Give a repository's API after DagsHub has accepted the token.

    Parameters
    ----------
    name : str
        ``OWNER/REPO``.
    token : str
        An access token of DagsHub.

    Yields
    ------
    (dagshub.common.api.repo.RepoAPI, str)
        The API, and the name of the token's user.

    Raises
    ------
    UserError
        If the name is none, or DagsHub knows neither token nor repository.
    StepFailed
        If DagsHub cannot be reached or refuses, here or in the block.
    """
    if not token:
        raise UserError("DAGSHUB_USER_TOKEN: not set; put your DagsHub access token into .env")
    logging.getLogger("dagshub").setLevel(logging.CRITICAL)
    from dagshub.auth.token_auth import HTTPBearerAuth
    from dagshub.common import config
    from dagshub.common.api.repo import RepoAPI, RepoNotFoundError, WrongRepoFormatError
    from dagshub.common.api.user import UserAPI
    from dagshub.data_engine.client import data_client
    from dagshub.data_engine.model.errors import DataEngineGqlError
    from gql.transport.exceptions import TransportError
    from gql.transport.requests import RequestsHTTPTransport
    from httpx import HTTPError, InvalidURL
    from requests.exceptions import RequestException

    config.token, config.quiet, config.disable_analytics = token, True, True
    config.http_timeout = _TIMEOUT_S
    data_client.RequestsHTTPTransport = partial(RequestsHTTPTransport, timeout=_TIMEOUT_S)
    place = f"{config.host}/{name}"
    try:
        user = UserAPI.get_user_from_token(token).username
        repository = RepoAPI(name, auth=HTTPBearerAuth(token))
        repository.get_repo_info()
        yield repository, user
    except WrongRepoFormatError:
        raise UserError(f"{name}: expected OWNER/REPO, such as acme/laptops") from None
    except RepoNotFoundError:
        raise UserError(
            f"{place}: not there, or not yours to see; make it on DagsHub, or ask its owner"
        ) from None
    except (HTTPError, InvalidURL, RequestException, TimeoutError, ConnectionError) as error:
        raise StepFailed(f"{place}: no answer ({type(error).__name__}); try again later") from None
    except AttributeError:  # how the client of 0.7 meets a connection that breaks off
        raise StepFailed(f"{place}: the connection broke off; try again later") from None
    except (RuntimeError, ValueError, DataEngineGqlError, TransportError) as error:
        if "401" in str(error):
            raise UserError(
                f"{config.host}: the token is refused; make a new one in your DagsHub settings"
            ) from None
        raise StepFailed(f"{place}: DagsHub answered: {str(error)[:200]}") from None
