"""PyPI `ocpp` on the other side of a socket: its ChargePoint at our listener, our simulated station at its central system.

Where the two differ is said in docs/reference/ocpp.md, and each difference has its test here.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from ocpp.routing import on
from ocpp.v21 import ChargePoint, call, call_result
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from api.execution import port as neutral
from api.execution.ocpp.listener import StationListener
from api.execution.ocpp.port import OcppPort
from api.execution.plan import Envelope
from api.execution.port import EvseAddress, FrequencyPoint, SampleReading, Telemetry, TransactionStarted, Verdict
from api.execution.simulator.evse import EvseConfig
from api.execution.simulator.fleet import build_plant
from api.execution.simulator.station import SimulatedStation
from ledger.clock import SetClock

START = 1_768_921_200_000
NOW = "2026-01-20T15:00:00.000Z"
OCPP = Subprotocol("ocpp2.1")
HERE = EvseAddress(station_id="STRANGER-1", evse_id=1)


class ForeignStation(ChargePoint):  # type: ignore[misc]
    """A station that somebody else's library speaks for; it notes what it was told."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.told: list[tuple[str, Any]] = []

    @on("SetChargingProfile")
    def profile(self, evse_id: int, charging_profile: dict[str, Any], **_: Any) -> Any:
        self.told.append(("profile", charging_profile))
        period = charging_profile["charging_schedule"][0]["charging_schedule_period"][0]
        if period.get("operation_mode") == "LocalFrequency":
            return call_result.SetChargingProfile(status="Rejected", status_info={"reason_code": "UnsupportedParam"})
        return call_result.SetChargingProfile(status="Accepted")

    @on("UpdateDynamicSchedule")
    def update(self, charging_profile_id: int, schedule_update: dict[str, Any], **_: Any) -> Any:
        self.told.append(("update", schedule_update))
        return call_result.UpdateDynamicSchedule(status="Accepted")

    @on("ClearChargingProfile")
    def clear(self, **_: Any) -> Any:
        return call_result.ClearChargingProfile(status="Accepted")

    @on("GetVariables")
    def variables(self, get_variable_data: list[dict[str, Any]], **_: Any) -> Any:
        return call_result.GetVariables(
            get_variable_result=[
                {
                    "attribute_status": "Accepted"
                    if one["component"]["name"] == "V2XChargingCtrlr"
                    else "UnknownComponent",
                    "attribute_value": "ChargingOnly,CentralSetpoint",
                    "component": one["component"],
                    "variable": one["variable"],
                }
                for one in get_variable_data
            ]
        )


@contextlib.asynccontextmanager
async def foreign_station() -> AsyncIterator[tuple[ForeignStation, OcppPort, list[Telemetry]]]:
    clock = SetClock(START)
    heard: list[Telemetry] = []
    async with StationListener(host="127.0.0.1", port=0, clock=clock) as listener:
        port = OcppPort(listener, clock=clock, call_timeout_s=1.0, update_timeout_s=1.0)
        port.subscribe(heard.append)
        url = f"ws://127.0.0.1:{listener.bound_port}/ocpp/{HERE.station_id}"
        async with connect(url, subprotocols=[OCPP], proxy=None) as connection:
            station = ForeignStation(HERE.station_id, connection, response_timeout=5)
            serving = asyncio.create_task(station.start())
            try:
                yield station, port, heard
            finally:
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)


def envelope(port: OcppPort) -> Envelope:
    return {
        "command_id": "c",
        "evse": HERE,
        "not_after_ms": START + 60_000,
        "duration_s": 900,
        "transaction_id": port.transaction(HERE),
    }


async def booted(station: ForeignStation) -> None:
    answer = await station.call(
        call.BootNotification(charging_station={"model": "M", "vendor_name": "V"}, reason="PowerUp")
    )
    assert answer.status == "Accepted"
    await station.call(
        call.TransactionEvent(
            event_type="Started",
            timestamp=NOW,
            trigger_reason="CablePluggedIn",
            seq_no=0,
            transaction_info={"transaction_id": "T-1"},
            evse={"id": 1, "connector_id": 1},
        )
    )


async def test_a_strangers_station_boots_reports_and_follows_setpoints() -> None:
    async with foreign_station() as (station, port, heard):
        await booted(station)
        await station.call(
            call.MeterValues(
                evse_id=1,
                meter_value=[
                    {
                        "timestamp": NOW,
                        "sampled_value": [
                            {"value": 7.4, "measurand": "Power.Active.Import", "unit_of_measure": {"unit": "kW"}}
                        ],
                    }
                ],
            )
        )
        assert port.transaction(HERE) == "T-1"
        assert [one.power_w for one in heard if isinstance(one, SampleReading)] == [7_400]
        assert [one.transaction_id for one in heard if isinstance(one, TransactionStarted)] == ["T-1"]
        for power_w in (-7_000, -6_500):
            command = neutral.FollowSetpoint(**envelope(port), setpoint_w=power_w)
            assert await port.send(command) == neutral.ACCEPTED
        (_, profile), update = station.told
        assert profile["charging_profile_purpose"] == "TxProfile"
        assert profile["transaction_id"] == "T-1"
        schedule = profile["charging_schedule"][0]
        assert (schedule["duration"], schedule["charging_schedule_period"][0]["setpoint"]) == (900, -7_000)
        assert profile["invalid_after_offline_duration"] is True
        assert update == ("update", {"setpoint": -6_500})


