"""Who hears of which entry, as it is written.

The cursor is the log's own index: a listener that was away names the last entry that it heard of and misses nothing.
What is told is what the public log holds anyway; telling it is by concern, so that nobody has to read everything.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from api.errors import Busy, Refused
from api.flows.desk import Desk, Opened
from api.flows.memory import Memory
from api.flows.standing import concerns_stream
from api.principals import Principal
from api.wire import Event
from ledger.records import entry as entries
from ledger.store.protocol import StoredEntry

MAX_LISTENERS: Final = 1_000
MAX_LISTENERS_OF_PARTY: Final = 8
PAGE: Final = 256
TICK_S: Final = 1.0
"""How often a quiet listener is looked at again: whether it still may listen, and whether another replica wrote."""
HEARTBEAT_TICKS: Final = 15


class EventsBusy(Busy):
    """There are as many listeners as the service or the party may have."""

    code = "api/events-busy"
    title = "Too many listeners"


class EventsAhead(Refused):
    """The listener has heard of an entry that is not there: it listened to another log, or this one was cut."""

    code = "api/events-ahead"
    title = "The log is shorter than what was heard"


class Feed:
    """Tells listeners of new entries, each in the order of the log."""

    def __init__(self, desk: Desk, memory: Memory) -> None:
        self._desk = desk
        self._memory = memory
        self._changed = asyncio.Event()
        self._listeners: dict[str, int] = {}
        self._is_closed = False
        desk.listen(self._heard)

    def close(self) -> None:
        """Every listener's stream ends, now; new ones end at once."""
        self._is_closed = True
        self._wake()

    def start(self, principal: Principal, after: int | None) -> int:
        """The first index that a new listener is told; None stands for "from now on".

        Raises `EventsBusy` for a listener too many, `EventsAhead` for one that knows more than the log.
        """
        self._require_place(f"{principal.role}/{principal.party}")
        size = self._desk.appender.head.size
        if after is not None and after >= size:
            raise EventsAhead("it heard of an entry that is not there", expected=f"at most {size - 1}", found=after)
        return size if after is None else after + 1

    async def follow(
        self, principal: Principal, first: int, *, stream: str | None, still: Callable[[], object]
    ) -> AsyncIterator[Event | None]:
        """The events from index `first` on that concern the listener, of one stream if it is named; None now and then.

        Before each wait and each page `still` is asked; what it raises ends the events, and so does `close`. Raises
        `EventsBusy` where others took the last place since `start`.
        """
        party = f"{principal.role}/{principal.party}"
        self._require_place(party)
        self._listeners[party] = self._listeners.get(party, 0) + 1
        quiet = 0
        try:
            while not self._is_closed:
                changed = self._changed
                still()
                last = min(self._desk.appender.head.size, first + PAGE)
                for row in self._desk.engines.store.entries(first, last):
                    event = event_of(row)
                    if (stream is None or event.stream == stream) and concerns_stream(
                        self._desk, self._memory, event.stream, principal
                    ):
                        quiet = 0
                        yield event
                first = last
                if first < self._desk.appender.head.size:
                    await asyncio.sleep(0)
                    continue
                await _wait(changed)
                quiet += 1
                if quiet % HEARTBEAT_TICKS == 0:
                    yield None
        finally:
            self._listeners[party] -= 1
            if not self._listeners[party]:
                del self._listeners[party]

    def _require_place(self, party: str) -> None:
        if sum(self._listeners.values()) >= MAX_LISTENERS or self._listeners.get(party, 0) >= MAX_LISTENERS_OF_PARTY:
            raise EventsBusy("no more listeners", expected=f"at most {MAX_LISTENERS_OF_PARTY} of a party")

    def _heard(self, _opened: Opened, _stream: str, _rec_ms: int) -> None:
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


async def _wait(changed: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(TICK_S):
            await changed.wait()
    except TimeoutError:
        return


def event_of(row: StoredEntry) -> Event:
    """What is told of an entry."""
    entry = entries.decode(row.data)
    return Event(
        index=row.index,
        type=entry.type,
        stream=entry.stream,
        seq=entry.seq,
        rec_ms=entry.rec,
        leaf_hash=row.leaf.hex(),
    )
