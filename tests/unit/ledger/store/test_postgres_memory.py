"""One round trip a batch: what a replica remembers is enough to judge on, and never enough to be wrong on."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ledger.appender import StatementReordered
from ledger.errors import LedgerError
from ledger.rules.fact import Fact
from ledger.store import postgres_memory
from ledger.store.errors import HistoryDiffers, RolledBack
from ledger.store.postgres_memory import Memory
from ledger.store.postgres_pack import SEPARATOR, Packed
from ledger.store.protocol import Batch, Found, Head, StreamHead, Wanted
from ledger.tlog.merkle import Frontier
from tests.support import logs, oracle
from tests.support.kept import Tally
from tests.support.postgres import Server

pytestmark = pytest.mark.slow  # takes seconds

HELD, ASKED, REMEMBERED = 4, 2, 1
"""Statements that a batch takes."""


class Lenient(Tally):
    """A tally that leaves repetitions to the sequencer."""

    version = "lenient/1"

    def check(self, fact: Fact) -> None:
        """Allows everything, the second time too."""


class Counted:
    """Mixed into a store: counts what it sends over the sequencer's connection."""

    sent = 0
    looked_up = 0

    async def look_up(self, wanted: Wanted) -> Found:
        await self._listen()
        return await super().look_up(wanted)

    async def _listen(self) -> None:
        connection = await self._session.live()
        if getattr(self, "_heard", None) is not connection:
            self._heard = connection
            connection.add_query_logger(self._count)

    def _count(self, _query: object) -> None:
        self.sent += 1


@pytest.fixture
def medium(postgres_server: Server) -> logs.Postgres:
    return logs.Postgres(postgres_server.dsn)


Open = Callable[[], Any]


@pytest.fixture
async def opened(medium: logs.Postgres, tmp_path: Path) -> AsyncIterator[Open]:
    """Begins a replica of the test's log; all are closed at the end."""
    made: list[logs.Log] = []

    async def open_one() -> logs.Log:
        log = await logs.begin(tmp_path, rules=Lenient(), store=medium.open(tmp_path, Counted))
        made.append(log)
        return log

    yield open_one
    for log in made:
        await log.appender.close()
    for log in made[:1]:
        oracle.require_sound(log.store)
    for log in made:
        log.store.close()


async def sent_by(log: logs.Log, *numbers: int, streams: int = 3) -> int:
    """How many statements the batch of these took."""
    before = log.store.sent
    await log.add(*numbers, streams=streams)
    return log.store.sent - before


async def again(log: logs.Log, number: int, streams: int = 3) -> Any:
    """The answer to a statement that was appended before."""
    (outcome,) = await log.appender.append_many([logs.submitted(logs.dealt(number, streams))])
    return outcome


async def restarted(opened: Open, size: int) -> logs.Log:
    """A replica that has written one batch since it began, on a log that was there before it."""
    first = await opened()
    await first.add(*range(size))
    log = await opened()
    await log.add(size)
    return log


async def test_a_replica_that_writes_alone_sends_one_statement_a_batch(opened: Open) -> None:
    log = await opened()
    await log.add(0)
    assert [await sent_by(log, number) for number in range(1, 8)] == [REMEMBERED] * 7
    assert await sent_by(log, *range(8, 40), streams=1000) == REMEMBERED, "streams that are new to it too"


async def test_a_statement_that_is_remembered_is_answered_as_before(opened: Open) -> None:
    log = await opened()
    await log.add(0, 1, 2)
    outcome = await again(log, 1)
    assert (outcome.index, outcome.duplicate, outcome.tree_size) == (1, True, 3)
    assert log.store.head().size == 3


async def test_a_statement_that_is_not_remembered_is_found_by_the_write(opened: Open) -> None:
    log = await restarted(opened, 5)
    outcome = await again(log, 2)
    assert (outcome.index, outcome.duplicate) == (2, True)
    assert log.store.head().size == 6
    assert await sent_by(log, 6) == ASKED, "for a while nothing is taken for absent"


