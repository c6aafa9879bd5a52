"""Where an audit reads from. A source hands out stored bytes and judges nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self

import msgspec

from ledger.audit.report import Finding


class Row(msgspec.Struct, frozen=True):
    """What is stored of one entry; the members after `data` are None where the source has no such thing."""

    index: int
    data: bytes | None
    """None: there is no entry at this index."""
    leaf: bytes | None = None
    previous_index: int | None = None
    has_link: bool = False
    """True where `previous_index` is stored, and so has to be right."""
    party: str | None = None
    """The party of the stored actor."""


@dataclass(frozen=True, slots=True)
class Block:
    """The entries of one level 0 tile, at most 256, and the hashes that the stored tile gives them."""

    rows: list[Row]
    slots: bytes | None
    """None where no tile is stored, as for the open tile of a database."""
    faults: tuple[Finding, ...] = ()
    file: str | None = None
    tile_file: str | None = None


@dataclass(frozen=True, slots=True)
class TileBytes:
    """A stored tile above the leaves, as it is."""

    hashes: bytes
    root: bytes | None = None
    """The root over it, where it is stored beside it."""
    file: str | None = None


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A checkpoint as stored, with the size that it is filed under."""

    note: bytes
    size: int | None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class StreamState:
    """The last entry of a stream, derived or stored."""

    seq: int
    leaf: bytes
    index: int
    is_closed: bool


class Projections(Protocol):
    """The tables that are derived from the log."""

    def head(self) -> tuple[int, bytes, int]:
        """(size, root, time of the last entry)."""
        ...

    def streams(self) -> Iterator[tuple[str, StreamState]]:
        """Every stored stream head."""
        ...

    def statements(self) -> Iterator[tuple[str, str, int]]:
        """Every stored (party, jti, index)."""
        ...

    def counters(self) -> Iterator[tuple[str, str, int]]:
        """Every stored (party, x5t, actor_seq)."""
        ...


class LogSource(Protocol):
    """A log to be audited."""

    def reopened(self) -> Self:
        """The same log for another process."""
        ...

    def size(self) -> int:
        """How many entries there are: one more than the largest index."""
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

    def faults(self, vkeys: tuple[str, ...]) -> Iterator[Finding]:
        """What is wrong with the source beside entries, tiles and checkpoints."""
        ...

    def projections(self) -> Projections | None:
        """The derived tables, or None where there are none."""
        ...

    def close(self) -> None:
        """Lets go of it."""
        ...
