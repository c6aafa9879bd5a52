"""A whole small service in one process, without HTTP: a ceremony's credentials, a desk on SQLite, a vault, one day.

`World.open(tmp_path)` makes it; `play(world)` plays one congestion request from the site's configuration to its
settlement. Statements are signed by the parties' own keys and pass through the desk as they would over HTTP.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from api import wire
from api.engines import Engines, ServiceKey
from api.flows import bundle, check, prove, relay
from api.flows.desk import Desk, Opened
from api.flows.memory import Memory
from api.flows.privacy import PrivacyOffice
from api.flows.stamping import StampBook
from api.principals import Principal
from api.verification import work
from api.verification.actors import Directory, thumbprint
from api.verification.bundle_work import GroupPeriods
from ledger.appender import Appender
from ledger.clock import SetClock
from ledger.delivery import samples, settlement
from ledger.delivery.baselines import Nomination
from ledger.delivery.meter import MeterReading, build_payload
from ledger.delivery.ocmf import sign_ocmf
from ledger.delivery.readings import Pagination
from ledger.delivery.samples import Sample
from ledger.privacy.vault import Vault
from ledger.reader import Reader
from ledger.records import canonical, statement
from ledger.records import record as records
from ledger.records.contracts import (
    BaselineMethod,
    ContractAccepted,
    ContractKind,
    ContractOffered,
    OptPolicy,
    Scoring,
    ServiceTerms,
    Silence,
)
from ledger.records.credentials import CheckPurpose, CheckRecorded
from ledger.records.evidence import BaselineCommitted, SamplesCommitted
from ledger.records.execution import ExecutionKind, ExecutionNoted
from ledger.records.log import PolicyAdopted, StreamClosed
from ledger.records.marks import Category
from ledger.records.opt import Choice, OptActor, OptDecided, OptReason
from ledger.records.record import Record
from ledger.records.requests import (
    Answer,
    DirectiveGiven,
    Evidence,
    Ground,
    Mandate,
    Obligation,
    Offer,
    RequestAnswered,
    RequestIssued,
)
from ledger.records.services import (
    CongestionParams,
    CongestionStep,
    CurvePoint,
    Direction,
    DroopParams,
    LimitMandatoryParams,
    Params,
    Service,
)
from ledger.records.sites import (
    ClaimKind,
    ClaimRegistered,
    CurrentKind,
    EvLimits,
    Evse,
    Meter,
    SessionMirrored,
    SiteConfigured,
)
from ledger.records.work import CounterResult, Period, ServiceRecorded, Settled, SettlementLine, WorkCountered
from ledger.rules.rules_version import RULES_VERSION
from ledger.rules.state import LogState
from ledger.store.log_keys import LogKeys
from ledger.store.publisher import Publisher
from ledger.store.signer_state import SignerState
from ledger.store.sqlite import SqliteStore
from ledger.tlog.note import NoteSigner
from pki import ceremony, keys
from pki.asn1.claims import Claim, ConformityClaims, DerFunction, Scheme, Thing, ThingKind
from pki.attribute import AttributeAuthority
from pki.ceremony import Ceremony, CeremonySpec, PartySpec, StationSpec
from pki.roles import Purpose, Role
from pki.roles import Service as PkiService
from pki.status import StatusSet
from pki.tbs import Window

ORIGIN = "log.example/world"
MADE_AT_MS = 1_768_780_800_000
"""2026-01-19T00:00Z: authorities and credentials."""
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAWN_MS = 1_768_888_800_000
"""2026-01-20T06:00Z: the story begins."""
SITE = "DEPOT-7"
FO, CSO, GRID, LAB = "FI-AUR", "FI-NGC", "FI-DSO", "FI-LAB"
PERSONS = ("evu-1", "evu-2")
EVSES = ("FI*NGC*E1", "FI*NGC*E2")
STATIONS = ("CS-1", "CS-2")
CAN_W = 11_000
FIRMWARE = hashlib.sha256(b"firmware").hexdigest()
STEP_MS = 15 * MINUTE_MS

SPEC = CeremonySpec(
    organisation="Flexledger",
    development=True,
    created_at_ms=MADE_AT_MS,
    parties=(
        PartySpec(
            id=FO,
            role=Role.FO,
            organisation="Aurora Flex",
            services=tuple(PkiService),
        ),
        PartySpec(id=CSO, role=Role.CSO, organisation="Northgate", dns_names=("localhost",)),
        PartySpec(id=GRID, role=Role.SO, organisation="Grid"),
        PartySpec(id=LAB, role=Role.CB, organisation="Laboratory"),
        *(PartySpec(id=person, role=Role.EVU) for person in PERSONS),
    ),
    stations=tuple(StationSpec(id=station, operator=CSO) for station in STATIONS),
)


def new_id(kind: str) -> str:
    """A fresh id."""
    return f"{kind}-{secrets.token_hex(8)}"


@dataclass
class World:
    """An open service and everybody's keys."""

    made: Ceremony
    clock: SetClock
    engines: Engines
    directory: Directory
    desk: Desk
    memory: Memory
    reader: Reader
    privacy: PrivacyOffice
    meters: dict[str, ec.EllipticCurvePrivateKey]
    """By EVSE."""
    pages: dict[str, int] = field(default_factory=dict)
    crl_every_ms: int | None = None
    """How often the authorities publish; None for once, at the beginning."""
    next_crl_ms: int = DAWN_MS + HOUR_MS

    @classmethod
    async def open(
        cls,
        folder: Path,
        *,
        crl_every_ms: int | None = None,
        dawn_ms: int = DAWN_MS,
        more: Callable[[Ceremony], Iterable[bytes]] = lambda _: (),
    ) -> "World":
        """An empty log with its policy, at `dawn_ms`; `more` makes issuing authorities of later generations."""
        made_at_ms = dawn_ms - DAWN_MS + MADE_AT_MS
        spec = msgspec.structs.replace(SPEC, created_at_ms=made_at_ms)
        made = ceremony.perform(spec, tls_now_ms=made_at_ms, signing_now_ms=dawn_ms - HOUR_MS)
        clock = SetClock(dawn_ms)
        operator = made.parties[CSO].credentials[Purpose.SIGNING]
        known = [
            *(station.credentials[Purpose.SIGNING].chain[0] for station in made.stations.values()),
            made.parties[LAB].credentials[Purpose.ATTRIBUTE].chain[0],
            made.parties[GRID].credentials[Purpose.SIGNING].chain[0],
        ]
        issuers = {
            one
            for minted in (*made.parties.values(), *made.stations.values())
            for issued in minted.credentials.values()
            for one in issued.chain[1:]
        }
        engines = Engines(
            clock=clock,
            store=SqliteStore.open(folder / "ledger.db", create=True),
            vault=Vault.open(folder / "vault", clock=clock, create=True),
            log_keys=LogKeys([NoteSigner.generate(ORIGIN)]),
            service_key=ServiceKey(operator.key, operator.chain[0]),
            anchors=made.anchors,
            issuers=tuple(sorted({*issuers, *more(made)})),
            certificates=tuple(known),
            status=StatusSet(made.crls),
        )
        directory = Directory(engines.anchors, engines.issuers, engines.status)
        for der in engines.certificates:
            directory.add(der)
        appender = await Appender.start(engines.store, origin=ORIGIN, clock=clock, rules=LogState())
        state = SignerState(folder / "signer.state")
        publisher = Publisher(engines.store, origin=ORIGIN, keys=engines.log_keys, state=state, clock=clock)
        desk = Desk(engines, directory, appender, publisher, ORIGIN)
        memory = Memory(desk)
        reader = Reader(engines.store)
        meters = {evse: keys.generate() for evse in EVSES}
        privacy = PrivacyOffice(desk, memory, reader)
        world = cls(made, clock, engines, directory, desk, memory, reader, privacy, meters, crl_every_ms=crl_every_ms)
        roots = tuple(sorted(engines.root_digests()))
        await desk.say(PolicyAdopted(anchors=roots, rules=RULES_VERSION, development=True), "log/policy")
        return world

    async def close(self) -> None:
        """Everything is given back."""
        await self.desk.appender.close()
        self.engines.vault.close()
        self.engines.store.close()

    def at(self, ms: int) -> None:
        """The time is now `ms`, and what the authorities published until then is known."""
        while self.crl_every_ms is not None and self.next_crl_ms <= ms:
            for crl in self.made.crls_at(self.next_crl_ms):
                self.engines.status.add(crl)
            self.directory.evidence_moved()
            self.next_crl_ms += self.crl_every_ms
        self.clock.set_ms(ms)

    def party(self, who: str) -> str:
        """The id in the party's certificates; a person's is a pseudonym."""
        return self.made.parties[who].party_id

    def principal(self, who: str) -> Principal:
        """The party as its TLS certificate shows it."""
        issued = self.made.parties[who].credentials[Purpose.TLS_CLIENT]
        return Principal.from_credential(
            self.directory.validate(issued.chain[0], MADE_AT_MS + MINUTE_MS, purpose=Purpose.TLS_CLIENT)
        )

    def submission(
        self,
        who: str,
        what: Record,
        stream: str,
        *,
        subject: str | None = None,
        attachments: Sequence[wire.SubmittedAttachment] = (),
    ) -> wire.Submission:
        """`what`, signed by the party, with every disclosure and its certificate."""
        issued = self.made.parties[who].credentials[Purpose.SIGNING]
        signed = statement.sign(
            what,
            key=issued.key,
            x5t=thumbprint(issued.chain[0]),
            party=self.party(who),
            audience=ORIGIN,
            stream=stream,
            now_ms=self.clock.now_ms(),
        )
        return wire.Submission(
            statement=signed.raw,
            certificates=(issued.chain[0],),
            disclosures=tuple(wire.SubmittedDisclosure(text=one.text, subject=subject) for one in signed.disclosures),
            attachments=tuple(attachments),
        )

    def opened(self, who: str, what: Record, stream: str, **more: object) -> Opened:
        """The same, opened by the desk."""
        return self.desk.open(self.submission(who, what, stream, **more), self.principal(who))  # type: ignore[arg-type]

    async def states(self, who: str, what: Record, stream: str, **more: object) -> wire.Accepted:
        """The party's statement is in the log."""
        return await self.desk.admit(self.opened(who, what, stream, **more), self.principal(who))

    async def bundle(self, fsr_id: str) -> bytes:
        """The request's bundle as of now."""
        note = await self.desk.publisher.publish()
        return bundle.build(
            self.desk, self.memory, self.reader, fsr_id, checkpoint_note=note, stamps=StampBook(self.reader)
        )

    def station_key(self, station: str) -> str:
        """Hex SHA-256 of a station's key, which is its EVSE's."""
        return keys.spki_sha256(self.made.stations[station].credentials[Purpose.SIGNING].key.public_key())

    def meter_spki(self, evse: str) -> bytes:
        """DER of a meter's public key."""
        return (
            self.meters[evse]
            .public_key()
            .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        )

    def ocmf(self, evse: str, at_ms: int, imported_milliwh: int) -> str:
        """The meter's signed reading."""
        self.pages[evse] = self.pages.get(evse, 0) + 1
        payload = build_payload(
            meter_serial=f"M-{evse[-2:]}",
            pagination=Pagination("T", self.pages[evse]),
            readings=[MeterReading(at_ms=at_ms, energy_milliwh=imported_milliwh, transaction="C", decimals=6)],
        )
        return sign_ocmf(payload, self.meters[evse])

    def car_key(self, person: str) -> str:
        """Hex SHA-256 of a car's key."""
        return hashlib.sha256(person.encode()).hexdigest()


