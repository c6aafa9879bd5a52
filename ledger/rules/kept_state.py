"""The small values that a projection keeps: of the log itself, a stream, a question, a delegation, a schedule."""

from typing import Final

import msgspec

from ledger.records.contracts import HoldersAsked
from ledger.records.log import FreezeReason, KeyRotated, PolicyAdopted
from ledger.records.opt import OptScheduled
from ledger.records.parties import DelegationGiven
from ledger.records.services import Service
from ledger.rules.root_lives import RootLife

POLICY: Final = "policy"
"""The one key of its table."""


class StreamState(msgspec.Struct):
    """How many entries a stream has, and whether it has ended."""

    count: int = 0
    is_closed: bool = False


class Query(msgspec.Struct):
    """One question about contract holders."""

    record: HoldersAsked
    fo: str
    is_answered: bool = False


class Activation(msgspec.Struct, frozen=True):
    """One accepted request under a contract: the class of service, and its window."""

    service: Service
    start_at_ms: int
    end_at_ms: int


class DelegationState(msgspec.Struct):
    """One delegation. Grantor and delegate are organisations by their ids, persons by their blind tags, or unknown."""

    record: DelegationGiven
    grantor: str | None
    delegate: str | None
    is_revoked: bool = False


class ScheduleState(msgspec.Struct):
    """One schedule of opting. Its holder is an organisation by its id, a person by a blind tag, or unknown."""

    record: OptScheduled
    holder: str | None
    is_ended: bool = False


class Kept(msgspec.Struct):
    """Who keeps the log, under which policy, which roots and which key."""

    policy_index: int | None = None
    keeper: str | None = None
    """The party that adopted the first policy: the log is its own."""
    rotations: list[KeyRotated] = msgspec.field(default_factory=list)
    """How the log changed its key, in order."""
    frozen_at: int | None = None
    """Index of the entry that ended the log."""
    frozen_for: FreezeReason | None = None
    """What that entry says of it."""
    first_policy: PolicyAdopted | None = None
    anchors: dict[str, RootLife] = msgspec.field(default_factory=dict)
    """By digest, in the order in which the log took them over."""


NOTHING_KEPT: Final = Kept()
"""What is known of a log without a policy; nobody writes into it."""
