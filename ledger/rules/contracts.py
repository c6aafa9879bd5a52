"""Rules of contracts and of questions about their holders."""

from collections.abc import Iterator

from ledger.records import blinding
from ledger.records.actor import Role
from ledger.records.contracts import (
    ContractAccepted,
    ContractKind,
    ContractOffered,
    ContractResumed,
    ContractSuspended,
    ContractTerminated,
    ContractWithdrawn,
    CountBucket,
    Held,
    HeldStatus,
    HoldersAnswered,
    HoldersAsked,
    SuspensionCause,
    TerminationReason,
)
from ledger.records.parties import Scope
from ledger.records.services import Direction, Service
from ledger.rules import delegations, orders, persons
from ledger.rules.contract_state import ContractState, ContractStatus, Offered
from ledger.rules.errors.contracts import (
    ContractConflict,
    ContractKindContradicts,
    ContractNotCounterparty,
    ContractOfferOther,
    DiscoveryForeign,
    DiscoveryIncomplete,
    PersonUnproven,
    SuspensionContradicts,
)
from ledger.rules.errors.writing import AlreadyRecorded, TimesContradict, VersionGap, WrongOrder, WrongParty
from ledger.rules.fact import Fact
from ledger.rules.projection import Projection
from ledger.rules.sites import require_site
from ledger.rules.standing import require_disclosed, require_party, speaker

COUNTERPARTY_ROLE: dict[ContractKind, Role] = {ContractKind.FO_CSO: Role.CSO, ContractKind.FO_CSP: Role.CSP}
"""The role of the organisation on the other side; an FO_EVU contract has a person there."""
FEW, MANY = 5, 50
"""Bounds of the numbers that are told."""


def contract_offered(seen: Projection, fact: Fact, record: ContractOffered) -> None:
    """One of the two parties offers, for a known site, terms that hold for some time; versions keep the parties."""
    role = COUNTERPARTY_ROLE.get(record.kind)
    if (role is None) != (not isinstance(record.counterparty, str)):
        raise ContractKindContradicts("the parties do not fit the kind", found=record.kind)
    if fact.actor.role is Role.FO:
        require_party(fact, record.fo)
    elif fact.actor.role is role:
        require_party(fact, str(record.counterparty))
    else:
        raise WrongParty("not a party of this kind of contract", expected=f"FO or {role or 'nobody else'}")
    if record.valid_from_ms >= record.valid_to_ms:
        raise TimesContradict("it is never valid", expected="valid_from_ms < valid_to_ms")
    if seen.sees_log:
        require_site(seen, record.site_id)
    contract = seen.contracts.get(record.fsc_id)
    wanted = contract.latest.record.version + 1 if contract is not None else 1
    if record.version != wanted:
        raise VersionGap("versions count up by one", expected=wanted, found=record.version)
    if contract is not None:
        _require_same_parties(contract, fact, record)
    if record.sd and role is not None and not fact.tags:
        require_disclosed(seen, fact, record.site_id, "evse_ids")


def _require_same_parties(contract: ContractState, fact: Fact, record: ContractOffered) -> None:
    last = contract.latest.record
    if (last.fo, last.kind, last.counterparty, last.site_id) != (
        record.fo,
        record.kind,
        record.counterparty,
        record.site_id,
    ):
        raise ContractKindContradicts("a version keeps parties and site", version=record.version)
    before, now = contract.latest.person_tag, fact.tags.get("evu")
    if before is not None and now is not None and before != now:
        raise ContractKindContradicts("a version keeps its person", version=record.version)
    if contract.terminated is not None:
        raise WrongOrder("the contract was ended", found=ContractStatus.TERMINATED)


