"""Rules of commitments: a baseline before anything executes, samples after it started, each used once."""

from ledger.records.contracts import BaselineMethod
from ledger.records.evidence import BaselineCommitted, SamplesCommitted
from ledger.rules import orders
from ledger.rules.errors.execution import (
    BaselineLate,
    BaselineLength,
    BaselineMethodOther,
    BaselineParticipants,
    BatchGap,
    BatchReused,
    NotStarted,
)
from ledger.rules.errors.writing import AlreadyRecorded, WrongOrder
from ledger.rules.fact import Fact
from ledger.rules.projection import Projection
from ledger.rules.request_state import RequestState
from ledger.rules.standing import require_bound, require_disclosed, require_open, require_port, require_request


def baseline_committed(seen: Projection, fact: Fact, record: BaselineCommitted) -> None:
    """The port commits the contract's baseline for those who take part, before the start and before any execution.

    A second one is admitted only where somebody opted out or in since: then others take part.
    """
    request = require_request(seen, fact, record.fsr_id)
    require_port(seen, fact, request)
    require_open(request, fact.now_ms)
    if not request.bound():
        raise WrongOrder("nobody takes part yet", found=request.status(fact.now_ms), fsr_id=record.fsr_id)
    if record.baseline_id in request.baselines:
        raise AlreadyRecorded("the baseline is committed", baseline_id=record.baseline_id)
    if request.executions:
        raise BaselineLate("something executed before it", expected="before the first execution entry")
    if not request.is_mandatory and fact.now_ms >= request.issued.start_at_ms:
        raise BaselineLate("it has started", expected=f"before {request.issued.start_at_ms}", found=fact.now_ms)
    if request.baseline is not None and set(request.baseline.participants) == set(record.participants):
        raise AlreadyRecorded("a baseline for these is committed", expected=request.baseline.baseline_id)
    _require_participants(request, record, fact.now_ms)
    _require_method(request, record)
    wanted = orders.periods(request.issued)
    if wanted is not None and len(record.baseline_w) != wanted:
        raise BaselineLength("not one value for each period", expected=wanted, found=len(record.baseline_w))


def _require_participants(request: RequestState, record: BaselineCommitted, now_ms: int) -> None:
    wanted, found = request.taking_part(now_ms), set(record.participants)
    if len(found) != len(record.participants) or found != wanted:
        raise BaselineParticipants(
            f"{len(wanted - found)} are missing, {len(found - wanted)} do not take part",
            expected=len(wanted),
            found=len(record.participants),
        )


def _require_method(request: RequestState, record: BaselineCommitted) -> None:
    """The method of a contract of the request, as it was signed when the request was issued."""
    allowed = {BaselineMethod.LIMIT} if request.is_mandatory else set()
    if not request.is_mandatory:
        asked = orders.direction(request.issued.params)
        for name in request.issued.fsc_ids:
            contract = request.contracts.get(name)
            terms = contract.terms(request.service, request.issued_at_ms, asked) if contract is not None else None
            if terms is not None:
                allowed.add(terms.baseline)
    if allowed and record.method not in allowed:
        raise BaselineMethodOther("another method", expected=" or ".join(sorted(allowed)), found=record.method)


def samples_committed(seen: Projection, fact: Fact, record: SamplesCommitted) -> None:
    """The port commits the samples of a participation that started; no batch and no root comes twice, anywhere."""
    request = require_request(seen, fact, record.fsr_id)
    require_port(seen, fact, request)
    part = require_bound(request, record.participation)
    if not part.has_started:
        raise NotStarted("it has not started", expected="STARTED", participation=record.participation)
    if record.batch_id in seen.batches:
        raise BatchReused("the batch was committed before", batch_id=record.batch_id)
    require_disclosed(seen, fact, request.issued.site_id, "root")
    if fact.tags.get("root") in seen.roots:
        raise BatchReused("samples with this root were committed before", batch_id=record.batch_id)
    wanted = len(part.batch_ids) + 1
    if record.seq != wanted:
        raise BatchGap("batches count up by one", expected=wanted, found=record.seq, participation=record.participation)
