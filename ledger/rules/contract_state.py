"""`ContractState`: a contract as the log tells it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ledger.records.contracts import (
    ContractAccepted,
    ContractKind,
    ContractOffered,
    ContractTerminated,
    ServiceTerms,
)
from ledger.records.services import Direction, Service


class ContractStatus(StrEnum):
    """States of a contract (table 6.4). Suspension follows from credentials, which checks look at, not from the log."""

    DRAFT = "DRAFT"
    SIGNED = "SIGNED"
    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    TERMINATED = "TERMINATED"


@dataclass(slots=True)
class Offered:
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

    @property
    def is_whole_site(self) -> bool:
        """True where the offer hides nothing: it then names no person and no single EVSE."""
        return not self.record.sd


@dataclass(slots=True)
class ContractState:
    """A contract's versions, and its end."""

    fsc_id: str
    index: int
    """Of the entry that first offered it."""
    versions: list[Offered] = field(default_factory=list)
    terminated: ContractTerminated | None = None
    terminated_at_ms: int | None = None
    out: set[tuple[str, str]] = field(default_factory=set)
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

    def status(self, at_ms: int) -> ContractStatus:
        """The state at that time; what a timer does is derived."""
        if self.terminated_at_ms is not None and self.terminated_at_ms <= at_ms:
            return ContractStatus.TERMINATED
        version = self.signed(at_ms)
        if version is None:
            return ContractStatus.DRAFT
        if at_ms < version.record.valid_from_ms:
            return ContractStatus.SIGNED
        return ContractStatus.ACTIVE if at_ms < version.record.valid_to_ms else ContractStatus.EXPIRED

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
        """The contract was ended."""
        if self.terminated is None:
            self.terminated = record
            self.terminated_at_ms = at_ms


Contracts = Mapping[str, ContractState]
