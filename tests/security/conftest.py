"""One hierarchy for all, a service for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from api.cli.demo import story
from pki.ceremony import Ceremony
from tests.support import house as houses
from tests.support.house import House


@pytest.fixture(scope="session")
def made() -> Ceremony:
    return houses.perform()


@pytest_asyncio.fixture
async def house(tmp_path: Path, made: Ceremony) -> AsyncIterator[House]:
    """An open service with the site on record and the day's contracts signed."""
    async with House.open(tmp_path, made) as opened:
        await story.open_the_day(opened.play())
        yield opened


@pytest_asyncio.fixture
async def door(tmp_path: Path, made: Ceremony) -> AsyncIterator[House]:
    """An open service with nothing but its policy in the log: enough for what never gets far."""
    async with House.open(tmp_path, made) as opened:
        yield opened
