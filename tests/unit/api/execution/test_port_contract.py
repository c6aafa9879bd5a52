"""One contract, two implementations: OCPP 2.1 over a real WebSocket, and the in-process simulator."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from api.execution import port as neutral
from api.execution.ocpp.listener import StationListener
from api.execution.ocpp.port import OcppPort
from api.execution.port import (
    ArmFrequencyResponse,
    ArmInverterCurve,
    BalanceLocally,
    ClearService,
    ControlPoint,
    DerCurve,
    EvseAddress,
    ExecutionPort,
    FetchLog,
    FollowSetpoint,
    FrequencyPoint,
    HoldReactive,
    LimitCharging,
    Outcome,
    ReadMeter,
    Telemetry,
    Verdict,
)
from api.execution.simulator import faults as f
from api.execution.simulator.battery import Battery
from api.execution.simulator.demand import ConstantDemand
from api.execution.simulator.evse import EvseConfig
from api.execution.simulator.fleet import build_plant
from api.execution.simulator.inverter import House
from api.execution.simulator.plant import Plant
from api.execution.simulator.port import SimulatorPort
from api.execution.simulator.station import SimulatedStation
from ledger.clock import SetClock
from ledger.delivery.samples import Measured, WideSample, decode

START = 1_768_900_000_000 // 60_000 * 60_000
MINUTE = 60_000
CONFIGS = (
    EvseConfig(evse_id=1, max_discharge_w=22_000),
    EvseConfig(evse_id=2, min_charge_w=4140),
)
E1 = EvseAddress(station_id="CS-1", evse_id=1)
E2 = EvseAddress(station_id="CS-1", evse_id=2)


@dataclass
class World:
    """A port, its clock, the plant behind it, and everything that was reported."""

    port: ExecutionPort
    clock: SetClock
    plant: Plant
    advance: Callable[[int], Awaitable[None]]
    events: list[Telemetry] = field(default_factory=list)
    count: int = 0

    async def to(self, at_ms: int) -> None:
        await self.advance(at_ms)
        self.clock.set_ms(at_ms)

    async def until(self, kind: type[Telemetry], **want: object) -> Telemetry:
        for _ in range(200):
            for event in self.events:
                if isinstance(event, kind) and all(getattr(event, k) == v for k, v in want.items()):
                    return event
            await asyncio.sleep(0.01)
        raise AssertionError(f"no {kind.__name__} in {self.events[-5:]}")

    def envelope(self, evse: EvseAddress, **more: int) -> dict[str, object]:
        self.count += 1
        return {
            "command_id": f"c{self.count}",
            "evse": evse,
            "not_after_ms": self.clock.now_ms() + 10 * MINUTE,
            "transaction_id": self.port.transaction(evse),
            **more,
        }


def plant_with(*faults: f.Fault) -> Plant:
    return build_plant("CS-1", CONFIGS, seed=7, start_ms=START, faults=f.Faults(faults))


async def over_ocpp(plant: Plant) -> AsyncIterator[World]:
    clock = SetClock(START)
    async with StationListener(host="127.0.0.1", port=0, clock=clock) as listener:
        port = OcppPort(listener, clock=clock, call_timeout_s=0.3, update_timeout_s=0.3)
        station = SimulatedStation(plant, f"ws://127.0.0.1:{listener.bound_port}/ocpp")
        world = World(port, clock, plant, station.advance_to)
        port.subscribe(world.events.append)
        await station.connect()
        yield world
        await station.close()


async def in_process(plant: Plant) -> AsyncIterator[World]:
    clock = SetClock(START)
    port = SimulatorPort([plant], clock=clock, timeout_ms=300)

    async def advance(at_ms: int) -> None:
        port.advance_to(at_ms)

    world = World(port, clock, plant, advance)
    port.subscribe(world.events.append)
    port.connect_all()
    yield world


@pytest.fixture(params=[over_ocpp, in_process], ids=["ocpp", "simulator"])
def make(request: pytest.FixtureRequest) -> Callable[[Plant], AsyncIterator[World]]:
    return request.param  # type: ignore[no-any-return]


Make = Callable[[Plant], AsyncIterator[World]]


async def test_a_station_that_connects_is_connected_with_its_transactions(make: Make) -> None:
    async for world in make(plant_with()):
        assert world.port.connected() == {"CS-1"}
        assert world.port.transaction(E1) == "CS-1-1-1"
        assert world.port.transaction(EvseAddress(station_id="CS-9", evse_id=1)) is None
        started = await world.until(neutral.TransactionStarted, evse=E2)
        assert isinstance(started, neutral.TransactionStarted)
        begin = await world.until(neutral.SignedReading, evse=E1, context="Transaction.Begin")
        assert isinstance(begin, neutral.SignedReading)
        assert begin.ocmf.startswith("OCMF|")


async def test_a_limit_is_accepted_and_kept(make: Make) -> None:
    async for world in make(plant_with()):
        outcome = await world.port.send(LimitCharging(**world.envelope(E1), limit_w=6000))  # type: ignore[arg-type]
        assert outcome == neutral.ACCEPTED
        await world.to(START + 2 * MINUTE)
        reading = await world.until(neutral.SampleReading, evse=E1, at_ms=START + 2 * MINUTE)
        assert isinstance(reading, neutral.SampleReading)
        assert (reading.power_w, reading.setpoint_w, reading.freq_millihertz) == (6000, 6000, 50_000)
        other = await world.until(neutral.SampleReading, evse=E2, at_ms=START + 2 * MINUTE)
        assert isinstance(other, neutral.SampleReading)
        assert other.power_w == 22_000
        mode = await world.until(neutral.OperationModeChanged, evse=E1, mode="ChargingOnly")
        assert isinstance(mode, neutral.OperationModeChanged)


async def test_a_limit_under_the_least_current_makes_an_ev_pause(make: Make) -> None:
    async for world in make(plant_with()):
        await world.port.send(LimitCharging(**world.envelope(E2), limit_w=4000))  # type: ignore[arg-type]
        await world.to(START + MINUTE)
        reading = await world.until(neutral.SampleReading, evse=E2, at_ms=START + MINUTE)
        assert isinstance(reading, neutral.SampleReading)
        assert reading.power_w == 0


async def test_a_setpoint_discharges_and_a_second_one_moves_it(make: Make) -> None:
    async for world in make(plant_with()):
        for minute, power_w in ((1, -7000), (2, -3000)):
            command = FollowSetpoint(**world.envelope(E1), setpoint_w=power_w)  # type: ignore[arg-type]
            assert await world.port.send(command) == neutral.ACCEPTED
            await world.to(START + minute * MINUTE)
            reading = await world.until(neutral.SampleReading, evse=E1, at_ms=START + minute * MINUTE)
            assert isinstance(reading, neutral.SampleReading)
            assert (reading.power_w, reading.setpoint_w) == (power_w, power_w)


async def test_what_an_evse_cannot_do_is_rejected_with_its_reason(make: Make) -> None:
    async for world in make(plant_with()):
        command = FollowSetpoint(**world.envelope(E2), setpoint_w=-1000)  # type: ignore[arg-type]
        assert await world.port.send(command) == Outcome(Verdict.REJECTED, "InvalidSchedule")
        reactive = HoldReactive(**world.envelope(E2), reactive_millipercent=5000)  # type: ignore[arg-type]
        assert await world.port.send(reactive) == Outcome(Verdict.REJECTED, "NotSupported")
        nowhere = EvseAddress(station_id="CS-1", evse_id=9)
        command = FollowSetpoint(**world.envelope(nowhere), setpoint_w=1000)  # type: ignore[arg-type]
        assert await world.port.send(command) == Outcome(Verdict.REJECTED, "UnknownEvse")


def inverter_plant(voltage: Callable[[int], int] = lambda _: 230_000) -> Plant:
    config = EvseConfig(evse_id=1, max_discharge_w=11_000, max_inject_var=4_800, max_absorb_var=2_400)
    return build_plant("CS-1", (config, CONFIGS[1]), seed=7, start_ms=START, voltage=voltage)


async def test_reactive_power_keeps_its_sign_end_to_end(make: Make) -> None:
    async for world in make(inverter_plant()):
        command = HoldReactive(**world.envelope(E1), reactive_millipercent=-50_000)  # type: ignore[arg-type]
        assert await world.port.send(command) == neutral.ACCEPTED
        assert world.plant.evses[1].reactive_millipercent == -50_000
        await world.to(START + MINUTE)
        reading = await world.until(neutral.SampleReading, evse=E1, at_ms=START + MINUTE)
        assert isinstance(reading, neutral.SampleReading)
        # Half of what it can inject.
        assert (reading.reactive_var, reading.voltage_millivolt) == (-2_400, 230_000)


VOLT_VAR = (
    ControlPoint(x_millipercent=93_000, y_millipercent=-100_000),
    ControlPoint(x_millipercent=97_000, y_millipercent=0),
    ControlPoint(x_millipercent=103_000, y_millipercent=0),
    ControlPoint(x_millipercent=107_000, y_millipercent=100_000),
)


@pytest.mark.parametrize(("millivolt", "var"), [(218_500, -2_400), (230_000, 0), (241_500, 1_200), (200_000, -4_800)])
async def test_an_inverter_follows_the_voltage_and_its_log_shows_it(make: Make, millivolt: int, var: int) -> None:
    async for world in make(inverter_plant(lambda _: millivolt)):
        command = ArmInverterCurve(  # type: ignore[arg-type]
            **world.envelope(E1), curve_type="VoltVar", points=VOLT_VAR, response_ms=3_000, reference_millivolt=230_000
        )
        assert await world.port.send(command) == neutral.ACCEPTED
        await world.to(START + MINUTE)
        fetch = FetchLog(**world.envelope(E1), from_ms=START, to_ms=START + MINUTE, wide=True)  # type: ignore[arg-type]
        assert await world.port.send(fetch) == neutral.ACCEPTED
        log = await world.until(neutral.LogUploaded, command_id=fetch.command_id)
        assert isinstance(log, neutral.LogUploaded)
        last = decode(log.samples)[-1]
        assert isinstance(last, WideSample)
        assert (last.voltage_millivolt, last.reactive_var) == (millivolt, var)
        assert last.measured == Measured.VOLTAGE | Measured.REACTIVE | Measured.SOC


async def test_a_curve_that_is_cleared_or_not_renewed_ends_and_the_profile_beside_it_stays(make: Make) -> None:
    async for world in make(inverter_plant(lambda _: 218_500)):
        await world.port.send(FollowSetpoint(**world.envelope(E1), setpoint_w=5_000))  # type: ignore[arg-type]
        curve = {"curve_type": "VoltVar", "points": VOLT_VAR}
        await world.port.send(ArmInverterCurve(**world.envelope(E1, duration_s=90), **curve))  # type: ignore[arg-type]
        await world.to(START + MINUTE)
        assert world.plant.evses[1].reactive_var == -2_400
        await world.to(START + 2 * MINUTE)
        assert (world.plant.evses[1].reactive_var, world.plant.evses[1].power_w) == (0, 5_000)
        await world.port.send(ArmInverterCurve(**world.envelope(E1), **curve))  # type: ignore[arg-type]
        cleared = await world.port.send(ClearService(**world.envelope(E1), curve=True))  # type: ignore[arg-type]
        assert cleared == neutral.ACCEPTED
        # Nothing is there to clear a second time, which is what was asked for.
        again = await world.port.send(ClearService(**world.envelope(E1), curve=True))  # type: ignore[arg-type]
        assert again == neutral.ACCEPTED
        await world.to(START + 3 * MINUTE)
        assert (world.plant.evses[1].reactive_var, world.plant.evses[1].power_w) == (0, 5_000)


@pytest.mark.parametrize("kind", ["VoltVar", "WattVar", "WattPF"])
async def test_an_inverter_without_reactive_power_takes_no_such_curve(make: Make, kind: DerCurve) -> None:
    async for world in make(plant_with()):
        command = ArmInverterCurve(**world.envelope(E1), curve_type=kind, points=VOLT_VAR)  # type: ignore[arg-type]
        assert await world.port.send(command) == Outcome(Verdict.REJECTED, "NotSupported")
        held = HoldReactive(**world.envelope(E1), reactive_millipercent=1)  # type: ignore[arg-type]
        assert await world.port.send(held) == Outcome(Verdict.REJECTED, "NotSupported")


async def test_power_follows_the_voltage_and_reactive_power_the_power(make: Make) -> None:
    async for world in make(inverter_plant(lambda _: 218_500)):
        volt_watt = (
            ControlPoint(x_millipercent=90_000, y_millipercent=-100_000),
            ControlPoint(x_millipercent=100_000, y_millipercent=100_000),
        )
        await world.port.send(ArmInverterCurve(**world.envelope(E1), curve_type="VoltWatt", points=volt_watt))  # type: ignore[arg-type]
        await world.to(START + MINUTE)
        # Half-way between -11 kW (all it can discharge) and +22 kW.
        assert world.plant.evses[1].power_w == 5_500
        watt_var = (
            ControlPoint(x_millipercent=-100_000, y_millipercent=100_000),
            ControlPoint(x_millipercent=0, y_millipercent=0),
        )
        await world.port.send(FollowSetpoint(**world.envelope(E1), setpoint_w=-5_500))  # type: ignore[arg-type]
        await world.port.send(ArmInverterCurve(**world.envelope(E1), curve_type="WattVar", points=watt_var))  # type: ignore[arg-type]
        await world.to(START + 3 * MINUTE)
        # Half of the discharging power: half of what it can absorb.
        assert (world.plant.evses[1].power_w, world.plant.evses[1].reactive_var) == (-5_500, 1_200)


def house_plant(*configs: EvseConfig, draws_w: int = 3_000, soc_permille: int = 500) -> Plant:
    house = House(ConstantDemand(draws_w))
    return build_plant(
        "CS-1",
        configs,
        seed=7,
        start_ms=START,
        houses={config.evse_id: house for config in configs},
        batteries={config.evse_id: Battery(capacity_wh=40_000, soc_permille=soc_permille) for config in configs},
    )


HOME = EvseConfig(evse_id=1, max_charge_w=11_000, max_discharge_w=11_000)


@pytest.mark.parametrize(
    ("target_w", "power_w", "upstream_w"), [(0, -3_000, 0), (1_000, -2_000, 1_000), (5_000, 0, 3_000)]
)
async def test_a_house_is_carried_down_to_its_target_and_read_at_its_connection(
    make: Make, target_w: int, power_w: int, upstream_w: int
) -> None:
    async for world in make(house_plant(HOME)):
        await world.port.send(BalanceLocally(**world.envelope(E1), target_import_w=target_w))  # type: ignore[arg-type]
        await world.to(START + MINUTE)
        reading = await world.until(neutral.SampleReading, evse=E1, at_ms=START + MINUTE)
        assert isinstance(reading, neutral.SampleReading)
        assert (reading.power_w, reading.upstream_w) == (power_w, upstream_w)
        assert reading.soc_permille == world.plant.evses[1].battery.permille()


async def test_two_cars_carry_a_house_together_and_feed_nothing_in(make: Make) -> None:
    async for world in make(house_plant(HOME, replace(HOME, evse_id=2))):
        for evse, share in ((E1, 400), (E2, 600)):
            await world.port.send(BalanceLocally(**world.envelope(evse), share_permille=share))  # type: ignore[arg-type]
        await world.to(START + MINUTE)
        assert [world.plant.evses[n].power_w for n in (1, 2)] == [-1_200, -1_800]
        reading = await world.until(neutral.SampleReading, evse=E1, at_ms=START + MINUTE)
        assert isinstance(reading, neutral.SampleReading)
        assert reading.upstream_w == 0


async def test_a_battery_keeps_its_reserve_and_its_budget(make: Make) -> None:
    async for world in make(house_plant(HOME)):
        # 3 kW for four minutes are 200 Wh.
        command = BalanceLocally(**world.envelope(E1), energy_budget_wh=200)  # type: ignore[arg-type]
        await world.port.send(command)
        await world.to(START + 10 * MINUTE)
        given = world.plant.evses[1].meter.export_milliwh
        assert 199_000 <= given <= 200_000
        assert world.plant.evses[1].power_w == 0
        await world.port.send(BalanceLocally(**world.envelope(E1), reserve_soc_permille=490))  # type: ignore[arg-type]
        await world.to(START + 30 * MINUTE)
        assert (world.plant.evses[1].power_w, world.plant.evses[1].battery.permille()) == (0, 490)


async def test_a_building_is_balanced_without_exporting(make: Make) -> None:
    async for world in make(plant_with()):
        assert await world.port.send(BalanceLocally(**world.envelope(E1))) == neutral.ACCEPTED  # type: ignore[arg-type]
        await world.to(START + MINUTE)
        reading = await world.until(neutral.SampleReading, evse=E1, at_ms=START + MINUTE)
        assert isinstance(reading, neutral.SampleReading)
        assert reading.power_w == -2000


async def test_a_curve_without_corners_is_rejected(make: Make) -> None:
    async for world in make(plant_with()):
        point = FrequencyPoint(freq_millihertz=49_600, power_w=0)
        command = ArmFrequencyResponse(**world.envelope(E1), curve=(point,), base_w=0)  # type: ignore[arg-type]
        assert await world.port.send(command) == Outcome(Verdict.REJECTED, "NoFreqWattCurve")


async def test_clearing_twice_is_accepted_twice(make: Make) -> None:
    async for world in make(plant_with()):
        await world.port.send(LimitCharging(**world.envelope(E1), limit_w=6000))  # type: ignore[arg-type]
        for _ in range(2):
            assert await world.port.send(ClearService(**world.envelope(E1))) == neutral.ACCEPTED  # type: ignore[arg-type]
        await world.to(START + MINUTE)
        reading = await world.until(neutral.SampleReading, evse=E1, at_ms=START + MINUTE)
        assert isinstance(reading, neutral.SampleReading)
        assert reading.power_w == 22_000


async def test_a_meter_is_read_on_demand(make: Make) -> None:
    async for world in make(plant_with()):
        await world.to(START + MINUTE)
        assert await world.port.send(ReadMeter(**world.envelope(E1))) == neutral.ACCEPTED  # type: ignore[arg-type]
        reading = await world.until(neutral.SignedReading, evse=E1, context="Trigger")
        assert isinstance(reading, neutral.SignedReading)
        assert reading.at_ms == START + MINUTE
        assert '"RV":0.360000' in reading.ocmf  # a second at nothing, one at 20 kW, then 22 kW


async def test_a_log_comes_whole_over_the_same_connection(make: Make) -> None:
    async for world in make(plant_with()):
        await world.port.send(LimitCharging(**world.envelope(E1), limit_w=6000))  # type: ignore[arg-type]
        await world.to(START + 59 * MINUTE)
        span = {"from_ms": START + MINUTE, "to_ms": START + 58 * MINUTE}
        command = FetchLog(**world.envelope(E1), **span)  # type: ignore[arg-type]
        assert await world.port.send(command) == neutral.ACCEPTED
        uploaded = await world.until(neutral.LogUploaded, command_id=command.command_id)
        assert isinstance(uploaded, neutral.LogUploaded)
        samples = decode(uploaded.samples)
        assert [s.t_ms for s in samples] == list(range(span["from_ms"], span["to_ms"] + 1, 1000))
        assert len({(b.seq - a.seq) % 65536 for a, b in pairwise(samples)}) == 1


async def test_an_interval_that_is_not_recorded_is_rejected(make: Make) -> None:
    async for world in make(plant_with()):
        command = FetchLog(**world.envelope(E1), from_ms=0, to_ms=1, interval_ms=7)  # type: ignore[arg-type]
        assert (await world.port.send(command)).verdict is Verdict.REJECTED


async def test_a_command_for_another_transaction_is_not_sent(make: Make) -> None:
    async for world in make(plant_with()):
        envelope = world.envelope(E1) | {"transaction_id": "another"}
        command = LimitCharging(**envelope, limit_w=6000)  # type: ignore[arg-type]
        assert await world.port.send(command) == neutral.OTHER_TRANSACTION
        assert world.plant.evses[1].service is None
        # A station that is told all the same refuses by itself.
        assert world.plant.execute(command) == Outcome(Verdict.REJECTED, "TxNotFound")


async def test_a_command_after_its_time_is_never_sent(make: Make) -> None:
    async for world in make(plant_with()):
        envelope = world.envelope(E1) | {"not_after_ms": START}
        command = LimitCharging(**envelope, limit_w=6000)  # type: ignore[arg-type]
        assert await world.port.send(command) == Outcome(Verdict.EXPIRED, "NotAfter")
        assert world.plant.evses[1].service is None


async def test_a_command_for_an_absent_station_expires_when_its_time_has_passed(make: Make) -> None:
    async for world in make(plant_with(f.Offline(from_ms=START + MINUTE, to_ms=START + 60 * MINUTE))):
        await world.to(START + 2 * MINUTE)
        await world.until(neutral.Disconnected, station_id="CS-1")
        assert world.port.connected() == frozenset()
        command = LimitCharging(**world.envelope(E1), limit_w=6000)  # type: ignore[arg-type]
        sending = asyncio.create_task(world.port.send(command))
        await asyncio.sleep(0.05)
        assert not sending.done()
        world.clock.set_ms(START + 30 * MINUTE)
        assert await sending == Outcome(Verdict.EXPIRED, "NotAfter")


async def test_a_command_for_an_absent_station_is_sent_when_it_is_back_in_time(make: Make) -> None:
    async for world in make(plant_with(f.Offline(from_ms=START + MINUTE, to_ms=START + 3 * MINUTE))):
        await world.to(START + 2 * MINUTE)
        command = LimitCharging(**world.envelope(E1), limit_w=6000)  # type: ignore[arg-type]
        sending = asyncio.create_task(world.port.send(command))
        await asyncio.sleep(0.05)
        await world.to(START + 4 * MINUTE)
        assert await sending == neutral.ACCEPTED


async def test_a_late_answer_is_unknown_first_and_then_matched_by_its_id(make: Make) -> None:
    async for world in make(plant_with(f.LateAnswer(delay_s=0.5))):
        command = LimitCharging(**world.envelope(E1), limit_w=6000)  # type: ignore[arg-type]
        outcome = await world.port.send(command)
        assert outcome.verdict is Verdict.UNKNOWN
        # It was carried out all the same: a time-out is not a failure.
        assert world.plant.evses[1].service is not None
        await world.to(START + MINUTE)
        late = await world.until(neutral.LateAnswer, command_id=command.command_id)
        assert isinstance(late, neutral.LateAnswer)
        assert (late.evse, late.outcome) == (E1, neutral.ACCEPTED)


async def test_a_slow_answer_in_time_is_an_answer(make: Make) -> None:
    async for world in make(plant_with(f.SlowResponse(delay_s=0.05))):
        command = LimitCharging(**world.envelope(E1), limit_w=6000)  # type: ignore[arg-type]
        assert await world.port.send(command) == neutral.ACCEPTED


async def test_an_ev_that_leaves_ends_its_transaction(make: Make) -> None:
    async for world in make(plant_with(f.EvLeaves(from_ms=START + 90_000, evse_id=1))):
        await world.to(START + 2 * MINUTE)
        ended = await world.until(neutral.TransactionEnded, evse=E1)
        assert isinstance(ended, neutral.TransactionEnded)
        assert (ended.at_ms, ended.reason) == (START + 90_000, "EVDisconnected")
        assert world.port.transaction(E1) is None
        await world.until(neutral.SignedReading, evse=E1, context="Transaction.End")


async def test_a_grid_code_override_is_alarmed_at_both_ends(make: Make) -> None:
    fault = f.GridCodeOverride(from_ms=START + 30_000, to_ms=START + 90_000, evse_id=1, power_w=100)
    async for world in make(plant_with(fault)):
        await world.to(START + 2 * MINUTE)
        first = await world.until(neutral.Alarm, evse=E1, ended=False)
        last = await world.until(neutral.Alarm, evse=E1, ended=True)
        assert isinstance(first, neutral.Alarm)
        assert isinstance(last, neutral.Alarm)
        assert (first.at_ms, last.at_ms, first.fault) == (START + 30_000, START + 90_000, "UnderFrequency")


async def test_a_reboot_forgets_what_was_told(make: Make) -> None:
    async for world in make(plant_with(f.Reboot(from_ms=START + 90_000))):
        await world.port.send(LimitCharging(**world.envelope(E1), limit_w=6000))  # type: ignore[arg-type]
        await world.to(START + 3 * MINUTE)
        await world.until(neutral.Disconnected, station_id="CS-1")
        reading = await world.until(neutral.SampleReading, evse=E1, at_ms=START + 3 * MINUTE)
        assert isinstance(reading, neutral.SampleReading)
        assert reading.power_w == 22_000


async def test_who_unsubscribed_hears_no_more(make: Make) -> None:
    async for world in make(plant_with()):
        heard: list[Telemetry] = []
        unsubscribe = world.port.subscribe(heard.append)
        unsubscribe()
        unsubscribe()
        await world.to(START + MINUTE)
        await world.until(neutral.SampleReading, evse=E1)
        assert heard == []
