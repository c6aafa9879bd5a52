"""Baselines, service records, proofs of work and settlements, computed again from the bundle's evidence.

Proof of work is proof of flexibility delivered; it is not mining.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from api.verification import work
from api.verification.bundle_context import Context, Proof
from api.verification.bundle_errors import EvidenceAbsent, RecomputedOther
from api.verification.bundle_samples import body_of
from api.verification.bundle_statements import Told
from api.verification.work import Share, exclusions_of, participants_of, terms_of
from ledger.delivery import baselines, samples, settlement
from ledger.delivery.samples import AnySample
from ledger.delivery.verdicts.outcome import Period
from ledger.records import canonical
from ledger.records.evidence import BaselineCommitted
from ledger.records.record import Record
from ledger.records.work import ServiceRecorded, Settled, WorkPart, WorkProven
from ledger.rules.request_state import RequestState

LINE_MEMBERS: Final = (
    "start_at_ms",
    "duration_ms",
    "delivered_milliwh",
    "deficiency_milliwh",
    "pay_micro",
    "penalty_micro",
    "availability_micro",
)


class GroupPeriods(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a proof's group figures; its other members are looked at elsewhere."""

    periods: tuple[Period, ...]


def check_baseline(context: Context, _told: Told, whole: Record) -> str:
    """The committed series is what the committed document gives, by the committed method."""
    committed = _as(whole, BaselineCommitted)
    document = context.room.attachment(committed.inputs_sha256, "the baseline's inputs")
    inputs = work.read_baseline(document)
    method = f"{committed.method.value}/{committed.version}"
    found = canonical.decode(document)["method"] if inputs is None else baselines.method_id(inputs)
    if found != method:
        raise RecomputedOther("the document is of another method", expected=method, found=str(found)[:40])
    series = work.baseline_series(inputs)
    if series != committed.baseline_w:
        raise RecomputedOther("the inputs give another series", expected=len(committed.baseline_w), found=len(series))
    return f"{method}: {len(series)} values from the committed inputs"


def check_service_record(context: Context, _told: Told, whole: Record) -> str:
    """Energies and mean powers follow from the committed samples."""
    recorded = _as(whole, ServiceRecorded)
    context.room.require(recorded, "periods", "energy_import_milliwh", "energy_export_milliwh", "evse_id")
    request = context.request_of(recorded)
    if recorded.evse_id != context.evse_of(recorded.participation, request).evse_id:
        raise RecomputedOther("another EVSE than the check's")
    decoded = _samples(context, recorded.batch_ids)
    hold = work.hold_ms(request.issued)
    energies = samples.energies_milliwh(decoded, request.issued.start_at_ms, request.issued.end_at_ms, max_hold_ms=hold)
    if energies != (recorded.energy_import_milliwh, recorded.energy_export_milliwh):
        raise RecomputedOther("the samples give other energies")
    periods = recorded.periods if isinstance(recorded.periods, tuple) else ()
    for at, period in enumerate(periods):
        end_at_ms = period.start_at_ms + period.duration_ms
        mean_w = samples.mean_power_w(decoded, period.start_at_ms, end_at_ms, max_hold_ms=hold)
        if mean_w != period.mean_w:
            raise RecomputedOther("the samples give another mean power", period=at)
    return f"energies and {len(periods)} mean powers from {len(decoded)} samples"


