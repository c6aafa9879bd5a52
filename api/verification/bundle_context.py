"""What a verifier knows of a request at one moment of its replay; the same as the service knew when it spoke."""

from collections.abc import Callable, Collection
from functools import partial

import msgspec

from api.verification.bundle_directory import BundleDirectory
from api.verification.bundle_errors import EvidenceAbsent, RecomputedOther
from api.verification.bundle_room import Room
from api.verification.bundle_statements import Told
from api.verification.documents import Document, Registered, difference, relevant
from api.verification.log_roots import LogRoots
from api.verification.report import Lines
from api.verification.station_root import Known
from api.verification.work import Computed
from ledger.records.contracts import ContractOffered
from ledger.records.credentials import CheckRecorded
from ledger.records.evidence import SamplesCommitted
from ledger.records.execution import ExecutionNoted
from ledger.records.record import Record
from ledger.records.requests import RequestIssued, RequestRevised
from ledger.records.sites import ClaimRegistered, ClaimWithdrawn, Evse, InstallationLinked, SessionMirrored
from ledger.records.work import WorkProven
from ledger.rules.request_state import RequestState
from ledger.rules.state import LogState
from pki.conformity import VerifiedClaim, VerifiedLink


class Revealed(msgspec.Struct, frozen=True):
    """An entry with its record as far as the bundle discloses it."""

    told: Told
    whole: Record


class Proof(msgspec.Struct, frozen=True):
    """A proof of work of the log beside what its evidence gives now, or None where the evidence is not there.

    Where the two differ, a line says so.
    """

    told: Told
    recorded: WorkProven
    computed: Computed | None


