"""What each record changes of what is known: one step for each kind, none of which refuses."""

import hashlib
from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET

from ledger.records.contracts import (
    ContractAccepted,
    ContractOffered,
    ContractResumed,
    ContractSuspended,
    ContractTerminated,
    ContractWithdrawn,
    HoldersAnswered,
    HoldersAsked,
)
from ledger.records.credentials import (
    CheckRecorded,
    CredentialIntended,
    CredentialIssued,
    CredentialRevoked,
    CredentialsAdopted,
)
from ledger.records.evidence import SamplesCommitted
from ledger.records.log import KeyRotated, LogFrozen, PolicyAdopted, RootAdopted, RootRetired, StreamClosed
from ledger.records.opt import Choice, OptDecided, OptScheduled, OptScheduleEnded
from ledger.records.parties import DelegationGiven, DelegationRevoked, PartyDeclared
from ledger.records.privacy import (
    HoldLifted,
    HoldPlaced,
    ReidentificationApproved,
    ReidentificationClosed,
    ReidentificationRequested,
)
from ledger.records.record import Record
from ledger.records.requests import (
    Answer,
    RequestAborted,
    RequestAnswered,
    RequestCancelled,
    RequestIssued,
    RequestRevised,
)
from ledger.records.site_changes import SiteChanged
from ledger.records.sites import ClaimRegistered, ClaimWithdrawn, InstallationLinked, SiteAvailable, SiteConfigured
from ledger.records.work import WorkProven
from ledger.rules import configuration, root_lives
from ledger.rules.contract_state import ContractState, Offered
from ledger.rules.errors.violated import RuleViolated
from ledger.rules.fact import Fact
from ledger.rules.kept_state import (
    POLICY,
    Activation,
    DelegationState,
    Kept,
    Query,
    ScheduleState,
)
from ledger.rules.known import Known
from ledger.rules.officer_state import OfficerRecord
from ledger.rules.request_state import RequestState
from ledger.rules.root_lives import RootLife
from ledger.rules.site_state import SiteState


def tag_participations(request: RequestState, record: CheckRecorded, fact: Fact) -> None:
    """What the tags of a check tell of its participations."""
    for subject in record.subjects:
        part = request.participations[subject.participation]
        part.evse_tag = fact.tags.get(f"evse/{subject.participation}", part.evse_tag)
        part.person_tag = fact.tags.get(f"evu/{subject.participation}")


def _fold_policy(seen: Known, fact: Fact, record: PolicyAdopted) -> None:
    kept = seen.kept.setdefault(POLICY, Kept())
    kept.policy_index = fact.index
    kept.keeper = kept.keeper or _party(fact)
    if kept.first_policy is None:
        kept.first_policy = record
        kept.anchors = {anchor: RootLife() for anchor in record.anchors}


def _fold_root(seen: Known, fact: Fact, record: RootAdopted | RootRetired) -> None:
    kept = seen.kept.setdefault(POLICY, Kept())
    kept.policy_index = fact.index
    root_lives.fold(kept.anchors, record)


def _fold_rotation(seen: Known, _: Fact, record: KeyRotated) -> None:
    seen.kept.setdefault(POLICY, Kept()).rotations.append(record)


def _fold_frozen(seen: Known, fact: Fact, record: LogFrozen) -> None:
    kept = seen.kept.setdefault(POLICY, Kept())
    if kept.frozen_at is None:
        kept.frozen_at, kept.frozen_for = fact.index, record.reason


def _fold_closed(seen: Known, fact: Fact, _: StreamClosed) -> None:
    seen.streams[fact.entry.stream].is_closed = True


def _fold_site(seen: Known, fact: Fact, record: SiteConfigured) -> None:
    site = seen.sites.setdefault(record.site_id, SiteState(record.site_id, _party(fact)))
    _fold_version(seen, fact, site, record)
    seen.capacity.configure(record, fact.tags)


def _fold_change(seen: Known, fact: Fact, record: SiteChanged) -> None:
    """What a rule refuses because there cannot be such a change changes nothing."""
    site = seen.sites.get(record.site_id)
    if site is None:
        return
    try:
        after = configuration.changed(site.configured, record)
    except RuleViolated:
        return
    _fold_version(seen, fact, site, after)
    seen.capacity.change(after, fact.tags)


def _fold_version(seen: Known, fact: Fact, site: SiteState, version: SiteConfigured) -> None:
    site.places.append(fact.index)
    if site.versions:
        for evse in site.configured.evses:
            seen.site_of_evse.pop(evse.evse_id, None)
    site.versions.append((fact.now_ms, version))
    seen.site_of_evse.update((evse.evse_id, version.site_id) for evse in version.evses)


def _fold_claim(seen: Known, fact: Fact, record: ClaimRegistered | InstallationLinked) -> None:
    seen.claims.setdefault(record.claim_id, record.site_id)
    site = seen.sites.get(record.site_id)
    if site is not None:
        site.places.append(fact.index)
        site.claims.append(record)


