"""The server dies, the wire is cut, the standby takes over: nothing acknowledged is missing, nothing is there twice."""

import asyncio
import base64
import os
import random
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from ledger.appender import Appended
from ledger.store import postgres_link
from ledger.store.errors import CheckpointAbsent, RolledBack, StandbyMissing, StoreUnreachable
from ledger.store.protocol import Wanted
from tests.crash.proxy import COMMIT, WRITE, Cut, Wire
from tests.support import logs, oracle
from tests.support.postgres import Pair, Server, is_answering

WRITERS = 16


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


async def synchronous(pair: Pair) -> None:
    """Commits wait for the standby from here on."""
    connection = await asyncpg.connect(pair.primary.dsn)
    async with asyncio.timeout(20):
        asked = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
        while not await connection.fetchval(asked):  # noqa: ASYNC110 -- the server tells nobody
            await asyncio.sleep(0.02)
    await connection.close()


class Load:
    """Writers that append without a pause, and what was promised to them."""

    def __init__(self, log: logs.Log) -> None:
        self._log = log
        self._numbers = iter(range(1_000_000))
        self.acknowledged: dict[int, Appended] = {}
        self._is_over = False
        self._tasks = [asyncio.create_task(self._write()) for _ in range(WRITERS)]

    async def _write(self) -> None:
        for number in self._numbers:
            if self._is_over:
                return
            said = logs.said(number, stream=f"fsr/s{number % 5}")
            self.acknowledged[number] = await self._log.appender.append(logs.submitted(said))

    async def reach(self, count: int) -> None:
        """So many more are acknowledged."""
        count += len(self.acknowledged)
        async with asyncio.timeout(60):
            while len(self.acknowledged) < count:
                for failed in [task for task in self._tasks if task.done()]:
                    failed.result()
                await asyncio.sleep(0.01)

    async def end(self) -> None:
        """Every writer has its last answer."""
        self._is_over = True
        await asyncio.gather(*self._tasks)

    def require_kept(self) -> None:
        """Every promise is in the log, once, where it was said to be."""
        found = oracle.require_sound(self._log.store)
        for number, appended in self.acknowledged.items():
            assert not appended.duplicate
            assert f'"{logs.jti(number)}"' in _payload(found[appended.index]["stmt"])


def _payload(stmt: str) -> str:
    payload = stmt.split(".")[1]
    return base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()


@pytest.mark.slow
async def test_the_standby_takes_over_in_mid_load_and_no_promise_is_lost(pair: Pair, tmp_path: Path) -> None:
    await synchronous(pair)
    medium = logs.Postgres(pair.dsn, needs_standby=False)
    log = await logs.begin(tmp_path, store=medium.open(tmp_path), patience_s=30)
    load = Load(log)
    await load.reach(300)
    noted = await log.publisher.publish()
    await load.reach(100)
    pair.primary.kill()
    assert pair.primary.living() == []
    assert not is_answering(pair.primary.port), "nobody may answer the load but the standby"
    before = len(load.acknowledged)
    await asyncio.to_thread(pair.promote)
    await load.reach(300)
    await load.end()
    assert len(load.acknowledged) >= before + 300
    assert pair.primary.living() == []
    load.require_kept()
    # What was signed before is a prefix of what the standby had: the publisher proves it, or refuses to sign.
    assert int(noted.split(b"\n")[1]) >= 300
    await log.publisher.publish()
    oracle.require_audited(log.store, tmp_path, logs.signer().vkey)
    await log.close()


@pytest.mark.slow
async def test_nothing_is_promised_or_signed_that_the_standby_lacks(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_link, "QUERY_TIMEOUT_S", 0.7)
    await synchronous(pair)
    medium = logs.Postgres(pair.dsn, needs_standby=True)
    log = await logs.begin(tmp_path, store=medium.open(tmp_path), patience_s=2)
    await log.add(0, 1, 2)
    first = await log.publisher.publish()
    pair.standby.kill()
    assert pair.standby.living() == []
    with pytest.raises(StoreUnreachable):
        await log.appender.append(logs.submitted(logs.dealt(3)))
    # Whoever stops the waiting makes the primary show what it alone has: it is no promise, and nothing is signed over it.
    other = await asyncpg.connect(pair.primary.dsn)
    async with asyncio.timeout(10):
        while log.store.head().size < 4:
            await other.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
            await asyncio.sleep(0.05)
    await other.close()
    with pytest.raises((StoreUnreachable, StandbyMissing)):
        await log.publisher.publish()
    assert log.publisher.latest() == first
    await asyncio.to_thread(pair.standby.start)
    await synchronous(pair)
    again = await log.appender.append(logs.submitted(logs.dealt(3)))
    assert (again.index, again.duplicate) == (3, True)
    assert (await log.publisher.publish()).split(b"\n")[1] == b"4"
    await log.close()


