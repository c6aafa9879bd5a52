"""`RequestState`: a request as the log tells it, with what timers did to it derived for any time asked about."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec

from ledger.records.actor import Actor, Role
from ledger.records.contracts import OptPolicy, ServiceTerms, SettlementTerms, Silence
from ledger.records.credentials import CheckRecorded
from ledger.records.evidence import BaselineCommitted, SamplesCommitted
from ledger.records.execution import ExecutionNoted
from ledger.records.log import Refused
from ledger.records.opt import OptDecided
from ledger.records.record import Record
from ledger.records.requests import (
    Answer,
    CancelReason,
    Obligation,
    RequestAborted,
    RequestAnswered,
    RequestCancelled,
    RequestIssued,
    RequestRevised,
    SetpointBatch,
)
from ledger.records.services import Service, service_of
from ledger.records.work import (
    CounterResult,
    DisputeResolved,
    Resolution,
    ServiceRecorded,
    Settled,
    Verdict,
    WorkCountered,
    WorkProven,
)
from ledger.rules import orders
from ledger.rules.contract_state import Contracts, ContractState, ContractStatus
from ledger.rules.participation_state import ParticipationState


class RequestStatus(StrEnum):
    """States of a request (table 6.1)."""

    ISSUED = "ISSUED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    ACCEPTED = "ACCEPTED"
    PARTIAL = "PARTIAL"
    SCHEDULED = "SCHEDULED"
    ACTIVE = "ACTIVE"
    SUPERSEDED = "SUPERSEDED"
    ABORTED = "ABORTED"
    CANCELLED = "CANCELLED"
    COMPLETED = "COMPLETED"
    PROVEN = "PROVEN"
    UNPROVABLE = "UNPROVABLE"
    AGREED = "AGREED"
    DISPUTED = "DISPUTED"
    RESOLVED = "RESOLVED"
    SETTLED = "SETTLED"


MS_PER_S = 1000

Said = tuple[Record, Actor, int]
"""A record of the request's stream, who stated it, and when it was recorded."""


