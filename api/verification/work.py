"""A proof of work as a pure function of the request's records and its evidence; the service and a verifier share it.

Proof of work is proof of flexibility delivered; it is not mining.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypedDict

import msgspec

from ledger.delivery import baselines, samples, work
from ledger.delivery.baselines import BaselineInputs
from ledger.delivery.curves import Corner
from ledger.delivery.rounding import PPM, apportion
from ledger.delivery.samples import MAX_HOLD_MS
from ledger.delivery.verdicts import congestion, droop, ffr, limit, outcome, reserve, setpoint, v2h
from ledger.delivery.verdicts.outcome import Exclusion, Reason, Thresholds
from ledger.delivery.work import Participation, WorkInputs, WorkResult
from ledger.records import canonical
from ledger.records.contracts import BaselineMethod, Scoring, ServiceTerms
from ledger.records.execution import ExecutionKind
from ledger.records.requests import RequestIssued, SetpointBatch
from ledger.records.services import (
    CongestionParams,
    DroopParams,
    FfrParams,
    LimitMandatoryParams,
    PriceParams,
    ReserveParams,
    SetpointParams,
    V2hParams,
    VoltVarParams,
    VoltWattParams,
    WattVarParams,
)
from ledger.rules.request_state import RequestState
from ledger.rules.starts import starts_at_ms

MANDATED: Final = Thresholds(delivered_from_ppm=1_000_000, partial_from_ppm=500_000)
"""What counts as delivered where no contract says it: a mandate is kept whole."""
MAX_OVERRIDES: Final = 4
"""How often a grid code's function excuses one participation: one that comes and goes all the time excuses nothing."""
SETPOINT_IN_BAND_PPM: Final = 0
LIMIT_INTERVAL_MS: Final = 15_000
"""A cap is looked at in means of a quarter of a minute: shorter peaks are the meter's noise, not the grid's load."""


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """One participation: what it offered, and its sample bodies in order of time."""

    participation: str
    offered_w: int
    bodies: tuple[bytes, ...]


class Computed(msgspec.Struct, frozen=True, kw_only=True):
    """What it was computed from, and the result split as the record holds it: the group in public, each participation's
    figures as personal."""

    inputs: WorkInputs
    result: WorkResult
    group: str
    parts: Mapping[str, str]
    delivered_wh: int


def baseline_document(method: BaselineMethod, inputs: BaselineInputs | None) -> bytes:
    """The canonical bytes whose digest a baseline commitment names; a method without inputs is named alone."""
    if inputs is None:
        return canonical.encode({"method": f"{method.value}/1"})
    return canonical.encode(inputs)


def read_baseline(document: bytes) -> BaselineInputs | None:
    """The inputs in a baseline document, or None for a method that needs none; raises `NotCanonical`."""
    value = canonical.decode(document)
    if isinstance(value, dict) and set(value) == {"method"}:
        return None
    return canonical.convert(value, BaselineInputs, "the baseline's inputs")  # type: ignore[arg-type]


def baseline_series(inputs: BaselineInputs | None) -> tuple[int, ...]:
    """The counterfactual that a commitment states; empty for methods that are computed from the evidence."""
    return () if inputs is None else baselines.compute(inputs).series_w


def compute(
    request: RequestIssued,
    terms: ServiceTerms | None,
    baseline: BaselineInputs | None,
    shares: Sequence[Share],
    exclusions: Sequence[Exclusion],
    moved: Sequence[SetpointBatch] = (),
) -> Computed:
    """The result of this evidence under these terms, bit for bit the same for everyone who computes it."""
    inputs = _inputs(request, terms, baseline, shares, tuple(exclusions), moved)
    result = work.recompute(inputs)
    whole = canonical.decode(work.encode(result))
    participations = whole.pop("participations")
    delivered = sum(period.delivered_w * period.duration_ms for period in result.periods)
    return Computed(
        inputs=inputs,
        result=result,
        group=canonical.encode(whole).decode(),
        parts={part["participation_id"]: canonical.encode(part).decode() for part in participations},
        delivered_wh=delivered // 3_600_000,
    )


def hold_ms(request: RequestIssued) -> int:
    """How long a sample stands for at most: one lost record between two is bridged, two are not (at most a minute).

    The verdict of a fast response has bounds of its own, in its terms.
    """
    if isinstance(request.params, FfrParams):
        return MAX_HOLD_MS
    return min(MAX_HOLD_MS, 2 * request.evidence.resolution_ms)


