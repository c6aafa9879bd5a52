"""The desk: where every statement passes into the log, whoever's it is.

One order for all: open it, match it with the connection, open what it discloses, keep that in the vault, then append.
A statement that a rule refuses leaves one refusal entry; anything that is not authentic leaves nothing.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cryptography import x509

from api import wire
from api.engines import Engines
from api.errors import ApiError
from api.flows import subjects
from api.flows.errors import (
    AttachmentForeign,
    OwnCredentialEnded,
    PartyMismatch,
    RefusalLimit,
    StatementStale,
    TypeNotTaken,
)
from api.flows.intake import RETENTION, Intake
from api.principals import ORGANISATIONS, Principal
from api.verification.actors import Directory, thumbprint
from api.verification.mandates import open_directive
from api.verification.station_root import Known
from ledger.appender import Appended, Appender, Publisher, SignerLate
from ledger.appender import Submission as LogSubmission
from ledger.delivery import station_root
from ledger.delivery.errors import StationRootMalformed
from ledger.errors import Busy, LedgerError, Refused
from ledger.privacy.errors import SubjectUnknown
from ledger.privacy.held import Held, Paper
from ledger.privacy.keys import LOOKUP, framed
from ledger.privacy.taking import Place
from ledger.records import canonical, disclosure, marks, record, registry, statement
from ledger.records import entry as entries
from ledger.records.actor import Actor, SignerProof
from ledger.records.contracts import ContractOffered
from ledger.records.credentials import CheckRecorded
from ledger.records.disclosure import Disclosure
from ledger.records.entry import Submitter
from ledger.records.errors import DisclosureForeign
from ledger.records.evidence import SamplesCommitted
from ledger.records.log import Refused as RefusedRecord
from ledger.records.log import StreamClosed
from ledger.records.opt import OptDecided, OptScheduled
from ledger.records.parties import DelegationGiven
from ledger.records.record import Part, Record
from ledger.records.requests import RequestAnswered, RequestIssued
from ledger.records.site_changes import SiteChanged, evse_of
from ledger.records.sites import Evse, SessionMirrored, SiteConfigured
from ledger.records.statement import Statement
from ledger.rules import remembered
from ledger.rules.errors.absent import SiteAbsent
from ledger.rules.errors.violated import RuleViolated
from ledger.rules.fact import Evidence
from ledger.rules.state import LogState
from ledger.store.errors import OutcomeUnknown
from pki import vouching
from pki.errors import PkiError
from pki.roles import Role as PkiRole

MAX_SKEW_MS: Final = 5 * 60_000
"""A statement is taken within five minutes of the time that it gives, either way."""
COARSE_MS: Final = 15 * 60_000
MAX_REFUSALS_AN_HOUR: Final = 120
"""Refusal entries that one party can cause in an hour; beyond it the answer is still 409, the log stays quiet."""
HOUR_MS: Final = 3_600_000
MAX_KEPT: Final = 4_096
MAX_PROOFS: Final = 3
"""How often a signer is proven again for a statement that waited; each time something had ended, or a root changed."""

SubjectOf = Callable[[Part, str], str | None]
"""Whom the personal member of a part is about: a natural id, or None for nobody in particular."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A statement that is authentic, with what came beside it."""

    statement: Statement
    actor: Actor
    whole: Record
    """The record with its personal members put back where their disclosures came along."""
    held: tuple[Held, ...] = ()
    undisclosed: tuple[str, ...] = ()
    attachments: Mapping[str, wire.SubmittedAttachment] = field(default_factory=dict)
    """By hex SHA-256."""
    evidence: Evidence = field(default_factory=Evidence)
    certificate: bytes = field(default=b"", repr=False)
    """The signer's, in DER; empty for the service's own words."""
    proof: SignerProof | None = None
    """How long what was found of the signer holds; None for what another replica wrote, which is in the log already."""


Listener = Callable[[Opened, str, int], None]
"""Hears of a new entry: what was written, in which stream, recorded when. Must not block."""


