"""What happened on the chargers, one notification a fact."""

from enum import StrEnum
from typing import Annotated

import msgspec

from ledger.records.fields import PersonalMs, PublicFsr, PublicMs, PublicParticipation, PublicReference
from ledger.records.marks import public
from ledger.records.record import Record


class ExecutionKind(StrEnum):
    """Kinds of facts. A time-out is UNKNOWN, not a failure; inability is a fact, not a will."""

    DISPATCHED = "DISPATCHED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"
    EXPIRED = "EXPIRED"
    STARTED = "STARTED"
    SETPOINT_APPLIED = "SETPOINT_APPLIED"
    DEVIATION = "DEVIATION"
    SUPERSEDED = "SUPERSEDED"
    COMPLETED = "COMPLETED"
    ABORTED = "ABORTED"
    UNABLE = "UNABLE"
    ALARM = "ALARM"
    ALARM_CLEARED = "ALARM_CLEARED"
    COMMS_LOST = "COMMS_LOST"
    RESUMED = "RESUMED"


class Cause(StrEnum):
    """Why, where a reason is known."""

    EV_GONE = "EV_GONE"
    EV_LIMIT = "EV_LIMIT"
    GRID_CODE = "GRID_CODE"
    STATION_REJECTED = "STATION_REJECTED"
    STATION_SILENT = "STATION_SILENT"
    FAULT = "FAULT"
    MANDATORY_LIMIT = "MANDATORY_LIMIT"
    CREDENTIAL = "CREDENTIAL"
    OPTED_OUT = "OPTED_OUT"
    """An actor with the right left while it ran: a will, not a fact of the world."""


class ExecutionNoted(Record, frozen=True, kw_only=True):
    """One fact about one participation; the exact time is personal."""

    TYPE = "execution.noted"
    STREAM = "fsr"

    n_id: PublicReference
    fsr_id: PublicFsr
    participation: PublicParticipation
    kind: Annotated[ExecutionKind, public("a closed list, under a random participation id")]
    cause: Annotated[Cause, public("a closed list, under a random participation id")] | None = None
    by_fsr_id: PublicFsr | None = None
    """The request of higher rank that supersedes this one here; with SUPERSEDED only."""
    until_ms: PublicMs | None = None
    """When that ends; with SUPERSEDED only."""
    at_ms: PersonalMs | msgspec.UnsetType = msgspec.UNSET


KINDS: tuple[type[Record], ...] = (ExecutionNoted,)
