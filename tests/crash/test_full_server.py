"""A PostgreSQL server without room: a batch is refused as a whole, and no promise is lost."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from ledger.appender import Appended
from ledger.store import postgres_link
from ledger.store.errors import OutcomeUnknown, StoreFull, StoreUnreachable
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


async def test_a_server_whose_own_log_has_no_room_dies_and_the_promises_are_there_when_it_has(
    cluster: Cluster, tmp_path: Path
) -> None:
    """PostgreSQL panics where it cannot write ahead: what became of the batch nobody can be asked until it is back."""
    small = Small(cluster, 20)
    try:
        server = cluster.server("server")
        server.initialise()
        for one in (server.data / "pg_wal").iterdir():
            moved = Path(shutil.move(one, small.path / one.name))
            os.chown(moved, cluster.ids["user"], cluster.ids["group"])
        (server.data / "pg_wal").rmdir()
        (server.data / "pg_wal").symlink_to(small.path)
        # Nothing is given back before the end, and a server that died stays dead, as on a machine that a person looks after.
        settings = {"checkpoint_timeout": "1h", "max_wal_size": "1GB", "restart_after_crash": "off"}
        server.start(**settings)
        log = await logs.begin(tmp_path, store=logs.Postgres(server.dsn).open(tmp_path), patience_s=1)
        acknowledged: set[int] = set()
        number, refused = 0, []
        while not refused:
            assert number < 40_000, "the server's log never filled"
            outcomes = await log.appender.append_many([logs.submitted(logs.dealt(number + at)) for at in range(BATCH)])
            refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
            assert len(refused) in (0, BATCH)
            if not refused:
                acknowledged.update(range(number, number + BATCH))
                number += BATCH
        assert {type(error) for error in refused} <= {OutcomeUnknown, StoreUnreachable, StoreFull}
        assert "No space left on device" in (cluster.root / "server.log").read_text()
        with pytest.raises((StoreUnreachable, OutcomeUnknown)):
            await log.appender.append(logs.submitted(logs.dealt(number)))
        server.kill()
        small.grow(256)
        server.start(**settings)
        # The batch that nobody knew about is there whole or not at all; said again, each statement has one entry.
        again = await log.appender.append_many([logs.submitted(logs.dealt(number + at)) for at in range(BATCH)])
        assert not [outcome for outcome in again if isinstance(outcome, Exception)]
        assert len({outcome.duplicate for outcome in again if isinstance(outcome, Appended)}) == 1
        found = oracle.require_sound(log.store)
        assert len(found) == len(acknowledged) + BATCH > BATCH
        await log.publisher.publish()
        oracle.require_audited(log.store, tmp_path, logs.signer().vkey)
        await log.close()
        server.kill()
    finally:
        for server in cluster.servers:
            server.kill()
        small.close()


@pytest.mark.parametrize(
    ("severity", "code"), [("ERROR", StoreFull), ("FATAL", StoreFull), ("PANIC", StoreUnreachable)]
)
def test_a_server_that_panics_has_not_said_that_nothing_was_kept(severity: str, code: type[Exception]) -> None:
    said = asyncpg.PostgresError.new({"C": "53100", "M": "no room", "S": severity, "V": severity})
    assert type(said) is asyncpg.DiskFullError
    assert type(postgres_link.code_of(said)) is code