class Context(msgspec.Struct):
    """Grows entry by entry, in the order of the log."""

    origin: str
    directory: BundleDirectory
    room: Room
    lines: Lines
    roots: LogRoots
    """The roots of the log, as far as the bundle's entries tell."""
    state: LogState = msgspec.field(default_factory=lambda: LogState(scope="stream"))
    signers: dict[str, str] = msgspec.field(default_factory=dict)
    """Thumbprint of the certificate that a request, or its newest revision, was signed with."""
    offers: dict[str, ContractOffered] = msgspec.field(default_factory=dict)
    evses: dict[str, str] = msgspec.field(default_factory=dict)
    """EVSE by participation."""
    samples: dict[str, SamplesCommitted] = msgspec.field(default_factory=dict)
    """By batch."""
    station_words: dict[Known, str] = msgspec.field(default_factory=dict)
    """What stations signed of their samples, by batch."""
    station_seqs: dict[str, list[int]] = msgspec.field(default_factory=dict)
    """By station, the numbers of what it signed, in the order of the log."""
    proofs: list[Proof] = msgspec.field(default_factory=list)
    """Proofs of work, in the order of the log."""
    noted: list[ExecutionNoted] = msgspec.field(default_factory=list)
    """What happened on the chargers, as far as it is disclosed."""
    hides_sessions: bool = False
    """Whether a session is on record whose EVSE is not disclosed."""
    _sessions: dict[tuple[str, str], Revealed] = msgspec.field(default_factory=dict)
    _claims: dict[str, Revealed] = msgspec.field(default_factory=dict)
    """Claims and links that were not withdrawn."""
    _papers: dict[str, bytes] = msgspec.field(default_factory=dict)
    """By claim or link, what was compared with its registration."""

    def learn(self, told: Told, whole: Record) -> None:
        """What later entries are judged by."""
        if isinstance(whole, RequestIssued | RequestRevised):
            self.signers[whole.fsr_id] = told.statement.header.x5t
        elif isinstance(whole, ContractOffered):
            self.offers[whole.fsc_id] = whole
        elif isinstance(whole, SamplesCommitted):
            self.samples[whole.batch_id] = whole
        elif isinstance(whole, ExecutionNoted):
            self.noted.append(whole)
        elif isinstance(whole, CheckRecorded):
            for subject in whole.subjects:
                if isinstance(subject.evse_id, str):
                    self.evses[subject.participation] = subject.evse_id
        elif isinstance(whole, SessionMirrored):
            if isinstance(whole.evse_id, str):
                self._sessions[whole.site_id, whole.evse_id] = Revealed(told, whole)
            else:
                self.hides_sessions = True
        elif isinstance(whole, ClaimRegistered | InstallationLinked):
            self._claims[whole.claim_id] = Revealed(told, whole)
        elif isinstance(whole, ClaimWithdrawn):
            self._claims.pop(whole.claim_id, None)

    def request_of(self, record: Record) -> RequestState:
        """The request that a record is about; raises `RequestAbsent`."""
        return self.state.request(str(getattr(record, "fsr_id", "")))

    def session_at(self, site_id: str, evse_id: str, at_ms: int) -> SessionMirrored | None:
        """The session at an EVSE at a time, as it was known; looking it up is what makes its disclosures needed."""
        found = self._sessions.get((site_id, evse_id))
        if found is None or not isinstance(found.whole, SessionMirrored):
            return None
        self.room.use(found.told.statement)
        session = found.whole
        if not isinstance(session.from_ms, int) or not isinstance(session.until_ms, int):
            raise EvidenceAbsent("the times of the session are not disclosed", **found.told.where)
        return session if session.from_ms <= at_ms < session.until_ms else None

    def documents(self, site_id: str, keys: Collection[str], directory: BundleDirectory, at_ms: int) -> list[Document]:
        """The claims and links that can matter for these things, in the order of registration."""
        known = [
            Document(one.whole, partial(self._open, one.told, one.whole, directory, at_ms))
            for one in self._claims.values()
            if isinstance(one.whole, ClaimRegistered | InstallationLinked) and one.whole.site_id == site_id
        ]
        return relevant(known, keys)

    def _open(
        self, told: Told, registered: Registered, directory: BundleDirectory, at_ms: int
    ) -> VerifiedClaim | VerifiedLink:
        """The document behind a registration, good at `at_ms`; the first time it is compared with what was registered.

        Raises `EvidenceErased`, `EvidenceAbsent`, and what opening a claim or link raises.
        """
        if registered.claim_id not in self._papers:
            self.room.use(told.statement)
            name = "claim_sha256" if isinstance(registered, ClaimRegistered) else "link_sha256"
            self.room.require(registered, name, "things" if isinstance(registered, ClaimRegistered) else "thing")
            der = self.room.attachment(str(getattr(registered, name)), "the document")
            self._papers[registered.claim_id] = der
            check = "claim" if isinstance(registered, ClaimRegistered) else "link"
            self.lines.attempt(check, lambda: self._same(registered, der, told.entry.rec), **told.where)
        return directory.document(self._papers[registered.claim_id], at_ms)

    def _same(self, registered: Registered, der: bytes, at_ms: int) -> str:
        """The document was good when it was registered, and says what was registered of it."""
        other = difference(registered, self.directory.document(der, at_ms))
        if other is not None:
            raise RecomputedOther(f"the document has another {other}", claim_id=registered.claim_id)
        return "the document says what was registered"

    def evse_of(self, participation: str, request: RequestState) -> Evse:
        """The EVSE behind a participation, as the site was configured when it started; raises `EvidenceAbsent`."""
        evse_id = self.evses.get(participation)
        if evse_id is None:
            raise EvidenceAbsent("which EVSE it was is not disclosed", participation=participation)
        evse = self.state.site(request.issued.site_id).executed(evse_id, request.issued.start_at_ms)
        if evse is None:
            raise RecomputedOther("the site has no such EVSE", participation=participation)
        return evse


Look = Callable[[Context, Told, Record], str]
"""Looks at one entry with the knowledge of that moment; answers with what was verified, or raises."""
