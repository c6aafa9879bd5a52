"""A station that means ill: floods, giants, bombs, silence, other stations' ids, insane times. Others go on being served."""

import asyncio
import contextlib
import json
import ssl
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from api import telemetry
from api.execution.evidence import FactKind
from api.execution.ocpp.access import TLS_1_2_CIPHERS, StationIdentity
from api.execution.ocpp.limits import Limits, Pace
from api.execution.ocpp.listener import StationListener
from api.execution.ocpp.port import OcppPort
from api.execution.port import (
    ACCEPTED,
    EvseAddress,
    LimitCharging,
    SampleReading,
    Telemetry,
    TransactionEnded,
    Verdict,
)
from api.execution.simulator.evse import EvseConfig
from api.execution.simulator.fleet import Fleet, build_plant
from api.execution.simulator.station import BackOff
from ledger.clock import SetClock
from tests.support.depot import HOUR, MINUTE, START, Depot, address, cap, every, evidence_of, participants, request
from tests.support.idle import Idle

OCPP = Subprotocol("ocpp2.1")
HEARTBEAT = json.dumps([2, "h", "Heartbeat", {}])


@asynccontextmanager
async def serving(**limits: object) -> AsyncIterator[tuple[StationListener, OcppPort, list[Telemetry]]]:
    clock = SetClock(START)
    heard: list[Telemetry] = []
    listener = StationListener(
        host="127.0.0.1",
        port=0,
        clock=clock,
        limits=Limits(**limits),  # type: ignore[arg-type]
    )
    port = OcppPort(listener, clock=clock, call_timeout_s=1.0, update_timeout_s=1.0)
    port.subscribe(heard.append)
    async with listener:
        yield listener, port, heard


@asynccontextmanager
async def station(listener: StationListener, name: str, **options: object) -> AsyncIterator[ClientConnection]:
    url = f"ws://127.0.0.1:{listener.bound_port}/ocpp/{name}"
    given: dict[str, object] = {"compression": None, "proxy": None, "create_connection": Idle, **options}
    async with connect(url, subprotocols=[OCPP], **given) as connection:  # type: ignore[arg-type]
        yield connection


async def answer(connection: ClientConnection, text: str) -> list[object]:
    await connection.send(text)
    async with asyncio.timeout(5):
        return json.loads(await connection.recv())  # type: ignore[no-any-return]


def event(kind: str, transaction: str, *, at: str = "2026-01-20T15:00:00Z", evse: int | None = 1) -> str:
    payload = {
        "eventType": kind,
        "timestamp": at,
        "triggerReason": "CablePluggedIn",
        "seqNo": 0,
        "transactionInfo": {"transactionId": transaction},
    }
    if evse is not None:
        payload["evse"] = {"id": evse}
    return json.dumps([2, "t", "TransactionEvent", payload])


# Floods


async def test_a_flood_is_read_slowly_and_the_others_are_answered_at_once() -> None:
    async with (
        serving(frames_per_s=20.0, burst=10) as (listener, _, _),
        station(listener, "CS-1") as loud,
        station(listener, "CS-2") as quiet,
    ):
        for _ in range(200):
            await loud.send(HEARTBEAT)
        started = time.monotonic()
        assert (await answer(quiet, HEARTBEAT))[0] == 3
        assert time.monotonic() - started < 2
        await asyncio.sleep(0.5)
        assert listener.counters.slowed > 0
        # In half a second: the burst, and what twenty a second allow, with a wide margin for a busy machine.
        assert listener.counters.frames_in < 120


def test_a_pace_admits_a_burst_and_then_so_many_a_second() -> None:
    pace = Pace(10.0, 5)
    assert [pace.wait_s(100.0) for _ in range(5)] == [0.0] * 5
    assert pace.wait_s(100.0) == pytest.approx(0.1)
    assert pace.wait_s(200.0) == 0.0  # a rest fills it up again, and not beyond the burst
    assert [pace.wait_s(200.0) for _ in range(4)] == [0.0] * 4
    assert pace.wait_s(200.0) > 0


async def test_who_says_nothing_cannot_fill_the_house() -> None:
    async with serving(max_opening=5, open_timeout_s=0.5) as (listener, port, _):
        opened = [await asyncio.open_connection("127.0.0.1", listener.bound_port) for _ in range(12)]
        await asyncio.sleep(0.2)
        assert listener.counters.cut == 7
        await asyncio.sleep(0.8)
        # The silent ones were closed after their time; who has something to say gets in.
        async with station(listener, "CS-1") as connection:
            assert (await answer(connection, HEARTBEAT))[0] == 3
            assert port.connected() == {"CS-1"}
        for _, writer in opened:
            writer.close()


