"""c2sp.org/tlog-tiles: reading a log from its files, and writing them.

Names and framing are in `layout`; what a caller needs of it is given here too.
"""

import zlib
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from ledger.errors import Absent
from ledger.tlog import hashing, merkle
from ledger.tlog.errors import SizeOutOfRange, TileMalformed, TileMismatch
from ledger.tlog.layout import (
    MAX_BUNDLE_OCTETS,
    MAX_ENTRY_OCTETS,
    MAX_LEVEL,
    TILE_HEIGHT,
    TILE_WIDTH,
    Tile,
    bundles_for,
    decode_bundle,
    decode_hashes,
    encode_bundle,
    entries_path,
    parse_path,
    tile_path,
    tiles_for,
    width_at,
)

__all__ = [
    "MAX_ENTRY_OCTETS",
    "TILE_HEIGHT",
    "TILE_WIDTH",
    "Tile",
    "TileReader",
    "bundles_for",
    "decode_bundle",
    "decode_hashes",
    "encode_bundle",
    "entries_path",
    "parse_path",
    "read_bundle",
    "tile_path",
    "tiles_for",
    "width_at",
    "write_tree",
]

CACHED_TILES: Final = 512
"""About 40 KiB each, with the nodes inside."""

CACHED_BUNDLES: Final = 8
"""Up to 16 MiB each, far less for the entries that people write."""

_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 31

Key = TypeVar("Key")
Value = TypeVar("Value")

Rows = list[tuple[bytes, ...]]
"""The hashes of a tile and of the complete subtrees inside it, from its bottom row up."""


class TileReader:
    """Reads a tree of `size` leaves from its tiles; `read` serves `merkle.inclusion_proof` and its siblings.

    `fetch(path)` gives the bytes of a file or raises Absent. With `root` (from an opened checkpoint) every tile is
    compared with the tile above it, and the topmost ones with the root, so what is read is authentic; without it
    proofs made from `read` still have to be verified.
    """

    def __init__(self, fetch: Callable[[str], bytes], size: int, *, root: bytes | None = None) -> None:
        """Reads nothing yet; raises SizeOutOfRange."""
        if not 0 <= size <= merkle.MAX_SIZE:
            raise SizeOutOfRange("no tree has this size", found=size)
        self._fetch = fetch
        self._size = size
        self._root = root
        # The partial tiles once they are known to add up to the root; nothing to know without one.
        self._edge: dict[tuple[int, int], Rows] | None = {} if root is None else None
        self._tiles: dict[tuple[int, int], Rows] = {}
        self._bundles: dict[int, tuple[bytes, ...]] = {}

    @property
    def size(self) -> int:
        """How many leaves the tree has."""
        return self._size

    def read(self, level: int, index: int) -> bytes:
        """The hash of the complete subtree of leaves index * 2**level up to (index + 1) * 2**level.

        Raises SizeOutOfRange, TileMalformed, TileMismatch and whatever `fetch` raises.
        """
        if not 0 <= level <= MAX_LEVEL or index < 0 or (index + 1) << level > self._size:
            raise SizeOutOfRange("no such subtree in the tree", level=level, index=index, size=self._size)
        return _node_in(lambda place: self._rows(*place), level, index)

    def root(self) -> bytes:
        """The root that the tiles add up to."""
        return merkle.root_at(self._size, self.read)

    def entry(self, index: int) -> bytes:
        """The entry at `index`, whose leaf hash is the one in the tile; raises as `read` does."""
        if not 0 <= index < self._size:
            raise SizeOutOfRange("no such entry in the tree", index=index, size=self._size)
        bundle, at = divmod(index, TILE_WIDTH)
        return self.bundle(bundle)[at]

    def bundle(self, index: int) -> tuple[bytes, ...]:
        """All entries of a bundle, each compared with its leaf hash; the exact entry is named if it differs."""
        if index not in self._bundles:
            tile = Tile(None, index, self._width(0, index))
            entries = read_bundle(self._fetch_tile(tile), tile.width)
            for at, entry in enumerate(entries):
                self._refuse_entry(index * TILE_WIDTH + at, entry)
            _remember(self._bundles, index, entries, CACHED_BUNDLES)
        return self._bundles[index]

    def _refuse_entry(self, index: int, entry: bytes) -> None:
        expected, found = self.read(0, index), hashing.leaf(entry)
        if found != expected:
            raise TileMismatch("not the entry of this leaf", expected=expected.hex(), found=found.hex(), index=index)

    def _width(self, level: int, index: int) -> int:
        width = width_at(level, index, self._size)
        if width < 1:
            raise SizeOutOfRange("no such tile in the tree", level=level, index=index, size=self._size)
        return width

    def _rows(self, level: int, index: int) -> Rows:
        """The rows of a tile, authentic if a root was given."""
        if self._edge is None:
            self._edge = self._open_edge()
        known = self._edge.get((level, index)) or self._tiles.get((level, index))
        if known is not None:
            return known
        tile = Tile(level, index, self._width(level, index))
        rows = self._load(tile)
        if self._root is not None:
            # A root was given, so the edge is open and this tile is full: the one above holds its root.
            expected, found = self.read(TILE_HEIGHT * (level + 1), index), rows[TILE_HEIGHT][0]
            if found != expected:
                raise TileMismatch(
                    "not the tile that the one above commits to",
                    expected=expected.hex(),
                    found=found.hex(),
                    path=tile.path,
                )
        _remember(self._tiles, (level, index), rows, CACHED_TILES)
        return rows

    def _open_edge(self) -> dict[tuple[int, int], Rows]:
        """The partial tiles, to which no tile above commits: together they are the root. Raises TileMismatch."""
        edge: dict[tuple[int, int], Rows] = {}
        for level in range(MAX_LEVEL + 1):
            full, width = divmod(self._size >> TILE_HEIGHT * level, TILE_WIDTH)
            if width:
                edge[level, full] = self._load(Tile(level, full, width))
        found = merkle.root_at(self._size, lambda level, index: _node_in(edge.__getitem__, level, index))
        if found != self._root:
            expected = None if self._root is None else self._root.hex()
            raise TileMismatch("the tiles add up to another root", expected=expected, found=found.hex())
        return edge

    def _load(self, tile: Tile) -> Rows:
        return _rows_of(decode_hashes(self._fetch_tile(tile), tile.width))

    def _fetch_tile(self, tile: Tile) -> bytes:
        """The bytes of the tile; those of the full one, cut to size, where the partial one is gone."""
        try:
            return self._fetch(tile.path)
        except Absent:
            if tile.width == TILE_WIDTH:
                raise
        whole = self._fetch(tile.full.path)
        if tile.level is not None:
            return b"".join(decode_hashes(whole, TILE_WIDTH)[: tile.width])
        return encode_bundle(read_bundle(whole, TILE_WIDTH)[: tile.width])


