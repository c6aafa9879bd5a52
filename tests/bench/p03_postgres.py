"""P3: durable append on PostgreSQL, with one writer and 64, beside one-statement inserts of the same bytes."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from time import perf_counter
from typing import Any

import asyncpg

from ledger.appender import Appender, Outcome, Submission
from ledger.records import entry as entries
from ledger.records import statement
from ledger.rules.fact import Evidence
from ledger.rules.state import LogState
from ledger.store.postgres import PostgresStore
from tests.bench import ground
from tests.bench.frame import Pair, Row, Scale, speed
from tests.support import postgres
from tests.support import world as stage

FLOOR = "one `INSERT ... SELECT FROM unnest` of the same bytes a commit, same server, same synchronous_commit"
INSERT = "INSERT INTO raw SELECT * FROM unnest($1::bigint[], $2::bytea[])"


async def _writers(appenders: Sequence[Appender], dealt: Sequence[Sequence[Submission]]) -> list[Outcome]:
    async def one(appender: Appender, said: Sequence[Submission]) -> list[Outcome]:
        return [await appender.append(submission) for submission in said]

    done = await asyncio.gather(*(one(appenders[at % len(appenders)], said) for at, said in enumerate(dealt)))
    return [outcome for outcomes in done for outcome in outcomes]


async def _open(dsn: str, schema: str, clock: Any) -> tuple[PostgresStore, Appender]:
    store = PostgresStore.open(dsn, schema=schema, create=True)
    return store, await Appender.start(store, origin=stage.ORIGIN, clock=clock, rules=LogState())


async def _seed(source: stage.World, appender: Appender) -> None:
    """The first entries of the service's own log, so that the rules admit what follows."""
    store = source.engines.store
    size = source.desk.appender.head.size
    actors, tags = store.actors(), store.tags(0, size)
    for row in store.entries(0, size):
        entry = entries.decode(row.data)
        said = Submission(
            statement=statement.parse_statement(entry.stmt),
            actor=actors[row.actor_id],
            submitter=entry.sub,
            now_ms=entry.rec,
            tags=tags.get(row.index, {}),
            evidence=Evidence(),
        )
        await appender.append(said)


def _row(writers: int, replicas: int, each: tuple[int, int]) -> Callable[[Scale], AbstractContextManager[Pair]]:
    @contextmanager
    def prepare(scale: Scale) -> Iterator[Pair]:
        cluster = postgres.Cluster()
        with ground.opened(scale) as ours:
            server = cluster.server("bench")
            server.initialise()
            server.start(synchronous_commit="on")
            opened = [ours.run(_open(server.dsn, "bench", ours.world.clock)) for _ in range(replicas)]
            appenders = [appender for _, appender in opened]
            ours.run(_seed(ours.world, appenders[0]))
            raw = ours.run(asyncpg.connect(server.dsn))
            ours.run(raw.execute("CREATE TABLE raw (idx bigint PRIMARY KEY, data bytea NOT NULL)"))
            commits: list[list[bytes]] = []
            next_index = 0

            def operation() -> float:
                ready = [ours.asked(scale.of(*each)) for _ in range(writers)]
                started = perf_counter()
                outcomes = ours.run(_writers(appenders, ready))
                took = perf_counter() - started
                sizes = Counter(ground.appended(one).tree_size for one in outcomes)
                first = min(ground.appended(one).index for one in outcomes)
                stored = iter(opened[0][0].entries(first, first + len(outcomes)))
                commits[:] = [[next(stored).data for _ in range(sizes[end])] for end in sorted(sizes)]
                return took / len(outcomes)

            async def insert() -> None:
                nonlocal next_index
                for batch in commits:
                    await raw.execute(INSERT, range(next_index, next_index + len(batch)), batch)
                    next_index += len(batch)

            def floor() -> float:
                started = perf_counter()
                ours.run(insert())
                return (perf_counter() - started) / sum(map(len, commits))

            try:
                yield Pair(operation, floor)
            finally:
                ours.run(raw.close())
                for store, appender in opened:
                    ours.run(appender.close())
                    store.close()
                cluster.close()

    return prepare


ROWS = (
    Row(
        id="P3",
        what="append on PostgreSQL, 1 writer",
        floor=FLOOR,
        goal=speed(0.65),
        prepare=_row(1, 1, (200, 40)),
    ),
    Row(
        id="P3",
        what="append on PostgreSQL, 64 writers",
        floor=FLOOR,
        goal=speed(0.40),
        prepare=_row(64, 1, (20, 4)),
    ),
    Row(
        id="P3",
        what="append on PostgreSQL, 64 writers over two replicas",
        floor=FLOOR,
        goal=speed(0.30),
        prepare=_row(64, 2, (20, 4)),
    ),
)
