"""Rules of opting: whose right, until when, how often, and the two grounds on which it is refused."""

from ledger.records.actor import Role
from ledger.records.opt import Choice, OptActor, OptDecided, OptOrigin
from ledger.records.parties import Scope
from ledger.rules import delegations, persons, schedules
from ledger.rules.errors.opting import OptLate, OptLimit, OptMandatory, OptNoStanding
from ledger.rules.fact import Fact
from ledger.rules.participation_state import ParticipationState
from ledger.rules.projection import Projection
from ledger.rules.request_state import RequestState
from ledger.rules.standing import (
    require_open,
    require_participation,
    require_request,
    require_revision,
    right_holders,
)


def opt_decided(seen: Projection, fact: Fact, record: OptDecided) -> None:
    """Who has the right opts a voluntary participation in or out before the deadline, within the contract's limit.

    While it executes they may still leave; that is no opt-out in time, and counts against the limit like one.
    """
    request = require_request(seen, fact, record.fsr_id)
    require_revision(request, record.revision)
    part = require_participation(request, record.participation)
    if record.origin is OptOrigin.SCHEDULED:
        schedules.require_followed(seen, fact, request, part, record)
    else:
        _require_standing(seen, fact, request, part, record)
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


def _require_standing(
    seen: Projection, fact: Fact, request: RequestState, part: ParticipationState, record: OptDecided
) -> None:
    """The right is the writer's own, or that of somebody who delegated it."""
    if record.actor is OptActor.EVU:
        _require_user(seen, fact, part, record)
        return
    role = Role.CSO if record.actor is OptActor.CSO else Role.CSP
    if not record.by_delegate and fact.actor.role is not role:
        raise OptNoStanding(f"the {role}'s right", expected=role, found=fact.actor.role)
    if not seen.sees_log:
        return
    holders = right_holders(seen, request, part, record.actor)
    if record.by_delegate:
        if not any(delegations.has(seen, Scope.OPT, holder, fact.actor.party, fact.now_ms) for holder in holders):
            raise OptNoStanding("no delegation of whoever has the right", found=fact.actor.party)
    elif not any(fact.speaks_for(holder) for holder in holders):
        raise OptNoStanding(
            "not an EVSE or a contract holder of this party",
            expected=" or ".join(sorted(holders)) or "nobody has it",
            found=fact.actor.party,
        )


def _require_user(seen: Projection, fact: Fact, part: ParticipationState, record: OptDecided) -> None:
    """The EV user's own words, or a delegate's: whose session it is, blind tags tell."""
    if part.evse_tag is not None and part.person_tag is None:
        raise OptNoStanding("it is nobody's session", participation=part.participation)
    if record.by_delegate:
        delegations.require_person(seen, fact, part.person_tag, fact.actor.party, Scope.OPT)
        return
    persons.require_decision(fact, record)
    delegations.require_person(seen, fact, part.person_tag, fact.tags.get("person"), Scope.OPT)


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
