"""Waiting for a moment of an injected clock, which may be a virtual clock that someone else moves in jumps."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

POLL_S = 0.01

SleepUntil = Callable[[int], Awaitable[None]]


class Clock(Protocol):
    """A source of time; `pki.clock.Clock` and `ledger.clock.Clock` are ones."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00:00Z."""
        ...


def polling(clock: Clock, poll_s: float = POLL_S) -> SleepUntil:
    """A `sleep_until_ms` that looks at `clock` every `poll_s` real seconds, so jumps are noticed at once."""

    async def sleep_until_ms(at_ms: int) -> None:
        # One turn of the loop even if the moment has passed: a caller in a loop must not starve the others.
        await asyncio.sleep(0)
        while clock.now_ms() < at_ms:  # noqa: ASYNC110 -- a clock that another process moves has no event to wait for
            await asyncio.sleep(poll_s)

    return sleep_until_ms
