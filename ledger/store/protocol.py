"""What the log asks of its medium, and the values that cross the line."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from ledger.records.actor import Actor
from ledger.rules.tables import Row
from ledger.store.seat import Seat
from ledger.tlog.merkle import Frontier


class Head(msgspec.Struct, frozen=True):
    """The committed end of the log."""

    origin: str
    size: int
    frontier: Frontier
    rec_ms: int
    """Time of the last entry; 0 in an empty log."""
    projected: str | None = None
    """By which rules the projections are kept up to this size; None where the last writer kept none."""


class StreamHead(msgspec.Struct, frozen=True, gc=False):
    """The last entry of a stream."""

    seq: int
    leaf: bytes
    index: int
    is_closed: bool = False


class StoredEntry(msgspec.Struct, frozen=True):
    """One row of the log: `data` is the truth, the rest is derived from it or helps to find it."""

    index: int
    data: bytes
    leaf: bytes
    previous_index: int | None
    """Where the stream's previous entry stands; None for the first one."""
    actor_id: int


class StoredTile(msgspec.Struct, frozen=True):
    """A full tile: 256 hashes of tile level `level`, and the root over them."""

    level: int
    index: int
    hashes: bytes
    root: bytes


class StoredCheckpoint(msgspec.Struct, frozen=True):
    """A checkpoint that our key signed; `cosigned` is the same note with the witnesses' lines."""

    size: int
    note: bytes
    at_ms: int
    cosigned: bytes | None = None

    @property
    def best(self) -> bytes:
        """The note with the most signatures."""
        return self.cosigned or self.note


class Batch(msgspec.Struct):
    """All that one transaction writes. Rows are tuples in column order, for this is the hot path."""

    head: Head
    entries: list[tuple[int, bytes, bytes, int | None, int]] = msgspec.field(default_factory=list)
    """(index, data, leaf, previous index, actor id)."""
    statements: list[tuple[str, str, int]] = msgspec.field(default_factory=list)
    """(party, jti, index)."""
    streams: dict[str, StreamHead] = msgspec.field(default_factory=dict)
    counters: dict[tuple[str, str], int] = msgspec.field(default_factory=dict)
    """(party, x5t) -> the actor's own counter."""
    tags: list[tuple[int, str, str]] = msgspec.field(default_factory=list)
    """(index, name, tag)."""
    tiles: list[tuple[int, int, bytes, bytes]] = msgspec.field(default_factory=list)
    """(level, index, hashes, root)."""
    actors: dict[int, Actor] = msgspec.field(default_factory=dict)
    projections: list[tuple[str, str, bytes | None, int, int | None, int | None]] = msgspec.field(default_factory=list)
    """(kind, key, value, index of the last entry of the batch, born, until_ms)."""


class Wanted(msgspec.Struct):
    """What a batch has to know of the log before it is judged."""

    statements: list[tuple[str, str]] = msgspec.field(default_factory=list)
    """(party, jti)."""
    streams: list[str] = msgspec.field(default_factory=list)
    counters: list[tuple[str, str]] = msgspec.field(default_factory=list)
    """(party, x5t)."""


class Found(msgspec.Struct, frozen=True):
    """What the log knows of a `Wanted` at this head; what is missing is not there."""

    head: Head
    statements: Mapping[tuple[str, str], int]
    streams: Mapping[str, StreamHead]
    counters: Mapping[tuple[str, str], int]


class Tail(msgspec.Struct, frozen=True):
    """What other writers have added."""

    entries: Sequence[StoredEntry]
    tags: Mapping[int, Mapping[str, str]]
    actors: Mapping[int, Actor]
    """By number: those above the number that was named."""