async def test_a_whole_fleet_that_reconnects_at_once_gets_in_and_nobody_is_lost() -> None:
    async with serving(max_opening=50) as (listener, port, _):
        plants = [
            build_plant(f"CS-{number}", (EvseConfig(evse_id=1),), seed=number, start_ms=START) for number in range(40)
        ]
        fleet = Fleet(
            plants, f"ws://127.0.0.1:{listener.bound_port}/ocpp", back_off=BackOff(minimum_ms=1_000, random_ms=3_000)
        )
        await fleet.connect()
        await asyncio.gather(*(listener.disconnect(name) for name in port.connected()))
        times = []
        for second in range(1, 12):
            await fleet.advance_to(START + second * 1_000)
            times.append(len(port.connected()))
        assert times[0] < 40 <= max(times)
        # Not all in one moment: the random part of the back-off spreads them.
        assert len({count for count in times if 0 < count < 40}) >= 2
        await fleet.close()


# Giants


async def test_a_compressed_bomb_ends_its_own_connection_only() -> None:
    async with serving() as (listener, _, _), station(listener, "CS-2") as other:
        async with station(listener, "CS-1", compression="deflate") as bomb:
            assert any(one.name == "permessage-deflate" for one in bomb.protocol.extensions)
            with contextlib.suppress(ConnectionClosed):
                await bomb.send("[" + " " * 10_000_000 + "]")
            with pytest.raises(ConnectionClosed) as closed:
                await bomb.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009
        assert (await answer(other, HEARTBEAT))[0] == 3


async def test_a_station_may_compress_and_windows_are_small() -> None:
    async with serving() as (listener, _, _), station(listener, "CS-1", compression="deflate") as connection:
        assert (await answer(connection, HEARTBEAT))[0] == 3
        answered = connection.response
        assert answered is not None
        agreed = answered.headers["Sec-WebSocket-Extensions"]
        assert "server_max_window_bits=11" in agreed
        assert "server_no_context_takeover" in agreed
    assert zlib.MAX_WBITS == 15


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5_000,
        json.dumps([2, "x", "MeterValues", {"evseId": 1, "meterValue": [{}] * 2_000}]),
        '[2,"x","Heartbeat",{"customData":' + '{"a":' * 500 + "1" + "}" * 500 + "}]",
        "[2," + "9" * 60_000 + "]",
    ],
)
async def test_deep_long_and_crooked_frames_are_refused_and_the_line_goes_on(text: str) -> None:
    async with serving() as (listener, _, _), station(listener, "CS-1") as connection:
        assert (await answer(connection, text))[0] in (3, 4)
        assert (await answer(connection, HEARTBEAT))[0] == 3


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (b'[2,"\xff","Heartbeat",{}]', "RpcFrameworkError"),
        (b'[2,"x","\xed\xa0\x80",{}]', "RpcFrameworkError"),
        (b'[2,"x","Heartbeat",{"\xff":1}]', "FormatViolation"),
        (b'[2,"x","DataTransfer",{"vendorId":"\xf4\x90\x80\x80"}]', "FormatViolation"),
        (b'[2,"x","BootNotification",{"customData":{"vendorId":"\xc0\x80"}}]', "FormatViolation"),
        (b'[4,"x","\xff","",{}]', "RpcFrameworkError"),
        (b"\xff", "RpcFrameworkError"),
    ],
)
async def test_text_that_is_no_utf_8_is_refused_and_the_line_goes_on(octets: bytes, code: str) -> None:
    before = _counted("frames", "refused"), _counted("connections", "admitted")
    async with serving() as (listener, _, _), station(listener, "CS-1") as connection:
        await connection.send(octets, text=True)
        async with asyncio.timeout(5):
            refused = json.loads(await connection.recv())
        assert (refused[0], refused[2]) == (4, code)
        assert (await answer(connection, HEARTBEAT))[0] == 3
        assert listener.counters.frames_refused == 1
        assert (_counted("frames", "refused"), _counted("connections", "admitted")) == (before[0] + 1, before[1] + 1)


def _counted(what: str, result: str) -> float:
    """What operators see."""
    return telemetry.REGISTRY.get_sample_value(f"flexledger_station_{what}_total", {"result": result}) or 0.0


# Other stations' business


@pytest.mark.parametrize("origins", [(), ("https://own.example",)])
@pytest.mark.parametrize(
    "said",
    [
        ("https://page.example",),
        ("null",),
        ("",),
        ("https://own.example/",),
        ("https://own.example.page.example",),
        ("https://own.example", "https://page.example"),
    ],
)
async def test_a_page_in_a_browser_is_no_station(origins: tuple[str, ...], said: tuple[str, ...]) -> None:
    def judged(leaf: bytes, above: object) -> StationIdentity:
        raise AssertionError("no certificate of a page is looked at")

    before = _counted("connections", "api/ocpp-cross-site")
    async with StationListener(
        host="127.0.0.1", port=0, clock=SetClock(START), authenticate=judged, origins=origins
    ) as listener:
        with pytest.raises(InvalidStatus) as refused:
            async with station(listener, "CS-1", additional_headers=[("Origin", one) for one in said]):
                pass
        answer = refused.value.response
        assert (answer.status_code, answer.body) == (403, b"api/ocpp-cross-site\n")
        assert (listener.counters.refused, listener.counters.admitted) == (1, 0)
        assert _counted("connections", "api/ocpp-cross-site") == before + 1