def read_bundle(data: bytes, expected_count: int) -> tuple[bytes, ...]:
    """The entries of a bundle as served: plain, or compressed with gzip; raises TileMalformed."""
    try:
        return decode_bundle(data, expected_count)
    except TileMalformed:
        # A plain bundle may begin like gzip, so gzip is the second guess.
        if not data.startswith(_GZIP_MAGIC):
            raise
    return decode_bundle(_gunzip(data), expected_count)


def _gunzip(data: bytes) -> bytes:
    stream = zlib.decompressobj(_GZIP_WINDOW)
    try:
        plain = stream.decompress(data, MAX_BUNDLE_OCTETS + 1)
    except zlib.error:
        raise TileMalformed("neither a bundle nor gzip") from None
    if len(plain) > MAX_BUNDLE_OCTETS or not stream.eof or stream.unused_data:
        raise TileMalformed("not one gzip member of a bundle", expected=f"<= {MAX_BUNDLE_OCTETS} octets")
    return plain


def _rows_of(hashes: tuple[bytes, ...]) -> Rows:
    rows = [hashes]
    while len(rows[-1]) > 1:
        below = rows[-1]
        rows.append(tuple(hashing.node(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)))
    return rows


def _node_in(rows: Callable[[tuple[int, int]], Rows], level: int, index: int) -> bytes:
    """The hash of a complete subtree, out of the tile that it lies in."""
    tile_level, inside = divmod(level, TILE_HEIGHT)
    tile_index, at = divmod(index, 1 << TILE_HEIGHT - inside)
    return rows((tile_level, tile_index))[inside][at]


def _remember(cache: dict[Key, Value], key: Key, value: Value, limit: int) -> None:
    """The oldest one makes room."""
    while len(cache) >= limit:
        del cache[next(iter(cache))]
    cache[key] = value


def write_tree(leaf_entries: Iterable[bytes], put: Callable[[str, bytes], None]) -> merkle.Frontier:
    """Every tile and bundle of the log of these entries is put, each exactly once; returns its frontier.

    A tile is put before the one above it. Holds one tile a level in memory. Raises EntryTooLarge.
    """
    frontier = merkle.Frontier()
    bundle: list[bytes] = []
    open_tiles: list[list[bytes]] = []
    for entry in leaf_entries:
        bundle.append(entry)
        if len(bundle) == TILE_WIDTH:
            put(entries_path(frontier.size // TILE_WIDTH), encode_bundle(bundle))
            bundle = []
        for level, _, node in frontier.append(hashing.leaf(entry))[::TILE_HEIGHT]:
            tile_level = level // TILE_HEIGHT
            if tile_level == len(open_tiles):
                open_tiles.append([])
            open_tiles[tile_level].append(node)
            if len(open_tiles[tile_level]) == TILE_WIDTH:
                full = (frontier.size >> level) // TILE_WIDTH - 1
                put(tile_path(tile_level, full), b"".join(open_tiles[tile_level]))
                open_tiles[tile_level] = []
    if bundle:
        put(entries_path(frontier.size // TILE_WIDTH, len(bundle)), encode_bundle(bundle))
    for tile_level, hashes in enumerate(open_tiles):
        if hashes:
            index = frontier.size >> TILE_HEIGHT * (tile_level + 1)
            put(tile_path(tile_level, index, len(hashes)), b"".join(hashes))
    return frontier
