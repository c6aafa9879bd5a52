"""Rules of answers: what the port may accept, and never twice."""

from ledger.records.credentials import CheckRecorded, Status
from ledger.records.requests import Answer, Offer, RejectReason, RequestAnswered
from ledger.rules import limits, orders
from ledger.rules.errors.answers import AnswerInconsistent, OptedOutOffer, RejectReasonRefused, ResponseLate
from ledger.rules.errors.checks import CheckExpired, CheckMissing, CheckNotPassed, NotAParticipant
from ledger.rules.errors.contracts import ContractLimit, ContractNotCovering
from ledger.rules.errors.writing import WrongOrder
from ledger.rules.fact import Fact
from ledger.rules.projection import Projection
from ledger.rules.request_state import RequestState, RequestStatus
from ledger.rules.standing import (
    require_disclosed,
    require_open,
    require_participation,
    require_port,
    require_request,
    require_revision,
)

MANDATE_REJECTS = frozenset({RejectReason.MANDATE_UNPROVEN, RejectReason.NOT_APPLICABLE, RejectReason.INABILITY})
"""The only reasons on which a mandatory request is rejected."""


def request_answered(seen: Projection, fact: Fact, record: RequestAnswered) -> None:
    """The port answers once, in time; what it accepts has passed a check that still is valid, is in, and is free."""
    request = require_request(seen, fact, record.fsr_id)
    require_port(seen, fact, request)
    _require_time(request, fact.now_ms)
    require_revision(request, record.revision)
    if record.answer is Answer.REJECTED:
        _require_rejection(request, record)
        return
    if record.reason is not None:
        raise AnswerInconsistent("an acceptance has no reason", found=record.reason)
    check = _require_check(request, record, fact.now_ms)
    for offer in record.offers:
        _require_offer(request, check, offer, fact.now_ms)
    _require_sums(request, record)
    if not request.is_mandatory:
        _require_contracts(seen, request, record, fact.now_ms)
        _require_free(seen, fact, request, record)


def _require_time(request: RequestState, now_ms: int) -> None:
    if request.answer is not None:
        raise WrongOrder("it is answered", found=request.answer.answer)
    if request.status(now_ms) is RequestStatus.EXPIRED:
        raise ResponseLate("too late", expected=f"before {request.issued.respond_by_ms}", found=now_ms)
    require_open(request, now_ms)
    if now_ms >= request.issued.end_at_ms:
        raise ResponseLate("the request is over", expected=f"before {request.issued.end_at_ms}", found=now_ms)


def _require_rejection(request: RequestState, record: RequestAnswered) -> None:
    if record.reason is None or record.offers:
        raise AnswerInconsistent("a rejection has a reason and no offers", expected="reason, no offers")
    if request.is_mandatory and record.reason not in MANDATE_REJECTS:
        raise RejectReasonRefused(
            "not a reason to reject a mandate", expected=" or ".join(sorted(MANDATE_REJECTS)), found=record.reason
        )


def _require_check(request: RequestState, record: RequestAnswered, now_ms: int) -> CheckRecorded:
    check = request.checks.get(record.check_id) if record.check_id is not None else None
    if check is None:
        raise CheckMissing("an acceptance rests on a check", expected="a check of this request")
    if check.overall is not Status.PASS:
        raise CheckNotPassed("the check did not pass", expected=Status.PASS, found=check.overall)
    if now_ms >= check.valid_until_ms:
        raise CheckExpired("the check has run out", expected=f"before {check.valid_until_ms}", found=now_ms)
    return check


def _require_offer(request: RequestState, check: CheckRecorded, offer: Offer, now_ms: int) -> None:
    part = require_participation(request, offer.participation)
    verdicts = [subject.overall for subject in check.subjects if subject.participation == offer.participation]
    if not verdicts:
        raise NotAParticipant("this check does not cover it", participation=offer.participation)
    if verdicts[0] is not Status.PASS or not part.has_passed:
        raise CheckNotPassed("it did not pass", expected=Status.PASS, participation=offer.participation)
    if part.is_out(now_ms):
        raise OptedOutOffer("it has opted out", participation=offer.participation)