def check_work(context: Context, told: Told, whole: Record) -> str:
    """The proof is what the evidence gives: group, score, verdict, exclusions, and each participation's figures."""
    proven = _as(whole, WorkProven)
    context.proofs.append(Proof(told, proven, None))
    request = context.request_of(proven)
    baseline = request.baseline
    if baseline is None:
        raise RecomputedOther("no baseline was committed")
    document = context.room.attachment(baseline.inputs_sha256, "the baseline's inputs")
    shares = _shares(context, request)
    try:
        computed = work.compute(
            request.issued,
            terms_of(request),
            work.read_baseline(document),
            shares,
            exclusions_of(request, shares),
            request.setpoints,
        )
    except ValueError as error:
        raise RecomputedOther("the proof cannot be computed from this evidence", found=str(error)[:120]) from error
    context.proofs[-1] = Proof(told, proven, computed)
    result = computed.result
    excluded = [(one.participation_id, one.reason.value, one.start_at_ms, one.end_at_ms) for one in result.excluded]
    for member, recorded, found in (
        ("algorithm", proven.algorithm, result.algorithm),
        ("score_ppm", proven.score_ppm, result.score_ppm),
        ("verdict", proven.verdict.value, result.verdict.value),
        ("delivered_wh", proven.delivered_wh, computed.delivered_wh),
        ("group", proven.group, computed.group),
        (
            "excluded",
            [(one.participation, one.reason.value, one.start_at_ms, one.end_at_ms) for one in proven.excluded],
            excluded,
        ),
        ("batch_ids", sorted(proven.batch_ids), _batches(request, shares)),
    ):
        _require_same(member, recorded, found)
    for part in proven.parts:
        _require_part(context, part, computed.parts)
    return f"computed again: {proven.verdict}, {proven.score_ppm} ppm, {len(proven.parts)} parts, bit for bit"


def check_settlement(context: Context, _told: Told, whole: Record) -> str:
    """Every line is the contract's price for what the proof says."""
    settled = _as(whole, Settled)
    request = context.request_of(settled)
    proven, terms = request.work, terms_of(request)
    if proven is None or proven.pow_id != settled.pow_id:
        raise RecomputedOther("another proof stands", found=settled.pow_id)
    if terms is None:
        raise EvidenceAbsent("no contract of the request says a price")
    periods = canonical.convert(canonical.decode(proven.group.encode()), GroupPeriods, "the proof's group").periods
    found = settlement.settle(
        periods,
        settlement.Terms(
            price_micro_per_kwh=terms.price_micro_per_kwh,
            penalty_micro_per_kwh=terms.penalty_micro_per_kwh,
            currency=terms.currency,
            availability_micro_per_kw_h=terms.availability_micro_per_kw_h,
        ),
    )
    _require_same("currency", settled.currency, found.currency)
    _require_same("number of lines", len(settled.lines), len(found.lines))
    for at, (line, again) in enumerate(zip(settled.lines, found.lines, strict=True)):
        for member in LINE_MEMBERS:
            _require_same(f"lines[{at}].{member}", getattr(line, member), getattr(again, member))
    _require_same("net_micro", settled.net_micro, found.net_micro)
    return f"{len(found.lines)} lines, {found.net_micro} micro {found.currency}, as the contract prices it"


def _shares(context: Context, request: RequestState) -> list[Share]:
    found = []
    for pid in participants_of(request):
        part = request.participations[pid]
        bodies = tuple(body_of(context, context.samples[batch_id]) for batch_id in part.batch_ids)
        offered_w = part.offer.offered_w if part.offer else part.subject.amount_w
        found.append(Share(participation=pid, offered_w=offered_w, bodies=bodies))
    return found


def _batches(request: RequestState, shares: Sequence[Share]) -> list[str]:
    return sorted(batch_id for share in shares for batch_id in request.participations[share.participation].batch_ids)


def _samples(context: Context, batch_ids: Sequence[str]) -> tuple[AnySample, ...]:
    decoded: list[AnySample] = []
    for batch_id in batch_ids:
        committed = context.samples.get(batch_id)
        if committed is None:
            raise EvidenceAbsent("the batch is not in the bundle", batch_id=batch_id)
        decoded += samples.decode(body_of(context, committed))
    return tuple(decoded)


def _require_part(context: Context, part: WorkPart, parts: Any) -> None:
    context.room.require(part, "result")
    _require_same(f"result of {part.participation}", part.result, parts.get(part.participation))


def _require_same(member: str, recorded: object, found: object) -> None:
    """No value is repeated: a figure may be a person's."""
    if recorded != found:
        raise RecomputedOther(f"another {member}")


def _as(whole: Record, kind: type[Any]) -> Any:
    if not isinstance(whole, kind):
        raise RecomputedOther("another record", expected=kind.TYPE)
    return whole