async def test_a_statement_that_is_not_remembered_goes_with_others_and_none_is_lost(opened: Open) -> None:
    log = await restarted(opened, 5)
    outcomes = await log.appender.append_many([logs.submitted(logs.dealt(number)) for number in (6, 2, 7, 4, 8)])
    assert [(one.index, one.duplicate) for one in outcomes] == [
        (6, False),
        (2, True),
        (7, False),
        (4, True),
        (8, False),
    ]
    assert {one.index: one.seq for one in outcomes}[8] == 3


async def test_a_repetition_that_would_be_refused_today_still_gets_its_first_answer(opened: Open) -> None:
    """Its stream has moved and its counter was used: judged as a new statement it is refused, and writes nothing."""
    first = await opened()
    one = await first.appender.append(logs.submitted(logs.said(1, actor_seq=1)))
    said = logs.said(2, exp_prev=one.leaf_hash.hex(), actor_seq=2)
    two = await first.appender.append(logs.submitted(said))
    await first.appender.append(logs.submitted(logs.said(3, actor_seq=3)))
    log = await opened()
    await log.appender.append(logs.submitted(logs.said(4, actor_seq=4)))
    outcome = await log.appender.append(logs.submitted(said))
    assert (outcome.index, outcome.duplicate) == (two.index, True)
    mixed = await log.appender.append_many([logs.submitted(said), logs.submitted(logs.said(5, actor_seq=5))])
    assert [(outcome.index, outcome.duplicate) for outcome in mixed] == [(two.index, True), (4, False)]


async def test_a_stream_that_is_not_remembered_goes_on_where_it_ended(opened: Open) -> None:
    log = await restarted(opened, 6)
    assert [await sent_by(log, number) for number in (7, 8)] == [REMEMBERED + HELD, ASKED]
    heads = dict(log.store.stream_heads())
    assert {name: head.seq for name, head in heads.items()} == {"fsr/s0": 3, "fsr/s1": 3, "fsr/s2": 3}


async def test_a_counter_that_is_not_remembered_still_must_grow(opened: Open) -> None:
    first = await opened()
    await first.appender.append(logs.submitted(logs.said(1, actor_seq=7)))
    log = await opened()
    await log.appender.append(logs.submitted(logs.said(2, party="NL-FO", stream="fsr/two", actor_seq=1)))
    (refused,) = await log.appender.append_many([logs.submitted(logs.said(3, stream="fsr/two", actor_seq=7))])
    assert isinstance(refused, StatementReordered)


async def test_what_another_replica_wrote_is_noticed_by_the_write(opened: Open) -> None:
    one, two = await opened(), await opened()
    await one.add(0, streams=1)
    await two.add(1, streams=1)
    await one.add(2, streams=1)
    head = one.store.stream_head("fsr/s0")
    assert (head.seq, head.index) == (3, 2)
    assert await sent_by(one, 3, streams=1) == HELD, "where others write, the head is held"
    assert one.appender.rules.counts["fsr/s0"] == 4


async def test_a_refusal_on_what_another_replica_changed_is_judged_again(opened: Open) -> None:
    one, two = await opened(), await opened()
    first = await one.appender.append(logs.submitted(logs.said(1)))
    await one.appender.append(logs.submitted(logs.said(2)))
    second = await two.appender.append(logs.submitted(logs.said(3)))
    outcome = await one.appender.append(logs.submitted(logs.said(4, exp_prev=second.leaf_hash.hex())))
    assert (outcome.index, outcome.seq) == (3, 4)
    assert first.index == 0