# The site and its contracts


async def configure(world: World, **of_each: Any) -> None:
    """The site, with the meters' keys handed in beside it; `of_each` is changed at every EVSE."""
    evses = tuple(
        Evse(
            evse_id=evse,
            station_id=station,
            connector=1,
            kind=CurrentKind.DC,
            max_charge_w=CAN_W,
            max_discharge_w=CAN_W,
            services=("CONGESTION", "LIMIT_MANDATORY", "DROOP", "RESERVE", "PRICE"),
            response_time_ms=500,
            meter=Meter(
                serial=f"M-{evse[-2:]}",
                key_spki_sha256=hashlib.sha256(world.meter_spki(evse)).hexdigest(),
                accuracy_ppm=10_000,
                resolution_milliwh=100,
                sample_period_ms=1000,
            ),
            key_spki_sha256=world.station_key(station),
            firmware_sha256=FIRMWARE,
        )
        for evse, station in zip(EVSES, STATIONS, strict=True)
    )
    evses = tuple(msgspec.structs.replace(evse, **of_each) for evse in evses)
    site = SiteConfigured(
        site_id=SITE,
        version=1,
        import_limit_w=50_000,
        export_limit_w=50_000,
        congestion_point="CP-1",
        region="FI",
        evses=evses,
    )
    spkis = [wire.SubmittedAttachment(data=world.meter_spki(evse)) for evse in EVSES]
    await world.states(CSO, site, f"site/{SITE}", attachments=spkis)


