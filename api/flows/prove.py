"""Make the proof of work of an ended request from the evidence in the vault, and write it down.

Proof of work is proof of flexibility delivered; it is not mining. Whoever holds the bundle computes the same figures.
"""

import secrets

from api import wire
from api.flows.desk import Desk
from api.flows.errors import NothingToProve
from api.flows.memory import Memory
from api.verification import work
from api.verification.work import Share, exclusions_of, participants_of, terms_of
from ledger.records.record import Part
from ledger.records.work import Excluded, ExcludedReason, Verdict, WorkPart, WorkProven
from ledger.rules.request_state import RequestState


async def prove(desk: Desk, memory: Memory, fsr_id: str) -> wire.Accepted:
    """The proof stands in the log; a later one reverses the one before. Raises `NothingToProve` before the end."""
    request = desk.state.request(fsr_id)
    if not request.batches or request.check is None or request.baseline is None:
        raise NothingToProve("no evidence was recorded yet", expected="sample batches after the end")
    shares = shares_of(desk, memory, request)
    exclusions = exclusions_of(request, shares)
    stored = desk.engines.store.evidence(request.baseline.inputs_sha256)
    if stored is None:
        raise NothingToProve("the inputs of the committed baseline are missing")
    computed = work.compute(
        request.issued,
        terms_of(request),
        work.read_baseline(stored[1]),
        shares,
        exclusions,
        request.setpoints,
    )
    batches = [
        batch.batch_id for batch in request.batches.values() if batch.participation in {s.participation for s in shares}
    ]
    proven = WorkProven(
        pow_id=f"pow-{secrets.token_hex(8)}",
        fsr_id=fsr_id,
        check_id=request.check.check_id,
        baseline_id=request.baseline.baseline_id,
        algorithm=computed.result.algorithm,
        batch_ids=tuple(sorted(batches)),
        group=computed.group,
        score_ppm=computed.result.score_ppm,
        verdict=Verdict(computed.result.verdict.value),
        delivered_wh=computed.delivered_wh,
        excluded=tuple(
            Excluded(
                participation=one.participation_id,
                reason=ExcludedReason(one.reason.value),
                start_at_ms=one.start_at_ms,
                end_at_ms=one.end_at_ms,
            )
            for one in computed.result.excluded
        ),
        parts=tuple(
            WorkPart(
                participation=share.participation,
                dsr_id=str(request.participations[share.participation].dsr_id),
                result=computed.parts[share.participation],
            )
            for share in shares
            if share.participation in computed.parts and request.participations[share.participation].dsr_id
        ),
        reverses=request.work.pow_id if request.work else None,
    )

    def subject_of(part: Part, _name: str) -> str | None:
        return memory.person_of(part.participation) if isinstance(part, WorkPart) else None

    return await desk.say(proven, f"fsr/{fsr_id}", subject_of=subject_of)


def shares_of(desk: Desk, memory: Memory, request: RequestState) -> list[Share]:
    """Every participation that was bound, in order of its id, with its sample bodies from the vault."""
    found = []
    for pid in participants_of(request):
        part = request.participations[pid]
        digests = [memory.body_of(batch_id) for batch_id in part.batch_ids]
        bodies = tuple(desk.engines.vault.attachment(sha256) for sha256 in digests if sha256 is not None)
        offered_w = part.offer.offered_w if part.offer else part.subject.amount_w
        found.append(Share(participation=pid, offered_w=offered_w, bodies=bodies))
    return found
