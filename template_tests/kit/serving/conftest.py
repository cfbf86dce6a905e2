from contextlib import ExitStack

import pytest
from asking import Server
from problems import LAPTOPS


@pytest.fixture(scope="session")
def models(trained):
    return trained(LAPTOPS).models


@pytest.fixture
def start(models, tmp_path):
    with ExitStack() as stack:

        def give(*options, **more):
            server = Server(models, tmp_path, *options, **more)
            stack.callback(server.process.wait)
            stack.callback(server.process.kill)
            return server

        yield give
