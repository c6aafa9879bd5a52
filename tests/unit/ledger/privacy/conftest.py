"""A vault on either engine, a log that is a list, and a ledger of a few entries."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from ledger.clock import SetClock
from ledger.privacy import keys, tables
from ledger.privacy.erasure import Eraser
from ledger.privacy.exports.writer import Exporter
from ledger.privacy.kekring import KekRingFile
from ledger.privacy.postgres import PostgresDatabase
from ledger.privacy.vault import Vault
from tests.support.exports import KEY
from tests.support.privacy import NOW_MS, Ledger, Log


@pytest.fixture
def clock() -> SetClock:
    return SetClock(NOW_MS)


ON_BOTH = frozenset(
    {
        "test_erasure",
        "test_retention",
        "test_vault",
        "test_keys",
        "test_administrator",
        "test_exports",
        "test_export_writing",
        "test_pseudonyms",
        "test_reidentification",
    }
)
_names = count(1)
Open = Callable[..., Vault]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests of the vault's own files run on both engines, but for those that look into SQLite's file."""
    if "vault_engine" in metafunc.fixturenames:
        is_file = "folder" in metafunc.fixturenames and "folder" in metafunc.function.__code__.co_varnames
        shared = metafunc.module.__name__.rpartition(".")[2] in ON_BOTH and not is_file
        marked = metafunc.definition.get_closest_marker("sqlite_only")
        metafunc.parametrize(
            "vault_engine", ["sqlite", "postgres"] if shared and marked is None else ["sqlite"], scope="session"
        )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "vault"


@pytest.fixture
def open_vault(
    vault_engine: str, request: pytest.FixtureRequest, folder: Path, tmp_path: Path, clock: SetClock
) -> Open:
    """Opens the vault of this test again and again, as a restarted process or a second one would."""
    ring = tmp_path / "kek.ring"
    if vault_engine == "sqlite":
        return lambda create=False: Vault.open(folder, clock=clock, kek_path=ring, create=create)
    server = request.getfixturevalue("postgres_server")
    name = f"vault_{next(_names)}"

    def over(create: bool = False) -> Vault:
        provider = KekRingFile.create(ring) if create else KekRingFile.open(ring)
        return Vault.over(
            lambda: PostgresDatabase(server.dsn, name, tables.VERSIONS, create=create),
            lambda: PostgresDatabase(server.dsn, f"{name}_keys", keys.VERSIONS, create=create),
            provider,
            clock=clock,
            create=create,
        )

    return over


@pytest.fixture
def vault(open_vault: Open) -> Iterator[Vault]:
    opened = open_vault(create=True)
    yield opened
    opened.close()


@pytest.fixture
def reopen(open_vault: Open) -> Iterator[Callable[[], Vault]]:
    """Opens the same vault again, as a restarted process or a second one would."""
    opened: list[Vault] = []

    def again() -> Vault:
        opened.append(open_vault())
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


@pytest.fixture
def exporter(vault: Vault, log: Log) -> Exporter:
    return Exporter(vault, log.record, key=KEY, controller="cso-1")
