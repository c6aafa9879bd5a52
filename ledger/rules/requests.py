"""Rules of requests: issued, cancelled, aborted, moved."""

from itertools import pairwise

from ledger.records.actor import Role
from ledger.records.contracts import ServiceTerms
from ledger.records.requests import (
    CancelReason,
    Obligation,
    RequestAborted,
    RequestCancelled,
    RequestIssued,
    RequestRevised,
    SetpointBatch,
)
from ledger.records.services import LimitMandatoryParams, Params, Service, SetpointParams, service_of
from ledger.rules import limits, mandates, orders, series, starts
from ledger.rules.contract_state import ContractState, ContractStatus
from ledger.rules.errors.checks import MagnitudeImplausible
from ledger.rules.errors.contracts import ContractLimit, ContractNotCovering, ContractNotInForce
from ledger.rules.errors.requests import (
    AbortReason,
    CancelLate,
    ContractMissing,
    MandateUnproven,
    RevisionLate,
    RevisionOther,
    SetpointGap,
    SetpointLate,
    SetpointNotAsked,
    SetpointOutside,
    SetpointTooOften,
    StartInPast,
)
from ledger.rules.errors.writing import AlreadyRecorded, TimesContradict, WrongOrder
from ledger.rules.fact import Fact
from ledger.rules.projection import Projection
from ledger.rules.request_state import RequestState, RequestStatus, revised
from ledger.rules.sites import require_site
from ledger.rules.standing import require_open, require_party, require_port, require_request

MS_PER_S = 1000


def request_revised(seen: Projection, fact: Fact, record: RequestRevised) -> None:
    """Its operator asks for something else of the same class, before the answer; the same rules hold as for an issue.

    Who answered, checked or opted meanwhile named the revision that they meant.
    """
    request = require_request(seen, fact, record.fsr_id)
    require_party(fact, request.fo)
    if request.is_mandatory:
        raise RevisionLate("a mandate is not revised", expected="another request", found=Obligation.MANDATORY)
    status = require_open(request, fact.now_ms)
    if request.answer is not None:
        raise RevisionLate("it is answered", expected=RequestStatus.ISSUED, found=status)
    if record.revision != request.revision + 1:
        raise RevisionOther("revisions count up by one", expected=request.revision + 1, found=record.revision)
    if service_of(record.params) is not request.service:
        raise RevisionOther("another class of service", expected=request.service, found=service_of(record.params))
    _require_voluntary(seen, fact, revised(request.issued, record))


def request_issued(seen: Projection, fact: Fact, record: RequestIssued) -> None:
    """A request is issued once; under contracts in force that cover it, or under a verified mandate."""
    if record.fsr_id in seen.requests:
        raise AlreadyRecorded("the request was issued", fsr_id=record.fsr_id)
    _require_window(record)
    if seen.sees_log:
        require_site(seen, record.site_id)
    if record.obligation is Obligation.MANDATORY:
        starts.require_spread(record)
        mandates.require_mandate(fact, record)
        return
    if record.mandate is not None:
        raise MandateUnproven("a voluntary request cannot mandate", expected=Obligation.MANDATORY)
    _require_voluntary(seen, fact, record)


def _require_voluntary(seen: Projection, fact: Fact, record: RequestIssued) -> None:
    _require_window(record)
    if isinstance(record.params, LimitMandatoryParams):
        raise MandateUnproven("a voluntary request cannot mandate", expected=Obligation.MANDATORY)
    if record.start_at_ms <= fact.now_ms:
        raise StartInPast("it starts in the past", expected=f"after {fact.now_ms}", found=record.start_at_ms)
    if max(record.respond_by_ms, record.opt_deadline_ms) > record.start_at_ms:
        raise TimesContradict("a deadline after the start", expected=f"at most {record.start_at_ms}")
    series.require_sound(record)
    starts.require_spread(record)
    _require_contracts(seen, fact, record)


def _require_window(record: RequestIssued) -> None:
    if record.start_at_ms >= record.end_at_ms:
        raise TimesContradict("an empty window", expected="start_at_ms < end_at_ms")


def _require_contracts(seen: Projection, fact: Fact, record: RequestIssued) -> None:
    if not record.fsc_ids:
        raise ContractMissing("a voluntary request names its contracts", expected="at least one")
    if len(set(record.fsc_ids)) != len(record.fsc_ids):
        raise AlreadyRecorded("a contract is named twice", expected=len(set(record.fsc_ids)))
    if not seen.sees_log:
        return
    allowed_w = tolerated_w = 0
    for name in record.fsc_ids:
        contract = seen.contracts.get(name)
        require_in_force(contract, name, fact.now_ms)
        assert contract is not None  # noqa: S101 -- required above
        require_party(fact, contract.fo)
        terms = require_terms(contract, record.params, record.site_id, fact.now_ms)
        limits.require_notice(terms, record, fact.now_ms, name)
        limits.require_room(seen, name, terms, record)
        allowed_w += terms.max_w
        tolerated_w = max(tolerated_w, terms.tolerance_w)
    ordered_w = orders.ordered_w(record.params)
    if ordered_w is not None and ordered_w <= tolerated_w:
        raise MagnitudeImplausible(
            "no more than its contracts tolerate", expected=f"more than {tolerated_w} W", found=f"{ordered_w} W"
        )
    if ordered_w is not None and ordered_w > allowed_w:
        raise ContractLimit("more than the contracts allow", expected=f"at most {allowed_w} W", found=f"{ordered_w} W")


