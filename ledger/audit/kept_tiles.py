"""Tiles that somebody keeps elsewhere: whoever makes tree and chains anew does not change these, so entries are named.

What is stored tells two checkpoints apart between which a tree was made again, and no more (`stitch`). A copy of the
tiles, 32 octets an entry, tells which entries: its hashes add up to a checkpoint that the log's key signed, or it is
not used.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ledger import plain_file
from ledger.audit.report import Code, Finding
from ledger.audit.source import LogSource, SignedNote
from ledger.audit.static_source import CHECKPOINT_FILE
from ledger.errors import Absent, LedgerError
from ledger.records import entry as entries
from ledger.tlog import hashing, note
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.layout import MAX_BUNDLE_OCTETS
from ledger.tlog.tiles import TILE_HEIGHT, TILE_WIDTH, TileReader, width_at


class TileMissing(Absent):
    """A copy of a log lacks one of its tiles."""

    code = "ledger/tile-missing"
    title = "Tile missing"


class KeptTiles:
    """A folder with `checkpoint` and `tile/`, such as a mirror; entry bundles in it are not looked at."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        """Reads the checkpoint and believes nothing yet; raises OSError."""
        self._root = Path(directory)
        self.name = self._root.name or str(self._root)
        with plain_file.opened(self._root / CHECKPOINT_FILE) as file:
            self.note = SignedNote(file.read(note.MAX_NOTE_OCTETS + 1), None, self.name)

    def reader(self, head: Checkpoint) -> TileReader:
        """The tree under this checkpoint, which is the one in the folder and was verified; nothing else is read."""
        return TileReader(self._fetch, head.size, root=head.root)

    def _fetch(self, path: str) -> bytes:
        try:
            with plain_file.opened(self._root / path) as file:
                return file.read(MAX_BUNDLE_OCTETS + 1)
        except OSError:
            raise TileMissing("the copy lacks a tile, or it cannot be read", path=path) from None


def faults(source: LogSource, kept: KeptTiles, head: Checkpoint, derived: bytearray, size: int) -> Iterator[Finding]:
    """Every run of entries that are not those of the copy, and what of the copy cannot be used.

    `head` is the copy's own checkpoint, verified; `derived` are the roots over the entries of the log's full blocks,
    and `size` is the log's. What both have is compared. Level 0 tiles are read only where something differs.
    """
    return _runs(_differences(source, kept, kept.reader(head), derived, size))


def _differences(
    source: LogSource, kept: KeptTiles, tree: TileReader, derived: bytearray, size: int
) -> Iterator[Finding]:
    both = min(size, tree.size)
    for block in range(-(-both // TILE_WIDTH)):
        first, stop = block * TILE_WIDTH, min(both, (block + 1) * TILE_WIDTH)
        try:
            if stop - first == TILE_WIDTH and tree.read(TILE_HEIGHT, block) == _root_of(derived, block):
                continue
            wanted = [tree.read(0, index) for index in range(first, stop)]
        except LedgerError as error:
            yield Finding(
                code=Code.COPY_UNUSABLE,
                detail=f"these entries were not compared: {error.message()} ({error.code})",
                window_start=first,
                window_end=stop,
                file=kept.name,
            )
            continue
        for row in source.block(block, width_at(0, block, size)).rows:
            index, data = row[0], row[1]
            # Where there is no entry, that is a finding already.
            if index < stop and data is not None and hashing.leaf(data) != wanted[index - first]:
                yield _replaced(index, data, wanted[index - first], kept.name)


def _root_of(derived: bytearray, block: int) -> bytes:
    return bytes(derived[block * hashing.HASH_SIZE : (block + 1) * hashing.HASH_SIZE])


def _replaced(index: int, data: bytes, wanted: bytes, name: str) -> Finding:
    try:
        made = entries.decode(data)
    except LedgerError:
        stream, seq = None, None
    else:
        stream, seq = made.stream, made.seq
    return Finding(
        code=Code.ENTRY_REPLACED,
        detail="not the entry whose hash the copy has",
        index=index,
        stream=stream,
        seq=seq,
        window_start=index,
        window_end=index + 1,
        expected=wanted.hex(),
        found=hashing.leaf(data).hex(),
        file=name,
    )


def _runs(found: Iterator[Finding]) -> Iterator[Finding]:
    """Neighbours as one: a removed entry moves all that follow, and one line says so."""
    run: Finding | None = None
    for one in found:
        if run is not None and (run.code, run.window_end) == (one.code, one.window_start):
            run = msgspec.structs.replace(run, window_end=one.window_end)
            continue
        if run is not None:
            yield run
        run = one
    if run is not None:
        yield run