def contract_accepted(seen: Projection, fact: Fact, record: ContractAccepted) -> None:
    """The other party accepts exactly the latest offer, while it can still come into force and conflicts with none."""
    contract = seen.contracts.get(record.fsc_id)
    if contract is None:
        raise WrongOrder("nothing was offered", fsc_id=record.fsc_id)
    if contract.terminated is not None:
        raise WrongOrder("the contract was ended", found=ContractStatus.TERMINATED)
    offer = contract.latest
    if offer.is_withdrawn:
        raise WrongOrder("the offer was withdrawn", found=ContractStatus.WITHDRAWN)
    if (record.version, record.offer_sha256) != (offer.record.version, offer.sha256):
        raise ContractOfferOther("not the latest offer", expected=f"version {offer.record.version} {offer.sha256}")
    _require_counterparty(seen, fact, contract, offer, record)
    if offer.accepted_at_ms is not None:
        raise WrongOrder("this version is accepted", found=contract.status(fact.now_ms))
    if fact.now_ms >= offer.record.valid_to_ms:
        raise TimesContradict("the offer has run out", expected=f"before {offer.record.valid_to_ms}")
    for other in _rivals(seen, contract, fact.now_ms):
        # Its holder recognises the blinded id; to everybody else it says nothing, not even twice the same.
        earlier = blinding.blinded(other.latest_signed_sha256(fact.now_ms), record.fsc_id)
        raise ContractConflict(
            "another operator's contract holds here", expected="both stackable", found=other.kind, blinded=earlier
        )


def _require_counterparty(
    seen: Projection, fact: Fact, contract: ContractState, offer: Offered, record: ContractAccepted
) -> None:
    if contract.kind is ContractKind.FO_EVU:
        if fact.actor.role is Role.FO:
            raise ContractNotCounterparty("an EV user's acceptance is relayed", expected="CSO or CSP", found=Role.FO)
        persons.require_acceptance(fact, record)
        delegations.require_person(seen, fact, offer.person_tag, fact.tags.get("person"), Scope.CONTRACT)
        return
    role = COUNTERPARTY_ROLE[contract.kind]
    is_offered_by_fo = offer.party == contract.fo
    party = contract.counterparty if is_offered_by_fo else contract.fo
    wanted = role if is_offered_by_fo else Role.FO
    if fact.actor.role is not wanted or party is None or not fact.speaks_for(party):
        raise ContractNotCounterparty(
            "the other party accepts", expected=f"{wanted} {party}", found=f"{fact.actor.role} {fact.actor.party}"
        )


def contract_withdrawn(seen: Projection, fact: Fact, record: ContractWithdrawn) -> None:
    """Whoever made the latest offer takes it back before it was accepted, once."""
    contract = seen.contracts.get(record.fsc_id)
    if contract is None:
        raise WrongOrder("nothing was offered", fsc_id=record.fsc_id)
    offer = contract.latest
    require_party(fact, offer.party)
    if record.version != offer.record.version:
        raise ContractOfferOther("not the latest offer", expected=f"version {offer.record.version}")
    if offer.accepted_at_ms is not None or offer.is_withdrawn or contract.terminated is not None:
        raise WrongOrder("no offer is open", found=contract.status(fact.now_ms), fsc_id=record.fsc_id)


def contract_suspended(seen: Projection, fact: Fact, record: ContractSuspended) -> None:
    """A signed contract rests: on a party's notice, or for what the port found; once for each of them and cause."""
    contract = _require_suspender(seen, fact, record)
    status = contract.status(fact.now_ms)
    if status not in (ContractStatus.SIGNED, ContractStatus.ACTIVE, ContractStatus.SUSPENDED):
        raise SuspensionContradicts("it is not in force", expected=ContractStatus.ACTIVE, found=status)
    if contract.suspended_by(record.cause, speaker(fact)) is not None:
        raise SuspensionContradicts("it is suspended for that", found=record.cause, fsc_id=record.fsc_id)
    if record.cause is SuspensionCause.CLAIM:
        _require_claims(seen, contract, fact.now_ms)


def _require_claims(seen: Projection, contract: ContractState, now_ms: int) -> None:
    """No claim is lost of a contract that needs none, or where none was ever registered."""
    signed = contract.signed(now_ms)
    if signed is not None and not orders.rests_on_claims(signed.record.services):
        raise SuspensionContradicts("it rests on no claim", expected="services that each need one")
    site = seen.sites.get(contract.latest.record.site_id) if seen.sees_log else None
    if site is not None and not site.claims:
        raise SuspensionContradicts("no claim was registered", expected="a claim or link at its site")


