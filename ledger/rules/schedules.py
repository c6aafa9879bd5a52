"""Rules of schedules: what somebody wants of requests to come, and the decisions that follow from it."""

from ledger.records.actor import Role
from ledger.records.opt import OptActor, OptDecided, OptScheduled, OptScheduleEnded
from ledger.records.parties import Scope
from ledger.rules import delegations, persons
from ledger.rules.errors.opting import OptUnscheduled
from ledger.rules.errors.writing import AlreadyRecorded, WrongOrder, WrongParty
from ledger.rules.fact import Fact
from ledger.rules.participation_state import ParticipationState
from ledger.rules.projection import Projection
from ledger.rules.request_state import RequestState
from ledger.rules.standing import require_party, require_port, right_holders


def opt_scheduled(seen: Projection, fact: Fact, record: OptScheduled) -> None:
    """An organisation schedules its own right; a person's words are relayed."""
    if record.schedule_id in seen.schedules:
        raise AlreadyRecorded("the schedule is on record", schedule_id=record.schedule_id)
    if record.actor is OptActor.EVU:
        if isinstance(record.party, str):
            raise WrongParty("a person is named in clear", expected="a digest")
        persons.require_words(fact, record, "schedule_id", "actor", "choice")
        return
    role = Role.CSO if record.actor is OptActor.CSO else Role.CSP
    if fact.actor.role is not role or not isinstance(record.party, str):
        raise WrongParty("not this party's right", expected=role, found=fact.actor.role)
    require_party(fact, record.party)


def schedule_ended(seen: Projection, fact: Fact, record: OptScheduleEnded) -> None:
    """Whose schedule it is ends it, once."""
    known = seen.schedules.get(record.schedule_id)
    if known is None or known.is_ended:
        raise WrongOrder("there is no such schedule in force", schedule_id=record.schedule_id)
    if known.record.actor is not OptActor.EVU:
        require_party(fact, str(known.record.party))
        return
    persons.require_words(fact, record, "schedule_id")
    delegations.require_person(seen, fact, known.holder, fact.tags.get("person"), Scope.OPT)


def require_followed(
    seen: Projection, fact: Fact, request: RequestState, part: ParticipationState, record: OptDecided
) -> None:
    """Raises `OptUnscheduled` unless the port states what a schedule of that actor says, and nothing was decided yet.

    When a schedule holds is personal: that the time fits is what the port answers for.
    """
    require_port(seen, fact, request)
    if record.actor in part.choices:
        raise OptUnscheduled("the actor decided already", participation=part.participation)
    if not seen.sees_log or (record.actor is OptActor.EVU and part.evse_tag is None):
        return
    holders = right_holders(seen, request, part, record.actor)
    for known in (one for holder in holders for one in seen.scheduled_by(holder)):
        if known.record.actor is record.actor and known.record.choice is record.choice and not known.is_ended:
            return
    raise OptUnscheduled("no schedule of this actor says so", found=record.choice, participation=part.participation)
