"""What a car says of itself: read out of OCPP, bounded, and on record with its session."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from api.execution.ocpp import datatypes as t
from api.execution.ocpp import needs
from api.execution.ocpp.station_messages import ChargingNeeds
from api.execution.port import CarSaid, EvseAddress, Telemetry
from api.flows import car
from api.flows.car import CarWatch
from ledger.records.sites import EvLimits
from tests.support.inverters import START_MS, prepare
from tests.support.world import EVSES, HOUR_MS, SITE, STATIONS, World

pytestmark = pytest.mark.slow  # takes seconds

HERE = EvseAddress(station_id=STATIONS[0], evse_id=1)
LEAVES_MS = START_MS + 5 * HOUR_MS


class Port:
    """Who is subscribed to telemetry."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[Telemetry], None]] = []

    def subscribe(self, listener: Callable[[Telemetry], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def tell(self, event: Telemetry) -> None:
        for listener in tuple(self.listeners):
            listener(event)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    opened = await World.open(Path(tmp_path_factory.mktemp("car")))
    try:
        opened.at(START_MS - 2 * HOUR_MS)
        await prepare(opened)
        yield opened
    finally:
        await opened.close()


def size(world: World) -> int:
    return world.engines.store.head().size


def limits(world: World) -> EvLimits:
    session = world.memory.session_at(SITE, EVSES[0], world.clock.now_ms())
    assert session is not None
    return session.ev if isinstance(session.ev, EvLimits) else EvLimits()


async def told(watch: CarWatch, port: Port, event: CarSaid) -> None:
    port.tell(event)
    await asyncio.gather(*watch._tasks)


@pytest.mark.asyncio(loop_scope="module")
async def test_what_a_car_says_goes_with_its_session_and_what_it_leaves_out_stays(world: World) -> None:
    port = Port()
    watch = CarWatch(world.desk, world.memory, port)  # type: ignore[arg-type]
    before, at = limits(world), size(world)
    await told(watch, port, CarSaid(evse=HERE, at_ms=START_MS, max_discharge_w=7_000, departure_at_ms=LEAVES_MS))
    found = limits(world)
    assert (found.max_discharge_w, found.departure_at_ms) == (7_000, LEAVES_MS)
    assert (found.max_inject_var, found.max_absorb_var) == (before.max_inject_var, before.max_absorb_var)
    assert size(world) == at + 1
    # The same again changes nothing, and neither does an EVSE that nobody configured.
    await told(watch, port, CarSaid(evse=HERE, at_ms=START_MS + 1, max_discharge_w=7_000))
    await told(watch, port, CarSaid(evse=EvseAddress(station_id="CS-NONE", evse_id=1), at_ms=START_MS, soc_permille=5))
    assert size(world) == at + 1
    session = world.memory.session_at(SITE, EVSES[0], world.clock.now_ms())
    assert session is not None
    assert world.memory.person_at(EVSES[0]) == session.evu
    assert session.discharge_allowed is True
    await watch.close()
    assert port.listeners == []


@pytest.mark.asyncio(loop_scope="module")
async def test_a_car_that_changes_its_mind_all_the_time_does_not_fill_the_log(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(car, "MAX_A_SESSION", 2)
    port = Port()
    watch = CarWatch(world.desk, world.memory, port)  # type: ignore[arg-type]
    at = size(world)
    for soc_permille in (101, 102, 103, 104):
        await told(watch, port, CarSaid(evse=HERE, at_ms=START_MS, soc_permille=soc_permille))
    assert size(world) == at + 2
    assert limits(world).soc_permille == 102
    await watch.close()


def read(**more: object) -> CarSaid:
    return needs.read(HERE, ChargingNeeds(requested_energy_transfer="AC_BPT", **more), START_MS)  # type: ignore[arg-type]


def test_the_values_of_ocpp_are_read_in_our_units() -> None:
    found = read(
        departure_time=t.from_ms(LEAVES_MS),
        v2x_charging_parameters={"maxChargePower": 3_680.9, "maxChargePower_L2": 3_680, "maxDischargePower": 5_000},
        dc_charging_parameters={"evEnergyCapacity": 62_000, "stateOfCharge": 41},
        der_charging_parameters={"evSessionTotalDischargeEnergyAvailable": 9_500},
    )
    assert found == CarSaid(
        evse=HERE,
        at_ms=START_MS,
        max_charge_w=7_360,
        max_discharge_w=5_000,
        usable_energy_wh=62_000,
        soc_permille=410,
        discharge_budget_wh=9_500,
        departure_at_ms=LEAVES_MS,
    )
    assert read(dc_charging_parameters={"evMaxPower": 50_000}).max_charge_w == 50_000


@pytest.mark.parametrize("value", [-1, 10**7 + 1, float("inf"), float("nan"), "7000", True, None, [7]])
def test_a_number_that_is_none_says_nothing(value: object) -> None:
    found = read(
        v2x_charging_parameters={"maxChargePower": value, "maxDischargePower": value},
        dc_charging_parameters={"evEnergyCapacity": value, "stateOfCharge": value, "evMaxPower": value},
        der_charging_parameters={"evSessionTotalDischargeEnergyAvailable": value},
    )
    assert found == CarSaid(evse=HERE, at_ms=START_MS)


def test_the_largest_numbers_are_taken() -> None:
    found = read(v2x_charging_parameters={"maxChargePower": 10**7, "maxChargePower_L2": 10**7})
    assert found.max_charge_w == 10**7
    assert read(dc_charging_parameters={"stateOfCharge": 100}).soc_permille == 1_000
    assert read(dc_charging_parameters={"stateOfCharge": 101}).soc_permille is None