def contract_resumed(seen: Projection, fact: Fact, record: ContractResumed) -> None:
    """Whoever suspended it for a cause takes that back."""
    contract = _require_suspender(seen, fact, record)
    if contract.suspended_by(record.cause, speaker(fact)) is None:
        raise SuspensionContradicts("this party did not suspend it for that", found=record.cause, fsc_id=record.fsc_id)


def _require_suspender(seen: Projection, fact: Fact, record: ContractSuspended | ContractResumed) -> ContractState:
    contract = seen.contracts.get(record.fsc_id)
    if contract is None:
        raise WrongOrder("nothing was offered", fsc_id=record.fsc_id)
    if record.cause is SuspensionCause.NOTICE:
        parties = {party for party in (contract.fo, contract.counterparty, contract.relay) if party is not None}
    elif not seen.sees_log:
        return contract
    else:
        site = seen.sites.get(contract.latest.record.site_id)
        parties = {party for party in (seen.keeper, site.cso if site else None) if party is not None}
    if not any(fact.speaks_for(party) for party in parties):
        raise WrongParty("not for this party to say", expected=" or ".join(sorted(parties)), found=fact.actor.party)
    return contract


def contract_terminated(seen: Projection, fact: Fact, record: ContractTerminated) -> None:
    """Either party ends a contract, once; for a person, the organisation that relayed the acceptance does."""
    contract = seen.contracts.get(record.fsc_id)
    if contract is None:
        raise WrongOrder("nothing was offered", fsc_id=record.fsc_id)
    if contract.terminated is not None:
        raise WrongOrder("it is ended", found=ContractStatus.TERMINATED)
    if persons.is_relayed(record):
        _require_withdrawal(seen, fact, contract, record)
        return
    if record.reason is TerminationReason.CONSENT_WITHDRAWN:
        raise PersonUnproven("consent is the person's to withdraw", expected="their own words")
    parties = [party for party in (contract.fo, contract.counterparty, contract.relay) if party is not None]
    if not any(fact.speaks_for(party) for party in parties):
        raise WrongParty("a party ends it", expected=" or ".join(parties), found=fact.actor.party)


def _require_withdrawal(seen: Projection, fact: Fact, contract: ContractState, record: ContractTerminated) -> None:
    """The person on the other side ends it, relayed by whoever relayed their acceptance or keeps the log."""
    if contract.kind is not ContractKind.FO_EVU:
        raise PersonUnproven("there is no person in this contract", found=contract.kind)
    persons.require_words(fact, record, "fsc_id", "reason")
    delegations.require_person(seen, fact, contract.latest.person_tag, fact.tags.get("person"), Scope.CONTRACT)


def _rivals(seen: Projection, contract: ContractState, now_ms: int) -> Iterator[ContractState]:
    """Contracts of other operators that would be in force beside the latest offer, for the same thing."""
    if not seen.sees_log:
        return
    mine = contract.latest
    for name in seen.contracts_at.get(mine.record.site_id, ()):
        other = seen.contracts[name]
        theirs = other.signed(now_ms)
        if other.fo == contract.fo or theirs is None or _is_gone(other, mine.record.valid_from_ms, now_ms):
            continue
        is_stacked = mine.record.stackable and theirs.record.stackable
        if not is_stacked and _overlap(mine, theirs) and _meet(mine, theirs):
            yield other


def _is_gone(other: ContractState, from_ms: int, now_ms: int) -> bool:
    """Whether it was ended, and its notice is over before the other contract would hold."""
    return other.terminated_at_ms is not None and other.terminated_at_ms <= max(from_ms, now_ms)


def _overlap(mine: Offered, theirs: Offered) -> bool:
    """Whether both hold at some instant for the same class and direction."""
    return (
        mine.record.valid_from_ms < theirs.record.valid_to_ms
        and theirs.record.valid_from_ms < mine.record.valid_to_ms
        and not _classes(mine).isdisjoint(_classes(theirs))
    )


