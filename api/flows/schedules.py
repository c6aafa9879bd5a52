"""What somebody said they would want of requests to come becomes their decision, once a check finds them in one."""

import secrets

from api.flows.desk import Desk
from api.flows.memory import Memory
from ledger.records.credentials import CheckedSubject, CheckRecorded
from ledger.records.opt import OptActor, OptDecided, OptOrigin, OptScheduled
from ledger.rules.errors.violated import RuleViolated
from ledger.rules.request_state import RequestState
from ledger.rules.standing import providers


async def follow(desk: Desk, memory: Memory, checked: CheckRecorded) -> None:
    """Every schedule that speaks of a checked participation is a decision on record, where nothing else was decided.

    A mandate leaves nothing to decide. What a rule refuses, say for the limit of opt-outs, stays a refusal entry.
    """
    request = desk.state.request(checked.fsr_id)
    now_ms = desk.clock.now_ms()
    if request.is_mandatory or now_ms >= request.issued.opt_deadline_ms:
        return
    for subject in checked.subjects:
        for found in _schedules(desk, memory, request, subject):
            part = request.participations[subject.participation]
            if found.actor in part.choices:
                continue
            decided = OptDecided(
                opt_id=f"opt-{secrets.token_hex(8)}",
                fsr_id=request.fsr_id,
                revision=request.revision,
                participation=subject.participation,
                actor=found.actor,
                choice=found.choice,
                origin=OptOrigin.SCHEDULED,
            )
            try:
                await desk.say(decided, f"fsr/{request.fsr_id}")
            except RuleViolated:
                continue  # It is on record as refused.


def _schedules(desk: Desk, memory: Memory, request: RequestState, subject: CheckedSubject) -> list[OptScheduled]:
    """The schedules of everybody who has a right in the participation."""
    if not isinstance(subject.evse_id, str):
        return []
    holders = [(desk.state.site(request.issued.site_id).cso, OptActor.CSO)]
    holders += [(one, OptActor.CSP) for c in request.contracts_for(subject.participation) for one in providers(c)]
    if isinstance(subject.evu, str):
        holders.append((subject.evu, OptActor.EVU))
    window = (request.issued.start_at_ms, request.issued.end_at_ms)
    found = [memory.rights.scheduled(holder, actor, subject.evse_id, window) for holder, actor in holders]
    return [one for one in found if one is not None]
