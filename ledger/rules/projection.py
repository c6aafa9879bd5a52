"""`Projection`: everything that the rules remember of a log, and the questions that may be asked of it.

It is a fold: the same entries give the same projection, in the service after a restart and in an audit. Folding never
refuses; an auditor goes on past an entry that a rule refuses.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
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
from ledger.records.services import Service
from ledger.records.site_changes import SiteChanged
from ledger.records.sites import ClaimRegistered, ClaimWithdrawn, InstallationLinked, SiteAvailable, SiteConfigured
from ledger.records.work import WorkProven
from ledger.rules import configuration, orders, retold, root_lives
from ledger.rules.capacity import Booking, Capacity
from ledger.rules.contract_state import ContractState, Offered
from ledger.rules.credential_state import CredentialBook
from ledger.rules.errors.absent import ContractAbsent, RequestAbsent, SiteAbsent
from ledger.rules.errors.violated import RuleViolated
from ledger.rules.fact import Fact
from ledger.rules.officer_state import OfficerBook, OfficerRecord
from ledger.rules.remembered import Remembered
from ledger.rules.request_state import RequestState
from ledger.rules.root_lives import RootLife
from ledger.rules.site_state import SiteState
from ledger.rules.tables import Plain, Table, Tables

Scope = Literal["log", "stream"]

POLICY: Final = "policy"
"""The one key of its table."""


class StreamState(msgspec.Struct):
    """How many entries a stream has, and whether it has ended."""

    count: int = 0
    is_closed: bool = False


class Query(msgspec.Struct):
    """One question about contract holders."""

    record: HoldersAsked
    fo: str
    is_answered: bool = False


class Activation(msgspec.Struct, frozen=True):
    """One accepted request under a contract: the class of service, and its window."""

    service: Service
    start_at_ms: int
    end_at_ms: int


class DelegationState(msgspec.Struct):
    """One delegation. Grantor and delegate are organisations by their ids, persons by their blind tags, or unknown."""

    record: DelegationGiven
    grantor: str | None
    delegate: str | None
    is_revoked: bool = False


class ScheduleState(msgspec.Struct):
    """One schedule of opting. Its holder is an organisation by its id, a person by a blind tag, or unknown."""

    record: OptScheduled
    holder: str | None
    is_ended: bool = False


class Kept(msgspec.Struct):
    """Who keeps the log, under which policy, which roots and which key."""

    policy_index: int | None = None
    keeper: str | None = None
    """The party that adopted the first policy: the log is its own."""
    rotations: list[KeyRotated] = msgspec.field(default_factory=list)
    """How the log changed its key, in order."""
    frozen_at: int | None = None
    """Index of the entry that ended the log."""
    first_policy: PolicyAdopted | None = None
    anchors: dict[str, RootLife] = msgspec.field(default_factory=dict)
    """By digest, in the order in which the log took them over."""


NOTHING_KEPT: Final = Kept()
"""What is known of a log without a policy; nobody writes into it."""


class Projection:
    """The fold. `scope` says whether it sees the whole log or one stream of it.

    Everything that it remembers is in a `Table`, so that it can be written down by key. What one stream alone tells is
    not written down twice: it is folded from that stream again when somebody asks (`ledger/rules/retold.py`).
    """

    def __init__(self, scope: Scope = "log") -> None:
        """Nothing was folded yet."""
        self.scope: Scope = scope
        self.tables = Tables()
        new = self.tables.new
        self.kept: Table[Kept] = new(Plain("log", Kept))
        self.contracts: Table[ContractState] = new(retold.Contracts(Projection))
        self.contracts_at: Table[list[str]] = new(Plain("contracts-at", list[str]))
        """Contract ids by site."""
        self.resting: Table[list[str]] = new(Plain("resting", list[str]))
        """Contract ids by the party that let them rest and did not let them go on since."""
        self.requests: Table[RequestState] = new(retold.Requests(Projection, self.contracts))
        self.sites: Table[SiteState] = new(retold.Sites(Projection))
        self.site_of_evse: Table[str] = new(Plain("site-of-evse", str))
        self.streams: Table[StreamState] = new(retold.Streams(StreamState))
        self.batches: Table[str] = new(Plain("batch", str))
        """Request by sample batch, of the whole log."""
        self.roots: Table[bool] = new(Plain("root", bool))
        """Blind tags of the sample roots that were committed."""
        self.claims: Table[str] = new(Plain("claim", str))
        """Site by claim or link."""
        self.withdrawn: Table[bool] = new(Plain("withdrawn", bool))
        """Claims and links that no longer count."""
        self.queries: Table[Query] = new(retold.Told("query", "discovery", Projection))
        self.parties: Table[PartyDeclared] = new(Plain("party", PartyDeclared))
        self.declared: Table[str] = new(Plain("declared", str))
        """Party by identifier."""
        self.delegations: Table[DelegationState] = new(retold.Told("delegation", "delegation", Projection))
        self.delegations_of: Table[list[str]] = new(Plain("delegations-of", list[str]))
        """By grantor, where it is known."""
        self.delegations_to: Table[list[str]] = new(Plain("delegations-to", list[str]))
        """By delegate, where it is known."""
        self.schedules: Table[ScheduleState] = new(retold.Told("schedule", "schedule", Projection))
        self.schedules_of: Table[list[str]] = new(Plain("schedules-of", list[str]))
        """By holder, where it is known."""
        self.remembered = Remembered(self.tables)
        self.activations: Table[dict[str, Activation]] = new(Plain("activations", dict[str, Activation]))
        """By contract and request, what was accepted and not cancelled since."""
        self.credentials = CredentialBook(self.tables)
        self.officer = OfficerBook(self.tables)
        self.capacity = Capacity(self.tables)

    @property
    def log_kept(self) -> Kept:
        """Who keeps the log, under which policy and key, and whether it has ended; to be looked at only."""
        return self.kept.get(POLICY) or NOTHING_KEPT

    @property
    def policy_index(self) -> int | None:
        """Index of the policy entry in force."""
        return self.log_kept.policy_index

    @property
    def keeper(self) -> str | None:
        """The party that keeps the log."""
        return self.log_kept.keeper

    @property
    def rotations(self) -> Sequence[KeyRotated]:
        """How the log changed its key, in order."""
        return self.log_kept.rotations

    @property
    def first_policy(self) -> PolicyAdopted | None:
        """The policy with which the log began."""
        kept = self.kept.get(POLICY)
        return None if kept is None else kept.first_policy

    @property
    def anchors(self) -> Mapping[str, RootLife]:
        """The roots of trust that the log ever had, by digest."""
        kept = self.kept.get(POLICY)
        return {} if kept is None else kept.anchors

    @property
    def frozen_at(self) -> int | None:
        """Index of the entry that ended the log."""
        return self.log_kept.frozen_at

    def delegated_by(self, grantor: str) -> Iterator[DelegationState]:
        """The delegations that a party gave, by its id or blind tag, in the order in which it did."""
        return (self.delegations[name] for name in self.delegations_of.get(grantor, ()))

    def delegated_to(self, delegate: str) -> Iterator[DelegationState]:
        """The delegations that a party was given, as above."""
        return (self.delegations[name] for name in self.delegations_to.get(delegate, ()))

    def scheduled_by(self, holder: str) -> Iterator[ScheduleState]:
        """The schedules of a party, as above."""
        return (self.schedules[name] for name in self.schedules_of.get(holder, ()))

    @property
    def sees_log(self) -> bool:
        """Whether rules across streams can be decided."""
        return self.scope == "log"

    def request(self, fsr_id: str) -> RequestState:
        """The request; raises `RequestAbsent`."""
        if fsr_id not in self.requests:
            raise RequestAbsent("no such request is on record", fsr_id=fsr_id)
        return self.requests[fsr_id]

    def contract(self, fsc_id: str) -> ContractState:
        """The contract; raises `ContractAbsent`."""
        if fsc_id not in self.contracts:
            raise ContractAbsent("no such contract is on record", fsc_id=fsc_id)
        return self.contracts[fsc_id]

    def site(self, site_id: str) -> SiteState:
        """The site; raises `SiteAbsent`."""
        if site_id not in self.sites:
            raise SiteAbsent("no such site is on record", site_id=site_id)
        return self.sites[site_id]

    def fold(self, fact: Fact) -> None:
        """The fact was written."""
        self.tables.is_folding = True
        try:
            self._fold(fact)
        finally:
            self.tables.is_folding = False

    def _fold(self, fact: Fact) -> None:
        stream = self.streams.get(fact.entry.stream)
        if stream is None:
            stream = self.streams[fact.entry.stream] = StreamState()
        stream.count += 1
        record = fact.statement.record
        self.remembered.fold(fact, record)
        step = _FOLDS.get(type(record))
        if step is not None:
            step(self, fact, record)
        if fact.entry.stream.startswith("fsr/") and not isinstance(record, RequestIssued):
            request = self.requests.get(fact.entry.stream.removeprefix("fsr/"))
            if request is not None:
                request.fold(record, fact.actor, fact.now_ms)
                if isinstance(record, CheckRecorded):
                    _tag(request, record, fact)

    def bookings(self, fact: Fact, record: RequestAnswered) -> tuple[Booking, ...]:
        """What an answer would bind, of the participations whose EVSE's tag is known."""
        request = self.requests.get(record.fsr_id)
        if request is None or request.is_mandatory:
            return ()
        asked = orders.direction(request.issued.params)
        made = []
        for offer in record.offers:
            tag = fact.tags.get(offer.participation)
            if tag is not None:
                up_w, down_w = orders.bound_w(offer, asked)
                holder = (record.fsr_id, offer.participation)
                made.append(
                    Booking(
                        holder=holder,
                        tag=tag,
                        start_at_ms=request.issued.start_at_ms,
                        end_at_ms=request.issued.end_at_ms,
                        up_w=up_w,
                        down_w=down_w,
                        sets_reactive=orders.is_reactive(request.issued.params),
                        is_counted=orders.periods(request.issued) is not None,
                    )
                )
        return tuple(made)


