"""Simulated stations behind the world of tests, over real OCPP: what is accepted there is executed on them.

`Depot.open(world, plants)` connects them; `until` moves the one clock that everybody shares, and lets everything that
follows from a moment happen before the next.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from api.execution.adapter import Adapter
from api.execution.ocpp.listener import StationListener
from api.execution.ocpp.port import OcppPort
from api.execution.simulator.plant import Plant
from api.execution.simulator.protocol import RootSigner
from api.execution.simulator.station import SimulatedStation
from api.execution.waiting import polling
from api.flows.execute import Executions
from pki.roles import Purpose
from tests.support.world import EVSES, World

POLL_S = 0.001
TURN_S = 0.004


def signer_of(world: World, station_id: str) -> RootSigner:
    """What the world's station signs the roots of its logs with: the key that the site's configuration binds."""
    issued = world.made.stations[station_id].credentials[Purpose.SIGNING]
    return RootSigner(issued.key, issued.chain[0])


@dataclass
class Depot:
    """The stations of the world's site, and the executions that command them."""

    world: World
    port: OcppPort
    adapter: Adapter
    executions: Executions
    stations: dict[str, SimulatedStation]

    @classmethod
    @asynccontextmanager
    async def open(cls, world: World, plants: Sequence[Plant]) -> AsyncIterator["Depot"]:
        """The stations are connected, and whatever is accepted from now on is executed."""
        for plant, evse in zip(plants, EVSES, strict=False):
            # The world's site binds these keys and serial numbers.
            plant.evses[1].meter.key = world.meters[evse]
            plant.evses[1].meter.serial = f"M-{evse[-2:]}"
        async with StationListener(host="127.0.0.1", port=0, clock=world.clock) as listener:
            port = OcppPort(listener, clock=world.clock)
            sleep_until_ms = polling(world.clock, POLL_S)
            adapter = Adapter(port, clock=world.clock, sleep_until_ms=sleep_until_ms)
            executions = Executions(world.desk, world.memory, adapter, sleep_until_ms)
            executions.begin()
            url = f"ws://127.0.0.1:{listener.bound_port}/ocpp"
            stations = {
                plant.station_id: SimulatedStation(plant, url, signer=signer_of(world, plant.station_id))
                for plant in plants
            }
            for station in stations.values():
                await station.connect()
            try:
                yield cls(world, port, adapter, executions, stations)
            finally:
                await executions.close()
                for station in stations.values():
                    await station.close()

    async def until(self, at_ms: int, step_ms: int = 60_000) -> None:
        """Everything up to `at_ms` has happened, in steps."""
        now_ms = self.world.clock.now_ms()
        while now_ms < at_ms:
            now_ms = min(at_ms, now_ms + step_ms)
            for station in self.stations.values():
                await station.advance_to(now_ms)
            self.world.at(now_ms)
            await self.settled()

    async def settled(self) -> None:
        """What follows from this moment has happened: nobody commands, and nothing waits to be recorded."""
        for _ in range(3):
            await asyncio.sleep(TURN_S)
            while any(run._tasks for run in self.adapter._runs.values()):  # noqa: ASYNC110 -- nothing tells of it
                await asyncio.sleep(POLL_S)

    async def ended(self, fsr_id: str) -> None:
        """The request was executed to its end, and its evidence is on record."""
        for _ in range(4_000):
            if self.executions._tasks[fsr_id].done() and fsr_id not in self.adapter.running():
                return
            await asyncio.sleep(0.005)
        raise AssertionError("the execution does not end")
