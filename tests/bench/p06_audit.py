"""P6 and P7: a whole audit on one core, beside what no audit can leave out. P11: what an entry takes on the disk."""

import sqlite3
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from hashlib import sha256
from time import perf_counter

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ledger.audit.run import audit
from ledger.audit.sqlite_source import SqliteSource
from ledger.records import entry as entries
from ledger.records.statement import parse_statement
from tests.bench import ground
from tests.bench.frame import Goal, Measure, Pair, Row, Scale, speed
from tests.support.world import ORIGIN

ES256_BYTES = 64
_SCAN = "SELECT data FROM entry ORDER BY idx"


def _audited(log: ground.Grown, *, signatures: bool) -> float:
    started = perf_counter()
    source = SqliteSource(log.path)
    try:
        report = audit(source, vkeys=[log.vkey], origin=ORIGIN, resolve=log.resolve if signatures else None)
    finally:
        source.close()
    took = perf_counter() - started
    if report.findings:
        raise AssertionError(f"the audit found {report.findings[0].code}")
    return took / log.size


@contextmanager
def _without_signatures(scale: Scale) -> Iterator[Pair]:
    log = ground.grown(scale)

    def floor() -> float:
        started = perf_counter()
        with closing(sqlite3.connect(f"file:{log.path}?mode=ro", uri=True)) as db:
            for (data,) in db.execute(_SCAN):
                sha256(data).digest()
        return (perf_counter() - started) / log.size

    yield Pair(lambda: _audited(log, signatures=False), floor)


@contextmanager
def _with_signatures(scale: Scale) -> Iterator[Pair]:
    log = ground.grown(scale)
    with closing(sqlite3.connect(f"file:{log.path}?mode=ro", uri=True)) as db:
        checks = [_signed(log, data) for (data,) in db.execute(_SCAN)]
    how = ec.ECDSA(hashes.SHA256())

    def floor() -> float:
        started = perf_counter()
        for key, signature, message in checks:
            key.verify(signature, message, how)
        return (perf_counter() - started) / len(checks)

    yield Pair(lambda: _audited(log, signatures=True), floor)


def _signed(log: ground.Grown, data: bytes) -> tuple[ec.EllipticCurvePublicKey, bytes, bytes]:
    """Key, DER signature and signed octets of an entry's statement (RFC 7515 section 5.2), ready to be verified."""
    made = entries.decode(data)
    message, _, tail = made.stmt.rpartition(".")
    raw = urlsafe_b64decode(tail + "=" * (-len(tail) % 4))
    half = ES256_BYTES // 2
    signature = encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))
    actor = log.resolve(parse_statement(made.stmt).header.x5t, made)
    return _key(actor.key_spki), signature, message.encode("ascii")


@lru_cache
def _key(spki: bytes) -> ec.EllipticCurvePublicKey:
    key = load_der_public_key(spki)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TypeError("the statements of this log are signed with P-256")
    return key


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
        what="audit without signatures, one core, an entry",
        floor="a scan of the same rows with SHA-256 of each",
        goal=speed(0.50),
        prepare=_without_signatures,
    ),
    Row(
        id="P7",
        what="audit with signatures, one core, an entry",
        floor="bare ES256 verification of the same statements, keys loaded, one core",
        goal=speed(0.80),
        prepare=_with_signatures,
    ),
    Row(
        id="P11",
        what="the log's file, an entry",
        floor="the entry's own bytes",
        goal=Goal(Measure.SIZE, 1.6),
        prepare=_storage,
    ),
)
