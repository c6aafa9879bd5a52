"""The entry: the bytes that are a leaf of the tree and stand in the entry bundle (docs/spec/entry.md)."""

from typing import Annotated

import msgspec

from ledger.records import canonical
from ledger.records.errors import EntryMalformed, NotCanonical, RecordMalformed
from ledger.records.statement_fields import Hash, StreamName

MAX_ENTRY_BYTES = 65_535
"""tlog-tiles writes an entry's length in two bytes."""

NO_PREVIOUS = "0" * 64

STREAM_CLOSED = "log.stream-closed"
"""Type of the entry that ends its stream, which whoever follows chains must know without knowing the record."""
TIME_STAMPED = "log.time-stamped"
"""The same of one that tells of a time stamp."""


class Submitter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who handed the statement in: the party that mTLS authenticated, and its certificate's TBS hash."""

    cert: Hash
    party: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    role: Annotated[str, msgspec.Meta(min_length=2, max_length=16)]


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry. `prev` is the leaf hash of the stream's previous entry: chain and tree cannot disagree."""

    log: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    pol: Annotated[int, msgspec.Meta(ge=0, le=canonical.MAX_INT)]
    """Index of the registration-policy entry in force."""
    prev: Hash
    rec: Annotated[int, msgspec.Meta(ge=0, le=canonical.MAX_INT)]
    """Unix milliseconds of the sequencer; never decreasing in a log; coarse for records marked so."""
    seq: Annotated[int, msgspec.Meta(ge=1, le=canonical.MAX_INT)]
    stmt: str
    stream: StreamName
    sub: Submitter
    type: str
    v: int


def encode(entry: Entry) -> bytes:
    """The entry's canonical bytes; raises `EntryMalformed` if they are more than an entry bundle can hold."""
    data = canonical.encode(entry)
    if len(data) > MAX_ENTRY_BYTES:
        raise _too_large(data)
    return data


class _Rest(msgspec.Struct, frozen=True):
    stmt: str
    stream: str
    sub: Submitter
    type: str
    v: int


# Fields that stand in the order of their names need no sorting, here and in `Submitter`.
_encode = msgspec.json.Encoder().encode


def rest(*, stmt: str, stream: str, sub: Submitter, type: str, v: int) -> bytes:  # noqa: A002 -- the member's name
    """The end of an entry's canonical bytes: what is known of it before its place is, for `joined`."""
    return _encode(_Rest(stmt, stream, sub, type, v))[1:]


def beginning(log: str, pol: int) -> bytes:
    """The start of the canonical bytes of every entry of this log under this policy, for `joined`."""
    return b'{"log":%b,"pol":%d,"prev":"' % (canonical.encode(log), pol)


def joined(start: bytes, prev: str, rec: int, seq: int, end: bytes) -> bytes:
    """The same as `encode` of an entry with this `beginning`, place and `rest`; raises `EntryMalformed` as it does."""
    data = b'%b%b","rec":%d,"seq":%d,%b' % (start, prev.encode(), rec, seq, end)
    if len(data) > MAX_ENTRY_BYTES:
        raise _too_large(data)
    return data


def _too_large(data: bytes) -> EntryMalformed:
    return EntryMalformed("the entry is too large", expected=f"at most {MAX_ENTRY_BYTES}", found=len(data))


def decode(data: bytes) -> Entry:
    """Reads an entry's bytes; raises `EntryMalformed` unless they are canonical and complete."""
    if len(data) > MAX_ENTRY_BYTES:
        raise _too_large(data)
    try:
        return canonical.convert(canonical.decode(data), Entry, "the entry")
    except (NotCanonical, RecordMalformed) as error:
        raise EntryMalformed("not an entry", found=error.message()) from error