def require_in_force(contract: ContractState | None, fsc_id: str, at_ms: int) -> None:
    """Raises `ContractNotInForce` unless both parties signed the contract and it holds at that time."""
    status = contract.status(at_ms) if contract is not None else None
    if status is not ContractStatus.ACTIVE:
        raise ContractNotInForce(
            "the contract is not in force", expected=ContractStatus.ACTIVE, found=status or "absent", fsc_id=fsc_id
        )


def require_terms(contract: ContractState, params: Params, site_id: str, at_ms: int) -> ServiceTerms:
    """The terms that the contract has for what is asked; raises `ContractNotCovering`."""
    service = service_of(params)
    signed = contract.signed(at_ms)
    if signed is None or signed.record.site_id != site_id:
        raise ContractNotCovering("the contract is for another site", expected=site_id, fsc_id=contract.fsc_id)
    terms = contract.terms(service, at_ms, orders.direction(params))
    if terms is None:
        raise ContractNotCovering("no terms for this class and direction", expected=service, fsc_id=contract.fsc_id)
    return terms


def request_cancelled(seen: Projection, fact: Fact, record: RequestCancelled) -> None:
    """Its flexibility operator cancels a request before it starts, with the notice that its contracts ask for."""
    request = require_request(seen, fact, record.fsr_id)
    require_party(fact, request.fo)
    if fact.now_ms >= request.issued.start_at_ms or request.has_started:
        raise CancelLate("it has started", expected=f"before {request.issued.start_at_ms}", found=fact.now_ms)
    require_open(request, fact.now_ms)
    if request.is_accepted and not request.is_mandatory:
        _require_notice(request, fact.now_ms)


def _require_notice(request: RequestState, now_ms: int) -> None:
    notice_ms = MS_PER_S * max((terms.cancel_notice_s for terms in request.terms()), default=0)
    last_ms = request.issued.start_at_ms - notice_ms
    if now_ms > last_ms:
        raise CancelLate("its contracts ask for more notice", expected=f"at most {last_ms}", found=now_ms)


def request_aborted(seen: Projection, fact: Fact, record: RequestAborted) -> None:
    """A running request is aborted by its flexibility operator, or by the port for a reason of its own."""
    request = require_request(seen, fact, record.fsr_id)
    if fact.actor.role is Role.FO:
        require_party(fact, request.fo)
    else:
        require_port(seen, fact, request)
        if record.reason is CancelReason.NO_LONGER_NEEDED:
            raise AbortReason("not the port's reason", expected="another reason", found=record.reason)
    status = request.status(fact.now_ms)
    if status not in (RequestStatus.ACTIVE, RequestStatus.SUPERSEDED):
        raise WrongOrder("only what runs is aborted", expected=RequestStatus.ACTIVE, found=status)


def setpoints_moved(seen: Projection, fact: Fact, record: SetpointBatch) -> None:
    """The flexibility operator moves the setpoint of an accepted request, batch after batch, inside its window."""
    request = require_request(seen, fact, record.fsr_id)
    require_party(fact, request.fo)
    if not isinstance(request.issued.params, SetpointParams):
        raise SetpointNotAsked("no moving setpoint", expected=Service.SETPOINT, found=request.service)
    require_open(request, fact.now_ms)
    if not request.is_accepted:
        raise WrongOrder("it is not accepted", found=request.status(fact.now_ms))
    wanted = len(request.setpoints) + 1
    if record.batch != wanted:
        raise SetpointGap("batches count up by one", expected=wanted, found=record.batch)
    _require_moves(request, record, request.issued.params, fact.now_ms)


def _require_moves(request: RequestState, record: SetpointBatch, params: SetpointParams, now_ms: int) -> None:
    last_ms = request.issued.start_at_ms - 1
    if record.steps[0].at_ms < now_ms:
        raise SetpointLate("it lies in the past", expected=f"at or after {now_ms}", found=record.steps[0].at_ms)
    for before, after in pairwise(record.steps):
        if 0 < after.at_ms - before.at_ms < params.update_interval_s * MS_PER_S:
            raise SetpointTooOften(
                "it moves too often",
                expected=f"{params.update_interval_s * MS_PER_S} ms apart",
                found=f"{after.at_ms - before.at_ms} ms",
            )
    for step in record.steps:
        if not last_ms < step.at_ms < request.issued.end_at_ms:
            raise SetpointOutside(
                "outside the window or out of order",
                expected=f"after {last_ms}, before {request.issued.end_at_ms}",
                found=step.at_ms,
            )
        last_ms = step.at_ms
