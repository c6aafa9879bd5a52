"""P9 and P10: what appending and starting cost when a log has grown."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from ledger.appender import Appender
from ledger.rules.state import LogState
from ledger.store.sqlite import SqliteStore
from tests.bench import ground
from tests.bench.frame import Pair, Row, Scale, time
from tests.support import world as stage

A_LIST = 500
ROUND = 2_000
ALLOWED_S = 0.1
"""What a start may take longer than over an empty log."""


def _grow(ours: ground.Ground, amount: int) -> float:
    """Seconds an entry, appended in lists."""
    spent = 0.0
    for _ in range(amount // A_LIST):
        ready = ours.asked(A_LIST)
        started = perf_counter()
        outcomes = ours.run(ours.world.desk.appender.append_many(ready))
        spent += perf_counter() - started
        refused = next((one for one in outcomes if isinstance(one, Exception)), None)
        if refused is not None:
            raise refused
    return spent / amount


@contextmanager
def _append(scale: Scale) -> Iterator[Pair]:
    """Two logs side by side, so that both see the same machine."""
    with ground.opened(scale) as grown, ground.opened(scale) as small:
        _grow(grown, scale.of(100_000, 20_000))
        _grow(small, scale.of(10_000, 2_000))
        yield Pair(lambda: _grow(grown, ROUND), lambda: _grow(small, ROUND))


@contextmanager
def _start(scale: Scale) -> Iterator[Pair]:
    """A log whose writer was killed, and an empty one."""
    with ground.opened(scale) as ours:
        size = scale.of(20_000, 4_000)
        _grow(ours, size)
        clock = ours.world.clock
        folder = scale.fresh()
        copy = folder / "log.db"
        _killed_copy(ours, copy)
        empty = folder / "empty.db"
        SqliteStore.open(empty, create=True).close()

        def start(path: Path) -> float:
            started = perf_counter()
            store = SqliteStore.open(path)
            appender = ours.run(Appender.start(store, origin=stage.ORIGIN, clock=clock, rules=LogState()))
            took = perf_counter() - started
            ours.run(appender.close())
            store.close()
            return took

        yield Pair(lambda: start(copy), lambda: start(empty) + ALLOWED_S)


def _killed_copy(ours: ground.Ground, target: Path) -> None:
    """The log as a kill leaves it: a child opens the copy, writes into its WAL, and is killed."""
    database = ours.world.engines.store.connection
    database.execute("VACUUM INTO ?", (str(target),))
    program = (
        "import os, signal, sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "db.execute('PRAGMA journal_mode = WAL'); db.execute('INSERT INTO room VALUES (zeroblob(2000000))');"
        "db.execute('DELETE FROM room'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(target)], check=False)
    if done.returncode != -signal.SIGKILL or not target.with_name(target.name + "-wal").stat().st_size:
        raise RuntimeError("the child did not die over a WAL")


ROWS = (
    Row(
        id="P9",
        what="append at 100,000 entries, each its own stream, by 500",
        floor="the same at 10,000 entries",
        goal=time(1.15),
        prepare=_append,
        in_quick=False,
    ),
    Row(
        id="P10",
        what="start after kill -9 at 20,000 entries, rules folded",
        floor="the same over an empty log, and 100 ms",
        goal=time(1.0),
        prepare=_start,
        in_quick=False,
    ),
)
