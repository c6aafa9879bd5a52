"""Rules of service records and proofs of work (proof of flexibility delivered, which is not mining)."""

import msgspec

from ledger.errors import LedgerError
from ledger.records import canonical
from ledger.records.credentials import Status
from ledger.records.execution import ExecutionKind
from ledger.records.work import Excluded, ExcludedReason, ServiceRecorded, WorkPart, WorkProven
from ledger.rules import starts
from ledger.rules.errors.checks import CheckMissing, NotAParticipant
from ledger.rules.errors.execution import BatchReused
from ledger.rules.errors.work import (
    BatchMissing,
    ExcludedWithoutCause,
    ReversesUnknown,
    WorkEarly,
    WorkIncomplete,
    WorkInconsistent,
    WorkLate,
)
from ledger.rules.errors.writing import AlreadyRecorded, TimesContradict, WrongOrder
from ledger.rules.fact import Fact
from ledger.rules.projection import Projection
from ledger.rules.request_state import RequestState, RequestStatus
from ledger.rules.standing import require_bound, require_participation, require_port, require_request

_RUNS = frozenset(
    {
        RequestStatus.ISSUED,
        RequestStatus.ACCEPTED,
        RequestStatus.PARTIAL,
        RequestStatus.SCHEDULED,
        RequestStatus.ACTIVE,
        RequestStatus.SUPERSEDED,
    }
)
_NEVER_RAN = frozenset({RequestStatus.REJECTED, RequestStatus.EXPIRED, RequestStatus.CANCELLED})


class GroupFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The two figures of `WorkProven.group` that the record repeats; the others are the algorithm's own."""

    score_ppm: int
    verdict: str


def service_recorded(seen: Projection, fact: Fact, record: ServiceRecorded) -> None:
    """The port records what a participation did, from its own batches, once; a correction reverses what stands."""
    request = require_request(seen, fact, record.fsr_id)
    require_port(seen, fact, request)
    part = require_bound(request, record.participation)
    if not part.is_over:
        _require_over(request, fact.now_ms)
    if record.dsr_id in request.dsrs:
        raise AlreadyRecorded("the record's id is used", dsr_id=record.dsr_id)
    _require_reverses(part.dsr_id, record.reverses)
    if not record.batch_ids:
        raise BatchMissing("no evidence", expected="at least one batch", participation=record.participation)
    for batch_id in record.batch_ids:
        if batch_id not in part.batch_ids:
            raise BatchMissing("not a batch of this participation", batch_id=batch_id)


def work_proven(seen: Projection, fact: Fact, record: WorkProven) -> None:
    """The port proves a request that is over, with all its participations, once; a correction reverses what stands."""
    request = require_request(seen, fact, record.fsr_id)
    require_port(seen, fact, request)
    _require_over(request, fact.now_ms)
    if request.settlement is not None:
        raise WrongOrder("it is settled", found=RequestStatus.SETTLED)
    last_ms = request.prove_by_ms()
    if request.work is None and last_ms is not None and fact.now_ms >= last_ms:
        raise WorkLate("its contracts gave less time", expected=f"before {last_ms}", found=fact.now_ms)
    if record.pow_id in request.works:
        raise AlreadyRecorded("the proof's id is used", pow_id=record.pow_id)
    _require_reverses(request.work.pow_id if request.work is not None else None, record.reverses)
    _require_inputs(seen, request, record)
    _require_figures(record)
    _require_complete(request, record, fact.now_ms)
    for excluded in record.excluded:
        _require_interval(request, excluded)
        _require_cause(request, excluded, fact.now_ms)


def _require_over(request: RequestState, now_ms: int) -> None:
    status = request.status(now_ms)
    if status in _NEVER_RAN:
        raise WrongOrder("it never ran", found=status, fsr_id=request.fsr_id)
    if status in _RUNS and now_ms < request.issued.end_at_ms:
        raise WorkEarly("it is not over", expected=f"at or after {request.issued.end_at_ms}", found=now_ms)


def _require_reverses(stands: str | None, reverses: str | None) -> None:
    if reverses is not None and reverses != stands:
        raise ReversesUnknown("only what stands is reversed", expected=stands or "nothing", found=reverses)
    if reverses is None and stands is not None:
        raise AlreadyRecorded("a correction reverses what stands", expected=f"reverses {stands}")