def _classes(offer: Offered) -> set[tuple[Service, Direction]]:
    return {(terms.service, terms.direction) for terms in offer.record.services}


def _meet(mine: Offered, theirs: Offered) -> bool:
    """Whether both hold for the same EVSE, as far as the log and the tags tell."""
    if mine.is_whole_site or theirs.is_whole_site:
        return True
    return not mine.evse_tags.isdisjoint(theirs.evse_tags)


def holders_asked(seen: Projection, _fact: Fact, record: HoldersAsked) -> None:
    """A question is asked once, of a known site, about some time; it means each contract once."""
    if record.query_id in seen.queries:
        raise AlreadyRecorded("the question was asked", query_id=record.query_id)
    if record.start_at_ms >= record.end_at_ms:
        raise TimesContradict("an empty window", expected="start_at_ms < end_at_ms")
    if len(set(record.candidates)) != len(record.candidates):
        raise AlreadyRecorded("a contract is meant twice", expected=len(set(record.candidates)))
    if seen.sees_log:
        require_site(seen, record.site_id)


def holders_answered(seen: Projection, fact: Fact, record: HoldersAnswered) -> None:
    """The answer tells the asking operator of its own contracts that it meant, of all of them, and of no other."""
    query = seen.queries.get(record.query_id)
    if query is None or query.is_answered:
        raise WrongOrder("there is no open question", query_id=record.query_id)
    if not seen.sees_log:
        return
    known = {match.blinded: match for match in held(seen, query.record, query.fo, fact.now_ms)}
    for match in record.matches:
        if match.blinded not in known:
            raise DiscoveryForeign("not a contract that was meant, of the asking operator, there", expected=query.fo)
    told = {match.blinded: match for match in record.matches}
    if len(told) != len(record.matches) or told.keys() != known.keys():
        raise DiscoveryIncomplete("contracts are left out", expected=len(known), found=len(record.matches))
    for name, match in told.items():
        if (match.status, match.available_w) != (known[name].status, known[name].available_w):
            raise DiscoveryIncomplete("it stands otherwise", expected=known[name].status, found=match.status)
    wanted = None if query.record.candidates else counted(seen, query.record)
    if record.count is not wanted:
        raise DiscoveryIncomplete("another number", expected=wanted or "none", found=record.count or "none")


def held(seen: Projection, asked: HoldersAsked, fo: str, now_ms: int) -> Iterator[Held]:
    """The operator's contracts at the site that the question means, as they stand when its time begins."""
    candidates = frozenset(asked.candidates)
    site = seen.sites.get(asked.site_id)
    for name in seen.contracts_at.get(asked.site_id, ()) if candidates and site is not None else ():
        contract = seen.contracts[name]
        signed = contract.signed(now_ms)
        blinded = blinding.blinded(contract.latest_signed_sha256(now_ms), asked.query_id)
        terms = contract.terms(asked.service, now_ms)
        if signed is None or terms is None or contract.fo != fo or blinded not in candidates:
            continue
        whole = 0 if site is None else len(site.configured.evses)
        yield Held(
            blinded=blinded,
            status=HeldStatus(contract.status(max(asked.start_at_ms, now_ms))),
            available_w=terms.max_w,
            evse_count=whole if signed.is_whole_site else len(signed.evse_tags),
        )


def counted(seen: Projection, asked: HoldersAsked) -> CountBucket:
    """How many contracts of any operator hold there for the class when the time begins, roughly."""
    count = 0
    for name in seen.contracts_at.get(asked.site_id, ()):
        contract = seen.contracts[name]
        is_active = contract.status(asked.start_at_ms) is ContractStatus.ACTIVE
        count += is_active and contract.terms(asked.service, asked.start_at_ms) is not None
    if count < FEW:
        return CountBucket.UNDER_5
    return CountBucket.UNDER_50 if count < MANY else CountBucket.FROM_50
