"""Several replicas of one log at once: one history, nothing sold twice, and no acknowledged entry lost."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.appender import Appender
from ledger.store.postgres import PostgresStore
from ledger.store.postgres_reads import PostgresReader
from ledger.store.protocol import Found, Wanted
from tests.crash import replica
from tests.support import logs, oracle
from tests.support.kept import Tally
from tests.support.postgres import Server
from tests.support.vectors import REPOSITORY


def begin(server: Server, schema: str, name: str, count: int, writers: int) -> subprocess.Popen[str]:
    """A replica that is ready and waits for its start."""
    arguments = [server.dsn, schema, name, str(count), str(writers)]
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.crash.replica", *arguments],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def said(output: str) -> tuple[dict[int, int], set[int]]:
    """(EVSE to index of what was acknowledged, what was refused as sold)."""
    lines = [line.split() for line in output.splitlines()]
    return {int(line[1]): int(line[2]) for line in lines if line[0] == "ack"}, {
        int(line[1]) for line in lines if line[0] == "sold"
    }


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [2, 3])
def test_replicas_that_hammer_the_same_streams_write_one_history(
    postgres_server: Server, tmp_path: Path, replicas: int
) -> None:
    schema = logs.Postgres(postgres_server.dsn).schema(tmp_path)
    count = 300
    children = [begin(postgres_server, schema, f"r{number}", count, 16) for number in range(replicas)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    answers = [said(child.communicate(timeout=60)[0]) for child in children]
    assert [child.returncode for child in children] == [0] * replicas
    winners: dict[int, int] = {}
    for acknowledged, refused in answers:
        assert not winners.keys() & acknowledged.keys(), "an EVSE was sold twice"
        assert acknowledged.keys() | refused == set(range(count))
        winners |= acknowledged
    assert winners.keys() == set(range(count))
    reader = PostgresReader.open(postgres_server.dsn, schema=schema)
    found = oracle.require_sound(reader)
    reader.close()
    assert sorted(winners.values()) == list(range(count)) == list(range(len(found)))
    assert all(acknowledged for acknowledged, _ in answers), "one replica wrote alone; the others were not tested"


@pytest.mark.slow
def test_a_replica_that_is_killed_holds_up_nobody(postgres_server: Server, tmp_path: Path) -> None:
    schema = logs.Postgres(postgres_server.dsn).schema(tmp_path)
    count = 1500
    children = [begin(postgres_server, schema, f"r{number}", count, 16) for number in range(2)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    assert children[0].stdout is not None
    first = "".join(children[0].stdout.readline() for _ in range(100))
    children[0].send_signal(signal.SIGKILL)
    killed, _ = said(first + children[0].communicate()[0].rpartition("\n")[0])
    survived, refused = said(children[1].communicate(timeout=60)[0])
    assert children[1].returncode == 0
    reader = PostgresReader.open(postgres_server.dsn, schema=schema)
    found = oracle.require_sound(reader)
    reader.close()
    assert survived.keys() | refused == set(range(count))
    assert not survived.keys() & killed.keys()
    for acknowledged in (killed, survived):
        assert all(index < len(found) for index in acknowledged.values())


async def test_the_same_statement_through_every_replica_is_one_entry(postgres_server: Server, tmp_path: Path) -> None:
    medium = logs.Postgres(postgres_server.dsn)
    opened = [await _log(medium, tmp_path) for _ in range(3)]
    sales = [replica.sale("same", evse) for evse in range(40)]
    answers = await asyncio.gather(*(log.appender.append_many(sales) for log in opened))
    for outcomes in zip(*answers, strict=True):
        assert len({outcome.index for outcome in outcomes}) == 1
        assert sorted(outcome.duplicate for outcome in outcomes) == [False, True, True]
    oracle.require_sound(opened[0].store)
    await asyncio.gather(*(log.close() for log in opened))


async def test_a_statement_made_for_a_head_that_another_replica_moved_is_refused(
    postgres_server: Server, tmp_path: Path
) -> None:
    medium = logs.Postgres(postgres_server.dsn)
    one, other = [await _log(medium, tmp_path) for _ in range(2)]
    first = await one.appender.append(logs.submitted(logs.said(1)))
    fresh = await other.appender.append(logs.submitted(logs.said(2, exp_prev=first.leaf_hash.hex())))
    assert (fresh.index, fresh.seq) == (1, 2)
    with pytest.raises(Exception, match="another entry came between"):
        await one.appender.append(logs.submitted(logs.said(3, exp_prev=first.leaf_hash.hex())))
    await asyncio.gather(one.close(), other.close())


async def test_an_idle_replica_hears_of_what_the_others_wrote(postgres_server: Server, tmp_path: Path) -> None:
    medium = logs.Postgres(postgres_server.dsn)
    one, other = [await _log(medium, tmp_path) for _ in range(2)]
    heard: list[int] = []
    other.appender.listen(lambda fact: heard.append(fact.index))
    await one.add(*range(10))
    async with asyncio.timeout(5):
        while other.appender.head.size < 10:  # noqa: ASYNC110 -- to be followed is what is tested
            await asyncio.sleep(0.02)
    assert heard == list(range(10))
    assert [fact.index for fact in other.appender.rules.applied] == heard
    await asyncio.gather(one.close(), other.close())


async def _log(medium: logs.Postgres, directory: Path) -> logs.Log:
    return await logs.begin(directory, store=medium.open(directory))


async def test_rules_that_meet_rows_of_a_later_head_judge_again(postgres_server: Server, tmp_path: Path) -> None:
    """The head is not held: what the rules fetch may be newer than it, and make them fail where nothing is wrong."""

    class Overtaken(PostgresStore):
        other: Appender
        is_overtaken = False

        async def look_up(self, wanted: Wanted) -> Found:
            found = await super().look_up(wanted)
            if not self.is_overtaken:
                self.is_overtaken = True
                await self.other.append(same)
            return found

    medium = logs.Postgres(postgres_server.dsn)
    same = logs.submitted(logs.said(1))
    other = await logs.begin(tmp_path, rules=Tally(), store=medium.open(tmp_path))
    store = Overtaken.open(postgres_server.dsn, schema=medium.schema(tmp_path), create=True)
    store.other = other.appender
    # A tally breaks, and does not refuse, when a statement that it knows is said to be new.
    overtaken = await logs.begin(tmp_path, rules=Tally(), store=store)
    appended = await overtaken.appender.append(same)
    assert (appended.index, appended.duplicate) == (0, True)
    oracle.require_sound(store)
    await asyncio.gather(overtaken.close(), other.close())
