"""A static tlog-tiles directory as the source of an audit."""

import os
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ledger import plain_file
from ledger.audit.report import Code, Finding
from ledger.audit.source import MAX_MISSING, Block, End, Projections, Row, SignedNote, TileBytes
from ledger.errors import LedgerError
from ledger.tlog import checkpoint, note, tiles
from ledger.tlog.errors import KeyMalformed
from ledger.tlog.layout import MAX_BUNDLE_OCTETS
from ledger.tlog.tiles import TILE_WIDTH

CHECKPOINT_FILE: Final = "checkpoint"
VKEY_FILE: Final = "vkey"
MAX_GROUPS: Final = 7
"""Of three digits, in the index of a bundle."""
GZIP_SUFFIX: Final = ".gz"
"""Of a bundle's compressed form, which stands beside it."""
_GZIP: Final = 31
"""For zlib: a window of 32 KiB, and the header of gzip (RFC 1952)."""
_LENGTH_OCTETS: Final = 2


class StaticSource:
    """The layout of c2sp.org/tlog-tiles: `checkpoint`, `tile/<level>/...`, `tile/entries/...`, and our `vkey`."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        """Reads nothing yet."""
        self._root = Path(directory)

    def size(self) -> int:
        """What the checkpoint says, as far as there are files for it."""
        committed = self.committed_size()
        end = missing = 0
        for index in self._bundles():
            missing += index - end
            if index * TILE_WIDTH >= committed or missing > MAX_MISSING // TILE_WIDTH:
                break
            end = index + 1
        whole = -(-committed // TILE_WIDTH)
        return committed if whole - end <= MAX_MISSING // TILE_WIDTH else end * TILE_WIDTH

    def committed_size(self) -> int:
        """What the checkpoint says, verified or not; 0 if it says nothing."""
        signed = self._read(CHECKPOINT_FILE, note.MAX_NOTE_OCTETS)
        try:
            return 0 if signed is None else checkpoint.parse(note.parse(signed).text).size
        except LedgerError:
            return 0

    def _bundles(self) -> Iterator[int]:
        """The indices of the bundles that are there, full or not, rising."""
        for groups in range(MAX_GROUPS):
            yield from _indices(self._root / "tile" / "entries", 0, groups)

    def notes(self) -> Iterator[SignedNote]:
        signed = self._read(CHECKPOINT_FILE, note.MAX_NOTE_OCTETS)
        if signed is not None:
            yield SignedNote(signed, None, CHECKPOINT_FILE)

    def block(self, index: int, width: int) -> Block:
        path = tiles.entries_path(index, width)
        tile_path = tiles.tile_path(0, index, width)
        start = index * TILE_WIDTH
        faults: list[Finding] = []
        data = self._read(path, MAX_BUNDLE_OCTETS)
        if data is None:
            faults.append(_missing(path, start))
            data = b""
        rows, rest = _entries(data, start, width)
        if rest and not faults:
            at = next((row[0] for row in rows if row[1] is None), start + width - 1)
            faults.append(
                Finding(
                    code=Code.ENTRY_MALFORMED,
                    detail="the bundle's framing is broken at or before this entry",
                    index=at,
                    expected=f"{width} entries",
                    file=path,
                )
            )
        if not self._is_same_compressed(path, data):
            faults.append(
                Finding(
                    code=Code.FILE_DIFFERS,
                    detail="the compressed file holds another bundle",
                    index=start,
                    file=path + GZIP_SUFFIX,
                )
            )
        slots = self._read(tile_path, TILE_WIDTH * 32)
        if slots is None:
            faults.append(_missing(tile_path, start))
        return Block(rows, slots, None, None, tuple(faults), path, tile_path)

    def tile(self, level: int, index: int, width: int) -> TileBytes | None:
        path = tiles.tile_path(level, index, width)
        return TileBytes(self._read(path, TILE_WIDTH * 32) or b"", None, path)

    def recorded(self, statements: Sequence[tuple[str, str, int]]) -> None:
        """A static log has no such table."""
        del statements

    def confirmed(self, ends: Sequence[End]) -> tuple[str, ...]:
        """A static log has no table of streams."""
        del ends
        return ()

    def place_of(self, party: str, jti: str) -> None:
        """A static log has no such table."""
        del party, jti

    def faults(self, vkeys: tuple[str, ...]) -> Iterator[Finding]:
        beside = self._read(VKEY_FILE, note.MAX_NOTE_OCTETS)
        if beside is not None and not _are_keys(beside, vkeys):
            yield Finding(
                code=Code.FILE_DIFFERS, detail="the key beside the log is none of those trusted here", file=VKEY_FILE
            )
        if self._read(CHECKPOINT_FILE, note.MAX_NOTE_OCTETS) is None:
            yield _missing(CHECKPOINT_FILE, None)

    def projections(self) -> Projections | None:
        return None

    def close(self) -> None:
        """Nothing is open."""

    def _is_same_compressed(self, path: str, data: bytes) -> bool:
        """Whether a server that sends the compressed file sends the same; so does one that has none."""
        packed = self._read(path + GZIP_SUFFIX, MAX_BUNDLE_OCTETS)
        if packed is None:
            return True
        inflate = zlib.decompressobj(_GZIP)
        try:
            found = inflate.decompress(packed, len(data) + 1)
        except zlib.error:
            return False
        return found == data and inflate.eof and not inflate.unused_data

    def _read(self, path: str, limit: int) -> bytes | None:
        """At most one octet more than `limit`, so that a longer file is seen to differ; None if there is no file."""
        try:
            with plain_file.opened(self._root / path) as file:
                return file.read(limit + 1)
        except OSError:
            return None


def _indices(folder: Path, above: int, groups: int) -> Iterator[int]:
    """The indices that end `groups` folders further down. Links are not followed, for they may lead back."""
    inner = re.compile(r"x[0-9]{3}" if groups else r"[0-9]{3}(\.p)?")
    try:
        with os.scandir(folder) as found:
            names = {one.name for one in found if inner.fullmatch(one.name) and not (groups and one.is_symlink())}
    except OSError:
        return
    for group in sorted({int(name[1:] if groups else name[:3]) for name in names}):
        if not groups:
            yield above * 1000 + group
        elif above or group:
            yield from _indices(folder / f"x{group:03d}", above * 1000 + group, groups - 1)


def _are_keys(data: bytes, trusted: tuple[str, ...]) -> bool:
    """Whether the file holds verifier keys, one a line, and one that is trusted.

    A log that changed its key has several, and an auditor may know the newer ones only.
    """
    try:
        found = [note.parse_vkey(line).vkey for line in data.decode().split("\n")[:-1]]
    except (KeyMalformed, UnicodeDecodeError):
        return False
    return data.endswith(b"\n") and not set(trusted).isdisjoint(found)


def _missing(path: str, index: int | None) -> Finding:
    return Finding(code=Code.FILE_DIFFERS, detail="the file is missing or unreadable", index=index, file=path)


def _entries(data: bytes, start: int, width: int) -> tuple[list[Row], bool]:
    """The entries of a bundle as far as its framing can be followed, and whether it could not be to the end."""
    rows: list[Row] = []
    at = 0
    for index in range(start, start + width):
        begin = at + _LENGTH_OCTETS
        end = begin + int.from_bytes(data[at:begin], "big")
        if begin > len(data) or end > len(data):
            rows.extend((missing, None, None, None, None) for missing in range(index, start + width))
            return rows, True
        rows.append((index, data[begin:end], None, None, None))
        at = end
    return rows, at != len(data)
