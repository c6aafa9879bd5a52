"""Checking entries offline: pure functions over bytes, with no database, no network and no clock.

Each returns what it verified or raises an error that names the entry by index, stream and seq.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from ledger.errors import LedgerError, Refused
from ledger.records import entry as entries
from ledger.records import statement as statements
from ledger.records.actor import Actor
from ledger.records.entry import Entry
from ledger.records.log import StreamClosed
from ledger.records.statement import Statement
from ledger.tlog import hashing, merkle

MAX_ENTRIES: Final = 1_000_000
"""Entries that one call looks at."""

Resolve = Callable[[str, Entry], Actor]
"""Who signed: the actor behind `x5t`, as of this entry. Raises a LedgerError if nobody vouches for the certificate."""


class EntryNotIncluded(Refused):
    """The entry is not in the tree of the checkpoint at the place that it claims."""

    code = "ledger/entry-not-included"
    title = "Entry is not in the log"


class ChainBroken(Refused):
    """An entry does not follow the one before it in its stream."""

    code = "ledger/chain-broken"
    title = "Chain of a stream is broken"


class SeqGap(Refused):
    """Entries of the stream are missing, repeated or out of order."""

    code = "ledger/seq-gap"
    title = "Entries of a stream are missing"


class StreamMixed(Refused):
    """Entries of another stream or another log stand among those of one."""

    code = "ledger/stream-mixed"
    title = "Entries of several streams"


class RecDecreased(Refused):
    """An entry was recorded before one that stands in front of it."""

    code = "ledger/rec-decreased"
    title = "Time of recording went back"


class StreamMisclosed(Refused):
    """A closing record names another stream or count, or entries follow it."""

    code = "ledger/stream-misclosed"
    title = "Stream's end is wrong"


class StatementDiffers(Refused):
    """The entry says something else about its statement than the statement itself."""

    code = "ledger/statement-differs"
    title = "Entry and statement disagree"


class EntryUnverified(Refused):
    """The entry or its statement cannot be read, or the statement was not signed by the actor that it names."""

    code = "ledger/entry-unverified"
    title = "Entry does not verify"


class TooManyEntries(Refused):
    """More entries than one call looks at."""

    code = "ledger/too-many-entries"
    title = "Too many entries"


class ProvenEntry(msgspec.Struct, frozen=True):
    """An entry's bytes and the hashes that lead from it to a root; nothing of it is verified yet."""

    index: int
    data: bytes
    proof: tuple[bytes, ...]


class OpenedEntry(msgspec.Struct, frozen=True):
    """An entry whose statement its actor signed."""

    index: int
    entry: Entry
    statement: Statement
    actor: Actor


class Completeness(msgspec.Struct, frozen=True):
    """What a verified chain says about its own ends."""

    stream: str
    first_seq: int
    last_seq: int
    closed_n: int | None
    """How many entries stand before the closing one; None in a stream that is still open."""

    @property
    def is_complete(self) -> bool:
        """From the first entry to the closing one: no entry of the stream can be missing."""
        return self.first_seq == 1 and self.closed_n is not None


def verify_inclusions(found: Iterable[ProvenEntry], *, size: int, root: bytes) -> list[tuple[int, bytes]]:
    """(index, bytes) of every entry, each proven to be in the tree of that size and root.

    `size` and `root` must come from an opened checkpoint. Raises EntryNotIncluded naming the index, TooManyEntries.
    """
    proven: list[tuple[int, bytes]] = []
    for one in found:
        _require_limit(len(proven))
        try:
            merkle.verify_inclusion(one.proof, index=one.index, size=size, leaf_hash=hashing.leaf(one.data), root=root)
        except LedgerError as error:
            raise EntryNotIncluded(
                "the entry is not in the tree at this place",
                expected=error.expected,
                found=error.found,
                index=one.index,
                **_named(one.data),
            ) from error
        proven.append((one.index, one.data))
    return proven


def verify_chain(found: Sequence[tuple[int, bytes]]) -> list[Entry]:
    """The entries of one stream, read, each following the one before it; `completeness` says what the ends are.

    Raises, naming index, stream and seq: EntryUnverified, StreamMixed, SeqGap, ChainBroken, RecDecreased,
    StreamMisclosed, TooManyEntries.
    """
    _require_limit(len(found) - 1)
    chain: list[Entry] = []
    before: tuple[int, bytes, Entry] | None = None
    for index, data in found:
        made = _decode(index, data)
        if before is None:
            _refuse_false_start(index, made)
        else:
            _refuse_not_following(before, index, made)
        _refuse_misclosing(index, made, is_last=len(chain) == len(found) - 1)
        chain.append(made)
        before = (index, data, made)
    return chain


def completeness(chain: Sequence[Entry]) -> Completeness:
    """Where a chain that `verify_chain` returned begins and ends; raises SeqGap for an empty one."""
    if not chain:
        raise SeqGap("no entries", expected="at least one")
    last = chain[-1]
    closed_n = last.seq - 1 if last.type == StreamClosed.TYPE else None
    return Completeness(last.stream, chain[0].seq, last.seq, closed_n)


