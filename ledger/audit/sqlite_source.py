"""A log's SQLite file as the source of an audit: read-only, one snapshot, values always from the entry table."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Self

from ledger.audit.report import Code, Finding
from ledger.audit.source import Block, Row, SignedNote, StreamState, TileBytes
from ledger.errors import LedgerError
from ledger.store.errors import StoreDamaged
from ledger.store.schema import TILE_LEVEL_SHIFT
from ledger.store.sqlite import KEYS_A_QUERY, SqliteReader, coded
from ledger.tlog.tiles import TILE_WIDTH

_ROWS: Final = "SELECT idx, data, leaf, previous_idx, actor FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx"


class SqliteSource:
    """Open for one audit; the writer may go on meanwhile."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises StoreAbsent, StoreForeign."""
        self._path = Path(path)
        self._store = SqliteReader.open(self._path)
        self._db = self._store.connection
        self._db.execute("BEGIN")
        self._parties: dict[int, str] = {}
        self._actors_fault: str | None = None
        try:
            self._parties = {number: actor.party for number, actor in self._store.actors().items()}
        except LedgerError as error:
            self._actors_fault = error.detail

    def __reduce__(self) -> tuple[type[Self], tuple[Path]]:
        """Another process opens the file for itself."""
        return type(self), (self._path,)

    def size(self) -> int:
        with coded():
            last = self._db.execute("SELECT max(idx) FROM entry").fetchone()[0]
        return 0 if last is None else int(last) + 1

    def committed_size(self) -> int:
        with coded():
            row = self._db.execute("SELECT size FROM head").fetchone()
        return 0 if row is None else int(row[0])

    def notes(self) -> Iterator[SignedNote]:
        for stored in self._store.checkpoints():
            yield SignedNote(stored.note, stored.size)
            if stored.cosigned is not None:
                yield SignedNote(stored.cosigned, stored.size)

    def block(self, index: int, width: int) -> Block:
        start = index * TILE_WIDTH
        faults: tuple[Finding, ...] = ()
        try:
            with coded():
                rows: list[Row] = self._db.execute(_ROWS, (start, start + width)).fetchall()
        except StoreDamaged as error:
            rows = []
            faults = (Finding(code=Code.FILE_DIFFERS, detail=error.message(), index=start, table="entry"),)
        if len(rows) != width:
            there = {row[0]: row for row in rows}
            rows = [there.get(at) or (at, None, None, None, None) for at in range(start, start + width)]
        tile = self.tile(0, index, width)
        slots, root = (None, None) if tile is None else (tile.hashes, tile.root)
        return Block(rows, slots, root, self._parties, faults)

    def tile(self, level: int, index: int, width: int) -> TileBytes | None:
        try:
            with coded():
                row = self._db.execute(
                    "SELECT hashes, root FROM tile WHERE place = ?", (level << TILE_LEVEL_SHIFT | index,)
                ).fetchone()
        except StoreDamaged:
            row = None
        if width != TILE_WIDTH:
            # Only full tiles are stored; one that became full since this audit began is not its business.
            return None
        if row is None:
            return TileBytes(b"")
        return TileBytes(_octets(row[0]) or b"", _octets(row[1]))

    def recorded(self, statements: Sequence[tuple[str, str, int]]) -> int:
        try:
            with coded():
                return sum(
                    self._recorded(statements[at : at + KEYS_A_QUERY]) for at in range(0, len(statements), KEYS_A_QUERY)
                )
        except StoreDamaged:
            return 0

    def _recorded(self, some: Sequence[tuple[str, str, int]]) -> int:
        values = ",".join(["(?,?,?)"] * len(some))
        # CROSS JOIN fixes the order: each statement is looked up, the table is never scanned.
        sql = f"SELECT count(*) FROM (VALUES {values}) AS w CROSS JOIN idempotency AS i"  # noqa: S608 -- only "(?,?,?)"
        sql += " WHERE i.party = w.column1 AND i.jti = w.column2 AND i.idx = w.column3"
        return int(self._db.execute(sql, [value for one in some for value in one]).fetchone()[0])

    def place_of(self, party: str, jti: str) -> int | None:
        try:
            return self._store.find_statement(party, jti)
        except StoreDamaged:
            return None

    def faults(self, vkeys: tuple[str, ...]) -> Iterator[Finding]:
        if self._actors_fault is not None:
            yield Finding(code=Code.PROJECTION_DIFFERS, detail=self._actors_fault, table="actor")

    def projections(self) -> "SqliteSource":
        return self

    def head(self) -> tuple[int, bytes, int]:
        head = self._store.head()
        return head.size, head.frontier.root(), head.rec_ms

    def streams(self) -> Iterator[tuple[str, StreamState]]:
        for name, at in self._store.stream_heads():
            yield name, StreamState(at.seq, at.leaf, at.index, at.is_closed)

    def statement_count(self) -> int:
        with coded():
            return int(self._db.execute("SELECT count(*) FROM idempotency").fetchone()[0])

    def statements(self) -> Iterator[tuple[str, str, int]]:
        with coded():
            yield from self._db.execute("SELECT party, jti, idx FROM idempotency")

    def counters(self) -> Iterator[tuple[str, str, int]]:
        with coded():
            yield from self._db.execute("SELECT party, x5t, seq FROM actor_counter")

    def close(self) -> None:
        self._store.close()


def _octets(value: object) -> bytes | None:
    """The value if it is octets: who owns the file can put anything into a column."""
    return value if isinstance(value, bytes) else None
