"""Runs one accepted request over a port, and brings back what the chargers left as evidence.

Order of a run: a signed meter reading per EVSE, then the instructions, each step at its time; while it runs, facts as
they happen; at the end a signed reading, the service cleared, and the station's own log where finer evidence was asked.
What fails on the way follows one table (`docs/explanation/execution.md`): a time-out is not a failure, a rejection is
not retried unchanged, silence is not delivery.
"""

import asyncio
from collections.abc import Sequence

from api.execution import plan
from api.execution.errors import RunUnknown
from api.execution.evidence import Execution
from api.execution.port import Capabilities, EvseAddress, ExecutionPort
from api.execution.request import AcceptedRequest, Patience, Record
from api.execution.run import Run
from api.execution.services import Step
from api.execution.waiting import Clock, SleepUntil


class Adapter:
    """Executes accepted requests over one port; several may run at the same time on different EVSEs."""

    def __init__(
        self,
        port: ExecutionPort,
        *,
        clock: Clock,
        sleep_until_ms: SleepUntil,
        patience: Patience | None = None,
    ) -> None:
        self._port = port
        self._clock = clock
        self._sleep_until_ms = sleep_until_ms
        self._patience = patience or Patience()
        self._runs: dict[str, Run] = {}

    async def run(self, request: AcceptedRequest, record: Record) -> Execution:
        """Execute `request` and return what was left; returns after its end, or after an abort.

        `record` is awaited with every fact, in order. Raises `PlanRefused` before anything is sent, if the service
        cannot be kept within its limits.
        """
        steps = plan.schedule(request.service, request.participants)
        run = Run(
            port=self._port,
            clock=self._clock,
            sleep_until_ms=self._sleep_until_ms,
            patience=self._patience,
            request=request,
            steps=steps,
            record=record,
        )
        self._runs[request.fsr_id] = run
        try:
            return await run.play()
        finally:
            self._runs.pop(request.fsr_id, None)

    async def capabilities(self, evses: Sequence[EvseAddress], patience_s: float) -> dict[EvseAddress, Capabilities]:
        """What stations say they can do, for those that say it within `patience_s` real seconds."""
        asked = {evse: asyncio.create_task(self._port.capabilities(evse)) for evse in evses}
        if asked:
            await asyncio.wait(asked.values(), timeout=patience_s)
        found = {}
        for evse, task in asked.items():
            if not task.done():
                task.cancel()
            elif task.exception() is None and (said := task.result()) is not None:
                found[evse] = said
        await asyncio.gather(*asked.values(), return_exceptions=True)
        return found

    def running(self) -> frozenset[str]:
        """The ids of the requests that are being executed now."""
        return frozenset(self._runs)

    def abort(self, fsr_id: str, cause: str) -> None:
        """The run stops: services are cleared, evidence up to now is brought back. Raises `RunUnknown`."""
        self._running(fsr_id).stop(cause)

    def release(self, fsr_id: str, evse: EvseAddress, cause: str) -> None:
        """One participation leaves the run (an opt-out while executing, a superseding request). Raises `RunUnknown`."""
        self._running(fsr_id).release(evse, cause)

    def feed(self, fsr_id: str, steps: Sequence[Step]) -> None:
        """The moving part of a dynamic setpoint: further steps, merged in time order. Raises `RunUnknown`."""
        self._running(fsr_id).feed(steps)

    def _running(self, fsr_id: str) -> Run:
        run = self._runs.get(fsr_id)
        if run is None:
            raise RunUnknown("no execution of this request is running", fsr_id=fsr_id)
        return run
