"""Flexibility-service requests (FSR): issued, moved, cancelled, answered, aborted."""

from enum import StrEnum
from typing import Annotated

import msgspec

from ledger.records.fields import (
    CapacityVar,
    CapacityW,
    Id,
    Ms,
    PersonalEvse,
    PowerW,
    PublicFsc,
    PublicFsr,
    PublicMs,
    PublicParticipation,
    PublicParty,
    PublicReference,
    PublicSite,
)
from ledger.records.marks import public
from ledger.records.record import Part, Record, Value
from ledger.records.services import Params
from ledger.records.statement_fields import Hash


class Obligation(StrEnum):
    """Market services are voluntary; grid functions under a verified mandate are not."""

    VOLUNTARY = "VOLUNTARY"
    MANDATORY = "MANDATORY"


class Ground(StrEnum):
    """The two grounds, and no other, on which opting out may be refused."""

    SAFETY = "SAFETY"
    GRID_STABILITY = "GRID_STABILITY"


class Mandate(Value, frozen=True, kw_only=True):
    """Why the request is mandatory, and the grid operator's signed directive that proves it."""

    ground: Ground
    legal_basis: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9 ./-]{3,64}$(?!\n)")]
    issuer: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9*._-]{0,63}$(?!\n)")]
    directive: Annotated[str, msgspec.Meta(max_length=16_384)]
    """The directive: a `directive.given` statement signed with a system operator's credential."""
    directive_sha256: Hash
    valid_until_ms: Ms


class Evidence(Value, frozen=True, kw_only=True):
    """What must be measured."""

    resolution_ms: Annotated[int, msgspec.Meta(ge=10, le=3_600_000)]
    signed_registers: bool = True


StartSpreadS = Annotated[
    int, msgspec.Meta(ge=0, le=600), public("over how long the starts are spread, the same for every participant")
]
"""0: all start at once. Ten minutes at most, so that the check at the start still holds for the last of them."""


class RequestIssued(Record, frozen=True, kw_only=True):
    """A flexibility operator asks for one service at one port. Participations, not the request, opt and execute."""

    TYPE = "fsr.issued"
    STREAM = "fsr"

    fsr_id: PublicFsr
    site_id: PublicSite
    fsc_ids: Annotated[tuple[Id, ...], msgspec.Meta(max_length=64), public("contract ids name organisations' terms")]
    """Empty only under a mandate."""
    obligation: Annotated[Obligation, public("voluntary or mandatory")]
    mandate: Annotated[Mandate, public("a document between organisations")] | None = None
    params: Annotated[Params, public("what is asked for, of the group")]
    respond_by_ms: PublicMs
    opt_deadline_ms: PublicMs
    start_at_ms: PublicMs
    end_at_ms: PublicMs
    priority: Annotated[int, msgspec.Meta(ge=0, le=100), public("0 is highest")] = 50
    start_spread_s: StartSpreadS = 0
    evidence: Annotated[Evidence, public("what must be measured")]


Revision = Annotated[int, msgspec.Meta(ge=1, le=10_000), public("counts up; 1 is the request as it was issued")]


class RequestRevised(Record, frozen=True, kw_only=True):
    """The operator asks for something else instead, before anybody answered: every check and opt starts anew.

    Site, contracts, class of service and obligation stay; another mandate is another request.
    """

    TYPE = "fsr.revised"
    STREAM = "fsr"

    fsr_id: PublicFsr
    revision: Annotated[int, msgspec.Meta(ge=2, le=10_000), public("counts up by one")]
    params: Annotated[Params, public("what is asked for, of the group")]
    respond_by_ms: PublicMs
    opt_deadline_ms: PublicMs
    start_at_ms: PublicMs
    end_at_ms: PublicMs
    priority: Annotated[int, msgspec.Meta(ge=0, le=100), public("0 is highest")] = 50
    start_spread_s: StartSpreadS = 0
    evidence: Annotated[Evidence, public("what must be measured")]


