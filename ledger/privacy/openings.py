"""One digest's place under a tombstone, checked with nothing but the tombstone: no database, no key.

A tombstone commits to a Merkle tree (RFC 6962 hashing) whose leaves are salted hashes of digests, filled up to a power
of two. An opening shows that one digest fell under it, and says nothing of the others.
"""

import hashlib
from typing import Final

import msgspec

from ledger.privacy.errors import OpeningInvalid
from ledger.records import jws
from ledger.records.errors import StatementMalformed
from ledger.tlog import hashing, merkle
from ledger.tlog.errors import ProofInvalid, SizeOutOfRange

SALT_BYTES: Final = 32
LEAF_PREFIX: Final = b"flexledger erased v1\0"
SMALLEST_TREE: Final = 16
"""Fewer leaves would say how little there was of a person."""

_HEX_DIGEST_LENGTH: Final = 64


class ErasureOpening(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shows that one digest is leaf `index` of the tree of the tombstone with this handle. All hashes in hex."""

    handle: str
    salt: str
    index: int
    path: tuple[str, ...]


def digest_bytes(digest: str) -> bytes:
    """The 32 bytes of a disclosure's digest (base64url) or an attachment's (hex); raises `OpeningInvalid`."""
    try:
        if len(digest) == _HEX_DIGEST_LENGTH:
            return bytes.fromhex(digest)
        data = jws.decode_base64url(digest)
    except (ValueError, StatementMalformed) as error:
        raise OpeningInvalid("not a digest") from error
    if len(data) != hashlib.sha256().digest_size:
        raise OpeningInvalid("not a digest", expected="32 bytes", found=len(data))
    return data


def leaf_hash(salt: bytes, digest: str) -> bytes:
    """The leaf of one digest: without the salt it cannot be told from a random one."""
    return hashing.leaf(LEAF_PREFIX + salt + digest_bytes(digest))


def verify_opening(opening: ErasureOpening, digest: str, root: str, size: int) -> ErasureOpening:
    """The opening, now known to be right: `digest` fell under the tombstone with this `manifest_root` and size.

    Raises `OpeningInvalid`. The caller has checked that the tombstone is in the log and has the opening's handle.
    """
    if size < 1 or size & (size - 1):
        raise OpeningInvalid("the tree's size is not a power of two", found=size)
    try:
        salt = bytes.fromhex(opening.salt)
        path = [bytes.fromhex(one) for one in opening.path]
        expected = bytes.fromhex(root)
    except ValueError as error:
        raise OpeningInvalid("a hash is not hex") from error
    if len(salt) != SALT_BYTES:
        raise OpeningInvalid("the salt has the wrong length", expected=SALT_BYTES, found=len(salt))
    try:
        merkle.verify_inclusion(path, index=opening.index, size=size, leaf_hash=leaf_hash(salt, digest), root=expected)
    except (ProofInvalid, SizeOutOfRange) as error:
        raise OpeningInvalid("the digest is not under this tombstone", handle=opening.handle) from error
    return opening