async def test_what_was_not_written_is_not_remembered_by_the_rules(opened: Open) -> None:
    log = await restarted(opened, 5)
    counted = log.appender.rules.counts["fsr/s2"]
    assert counted == 2
    await again(log, 2)
    await log.add(6, 7, 8)
    assert [log.appender.rules.counts[f"fsr/s{at}"] for at in range(3)] == [3, 3, 3]
    assert {row[1]: row[2] for row in log.store.projections() if row[0] == "count"} == {
        f"fsr/s{at}": b"3" for at in range(3)
    }


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ("frontier = (SELECT frontier FROM before)", HistoryDiffers),
        ("size = size - 1", RolledBack),
    ],
)
async def test_another_history_is_not_continued_from_memory(
    medium: logs.Postgres, tmp_path: Path, change: str, refusal: type[LedgerError]
) -> None:
    """As after a failover that lost entries and a pool of connections that hid it, at the same size or a smaller one."""
    log = await logs.begin(tmp_path, rules=Lenient(), store=medium.open(tmp_path))
    other = await asyncpg.connect(medium.dsn, server_settings={"search_path": medium.schema(tmp_path)})
    await log.add(0)
    await other.execute("CREATE TABLE before AS SELECT frontier FROM head")
    await log.add(1, 2)
    await other.execute("SET session_replication_role = replica")
    await other.execute(f"UPDATE head SET {change}")  # noqa: S608 -- one of ours
    await other.close()
    (refused,) = await log.appender.append_many([logs.submitted(logs.dealt(3))])
    assert isinstance(refused, refusal)
    assert log.store.last_index() == 2
    await log.close()


def remembered(size: int) -> Memory:
    memory = Memory()
    head = Head(logs.ORIGIN, size, Frontier(), 1)
    streams = {f"s{at}": StreamHead(1, bytes(32), at) for at in range(size)}
    memory.write(Batch(head, statements=[("p", f"j{at}", at) for at in range(size)], streams=streams))
    return memory


def test_a_bounded_number_of_streams_and_ids_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_memory, "KEPT", 8)
    memory = remembered(8)
    found, unasked = memory.answer(Wanted([("p", "j0")], ["s0"], []))
    assert (found.statements, list(found.streams), unasked.streams) == ({("p", "j0"): 0}, ["s0"], [])
    memory.write(Batch(found.head, streams={"s0": StreamHead(2, bytes(32), 8), "s8": StreamHead(1, bytes(32), 9)}))
    found, unasked = memory.answer(Wanted([], ["s0", "s1", "s7", "s8"], []))
    assert set(found.streams) == {"s0", "s7", "s8"}, "the youngest half stays"
    assert unasked.streams == ["s1"]


def test_another_head_makes_it_forget() -> None:
    memory = remembered(3)
    assert memory.see(Head(logs.ORIGIN, 3, Frontier(), 1))
    assert not memory.see(Head(logs.ORIGIN, 4, Frontier(), 1))
    assert memory.answer(Wanted()) is None
    assert not remembered(3).see(Head(logs.ORIGIN, 3, Frontier(), 1, "other rules"))


@pytest.mark.parametrize(
    "texts",
    [[], [""], ["", ""], ["a"], ["a", "", "b"], [SEPARATOR], [f"a{SEPARATOR}b", "c"], ["{", '"', "\\", "n", "é", ","]],
)
async def test_texts_arrive_as_they_were_sent(postgres_server: Server, texts: list[str]) -> None:
    packed = Packed()
    sql = f"SELECT {packed.texts(texts)}"
    connection = await asyncpg.connect(postgres_server.dsn)
    assert await connection.fetchval(sql, *packed.values) == texts
    await connection.close()


@pytest.mark.parametrize("octets", [[], [b""], [None], [b"a", None, b"", b"bc"], [b"n,\x00\x1f"]])
async def test_octets_and_numbers_arrive_as_they_were_sent(postgres_server: Server, octets: list[bytes | None]) -> None:
    packed = Packed()
    whole, starts, lengths = packed.octets(octets)
    numbers = [None if one is None else len(one) - 2**62 for one in octets]
    sql = f"""SELECT substr({whole}, u.start::integer, u.length::integer), u.number
     FROM unnest({starts}, {lengths}, {packed.numbers(numbers)}) AS u (start, length, number)"""  # noqa: S608 -- ours
    connection = await asyncpg.connect(postgres_server.dsn)
    assert [tuple(row) for row in await connection.fetch(sql, *packed.values)] == list(
        zip(octets, numbers, strict=True)
    )
    await connection.close()
