"""What an authority tells before and after it signs; the service writes it to the ledger, `pki` knows no ledger."""

from dataclasses import dataclass, field
from typing import Protocol

from pki.store.records import Issued, Revocation


@dataclass(frozen=True, slots=True)
class Intent:
    """A certificate that is about to be signed: the digest (hex) of the bytes, and the profile."""

    tbs_sha256: str
    profile: str
    issuer_key_sha256: str
    serial: int
    at_ms: int


class Journal(Protocol):
    """Each method returns once its entry is durable, or raises; then nothing is signed or revoked."""

    def intent(self, intent: Intent) -> None:
        """Before signing. An intent without its `issued` is a gap that auditors see."""
        ...

    def issued(self, issued: Issued) -> None:
        """After signing and storing."""
        ...

    def revoked(self, revocation: Revocation) -> None:
        """Before the store is told: this entry is the revocation's commit point."""
        ...


@dataclass(slots=True)
class MemoryJournal:
    """A journal for ceremonies and tests."""

    intents: list[Intent] = field(default_factory=list)
    issuances: list[Issued] = field(default_factory=list)
    revocations: list[Revocation] = field(default_factory=list)

    def intent(self, intent: Intent) -> None:
        """Kept in order."""
        self.intents.append(intent)

    def issued(self, issued: Issued) -> None:
        """Kept in order."""
        self.issuances.append(issued)

    def revoked(self, revocation: Revocation) -> None:
        """Kept in order."""
        self.revocations.append(revocation)

    def gaps(self) -> list[Intent]:
        """Intents that no issuance followed."""
        done = {issued.tbs_sha256 for issued in self.issuances}
        return [intent for intent in self.intents if intent.tbs_sha256 not in done]
