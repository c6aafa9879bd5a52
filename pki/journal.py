"""What an authority tells before and after it signs; the service writes it to the ledger, `pki` knows no ledger."""

from dataclasses import dataclass, field
from typing import Protocol

from pki.store.records import Intent, Issued, Revocation

__all__ = ["Intent", "Journal", "MemoryJournal"]


class Journal(Protocol):
    """Where an authority says what it is about to do and what it did, so that others can hold it to that.

    The contract of every method:

    - It is called from any thread, from several at once, and may block; it takes as long as it needs to be durable.
    - When it returns, its entry is durable and in its place: every `issued` comes after the `intent` of the same
      bytes, for the authority waits for the one before it says the other.
    - It may raise anything. Then the authority goes no further: after `intent` nothing is signed, after `revoked`
      nothing is revoked, after `issued` the certificate is given to nobody. The entry may be there all the same, if
      only the answer was lost; so
    - saying the same twice is saying it once: the second call returns, and there is one entry. A repair says again what
      it cannot know to have been heard, possibly much later and in another process.
    - It never calls back into the authority or its store.
    """

    def intent(self, intent: Intent) -> None:
        """Before signing. An intent that neither `issued` nor `revoked` follows is a gap that auditors see."""
        ...

    def issued(self, issued: Issued) -> None:
        """After signing, checking and storing."""
        ...

    def revoked(self, revocation: Revocation) -> None:
        """Before the store is told: this entry is the revocation's commit point.

        What is revoked was issued, or only intended: then it is a precaution, and nobody was given the certificate.
        """
        ...


@dataclass(slots=True)
class MemoryJournal:
    """A journal for ceremonies and tests; in a process that ends, its entries end."""

    intents: list[Intent] = field(default_factory=list)
    issuances: list[Issued] = field(default_factory=list)
    revocations: list[Revocation] = field(default_factory=list)
    _heard: set[tuple[str, str, int]] = field(default_factory=set)

    def intent(self, intent: Intent) -> None:
        """Kept in order, once."""
        if self._is_new("intent", intent.issuer_key_sha256, intent.serial):
            self.intents.append(intent)

    def issued(self, issued: Issued) -> None:
        """Kept in order, once."""
        if self._is_new("issued", issued.issuer_key_sha256, issued.serial):
            self.issuances.append(issued)

    def revoked(self, revocation: Revocation) -> None:
        """Kept in order; the first one of a name stands."""
        if self._is_new("revoked", revocation.issuer_key_sha256, revocation.serial):
            self.revocations.append(revocation)

    def gaps(self) -> list[Intent]:
        """Intents that neither an issuance nor a revocation followed."""
        done = {issued.tbs_sha256 for issued in self.issuances}
        withdrawn = {(held.issuer_key_sha256, held.serial) for held in self.revocations}
        return [
            intent
            for intent in self.intents
            if intent.tbs_sha256 not in done and (intent.issuer_key_sha256, intent.serial) not in withdrawn
        ]

    def _is_new(self, kind: str, issuer_key_sha256: str, serial: int) -> bool:
        name = (kind, issuer_key_sha256, serial)
        known = name in self._heard
        self._heard.add(name)
        return not known
