"""What the vault adds to the log's public state: which car is where, which EVSE a participation is, which claims hold.

The log's own state says where to look (`ledger/rules/remembered.py`); the entry is read and opened in the vault when
somebody asks, and kept in memory for a while. So nothing is opened at a start, and erasing a person takes everything of
them out of it.
"""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Final, TypeVar, cast

import structlog

from api.errors import ApiError
from api.flows.desk import Desk, Opened
from api.flows.errors import AttachmentForeign, DocumentOther
from api.flows.rights import Rights
from api.verification.documents import Document, Registered, difference, relevant
from api.verification.station_root import Known
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
from ledger.records.sites import ClaimRegistered, InstallationLinked, SessionMirrored
from ledger.rules import remembered
from ledger.rules.fact import Fact
from pki.conformity import VerifiedClaim, VerifiedLink
from pki.errors import PkiError
from pki.roles import Purpose

log = structlog.get_logger()

MAX_OPENED: Final = 4_096
"""Entries that stay opened."""
MAX_REQUESTS: Final = 512
"""Requests of which the participations stay known."""
_OF_REQUESTS: Final = frozenset(kind.TYPE for kind in (RequestIssued, RequestRevised, CheckRecorded, SamplesCommitted))

K = TypeVar("K")
V = TypeVar("V")


class _Recent(dict[K, V]):
    """What was asked for lately; the oldest half goes when it is too much."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def put(self, key: K, value: V) -> V:
        """Keeps and gives the value."""
        if len(self) >= self._most:
            for old in list(islice(self, self._most // 2)):
                del self[old]
        self[key] = value
        return value


@dataclass(slots=True)
class _Participants:
    """What the vault tells of one request."""

    signer: str = ""
    """Thumbprint of the certificate that the request, or its newest revision, was signed with."""
    evses: dict[str, str] = field(default_factory=dict)
    """By participation."""
    persons: dict[str, str] = field(default_factory=dict)
    """By participation."""
    bodies: dict[str, str] = field(default_factory=dict)
    """Digest of the sample body by batch."""

    def take(self, whole: Record, x5t: str) -> None:
        """An entry of the request's stream, whole."""
        if isinstance(whole, RequestIssued | RequestRevised):
            self.signer = x5t
        elif isinstance(whole, SamplesCommitted) and isinstance(whole.body_sha256, str):
            self.bodies[whole.batch_id] = whole.body_sha256
        elif isinstance(whole, CheckRecorded):
            for subject in whole.subjects:
                if isinstance(subject.evse_id, str):
                    self.evses[subject.participation] = subject.evse_id
                if isinstance(subject.evu, str):
                    self.persons[subject.participation] = subject.evu