def _tag(request: RequestState, record: CheckRecorded, fact: Fact) -> None:
    """What the tags of a check tell of its participations."""
    for subject in record.subjects:
        part = request.participations[subject.participation]
        part.evse_tag = fact.tags.get(f"evse/{subject.participation}", part.evse_tag)
        part.person_tag = fact.tags.get(f"evu/{subject.participation}")


def _fold_policy(seen: Projection, fact: Fact, record: PolicyAdopted) -> None:
    kept = seen.kept.setdefault(POLICY, Kept())
    kept.policy_index = fact.index
    kept.keeper = kept.keeper or _party(fact)
    if kept.first_policy is None:
        kept.first_policy = record
        kept.anchors = {anchor: RootLife() for anchor in record.anchors}


def _fold_root(seen: Projection, fact: Fact, record: RootAdopted | RootRetired) -> None:
    kept = seen.kept.setdefault(POLICY, Kept())
    kept.policy_index = fact.index
    root_lives.fold(kept.anchors, record)


def _fold_rotation(seen: Projection, _: Fact, record: KeyRotated) -> None:
    seen.kept.setdefault(POLICY, Kept()).rotations.append(record)


def _fold_frozen(seen: Projection, fact: Fact, _: LogFrozen) -> None:
    kept = seen.kept.setdefault(POLICY, Kept())
    kept.frozen_at = fact.index if kept.frozen_at is None else kept.frozen_at


