"""A static copy of the log that any file server can serve (c2sp.org/tlog-tiles), brought up to date as often as wanted.

Tiles and bundles never change, so each file is written once, under another name first; the checkpoint comes last, when
all that it promises is there. A crash at any moment leaves a whole copy of the old size. Beside each bundle stands the
same in gzip, so that serving it compressed costs nothing; hashes do not compress.
"""

import gzip
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ledger import plain_file
from ledger.errors import Refused
from ledger.reader import CHECKPOINT_FILE, VKEY_FILE, Reader
from ledger.store.errors import HistoryDiffers, RolledBack
from ledger.tlog import checkpoint, note, tiles
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.layout import Tile

MAX_CHECKPOINT_OCTETS: Final = note.MAX_NOTE_OCTETS
GZIP_SUFFIX: Final = ".gz"
GZIP_LEVEL: Final = 6


class MirrorForeign(Refused):
    """The directory holds something else than a mirror of this log."""

    code = "ledger/mirror-foreign"
    title = "Not a mirror of this log"


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What was done: the size that the copy has now, and how many files that took."""

    size: int
    before: int
    written: int


def update(
    reader: Reader, directory: Path, *, origin: str, vkeys: str, progress: Callable[[int], None] | None = None
) -> Mirrored:
    """The directory is a mirror of the log up to its last signed checkpoint. `vkeys` is the log's keys, one a line.

    Raises MirrorForeign for a directory with anything else in it, RolledBack or HistoryDiffers, writing nothing, if the
    log does not extend the copy, CheckpointAbsent before the first checkpoint, and what reading raises.
    """
    stored = reader.stored_checkpoint()
    before = _before(directory, origin, [note.parse_vkey(vkey) for vkey in vkeys.split()])
    if before is not None:
        _refuse_other_history(reader, before, stored.size)
    written = 0
    for tile in [*tiles.tiles_for(stored.size), *tiles.bundles_for(stored.size)]:
        missing = [name for name in _names(tile) if not (directory / name).exists()]
        data = reader.tile(tile.path) if missing else b""
        for name in missing:
            _write(directory / name, data if name == tile.path else gzip.compress(data, GZIP_LEVEL, mtime=0))
            written += 1
            if progress is not None:
                progress(written)
    _write(directory / VKEY_FILE, vkeys.encode())
    # From here on the copy has the new size; a crash before leaves files that the next run does not write again.
    _write(directory / CHECKPOINT_FILE, stored.best)
    return Mirrored(stored.size, 0 if before is None else before.size, written)


def _names(tile: Tile) -> tuple[str, ...]:
    """The files of a tile, of a bundle its compressed form too."""
    return (tile.path,) if tile.level is not None else (tile.path, tile.path + GZIP_SUFFIX)


def _before(directory: Path, origin: str, verifiers: list[note.Verifier]) -> Checkpoint | None:
    """The checkpoint of the copy so far, None for a new one."""
    path = directory / CHECKPOINT_FILE
    if not path.exists():
        foreign = (
            [one.name for one in directory.iterdir() if one.name not in ("tile", VKEY_FILE)]
            if directory.exists()
            else []
        )
        if any(not name.endswith(".part") for name in foreign):
            raise MirrorForeign("the directory holds other files", expected="nothing, or an older mirror")
        return None
    with plain_file.opened(path) as file:
        signed = file.read(MAX_CHECKPOINT_OCTETS)
    return checkpoint.open_checkpoint(signed, origin, verifiers).checkpoint


def _refuse_other_history(reader: Reader, before: Checkpoint, size: int) -> None:
    if before.size > size:
        raise RolledBack("the log is shorter than its mirror", expected=f"at least {before.size}", found=size)
    if reader.root(before.size) != before.root:
        raise HistoryDiffers("the log does not contain the tree of its mirror", size=before.size)


def _write(path: Path, data: bytes) -> None:
    """The file is there whole and durable, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    with beside.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
