"""Asking stations for what proves a service: signed readings at both ends, and their own logs; and clearing up."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence

from api.execution.errors import QueueFull
from api.execution.evidence import EvidenceRule, Span, within
from api.execution.participation import Part, first_event
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


def until(window: Span) -> Span:
    """The instants of `start` <= t < `end`, as a station is asked for them: with both ends."""
    return Span(window.from_ms, max(window.from_ms, window.to_ms - 1))


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
        seen = first_event(parts, rule, window)
        if seen is None:
            # What was signed holds the last instant, which the evidence does not.
            await self._fetch_again(parts, window, rule.quiet_interval_ms, until)
            return
        for part in parts:
            part.quiet = part.log
        near = Span(seen - rule.quiet_interval_ms - rule.before_ms, seen + rule.after_ms)
        await self.fetch_logs(parts, near, rule.interval_ms)
        await self._fetch_signed(parts, window)

    async def _fetch_signed(self, parts: Sequence[Part], window: Span) -> None:
        """Of those that sign, exactly what is kept of both logs: the roots that were signed first are of more."""
        rule = self._rule
        event_at_ms = first_event(parts, rule, window)
        if event_at_ms is None:
            return
        signing = [part for part in parts if part.log_jws is not None]
        kept = Span(event_at_ms - rule.before_ms, event_at_ms + rule.after_ms)
        await self._fetch_again(parts, kept, rule.interval_ms, lambda span: span)
        if window.from_ms < kept.from_ms:
            before = Span(window.from_ms, kept.from_ms - 1)
            await asyncio.gather(*(self._fetch_before(part, before, rule.quiet_interval_ms) for part in signing))

    async def _fetch_again(
        self, parts: Iterable[Part], window: Span, interval_ms: int, ends: Callable[[Span], Span]
    ) -> None:
        """A root of just what is kept, from those that sign; an answer that says anything else changes nothing."""

        async def one(part: Part) -> None:
            span = ends(part.obliged(window))
            answer = await self._ask_log(part, span, interval_ms)
            kept = b"" if part.log is None else within(part.log, span.from_ms, span.to_ms)
            if isinstance(answer, LogUploaded) and answer.samples == kept:
                part.log, part.log_jws = answer.samples, answer.station_jws

        await asyncio.gather(*(one(part) for part in parts if part.log_jws is not None))

    async def _fetch_before(self, part: Part, span: Span, interval_ms: int) -> None:
        answer = await self._ask_log(part, span, interval_ms)
        part.before = answer if isinstance(answer, LogUploaded) else None

    async def fetch_service(self, parts: Iterable[Part], window: Span, interval_ms: int) -> None:
        """Keep the log of each as far as its obligation went: exactly what becomes evidence, so a signed root fits."""
        await asyncio.gather(*(self._fetch_log(part, until(part.obliged(window)), interval_ms) for part in parts))

    async def fetch_logs(self, parts: Iterable[Part], span: Span, interval_ms: int) -> None:
        """Keep the log of `span` of each as its `log`, where it comes in time; an older one stays if it does not."""
        await asyncio.gather(*(self._fetch_log(part, span, interval_ms) for part in parts))

    async def _fetch_log(self, part: Part, span: Span, interval_ms: int) -> None:
        answer = await self._ask_log(part, span, interval_ms)
        if isinstance(answer, LogUploaded):
            part.log, part.log_jws = answer.samples, answer.station_jws

    async def _ask_log(self, part: Part, span: Span, interval_ms: int) -> Answer | None:
        envelope = self._envelope(part, self._clock.now_ms() + self._patience.after_end_ms)
        command = FetchLog(
            **envelope, from_ms=span.from_ms, to_ms=span.to_ms, interval_ms=interval_ms, wide=self._rule.wide
        )
        return await self._ask(command, self._patience.log_s)

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
