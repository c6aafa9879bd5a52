"""Rules of the log's own records: policies, closing records, order inside a stream."""

from ledger.records.actor import Role
from ledger.records.log import KeyRotated, PolicyAdopted, Predecessor, StreamClosed, TimeStamped
from ledger.rules.errors.log import KeyOverlap, KeyUnfit, LogIsFrozen, PredecessorUnfit, StampAhead
from ledger.rules.errors.writing import (
    PolicyMissing,
    PolicyOther,
    RulesUnknown,
    StreamCount,
    StreamIsClosed,
    WrongParty,
)
from ledger.rules.fact import Fact
from ledger.rules.projection import Kept, Projection
from ledger.rules.rules_version import RULES_KNOWN
from ledger.tlog import checkpoint, note
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.errors import CheckpointMalformed, KeyAmbiguous, KeyMalformed, NoteMalformed, NoteUnverified
from ledger.tlog.note import KeyKind

OWN_STREAMS = frozenset({"log", "privacy", "*"})
"""Streams of records that the log keeps about itself and about personal data."""
MAX_OVERLAP_MS = 366 * 86_400_000


def require_not_frozen(seen: Projection, kept: Kept, fact: Fact) -> None:
    """Raises if the log has ended."""
    if kept.frozen_at is not None and seen.sees_log:
        raise LogIsFrozen("nothing follows the entry that ended this log", found=fact.statement.claims.type)


def require_policy(seen: Projection, kept: Kept, fact: Fact) -> None:
    """Raises unless the entry stands under the policy in force; entry 0 is the first policy itself."""
    wanted = kept.policy_index
    if fact.entry.pol == wanted or not seen.sees_log:
        return
    if wanted is None:
        if not isinstance(fact.statement.record, PolicyAdopted):
            raise PolicyMissing("a log begins with a policy", found=fact.statement.claims.type, index=fact.index)
        wanted = fact.index
    if fact.entry.pol != wanted:
        raise PolicyOther("the entry names another policy", expected=wanted, found=fact.entry.pol, index=fact.index)


def require_keeper(kept: Kept, fact: Fact) -> None:
    """Raises unless a record of the log's own comes from the party that keeps it, or from its OPS or DPO."""
    if fact.statement.record.STREAM not in OWN_STREAMS or fact.actor.role not in (Role.CSO, Role.CSP):
        return
    if kept.keeper is not None and not fact.speaks_for(kept.keeper):
        raise WrongParty("another party keeps this log", expected=kept.keeper, found=fact.actor.party)


def require_stream_open(seen: Projection, fact: Fact) -> None:
    """Raises if the stream has ended."""
    stream = seen.streams.get(fact.entry.stream)
    if stream is not None and stream.is_closed:
        raise StreamIsClosed("nothing follows its closing record", stream=fact.entry.stream)


def policy_adopted(_seen: Projection, fact: Fact, record: PolicyAdopted) -> None:
    """A policy names rules that are known; the first one may name the log that this one continues."""
    if record.rules not in RULES_KNOWN:
        raise RulesUnknown("other rules", expected=" or ".join(sorted(RULES_KNOWN)), found=record.rules)
    if not isinstance(record.predecessor, Predecessor):
        return
    if fact.entry.seq != 1:
        raise PredecessorUnfit("only a log's first entry names a predecessor", expected=1, found=fact.entry.seq)
    last = last_checkpoint(record.predecessor)
    if last.origin == fact.entry.log:
        raise PredecessorUnfit("a log does not continue itself", found=last.origin)


def last_checkpoint(named: Predecessor) -> Checkpoint:
    """The checkpoint with which the predecessor ended, under the keys that are named; raises `PredecessorUnfit`."""
    signed = named.checkpoint.encode()
    try:
        keys = [note.parse_vkey(vkey) for vkey in named.vkeys]
        origin = checkpoint.parse(note.parse_text(signed)).origin
        opened = checkpoint.open_checkpoint(signed, origin, keys)
    except (KeyMalformed, KeyAmbiguous, NoteMalformed, NoteUnverified, CheckpointMalformed) as error:
        raise PredecessorUnfit("its checkpoint does not open", found=error.code) from error
    lines = "".join(line.line() for line in opened.note.verified)
    if (opened.note.text + "\n" + lines).encode() != signed or len(opened.note.verified) != len(set(named.vkeys)):
        raise PredecessorUnfit("lines and keys do not match", expected="one line a key", found=len(named.vkeys))
    return opened.checkpoint


def time_stamped(seen: Projection, fact: Fact, record: TimeStamped) -> None:
    """What was stamped stands before the entry that says so."""
    if seen.sees_log and record.size > fact.index:
        raise StampAhead("no such tree was there", expected=f"at most {fact.index}", found=record.size)


def key_rotated(seen: Projection, fact: Fact, record: KeyRotated) -> None:
    """The next key is the log's own and new, follows the one in force, and the two overlap for a bounded time."""
    for vkey in (record.vkey, record.follows):
        try:
            key = note.parse_vkey(vkey)
        except KeyMalformed as error:
            raise KeyUnfit("not a verifier key", found=error.detail) from error
        if key.name != fact.entry.log or key.kind is not KeyKind.ED25519:
            raise KeyUnfit("not a key of this log", expected=fact.entry.log, found=key.name)
    used = {vkey for one in seen.rotations for vkey in (one.follows, one.vkey)}
    if record.vkey in used | {record.follows}:
        raise KeyUnfit("a key of this log already", expected="a key that it never had", found=record.vkey)
    if seen.rotations and record.follows != seen.rotations[-1].vkey:
        raise KeyUnfit("it follows another key", expected=seen.rotations[-1].vkey, found=record.follows)
    if seen.rotations and fact.now_ms < seen.rotations[-1].until_ms:
        raise KeyOverlap("the last change of key is not over", expected=seen.rotations[-1].until_ms, found=fact.now_ms)
    if not fact.now_ms < record.until_ms <= fact.now_ms + MAX_OVERLAP_MS:
        raise KeyOverlap("the overlap ends in the past, or after a year", expected=fact.now_ms, found=record.until_ms)


def stream_closed(seen: Projection, fact: Fact, record: StreamClosed) -> None:
    """A closing record counts what it closes."""
    stream = seen.streams.get(fact.entry.stream)
    count = stream.count if stream is not None else 0
    if record.n != count:
        raise StreamCount("miscounted", expected=count, found=record.n, stream=fact.entry.stream)
