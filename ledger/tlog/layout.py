"""c2sp.org/tlog-tiles: how the files of a log are named and framed.

Level 0 tiles hold 256 leaf hashes; each hash of a tile above is the root of a full tile beneath. Entry bundles hold
the entries of a level 0 tile. The rightmost tile of a level is partial, with its width in the path.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ledger.tlog import hashing, merkle
from ledger.tlog.errors import EntryTooLarge, SizeOutOfRange, TileMalformed

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
MAX_LEVEL: Final = 63
MAX_ENTRY_OCTETS: Final = 65535
MAX_BUNDLE_OCTETS: Final = TILE_WIDTH * (2 + MAX_ENTRY_OCTETS)
MAX_PATH_CHARACTERS: Final = 64

_PATH: Final = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile, or an entry bundle when `level` is None; `width` hashes or entries, 256 when full."""

    level: int | None
    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        """Raises SizeOutOfRange."""
        if self.level is not None and not 0 <= self.level <= MAX_LEVEL:
            raise SizeOutOfRange("no such tile level", expected=f"0 to {MAX_LEVEL}", found=self.level)
        if not 0 <= self.index <= merkle.MAX_SIZE >> TILE_HEIGHT:
            raise SizeOutOfRange("no such tile", found=self.index)
        if not 1 <= self.width <= TILE_WIDTH:
            raise SizeOutOfRange("no such tile width", expected=f"1 to {TILE_WIDTH}", found=self.width)

    @property
    def path(self) -> str:
        """Such as `tile/0/x001/067.p/8`."""
        groups = [f"{self.index % 1000:03d}"]
        rest = self.index // 1000
        while rest:
            groups.append(f"x{rest % 1000:03d}")
            rest //= 1000
        level = "entries" if self.level is None else self.level
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{'/'.join(reversed(groups))}{partial}"

    @property
    def full(self) -> "Tile":
        """The tile that this one becomes when the tree has grown."""
        return Tile(self.level, self.index)


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """The path of a tile, such as `tile/0/x001/067.p/8`."""
    return Tile(level, index, width).path


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """The path of an entry bundle, such as `tile/entries/x001/067`."""
    return Tile(None, index, width).path


def parse_path(path: str) -> Tile:
    """The tile or bundle that this is the only path of; raises TileMalformed."""
    found = _PATH.fullmatch(path) if len(path) <= MAX_PATH_CHARACTERS else None
    if found is None:
        raise TileMalformed("not the path of a tile")
    level = None if found["level"] == "entries" else int(found["level"])
    index = int(re.sub("[x/]", "", found["index"]))
    width = TILE_WIDTH if found["width"] is None else int(found["width"])
    try:
        tile = Tile(level, index, width)
    except SizeOutOfRange:
        raise TileMalformed("the path of a tile that no tree has") from None
    if tile.path != path:
        raise TileMalformed("not the shortest path of the tile", expected=tile.path)
    return tile


def width_at(level: int, index: int, size: int) -> int:
    """How many hashes the tile has in a tree of `size` leaves, at most 256; 0 or less when it has no such tile."""
    return min(TILE_WIDTH, (size >> TILE_HEIGHT * level) - index * TILE_WIDTH)


def tiles_for(size: int) -> Iterator[Tile]:
    """Every tile of a tree of `size` leaves, level by level from the leaves, left to right; no bundles."""
    if not 0 <= size <= merkle.MAX_SIZE:
        raise SizeOutOfRange("no tree has this size", found=size)
    level = 0
    while size >> TILE_HEIGHT * level:
        full, partial = divmod(size >> TILE_HEIGHT * level, TILE_WIDTH)
        yield from (Tile(level, index) for index in range(full))
        if partial:
            yield Tile(level, full, partial)
        level += 1


def bundles_for(size: int) -> Iterator[Tile]:
    """Every entry bundle of a tree of `size` leaves, left to right."""
    if not 0 <= size <= merkle.MAX_SIZE:
        raise SizeOutOfRange("no tree has this size", found=size)
    full, partial = divmod(size, TILE_WIDTH)
    yield from (Tile(None, index) for index in range(full))
    if partial:
        yield Tile(None, full, partial)


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """The entries, each behind its length as uint16, big-endian; raises EntryTooLarge, TileMalformed."""
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise TileMalformed("a bundle has 1 to 256 entries", found=len(entries))
    parts: list[bytes] = []
    for at, entry in enumerate(entries):
        if len(entry) > MAX_ENTRY_OCTETS:
            raise EntryTooLarge("entry too large", expected=f"<= {MAX_ENTRY_OCTETS}", found=len(entry), at=at)
        parts.append(len(entry).to_bytes(2, "big"))
        parts.append(entry)
    return b"".join(parts)


def decode_bundle(data: bytes, expected_count: int) -> tuple[bytes, ...]:
    """The entries of a bundle that holds exactly `expected_count`; raises TileMalformed."""
    if not 1 <= expected_count <= TILE_WIDTH:
        raise TileMalformed("a bundle has 1 to 256 entries", found=expected_count)
    entries: list[bytes] = []
    start = 0
    for at in range(expected_count):
        end = start + 2 + int.from_bytes(data[start : start + 2], "big")
        if start + 2 > len(data) or end > len(data):
            raise TileMalformed("the bundle ends within an entry", expected=expected_count, found=at)
        entries.append(data[start + 2 : end])
        start = end
    if start != len(data):
        raise TileMalformed("octets after the last entry", expected=start, found=len(data))
    return tuple(entries)


def decode_hashes(data: bytes, expected_count: int) -> tuple[bytes, ...]:
    """The hashes of a tile that holds exactly `expected_count`; raises TileMalformed."""
    if len(data) != expected_count * hashing.HASH_SIZE:
        raise TileMalformed("wrong length of a tile", expected=expected_count * hashing.HASH_SIZE, found=len(data))
    return tuple(data[start : start + hashing.HASH_SIZE] for start in range(0, len(data), hashing.HASH_SIZE))
