"""Who may see and do what, where a role alone does not say it; who may not learns no more than if it did not exist."""

from typing import Final

from api.flows.desk import Desk
from api.flows.errors import NotConcerned
from api.flows.memory import Memory
from api.principals import Principal
from ledger.records.opt import OptActor, OptDecided
from ledger.rules.contract_state import ContractState, ContractStatus
from ledger.rules.errors.absent import ContractAbsent, RequestAbsent, SiteAbsent
from ledger.rules.request_state import RequestState
from ledger.rules.site_state import SiteState
from ledger.rules.standing import providers
from pki.roles import Role

HEARS_ALL: Final = frozenset({Role.AUD, Role.DPO, Role.OPS})
"""Who is told of every entry, and may list every stream: the log itself is public, and these look after all of it."""
SEES_PERSONS: Final = frozenset({Role.CSO, Role.AUD})
"""Who gets a request's evidence with what it holds about persons: the operator that has it already, and auditors."""


def concerns(desk: Desk, request: RequestState, principal: Principal) -> bool:
    """Whether the caller may see the request: its operator, the port that executes it, and those who audit both."""
    if principal.role is Role.FO:
        return request.fo == principal.party
    if principal.role is Role.CSO:
        return principal.party in (desk.state.site(request.issued.site_id).cso, desk.me.party)
    if principal.role is Role.CSP:
        return any(principal.party in providers(contract) for contract in _contracts(desk, request))
    return principal.role in (Role.AUD, Role.DPO)


def concerns_stream(desk: Desk, memory: Memory, stream: str, principal: Principal) -> bool:
    """Whether a stream of the log is about something of the caller's own; who audits is told of all."""
    if principal.role in HEARS_ALL:
        return True
    kind, _, name = stream.partition("/")
    try:
        if kind == "fsr":
            return _concerns_fsr(desk, memory, name, principal)
        if kind == "fsc":
            return _concerns_fsc(desk, memory, name, principal)
        if kind == "site":
            return principal.role is Role.CSO and principal.party in (desk.state.site(name).cso, desk.me.party)
    except (RequestAbsent, ContractAbsent, SiteAbsent):
        return False
    if kind == "discovery":
        asker = (Role.FO, desk.state.asked_by(name))
        return (principal.role, principal.party) in ((Role.CSO, desk.me.party), asker)
    return kind == "log"


def concerns_site(desk: Desk, memory: Memory, site: SiteState, principal: Principal) -> bool:
    """Whether the caller may see what the operator of a site declared.

    That is the operator, the port, whoever has or had a contract there that both signed, and those who audit.
    """
    if principal.role in (Role.AUD, Role.DPO):
        return True
    if principal.role is Role.CSO:
        return principal.party in (site.cso, desk.me.party)
    now_ms = desk.clock.now_ms()
    return any(
        contract.signed(now_ms) is not None and _concerns_fsc(desk, memory, contract.fsc_id, principal)
        for contract in desk.state.contracts_at(site.site_id)
    )


def require_concerned(desk: Desk, fsr_id: str, principal: Principal) -> RequestState:
    """The request; raises `NotConcerned`, the same for one that is not there and one that is not the caller's."""
    try:
        request = desk.state.request(fsr_id)
    except RequestAbsent:
        request = None
    if request is None or not concerns(desk, request, principal):
        raise NotConcerned("no such request of yours")
    return request


def require_evses(desk: Desk, memory: Memory, site_id: str, evse_ids: tuple[str, ...], principal: Principal) -> None:
    """The EVSEs are the caller's to speak of: a CSO's own site, or what a CSP has a contract in force for.

    Raises `NotConcerned`.
    """
    if not set(evse_ids) <= _own_evses(desk, memory, site_id, principal):
        raise NotConcerned("no such EVSE of yours")


def require_site(desk: Desk, site_id: str, principal: Principal) -> None:
    """The site is the caller's own; raises `NotConcerned`."""
    try:
        operator = desk.state.site(site_id).cso
    except SiteAbsent:
        operator = None
    if operator != principal.party:
        raise NotConcerned("no such site of yours")


def require_holder(request: RequestState, participation: str, principal: Principal) -> None:
    """A CSP decides for its own contract holders only; raises `NotConcerned`."""
    known = participation in request.participations
    if known and not any(principal.party in providers(one) for one in request.contracts_for(participation)):
        raise NotConcerned("no participation of a contract of yours")


def _concerns_fsr(desk: Desk, memory: Memory, fsr_id: str, principal: Principal) -> bool:
    if principal.role is Role.EVU:
        return bool(memory.own_in(fsr_id, principal.party))
    return concerns(desk, desk.state.request(fsr_id), principal)


def _concerns_fsc(desk: Desk, memory: Memory, fsc_id: str, principal: Principal) -> bool:
    contract = desk.state.contract(fsc_id)
    if principal.role is Role.FO:
        return principal.party == contract.fo
    if principal.role is Role.EVU:
        offer = memory.offer(fsc_id)
        return offer is not None and offer.evu == principal.party
    return principal.role in (Role.CSO, Role.CSP) and principal.party in (contract.counterparty, contract.relay)


def require_delegate(desk: Desk, memory: Memory, decided: OptDecided, principal: Principal) -> None:
    """The caller may know of the participation: it is a delegate of whose session it is, or of an organisation.

    Raises `NotConcerned`; whether the delegation is for this the rules say.
    """
    if decided.actor is OptActor.EVU:
        if decided.participation not in memory.own_in(decided.fsr_id, principal.party):
            raise NotConcerned("no participation of a grantor of yours")
        return
    if not desk.state.has_grantor(principal.party):
        raise NotConcerned("no participation of a grantor of yours")


def _own_evses(desk: Desk, memory: Memory, site_id: str, principal: Principal) -> set[str]:
    try:
        site = desk.state.site(site_id)
    except SiteAbsent:
        return set()
    there = {evse.evse_id for evse in site.configured.evses}
    if principal.role is Role.CSO:
        return there if principal.party in (site.cso, desk.me.party) else set()
    now_ms = desk.clock.now_ms()
    own: set[str] = set()
    for contract in desk.state.contracts_at(site_id):
        offer = memory.offer(contract.fsc_id)
        if offer is None or offer.site_id != site_id or principal.party not in providers(contract):
            continue
        if contract.status(now_ms) is ContractStatus.ACTIVE:
            whole = there if contract.latest.is_whole_site else set()
            own |= set(offer.evse_ids) if isinstance(offer.evse_ids, tuple) else whole
    return own & there


def _contracts(desk: Desk, request: RequestState) -> list[ContractState]:
    found = []
    for fsc_id in request.issued.fsc_ids:
        try:
            found.append(desk.state.contract(fsc_id))
        except ContractAbsent:
            continue
    return found
