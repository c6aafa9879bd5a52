"""From a service to what each EVSE has to do."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.execution import plan
from api.execution.errors import PlanRefused
from api.execution.port import EvseAddress, FrequencyPoint
from api.execution.services import (
    Balance,
    CongestionService,
    CurveCorner,
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
)
from ledger.delivery.rounding import apportion


def evse(number: int) -> EvseAddress:
    return EvseAddress(station_id="CS", evse_id=number)


def group(*charge: int, discharge: int = 0, offered: int = 0, least: int = 0) -> tuple[Participant, ...]:
    return tuple(
        Participant(
            ref=f"P{n}",
            evse=evse(n),
            max_charge_w=w,
            max_discharge_w=discharge,
            min_charge_w=least,
            offered_w=offered,
        )
        for n, w in enumerate(charge, start=1)
    )


@given(total=st.integers(0, 300_000), charge=st.lists(st.integers(1, 50_000), min_size=1, max_size=9))
def test_shares_of_a_limit_never_exceed_it_and_use_it_up_if_they_can(total: int, charge: list[int]) -> None:
    shares = plan.split_limit(total, group(*charge))
    assert sum(shares.values()) == min(total, sum(charge))
    assert all(0 <= shares[evse(n)] <= w for n, w in enumerate(charge, start=1))


@given(total=st.integers(-100_000, 100_000), power=st.lists(st.integers(0, 40_000), min_size=1, max_size=9))
def test_shares_of_a_setpoint_sum_to_it_or_it_is_refused(total: int, power: list[int]) -> None:
    who = tuple(Participant(ref="P", evse=evse(n), max_charge_w=w, max_discharge_w=w // 2) for n, w in enumerate(power))
    able = sum(power) if total >= 0 else sum(w // 2 for w in power)
    if abs(total) > able:
        with pytest.raises(PlanRefused):
            plan.split_setpoint(total, who)
        return
    assert sum(plan.split_setpoint(total, who).values()) == total


def test_a_floor_is_kept_and_a_cap_under_the_floors_is_refused() -> None:
    who = group(*[22_000] * 6, 11_000, 11_000)
    assert set(plan.split_limit(33_600, who, 4200).values()) == {4200}
    with pytest.raises(PlanRefused, match="floors"):
        plan.split_limit(33_599, who, 4200)


def test_a_mandatory_limit_covers_both_directions() -> None:
    service = MandatoryLimitService(start_at_ms=5, import_cap_w=None, export_cap_w=7_000)
    (step,) = plan.schedule(service, group(22_000, 22_000, discharge=10_000))
    assert step.at_ms == 5
    assert list(step.instructions.values()) == [Limit(import_w=22_000, export_w=3500)] * 2


def test_prices_over_the_mean_press_to_the_floor_and_others_do_not() -> None:
    series = tuple(Interval(start_at_ms=n * 10, duration_ms=10, value=v) for n, v in enumerate((100, 300, 200)))
    steps = plan.schedule(PriceService(series=series), group(10_000, 20_000, least=4140))
    totals = [sum(i.import_w for i in step.instructions.values() if isinstance(i, Limit)) for step in steps]
    assert totals == [30_000, 8280, 30_000]


def test_a_fast_reserve_is_a_step_at_its_trigger_that_holds_and_releases_more_slowly_than_allowed() -> None:
    who = group(22_000, 22_000, discharge=22_000, offered=20_000)
    up = FfrService(start_at_ms=1, trigger_millihertz=49_600, capacity_w=30_000, full_ms=1000, support_ms=30_000)
    (step,) = plan.schedule(up, who)
    curve = step.instructions[evse(1)]
    assert isinstance(curve, FrequencyCurve)
    assert curve.points == (
        FrequencyPoint(freq_millihertz=49_599, power_w=-15_000),
        FrequencyPoint(freq_millihertz=49_600, power_w=0),
    )
    assert (curve.base_w, curve.hold_ms, curve.release_permille_per_s) == (0, 34_000, 166)
    down = FfrService(
        start_at_ms=1,
        trigger_millihertz=50_400,
        capacity_w=30_000,
        full_ms=1000,
        support_ms=5000,
        direction="DOWN",
        base_w={evse(1): 1, evse(2): 2},
    )
    curve = plan.schedule(down, who)[0].instructions[evse(2)]
    assert isinstance(curve, FrequencyCurve)
    assert (curve.points[1].freq_millihertz, curve.points[1].power_w, curve.base_w) == (50_401, 15_000, 2)
    with pytest.raises(PlanRefused, match="offers"):
        plan.schedule(up, group(22_000, offered=20_000))


POINTS = tuple(FrequencyPoint(freq_millihertz=50_000 + n, power_w=n) for n in range(21))


@pytest.mark.parametrize(("count", "fits"), [(1, False), (2, True), (20, True), (21, False)])
def test_a_curve_has_two_to_twenty_corners(count: int, fits: bool) -> None:
    service = DroopService(start_at_ms=0, points=POINTS[:count])
    if fits:
        assert plan.schedule(service, group(1))
    else:
        with pytest.raises(PlanRefused, match="points"):
            plan.schedule(service, group(1))


def test_a_curve_rises_in_frequency() -> None:
    with pytest.raises(PlanRefused, match="rise"):
        plan.schedule(DroopService(start_at_ms=0, points=(POINTS[1], POINTS[0])), group(1))


@pytest.mark.parametrize(("count", "fits"), [(0, False), (1, True), (1024, True), (1025, False)])
def test_participants_are_bounded(count: int, fits: bool) -> None:
    service = ReactiveService(start_at_ms=0, reactive_millipercent=1)
    if fits:
        assert plan.schedule(service, group(*[1] * count))
    else:
        with pytest.raises(PlanRefused, match="number of"):
            plan.schedule(service, group(*[1] * count))


@pytest.mark.parametrize(("count", "fits"), [(0, False), (1, True), (10_000, True), (10_001, False)])
def test_intervals_are_bounded(count: int, fits: bool) -> None:
    service = CongestionService(series=tuple(Interval(start_at_ms=n, duration_ms=1, value=0) for n in range(count)))
    if fits:
        assert plan.schedule(service, group(1))
    else:
        with pytest.raises(PlanRefused, match="number of"):
            plan.schedule(service, group(1))


def test_an_ordered_setpoint_is_split_as_it_is_judged_and_kept_within_the_evse() -> None:
    one, two = (
        Participant(ref=str(n), evse=evse(n), max_charge_w=11_000 * n, max_discharge_w=11_000, offered_w=offered)
        for n, offered in ((1, 6_000), (2, 3_000))
    )

    def split(total_w: int, *, by_offer: bool = True) -> list[int]:
        service = SetpointService(series=(Interval(start_at_ms=0, duration_ms=1, value=total_w),), by_offer=by_offer)
        (step,) = plan.schedule(service, (one, two))
        return [shown.power_w for shown in step.instructions.values() if isinstance(shown, Setpoint)]

    assert split(9_001) == list(apportion(9_001, [6_000, 3_000])) == [6_001, 3_000]
    assert split(-9_001) == list(apportion(-9_001, [6_000, 3_000])) == [-6_001, -3_000]
    # Two thirds of 30 kW are more than the first can: it does what it can, and the verdict sees the rest missing.
    assert split(30_000) == [11_000, 10_000]
    assert split(30_000, by_offer=False) == [10_000, 20_000]


def test_intervals_do_not_overlap() -> None:
    series = (Interval(start_at_ms=0, duration_ms=2, value=0), Interval(start_at_ms=1, duration_ms=2, value=0))
    with pytest.raises(PlanRefused, match="overlap"):
        plan.schedule(SetpointService(series=series), group(1))


def test_every_service_becomes_a_command() -> None:
    envelope: plan.Envelope = {
        "command_id": "c",
        "evse": evse(1),
        "not_after_ms": 1,
        "duration_s": 1,
        "transaction_id": None,
    }
    who = group(10_000, discharge=10_000)
    expected: dict[str, tuple[Service, Instruction]] = {
        "FollowSetpoint": (ReserveService(start_at_ms=0, capacity_w=5000), Setpoint(power_w=-5000)),
        "ArmFrequencyResponse": (
            DroopService(start_at_ms=0, points=POINTS[:2], base_w=5),
            FrequencyCurve(points=POINTS[:2], base_w=5),
        ),
        "HoldReactive": (ReactiveService(start_at_ms=0, reactive_millipercent=3), Reactive(reactive_millipercent=3)),
    }
    for name, (service, instruction) in expected.items():
        (step,) = plan.schedule(service, who)
        assert step.instructions[evse(1)] == instruction
        assert type(plan.command(instruction, envelope)).__name__ == name
    down = ReserveService(start_at_ms=0, capacity_w=5000, direction="DOWN")
    assert plan.schedule(down, who)[0].instructions[evse(1)] == Setpoint(power_w=5000)


VOLT_VAR = (CurveCorner(x=9_300, y=-4_800), CurveCorner(x=9_700, y=0), CurveCorner(x=10_700, y=2_400))


def inverters(
    absorb_var: int, inject_var: int, charge: int = 22_000, discharge: int = 11_000
) -> tuple[Participant, ...]:
    return (
        Participant(
            ref="p",
            evse=evse(1),
            max_charge_w=charge,
            max_discharge_w=discharge,
            max_absorb_var=absorb_var,
            max_inject_var=inject_var,
        ),
    )


def curve_of(service: InverterCurveService, who: tuple[Participant, ...]) -> list[tuple[int, int]]:
    (step,) = plan.schedule(service, who)
    (instruction,) = step.instructions.values()
    assert isinstance(instruction, InverterCurve)
    return [(point.x_millipercent, point.y_millipercent) for point in instruction.points]


def test_reactive_power_is_a_share_of_what_the_inverter_can_in_that_direction() -> None:
    service = InverterCurveService(start_at_ms=0, curve_type="VoltVar", points=VOLT_VAR, reference_millivolt=230_000)
    # 4,800 var of 9,600 that it can inject, 2,400 of 2,400 that it can absorb.
    assert curve_of(service, inverters(2_400, 9_600)) == [(93_000, -50_000), (97_000, 0), (107_000, 100_000)]
    for weak in (inverters(2_399, 9_600), inverters(2_400, 4_799)):
        with pytest.raises(PlanRefused, match="exceeds"):
            plan.schedule(service, weak)


def test_powers_of_a_curve_are_shares_of_charging_and_of_discharging() -> None:
    by_voltage = InverterCurveService(
        start_at_ms=0, curve_type="VoltWatt", points=(CurveCorner(x=9_000, y=-5_500), CurveCorner(x=9_500, y=5_500))
    )
    assert curve_of(by_voltage, inverters(0, 0)) == [(90_000, -50_000), (95_000, 25_000)]
    by_power = InverterCurveService(
        start_at_ms=0, curve_type="WattVar", points=(CurveCorner(x=-11_000, y=1_000), CurveCorner(x=22_000, y=0))
    )
    assert curve_of(by_power, inverters(4_000, 0)) == [(-100_000, 25_000), (100_000, 0)]
    with pytest.raises(PlanRefused, match="exceeds"):
        plan.schedule(by_voltage, inverters(0, 0, discharge=0))


@pytest.mark.parametrize(("count", "fits"), [(1, False), (2, True), (10, True), (11, False)])
def test_an_inverter_curve_has_as_many_points_as_ocpp_takes(count: int, fits: bool) -> None:
    points = tuple(CurveCorner(x=9_000 + n, y=0) for n in range(count))
    service = InverterCurveService(start_at_ms=0, curve_type="VoltVar", points=points)
    if fits:
        assert len(curve_of(service, inverters(0, 0))) == count
    else:
        with pytest.raises(PlanRefused, match="points"):
            plan.schedule(service, inverters(0, 0))


def test_an_inverter_curve_rises() -> None:
    points = (CurveCorner(x=9_000, y=0), CurveCorner(x=9_000, y=0))
    with pytest.raises(PlanRefused, match="rise"):
        plan.schedule(InverterCurveService(start_at_ms=0, curve_type="VoltVar", points=points), inverters(0, 0))


def test_a_house_is_carried_in_dear_intervals_by_all_and_its_cars_charge_in_cheap_ones() -> None:
    series = tuple(Interval(start_at_ms=n * 10, duration_ms=10, value=price) for n, price in enumerate((100, 400)))
    service = HomeService(series=series, target_import_w=7, reserve_soc_permille=300, energy_budget_wh=900)
    cheap, dear = plan.schedule(service, inverters(0, 0))
    assert (cheap.at_ms, dear.at_ms) == (0, 10)
    assert cheap.instructions[evse(1)] == Limit(import_w=22_000)
    assert dear.instructions[evse(1)] == Balance(
        target_import_w=7, share_permille=1000, reserve_soc_permille=300, energy_budget_wh=900
    )


def test_cars_carry_a_house_in_proportion_to_what_they_can_give() -> None:
    series = (Interval(start_at_ms=0, duration_ms=10, value=1), Interval(start_at_ms=10, duration_ms=10, value=2))
    one, two = (
        Participant(ref=str(n), evse=evse(n), max_charge_w=11_000, max_discharge_w=watts)
        for n, watts in ((1, 3_700), (2, 7_400))
    )
    dear = plan.schedule(HomeService(series=series), (one, two))[1]
    shares = [
        instruction.share_permille for instruction in dear.instructions.values() if isinstance(instruction, Balance)
    ]
    assert shares == [333, 667]
    with pytest.raises(PlanRefused, match="discharge"):
        plan.schedule(HomeService(series=series), group(11_000))


def _late(evses: tuple[Participant, ...], *starts_ms: int) -> tuple[Participant, ...]:
    return tuple(replace(p, starts_at_ms=at) for p, at in zip(evses, starts_ms, strict=True))


def test_an_evse_begins_at_its_own_start_with_what_holds_by_then() -> None:
    series = tuple(Interval(start_at_ms=1_000 + n * 100, duration_ms=100, value=2_000 + n) for n in range(3))
    steps = plan.schedule(CongestionService(series=series), _late(group(5_000, 5_000), 1_000, 1_150))
    first, second = evse(1), evse(2)
    told = [(step.at_ms, {place: one.import_w for place, one in step.instructions.items()}) for step in steps]  # type: ignore[union-attr]
    assert told == [
        (1_000, {first: 1_000}),
        (1_100, {first: 1_001}),
        (1_150, {second: 1_000}),
        (1_200, {first: 1_001, second: 1_001}),
    ]


def test_what_stands_from_the_start_is_told_to_each_at_its_own() -> None:
    service = DroopService(
        start_at_ms=1_000,
        points=(
            FrequencyPoint(freq_millihertz=49_800, power_w=-1),
            FrequencyPoint(freq_millihertz=50_200, power_w=1),
        ),
    )
    steps = plan.schedule(service, _late(group(5_000, 5_000, 5_000), 1_000, 61_000, 61_000))
    assert [(step.at_ms, set(step.instructions)) for step in steps] == [
        (1_000, {evse(1)}),
        (61_000, {evse(2), evse(3)}),
    ]


def test_where_nothing_is_spread_the_steps_are_as_they_were() -> None:
    series = (Interval(start_at_ms=1_000, duration_ms=100, value=2_000),)
    service = CongestionService(series=series)
    assert plan.schedule(service, _late(group(5_000), 1_000)) == plan.schedule(service, group(5_000))