class RequestState(msgspec.Struct):
    """A request's whole stream, folded."""

    issued: RequestIssued
    """What is asked for: as it was issued, or as the newest revision has it."""
    fo: str
    issued_at_ms: int
    """When that was said."""
    contracts: Contracts
    """All contracts that are known; empty where only this stream is."""
    revision: int = 1
    first: tuple[RequestIssued, int] | None = None
    """As it was issued, and when, if it was revised since."""
    history: list[Said] = msgspec.field(default_factory=list)
    participations: dict[str, ParticipationState] = msgspec.field(default_factory=dict)
    checks: dict[str, CheckRecorded] = msgspec.field(default_factory=dict)
    check: CheckRecorded | None = None
    """The newest one."""
    answer: RequestAnswered | None = None
    baseline: BaselineCommitted | None = None
    """The one that stands."""
    baselines: dict[str, BaselineCommitted] = msgspec.field(default_factory=dict)
    executions: list[ExecutionNoted] = msgspec.field(default_factory=list)
    execution_ids: set[str] = msgspec.field(default_factory=set)
    setpoints: list[SetpointBatch] = msgspec.field(default_factory=list)
    batches: dict[str, SamplesCommitted] = msgspec.field(default_factory=dict)
    dsrs: dict[str, ServiceRecorded] = msgspec.field(default_factory=dict)
    works: dict[str, WorkProven] = msgspec.field(default_factory=dict)
    work: WorkProven | None = None
    """The proof that stands: the newest, for each later one reverses the one before."""
    proven_at_ms: int | None = None
    """When that was recorded."""
    counters: dict[str, WorkCountered] = msgspec.field(default_factory=dict)
    """By proof."""
    resolutions: dict[str, dict[Role, DisputeResolved]] = msgspec.field(default_factory=dict)
    """By proof and by role: the newest word of each side."""
    settlement: Settled | None = None

    def __repr__(self) -> str:
        """Which one: its contracts and its history are long."""
        return f"RequestState(fsr_id={self.issued.fsr_id!r}, revision={self.revision})"

    refusals: list[Refused] = msgspec.field(default_factory=list)
    cancelled: RequestCancelled | None = None
    aborted: RequestAborted | None = None
    index: int = 0
    """Of the entry that issued it."""

    @property
    def fsr_id(self) -> str:
        """Its id."""
        return self.issued.fsr_id

    @property
    def service(self) -> Service:
        """The class of service that is asked for."""
        return service_of(self.issued.params)

    @property
    def is_mandatory(self) -> bool:
        """It was admitted, so its mandate is verified."""
        return self.issued.obligation is Obligation.MANDATORY

    @property
    def is_accepted(self) -> bool:
        """The port accepted all or part of it."""
        return self.answer is not None and self.answer.answer is not Answer.REJECTED

    @property
    def has_started(self) -> bool:
        """At least one participation started."""
        return any(part.has_started for part in self.participations.values())

    def bound(self) -> dict[str, ParticipationState]:
        """The participations that execute: those accepted, or all of a mandate that nobody answered."""
        if self.is_accepted:
            return {name: part for name, part in self.participations.items() if part.is_accepted}
        if self.is_mandatory and self.answer is None:
            return dict(self.participations)
        return {}

    def taking_part(self, at_ms: int) -> set[str]:
        """The participations that execute and are not out at that time."""
        return {name for name, part in self.bound().items() if not part.is_out(at_ms)}

    def contracts_for(self, participation: str) -> list[ContractState]:
        """The known contracts under which a participation stands: its own where one is named, else the request's."""
        part = self.participations.get(participation)
        named = part.offer.fsc_id if part is not None and part.offer is not None else None
        if not isinstance(named, str) and part is not None:
            named = part.subject.fsc_id
        names = (named,) if isinstance(named, str) else self.issued.fsc_ids
        return [self.contracts[name] for name in names if name in self.contracts]

    def terms(self) -> list[ServiceTerms]:
        """The terms under which it stands, of every contract that it names, as they were when it was issued."""
        named = [self.contracts[name] for name in self.issued.fsc_ids if name in self.contracts]
        asked = orders.direction(self.issued.params)
        found = [contract.terms(self.service, self.issued_at_ms, asked) for contract in named]
        return [terms for terms in found if terms is not None]

    def contract_of(self, participation: str) -> ContractState | None:
        """The one contract under which a participation stands; None where it is not known which."""
        found = self.contracts_for(participation)
        return found[0] if len(found) == 1 else None

    def opt_policy(self, contract: ContractState) -> OptPolicy | None:
        """What the contract said about opting when the request was issued; None if it was not signed then."""
        signed = contract.signed(self.issued_at_ms)
        return signed.record.opt if signed is not None else None

    def is_resolved(self, pow_id: str) -> bool:
        """Both sides signed the same end of the dispute, or an auditor found it."""
        words = self.resolutions.get(pow_id, {})
        if Role.AUD in words:
            return True
        fo = words.get(Role.FO)
        port = words.get(Role.CSO) or words.get(Role.CSP)
        return fo is not None and port is not None and (fo.resolution, fo.ground) == (port.resolution, port.ground)

    def resolution(self, pow_id: str) -> Resolution | None:
        """How the dispute ended, if it has."""
        if not self.is_resolved(pow_id):
            return None
        words = self.resolutions[pow_id]
        return words[Role.AUD if Role.AUD in words else Role.FO].resolution

    def status(self, at_ms: int) -> RequestStatus:
        """The state at that time."""
        if self.history and self.history[-1][2] > at_ms:
            return self.as_of(at_ms).status(at_ms)
        ended = self._told_end(at_ms)
        if ended is not None:
            return ended
        return self._unless_unprovable(self._by_time(at_ms), at_ms)

    def _by_time(self, at_ms: int) -> RequestStatus:
        """The state, where nothing that was written ends the request."""
        if self.has_started:
            return self._running(at_ms)
        if not self.is_accepted and not self.is_mandatory:
            return RequestStatus.ISSUED if at_ms < self.issued.respond_by_ms else RequestStatus.EXPIRED
        return self._waiting(at_ms)

    def as_of(self, at_ms: int) -> "RequestState":
        """The request as it was when nothing after that time had been recorded."""
        issued, issued_at_ms = self.first or (self.issued, self.issued_at_ms)
        before = RequestState(issued, self.fo, issued_at_ms, self.contracts)
        for record, actor, said_at_ms in self.history:
            if said_at_ms <= at_ms:
                before.fold(record, actor, said_at_ms)
        return before

    def _unless_unprovable(self, status: RequestStatus, at_ms: int) -> RequestStatus:
        """What is over and was not proven in time cannot be any more."""
        last_ms = self.prove_by_ms()
        is_over = status in (RequestStatus.COMPLETED, RequestStatus.ABORTED)
        return RequestStatus.UNPROVABLE if is_over and last_ms is not None and at_ms >= last_ms else status

    def prove_by_ms(self) -> int | None:
        """When its contracts say that it is too late for a first proof; None where they say nothing."""
        within_s = self._longest(lambda terms: terms.proof_within_s)
        return None if within_s is None else self.issued.end_at_ms + MS_PER_S * within_s

    def dispute_by_ms(self) -> int | None:
        """When silence about the proof that stands agrees to it; None where the contracts say nothing."""
        within_s = self._longest(lambda terms: terms.dispute_within_s)
        return None if within_s is None or self.proven_at_ms is None else self.proven_at_ms + MS_PER_S * within_s

    def _longest(self, of: Callable[[SettlementTerms], int]) -> int | None:
        """The longest of its contracts' times, in s; None as soon as one of them has none, or none is known."""
        if self.is_mandatory:
            return None
        known = [self.contracts[name] for name in self.issued.fsc_ids if name in self.contracts]
        signed = [contract.signed(self.issued_at_ms) for contract in known]
        times = [of(version.record.settlement) if version is not None else 0 for version in signed]
        return max(times) if times and all(times) else None

    def _told_end(self, at_ms: int) -> RequestStatus | None:
        """The state, where the last word on it was written rather than derived."""
        if self.settlement is not None:
            return RequestStatus.SETTLED
        if self.work is not None:
            return self._after_proof(self.work, at_ms)
        if self.cancelled is not None:
            return RequestStatus.CANCELLED
        if self.aborted is not None:
            return self._unless_unprovable(RequestStatus.ABORTED, at_ms)
        if self.answer is not None and self.answer.answer is Answer.REJECTED:
            return RequestStatus.REJECTED
        return None

    def _after_proof(self, proof: WorkProven, at_ms: int) -> RequestStatus:
        counter = self.counters.get(proof.pow_id)
        if counter is None:
            if proof.verdict is Verdict.UNPROVABLE:
                return RequestStatus.UNPROVABLE
            silent_at_ms = self.dispute_by_ms()
            has_agreed = silent_at_ms is not None and at_ms >= silent_at_ms
            return RequestStatus.AGREED if has_agreed else RequestStatus.PROVEN
        if counter.result is CounterResult.AGREED:
            return RequestStatus.AGREED
        return RequestStatus.RESOLVED if self.is_resolved(proof.pow_id) else RequestStatus.DISPUTED

    def _running(self, at_ms: int) -> RequestStatus:
        started = [part for part in self.participations.values() if part.has_started]
        if at_ms >= self.issued.end_at_ms or all(part.is_over for part in started):
            return RequestStatus.COMPLETED
        if all(part.is_superseded(at_ms) or part.is_over for part in started):
            return RequestStatus.SUPERSEDED
        return RequestStatus.ACTIVE

    def _waiting(self, at_ms: int) -> RequestStatus:
        """Accepted or mandated, and not started."""
        if at_ms >= self.issued.start_at_ms and self._cannot_start() is not None:
            return RequestStatus.CANCELLED
        if at_ms >= self.issued.end_at_ms:
            return RequestStatus.COMPLETED
        if self.is_mandatory or (at_ms >= self.issued.opt_deadline_ms and self.baseline is not None):
            return RequestStatus.SCHEDULED
        is_partial = self.answer is not None and self.answer.answer is Answer.PARTIAL
        return RequestStatus.PARTIAL if is_partial else RequestStatus.ACCEPTED

    def cancel_reason(self, at_ms: int) -> CancelReason | None:
        """Why it is cancelled at that time: by its operator, or by a timer; None if it is not."""
        if self.status(at_ms) is not RequestStatus.CANCELLED:
            return None
        return self.cancelled.reason if self.cancelled is not None else self._cannot_start()

    def _cannot_start(self) -> CancelReason | None:
        """Why timers cancelled it: at the start nobody passed the newest check, or no contract was in force."""
        if self.is_mandatory:
            return None
        if not any(part.has_passed for part in self.bound().values()):
            return CancelReason.NO_CREDENTIAL
        known = [self.contracts[name] for name in self.issued.fsc_ids if name in self.contracts]
        start_at_ms = self.issued.start_at_ms
        if known and all(one.status(start_at_ms) is not ContractStatus.ACTIVE for one in known):
            return CancelReason.NO_CONTRACT
        return None

    def fold(self, record: Record, actor: Actor, at_ms: int) -> None:
        """The record was written into this request's stream."""
        said = (record, actor, at_ms)
        self.history.append(said)
        step = _FOLDS.get(type(record))
        if step is not None:
            step(self, record, said)