def _fold_closed(seen: Projection, fact: Fact, _: StreamClosed) -> None:
    seen.streams[fact.entry.stream].is_closed = True


def _fold_site(seen: Projection, fact: Fact, record: SiteConfigured) -> None:
    site = seen.sites.setdefault(record.site_id, SiteState(record.site_id, _party(fact)))
    _fold_version(seen, fact, site, record)
    seen.capacity.configure(record, fact.tags)


def _fold_change(seen: Projection, fact: Fact, record: SiteChanged) -> None:
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


def _fold_version(seen: Projection, fact: Fact, site: SiteState, version: SiteConfigured) -> None:
    site.places.append(fact.index)
    if site.versions:
        for evse in site.configured.evses:
            seen.site_of_evse.pop(evse.evse_id, None)
    site.versions.append((fact.now_ms, version))
    seen.site_of_evse.update((evse.evse_id, version.site_id) for evse in version.evses)


def _fold_claim(seen: Projection, fact: Fact, record: ClaimRegistered | InstallationLinked) -> None:
    seen.claims.setdefault(record.claim_id, record.site_id)
    site = seen.sites.get(record.site_id)
    if site is not None:
        site.places.append(fact.index)
        site.claims.append(record)


def _fold_withdrawal(seen: Projection, fact: Fact, record: ClaimWithdrawn) -> None:
    seen.withdrawn.add(record.claim_id)
    site = seen.sites.get(record.site_id)
    if site is not None:
        site.places.append(fact.index)
        site.withdrawn[record.claim_id] = record


