"""`ParticipationState`: one EVSE and EV in one request, as the log tells it."""

from enum import StrEnum

import msgspec

from ledger.records.contracts import Silence
from ledger.records.credentials import CheckedSubject, CheckRecorded, Status
from ledger.records.execution import Cause, ExecutionKind, ExecutionNoted
from ledger.records.opt import Choice, OptActor, OptDecided, OptOrigin
from ledger.records.requests import Offer


class ParticipationStatus(StrEnum):
    """States of a participation (table 6.2)."""

    PROPOSED = "PROPOSED"
    OPTED_IN = "OPTED_IN"
    OPTED_OUT = "OPTED_OUT"
    INELIGIBLE = "INELIGIBLE"
    MANDATED = "MANDATED"
    DISPATCHED = "DISPATCHED"
    EXECUTING = "EXECUTING"
    DONE = "DONE"
    PARTIAL_OPT_OUT = "PARTIAL_OPT_OUT"
    FAILED = "FAILED"
    UNABLE = "UNABLE"


_AFTER: dict[ExecutionKind, ParticipationStatus] = {
    ExecutionKind.DISPATCHED: ParticipationStatus.DISPATCHED,
    ExecutionKind.REJECTED: ParticipationStatus.FAILED,
    ExecutionKind.EXPIRED: ParticipationStatus.FAILED,
    ExecutionKind.STARTED: ParticipationStatus.EXECUTING,
    ExecutionKind.SETPOINT_APPLIED: ParticipationStatus.EXECUTING,
    ExecutionKind.DEVIATION: ParticipationStatus.EXECUTING,
    ExecutionKind.RESUMED: ParticipationStatus.EXECUTING,
    ExecutionKind.COMPLETED: ParticipationStatus.DONE,
    ExecutionKind.ABORTED: ParticipationStatus.FAILED,
    ExecutionKind.UNABLE: ParticipationStatus.UNABLE,
}
"""What a fact makes of a participation. UNKNOWN is not here: a time-out is not a failure."""


class ParticipationState(msgspec.Struct):
    """One participation; born in a check."""

    participation: str
    subject: CheckedSubject
    check: CheckRecorded
    """The newest check that covers it; `subject` is its part there."""
    is_mandated: bool
    opt_deadline_ms: int
    silence: Silence | None = None
    """What silence means under its contract; None where the contract is not known."""
    choices: dict[OptActor, Choice] = msgspec.field(default_factory=dict)
    origins: dict[OptActor, OptOrigin] = msgspec.field(default_factory=dict)
    """How the choice that stands came about."""
    offer: Offer | None = None
    executions: list[ExecutionNoted] = msgspec.field(default_factory=list)
    newest: dict[ExecutionKind, int] = msgspec.field(default_factory=dict)
    """Place in `executions` of the newest fact of each kind."""
    superseded: list[tuple[int, int]] = msgspec.field(default_factory=list)
    """From when until when a request of higher rank held its EVSE."""
    batch_ids: list[str] = msgspec.field(default_factory=list)
    dsr_id: str | None = None
    """The service record that stands."""
    left: OptActor | None = None
    """Whose right was exercised to leave while it executed."""
    evse_tag: str | None = None
    """A blind name of its EVSE; None where nobody can know it."""
    person_tag: str | None = None
    """A blind name of the EV user whose session it was at the newest check."""

    @property
    def is_accepted(self) -> bool:
        """The port offered it in its answer."""
        return self.offer is not None

    @property
    def has_passed(self) -> bool:
        """Its newest check says PASS."""
        return self.subject.overall is Status.PASS

    @property
    def has_started(self) -> bool:
        """An execution entry says STARTED."""
        return self.has_noted(ExecutionKind.STARTED)

    def is_superseded(self, at_ms: int) -> bool:
        """A request of higher rank holds its EVSE at that time."""
        return any(start <= at_ms < end for start, end in self.superseded)

    @property
    def is_over(self) -> bool:
        """It will not go on."""
        told = self._told()
        return self.left is not None or (told is not None and told.kind in _FINAL)

    def has_noted(self, kind: ExecutionKind) -> bool:
        """Whether an execution entry of that kind is on record."""
        return kind in self.newest

    def would_leave(self, record: OptDecided) -> bool:
        """Whether the decision ends an execution that is under way, rather than standing before its start."""
        return record.choice is Choice.OUT and self.has_started and not self.is_over

    def fold_opt(self, record: OptDecided) -> None:
        """An actor decided."""
        if self.would_leave(record):
            self.left = record.actor
        else:
            self.choices[record.actor] = record.choice
            self.origins[record.actor] = record.origin

    def fold_execution(self, record: ExecutionNoted, at_ms: int) -> None:
        """A fact was noted at that time."""
        if record.kind is ExecutionKind.SUPERSEDED and record.until_ms is not None:
            self.superseded.append((at_ms, record.until_ms))
        elif record.kind is ExecutionKind.RESUMED:
            self.superseded = [(start, min(end, at_ms)) for start, end in self.superseded]
        self.newest[record.kind] = len(self.executions)
        self.executions.append(record)

    def has_decided_out(self) -> bool:
        """Whether any actor's word stands at OUT; one suffices."""
        return not self.is_mandated and Choice.OUT in self.choices.values()

    def is_out(self, at_ms: int) -> bool:
        """Whether it is out at that time: by decision or, from the deadline on, by silence."""
        if self.is_mandated:
            return False
        if self.has_decided_out():
            return True
        return self.silence is Silence.OUT and at_ms >= self.opt_deadline_ms and not self.choices

    def status(self, at_ms: int) -> ParticipationStatus:
        """The state, if nothing was recorded after that time (`RequestState.as_of` goes back further)."""
        told = self._told()
        if self.left is not None:
            return ParticipationStatus.PARTIAL_OPT_OUT
        if told is not None:
            is_unable = told.kind is ExecutionKind.ABORTED and told.cause in (Cause.EV_GONE, Cause.EV_LIMIT)
            return ParticipationStatus.UNABLE if is_unable else _AFTER[told.kind]
        if self.is_mandated:
            return ParticipationStatus.MANDATED
        if self.is_out(at_ms):
            return ParticipationStatus.OPTED_OUT
        if not self.has_passed:
            return ParticipationStatus.INELIGIBLE
        is_in = bool(self.choices) or (self.silence is Silence.IN and at_ms >= self.opt_deadline_ms)
        return ParticipationStatus.OPTED_IN if is_in else ParticipationStatus.PROPOSED

    def _told(self) -> ExecutionNoted | None:
        """The fact that says where it stands. Once started, what is in force stays so whatever a later command met."""
        return self._last(*(_AFTER.keys() - _OF_COMMAND if self.has_started else _AFTER))

    def _last(self, *kinds: ExecutionKind) -> ExecutionNoted | None:
        places = [self.newest[kind] for kind in kinds if kind in self.newest]
        return self.executions[max(places)] if places else None


_OF_COMMAND = frozenset({ExecutionKind.DISPATCHED, ExecutionKind.REJECTED, ExecutionKind.EXPIRED})
_FINAL = (ExecutionKind.COMPLETED, ExecutionKind.ABORTED, ExecutionKind.UNABLE, ExecutionKind.REJECTED)
