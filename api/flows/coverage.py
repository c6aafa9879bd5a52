"""Does a contract still rest on good claims? Asked of the contract's EVSEs as they are configured and plugged in now.

A contract rests on claims where each of its services needs one. It has lost them when none of its EVSEs is covered any
more for any of its services, though something was registered that could cover it: withdrawn, revoked, over, or about
another firmware than runs now. Where nothing ever was, nothing is lost: the check says so, request by request.
"""

from collections.abc import Iterator
from typing import Final

from api.flows.desk import Desk
from api.flows.memory import Memory
from api.verification import asked
from api.verification.errors import SignerUnknown
from ledger.records.contracts import ContractKind, ContractOffered
from ledger.records.services import Service
from ledger.records.sites import CurrentKind, Evse, SessionMirrored
from ledger.rules.contract_state import ContractState
from ledger.rules.errors.absent import SiteAbsent
from ledger.rules.orders import rests_on_claims
from ledger.rules.site_state import SiteState
from pki.conformity import VerifiedClaim, VerifiedLink
from pki.coverage import Ask, NotCovered, covers
from pki.errors import PkiError
from pki.status import StatusIndeterminate

_BAD: Final = frozenset({"not-valid", "firmware"})
"""Misses of what was good once."""


def has_lost_claims(desk: Desk, memory: Memory, contract: ContractState, at_ms: int) -> bool | None:
    """True if no claim that the contract rests on is good at `at_ms`, False if one is or none is needed.

    None where that cannot be known: the contract's EVSEs are not disclosed, nobody of it is plugged in, a revocation
    list is missing, or what the region asks of a claim is uncertain.
    """
    offer = memory.offer(contract.fsc_id)
    try:
        site = desk.state.site(contract.latest.record.site_id)
    except SiteAbsent:
        return None
    if not rests_on_claims(contract.latest.record.services):
        return False
    if offer is None:
        return None
    answers: set[bool | None] = set()
    for evse, session in _places(memory, site, contract, offer, at_ms):
        for service in {terms.service for terms in offer.services}:
            lost = _lost(desk, memory, site, evse, session, service, at_ms)
            if lost is False:
                return False  # one is enough, and a site may have hundreds
            answers.add(lost)
    return True if answers == {True} else None


def _places(
    memory: Memory, site: SiteState, contract: ContractState, offer: ContractOffered, at_ms: int
) -> Iterator[tuple[Evse, SessionMirrored | None]]:
    """The EVSEs that the contract is for, each with who is plugged in; a person's contract is where the person is."""
    if not (isinstance(offer.evse_ids, tuple) or isinstance(offer.evu, str) or contract.latest.is_whole_site):
        return
    for evse in site.configured.evses:
        if isinstance(offer.evse_ids, tuple) and evse.evse_id not in offer.evse_ids:
            continue
        session = memory.session_at(site.site_id, evse.evse_id, at_ms)
        is_roaming = offer.kind is ContractKind.FO_EVU and not isinstance(offer.evse_ids, tuple)
        if is_roaming and (session is None or session.evu != offer.evu):
            continue
        yield evse, session


def _lost(
    desk: Desk,
    memory: Memory,
    site: SiteState,
    evse: Evse,
    session: SessionMirrored | None,
    service: Service,
    at_ms: int,
) -> bool | None:
    car = session.ev_key_spki_sha256 if session and isinstance(session.ev_key_spki_sha256, str) else None
    keys = (evse.key_spki_sha256,) if car is None else (evse.key_spki_sha256, car)
    firmware = {evse.key_spki_sha256: evse.firmware_sha256}
    if car is not None and session is not None and isinstance(session.ev_firmware_sha256, str):
        firmware[car] = session.ev_firmware_sha256
    claims: list[VerifiedClaim] = []
    links: list[VerifiedLink] = []
    refused: list[PkiError | SignerUnknown] = []
    for document in memory.documents(site.site_id, keys, at_ms):
        try:
            opened = document.open()
        except (PkiError, SignerUnknown) as error:
            refused.append(error)
            continue
        (links if isinstance(opened, VerifiedLink) else claims).append(opened)  # type: ignore[arg-type]
    named, functions = asked.claimed(service)
    ask = Ask(
        kind="DC" if evse.kind is CurrentKind.DC else "AC",
        generator=True,
        function=named,
        der_functions=functions,
        region=site.configured.region,
        evse_spki_sha256=evse.key_spki_sha256,
        ev_spki_sha256=car,
        at_ms=at_ms,
        firmware_sha256=firmware,
        operator=site.cso,
    )
    try:
        covers(claims, ask, links)
    except NotCovered as error:
        if error.undecided or any(isinstance(one, StatusIndeterminate) for one in refused):
            return None
        is_gone = bool(memory.withdrawn(site.site_id, keys, at_ms))
        return True if is_gone or refused or error.reason in _BAD else None
    return False
