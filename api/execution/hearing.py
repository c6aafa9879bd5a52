"""What one run hears of its stations while it lasts, and what that means for its EVSEs."""

from collections.abc import Callable, Mapping

from api.execution.collection import Collector
from api.execution.evidence import FactKind
from api.execution.facts import FactLog
from api.execution.instructing import Instructor, values_of
from api.execution.participation import Part
from api.execution.port import (
    Alarm,
    Connected,
    CurveSuperseded,
    Disconnected,
    EvseAddress,
    LateAnswer,
    LogFailed,
    LogUploaded,
    OperationModeChanged,
    SampleReading,
    SignedReading,
    Telemetry,
    TransactionEnded,
)
from api.execution.request import AcceptedRequest, Patience
from api.execution.tasks import Tasks
from api.execution.waiting import Clock

MAX_APART_MS = 24 * 3_600_000
MODE_CHANGED = "OperationModeChanged"
SERVICE_MODES = frozenset(
    {"ChargingOnly", "CentralSetpoint", "ExternalLimits", "LocalFrequency", "LocalLoadBalancing", "CentralFrequency"}
)


class Hearing:
    """Notes facts, ends participations, and has those told again that come back."""

    def __init__(
        self,
        parts: Mapping[EvseAddress, Part],
        *,
        request: AcceptedRequest,
        clock: Clock,
        patience: Patience,
        facts: FactLog,
        collector: Collector,
        instructor: Instructor,
        tasks: Tasks,
        not_after: Callable[[EvseAddress], int],
    ) -> None:
        """`not_after` says until when what an EVSE was told last is worth telling it."""
        self._parts = parts
        self._request = request
        self._clock = clock
        self._patience = patience
        self._facts = facts
        self._collector = collector
        self._instructor = instructor
        self._tasks = tasks
        self._not_after = not_after

    def on_telemetry(self, event: Telemetry) -> None:
        """What it means for those it concerns is noted."""
        match event:
            case Connected() | Disconnected():
                for part in self._parts.values():
                    if part.evse.station_id == event.station_id:
                        self.on_connection(part, event)
            case _:
                part_of_event = self._parts.get(event.evse)
                if part_of_event is not None:
                    self._on_evse(part_of_event, event)

    def on_connection(self, part: Part, event: Connected | Disconnected) -> None:
        """The station of one EVSE is there, or no longer."""
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
            self._tasks.spawn(self._instructor.instruct(part, part.instruction, self._not_after(part.evse)))

    def _on_evse(self, part: Part, event: Telemetry) -> None:
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
                self._instructor.on_late(part, event)
            case OperationModeChanged(mode=mode):
                self._on_mode(part, event, mode)
            case Alarm() | CurveSuperseded():
                self._on_control(part, event)
            case TransactionEnded():
                if part.dispatched and part.active:
                    at_ms, is_theirs = self._moment(event.at_ms)
                    self.end_part(part, at_ms, event.reason, station_clock=is_theirs)
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

    def _on_sample(self, part: Part, reading: SampleReading) -> None:
        if self._request.start_at_ms <= reading.at_ms < self._request.end_at_ms:
            part.keep(reading)
        if not part.started or not part.active:
            return
        settled = reading.at_ms >= part.instructed_at_ms + self._patience.settle_ms
        inside = self._request.start_at_ms <= reading.at_ms < self._request.end_at_ms
        deviates = settled and inside and part.deviates(reading)
        if deviates and not part.deviating and part.instruction is not None:
            values = (*values_of(part.instruction), ("power_w", reading.power_w))
            self._facts.note(part, FactKind.DEVIATION, reading.at_ms, values=values, station_clock=True)
        if settled:
            part.deviating = deviates

    def end_part(self, part: Part, at_ms: int, cause: str, *, station_clock: bool = False) -> None:
        """One EVSE is no longer obliged, for `cause`."""
        part.ended_at_ms = at_ms
        part.generation += 1
        self._facts.note(part, FactKind.ABORTED, at_ms, cause=cause, station_clock=station_clock)
        self._tasks.wake()