def revised(issued: RequestIssued, record: RequestRevised) -> RequestIssued:
    """The request as this revision has it."""
    return msgspec.structs.replace(
        issued,
        params=record.params,
        respond_by_ms=record.respond_by_ms,
        opt_deadline_ms=record.opt_deadline_ms,
        start_at_ms=record.start_at_ms,
        end_at_ms=record.end_at_ms,
        priority=record.priority,
        start_spread_s=record.start_spread_s,
        evidence=record.evidence,
    )


# One small step a record type; who said it, and when, matters to few of them.


def _fold_revision(request: RequestState, record: RequestRevised, said: Said) -> None:
    """Whoever was checked or opted was so for something else."""
    request.first = request.first or (request.issued, request.issued_at_ms)
    request.issued, request.issued_at_ms = revised(request.issued, record), said[2]
    request.revision = record.revision
    request.participations.clear()
    request.checks.clear()
    request.check = None


def _fold_check(request: RequestState, record: CheckRecorded, _: Said) -> None:
    request.checks[record.check_id] = request.check = record
    for subject in record.subjects:
        part = request.participations.get(subject.participation)
        if part is None:
            request.participations[subject.participation] = ParticipationState(
                participation=subject.participation,
                subject=subject,
                check=record,
                is_mandated=request.is_mandatory,
                opt_deadline_ms=request.issued.opt_deadline_ms,
            )
        else:
            part.subject, part.check = subject, record
        _find_silence(request, subject.participation)