class Desk:
    """Everything that enters the log enters here."""

    def __init__(
        self, engines: Engines, directory: Directory, appender: Appender, publisher: Publisher, origin: str
    ) -> None:
        self.engines = engines
        self.directory = directory
        self.appender = appender
        self.publisher = publisher
        self.origin = origin
        self.clock = engines.clock
        self._intake = Intake(engines.vault)
        self.persons: subjects.Persons = subjects.NobodyKnown()
        """Who knows from earlier entries whom a statement is about."""
        self._refusals: dict[tuple[str, int], int] = {}
        self._kept: set[str] = set()
        """Thumbprints of certificates that are known to be kept beside the log, where nothing is ever deleted."""
        x5t = directory.add(engines.service_key.certificate)
        self.me = directory.actor(x5t, self.clock.now_ms())
        self._listeners: list[Listener] = []
        self._late: list[Callable[[], None]] = []
        self._keep_certificate(x5t, engines.service_key.certificate)

    @property
    def state(self) -> LogState:
        """The state of everything, folded from the log up to the last commit."""
        state = self.appender.rules
        assert isinstance(state, LogState)  # noqa: S101 -- built so in `service.open_service`
        return state

    def evse_at(self, station_id: str, connector: int) -> tuple[str, Evse] | None:
        """The site and the EVSE at this place of a station, as they are configured now."""
        for site in self.state.sites():
            for evse in site.configured.evses:
                if (evse.station_id, evse.connector) == (station_id, connector):
                    return site.site_id, evse
        return None

    def first_roots(self) -> list[x509.Certificate]:
        """The roots of the log's first policy; those that follow stand in the log themselves."""
        first = {digest for digest, life in self.state.anchors.items() if life.by is None}
        return [root for root in self.engines.anchors.certificates if vouching.digest(root) in first]

    def listen(self, listener: Listener) -> None:
        """From now on `listener` hears of every new entry, after its commit; it must not block."""
        self._listeners.append(listener)

    def on_late(self, listener: Callable[[], None]) -> None:
        """From now on `listener` is called where a signer's proof did not last; it reads again what counts."""
        self._late.append(listener)

    def settle(self) -> None:
        """At the end: the vault knows that all it was given has its entry, so that the next start need not look."""
        if self._intake.is_sure and not self.engines.store.is_shared:
            head = self.appender.head
            self.engines.vault.forget_orphans(lambda _: True, origin=head.origin, size=head.size)

    def tell(self, opened: Opened, stream: str, rec_ms: int) -> None:
        """Everyone who listens hears of an entry that was committed, here or by another replica."""
        for listener in self._listeners:
            listener(opened, stream, rec_ms)

    # Opening what others say

    def open(self, submitted: wire.Submission, principal: Principal, *kinds: type[Record]) -> Opened:
        """The statement, authentic and the caller's own, with its disclosures opened; raises what is wrong with it."""
        return self.open_parsed(statement.parse_statement(submitted.statement), submitted, principal, *kinds)

    def open_parsed(
        self, parsed: Statement, submitted: wire.Submission, principal: Principal, *kinds: type[Record]
    ) -> Opened:
        """As `open`, of a statement that was parsed; of what was submitted only what came beside it is read."""
        now_ms = self.clock.now_ms()
        if kinds and type(parsed.record) not in kinds:
            raise TypeNotTaken(
                "this resource takes other statements",
                expected=", ".join(kind.TYPE for kind in kinds),
                found=parsed.claims.type,
            )
        registry.require_not_overtaken(type(parsed.record))
        self._introduce(submitted.certificates, parsed.header.x5t, now_ms)
        credential = self.directory.credential(parsed.header.x5t, now_ms)
        if credential.party_id != principal.party or credential.role is not principal.role:
            raise PartyMismatch(
                "the signing certificate and the certificate of the connection name different parties or roles",
                expected=principal.public_party,
            )
        actor = self.directory.actor(parsed.header.x5t, now_ms)
        proof = self.directory.proof(parsed.header.x5t, now_ms)
        opened = statement.authenticate(parsed, actor, audience=self.origin)
        if abs(opened.claims.iat * statement.MS_PER_S - now_ms) > MAX_SKEW_MS + statement.MS_PER_S:
            raise StatementStale("the statement was signed too long ago or in the future", expected="within 5 minutes")
        certificate = self.directory.certificate(parsed.header.x5t)
        if credential.role in ORGANISATIONS:
            self._keep_certificate(parsed.header.x5t, certificate)
        else:
            # A person's certificate is personal: it comes along every time, and is kept in the vault alone.
            self.directory.forget(parsed.header.x5t)
        return self._with_disclosures(opened, actor, submitted, certificate, proof)

    def _introduce(self, certificates: Sequence[bytes], signer: str, now_ms: int) -> None:
        """Good credentials are remembered. Of the others, only what is wrong with the signer's own is raised here."""
        for der in certificates:
            try:
                self.directory.introduce(der, now_ms)
            except (ApiError, LedgerError, PkiError):
                if thumbprint(der) == signer:
                    raise

    def _with_disclosures(
        self, opened: Statement, actor: Actor, submitted: wire.Submission, certificate: bytes, proof: SignerProof
    ) -> Opened:
        if not submitted.disclosures and not submitted.attachments:
            # The record without its personal members is whole as far as anybody told.
            return Opened(
                statement=opened,
                actor=actor,
                whole=opened.record,
                undisclosed=tuple(record.digests(opened.claims.event)),
                evidence=self._evidence(opened),
                certificate=certificate,
                proof=proof,
            )
        parsed = [(disclosure.parse(one.text), one.subject) for one in submitted.disclosures]
        known = record.personal_marks(type(opened.record))
        whole = self.reveal(opened, [one for one, _ in parsed])
        whose = subjects.of_members(opened.claims.event, whole, parsed, self.persons)
        held = tuple(_held(one, whose[one.digest], known) for one, _ in parsed)
        disclosed = set(whose)
        attachments = {hashlib.sha256(one.data).hexdigest(): one for one in submitted.attachments}
        attachments = subjects.of_attachments(attachments, parsed, whose)
        mentioned = _strings(canonical.decode(canonical.encode(whole))) if attachments else set()
        for sha256 in attachments:
            if sha256 not in mentioned:
                raise AttachmentForeign("no member of the record names this attachment's digest", found=sha256)
        return Opened(
            statement=opened,
            actor=actor,
            whole=whole,
            held=held,
            undisclosed=tuple(one for one in record.digests(opened.claims.event) if one not in disclosed),
            attachments=attachments,
            evidence=self._evidence(opened),
            certificate=certificate,
            proof=proof,
        )

    def reveal(self, opened: Statement, disclosures: Sequence[Disclosure]) -> Record:
        """The record with every disclosure put where its digest stands."""
        event = record.reveal(opened.claims.event, disclosures)
        return canonical.convert(event, type(opened.record), opened.claims.type)

    def _evidence(self, opened: Statement) -> Evidence:
        """A mandate's directive, verified under the system operator's key. Unproven stays None: the rule says why."""
        issued = opened.record
        if not isinstance(issued, RequestIssued) or issued.mandate is None:
            return Evidence()
        directive = open_directive(self.directory, issued, self.clock.now_ms())
        if directive is not None:
            # Whoever audits the log later needs what proves the mandate.
            self._keep_certificate(directive.actor.x5t, self.directory.certificate(directive.actor.x5t))
        return Evidence(directive=directive)

    # Writing

    async def admit(self, opened: Opened, principal: Principal) -> wire.Accepted:
        """The statement is in the log and its personal members in the vault; or a refusal entry says why not."""
        submitter = Submitter(cert=principal.credential.tbs_sha256, party=principal.party, role=principal.role.value)
        return await self._write(opened, submitter)

    async def say(
        self,
        what: Record,
        stream: str,
        *,
        subject_of: SubjectOf | None = None,
        evidence: Evidence | None = None,
        papers: Sequence[wire.SubmittedAttachment] = (),
        jti: str | None = None,
    ) -> wire.Accepted:
        """The service states `what` itself, with its own key; whom its personal members are about says `subject_of`."""
        now_ms = self.clock.now_ms()
        said_at_ms = now_ms - now_ms % COARSE_MS if what.COARSE else now_ms
        signed = statement.sign(
            what,
            key=self.engines.service_key.key,
            x5t=self.me.x5t,
            party=self.me.party,
            audience=self.origin,
            stream=stream,
            now_ms=said_at_ms,
            jti=jti,
        )
        known = record.personal_marks(type(what))
        held = tuple(
            _held(one, subject_of(part, name) if subject_of else None, known)
            for one, (part, name) in zip(signed.disclosures, record.personal_places(what), strict=True)
        )
        opened = statement.open_statement(signed.raw, self.me, audience=self.origin)
        disclosed = {one.digest for one in signed.disclosures}
        mine = Opened(
            statement=opened,
            actor=self.me,
            whole=what,
            held=held,
            undisclosed=tuple(one for one in record.digests(opened.claims.event) if one not in disclosed),
            attachments={hashlib.sha256(paper.data).hexdigest(): paper for paper in papers},
            evidence=evidence or self._evidence(opened),
            proof=self._own_proof(),
        )
        return await self._write(mine, self._myself())

    def said(self, jti: str) -> wire.Accepted | None:
        """The answer of the first time, if the service has stated something under this id before."""
        index = self.engines.store.find_statement(self.me.party, jti)
        if index is None:
            return None
        row = self.engines.store.entry(index)
        entry = entries.decode(row.data)
        return wire.Accepted(
            index=index,
            leaf_hash=row.leaf.hex(),
            stream=entry.stream,
            seq=entry.seq,
            rec_ms=entry.rec,
            tree_size=self.appender.head.size,
            duplicate=True,
        )

    async def close(self, stream: str, n: int) -> wire.Accepted:
        """The stream has exactly `n` entries before this one and none after it, so nobody can hide one."""
        return await self.say(StreamClosed(closed=stream, n=n), stream)

    async def _write(self, opened: Opened, submitter: Submitter) -> wire.Accepted:
        now_ms = self.clock.now_ms()
        brought = self._bring(opened)
        try:
            appended = await self._append(
                LogSubmission(
                    statement=opened.statement,
                    actor=opened.actor,
                    submitter=submitter,
                    now_ms=now_ms,
                    tags=self._tags(opened.whole) | self._person(opened),
                    evidence=opened.evidence,
                    proof=opened.proof,
                ),
                opened.certificate,
            )
        except OutcomeUnknown:
            # The entry may be there, and then what came along must be: the next start looks.
            self._intake.doubt(brought)
            raise
        except (Refused, Busy, ApiError, PkiError) as error:
            # No entry will ever vouch for what came along; to keep it would be to keep data without a reason.
            self._intake.take_back(brought)
            # A refusal is an entry, and a log that has ended takes none of these.
            if isinstance(error, RuleViolated) and self.state.frozen_at is None:
                await self._refuse(opened, error)
            raise
        except BaseException:
            # Broken, or nobody waits any longer: the entry may be there. What is loose is collected at the next start.
            self._intake.doubt(brought)
            raise
        self._intake.settle(brought)
        # From here on the entry is permanent; a crash now loses only the news of it, which a restart folds again.
        if not appended.duplicate:
            self.tell(opened, appended.stream, appended.rec_ms)
        return accepted(appended)

    async def _append(self, submission: LogSubmission, certificate: bytes) -> Appended:
        """The entry; where the signer's proof did not last until its turn, the signer is proven again.

        Raises what `Appender.append` raises, and what `Directory.credential` raises of a signer who is good no more.
        """
        for _ in range(MAX_PROOFS):
            try:
                return await self.appender.append(submission)
            except SignerLate:
                for listener in self._late:
                    listener()
                submission = replace(submission, proof=self._proven(submission.actor, certificate))
        return await self.appender.append(submission)

    def _proven(self, actor: Actor, certificate: bytes) -> SignerProof:
        """How long the signer is proven, as things stand now."""
        if certificate and PkiRole(actor.role.value) not in ORGANISATIONS:
            # A person's certificate is not known here any more once the statement was opened.
            self.directory.add(certificate)
            try:
                return self.directory.proof(actor.x5t, self.clock.now_ms())
            finally:
                self.directory.forget(actor.x5t)
        return self.directory.proof(actor.x5t, self.clock.now_ms())

    async def _refuse(self, opened: Opened, violated: RuleViolated) -> None:
        """One refusal entry, signed by the service, naming the rule; a person who was refused is not named."""
        now_ms = self.clock.now_ms()
        who = opened.evidence.person or opened.actor
        count = self._refusals.get((who.party, now_ms // HOUR_MS), 0) + 1
        self._refusals = {key: n for key, n in self._refusals.items() if key[1] == now_ms // HOUR_MS}
        self._refusals[who.party, now_ms // HOUR_MS] = count
        if count > MAX_REFUSALS_AN_HOUR:
            raise RefusalLimit("refused too often", expected=f"at most {MAX_REFUSALS_AN_HOUR} an hour") from violated
        claims = opened.statement.claims
        words = opened.evidence.person_statement or opened.statement
        named: dict[str, Any] = {"party": who.party} if PkiRole(who.role.value) in ORGANISATIONS else {}
        if isinstance(opened.whole, OptDecided):
            named["participation"] = opened.whole.participation
        refused = RefusedRecord(
            code=violated.code,
            refused_type=claims.type,
            statement=hashlib.sha256(words.raw.encode()).hexdigest(),
            refused_jti=words.claims.jti,
            role=who.role,
            **named,
        )
        known = self.engines.store.stream_head(claims.stream)
        stream = claims.stream if known is not None and not known.is_closed else "refused/statements"
        await self._write(self._own(refused, stream), self._myself())

    def _own(self, what: Record, stream: str) -> Opened:
        signed = statement.sign(
            what,
            key=self.engines.service_key.key,
            x5t=self.me.x5t,
            party=self.me.party,
            audience=self.origin,
            stream=stream,
            now_ms=self.clock.now_ms(),
        )
        opened = statement.open_statement(signed.raw, self.me)
        return Opened(statement=opened, actor=self.me, whole=what, proof=self._own_proof())

    def _own_proof(self) -> SignerProof:
        """How long the service's own words are proven; raises OwnCredentialEnded where nobody would believe them."""
        try:
            return self._proven(self.me, b"")
        except (ApiError, PkiError) as error:
            raise OwnCredentialEnded("the service's own statement credential is not good", found=error.code) from error

    def _myself(self) -> Submitter:
        return Submitter(cert=self.me.tbs_sha256, party=self.me.party, role=self.me.role.value)

    def _keep_certificate(self, x5t: str, der: bytes) -> None:
        if x5t not in self._kept:
            self.engines.store.put_certificate(x5t, der)
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept.add(x5t)

    def _bring(self, opened: Opened) -> frozenset[Place]:
        """What is about a person goes to the vault; a group's or an organisation's paper stands beside the log."""
        papers = [
            Paper(one.data, one.subject, marks.Category.CREDENTIAL, RETENTION)
            for one in opened.attachments.values()
            if one.subject is not None
        ]
        brought = self._intake.bring(opened.held, papers, opened.undisclosed)
        for sha256, attached in opened.attachments.items():
            if attached.subject is None:
                self.engines.store.put_evidence(sha256, "attachment", attached.data)
        return brought

    # Blind names for rules across streams

    def tag(self, kind: str, value: str) -> str:
        """A name that is equal where the value is, and tells nobody without the vault's key what the value is."""
        key = self.engines.vault.keys.service_key(LOOKUP)
        return hmac.digest(key, framed(b"tag v1", kind.encode(), value.encode()), "sha256").hex()

    def _tags(self, whole: Record) -> dict[str, str]:
        if isinstance(whole, SiteConfigured):
            return self._of_evses([evse.evse_id for evse in whole.evses], whole.site_id)
        if isinstance(whole, SiteChanged):
            names = {name for name in map(evse_of, whole.changes) if name is not None}
            return {name: self.tag("evse", name) for name in sorted(names)}
        if isinstance(whole, ContractOffered):
            places = whole.evse_ids if isinstance(whole.evse_ids, tuple) else ()
            tags = {f"evse-{n}": self.tag("evse", evse_id) for n, evse_id in enumerate(places)}
            return tags | self.person_tags({"evu": whole.evu})
        if isinstance(whole, DelegationGiven):
            return self.person_tags({"delegate": whole.evu_delegate})
        if isinstance(whole, OptScheduled):
            return self.person_tags({"evu": whole.evu})
        if isinstance(whole, SessionMirrored):
            return {"evse": self.tag("evse", whole.evse_id)} if isinstance(whole.evse_id, str) else {}
        if isinstance(whole, RequestAnswered):
            return {
                offer.participation: self.tag("evse", offer.evse_id)
                for offer in whole.offers
                if isinstance(offer.evse_id, str)
            }
        if isinstance(whole, CheckRecorded):
            evses = {f"evse/{one.participation}": one.evse_id for one in whole.subjects}
            tags = {name: self.tag("evse", evse) for name, evse in evses.items() if isinstance(evse, str)}
            return tags | self.person_tags({f"evu/{one.participation}": one.evu for one in whole.subjects})
        if isinstance(whole, SamplesCommitted):
            return self._of_samples(whole)
        return {}

    def _of_samples(self, whole: SamplesCommitted) -> dict[str, str]:
        found = {}
        if isinstance(whole.root, str):
            # Two EVSEs that stand still measure the same: what may not be used twice is one meter's measurement.
            found["root"] = self.tag("root", f"{whole.meter_key_spki_sha256}/{whole.root}")
        if isinstance(whole.station_jws, str):
            with suppress(StationRootMalformed):
                said = station_root.read(whole.station_jws)
                found[remembered.WORDS] = self.words_tag((said.x5t, said.payload_sha256))
        return found

    def words_tag(self, words: Known) -> str:
        """A blind name of what a station signed, equal wherever the same is shown."""
        return self.tag("words", "/".join(words))

    def _of_evses(self, evse_ids: Iterable[str], site_id: str) -> dict[str, str]:
        """Blind names of EVSEs, and of those that stand at the site: what is left out of a version is gone with it."""
        names = set(evse_ids)
        with suppress(SiteAbsent):
            names |= {evse.evse_id for evse in self.state.site(site_id).configured.evses}
        return {name: self.tag("evse", name) for name in sorted(names)}

    def _person(self, opened: Opened) -> dict[str, str]:
        """A blind name of the EV user whose words are relayed, equal wherever that person speaks or is spoken of."""
        person = opened.evidence.person
        return {} if person is None else self.person_tags({"person": person.party})

    def person_tags(self, persons: Mapping[str, object]) -> dict[str, str]:
        """Blind names of those who are named here.

        They are made of the random id that the vault has for a person: after an erasure nobody, not even who has every
        key, can tell whom an old one meant, and whoever comes back has another one.
        """
        found = {}
        for name, person in persons.items():
            if isinstance(person, str):
                with suppress(SubjectUnknown):
                    found[name] = self.tag("evu", self.engines.vault.uid_of(person).hex())
        return found


def accepted(appended: Appended, receipt: str | None = None) -> wire.Accepted:
    """The answer to whoever handed the statement in."""
    return wire.Accepted(
        index=appended.index,
        leaf_hash=appended.leaf_hash.hex(),
        stream=appended.stream,
        seq=appended.seq,
        rec_ms=appended.rec_ms,
        tree_size=appended.tree_size,
        duplicate=appended.duplicate,
        receipt=receipt,
    )


def _held(opened: Disclosure, subject: str | None, known: Mapping[str, marks.Personal]) -> Held:
    mark = known.get(opened.name)
    if mark is None:
        raise DisclosureForeign("the record has no personal member of this name")
    return Held(text=opened.text, subject=subject, category=mark.category, retention=mark.retention)


def _strings(value: Any) -> set[str]:
    if isinstance(value, str):
        return {value}
    if isinstance(value, list):
        return set().union(*(_strings(item) for item in value)) if value else set()
    if isinstance(value, dict):
        return set().union(*(_strings(member) for member in value.values())) if value else set()
    return set()
