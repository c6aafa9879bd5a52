"""Run the credential check for a request and write its result down."""

import secrets
from collections.abc import Sequence

from api import wire
from api.flows import schedules
from api.flows.desk import Desk
from api.flows.memory import Memory
from api.verification import check
from api.verification.mandates import open_directive
from ledger.records.credentials import CheckedSubject, CheckPurpose, CheckRecorded
from ledger.records.record import Part
from ledger.rules.contract_state import ContractStatus
from ledger.rules.request_state import RequestState

PARTICIPATION_BYTES = 10


async def run(
    desk: Desk, memory: Memory, fsr_id: str, evse_ids: Sequence[str], purpose: CheckPurpose
) -> tuple[wire.Accepted, CheckRecorded]:
    """The check of these EVSEs for this request, now, is in the log; the answer is the same to whoever runs it again.

    Participations get their random ids here, and keep them in later checks of the same request.
    """
    async with memory.checking:
        # One after the other: two checks at once would introduce one EVSE under two ids.
        return await _run(desk, memory, fsr_id, evse_ids, purpose)


async def _run(
    desk: Desk, memory: Memory, fsr_id: str, evse_ids: Sequence[str], purpose: CheckPurpose
) -> tuple[wire.Accepted, CheckRecorded]:
    request = desk.state.request(fsr_id)
    now_ms = desk.clock.now_ms()
    known = {evse: pid for pid, evse in memory.participations(fsr_id).items()}
    site_id = request.issued.site_id
    candidates = [
        check.Candidate(
            participation=known.get(evse_id) or f"p-{secrets.token_hex(PARTICIPATION_BYTES)}",
            evse_id=evse_id,
            session=memory.session_at(site_id, evse_id, now_ms),
        )
        for evse_id in evse_ids
    ]
    result = check.run(
        check.CheckInputs(
            check_id=f"check-{secrets.token_hex(8)}",
            purpose=purpose,
            as_of_ms=now_ms,
            request=request.issued,
            revision=request.revision,
            mandate_proven=open_directive(desk.directory, request.issued, now_ms) is not None,
            fo_party=request.fo,
            fo=lambda: desk.directory.credential(memory.signer_of_request(fsr_id), now_ms),
            site=desk.state.site(site_id).configured,
            contracts=_contracts(desk, memory, request, now_ms),
            candidates=candidates,
            station=lambda evse: desk.directory.station(evse.key_spki_sha256, now_ms),
            operator=desk.state.site(site_id).cso,
            documents=lambda keys: memory.documents(site_id, keys, now_ms),
        )
    )
    answer = await desk.say(result, f"fsr/{fsr_id}", subject_of=_subject)
    if purpose is CheckPurpose.PRE_FSR:
        await schedules.follow(desk, memory, result)
    return answer, result


def _contracts(desk: Desk, memory: Memory, request: RequestState, at_ms: int) -> dict[str, check.ContractInForce]:
    found = {}
    for fsc_id in request.issued.fsc_ids:
        offer = memory.offer(fsc_id)
        contract = desk.state.contract(fsc_id)
        # Whose EVSEs or person were erased covers none any more; only what never named any covers the whole site.
        named = offer is not None and (isinstance(offer.evse_ids, tuple) or isinstance(offer.evu, str))
        if offer is not None and (named or contract.latest.is_whole_site):
            in_force = contract.status(at_ms) is ContractStatus.ACTIVE
            found[fsc_id] = check.ContractInForce(offer=offer, in_force=in_force)
    return found


def _subject(part: Part, _: str) -> str | None:
    return part.evu if isinstance(part, CheckedSubject) and isinstance(part.evu, str) else None
