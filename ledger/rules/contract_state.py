"""`ContractState`: a contract as the log tells it."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from ledger.records.contracts import (
    ContractAccepted,
    ContractKind,
    ContractOffered,
    ContractResumed,
    ContractSuspended,
    ContractTerminated,
    ContractWithdrawn,
    ServiceTerms,
    SuspensionCause,
    TerminationReason,
)
from ledger.records.services import Direction, Service

MS_PER_S = 1000


class ContractStatus(StrEnum):
    """States of a contract (table 6.4)."""

    DRAFT = "DRAFT"
    WITHDRAWN = "WITHDRAWN"
    SIGNED = "SIGNED"
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    EXPIRED = "EXPIRED"
    TERMINATED = "TERMINATED"


class Offered(msgspec.Struct):
    """One version: the offer, who made it, and when the other party accepted it."""

    record: ContractOffered
    party: str
    sha256: str
    """SHA-256 of the offer's statement."""
    at_ms: int
    evse_tags: frozenset[str]
    """Blind tags of the EVSEs that it is limited to; empty where nobody can know them or there is no limit."""
    person_tag: str | None = None
    """A blind name of the EV user on the other side; None where nobody can know it, or there is none."""
    accepted_at_ms: int | None = None
    accepted_by: str | None = None
    is_withdrawn: bool = False

    @property
    def is_whole_site(self) -> bool:
        """True where the offer hides nothing: it then names no person and no single EVSE."""
        return not self.record.sd


class Suspension(msgspec.Struct):
    """One cause, from when until when the contract rests; whoever said so ends it."""

    cause: SuspensionCause
    party: str
    since_ms: int
    until_ms: int | None = None


class ContractState(msgspec.Struct):
    """A contract's versions, and its end."""

    fsc_id: str
    index: int
    """Of the entry that first offered it."""
    versions: list[Offered] = msgspec.field(default_factory=list)
    terminated: ContractTerminated | None = None
    terminated_at_ms: int | None = None
    """When it ends, which is after the notice that it asks for."""
    suspensions: list[Suspension] = msgspec.field(default_factory=list)
    out: set[tuple[str, str]] = msgspec.field(default_factory=set)
    """(request, participation) of everything that stands opted out under this contract."""

    @property
    def latest(self) -> Offered:
        """The newest offer, accepted or not."""
        return self.versions[-1]

    @property
    def fo(self) -> str:
        """The flexibility operator; the same in every version."""
        return self.latest.record.fo

    @property
    def kind(self) -> ContractKind:
        """Which parties; the same in every version."""
        return self.latest.record.kind

    @property
    def counterparty(self) -> str | None:
        """The organisation on the other side; None where that is a person."""
        found = self.latest.record.counterparty
        return found if isinstance(found, str) else None

    @property
    def relay(self) -> str | None:
        """The organisation that relayed a person's acceptance."""
        relays = (version.accepted_by for version in reversed(self.versions) if version.accepted_by)
        return next(relays, None) if self.kind is ContractKind.FO_EVU else None

    def signed(self, at_ms: int) -> Offered | None:
        """The newest version that both parties had signed at that time."""
        for version in reversed(self.versions):
            if version.accepted_at_ms is not None and version.accepted_at_ms <= at_ms:
                return version
        return None

    def latest_signed_sha256(self, at_ms: int) -> str:
        """SHA-256 of the statement of the newest offer that both parties had signed, or of the newest offer."""
        return (self.signed(at_ms) or self.latest).sha256

    def status(self, at_ms: int) -> ContractStatus:
        """The state at that time; what a timer does is derived."""
        if self.terminated_at_ms is not None and self.terminated_at_ms <= at_ms:
            return ContractStatus.TERMINATED
        version = self.signed(at_ms)
        if version is None:
            return ContractStatus.WITHDRAWN if self.latest.is_withdrawn else ContractStatus.DRAFT
        if at_ms >= version.record.valid_to_ms:
            return ContractStatus.EXPIRED
        if any(one.since_ms <= at_ms < (one.until_ms or at_ms + 1) for one in self.suspensions):
            return ContractStatus.SUSPENDED
        return ContractStatus.SIGNED if at_ms < version.record.valid_from_ms else ContractStatus.ACTIVE

    def terms(self, service: Service, at_ms: int, direction: Direction | None = None) -> ServiceTerms | None:
        """The terms for a class of service in the version signed at that time, or None."""
        version = self.signed(at_ms)
        if version is None:
            return None
        for terms in version.record.services:
            if terms.service is service and direction in (None, terms.direction):
                return terms
        return None

    def fold_offer(self, offered: Offered) -> None:
        """Another version was offered."""
        self.versions.append(offered)

    def fold_acceptance(self, record: ContractAccepted, party: str, at_ms: int) -> None:
        """A version was accepted."""
        for version in self.versions:
            if version.record.version == record.version and version.accepted_at_ms is None:
                version.accepted_at_ms = at_ms
                version.accepted_by = party

    def fold_end(self, record: ContractTerminated, at_ms: int) -> None:
        """The contract was ended: at once, or for a notice after the time that the parties agreed."""
        if self.terminated is None:
            signed = self.signed(at_ms)
            has_notice = record.reason is TerminationReason.NOTICE and signed is not None
            self.terminated = record
            self.terminated_at_ms = at_ms + (MS_PER_S * signed.record.notice_s if has_notice and signed else 0)

    def fold_withdrawal(self, record: ContractWithdrawn) -> None:
        """The latest offer was taken back."""
        if self.latest.record.version == record.version and self.latest.accepted_at_ms is None:
            self.latest.is_withdrawn = True

    def suspended_by(self, cause: SuspensionCause, party: str) -> Suspension | None:
        """What that party said of this cause and did not take back, or None."""
        found = [one for one in self.suspensions if (one.cause, one.party, one.until_ms) == (cause, party, None)]
        return found[0] if found else None

    def rests_for(self, party: str) -> bool:
        """Whether that party let it rest, for any cause, and did not take that back."""
        return any(one.party == party and one.until_ms is None for one in self.suspensions)

    def fold_suspension(self, record: ContractSuspended, party: str, at_ms: int) -> None:
        """It rests."""
        self.suspensions.append(Suspension(record.cause, party, at_ms))

    def fold_resumption(self, record: ContractResumed, party: str, at_ms: int) -> None:
        """One cause is gone."""
        found = self.suspended_by(record.cause, party)
        if found is not None:
            found.until_ms = at_ms


Contracts = Mapping[str, ContractState]
