"""Rules of agreement, dispute and settlement."""

from ledger.records.actor import Role
from ledger.records.work import CounterResult, DisputeResolved, Resolution, Settled, WorkCountered, WorkProven
from ledger.rules.errors.work import CounterLate, DisputeReasonMissing, SettlementSum
from ledger.rules.errors.writing import AlreadyRecorded, WrongOrder
from ledger.rules.fact import Fact
from ledger.rules.projection import Projection
from ledger.rules.request_state import RequestState, RequestStatus
from ledger.rules.standing import require_party, require_port, require_request


def work_countered(seen: Projection, fact: Fact, record: WorkCountered) -> None:
    """The flexibility operator answers the proof that stands, once."""
    request = require_request(seen, fact, record.fsr_id)
    require_party(fact, request.fo)
    proof = _require_standing_proof(request, record.pow_id)
    if record.pow_id in request.counters:
        raise AlreadyRecorded("the proof is answered", pow_id=record.pow_id)
    is_dispute = record.result is CounterResult.DISPUTED
    last_ms = request.dispute_by_ms()
    if is_dispute and last_ms is not None and fact.now_ms >= last_ms:
        raise CounterLate("silence has agreed", expected=f"before {last_ms}", found=fact.now_ms, pow_id=record.pow_id)
    if is_dispute != (record.reason is not None) or (record.contested and not is_dispute):
        raise DisputeReasonMissing("a reason belongs to a dispute, and to nothing else", found=record.result)
    if not set(record.contested) <= {part.participation for part in proof.parts}:
        raise DisputeReasonMissing("parts are contested that the proof does not have", expected="parts of the proof")


def dispute_resolved(seen: Projection, fact: Fact, record: DisputeResolved) -> None:
    """Either side, or an auditor, states how a dispute ends, until it has ended."""
    request = require_request(seen, fact, record.fsr_id)
    if fact.actor.role is Role.FO:
        require_party(fact, request.fo)
    elif fact.actor.role is not Role.AUD:
        require_port(seen, fact, request)
    _require_standing_proof(request, record.pow_id)
    status = request.status(fact.now_ms)
    if status is not RequestStatus.DISPUTED:
        raise WrongOrder("there is no open dispute", expected=RequestStatus.DISPUTED, found=status)


def settled(seen: Projection, fact: Fact, record: Settled) -> None:
    """The flexibility operator settles the proof that stands, agreed or with its dispute dismissed; the sum fits."""
    request = require_request(seen, fact, record.fsr_id)
    require_party(fact, request.fo)
    _require_standing_proof(request, record.pow_id)
    status = request.status(fact.now_ms)
    if status not in (RequestStatus.AGREED, RequestStatus.RESOLVED):
        raise WrongOrder("nothing is agreed", expected="AGREED or RESOLVED", found=status)
    if status is RequestStatus.RESOLVED and request.resolution(record.pow_id) is Resolution.UPHELD:
        raise WrongOrder("the dispute was upheld: a new proof comes first", expected="a proof that reverses this one")
    net_micro = sum(line.pay_micro - line.penalty_micro + line.availability_micro for line in record.lines)
    if net_micro != record.net_micro:
        raise SettlementSum("pay and availability less penalty", expected=net_micro, found=record.net_micro)


def _require_standing_proof(request: RequestState, pow_id: str) -> WorkProven:
    proof = request.work
    if proof is None or proof.pow_id != pow_id:
        stands = proof.pow_id if proof is not None else "none"
        raise WrongOrder("not the proof that stands", expected=stands, found=pow_id, fsr_id=request.fsr_id)
    return proof
