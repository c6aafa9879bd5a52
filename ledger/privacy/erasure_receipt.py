"""A receipt for one entry: what of it was erased, and under which tombstones; checked with the entries alone.

It says nothing of any other entry. Who holds receipts of several entries sees which fell under one tombstone, so they
are given to those whose mandate covers the entries.
"""

from typing import Annotated, Any, Final

import msgspec

from ledger.privacy import openings
from ledger.privacy.errors import OpeningInvalid
from ledger.privacy.openings import ErasureOpening
from ledger.records import canonical, jws, record, statement
from ledger.records import entry as entries
from ledger.records.errors import NotCanonical, RecordMalformed, StatementMalformed
from ledger.records.privacy import ErasureExecuted
from ledger.records.record import Digest

FORMAT: Final = "flexledger-erasure-receipt/1"
MAX_RECEIPT_BYTES: Final = 4_194_304


class Fallen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One digest of the entry, the entry of its tombstone, and its place under it."""

    digest: Digest
    tombstone: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
    opening: ErasureOpening | None
    """None where a restored vault no longer has what the whole tree was made from: then nothing is shown."""


class EntryReceipt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of entry `index` of the log `origin` was erased; entries in base64url, as they were hashed."""

    format: str = FORMAT
    origin: str
    index: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
    entry: str
    erased: Annotated[tuple[Fallen, ...], msgspec.Meta(min_length=1, max_length=256)]
    tombstones: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=256)]
    """In order of their index."""


def read(data: bytes) -> EntryReceipt:
    """The receipt in these bytes, nothing of it believed; raises `OpeningInvalid`."""
    if len(data) > MAX_RECEIPT_BYTES:
        raise OpeningInvalid("the receipt is too large", expected=f"at most {MAX_RECEIPT_BYTES} bytes")
    try:
        receipt = canonical.convert(msgspec.json.decode(data), EntryReceipt, "the receipt")
    except (RecordMalformed, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OpeningInvalid("not an erasure receipt", found=type(error).__name__) from None
    if receipt.format != FORMAT:
        raise OpeningInvalid("another format", expected=FORMAT)
    return receipt


def verify(receipt: EntryReceipt) -> tuple[str, ...]:
    """The digests that the receipt shows to have fallen under its tombstones; raises `OpeningInvalid`.

    The caller has checked, or checks, that the log holds `entry` at `index` and each tombstone at its own: a receipt
    carries no inclusion proofs (`/v1/entries/{index}/receipt` has them).
    """
    _, opened = _entry(receipt.entry, receipt.origin)
    standing = set(record.digests(opened.claims.event))
    numbers = sorted({one.tombstone for one in receipt.erased})
    if len(numbers) != len(receipt.tombstones):
        raise OpeningInvalid("not one entry for each tombstone", expected=len(numbers), found=len(receipt.tombstones))
    stones = dict(zip(numbers, (_tombstone(one, receipt.origin) for one in receipt.tombstones), strict=True))
    for one in receipt.erased:
        if one.digest not in standing:
            raise OpeningInvalid("the entry has no such digest", index=receipt.index)
        if one.opening is None:
            raise OpeningInvalid("an erasure without an opening shows nothing", index=one.tombstone)
        stone = stones[one.tombstone]
        if one.opening.handle != stone.handle:
            raise OpeningInvalid("an opening of another tombstone", expected=stone.handle, found=one.opening.handle)
        openings.verify_opening(one.opening, one.digest, stone.manifest_root, stone.manifest_size)
    return tuple(one.digest for one in receipt.erased)


def _tombstone(text: str, origin: str) -> ErasureExecuted:
    _, opened = _entry(text, origin)
    if not isinstance(opened.record, ErasureExecuted):
        raise OpeningInvalid("the entry is no tombstone", expected=ErasureExecuted.TYPE, found=opened.claims.type)
    return opened.record


def _entry(text: str, origin: str) -> tuple[Any, statement.Statement]:
    try:
        found = entries.decode(jws.decode_base64url(text))
        opened = statement.parse_statement(found.stmt)
    except (NotCanonical, RecordMalformed, StatementMalformed, ValueError) as error:
        raise OpeningInvalid("an entry cannot be read", found=type(error).__name__) from error
    if found.log != origin:
        raise OpeningInvalid("an entry of another log", expected=origin, found=found.log)
    return found, opened