async def plug_in(world: World, ev: EvLimits | msgspec.UnsetType = msgspec.UNSET) -> None:
    """Each person's car stands at its EVSE all day, and says `ev` of itself."""
    for person, evse in zip(PERSONS, EVSES, strict=True):
        session = SessionMirrored(
            session_id=new_id("session"),
            site_id=SITE,
            evse_id=evse,
            evu=world.party(person),
            discharge_allowed=True,
            ev_key_spki_sha256=world.car_key(person),
            ev_firmware_sha256=FIRMWARE,
            from_ms=DAWN_MS,
            until_ms=DAWN_MS + 14 * HOUR_MS,
            ev=ev,
        )
        await world.states(CSO, session, f"site/{SITE}", subject=world.party(person))


def laboratory(made: Ceremony) -> AttributeAuthority:
    """The conformity body, with its key."""
    body = made.parties[LAB].credentials[Purpose.ATTRIBUTE]
    return AttributeAuthority(body.certificate, body.key, made.store, made.hierarchy.root.journal)


async def certify(
    world: World,
    services: frozenset[PkiService] = frozenset({PkiService.DROOP, PkiService.RESERVE}),
    functions: frozenset[DerFunction] = frozenset({DerFunction.FREQUENCY_WATT, DerFunction.ACTIVE_POWER_SETPOINT}),
) -> None:
    """The laboratory's claim for each EVSE, registered by the operator."""
    for number, station in enumerate(STATIONS, start=1):
        window = Window(world.clock.now_ms(), world.clock.now_ms() + 200 * 86_400_000)
        content = ConformityClaims(
            things=(Thing(kind=ThingKind.EVSE, spki_sha256=world.station_key(station)),),
            claims=(
                Claim(
                    standard="EN 50549-10",
                    edition="2022",
                    scheme=Scheme.TYPE_EXAMINATION,
                    cert_number=f"L-{number}",
                    services=services,
                    regions=("FI",),
                    max_charge_w=CAN_W,
                    max_discharge_w=CAN_W,
                    response_ms=1_000,
                    functions=functions,
                ),
            ),
        )
        der = laboratory(world.made).issue_claim(content, window=window, now_ms=world.clock.now_ms())
        claim = ClaimRegistered(
            claim_id=new_id("claim"),
            site_id=SITE,
            subject=ClaimKind.EVSE,
            standard="EN 50549-10",
            functions=tuple(sorted(services)),
            region="FI",
            issuer=LAB,
            not_before_ms=window.not_before_ms // 1000 * 1000,
            not_after_ms=window.not_after_ms // 1000 * 1000,
            claim_sha256=hashlib.sha256(der).hexdigest(),
            things=(world.station_key(station),),
        )
        opened = world.opened(
            CSO,
            claim,
            f"site/{SITE}",
            subject=station,
            attachments=[wire.SubmittedAttachment(data=der, subject=station)],
        )
        world.memory.require_claim(opened)
        await world.desk.admit(opened, world.principal(CSO))


