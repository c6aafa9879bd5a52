"""RFC 6962 / RFC 9162 Merkle trees: roots, inclusion and consistency proofs, made and checked.

Proofs are made from any `Reader` of complete subtree hashes: a list of leaf hashes (`reader`), tiles
(`tiles.TileReader`) or a database table. Checking needs nothing but the proof.
"""

from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from ledger.tlog import hashing
from ledger.tlog.errors import ProofInvalid, SizeOutOfRange
from ledger.tlog.frontier import MAX_SIZE, Frontier, Node

__all__ = [
    "MAX_PROOF_HASHES",
    "MAX_SIZE",
    "Frontier",
    "Node",
    "Reader",
    "consistency_proof",
    "inclusion_proof",
    "reader",
    "root",
    "root_at",
    "root_of_inclusion",
    "verify_consistency",
    "verify_inclusion",
]

MAX_PROOF_HASHES: Final = 63
"""No proof of a tree of up to MAX_SIZE leaves is longer (c2sp.org/tlog-witness)."""

Reader = Callable[[int, int], bytes]
"""`read(level, index)` is the hash of the complete subtree of leaves index * 2**level up to (index + 1) * 2**level."""


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root over these leaf hashes (RFC 9162, section 2.1.1)."""
    row = list(leaf_hashes)
    if not row:
        return hashing.EMPTY_ROOT
    while len(row) > 1:
        row = _row_above(row)
    return row[0]


def _row_above(row: list[bytes]) -> list[bytes]:
    """The hashes one level up; an odd one at the end moves up as it is."""
    above = [hashing.node(row[at], row[at + 1]) for at in range(0, len(row) - 1, 2)]
    if len(row) % 2:
        above.append(row[-1])
    return above


def reader(leaf_hashes: Sequence[bytes]) -> Reader:
    """A Reader over leaf hashes in memory; hashes every complete subtree once."""
    rows = [list(leaf_hashes)]
    while len(rows[-1]) > 1:
        below = rows[-1]
        rows.append([hashing.node(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)])

    def read(level: int, index: int) -> bytes:
        if level < 0 or index < 0 or level >= len(rows) or index >= len(rows[level]):
            raise SizeOutOfRange("no such subtree", level=level, index=index)
        return rows[level][index]

    return read


def root_at(size: int, read: Reader) -> bytes:
    """The root of the first `size` leaves."""
    _refuse_size(size)
    return _subtree(0, size, read) if size else hashing.EMPTY_ROOT


def inclusion_proof(index: int, size: int, read: Reader) -> list[bytes]:
    """The hashes that lead from leaf `index` to the root of the first `size` leaves, leaf's sibling first.

    RFC 9162, section 2.1.3.1. Raises SizeOutOfRange unless 0 <= index < size <= MAX_SIZE.
    """
    _refuse_size(size)
    if not 0 <= index < size:
        raise SizeOutOfRange("no such leaf in the tree", expected=f"0 <= index < {size}", found=index)
    # Where the leaf's way up meets that of the last leaf. Below, every sibling is a complete subtree but the last one,
    # which ends where the tree ends; above, what stands to the left is complete.
    inner = (index ^ (size - 1)).bit_length()
    proof = [read(level, index >> level ^ 1) for level in range(inner - 1)]
    if inner:
        start = (index >> inner - 1 ^ 1) << inner - 1
        proof.append(_subtree(start, min(size, start + (1 << inner - 1)), read))
    proof += [read(level, (index >> level) - 1) for level in range(inner, index.bit_length()) if index >> level & 1]
    return proof


def consistency_proof(old: int, new: int, read: Reader) -> list[bytes]:
    """The hashes that show the first `old` leaves to be a prefix of the first `new` leaves.

    RFC 9162, section 2.1.4.1; empty when `old` is 0 or equals `new`. Raises SizeOutOfRange unless
    0 <= old <= new <= MAX_SIZE.
    """
    _refuse_size(new)
    if not 0 <= old <= new:
        raise SizeOutOfRange("no such prefix of the tree", expected=f"0 <= old <= {new}", found=old)
    if old == 0:
        return []
    parts: list[tuple[int, int]] = []
    start, end = 0, new
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            parts.append((middle, end))
            end = middle
        else:
            parts.append((start, middle))
            start = middle
    if start:
        # The old tree does not end with a subtree whose root the verifier has: show the last one of it.
        parts.append((start, old))
    return [_subtree(first, last, read) for first, last in reversed(parts)]


def verify_inclusion(proof: Sequence[bytes], *, index: int, size: int, leaf_hash: bytes, root: bytes) -> None:
    """The leaf stands at `index` in the tree with this size and root; raises ProofInvalid otherwise.

    RFC 9162, section 2.1.3.2.
    """
    top = root_of_inclusion(proof, index=index, size=size, leaf_hash=leaf_hash)
    if top != root:
        _fail("the leaf leads to another root", expected=root.hex(), found=top.hex())


def root_of_inclusion(proof: Sequence[bytes], *, index: int, size: int, leaf_hash: bytes) -> bytes:
    """The root to which the proof leads from the leaf: it is proven by nobody until somebody signed that root.

    Raises ProofInvalid for a proof that no tree of this size has.
    """
    _refuse_hashes([leaf_hash, *proof])
    if not 0 <= index < size <= MAX_SIZE:
        _fail("index outside the tree", expected=f"0 <= index < size <= {MAX_SIZE}", found=f"{index}, {size}")
    inner = (index ^ (size - 1)).bit_length()
    border = (index >> inner).bit_count()
    _refuse_length(proof, inner + border)
    top = _climb(leaf_hash, proof[:inner], index)
    for left in proof[inner:]:
        top = hashing.node(left, top)
    return top


def verify_consistency(
    proof: Sequence[bytes], *, old_size: int, new_size: int, old_root: bytes, new_root: bytes
) -> None:
    """The tree with the old size and root is a prefix of the one with the new; raises ProofInvalid otherwise.

    RFC 9162, section 2.1.4.2. From the empty tree there is nothing to prove, and `old_size` 0 is refused: who
    starts from nothing must say so.
    """
    _refuse_hashes(proof)
    if not 0 < old_size <= new_size <= MAX_SIZE:
        _fail("sizes out of order", expected="0 < old <= new", found=f"{old_size}, {new_size}")
    if old_size == new_size:
        _refuse_length(proof, 0)
        if old_root != new_root:
            _fail("two roots for one size", expected=old_root.hex(), found=new_root.hex())
        return
    # The last subtree of the old tree, 2**height leaves wide: everything above it is shared with the new one.
    height = (old_size & -old_size).bit_length() - 1
    inner = ((old_size - 1) ^ (new_size - 1)).bit_length()
    border = ((old_size - 1) >> inner).bit_count()
    inner -= height
    is_root_known = old_size == 1 << height
    _refuse_length(proof, inner + border + (0 if is_root_known else 1))
    seed, path = (old_root, proof) if is_root_known else (proof[0], proof[1:])
    position = (old_size - 1) >> height
    old_top = seed
    for at, left in enumerate(path[:inner]):
        if position >> at & 1:
            old_top = hashing.node(left, old_top)
    new_top = _climb(seed, path[:inner], position)
    for left in path[inner:]:
        old_top = hashing.node(left, old_top)
        new_top = hashing.node(left, new_top)
    if old_top != old_root:
        _fail("the proof leads to another old root", expected=old_root.hex(), found=old_top.hex())
    if new_top != new_root:
        _fail("the proof leads to another new root", expected=new_root.hex(), found=new_top.hex())


def _climb(bottom: bytes, siblings: Sequence[bytes], position: int) -> bytes:
    """The hash above `bottom` after joining its siblings; bit i of `position` says on which side it stands."""
    top = bottom
    for at, sibling in enumerate(siblings):
        top = hashing.node(sibling, top) if position >> at & 1 else hashing.node(top, sibling)
    return top


def _split(count: int) -> int:
    """The largest power of two smaller than `count` (at least 2): where RFC 9162 divides a tree."""
    return 1 << (count - 1).bit_length() - 1


def _subtree(start: int, end: int, read: Reader) -> bytes:
    """The hash over leaves start..end, where `start` is a multiple of the width rounded up to a power of two."""
    parts: list[bytes] = []
    while start < end:
        level = (end - start).bit_length() - 1
        parts.append(read(level, start >> level))
        start += 1 << level
    top = parts.pop()
    while parts:
        top = hashing.node(parts.pop(), top)
    return top


def _refuse_size(size: int) -> None:
    if not 0 <= size <= MAX_SIZE:
        raise SizeOutOfRange("no tree has this size", expected=f"0 <= size <= {MAX_SIZE}", found=size)


def _refuse_hashes(hashes: Sequence[bytes]) -> None:
    for item in hashes:
        if len(item) != hashing.HASH_SIZE:
            _fail("not a hash", expected=f"{hashing.HASH_SIZE} octets", found=f"{len(item)} octets")


def _refuse_length(proof: Sequence[bytes], expected: int) -> None:
    if len(proof) != expected or len(proof) > MAX_PROOF_HASHES:
        _fail("wrong number of hashes", expected=expected, found=len(proof))


def _fail(detail: str, *, expected: object, found: object) -> NoReturn:
    raise ProofInvalid(detail, expected=expected, found=found)