def _fold_offer(seen: Projection, fact: Fact, record: ContractOffered) -> None:
    contract = seen.contracts.get(record.fsc_id)
    if contract is None:
        contract = seen.contracts[record.fsc_id] = ContractState(record.fsc_id, fact.index)
        seen.contracts_at.setdefault(record.site_id, []).append(record.fsc_id)
    digest = hashlib.sha256(fact.statement.raw.encode()).hexdigest()
    evse_tags = frozenset(tag for name, tag in fact.tags.items() if name.startswith("evse-"))
    contract.fold_offer(Offered(record, _party(fact), digest, fact.now_ms, evse_tags, fact.tags.get("evu")))


def _fold_acceptance(seen: Projection, fact: Fact, record: ContractAccepted) -> None:
    if record.fsc_id in seen.contracts:
        seen.contracts[record.fsc_id].fold_acceptance(record, _party(fact), fact.now_ms)


def _fold_contract_end(seen: Projection, fact: Fact, record: ContractTerminated) -> None:
    if record.fsc_id in seen.contracts:
        seen.contracts[record.fsc_id].fold_end(record, fact.now_ms)


def _fold_rest(seen: Projection, fact: Fact, record: ContractWithdrawn | ContractSuspended | ContractResumed) -> None:
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


def _fold_party(seen: Projection, _: Fact, record: PartyDeclared) -> None:
    before = seen.parties.get(record.party_id)
    for name in before.names() if before is not None else ():
        if seen.declared.get(name) == record.party_id:
            del seen.declared[name]
    for name in record.names():
        owner = seen.declared.get(name)
        if owner is None or seen.credentials.is_barred(owner):
            seen.declared[name] = record.party_id
    seen.parties[record.party_id] = record


def _fold_available(seen: Projection, fact: Fact, record: SiteAvailable) -> None:
    site = seen.sites.get(record.site_id)
    if site is not None:
        site.places.append(fact.index)
        site.available.append(record)


def _fold_question(seen: Projection, fact: Fact, record: HoldersAsked) -> None:
    seen.queries[record.query_id] = Query(record, _party(fact))


def _fold_holders(seen: Projection, _: Fact, record: HoldersAnswered) -> None:
    if record.query_id in seen.queries:
        seen.queries[record.query_id].is_answered = True