def _fold_withdrawal(seen: Known, fact: Fact, record: ClaimWithdrawn) -> None:
    seen.withdrawn.add(record.claim_id)
    site = seen.sites.get(record.site_id)
    if site is not None:
        site.places.append(fact.index)
        site.withdrawn[record.claim_id] = record


def _fold_offer(seen: Known, fact: Fact, record: ContractOffered) -> None:
    contract = seen.contracts.get(record.fsc_id)
    if contract is None:
        contract = seen.contracts[record.fsc_id] = ContractState(record.fsc_id, fact.index)
        seen.contracts_at.setdefault(record.site_id, []).append(record.fsc_id)
    digest = hashlib.sha256(fact.statement.raw.encode()).hexdigest()
    evse_tags = frozenset(tag for name, tag in fact.tags.items() if name.startswith("evse-"))
    contract.fold_offer(Offered(record, _party(fact), digest, fact.now_ms, evse_tags, fact.tags.get("evu")))


def _fold_acceptance(seen: Known, fact: Fact, record: ContractAccepted) -> None:
    if record.fsc_id in seen.contracts:
        seen.contracts[record.fsc_id].fold_acceptance(record, _party(fact), fact.now_ms)


def _fold_contract_end(seen: Known, fact: Fact, record: ContractTerminated) -> None:
    if record.fsc_id in seen.contracts:
        seen.contracts[record.fsc_id].fold_end(record, fact.now_ms)


def _fold_rest(seen: Known, fact: Fact, record: ContractWithdrawn | ContractSuspended | ContractResumed) -> None:
    contract = seen.contracts.get(record.fsc_id)
    match record:
        case _ if contract is None:
            return
        case ContractWithdrawn():
            contract.fold_withdrawal(record)
        case ContractSuspended():
            contract.fold_suspension(record, _party(fact), fact.now_ms)
            resting = seen.resting.setdefault(_party(fact), [])
            if record.fsc_id not in resting:
                resting.append(record.fsc_id)
        case ContractResumed():
            contract.fold_resumption(record, _party(fact), fact.now_ms)
            resting = seen.resting.get(_party(fact), [])
            if record.fsc_id in resting and not contract.rests_for(_party(fact)):
                resting.remove(record.fsc_id)


def _fold_party(seen: Known, _: Fact, record: PartyDeclared) -> None:
    before = seen.parties.get(record.party_id)
    for name in before.names() if before is not None else ():
        if seen.declared.get(name) == record.party_id:
            del seen.declared[name]
    for name in record.names():
        owner = seen.declared.get(name)
        if owner is None or seen.credentials.is_barred(owner):
            seen.declared[name] = record.party_id
    seen.parties[record.party_id] = record


def _fold_available(seen: Known, fact: Fact, record: SiteAvailable) -> None:
    site = seen.sites.get(record.site_id)
    if site is not None:
        site.forecast(fact.index, fact.entry.rec, record)


def _fold_question(seen: Known, fact: Fact, record: HoldersAsked) -> None:
    seen.queries[record.query_id] = Query(record, _party(fact))


def _fold_holders(seen: Known, _: Fact, record: HoldersAnswered) -> None:
    if record.query_id in seen.queries:
        seen.queries[record.query_id].is_answered = True


def _fold_request(seen: Known, fact: Fact, record: RequestIssued) -> None:
    if record.fsr_id not in seen.requests:
        seen.requests[record.fsr_id] = RequestState(record, _party(fact), fact.now_ms, seen.contracts, index=fact.index)


def _fold_revision(seen: Known, _: Fact, record: RequestRevised) -> None:
    """Nothing stands opted out under a contract any more: the request's own fold forgets who took part."""
    request = seen.requests.get(record.fsr_id)
    if request is not None:
        for name in request.participations:
            for contract in request.contracts_for(name):
                contract.out.discard((record.fsr_id, name))


def _fold_answer(seen: Known, fact: Fact, record: RequestAnswered) -> None:
    request = seen.requests.get(record.fsr_id)
    if request is not None and not request.is_mandatory and record.answer is not Answer.REJECTED:
        made = Activation(request.service, request.issued.start_at_ms, request.issued.end_at_ms)
        named = {offer.fsc_id for offer in record.offers}
        for fsc_id in request.issued.fsc_ids if UNSET in named else named:
            seen.activations.setdefault(str(fsc_id), {})[record.fsr_id] = made
    seen.capacity.book(seen.bookings(fact, record), fact.now_ms)


