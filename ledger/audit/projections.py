"""The tables that a store derives from its log, compared with what the log itself says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ledger.audit.chain import Segment
from ledger.audit.report import Code, Finding
from ledger.audit.said import SUM_MODULUS, claims_of, statement_sum
from ledger.audit.source import LogSource, Projections
from ledger.tlog.tiles import TILE_WIDTH, width_at


@dataclass(frozen=True, slots=True)
class Derived:
    """What the log says."""

    size: int
    root: bytes | None
    """None where the entries are not the signed ones, so that the head's root cannot be judged."""
    rec_ms: int
    streams: Mapping[str, Segment]
    counters: Mapping[tuple[str, str], int]
    statements_sum: int
    statements: int


def compare(source: LogSource, stored: Projections, derived: Derived, key: bytes) -> Iterator[Finding]:
    """Every row that the log does not confirm, and every row that is missing."""
    yield from _head(stored, derived)
    yield from _streams(stored, derived)
    yield from _counters(stored, derived)
    yield from _statements(source, stored, derived, key)


def _differs(table: str, detail: str, **where: Any) -> Finding:
    return Finding(code=Code.PROJECTION_DIFFERS, detail=detail, table=table, **where)


def _head(stored: Projections, derived: Derived) -> Iterator[Finding]:
    size, root, rec_ms = stored.head()
    for what, expected, found in (
        ("size", str(derived.size), str(size)),
        ("root", root.hex() if derived.root is None else derived.root.hex(), root.hex()),
        ("rec_ms", str(derived.rec_ms), str(rec_ms)),
    ):
        if expected != found:
            yield _differs("head", f"the head's {what} is not the log's", expected=expected, found=found)


def _streams(stored: Projections, derived: Derived) -> Iterator[Finding]:
    left = dict(derived.streams)
    for stream, head in stored.streams():
        last = left.pop(stream, None)
        if last is None:
            yield _differs("stream_head", "the log has no such stream", stream=stream)
            continue
        expected = (last.last_seq, last.last_leaf.hex(), last.last_index, last.is_closed)
        found = (head.seq, head.leaf.hex(), head.index, head.is_closed)
        if expected != found:
            yield _differs(
                "stream_head",
                "the stored head of the stream is not its last entry",
                index=last.last_index,
                stream=stream,
                seq=last.last_seq,
                expected=str(expected),
                found=str(found),
            )
    for stream, last in left.items():
        yield _differs(
            "stream_head", "the stream has no stored head", index=last.last_index, stream=stream, seq=last.last_seq
        )


def _counters(stored: Projections, derived: Derived) -> Iterator[Finding]:
    found = {(party, x5t): seq for party, x5t, seq in stored.counters()}
    for key in sorted(found.keys() | derived.counters.keys()):
        if derived.counters.get(key) != found.get(key):
            yield _differs(
                "actor_counter",
                f"the counter of a key of {key[0]} is not the log's",
                expected=str(derived.counters.get(key)),
                found=str(found.get(key)),
            )


def _statements(source: LogSource, stored: Projections, derived: Derived, key: bytes) -> Iterator[Finding]:
    """Compares sums under this audit's random key; only if they differ, row by row."""
    total, count = 0, 0
    for party, jti, index in stored.statements():
        total += statement_sum(key, party, jti, index)
        count += 1
    if (total % SUM_MODULUS, count) == (derived.statements_sum, derived.statements):
        return
    expected = dict(_said(source, derived.size))
    for party, jti, index in stored.statements():
        if expected.get((party, jti)) == index:
            del expected[party, jti]
        else:
            yield _differs("idempotency", f"a statement of {party} is not in this entry", index=index)
    for (party, _), index in expected.items():
        yield _differs("idempotency", f"the entry's statement, of {party}, has no row or a wrong one", index=index)


def _said(source: LogSource, size: int) -> Iterator[tuple[tuple[str, str], int]]:
    for block in range(-(-size // TILE_WIDTH)):
        for row in source.block(block, width_at(0, block, size)).rows:
            said = None if row.data is None else claims_of(row.data)
            if said is not None:
                yield (said.iss, said.jti), row.index
