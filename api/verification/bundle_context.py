"""What a verifier knows of a request at one moment of its replay; the same as the service knew when it spoke."""

from collections.abc import Callable
from dataclasses import dataclass, field

from api.verification.bundle_directory import BundleDirectory
from api.verification.bundle_errors import EvidenceAbsent, RecomputedOther
from api.verification.bundle_room import Room
from api.verification.bundle_statements import Told
from api.verification.report import Lines
from ledger.errors import LedgerError
from ledger.records.contracts import ContractOffered
from ledger.records.credentials import CheckRecorded
from ledger.records.evidence import SamplesCommitted
from ledger.records.record import Record
from ledger.records.requests import RequestIssued
from ledger.records.sites import ClaimRegistered, Evse, SessionMirrored
from ledger.rules.request_state import RequestState
from ledger.rules.state import LogState
from pki.asn1.claims import thing_digest
from pki.conformity import VerifiedClaim
from pki.errors import PkiError


@dataclass(frozen=True, slots=True)
class Revealed:
    """An entry with its record as far as the bundle discloses it."""

    told: Told
    whole: Record


@dataclass(slots=True)
class Context:
    """Grows entry by entry, in the order of the log."""

    origin: str
    directory: BundleDirectory
    room: Room
    lines: Lines
    state: LogState = field(default_factory=lambda: LogState(scope="stream"))
    signers: dict[str, str] = field(default_factory=dict)
    """Thumbprint of the certificate that a request was signed with."""
    offers: dict[str, ContractOffered] = field(default_factory=dict)
    evses: dict[str, str] = field(default_factory=dict)
    """EVSE by participation."""
    samples: dict[str, SamplesCommitted] = field(default_factory=dict)
    """By batch."""
    hides_sessions: bool = False
    """Whether a session is on record whose EVSE is not disclosed."""
    _sessions: dict[tuple[str, str], Revealed] = field(default_factory=dict)
    _claims: dict[str, Revealed] = field(default_factory=dict)
    _opened_claims: dict[str, VerifiedClaim | None] = field(default_factory=dict)

    def learn(self, told: Told, whole: Record) -> None:
        """What later entries are judged by."""
        if isinstance(whole, RequestIssued):
            self.signers[whole.fsr_id] = told.statement.header.x5t
        elif isinstance(whole, ContractOffered):
            self.offers[whole.fsc_id] = whole
        elif isinstance(whole, SamplesCommitted):
            self.samples[whole.batch_id] = whole
        elif isinstance(whole, CheckRecorded):
            for subject in whole.subjects:
                if isinstance(subject.evse_id, str):
                    self.evses[subject.participation] = subject.evse_id
        elif isinstance(whole, SessionMirrored):
            if isinstance(whole.evse_id, str):
                self._sessions[whole.site_id, whole.evse_id] = Revealed(told, whole)
            else:
                self.hides_sessions = True
        elif isinstance(whole, ClaimRegistered):
            self._claims[whole.claim_id] = Revealed(told, whole)

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

    def claims_about(self, pairs: set[tuple[str, ...]]) -> list[VerifiedClaim]:
        """The claims about exactly these things, in the order of registration, each good when it was registered."""
        found = []
        for revealed in self._claims.values():
            registered = revealed.whole
            if isinstance(registered, ClaimRegistered) and registered.things in pairs:
                claim = self._claim(revealed.told, registered)
                if claim is not None:
                    found.append(claim)
        return found

    def _claim(self, told: Told, registered: ClaimRegistered) -> VerifiedClaim | None:
        """The claim behind a registration, opened once; None where it was not good then."""
        if registered.claim_id not in self._opened_claims:
            self.room.use(told.statement)
            self._opened_claims[registered.claim_id] = None
            self.room.require(registered, "claim_sha256", "things")
            der = self.room.attachment(str(registered.claim_sha256), "the claim's document")
            try:
                claim = self.directory.claim(der, told.entry.rec)
            except (LedgerError, PkiError) as error:
                self.lines.failed("claim", error, **told.where)
            else:
                self.lines.attempt("claim", lambda: _same_claim(registered, claim), **told.where)
                self._opened_claims[registered.claim_id] = claim
        return self._opened_claims[registered.claim_id]

    def evse_of(self, participation: str, request: RequestState) -> Evse:
        """The EVSE behind a participation, as the site was configured; raises `EvidenceAbsent`."""
        evse_id = self.evses.get(participation)
        if evse_id is None:
            raise EvidenceAbsent("which EVSE it was is not disclosed", participation=participation)
        configured = self.state.site(request.issued.site_id).configured
        for evse in configured.evses:
            if evse.evse_id == evse_id:
                return evse
        raise RecomputedOther("the site has no such EVSE", participation=participation)


Look = Callable[[Context, Told, Record], str]
"""Looks at one entry with the knowledge of that moment; answers with what was verified, or raises."""


def _same_claim(registered: ClaimRegistered, claim: VerifiedClaim) -> str:
    """The registration says of the document what the document says."""
    content = claim.content
    for name, said, found in (
        ("things", registered.things, tuple(thing_digest(thing).hex() for thing in content.things)),
        ("issuer", registered.issuer, claim.body.party_id),
        # A document's times are whole seconds.
        ("not_before_ms", registered.not_before_ms // 1000, claim.not_before_ms // 1000),
        ("not_after_ms", registered.not_after_ms // 1000, claim.not_after_ms // 1000),
    ):
        if said != found:
            raise RecomputedOther(f"the document has another {name}", claim_id=registered.claim_id)
    return "the conformity body's document says what was registered"
