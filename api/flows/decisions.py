"""What a party may see of opt decisions: choices under random ids; why and exactly when stays with the person."""

import msgspec

from api.flows.desk import Desk
from api.flows.errors import NotConcerned
from api.flows.memory import Memory
from api.flows.standing import require_concerned
from api.principals import Principal
from ledger.records.opt import Choice, OptActor, OptDecided
from ledger.rules.errors.absent import RequestAbsent
from ledger.rules.request_state import RequestState
from pki.roles import Role


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One decision about one participation."""

    opt_id: str
    participation: str
    actor: OptActor
    """Whose right was exercised."""
    said_by: str
    """The organisation that signed it for the log; a person's own words are in the vault."""
    choice: Choice
    recorded_at_ms: int
    """Coarse, in steps of a quarter of an hour."""


def decisions_of(desk: Desk, memory: Memory, fsr_id: str, principal: Principal) -> list[Decision]:
    """The decisions in the order in which they were recorded; raises `NotConcerned`."""
    request, seen = _seen(desk, memory, fsr_id, principal)
    return [
        Decision(
            opt_id=record.opt_id,
            participation=record.participation,
            actor=record.actor,
            said_by=actor.party,
            choice=record.choice,
            recorded_at_ms=at_ms,
        )
        for record, actor, at_ms in request.history
        if isinstance(record, OptDecided) and record.participation in seen
    ]


def _seen(desk: Desk, memory: Memory, fsr_id: str, principal: Principal) -> tuple[RequestState, set[str]]:
    """The request, and the participations whose decisions the caller sees: a person its own, others all."""
    if principal.role is not Role.EVU:
        request = require_concerned(desk, fsr_id, principal)
        return request, set(request.participations)
    own = memory.own_in(fsr_id, principal.party)
    try:
        request = desk.state.request(fsr_id)
    except RequestAbsent:
        own = set()
    if not own:
        raise NotConcerned("no such request of yours")
    return desk.state.request(fsr_id), own
