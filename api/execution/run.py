"""One run of one accepted request: the wait for its start, its steps in time, its end, and the evidence."""

import asyncio
import contextlib
import zlib
from collections.abc import Sequence

from api.execution import plan
from api.execution.collection import Collector
from api.execution.evidence import LIVE_INTERVAL_MS, LOG_INTERVAL_MS, Execution, FactKind, Span
from api.execution.facts import FactLog
from api.execution.hearing import Hearing
from api.execution.instructing import Instructor
from api.execution.participation import Part, first_event
from api.execution.port import Connected, EvseAddress, ExecutionPort
from api.execution.request import AcceptedRequest, Patience, Record
from api.execution.services import Step
from api.execution.tasks import Tasks
from api.execution.waiting import Clock, SleepUntil

MS_PER_S = 1000
MAX_STEPS_FED = 10_000
BACK_POLL_S = 0.2
RENEWED_TOGETHER_MS = 500
BROKEN_OFF = "ServiceRestarted"


class Run:
    """One run; `play` is its whole life."""

    def __init__(
        self,
        *,
        port: ExecutionPort,
        clock: Clock,
        sleep_until_ms: SleepUntil,
        patience: Patience,
        request: AcceptedRequest,
        steps: Sequence[Step],
        record: Record,
    ) -> None:
        self._port = port
        self._clock = clock
        self._patience = patience
        self._request = request
        self._steps = sorted((*steps, *request.further), key=lambda step: step.at_ms)
        self._parts = {p.evse: Part(participant=p) for p in request.participants}
        if request.adopted is not None:
            for part in self._parts.values():
                known = request.adopted.get(part.participant.ref)
                if known is not None or part.participant.starts_at_ms <= clock.now_ms():
                    part.adopt(known)
        self._tasks = Tasks(sleep_until_ms)
        self._facts = FactLog(request.fsr_id, record, clock=clock, on_failure=self._tasks.fail)
        self._collector = Collector(
            port, clock=clock, patience=patience, rule=request.evidence, envelope=self._envelope
        )
        self._instructor = Instructor(
            clock=clock,
            sleep_until_ms=sleep_until_ms,
            patience=patience,
            facts=self._facts,
            collector=self._collector,
            tasks=self._tasks,
            envelope=self._envelope,
        )
        self._hearing = Hearing(
            self._parts,
            request=request,
            clock=clock,
            patience=patience,
            facts=self._facts,
            collector=self._collector,
            instructor=self._instructor,
            tasks=self._tasks,
            not_after=self._not_after,
        )
        self._aborted: str | None = None
        self._count = 0

    # ------------------------------------------------------------------ what others may ask of a run
    def stop(self, cause: str) -> None:
        """The run ends at its next turn."""
        self._aborted = self._aborted or cause
        self._tasks.wake()

    def release(self, evse: EvseAddress, cause: str) -> None:
        """One EVSE leaves; its service is cleared."""
        part = self._parts.get(evse)
        if part is not None and part.active:
            self._hearing.end_part(part, self._clock.now_ms(), cause)
            self._tasks.spawn(self._collector.clear(part))

    def feed(self, steps: Sequence[Step]) -> None:
        """Further steps, in time order with what is planned; of more than `MAX_STEPS_FED` the last are dropped."""
        self._steps = sorted([*self._steps, *steps], key=lambda step: step.at_ms)[:MAX_STEPS_FED]
        self._tasks.wake()

    # ------------------------------------------------------------------ the life of a run
    async def play(self) -> Execution:
        """Wait for the start, execute, collect."""
        request = self._request
        unsubscribe = self._port.subscribe(self._hearing.on_telemetry)
        self._facts.start()
        try:
            while self._aborted is None and not await self._tasks.until(request.start_at_ms):
                continue  # a step was fed, or a participation released, before the start
            started_at_ms = max(request.start_at_ms, self._clock.now_ms())
            if request.adopted is not None:
                await self._take_over()
            elif self._aborted is None:
                # Asked first and not waited for: commands to one station keep their order, and a silent station must
                # not hold up the others.
                self._tasks.spawn(self._collector.read_meters("first", tuple(self._parts.values())))
            await self._follow_steps()
            await self._tasks.stop()
            ended_at_ms = min(request.end_at_ms, max(started_at_ms, self._clock.now_ms()))
            await self._collect(Span(request.start_at_ms, ended_at_ms))
            await self._close(ended_at_ms)
            await self._facts.settled()
            self._tasks.raise_failure()
            return self._execution(started_at_ms, ended_at_ms)
        except BaseException:
            # Nobody is left in a service that no one watches; if the stations cannot be reached, the dead-man does it.
            await self._tasks.stop()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._patience.reading_s):
                    await self._collector.clear_all(self._parts.values())
            raise
        finally:
            unsubscribe()
            await self._facts.stop()

    async def _take_over(self) -> None:
        """Another run was broken off: since when these were alone nobody knows, so that is what the record says.

        Commands wait until a station is heard of again; the register at the start is no longer to be had.
        """
        for part in self._parts.values():
            if part.active and part.dispatched:
                await self._facts.write(part, FactKind.COMMS_LOST, cause=BROKEN_OFF)
        there = self._port.connected()
        for part in self._parts.values():
            if part.evse.station_id in there:
                self._hearing.on_connection(
                    part, Connected(station_id=part.evse.station_id, at_ms=self._clock.now_ms())
                )

    async def _follow_steps(self) -> None:
        end_at_ms = self._request.end_at_ms
        while self._aborted is None and any(part.active for part in self._parts.values()):
            step_at_ms = self._steps[0].at_ms if self._steps else end_at_ms
            renew_at_ms = self._renew_at_ms()
            if not await self._tasks.until(min(step_at_ms, renew_at_ms, end_at_ms)):
                continue
            # After the end nobody is told anything any more, however late this run came to it.
            if self._clock.now_ms() >= end_at_ms:
                return
            if step_at_ms <= renew_at_ms:
                self._take_step(self._steps.pop(0))
            else:
                self._renew()

    def _renew_at_ms(self) -> int:
        """Half a dead-man after the oldest instruction that is followed: a service that lives says so in time."""
        if self._request.dead_man_s is None or not self._request.renewed:
            return self._request.end_at_ms
        told = [part.renewed_at_ms for part in self._parts.values() if self._is_renewed(part)]
        return min(told, default=self._request.end_at_ms) + self._renew_after_ms()

    def _renew_after_ms(self) -> int:
        return (self._request.dead_man_s or 0) * MS_PER_S // 2

    def _apart_ms(self, part: Part) -> int:
        """How much earlier one EVSE is told again for the first time, up to a quarter of a dead-man.

        Those that were told together are not told again together: thousands at once would hold up everything else.
        """
        return zlib.crc32(str(part.evse).encode()) % (self._renew_after_ms() // 2 + 1)

    @staticmethod
    def _is_renewed(part: Part) -> bool:
        """It follows something that this run told it: what another run told before is told again by its steps."""
        return part.active and part.started and not part.away and part.instruction is not None

    def _renew(self) -> None:
        """The same values again, which starts the dead-man anew and changes nothing else."""
        now_ms = self._clock.now_ms()
        due_ms = now_ms + RENEWED_TOGETHER_MS - self._renew_after_ms()
        for part in self._parts.values():
            if self._is_renewed(part) and part.instruction is not None and part.renewed_at_ms <= due_ms:
                part.renewed_at_ms = now_ms
                self._tasks.spawn(self._instructor.send_again(part, part.instruction, self._not_after(part.evse)))

    def _take_step(self, step: Step) -> None:
        """Spawn one instructing task per EVSE; a newer instruction makes the tasks of older ones give way."""
        now_ms = self._clock.now_ms()
        following = {evse for later in self._steps if later.at_ms <= now_ms for evse in later.instructions}
        for evse, instruction in step.instructions.items():
            part = self._parts.get(evse)
            if part is None or not part.active or evse in following:
                continue
            part.instruction, part.instructed_at_ms = instruction, now_ms
            part.renewed_at_ms = now_ms - self._apart_ms(part)
            part.generation += 1
            part.deviating = False
            if not part.away:
                self._tasks.spawn(self._instructor.instruct(part, instruction, self._not_after(evse)))

    def _not_after(self, evse: EvseAddress) -> int:
        later = [step.at_ms for step in self._steps if evse in step.instructions]
        return min([*later, self._request.end_at_ms])

    def _envelope(self, part: Part, not_after_ms: int) -> plan.Envelope:
        self._count += 1
        left_s = -(-(self._request.end_at_ms - self._clock.now_ms()) // MS_PER_S)
        return {
            "command_id": f"{self._request.fsr_id}/{self._count}",
            "evse": part.evse,
            "not_after_ms": not_after_ms,
            "duration_s": max(1, self._request.dead_man_s or left_s),
            "transaction_id": self._port.transaction(part.evse),
        }

    # ------------------------------------------------------------------ the end
    async def _collect(self, window: Span) -> None:
        dispatched = [part for part in self._parts.values() if part.dispatched]
        is_adopted = self._request.adopted is not None
        if is_adopted:
            await self._until_back(dispatched)
        await self._collector.read_meters("last", dispatched)
        await self._collector.clear_all(self._parts.values())
        rule = self._request.evidence
        if rule.trigger_millihertz is not None:
            await self._collector.fetch_event(dispatched, window)
        elif rule.interval_ms < LIVE_INTERVAL_MS or is_adopted:
            # What was reported live before the run was broken off is gone; the stations' own records are not.
            await self._collector.fetch_service(dispatched, window, min(rule.interval_ms, LOG_INTERVAL_MS))

    async def _until_back(self, parts: Sequence[Part]) -> None:
        """Every station was heard of again, or nobody waits any longer."""
        wanted = {part.evse.station_id for part in parts}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience.return_s):
                while not wanted <= self._port.connected():  # noqa: ASYNC110 -- a port has no event for a set of stations
                    await asyncio.sleep(BACK_POLL_S)

    async def _close(self, ended_at_ms: int) -> None:
        for part in self._parts.values():
            if not part.dispatched or part.ended_at_ms is not None or part.closed:
                continue
            if self._aborted is not None:
                await self._facts.write(part, FactKind.ABORTED, cause=self._aborted, at_ms=ended_at_ms)
            elif part.away:
                # Never heard of again: nobody says that it was completed.
                await self._facts.write(part, FactKind.UNKNOWN, cause=BROKEN_OFF)
            elif part.started:
                await self._facts.write(part, FactKind.COMPLETED, at_ms=ended_at_ms)

    def _execution(self, started_at_ms: int, ended_at_ms: int) -> Execution:
        rule = self._request.evidence
        window = Span(self._request.start_at_ms, ended_at_ms)
        interval_ms = rule.interval_ms
        if self._request.adopted is not None:
            interval_ms = min(interval_ms, LOG_INTERVAL_MS)
        parts = [part for part in self._parts.values() if part.dispatched]
        event_at_ms = first_event(parts, rule, window)
        if rule.trigger_millihertz is not None:
            if event_at_ms is None:
                interval_ms = rule.quiet_interval_ms
            else:
                window = Span(event_at_ms - rule.before_ms, event_at_ms + rule.after_ms)
        return Execution(
            fsr_id=self._request.fsr_id,
            started_at_ms=started_at_ms,
            ended_at_ms=ended_at_ms,
            aborted=self._aborted,
            evidence=tuple(
                part.evidence(window, rule, interval_ms=interval_ms, event_at_ms=event_at_ms) for part in parts
            ),
        )
