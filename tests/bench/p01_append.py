"""P1: durable append in process: verified statements in, chained, ruled, projected, synced; beside raw inserts."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from time import perf_counter

from ledger.appender import Appender, Outcome, Submission
from tests.bench import ground
from tests.bench.frame import Pair, Row, Scale, speed

FLOOR = "raw sqlite3 (WAL, synchronous=FULL) inserting the same bytes in the same commits"


async def _writer(appender: Appender, lists: Sequence[Sequence[Submission]]) -> list[Outcome]:
    """One writer: the next list is handed in when the one before is durable."""
    outcomes: list[Outcome] = []
    for one in lists:
        outcomes += await appender.append_many(one)
    return outcomes


async def _writers(appender: Appender, dealt: Sequence[Sequence[Sequence[Submission]]]) -> list[Outcome]:
    done = await asyncio.gather(*(_writer(appender, lists) for lists in dealt))
    return [outcome for outcomes in done for outcome in outcomes]


def _raw(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE entry (idx INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT")
    return db


def _row(writers: int, a_list: int, each: tuple[int, int]) -> Callable[[Scale], AbstractContextManager[Pair]]:
    """`each` is how many lists a writer hands in a round, in a full and in a quick run."""

    @contextmanager
    def prepare(scale: Scale) -> Iterator[Pair]:
        with ground.opened(scale) as ours, closing(_raw(scale.fresh() / "raw.db")) as db:
            appender, store = ours.world.desk.appender, ours.world.engines.store
            commits: list[list[bytes]] = []
            next_index = 0

            def operation() -> float:
                lists = scale.of(*each)
                ready = [[ours.asked(a_list) for _ in range(lists)] for _ in range(writers)]
                before = appender.head.size
                started = perf_counter()
                outcomes = ours.run(_writers(appender, ready))
                took = perf_counter() - started
                sizes = Counter(ground.appended(one).tree_size for one in outcomes)
                stored = iter(store.entries(before, appender.head.size))
                commits[:] = [[next(stored).data for _ in range(sizes[end])] for end in sorted(sizes)]
                return took / len(outcomes)

            def floor() -> float:
                nonlocal next_index
                started = perf_counter()
                for batch in commits:
                    db.execute("BEGIN IMMEDIATE")
                    db.executemany("INSERT INTO entry VALUES (?, ?)", enumerate(batch, next_index))
                    db.execute("COMMIT")
                    next_index += len(batch)
                return (perf_counter() - started) / sum(map(len, commits))

            yield Pair(operation, floor)

    return prepare


ROWS = (
    Row(
        id="P1",
        what="append discovery.asked, 1 writer",
        floor=FLOOR,
        goal=speed(0.80),
        prepare=_row(1, 1, (400, 80)),
    ),
    Row(
        id="P1",
        what="append discovery.asked, 64 writers",
        floor=FLOOR,
        goal=speed(0.60),
        prepare=_row(64, 1, (20, 4)),
    ),
    Row(
        id="P1",
        what="append discovery.asked, 1,000 writers",
        floor=FLOOR,
        goal=speed(0.35),
        prepare=_row(1000, 1, (2, 1)),
        in_quick=False,
    ),
    Row(
        id="P1",
        what="append discovery.asked, 64 writers with lists of 100",
        floor=FLOOR,
        goal=speed(0.60),
        prepare=_row(64, 100, (1, 1)),
        in_quick=False,
    ),
    Row(
        id="P1",
        what="append discovery.asked, 1 writer with lists of 100",
        floor=FLOOR,
        goal=speed(0.60),
        prepare=_row(1, 100, (20, 4)),
    ),
)
