"""The tree of a tombstone: built once when something is erased, kept to show one digest's place in it.

Salts and filling are derived from a key of the vault and the handle, so that a crash in the middle, or a restored
vault, comes to the same root. To anyone without that key they are random.
"""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ledger.privacy import openings
from ledger.privacy.database import Database
from ledger.privacy.keys import TOMBSTONE, Keys, framed
from ledger.privacy.opened import Tombstone
from ledger.privacy.openings import ErasureOpening
from ledger.tlog import hashing, merkle

_SALT: Final = b"flexledger tombstone salt v1"
_FILLING: Final = b"flexledger tombstone filling v1"


@dataclass(frozen=True, slots=True)
class Tree:
    """The leaves, in the order of their hashes: the order says nothing of when they came or which are real."""

    leaves: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """A power of two."""
        return len(self.leaves)

    @property
    def root(self) -> str:
        """In hex."""
        return merkle.root(self.leaves).hex()


def salt_of(keys: Keys, handle: str, digest: str) -> bytes:
    """The salt of one digest's leaf under one tombstone."""
    message = framed(_SALT, handle.encode(), openings.digest_bytes(digest))
    return hmac.digest(keys.service_key(TOMBSTONE), message, "sha256")


def grow(keys: Keys, handle: str, digests: Iterable[str]) -> Tree:
    """The tree over `digests`, filled up to a power of two of at least `openings.SMALLEST_TREE` leaves."""
    leaves = [openings.leaf_hash(salt_of(keys, handle, one), one) for one in digests]
    size = max(openings.SMALLEST_TREE, 1 << (len(leaves) - 1).bit_length() if leaves else 1)
    key = keys.service_key(TOMBSTONE)
    leaves += [
        hmac.digest(key, framed(_FILLING, handle.encode(), number.to_bytes(4, "big")), "sha256")
        for number in range(size - len(leaves))
    ]
    return Tree(tuple(sorted(leaves)))


def store(database: Database, handle: str, tree: Tree) -> None:
    """Keeps the tree; inside the caller's transaction, idempotent."""
    database.execute(
        "INSERT INTO tombstone (handle, leaves, root, size) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (handle, b"".join(tree.leaves), tree.root, tree.size),
    )


def load(database: Database, keys: Keys, handle: str, digest: str) -> Tombstone | None:
    """The tombstone, with the opening of one digest where the tree has it; None where there is no such tombstone."""
    row = database.row("SELECT leaves, root, size, entry FROM tombstone WHERE handle = ?", (handle,))
    if row is None:
        return None
    joined, root, size, entry = row
    leaves = [joined[at : at + hashing.HASH_SIZE] for at in range(0, len(joined), hashing.HASH_SIZE)]
    salt = salt_of(keys, handle, digest)
    leaf = openings.leaf_hash(salt, digest)
    if leaf not in leaves:
        return Tombstone(handle, root, size, entry, None, excludes=bool(leaves))
    index = leaves.index(leaf)
    path = merkle.inclusion_proof(index, size, merkle.reader(leaves))
    opening = ErasureOpening(handle=handle, salt=salt.hex(), index=index, path=tuple(one.hex() for one in path))
    return Tombstone(handle, root, size, entry, opening)