def require_complete(chain: Sequence[Entry]) -> Completeness:
    """The whole of a closed stream, from seq 1 to its closing record; raises SeqGap, naming what may be hidden."""
    ends = completeness(chain)
    if ends.first_seq != 1:
        raise SeqGap("the stream's beginning is missing", expected=1, found=ends.first_seq, stream=ends.stream)
    if ends.closed_n is None:
        raise SeqGap(
            "the stream is not closed, so later entries may exist",
            expected=StreamClosed.TYPE,
            stream=ends.stream,
            seq=ends.last_seq,
        )
    return ends


def open_entries(found: Iterable[tuple[int, bytes]], *, resolve: Resolve) -> list[OpenedEntry]:
    """Every entry with its statement, signed by the actor that `resolve` gives for it, and both in agreement.

    Raises EntryUnverified or StatementDiffers, naming index, stream and seq, and whatever is not a LedgerError that
    `resolve` raises.
    """
    opened: list[OpenedEntry] = []
    for index, data in found:
        _require_limit(len(opened))
        opened.append(open_entry(index, data, resolve=resolve))
    return opened


def open_entry(index: int, data: bytes, *, resolve: Resolve) -> OpenedEntry:
    """One entry, as `open_entries` does."""
    made = _decode(index, data)
    try:
        hinted = statements.parse_statement(made.stmt)
        actor = resolve(hinted.header.x5t, made)
        statement = statements.authenticate(hinted, actor)
    except LedgerError as error:
        raise EntryUnverified(error.detail, expected=error.expected, found=error.code, **place(index, made)) from error
    require_agreement(index, made, statement)
    return OpenedEntry(index, made, statement, actor)


def require_agreement(index: int, made: Entry, statement: Statement) -> None:
    """The entry says of its statement what the statement says; raises StatementDiffers, naming the member."""
    claims = statement.claims
    for member, outside, inside in (
        ("log", made.log, claims.aud),
        ("stream", made.stream, claims.stream),
        ("type", made.type, claims.type),
        ("v", made.v, claims.v),
    ):
        if outside != inside:
            raise StatementDiffers(
                f"the entry's {member} is not the statement's", expected=inside, found=outside, **place(index, made)
            )


def place(index: int, made: Entry) -> dict[str, str | int]:
    """What an error names an entry by."""
    return {"index": index, "stream": made.stream, "seq": made.seq}


def _decode(index: int, data: bytes) -> Entry:
    try:
        return entries.decode(data)
    except LedgerError as error:
        raise EntryUnverified(error.detail, expected=error.expected, found=error.found, index=index) from error


def _named(data: bytes) -> dict[str, str | int]:
    """Stream and seq for a message, as far as the bytes can be read."""
    try:
        made = entries.decode(data)
    except LedgerError:
        return {}
    return {"stream": made.stream, "seq": made.seq}


def _refuse_false_start(index: int, made: Entry) -> None:
    if (made.seq == 1) != (made.prev == entries.NO_PREVIOUS):
        raise ChainBroken(
            "only the first entry of a stream has no previous one",
            expected=entries.NO_PREVIOUS if made.seq == 1 else "a leaf hash",
            found=made.prev,
            **place(index, made),
        )


def _refuse_not_following(before: tuple[int, bytes, Entry], index: int, made: Entry) -> None:
    before_index, before_data, previous = before
    where = place(index, made)
    if (made.stream, made.log) != (previous.stream, previous.log):
        raise StreamMixed("an entry of another stream or log", expected=previous.stream, found=made.stream, **where)
    if index <= before_index or made.seq != previous.seq + 1:
        raise SeqGap("entries are missing or out of order", expected=previous.seq + 1, found=made.seq, **where)
    expected = hashing.leaf(before_data).hex()
    if made.prev != expected:
        raise ChainBroken(
            "the entry does not follow the one before it",
            expected=expected,
            found=made.prev,
            previous_index=before_index,
            **where,
        )
    if made.rec < previous.rec:
        raise RecDecreased("recorded before the entry in front of it", expected=previous.rec, found=made.rec, **where)


def _refuse_misclosing(index: int, made: Entry, *, is_last: bool) -> None:
    if made.type != StreamClosed.TYPE:
        return
    try:
        closing = statements.parse_statement(made.stmt).record
    except LedgerError as error:
        raise EntryUnverified(error.detail, expected=error.expected, found=error.code, **place(index, made)) from error
    if not isinstance(closing, StreamClosed) or closing.closed != made.stream or closing.n != made.seq - 1:
        raise StreamMisclosed(
            "the closing record names another stream or count",
            expected=f"{made.stream} after {made.seq - 1}",
            found=f"{closing.closed} after {closing.n}" if isinstance(closing, StreamClosed) else made.type,
            **place(index, made),
        )
    if not is_last:
        raise StreamMisclosed("entries follow the closing one", **place(index, made))


def _require_limit(count: int) -> None:
    if count >= MAX_ENTRIES:
        raise TooManyEntries("too many entries for one call", expected=f"at most {MAX_ENTRIES}")
