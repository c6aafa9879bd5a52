"""Detailed service records and proofs of work: proof of flexibility delivered, which is not mining."""

from enum import StrEnum
from typing import Annotated

import msgspec

from ledger.records import identifiers
from ledger.records.fields import (
    CapacityW,
    Currency,
    DurationMs,
    EvseId,
    Id,
    Micro,
    Ms,
    PowerW,
    PublicFsr,
    PublicParticipation,
    PublicReference,
    Share,
)
from ledger.records.marks import Category, personal, public
from ledger.records.record import Part, Record, Value


class Verdict(StrEnum):
    """The outcome. UNPROVABLE is not FAILED: it says that nobody can tell."""

    DELIVERED = "DELIVERED"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"
    UNPROVABLE = "UNPROVABLE"
    INFORMATIVE = "INFORMATIVE"


class Period(Value, frozen=True, kw_only=True):
    """What one participation did in one period."""

    start_at_ms: Ms
    duration_ms: DurationMs
    mean_w: PowerW
    requested_w: PowerW


class ServiceRecorded(Record, frozen=True, kw_only=True):
    """The detailed service record (DSR) of one participation; corrected only by a reversing record."""

    TYPE = "dsr.recorded"
    STREAM = "fsr"

    dsr_id: PublicReference
    fsr_id: PublicFsr
    participation: PublicParticipation
    batch_ids: Annotated[tuple[Id, ...], msgspec.Meta(max_length=64), public("ids that are used once")]
    reverses: PublicReference | None = None
    evse_id: Annotated[EvseId, personal(Category.LOCATION, "quasi")] | msgspec.UnsetType = msgspec.UNSET
    periods: (
        Annotated[tuple[Period, ...], msgspec.Meta(max_length=3600), personal(Category.METER, "quasi", portable=True)]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    energy_import_milliwh: (
        Annotated[int, msgspec.Meta(ge=0, le=2**50), personal(Category.METER, "quasi", portable=True)]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    energy_export_milliwh: (
        Annotated[int, msgspec.Meta(ge=0, le=2**50), personal(Category.METER, "quasi", portable=True)]
        | msgspec.UnsetType
    ) = msgspec.UNSET


class ExcludedReason(StrEnum):
    """Why a participation does not count."""

    OPTED_OUT = "OPTED_OUT"
    INELIGIBLE = "INELIGIBLE"
    SUPERSEDED = "SUPERSEDED"
    GRID_CODE_OVERRIDE = "GRID_CODE_OVERRIDE"
    INABILITY = "INABILITY"
    DEPARTED = "DEPARTED"
    ABORTED = "ABORTED"
    NO_EVIDENCE = "NO_EVIDENCE"
    START_SPREAD = "START_SPREAD"


class Excluded(Value, frozen=True, kw_only=True):
    """One participation that does not count, and why."""

    participation: Id
    reason: ExcludedReason
    start_at_ms: Ms = 0
    end_at_ms: Ms = 0
    """Both 0: it never counts; else it does not count from start to end."""


class WorkPart(Part, frozen=True, kw_only=True):
    """One participation's share of the proof; its figures are personal."""

    participation: PublicParticipation
    dsr_id: PublicReference
    result: Annotated[str, msgspec.Meta(max_length=32_768), personal(Category.METER, "quasi")] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    """Canonical JSON of the participation's figures, as `ledger.delivery.work` computes them."""


class WorkProven(Record, frozen=True, kw_only=True):
    """The proof of work of one request: anyone with the evidence recomputes `group`, `score_ppm` and `verdict`."""

    TYPE = "work.proven"
    STREAM = "fsr"

    pow_id: PublicReference
    fsr_id: PublicFsr
    check_id: PublicReference
    baseline_id: PublicReference
    algorithm: Annotated[str, msgspec.Meta(pattern=r"^[A-Z0-9_]{3,24}/[0-9]{1,3}$(?!\n)"), public("id and version")]
    batch_ids: Annotated[tuple[Id, ...], msgspec.Meta(max_length=512), public("ids that are used once")]
    group: Annotated[str, msgspec.Meta(max_length=32_768), public("canonical JSON of the group's figures")]
    score_ppm: Annotated[Share, public("of the group")]
    verdict: Annotated[Verdict, public("of the group")]
    delivered_wh: Annotated[CapacityW, public("of the group")]
    excluded: Annotated[tuple[Excluded, ...], msgspec.Meta(max_length=1024), public("random participation ids")] = ()
    parts: Annotated[tuple[WorkPart, ...], msgspec.Meta(max_length=256), public("a list of parts")]
    reverses: PublicReference | None = None


class CounterResult(StrEnum):
    """The flexibility operator's answer to a proof."""

    AGREED = "AGREED"
    DISPUTED = "DISPUTED"


class DisputeReason(StrEnum):
    """What is contested."""

    RESOURCE_BELOW_ORDER = "RESOURCE_BELOW_ORDER"
    BASELINE = "BASELINE"
    EVIDENCE = "EVIDENCE"
    TIMING = "TIMING"


class WorkCountered(Record, frozen=True, kw_only=True):
    """The flexibility operator agrees to a proof of work or disputes it."""

    TYPE = "work.countered"
    STREAM = "fsr"

    fsr_id: PublicFsr
    pow_id: PublicReference
    result: Annotated[CounterResult, public("agreed or disputed")]
    reason: Annotated[DisputeReason, public("a closed list")] | None = None
    contested: Annotated[tuple[Id, ...], msgspec.Meta(max_length=256), public("random participation ids")] = ()


class Resolution(StrEnum):
    """How a dispute ends."""

    UPHELD = "UPHELD"
    DISMISSED = "DISMISSED"


class DisputeResolved(Record, frozen=True, kw_only=True):
    """One side's signature under the end of a dispute; both sides' make it final, or one auditor's finding."""

    TYPE = "work.resolved"
    STREAM = "fsr"

    fsr_id: PublicFsr
    pow_id: PublicReference
    resolution: Annotated[Resolution, public("upheld or dismissed")]
    ground: Annotated[str, msgspec.Meta(pattern=r"^[A-Z_]{3,48}$(?!\n)"), public("code of the contract's rule")]


class SettlementLine(Value, frozen=True, kw_only=True):
    """One settlement period in money."""

    start_at_ms: Ms
    duration_ms: DurationMs
    delivered_milliwh: Annotated[int, msgspec.Meta(ge=0, le=2**50)]
    deficiency_milliwh: Annotated[int, msgspec.Meta(ge=0, le=2**50)]
    pay_micro: Micro
    penalty_micro: Micro
    availability_micro: Micro = 0
    """For what was ordered and stood by."""


class Settled(Record, frozen=True, kw_only=True):
    """What the service was worth, line by line, as the contract prices it."""

    TYPE = "settlement.lined"
    STREAM = "fsr"

    fsr_id: PublicFsr
    pow_id: PublicReference
    currency: Annotated[Currency, public("ISO 4217")]
    lines: Annotated[tuple[SettlementLine, ...], msgspec.Meta(max_length=96), public("of the group")]
    net_micro: Annotated[Micro, public("of the group")]

    def __post_init__(self) -> None:
        """Raises `ValueError` for a currency that there is not."""
        identifiers.require_currency(self.currency)


KINDS: tuple[type[Record], ...] = (ServiceRecorded, WorkProven, WorkCountered, DisputeResolved, Settled)