TERMS = (
    ServiceTerms(
        service=Service.CONGESTION,
        direction=Direction.UP,
        max_w=20_000,
        baseline=BaselineMethod.NOMINATION,
        scoring=Scoring.GROUP,
        tolerance_w=500,
        delivered_min_ppm=900_000,
        partial_min_ppm=500_000,
        price_micro_per_kwh=300_000,
        penalty_micro_per_kwh=100_000,
        currency="EUR",
    ),
)
DROOP_TERMS = ServiceTerms(
    service=Service.DROOP,
    direction=Direction.UP,
    max_w=20_000,
    baseline=BaselineMethod.CURVE,
    scoring=Scoring.GROUP,
    tolerance_w=500,
    delivered_min_ppm=900_000,
    partial_min_ppm=500_000,
    price_micro_per_kwh=300_000,
    penalty_micro_per_kwh=100_000,
    currency="EUR",
)


OTHER_TERMS = (
    msgspec.structs.replace(TERMS[0], direction=Direction.DOWN),
    msgspec.structs.replace(TERMS[0], service=Service.RESERVE),
    msgspec.structs.replace(TERMS[0], service=Service.PRICE),
)


async def contract(
    world: World, person: str | None = None, evse: str | None = None, services: tuple[ServiceTerms, ...] = ()
) -> str:
    """A contract with the operator for the whole site, or with a person for one EVSE; signed by both."""
    fsc_id = new_id("fsc")
    common = {
        "fsc_id": fsc_id,
        "version": 1,
        "fo": FO,
        "site_id": SITE,
        "services": services or (*TERMS, DROOP_TERMS, *OTHER_TERMS),
        "opt": OptPolicy(default_on_silence=Silence.IN, opt_deadline_s=600, max_opt_outs=10),
        "mandatory_ack": True,
        "valid_from_ms": world.clock.now_ms(),
        "valid_to_ms": world.clock.now_ms() + 86_400_000,
        "purposes": ("settlement",),
    }
    if person is None:
        offer = ContractOffered(kind=ContractKind.FO_CSO, counterparty=CSO, **common)
    else:
        assert evse is not None
        offer = ContractOffered(kind=ContractKind.FO_EVU, evu=world.party(person), evse_ids=(evse,), **common)
    subject = world.party(person) if person else None
    submitted = world.submission(FO, offer, f"fsc/{fsc_id}", subject=subject)
    await world.desk.admit(world.desk.open(submitted, world.principal(FO)), world.principal(FO))
    digest = hashlib.sha256(submitted.statement.encode()).hexdigest()
    accepted = ContractAccepted(fsc_id=fsc_id, version=1, offer_sha256=digest)
    if person is None:
        await world.states(CSO, accepted, f"fsc/{fsc_id}")
    else:
        opened = world.opened(person, accepted, f"fsc/{fsc_id}", subject=subject)
        await relay.accept(world.desk, world.memory, opened, world.principal(person))
    return fsc_id


