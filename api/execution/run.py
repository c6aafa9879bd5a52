"""One run of one accepted request: the loop, the facts, and the table of failures."""

import asyncio
import contextlib
import zlib
from collections.abc import Coroutine, Sequence
from enum import Enum

from api.execution import plan
from api.execution.collection import Collector
from api.execution.evidence import LIVE_INTERVAL_MS, LOG_INTERVAL_MS, Execution, FactKind, Span
from api.execution.facts import FactLog
from api.execution.participation import Part, first_event
from api.execution.port import (
    Alarm,
    Command,
    Connected,
    CurveSuperseded,
    Disconnected,
    EvseAddress,
    ExecutionPort,
    LateAnswer,
    LogFailed,
    LogUploaded,
    OperationModeChanged,
    Outcome,
    SampleReading,
    SignedReading,
    Telemetry,
    TransactionEnded,
    Verdict,
)
from api.execution.request import AcceptedRequest, Patience, Record
from api.execution.services import FrequencyCurve, Instruction, Limit, Setpoint, Step
from api.execution.waiting import Clock, SleepUntil

MS_PER_S = 1000
MAX_STEPS_FED = 10_000
GRACE_S = 0.1
MAX_APART_MS = 24 * 3_600_000
BACK_POLL_S = 0.2
RENEWED_TOGETHER_MS = 500
BROKEN_OFF = "ServiceRestarted"
MODE_CHANGED = "OperationModeChanged"
SERVICE_MODES = frozenset(
    {"ChargingOnly", "CentralSetpoint", "ExternalLimits", "LocalFrequency", "LocalLoadBalancing", "CentralFrequency"}
)


class Reaction(Enum):
    """What a rejection calls for; never the same command again unchanged."""

    CLEAR_AND_RESEND = "CLEAR_AND_RESEND"
    GIVE_UP = "GIVE_UP"


