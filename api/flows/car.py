"""What a car says of itself to its station goes on record with its session, so that checks and dispatch can use it."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import structlog

from api.errors import ApiError
from api.execution.port import CarSaid, ExecutionPort, Telemetry
from api.flows.desk import Desk
from api.flows.memory import Memory
from ledger.errors import LedgerError
from ledger.records.record import Part
from ledger.records.sites import EvLimits

MAX_A_SESSION: Final = 24
"""Changes of one session that are recorded: a car that changes its mind each second must not fill the log."""
MAX_SESSIONS: Final = 10_000
SAID: Final = (
    "max_charge_w",
    "max_discharge_w",
    "usable_energy_wh",
    "soc_permille",
    "discharge_budget_wh",
    "departure_at_ms",
)

log = structlog.get_logger()


class CarWatch:
    """Listens to a port from now on; `close` ends it."""

    def __init__(self, desk: Desk, memory: Memory, port: ExecutionPort) -> None:
        """What was said before is not known."""
        self._desk = desk
        self._memory = memory
        self._counts: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._unsubscribe = port.subscribe(self._heard)

    async def close(self) -> None:
        """No more is recorded; what was under way is given up."""
        self._unsubscribe()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _heard(self, event: Telemetry) -> None:
        if isinstance(event, CarSaid):
            task = asyncio.create_task(self._watched(event))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _watched(self, event: CarSaid) -> None:
        try:
            async with self._turn:  # what is said twice is compared with what the first left
                await self._record(event)
        except (ApiError, LedgerError) as error:
            log.error("what a car said is not recorded", code=error.code)

    async def _record(self, event: CarSaid) -> None:
        known = self._desk.evse_at(event.evse.station_id, event.evse.evse_id)
        if known is None:
            return
        site_id, evse = known
        session = self._memory.session_at(site_id, evse.evse_id, self._desk.clock.now_ms())
        if session is None:
            log.info("a car said what it can do, and no session of it is mirrored")
            return
        before = session.ev if isinstance(session.ev, EvLimits) else EvLimits()
        after = msgspec.structs.replace(before, **_said(event))
        if after == before or not self._is_admitted(session.session_id):
            return
        person = session.evu if isinstance(session.evu, str) else None

        def subject_of(_part: Part, _name: str) -> str | None:
            return person

        await self._desk.say(msgspec.structs.replace(session, ev=after), f"site/{site_id}", subject_of=subject_of)

    def _is_admitted(self, session_id: str) -> bool:
        if len(self._counts) >= MAX_SESSIONS:
            self._counts.clear()
        self._counts[session_id] = self._counts.get(session_id, 0) + 1
        if self._counts[session_id] > MAX_A_SESSION:
            log.warning("a car changes what it says too often", count=MAX_A_SESSION)
            return False
        return True


def _said(event: CarSaid) -> Mapping[str, Any]:
    """What it said this time; what it left out stays as it was."""
    return {name: value for name in SAID if (value := getattr(event, name)) is not None}
