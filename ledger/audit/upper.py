"""The tiles above the leaves: every hash in one must be the root of the tile beneath it."""

from collections.abc import Callable, Iterator, Mapping

from ledger.audit.blocks import split, subtree_root
from ledger.audit.report import Code, Finding
from ledger.audit.source import LogSource, TileBytes
from ledger.tlog import hashing
from ledger.tlog.tiles import TILE_WIDTH

Roots = tuple[bytes, ...]
"""The roots that may stand for a tile one level up: the derived one, then the one over what is stored of it."""


def faults(source: LogSource, derived: bytearray, stored: Mapping[int, bytes]) -> Iterator[Finding]:
    """What is wrong above the leaves; `derived` are the roots of the full blocks, `stored` those of their tiles where
    they differ.
    """
    size = hashing.HASH_SIZE

    def of_block(at: int) -> Roots:
        root = bytes(derived[at * size : at * size + size])
        return (root, stored[at]) if at in stored else (root,)

    below: Callable[[int], Roots] = of_block
    count, level = len(derived) // size, 1
    while count:
        above: list[Roots] = []
        for tile in range(-(-count // TILE_WIDTH)):
            children = [below(at) for at in range(tile * TILE_WIDTH, min(count, (tile + 1) * TILE_WIDTH))]
            found = source.tile(level, tile, len(children))
            yield from _tile(found, level, tile, children)
            if len(children) == TILE_WIDTH:
                above.append(_roots(found, children))
        below, count, level = above.__getitem__, len(above), level + 1


def _roots(found: TileBytes | None, children: list[Roots]) -> Roots:
    root = subtree_root([child[0] for child in children])
    if found is None or len(found.hashes) != TILE_WIDTH * hashing.HASH_SIZE:
        return (root,)
    stored = subtree_root(split(found.hashes))
    return (root,) if stored == root else (root, stored)


def _tile(found: TileBytes | None, level: int, tile: int, children: list[Roots]) -> Iterator[Finding]:
    """What is wrong with one tile over these."""
    if found is None:
        return
    first_index = tile * TILE_WIDTH * TILE_WIDTH**level

    def differs(detail: str, index: int, expected: str | None, is_: str) -> Finding:
        return Finding(
            code=Code.TILE_MISMATCH,
            detail=detail,
            index=index,
            level=level,
            tile=tile,
            expected=expected,
            found=is_,
            file=found.file,
        )

    wanted = len(children) * hashing.HASH_SIZE
    if len(found.hashes) != wanted:
        yield differs(
            "the tile is missing or has another length", first_index, f"{wanted} octets", f"{len(found.hashes)} octets"
        )
        return
    for at, (slot, child) in enumerate(zip(split(found.hashes), children, strict=True)):
        if slot not in child:
            yield differs(
                f"hash {at} of the tile is not the root of the tile beneath, which begins with this entry",
                first_index + at * TILE_WIDTH**level,
                child[0].hex(),
                slot.hex(),
            )
    if len(children) == TILE_WIDTH and found.root is not None:
        roots = _roots(found, children)
        if found.root not in roots:
            detail = "the stored root of the tile is not the root over its hashes"
            yield differs(detail, first_index, roots[-1].hex(), found.root.hex())