def digest(document: bytes) -> str:
    """Hex SHA-256."""
    return hashlib.sha256(document).hexdigest()


def terms_of(request: RequestState) -> ServiceTerms | None:
    """The terms that judge the group: those of the first contract that the request names and that has the service."""
    for fsc_id in request.issued.fsc_ids:
        contract = request.contracts.get(fsc_id)
        terms = contract.terms(request.service, request.issued_at_ms) if contract else None
        if terms is not None:
            return terms
    return None


def participants_of(request: RequestState) -> list[str]:
    """Every participation that was bound, in order of its id; who did not take part is excluded, not left out."""
    return sorted(request.bound())


def exclusions_of(request: RequestState, shares: Sequence[Share]) -> list[Exclusion]:
    """Who was bound and does not count: who opted out, and who never started because the check at the start failed;
    and when somebody does not count: before their own start, while superseded, and while a grid-code function ruled the
    inverter.
    """
    if request.is_mandatory:
        return []
    found = [one for share in shares for one in _overrides(request, share)]
    for pid in participants_of(request):
        part = request.participations[pid]
        if part.is_out(request.issued.start_at_ms):
            found.append(Exclusion(participation_id=pid, reason=Reason.OPTED_OUT))
        elif not part.has_passed:
            found.append(Exclusion(participation_id=pid, reason=Reason.INELIGIBLE))
        else:
            found.extend(_before_its_start(request, pid))
            found.extend(
                Exclusion(participation_id=pid, reason=Reason.SUPERSEDED, start_at_ms=start, end_at_ms=end)
                for since, until in part.superseded
                for start, end in _within(since, until, (request.issued.start_at_ms, request.issued.end_at_ms))
            )
    return found


def _before_its_start(request: RequestState, pid: str) -> Iterator[Exclusion]:
    """Where starts are spread, nothing is owed before one's own; every reader computes the same moment."""
    start_ms, own_ms = request.issued.start_at_ms, starts_at_ms(request.issued, pid)
    if start_ms < own_ms:
        yield Exclusion(participation_id=pid, reason=Reason.START_SPREAD, start_at_ms=start_ms, end_at_ms=own_ms)


def _overrides(request: RequestState, share: Share) -> Iterator[Exclusion]:
    """When the samples say that a grid-code function had taken over, if an alarm of it is on record.

    A flag alone excuses nobody: the station sets it in samples that nobody sees until the end, an alarm is on record at
    once. At most `MAX_OVERRIDES` times count.
    """
    issued, part = request.issued, request.participations[share.participation]
    if not part.has_noted(ExecutionKind.ALARM) or part.is_out(issued.start_at_ms) or not part.has_passed:
        return
    window = (issued.start_at_ms, issued.end_at_ms)
    series = [one for body in share.bodies for one in samples.decode(body)]
    since: int | None = None
    spans: list[tuple[int, int]] = []
    for one in series:
        is_ruled = bool(one.status & samples.Status.GRID_CODE_OVERRIDE)
        if is_ruled and since is None:
            since = one.t_ms
        elif not is_ruled and since is not None:
            spans.append((since, one.t_ms))
            since = None
    if since is not None:
        spans.append((since, series[-1].t_ms + hold_ms(issued)))
    inside = [span for start, end in spans for span in _within(start, end, window)]
    for start, end in inside[:MAX_OVERRIDES]:
        yield Exclusion(
            participation_id=share.participation, reason=Reason.GRID_CODE_OVERRIDE, start_at_ms=start, end_at_ms=end
        )


def _within(start_ms: int, end_ms: int, window: tuple[int, int]) -> Iterator[tuple[int, int]]:
    start_ms, end_ms = max(start_ms, window[0]), min(end_ms, window[1])
    if start_ms < end_ms:
        yield start_ms, end_ms


