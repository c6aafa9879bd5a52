"""What the vault adds to the log's public state: which car is where, which EVSE a participation is, which claims hold.

Folded from the log and opened from the vault at the start, then kept up entry by entry. Nothing of it is stored a
second time, and erasing a person takes them out of it.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from functools import partial

import structlog

from api.errors import ApiError
from api.flows.desk import Desk, Opened
from api.flows.errors import AttachmentForeign, DocumentOther
from api.flows.rights import RIGHTS, Rights
from api.verification.documents import Document, Registered, difference, relevant
from api.verification.station_root import Known
from ledger.delivery import station_root
from ledger.delivery.errors import StationRootMalformed
from ledger.errors import LedgerError
from ledger.privacy.opened import State
from ledger.records import disclosure, record, statement
from ledger.records import entry as entries
from ledger.records.contracts import ContractOffered
from ledger.records.credentials import CheckRecorded
from ledger.records.entry import Entry
from ledger.records.evidence import SamplesCommitted
from ledger.records.parties import Scope
from ledger.records.privacy import ErasureExecuted
from ledger.records.record import Record
from ledger.records.requests import RequestIssued, RequestRevised
from ledger.records.sites import ClaimRegistered, ClaimWithdrawn, InstallationLinked, SessionMirrored
from ledger.rules.fact import Fact
from pki.conformity import VerifiedClaim, VerifiedLink
from pki.errors import PkiError
from pki.roles import Purpose

log = structlog.get_logger()

TYPES = frozenset(
    kind.TYPE
    for kind in (
        SessionMirrored,
        ClaimRegistered,
        InstallationLinked,
        ClaimWithdrawn,
        CheckRecorded,
        ContractOffered,
        SamplesCommitted,
        *RIGHTS,
    )
)


class Memory:
    """Whole records, where the vault still has their personal members."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._sessions: dict[tuple[str, str], SessionMirrored] = {}
        self._claims: dict[str, tuple[Registered, bytes]] = {}
        """Claims and links with their documents, in the order of registration; not what was withdrawn."""
        self._withdrawn: dict[str, tuple[Registered, bytes]] = {}
        """What was."""
        self._evses: dict[tuple[str, str], str] = {}
        self._persons: dict[str, str] = {}
        self._offers: dict[str, ContractOffered] = {}
        self._signers: dict[str, str] = {}
        self._bodies: dict[str, str] = {}
        self.station_words: dict[Known, str] = {}
        """What stations signed of their samples, by batch; what was erased is not in it."""
        self.rights = Rights(desk.clock)
        self.checking = asyncio.Lock()
        """Held by whoever introduces participations."""
        desk.persons = self
        desk.listen(self.heard)
        desk.appender.listen(self.overheard)

    def overheard(self, fact: Fact) -> None:
        """Another replica wrote an entry: whoever listens here hears of it too, with what the vault opens of it."""
        self._know_again(fact.statement.header.x5t)
        if isinstance(fact.statement.record, ErasureExecuted):
            # What is decrypted with keys that were derived here would outlive them by a minute.
            self._desk.engines.vault.keys.purge()
            self.recollect(fact.index)
        try:
            whole = self.whole(fact.entry)
            self._desk.tell(
                Opened(statement=fact.statement, actor=fact.actor, whole=whole), fact.entry.stream, fact.entry.rec
            )
        except (ApiError, LedgerError, PkiError) as error:
            log.error("entry of another replica not taken in", index=fact.index, code=error.code)

    def recollect(self, size: int | None = None) -> None:
        """Forgets everything and opens it again, up to `size` entries: what was erased is not remembered."""
        for known in (self._sessions, self._claims, self._evses, self._persons, self._offers, self._bodies):
            known.clear()
        self._withdrawn.clear()
        self.station_words.clear()
        self.rights.forget_all()
        store = self._desk.engines.store
        self.recall(row.data for row in store.entries(0, self._desk.appender.head.size if size is None else size))

    def recall(self, stored: Iterable[bytes]) -> None:
        """Folds what the log holds; what was erased is no longer there to be remembered."""
        for data in stored:
            entry = entries.decode(data)
            if entry.type in (RequestIssued.TYPE, RequestRevised.TYPE):
                opened = statement.parse_statement(entry.stmt)
                self._signers[entry.stream.partition("/")[2]] = opened.header.x5t
                self._know_again(opened.header.x5t)
            elif entry.type in TYPES:
                if entry.type == InstallationLinked.TYPE:
                    # An operator's link is signed with the certificate under which it was registered.
                    self._know_again(statement.parse_statement(entry.stmt).header.x5t)
                self._remember(self.whole(entry))

    def _know_again(self, x5t: str) -> None:
        """Checks are repeated at the start of a request, whose signer's certificate came before the restart."""
        der = self._desk.engines.store.certificate(x5t)
        if der is not None:
            self._desk.directory.add(der)

    def heard(self, opened: Opened, _stream: str, _rec_ms: int) -> None:
        """A new entry was committed."""
        if isinstance(opened.whole, RequestIssued | RequestRevised):
            self._signers[opened.whole.fsr_id] = opened.statement.header.x5t
        elif opened.statement.claims.type in TYPES:
            self._remember(opened.whole)

    def whole(self, entry: Entry) -> Record:
        """The record of an entry with every personal member that the vault can still open."""
        opened = statement.parse_statement(entry.stmt)
        found = self._desk.engines.vault.open_many(record.digests(opened.claims.event))
        texts = [one.text for one in found.values() if one.state is State.TEXT and one.text is not None]
        return self._desk.reveal(opened, [disclosure.parse(text) for text in texts])

    def _remember(self, whole: Record) -> None:
        if isinstance(whole, SessionMirrored) and isinstance(whole.evse_id, str):
            self._sessions[whole.site_id, whole.evse_id] = whole
        elif isinstance(whole, ContractOffered):
            self._offers[whole.fsc_id] = whole
        elif isinstance(whole, SamplesCommitted) and isinstance(whole.body_sha256, str):
            self._bodies[whole.batch_id] = whole.body_sha256
            if isinstance(whole.station_jws, str):
                with suppress(StationRootMalformed):
                    said = station_root.read(whole.station_jws)
                    self.station_words[said.x5t, said.payload_sha256] = whole.batch_id
        elif isinstance(whole, CheckRecorded):
            for subject in whole.subjects:
                if isinstance(subject.evse_id, str):
                    self._evses[whole.fsr_id, subject.participation] = subject.evse_id
                if isinstance(subject.evu, str):
                    self._persons[subject.participation] = subject.evu
        elif isinstance(whole, ClaimRegistered | InstallationLinked):
            self._remember_claim(whole)
        elif isinstance(whole, ClaimWithdrawn):
            held = self._claims.pop(whole.claim_id, None)
            if held is not None:
                self._withdrawn[whole.claim_id] = held
        else:
            self.rights.remember(whole)

    def _remember_claim(self, whole: Registered) -> None:
        sha256 = paper_of(whole)
        if sha256 is not None:
            # What was erased is no longer there: the check will not find it, and will say so.
            with suppress(LedgerError):
                self._claims[whole.claim_id] = (whole, self._document(sha256))

    def _document(self, sha256: str) -> bytes:
        stored = self._desk.engines.store.evidence(sha256)
        return stored[1] if stored is not None else self._desk.engines.vault.attachment(sha256)

    def signer_of_request(self, fsr_id: str) -> str:
        """Thumbprint of the certificate that the request, or its newest revision, was signed with."""
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

    def person_with(self, key_sha256: str) -> str | None:
        """Who was last plugged in with the car of this key, or None."""
        for session in reversed(self._sessions.values()):
            if session.ev_key_spki_sha256 == key_sha256 and isinstance(session.evu, str):
                return session.evu
        return None

    def participations_of(self, party: str) -> list[tuple[str, str]]:
        """(request, participation) of one person, and of those whose delegate for opting the party is now."""
        theirs = {party, *self.rights.grantors(party, Scope.OPT)}
        return [(fsr, pid) for (fsr, pid) in self._evses if self._persons.get(pid) in theirs]

    def forget_person(self, evu: str) -> None:
        """The person was erased: nothing here remembers them."""
        mine = {pid for pid, person in self._persons.items() if person == evu}
        self._sessions = {key: one for key, one in self._sessions.items() if one.evu != evu}
        self._evses = {key: evse for key, evse in self._evses.items() if key[1] not in mine}
        self._persons = {pid: person for pid, person in self._persons.items() if person != evu}
        self._offers = {fsc_id: offer for fsc_id, offer in self._offers.items() if offer.evu != evu}
        self.rights.forget_person(evu)
        self._claims = {name: held for name, held in self._claims.items() if self._is_kept(held[0])}
        self._withdrawn = {name: held for name, held in self._withdrawn.items() if self._is_kept(held[0])}

    def _is_kept(self, registered: Registered) -> bool:
        """Whether the vault still has the document."""
        try:
            return self._document(paper_of(registered) or "") is not None
        except LedgerError:
            return False

    def body_of(self, batch_id: str) -> str | None:
        """The digest of a batch's sample body, where the vault still tells."""
        return self._bodies.get(batch_id)

    # Contracts and claims

    def offer(self, fsc_id: str) -> ContractOffered | None:
        """The newest offer of a contract, whole."""
        return self._offers.get(fsc_id)

    def documents(self, site_id: str, keys: Collection[str], at_ms: int) -> list[Document]:
        """The claims and links of a site that can matter for the things with these keys, to be opened as at `at_ms`."""
        return self._relevant(self._claims, site_id, keys, at_ms)

    def _relevant(
        self, held: Mapping[str, tuple[Registered, bytes]], site_id: str, keys: Collection[str], at_ms: int
    ) -> list[Document]:
        known = [
            Document(registered, partial(self._desk.directory.document, der, at_ms))
            for registered, der in held.values()
            if registered.site_id == site_id
        ]
        return relevant(known, keys)

    def withdrawn(self, site_id: str, keys: Collection[str], at_ms: int) -> list[Document]:
        """The same, of those that its operator relies on no more."""
        return self._relevant(self._withdrawn, site_id, keys, at_ms)

    def claim(self, claim_id: str) -> tuple[Registered, bytes] | None:
        """A claim or link that was not withdrawn, whole, with its document; None where the vault no longer has it."""
        return self._claims.get(claim_id)

    def require_claim(self, opened: Opened) -> VerifiedClaim | VerifiedLink:
        """The attribute certificate that a registration brings, good now; raises what is wrong with it.

        An operator's own link is signed with the key that signs its registration, so whoever has the entry has the
        certificate.
        """
        registered = opened.whole
        if not isinstance(registered, ClaimRegistered | InstallationLinked):
            raise DocumentOther("neither a claim nor a link", found=registered.TYPE)
        sha256 = paper_of(registered)
        if sha256 is None or sha256 not in opened.attachments:
            raise AttachmentForeign("the claim's document must come along", expected="an attachment with its digest")
        found = self._desk.directory.document(opened.attachments[sha256].data, self._desk.clock.now_ms())
        other = difference(registered, found)
        if other is not None:
            raise DocumentOther("the document says something else than its registration", found=other)
        if found.body.purpose is Purpose.SIGNING and found.body.x5t_s256 != opened.statement.header.x5t:
            raise DocumentOther("an operator's link has the signer of its registration")
        return found


def paper_of(registered: Registered) -> str | None:
    """The digest of the document behind a registration; None where it is not disclosed."""
    named = registered.claim_sha256 if isinstance(registered, ClaimRegistered) else registered.link_sha256
    return named if isinstance(named, str) else None
