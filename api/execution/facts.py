"""The facts of one run, recorded one after another: those of telemetry by a pump, our own before we act on them."""

import asyncio
import contextlib
from collections.abc import Callable

from api.execution.evidence import ExecutionFact, FactKind
from api.execution.participation import Part
from api.execution.port import Command
from api.execution.request import Record
from api.execution.waiting import Clock

Values = tuple[tuple[str, int], ...]


class FactLog:
    """Order is kept; the first failure to record is kept too, and `on_failure` is called once with it."""

    def __init__(
        self, fsr_id: str, record: Record, *, clock: Clock, on_failure: Callable[[BaseException], None]
    ) -> None:
        self._fsr_id = fsr_id
        self._record = record
        self._clock = clock
        self._on_failure = on_failure
        self._queue: asyncio.Queue[ExecutionFact] = asyncio.Queue()
        self._pump: asyncio.Task[None] | None = None
        self._failed = False

    def start(self) -> None:
        """From now on noted facts are recorded."""
        self._pump = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """No more facts are recorded."""
        if self._pump is not None:
            self._pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pump

    async def settled(self) -> None:
        """Everything noted so far is recorded, or recording has failed."""
        await self._queue.join()

    def note(
        self,
        part: Part,
        kind: FactKind,
        at_ms: int,
        *,
        cause: str | None = None,
        values: Values = (),
        station_clock: bool = False,
    ) -> None:
        """A fact that was found in telemetry; it is recorded soon."""
        fact = ExecutionFact(
            fsr_id=self._fsr_id,
            participation_ref=part.participant.ref,
            evse=part.evse,
            kind=kind,
            at_ms=at_ms,
            cause=cause,
            values=values,
            station_clock=station_clock,
        )
        self._queue.put_nowait(fact)

    async def write(
        self,
        part: Part,
        kind: FactKind,
        *,
        cause: str | None = None,
        command: Command | None = None,
        values: Values = (),
        at_ms: int | None = None,
    ) -> None:
        """A fact of our own is recorded, after those that were noted before. Raises what recording raises."""
        await self._queue.join()
        fact = ExecutionFact(
            fsr_id=self._fsr_id,
            participation_ref=part.participant.ref,
            evse=part.evse,
            kind=kind,
            at_ms=self._clock.now_ms() if at_ms is None else at_ms,
            cause=cause,
            command_id=None if command is None else command.command_id,
            values=values,
        )
        await self._record(fact)

    async def _run(self) -> None:
        while True:
            fact = await self._queue.get()
            try:
                if not self._failed:
                    await self._record(fact)
            except Exception as error:  # noqa: BLE001 -- whatever it is, the run has to stop and raise it
                self._failed = True
                self._on_failure(error)
            finally:
                self._queue.task_done()
