"""One hierarchy for all tests of pki."""

import pytest

from pki import csr, keys
from pki.ceremony import CeremonySpec
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


@pytest.fixture(scope="session")
def spec() -> CeremonySpec:
    return pki_world.SPEC


@pytest.fixture(scope="session")
def opened_csr() -> csr.OpenedCsr:
    """A good request by a key of its own."""
    return pki_world.request_for(keys.generate())
