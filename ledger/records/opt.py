"""Opt-in and opt-out: the right of each actor, and the relay of a person's own words."""

from enum import StrEnum
from typing import Annotated

import msgspec

from ledger.records.fields import (
    EvseId,
    PersonalEvu,
    PersonalMs,
    PublicFsr,
    PublicParticipation,
    PublicParty,
    PublicReference,
)
from ledger.records.marks import Category, personal, public
from ledger.records.parties import Words
from ledger.records.record import Record
from ledger.records.requests import Revision


class Choice(StrEnum):
    """In or out."""

    IN = "IN"
    OUT = "OUT"


class OptActor(StrEnum):
    """Whose right is exercised: the EV user's for their EV, the CSP's for its holders, the CSO's for its EVSEs."""

    EVU = "EVU"
    CSP = "CSP"
    CSO = "CSO"


class OptReason(StrEnum):
    """A closed list, after OpenADR 2.0b and our own four; free text could be health data."""

    ECONOMIC = "ECONOMIC"
    EMERGENCY = "EMERGENCY"
    MUST_RUN = "MUST_RUN"
    NOT_PARTICIPATING = "NOT_PARTICIPATING"
    OUTAGE = "OUTAGE"
    OVERRIDE = "OVERRIDE"
    MOBILITY_NEED = "MOBILITY_NEED"
    BATTERY_CARE = "BATTERY_CARE"
    USER_PREFERENCE = "USER_PREFERENCE"
    LOCAL_SAFETY = "LOCAL_SAFETY"


class OptOrigin(StrEnum):
    """Whether somebody decided about this request, or said beforehand what they would want."""

    EXPLICIT = "EXPLICIT"
    SCHEDULED = "SCHEDULED"


class OptDecided(Record, frozen=True, kw_only=True):
    """One actor opts one participation in or out.

    A person's own signed statement never enters the log: the organisation that relays it signs this record, whose
    `evu_statement` is the person's, as a salted digest.
    """

    TYPE = "opt.decided"
    STREAM = "fsr"
    COARSE = True

    opt_id: PublicReference
    fsr_id: PublicFsr
    revision: Revision = 1
    """Of the request that was decided about; another may have come meanwhile."""
    participation: PublicParticipation
    actor: Annotated[OptActor, public("whose right, not who")]
    choice: Annotated[Choice, public("in or out, under a random participation id")]
    origin: Annotated[OptOrigin, public("how it came about")] = OptOrigin.EXPLICIT
    by_delegate: Annotated[bool, public("the writer acts on a delegation of whoever has the right")] = False
    reason: Annotated[OptReason, personal(Category.BEHAVIOUR, "sensitive", retention="P1Y")] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    decided_at_ms: PersonalMs | msgspec.UnsetType = msgspec.UNSET
    evu_statement: Words = msgspec.UNSET


class OptScheduled(Record, frozen=True, kw_only=True):
    """Ahead of any request: what an actor wants of every one that falls into this time, unless they decide otherwise.

    When it is for is behaviour, and personal. The port that checks a participation states the decision that follows.
    """

    TYPE = "opt.scheduled"
    STREAM = "schedule"
    COARSE = True

    schedule_id: PublicReference
    actor: Annotated[OptActor, public("whose right, not who")]
    party: PublicParty | msgspec.UnsetType = msgspec.UNSET
    """The organisation whose right it is; left out where it is a person's."""
    choice: Annotated[Choice, public("in or out")]
    evu: PersonalEvu | msgspec.UnsetType = msgspec.UNSET
    from_ms: PersonalMs | msgspec.UnsetType = msgspec.UNSET
    until_ms: PersonalMs | msgspec.UnsetType = msgspec.UNSET
    evse_ids: (
        Annotated[tuple[EvseId, ...], msgspec.Meta(max_length=512), personal(Category.LOCATION, "quasi")]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    """Which EVSEs it is for, if not all of the actor's."""
    evu_statement: Words = msgspec.UNSET


class OptScheduleEnded(Record, frozen=True, kw_only=True):
    """From here on the schedule says nothing of requests to come; what followed from it stands until decided anew."""

    TYPE = "opt.schedule-ended"
    STREAM = "schedule"
    COARSE = True

    schedule_id: PublicReference
    evu_statement: Words = msgspec.UNSET


KINDS: tuple[type[Record], ...] = (OptDecided, OptScheduled, OptScheduleEnded)
