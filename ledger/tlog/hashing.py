"""The hashes of an RFC 6962 tree: SHA-256, with one byte that keeps leaves and nodes apart."""

from hashlib import sha256
from typing import Final

HASH_SIZE: Final = 32
"""Octets in a hash."""

EMPTY_ROOT: Final = sha256(b"").digest()
"""Root of the tree without entries (RFC 9162, section 2.1.1)."""


def leaf(data: bytes) -> bytes:
    """SHA-256(0x00 || data), the leaf hash of an entry (RFC 9162, section 2.1.1)."""
    return sha256(b"\x00" + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right), the hash above two subtrees (RFC 9162, section 2.1.1)."""
    return sha256(b"\x01" + left + right).digest()
