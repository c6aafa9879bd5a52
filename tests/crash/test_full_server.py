"""A PostgreSQL server without room: a batch is refused as a whole, and no promise is lost."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from ledger.store import postgres_link
from ledger.store.errors import StoreFull, StoreUnreachable
from tests.support import logs, oracle
from tests.support.postgres import Cluster

pytestmark = pytest.mark.slow  # takes seconds

BATCH = 50


class Small:
    """A file system of a few megabytes, which grows on demand."""

    def __init__(self, cluster: Cluster, size_mb: int) -> None:
        if os.geteuid() != 0:
            pytest.skip("a small file system is mounted by root only")
        self.path = cluster.root / "small"
        self.path.mkdir()
        options = f"size={size_mb}m,uid={cluster.ids['user']},gid={cluster.ids['group']},mode=700"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.path], check=False)
        if done.returncode != 0:
            pytest.skip("mount is refused here")

    def grow(self, size_mb: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size_mb}m", self.path], check=True)

    def close(self) -> None:
        subprocess.run(["umount", self.path], check=True)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.close()


@pytest.fixture
def small(cluster: Cluster) -> Iterator[Small]:
    made = Small(cluster, 4)
    yield made
    for server in cluster.servers:
        server.kill()
    made.close()


async def written(log: logs.Log, kept: int) -> list[Exception]:
    """What a batch was refused with, all of it; nothing if it was appended whole."""
    outcomes = await log.appender.append_many([logs.submitted(logs.dealt(kept + at)) for at in range(BATCH)])
    refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert len(refused) in (0, BATCH)
    if not refused:
        assert [outcome.index for outcome in outcomes] == list(range(kept, kept + BATCH))
        assert not any(outcome.duplicate for outcome in outcomes)
    return refused


async def require_all(log: logs.Log, kept: int, directory: Path) -> None:
    """The log has what was promised and goes on, without a gap; the audit finds nothing."""
    await log.publisher.publish()
    found = oracle.require_sound(log.store)
    assert len(found) == kept
    oracle.require_audited(log.store, directory, logs.signer().vkey)


async def test_a_full_tablespace_fails_batches_as_a_whole_until_there_is_room(
    cluster: Cluster, small: Small, tmp_path: Path
) -> None:
    server = cluster.server("server")
    server.initialise()
    server.start()
    connection = await asyncpg.connect(server.dsn)
    await connection.execute(f"CREATE TABLESPACE small LOCATION '{small.path}'")
    await connection.execute("ALTER ROLE test SET default_tablespace = small")
    await connection.close()
    log = await logs.begin(tmp_path, store=logs.Postgres(server.dsn).open(tmp_path))
    kept = refused = 0
    while refused < 3:
        errors = await written(log, kept)
        if errors:
            assert {type(error) for error in errors} == {StoreFull}
            refused += 1
        else:
            kept += BATCH
            assert kept < 20_000, "the tablespace never filled"
        assert log.appender.head.size == log.store.head().size == kept
    assert kept > 0
    small.grow(64)
    assert not await written(log, kept)
    await require_all(log, kept + BATCH, tmp_path)
    await log.close()


@pytest.mark.parametrize(
    ("severity", "code"), [("ERROR", StoreFull), ("FATAL", StoreFull), ("PANIC", StoreUnreachable)]
)
def test_a_server_that_panics_has_not_said_that_nothing_was_kept(severity: str, code: type[Exception]) -> None:
    said = asyncpg.PostgresError.new({"C": "53100", "M": "no room", "S": severity, "V": severity})
    assert type(said) is asyncpg.DiskFullError
    assert type(postgres_link.code_of(said)) is code
