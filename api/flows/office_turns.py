"""Turns in the order in which they were asked for: some overlap with one another, the others have theirs alone."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """For one event loop. Nobody overtakes: who came before one that is alone has ended before it begins."""

    def __init__(self, most: int) -> None:
        """At most `most` overlap."""
        self._most = most
        self._running = 0
        self._is_alone = False
        self._waiting: deque[tuple[bool, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def turn(self, *, together: bool) -> AsyncIterator[None]:
        """Waits for a turn, and has it while the block runs: alone, or `together` with others of that kind."""
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((together, given))
        self._admit()
        try:
            await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled():
                self._end()
            raise
        try:
            yield
        finally:
            self._end()

    def _end(self) -> None:
        self._running -= 1
        self._is_alone = False
        self._admit()

    def _admit(self) -> None:
        """Everybody at the head of the queue who may begin does; who left meanwhile is passed over."""
        while self._waiting:
            together, given = self._waiting[0]
            if given.cancelled():
                self._waiting.popleft()
                continue
            limit = self._most if together and not self._is_alone else 1
            if self._running >= limit:
                return
            self._waiting.popleft()
            self._running += 1
            self._is_alone = not together
            given.set_result(None)
