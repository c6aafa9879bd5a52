"""The tree over a store: its open tiles at the right edge, and any node of it for proofs."""

from collections.abc import Iterable, Sequence
from typing import Final

from ledger.store.errors import StoreDamaged
from ledger.store.protocol import ReadStore
from ledger.tlog import hashing
from ledger.tlog.errors import SizeOutOfRange
from ledger.tlog.frontier import Frontier
from ledger.tlog.merkle import Node
from ledger.tlog.tiles import TILE_HEIGHT, TILE_WIDTH

CACHED_TILES: Final = 1024
"""About 40 KiB each with the nodes inside."""

Rows = tuple[tuple[bytes, ...], ...]


class OpenTiles:
    """The hashes of the tiles that are not full yet, one list a tile level; all that a sequencer keeps of its tiles."""

    __slots__ = ("_levels",)

    def __init__(self, levels: Iterable[list[bytes]] = ()) -> None:
        """Without arguments: those of the empty tree."""
        self._levels = list(levels)

    @classmethod
    def load(cls, store: ReadStore, size: int) -> "OpenTiles":
        """Those of the first `size` leaves of a store: at most 255 hashes a level, whatever the size."""
        levels = []
        level = 0
        while size >> TILE_HEIGHT * level:
            levels.append(list(edge_hashes(store, level, size)))
            level += 1
        return cls(levels)

    def copy(self) -> "OpenTiles":
        """Another one, for a batch that may fail."""
        return OpenTiles([list(level) for level in self._levels])

    def __eq__(self, other: object) -> bool:
        """Equal when they hold the same hashes."""
        if not isinstance(other, OpenTiles):
            return NotImplemented
        return self._levels == other._levels

    __hash__ = None  # type: ignore[assignment]  # mutable, like a list

    def grow(self, frontier: Frontier, leaves: Sequence[bytes]) -> list[tuple[int, int, bytes, bytes]]:
        """Takes these leaves, and so does the frontier; returns the tiles that are full now.

        `frontier` is that of the tree whose open tiles these are.
        """
        full: list[tuple[int, int, bytes, bytes]] = []
        if not self._levels and leaves:
            self._levels.append([])
        start = 0
        while start < len(leaves):
            # Up to the leaf that completes a tile nothing is asked of the nodes in between.
            last = start + TILE_WIDTH - 1 - frontier.size % TILE_WIDTH
            some = leaves[start:last]
            frontier.extend(some)
            self._levels[0].extend(some)
            if last < len(leaves):
                full += self.add(frontier.append(leaves[last]))
            start = last + 1
        return full

    def add(self, nodes: tuple[Node, ...]) -> list[tuple[int, int, bytes, bytes]]:
        """Takes the nodes that one leaf completed (`Frontier.append`); returns the tiles that are full now."""
        levels = self._levels
        if not levels:
            levels.append([])
        bottom = levels[0]
        bottom.append(nodes[0][2])
        if len(bottom) < TILE_WIDTH:
            return []
        full: list[tuple[int, int, bytes, bytes]] = []
        level = 0
        while len(levels[level]) == TILE_WIDTH:
            _, index, root = nodes[TILE_HEIGHT * (level + 1)]
            full.append((level, index, b"".join(levels[level]), root))
            levels[level] = []
            level += 1
            if level == len(levels):
                levels.append([])
            levels[level].append(root)
        return full


def edge_hashes(store: ReadStore, level: int, size: int) -> list[bytes]:
    """The hashes of the tile at the right edge of a tile level in a tree of `size` leaves; empty if it is full."""
    stop = size >> TILE_HEIGHT * level
    start = stop - stop % TILE_WIDTH
    return row_hashes(store, level, start, stop)


def row_hashes(store: ReadStore, level: int, start: int, stop: int) -> list[bytes]:
    """The hashes start..stop of a tile level, from the leaves or the roots below; raises StoreDamaged if some miss."""
    if start == stop:
        return []
    hashes = store.leaves(start, stop) if level == 0 else store.tile_roots(level - 1, start, stop)
    if len(hashes) != stop - start:
        raise StoreDamaged("hashes are missing", expected=stop - start, found=len(hashes), level=level, start=start)
    return hashes


class Nodes:
    """`read(level, index)` for `merkle.inclusion_proof` and its siblings; each tile is read and hashed once."""

    def __init__(self, store: ReadStore) -> None:
        """Reads nothing yet."""
        self._store = store
        self._full: dict[tuple[int, int], Rows] = {}
        self._edge: dict[int, tuple[int, Rows]] = {}

    def read(self, level: int, index: int) -> bytes:
        """The hash of a complete subtree that is committed; raises SizeOutOfRange, StoreDamaged."""
        if level < 0 or index < 0:
            raise SizeOutOfRange("no such subtree", level=level, index=index)
        tile_level, inside = divmod(level, TILE_HEIGHT)
        above = TILE_HEIGHT - inside
        tile = index >> above
        at = index - (tile << above)
        rows = self._full.get((tile_level, tile)) or self._load(tile_level, tile, (at + 1) << inside)
        return rows[inside][at]

    def _load(self, level: int, tile: int, width: int) -> Rows:
        """The rows of a tile, wide enough for its first `width` hashes."""
        known = self._edge.get(level)
        if known is not None and known[0] == tile and len(known[1][0]) >= width:
            return known[1]
        stored = self._store.tile(level, tile)
        if stored is not None:
            rows = _rows([stored.hashes[at : at + hashing.HASH_SIZE] for at in range(0, len(stored.hashes), 32)])
            if len(rows[0]) != TILE_WIDTH:
                raise StoreDamaged("a tile has another length", level=level, tile=tile)
            while len(self._full) >= CACHED_TILES:
                del self._full[next(iter(self._full))]
            self._full[level, tile] = rows
            return rows
        size = self._store.head().size >> TILE_HEIGHT * level
        start = tile * TILE_WIDTH
        if start + width > size:
            raise SizeOutOfRange("no such subtree in the tree", level=level, tile=tile, found=start + width)
        rows = _rows(row_hashes(self._store, level, start, min(size, start + TILE_WIDTH)))
        self._edge[level] = (tile, rows)
        return rows


def _rows(hashes: list[bytes]) -> Rows:
    rows = [tuple(hashes)]
    while len(rows[-1]) > 1:
        below = rows[-1]
        rows.append(tuple(hashing.node(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)))
    return tuple(rows)
