"""What a request's parameters ask of execution, and how finely it has to be measured: plain values, no I/O."""

from collections.abc import Sequence
from typing import Final

from api.execution.evidence import EvidenceRule
from api.execution.port import FrequencyPoint
from api.execution.services import (
    CongestionService,
    CurveCorner,
    DroopService,
    FfrService,
    HomeService,
    Interval,
    InverterCurveService,
    MandatoryLimitService,
    Participant,
    PriceService,
    Service,
    SetpointService,
)
from ledger.records.requests import SetpointBatch
from ledger.records.services import (
    CongestionParams,
    CurveParams,
    Direction,
    DroopParams,
    FfrParams,
    LimitMandatoryParams,
    PriceParams,
    ReserveParams,
    SetpointParams,
    V2hParams,
    VoltVarParams,
    VoltWattParams,
)
from ledger.rules.request_state import RequestState

QUIET_MS: Final = 1_000
BEFORE_TRIGGER_MS: Final = 10_000
AFTER_TRIGGER_MS: Final = 900_000
DEAD_MAN_UPDATES: Final = 15
MIN_DEAD_MAN_S: Final = 60


def service(request: RequestState, participants: list[Participant]) -> Service:
    """The execution's view of what was asked for."""
    issued, params = request.issued, request.issued.params
    if isinstance(params, CongestionParams | PriceParams | ReserveParams):
        return _against_baseline(request, params)
    if isinstance(params, CurveParams):
        return _curve(issued.start_at_ms, params)
    if isinstance(params, V2hParams):
        return HomeService(
            series=_prices(params),
            target_import_w=params.target_import_w,
            reserve_soc_permille=params.reserve_soc_permille,
            energy_budget_wh=params.energy_budget_wh,
        )
    if isinstance(params, LimitMandatoryParams):
        return MandatoryLimitService(
            start_at_ms=issued.start_at_ms,
            import_cap_w=params.import_cap_w,
            floor_w_per_evse=params.floor_w_per_evse,
        )
    if isinstance(params, FfrParams):
        return FfrService(
            start_at_ms=issued.start_at_ms,
            trigger_millihertz=params.f_trigger_millihertz,
            capacity_w=params.capacity_w,
            full_ms=params.t_full_ms,
            support_ms=params.support_ms,
            release_permille_per_s=params.release_ppm_per_s // 1000,
            direction=params.direction.value,
            dispatch_w={participant.evse: participant.offered_w for participant in participants},
            base_w={participant.evse: params.base_w for participant in participants},
        )
    if isinstance(params, DroopParams):
        points = tuple(FrequencyPoint(freq_millihertz=p.freq_millihertz, power_w=p.power_w) for p in params.points)
        return DroopService(start_at_ms=issued.start_at_ms, points=points, base_w=params.base_w)
    assert isinstance(params, SetpointParams)  # noqa: S101 -- the union has no other member
    return SetpointService(
        series=tuple(
            Interval(start_at_ms=s.start_at_ms, duration_ms=s.duration_ms, value=s.power_w) for s in params.series
        ),
        by_offer=True,
    )


def moved(batch: SetpointBatch) -> SetpointService:
    """What one batch of a moving setpoint orders, each step until the next one."""
    series = tuple(Interval(start_at_ms=step.at_ms, duration_ms=1, value=step.power_w) for step in batch.steps)
    return SetpointService(series=series, by_offer=True)


def dead_man_s(request: RequestState) -> int | None:
    """How long an EVSE follows a moving setpoint without hearing anything more; None: until the end.

    Many updates may be lost before it leaves the service, so that a slow minute is no end; a dead backend is.
    """
    params = request.issued.params
    if not isinstance(params, SetpointParams):
        return None
    return max(MIN_DEAD_MAN_S, DEAD_MAN_UPDATES * params.update_interval_s)


