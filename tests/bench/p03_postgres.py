"""P3: durable append on PostgreSQL beside one-statement inserts of the same bytes, and two replicas beside one."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from time import perf_counter, sleep
from typing import Any

import asyncpg

from ledger.appender import Appender, Submission
from ledger.records import entry as entries
from ledger.records import statement
from ledger.rules.fact import Evidence
from ledger.rules.state import LogState
from ledger.store.postgres import PostgresStore
from tests.bench import ground, replicas
from tests.bench.frame import Pair, Row, Scale, speed
from tests.support import postgres
from tests.support import world as stage

FLOOR = "one `INSERT ... SELECT FROM unnest` of the same bytes a commit, same server, same synchronous_commit"
WRITERS = 64
INSERT = "INSERT INTO raw SELECT * FROM unnest($1::bigint[], $2::bytea[])"


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


@dataclass
class Log:
    """A log in a schema of its own, its replicas, and what the last round wrote."""

    stores: list[PostgresStore]
    appenders: list[Appender]
    commits: list[list[bytes]] = field(default_factory=list)


@contextmanager
def _server() -> Iterator[str]:
    """The DSN of a server of its own."""
    cluster = postgres.Cluster()
    try:
        server = cluster.server("bench")
        server.initialise()
        server.start(synchronous_commit="on")
        yield server.dsn
    finally:
        cluster.close()


@contextmanager
def _log(ours: ground.Ground, dsn: str, schema: str, replicas: int) -> Iterator[Log]:
    opened = [ours.run(_open(dsn, schema, ours.world.clock)) for _ in range(replicas)]
    log = Log([store for store, _ in opened], [appender for _, appender in opened])
    try:
        ours.run(_seed(ours.world, log.appenders[0]))
        yield log
    finally:
        for store, appender in opened:
            ours.run(appender.close())
            store.close()


def _written(ours: ground.Ground, log: Log, writers: int, each: int) -> float:
    """Seconds an entry, `each` of every writer."""
    ready = [ours.asked(each) for _ in range(writers)]
    started = perf_counter()
    outcomes = ours.run(replicas.written(log.appenders, ready))
    took = perf_counter() - started
    sizes = Counter(ground.appended(one).tree_size for one in outcomes)
    first = min(ground.appended(one).index for one in outcomes)
    stored = iter(log.stores[0].entries(first, first + len(outcomes)))
    log.commits[:] = [[next(stored).data for _ in range(sizes[end])] for end in sorted(sizes)]
    return took / len(outcomes)


def _row(writers: int, each: tuple[int, int]) -> Callable[[Scale], AbstractContextManager[Pair]]:
    @contextmanager
    def prepare(scale: Scale) -> Iterator[Pair]:
        with ground.opened(scale) as ours, _server() as dsn, _log(ours, dsn, "bench", 1) as log:
            raw = ours.run(asyncpg.connect(dsn))
            ours.run(raw.execute("CREATE TABLE raw (idx bigint PRIMARY KEY, data bytea NOT NULL)"))
            next_index = 0

            async def insert() -> None:
                nonlocal next_index
                for batch in log.commits:
                    await raw.execute(INSERT, range(next_index, next_index + len(batch)), batch)
                    next_index += len(batch)

            def floor() -> float:
                started = perf_counter()
                ours.run(insert())
                return (perf_counter() - started) / sum(map(len, log.commits))

            try:
                yield Pair(lambda: _written(ours, log, writers, scale.of(*each)), floor)
            finally:
                ours.run(raw.close())

    return prepare


@contextmanager
def _two(scale: Scale) -> Iterator[Pair]:
    with ground.opened(scale) as ours, _server() as dsn, ExitStack() as stack:
        at_ms = ours.world.clock.now_ms()
        for schema in ("one", "two"):
            with _log(ours, dsn, schema, 1):
                pass
        one = stack.enter_context(replicas.opened(dsn, "one", at_ms, 1))
        two = stack.enter_context(replicas.opened(dsn, "two", at_ms, 2))
        each = scale.of(40, 8)

        def round_of(these: replicas.Replicas) -> float:
            ready = [ours.asked(each) for _ in range(WRITERS)]
            sleep(replicas.CAUGHT_UP_S)
            return these.write(ready)

        yield Pair(lambda: round_of(two), lambda: round_of(one))


ROWS = (
    Row(
        id="P3",
        what="append on PostgreSQL, 1 writer",
        floor=FLOOR,
        goal=speed(0.65),
        prepare=_row(1, (200, 40)),
    ),
    Row(
        id="P3",
        what="append on PostgreSQL, 64 writers",
        floor=FLOOR,
        goal=speed(0.40),
        prepare=_row(WRITERS, (20, 4)),
    ),
    Row(
        id="P3",
        what="append on PostgreSQL, 64 writers over two replicas",
        floor="the same over one replica, same server; each replica is a process of its own",
        goal=speed(0.75),
        prepare=_two,
    ),
)
