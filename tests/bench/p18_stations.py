"""P18: many stations at one listener in one process: a reading a second from each, a setpoint every four seconds to each.

With `--quick` they are 200. The backend has one core and the stations (`tests.bench.stations`) another, where the system
lets us say so and there are two, and both go before other programs where it allows that. The stations connect before anything is measured. A time runs from the moment at which a
setpoint or a reading was due, so whatever held it up is in the figure: late is a setpoint that was not answered before
the next one to its EVSE was due, and a reading that was not answered before its station's next.
"""

import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from api.execution.ocpp.limits import Limits
from api.execution.ocpp.listener import StationListener
from api.execution.ocpp.port import OcppPort
from api.execution.port import EvseAddress, FollowSetpoint, SampleReading, Telemetry, Verdict
from api.web import server
from ledger.clock import SystemClock
from tests.bench.frame import Goal, Measure, Pair, Row, Scale

STATIONS, QUICK_STATIONS = 2_000, 200
SECONDS, QUICK_SECONDS = 16, 4
SETPOINT_EVERY_S: Final = 4
PATIENCE_S: Final = 60
FILES: Final = 3 * STATIONS + 500


@dataclass(frozen=True)
class Seen:
    """What one run came to."""

    core_share: float
    p99_s: float
    setpoint_max_s: float
    reading_max_s: float


async def _measure(count: int, seconds: int, core: int | None) -> Seen:
    clock = SystemClock()
    heard = 0

    def listen(event: Telemetry) -> None:
        nonlocal heard
        heard += isinstance(event, SampleReading)

    limits = Limits(max_connections=count + 10)
    async with StationListener(host="127.0.0.1", port=0, clock=clock, limits=limits) as listener:
        port = OcppPort(listener, clock=clock)
        port.subscribe(listen)
        arguments = [str(one) for one in (listener.bound_port, count, seconds, core) if one is not None]
        driver = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.bench.stations",
            *arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert driver.stdin is not None
        assert driver.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            if await driver.stdout.readline() != b"ready\n":
                raise RuntimeError("the stations did not all connect")
        server.settle()
        driver.stdin.write(b"go\n")
        times: list[float] = []
        cpu, wall = time.process_time(), time.monotonic()
        async with asyncio.timeout(seconds + PATIENCE_S):
            await asyncio.gather(*(_commands(port, n, count, seconds, times) for n in range(count)))
        core_share = (time.process_time() - cpu) / (time.monotonic() - wall)
        driver.stdin.close()
        said, _ = await driver.communicate()
    seen = json.loads(said)
    if seen["unanswered"] or heard != seen["sent"] or len(times) != count * (seconds // SETPOINT_EVERY_S):
        raise RuntimeError(f"{heard} of {seen['sent']} readings were heard, {len(times)} setpoints answered: {seen}")
    return Seen(core_share, statistics.quantiles(times, n=100)[98], max(times), seen["answering_max_s"])


async def _commands(port: OcppPort, number: int, count: int, seconds: int, times: list[float]) -> None:
    evse = EvseAddress(station_id=f"B-{number}", evse_id=1)
    begin = time.monotonic() + 1 + SETPOINT_EVERY_S * number / count
    for step in range(seconds // SETPOINT_EVERY_S):
        due_at = begin + step * SETPOINT_EVERY_S
        await asyncio.sleep(due_at - time.monotonic())
        command = FollowSetpoint(command_id=f"{number}/{step}", evse=evse, not_after_ms=2**53, setpoint_w=step)
        if (await port.send(command)).verdict is Verdict.ACCEPTED:
            times.append(time.monotonic() - due_at)


def _more_files() -> None:
    """Each station is a socket here and one there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def _apart() -> Iterator[int | None]:
    """This process on one core; yields another one for the stations, or None where there is none.

    Where the system lets us, both go before other programs: a busy machine's figures are then those of a quiet one.
    """
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else set()
    if len(cores) < 2:
        yield None
        return
    ours, theirs = sorted(cores)[:2]
    os.sched_setaffinity(0, {ours})
    is_first = False
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        is_first = True
    try:
        yield theirs
    finally:
        if is_first:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.sched_setaffinity(0, cores)


def _run(scale: Scale) -> Seen:
    def once() -> Seen:
        _more_files()
        with _apart() as core:
            return server.run(_measure(scale.of(STATIONS, QUICK_STATIONS), scale.of(SECONDS, QUICK_SECONDS), core))

    found = scale.shared("P18", once)
    assert isinstance(found, Seen)
    return found


def _figure(name: str) -> Any:
    @contextmanager
    def prepare(scale: Scale) -> Iterator[Pair]:
        yield Pair(lambda: float(getattr(_run(scale), name)), lambda: 1.0)

    return prepare


def _row(what: str, name: str, bound: float) -> Row:
    return Row(id="P18", what=what, floor="", goal=Goal(Measure.BUDGET, bound), prepare=_figure(name), rounds=1)


ROWS = (
    _row("2,000 stations, 1 Hz: CPU for each second", "core_share", 1.0),
    _row("the same: p99 of a setpoint until its answer", "p99_s", 1.0),
    _row("the same: slowest setpoint (late: after the next)", "setpoint_max_s", float(SETPOINT_EVERY_S)),
    _row("the same: slowest reading (late: after the next)", "reading_max_s", 1.0),
)
