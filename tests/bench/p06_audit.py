"""P6 and P7: a whole audit, beside what no audit can leave out. P11: what an entry takes on the disk.

An audit here reads every row again, and looks at canonical form, leaf hash, chain, tree, checkpoints, what the entry
says of its statement, and every derived table. With signatures it reads every statement's record as well. The rules are
not in it: the command replays them in a process beside, and the last row says what that takes.
"""

import asyncio
import os
import sqlite3
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from time import perf_counter

from ledger.audit.run import audit
from ledger.audit.sqlite_source import SqliteSource
from ledger.records import entry as entries
from ledger.records.statement import parse_statement
from ledger.rules.errors.requests import MandateUnproven
from ledger.rules.state import LogState
from ledger.store import replay
from ledger.store.sqlite import SqliteReader
from ledger.verify import Resolve
from tests.bench import ground, verifying
from tests.bench.frame import Figure, Goal, Measure, Pair, Row, Scale, speed, time
from tests.support import logs
from tests.support.world import ORIGIN

STREAMS = 1_000
_SCAN = "SELECT data FROM entry ORDER BY idx"


def _audited(log: ground.Grown, *, signatures: bool, jobs: int = 1) -> float:
    return _took(log.path, log.vkey, ORIGIN, log.size, resolve=log.signers.resolve if signatures else None, jobs=jobs)


def _took(path: Path, vkey: str, origin: str, size: int, *, resolve: Resolve | None = None, jobs: int = 1) -> float:
    started = perf_counter()
    source = SqliteSource(path)
    try:
        report = audit(source, vkeys=[vkey], origin=origin, resolve=resolve, jobs=jobs)
    finally:
        source.close()
    took = perf_counter() - started
    if report.findings or report.size != size:
        raise AssertionError(f"the audit found {report.findings[:1]} in {report.size} entries")
    return took / size


def _scan(path: Path, size: int) -> Figure:
    def floor() -> float:
        started = perf_counter()
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            for (data,) in db.execute(_SCAN):
                sha256(data).digest()
        return (perf_counter() - started) / size

    return floor


@contextmanager
def _without_signatures(scale: Scale) -> Iterator[Pair]:
    log = ground.grown(scale)
    yield Pair(lambda: _audited(log, signatures=False), _scan(log.path, log.size))


def _long(scale: Scale, size: int) -> Path:
    """A log over 1,000 streams."""

    def make() -> Path:
        return asyncio.run(logs.build(scale.fresh(), size, every=500, streams=STREAMS))

    path: Path = scale.shared(f"log of {size}", make)
    return path


@contextmanager
def _over_streams(scale: Scale) -> Iterator[Pair]:
    size = scale.of(50_000, 5_000)
    path = _long(scale, size)
    yield Pair(lambda: _took(path, logs.signer().vkey, logs.ORIGIN, size), _scan(path, size))


@contextmanager
def _on_two(scale: Scale) -> Iterator[Pair]:
    size = scale.of(200_000, 5_000)
    path = _long(scale, size)
    vkey = logs.signer().vkey
    yield Pair(
        lambda: _took(path, vkey, logs.ORIGIN, size, jobs=2), lambda: _took(path, vkey, logs.ORIGIN, size, jobs=1)
    )


@contextmanager
def _with_signatures(scale: Scale) -> Iterator[Pair]:
    log = ground.grown(scale)
    with closing(sqlite3.connect(f"file:{log.path}?mode=ro", uri=True)) as db:
        checks = [_signed(log, data) for (data,) in db.execute(_SCAN)]
    with verifying.pool() as verify:
        yield Pair(
            lambda: _audited(log, signatures=True, jobs=os.cpu_count() or 1), lambda: verify(checks) / len(checks)
        )


@contextmanager
def _rules(scale: Scale) -> Iterator[Pair]:
    log = ground.grown(scale)

    def operation() -> float:
        state = LogState(scope="log")
        started = perf_counter()
        with closing(SqliteReader.open(log.path)) as reader:
            for row in reader.entries(0, log.size):
                made = entries.decode(row.data)
                said = parse_statement(made.stmt)
                fact = replay.fact(row.index, made, said, log.signers.resolve(said.header.x5t, made), {})
                with suppress(MandateUnproven):
                    state.check(fact)
                state.apply(fact)
        return (perf_counter() - started) / log.size

    yield Pair(operation, lambda: _audited(log, signatures=True))


def _signed(log: ground.Grown, data: bytes) -> verifying.Check:
    """The check of an entry's statement (RFC 7515 section 5.2)."""
    made = entries.decode(data)
    message, _, tail = made.stmt.rpartition(".")
    actor = log.signers.resolve(parse_statement(made.stmt).header.x5t, made)
    return verifying.es256(actor.key_spki, urlsafe_b64decode(tail + "=" * (-len(tail) % 4)), message.encode("ascii"))


@contextmanager
def _storage(scale: Scale) -> Iterator[Pair]:
    log = ground.grown(scale)

    def floor() -> float:
        with closing(sqlite3.connect(f"file:{log.path}?mode=ro", uri=True)) as db:
            return float(db.execute("SELECT sum(length(data)) FROM entry").fetchone()[0]) / log.size

    yield Pair(lambda: log.path.stat().st_size / log.size, floor)


ROWS = (
    Row(
        id="P6",
        what="audit, no signatures, one core, a stream an entry",
        floor="a scan of the same rows with SHA-256 of each",
        goal=speed(0.50),
        prepare=_without_signatures,
    ),
    Row(
        id="P6",
        what="audit, no signatures, one core, 1,000 streams",
        floor="a scan of the same rows with SHA-256 of each",
        goal=speed(0.50),
        prepare=_over_streams,
    ),
    Row(
        id="P6",
        what="audit, no signatures, two processes, 200,000 entries",
        floor="the same in one process",
        goal=speed(1.85),
        prepare=_on_two,
        in_quick=False,
    ),
    Row(
        id="P7",
        what="audit with signatures, all cores, starting included",
        floor="bare ES256 verification of the same statements, all cores, processes and keys ready",
        goal=speed(0.80),
        prepare=_with_signatures,
    ),
    Row(
        id="P7",
        what="replay of the rules, one core (beside the audit)",
        floor="the audit with signatures, one core",
        goal=time(1.0),
        prepare=_rules,
    ),
    Row(
        id="P11",
        what="the log's file, an entry",
        floor="the entry's own bytes",
        goal=Goal(Measure.SIZE, 1.6),
        prepare=_storage,
    ),
)