async def test_a_strangers_refusal_is_a_rejection_with_its_reason() -> None:
    async with foreign_station() as (station, port, _):
        await booted(station)
        curve = (FrequencyPoint(freq_millihertz=49_985, power_w=0), FrequencyPoint(freq_millihertz=50_000, power_w=1))
        outcome = await port.send(neutral.ArmFrequencyResponse(**envelope(port), curve=curve, base_w=0))
        assert outcome == neutral.Outcome(Verdict.REJECTED, "UnsupportedParam")
        # The corner of the dead band arrives as it was sent; the other way round this library would round it to 50.0.
        period = station.told[0][1]["charging_schedule"][0]["charging_schedule_period"][0]
        assert period["v2x_freq_watt_curve"][0]["frequency"] == 49.985


async def test_a_stranger_says_what_it_can_do() -> None:
    async with foreign_station() as (station, port, _):
        await booted(station)
        can = await port.capabilities(HERE)
        assert can == neutral.Capabilities(modes=frozenset({"ChargingOnly", "CentralSetpoint"}), curves=frozenset())
        assert await port.capabilities(EvseAddress(station_id="NOBODY", evse_id=1)) is None


async def test_a_call_that_the_stranger_has_no_handler_for_is_never_answered_and_so_unknown() -> None:
    async with foreign_station() as (station, port, _):
        await booted(station)
        outcome = await port.send(neutral.HoldReactive(**envelope(port), reactive_millipercent=1_000))
        assert outcome.verdict is Verdict.UNKNOWN
        # The line goes on: what comes after it is answered.
        assert await port.send(neutral.LimitCharging(**envelope(port), limit_w=6_000)) == neutral.ACCEPTED


# Their central system, our station


class ForeignSystem(ChargePoint):  # type: ignore[misc]
    """A central system that somebody else's library speaks for."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.heard: list[str] = []

    @on("BootNotification")
    def boot(self, **_: Any) -> Any:
        self.heard.append("BootNotification")
        return call_result.BootNotification(current_time=NOW, interval=300, status="Accepted")

    @on("StatusNotification")
    def status(self, **_: Any) -> Any:
        self.heard.append("StatusNotification")
        return call_result.StatusNotification()

    @on("TransactionEvent")
    def transaction(self, event_type: str, **_: Any) -> Any:
        self.heard.append(f"TransactionEvent {event_type}")
        return call_result.TransactionEvent()

    @on("MeterValues")
    def values(self, **_: Any) -> Any:
        self.heard.append("MeterValues")
        return call_result.MeterValues()


@contextlib.asynccontextmanager
async def foreign_system() -> AsyncIterator[tuple[SimulatedStation, ForeignSystem]]:
    systems: asyncio.Queue[ForeignSystem] = asyncio.Queue()

    async def talk(connection: ServerConnection) -> None:
        system = ForeignSystem("CS-1", connection, response_timeout=5)
        systems.put_nowait(system)
        with contextlib.suppress(Exception):
            await system.start()

    async with serve(talk, "127.0.0.1", 0, subprotocols=[OCPP]) as server:
        where = next(iter(server.sockets)).getsockname()[1]
        plant = build_plant(
            "CS-1", (EvseConfig(evse_id=1, max_discharge_w=22_000),), seed=1, start_ms=START, report_ms=10_000
        )
        station = SimulatedStation(plant, f"ws://127.0.0.1:{where}/ocpp", call_timeout_s=2.0)
        await station.connect()
        try:
            yield station, await systems.get()
        finally:
            await station.close()


async def test_our_station_boots_reports_and_obeys_at_a_strangers_central_system() -> None:
    async with foreign_system() as (station, system):
        assert system.heard == ["BootNotification", "StatusNotification", "TransactionEvent Started"]
        setpoint = {
            "id": 7,
            "stack_level": 1,
            "charging_profile_purpose": "TxDefaultProfile",
            "charging_profile_kind": "Dynamic",
            "charging_schedule": [
                {
                    "id": 1,
                    "charging_rate_unit": "W",
                    "duration": 60,
                    "charging_schedule_period": [
                        {"start_period": 0, "operation_mode": "CentralSetpoint", "setpoint": -5000}
                    ],
                }
            ],
        }
        answer = await system.call(call.SetChargingProfile(evse_id=1, charging_profile=setpoint))
        assert answer.status == "Accepted"
        await station.advance_to(START + 20_000)
        assert station.plant.evses[1].power_w == -5_000
        answer = await system.call(
            call.UpdateDynamicSchedule(charging_profile_id=7, schedule_update={"setpoint": 3000})
        )
        assert answer.status == "Accepted"
        await station.advance_to(START + 40_000)
        assert station.plant.evses[1].power_w == 3_000
        assert "MeterValues" in system.heard
        # Nobody sends the next value: after the profile's duration the station leaves the service by itself.
        await station.advance_to(START + 120_000)
        assert station.plant.evses[1].service is None
        assert station.refusals == []


async def test_our_station_answers_what_it_cannot_do_as_the_standard_says() -> None:
    async with foreign_system() as (_, system):
        answer = await system.call(call.AFRRSignal(timestamp=NOW, signal=5))
        assert (answer.status, answer.status_info["reason_code"]) == ("Rejected", "NoSignalWattCurve")
        # By default this library hides a CALLERROR: a command that was refused looks like nothing.
        assert await system.call(call.Reset(type="Immediate")) is None


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Their library logs what it cannot handle; that is not this test's business."""
    logger = logging.getLogger("ocpp")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)
