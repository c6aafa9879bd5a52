"""P1: durable append in process: verified statements in, chained, ruled, projected, synced; beside raw inserts."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from time import perf_counter, process_time

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


Write = Callable[[Sequence[bytes]], float | None]
"""Writes a batch; the seconds that it took, where whoever writes knows better than who waits for it."""


@contextmanager
def _raw(path: Path) -> Iterator[Write]:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("CREATE TABLE entry (idx INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT")
        next_index = 0

        def write(batch: Sequence[bytes]) -> None:
            nonlocal next_index
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO entry VALUES (?, ?)", enumerate(batch, next_index))
            db.execute("COMMIT")
            next_index += len(batch)

        yield write


def row(
    writers: int,
    a_list: int,
    each: tuple[int, int],
    *,
    beside: Callable[[Path], AbstractContextManager[Write]] = _raw,
    clock: Callable[[], float] = perf_counter,
) -> Callable[[Scale], AbstractContextManager[Pair]]:
    """`each` is how many lists a writer hands in a round, in a full and in a quick run.

    With `process_time` for a clock waiting for the disk does not count, nor what other programs take.
    """

    @contextmanager
    def prepare(scale: Scale) -> Iterator[Pair]:
        with ground.opened(scale) as ours, beside(scale.fresh() / "raw.db") as write:
            appender, store = ours.world.desk.appender, ours.world.engines.store
            commits: list[list[bytes]] = []

            def operation() -> float:
                lists = scale.of(*each)
                ready = [[ours.asked(a_list) for _ in range(lists)] for _ in range(writers)]
                before = appender.head.size
                started = clock()
                outcomes = ours.run(_writers(appender, ready))
                took = clock() - started
                sizes = Counter(ground.appended(one).tree_size for one in outcomes)
                stored = iter(store.entries(before, appender.head.size))
                commits[:] = [[next(stored).data for _ in range(sizes[end])] for end in sorted(sizes)]
                return took / len(outcomes)

            def floor() -> float:
                started = clock()
                told = [write(batch) for batch in commits]
                took = clock() - started
                own = [one for one in told if one is not None]
                return (sum(own) if own else took) / sum(map(len, commits))

            yield Pair(operation, floor)

    return prepare


ROWS = (
    Row(
        id="P1",
        what="append discovery.asked, 1 writer",
        floor=FLOOR,
        goal=speed(0.80),
        prepare=row(1, 1, (400, 80)),
    ),
    Row(
        id="P1",
        what="append discovery.asked, 64 writers",
        floor=FLOOR,
        goal=speed(0.60),
        prepare=row(64, 1, (20, 4)),
    ),
    Row(
        id="P1",
        what="append discovery.asked, 1,000 writers",
        floor=FLOOR,
        goal=speed(0.35),
        prepare=row(1000, 1, (2, 1)),
        in_quick=False,
    ),
    Row(
        id="P1",
        what="append discovery.asked, 64 writers with lists of 100",
        floor=FLOOR,
        goal=speed(0.60),
        prepare=row(64, 100, (1, 1)),
        in_quick=False,
    ),
    Row(
        id="P1",
        what="append discovery.asked, 1 writer with lists of 100",
        floor=FLOOR,
        goal=speed(0.60),
        prepare=row(1, 100, (20, 4)),
    ),
    Row(
        id="P1",
        what="processor time of append, 64 writers with lists of 100",
        floor=FLOOR,
        goal=speed(0.60),
        prepare=row(64, 100, (1, 1), clock=process_time),
        in_quick=False,
    ),
)
