"""P18: many stations at one listener in one process: a reading a second from each, a setpoint every four seconds to each.

With `--quick` they are 200. The stations are bare sockets in a process of their own, so that only the backend is measured. `python -m
tests.bench.p18_stations URL COUNT SECONDS` is that process; it prints what it saw as JSON.
"""

import asyncio
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from api.execution.ocpp.listener import Limits, StationListener
from api.execution.ocpp.port import OcppPort
from api.execution.port import EvseAddress, FollowSetpoint, SampleReading, Telemetry, Verdict
from ledger.clock import SystemClock
from tests.bench.frame import Goal, Measure, Pair, Row, Scale

STATIONS, QUICK_STATIONS = 2_000, 200
SECONDS, QUICK_SECONDS = 12, 4
SETPOINT_EVERY_S: Final = 4
PATIENCE_S: Final = 120
AT_ONCE: Final = 100
FILES: Final = 3 * STATIONS + 500


@dataclass(frozen=True)
class Seen:
    """What one run came to."""

    core_share: float
    p99_s: float


# The stations


async def _station(
    url: str, name: str, phase_s: float, stop_at: float, seen: dict[str, Any], gate: asyncio.Semaphore
) -> None:
    async with gate:
        connection = await connect(
            f"{url}/{name}",
            subprotocols=[Subprotocol("ocpp2.1")],
            compression=None,
            proxy=None,
            open_timeout=PATIENCE_S,
        )
    seen["open"] += 1
    reading = asyncio.create_task(_answer(connection, seen))
    try:
        while seen["open"] < seen["count"]:  # noqa: ASYNC110 -- all begin together
            await asyncio.sleep(0.05)
        await asyncio.sleep(phase_s)
        number = 0
        begin = time.monotonic()
        while time.monotonic() < begin + stop_at:
            number += 1
            await connection.send(_values(f"{name}-{number}", 7_000 + number))
            seen["sent"] += 1
            await asyncio.sleep(max(0.0, begin + number - time.monotonic()))
    finally:
        reading.cancel()
        await connection.close()


def _values(message_id: str, power_w: int) -> str:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return (
        f'[2,"{message_id}","MeterValues",{{"evseId":1,"meterValue":[{{"timestamp":"{stamp}","sampledValue":['
        f'{{"value":{power_w},"measurand":"Power.Active.Import","unitOfMeasure":{{"unit":"W"}}}},'
        '{"value":49.98,"measurand":"Frequency","unitOfMeasure":{"unit":"Hz"}}]}]}]'
    )


async def _answer(connection: ClientConnection, seen: dict[str, Any]) -> None:
    async for raw in connection:
        frame = json.loads(raw)
        if frame[0] == 2:
            await connection.send(f'[3,"{frame[1]}",{{"status":"Accepted"}}]')
        elif frame[0] == 3:
            seen["answered"] += 1


async def _fleet(url: str, count: int, seconds: float) -> dict[str, Any]:
    seen: dict[str, Any] = {"open": 0, "count": count, "sent": 0, "answered": 0}
    gate = asyncio.Semaphore(AT_ONCE)
    await asyncio.gather(*(_station(url, f"B-{n}", n / count, seconds, seen, gate) for n in range(count)))
    return seen


# The backend


async def _measure(count: int, seconds: int) -> Seen:
    clock = SystemClock()
    heard = 0

    def listen(event: Telemetry) -> None:
        nonlocal heard
        heard += isinstance(event, SampleReading)

    limits = Limits(max_connections=count + 10, ping_interval_s=3600.0)
    async with StationListener(host="127.0.0.1", port=0, clock=clock, limits=limits) as listener:
        port = OcppPort(listener, clock=clock)
        port.subscribe(listen)
        url = f"ws://127.0.0.1:{listener.bound_port}/ocpp"
        driver = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.p18_stations", url, str(count), str(seconds), stdout=subprocess.PIPE
        )
        async with asyncio.timeout(PATIENCE_S):
            while len(port.connected()) < count:  # noqa: ASYNC110 -- a listener has no event for a number of stations
                await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        times: list[float] = []
        cpu, wall = time.process_time(), time.monotonic()
        await asyncio.gather(*(_commands(port, n, count, seconds - 2, times) for n in range(count)))
        core_share = (time.process_time() - cpu) / (time.monotonic() - wall)
        said, _ = await driver.communicate()
    seen = json.loads(said)
    if heard < seen["sent"] or not times:
        raise RuntimeError(f"{heard} of {seen['sent']} readings were heard, {len(times)} setpoints answered")
    return Seen(core_share, statistics.quantiles(times, n=100)[98])


async def _commands(port: OcppPort, number: int, count: int, seconds: float, times: list[float]) -> None:
    evse = EvseAddress(station_id=f"B-{number}", evse_id=1)
    until = time.monotonic() + seconds
    await asyncio.sleep(SETPOINT_EVERY_S * number / count)
    step = 0
    while time.monotonic() < until:
        step += 1
        begin = time.monotonic()
        command = FollowSetpoint(command_id=f"{number}/{step}", evse=evse, not_after_ms=2**53, setpoint_w=step)
        if (await port.send(command)).verdict is Verdict.ACCEPTED:
            times.append(time.monotonic() - begin)
        await asyncio.sleep(max(0.0, begin + SETPOINT_EVERY_S - time.monotonic()))


def _more_files() -> None:
    """Each station is a socket; two processes share what the system admits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _run(scale: Scale) -> Seen:
    def once() -> Seen:
        _more_files()
        return asyncio.run(_measure(scale.of(STATIONS, QUICK_STATIONS), scale.of(SECONDS, QUICK_SECONDS)))

    found = scale.shared("P18", once)
    assert isinstance(found, Seen)
    return found


def _figure(name: str) -> Any:
    @contextmanager
    def prepare(scale: Scale) -> Iterator[Pair]:
        yield Pair(lambda: float(getattr(_run(scale), name)), lambda: 1.0)

    return prepare


ROWS = (
    Row(
        id="P18",
        what="2,000 stations, 1 Hz: CPU for each second",
        floor="",
        goal=Goal(Measure.BUDGET, 1.0),
        prepare=_figure("core_share"),
        rounds=1,
    ),
    Row(
        id="P18",
        what="the same: p99 of a setpoint until its answer",
        floor="",
        goal=Goal(Measure.BUDGET, 1.0),
        prepare=_figure("p99_s"),
        rounds=1,
    ),
)

if __name__ == "__main__":
    _more_files()
    print(json.dumps(asyncio.run(_fleet(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))))
