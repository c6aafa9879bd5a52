"""The bundle file: one canonical JSON object, in which no byte can be changed unnoticed (docs/spec/bundle.md).

Reading it proves nothing; `api.verification.bundle.verify` does.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from api.verification.errors import BundleUnusable
from ledger.records import canonical
from ledger.records.errors import NotCanonical
from ledger.tlog.merkle import MAX_PROOF_HASHES

FORMAT: Final = "flexledger-bundle/1"
MAX_BYTES: Final = 64 * 1024 * 1024
MAX_ROOTS: Final = 16
MAX_VKEYS: Final = 99
MAX_ENTRIES: Final = 20_000
MAX_DISCLOSURES: Final = 100_000
MAX_ERASURES: Final = 100_000
MAX_CERTIFICATES: Final = 2_000
MAX_STATUS: Final = 1_024
MAX_ATTACHMENTS: Final = 4_096
MAX_STAMPS: Final = 16
MAX_INDEX: Final = canonical.MAX_INT

# `$` alone would let a newline pass at the end, which reading hex would then ignore.
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
DigestText = Annotated[str, Meta(pattern=r"^([0-9a-f]{64}|[A-Za-z0-9_-]{43})$(?!\n)")]
Vkey = Annotated[str, Meta(min_length=1, max_length=2048)]
Place = Annotated[int, Meta(ge=0, le=MAX_INDEX)]
T = TypeVar("T")

_BYTE = re.compile(r"\(byte ([0-9]+)\)")


class Anchors(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the bundle's maker trusts; whoever verifies it brings a policy of their own, or believes this."""

    vkey: Vkey
    vkeys: Annotated[tuple[Vkey, ...], Meta(max_length=MAX_VKEYS)] = ()
    """The other keys whose lines stand in the checkpoint: witnesses', and the log's own while it changes its key."""
    roots: Annotated[tuple[bytes, ...], Meta(min_length=1, max_length=MAX_ROOTS)]
    timestamp_roots: Annotated[tuple[bytes, ...], Meta(max_length=MAX_ROOTS)] = ()
    """The time-stamping authorities to which the stamps lead."""


class Stamp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A checkpoint that a time-stamping authority stamped, and its path to the bundle's checkpoint."""

    checkpoint: Annotated[str, Meta(min_length=1, max_length=65_536)]
    consistency: Annotated[tuple[Sha256, ...], Meta(max_length=MAX_PROOF_HASHES)]
    token: Annotated[bytes, Meta(min_length=1, max_length=65_536)]


class BundleEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of the log, byte for byte, and its path to the checkpoint's root."""

    index: Place
    entry: msgspec.Raw
    proof: Annotated[tuple[Sha256, ...], Meta(max_length=MAX_PROOF_HASHES)]


class Erasure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One digest and its place under the tombstone with this handle."""

    digest: DigestText
    handle: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$(?!\n)")]
    salt: Sha256
    index: Place
    path: Annotated[tuple[Sha256, ...], Meta(max_length=MAX_PROOF_HASHES)]


class Attachment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One document, named by its digest."""

    sha256: Sha256
    data: bytes


class Bundle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Everything that one request rests on. Bytes are base64, hashes hex; lists are in order and without repeats."""

    format: Annotated[str, Meta(pattern=r"^flexledger-bundle/1$(?!\n)")]
    origin: Annotated[str, Meta(min_length=1, max_length=128)]
    fsr_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{2,63}$(?!\n)")]
    anchors: Anchors
    checkpoint: Annotated[str, Meta(min_length=1, max_length=65_536)]
    entries: Annotated[tuple[BundleEntry, ...], Meta(min_length=1, max_length=MAX_ENTRIES)]
    disclosures: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+$(?!\n)", max_length=65_536)], ...],
        Meta(max_length=MAX_DISCLOSURES),
    ]
    erasures: Annotated[tuple[Erasure, ...], Meta(max_length=MAX_ERASURES)]
    certificates: Annotated[tuple[bytes, ...], Meta(max_length=MAX_CERTIFICATES)]
    status: Annotated[tuple[bytes, ...], Meta(max_length=MAX_STATUS)]
    attachments: Annotated[tuple[Attachment, ...], Meta(max_length=MAX_ATTACHMENTS)]
    timestamps: Annotated[tuple[Stamp, ...], Meta(max_length=MAX_STAMPS)] = ()
    """In the order of the sizes of their trees, each over entries that none before it covers."""


def sha256(data: bytes) -> str:
    """Hex SHA-256."""
    return hashlib.sha256(data).hexdigest()


def encode(bundle: Bundle) -> bytes:
    """The file's bytes; raises `BundleUnusable` for a bundle beyond `MAX_BYTES`."""
    data = canonical.encode(bundle)
    if len(data) > MAX_BYTES:
        raise BundleUnusable("the bundle is too large", expected=f"at most {MAX_BYTES} bytes", found=len(data))
    return data


