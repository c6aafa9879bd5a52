"""A wire to a database server that can be cut at one chosen moment."""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from enum import StrEnum
from typing import Any, Final, TypeVar

T = TypeVar("T")

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
"""The protocol's message for it."""
WRITE: Final = b'{"log":"'
"""What the message holds that writes a batch, and no other does: an entry."""


class Cut(StrEnum):
    """When the wire is cut."""

    BEFORE_COMMIT = "before-commit"
    """COMMIT never arrives."""
    AFTER_COMMIT = "after-commit"
    """COMMIT arrives; its answer does not."""


class Wire:
    """Forwards to `port` until it is armed and the moment comes; afterwards it forwards again."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._armed: Cut | None = None
        self._sign = COMMIT
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: set[asyncio.StreamWriter] = set()
        self.cuts = 0
        # A loop of its own: who waits for an answer must not hold up the wire that brings it.
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = int(self._server.sockets[0].getsockname()[1])

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def arm(self, cut: Cut, sign: bytes = COMMIT) -> None:
        """The next message with this sign in it meets its end."""
        self._armed, self._sign = cut, sign

    def close(self) -> None:
        """No wire is left."""
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        # What was accepted just before is served by a task that is made a turn later: so it waits first, and until nobody is left.
        await asyncio.sleep(0.05)
        while self._tasks or self._ends:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            # A task that was cancelled before it began, or while it closed its ends, has left them to us.
            await asyncio.gather(*(self._shut(end) for end in list(self._ends)))
            await asyncio.sleep(0.05)

    async def _shut(self, *ends: asyncio.StreamWriter) -> None:
        for end in ends:
            end.close()
        for end in ends:
            with suppress(OSError):
                await end.wait_closed()
            self._ends.discard(end)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._to)
        except BaseException:
            # The server is gone, or the test is over: the end that came here is closed all the same.
            await self._shut(writer)
            raise
        self._ends.add(back)
        answers = asyncio.ensure_future(_pump(there, writer))
        try:
            while data := await reader.read(65_536):
                if self._armed is not None and self._sign in data:
                    cut, self._armed = self._armed, None
                    self.cuts += 1
                    answers.cancel()
                    if cut is Cut.AFTER_COMMIT:
                        await _until_answered(reader, back, there, data)
                    return
                back.write(data)
                await back.drain()
        finally:
            answers.cancel()
            await asyncio.gather(answers, return_exceptions=True)
            await self._shut(writer, back)


async def _until_answered(
    reader: asyncio.StreamReader, back: asyncio.StreamWriter, there: asyncio.StreamReader, data: bytes
) -> None:
    """Forwards this and all that belongs to it, until the server says the first word."""
    word = asyncio.ensure_future(there.read(1))
    while True:
        back.write(data)
        await back.drain()
        more = asyncio.ensure_future(reader.read(65_536))
        await asyncio.wait({word, more}, return_when=asyncio.FIRST_COMPLETED)
        if word.done():
            more.cancel()
            return
        data = more.result()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()