def _inputs(
    request: RequestIssued,
    terms: ServiceTerms | None,
    baseline: BaselineInputs | None,
    shares: Sequence[Share],
    exclusions: tuple[Exclusion, ...],
    moved: Sequence[SetpointBatch],
) -> WorkInputs:
    params = request.params
    common: _Common = {
        "start_at_ms": request.start_at_ms,
        "end_at_ms": request.end_at_ms,
        "participations": tuple(
            Participation(participation_id=share.participation, ordered_w=ordered_w)
            for share, ordered_w in zip(shares, _ordered(request, shares), strict=True)
        ),
        "bodies": {share.participation: share.bodies for share in shares},
        "exclusions": exclusions,
        "max_hold_ms": hold_ms(request),
    }
    thresholds = MANDATED if terms is None else _thresholds(terms)
    if isinstance(params, CongestionParams | PriceParams | ReserveParams):
        if baseline is None:
            raise ValueError("what is saved or shifted is judged against a baseline")
        return _against(baseline, params, common, thresholds)
    if isinstance(params, LimitMandatoryParams):
        return work.LimitWork(
            **common,
            t_comply_ms=params.t_comply_ms,
            interval_ms=max(request.evidence.resolution_ms, LIMIT_INTERVAL_MS),
            terms=limit.Terms(import_cap_w=params.import_cap_w, thresholds=thresholds),
        )
    if isinstance(params, FfrParams):
        return work.FfrWork(**common, frequency_of=_measuring(shares, exclusions), terms=_ffr_terms(params, terms))
    if isinstance(params, DroopParams | VoltWattParams | VoltVarParams | WattVarParams):
        return _curve(params, common, thresholds)
    if isinstance(params, V2hParams):
        return _house(params, shares, exclusions, common, thresholds)
    out = {one.participation_id for one in exclusions if one.is_whole}
    taking_part = [share for share in shares if share.participation not in out]
    return work.SetpointWork(
        **common, setpoints=_setpoints(params, taking_part, moved), terms=_setpoint_terms(params, terms)
    )


def _curve(
    params: DroopParams | VoltWattParams | VoltVarParams | WattVarParams, common: "_Common", thresholds: Thresholds
) -> WorkInputs:
    """The classes in which every EVSE follows a curve of what it measures itself."""
    response_ms = params.response_time_ms
    if isinstance(params, DroopParams):
        corners = tuple(Corner(x=p.freq_millihertz, y=p.power_w) for p in params.points)
        terms = droop.Terms(
            points=corners,
            base=params.base_w,
            tolerance=params.tolerance_w,
            response_ms=response_ms,
            thresholds=thresholds,
        )
        return work.DroopWork(**common, terms=terms)
    if isinstance(params, VoltWattParams):
        corners = tuple(Corner(x=p.volt_centipct, y=p.power_w) for p in params.points)
        return work.VoltWattWork(
            **common,
            terms=droop.Terms(
                points=corners,
                tolerance=params.tolerance_w,
                response_ms=response_ms,
                reference_millivolt=params.reference_millivolt,
                thresholds=thresholds,
            ),
        )
    if isinstance(params, VoltVarParams):
        corners = tuple(Corner(x=p.volt_centipct, y=p.power_var) for p in params.points)
        return work.VoltVarWork(
            **common,
            terms=droop.Terms(
                points=corners,
                tolerance=params.tolerance_var,
                response_ms=response_ms,
                reference_millivolt=params.reference_millivolt,
                thresholds=thresholds,
            ),
        )
    corners = tuple(Corner(x=p.power_w, y=p.power_var) for p in params.points)
    return work.WattVarWork(
        **common,
        terms=droop.Terms(
            points=corners, tolerance=params.tolerance_var, response_ms=response_ms, thresholds=thresholds
        ),
    )


def _house(
    params: V2hParams,
    shares: Sequence[Share],
    exclusions: Sequence[Exclusion],
    common: "_Common",
    thresholds: Thresholds,
) -> WorkInputs:
    """The house's connection is measured by the first EVSE, by its participation's id, that counts and has measured."""
    return work.V2hWork(
        **common,
        isp_ms=params.series[0].duration_ms,
        house=_measuring(shares, exclusions),
        terms=v2h.Terms(
            max_export_w=params.max_export_w,
            prices_micro_per_kwh=tuple(step.import_micro_per_kwh for step in params.series),
            export_prices_micro_per_kwh=tuple(step.export_micro_per_kwh for step in params.series),
            reserve_soc_permille=params.reserve_soc_permille,
            energy_budget_milliwh=params.energy_budget_wh * 1000,
            thresholds=thresholds,
        ),
    )


