"""What the tests of this room share."""

import pytest
from repos import SETTINGS, copy_of, make_shared


@pytest.fixture(autouse=True, scope="module")
def _settings(tmp_path_factory):
    """The project's commands are found, and nothing of this machine's Git and DVC."""
    with pytest.MonkeyPatch.context() as patch:
        memory = str(tmp_path_factory.mktemp("dvc"))
        for name, value in (SETTINGS | {"DVC_SITE_CACHE_DIR": memory}).items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def once(tmp_path_factory, _settings):
    return make_shared(tmp_path_factory.mktemp("shared") / "project")


@pytest.fixture
def shared(once, tmp_path):
    """A project whose data are registered, and its remote, all of it whole."""
    return copy_of(once, tmp_path / "copy")