# Everything not named here is given up on: the reason would be the same again.
REACTIONS = {
    "DuplicateProfile": Reaction.CLEAR_AND_RESEND,
    "InvalidStackLevel": Reaction.CLEAR_AND_RESEND,
}


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
        self._sleep_until_ms = sleep_until_ms
        self._patience = patience
        self._request = request
        self._steps = sorted((*steps, *request.further), key=lambda step: step.at_ms)
        self._parts = {p.evse: Part(participant=p) for p in request.participants}
        if request.adopted is not None:
            for part in self._parts.values():
                known = request.adopted.get(part.participant.ref)
                if known is not None or part.participant.starts_at_ms <= clock.now_ms():
                    part.adopt(known)
        self._facts = FactLog(request.fsr_id, record, clock=clock, on_failure=self._fail)
        self._collector = Collector(
            port, clock=clock, patience=patience, rule=request.evidence, envelope=self._envelope
        )
        self._wake = asyncio.Event()
        self._aborted: str | None = None
        self._failure: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._late: dict[str, asyncio.Future[Outcome]] = {}
        self._instructed: set[str] = set()
        self._count = 0

    # ------------------------------------------------------------------ what others may ask of a run
    def stop(self, cause: str) -> None:
        """The run ends at its next turn."""
        self._aborted = self._aborted or cause
        self._wake.set()

    def release(self, evse: EvseAddress, cause: str) -> None:
        """One EVSE leaves; its service is cleared."""
        part = self._parts.get(evse)
        if part is not None and part.active:
            self._end_part(part, self._clock.now_ms(), cause)
            self._spawn(self._collector.clear(part))

    def feed(self, steps: Sequence[Step]) -> None:
        """Further steps, in time order with what is planned; of more than `MAX_STEPS_FED` the last are dropped."""
        self._steps = sorted([*self._steps, *steps], key=lambda step: step.at_ms)[:MAX_STEPS_FED]
        self._wake.set()

    # ------------------------------------------------------------------ the life of a run
    async def play(self) -> Execution:
        """Wait for the start, execute, collect."""
        request = self._request
        unsubscribe = self._port.subscribe(self._on_telemetry)
        self._facts.start()
        try:
            while self._aborted is None and not await self._until(request.start_at_ms):
                continue  # a step was fed, or a participation released, before the start
            started_at_ms = max(request.start_at_ms, self._clock.now_ms())
            if request.adopted is not None:
                await self._take_over()
            elif self._aborted is None:
                # Asked first and not waited for: commands to one station keep their order, and a silent station must
                # not hold up the others.
                self._spawn(self._collector.read_meters("first", tuple(self._parts.values())))
            await self._follow_steps()
            await self._stop_tasks()
            ended_at_ms = min(request.end_at_ms, max(started_at_ms, self._clock.now_ms()))
            await self._collect(Span(request.start_at_ms, ended_at_ms))
            await self._close(ended_at_ms)
            await self._facts.settled()
            self._raise_failure()
            return self._execution(started_at_ms, ended_at_ms)
        except BaseException:
            # Nobody is left in a service that no one watches; if the stations cannot be reached, the dead-man does it.
            await self._stop_tasks()
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
                self._on_connection(part, Connected(station_id=part.evse.station_id, at_ms=self._clock.now_ms()))

    async def _follow_steps(self) -> None:
        end_at_ms = self._request.end_at_ms
        while self._aborted is None and any(part.active for part in self._parts.values()):
            step_at_ms = self._steps[0].at_ms if self._steps else end_at_ms
            renew_at_ms = self._renew_at_ms()
            if not await self._until(min(step_at_ms, renew_at_ms, end_at_ms)):
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
                self._spawn(self._send_again(part, part.instruction))

    async def _send_again(self, part: Part, instruction: Instruction) -> None:
        generation = part.generation
        command = plan.command(instruction, self._envelope(part, self._not_after(part.evse)))
        outcome = await self._collector.send(command)
        if outcome.verdict is Verdict.REJECTED and part.generation == generation:
            await self._facts.write(part, FactKind.REJECTED, cause=outcome.reason, command=command)

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
                self._spawn(self._instruct(part, instruction, self._not_after(evse)))

    def _not_after(self, evse: EvseAddress) -> int:
        later = [step.at_ms for step in self._steps if evse in step.instructions]
        return min([*later, self._request.end_at_ms])

    async def _until(self, at_ms: int) -> bool:
        """Wait for a moment; True when it came, False when something else woke the run first."""
        self._raise_failure()
        self._wake.clear()
        if self._aborted is not None:
            return False
        sleeping = asyncio.ensure_future(self._sleep_until_ms(at_ms))
        waking = asyncio.create_task(self._wake.wait())
        try:
            await asyncio.wait({sleeping, waking}, return_when=asyncio.FIRST_COMPLETED)
            came = sleeping.done()
        finally:
            for task in (sleeping, waking):
                task.cancel()
            await asyncio.gather(sleeping, waking, return_exceptions=True)
        self._raise_failure()
        return came

    # ------------------------------------------------------------------ instructing one EVSE
    async def _instruct(self, part: Part, instruction: Instruction, not_after_ms: int) -> None:
        generation = part.generation
        command = plan.command(instruction, self._envelope(part, not_after_ms))
        values = _values(instruction)
        if not part.dispatched:
            # From here on the record says that the EVSE was told; it is told only after that.
            await self._facts.write(part, FactKind.DISPATCHED, command=command, values=values)
            part.dispatched = True
        self._instructed.add(command.command_id)
        cleared = False
        for attempt in range(self._patience.retries + 1):
            outcome = await self._collector.send(command)
            if outcome.verdict is Verdict.UNKNOWN:
                part.unanswered = True
                await self._facts.write(part, FactKind.UNKNOWN, cause=outcome.reason, command=command, values=values)
                last = attempt == self._patience.retries
                late = await self._late_answer(command, wait=not last)
                if late is None:
                    if last or part.generation != generation or not part.active:
                        return
                    continue
                outcome = Outcome(late.verdict, late.reason or "LateAnswer")
            if outcome.verdict is Verdict.REJECTED and not cleared:
                await self._facts.write(part, FactKind.REJECTED, cause=outcome.reason, command=command, values=values)
                if REACTIONS.get(outcome.reason, Reaction.GIVE_UP) is Reaction.CLEAR_AND_RESEND:
                    cleared = True
                    await self._collector.clear(part)
                    continue
            await self._settle(part, command, outcome, values)
            return

    async def _settle(
        self, part: Part, command: Command, outcome: Outcome, values: tuple[tuple[str, int], ...]
    ) -> None:
        match outcome.verdict:
            case Verdict.ACCEPTED:
                kind = FactKind.SETPOINT_APPLIED if part.started else FactKind.STARTED
                part.started = True
                self._wake.set()  # from now on it has to be renewed
                await self._facts.write(part, kind, cause=outcome.reason or None, command=command, values=values)
            case Verdict.EXPIRED:
                await self._facts.write(
                    part, FactKind.EXPIRED, cause=outcome.reason or None, command=command, values=values
                )
            case _:
                # What is in force already stays in force; an EVSE that never started has no part in this.
                part.given_up = not part.started
                self._wake.set()

    async def _late_answer(self, command: Command, *, wait: bool) -> Outcome | None:
        """Back off; the answer, should it still come in that time."""
        if not wait:
            return None
        late: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._late[command.command_id] = late
        jitter_ms = zlib.crc32(command.command_id.encode()) % (self._patience.jitter_ms + 1)
        back_off: asyncio.Future[None] = asyncio.ensure_future(
            self._sleep_until_ms(self._clock.now_ms() + self._patience.back_off_ms + jitter_ms)
        )
        back_off.add_done_callback(lambda _: None if late.done() else late.cancel())
        try:
            return await late
        except asyncio.CancelledError:
            if back_off.done():
                return None
            raise
        finally:
            self._late.pop(command.command_id, None)
            back_off.cancel()
            await asyncio.gather(back_off, return_exceptions=True)

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

    # ------------------------------------------------------------------ telemetry and facts
    def _on_telemetry(self, event: Telemetry) -> None:
        match event:
            case Connected() | Disconnected():
                for part in self._parts.values():
                    if part.evse.station_id == event.station_id:
                        self._on_connection(part, event)
            case _:
                part_of_event = self._parts.get(event.evse)
                if part_of_event is not None:
                    self._on_evse(part_of_event, event)

    def _on_connection(self, part: Part, event: Connected | Disconnected) -> None:
        if isinstance(event, Connected):
            part.away = False
        if not part.dispatched or not part.active or event.at_ms >= self._request.end_at_ms:
            return
        if isinstance(event, Disconnected):
            self._facts.note(part, FactKind.COMMS_LOST, event.at_ms)
            return
        self._facts.note(part, FactKind.RESUMED, event.at_ms)
        if part.instruction is not None:
            # The station may have left the service meanwhile; the same absolute value again changes nothing if not.
            part.generation += 1
            self._spawn(self._instruct(part, part.instruction, self._not_after(part.evse)))

    def _on_evse(
        self,
        part: Part,
        event: Telemetry,
    ) -> None:
        match event:
            case SampleReading():
                self._on_sample(part, event)
            case SignedReading():
                if part.ended_at_ms is not None and event.context == "Transaction.End":
                    part.last = event
                self._collector.answer(event)
            case LogUploaded() | LogFailed():
                self._collector.answer(event)
            case LateAnswer():
                self._on_late(part, event)
            case OperationModeChanged(mode=mode):
                self._on_mode(part, event, mode)
            case Alarm() | CurveSuperseded():
                self._on_control(part, event)
            case TransactionEnded():
                if part.dispatched and part.active:
                    at_ms, is_theirs = self._moment(event.at_ms)
                    self._end_part(part, at_ms, event.reason, station_clock=is_theirs)
            case _:
                pass

    def _moment(self, at_ms: int) -> tuple[int, bool]:
        """When something happened, and whether the station's clock says so.

        A station may tell late what happened long ago, and its clock may be off. A time of no such day is no time: then
        it is ours, at which we heard of it.
        """
        now_ms = self._clock.now_ms()
        is_plausible = self._request.start_at_ms - MAX_APART_MS <= at_ms <= now_ms + MAX_APART_MS
        return (at_ms, True) if is_plausible else (now_ms, False)

    def _on_control(self, part: Part, event: Alarm | CurveSuperseded) -> None:
        """A function of the grid code took over or let go, or another control took the place of ours."""
        kind, cause = FactKind.DEVIATION, "OtherControl"
        at_ms, is_theirs = self._moment(event.at_ms)
        if isinstance(event, Alarm):
            part.override(at_ms, ended=event.ended)
            kind = FactKind.ALARM_CLEARED if event.ended else FactKind.ALARM
            cause = event.fault or event.control
        if part.dispatched and part.active:
            self._facts.note(part, kind, at_ms, cause=cause, station_clock=is_theirs)

    def _on_mode(self, part: Part, event: OperationModeChanged, mode: str) -> None:
        """The EVSE is in a service: an answer that never came is no longer needed (K01.FR.110)."""
        if part.unanswered and part.active and not part.started and mode in SERVICE_MODES:
            part.started = True
            at_ms, is_theirs = self._moment(event.at_ms)
            self._facts.note(part, FactKind.STARTED, at_ms, cause=MODE_CHANGED, station_clock=is_theirs)

    def _on_late(self, part: Part, event: LateAnswer) -> None:
        """It is the answer if someone still waits for it, and a fact of its own if nobody does."""
        waiting = self._late.get(event.command_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(event.outcome)
        elif event.command_id in self._instructed and part.active and event.outcome.verdict is Verdict.ACCEPTED:
            kind = FactKind.SETPOINT_APPLIED if part.started else FactKind.STARTED
            part.started = True
            self._facts.note(part, kind, event.at_ms, cause="LateAnswer")

    def _on_sample(self, part: Part, reading: SampleReading) -> None:
        if self._request.start_at_ms <= reading.at_ms < self._request.end_at_ms:
            part.keep(reading)
        if not part.started or not part.active:
            return
        settled = reading.at_ms >= part.instructed_at_ms + self._patience.settle_ms
        inside = self._request.start_at_ms <= reading.at_ms < self._request.end_at_ms
        deviates = settled and inside and part.deviates(reading)
        if deviates and not part.deviating and part.instruction is not None:
            values = (*_values(part.instruction), ("power_w", reading.power_w))
            self._facts.note(part, FactKind.DEVIATION, reading.at_ms, values=values, station_clock=True)
        if settled:
            part.deviating = deviates

    def _end_part(self, part: Part, at_ms: int, cause: str, *, station_clock: bool = False) -> None:
        part.ended_at_ms = at_ms
        part.generation += 1
        self._facts.note(part, FactKind.ABORTED, at_ms, cause=cause, station_clock=station_clock)
        self._wake.set()

    # ------------------------------------------------------------------ tasks
    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._wake.set()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _stop_tasks(self) -> None:
        """What still waits for an answer no longer does; commands whose time has passed may say so first."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GRACE_S)
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _values(instruction: Instruction) -> tuple[tuple[str, int], ...]:
    match instruction:
        case Limit(import_w=import_w):
            return (("limit_w", import_w),)
        case Setpoint(power_w=power_w):
            return (("setpoint_w", power_w),)
        case FrequencyCurve(base_w=base_w):
            return (("base_w", base_w),)
        case _:
            return ()