# One request


@dataclass
class Played:
    """What a story left."""

    fsr_id: str
    fsc_ids: tuple[str, ...]
    participations: dict[str, str]
    """Person to participation."""


def congestion(start_at_ms: int, count: int = 2) -> CongestionParams:
    """Eight kilowatts less in each quarter of an hour."""
    return CongestionParams(
        congestion_point="CP-1",
        direction=Direction.UP,
        series=tuple(
            CongestionStep(start_at_ms=start_at_ms + n * STEP_MS, duration_ms=STEP_MS, ordered_w=8000)
            for n in range(count)
        ),
    )


def droop() -> DroopParams:
    """P(f) that discharges at low frequency."""
    return DroopParams(
        points=(
            CurvePoint(freq_millihertz=49_800, power_w=-5000),
            CurvePoint(freq_millihertz=50_000, power_w=0),
            CurvePoint(freq_millihertz=50_200, power_w=5000),
        ),
        response_time_ms=2000,
        base_w=0,
        tolerance_w=500,
    )


def mandate(world: World, start_at_ms: int, end_at_ms: int, cap_w: int) -> Mandate:
    """A system operator's directive, inside a mandate."""
    issued = world.made.parties[GRID].credentials[Purpose.SIGNING]
    given = DirectiveGiven(
        directive_id=new_id("directive"),
        to=FO,
        site_id=SITE,
        ground=Ground.GRID_STABILITY,
        legal_basis="FI/588-2013/19",
        import_cap_w=cap_w,
        not_before_ms=start_at_ms - HOUR_MS,
        not_after_ms=end_at_ms + HOUR_MS,
    )
    signed = statement.sign(
        given,
        key=issued.key,
        x5t=thumbprint(issued.chain[0]),
        party=GRID,
        audience=ORIGIN,
        stream="directive/one",
        now_ms=world.clock.now_ms(),
    )
    return Mandate(
        ground=Ground.GRID_STABILITY,
        legal_basis="FI/588-2013/19",
        issuer=GRID,
        directive=signed.raw,
        directive_sha256=hashlib.sha256(signed.raw.encode()).hexdigest(),
        valid_until_ms=end_at_ms + HOUR_MS,
    )