async def test_a_station_whose_software_says_an_origin_gets_in_where_the_settings_name_it() -> None:
    own = "https://own.example"
    clock = SetClock(START)
    async with StationListener(host="127.0.0.1", port=0, clock=clock, origins=(own,)) as listener:
        OcppPort(listener, clock=clock)
        for said in ([("Origin", own)], []):
            async with station(listener, "CS-1", additional_headers=said) as connected:
                assert (await answer(connected, HEARTBEAT))[0] == 3


async def test_a_transaction_of_another_station_cannot_be_ended_from_here() -> None:
    async with (
        serving() as (listener, port, heard),
        station(listener, "CS-1") as honest,
        station(listener, "CS-2") as thief,
    ):
        await answer(honest, event("Started", "T-1"))
        await answer(thief, event("Ended", "T-1", evse=None))
        await answer(thief, event("Ended", "T-1"))
        assert port.transaction(EvseAddress(station_id="CS-1", evse_id=1)) == "T-1"
        ended = [one.evse.station_id for one in heard if isinstance(one, TransactionEnded)]
        assert "CS-1" not in ended


async def test_an_end_of_a_transaction_that_does_not_run_ends_nothing() -> None:
    async with serving() as (listener, port, heard), station(listener, "CS-1") as connection:
        await answer(connection, event("Started", "T-1"))
        await answer(connection, event("Ended", "T-OTHER"))
        assert port.transaction(EvseAddress(station_id="CS-1", evse_id=1)) == "T-1"
        assert [one for one in heard if isinstance(one, TransactionEnded)] == []


async def test_a_station_cannot_fill_our_memory_with_evses_that_no_station_has() -> None:
    async with serving() as (listener, port, heard), station(listener, "CS-1") as connection:
        await answer(connection, event("Started", "T-100", evse=100))
        for number in (101, 1_634_030_126, 2**53):
            await answer(connection, event("Started", f"T-{number}", evse=number))
            values = {"evseId": number, "meterValue": [{"timestamp": "2026-01-20T15:00:00Z", "sampledValue": [
                {"value": 7.0, "measurand": "Power.Active.Import"}]}]}  # fmt: skip
            await answer(connection, json.dumps([2, "v", "MeterValues", values]))
        assert len(heard) == 2  # connected, and the one transaction
        assert port.dropped.values == 6


async def test_another_transaction_in_its_place_ends_the_one_before() -> None:
    async with serving() as (listener, port, heard), station(listener, "CS-1") as connection:
        await answer(connection, event("Started", "T-1"))
        await answer(connection, event("Started", "T-2"))
        assert port.transaction(EvseAddress(station_id="CS-1", evse_id=1)) == "T-2"
        ended = [(one.transaction_id, one.reason) for one in heard if isinstance(one, TransactionEnded)]
        assert ended == [("T-1", "TransactionReplaced")]


async def test_an_answer_from_another_station_answers_nothing() -> None:
    async with (
        serving() as (listener, port, _),
        station(listener, "CS-1") as honest,
        station(listener, "CS-2") as thief,
    ):
        here = EvseAddress(station_id="CS-1", evse_id=1)
        command = LimitCharging(command_id="c", evse=here, not_after_ms=2**53, limit_w=6_000)
        sending = asyncio.create_task(port.send(command))
        call = json.loads(await honest.recv())
        await thief.send(json.dumps([3, call[1], {"status": "Accepted"}]))
        await answer(thief, HEARTBEAT)
        assert not sending.done()
        await honest.send(json.dumps([3, call[1], {"status": "Rejected"}]))
        assert (await sending).verdict is Verdict.REJECTED
        assert listener.counters.answers_unmatched == 1


async def test_a_second_answer_to_one_call_does_not_answer_the_next() -> None:
    async with serving() as (listener, port, _), station(listener, "CS-1") as twice:
        here = EvseAddress(station_id="CS-1", evse_id=1)
        answered = []
        for number, status in enumerate(("Accepted", "Rejected")):
            command = LimitCharging(command_id=f"c{number}", evse=here, not_after_ms=2**53, limit_w=6_000 + number)
            sending = asyncio.create_task(port.send(command))
            answered.append(json.loads(await twice.recv())[1])
            if number:
                await twice.send(json.dumps([3, answered[0], {"status": "Accepted"}]))
                await answer(twice, HEARTBEAT)
                assert not sending.done()
                assert listener.counters.answers_unmatched == 1
            await twice.send(json.dumps([3, answered[number], {"status": status}]))
            assert (await sending).verdict is (Verdict.REJECTED if number else Verdict.ACCEPTED)
        assert len(set(answered)) == 2


