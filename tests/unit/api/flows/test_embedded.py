"""Functions of the grid code that act in firmware: what is on record of them, and what is not."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest
import pytest_asyncio

from api.execution.ocpp.datatypes import DerControl, GridEventFault
from api.execution.port import Alarm
from api.execution.simulator.evse import Mode
from api.execution.simulator.evse import Service as EvseService
from api.execution.simulator.faults import Faults, GridCodeOverride
from api.flows.embedded import EVENTS, FUNCTIONS, MAX_AN_HOUR, EmbeddedWatch
from api.verification import embedded
from ledger.delivery import samples
from ledger.delivery import work as delivery
from ledger.records import canonical
from ledger.records import entry as entries
from ledger.records.embedded import EmbeddedActed, EmbeddedFunction, GridEvent
from ledger.records.work import Verdict
from tests.support.inverters import END_MS, START_MS, plants, prepare
from tests.support.stations import Depot
from tests.support.world import EVSES, HOUR_MS, MINUTE_MS, STATIONS, World

HOLDING = EvseService(mode=Mode.SETPOINT, from_ms=0, until_ms=END_MS, setpoint_w=5_000)


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    opened = await World.open(tmp_path)
    try:
        yield opened
    finally:
        await opened.close()


async def acted(world: World, depot: Depot) -> list[EmbeddedActed]:
    """What embedded functions did, whole, as soon as something is on record."""
    for _ in range(2_000):
        rows = [row.data for row in world.engines.store.entries(0, world.engines.store.head().size)]
        found = [entry for entry in map(entries.decode, rows) if entry.type == EmbeddedActed.TYPE]
        if found:
            return [one for one in map(world.memory.whole, found) if isinstance(one, EmbeddedActed)]
        await asyncio.sleep(0.005)
    raise AssertionError(depot.stations)


@pytest.mark.slow
async def test_a_function_that_acted_in_firmware_is_on_record_without_any_request(world: World) -> None:
    world.at(START_MS - 2 * HOUR_MS)
    await prepare(world)
    took_ms, let_ms = START_MS + 2 * MINUTE_MS, START_MS + 4 * MINUTE_MS
    fault = GridCodeOverride(from_ms=took_ms, to_ms=let_ms, power_w=1_000, control="VoltWatt", fault="OverVoltage")
    stations = plants(faults=Faults((fault,)))
    # A station keeps a record a second only while something is armed or ruled; here it holds a setpoint of its own.
    async with Depot.open(world, stations) as depot:
        watch = EmbeddedWatch(world.desk, world.memory, depot.port)
        try:
            for plant in stations:
                plant.evses[1].tell(HOLDING, plant.at_ms)
            await depot.until(START_MS + 5 * MINUTE_MS)
            (one,) = await acted(world, depot)
        finally:
            await watch.close()
    assert (one.function, one.event) == (EmbeddedFunction.VOLT_WATT, GridEvent.OVER_VOLTAGE)
    assert (one.evse_id, one.from_ms, one.until_ms) == (EVSES[0], took_ms, let_ms)
    assert (one.verdict, one.algorithm, one.n) == (Verdict.INFORMATIVE, "EMBEDDED_LOG/1", 181)
    body = world.engines.vault.attachment(str(one.body_sha256))
    assert samples.root(body).hex() == one.root
    again = embedded.judge(took_ms, let_ms, body)
    assert canonical.encode(canonical.decode(delivery.encode(again))).decode() == one.result
    # 5 kW before; 1 kW from the second after the function took over.
    assert again.figures["reaction_w"] == pytest.approx(4_000, abs=40)


async def test_a_function_whose_station_has_no_record_of_it_is_unprovable(world: World) -> None:
    world.at(START_MS - 2 * HOUR_MS)
    await prepare(world)
    stations = plants()
    async with Depot.open(world, stations) as depot:
        watch = EmbeddedWatch(world.desk, world.memory, depot.port)
        try:
            evse = stations[0].address(1)
            alarm = {"evse": evse, "control": "LVMustTrip", "fault": None}
            watch._heard(Alarm(**alarm, at_ms=START_MS, ended=True))  # it never began
            watch._heard(Alarm(**alarm, at_ms=START_MS, ended=False))
            watch._heard(Alarm(**alarm, at_ms=START_MS + 1, ended=False))
            watch._heard(Alarm(**alarm, at_ms=START_MS + 1_000, ended=True))
            (one,) = await acted(world, depot)
        finally:
            await watch.close()
    assert (one.function, one.event, one.from_ms) == (EmbeddedFunction.VOLTAGE_TRIP, None, START_MS)
    assert (one.verdict, one.n, one.root) == (Verdict.UNPROVABLE, 0, msgspec.UNSET)


async def test_a_function_that_comes_and_goes_all_the_time_does_not_fill_the_log(world: World) -> None:
    world.at(START_MS - 2 * HOUR_MS)
    await prepare(world)
    async with Depot.open(world, plants()) as depot:
        watch = EmbeddedWatch(world.desk, world.memory, depot.port)
        try:
            place = depot.stations[STATIONS[0]].plant.address(1)
            for hour, admitted in ((0, MAX_AN_HOUR), (0, 0), (1, MAX_AN_HOUR)):
                world.clock.set_ms(START_MS - 2 * HOUR_MS + hour * HOUR_MS)
                assert sum(watch._is_admitted(place) for _ in range(MAX_AN_HOUR)) == admitted
            assert watch._is_admitted(depot.stations[STATIONS[1]].plant.address(1))
        finally:
            await watch.close()


def test_every_control_and_event_of_the_standard_has_a_name_in_the_record() -> None:
    assert set(FUNCTIONS) == set(get_args(DerControl))
    assert {name.lower() for name in get_args(GridEventFault)} == set(EVENTS)
