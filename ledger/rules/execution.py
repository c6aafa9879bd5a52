"""Rules of execution: who may be dispatched, when, and in what order facts come."""

from ledger.records.execution import ExecutionKind, ExecutionNoted
from ledger.rules import rank, starts
from ledger.rules.contract_state import ContractStatus
from ledger.rules.errors.checks import CheckExpired, CheckNotPassed
from ledger.rules.errors.contracts import ContractNotInForce
from ledger.rules.errors.execution import BaselineMissing, ExecutionEarly, ExecutionLate, NotStarted, OptedOutDispatch
from ledger.rules.errors.requests import RequestEnded, SupersededWithoutCause
from ledger.rules.errors.writing import AlreadyRecorded, WrongOrder
from ledger.rules.fact import Fact
from ledger.rules.participation_state import ParticipationState
from ledger.rules.projection import Projection
from ledger.rules.request_state import RequestState, RequestStatus
from ledger.rules.standing import require_bound, require_port, require_request

STARTING = frozenset({ExecutionKind.DISPATCHED, ExecutionKind.STARTED})
"""Kinds that begin something. Nothing begins once the request has ended; what was told before may still start."""
COMMANDING = frozenset(
    {
        ExecutionKind.DISPATCHED,
        ExecutionKind.REJECTED,
        ExecutionKind.UNKNOWN,
        ExecutionKind.EXPIRED,
        ExecutionKind.UNABLE,
        ExecutionKind.COMMS_LOST,
    }
)
"""Kinds that tell of a command or of what stands in its way; they may come before the start."""
RUNNING = frozenset({ExecutionKind.SETPOINT_APPLIED, ExecutionKind.COMPLETED})
"""Kinds that only make sense of what has started. A deviation does of what was told: it may never have answered."""

_ENDED = frozenset({RequestStatus.REJECTED, RequestStatus.EXPIRED, RequestStatus.CANCELLED, RequestStatus.ABORTED})


def execution_noted(seen: Projection, fact: Fact, record: ExecutionNoted) -> None:
    """The port notes facts about participations that take part, counted by the baseline, not before their time."""
    request = require_request(seen, fact, record.fsr_id)
    require_port(seen, fact, request)
    if record.n_id in request.execution_ids:
        raise AlreadyRecorded("the fact is noted", n_id=record.n_id)
    part = require_bound(request, record.participation)
    if record.kind in STARTING and not (record.kind is ExecutionKind.STARTED and part.executions):
        _require_may_begin(request, fact.now_ms)
    if record.kind is ExecutionKind.DISPATCHED and part.left is not None:
        raise OptedOutDispatch("it has left", found=record.kind, participation=record.participation)
    if part.is_out(fact.now_ms):
        raise OptedOutDispatch("it has opted out", found=record.kind, participation=record.participation)
    if request.baseline is None or record.participation not in request.baseline.participants:
        raise BaselineMissing(
            "no baseline counts it", expected="baseline.committed", participation=record.participation
        )
    _require_time(request, record, fact.now_ms)
    _require_order(part, record.kind)
    if record.kind is not ExecutionKind.SUPERSEDED and (record.by_fsr_id, record.until_ms) != (None, None):
        raise SupersededWithoutCause("only what is superseded is so by a request", found=record.kind)
    if record.kind is ExecutionKind.SUPERSEDED:
        if part.is_superseded(fact.now_ms):
            raise WrongOrder("it is superseded", found=record.kind, participation=record.participation)
        rank.require_superior(seen, request, part, record, fact.now_ms)
    if record.kind in STARTING and not request.is_mandatory:
        _require_eligible(request, part, record.kind, fact.now_ms)


def _require_may_begin(request: RequestState, now_ms: int) -> None:
    status = request.status(now_ms)
    if status is RequestStatus.CANCELLED and request.cancelled is None:
        return  # Timers cancelled it: the rules below say whether the check or the contract is why.
    if status in _ENDED or request.work is not None:
        raise RequestEnded("the request has ended", found=status, fsr_id=request.fsr_id)


def _require_time(request: RequestState, record: ExecutionNoted, now_ms: int) -> None:
    kind, first_ms = record.kind, request.issued.start_at_ms
    if kind is ExecutionKind.STARTED:
        first_ms = starts.starts_at_ms(request.issued, record.participation)
    if kind in COMMANDING:
        first_ms = request.issued_at_ms if request.is_mandatory else request.issued.opt_deadline_ms
    if now_ms < first_ms:
        raise ExecutionEarly("too early", expected=f"at or after {first_ms}", found=now_ms, kind=kind)
    if kind is ExecutionKind.DISPATCHED and now_ms >= request.issued.end_at_ms:
        raise ExecutionLate("too late", expected=f"before {request.issued.end_at_ms}", found=now_ms, kind=kind)


def _require_order(part: ParticipationState, kind: ExecutionKind) -> None:
    if kind in RUNNING and not part.has_started:
        raise NotStarted("it has not started", expected=ExecutionKind.STARTED, found=kind)
    if part.has_noted(ExecutionKind.COMPLETED) and kind in STARTING | RUNNING:
        raise WrongOrder("it is completed", found=kind, participation=part.participation)
    if kind is ExecutionKind.STARTED and part.has_started:
        raise WrongOrder("it has started", found=kind, participation=part.participation)


def _require_eligible(request: RequestState, part: ParticipationState, kind: ExecutionKind, now_ms: int) -> None:
    """The participation passed its newest check; at its start that check is still valid and a contract in force."""
    if not part.has_passed:
        raise CheckNotPassed(
            "its newest check did not pass", found=part.subject.overall, participation=part.participation
        )
    if kind is not ExecutionKind.STARTED:
        return
    if now_ms >= part.check.valid_until_ms:
        raise CheckExpired(
            "its newest check has run out",
            expected=f"before {part.check.valid_until_ms}",
            found=now_ms,
            participation=part.participation,
        )
    contracts = request.contracts_for(part.participation)
    if contracts and all(contract.status(now_ms) is not ContractStatus.ACTIVE for contract in contracts):
        raise ContractNotInForce("its contract is not in force", found=contracts[0].status(now_ms))
