"""`Known`: everything that the rules remember of a log, and the questions that may be asked of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from ledger.records.log import FreezeReason, KeyRotated, PolicyAdopted
from ledger.records.parties import PartyDeclared
from ledger.records.requests import RequestAnswered
from ledger.rules import orders, retold
from ledger.rules.capacity import Booking, Capacity
from ledger.rules.contract_state import ContractState
from ledger.rules.credential_state import CredentialBook
from ledger.rules.errors.absent import ContractAbsent, RequestAbsent, SiteAbsent
from ledger.rules.fact import Fact
from ledger.rules.kept_state import (
    NOTHING_KEPT,
    POLICY,
    Activation,
    DelegationState,
    Kept,
    Query,
    ScheduleState,
    StreamState,
)
from ledger.rules.officer_state import OfficerBook
from ledger.rules.remembered import Remembered
from ledger.rules.request_state import RequestState
from ledger.rules.root_lives import RootLife
from ledger.rules.site_state import SiteState
from ledger.rules.tables import Plain, Table, Tables

Scope = Literal["log", "stream"]


class Known:
    """What was folded. `scope` says whether it saw the whole log or one stream of it.

    Everything that it remembers is in a `Table`, so that it can be written down by key. What one stream alone tells is
    not written down twice: it is folded from that stream again when somebody asks (`ledger/rules/retold.py`).
    """

    def __init__(self, scope: Scope, empty: retold.New) -> None:
        """Nothing was folded yet. `empty` makes what a stream is folded into again."""
        self.scope: Scope = scope
        self.tables = Tables()
        new = self.tables.new
        self.kept: Table[Kept] = new(Plain("log", Kept))
        self.contracts: Table[ContractState] = new(retold.Contracts(empty))
        self.contracts_at: Table[list[str]] = new(Plain("contracts-at", list[str]))
        """Contract ids by site."""
        self.resting: Table[list[str]] = new(Plain("resting", list[str]))
        """Contract ids by the party that let them rest and did not let them go on since."""
        self.requests: Table[RequestState] = new(retold.Requests(empty, self.contracts))
        self.sites: Table[SiteState] = new(retold.Sites(empty))
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
        self.queries: Table[Query] = new(retold.Told("query", "discovery", empty))
        self.parties: Table[PartyDeclared] = new(Plain("party", PartyDeclared))
        self.declared: Table[str] = new(Plain("declared", str))
        """Party by identifier."""
        self.delegations: Table[DelegationState] = new(retold.Told("delegation", "delegation", empty))
        self.delegations_of: Table[list[str]] = new(Plain("delegations-of", list[str]))
        """By grantor, where it is known."""
        self.delegations_to: Table[list[str]] = new(Plain("delegations-to", list[str]))
        """By delegate, where it is known."""
        self.schedules: Table[ScheduleState] = new(retold.Told("schedule", "schedule", empty))
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

    @property
    def is_sealed(self) -> bool:
        """Whether nothing at all follows any more, not even what is done with personal data."""
        return self.log_kept.frozen_for is FreezeReason.KEY_STOLEN

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
