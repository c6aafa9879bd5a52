"""What every SQL store reads in the same words; a store says only how a query gets to its database."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

import msgspec

from ledger.records.actor import Actor
from ledger.store.errors import EntryAbsent, StoreDamaged, StoreForeign
from ledger.store.protocol import Head, StoredCheckpoint, StoredEntry, StoredTile, StreamHead
from ledger.store.schema import TILE_LEVEL_SHIFT
from ledger.tlog.merkle import Frontier

SCAN_ROWS: Final = 256
NUL: Final = "\0"

HEAD: Final = "SELECT origin, size, frontier, rec_ms, projected FROM head"
_ENTRY: Final = "SELECT idx, data, leaf, previous_idx, actor FROM entry"
_CHAIN: Final = """WITH RECURSIVE chain (idx, previous_idx) AS (
 SELECT e.idx, e.previous_idx FROM stream_head s JOIN entry e ON e.idx = s.idx WHERE s.stream = ?
 UNION ALL SELECT e.idx, e.previous_idx FROM chain c JOIN entry e ON e.idx = c.previous_idx)
 SELECT idx FROM chain"""
_BORN: Final = """SELECT born, key FROM projection WHERE kind = ? AND value IS NOT NULL AND born IS NOT NULL
 AND born >= ? AND (born > ? OR key > ?) ORDER BY born, key LIMIT ?"""
_UNTIL: Final = """SELECT key FROM projection WHERE kind = ? AND value IS NOT NULL AND until_ms IS NOT NULL
 AND until_ms > ? ORDER BY until_ms, key"""
_TAGS: Final = "SELECT idx, name, tag FROM tag WHERE idx >= ? AND idx < ? ORDER BY idx, name"
_MEMBERS: Final = frozenset(Actor.__struct_fields__)
_ACTORS: Final = "SELECT id, value FROM actor WHERE id > ? ORDER BY id"


class SqlReads(ABC):
    """A `ReadStore` over two ways to ask: one row, and all rows. Placeholders are question marks."""

    @abstractmethod
    def _one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """The first row, or None; raises a LedgerError of the store."""

    @abstractmethod
    def _all(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Any]:
        """Every row; raises a LedgerError of the store."""

    @abstractmethod
    def _each(self, sql: str) -> Iterator[Any]:
        """Every row of a whole table, without holding all of them."""

    @abstractmethod
    def find_statements(self, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Those of the (party, jti) that are in the log, each with its index."""

    @abstractmethod
    def moment(self) -> AbstractContextManager[None]:
        """Everything read inside is of one moment; that of a snapshot that is open already, if there is one."""

    @abstractmethod
    def close(self) -> None:
        """Lets go of it."""

    def head(self) -> Head:
        return head_of(self._one(HEAD))

    def entry(self, index: int) -> StoredEntry:
        row = self._one(f"{_ENTRY} WHERE idx = ?", (index,))
        if row is None:
            raise EntryAbsent("the log has no such entry", index=index)
        return StoredEntry(*row)

    def last_index(self) -> int | None:
        """The largest index of any row, whatever the head says; None if there are no rows."""
        found = self._one("SELECT max(idx) FROM entry")[0]
        return None if found is None else int(found)

    def entry_count(self) -> int:
        """How many rows there are."""
        return int(self._one("SELECT count(*) FROM entry")[0])

    def index_at(self, rank: int) -> int:
        """The index of the row before which there are so many; raises EntryAbsent."""
        found = self._one("SELECT idx FROM entry ORDER BY idx LIMIT 1 OFFSET ?", (rank,))
        if found is None:
            raise EntryAbsent("the log has no such row", expected=f"more than {rank}")
        return int(found[0])

    def statement_count(self) -> int:
        """How many statements are kept for idempotency."""
        return int(self._one("SELECT count(*) FROM idempotency")[0])

    def stream_count(self) -> int:
        """How many streams have a stored head."""
        return int(self._one("SELECT count(*) FROM stream_head")[0])

    def pieces(self) -> Iterator[tuple[str, bytes]]:
        """(sha256, data) of every public piece of evidence."""
        yield from self._each("SELECT sha256, data FROM evidence_blob ORDER BY sha256")

    def entries(self, start: int, stop: int) -> Iterator[StoredEntry]:
        while start < stop:
            rows = self._all(f"{_ENTRY} WHERE idx >= ? AND idx < ? ORDER BY idx LIMIT ?", (start, stop, SCAN_ROWS))
            for row in rows:
                yield StoredEntry(*row)
            if len(rows) < SCAN_ROWS:
                return
            start = rows[-1][0] + 1

    def leaves(self, start: int, stop: int) -> list[bytes]:
        rows = self._all("SELECT leaf FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx", (start, stop))
        return [row[0] for row in rows]

    def tile(self, level: int, index: int) -> StoredTile | None:
        row = self._one("SELECT hashes, root FROM tile WHERE place = ?", (place(level, index),))
        return None if row is None else StoredTile(level, index, row[0], row[1])

    def tile_roots(self, level: int, start: int, stop: int) -> list[bytes]:
        rows = self._all(
            "SELECT root FROM tile WHERE place >= ? AND place < ? ORDER BY place",
            (place(level, start), place(level, stop)),
        )
        return [row[0] for row in rows]

    def stream_head(self, stream: str) -> StreamHead | None:
        row = self._one("SELECT seq, leaf, idx, closed FROM stream_head WHERE stream = ?", (stream,))
        return None if row is None else StreamHead(row[0], row[1], row[2], bool(row[3]))

    def stream_heads(self) -> Iterator[tuple[str, StreamHead]]:
        """Every stream and its head, in order of name."""
        for row in self._each("SELECT stream, seq, leaf, idx, closed FROM stream_head ORDER BY stream"):
            yield row[0], StreamHead(row[1], row[2], row[3], bool(row[4]))

    def stream_names(self, prefix: str) -> Iterator[str]:
        last = prefix
        above = prefix + "\U0010ffff"
        sql = "SELECT stream FROM stream_head WHERE stream {} ? AND stream < ? ORDER BY stream LIMIT ?"
        compared = ">="
        while rows := self._all(sql.format(compared), (last, above, SCAN_ROWS)):
            yield from (row[0] for row in rows)
            last, compared = rows[-1][0], ">"

    def statements(self) -> Iterator[tuple[str, str, int]]:
        """Every (party, jti, index) that is kept for idempotency."""
        yield from self._each("SELECT party, jti, idx FROM idempotency")

    def counters(self) -> Iterator[tuple[str, str, int]]:
        """Every (party, x5t, actor_seq)."""
        yield from self._each("SELECT party, x5t, seq FROM actor_counter")

    def find_statement(self, party: str, jti: str) -> int | None:
        row = self._one("SELECT idx FROM idempotency WHERE party = ? AND jti = ?", (party, jti))
        return None if row is None else int(row[0])

    def actors(self, *, above: int = 0) -> Mapping[int, Actor]:
        return actors_of(self._all(_ACTORS, (above,)))

    def tags(self, start: int, stop: int) -> Mapping[int, Mapping[str, str]]:
        return tags_of(self._all(_TAGS, (start, stop)))

    def entries_at(self, indices: Sequence[int]) -> list[StoredEntry]:
        return [StoredEntry(*row) for row in self._at(f"{_ENTRY} WHERE idx IN ({{}}) ORDER BY idx", indices)]

    def tags_at(self, indices: Sequence[int]) -> Mapping[int, Mapping[str, str]]:
        return tags_of(list(self._at("SELECT idx, name, tag FROM tag WHERE idx IN ({}) ORDER BY idx, name", indices)))

    def _at(self, sql: str, indices: Sequence[int]) -> Iterator[Any]:
        """The rows of these indices, asked for some at a time; few lengths, so that few queries are ever compiled."""
        ordered = sorted(indices)
        for start in range(0, len(ordered), SCAN_ROWS):
            some = ordered[start : start + SCAN_ROWS]
            length = 1 << (len(some) - 1).bit_length()
            yield from self._all(sql.format(",".join("?" * length)), some + some[-1:] * (length - len(some)))

    def stream_indices(self, stream: str) -> list[int]:
        return [row[0] for row in reversed(self._all(_CHAIN, (stream,)))]

    def projection(self, kind: str, key: str) -> bytes | None:
        if NUL in key:  # no key has one, and PostgreSQL takes the question for an error
            return None
        row = self._one("SELECT value FROM projection WHERE kind = ? AND key = ?", (kind, key))
        return None if row is None else row[0]

    def projection_keys(self, kind: str, after: str | None = None) -> Iterator[str]:
        born, key = -1, after or ""
        if after is not None:
            row = self._one("SELECT born FROM projection WHERE kind = ? AND key = ?", (kind, after))
            if row is None or row[0] is None:
                return
            born = row[0]
        while rows := self._all(_BORN, (kind, born, born, key, SCAN_ROWS)):
            yield from (row[1] for row in rows)
            born, key = rows[-1][0], rows[-1][1]

    def projection_keys_until(self, kind: str, after_ms: int) -> Iterator[str]:
        yield from (row[0] for row in self._all(_UNTIL, (kind, after_ms)))

    def projections(self) -> Iterator[tuple[str, str, bytes, int | None, int | None]]:
        """Every (kind, key, value, born, until_ms) that has a value, in order of kind and key."""
        yield from self._each(
            "SELECT kind, key, value, born, until_ms FROM projection WHERE value IS NOT NULL ORDER BY kind, key"
        )

    def checkpoint(self, size: int | None = None) -> StoredCheckpoint | None:
        where = "ORDER BY size DESC LIMIT 1" if size is None else "WHERE size = ?"
        values = () if size is None else (size,)
        row = self._one(f"SELECT size, note, at_ms, cosigned FROM checkpoint {where}", values)  # noqa: S608 -- two constants
        return None if row is None else StoredCheckpoint(*row)

    def checkpoints(self) -> Iterator[StoredCheckpoint]:
        for row in self._each("SELECT size, note, at_ms, cosigned FROM checkpoint ORDER BY size"):
            yield StoredCheckpoint(*row)

    def certificate(self, x5t: str) -> bytes | None:
        row = self._one("SELECT der FROM certificate WHERE x5t = ?", (x5t,))
        return None if row is None else bytes(row[0])

    def certificates(self) -> Iterator[bytes]:
        """DER of every organisation's certificate that is kept."""
        for (der,) in self._each("SELECT der FROM certificate ORDER BY x5t"):
            yield der

    def evidence(self, sha256: str) -> tuple[str, bytes] | None:
        row = self._one("SELECT kind, data FROM evidence_blob WHERE sha256 = ?", (sha256,))
        return None if row is None else (row[0], row[1])


def place(level: int, index: int) -> int:
    """The key of a tile."""
    return level << TILE_LEVEL_SHIFT | index


def head_of(row: Any) -> Head:
    """The head in a row of HEAD; raises StoreForeign where there is none."""
    if row is None:
        raise StoreForeign("no log was begun here")
    return Head(row[0], row[1], Frontier.load(row[2]), row[3], row[4])


def actors_of(rows: Sequence[Any]) -> dict[int, Actor]:
    """Actors by number; raises StoreDamaged, also for a row with a member that no actor has."""
    try:
        for row in rows:
            strange = msgspec.json.decode(row[1], type=dict[str, Any]).keys() - _MEMBERS
            if strange:
                raise StoreDamaged("an actor's row has another member", expected=len(_MEMBERS), found=len(strange))
        return {row[0]: msgspec.json.decode(row[1], type=Actor) for row in rows}
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreDamaged("an actor's row cannot be read", found=type(error).__name__) from error


def tags_of(rows: Sequence[Any]) -> dict[int, dict[str, str]]:
    """Tags by index."""
    found: dict[int, dict[str, str]] = {}
    for index, name, tag in rows:
        found.setdefault(index, {})[name] = tag
    return found
