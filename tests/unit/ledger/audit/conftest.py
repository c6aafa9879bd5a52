import asyncio
import shutil
from pathlib import Path

import pytest

from ledger.reader import Reader
from ledger.store.sqlite import SqliteReader
from tests.support import logs

SIZE = 600
EVERY = 100


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 600 entries over 7 streams, with 6 checkpoints, and its static export; never changed."""
    directory = tmp_path_factory.mktemp("log")
    path = asyncio.run(logs.build(directory, SIZE, every=EVERY))
    reader = SqliteReader.open(path)
    Reader(reader).export_static(directory / "static", vkey=logs.signer().vkey)
    reader.close()
    return directory


@pytest.fixture
def path(original: Path, tmp_path: Path) -> Path:
    """A copy of the log's file."""
    return Path(shutil.copy(original / "log.db", tmp_path / "log.db"))


@pytest.fixture
def static(original: Path, tmp_path: Path) -> Path:
    """A copy of the log's static export."""
    return Path(shutil.copytree(original / "static", tmp_path / "static"))