def in_order(bundle: Bundle) -> Bundle:
    """The same bundle with every list in the order that the format wants, repeats left out."""
    return msgspec.structs.replace(
        bundle,
        anchors=Anchors(
            vkey=bundle.anchors.vkey,
            vkeys=_sorted(bundle.anchors.vkeys, str),
            roots=_sorted(bundle.anchors.roots, sha256),
            timestamp_roots=_sorted(bundle.anchors.timestamp_roots, sha256),
        ),
        entries=_sorted(bundle.entries, _index),
        disclosures=_sorted(bundle.disclosures, str),
        erasures=_sorted(bundle.erasures, _digest),
        certificates=_sorted(bundle.certificates, sha256),
        status=_sorted(bundle.status, sha256),
        attachments=_sorted(bundle.attachments, _named),
    )


def read(data: bytes) -> Bundle:
    """The bundle in the file; nothing of it is authentic yet.

    Raises `BundleUnusable`, or `NotCanonical` with the offset of the first byte that is not as it must be.
    """
    if len(data) > MAX_BYTES:
        raise BundleUnusable("the file is too large", expected=f"at most {MAX_BYTES} bytes", found=len(data))
    _require_json(data)
    canonical.decode(data)
    try:
        bundle = msgspec.json.decode(data, type=Bundle)
    except msgspec.ValidationError as error:
        raise BundleUnusable("the file does not have the shape of a bundle", found=_place_of(str(error))) from None
    again = canonical.encode(bundle)
    if again != data:
        # Only base64 has more than one spelling here.
        offset = next(
            (at for at, (a, b) in enumerate(zip(again, data, strict=False)) if a != b), min(len(again), len(data))
        )
        raise NotCanonical("the bytes differ from their canonical form", offset=offset)
    _require_order(bundle)
    return bundle


def _require_json(data: bytes) -> None:
    """JSON at all; the offset is the decoder's."""
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        found = _BYTE.search(str(error))
        where = {"offset": int(found.group(1))} if found else {}
        raise BundleUnusable("the file is not JSON", **where) from None


def _require_order(bundle: Bundle) -> None:
    _require_rising("anchors.roots", bundle.anchors.roots, sha256)
    _require_rising("anchors.vkeys", bundle.anchors.vkeys, str)
    _require_rising("anchors.timestamp_roots", bundle.anchors.timestamp_roots, sha256)
    _require_rising("entries", bundle.entries, _index)
    _require_rising("disclosures", bundle.disclosures, str)
    _require_rising("erasures", bundle.erasures, _digest)
    _require_rising("certificates", bundle.certificates, sha256)
    _require_rising("status", bundle.status, sha256)
    _require_rising("attachments", bundle.attachments, _named)


def _require_rising(name: str, items: Sequence[T], key: Callable[[T], int | str]) -> None:
    before: int | str | None = None
    for position, item in enumerate(items):
        this = key(item)
        if before is not None and not before < this:  # type: ignore[operator]  # keys of one list are of one kind
            raise BundleUnusable(
                "changed, repeated or out of order", expected="each after the one before", list=name, position=position
            )
        before = this


def _sorted(items: Sequence[T], key: Callable[[T], int | str]) -> tuple[T, ...]:
    by_key = {key(item): item for item in items}
    return tuple(by_key[one] for one in sorted(by_key))


def _index(entry: BundleEntry) -> int:
    return entry.index


def _digest(erasure: Erasure) -> str:
    return erasure.digest


def _named(attachment: Attachment) -> str:
    return attachment.sha256


def _place_of(message: str) -> str:
    """Where, and what was wanted; never a value from the file."""
    fault, _, path = message.partition(" - at ")
    fault = fault.partition(", got ")[0]
    for shown in ("Invalid enum value", "Object contains unknown field", "Invalid value", "Invalid base64"):
        if fault.startswith(shown):
            fault = shown
    return f"{fault} at {path}" if path else fault
