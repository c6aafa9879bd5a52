"""What a party may see of a request: its state, derived from the log; never who is behind a participation."""

from typing import TYPE_CHECKING

import msgspec

from ledger.rules.request_state import RequestState

if TYPE_CHECKING:
    from api.flows.service import Service


class Participation(msgspec.Struct, frozen=True, kw_only=True):
    """One participation under its random id."""

    fsr_id: str
    participation: str
    status: str
    offered_w: int
    opt_deadline_ms: int
    start_at_ms: int
    end_at_ms: int


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The proof of work that stands."""

    pow_id: str
    verdict: str
    score_ppm: int
    delivered_wh: int
    group: str


class RequestView(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it stands at one moment."""

    fsr_id: str
    fo: str
    site_id: str
    service: str
    obligation: str
    status: str
    revision: int
    priority: int
    cancelled_because: str | None
    """Who or what cancelled it: the operator's reason, or NO_CREDENTIAL or NO_CONTRACT where timers did."""
    start_at_ms: int
    end_at_ms: int
    participations: tuple[Participation, ...]
    batches: int
    service_records: int
    proof: Proof | None
    refusals: tuple[str, ...]
    """Codes of the attempts that rules refused in this request's stream."""


def view(request: RequestState, at_ms: int) -> RequestView:
    """The request as it stands at `at_ms`."""
    work = request.work
    return RequestView(
        fsr_id=request.fsr_id,
        fo=request.fo,
        site_id=request.issued.site_id,
        service=request.service.value,
        obligation=request.issued.obligation.value,
        status=request.status(at_ms).value,
        revision=request.revision,
        priority=request.issued.priority,
        cancelled_because=request.cancel_reason(at_ms),
        start_at_ms=request.issued.start_at_ms,
        end_at_ms=request.issued.end_at_ms,
        participations=tuple(_participation(request, pid, at_ms) for pid in sorted(request.participations)),
        batches=len(request.batches),
        service_records=len(request.dsrs),
        proof=None
        if work is None
        else Proof(
            pow_id=work.pow_id,
            verdict=work.verdict.value,
            score_ppm=work.score_ppm,
            delivered_wh=work.delivered_wh,
            group=work.group,
        ),
        refusals=tuple(refused.code for refused in request.refusals),
    )


def participations_of(service: "Service", person: str) -> tuple[Participation, ...]:
    """A person's own participations, newest request last."""
    now_ms = service.desk.clock.now_ms()
    found = service.memory.participations_of(person)
    states = [(service.desk.state.request(fsr_id), pid) for fsr_id, pid in found]
    # A revision forgets who was checked for something else, until they are checked again.
    return tuple(_participation(request, pid, now_ms) for request, pid in states if pid in request.participations)


def _participation(request: RequestState, pid: str, at_ms: int) -> Participation:
    part = request.participations[pid]
    return Participation(
        fsr_id=request.fsr_id,
        participation=pid,
        status=part.status(at_ms).value,
        offered_w=part.offer.offered_w if part.offer else 0,
        opt_deadline_ms=request.issued.opt_deadline_ms,
        start_at_ms=request.issued.start_at_ms,
        end_at_ms=request.issued.end_at_ms,
    )
