"""What the log says of itself: the policy in force, refused attempts, closed streams."""

from typing import Annotated

import msgspec

from ledger.records.actor import Role
from ledger.records.fields import MAX_COUNT, PublicParty
from ledger.records.marks import public
from ledger.records.record import Record
from ledger.records.statement_fields import Hash, Jti, StreamName


class PolicyAdopted(Record, frozen=True, kw_only=True):
    """From here on statements are admitted under these trust anchors and rules. Entry 0 of every log is one."""

    TYPE = "log.policy-adopted"
    STREAM = "log"

    anchors: Annotated[tuple[Hash, ...], msgspec.Meta(min_length=1, max_length=16), public("roots of trust")]
    """SHA-256 of each root certificate's to-be-signed part."""
    rules: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9./-]{1,40}$(?!\n)"), public("version of the rules in force")]
    development: Annotated[bool, public("true: development credentials are admitted; never in production")] = False


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

    TYPE = "log.stream-closed"
    STREAM = "*"

    closed: Annotated[StreamName, public("name of the stream")]
    n: Annotated[int, msgspec.Meta(ge=1, le=MAX_COUNT), public("number of entries before this one")]


KINDS: tuple[type[Record], ...] = (PolicyAdopted, Refused, StreamClosed)