class Memory:
    """Whole records, where the vault still has their personal members."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._opened: _Recent[int, Record] = _Recent(MAX_OPENED)
        self._requests: _Recent[str, _Participants] = _Recent(MAX_REQUESTS)
        self.rights = Rights(desk, self._whole_at)
        self.checking = asyncio.Lock()
        """Held by whoever introduces participations."""
        desk.persons = self
        desk.listen(self.heard)
        desk.appender.listen(self.overheard)

    def overheard(self, fact: Fact) -> None:
        """Another replica wrote an entry: whoever listens here hears of it too, with what the vault opens of it."""
        self._know_again(fact.statement.header.x5t)
        if fact.statement.record.STREAM == ErasureExecuted.STREAM:
            # Something was erased, restricted or put right there; what is decrypted with keys that were derived here
            # would outlive them by a minute.
            self._desk.engines.vault.keys.purge()
            self.forget()
        try:
            whole = self.whole(fact.entry)
            self._desk.tell(
                Opened(statement=fact.statement, actor=fact.actor, whole=whole), fact.entry.stream, fact.entry.rec
            )
        except (ApiError, LedgerError, PkiError) as error:
            log.error("entry of another replica not taken in", index=fact.index, code=error.code)

    def forget(self) -> None:
        """Everything is opened again when it is asked for: what was erased is not remembered."""
        self._opened.clear()
        self._requests.clear()

    def _know_again(self, x5t: str) -> None:
        """A certificate that came before a restart, or through another replica, is known here too."""
        der = self._desk.engines.store.certificate(x5t)
        if der is not None:
            self._desk.directory.add(der)

    def heard(self, opened: Opened, stream: str, _rec_ms: int) -> None:
        """A new entry was committed."""
        kind, _, name = stream.partition("/")
        if kind == "fsr" and name in self._requests:
            self._requests[name].take(opened.whole, opened.statement.header.x5t)

    def at(self, kind: str, key: str | None) -> Record | None:
        """The entry that the log's state names for a key, whole; None where it names none."""
        index = None if key is None else self._desk.state.remembered.one(kind, key)
        return None if index is None else self._whole_at(index)

    def _among(self, kind: str, key: str) -> list[Record]:
        """Those that the log's state names for a key, whole, oldest first."""
        return [self._whole_at(index) for index in self._desk.state.remembered.many(kind, key)]

    def _whole_at(self, index: int) -> Record:
        known = self._opened.get(index)
        if known is not None:
            return known
        entry = entries.decode(self._desk.engines.store.entry(index).data)
        if entry.type == InstallationLinked.TYPE:
            # An operator's link is signed with the certificate under which it was registered.
            self._know_again(statement.parse_statement(entry.stmt).header.x5t)
        return self._opened.put(index, self.whole(entry))

    def _participants(self, fsr_id: str) -> _Participants:
        """What is known of a request; nothing of one that is not on record."""
        known = self._requests.get(fsr_id)
        if known is not None:
            return known
        found = _Participants()
        store = self._desk.engines.store
        for row in store.entries_at(store.stream_indices(f"fsr/{fsr_id}")):
            entry = entries.decode(row.data)
            if entry.type in _OF_REQUESTS:
                x5t = statement.parse_statement(entry.stmt).header.x5t
                found.take(self.whole(entry), x5t)
        return self._requests.put(fsr_id, found)

    def whole(self, entry: Entry) -> Record:
        """The record of an entry with every personal member that the vault can still open."""
        opened = statement.parse_statement(entry.stmt)
        found = self._desk.engines.vault.open_many(record.digests(opened.claims.event))
        texts = [one.text for one in found.values() if one.state is State.TEXT and one.text is not None]
        return self._desk.reveal(opened, [disclosure.parse(text) for text in texts])

    def _document(self, sha256: str) -> bytes:
        stored = self._desk.engines.store.evidence(sha256)
        return stored[1] if stored is not None else self._desk.engines.vault.attachment(sha256)

    def signer_of_request(self, fsr_id: str) -> str:
        """Thumbprint of the certificate that the request, or its newest revision, was signed with; it is known here."""
        x5t = self._participants(fsr_id).signer
        self._know_again(x5t)
        return x5t

    # Sessions and persons

    def _session(self, evse_id: str) -> SessionMirrored | None:
        found = self.at(remembered.SESSION, self._desk.tag("evse", evse_id))
        return found if isinstance(found, SessionMirrored) and found.evse_id == evse_id else None

    def session_at(self, site_id: str, evse_id: str, at_ms: int) -> SessionMirrored | None:
        """The session at an EVSE at a time, or None."""
        found = self._session(evse_id)
        if found is None or found.site_id != site_id:
            return None
        if not isinstance(found.from_ms, int) or not isinstance(found.until_ms, int):
            return None
        return found if found.from_ms <= at_ms < found.until_ms else None

    def person_at(self, evse_id: str) -> str | None:
        """Whose session it is at an EVSE, or None."""
        found = self._session(evse_id)
        return found.evu if found is not None and isinstance(found.evu, str) else None

    def participations(self, fsr_id: str) -> dict[str, str]:
        """Participation to EVSE of one request, as far as the vault still tells."""
        return dict(self._participants(fsr_id).evses)

    def person_of(self, participation: str) -> str | None:
        """Whose participation it is, or None."""
        checked = self.at(remembered.PARTICIPATION, participation)
        if not isinstance(checked, CheckRecorded):
            return None
        return self._participants(checked.fsr_id).persons.get(participation)

    def person_with(self, key_sha256: str) -> str | None:
        """Who is plugged in with the car of this key, or was last at its EVSE; None where nobody is known.

        No tag of a car is kept, for it would outlive its person's erasure: the sessions at all EVSEs are looked at.
        """
        found: SessionMirrored | None = None
        for site in self._desk.state.sites():
            for evse in site.configured.evses:
                session = self._session(evse.evse_id)
                if session is not None and session.ev_key_spki_sha256 == key_sha256 and isinstance(session.evu, str):
                    found = session if found is None or _began(found) <= _began(session) else found
        return found.evu if found is not None and isinstance(found.evu, str) else None

    def _acting_for(self, party: str) -> set[str]:
        """The party itself, and those whose delegate for opting it is now."""
        return {party, *self.rights.grantors(party, Scope.OPT)}

    def own_in(self, fsr_id: str, party: str) -> set[str]:
        """The participations in one request of a person, or of those whose delegate for opting the party is now."""
        known = self._participants(fsr_id)
        theirs = self._acting_for(party)
        return {pid for pid in known.evses if known.persons.get(pid) in theirs}

    def participations_of(self, party: str) -> list[tuple[str, str]]:
        """(request, participation) of one person, and of those whose delegate for opting the party is now."""
        state = self._desk.state.remembered
        indices = {
            index
            for person in self._acting_for(party)
            for tag in self._desk.person_tags({"evu": person}).values()
            for index in state.many(remembered.CHECKS_OF_PERSON, tag)
        }
        requests = [one.fsr_id for index in sorted(indices) if isinstance(one := self._whole_at(index), CheckRecorded)]
        return [(fsr_id, pid) for fsr_id in dict.fromkeys(requests) for pid in sorted(self.own_in(fsr_id, party))]

    def body_of(self, batch_id: str) -> str | None:
        """The digest of a batch's sample body, where the vault still tells."""
        fsr_id = self._desk.state.request_of_batch(batch_id)
        return None if fsr_id is None else self._participants(fsr_id).bodies.get(batch_id)

    def batch_with(self, words: Known) -> str | None:
        """The batch with which a station's signed words were first shown, or None."""
        found = self.at(remembered.WORDS, self._desk.words_tag(words))
        return found.batch_id if isinstance(found, SamplesCommitted) else None

    # Contracts and claims

    def offer(self, fsc_id: str) -> ContractOffered | None:
        """The newest offer of a contract, whole; None where its person was erased."""
        found = self.at(remembered.OFFER, fsc_id)
        # A row that somebody else wrote shows no other person's offer.
        return found if isinstance(found, ContractOffered) and found.fsc_id == fsc_id else None

    def documents(self, site_id: str, keys: Collection[str], at_ms: int) -> list[Document]:
        """The claims and links of a site that can matter for the things with these keys, to be opened as at `at_ms`."""
        return self._relevant(remembered.CLAIMS_OF_SITE, site_id, keys, at_ms)

    def withdrawn(self, site_id: str, keys: Collection[str], at_ms: int) -> list[Document]:
        """The same, of those that its operator relies on no more."""
        return self._relevant(remembered.WITHDRAWN_OF_SITE, site_id, keys, at_ms)

    def _relevant(self, kind: str, site_id: str, keys: Collection[str], at_ms: int) -> list[Document]:
        held = [self._with_document(one) for one in self._among(kind, site_id)]
        known = [
            Document(registered, partial(self._desk.directory.document, der, at_ms))
            for registered, der in (one for one in held if one is not None)
        ]
        return relevant(known, keys)

    def claim(self, claim_id: str) -> tuple[Registered, bytes] | None:
        """A claim or link that was not withdrawn, whole, with its document; None where the vault no longer has it."""
        found = self.at(remembered.CLAIM, claim_id)
        return self._with_document(found) if getattr(found, "claim_id", None) == claim_id else None

    def _with_document(self, whole: Record | None) -> tuple[Registered, bytes] | None:
        sha256 = paper_of(whole) if isinstance(whole, ClaimRegistered | InstallationLinked) else None
        if sha256 is None:
            return None
        # What was erased is no longer there: the check will not find it, and will say so.
        with suppress(LedgerError):
            return cast("Registered", whole), self._document(sha256)
        return None

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


def _began(session: SessionMirrored) -> int:
    return session.from_ms if isinstance(session.from_ms, int) else 0
