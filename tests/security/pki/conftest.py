"""One hierarchy for all attacks on credentials."""

import pytest

from tests.support import pki_world
from tests.support.pki_world import World


@pytest.fixture(scope="session")
def world() -> World:
    """Never changed by a test: those that revoke or issue make their own."""
    return pki_world.perform()


@pytest.fixture
def own_world() -> World:
    """A hierarchy of the test's own, to revoke and issue in."""
    return pki_world.perform()
