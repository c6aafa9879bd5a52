"""What each class of flexibility service means for each EVSE: pure functions from service to instructions.

Everything here is in the load convention (W > 0 import) and integers; rounding never exceeds a group's limit.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TypedDict

from api.execution.errors import PlanRefused
from api.execution.port import (
    ArmFrequencyResponse,
    ArmInverterCurve,
    BalanceLocally,
    Command,
    ControlPoint,
    EvseAddress,
    FollowSetpoint,
    FrequencyPoint,
    HoldReactive,
    LimitCharging,
)
from api.execution.services import (
    Balance,
    CongestionService,
    DroopService,
    FfrService,
    FrequencyCurve,
    HomeService,
    Instruction,
    Interval,
    InverterCurve,
    InverterCurveService,
    Limit,
    MandatoryLimitService,
    Participant,
    PriceService,
    Reactive,
    ReactiveService,
    ReserveService,
    Service,
    Setpoint,
    SetpointService,
    Step,
)
from ledger.delivery.rounding import apportion, half_even

MAX_STEPS = 10_000
MAX_PARTICIPANTS = 1024
MIN_POINTS, MAX_POINTS = 2, 20
MAX_DER_POINTS = 10
WHOLE_MILLIPERCENT = 100_000
MILLIPERCENT_OF_CENTIPCT = 10
FFR_MARGIN_MS = 3000
FFR_RELEASE_SHARE = (5, 6)  # of the steepest release allowed, so that measuring noise stays below it


def split_limit(total_w: int, evses: Sequence[Participant], floor_w: int = 0) -> dict[EvseAddress, int]:
    """Shares of `total_w` in proportion to maximum charging power, each >= `floor_w` and <= its maximum.

    The shares sum to at most `total_w`; they sum to exactly `total_w` unless all EVSEs are at their maximum.
    Raises `PlanRefused` if the floors alone exceed the total.
    """
    floors = {p.evse: min(floor_w, p.max_charge_w) for p in evses}
    if sum(floors.values()) > total_w:
        raise PlanRefused("the floors exceed the limit", expected=f"<= {total_w} W", found=f"{sum(floors.values())} W")
    weights = {p.evse: p.max_charge_w - floors[p.evse] for p in evses}
    extra = _apportion(min(total_w - sum(floors.values()), sum(weights.values())), weights)
    return {evse: floors[evse] + extra[evse] for evse in floors}


def split_setpoint(total_w: int, evses: Sequence[Participant]) -> dict[EvseAddress, int]:
    """Shares that sum to exactly `total_w`, in proportion to what each EVSE can do in that direction.

    Raises `PlanRefused` if the group cannot do it.
    """
    weights = {p.evse: p.max_charge_w if total_w >= 0 else p.max_discharge_w for p in evses}
    if abs(total_w) > sum(weights.values()):
        raise PlanRefused(
            "the setpoint exceeds the group", expected=f"<= {sum(weights.values())} W", found=f"{abs(total_w)} W"
        )
    sign = 1 if total_w >= 0 else -1
    return {evse: sign * share for evse, share in _apportion(abs(total_w), weights).items()}


def split_by_offer(total_w: int, evses: Sequence[Participant]) -> dict[EvseAddress, int]:
    """Shares in proportion to the offers, rounded as the verdict rounds them, each kept within what its EVSE can do."""
    shares = apportion(total_w, [p.offered_w for p in evses])
    return {p.evse: max(-p.max_discharge_w, min(p.max_charge_w, share)) for p, share in zip(evses, shares, strict=True)}


def split_capacity(capacity_w: int, evses: Sequence[Participant]) -> dict[EvseAddress, int]:
    """Shares of a reserve in proportion to what each participant offered; their sum is `capacity_w`."""
    weights = {p.evse: p.offered_w for p in evses}
    if sum(weights.values()) < capacity_w:
        raise PlanRefused(
            "the offers do not cover the capacity", expected=f">= {capacity_w} W", found=f"{sum(weights.values())} W"
        )
    return _apportion(capacity_w, weights)


def _apportion(total: int, weights: Mapping[EvseAddress, int]) -> dict[EvseAddress, int]:
    """Largest remainder; ties go to the earlier EVSE. `total` <= sum of weights, so no share exceeds its weight."""
    whole = sum(weights.values())
    if whole == 0:
        return dict.fromkeys(weights, 0)
    shares = {evse: total * weight // whole for evse, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda evse: -(total * weights[evse] % whole))
    for evse in by_remainder[: total - sum(shares.values())]:
        shares[evse] += 1
    return shares


def price_caps(series: Sequence[Interval], full_w: int, floor_w: int) -> tuple[Interval, ...]:
    """Caps from prices: `full_w` at or under the time-weighted mean price, `floor_w` above it."""
    time_ms = sum(i.duration_ms for i in series)
    paid = sum(i.duration_ms * i.value for i in series)
    return tuple(
        Interval(
            start_at_ms=i.start_at_ms,
            duration_ms=i.duration_ms,
            value=full_w if i.value * time_ms <= paid else floor_w,
        )
        for i in series
    )


def schedule(service: Service, evses: Sequence[Participant]) -> tuple[Step, ...]:
    """The steps of `service`, in time order. Raises `PlanRefused` if it cannot be kept, or is out of bounds."""
    if not 1 <= len(evses) <= MAX_PARTICIPANTS:
        raise PlanRefused("number of participants", expected=f"1..{MAX_PARTICIPANTS}", found=len(evses))
    return _spread(_steps(service, evses), evses)


def _steps(service: Service, evses: Sequence[Participant]) -> tuple[Step, ...]:
    match service:
        case SetpointService() | CongestionService() | PriceService():
            return _series_steps(service, evses)
        case HomeService():
            return _home_steps(service, evses)
        case _:
            return (Step(at_ms=service.start_at_ms, instructions=_standing(service, evses)),)


def _spread(steps: tuple[Step, ...], evses: Sequence[Participant]) -> tuple[Step, ...]:
    """Each EVSE begins at its own start, with what holds by then; whatever comes later is not moved."""
    own = {p.evse: p.starts_at_ms for p in evses}
    if all(own_ms <= steps[0].at_ms for own_ms in own.values()):
        return steps
    found: dict[int, dict[EvseAddress, Instruction]] = {}
    for step in steps:
        for evse, instruction in step.instructions.items():
            found.setdefault(max(step.at_ms, own[evse]), {})[evse] = instruction
    return tuple(Step(at_ms=at_ms, instructions=found[at_ms]) for at_ms in sorted(found))


def _series_steps(
    service: SetpointService | CongestionService | PriceService, evses: Sequence[Participant]
) -> tuple[Step, ...]:
    _bounded_series(service.series)
    steps = []
    series = service.series
    if isinstance(service, PriceService):
        full_w = sum(p.max_charge_w for p in evses)
        floor_w = sum(min(max(service.floor_w_per_evse, p.min_charge_w), p.max_charge_w) for p in evses)
        series = price_caps(series, full_w, floor_w)
    for interval in series:
        instructions: dict[EvseAddress, Instruction]
        if isinstance(service, SetpointService):
            split = split_by_offer if service.by_offer else split_setpoint
            shares = split(interval.value, evses)
            instructions = {evse: Setpoint(power_w=w) for evse, w in shares.items()}
        else:
            shares = split_limit(interval.value, evses, service.floor_w_per_evse)
            instructions = {evse: Limit(import_w=w) for evse, w in shares.items()}
        steps.append(Step(at_ms=interval.start_at_ms, instructions=instructions))
    return tuple(steps)


def _bounded_series(series: Sequence[Interval]) -> None:
    if not 1 <= len(series) <= MAX_STEPS:
        raise PlanRefused("number of intervals", expected=f"1..{MAX_STEPS}", found=len(series))
    for before, after in pairwise(series):
        if before.start_at_ms + before.duration_ms > after.start_at_ms:
            raise PlanRefused("intervals overlap or are not in order", found=after.start_at_ms)


def _standing(
    service: MandatoryLimitService
    | FfrService
    | DroopService
    | InverterCurveService
    | ReactiveService
    | ReserveService,
    evses: Sequence[Participant],
) -> dict[EvseAddress, Instruction]:
    match service:
        case MandatoryLimitService():
            return _mandatory(service, evses)
        case FfrService():
            return _ffr(service, evses)
        case DroopService(points=points, base_w=base_w):
            _bounded_curve(points)
            return {p.evse: FrequencyCurve(points=points, base_w=base_w) for p in evses}
        case InverterCurveService():
            return {p.evse: _inverter_curve(service, p) for p in evses}
        case ReactiveService(reactive_millipercent=reactive):
            return {p.evse: Reactive(reactive_millipercent=reactive) for p in evses}
        case ReserveService(capacity_w=capacity_w, direction=direction):
            total_w = -capacity_w if direction == "UP" else capacity_w
            return {evse: Setpoint(power_w=w) for evse, w in split_setpoint(total_w, evses).items()}


def _mandatory(service: MandatoryLimitService, evses: Sequence[Participant]) -> dict[EvseAddress, Instruction]:
    full_w = sum(p.max_charge_w for p in evses)
    cap_w = full_w if service.import_cap_w is None else service.import_cap_w
    imports = split_limit(cap_w, evses, service.floor_w_per_evse)
    exports: dict[EvseAddress, int] | None = None
    if service.export_cap_w is not None:
        weights = {p.evse: p.max_discharge_w for p in evses}
        exports = _apportion(min(service.export_cap_w, sum(weights.values())), weights)
    return {
        evse: Limit(import_w=import_w, export_w=None if exports is None else exports[evse])
        for evse, import_w in imports.items()
    }


def _ffr(service: FfrService, evses: Sequence[Participant]) -> dict[EvseAddress, Instruction]:
    """A step of the curve one millihertz wide at the trigger, latched by hold and release."""
    dispatch = service.dispatch_w or split_capacity(service.capacity_w, evses)
    base = service.base_w or {p.evse: 0 for p in evses}
    numerator, denominator = FFR_RELEASE_SHARE
    release = max(1, service.release_permille_per_s * numerator // denominator)
    hold_ms = service.full_ms + service.support_ms + FFR_MARGIN_MS
    trigger = service.trigger_millihertz
    instructions: dict[EvseAddress, Instruction] = {}
    for p in evses:
        share_w = dispatch[p.evse]
        if service.direction == "UP":
            points = (
                FrequencyPoint(freq_millihertz=trigger - 1, power_w=-share_w),
                FrequencyPoint(freq_millihertz=trigger, power_w=0),
            )
        else:
            points = (
                FrequencyPoint(freq_millihertz=trigger, power_w=0),
                FrequencyPoint(freq_millihertz=trigger + 1, power_w=share_w),
            )
        instructions[p.evse] = FrequencyCurve(
            points=points, base_w=base[p.evse], hold_ms=hold_ms, release_permille_per_s=release
        )
    return instructions


def _home_steps(service: HomeService, evses: Sequence[Participant]) -> tuple[Step, ...]:
    """Dear intervals are carried by the batteries, in proportion to what they can give; in the others they charge."""
    _bounded_series(service.series)
    weights = {p.evse: p.max_discharge_w for p in evses}
    if not all(weights.values()):
        raise PlanRefused("an EVSE that cannot discharge carries no house", expected="> 0 W", found="0 W")
    shares = _apportion(1000, weights)
    steps = []
    for interval in price_caps(service.series, 1, 0):
        instructions: dict[EvseAddress, Instruction] = {
            p.evse: Limit(import_w=p.max_charge_w)
            if interval.value
            else Balance(
                target_import_w=service.target_import_w,
                share_permille=shares[p.evse],
                reserve_soc_permille=service.reserve_soc_permille,
                energy_budget_wh=service.energy_budget_wh,
            )
            for p in evses
        }
        steps.append(Step(at_ms=interval.start_at_ms, instructions=instructions))
    return tuple(steps)


def _inverter_curve(service: InverterCurveService, p: Participant) -> InverterCurve:
    """The curve in thousandths of a percent of what this EVSE can do; a voltage is a percentage already."""
    if not MIN_POINTS <= len(service.points) <= MAX_DER_POINTS:
        raise PlanRefused(
            "number of curve points", expected=f"{MIN_POINTS}..{MAX_DER_POINTS}", found=len(service.points)
        )
    if any(before.x >= after.x for before, after in pairwise(service.points)):
        raise PlanRefused("curve points must rise in x")
    of_power = (p.max_charge_w, p.max_discharge_w)
    y_of = of_power if service.curve_type == "VoltWatt" else (p.max_absorb_var, p.max_inject_var)
    points = tuple(
        ControlPoint(
            x_millipercent=_share(corner.x, *of_power)
            if service.curve_type == "WattVar"
            else corner.x * MILLIPERCENT_OF_CENTIPCT,
            y_millipercent=_share(corner.y, *y_of),
        )
        for corner in service.points
    )
    return InverterCurve(
        curve_type=service.curve_type,
        points=points,
        response_ms=service.response_ms,
        reference_millivolt=service.reference_millivolt,
    )


def _share(value: int, most: int, least: int) -> int:
    """Thousandths of a percent of the greatest value in that direction; raises `PlanRefused` beyond it."""
    whole = most if value >= 0 else least
    if abs(value) > whole:
        raise PlanRefused("the curve exceeds the EVSE", expected=f"<= {whole}", found=abs(value))
    return half_even(value * WHOLE_MILLIPERCENT, whole) if value else 0


def _bounded_curve(points: Sequence[FrequencyPoint]) -> None:
    if not MIN_POINTS <= len(points) <= MAX_POINTS:
        raise PlanRefused("number of curve points", expected=f"{MIN_POINTS}..{MAX_POINTS}", found=len(points))
    for before, after in pairwise(points):
        if before.freq_millihertz >= after.freq_millihertz:
            raise PlanRefused("curve points must rise in frequency", found=after.freq_millihertz)


class Envelope(TypedDict):
    """The fields every command has."""

    command_id: str
    evse: EvseAddress
    not_after_ms: int
    duration_s: int
    transaction_id: str | None


def command(instruction: Instruction, envelope: Envelope) -> Command:
    """The command that says `instruction` to the EVSE of the envelope."""
    match instruction:
        case Limit(import_w=import_w, export_w=export_w):
            return LimitCharging(**envelope, limit_w=import_w, export_limit_w=export_w)
        case Setpoint(power_w=power_w):
            return FollowSetpoint(**envelope, setpoint_w=power_w)
        case FrequencyCurve(points=points, base_w=base_w, hold_ms=hold_ms, release_permille_per_s=release):
            return ArmFrequencyResponse(
                **envelope, curve=points, base_w=base_w, hold_ms=hold_ms, release_permille_per_s=release
            )
        case InverterCurve(curve_type=kind, points=corners, response_ms=response_ms, reference_millivolt=reference):
            return ArmInverterCurve(
                **envelope, curve_type=kind, points=corners, response_ms=response_ms, reference_millivolt=reference
            )
        case Reactive(reactive_millipercent=reactive):
            return HoldReactive(**envelope, reactive_millipercent=reactive)
        case Balance():
            return BalanceLocally(
                **envelope,
                target_import_w=instruction.target_import_w,
                share_permille=instruction.share_permille,
                reserve_soc_permille=instruction.reserve_soc_permille,
                energy_budget_wh=instruction.energy_budget_wh,
            )
