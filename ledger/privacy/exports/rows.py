"""What one row of a provable export says: worked out from entry and disclosures alone, by maker and verifier."""

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from ledger.privacy.errors import ExportRowInvalid
from ledger.records import canonical, disclosure, entry, jws, record
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
    DisclosureForeign,
    DisclosureMalformed,
    EntryMalformed,
    NotCanonical,
    RecordMalformed,
    SignatureInvalid,
    StatementMalformed,
    StatementTooLarge,
)


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


class ProofLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of proofs.jsonl: the entry, what of it is disclosed, and the way up to the checkpoint's root."""

    index: int
    entry: str
    disclosures: tuple[str, ...]
    path: tuple[str, ...]


def revealed(entry_bytes: bytes, disclosures: tuple[str, ...]) -> tuple[entry.Entry, Claims, Any]:
    """The entry, the statement's claims and its event with the disclosures put in; raises `ExportRowInvalid`."""
    try:
        read = entry.decode(entry_bytes)
        claims = canonical.convert(canonical.decode(jws.parse(read.stmt).payload), Claims, "the statement")
        return read, claims, record.reveal(claims.event, [disclosure.parse(one) for one in disclosures])
    except _FAULTS as error:
        raise ExportRowInvalid("the row's entry or a disclosure does not open", found=error.code) from error


def provable(index: int, entry_bytes: bytes, disclosures: tuple[str, ...], subject: str | None) -> dict[str, Any]:
    """The row of records.jsonl; `subject` is the pseudonym, the one value that no proof covers."""
    read, claims, event = revealed(entry_bytes, disclosures)
    return {
        "index": index,
        "recorded_at_ms": read.rec,
        "type": read.type,
        "stream": read.stream,
        "party": claims.iss,
        "subject": subject,
        "record": event,
    }


def value_at(event: Any, path: str) -> Any:
    """The value at a dotted path, or None."""
    found = event
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found
