"""Opt-in and opt-out: the right of each actor, and the relay of a person's own words."""

from enum import StrEnum
from typing import Annotated

import msgspec

from ledger.records.fields import PersonalMs, PublicFsr, PublicParticipation, PublicReference
from ledger.records.marks import Category, personal, public
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
    reason: Annotated[OptReason, personal(Category.BEHAVIOUR, "sensitive", retention="P1Y")] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    decided_at_ms: PersonalMs | msgspec.UnsetType = msgspec.UNSET
    evu_statement: (
        Annotated[str, msgspec.Meta(max_length=16_384), personal(Category.CONTRACT, "direct", retention="P3Y")]
        | msgspec.UnsetType
    ) = msgspec.UNSET


KINDS: tuple[type[Record], ...] = (OptDecided,)
