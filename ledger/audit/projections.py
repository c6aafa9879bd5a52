"""The tables that a store derives from its log, compared with what the log itself says."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from ledger.audit.report import Code, Finding
from ledger.audit.said import claims_of
from ledger.audit.segments import Segment
from ledger.audit.source import LogSource, Projections
from ledger.tlog.tiles import TILE_WIDTH


class Derived(msgspec.Struct, frozen=True):
    """What the log says."""

    origin: str
    size: int
    root: bytes | None
    """None where the entries are not the signed ones, so that the head's root cannot be judged."""
    rec_ms: int
    streams: Iterable[tuple[str, Segment]] | None
    """The last part of each, in order of name; None if every stored head was confirmed and there are no more."""
    counters: Mapping[tuple[str, str], int]
    recorded: int
    """Statements whose row was found right."""


def compare(source: LogSource, stored: Projections, derived: Derived) -> Iterator[Finding]:
    """Every row that the log does not confirm, and every row that is missing; takes all of `derived.streams`."""
    yield from _head(stored, derived)
    if derived.streams is not None:
        yield from _streams(stored, derived.streams)
    yield from _counters(stored, derived)
    yield from _statements(source, stored, derived)


def _differs(table: str, detail: str, **where: Any) -> Finding:
    return Finding(code=Code.PROJECTION_DIFFERS, detail=detail, table=table, **where)


def _head(stored: Projections, derived: Derived) -> Iterator[Finding]:
    origin, size, root, rec_ms = stored.head()
    for what, expected, found in (
        ("origin", derived.origin, origin),
        ("size", str(derived.size), str(size)),
        ("root", root.hex() if derived.root is None else derived.root.hex(), root.hex()),
        ("rec_ms", str(derived.rec_ms), str(rec_ms)),
    ):
        if expected != found:
            yield _differs("head", f"the head's {what} is not the log's", expected=expected, found=found)


def _streams(stored: Projections, streams: Iterable[tuple[str, Segment]]) -> Iterator[Finding]:
    """Both are in order of name, so they are read side by side."""
    heads = stored.streams()
    head = next(heads, None)
    for stream, last in streams:
        while head is not None and head[0] < stream:
            yield _differs("stream_head", "the log has no such stream", stream=head[0])
            head = next(heads, None)
        place = {"index": last.last_index, "stream": stream, "seq": last.last_seq}
        if head is None or head[0] != stream:
            yield _differs("stream_head", "the stream has no stored head", **place)
            continue
        at = head[1]
        found = (at.seq, at.leaf, at.index, at.is_closed)
        if found != (last.last_seq, last.last_leaf, last.last_index, last.is_closed):
            yield _differs(
                "stream_head",
                "the stored head of the stream is not its last entry",
                expected=_shown(last.last_seq, last.last_index, last.last_leaf, is_closed=last.is_closed),
                found=_shown(at.seq, at.index, at.leaf, is_closed=at.is_closed),
                **place,
            )
        head = next(heads, None)
    while head is not None:
        yield _differs("stream_head", "the log has no such stream", stream=head[0])
        head = next(heads, None)


def _shown(seq: int, index: int, leaf: bytes, *, is_closed: bool) -> str:
    return f"seq {seq} at index {index} with leaf hash {leaf.hex()}, {'closed' if is_closed else 'open'}"


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


def _statements(source: LogSource, stored: Projections, derived: Derived) -> Iterator[Finding]:
    """Statements without a right row were named entry by entry; here are the rows without a statement."""
    if stored.statement_count() == derived.recorded:
        return
    for party, jti, index in stored.statements():
        block, at = divmod(index, TILE_WIDTH)
        data = source.block(block, at + 1).rows[at][1] if 0 <= index < derived.size else None
        said = claims_of(data) if isinstance(data, bytes) else None
        if said is None or (said.iss, said.jti) != (party, jti):
            yield _differs("idempotency", f"a statement of {party} is not in this entry", index=index)