async def issue(
    world: World,
    fsc_ids: Sequence[str],
    params: Params,
    start_at_ms: int,
    end_at_ms: int,
    of: Mandate | None = None,
    *,
    resolution_ms: int = 60_000,
    start_spread_s: int = 0,
) -> str:
    """A request is in the log."""
    fsr_id = new_id("fsr")
    issued = RequestIssued(
        fsr_id=fsr_id,
        site_id=SITE,
        fsc_ids=tuple(fsc_ids),
        obligation=Obligation.VOLUNTARY if of is None else Obligation.MANDATORY,
        mandate=of,
        params=params,
        respond_by_ms=start_at_ms - 30 * MINUTE_MS,
        opt_deadline_ms=start_at_ms - 20 * MINUTE_MS,
        start_at_ms=start_at_ms,
        end_at_ms=end_at_ms,
        start_spread_s=start_spread_s,
        evidence=Evidence(resolution_ms=resolution_ms),
    )
    certificates = (world.made.parties[GRID].credentials[Purpose.SIGNING].chain[0],)
    submitted = world.submission(FO, issued, f"fsr/{fsr_id}")
    submitted = wire.Submission(
        statement=submitted.statement, certificates=(*submitted.certificates, *(certificates if of else ()))
    )
    await world.desk.admit(world.desk.open(submitted, world.principal(FO)), world.principal(FO))
    return fsr_id


async def answer(world: World, fsr_id: str, checked: CheckRecorded, total_w: int, *, revision: int = 1) -> None:
    """The operator accepts, shared equally."""
    share = total_w // len(checked.subjects)
    offers = tuple(
        Offer(participation=one.participation, offered_w=share, up_w=share, fsc_id=one.fsc_id, evse_id=one.evse_id)
        for one in checked.subjects
    )
    said = RequestAnswered(
        fsr_id=fsr_id, revision=revision, answer=Answer.ACCEPTED, check_id=checked.check_id, offers=offers
    )
    await world.states(CSO, said, f"fsr/{fsr_id}", subject=None)


async def opts(
    world: World, person: str, fsr_id: str, participation: str, choice: Choice, *, revision: int = 1
) -> None:
    """The person decides, and the port relays it."""
    decided = OptDecided(
        opt_id=new_id("opt"),
        fsr_id=fsr_id,
        revision=revision,
        participation=participation,
        actor=OptActor.EVU,
        choice=choice,
        reason=OptReason.USER_PREFERENCE,
        decided_at_ms=world.clock.now_ms(),
    )
    opened = world.opened(person, decided, f"fsr/{fsr_id}", subject=world.party(person))
    await relay.opt(world.desk, world.memory, opened, world.principal(person))


async def commit_baseline(world: World, fsr_id: str, series: tuple[int, ...]) -> None:
    """A nominated baseline of the group."""
    document = work.baseline_document(BaselineMethod.NOMINATION, Nomination(series_w=series))
    request = world.desk.state.request(fsr_id)
    committed = BaselineCommitted(
        baseline_id=new_id("baseline"),
        fsr_id=fsr_id,
        method=BaselineMethod.NOMINATION,
        version=1,
        participants=tuple(sorted(request.taking_part(world.clock.now_ms()))),
        inputs_sha256=work.digest(document),
        baseline_w=series,
    )
    await world.states(CSO, committed, f"fsr/{fsr_id}", attachments=[wire.SubmittedAttachment(data=document)])


