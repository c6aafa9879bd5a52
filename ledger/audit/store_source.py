"""A log's database as the source of an audit: values always from the table of entries, never from an answer of ours."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from hashlib import sha256

from ledger.audit.report import Code, Finding
from ledger.audit.source import MAX_MISSING, Block, End, Row, SignedNote, StreamState, TileBytes
from ledger.errors import LedgerError
from ledger.records.actor import Actor
from ledger.store.errors import StoreDamaged
from ledger.store.reads import SqlReads
from ledger.tlog import merkle
from ledger.tlog.tiles import TILE_WIDTH


class StoreSource:
    """Any SQL store, open for one audit; what is read is of one moment if whoever opened it saw to that."""

    def __init__(self, store: SqlReads) -> None:
        """Reads who signed; takes nothing over."""
        self._store = store
        self._actors: Mapping[int, Actor] = {}
        self._parties: dict[int, str] = {}
        self._actors_fault: str | None = None
        self._size: int | None = None
        try:
            self._actors = store.actors()
            self._parties = {number: actor.party for number, actor in self._actors.items()}
        except LedgerError as error:
            self._actors_fault = error.detail

    def size(self) -> int:
        if self._size is None:
            self._size = self._looked_at()
        return self._size

    def _looked_at(self) -> int:
        last = self._store.last_index()
        if last is None:
            return 0
        try:
            count = self._store.entry_count()
        except StoreDamaged:
            # Pages that cannot be read: each entry on them is to be named, and there are no more than have room.
            return max(0, min(last + 1, self._room()))
        if last - count < MAX_MISSING:
            return max(0, last + 1)
        # How many miss in front of a row never falls from one row to the next.
        low, high = 0, count
        while low < high:
            middle = (low + high) // 2
            if self._store.index_at(middle) - middle > MAX_MISSING:
                high = middle
            else:
                low = middle + 1
        return max(0, self._store.index_at(low - 1) + 1) if low else 0

    def _room(self) -> int:
        """How many entries there is room for."""
        return merkle.MAX_SIZE

    def committed_size(self) -> int:
        return self._store.head().size

    def notes(self) -> Iterator[SignedNote]:
        for stored in self._store.checkpoints():
            yield SignedNote(stored.note, stored.size)
            if stored.cosigned is not None:
                yield SignedNote(stored.cosigned, stored.size)

    def block(self, index: int, width: int) -> Block:
        start = index * TILE_WIDTH
        faults: tuple[Finding, ...] = ()
        try:
            rows = self._rows(start, start + width)
        except StoreDamaged as error:
            rows = []
            faults = (Finding(code=Code.FILE_DIFFERS, detail=error.message(), index=start, table="entry"),)
        if len(rows) != width:
            there = {row[0]: row for row in rows}
            rows = [there.get(at) or (at, None, None, None, None) for at in range(start, start + width)]
        tile = self.tile(0, index, width)
        slots, root = (None, None) if tile is None else (tile.hashes, tile.root)
        return Block(rows, slots, root, self._parties, faults, actors=self._actors)

    def _rows(self, start: int, stop: int) -> list[Row]:
        return [
            (row.index, row.data, row.leaf, row.previous_index, row.actor_id)
            for row in self._store.entries(start, stop)
        ]

    def tile(self, level: int, index: int, width: int) -> TileBytes | None:
        if width != TILE_WIDTH:
            # Only full tiles are stored; one that became full since this audit began is not its business.
            return None
        try:
            stored = self._store.tile(level, index)
        except StoreDamaged:
            stored = None
        if stored is None:
            return TileBytes(b"")
        return TileBytes(_octets(stored.hashes) or b"", _octets(stored.root))

    def recorded(self, statements: Sequence[tuple[str, str, int]]) -> int:
        try:
            found = self._store.find_statements([(party, jti) for party, jti, _ in statements])
        except StoreDamaged:
            return 0
        return sum(1 for party, jti, index in statements if found.get((party, jti)) == index)

    def confirmed(self, ends: Sequence[End]) -> Collection[str]:
        return ()

    def place_of(self, party: str, jti: str) -> int | None:
        try:
            return self._store.find_statement(party, jti)
        except StoreDamaged:
            return None

    def faults(self, vkeys: tuple[str, ...]) -> Iterator[Finding]:
        if self._actors_fault is not None:
            yield Finding(code=Code.PROJECTION_DIFFERS, detail=self._actors_fault, table="actor")
        last = self._store.last_index()
        if last is not None and last >= self.size():
            yield Finding(
                code=Code.ENTRY_MISSING,
                detail="from here on so many entries are missing that what stands behind them is not looked at",
                index=self.size(),
                found=str(last),
                table="entry",
            )
        for digest, data in self._store.pieces():
            found = sha256(data).hexdigest()
            if found != digest:
                yield Finding(
                    code=Code.ATTACHMENT_DIFFERS,
                    detail="the stored evidence is not the one that its digest names",
                    expected=digest,
                    found=found,
                    table="evidence_blob",
                )

    def projections(self) -> "StoreSource":
        return self

    def head(self) -> tuple[str, int, bytes, int]:
        head = self._store.head()
        return head.origin, head.size, head.frontier.root(), head.rec_ms

    def streams(self) -> Iterator[tuple[str, StreamState]]:
        for name, at in self._store.stream_heads():
            yield name, StreamState(at.seq, at.leaf, at.index, at.is_closed)

    def stream_count(self) -> int:
        return self._store.stream_count()

    def statement_count(self) -> int:
        return self._store.statement_count()

    def statements(self) -> Iterator[tuple[str, str, int]]:
        return self._store.statements()

    def counters(self) -> Iterator[tuple[str, str, int]]:
        return self._store.counters()


def _octets(value: object) -> bytes | None:
    """The value if it is octets: who owns the medium can put anything into a column."""
    return value if isinstance(value, bytes) else None