def _require_inputs(seen: Projection, request: RequestState, record: WorkProven) -> None:
    if record.check_id not in request.checks:
        raise CheckMissing("not a check of this request", found=record.check_id)
    if request.baseline is None or record.baseline_id != request.baseline.baseline_id:
        wanted = request.baseline.baseline_id if request.baseline is not None else "none was committed"
        raise WorkInconsistent("another baseline than the one that stands", expected=wanted, found=record.baseline_id)
    if len(set(record.batch_ids)) != len(record.batch_ids):
        raise BatchReused("a batch is used twice", expected=len(set(record.batch_ids)), found=len(record.batch_ids))
    for batch_id in record.batch_ids:
        owner = seen.batches.get(batch_id)
        if owner is None:
            raise BatchMissing("the batch was not committed", batch_id=batch_id)
        if owner != record.fsr_id:
            raise BatchReused("the batch is another request's", expected=record.fsr_id, found=owner, batch_id=batch_id)


def _require_figures(record: WorkProven) -> None:
    try:
        figures = canonical.convert(canonical.decode(record.group.encode()), GroupFigures, "group")
    except LedgerError as error:
        raise WorkInconsistent("the group's figures cannot be read", found=error.code) from error
    if (figures.score_ppm, figures.verdict) != (record.score_ppm, record.verdict):
        raise WorkInconsistent(
            "score or verdict is not the group's",
            expected=f"{figures.score_ppm} {figures.verdict}",
            found=f"{record.score_ppm} {record.verdict}",
        )


def _require_complete(request: RequestState, record: WorkProven, now_ms: int) -> None:
    """Each accepted participation is a part, or excluded as a whole; a part may be excluded for an interval."""
    whole = [one.participation for one in record.excluded if not one.end_at_ms]
    named = [*(part.participation for part in record.parts), *whole]
    if len(set(named)) != len(named):
        raise WorkIncomplete("a participation stands twice", expected=len(set(named)), found=len(named))
    missing = set(request.bound()) - set(named)
    if missing:
        raise WorkIncomplete("accepted participations are left out", expected=len(request.bound()), found=len(missing))
    for part in record.parts:
        _require_part(request, record, part, now_ms)


def _require_interval(request: RequestState, excluded: Excluded) -> None:
    start_ms, end_ms = excluded.start_at_ms, excluded.end_at_ms
    window = request.issued
    if (start_ms or end_ms) and not window.start_at_ms <= start_ms < end_ms <= window.end_at_ms:
        raise TimesContradict(
            "an exclusion outside the request",
            expected=f"within {window.start_at_ms} to {window.end_at_ms}",
            participation=excluded.participation,
        )


def _require_part(request: RequestState, record: WorkProven, part: WorkPart, now_ms: int) -> None:
    state = require_bound(request, part.participation)
    if state.is_out(now_ms):
        raise NotAParticipant("it has opted out", expected="excluded", participation=part.participation)
    if part.dsr_id != state.dsr_id:
        raise WorkIncomplete("not the service record that stands", expected=state.dsr_id or "none", found=part.dsr_id)
    left_out = set(request.dsrs[part.dsr_id].batch_ids) - set(record.batch_ids)
    if left_out:
        raise WorkIncomplete("batches of a service record are left out", found=len(left_out), dsr_id=part.dsr_id)


def _require_cause(request: RequestState, excluded: Excluded, now_ms: int) -> None:
    """What the log can show of a reason, it must show."""
    part = require_participation(request, excluded.participation)
    start_ms = excluded.start_at_ms or request.issued.start_at_ms
    end_ms = excluded.end_at_ms or request.issued.end_at_ms
    spread = (request.issued.start_at_ms, starts.starts_at_ms(request.issued, excluded.participation))
    has_cause = {
        ExcludedReason.OPTED_OUT: part.is_out(now_ms),
        ExcludedReason.INELIGIBLE: part.subject.overall is not Status.PASS,
        ExcludedReason.GRID_CODE_OVERRIDE: part.has_noted(ExecutionKind.ALARM),
        ExcludedReason.START_SPREAD: (excluded.start_at_ms, excluded.end_at_ms) == spread,
        ExcludedReason.SUPERSEDED: any(since <= start_ms and end_ms <= until for since, until in part.superseded),
    }
    if not has_cause.get(excluded.reason, True):
        raise ExcludedWithoutCause("not so on record", found=excluded.reason, participation=part.participation)
