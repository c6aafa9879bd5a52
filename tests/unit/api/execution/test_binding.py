"""A command for one EV does not reach the next: who is there is asked over each new connection, before anything else."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect

from api.execution import port as neutral
from api.execution.ocpp.binding import Bindings
from api.execution.ocpp.listener import StationListener
from api.execution.ocpp.port import OcppPort
from api.execution.port import EvseAddress, FollowSetpoint, Outcome, Verdict
from api.execution.simulator import faults as f
from api.execution.simulator.evse import EvseConfig
from api.execution.simulator.fleet import build_plant
from api.execution.simulator.station import SimulatedStation
from ledger.clock import SetClock

START = 1_768_921_200_000
E1 = EvseAddress(station_id="CS-1", evse_id=1)
LATE = 2**53


@asynccontextmanager
async def house() -> AsyncIterator[tuple[StationListener, OcppPort]]:
    clock = SetClock(START)
    async with StationListener(host="127.0.0.1", port=0, clock=clock) as listener:
        yield listener, OcppPort(listener, clock=clock, call_timeout_s=5.0, update_timeout_s=5.0)


@asynccontextmanager
async def station(listener: StationListener) -> AsyncIterator[ClientConnection]:
    url = f"ws://127.0.0.1:{listener.bound_port}/ocpp/CS-1"
    async with connect(url, subprotocols=["ocpp2.1"], compression=None, proxy=None) as connection:  # type: ignore[list-item]
        yield connection


def follow(power_w: int = 5_000, transaction_id: str | None = None) -> FollowSetpoint:
    return FollowSetpoint(
        command_id=f"c{power_w}", evse=E1, not_after_ms=LATE, setpoint_w=power_w, transaction_id=transaction_id
    )


def event(number: int, transaction_id: str, kind: str = "Updated", **more: object) -> str:
    payload = {
        "eventType": kind,
        "timestamp": "2026-01-20T15:00:00Z",
        "triggerReason": "Trigger",
        "seqNo": number,
        "transactionInfo": {"transactionId": transaction_id},
        "evse": {"id": 1},
        **more,
    }
    return json.dumps([2, f"e{number}", "TransactionEvent", payload])


async def heard(connection: ClientConnection) -> list[object]:
    """The next call; answers to our own are passed over."""
    async with asyncio.timeout(10):
        while True:
            frame = json.loads(await connection.recv())
            if frame[0] == 2:
                return frame  # type: ignore[no-any-return]


async def answer(connection: ClientConnection, call: list[object], status: str) -> None:
    await connection.send(json.dumps([3, call[1], {"status": status}]))


async def test_a_station_that_has_not_spoken_is_asked_what_runs_there_before_it_is_told_anything() -> None:
    async with house() as (listener, port), station(listener) as connection:
        sending = asyncio.create_task(port.send(follow()))
        asked = await heard(connection)
        assert asked[2:] == ["TriggerMessage", {"requestedMessage": "TransactionEvent", "evse": {"id": 1}}]
        await answer(connection, asked, "Accepted")
        await connection.send(event(4, "TX-A"))
        told = await heard(connection)
        profile = told[3]["chargingProfile"]  # type: ignore[index]
        assert (profile["chargingProfilePurpose"], profile["transactionId"]) == ("TxProfile", "TX-A")
        await answer(connection, told, "Accepted")
        assert await sending == neutral.ACCEPTED
        assert port.transaction(E1) == "TX-A"
        # Once a connection.
        sending = asyncio.create_task(port.send(follow(6_000)))
        told = await heard(connection)
        assert told[2] == "UpdateDynamicSchedule"
        await answer(connection, told, "Accepted")
        assert await sending == neutral.ACCEPTED


@pytest.mark.parametrize("status", ["Rejected", "NotImplemented"])
async def test_a_station_that_cannot_say_what_runs_there_is_told_for_the_evse(status: str) -> None:
    async with house() as (listener, port), station(listener) as connection:
        sending = asyncio.create_task(port.send(follow()))
        await answer(connection, await heard(connection), status)
        told = await heard(connection)
        profile = told[3]["chargingProfile"]  # type: ignore[index]
        assert (profile["chargingProfilePurpose"], profile.get("transactionId")) == ("TxDefaultProfile", None)
        await answer(connection, told, "Accepted")
        assert await sending == neutral.ACCEPTED


async def test_a_command_that_waited_for_a_station_is_dropped_when_another_ev_is_there_when_it_is_back() -> None:
    async with house() as (listener, port):
        ended: list[neutral.Telemetry] = []
        port.subscribe(ended.append)
        async with station(listener) as connection:
            await connection.send(event(0, "TX-A", "Started"))
            async with asyncio.timeout(10):
                while port.transaction(E1) is None:  # noqa: ASYNC110 -- the port tells of more than this
                    await asyncio.sleep(0.005)
        async with asyncio.timeout(10):
            while port.connected():  # noqa: ASYNC110 -- as above
                await asyncio.sleep(0.005)
        stale = asyncio.create_task(port.send(follow(7_000, "TX-A")))
        await asyncio.sleep(0)
        async with station(listener) as connection:
            asked = await heard(connection)
            assert asked[2] == "TriggerMessage"
            await answer(connection, asked, "Accepted")
            await connection.send(event(0, "TX-B"))
            async with asyncio.timeout(10):
                assert await stale == Outcome(Verdict.EXPIRED, "TransactionChanged")
            fresh = asyncio.create_task(port.send(follow(8_000, "TX-B")))
            told = await heard(connection)
            assert told[3]["chargingProfile"]["transactionId"] == "TX-B"  # type: ignore[index]
            await answer(connection, told, "Accepted")
            assert await fresh == neutral.ACCEPTED
        replaced = [one for one in ended if isinstance(one, neutral.TransactionEnded)]
        assert [(one.transaction_id, one.reason) for one in replaced] == [("TX-A", neutral.TRANSACTION_REPLACED)]


async def test_what_is_told_late_of_an_earlier_time_does_not_count_as_an_answer() -> None:
    async with house() as (listener, port), station(listener) as connection:
        await connection.send(event(0, "TX-OLD", "Started", offline=True))
        assert json.loads(await connection.recv())[0] == 3
        sending = asyncio.create_task(port.send(follow()))
        asked = await heard(connection)
        assert asked[2] == "TriggerMessage"
        await answer(connection, asked, "Accepted")
        await connection.send(event(1, "TX-OLD"))
        told = await heard(connection)
        assert told[3]["chargingProfile"]["transactionId"] == "TX-OLD"  # type: ignore[index]
        await answer(connection, told, "Accepted")
        assert await sending == neutral.ACCEPTED


async def test_a_connection_that_ends_while_its_station_is_asked_leaves_the_command_for_the_next_one() -> None:
    async with house() as (listener, port):
        sending: asyncio.Task[Outcome]
        async with station(listener) as connection:
            sending = asyncio.create_task(port.send(follow()))
            assert (await heard(connection))[2] == "TriggerMessage"
        async with station(listener) as connection:
            asked = await heard(connection)
            assert asked[2] == "TriggerMessage"
            await answer(connection, asked, "Rejected")
            told = await heard(connection)
            assert told[2] == "SetChargingProfile"
            await answer(connection, told, "Accepted")
            assert await sending == neutral.ACCEPTED


async def test_a_sender_that_gives_up_while_the_station_is_asked_sends_nothing() -> None:
    async with house() as (listener, port), station(listener) as connection:
        sending = asyncio.create_task(port.send(follow()))
        asked = await heard(connection)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await answer(connection, asked, "Rejected")
        after = asyncio.create_task(port.send(follow(9_000)))
        told = await heard(connection)
        schedule = told[3]["chargingProfile"]["chargingSchedule"][0]  # type: ignore[index]
        assert schedule["chargingSchedulePeriod"][0]["setpoint"] == 9_000
        await answer(connection, told, "Accepted")
        assert await after == neutral.ACCEPTED


async def test_after_a_restart_of_the_backend_a_simulated_station_says_what_runs_and_commands_are_for_that() -> None:
    config = EvseConfig(evse_id=1, max_discharge_w=11_000)
    plant = build_plant("CS-1", (config,), seed=7, start_ms=START, faults=f.Faults(()))
    async with house() as (listener, _):
        first = SimulatedStation(plant, f"ws://127.0.0.1:{listener.bound_port}/ocpp")
        await first.connect()
        running = plant.evses[1].transaction_id
        await first.close()
    async with house() as (listener, port):
        # The same plant, its transaction told of long ago to a backend that is no more.
        again = SimulatedStation(plant, f"ws://127.0.0.1:{listener.bound_port}/ocpp")
        await again.connect()
        assert port.transaction(E1) is None
        assert await port.send(follow(-3_000)) == neutral.ACCEPTED
        assert running is not None
        assert port.transaction(E1) == running
        assert again._answering.profiles[1001].charging_profile.transaction_id == running
        await again.close()


def fill(bindings: Bindings, count: int) -> list[bool]:
    return [
        bindings.begin(EvseAddress(station_id=f"CS-{number}", evse_id=1), f"TX-{number}") for number in range(count)
    ]


def test_stations_cannot_make_us_remember_more_transactions_than_there_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.execution.ocpp.binding.MAX_EVSES", 3)
    bindings = Bindings()
    assert fill(bindings, 4) == [True, True, True, False]
    assert bindings.begin(EvseAddress(station_id="CS-0", evse_id=1), "TX-NEW"), "one in the place of one"
    bindings.end(EvseAddress(station_id="CS-0", evse_id=1))
    assert fill(bindings, 4) == [True, True, True, False]
    assert bindings.where("CS-1", "TX-1") == EvseAddress(station_id="CS-1", evse_id=1)
    assert bindings.where("CS-1", "TX-2") is None
    assert list(bindings.of_station("CS-2")) == [EvseAddress(station_id="CS-2", evse_id=1)]
