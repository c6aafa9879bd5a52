"""Asking stations for what proves a service: signed readings at both ends, and their own logs; and clearing up."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable

from api.execution.errors import QueueFull
from api.execution.evidence import EvidenceRule, Span
from api.execution.participation import Part
from api.execution.plan import Envelope
from api.execution.port import (
    ClearService,
    Command,
    ExecutionPort,
    FetchLog,
    LogFailed,
    LogUploaded,
    Outcome,
    ReadMeter,
    SignedReading,
    Verdict,
)
from api.execution.request import Patience
from api.execution.services import InverterCurve, Reactive
from api.execution.waiting import Clock

Answer = SignedReading | LogUploaded | LogFailed


class Collector:
    """Sends questions whose answers arrive as telemetry; `answer` is told of that telemetry."""

    def __init__(
        self,
        port: ExecutionPort,
        *,
        clock: Clock,
        patience: Patience,
        rule: EvidenceRule,
        envelope: Callable[[Part, int], Envelope],
    ) -> None:
        self._port = port
        self._clock = clock
        self._patience = patience
        self._rule = rule
        self._envelope = envelope
        self._awaited: dict[str, asyncio.Future[Answer]] = {}

    async def fetch_event(self, parts: Iterable[Part], window: Span) -> None:
        """The quiet log of the whole service finds the event; then the fine log around it takes its place.

        The quiet one is kept as well: only it shows that nothing happened before.
        """
        rule = self._rule
        parts = list(parts)
        await self.fetch_logs(parts, window, rule.quiet_interval_ms)
        quiet = [part.event_at_ms(rule, window) for part in parts]
        seen = [at_ms for at_ms in quiet if at_ms is not None]
        if not seen:
            return
        for part in parts:
            part.quiet = part.log
        near = Span(min(seen) - rule.quiet_interval_ms - rule.before_ms, min(seen) + rule.after_ms)
        await self.fetch_logs(parts, near, rule.interval_ms)

    async def fetch_logs(self, parts: Iterable[Part], span: Span, interval_ms: int) -> None:
        """Keep the log of `span` of each as its `log`, where it comes in time; an older one stays if it does not."""
        await asyncio.gather(*(self._fetch_log(part, span, interval_ms) for part in parts))

    async def _fetch_log(self, part: Part, span: Span, interval_ms: int) -> None:
        envelope = self._envelope(part, self._clock.now_ms() + self._patience.after_end_ms)
        command = FetchLog(
            **envelope, from_ms=span.from_ms, to_ms=span.to_ms, interval_ms=interval_ms, wide=self._rule.wide
        )
        answer = await self._ask(command, self._patience.log_s)
        if isinstance(answer, LogUploaded):
            part.log = answer.samples

    async def read_meters(self, which: str, parts: Iterable[Part]) -> None:
        """Keep a signed reading of each as `first` or `last`, where one comes in time."""
        await asyncio.gather(*(self._read_meter(part, which) for part in parts))

    async def _read_meter(self, part: Part, which: str) -> None:
        if part.ended_at_ms is not None or part.evse.station_id not in self._port.connected():
            return
        envelope = self._envelope(part, self._clock.now_ms() + self._patience.after_end_ms)
        answer = await self._ask(ReadMeter(**envelope), self._patience.reading_s)
        if isinstance(answer, SignedReading):
            setattr(part, which, answer)

    async def _ask(self, command: ReadMeter | FetchLog, patience_s: float) -> Answer | None:
        """Send a question whose answer arrives as telemetry; None if it does not arrive in time."""
        key = command.command_id if isinstance(command, FetchLog) else f"reading {command.evse}"
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._awaited[key] = answer
        try:
            async with asyncio.timeout(patience_s):
                outcome = await self.send(command)
                return await answer if outcome.verdict is Verdict.ACCEPTED else None
        except TimeoutError:
            return None
        finally:
            self._awaited.pop(key, None)

    async def clear(self, part: Part) -> None:
        """Take an EVSE out of its service, if it can be reached; if not, the dead-man does it."""
        envelope = self._envelope(part, self._clock.now_ms() + self._patience.after_end_ms)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience.reading_s):
                is_curve = isinstance(part.instruction, InverterCurve | Reactive)
                await self.send(ClearService(**envelope, curve=is_curve))

    async def clear_all(self, parts: Iterable[Part]) -> None:
        """Take all that were dispatched, and are still there, out of their service."""
        cleared = (part for part in parts if part.dispatched and part.ended_at_ms is None)
        await asyncio.gather(*(self.clear(part) for part in cleared))

    async def send(self, command: Command) -> Outcome:
        """The outcome; a full queue is a rejection, because nothing was sent."""
        try:
            return await self._port.send(command)
        except QueueFull:
            return Outcome(Verdict.REJECTED, "QueueFull")

    def answer(self, event: SignedReading | LogUploaded | LogFailed) -> None:
        """What was asked for has arrived."""
        key = f"reading {event.evse}" if isinstance(event, SignedReading) else event.command_id
        waiting = self._awaited.get(key)
        if waiting is not None and not waiting.done():
            waiting.set_result(event)