def _fold_opt(seen: Known, fact: Fact, record: OptDecided) -> None:
    request = seen.requests.get(record.fsr_id)
    part = request.participations.get(record.participation) if request else None
    if request is None or part is None:
        return
    holder = (record.fsr_id, record.participation)
    others = [choice for actor, choice in part.choices.items() if actor is not record.actor]
    is_out = Choice.OUT in (record.choice, *others)
    contract = request.contract_of(record.participation)
    if contract is not None:
        (contract.out.add if is_out else contract.out.discard)(holder)
    if is_out:
        seen.capacity.withdraw(holder)
    else:
        seen.capacity.restore(holder, fact.now_ms)


def _fold_schedule(seen: Known, fact: Fact, record: OptScheduled) -> None:
    holder = record.party if isinstance(record.party, str) else fact.tags.get("person")
    state = seen.schedules.setdefault(record.schedule_id, ScheduleState(record, holder))
    if holder is not None and state.record is record:
        seen.schedules_of.setdefault(holder, []).append(record.schedule_id)


def _fold_schedule_end(seen: Known, _: Fact, record: OptScheduleEnded) -> None:
    if record.schedule_id in seen.schedules:
        seen.schedules[record.schedule_id].is_ended = True


def _fold_delegation(seen: Known, fact: Fact, record: DelegationGiven) -> None:
    grantor = record.grantor if isinstance(record.grantor, str) else fact.tags.get("person")
    delegate = record.delegate if isinstance(record.delegate, str) else fact.tags.get("delegate")
    state = seen.delegations.setdefault(record.delegation_id, DelegationState(record, grantor, delegate))
    if state.record is not record:
        return
    if grantor is not None:
        seen.delegations_of.setdefault(grantor, []).append(record.delegation_id)
    if delegate is not None:
        seen.delegations_to.setdefault(delegate, []).append(record.delegation_id)


def _fold_delegation_end(seen: Known, _: Fact, record: DelegationRevoked) -> None:
    if record.delegation_id in seen.delegations:
        seen.delegations[record.delegation_id].is_revoked = True


def _fold_end(seen: Known, _: Fact, record: RequestCancelled | RequestAborted | WorkProven) -> None:
    seen.capacity.release(record.fsr_id)
    request = seen.requests.get(record.fsr_id)
    if isinstance(record, RequestCancelled) and request is not None:
        for fsc_id in request.issued.fsc_ids:
            seen.activations.get(fsc_id, {}).pop(record.fsr_id, None)


def _fold_samples(seen: Known, fact: Fact, record: SamplesCommitted) -> None:
    seen.batches.setdefault(record.batch_id, record.fsr_id)
    if "root" in fact.tags:
        seen.roots.add(fact.tags["root"])


def _fold_credential(
    seen: Known,
    fact: Fact,
    record: CredentialIntended | CredentialIssued | CredentialsAdopted | CredentialRevoked,
) -> None:
    seen.credentials.fold(record, fact.index)


def _party(fact: Fact) -> str:
    """The party that a statement binds: the one that delegated, if any did."""
    return fact.actor.delegated_by or fact.actor.party


def _fold_officer(seen: Known, _: Fact, record: OfficerRecord) -> None:
    seen.officer.fold(record)


FOLDS: Final[dict[type[Record], Callable[[Known, Fact, Any], None]]] = {
    PolicyAdopted: _fold_policy,
    RootAdopted: _fold_root,
    RootRetired: _fold_root,
    KeyRotated: _fold_rotation,
    LogFrozen: _fold_frozen,
    StreamClosed: _fold_closed,
    SiteConfigured: _fold_site,
    SiteChanged: _fold_change,
    ClaimRegistered: _fold_claim,
    InstallationLinked: _fold_claim,
    ClaimWithdrawn: _fold_withdrawal,
    ContractOffered: _fold_offer,
    ContractAccepted: _fold_acceptance,
    ContractWithdrawn: _fold_rest,
    ContractSuspended: _fold_rest,
    ContractResumed: _fold_rest,
    ContractTerminated: _fold_contract_end,
    HoldersAsked: _fold_question,
    HoldersAnswered: _fold_holders,
    RequestIssued: _fold_request,
    RequestRevised: _fold_revision,
    RequestAnswered: _fold_answer,
    OptDecided: _fold_opt,
    OptScheduled: _fold_schedule,
    OptScheduleEnded: _fold_schedule_end,
    PartyDeclared: _fold_party,
    SiteAvailable: _fold_available,
    DelegationGiven: _fold_delegation,
    DelegationRevoked: _fold_delegation_end,
    RequestCancelled: _fold_end,
    RequestAborted: _fold_end,
    WorkProven: _fold_end,
    SamplesCommitted: _fold_samples,
    ReidentificationRequested: _fold_officer,
    ReidentificationApproved: _fold_officer,
    ReidentificationClosed: _fold_officer,
    HoldPlaced: _fold_officer,
    HoldLifted: _fold_officer,
    CredentialIntended: _fold_credential,
    CredentialIssued: _fold_credential,
    CredentialsAdopted: _fold_credential,
    CredentialRevoked: _fold_credential,
}
