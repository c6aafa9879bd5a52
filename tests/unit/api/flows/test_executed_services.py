"""Services played whole: asked, checked, executed on simulated stations over OCPP, measured, proven, and shown.

The world's two EVSEs are 11 kW both ways, with inverters of 4,800 var. A request lasts a quarter of an hour.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from api.execution.ocpp import messages
from api.execution.ocpp.datatypes import from_ms
from api.execution.simulator.battery import Battery
from api.execution.simulator.demand import ConstantDemand, DemandStep, ScriptedDemand
from api.execution.simulator.evse import EvseConfig
from api.execution.simulator.faults import Faults, GridCodeOverride
from api.execution.simulator.fleet import build_plant
from api.execution.simulator.inverter import House
from api.execution.simulator.plant import Plant
from api.execution.waiting import polling
from api.flows import check, prove
from api.flows.execute import Executions
from api.verification import bundle, work
from api.verification.report import Status
from ledger.delivery import samples
from ledger.delivery.samples import WideSample
from ledger.records import canonical
from ledger.records.contracts import BaselineMethod
from ledger.records.credentials import CheckPurpose, CheckRecorded, Dimension
from ledger.records.evidence import BaselineCommitted, SampleSchema
from ledger.records.execution import Cause, ExecutionKind
from ledger.records.requests import Answer, Offer, RequestAnswered, SetpointBatch, SetpointStepMoved
from ledger.records.services import (
    Params,
    PriceStep,
    SetpointParams,
    SetpointStep,
    V2hParams,
    VoltVarParams,
    VoltVarPoint,
    VoltWattParams,
    VoltWattPoint,
    WattVarParams,
    WattVarPoint,
    service_of,
)
from ledger.records.sites import EvLimits
from ledger.records.work import Verdict
from ledger.rules import orders
from ledger.rules.request_state import RequestState
from tests.support import world as stage
from tests.support.inverters import (
    CAR,
    END_MS,
    METHODS,
    START_MS,
    VAR,
    plants,
    prepare,
)
from tests.support.stations import POLL_S, Depot
from tests.support.world import CAN_W, CSO, EVSES, FO, HOUR_MS, MINUTE_MS, STATIONS, World, new_id

pytestmark = pytest.mark.slow  # takes seconds

VOLT_VAR = VoltVarParams(
    points=tuple(
        VoltVarPoint(volt_centipct=volt, power_var=var)
        for volt, var in ((9_300, -4_800), (9_700, 0), (10_300, 0), (10_700, 4_800))
    ),
    reference_millivolt=230_000,
    response_time_ms=5_000,
    tolerance_var=240,
)


def voltage(at_ms: int) -> int:
    """230 V, from the fifth minute on 95 % of it, from the tenth on 105 %."""
    minute = (at_ms - START_MS) // MINUTE_MS
    return 230_000 if minute < 5 else 218_500 if minute < 10 else 241_500


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    opened = await World.open(tmp_path)
    try:
        yield opened
    finally:
        await opened.close()


async def asked(world: World, params: Params, *, resolution_ms: int = 1_000) -> tuple[str, CheckRecorded]:
    """The request is in the log, two hours before it starts, and checked."""
    world.at(START_MS - 2 * HOUR_MS)
    fsc_id = await prepare(world)
    return await asked_under(world, fsc_id, params, resolution_ms=resolution_ms)


async def asked_under(
    world: World, fsc_id: str, params: Params, *, resolution_ms: int = 1_000
) -> tuple[str, CheckRecorded]:
    """A house has one of the EVSEs; everything else is asked of both."""
    evses = EVSES[:1] if isinstance(params, V2hParams) else EVSES
    fsr_id = await stage.issue(world, (fsc_id,), params, START_MS, END_MS, resolution_ms=resolution_ms)
    _, checked = await check.run(world.desk, world.memory, fsr_id, evses, CheckPurpose.PRE_FSR)
    return fsr_id, checked


async def answered(world: World, fsr_id: str, checked: CheckRecorded, *shares: int) -> None:
    """The port offers, in the unit of the class, and commits the baseline that needs no inputs."""
    issued = world.desk.state.request(fsr_id).issued
    unit = "offered_var" if orders.is_reactive(issued.params) else "offered_w"
    offers = tuple(
        Offer(
            participation=one.participation,
            fsc_id=one.fsc_id,
            evse_id=one.evse_id,
            **({"offered_w": 0} | {unit: share}),
        )
        for one, share in zip(checked.subjects, shares, strict=True)
    )
    said = RequestAnswered(fsr_id=fsr_id, answer=Answer.ACCEPTED, check_id=checked.check_id, offers=offers)
    await world.states(CSO, said, f"fsr/{fsr_id}", subject=None)
    method = METHODS.get(service_of(issued.params), BaselineMethod.CURVE)
    document = work.baseline_document(method, None)
    world.at(START_MS - 10 * MINUTE_MS)
    committed = BaselineCommitted(
        baseline_id=new_id("baseline"),
        fsr_id=fsr_id,
        method=method,
        version=1,
        participants=tuple(sorted(one.participation for one in checked.subjects)),
        inputs_sha256=work.digest(document),
    )
    attachments = [stage.wire.SubmittedAttachment(data=document)]
    await world.states(CSO, committed, f"fsr/{fsr_id}", attachments=attachments)


class _Group(msgspec.Struct):
    figures: dict[str, int]
    periods: list[dict[str, int]]


async def played(
    world: World, stations: list[Plant], fsr_id: str, checked: CheckRecorded, *shares: int
) -> RequestState:
    """Executed from start to end, and proven."""
    async with Depot.open(world, stations) as depot:
        await answered(world, fsr_id, checked, *shares)
        await depot.until(START_MS)
        await depot.until(END_MS + MINUTE_MS, step_ms=20_000)
        await depot.ended(fsr_id)
    await prove.prove(world.desk, world.memory, fsr_id)
    return world.desk.state.request(fsr_id)


def figures(request: RequestState) -> dict[str, int]:
    assert request.work is not None
    return msgspec.convert(canonical.decode(request.work.group.encode()), _Group).figures


def bodies(world: World, request: RequestState) -> dict[str, tuple[samples.AnySample, ...]]:
    """What each EVSE measured."""
    shares = prove.shares_of(world.desk, world.memory, request)
    return {one.participation: samples.decode(one.bodies[0]) for one in shares}


async def shown(world: World, fsr_id: str) -> set[str]:
    """Nothing in the bundle is refuted; the checks that verified something."""
    report = bundle.verify(bundle.open_bundle(await world.bundle(fsr_id)))
    assert [line for line in report.lines if line.status is Status.REFUTED] == []
    return {line.check for line in report.lines if line.status is Status.VERIFIED}


# Curves of the inverter


@pytest.mark.slow
async def test_reactive_power_is_asked_for_executed_measured_proven_and_shown(world: World) -> None:
    fsr_id, checked = await asked(world, VOLT_VAR)
    assert [one.amount_var for one in checked.subjects] == [VAR, VAR]
    request = await played(world, plants(voltage), fsr_id, checked, VAR, VAR)
    assert request.work is not None
    assert (request.work.algorithm, request.work.verdict) == ("VOLT_VAR_SHARE/1", Verdict.DELIVERED)
    # The first five seconds of each lack the response time before them; after each step the lag takes some more.
    found = figures(request)
    assert (found["seconds"], found["unproven"]) == (1_800, 10)
    assert found["within"] >= 1_760
    for series in bodies(world, request).values():
        by_minute = {(one.t_ms - START_MS) // MINUTE_MS: one for one in series}
        last = [one for one in (by_minute[4], by_minute[9], by_minute[14]) if isinstance(one, WideSample)]
        # Injected where the voltage is low, absorbed where it is high; the power is the car's own.
        assert [(one.reactive_var, one.power_w) for one in last] == [(0, 7_000), (-2_400, 7_000), (2_400, 7_000)]
    assert {batch.schema for batch in request.batches.values()} == {SampleSchema.WIDE}
    assert {"proof of work", "samples"} <= await shown(world, fsr_id)


@pytest.mark.slow
async def test_an_inverter_that_turns_the_sign_round_has_failed(world: World) -> None:
    fsr_id, checked = await asked(world, VOLT_VAR)
    wrong = plants(voltage)
    for plant in wrong:
        evse = plant.evses[1]
        evse._reactive = lambda at_ms, of, evse=evse: -evse.curve.at(at_ms, of, 0) if evse.curve else 0  # type: ignore[method-assign,misc]
    request = await played(world, wrong, fsr_id, checked, VAR, VAR)
    assert request.work is not None
    # Within only while the voltage asks for nothing.
    assert request.work.verdict is Verdict.FAILED
    assert 300_000 < request.work.score_ppm < 360_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("params", "power_w", "reactive_var", "algorithm"),
    [
        (
            VoltWattParams(
                points=tuple(
                    VoltWattPoint(volt_centipct=volt, power_w=power)
                    for volt, power in ((9_000, -11_000), (10_000, 11_000))
                ),
                reference_millivolt=230_000,
                response_time_ms=5_000,
                tolerance_w=500,
            ),
            # 95 % is half-way.
            0,
            0,
            "VOLT_WATT_SHARE/1",
        ),
        (
            WattVarParams(
                points=tuple(WattVarPoint(power_w=power, power_var=var) for power, var in ((0, 0), (11_000, -4_400))),
                response_time_ms=5_000,
                tolerance_var=200,
            ),
            7_000,
            -2_800,
            "WATT_VAR_SHARE/1",
        ),
    ],
)
async def test_power_follows_the_voltage_and_reactive_power_the_power(
    world: World, params: Params, power_w: int, reactive_var: int, algorithm: str
) -> None:
    fsr_id, checked = await asked(world, params)
    offered = VAR if orders.is_reactive(params) else CAN_W
    request = await played(world, plants(lambda _: 218_500), fsr_id, checked, offered, offered)
    assert request.work is not None
    assert (request.work.algorithm, request.work.verdict) == (algorithm, Verdict.DELIVERED)
    for series in bodies(world, request).values():
        last = series[-1]
        assert isinstance(last, WideSample)
        assert (last.power_w, last.reactive_var) == (power_w, reactive_var)


# A house


def house_params(prices: tuple[int, ...] = (100_000, 400_000, 400_000), **changes: object) -> V2hParams:
    """Three periods of five minutes: one cheap, two dear."""
    length = 5 * MINUTE_MS
    params = V2hParams(
        tariff_ref="DAY-AHEAD-FI",
        currency="EUR",
        series=tuple(
            PriceStep(start_at_ms=START_MS + n * length, duration_ms=length, import_micro_per_kwh=price)
            for n, price in enumerate(prices)
        ),
        reserve_soc_permille=300,
        energy_budget_wh=2_000,
        max_export_w=50,
    )
    return msgspec.structs.replace(params, **changes)


def house_plants() -> list[Plant]:
    """A house that draws 3 kW, and 4 kW from the twelfth minute on, with one EVSE."""
    steps = [DemandStep(from_ms=0, power_w=3_000), DemandStep(from_ms=START_MS + 12 * MINUTE_MS, power_w=4_000)]
    config = EvseConfig(evse_id=1, max_charge_w=CAN_W, max_discharge_w=CAN_W)
    return [
        build_plant(
            STATIONS[0],
            (config,),
            seed=5,
            start_ms=START_MS - HOUR_MS,
            houses={1: House(ScriptedDemand(steps))},
            batteries={1: Battery(capacity_wh=60_000)},
            demands={1: ConstantDemand(7_000)},
        )
    ]


@pytest.mark.slow
async def test_a_car_carries_a_house_in_dear_periods_and_its_owners_reserve_is_kept(world: World) -> None:
    fsr_id, checked = await asked(world, house_params())
    request = await played(world, house_plants(), fsr_id, checked, CAN_W)
    assert request.work is not None
    assert (request.work.algorithm, request.work.verdict) == ("V2H_COST/2", Verdict.DELIVERED)
    found = figures(request)
    assert (found["kept"], found["below_reserve"], found["over_budget"], found["soc_unknown"]) == (3, 0, 0, 0)
    for series in bodies(world, request).values():
        by_minute = {(one.t_ms - START_MS) // MINUTE_MS: one for one in series if isinstance(one, WideSample)}
        # Charging while it is cheap; then it carries the house, and nothing is drawn from the grid.
        assert [by_minute[at].power_w for at in (4, 9, 14)] == [7_000, -3_000, -4_000]
        assert [by_minute[at].upstream_w for at in (4, 9, 14)] == [10_000, 0, 0]
        assert by_minute[14].soc_permille < by_minute[4].soc_permille
    report = bundle.verify(bundle.open_bundle(await world.bundle(fsr_id)))
    (said,) = [line.detail for line in report.lines if line.check == "station signature"]
    assert said.startswith("station-signed")
    # 7 kW for five minutes at 0.10 were bought more; 3 kW for seven and 4 kW for three minutes at 0.40 less. A command
    # is carried out within a second of its time, so a second of each period may have the power of the one before.
    bought, spared = 7_000 * 5 / 60 * 0.1, (3_000 * 7 + 4_000 * 3) / 60 * 0.4
    assert found["saved_micro"] == pytest.approx((spared - bought) * 1_000, rel=0.05)
    assert "proof of work" in await shown(world, fsr_id)


@pytest.mark.slow
async def test_a_budget_that_is_used_up_ends_the_discharge_and_is_no_breach(world: World) -> None:
    # 3 kW and more for ten minutes are 550 Wh, of which 100 may be given.
    fsr_id, checked = await asked(world, house_params(energy_budget_wh=100))
    request = await played(world, house_plants(), fsr_id, checked, CAN_W)
    assert request.work is not None
    assert request.work.verdict is Verdict.DELIVERED
    assert figures(request)["over_budget"] == 0
    for series in bodies(world, request).values():
        assert series[-1].power_w == 0


# A moving setpoint


MOVING = SetpointParams(
    series=(SetpointStep(start_at_ms=START_MS, duration_ms=END_MS - START_MS, power_w=9_000),),
    ramp_w_per_s=5_000,
    update_interval_s=4,
)


async def moved(world: World, fsr_id: str, number: int, *steps: tuple[int, int]) -> None:
    batch = SetpointBatch(
        fsr_id=fsr_id,
        batch=number,
        steps=tuple(SetpointStepMoved(at_ms=START_MS + at_s * 1_000, power_w=power) for at_s, power in steps),
    )
    await world.states(FO, batch, f"fsr/{fsr_id}")


@pytest.mark.slow
async def test_setpoint_batches_move_the_stations_and_are_judged_second_by_second(world: World) -> None:
    fsr_id, checked = await asked(world, MOVING)
    async with Depot.open(world, plants()) as depot:
        await answered(world, fsr_id, checked, 8_000, 4_000)
        # Moved before the start, while it runs, and from charging to discharging; shares are two thirds and one.
        await moved(world, fsr_id, 1, (60, 12_000))
        await depot.until(START_MS)
        await depot.until(START_MS + 2 * MINUTE_MS, step_ms=20_000)
        await moved(world, fsr_id, 2, *((124 + 4 * n, -6_000 - 300 * n) for n in range(10)))
        await depot.until(START_MS + 3 * MINUTE_MS, step_ms=2_000)
        await moved(world, fsr_id, 3, (181, 3_000))
        await depot.until(START_MS + 4 * MINUTE_MS, step_ms=1_000)
        await depot.until(END_MS + MINUTE_MS, step_ms=20_000)
        await depot.ended(fsr_id)
        assert depot.stations[STATIONS[0]].refusals == []
    await prove.prove(world.desk, world.memory, fsr_id)
    request = world.desk.state.request(fsr_id)
    assert request.work is not None
    assert (request.work.algorithm, request.work.verdict) == ("SETPOINT_TRACKING/1", Verdict.DELIVERED)
    assert figures(request)["in_band_ppm"] == 1_000_000
    first, second = (bodies(world, request)[one.participation] for one in checked.subjects)
    for at_s, total in ((59, 9_000), (119, 12_000), (127, -6_000), (163, -8_700), (240, 3_000), (899, 3_000)):
        assert [series[at_s].power_w for series in (first, second)] == [total * 2 // 3, total // 3]
    assert "proof of work" in await shown(world, fsr_id)


@pytest.mark.slow
async def test_a_setpoint_is_renewed_while_the_backend_lives_and_left_when_it_does_not(world: World) -> None:
    fsr_id, checked = await asked(world, MOVING)
    stations = plants()
    async with Depot.open(world, stations) as depot:
        await answered(world, fsr_id, checked, 8_000, 4_000)
        # Nothing moves for ten minutes, which is ten times the dead-man: it is renewed, and still followed.
        await depot.until(START_MS + 10 * MINUTE_MS, step_ms=10_000)
        assert [plant.evses[1].power_w for plant in stations] == [6_000, 3_000]
        # Now nobody renews it; the connection stays. The stations leave by themselves, to what their cars want.
        await depot.executions.close()
        for station in depot.stations.values():
            station._carry_out = lambda call: (b"", None)  # type: ignore[method-assign,assignment]
        for plant in stations:
            plant.advance(START_MS + 12 * MINUTE_MS)
        assert [plant.evses[1].power_w for plant in stations] == [7_000, 7_000]


@pytest.mark.slow
async def test_a_moving_setpoint_is_taken_over_by_the_next_run_with_everything_that_was_moved(world: World) -> None:
    fsr_id, checked = await asked(world, MOVING)
    stations = plants()
    async with Depot.open(world, stations) as depot:
        await answered(world, fsr_id, checked, 8_000, 4_000)
        await depot.until(START_MS)
        await moved(world, fsr_id, 1, (30, 6_000))
        await depot.until(START_MS + 2 * MINUTE_MS, step_ms=20_000)
        await depot.executions.close()
        depot.executions = Executions(world.desk, world.memory, depot.adapter, polling(world.clock, POLL_S))
        depot.executions.begin()
        await depot.settled()
        # Long after every dead-man of the first run: the second one renews what the batch ordered.
        await depot.until(START_MS + 10 * MINUTE_MS, step_ms=20_000)
        assert [plant.evses[1].power_w for plant in stations] == [4_000, 2_000]
        await depot.until(END_MS + MINUTE_MS, step_ms=20_000)
        await depot.ended(fsr_id)
    kinds = [one.kind for one in world.desk.state.request(fsr_id).executions]
    assert kinds.count(ExecutionKind.COMPLETED) == 2


@pytest.mark.slow
async def test_a_curve_that_another_control_superseded_is_noted_as_a_deviation_by_the_grid_code(world: World) -> None:
    fsr_id, checked = await asked(world, VOLT_VAR)
    async with Depot.open(world, plants()) as depot:
        await answered(world, fsr_id, checked, VAR, VAR)
        await depot.until(START_MS + MINUTE_MS)
        station = depot.stations[STATIONS[0]]
        superseding = messages.NotifyDERStartStopRequest(
            control_id="so-7", started=True, timestamp=from_ms(START_MS + MINUTE_MS), superseded_ids=("flex-1",)
        )
        await station._call(superseding)
        await depot.settled()
        await depot.until(START_MS + 2 * MINUTE_MS)
        found = [one for one in world.desk.state.request(fsr_id).executions if one.kind is ExecutionKind.DEVIATION]
        assert [(one.participation, one.cause) for one in found] == [
            (checked.subjects[0].participation, Cause.GRID_CODE)
        ]


# A grid code's function takes over


@pytest.mark.slow
async def test_what_a_grid_code_took_over_is_excused_and_only_where_an_alarm_says_so(world: World) -> None:
    fault = GridCodeOverride(from_ms=START_MS + 5 * MINUTE_MS, to_ms=START_MS + 8 * MINUTE_MS, power_w=-2_000)
    fsr_id, checked = await asked(world, MOVING)
    request = await played(world, plants(faults=Faults((fault,))), fsr_id, checked, 6_000, 3_000)
    assert request.work is not None
    overridden = [one for one in request.work.excluded if one.reason.value == "GRID_CODE_OVERRIDE"]
    (one,) = overridden
    assert one.participation == checked.subjects[0].participation
    # A sample is flagged from the first second after the function took over, to the first after it let go.
    assert (one.start_at_ms, one.end_at_ms) == (fault.from_ms + 1_000, fault.to_ms + 1_000)
    assert request.work.verdict is Verdict.DELIVERED
    assert "proof of work" in await shown(world, fsr_id)


# What a car says of itself


@pytest.mark.parametrize(
    ("ev", "params", "status", "code"),
    [
        (CAR, house_params(), "PASS", "check/ok"),
        (EvLimits(), house_params(), "INDETERMINATE", "check/soc-unknown"),
        (EvLimits(), house_params(reserve_soc_permille=0), "PASS", "check/ok"),
        (EvLimits(soc_permille=300), house_params(), "FAIL", "check/below-reserve"),
        (EvLimits(soc_permille=301), house_params(), "PASS", "check/ok"),
        (EvLimits(soc_permille=500, max_discharge_w=0), house_params(), "FAIL", "check/car-power-not-reached"),
        (EvLimits(soc_permille=500, departure_at_ms=END_MS - 1), house_params(), "FAIL", "check/car-departs"),
        (EvLimits(soc_permille=500, departure_at_ms=END_MS), house_params(), "PASS", "check/ok"),
    ],
)
async def test_what_a_car_said_of_itself_decides_what_it_is_asked_for(
    world: World, ev: EvLimits, params: Params, status: str, code: str
) -> None:
    world.at(START_MS - 2 * HOUR_MS)
    fsc_id = await prepare(world, ev)
    _, checked = await asked_under(world, fsc_id, params)
    found = {one.dimension: one for one in checked.subjects[0].dimensions}[Dimension.CAPABILITY]
    assert (found.status, found.code) == (status, code)