async def test_a_station_that_promises_to_say_what_runs_and_does_not_is_waited_for_once_only() -> None:
    async with (
        serving() as (listener, port, _),
        station(listener, "CS-1", create_connection=ClientConnection) as mute,
    ):
        here = EvseAddress(station_id="CS-1", evse_id=1)
        asked = []
        for number in range(3):
            command = LimitCharging(command_id=f"c{number}", evse=here, not_after_ms=2**53, limit_w=6_000 + number)
            sending = asyncio.create_task(port.send(command))
            while not sending.done():
                try:
                    async with asyncio.timeout(0.05):
                        call = json.loads(await mute.recv())
                except TimeoutError:
                    continue
                asked.append(call[2])
                await mute.send(json.dumps([3, call[1], {"status": "Accepted"}]))
            assert await sending == ACCEPTED
        assert asked == ["TriggerMessage", *["SetChargingProfile"] * 3]


# Insane values


@pytest.mark.parametrize("number", ["NaN", "1e999", "-1e999", "Infinity", '"7"', "null", "[7]"])
async def test_a_value_that_is_no_number_is_refused_and_the_station_goes_on(number: str) -> None:
    values = '{"evseId":1,"meterValue":[{"timestamp":"2026-01-20T15:00:00Z","sampledValue":[{"value":%s}]}]}'
    async with serving() as (listener, _, heard), station(listener, "CS-1") as connection:
        found = await answer(connection, f'[2,"v","MeterValues",{values % number}]')
        assert found[0] == 4
        assert (await answer(connection, HEARTBEAT))[0] == 3
        assert [one for one in heard if isinstance(one, SampleReading)] == []


@pytest.mark.parametrize("at_ms", [0, 253_402_300_799_000, -62_135_596_800_000])
async def test_a_station_whose_clock_is_insane_does_not_say_when_something_ended(at_ms: int) -> None:
    depot = Depot()
    running = asyncio.create_task(depot.adapter.run(request(cap(20_000), participants(1, 2)), depot.record))
    await asyncio.sleep(0)
    for moment in (START, START + 10 * MINUTE):
        await depot.move(moment)
    depot.port._publish(TransactionEnded(evse=address(1), at_ms=at_ms, transaction_id="T", reason="EVDisconnected"))
    for moment in every(10 * MINUTE):
        await depot.move(max(moment, START + 10 * MINUTE))
    execution = await running
    (ended,) = [fact for fact in depot.facts if fact.kind is FactKind.ABORTED]
    assert (ended.at_ms, ended.station_clock) == (START + 10 * MINUTE, False)
    assert evidence_of(execution, 1).ended_at_ms == START + 10 * MINUTE
    assert depot.kinds(2)[-1] is FactKind.COMPLETED


async def test_readings_of_another_time_take_no_room() -> None:
    depot = Depot()
    running = asyncio.create_task(depot.adapter.run(request(cap(10_000), participants(1)), depot.record))
    await asyncio.sleep(0)
    await depot.move(START)
    for at_ms in range(-10_000, 10_000):
        depot.port._publish(SampleReading(evse=address(1), at_ms=at_ms, power_w=10**9))
    for moment in every(MINUTE):
        await depot.move(moment)
    execution = await running
    assert evidence_of(execution, 1).sample_count == 60
    assert evidence_of(execution, 1).unproven == ()
    assert depot.clock.now_ms() == START + HOUR


def test_tls_1_2_is_admitted_with_ephemeral_keys_and_authenticated_encryption_only() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(TLS_1_2_CIPHERS)
    old = [one["name"] for one in context.get_ciphers() if one["protocol"] != "TLSv1.3"]
    assert old
    assert all(name.startswith("ECDHE-") and ("GCM" in name or "CHACHA20" in name) for name in old)


async def test_a_setpoint_still_reaches_a_station_that_shouts() -> None:
    async with serving(frames_per_s=50.0, burst=10) as (listener, port, _), station(listener, "CS-1") as loud:
        here = EvseAddress(station_id="CS-1", evse_id=1)
        for _ in range(30):
            await loud.send(HEARTBEAT)
        command = LimitCharging(command_id="c", evse=here, not_after_ms=2**53, limit_w=6_000)
        sending = asyncio.create_task(port.send(command))
        async with asyncio.timeout(10):
            while (frame := json.loads(await loud.recv()))[0] != 2:
                pass
        await loud.send(json.dumps([3, frame[1], {"status": "Accepted"}]))
        assert await sending == ACCEPTED
