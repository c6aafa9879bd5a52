"""Which stream a record stands in: the one that its own id names (docs/spec/streams.md)."""

from typing import cast

from ledger.records.credentials import (
    CREDENTIAL_STREAM,
    CredentialIntended,
    CredentialIssued,
    CredentialRevoked,
    CredentialsAdopted,
)
from ledger.records.log import POLICY_STREAM, PolicyAdopted, RootAdopted, RootRetired, StreamClosed
from ledger.records.parties import PARTY_STREAM, PartyDeclared
from ledger.records.record import Record
from ledger.rules.errors.writing import NotInStream, StreamCount
from ledger.rules.fact import Fact

ID_FIELD: dict[str, str] = {
    "fsr": "fsr_id",
    "fsc": "fsc_id",
    "site": "site_id",
    "discovery": "query_id",
    "delegation": "delegation_id",
    "schedule": "schedule_id",
}
"""For each kind of stream whose name ends in an id of the body: the field that holds it."""
FIXED: dict[type[Record], str] = dict.fromkeys(
    (CredentialIntended, CredentialIssued, CredentialsAdopted, CredentialRevoked), CREDENTIAL_STREAM
)
"""For records that all stand in one stream: its name."""
FIXED[PartyDeclared] = PARTY_STREAM
FIXED |= dict.fromkeys((PolicyAdopted, RootAdopted, RootRetired), POLICY_STREAM)


def stream_of(record: Record) -> str | None:
    """The only stream in which `record` may stand, or None where its body names none."""
    kind = type(record)
    if kind is StreamClosed:
        return cast("StreamClosed", record).closed
    if kind in FIXED:
        return FIXED[kind]
    stream = kind.STREAM
    field = ID_FIELD.get(stream)
    value = getattr(record, field, None) if field else None
    return None if value is None else f"{stream}/{value}"


def require_stream(fact: Fact) -> None:
    """Raises unless entry, statement and body agree on the stream and on the type."""
    entry, statement = fact.entry, fact.statement
    claims = statement.claims
    if entry.type != claims.type or entry.v != claims.v:
        raise NotInStream("entry and statement differ in type", expected=claims.type, found=entry.type)
    if entry.stream != claims.stream:
        raise NotInStream("entry and statement differ in stream", expected=claims.stream, found=entry.stream)
    record = statement.record
    wanted = stream_of(record)
    if wanted is None or wanted == claims.stream:
        return
    if isinstance(record, StreamClosed):
        raise StreamCount("a stream is closed from inside", expected=claims.stream, found=wanted)
    raise NotInStream("the record stands in another stream", expected=wanted, found=claims.stream)
