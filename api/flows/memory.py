"""What the vault adds to the log's public state: which car is where, which EVSE a participation is, which claims hold.

Folded from the log and opened from the vault at the start, then kept up entry by entry. Nothing of it is stored a
second time, and erasing a person takes them out of it.
"""

import asyncio
from collections.abc import Iterable

from api.flows.desk import Desk, Opened
from api.flows.errors import AttachmentForeign
from ledger.errors import LedgerError
from ledger.privacy.opened import State
from ledger.records import disclosure, record, statement
from ledger.records import entry as entries
from ledger.records.contracts import ContractOffered
from ledger.records.credentials import CheckRecorded
from ledger.records.entry import Entry
from ledger.records.evidence import SamplesCommitted
from ledger.records.record import Record
from ledger.records.requests import RequestIssued
from ledger.records.sites import ClaimRegistered, SessionMirrored
from pki.conformity import VerifiedClaim, open_claim
from pki.errors import PkiError

TYPES = frozenset(
    kind.TYPE for kind in (SessionMirrored, ClaimRegistered, CheckRecorded, ContractOffered, SamplesCommitted)
)


class Memory:
    """Whole records, where the vault still has their personal members."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._sessions: dict[tuple[str, str], SessionMirrored] = {}
        self._claims: dict[str, dict[str, tuple[bytes, VerifiedClaim]]] = {}
        self._evses: dict[tuple[str, str], str] = {}
        self._persons: dict[str, str] = {}
        self._offers: dict[str, ContractOffered] = {}
        self._signers: dict[str, str] = {}
        self._bodies: dict[str, str] = {}
        self.checking = asyncio.Lock()
        """Held by whoever introduces participations."""
        desk.listen(self.heard)

    def recall(self, stored: Iterable[bytes]) -> None:
        """Folds what the log holds; what was erased is no longer there to be remembered."""
        for data in stored:
            entry = entries.decode(data)
            if entry.type == RequestIssued.TYPE:
                opened = statement.parse_statement(entry.stmt)
                self._signers[entry.stream.partition("/")[2]] = opened.header.x5t
                self._know_again(opened.header.x5t)
            elif entry.type in TYPES:
                self._remember(self.whole(entry), entry.stream, entry.rec)

    def _know_again(self, x5t: str) -> None:
        """Checks are repeated at the start of a request, whose signer's certificate came before the restart."""
        der = self._desk.engines.store.certificate(x5t)
        if der is not None:
            self._desk.directory.add(der)

    def heard(self, opened: Opened, stream: str, rec_ms: int) -> None:
        """A new entry was committed."""
        if isinstance(opened.whole, RequestIssued):
            self._signers[opened.whole.fsr_id] = opened.statement.header.x5t
        elif opened.statement.claims.type in TYPES:
            self._remember(opened.whole, stream, rec_ms)

    def whole(self, entry: Entry) -> Record:
        """The record of an entry with every personal member that the vault can still open."""
        opened = statement.parse_statement(entry.stmt)
        found = self._desk.engines.vault.open_many(record.digests(opened.claims.event))
        texts = [one.text for one in found.values() if one.state is State.TEXT and one.text is not None]
        return self._desk.reveal(opened, [disclosure.parse(text) for text in texts])

    def _remember(self, whole: Record, stream: str, at_ms: int) -> None:
        if isinstance(whole, SessionMirrored) and isinstance(whole.evse_id, str):
            self._sessions[whole.site_id, whole.evse_id] = whole
        elif isinstance(whole, ContractOffered):
            self._offers[whole.fsc_id] = whole
        elif isinstance(whole, SamplesCommitted) and isinstance(whole.body_sha256, str):
            self._bodies[whole.batch_id] = whole.body_sha256
        elif isinstance(whole, CheckRecorded):
            for subject in whole.subjects:
                if isinstance(subject.evse_id, str):
                    self._evses[whole.fsr_id, subject.participation] = subject.evse_id
                if isinstance(subject.evu, str):
                    self._persons[subject.participation] = subject.evu
        elif isinstance(whole, ClaimRegistered) and isinstance(whole.claim_sha256, str):
            self._remember_claim(whole, whole.claim_sha256, stream.partition("/")[2], at_ms)

    def _remember_claim(self, whole: ClaimRegistered, sha256: str, site_id: str, at_ms: int) -> None:
        try:
            der = self._document(sha256)
            self._claims.setdefault(site_id, {})[whole.claim_id] = (der, self._open(der, at_ms))
        except (LedgerError, PkiError):
            # Erased, or its body is no longer trusted: the check will not find it, and will say so.
            self._claims.get(site_id, {}).pop(whole.claim_id, None)

    def _document(self, sha256: str) -> bytes:
        stored = self._desk.engines.store.evidence(sha256)
        return stored[1] if stored is not None else self._desk.engines.vault.attachment(sha256)

    def signer_of_request(self, fsr_id: str) -> str:
        """Thumbprint of the certificate that the request was signed with."""
        return self._signers[fsr_id]

    # Sessions and persons

    def session_at(self, site_id: str, evse_id: str, at_ms: int) -> SessionMirrored | None:
        """The session at an EVSE at a time, or None."""
        found = self._sessions.get((site_id, evse_id))
        if found is None or not isinstance(found.from_ms, int) or not isinstance(found.until_ms, int):
            return None
        return found if found.from_ms <= at_ms < found.until_ms else None

    def person_at(self, evse_id: str) -> str | None:
        """Whose session it is at an EVSE, or None."""
        for (_, known), session in self._sessions.items():
            if known == evse_id and isinstance(session.evu, str):
                return session.evu
        return None

    def participations(self, fsr_id: str) -> dict[str, str]:
        """Participation to EVSE of one request, as far as the vault still tells."""
        return {pid: evse for (fsr, pid), evse in self._evses.items() if fsr == fsr_id}

    def person_of(self, participation: str) -> str | None:
        """Whose participation it is, or None."""
        return self._persons.get(participation)

    def participations_of(self, evu: str) -> list[tuple[str, str]]:
        """(request, participation) of one person."""
        return [(fsr, pid) for (fsr, pid) in self._evses if self._persons.get(pid) == evu]

    def forget_person(self, evu: str) -> None:
        """The person was erased: nothing here remembers them."""
        mine = {pid for pid, person in self._persons.items() if person == evu}
        self._sessions = {key: one for key, one in self._sessions.items() if one.evu != evu}
        self._evses = {key: evse for key, evse in self._evses.items() if key[1] not in mine}
        self._persons = {pid: person for pid, person in self._persons.items() if person != evu}
        self._offers = {fsc_id: offer for fsc_id, offer in self._offers.items() if offer.evu != evu}

    def body_of(self, batch_id: str) -> str | None:
        """The digest of a batch's sample body, where the vault still tells."""
        return self._bodies.get(batch_id)

    # Contracts and claims

    def offer(self, fsc_id: str) -> ContractOffered | None:
        """The newest offer of a contract, whole."""
        return self._offers.get(fsc_id)

    def claims(self, site_id: str) -> list[VerifiedClaim]:
        """Every claim that was found good, of any thing at the site."""
        return [claim for _, claim in self._claims.get(site_id, {}).values()]

    def require_claim(self, opened: Opened) -> VerifiedClaim:
        """The attribute certificate that a registration brings, verified; raises what is wrong with it."""
        sha256 = getattr(opened.whole, "claim_sha256", None)
        if not isinstance(sha256, str) or sha256 not in opened.attachments:
            raise AttachmentForeign("the claim's document must come along", expected="an attachment with its digest")
        return self._open(opened.attachments[sha256].data, self._desk.clock.now_ms())

    def _open(self, der: bytes, at_ms: int) -> VerifiedClaim:
        directory = self._desk.directory
        chain = directory.chain_of_claim(der)
        return open_claim(der, aa_chain=chain, anchors=directory.anchors, status=directory.status, at_ms=at_ms)
