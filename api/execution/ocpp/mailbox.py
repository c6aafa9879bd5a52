"""What waits for one station: a bounded queue of calls, one of them under way, and the calls whose answer is overdue.

The mailbox outlives connections: a call queued while a station is away is sent when it is back, unless its `not_after`
has passed, and an answer that comes late, even over a new connection, is matched by id and to nothing else.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from api.execution.errors import FrameRefused, FrameUnfit, QueueFull
from api.execution.ocpp import codec
from api.execution.ocpp.datatypes import Wire
from api.execution.ocpp.messages import Action
from api.execution.port import OTHER_TRANSACTION
from api.execution.waiting import Clock

MAX_QUEUED = 64
MAX_LATE = 256
POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Answered:
    """The station answered."""

    response: Wire


@dataclass(frozen=True, slots=True)
class Failed:
    """The station answered with a CALLERROR, or with something that is not the answer."""

    code: str


@dataclass(frozen=True, slots=True)
class Overdue:
    """Sent; no answer in time."""


@dataclass(frozen=True, slots=True)
class NeverSent:
    """Dropped before it was sent: too late, or a newer setpoint took its place."""

    reason: str


Reply = Answered | Failed | Overdue | NeverSent


class Before(Protocol):
    """What is to happen over a connection before a letter is sent over it."""

    def question(self) -> "Letter | None":
        """To be sent first, if anything."""
        ...

    async def ask(self, letter: "Letter", exchange: "asyncio.Future[None]") -> None:
        """Returns when the question is dealt with; `exchange` ends when it was answered, or not in time."""
        ...

    def fit(self, request: Wire) -> Wire | None:
        """What to send now; None for nothing."""
        ...


@dataclass(slots=True, eq=False)
class Letter:
    """One call to be sent. `replaces`: letters not yet sent with the same key give way to this one."""

    action: Action
    request: Wire
    not_after_ms: int
    timeout_s: float
    reference: str
    replaces: str | None = None
    before: Before | None = None
    is_sent: bool = False
    reply: asyncio.Future[Reply] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def settle(self, reply: Reply) -> None:
        """The reply is known; a second one changes nothing."""
        if not self.reply.done():
            self.reply.set_result(reply)


Transmit = Callable[[bytes], Awaitable[None]]
LateHandler = Callable[[str, str, Reply], None]


class Mailbox:
    """The calls to one station. `on_late(station_id, reference, reply)` is told of answers that were overdue."""

    def __init__(self, station_id: str, clock: Clock, on_late: LateHandler) -> None:
        self.station_id = station_id
        self._clock = clock
        self._on_late = on_late
        self._queue: deque[Letter] = deque()
        self._changed = asyncio.Event()
        self._waiting: dict[str, Letter] = {}
        self._late: OrderedDict[str, Letter] = OrderedDict()
        self._count = 0
        self._expiry: asyncio.Task[None] | None = None
        self._is_idle = False
        """Whether a connection takes the next letter at once, which looks at its `not_after` itself."""

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, letter: Letter) -> None:
        """Queue `letter`. Raises `QueueFull`; an unsent letter with the same `replaces` is dropped as superseded."""
        if letter.replaces is not None:
            for older in [queued for queued in self._queue if queued.replaces == letter.replaces]:
                self._queue.remove(older)
                older.settle(NeverSent("Superseded"))
        if len(self._queue) >= MAX_QUEUED:
            raise QueueFull("too many commands wait for this station", station_id=self.station_id, found=MAX_QUEUED)
        self._queue.append(letter)
        self._changed.set()
        if self._is_idle:
            self._is_idle = False
        else:
            self._watch_expiry()

    def _watch_expiry(self) -> None:
        if self._expiry is None or self._expiry.done():
            self._expiry = asyncio.create_task(self._expire())

    def withdraw(self, letter: Letter) -> None:
        """The sender no longer waits: if it was not sent, it will not be; if it was, its answer still ends the turn."""
        if letter in self._queue:
            self._queue.remove(letter)
        if not letter.is_sent:
            letter.settle(NeverSent("Withdrawn"))

    async def _expire(self) -> None:
        """While letters wait, drop those whose time has passed; the clock may be one that jumps."""
        while self._queue:
            now_ms = self._clock.now_ms()
            for letter in [queued for queued in self._queue if queued.not_after_ms <= now_ms]:
                self._queue.remove(letter)
                letter.settle(NeverSent("NotAfter"))
            await asyncio.sleep(POLL_S)

    async def deliver(self, send: Transmit) -> None:
        """Send letters one at a time over one connection, until cancelled or the connection ends."""
        try:
            while True:
                while not self._queue:
                    self._changed.clear()
                    self._is_idle = True
                    await self._changed.wait()
                letter = self._queue.popleft()
                if await self._may_be_sent(letter, send):
                    await self._exchange(letter, send)
        finally:
            self._is_idle = False
            if self._queue:
                self._watch_expiry()

    async def _may_be_sent(self, letter: Letter, send: Transmit) -> bool:
        """False, with the reply settled, if it is too late for it, or what comes before it says so."""
        question = None if letter.before is None else letter.before.question()
        if question is not None and letter.before is not None and not self._is_late(letter):
            asking = asyncio.ensure_future(self._exchange(question, send))
            try:
                await letter.before.ask(question, asking)
            except BaseException:
                # The connection ended: nothing of the letter was sent.
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
                self._put_back(letter)
                raise
        if letter.reply.done():
            return False
        if self._is_late(letter):
            letter.settle(NeverSent("NotAfter"))
            return False
        if letter.before is None:
            return True
        fitting = letter.before.fit(letter.request)
        if fitting is None:
            letter.settle(NeverSent(OTHER_TRANSACTION.reason))
            return False
        letter.request = fitting
        return True

    def _is_late(self, letter: Letter) -> bool:
        return letter.not_after_ms <= self._clock.now_ms()

    def _put_back(self, letter: Letter) -> None:
        """To the front, unless a newer one has taken its place meanwhile, or its sender no longer waits."""
        if letter.reply.done():
            return
        if letter.replaces is not None and any(queued.replaces == letter.replaces for queued in self._queue):
            letter.settle(NeverSent("Superseded"))
        else:
            self._queue.appendleft(letter)

    async def _exchange(self, letter: Letter, send: Transmit) -> None:
        self._count += 1
        message_id = f"{self._clock.now_ms():x}-{self._count}"
        try:
            frame = codec.encode_call(message_id, letter.action.name, letter.request)
        except FrameUnfit as unfit:
            letter.settle(NeverSent(unfit.code))
            return
        # From here on the command may have been carried out, whatever we hear.
        letter.is_sent = True
        self._waiting[message_id] = letter
        try:
            await send(frame)
            async with asyncio.timeout(letter.timeout_s):
                await asyncio.shield(letter.reply)
        except TimeoutError:
            self._overdue(message_id, letter)
        except BaseException:
            self._overdue(message_id, letter)
            raise
        finally:
            self._waiting.pop(message_id, None)

    def _overdue(self, message_id: str, letter: Letter) -> None:
        self._late[message_id] = letter
        while len(self._late) > MAX_LATE:
            self._late.popitem(last=False)
        letter.settle(Overdue())

    def answer(self, frame: codec.CallResult | codec.CallError) -> bool:
        """Match an answer by id; False if nothing waits for it. Raises `FrameRefused` for a malformed CALLRESULT."""
        letter = self._waiting.get(frame.message_id)
        late = letter is None
        if letter is None:
            letter = self._late.pop(frame.message_id, None)
        if letter is None:
            return False
        reply, refused = self._read(letter, frame)
        if late:
            self._on_late(self.station_id, letter.reference, reply)
        else:
            letter.settle(reply)
        if refused is not None:
            raise refused
        return True

    @staticmethod
    def _read(letter: Letter, frame: codec.CallResult | codec.CallError) -> tuple[Reply, FrameRefused | None]:
        if isinstance(frame, codec.CallError):
            return Failed(frame.code), None
        try:
            response = codec.open_payload(frame.payload, letter.action.response_decoder, frame.message_id)
        except FrameRefused as refused:
            return Failed(refused.ocpp_code), refused
        return Answered(response), None

    def close(self) -> None:
        """The listener stops: nothing more will be sent."""
        while self._queue:
            self._queue.popleft().settle(NeverSent("ListenerClosed"))
        if self._expiry is not None:
            self._expiry.cancel()
