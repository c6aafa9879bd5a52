"""Streams of the log as lists: which there are, and what stands in one of them, newest first.

What is shown is what the public log holds anyway, with personal members as salted digests; it is shown by concern, so
that nobody has to read everything.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from api.flows.desk import Desk
from api.flows.errors import NotConcerned
from api.flows.memory import Memory
from api.flows.standing import concerns_stream
from api.principals import Principal
from ledger.records import entry as entries
from ledger.records import statement
from ledger.store.errors import EntryAbsent
from ledger.store.protocol import StoredEntry

MAX_PASSED_OVER: Final = 10_000
"""Entries that are looked through for one page of a filtered list."""


class StreamView(msgspec.Struct, frozen=True, kw_only=True):
    """One stream and its last entry."""

    stream: str
    entries: int
    is_closed: bool
    """Nothing follows: its closing entry counts those before it."""
    last_index: int
    last_leaf_hash: str


class LoggedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry as the log holds it. Personal members are absent; their salted digests stand under `_sd`."""

    index: int
    seq: int
    type: str
    version: int
    rec_ms: int
    leaf_hash: str
    party: str
    """Who signed the statement."""
    submitted_by: str
    submitted_as: str
    jti: str
    event: dict[str, Any]


def own(desk: Desk, memory: Memory, principal: Principal, prefix: str) -> tuple[str, ...]:
    """The streams that concern the caller and begin so, in order of name."""
    names = desk.engines.store.stream_names(prefix)
    return tuple(name for name in names if concerns_stream(desk, memory, name, principal))


def require_own(desk: Desk, memory: Memory, stream: str, principal: Principal) -> None:
    """The stream concerns the caller; raises `NotConcerned`, the same for one that is not there."""
    if desk.engines.store.stream_head(stream) is None or not concerns_stream(desk, memory, stream, principal):
        raise NotConcerned("no such stream of yours")


def view(desk: Desk, stream: str) -> StreamView:
    """The stream and its head; raises `NotConcerned` if there is none."""
    head = desk.engines.store.stream_head(stream)
    if head is None:
        raise NotConcerned("no such stream of yours")
    return StreamView(
        stream=stream,
        entries=head.seq,
        is_closed=head.is_closed,
        last_index=head.index,
        last_leaf_hash=head.leaf.hex(),
    )


def page(
    desk: Desk,
    stream: str,
    *,
    before: int | None,
    limit: int,
    wanted: Callable[[LoggedEntry], bool] = lambda _: True,
) -> tuple[tuple[LoggedEntry, ...], int | None]:
    """The newest entries of a stream that stand before index `before`, and the index to ask before for more.

    The cost is that of the entries looked at, never that of the stream: each row says where the one before it is.
    Raises `NotConcerned` where `before` is no entry of this stream.
    """
    store = desk.engines.store
    at: int | None
    if before is None:
        head = store.stream_head(stream)
        at = None if head is None else head.index
    else:
        at = _in_stream(desk, stream, before).previous_index
    found: list[LoggedEntry] = []
    last = before
    for _ in range(MAX_PASSED_OVER):
        if at is None:
            return tuple(found), None
        if len(found) == limit:
            break
        row = store.entry(at)
        shown = _logged(row)
        if wanted(shown):
            found.append(shown)
        last, at = at, row.previous_index
    return tuple(found), last


def _in_stream(desk: Desk, stream: str, index: int) -> StoredEntry:
    try:
        row = desk.engines.store.entry(index)
    except EntryAbsent:
        row = None
    if row is None or entries.decode(row.data).stream != stream:
        raise NotConcerned("no entry of this stream has this index", where="before")
    return row


def _logged(row: StoredEntry) -> LoggedEntry:
    entry = entries.decode(row.data)
    said = statement.parse_statement(entry.stmt).claims
    return LoggedEntry(
        index=row.index,
        seq=entry.seq,
        type=entry.type,
        version=entry.v,
        rec_ms=entry.rec,
        leaf_hash=row.leaf.hex(),
        party=said.iss,
        submitted_by=entry.sub.party,
        submitted_as=entry.sub.role,
        jti=said.jti,
        event=said.event,
    )
