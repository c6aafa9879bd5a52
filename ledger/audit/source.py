"""Where an audit reads from. A source hands out stored bytes and judges nothing."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from ledger.audit.report import Finding
from ledger.records.actor import Actor

MAX_MISSING: Final = 262_144
"""Entries that may be missing for each of them to be named; a log that says of itself that it has 2^62 has an end."""

Row = tuple[int, bytes | None, bytes | None, int | None, int | None]
"""(index, data, leaf, previous index, actor's number), as stored: whoever owns the medium can put anything into it.

No data: there is no entry at this index. The last three are None where the source has no such thing.
"""


class Block(msgspec.Struct, frozen=True):
    """The entries of a level 0 tile, at most 256 in order of index, and the hashes that the stored tile gives them."""

    rows: Sequence[Row]
    slots: bytes | None
    """None where no tile is stored, as for the open tile of a database."""
    root: bytes | None = None
    """The stored root over a full tile."""
    parties: Mapping[int, str] | None = None
    """The party of each actor's number; None where a source keeps neither actors nor links to previous entries."""
    faults: tuple[Finding, ...] = ()
    file: str | None = None
    tile_file: str | None = None
    actors: Mapping[int, Actor] | None = None
    """As `parties`, with all that is stored of each."""


class TileBytes(msgspec.Struct, frozen=True):
    """A stored tile above the leaves, as it is."""

    hashes: bytes
    root: bytes | None = None
    """The root over it, where it is stored beside it."""
    file: str | None = None


class SignedNote(msgspec.Struct, frozen=True):
    """A checkpoint as stored, with the size that it is filed under."""

    note: bytes
    size: int | None
    file: str | None = None
    is_latest: bool = False
    """True for the memory of the signer, read after the log was opened: it signed none that is larger. It is compared
    with the stored checkpoints and with nothing else, for the log may have grown since.
    """


class StreamState(msgspec.Struct, frozen=True):
    """The last entry of a stream, derived or stored."""

    seq: int
    leaf: bytes
    index: int
    is_closed: bool


End = tuple[str, int, bytes, int, bool]
"""(stream, seq, leaf hash, index, is closed) of a stream's last entry."""


class Projections(Protocol):
    """The tables that are derived from the log."""

    def head(self) -> tuple[str, int, bytes, int]:
        """(origin, size, root, time of the last entry)."""
        ...

    def streams(self) -> Iterator[tuple[str, StreamState]]:
        """Every stored stream head, in order of name."""
        ...

    def stream_count(self) -> int:
        """How many stream heads are stored."""
        ...

    def statement_count(self) -> int:
        """How many statements are stored."""
        ...

    def statements(self) -> Iterator[tuple[str, str, int]]:
        """Every stored (party, jti, index)."""
        ...

    def counters(self) -> Iterator[tuple[str, str, int]]:
        """Every stored (party, x5t, actor_seq)."""
        ...


class LogSource(Protocol):
    """A log to be audited. One that is pickled for another process is opened anew there."""

    def size(self) -> int:
        """How many entries there are: one more than the largest index before which no more than `MAX_MISSING` miss."""
        ...

    def committed_size(self) -> int:
        """How many entries the source itself says there are."""
        ...

    def notes(self) -> Iterator[SignedNote]:
        """Every stored checkpoint, in order of size."""
        ...

    def block(self, index: int, width: int) -> Block:
        """The entries index * 256 to index * 256 + width."""
        ...

    def tile(self, level: int, index: int, width: int) -> TileBytes | None:
        """A tile of level 1 or higher, or None where the source stores none of this width."""
        ...

    def recorded(self, statements: Sequence[tuple[str, str, int]]) -> int | None:
        """How many of these (party, jti, index) are stored so; None where none are stored at all."""
        ...

    def confirmed(self, ends: Sequence[End]) -> Collection[str]:
        """Those of these streams whose stored head is exactly this; none where a source cannot say it cheaply."""
        ...

    def place_of(self, party: str, jti: str) -> int | None:
        """The index under which this statement is stored, or None."""
        ...

    def faults(self, vkeys: tuple[str, ...]) -> Iterator[Finding]:
        """What is wrong with the source beside entries, tiles and checkpoints."""
        ...

    def projections(self) -> Projections | None:
        """The derived tables, or None where there are none."""
        ...

    def close(self) -> None:
        """Lets go of it."""
        ...