async def note(world: World, fsr_id: str, participation: str, *kinds: ExecutionKind) -> None:
    """Facts of one participation, now."""
    person = world.memory.person_of(participation)
    for kind in kinds:
        noted = ExecutionNoted(
            n_id=new_id("n"), fsr_id=fsr_id, participation=participation, kind=kind, at_ms=world.clock.now_ms()
        )
        await world.desk.say(noted, f"fsr/{fsr_id}", subject_of=lambda _part, _name: person)


async def leave_evidence(
    world: World,
    fsr_id: str,
    participation: str,
    evse: str,
    power_w: int,
    signed_by: Callable[[bytes], str] | None = None,
) -> None:
    """One participation ran at `power_w` from start to end: samples, meter values and a service record.

    `signed_by` gives what stands as the station's words about the body.
    """
    request = world.desk.state.request(fsr_id)
    issued, stream = request.issued, f"fsr/{fsr_id}"
    person = world.memory.person_of(participation)

    def subject_of(_part: records.Part, _name: str) -> str | None:
        return person

    times = range(issued.start_at_ms, issued.end_at_ms, MINUTE_MS)
    body = samples.encode(
        Sample(t_ms=t, power_w=power_w, freq_millihertz=50_000, setpoint_w=power_w, status=0, seq=n)
        for n, t in enumerate(times)
    )
    decoded = samples.decode(body)
    hold_ms = work.hold_ms(issued)
    sha256 = world.engines.vault.attach(body, subject=person, category=Category.METER, retention="P2Y")
    imported, exported = samples.energies_milliwh(decoded, issued.start_at_ms, issued.end_at_ms, max_hold_ms=hold_ms)
    batch_id = new_id("batch")
    committed = SamplesCommitted(
        batch_id=batch_id,
        fsr_id=fsr_id,
        participation=participation,
        seq=1,
        n=len(decoded),
        dt_ms=MINUTE_MS,
        root=samples.root(body).hex(),
        body_sha256=sha256,
        station_jws=msgspec.UNSET if signed_by is None else signed_by(body),
        ocmf_start=world.ocmf(evse, issued.start_at_ms, 1_000_000),
        ocmf_end=world.ocmf(evse, issued.end_at_ms, 1_000_000 + imported),
        meter_key_spki_sha256=hashlib.sha256(world.meter_spki(evse)).hexdigest(),
    )
    await world.desk.say(committed, stream, subject_of=subject_of)
    periods = tuple(
        Period(
            start_at_ms=start,
            duration_ms=STEP_MS,
            mean_w=samples.mean_power_w(decoded, start, start + STEP_MS, max_hold_ms=hold_ms),
            requested_w=request.participations[participation].subject.amount_w,
        )
        for start in range(issued.start_at_ms, issued.end_at_ms, STEP_MS)
    )
    recorded = ServiceRecorded(
        dsr_id=new_id("dsr"),
        fsr_id=fsr_id,
        participation=participation,
        batch_ids=(batch_id,),
        evse_id=evse,
        periods=periods,
        energy_import_milliwh=imported,
        energy_export_milliwh=exported,
    )
    await world.desk.say(recorded, stream, subject_of=subject_of)


async def settle(world: World, fsr_id: str) -> None:
    """The operator of flexibility agrees to the proof and settles it."""
    proven = world.desk.state.request(fsr_id).work
    assert proven is not None
    agreed = WorkCountered(fsr_id=fsr_id, pow_id=proven.pow_id, result=CounterResult.AGREED)
    await world.states(FO, agreed, f"fsr/{fsr_id}")
    periods = canonical.convert(canonical.decode(proven.group.encode()), GroupPeriods, "group").periods
    prices = settlement.Terms(price_micro_per_kwh=300_000, penalty_micro_per_kwh=100_000, currency="EUR")
    found = settlement.settle(periods, prices)
    settled = Settled(
        fsr_id=fsr_id,
        pow_id=proven.pow_id,
        currency="EUR",
        lines=tuple(
            SettlementLine(
                start_at_ms=line.start_at_ms,
                duration_ms=line.duration_ms,
                delivered_milliwh=line.delivered_milliwh,
                deficiency_milliwh=line.deficiency_milliwh,
                pay_micro=line.pay_micro,
                penalty_micro=line.penalty_micro,
            )
            for line in found.lines
        ),
        net_micro=found.net_micro,
    )
    await world.states(FO, settled, f"fsr/{fsr_id}")


