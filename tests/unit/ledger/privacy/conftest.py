"""A vault in a temporary folder, a log that is a list, and a ledger of a few entries."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ledger.clock import SetClock
from ledger.privacy.erasure import Eraser
from ledger.privacy.vault import Vault
from tests.support.privacy import NOW_MS, Ledger, Log


@pytest.fixture
def clock() -> SetClock:
    return SetClock(NOW_MS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "vault"


@pytest.fixture
def vault(folder: Path, tmp_path: Path, clock: SetClock) -> Iterator[Vault]:
    opened = Vault.open(folder, clock=clock, kek_path=tmp_path / "kek.ring", create=True)
    yield opened
    opened.close()


@pytest.fixture
def reopen(folder: Path, tmp_path: Path, clock: SetClock) -> Iterator[Callable[[], Vault]]:
    """Opens the same folder again, as a restarted process or a second one would."""
    opened: list[Vault] = []

    def again() -> Vault:
        opened.append(Vault.open(folder, clock=clock, kek_path=tmp_path / "kek.ring"))
        return opened[-1]

    yield again
    for one in opened:
        one.close()


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def eraser(vault: Vault, log: Log) -> Eraser:
    return Eraser(vault, log.record, recorded=log.recorded, pause_s=0)


@pytest.fixture
def ledger(vault: Vault, clock: SetClock) -> Ledger:
    return Ledger(vault, clock)