def _curve(start_at_ms: int, params: CurveParams) -> InverterCurveService:
    """A curve of the inverter, in the units of the parameters."""
    if isinstance(params, VoltWattParams):
        return InverterCurveService(
            start_at_ms=start_at_ms,
            curve_type="VoltWatt",
            points=tuple(CurveCorner(x=p.volt_centipct, y=p.power_w) for p in params.points),
            reference_millivolt=params.reference_millivolt,
            response_ms=params.response_time_ms,
        )
    if isinstance(params, VoltVarParams):
        return InverterCurveService(
            start_at_ms=start_at_ms,
            curve_type="VoltVar",
            points=tuple(CurveCorner(x=p.volt_centipct, y=p.power_var) for p in params.points),
            reference_millivolt=params.reference_millivolt,
            response_ms=params.response_time_ms,
        )
    return InverterCurveService(
        start_at_ms=start_at_ms,
        curve_type="WattVar",
        points=tuple(CurveCorner(x=p.power_w, y=p.power_var) for p in params.points),
        response_ms=params.response_time_ms,
    )


def _prices(params: PriceParams | V2hParams) -> tuple[Interval, ...]:
    return tuple(
        Interval(start_at_ms=s.start_at_ms, duration_ms=s.duration_ms, value=s.import_micro_per_kwh)
        for s in params.series
    )


def _against_baseline(request: RequestState, params: CongestionParams | PriceParams | ReserveParams) -> Service:
    """The classes whose power follows from the committed baseline, and the price, which needs none to act."""
    if isinstance(params, PriceParams):
        return PriceService(series=_prices(params), floor_w_per_evse=params.floor_w_per_evse)
    baseline = request.baseline.baseline_w if request.baseline else ()
    if isinstance(params, ReserveParams):
        start_ms, sign = request.issued.start_at_ms, -1 if params.direction is Direction.UP else 1
        ordered = [(start_ms + n * params.interval_ms, params.interval_ms) for n in range(len(baseline))]
        return _setpoints(ordered, [base + sign * params.capacity_w for base in baseline])
    steps = [(step.start_at_ms, step.duration_ms) for step in params.series]
    if params.direction is Direction.DOWN:
        # More than the baseline is a power to hold; a limit would only allow it.
        return _setpoints(steps, [b + s.ordered_w for b, s in zip(baseline, params.series, strict=True)])
    return CongestionService(
        series=tuple(
            Interval(start_at_ms=s.start_at_ms, duration_ms=s.duration_ms, value=max(0, base - s.ordered_w))
            for s, base in zip(params.series, baseline, strict=True)
        )
    )


def _setpoints(steps: Sequence[tuple[int, int]], powers_w: Sequence[int]) -> SetpointService:
    """One interval for each run of equal powers: a reserve is judged by the minute, and held by the hour."""
    found: list[Interval] = []
    for (start_ms, duration_ms), value in zip(steps, powers_w, strict=True):
        last = found[-1] if found else None
        if last is not None and last.value == value and last.start_at_ms + last.duration_ms == start_ms:
            whole_ms = last.duration_ms + duration_ms
            found[-1] = Interval(start_at_ms=last.start_at_ms, duration_ms=whole_ms, value=value)
        else:
            found.append(Interval(start_at_ms=start_ms, duration_ms=duration_ms, value=value))
    return SetpointService(series=tuple(found))


def evidence_rule(request: RequestState) -> EvidenceRule:
    """How finely it is measured: as the request says, and around a trigger of a fast response, before and after it."""
    resolution_ms = request.issued.evidence.resolution_ms
    params = request.issued.params
    if isinstance(params, FfrParams):
        return EvidenceRule(
            interval_ms=resolution_ms,
            trigger_millihertz=params.f_trigger_millihertz,
            trigger_below=params.direction.value == "UP",
            before_ms=BEFORE_TRIGGER_MS,
            after_ms=AFTER_TRIGGER_MS,
            quiet_interval_ms=QUIET_MS,
        )
    return EvidenceRule(interval_ms=resolution_ms, wide=isinstance(params, CurveParams | V2hParams))
