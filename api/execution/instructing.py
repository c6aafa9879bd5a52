"""Telling one EVSE what to do: the command, the late answer, another try, and the table of failures."""

import asyncio
import zlib
from collections.abc import Callable
from enum import Enum

from api.execution import plan
from api.execution.collection import Collector
from api.execution.evidence import FactKind
from api.execution.facts import FactLog, Values
from api.execution.participation import Part
from api.execution.port import Command, LateAnswer, Outcome, Verdict
from api.execution.request import Patience
from api.execution.services import FrequencyCurve, Instruction, Limit, Setpoint
from api.execution.tasks import Tasks
from api.execution.waiting import Clock, SleepUntil


class Reaction(Enum):
    """What a rejection calls for; never the same command again unchanged."""

    CLEAR_AND_RESEND = "CLEAR_AND_RESEND"
    GIVE_UP = "GIVE_UP"


# Everything not named here is given up on: the reason would be the same again.
REACTIONS = {
    "DuplicateProfile": Reaction.CLEAR_AND_RESEND,
    "InvalidStackLevel": Reaction.CLEAR_AND_RESEND,
}


class Instructor:
    """Instructs the EVSEs of one run; `on_late` is told of answers that were overdue."""

    def __init__(
        self,
        *,
        clock: Clock,
        sleep_until_ms: SleepUntil,
        patience: Patience,
        facts: FactLog,
        collector: Collector,
        tasks: Tasks,
        envelope: Callable[[Part, int], plan.Envelope],
    ) -> None:
        self._clock = clock
        self._sleep_until_ms = sleep_until_ms
        self._patience = patience
        self._facts = facts
        self._collector = collector
        self._tasks = tasks
        self._envelope = envelope
        self._late: dict[str, asyncio.Future[Outcome]] = {}
        self._instructed: set[str] = set()

    async def instruct(self, part: Part, instruction: Instruction, not_after_ms: int) -> None:
        """It is on record that the EVSE was told, it was told, and what became of that is on record."""
        generation = part.generation
        command = plan.command(instruction, self._envelope(part, not_after_ms))
        values = values_of(instruction)
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

    async def _settle(self, part: Part, command: Command, outcome: Outcome, values: Values) -> None:
        match outcome.verdict:
            case Verdict.ACCEPTED:
                kind = FactKind.SETPOINT_APPLIED if part.started else FactKind.STARTED
                part.started = True
                self._tasks.wake()  # from now on it has to be renewed
                await self._facts.write(part, kind, cause=outcome.reason or None, command=command, values=values)
            case Verdict.EXPIRED:
                await self._facts.write(
                    part, FactKind.EXPIRED, cause=outcome.reason or None, command=command, values=values
                )
            case _:
                # What is in force already stays in force; an EVSE that never started has no part in this.
                part.given_up = not part.started
                self._tasks.wake()

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

    async def send_again(self, part: Part, instruction: Instruction, not_after_ms: int) -> None:
        """The same values were told again; only a refusal is on record."""
        generation = part.generation
        command = plan.command(instruction, self._envelope(part, not_after_ms))
        outcome = await self._collector.send(command)
        if outcome.verdict is Verdict.REJECTED and part.generation == generation:
            await self._facts.write(part, FactKind.REJECTED, cause=outcome.reason, command=command)

    def on_late(self, part: Part, event: LateAnswer) -> None:
        """It is the answer if someone still waits for it, and a fact of its own if nobody does."""
        waiting = self._late.get(event.command_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(event.outcome)
        elif event.command_id in self._instructed and part.active and event.outcome.verdict is Verdict.ACCEPTED:
            kind = FactKind.SETPOINT_APPLIED if part.started else FactKind.STARTED
            part.started = True
            self._facts.note(part, kind, event.at_ms, cause="LateAnswer")


def values_of(instruction: Instruction) -> Values:
    """What the record says of an instruction, with the unit in each name."""
    match instruction:
        case Limit(import_w=import_w):
            return (("limit_w", import_w),)
        case Setpoint(power_w=power_w):
            return (("setpoint_w", power_w),)
        case FrequencyCurve(base_w=base_w):
            return (("base_w", base_w),)
        case _:
            return ()
