"""Credential checks: six dimensions, one for each purpose that the standard's abstract names."""

from enum import StrEnum
from typing import Annotated

import msgspec

from ledger.records.fields import (
    CapacityW,
    PartyId,
    PersonalEvse,
    PersonalEvu,
    PublicFsc,
    PublicFsr,
    PublicMs,
    PublicParticipation,
    PublicReference,
)
from ledger.records.marks import public
from ledger.records.record import Part, Record
from ledger.records.statement_fields import Hash


class Dimension(StrEnum):
    """The five purposes of the abstract, the last of them split in two because two different documents answer it."""

    IDENTITY = "IDENTITY"
    AUTHENTICATION = "AUTHENTICATION"
    AUTHORIZATION = "AUTHORIZATION"
    CONTRACT = "CONTRACT"
    CAPABILITY = "CAPABILITY"
    CONFORMITY = "CONFORMITY"


class Status(StrEnum):
    """INDETERMINATE (say, a stale revocation list) is never PASS."""

    PASS = "PASS"  # noqa: S105 -- a verdict
    FAIL = "FAIL"
    INDETERMINATE = "INDETERMINATE"


class CheckPurpose(StrEnum):
    """Why the check was run."""

    ENROL = "ENROL"
    PRE_FSR = "PRE_FSR"
    PRE_ACTIVATION = "PRE_ACTIVATION"
    AUDIT = "AUDIT"


class DimensionResult(Part, frozen=True, kw_only=True):
    """The answer to one dimension."""

    dimension: Annotated[Dimension, public("which question")]
    status: Annotated[Status, public("its answer")]
    code: Annotated[str, msgspec.Meta(pattern=r"^[a-z]+/[a-z0-9-]{1,48}$(?!\n)"), public("a closed list of reasons")]


class CheckedSubject(Part, frozen=True, kw_only=True):
    """One EVSE and EV that might take part. The participation id is born here."""

    participation: PublicParticipation
    overall: Annotated[Status, public("PASS needs six PASSes")]
    dimensions: Annotated[
        tuple[DimensionResult, ...], msgspec.Meta(min_length=6, max_length=6), public("in the order of `Dimension`")
    ]
    amount_w: Annotated[CapacityW, public("what the participation was checked for")]
    fsc_id: PublicFsc | msgspec.UnsetType = msgspec.UNSET
    evse_id: PersonalEvse | msgspec.UnsetType = msgspec.UNSET
    evu: PersonalEvu | msgspec.UnsetType = msgspec.UNSET


class CheckRecorded(Record, frozen=True, kw_only=True):
    """The six questions, asked of every subject at one moment with stated evidence; the same answer years later."""

    TYPE = "check.recorded"
    STREAM = "fsr"

    check_id: PublicReference
    fsr_id: PublicFsr
    purpose: Annotated[CheckPurpose, public("why it was run")]
    service: Annotated[str, msgspec.Meta(pattern=r"^[A-Z_]{3,24}$(?!\n)"), public("class of service")]
    as_of_ms: PublicMs
    valid_until_ms: PublicMs
    """The earliest limit of any input."""
    requester: Annotated[PartyId, public("the organisation that asked for flexibility")]
    overall: Annotated[Status, public("PASS if at least one subject passes and the requester does")]
    requester_dimensions: Annotated[
        tuple[DimensionResult, ...], msgspec.Meta(min_length=4, max_length=4), public("identity to contract")
    ]
    subjects: Annotated[tuple[CheckedSubject, ...], msgspec.Meta(max_length=256), public("a list of parts")]
    evidence: Annotated[
        tuple[Hash, ...], msgspec.Meta(max_length=64), public("digests of certificates and CRLs of organisations")
    ]


KINDS: tuple[type[Record], ...] = (CheckRecorded,)
