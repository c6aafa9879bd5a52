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
from tests.bench.frame import Goal, Measure, Pair, Row, Scale, time
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
    grown = ground.long(scale, _size(scale))
    with ground.opened(scale) as small:
        _grow(small, scale.of(10_000, 2_000))
        yield Pair(lambda: _grow(grown, ROUND), lambda: _grow(small, ROUND))


@contextmanager
def _written(scale: Scale) -> Iterator[Pair]:
    """As above, in octets that this process had written to the medium; a file system that does not count says 0."""
    grown = ground.long(scale, _size(scale))
    with ground.opened(scale) as small:
        _grow(small, scale.of(10_000, 2_000))

        def written(ours: ground.Ground) -> float:
            before = _octets_written()
            _grow(ours, ROUND)
            return (_octets_written() - before) / ROUND

        yield Pair(lambda: written(grown), lambda: written(small))


def _octets_written() -> int:
    """What Linux counts for this process (proc_pid_io(5)); raises OSError elsewhere."""
    counted = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counted["write_bytes"])


def _size(scale: Scale) -> int:
    return scale.of(1_000_000, 20_000)


@contextmanager
def _start(scale: Scale) -> Iterator[Pair]:
    """A log whose writer was killed, and an empty one."""
    yield from _started(scale, ground.long(scale, _size(scale)), ALLOWED_S)


@contextmanager
def _start_small(scale: Scale) -> Iterator[Pair]:
    """The long log beside one of a fiftieth."""
    with ground.opened(scale) as small:
        _grow(small, scale.of(20_000, 2_000))
        large = _killed_copy(ground.long(scale, _size(scale)), scale.fresh() / "log.db")
        less = _killed_copy(small, scale.fresh() / "log.db")
        yield Pair(lambda: _starting(small, large), lambda: _starting(small, less))


def _started(scale: Scale, ours: ground.Ground, allowed_s: float) -> Iterator[Pair]:
    copy = _killed_copy(ours, scale.fresh() / "log.db")
    empty = scale.fresh() / "empty.db"
    SqliteStore.open(empty, create=True).close()
    yield Pair(lambda: _starting(ours, copy), lambda: _starting(ours, empty) + allowed_s)


def _starting(ours: ground.Ground, path: Path) -> float:
    """Seconds until the sequencer of a log is ready,."""
    started = perf_counter()
    store = SqliteStore.open(path)
    appender = ours.run(Appender.start(store, origin=stage.ORIGIN, clock=ours.world.clock, rules=LogState()))
    took = perf_counter() - started
    ours.run(appender.close())
    store.close()
    return took


def _killed_copy(ours: ground.Ground, target: Path) -> Path:
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
    return target


ROWS = (
    Row(
        id="P9",
        what="append at 1,000,000 entries, each its own stream, by 500",
        floor="the same at 10,000 entries",
        goal=time(1.15),
        prepare=_append,
        in_quick=False,
    ),
    Row(
        id="P9",
        what="octets written for an entry at 1,000,000 entries",
        floor="the same at 10,000 entries",
        goal=Goal(Measure.SIZE, 1.3),
        prepare=_written,
        in_quick=False,
    ),
    Row(
        id="P10",
        what="start after kill -9 at 1,000,000 entries",
        floor="the same over an empty log, and 100 ms",
        goal=time(1.0),
        prepare=_start,
        in_quick=False,
    ),
    Row(
        id="P10",
        what="start after kill -9 at 1,000,000 entries, growth",
        floor="the same at 20,000 entries",
        goal=time(1.5),
        prepare=_start_small,
        in_quick=False,
    ),
)
