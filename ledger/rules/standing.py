"""Who may speak about what is on record, and what must be on record first; shared by the rules of all families."""

from ledger.records.actor import Role
from ledger.records.contracts import ContractKind
from ledger.records.opt import OptActor
from ledger.rules.contract_state import ContractState
from ledger.rules.errors.checks import NotAParticipant
from ledger.rules.errors.requests import RequestEnded, RevisionOther
from ledger.rules.errors.writing import NotDisclosed, WrongOrder, WrongParty
from ledger.rules.fact import Fact
from ledger.rules.participation_state import ParticipationState
from ledger.rules.projection import Projection
from ledger.rules.request_state import RequestState, RequestStatus

_ENDED = frozenset({RequestStatus.REJECTED, RequestStatus.EXPIRED, RequestStatus.CANCELLED, RequestStatus.ABORTED})


def require_request(seen: Projection, fact: Fact, fsr_id: str) -> RequestState:
    """The request that a record speaks of; raises `WrongOrder` if it was never issued."""
    request = seen.requests.get(fsr_id)
    if request is None:
        raise WrongOrder("the request was not issued", type=fact.statement.claims.type, fsr_id=fsr_id)
    return request


def require_party(fact: Fact, party: str) -> None:
    """Raises `WrongParty` unless the actor is `party` or has its delegation."""
    if not fact.speaks_for(party):
        raise WrongParty("another party must say this", expected=party, found=fact.actor.party)


def speaker(fact: Fact) -> str:
    """The party that a statement binds: the one that delegated, if any did."""
    return fact.actor.delegated_by or fact.actor.party


def require_port(seen: Projection, fact: Fact, request: RequestState) -> None:
    """Raises `WrongParty` unless the actor keeps the log, is the CSO of the site, or a CSP of one of the contracts.

    Who that is stands in other streams, so one stream alone cannot decide it.
    """
    if not seen.sees_log:
        return
    site = seen.sites.get(request.issued.site_id)
    allowed = {seen.keeper} if seen.keeper is not None else set()
    if fact.actor.role is Role.CSO and site is not None:
        allowed.add(site.cso)
    elif fact.actor.role is Role.CSP:
        allowed |= csps(seen, request)
    if not any(fact.speaks_for(party) for party in allowed):
        raise WrongParty(
            "not the port of this request", expected=" or ".join(sorted(allowed)) or "nobody", found=fact.actor.party
        )


def csps(seen: Projection, request: RequestState) -> set[str]:
    """The charging service providers that are parties to the request's contracts, or relayed a person's acceptance."""
    found: set[str] = set()
    for name in request.issued.fsc_ids:
        contract = seen.contracts.get(name)
        if contract is not None:
            found |= providers(contract)
    return found


def providers(contract: ContractState) -> set[str]:
    """The charging service provider that is a party to the contract, or relayed its holder's acceptance."""
    if contract.kind is ContractKind.FO_CSO:
        return set()
    return {party for party in (contract.counterparty, contract.relay) if party is not None}


def require_revision(request: RequestState, revision: int) -> None:
    """Raises `RevisionOther` unless the revision is the one that stands."""
    if revision != request.revision:
        raise RevisionOther("the request was revised", expected=request.revision, found=revision)


def right_holders(seen: Projection, request: RequestState, part: ParticipationState, actor: OptActor) -> frozenset[str]:
    """Whose right it is: the site's operator, or the CSPs that have, or relayed, the participation's contract; a person
    by their blind tag.
    """
    if actor is OptActor.EVU:
        return frozenset() if part.person_tag is None else frozenset({part.person_tag})
    if actor is OptActor.CSO:
        site = seen.sites.get(request.issued.site_id)
        return frozenset() if site is None else frozenset({site.cso})
    found: set[str] = set()
    for contract in request.contracts_for(part.participation):
        found |= providers(contract)
    return frozenset(found)


def require_participation(request: RequestState, participation: str) -> ParticipationState:
    """The participation; raises `NotAParticipant` if no check introduced it."""
    part = request.participations.get(participation)
    if part is None:
        raise NotAParticipant("no check introduced it", participation=participation)
    return part


def require_bound(request: RequestState, participation: str) -> ParticipationState:
    """The participation, which was accepted or is mandated; raises `NotAParticipant`."""
    part = require_participation(request, participation)
    if participation not in request.bound():
        raise NotAParticipant("it was not accepted", participation=participation)
    return part


def require_open(request: RequestState, at_ms: int) -> RequestStatus:
    """The request's state, which is no early end; raises `RequestEnded`."""
    status = request.status(at_ms)
    if status in _ENDED:
        raise RequestEnded("the request has ended", found=status, fsr_id=request.fsr_id)
    return status


def require_disclosed(seen: Projection, fact: Fact, site_id: str, name: str) -> None:
    """Raises `NotDisclosed` if a statement comes in without what its tag would be made of.

    Only whoever takes statements in asks: they have the site's tags, and evidence. An auditor may have neither any
    more, and then the rule is undecided.
    """
    if fact.evidence is not None and seen.capacity.knows_site(site_id) and name not in fact.tags:
        raise NotDisclosed("it cannot be compared", expected=f"a disclosure for {name}")
