"""manifest.json: everything that the recipient relies on, under one signature over all of it."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from ledger.records import canonical
from ledger.records.privacy import LegalBasis, Profile, Purpose
from ledger.records.statement_fields import Hash

FORMAT: Final = "flexledger-export/1"
TYP: Final = "flex-export+jws"
MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.jws"
RECORDS: Final = "records.jsonl"
TABLE: Final = "records.csv"
SCHEMA: Final = "schema.json"
README: Final = "readme.txt"
PROOFS: Final = "proofs.jsonl"
ABOUT: Final = "about.json"
PAPERS: Final = "papers.jsonl"

MAX_MANIFEST_BYTES: Final = 40_000

FILES: Final[Mapping[Profile, frozenset[str]]] = {
    Profile.SETTLEMENT: frozenset({RECORDS, TABLE, SCHEMA, README, PROOFS}),
    Profile.ACCESS: frozenset({RECORDS, TABLE, SCHEMA, README, PROOFS, ABOUT, PAPERS}),
    Profile.PORTABILITY: frozenset({RECORDS, TABLE, SCHEMA, README, PROOFS}),
    Profile.RESEARCH: frozenset({RECORDS, TABLE, SCHEMA, README}),
}
"""The files of each profile, beside the manifest and its signature: no more, no fewer."""


class FileLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of the export."""

    name: Annotated[str, msgspec.Meta(max_length=40)]
    sha256: Hash
    size: Annotated[int, msgspec.Meta(ge=0, le=2**40)]


class Generalised(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an unlinkable export promises: k distinct subjects behind each row at these levels."""

    k: Annotated[int, msgspec.Meta(ge=2)]
    l: Annotated[int, msgspec.Meta(ge=1)]  # noqa: E741 -- the literature's own name
    columns: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=8)]
    levels: Annotated[tuple[int, ...], msgspec.Meta(min_length=1, max_length=8)]
    suppressed_permille: Annotated[int, msgspec.Meta(ge=0, le=1000)]
    """Rounded up: the exact number would help to subtract one release from another."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The manifest. Pseudonymised rows are personal data still: the recipient is bound by purpose and date."""

    format: str
    profile: Profile
    policy_version: Annotated[int, msgspec.Meta(ge=1)]
    purpose: Purpose
    legal_basis: LegalBasis
    made_at_ms: Annotated[int, msgspec.Meta(ge=0, le=2**48)]
    delete_at_ms: Annotated[int, msgspec.Meta(ge=0, le=2**48)]
    rows: Annotated[int, msgspec.Meta(ge=0, le=2**32)]
    files: Annotated[tuple[FileLine, ...], msgspec.Meta(max_length=16)]
    controller: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    recipient: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    """The organisation; None where the subject itself is the recipient."""
    checkpoint: Annotated[str, msgspec.Meta(max_length=32_768)] | None = None
    """The signed note that every proof leads to; provable profiles only."""
    generalised: Generalised | None = None
    """Unlinkable profile only."""


def encode(manifest: Manifest) -> bytes:
    """The manifest's canonical bytes, which are what is signed."""
    return canonical.encode(manifest)


def sha256(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()