def _fold_answer(request: RequestState, record: RequestAnswered, _: Said) -> None:
    request.answer = record
    for offer in record.offers:
        part = request.participations.get(offer.participation)
        if part is not None:
            part.offer = offer
            _find_silence(request, offer.participation)


def _find_silence(request: RequestState, participation: str) -> None:
    policies = [request.opt_policy(contract) for contract in request.contracts_for(participation)]
    rules = {policy.default_on_silence for policy in policies if policy is not None}
    if rules:
        request.participations[participation].silence = Silence.OUT if Silence.OUT in rules else Silence.IN


def _fold_opt(request: RequestState, record: OptDecided, _: Said) -> None:
    part = request.participations.get(record.participation)
    if part is not None:
        part.fold_opt(record)


def _fold_baseline(request: RequestState, record: BaselineCommitted, _: Said) -> None:
    request.baselines[record.baseline_id] = request.baseline = record


def _fold_execution(request: RequestState, record: ExecutionNoted, said: Said) -> None:
    request.executions.append(record)
    request.execution_ids.add(record.n_id)
    part = request.participations.get(record.participation)
    if part is not None:
        part.fold_execution(record, said[2])


def _fold_setpoints(request: RequestState, record: SetpointBatch, _: Said) -> None:
    request.setpoints.append(record)


def _fold_samples(request: RequestState, record: SamplesCommitted, _: Said) -> None:
    request.batches[record.batch_id] = record
    part = request.participations.get(record.participation)
    if part is not None:
        part.batch_ids.append(record.batch_id)


def _fold_dsr(request: RequestState, record: ServiceRecorded, _: Said) -> None:
    request.dsrs[record.dsr_id] = record
    part = request.participations.get(record.participation)
    if part is not None:
        part.dsr_id = record.dsr_id


def _fold_work(request: RequestState, record: WorkProven, said: Said) -> None:
    request.works[record.pow_id] = request.work = record
    request.proven_at_ms = said[2]


def _fold_counter(request: RequestState, record: WorkCountered, _: Said) -> None:
    request.counters[record.pow_id] = record


def _fold_resolution(request: RequestState, record: DisputeResolved, said: Said) -> None:
    request.resolutions.setdefault(record.pow_id, {})[said[1].role] = record


def _fold_settlement(request: RequestState, record: Settled, _: Said) -> None:
    request.settlement = record


def _fold_cancellation(request: RequestState, record: RequestCancelled, _: Said) -> None:
    request.cancelled = record


def _fold_abort(request: RequestState, record: RequestAborted, _: Said) -> None:
    request.aborted = record


def _fold_refusal(request: RequestState, record: Refused, _: Said) -> None:
    request.refusals.append(record)


_FOLDS: dict[type[Record], Callable[[RequestState, Any, Said], None]] = {
    RequestRevised: _fold_revision,
    CheckRecorded: _fold_check,
    RequestAnswered: _fold_answer,
    OptDecided: _fold_opt,
    BaselineCommitted: _fold_baseline,
    ExecutionNoted: _fold_execution,
    SetpointBatch: _fold_setpoints,
    SamplesCommitted: _fold_samples,
    ServiceRecorded: _fold_dsr,
    WorkProven: _fold_work,
    WorkCountered: _fold_counter,
    DisputeResolved: _fold_resolution,
    Settled: _fold_settlement,
    RequestCancelled: _fold_cancellation,
    RequestAborted: _fold_abort,
    Refused: _fold_refusal,
}