def _against(
    baseline: BaselineInputs,
    params: CongestionParams | PriceParams | ReserveParams,
    common: "_Common",
    thresholds: Thresholds,
) -> WorkInputs:
    """The classes that ask what would have been drawn without the request."""
    if isinstance(params, PriceParams):
        return work.PriceWork(**common, isp_ms=params.series[0].duration_ms, baseline=baseline)
    direction = outcome.Direction(params.direction.value)
    if isinstance(params, CongestionParams):
        return work.CongestionWork(
            **common,
            isp_ms=params.series[0].duration_ms,
            baseline=baseline,
            ordered_w=tuple(step.ordered_w for step in params.series),
            terms=congestion.Terms(direction=direction, thresholds=thresholds),
        )
    count = (common["end_at_ms"] - common["start_at_ms"]) // params.interval_ms
    return work.ReserveWork(
        **common,
        interval_ms=params.interval_ms,
        baseline=baseline,
        ordered_w=(params.capacity_w,) * count,
        terms=reserve.Terms(
            direction=direction,
            full_ms=params.full_ms,
            energy_budget_milliwh=params.energy_budget_wh * 1000,
            thresholds=thresholds,
        ),
    )


def _measuring(shares: Sequence[Share], exclusions: Sequence[Exclusion]) -> str:
    """The participation whose frequency, or connection, is the group's: the first, by its id, that counts and has
    measured."""
    out = {one.participation_id for one in exclusions if one.is_whole}
    measured = [share.participation for share in shares if share.bodies and share.participation not in out]
    return min(measured or [share.participation for share in shares])


class _Common(TypedDict):
    """What every class of work is computed from."""

    start_at_ms: int
    end_at_ms: int
    participations: tuple[Participation, ...]
    bodies: dict[str, tuple[bytes, ...]]
    exclusions: tuple[Exclusion, ...]
    max_hold_ms: int


def _ordered(request: RequestIssued, shares: Sequence[Share]) -> tuple[int, ...]:
    """What each participation owes: of a reserve its part of the capacity, for offers may hold a margin."""
    offered = [share.offered_w for share in shares]
    if isinstance(request.params, FfrParams | ReserveParams) and shares:
        return apportion(request.params.capacity_w, offered)
    return tuple(offered)


def _thresholds(terms: ServiceTerms) -> Thresholds:
    return Thresholds(delivered_from_ppm=terms.delivered_min_ppm, partial_from_ppm=terms.partial_min_ppm)


def _ffr_terms(params: FfrParams, terms: ServiceTerms | None) -> ffr.Terms:
    scoring = ffr.Scoring.PER_RESOURCE if terms and terms.scoring is Scoring.RESOURCE else ffr.Scoring.GROUP
    return ffr.Terms(
        direction=outcome.Direction(params.direction.value),
        trigger_millihertz=params.f_trigger_millihertz,
        t_full_ms=params.t_full_ms,
        support_ms=params.support_ms,
        tolerance_ppm=(terms.tolerance_w if terms else 0) * PPM // params.capacity_w,
        max_release_ppm_per_s=params.release_ppm_per_s,
        max_over_ppm=params.max_over_ppm,
        scoring=scoring,
    )


def _setpoint_terms(params: SetpointParams, terms: ServiceTerms | None) -> setpoint.Terms:
    largest = max(abs(step.power_w) for step in params.series) or 1
    return setpoint.Terms(
        reference_w=largest,
        tolerance_w=terms.tolerance_w if terms else 0,
        ramp_ms=max(1000, largest * 1000 // params.ramp_w_per_s),
        min_in_band_ppm=SETPOINT_IN_BAND_PPM,
        thresholds=MANDATED if terms is None else _thresholds(terms),
    )


def _setpoints(
    params: SetpointParams, shares: Sequence[Share], moved: Sequence[SetpointBatch]
) -> dict[str, tuple[setpoint.Setpoint, ...]]:
    """Each participation's own steps: the group's, split by what was offered."""
    group = [(step.start_at_ms, step.power_w) for step in params.series]
    group += [(step.at_ms, step.power_w) for batch in moved for step in batch.steps]
    weights = [share.offered_w for share in shares]
    found: dict[str, list[setpoint.Setpoint]] = {share.participation: [] for share in shares}
    for at_ms, power_w in sorted(dict(group).items()):
        for share, part_w in zip(shares, apportion(power_w, weights), strict=True):
            found[share.participation].append(setpoint.Setpoint(start_at_ms=at_ms, power_w=part_w))
    return {participation: tuple(steps) for participation, steps in found.items()}
