"""Reading a log: entries, streams, proofs, tiles, and the static directory that any tlog-tiles client can read."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ledger.errors import Refused
from ledger.store.errors import CertificateAbsent, CheckpointAbsent, StoreDamaged, StreamAbsent
from ledger.store.nodes import Nodes, row_hashes
from ledger.store.protocol import ReadStore, StoredCheckpoint, StoredEntry
from ledger.tlog import hashing, merkle, tiles
from ledger.tlog.errors import SizeOutOfRange
from ledger.tlog.tiles import TILE_WIDTH, Tile

MAX_ENTRIES: Final = 4096
"""Entries in one answer."""

CHECKPOINT_FILE: Final = "checkpoint"
VKEY_FILE: Final = "vkey"


class ExportTargetTaken(Refused):
    """The directory for an export is not empty."""

    code = "ledger/export-target-taken"
    title = "Directory is not empty"


@dataclass(frozen=True, slots=True)
class ReadHead:
    """The committed end of the log. It is a promise of nobody: only a signed checkpoint is."""

    size: int
    root: bytes
    rec_ms: int


class Reader:
    """Reads what is committed. Nothing here is verified: proofs and signatures are what a reader trusts."""

    def __init__(self, store: ReadStore) -> None:
        """Reads nothing yet."""
        self._store = store
        self._nodes = Nodes(store)

    def head(self) -> ReadHead:
        """The committed head."""
        head = self._store.head()
        return ReadHead(head.size, head.frontier.root(), head.rec_ms)

    def entry(self, index: int) -> bytes:
        """The bytes of one entry; raises EntryAbsent."""
        return self._store.entry(index).data

    def entries(self, start: int, stop: int) -> list[bytes]:
        """The entries start <= index < stop, at most MAX_ENTRIES of them, ending where the log ends.

        Raises SizeOutOfRange if `start` is negative or after `stop`, StoreDamaged if one is missing.
        """
        if not 0 <= start <= stop:
            raise SizeOutOfRange("no such range", expected="0 <= start <= stop", found=f"{start}, {stop}")
        stop = min(stop, start + MAX_ENTRIES, self._store.head().size)
        rows = [row.data for row in self._store.entries(start, stop)]
        if len(rows) != max(0, stop - start):
            raise StoreDamaged("entries are missing", expected=stop - start, found=len(rows), start=start)
        return rows

    def stream(self, name: str, *, from_seq: int = 1) -> list[tuple[int, bytes]]:
        """(index, bytes) of every entry of a stream from `from_seq` on, in order.

        Walks back from the stream's head, so the cost is that of the entries given. Raises StreamAbsent, StoreDamaged.
        """
        head = self._store.stream_head(name)
        if head is None:
            raise StreamAbsent("the log has no such stream", stream=name)
        found: list[tuple[int, bytes]] = []
        index: int | None = head.index
        for _ in range(from_seq, head.seq + 1):
            if index is None:
                raise StoreDamaged("the stream's links end too early", stream=name, expected=head.seq, found=len(found))
            row: StoredEntry = self._store.entry(index)
            found.append((row.index, row.data))
            index = row.previous_index
        found.reverse()
        return found

    def checkpoint(self, size: int | None = None) -> bytes:
        """The signed note of that size, or the last one, with all its cosignatures; raises CheckpointAbsent."""
        return self.stored_checkpoint(size).best

    def stored_checkpoint(self, size: int | None = None) -> StoredCheckpoint:
        """The checkpoint with its size and time; raises CheckpointAbsent."""
        stored = self._store.checkpoint(size)
        if stored is None:
            raise CheckpointAbsent("no such checkpoint", **({} if size is None else {"size": size}))
        return stored

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The proof that entry `index` is in the tree of that size; raises SizeOutOfRange."""
        self._require_size(size)
        return merkle.inclusion_proof(index, size, self._nodes.read)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the tree of size `old` is a prefix of the one of size `new`; raises SizeOutOfRange."""
        self._require_size(new)
        return merkle.consistency_proof(old, new, self._nodes.read)

    def root(self, size: int) -> bytes:
        """The root of the first `size` entries; raises SizeOutOfRange."""
        self._require_size(size)
        return merkle.root_at(size, self._nodes.read)

    def tile(self, path: str) -> bytes:
        """A tile or an entry bundle, full or partial, by its tlog-tiles path; raises TileMalformed, SizeOutOfRange."""
        return self._tile(tiles.parse_path(path), self._store.head().size)

    def find_statement(self, party: str, jti: str) -> int | None:
        """The index of the entry that holds this statement, or None."""
        return self._store.find_statement(party, jti)

    def certificate(self, x5t: str) -> bytes:
        """DER of an organisation's public certificate; raises CertificateAbsent."""
        der = self._store.certificate(x5t)
        if der is None:
            raise CertificateAbsent("the log never met this certificate", x5t=x5t)
        return der

    def evidence(self, sha256: str) -> tuple[str, bytes]:
        """(kind, data) of a public piece of evidence; raises CertificateAbsent."""
        found = self._store.evidence(sha256)
        if found is None:
            raise CertificateAbsent("the log holds no such evidence", sha256=sha256)
        return found

    def export_static(
        self,
        directory: str | os.PathLike[str],
        size: int | None = None,
        *,
        vkey: str,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """The log up to the checkpoint of that size, or the last one, as a new directory of the tlog-tiles layout.

        Files: `checkpoint`, `vkey`, `tile/<level>/...`, `tile/entries/...`; the checkpoint is written last. Returns the
        size. Raises CheckpointAbsent, StoreDamaged, ExportTargetTaken.
        """
        stored = self.stored_checkpoint(size)
        root = Path(directory)
        root.mkdir(parents=True, exist_ok=True)
        if any(root.iterdir()):
            raise ExportTargetTaken("an export is never written over files", found=root.name)
        for at, tile in enumerate([*tiles.tiles_for(stored.size), *tiles.bundles_for(stored.size)]):
            path = root / tile.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self._tile(tile, stored.size))
            if progress is not None:
                progress(at)
        (root / VKEY_FILE).write_text(vkey + "\n", encoding="ascii")
        (root / CHECKPOINT_FILE).write_bytes(stored.best)
        return stored.size

    def _tile(self, tile: Tile, size: int) -> bytes:
        level = 0 if tile.level is None else tile.level
        start = tile.index * TILE_WIDTH
        if tiles.width_at(level, tile.index, size) < tile.width:
            raise SizeOutOfRange("the tree has no such tile yet", path=tile.path, size=size)
        if tile.level is None:
            rows = [row.data for row in self._store.entries(start, start + tile.width)]
            if len(rows) != tile.width:
                raise StoreDamaged("entries are missing", expected=tile.width, found=len(rows), start=start)
            return tiles.encode_bundle(rows)
        stored = self._store.tile(level, tile.index)
        if stored is not None:
            return stored.hashes[: tile.width * hashing.HASH_SIZE]
        return b"".join(row_hashes(self._store, level, start, start + tile.width))

    def _require_size(self, size: int) -> None:
        committed = self._store.head().size
        if size > committed:
            raise SizeOutOfRange("the log is not that long", expected=f"at most {committed}", found=size)
