"""The right edge of a growing tree: all that a sequencer has to remember of it."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, Self

from ledger.tlog import hashing
from ledger.tlog.errors import FrontierMalformed, SizeOutOfRange

MAX_SIZE: Final = 2**63 - 1
"""The largest tree size that C2SP formats can say."""

_SIZE_OCTETS: Final = 8

Node = tuple[int, int, bytes]
"""(level, index, hash) of a complete subtree: it covers leaves index * 2**level up to (index + 1) * 2**level."""


class Frontier:
    """The hashes of the complete subtrees that make up a tree, left to right: one for each bit set in its size.

    Mutable and cheap to copy, so that a batch is appended to a copy, which replaces the original after the commit.
    """

    __slots__ = ("_edge", "_size")

    def __init__(self, size: int = 0, edge: Sequence[bytes] = ()) -> None:
        """The tree of this size and edge, empty if not said; raises FrontierMalformed if no tree has them."""
        if not 0 <= size <= MAX_SIZE:
            raise FrontierMalformed("no tree has this size", expected=f"<= {MAX_SIZE}", found=size)
        if len(edge) != size.bit_count() or any(len(item) != hashing.HASH_SIZE for item in edge):
            raise FrontierMalformed("not the edge of its size", expected=size.bit_count(), found=len(edge), size=size)
        self._size = size
        self._edge = list(edge)

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return self._size

    @property
    def edge(self) -> tuple[bytes, ...]:
        """The hashes of the complete subtrees, widest first."""
        return tuple(self._edge)

    def append(self, leaf_hash: bytes) -> tuple[Node, ...]:
        """The leaf is the last one of the tree; returns the nodes that it completed, level 0 (itself) first.

        Raises SizeOutOfRange for what is not a hash and at MAX_SIZE.
        """
        if len(leaf_hash) != hashing.HASH_SIZE:
            raise SizeOutOfRange("not a leaf hash", expected=hashing.HASH_SIZE, found=len(leaf_hash))
        index = self._size
        if index >= MAX_SIZE:
            raise SizeOutOfRange("the tree is full", expected=f"< {MAX_SIZE}", found=index)
        edge = self._edge
        level = 0
        top = leaf_hash
        done = [(0, index, leaf_hash)]
        while index & 1:
            top = sha256(b"\x01" + edge.pop() + top).digest()
            index >>= 1
            level += 1
            done.append((level, index, top))
        edge.append(top)
        self._size += 1
        return tuple(done)

    def extend(self, leaf_hashes: Sequence[bytes]) -> None:
        """As `append` for each of them, for who does not ask for the nodes; raises as it does, having taken none."""
        if any(len(leaf_hash) != hashing.HASH_SIZE for leaf_hash in leaf_hashes):
            raise SizeOutOfRange("not a leaf hash", expected=hashing.HASH_SIZE)
        index = self._size
        if index + len(leaf_hashes) > MAX_SIZE:
            raise SizeOutOfRange("the tree is full", expected=f"<= {MAX_SIZE}", found=index + len(leaf_hashes))
        edge = self._edge
        for top in leaf_hashes:
            left = index
            while left & 1:
                top = sha256(b"\x01" + edge.pop() + top).digest()
                left >>= 1
            edge.append(top)
            index += 1
        self._size = index

    def root(self) -> bytes:
        """The root of the tree (RFC 9162, section 2.1.1)."""
        if not self._edge:
            return hashing.EMPTY_ROOT
        top = self._edge[-1]
        for left in reversed(self._edge[:-1]):
            top = hashing.node(left, top)
        return top

    def copy(self) -> Self:
        """Another frontier of the same tree; appending to one leaves the other as it is."""
        return type(self)(self._size, self._edge)

    def dump(self) -> bytes:
        """The size as uint64, big-endian, then the hashes, widest subtree first: 8 + 32 * popcount(size) octets."""
        return self._size.to_bytes(_SIZE_OCTETS, "big") + b"".join(self._edge)

    @classmethod
    def load(cls, data: bytes) -> Self:
        """The frontier that `dump` wrote; raises FrontierMalformed (the bytes are from our own store)."""
        if len(data) < _SIZE_OCTETS:
            raise FrontierMalformed("too short", expected=f">= {_SIZE_OCTETS} octets", found=len(data))
        size = int.from_bytes(data[:_SIZE_OCTETS], "big")
        expected = _SIZE_OCTETS + hashing.HASH_SIZE * size.bit_count()
        if len(data) != expected:
            raise FrontierMalformed("wrong length for its size", expected=expected, found=len(data), size=size)
        hashes = range(_SIZE_OCTETS, len(data), hashing.HASH_SIZE)
        return cls(size, [data[start : start + hashing.HASH_SIZE] for start in hashes])

    def __eq__(self, other: object) -> bool:
        """Frontiers are equal when size and edge are."""
        if not isinstance(other, Frontier):
            return NotImplemented
        return self._size == other._size and self._edge == other._edge

    __hash__ = None  # type: ignore[assignment]  # mutable, like a list