class DirectiveGiven(Record, frozen=True, kw_only=True):
    """A system operator's directive. It never is an entry of its own: it travels inside the mandate that it proves."""

    TYPE = "directive.given"
    STREAM = "directive"

    directive_id: PublicReference
    to: PublicParty
    """The flexibility operator that may pass it on."""
    site_id: PublicSite
    ground: Annotated[Ground, public("a closed list")]
    legal_basis: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9 ./-]{3,64}$(?!\n)"), public("name of a law")]
    import_cap_w: Annotated[CapacityW, public("for the site")]
    not_before_ms: PublicMs
    not_after_ms: PublicMs


class CancelReason(StrEnum):
    """Why a request was cancelled or aborted."""

    NO_LONGER_NEEDED = "NO_LONGER_NEEDED"
    NO_CREDENTIAL = "NO_CREDENTIAL"
    NO_CONTRACT = "NO_CONTRACT"
    SAFETY = "SAFETY"
    COMMS_LOST = "COMMS_LOST"


class RequestCancelled(Record, frozen=True, kw_only=True):
    """The request ended before it started."""

    TYPE = "fsr.cancelled"
    STREAM = "fsr"

    fsr_id: PublicFsr
    reason: Annotated[CancelReason, public("a closed list")]


class RequestAborted(Record, frozen=True, kw_only=True):
    """The request ended while it ran."""

    TYPE = "fsr.aborted"
    STREAM = "fsr"

    fsr_id: PublicFsr
    reason: Annotated[CancelReason, public("a closed list")]


class SetpointStepMoved(Value, frozen=True, kw_only=True):
    """One new value of a dynamic setpoint."""

    at_ms: Ms
    power_w: PowerW


class SetpointBatch(Record, frozen=True, kw_only=True):
    """The moving part of a dynamic setpoint: signed, batched, numbered without gaps."""

    TYPE = "fsr.setpoints"
    STREAM = "fsr"

    fsr_id: PublicFsr
    batch: Annotated[int, msgspec.Meta(ge=1, le=10**6), public("counts up by one")]
    steps: Annotated[tuple[SetpointStepMoved, ...], msgspec.Meta(min_length=1, max_length=3600), public("of the group")]


class Answer(StrEnum):
    """The port's answer to a request."""

    ACCEPTED = "ACCEPTED"
    PARTIAL = "PARTIAL"
    REJECTED = "REJECTED"


class RejectReason(StrEnum):
    """Why a request was rejected."""

    MANDATE_UNPROVEN = "MANDATE_UNPROVEN"
    NOT_APPLICABLE = "NOT_APPLICABLE"
    INABILITY = "INABILITY"
    NO_CREDENTIAL = "NO_CREDENTIAL"
    NO_CAPACITY = "NO_CAPACITY"
    LATE = "LATE"


class Offer(Part, frozen=True, kw_only=True):
    """One participation that is offered, and for how much."""

    participation: PublicParticipation
    offered_w: Annotated[CapacityW, public("share of the group's order")]
    up_w: Annotated[CapacityW, public("capacity that is bound upwards")] = 0
    down_w: Annotated[CapacityW, public("capacity that is bound downwards")] = 0
    fsc_id: PublicFsc | msgspec.UnsetType = msgspec.UNSET
    evse_id: PersonalEvse | msgspec.UnsetType = msgspec.UNSET
    offered_var: Annotated[CapacityVar, public("share of the group's order of reactive power")] = 0


class RequestAnswered(Record, frozen=True, kw_only=True):
    """The port accepts all or part of a request, or rejects it. The check it rests on must have passed."""

    TYPE = "fsr.answered"
    STREAM = "fsr"

    fsr_id: PublicFsr
    revision: Revision = 1
    """The one that is answered; another may have come meanwhile."""
    answer: Annotated[Answer, public("accepted, partial or rejected")]
    reason: Annotated[RejectReason, public("a closed list")] | None = None
    check_id: PublicReference | None = None
    offers: Annotated[tuple[Offer, ...], msgspec.Meta(max_length=256), public("a list of parts")] = ()


KINDS: tuple[type[Record], ...] = (
    DirectiveGiven,
    RequestIssued,
    RequestRevised,
    RequestCancelled,
    RequestAborted,
    SetpointBatch,
    RequestAnswered,
)
