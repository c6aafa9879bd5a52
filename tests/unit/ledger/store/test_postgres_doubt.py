"""What a replica took for true and was not: it leaves no trace in the rules, and nothing is written on it."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from ledger.rules import retold
from ledger.rules.fact import Fact
from ledger.rules.kept_state import StreamState
from ledger.rules.tables import Table
from ledger.store.errors import HistoryDiffers, OutcomeUnknown, StoreUnreachable
from ledger.store.protocol import Batch, Head, Wanted
from ledger.tlog.merkle import Frontier
from tests.support import logs, oracle
from tests.support.kept import Tally
from tests.support.postgres import Server

pytestmark = pytest.mark.slow  # takes seconds


class Begun(Tally):
    """Refuses whatever goes on in a stream that the rules do not know."""

    version = "begun/1"

    def __init__(self) -> None:
        super().__init__()
        self.streams: Table[StreamState] = self.tables.new(retold.Streams(StreamState))

    def check(self, fact: Fact) -> None:
        if fact.statement.claims.actor_seq is None and fact.entry.stream not in self.streams:
            raise logs.RefusedForTest("no such stream")


class Strict(Tally):
    """Refuses everything, after it looked for the statement."""

    version = "strict/1"

    def check(self, fact: Fact) -> None:
        if fact.statement.claims.jti not in self.said:
            raise logs.RefusedForTest("the test says no")


@pytest.fixture
def medium(postgres_server: Server) -> logs.Postgres:
    return logs.Postgres(postgres_server.dsn)


@pytest.mark.parametrize("others", [0, 1])
async def test_a_stream_that_was_taken_for_absent_is_not_refused_as_absent(
    medium: logs.Postgres, tmp_path: Path, others: int
) -> None:
    """It is refused by the rules at first, alone or beside what is written; then the guess turns out wrong."""
    first = await logs.begin(tmp_path, rules=Begun(), store=medium.open(tmp_path))
    await first.appender.append(logs.submitted(logs.said(1, stream="fsr/old", actor_seq=1)))
    await first.close()
    log = await logs.begin(tmp_path, rules=Begun(), store=medium.open(tmp_path))
    await log.appender.append(logs.submitted(logs.said(2, stream="fsr/new", actor_seq=2)))
    beside = [logs.said(10 + at, stream="fsr/new") for at in range(others)]
    outcomes = await log.appender.append_many(
        [logs.submitted(one) for one in (logs.said(3, stream="fsr/old"), *beside)]
    )
    assert [one.index for one in outcomes] == [2, 3][: 1 + others]
    assert outcomes[0].seq == 2
    oracle.require_sound(log.store)
    await log.close()


async def held_and_lost(log: logs.Log) -> None:
    """The replica holds the head, sleeps, and is cut off by the server."""
    log.store._contended = 1
    await log.store.begin()
    await log.store.look_up(Wanted())
    connection = log.store._session._connection
    gone = asyncio.Event()
    connection.add_termination_listener(lambda _: gone.set())
    other = await asyncpg.connect(log.store._dsn)
    await other.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
    await other.close()
    async with asyncio.timeout(10):
        await gone.wait()
    assert not log.store._session.is_open


async def test_whoever_lost_the_lock_with_its_connection_writes_no_batch(medium: logs.Postgres, tmp_path: Path) -> None:
    """Over another connection a big batch would be several transactions, and its head would stand without entries."""
    log = await logs.begin(tmp_path, rules=Tally(), store=medium.open(tmp_path))
    await log.add(0)
    await held_and_lost(log)
    entries = [(1 + at, b"data", bytes(32), None, 1) for at in range(501)]
    statements = [("NL-CSO", f"never-{at}", 1 + at) for at in range(501)]
    frontier = log.store.head().frontier.copy()
    for _ in entries:
        frontier.append(bytes(32))
    with pytest.raises(StoreUnreachable) as refused:
        await log.store.commit(Batch(Head(logs.ORIGIN, 502, frontier, 1), entries=entries, statements=statements))
    assert not isinstance(refused.value, OutcomeUnknown), "it is known that nothing was written"
    assert (log.store.head().size, log.store.last_index()) == (1, 0)
    await log.add(1)
    oracle.require_sound(log.store)
    await log.close()


async def test_whoever_lost_the_lock_with_its_connection_replaces_no_rows(
    medium: logs.Postgres, tmp_path: Path
) -> None:
    log = await logs.begin(tmp_path, rules=Tally(), store=medium.open(tmp_path))
    await log.add(0, 1)
    before = list(log.store.projections())
    await held_and_lost(log)
    with pytest.raises(StoreUnreachable):
        await log.store.replace_projections([], "other/1")
    assert list(log.store.projections()) == before
    assert log.store.head().projected == Tally.version
    await log.close()


async def test_a_log_that_was_cut_and_grew_past_us_is_not_taken_over_after_a_failure(tmp_path: Path) -> None:
    log = await logs.begin(tmp_path, rules=Tally())
    await log.add(0, 1, 2)
    seen = Frontier()
    seen.append(bytes(32))
    seen.append(bytes(32))
    log.appender._head = Head(logs.ORIGIN, 2, seen, logs.START_MS)
    log.appender._is_stale = True
    for number in (3, 4):
        (refused,) = await log.appender.append_many([logs.submitted(logs.dealt(number))])
        assert isinstance(refused, HistoryDiffers)
    assert log.store.head().size == 3
    await log.close()


async def test_refusals_alone_do_not_fill_the_memory(tmp_path: Path) -> None:
    rules = Strict()
    rules.said.shape.max_live = 8
    rules.tables._bounds = [(table.live, 8, table) for table in (rules.said,)]
    log = await logs.begin(tmp_path, rules=rules)
    for number in range(40):
        (refused,) = await log.appender.append_many([logs.submitted(logs.dealt(number))])
        assert isinstance(refused, logs.RefusedForTest)
    assert len(rules.said.live) <= 8
    await log.close()
