"""Rules of the log's own records: policies, closing records, order inside a stream."""

from ledger.records.actor import Role
from ledger.records.log import (
    MAX_ROOTS,
    FreezeReason,
    KeyRotated,
    PolicyAdopted,
    Predecessor,
    RootAdopted,
    RootRetired,
    StreamClosed,
    TimeStamped,
)
from ledger.rules.errors.log import (
    KeyOverlap,
    KeyUnfit,
    LogIsFrozen,
    PredecessorUnfit,
    RootTimes,
    RootUnfit,
    RootUnvouched,
    StampAhead,
)
from ledger.rules.errors.writing import (
    PolicyMissing,
    PolicyOther,
    RulesUnknown,
    StreamCount,
    StreamIsClosed,
    WrongParty,
)
from ledger.rules.fact import Fact, VouchedRoot
from ledger.rules.kept_state import Kept
from ledger.rules.projection import Projection
from ledger.rules.rules_version import RULES_KNOWN
from ledger.tlog import checkpoint, note
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.errors import CheckpointMalformed, KeyAmbiguous, KeyMalformed, NoteMalformed, NoteUnverified
from ledger.tlog.note import KeyKind

PRIVACY = "privacy"
"""The first part of the names of streams that say what was done with personal data."""
OWN_STREAMS = frozenset({"log", "privacy", "*"})
"""Streams of records that the log keeps about itself and about personal data."""
MAX_OVERLAP_MS = 366 * 86_400_000
MAX_AHEAD_MS = 366 * 86_400_000
"""How long before a root begins or ends the log may say so."""


def require_not_frozen(seen: Projection, kept: Kept, fact: Fact) -> None:
    """Raises if the log has ended, unless it is told what was done with personal data: the data outlives the log's end.

    After the theft of a key nothing follows at all, for nobody could tell whose word it is.
    """
    if kept.frozen_at is None or not seen.sees_log:
        return
    found = fact.statement.claims.type
    if kept.frozen_for is FreezeReason.KEY_STOLEN:
        raise LogIsFrozen("nothing follows the entry that ended this log", found=found)
    if fact.statement.record.STREAM != PRIVACY:
        raise LogIsFrozen(
            "nothing but what is done with personal data follows the entry that ended this log",
            expected=f"a record of {PRIVACY}/",
            found=found,
        )


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


def policy_adopted(seen: Projection, fact: Fact, record: PolicyAdopted) -> None:
    """A policy names rules that are known; the first one may name the log that this one continues.

    A later one changes neither the roots nor whether the log is for development.
    """
    first = seen.first_policy
    if first is not None and (sorted(first.anchors), first.development) != (sorted(record.anchors), record.development):
        raise RootUnvouched("a later policy changes no root", expected="the anchors of the log's first policy")
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


def root_adopted(seen: Projection, fact: Fact, record: RootAdopted) -> None:
    """The next root is new to the log and counts from a time to come on, by the word of one that is in force now."""
    _require_vouched(fact, VouchedRoot(record.root, record.by))
    if record.root in seen.anchors:
        raise RootUnfit("a root of this log already", expected="a root that it never had", found=record.root)
    if len(seen.anchors) >= MAX_ROOTS:
        raise RootUnfit("too many roots", expected=f"at most {MAX_ROOTS}", found=len(seen.anchors))
    _require_in_force(seen, fact, record.by)
    _require_ahead(fact, record.from_ms)


def root_retired(seen: Projection, fact: Fact, record: RootRetired) -> None:
    """A root of the log ends at a time to come, once, by the word of another one that is in force and stays."""
    _require_vouched(fact, VouchedRoot(record.root, record.by))
    life = seen.anchors.get(record.root)
    if life is None or life.until_ms is not None:
        raise RootUnfit("no root of this log that goes on", found=record.root)
    if record.root == record.by:
        raise RootUnfit("a root does not end itself", expected="another root that is in force", found=record.by)
    _require_in_force(seen, fact, record.by)
    if seen.anchors[record.by].until_ms is not None:
        raise RootUnfit("the root that says so ends itself", expected="a root that stays", found=record.by)
    _require_ahead(fact, record.until_ms)


def _require_vouched(fact: Fact, wanted: VouchedRoot) -> None:
    """Raises unless both keys, or the one that is needed, verifiably signed; undecided where that cannot be known."""
    if fact.evidence is not None and fact.evidence.root != wanted:
        raise RootUnvouched("its signatures are not those of the roots that it names", expected=wanted.by)


def _require_in_force(seen: Projection, fact: Fact, root: str) -> None:
    life = seen.anchors.get(root)
    if life is None or not life.is_in_force(fact.now_ms):
        raise RootUnfit("the root whose word it is is not in force", expected="a root in force", found=root)


def _require_ahead(fact: Fact, at_ms: int) -> None:
    if not fact.now_ms < at_ms <= fact.now_ms + MAX_AHEAD_MS:
        raise RootTimes("in the past, or more than a year ahead", expected=f"after {fact.now_ms}", found=at_ms)


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