class ReadStore(Protocol):
    """Reading: only what is committed, and never a write."""

    def head(self) -> Head:
        """The committed head; raises StoreForeign if no log was begun here."""
        ...

    def entry(self, index: int) -> StoredEntry:
        """One row; raises EntryAbsent."""
        ...

    def entries(self, start: int, stop: int) -> Iterator[StoredEntry]:
        """The rows start <= index < stop that are there, in order."""
        ...

    def leaves(self, start: int, stop: int) -> list[bytes]:
        """The stored leaf hashes start <= index < stop."""
        ...

    def tile(self, level: int, index: int) -> StoredTile | None:
        """A full tile, or None."""
        ...

    def tile_roots(self, level: int, start: int, stop: int) -> list[bytes]:
        """The roots of the full tiles start <= index < stop of a level: the hashes of the level above."""
        ...

    def stream_head(self, stream: str) -> StreamHead | None:
        """The last entry of a stream, or None."""
        ...

    def stream_names(self, prefix: str) -> Iterator[str]:
        """The names of the streams that begin so, in order."""
        ...

    def find_statement(self, party: str, jti: str) -> int | None:
        """The index of the entry that holds this statement, or None."""
        ...

    def find_statements(self, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Those of the (party, jti) that are in the log, each with its index."""
        ...

    def actors(self) -> Mapping[int, Actor]:
        """Every actor who signed an entry."""
        ...

    def tags(self, start: int, stop: int) -> Mapping[int, Mapping[str, str]]:
        """The tags of the entries start <= index < stop that have any."""
        ...

    def entries_at(self, indices: Sequence[int]) -> list[StoredEntry]:
        """The rows of these indices that are there, in order."""
        ...

    def tags_at(self, indices: Sequence[int]) -> Mapping[int, Mapping[str, str]]:
        """The tags of these entries."""
        ...

    def stream_indices(self, stream: str) -> list[int]:
        """The indices of a stream's entries, oldest first."""
        ...

    def projection(self, kind: str, key: str) -> bytes | None:
        """The value of a projection, or None."""
        ...

    def projection_keys(self, kind: str, after: str | None = None) -> Iterator[str]:
        """The keys of a kind that were born, in that order; those after a key if it is named."""
        ...

    def projection_keys_until(self, kind: str, after_ms: int) -> Iterator[str]:
        """The keys of a kind whose `until_ms` is later."""
        ...

    def projections(self) -> Iterator[tuple[str, str, bytes, int | None, int | None]]:
        """Every (kind, key, value, born, until_ms) that has a value, in order of kind and key."""
        ...

    def checkpoint(self, size: int | None = None) -> StoredCheckpoint | None:
        """The checkpoint of that size, or the largest, or None."""
        ...

    def checkpoints(self) -> Iterator[StoredCheckpoint]:
        """All of them, in order of size."""
        ...

    def certificate(self, x5t: str) -> bytes | None:
        """DER of an organisation's public certificate, or None."""
        ...

    def evidence(self, sha256: str) -> tuple[str, bytes] | None:
        """(kind, data) of a public piece of evidence such as a CA certificate or a CRL, or None."""
        ...


class Store(ReadStore, Protocol):
    """Writing: who holds the head writes, one transaction a batch. On SQLite that is always the same one."""

    @property
    def is_shared(self) -> bool:
        """Whether others may write this log too, so that its head can move without us."""
        ...

    def begin_log(self, origin: str) -> Head:
        """The head of the log of this origin, begun if the store is new; raises StoreForeign for another's."""
        ...

    async def begin(self) -> None:
        """A batch is about to be judged; if others write too, the head may be held from here on, as by `lock`.

        Raises StoreBusy, StoreUnreachable, holding nothing.
        """
        ...

    async def confirm(self, head: Head) -> None:
        """What was judged since `begin` was judged on this head, to which nothing was added; else raises HeadMoved."""
        ...

    async def lock(self, *, is_long: bool = False) -> None:
        """The head is ours: nobody else moves it until `commit` or `unlock`; with `is_long` that may take its time.

        Raises StoreBusy, StoreUnreachable, holding nothing.
        """
        ...

    async def look_up(self, wanted: Wanted) -> Found:
        """The head, and what the log knows of this at it; raises StandbyMissing, StoreUnreachable.

        A head that others may move can be one that is remembered, and what is missing may be there after all: then
        `commit` and `confirm` raise HeadMoved.
        """
        ...

    async def commit(self, batch: Batch) -> None:
        """All of the batch is durable, or none of it is and StoreFull, StoreBusy, StoreIo or StoreDamaged is raised.

        Raises HeadMoved, having written nothing, if what `look_up` said does not hold, as when another replica wrote.
        Raises OutcomeUnknown if the connection was lost on the way: the batch is there as a whole, or not at all. The
        head is let go in every case.
        """
        ...

    async def unlock(self) -> None:
        """The head is let go; nothing was written."""
        ...

    def is_alone(self) -> AbstractContextManager[bool]:
        """Whether nobody else has this log open for writing; if so, nobody opens it until the block ends."""
        ...

    def seat(self) -> Seat:
        """The place of who serves this log's stations; a new one each time, held by nobody yet."""
        ...

    async def peek(self) -> Head:
        """The committed head, waiting for nobody; raises StoreUnreachable."""
        ...

    async def tail(self, start: int, stop: int, *, known_actors: int) -> Tail:
        """The entries start <= index < stop that are committed, with what the rules need of them."""
        ...

    async def changed(self, start: int) -> Sequence[tuple[str, str]]:
        """(kind, key) of the projections that the entries from index `start` on have changed."""
        ...

    async def settle(self) -> None:
        """Everything committed so far is where a failover will find it; raises StandbyMissing, StoreUnreachable."""
        ...

    async def replace_projections(self, rows: Iterable[Row], version: str) -> None:
        """The projections are these and no others, kept by `version` up to the head; the head is held and let go."""
        ...

    async def leave(self) -> None:
        """The sequencer has stopped: what it alone used is given back."""
        ...

    def require_room(self) -> None:
        """There is room for a batch; raises StoreFull."""
        ...

    def put_checkpoint(self, checkpoint: StoredCheckpoint) -> None:
        """The signed note is kept for ever; a second one of the same size only adds its cosignatures."""
        ...

    def put_certificate(self, x5t: str, der: bytes) -> None:
        """Keeps an organisation's public certificate; the same one again changes nothing."""
        ...

    def put_evidence(self, sha256: str, kind: str, data: bytes) -> None:
        """Keeps a public piece of evidence by its digest; the same one again changes nothing."""
        ...

    def put_evidence_many(self, pieces: Sequence[tuple[str, str, bytes]]) -> None:
        """Keeps several (sha256, kind, data) in one transaction."""
        ...

    def close(self) -> None:
        """Gives the lock back."""
        ...
