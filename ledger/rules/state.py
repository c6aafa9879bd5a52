"""`LogState`: the judge. It is asked before a fact is written and told after; it never changes its mind in between."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ledger.records import contracts as contract_records
from ledger.records import credentials, embedded, log, opt, site_changes
from ledger.records import evidence as evidence_records
from ledger.records import execution as execution_records
from ledger.records import parties as party_records
from ledger.records import privacy as privacy_records
from ledger.records import requests as request_records
from ledger.records import sites as site_records
from ledger.records import work as work_records
from ledger.records.record import Record
from ledger.rules import (
    answers,
    checks,
    contracts,
    declarations,
    delegations,
    disputes,
    evidence,
    execution,
    issuance,
    keeping,
    officer,
    opting,
    persons,
    requests,
    schedules,
    sites,
    streams,
    undecided,
    work,
    writers,
)
from ledger.rules.contract_state import ContractState
from ledger.rules.credential_state import CredentialBook
from ledger.rules.fact import Fact
from ledger.rules.known import Scope
from ledger.rules.projection import Projection
from ledger.rules.remembered import Remembered
from ledger.rules.request_state import RequestState
from ledger.rules.root_lives import RootLife
from ledger.rules.rules_version import RULES_VERSION
from ledger.rules.site_state import SiteState
from ledger.rules.tables import ROWS_VERSION, Tables
from ledger.rules.undecided import Undecided

Rule = Callable[[Projection, Fact, Any], None]

RULES: dict[type[Record], Rule] = {
    log.PolicyAdopted: keeping.policy_adopted,
    log.RootAdopted: keeping.root_adopted,
    log.RootRetired: keeping.root_retired,
    log.KeyRotated: keeping.key_rotated,
    log.TimeStamped: keeping.time_stamped,
    log.StreamClosed: keeping.stream_closed,
    site_records.SiteConfigured: sites.site_configured,
    site_changes.SiteChanged: sites.site_changed,
    site_records.ClaimRegistered: sites.claim_registered,
    site_records.InstallationLinked: sites.installation_linked,
    site_records.ClaimWithdrawn: sites.claim_withdrawn,
    site_records.SiteAvailable: sites.site_available,
    site_records.SessionMirrored: sites.session_mirrored,
    embedded.EmbeddedActed: sites.embedded_acted,
    contract_records.ContractOffered: contracts.contract_offered,
    contract_records.ContractAccepted: contracts.contract_accepted,
    contract_records.ContractWithdrawn: contracts.contract_withdrawn,
    contract_records.ContractSuspended: contracts.contract_suspended,
    contract_records.ContractResumed: contracts.contract_resumed,
    contract_records.ContractTerminated: contracts.contract_terminated,
    contract_records.HoldersAsked: contracts.holders_asked,
    contract_records.HoldersAnswered: contracts.holders_answered,
    request_records.RequestIssued: requests.request_issued,
    request_records.RequestRevised: requests.request_revised,
    request_records.RequestCancelled: requests.request_cancelled,
    request_records.RequestAborted: requests.request_aborted,
    request_records.SetpointBatch: requests.setpoints_moved,
    request_records.RequestAnswered: answers.request_answered,
    credentials.CheckRecorded: checks.check_recorded,
    credentials.CredentialIntended: issuance.credential_intended,
    credentials.CredentialIssued: issuance.credential_issued,
    credentials.CredentialsAdopted: issuance.credentials_adopted,
    credentials.CredentialRevoked: issuance.credential_revoked,
    opt.OptDecided: opting.opt_decided,
    opt.OptScheduled: schedules.opt_scheduled,
    opt.OptScheduleEnded: schedules.schedule_ended,
    party_records.PartyDeclared: declarations.party_declared,
    party_records.DelegationGiven: delegations.delegation_given,
    party_records.DelegationRevoked: delegations.delegation_revoked,
    privacy_records.HoldPlaced: officer.hold_placed,
    privacy_records.HoldLifted: officer.hold_lifted,
    privacy_records.ReidentificationRequested: officer.reidentification_requested,
    privacy_records.ReidentificationApproved: officer.reidentification_approved,
    privacy_records.ReidentificationClosed: officer.reidentification_closed,
    evidence_records.BaselineCommitted: evidence.baseline_committed,
    evidence_records.SamplesCommitted: evidence.samples_committed,
    execution_records.ExecutionNoted: execution.execution_noted,
    work_records.ServiceRecorded: work.service_recorded,
    work_records.WorkProven: work.work_proven,
    work_records.WorkCountered: disputes.work_countered,
    work_records.DisputeResolved: disputes.dispute_resolved,
    work_records.Settled: disputes.settled,
}
"""The rule of each record type; the others are governed by writer, stream and policy alone."""


class LogState:
    """Everything that the rules remember, and the one question: may this be written now?

    With `scope="stream"` it judges the entries of one stream alone; what needs others is skipped and told by
    `undecided`.
    """

    def __init__(self, scope: Scope = "log") -> None:
        self._seen = Projection(scope)
        self._undecided: dict[tuple[str, str], Undecided] = {}

    @property
    def scope(self) -> Scope:
        """What it sees: the whole log, or one stream."""
        return self._seen.scope

    def check(self, fact: Fact) -> None:
        """Raises the `RuleViolated` that refuses the fact; changes nothing."""
        seen = self._seen
        kept = seen.log_kept
        keeping.require_not_frozen(seen, kept, fact)
        writers.require_writer(fact)
        issuance.require_signer(seen, fact)
        streams.require_stream(fact)
        keeping.require_policy(seen, kept, fact)
        keeping.require_keeper(kept, fact)
        keeping.require_stream_open(seen, fact)
        record = fact.statement.record
        rule = RULES.get(type(record))
        if rule is not None:
            rule(seen, fact, record)
        persons.require_called_for(fact)

    def apply(self, fact: Fact) -> None:
        """The fact has been written, whatever `check` says of it; refuses nothing."""
        if self._seen.tables.source is None:
            # An audit's question; who keeps a log has judged every entry with all there was.
            self._note_undecided(fact)
        self._seen.fold(fact)

    def _note_undecided(self, fact: Fact) -> None:
        for code, why in undecided.found(self._seen, fact):
            known = self._undecided.get((code, why))
            first, count = (known.first, known.count) if known is not None else (fact.index, 0)
            self._undecided[code, why] = Undecided(code, why, count + 1, first, fact.index)

    # Written down by key

    @property
    def version(self) -> str:
        """By which rules, and in which shape, the rows are written; rows of another version are made anew."""
        kinds = hashlib.sha256(" ".join(self._seen.tables.kinds).encode()).hexdigest()
        return f"{RULES_VERSION} {ROWS_VERSION} {kinds[:8]}"

    @property
    def tables(self) -> Tables:
        """Everything that is remembered, by key."""
        return self._seen.tables

    @property
    def undecided(self) -> tuple[Undecided, ...]:
        """Which rules could not be decided, why, and for which entries; an audit's, where all is in memory."""
        return tuple(self._undecided[key] for key in sorted(self._undecided))

    def undecidable(self, fact: Fact) -> tuple[tuple[str, str], ...]:
        """(code, why) of each rule that cannot be decided for this fact; empty when a statement comes in whole."""
        return tuple(undecided.found(self._seen, fact))

    def request(self, fsr_id: str) -> RequestState:
        """The request; raises `RequestAbsent`."""
        return self._seen.request(fsr_id)

    def requests(self, after: str | None = None) -> Iterator[RequestState]:
        """The requests in the order in which they were issued, those after one if it is named."""
        return (self._seen.requests.peek(key) for key in self._seen.requests.after(after))

    def requests_until(self, after_ms: int) -> Iterator[RequestState]:
        """The requests whose window ends later than `after_ms`."""
        return (self._seen.requests.peek(key) for key in self._seen.requests.until(after_ms))

    def contract(self, fsc_id: str) -> ContractState:
        """The contract; raises `ContractAbsent`."""
        return self._seen.contract(fsc_id)

    def contracts(self) -> tuple[ContractState, ...]:
        """All contracts, in the order in which they were first offered."""
        return tuple(self._seen.contracts.values())

    def contracts_of(self, party: str) -> tuple[ContractState, ...]:
        """The contracts to which `party` is a party, or whose person it speaks for."""
        return tuple(one for one in self.contracts() if party in (one.fo, one.counterparty, one.relay))

    def resting(self, party: str) -> tuple[str, ...]:
        """The contracts that this party let rest and did not let go on since, in the order in which it did."""
        return tuple(self._seen.resting.get(party, ()))

    def has_grantor(self, party: str) -> bool:
        """Whether somebody made the organisation a delegate, and did not take that back."""
        return any(not one.is_revoked for one in self._seen.delegated_to(party))

    def contracts_at(self, site_id: str) -> tuple[ContractState, ...]:
        """The contracts that were first offered for a site, in that order."""
        return tuple(self._seen.contracts[name] for name in self._seen.contracts_at.get(site_id, ()))

    def site(self, site_id: str) -> SiteState:
        """The site; raises `SiteAbsent`."""
        return self._seen.site(site_id)

    def sites(self) -> tuple[SiteState, ...]:
        """All sites, in the order in which they were first configured."""
        return tuple(self._seen.sites.values())

    @property
    def rotations(self) -> tuple[log.KeyRotated, ...]:
        """How the log changed its key, in order."""
        return tuple(self._seen.rotations)

    @property
    def anchors(self) -> Mapping[str, RootLife]:
        """The roots of trust that the log ever had, by digest, in order."""
        return dict(self._seen.anchors)

    @property
    def frozen_at(self) -> int | None:
        """Index of the entry that ended the log; None while it goes on."""
        return self._seen.frozen_at

    @property
    def is_sealed(self) -> bool:
        """Whether the log has ended so that not even an erasure is recorded in it: one of its keys was stolen."""
        return self._seen.is_sealed

    @property
    def credentials(self) -> CredentialBook:
        """The life of every credential that is on record."""
        return self._seen.credentials

    @property
    def remembered(self) -> Remembered:
        """Where what somebody has to open again stands in the log."""
        return self._seen.remembered

    def request_of_batch(self, batch_id: str) -> str | None:
        """The request that a batch of samples belongs to, or None."""
        return self._seen.batches.get(batch_id)

    def held(self, asked: contract_records.HoldersAsked, fo: str, now_ms: int) -> tuple[contract_records.Held, ...]:
        """The operator's contracts that a question means, as they stand."""
        return tuple(contracts.held(self._seen, asked, fo, now_ms))

    def counted(self, asked: contract_records.HoldersAsked) -> contract_records.CountBucket:
        """How many contracts of any operator hold there, roughly."""
        return contracts.counted(self._seen, asked)

    def query(self, query_id: str) -> contract_records.HoldersAsked | None:
        """The question about contract holders, or None."""
        asked = self._seen.queries.get(query_id)
        return asked.record if asked is not None else None

    def asked_by(self, query_id: str) -> str | None:
        """The operator that asked the question about contract holders, or None."""
        asked = self._seen.queries.get(query_id)
        return asked.fo if asked is not None else None