@pytest.mark.slow
async def test_a_standby_setting_that_is_emptied_stops_a_batch_that_is_judged_from_memory(
    pair: Pair, tmp_path: Path
) -> None:
    await synchronous(pair)
    medium = logs.Postgres(pair.dsn, needs_standby=True)
    log = await logs.begin(tmp_path, store=medium.open(tmp_path))
    await log.add(0, 1, 2)
    assert log.store._memory.answer(Wanted()) is not None, "the next batch is judged from memory"
    pair.primary.reconfigure(synchronous_standby_names="")
    async with asyncio.timeout(20):
        while log.store.standby_names():  # noqa: ASYNC110 -- the server tells nobody
            await asyncio.sleep(0.02)
    for number in (3, 4):
        with pytest.raises(StandbyMissing):
            await log.appender.append(logs.submitted(logs.dealt(number)))
    with pytest.raises(StandbyMissing):
        await log.appender.append(logs.submitted(logs.dealt(1)))
    assert log.store.head().size == log.appender.head.size == 3
    pair.primary.reconfigure(synchronous_standby_names="FIRST 1 (standby)")
    await synchronous(pair)
    outcome = await log.appender.append(logs.submitted(logs.dealt(3)))
    assert (outcome.index, outcome.duplicate) == (3, False)
    assert len(oracle.require_sound(log.store)) == 4
    await log.publisher.publish()
    oracle.require_audited(log.store, tmp_path, logs.signer().vkey)
    await log.close()


async def test_without_a_standby_that_the_settings_ask_for_nothing_is_written_or_signed(
    postgres_server: Server, tmp_path: Path
) -> None:
    medium = logs.Postgres(postgres_server.dsn, needs_standby=True)
    log = await logs.begin(tmp_path, store=medium.open(tmp_path))
    assert log.store.standby_names() == ""
    with pytest.raises(StandbyMissing):
        await log.appender.append(logs.submitted(logs.dealt(0)))
    with pytest.raises(StandbyMissing):
        await log.publisher.publish()
    with pytest.raises(CheckpointAbsent):
        log.publisher.latest()
    assert log.store.head().size == 0
    await log.close()


@pytest.mark.parametrize("cut", list(Cut))
@pytest.mark.parametrize("batch", [1, 50])
@pytest.mark.parametrize("is_held", [True, False], ids=["held", "unheld"])
async def test_a_wire_that_is_cut_in_commit_leaves_no_doubt(
    postgres_server: Server, tmp_path: Path, cut: Cut, batch: int, is_held: bool
) -> None:
    wire = Wire(postgres_server.port)
    # The schema's name comes from the folder, so both media mean the same log.
    monitor = logs.Postgres(postgres_server.dsn).open(tmp_path)
    medium = logs.Postgres(f"postgresql://test@127.0.0.1:{wire.port}/postgres")
    log = await logs.begin(tmp_path, store=medium.open(tmp_path))
    await log.add(0, 1)
    if is_held:
        log.store._contended = 8
    wire.arm(cut, COMMIT if is_held else WRITE)
    outcomes = await log.appender.append_many([logs.submitted(logs.dealt(number)) for number in range(2, 2 + batch)])
    assert wire.cuts == 1
    assert [(one.index, one.duplicate) for one in outcomes] == [(2 + at, False) for at in range(batch)]
    again = await log.appender.append(logs.submitted(logs.dealt(2)))
    assert (again.index, again.duplicate) == (2, True)
    assert len(oracle.require_sound(monitor)) == 2 + batch
    await log.close()
    monitor.close()
    wire.close()


@pytest.mark.slow
async def test_backends_that_are_killed_one_after_another_cost_no_promise(tmp_path: Path, pair: Pair) -> None:
    await synchronous(pair)
    medium = logs.Postgres(pair.dsn)
    log = await logs.begin(tmp_path, store=medium.open(tmp_path), patience_s=30)
    load = Load(log)
    chance = random.Random(7)
    for kind in ("terminate", "terminate", "kill", "terminate", "kill"):
        await load.reach(chance.randrange(30, 120))
        with suppress(OSError, asyncpg.PostgresError):
            other = await asyncpg.connect(pair.primary.dsn)
            pids = await other.fetch(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'flexledger' AND query LIKE ANY($1)",
                ["%COMMIT%", "%head%", "%unnest%"],
            )
            for row in pids:
                if kind == "terminate":
                    await other.fetchval("SELECT pg_terminate_backend($1)", row[0])
                else:
                    # The server treats this as a crash: it ends all sessions and recovers from its log.
                    os.kill(row[0], signal.SIGKILL)
            await other.close()
    await load.reach(50)
    await load.end()
    load.require_kept()
    await log.close()


async def test_a_log_that_came_back_shorter_is_not_continued(postgres_server: Server, tmp_path: Path) -> None:
    """As after a failover to a standby that had lagged behind."""
    medium = logs.Postgres(postgres_server.dsn)
    log = await logs.begin(tmp_path, store=medium.open(tmp_path))
    await log.add(*range(5))
    connection = await asyncpg.connect(postgres_server.dsn, server_settings={"search_path": medium.schema(tmp_path)})
    frontier = log.appender.head.frontier.copy()
    await log.add(*range(5, 8))
    await connection.execute("SET session_replication_role = replica")
    for table in ("entry", "idempotency"):
        await connection.execute(f"DELETE FROM {table} WHERE idx >= 5")  # noqa: S608 -- two of our names
    await connection.execute("UPDATE head SET size = 5, frontier = $1", frontier.dump())
    await connection.close()
    for number in (8, 9):
        with pytest.raises(RolledBack):
            await log.appender.append(logs.submitted(logs.dealt(number)))
    assert log.store.head().size == 5
    await log.close()