def _require_sums(request: RequestState, record: RequestAnswered) -> None:
    offered = {offer.participation for offer in record.offers}
    if len(offered) != len(record.offers):
        raise AnswerInconsistent("a participation is offered twice", expected=len(offered), found=len(record.offers))
    total_w = sum(offer.offered_w for offer in record.offers)
    total_var = sum(offer.offered_var for offer in record.offers)
    is_reactive = orders.is_reactive(request.issued.params)
    if total_w if is_reactive else total_var:
        raise AnswerInconsistent(
            "an offer in the unit of another class",
            expected="0 W" if is_reactive else "0 var",
            found=f"{total_w} W, {total_var} var",
        )
    total, unit = (total_var, "var") if is_reactive else (total_w, "W")
    if not offered or (total == 0 and not request.is_mandatory):
        raise AnswerInconsistent("an acceptance offers something", expected=f"more than 0 {unit}", found=f"0 {unit}")
    ordered_w = orders.ordered_w(request.issued.params) or 0
    wanted = Answer.ACCEPTED
    if offered != set(request.participations) or total_w < ordered_w:
        wanted = Answer.PARTIAL
    if record.answer is not wanted:
        raise AnswerInconsistent(
            f"{len(offered)} of {len(request.participations)} offered, {total_w} of {ordered_w} W",
            expected=wanted,
            found=record.answer,
        )


def _require_contracts(seen: Projection, request: RequestState, record: RequestAnswered, now_ms: int) -> None:
    """Each offer stands under a contract of the request, and no contract gives more than its terms."""
    is_reactive = orders.is_reactive(request.issued.params)
    under: dict[str, int] = {}
    for offer in record.offers:
        if isinstance(offer.fsc_id, str):
            if offer.fsc_id not in request.issued.fsc_ids:
                raise ContractNotCovering("not a contract of the request", participation=offer.participation)
            offered = offer.offered_var if is_reactive else offer.offered_w
            under[offer.fsc_id] = under.get(offer.fsc_id, 0) + offered
    for fsc_id in under or request.issued.fsc_ids:
        _require_room(seen, request, fsc_id)
    for fsc_id, offered in under.items():
        contract = seen.contracts.get(fsc_id)
        terms = contract.terms(request.service, now_ms, orders.direction(request.issued.params)) if contract else None
        if terms is None:
            continue
        most, unit = (terms.max_var, "var") if is_reactive else (terms.max_w, "W")
        if offered > most:
            raise ContractLimit(
                "more than the contract allows",
                expected=f"at most {most} {unit}",
                found=f"{offered} {unit}",
                fsc_id=fsc_id,
            )


def _require_room(seen: Projection, request: RequestState, fsc_id: str) -> None:
    """The terms as they were when the request was issued still allow it: others may have been accepted meanwhile."""
    contract = seen.contracts.get(fsc_id)
    asked = orders.direction(request.issued.params)
    terms = contract.terms(request.service, request.issued_at_ms, asked) if contract is not None else None
    if terms is not None and seen.sees_log:
        limits.require_room(seen, fsc_id, terms, request.issued)


def _require_free(seen: Projection, fact: Fact, request: RequestState, record: RequestAnswered) -> None:
    """No EVSE is sold twice, as far as tags tell which EVSE is meant."""
    site_id = request.issued.site_id
    if not seen.sees_log or not seen.capacity.knows_site(site_id):
        return
    for offer in record.offers:
        require_disclosed(seen, fact, site_id, offer.participation)
    bookings = seen.bookings(fact, record)
    for booking in bookings:
        seen.capacity.require_at_site(booking.tag, site_id, booking.holder[1])
    seen.capacity.require_free(bookings)