async def end(world: World, fsr_id: str) -> None:
    """The request's stream is closed."""
    head = world.engines.store.stream_head(f"fsr/{fsr_id}")
    assert head is not None
    await world.desk.say(StreamClosed(closed=f"fsr/{fsr_id}", n=head.seq), f"fsr/{fsr_id}")


async def prepare(world: World) -> tuple[str, ...]:
    """Site, cars, claims and contracts; the contract ids."""
    await configure(world)
    await plug_in(world)
    await certify(world)
    return (
        await contract(world),
        await contract(world, PERSONS[0], EVSES[0]),
        await contract(world, PERSONS[1], EVSES[1]),
    )


async def play(
    world: World,
    fsc_ids: Sequence[str],
    *,
    start_at_ms: int = DAWN_MS + 4 * HOUR_MS,
    running: Sequence[str] = PERSONS,
    words: Mapping[str, Callable[[bytes], str]] | None = None,
) -> Played:
    """One congestion request, from its issue to its settlement and the end of its stream; others opt out.

    `words` gives, by EVSE, what stands as the station's words about the samples.
    """
    end_at_ms = start_at_ms + 2 * STEP_MS
    world.at(start_at_ms - 2 * HOUR_MS)
    fsr_id = await issue(world, fsc_ids, congestion(start_at_ms), start_at_ms, end_at_ms)
    _, checked = await check.run(world.desk, world.memory, fsr_id, EVSES, CheckPurpose.PRE_FSR)
    await answer(world, fsr_id, checked, 8000)
    parts = {person: subject.participation for person, subject in zip(PERSONS, checked.subjects, strict=True)}
    world.at(start_at_ms - HOUR_MS + 123_456)
    for person in PERSONS:
        await opts(world, person, fsr_id, parts[person], Choice.IN if person in running else Choice.OUT)
    world.at(start_at_ms - 10 * MINUTE_MS)
    await commit_baseline(world, fsr_id, (12_000, 12_000))
    world.at(start_at_ms)
    await check.run(world.desk, world.memory, fsr_id, EVSES, CheckPurpose.PRE_ACTIVATION)
    for person in running:
        await note(world, fsr_id, parts[person], ExecutionKind.DISPATCHED, ExecutionKind.STARTED)
    world.at(end_at_ms)
    for person, evse in zip(PERSONS, EVSES, strict=True):
        if person in running:
            await note(world, fsr_id, parts[person], ExecutionKind.COMPLETED)
            power_w = 2000 + 100 * PERSONS.index(person)
            await leave_evidence(world, fsr_id, parts[person], evse, power_w, (words or {}).get(evse))
    world.at(end_at_ms + MINUTE_MS)
    await prove.prove(world.desk, world.memory, fsr_id)
    await settle(world, fsr_id)
    await end(world, fsr_id)
    return Played(fsr_id, tuple(fsc_ids), parts)


async def play_mandate(world: World, *, start_at_ms: int) -> str:
    """A mandatory limit under a directive, checked and left there."""
    end_at_ms = start_at_ms + STEP_MS
    world.at(start_at_ms - 2 * HOUR_MS)
    params = LimitMandatoryParams(import_cap_w=15_000, floor_w_per_evse=0, t_comply_ms=60_000)
    fsr_id = await issue(world, (), params, start_at_ms, end_at_ms, mandate(world, start_at_ms, end_at_ms, 15_000))
    await check.run(world.desk, world.memory, fsr_id, EVSES, CheckPurpose.PRE_FSR)
    return fsr_id


async def play_droop(world: World, fsc_ids: Sequence[str], *, start_at_ms: int) -> str:
    """A droop request, for which conformity claims count, checked and left there."""
    world.at(start_at_ms - 2 * HOUR_MS)
    fsr_id = await issue(world, fsc_ids, droop(), start_at_ms, start_at_ms + STEP_MS)
    await check.run(world.desk, world.memory, fsr_id, EVSES, CheckPurpose.PRE_FSR)
    return fsr_id