def _fold_request(seen: Projection, fact: Fact, record: RequestIssued) -> None:
    if record.fsr_id not in seen.requests:
        seen.requests[record.fsr_id] = RequestState(record, _party(fact), fact.now_ms, seen.contracts, index=fact.index)


def _fold_revision(seen: Projection, _: Fact, record: RequestRevised) -> None:
    """Nothing stands opted out under a contract any more: the request's own fold forgets who took part."""
    request = seen.requests.get(record.fsr_id)
    if request is not None:
        for name in request.participations:
            for contract in request.contracts_for(name):
                contract.out.discard((record.fsr_id, name))


def _fold_answer(seen: Projection, fact: Fact, record: RequestAnswered) -> None:
    request = seen.requests.get(record.fsr_id)
    if request is not None and not request.is_mandatory and record.answer is not Answer.REJECTED:
        made = Activation(request.service, request.issued.start_at_ms, request.issued.end_at_ms)
        named = {offer.fsc_id for offer in record.offers}
        for fsc_id in request.issued.fsc_ids if UNSET in named else named:
            seen.activations.setdefault(str(fsc_id), {})[record.fsr_id] = made
    seen.capacity.book(seen.bookings(fact, record), fact.now_ms)


def _fold_opt(seen: Projection, fact: Fact, record: OptDecided) -> None:
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


def _fold_schedule(seen: Projection, fact: Fact, record: OptScheduled) -> None:
    holder = record.party if isinstance(record.party, str) else fact.tags.get("person")
    state = seen.schedules.setdefault(record.schedule_id, ScheduleState(record, holder))
    if holder is not None and state.record is record:
        seen.schedules_of.setdefault(holder, []).append(record.schedule_id)


def _fold_schedule_end(seen: Projection, _: Fact, record: OptScheduleEnded) -> None:
    if record.schedule_id in seen.schedules:
        seen.schedules[record.schedule_id].is_ended = True


def _fold_delegation(seen: Projection, fact: Fact, record: DelegationGiven) -> None:
    grantor = record.grantor if isinstance(record.grantor, str) else fact.tags.get("person")
    delegate = record.delegate if isinstance(record.delegate, str) else fact.tags.get("delegate")
    state = seen.delegations.setdefault(record.delegation_id, DelegationState(record, grantor, delegate))
    if state.record is not record:
        return
    if grantor is not None:
        seen.delegations_of.setdefault(grantor, []).append(record.delegation_id)
    if delegate is not None:
        seen.delegations_to.setdefault(delegate, []).append(record.delegation_id)


def _fold_delegation_end(seen: Projection, _: Fact, record: DelegationRevoked) -> None:
    if record.delegation_id in seen.delegations:
        seen.delegations[record.delegation_id].is_revoked = True


def _fold_end(seen: Projection, _: Fact, record: RequestCancelled | RequestAborted | WorkProven) -> None:
    seen.capacity.release(record.fsr_id)
    request = seen.requests.get(record.fsr_id)
    if isinstance(record, RequestCancelled) and request is not None:
        for fsc_id in request.issued.fsc_ids:
            seen.activations.get(fsc_id, {}).pop(record.fsr_id, None)


def _fold_samples(seen: Projection, fact: Fact, record: SamplesCommitted) -> None:
    seen.batches.setdefault(record.batch_id, record.fsr_id)
    if "root" in fact.tags:
        seen.roots.add(fact.tags["root"])


def _fold_credential(
    seen: Projection,
    fact: Fact,
    record: CredentialIntended | CredentialIssued | CredentialsAdopted | CredentialRevoked,
) -> None:
    seen.credentials.fold(record, fact.index)


def _party(fact: Fact) -> str:
    """The party that a statement binds: the one that delegated, if any did."""
    return fact.actor.delegated_by or fact.actor.party


def _fold_officer(seen: Projection, _: Fact, record: OfficerRecord) -> None:
    seen.officer.fold(record)


_FOLDS: dict[type[Record], Callable[[Projection, Fact, Any], None]] = {
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
