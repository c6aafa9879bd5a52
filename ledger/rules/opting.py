"""Rules of opting: whose right, until when, how often, and the two grounds on which it is refused."""

from ledger.records.actor import Role
from ledger.records.opt import Choice, OptActor, OptDecided
from ledger.rules import persons
from ledger.rules.errors import OptLate, OptLimit, OptMandatory, OptNoStanding
from ledger.rules.fact import Fact
from ledger.rules.participation_state import ParticipationState
from ledger.rules.projection import Projection
from ledger.rules.request_state import RequestState
from ledger.rules.standing import (
    providers,
    require_open,
    require_participation,
    require_request,
    require_revision,
)


def opt_decided(seen: Projection, fact: Fact, record: OptDecided) -> None:
    """Who has the right opts a voluntary participation in or out before the deadline, within the contract's limit.

    While it executes they may still leave; that is no opt-out in time, and counts against the limit like one.
    """
    request = require_request(seen, fact, record.fsr_id)
    require_revision(request, record.revision)
    part = require_participation(request, record.participation)
    _require_standing(seen, fact, request, record)
    if request.is_mandatory:
        mandate = request.issued.mandate
        ground = mandate.ground if mandate is not None else "unknown"
        raise OptMandatory("the mandate is verified", found=ground, ground=ground, participation=record.participation)
    require_open(request, fact.now_ms)
    if part.would_leave(record):
        _require_within_limit(request, part)
        return
    if fact.now_ms >= request.issued.opt_deadline_ms:
        raise OptLate("too late", expected=f"before {request.issued.opt_deadline_ms}", participation=part.participation)
    if record.choice is Choice.OUT:
        _require_within_limit(request, part)
    elif part.has_decided_out():
        _require_still_free(seen, record)


def _require_standing(seen: Projection, fact: Fact, request: RequestState, record: OptDecided) -> None:
    role = fact.actor.role
    if record.actor is OptActor.EVU:
        persons.require_decision(fact, record)
    elif record.actor is OptActor.CSO:
        site = seen.sites.get(request.issued.site_id)
        if role is not Role.CSO:
            raise OptNoStanding("the CSO's right", expected=Role.CSO, found=role)
        if site is not None and not fact.speaks_for(site.cso):
            raise OptNoStanding("not an EVSE of this CSO", expected=site.cso, found=fact.actor.party)
    else:
        if role is not Role.CSP:
            raise OptNoStanding("the CSP's right", expected=Role.CSP, found=role)
        _require_provider(seen, fact, request, record)


def _require_provider(seen: Projection, fact: Fact, request: RequestState, record: OptDecided) -> None:
    """The CSP has, or relayed, the contract under which the participation stands; of an operator's nobody has."""
    if not seen.sees_log:
        return
    allowed: set[str] = set()
    for contract in request.contracts_for(record.participation):
        allowed |= providers(contract)
    if not any(fact.speaks_for(party) for party in allowed):
        raise OptNoStanding(
            "not a contract holder of this CSP",
            expected=" or ".join(sorted(allowed)) or "a CSP of the contract",
            found=fact.actor.party,
        )


def _require_within_limit(request: RequestState, part: ParticipationState) -> None:
    contract = request.contract_of(part.participation)
    policy = request.opt_policy(contract) if contract is not None else None
    if contract is None or policy is None:
        return
    count = len(contract.out - {(request.fsr_id, part.participation)})
    if count >= policy.max_opt_outs:
        raise OptLimit(
            "all are used", expected=f"at most {policy.max_opt_outs}", found=count + 1, fsc_id=contract.fsc_id
        )


def _require_still_free(seen: Projection, record: OptDecided) -> None:
    """Coming back in after the answer takes the same capacity again, if nobody else took it meanwhile."""
    booking = seen.capacity.withdrawn((record.fsr_id, record.participation))
    if booking is not None:
        seen.capacity.require_free((booking,))
