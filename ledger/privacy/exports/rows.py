"""What one row of a provable export says: worked out from entry and disclosures alone, by maker and verifier."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from ledger.privacy.errors import ExportRowInvalid
from ledger.records import canonical, disclosure, entry, jws, record
from ledger.records.disclosure import Disclosure
from ledger.records.errors import (
    DisclosureForeign,
    DisclosureMalformed,
    EntryMalformed,
    NotCanonical,
    RecordMalformed,
    SignatureInvalid,
    StatementMalformed,
    StatementTooLarge,
)
from ledger.records.statement import Claims

FIRST_COLUMNS: Final = ("index", "recorded_at_ms", "type", "stream", "party", "subject")

RECORDED_AT: Final = "@recorded_at_ms"
"""The path of the entry's own time, which is no member of the record."""

_FAULTS: Final = (
    DisclosureMalformed,
    EntryMalformed,
    NotCanonical,
    RecordMalformed,
    SignatureInvalid,
    StatementMalformed,
    StatementTooLarge,
)


@dataclass(frozen=True, slots=True)
class Read:
    """An entry of our own log, taken apart; nothing of it is authenticated by this."""

    entry: entry.Entry
    claims: Claims


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One entry as the caller read it from the ledger, with the disclosures that the vault opened."""

    index: int
    entry_bytes: bytes = field(repr=False)
    disclosures: tuple[str, ...] = field(default=(), repr=False)
    """Transmitted texts; the policy picks from them."""
    subject: bytes | None = field(default=None, repr=False)
    """The internal id (`Opened.uid`) of the person whom the row concerns, or None."""
    proof: tuple[bytes, ...] = field(default=(), repr=False)
    """Inclusion proof up to the export's checkpoint; provable exports need it."""
    transaction: str = ""
    """What one transaction pseudonym covers, such as an FSR; the entry's stream where it is empty."""
    read: Read | None = field(default=None, repr=False)
    """The entry taken apart, where the caller has done that already."""


_entries: Final = msgspec.json.Decoder(entry.Entry)
_claims: Final = msgspec.json.Decoder(Claims)


def read(entry_bytes: bytes) -> Read:
    """What one of our entries says, without building its record; raises `ExportRowInvalid`.

    That its bytes are canonical was seen to when it was appended, and is by whoever verifies the export.
    """
    try:
        found = _entries.decode(entry_bytes)
        payload = jws.decode_base64url(found.stmt.split(".", 2)[1])
        return Read(found, _claims.decode(payload))
    except (msgspec.DecodeError, StatementMalformed, IndexError, UnicodeDecodeError) as error:
        raise ExportRowInvalid("the row's entry does not open") from error


class ProofLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of proofs.jsonl: the entry, what of it is disclosed, and the way up to the checkpoint's root."""

    index: int
    entry: str
    disclosures: tuple[str, ...]
    path: tuple[str, ...]


def opened(texts: Iterable[str]) -> list[Disclosure]:
    """Disclosures of our own vault, taken apart; raises `ExportRowInvalid`."""
    try:
        return [disclosure.read(one) for one in texts]
    except DisclosureMalformed as error:
        raise ExportRowInvalid("a disclosure does not open", found=error.code) from error


def revealed(said: Claims, disclosures: Iterable[Disclosure]) -> Any:
    """The statement's event with the disclosures put in; raises `ExportRowInvalid` for one that opens nothing."""
    try:
        return record.reveal(said.event, disclosures)
    except DisclosureForeign as error:
        raise ExportRowInvalid("a disclosure opens nothing of the row", found=error.code) from error


def provable(index: int, entry_bytes: bytes, disclosures: tuple[str, ...], subject: str | None) -> dict[str, Any]:
    """The row of records.jsonl that follows from an entry and what is disclosed of it; raises `ExportRowInvalid`.

    `subject` is the pseudonym, the one value that no proof covers. Everything is read strictly: this is the verifier's.
    """
    try:
        found = entry.decode(entry_bytes)
        claims = canonical.convert(canonical.decode(jws.parse(found.stmt).payload), Claims, "the statement")
        parsed = [disclosure.parse(one) for one in disclosures]
    except _FAULTS as error:
        raise ExportRowInvalid("the row's entry or a disclosure does not open", found=error.code) from error
    return shown(index, Read(found, claims), revealed(claims, parsed), subject)


def shown(index: int, said: Read, event: Any, subject: str | None) -> dict[str, Any]:
    """The row of records.jsonl."""
    return {
        "index": index,
        "recorded_at_ms": said.entry.rec,
        "type": said.entry.type,
        "stream": said.entry.stream,
        "party": said.claims.iss,
        "subject": subject,
        "record": event,
    }


def value_at(event: Any, path: str) -> Any:
    """The value at a dotted path, or None."""
    found = event
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found
