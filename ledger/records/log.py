"""What the log says of itself: the policy in force, its roots and keys, refused attempts, closed streams, its end."""

from enum import StrEnum
from typing import Annotated

import msgspec

from ledger.records.actor import Role
from ledger.records.entry import STREAM_CLOSED, TIME_STAMPED
from ledger.records.fields import MAX_COUNT, PublicHash, PublicMs, PublicParty
from ledger.records.marks import public
from ledger.records.record import Record, Value
from ledger.records.statement_fields import Hash, Jti, StreamName

MAX_PREDECESSOR_CHARACTERS = 16_384
MAX_PREDECESSOR_KEYS = 64
MAX_ROOT_CHARACTERS = 5_464
"""A root certificate of 4,096 bytes, in base64."""
MAX_ROOTS = 16
"""Roots that a log can have had."""
POLICY_STREAM = "log/policy"
"""The one stream in which a log says under which roots and rules it admits statements."""

Vkey = Annotated[str, msgspec.Meta(pattern=r"^[!-*,-~]{1,255}\+[0-9a-f]{8}\+[A-Za-z0-9+/=]{4,128}$(?!\n)")]
"""A verifier key (c2sp.org/signed-note), with a name in ASCII."""


Base64 = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9+/]{2,}={0,2}$(?!\n)")]
RootSignature = Annotated[Base64, msgspec.Meta(max_length=344)]
"""An ECDSA signature of at most 256 bytes."""


class Predecessor(Value, frozen=True, kw_only=True):
    """The log that this one continues, as its last checkpoint says it; the cosignatures travel along."""

    checkpoint: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_PREDECESSOR_CHARACTERS)]
    """The signed note, without any line that `vkeys` cannot check."""
    vkeys: Annotated[tuple[Vkey, ...], msgspec.Meta(min_length=1, max_length=MAX_PREDECESSOR_KEYS)]
    """The keys of the old log whose lines stand in the note, and the witnesses'."""


class PolicyAdopted(Record, frozen=True, kw_only=True):
    """From here on statements are admitted under these trust anchors and rules. Entry 0 of every log is one."""

    TYPE = "log.policy-adopted"
    STREAM = "log"

    anchors: Annotated[tuple[Hash, ...], msgspec.Meta(min_length=1, max_length=16), public("roots of trust")]
    """SHA-256 of each root certificate's to-be-signed part."""
    rules: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9./-]{1,40}$(?!\n)"), public("version of the rules in force")]
    development: Annotated[bool, public("true: development credentials are admitted; never in production")] = False
    predecessor: Annotated[Predecessor, public("checkpoint and keys of a log")] | msgspec.UnsetType = msgspec.UNSET
    """Which log this one continues; in entry 0 only."""


class RootAdopted(Record, frozen=True, kw_only=True):
    """From `from_ms` on statements under another root are admitted too: a root in force and the next one say so.

    Both keys sign the same words, which name this log, both roots and the time (docs/spec/credential-profile.md).
    """

    TYPE = "log.root-adopted"
    STREAM = "log"

    root: Annotated[Hash, public("digest of a root of trust")]
    """SHA-256 of the to-be-signed part of `certificate`."""
    certificate: Annotated[Base64, msgspec.Meta(max_length=MAX_ROOT_CHARACTERS), public("a root of trust, in DER")]
    by: Annotated[Hash, public("digest of a root of trust")]
    """The root that vouches."""
    from_ms: PublicMs
    signature: Annotated[RootSignature, public("of a root of trust")]
    """By the key of `by`, in DER."""
    own_signature: Annotated[RootSignature, public("of a root of trust")]
    """By the key of `root`, in DER."""


class RootRetired(Record, frozen=True, kw_only=True):
    """From `until_ms` on no statement under the root is admitted any more; those before stay good. A root that stays
    says so.
    """

    TYPE = "log.root-retired"
    STREAM = "log"

    root: Annotated[Hash, public("digest of a root of trust")]
    by: Annotated[Hash, public("digest of a root of trust")]
    until_ms: PublicMs
    signature: Annotated[RootSignature, public("of a root of trust")]
    """By the key of `by`, in DER."""


class KeyRotated(Record, frozen=True, kw_only=True):
    """Checkpoints are signed by a new key too, and from `until_ms` on by the new one alone."""

    TYPE = "log.key-rotated"
    STREAM = "log"

    vkey: Annotated[Vkey, public("a verifier key of the log")]
    follows: Annotated[Vkey, public("a verifier key of the log")]
    """The key that is followed."""
    until_ms: PublicMs
    """The end of the overlap: who checks checkpoints has to know the new key by then."""


class TimeStamped(Record, frozen=True, kw_only=True):
    """A time-stamping authority (RFC 3161) stamped the checkpoint of this size: what it covers existed before.

    The token stands beside the log under its digest. What follows this entry is later than the token's time.
    """

    TYPE = TIME_STAMPED
    STREAM = "log"

    size: Annotated[int, msgspec.Meta(ge=1, le=MAX_COUNT), public("size of a tree")]
    token_sha256: PublicHash
    """Of the token in its minimal form (docs/spec/checkpoint.md)."""


class FreezeReason(StrEnum):
    """Why a log ended."""

    PERIOD_END = "PERIOD_END"
    KEY_STOLEN = "KEY_STOLEN"
    CLOSED = "CLOSED"


class LogFrozen(Record, frozen=True, kw_only=True):
    """The log ends here. Only what is done with personal data may follow, and nothing where a key was stolen."""

    TYPE = "log.frozen"
    STREAM = "log"

    reason: Annotated[FreezeReason, public("why the log ended")]


class Refused(Record, frozen=True, kw_only=True):
    """An authentic statement that a rule refused: the attempt stays visible, its words do not enter the log."""

    TYPE = "log.refused"
    STREAM = "*"

    code: Annotated[str, msgspec.Meta(pattern=r"^[a-z]+/[a-z0-9-]{1,48}$(?!\n)"), public("which rule refused")]
    refused_type: Annotated[str, msgspec.Meta(max_length=48), public("what kind of statement was refused")]
    statement: Annotated[Hash, public("salted by the statement's own signature and digests; names no person")]
    refused_jti: Annotated[Jti, public("an id that is used once")]
    role: Annotated[Role, public("role of the party that was refused")]
    party: PublicParty | msgspec.UnsetType = msgspec.UNSET
    """The organisation that was refused; left out where a person was."""
    participation: (
        Annotated[str, msgspec.Meta(max_length=64), public("random for each request")] | msgspec.UnsetType
    ) = msgspec.UNSET


class StreamClosed(Record, frozen=True, kw_only=True):
    """The stream ends here: it has exactly `n` entries before this one, so nobody can hide one."""

    TYPE = STREAM_CLOSED
    STREAM = "*"

    closed: Annotated[StreamName, public("name of the stream")]
    n: Annotated[int, msgspec.Meta(ge=1, le=MAX_COUNT), public("number of entries before this one")]


KINDS: tuple[type[Record], ...] = (
    PolicyAdopted,
    RootAdopted,
    RootRetired,
    KeyRotated,
    TimeStamped,
    LogFrozen,
    Refused,
    StreamClosed,
)
POLICIES: frozenset[str] = frozenset({PolicyAdopted.TYPE, RootAdopted.TYPE, RootRetired.TYPE})
"""What changes the policy under which later entries stand, all in one stream: their `pol` names the last of these."""
