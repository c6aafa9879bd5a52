"""The one place of a log that one process at a time may have: who has it serves the charging stations."""

from typing import Protocol

from ledger.errors import Busy


class SeatTaken(Busy):
    """Another replica serves the stations of this log; two would tell them different things."""

    code = "ledger/seat-taken"
    title = "Another replica serves the stations"


class Seat(Protocol):
    """To be taken once, confirmed as long as it is used, and left."""

    async def take(self) -> None:
        """Nobody else has the seat until `leave`, or until `confirm` fails. Raises SeatTaken, StoreUnreachable."""
        ...

    async def confirm(self) -> None:
        """It is still ours; raises SeatTaken or StoreUnreachable if that cannot be said, and it is left then."""
        ...

    async def leave(self) -> None:
        """The next may take it."""
        ...


class OnlySeat:
    """Of a log that only this process has open: whoever has the log has the seat."""

    async def take(self) -> None:
        """See `Seat`."""

    async def confirm(self) -> None:
        """See `Seat`."""

    async def leave(self) -> None:
        """See `Seat`."""
