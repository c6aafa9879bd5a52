"""Who opens the door for charging stations: of several replicas the one that has the seat.

The others stand by and keep asking. Who loses the seat shuts the door before anything else: nothing is told to a
station any longer, nothing more is put on record for its runs, and the next holder takes them over as after a restart.
"""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from api import telemetry
from api.execution.ocpp.listener import StationListener
from api.flows.execute import Executions
from ledger.errors import Busy
from ledger.store.seat import Seat, SeatTaken

EVERY_S: Final = 2.0
"""Between two looks at the seat, by its holder and by who waits for it."""
OVERLAP_S: Final = 5.0
"""How long an earlier holder may need to notice that it is none; whoever waited for the seat waits that long again."""

log = structlog.get_logger()


class StationDoor:
    """Opens with the first `open` that finds the seat free, or later by `watch`; `close` ends both."""

    def __init__(
        self,
        seat: Seat,
        listener: StationListener,
        executions: Executions,
        *,
        every_s: float = EVERY_S,
        overlap_s: float = OVERLAP_S,
    ) -> None:
        """Shut."""
        self._seat = seat
        self._listener = listener
        self._executions = executions
        self._every_s = every_s
        self._overlap_s = overlap_s
        self.is_open = False

    async def open(self) -> None:
        """Stations are served from now on, or another replica does that. Raises OSError, StoreUnreachable."""
        try:
            await self._seat.take()
        except SeatTaken as taken:
            telemetry.STATIONS_SERVED.set(0)
            log.warning("stations are served by another replica; standing by", code=taken.code)
            return
        await self._serve()

    async def watch(self) -> None:
        """Goes on for ever: keeps what it has, or waits for it."""
        while True:
            await asyncio.sleep(self._every_s)
            try:
                if self.is_open:
                    await self._seat.confirm()
                else:
                    await self._take_over()
            except Busy as error:
                if self.is_open:
                    log.error("the seat was lost; stations are no longer served here", code=error.code)
                    await self._shut()
            except OSError as error:
                log.error("the listener for stations cannot be opened", error=type(error).__name__)
                await self._seat.leave()

    async def close(self) -> None:
        """Nobody is served here, and the next may."""
        await self._shut()
        await self._seat.leave()

    async def _take_over(self) -> None:
        await self._seat.take()
        await asyncio.sleep(self._overlap_s)
        await self._seat.confirm()
        log.warning("the seat is free; taking over what was broken off")
        await self._serve()

    async def _serve(self) -> None:
        await self._listener.start()
        self.is_open = True
        self._executions.begin()
        telemetry.STATIONS_SERVED.set(1)

    async def _shut(self) -> None:
        self.is_open = False
        telemetry.STATIONS_SERVED.set(0)
        # Nothing is recorded once this is called, so what the closing does to runs is no fact of theirs.
        self._executions.let_go()
        with suppress(OSError):
            await self._listener.close()
        await self._executions.stop()
