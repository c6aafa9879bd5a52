"""The door for stations is open where the seat is, and nowhere else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from api.execution.ocpp.listener import StationListener
from api.flows.station_door import StationDoor
from ledger.clock import SetClock
from ledger.errors import Busy
from ledger.store.errors import StoreUnreachable
from ledger.store.seat import SeatTaken


class Seat:
    """A seat that tests give and take."""

    def __init__(self) -> None:
        self.elsewhere: Busy | None = None
        self.asked = 0

    async def take(self) -> None:
        self.asked += 1
        if self.elsewhere is not None:
            raise self.elsewhere

    async def confirm(self) -> None:
        await self.take()

    async def leave(self) -> None:
        pass


class Executions:
    """What the door tells who executes, in order, and whether the door was open then."""

    def __init__(self, listener: StationListener) -> None:
        self.told: list[tuple[str, bool]] = []
        self._listener = listener

    def _note(self, what: str) -> None:
        self.told.append((what, self._listener.is_listening))

    def begin(self) -> None:
        self._note("begin")

    def let_go(self) -> None:
        self._note("let go")

    async def stop(self) -> None:
        self._note("stop")


@asynccontextmanager
async def house(seat: Seat) -> AsyncIterator[tuple[StationDoor, Executions]]:
    listener = StationListener(host="127.0.0.1", port=0, clock=SetClock(0))
    executions = Executions(listener)
    door = StationDoor(seat, listener, executions, every_s=0.005, overlap_s=0.0)  # type: ignore[arg-type]
    watching = asyncio.create_task(door.watch())
    try:
        yield door, executions
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await door.close()


async def until(door: StationDoor, *, is_open: bool) -> None:
    async with asyncio.timeout(10):
        while door.is_open is not is_open:  # noqa: ASYNC110 -- the door tells nobody
            await asyncio.sleep(0.005)


async def test_a_replica_without_the_seat_listens_to_no_station_until_it_is_free() -> None:
    seat = Seat()
    seat.elsewhere = SeatTaken("another replica serves the stations")
    async with house(seat) as (door, executions):
        await door.open()
        async with asyncio.timeout(10):
            while seat.asked < 4:  # noqa: ASYNC110 -- as above
                await asyncio.sleep(0.005)
        assert not door.is_open
        assert executions.told == []
        seat.elsewhere = None
        await until(door, is_open=True)
        assert executions.told == [("begin", True)]


@pytest.mark.parametrize("why", [SeatTaken("lost"), StoreUnreachable("gone")])
async def test_who_loses_the_seat_records_nothing_more_shuts_the_door_and_stops(why: Busy) -> None:
    seat = Seat()
    async with house(seat) as (door, executions):
        await door.open()
        assert executions.told == [("begin", True)]
        seat.elsewhere = why
        await until(door, is_open=False)
        async with asyncio.timeout(10):
            while len(executions.told) < 3:  # noqa: ASYNC110 -- as above
                await asyncio.sleep(0.005)
        assert executions.told[1:] == [("let go", True), ("stop", False)]
        seat.elsewhere = None
        await until(door, is_open=True)
        assert executions.told[3:] == [("begin", True)]


async def test_an_address_that_is_taken_leaves_the_seat_to_another_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seat = Seat()
    seat.elsewhere = SeatTaken("another replica serves the stations")
    async with house(seat) as (door, executions):
        await door.open()
        start, failures = StationListener.start, iter((OSError("address in use"), OSError("address in use"), None))

        async def sometimes(listener: StationListener) -> None:
            error = next(failures, None)
            if error is not None:
                raise error
            await start(listener)

        monkeypatch.setattr(StationListener, "start", sometimes)
        seat.elsewhere = None
        await until(door, is_open=True)
        assert executions.told == [("begin", True)]
        assert next(failures, None) is None
