"""For tests of the rules: a cast with real keys, records of one small day, and a log that is only its judge."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.records import canonical, jws, statement
from ledger.records.actor import Actor, Role
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
from ledger.records.credentials import (
    CheckedSubject,
    CheckPurpose,
    CheckRecorded,
    Dimension,
    DimensionResult,
    Status,
)
from ledger.records.entry import NO_PREVIOUS, Entry, Submitter
from ledger.records.evidence import BaselineCommitted, SamplesCommitted
from ledger.records.execution import ExecutionKind, ExecutionNoted
from ledger.records.log import PolicyAdopted
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
from ledger.records.services import Direction, Params, Service
from ledger.records.sites import CurrentKind, Evse, Meter, SiteConfigured
from ledger.records.work import ServiceRecorded, Verdict, WorkPart, WorkProven
from ledger.rules import fact as facts
from ledger.rules.errors.violated import RuleViolated
from ledger.rules.fact import Fact, OpenedDirective
from ledger.rules.rules_version import RULES_VERSION
from ledger.rules.starts import starts_at_ms
from ledger.rules.state import LogState
from tests.support.parameters import CAP, at, congestion

ORIGIN = "log.example/test"
SITE = "DEPOT-7"
CAN_W = 22_000
EVSES = tuple(f"FI*NGC*E{number}" for number in range(1, 5))


@contextmanager
def refused(name: str) -> Iterator[None]:
    """The body is refused by the rule of that name."""
    with pytest.raises(RuleViolated) as raised:
        yield
    assert raised.value.code == f"rules/{name}", raised.value.message()


def key_of(party: str) -> Ed25519PrivateKey:
    """The party's key, always the same."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(party.encode()).digest())


def actor(party: str, role: Role, delegated_by: str | None = None) -> Actor:
    """The actor that speaks with the party's key."""
    public = key_of(party).public_key()
    spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashlib.sha256(spki)
    return Actor(
        party=party,
        role=role,
        key_spki=spki,
        x5t=jws.encode_base64url(digest.digest()),
        tbs_sha256=digest.hexdigest(),
        delegated_by=delegated_by,
    )


AURORA = actor("aurora", Role.FO)
BOREALIS = actor("borealis", Role.FO)
NORTHGATE = actor("northgate", Role.CSO)
SOUTHGATE = actor("southgate", Role.CSO)
VOLTWISE = actor("voltwise", Role.CSP)
AMPERE = actor("ampere", Role.CSP)
DRIVER = actor("driver", Role.EVU)
GRID = actor("grid", Role.SO)
AUDITOR = actor("auditor", Role.AUD)


def stated(what: Record, by: Actor, stream: str, now_ms: int, jti: str, audience: str = ORIGIN) -> statement.Statement:
    """`what`, signed by the actor and opened again as a reader of the log would."""
    signed = statement.sign(
        what,
        key=key_of(by.party),
        x5t=by.x5t,
        party=by.party,
        audience=audience,
        stream=stream,
        now_ms=now_ms,
        jti=jti,
        salt=_Salts(jti),
    )
    return statement.open_statement(signed.raw, by, audience=audience)


class _Salts:
    """Different salts, always the same ones."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._count = 0

    def __call__(self) -> bytes:
        self._count += 1
        return hashlib.sha256(f"{self._seed}/{self._count}".encode()).digest()


class Judge:
    """A log without a log: it makes facts, asks the rules, and folds what they admit."""

    def __init__(self, scope: str = "log", *, policy: bool = True) -> None:
        self.state = LogState(scope)  # type: ignore[arg-type]
        self.now_ms = at("09:00")
        self.facts: list[Fact] = []
        if policy and scope == "log":
            self.admit(PolicyAdopted(anchors=("0" * 64,), rules=RULES_VERSION), NORTHGATE, "log/policy")

    def fact(
        self,
        what: Record,
        by: Actor,
        stream: str | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        evidence: facts.Evidence | None = facts.Evidence(),  # noqa: B008 -- frozen
        submitter: Actor | None = None,
        pol: int = 0,
    ) -> Fact:
        """The next fact: `what`, said by the actor now, in the stream that the record names."""
        index = len(self.facts)
        stream = stream or stream_of(what)
        said = stated(what, by, stream, self.now_ms, f"jti-{index:016d}")
        sub = submitter or by
        made = Entry(
            log=ORIGIN,
            pol=pol,
            prev=NO_PREVIOUS,
            rec=self.now_ms,
            seq=sum(fact.entry.stream == stream for fact in self.facts) + 1,
            stmt=said.raw,
            stream=stream,
            sub=Submitter(cert=sub.tbs_sha256, party=sub.party, role=sub.role),
            type=what.TYPE,
            v=what.VERSION,
        )
        known = tags_of(what) if tags is None else tags
        if tags is None and evidence is not None and evidence.person is not None:
            known = {**known, "person": tag(f"evu/{evidence.person.party}")}
        return Fact(index, made, said, by, self.now_ms, known, evidence)

    def admit(self, what: Record, by: Actor, stream: str | None = None, **more: Any) -> Fact:
        """The rules admit it, and it is folded."""
        made = self.fact(what, by, stream, **more)
        self.state.check(made)
        self.fold(made)
        return made

    def fold(self, made: Fact) -> None:
        """It stands in the log, whatever the rules say of it."""
        self.state.apply(made)
        self.facts.append(made)

    def try_it(self, what: Record, by: Actor, stream: str | None = None, **more: Any) -> None:
        """Asks the rules, and folds nothing."""
        self.state.check(self.fact(what, by, stream, **more))

    # The day so far, in one word each

    def site(self, evses: Sequence[str] = EVSES, by: Actor = NORTHGATE, site_id: str = SITE) -> None:
        """The site is configured, with tags."""
        what = site(evses, site_id=site_id)
        self.admit(what, by, tags={evse: tag(evse) for evse in evses})

    def contract(self, fsc_id: str = "fsc-1", *, fo: Actor = AURORA, by: Actor = NORTHGATE, **changes: Any) -> None:
        """A contract is offered by the operator and accepted by the organisation on the other side."""
        kind = ContractKind.FO_CSP if by.role is Role.CSP else ContractKind.FO_CSO
        offer = contract(fsc_id, fo=fo.party, counterparty=by.party, kind=kind, **changes)
        made = self.admit(offer, fo)
        self.admit(acceptance(fsc_id, made), by)

    def request(self, fsr_id: str = "fsr-1", **changes: Any) -> None:
        """A request is issued, and its participations are checked: p1, p2, ..."""
        self.admit(request(fsr_id, **changes), AURORA)

    def ready(self, count: int = 2, **changes: Any) -> None:
        """A site, a contract, a request and a passed check of `count` participations, at 15:01."""
        self.site()
        self.contract()
        self.now_ms = at("15:00")
        self.request(**changes)
        self.now_ms = at("15:01")
        self.check(count=count)

    def check(self, check_id: str = "chk-1", fsr_id: str = "fsr-1", *, count: int = 2, **changes: Any) -> None:
        """A check of `count` participations passes now."""
        self.admit(check(check_id, fsr_id, names=pids(count), now_ms=self.now_ms, **changes), NORTHGATE)

    def accepted(self, count: int = 2, **changes: Any) -> None:
        """The request is accepted whole, at 15:10."""
        self.ready(count, **changes)
        self.now_ms = at("15:10")
        self.answer(count=count)

    def answer(self, fsr_id: str = "fsr-1", *, count: int = 2, check_id: str = "chk-1") -> None:
        """All checked participations are offered, each at the EVSE of its number."""
        what = answer(fsr_id, check_id=check_id, names=pids(count))
        self.admit(what, NORTHGATE, tags=tags(count))

    def started(self, count: int = 2, **changes: Any) -> None:
        """Accepted, baseline committed, checked again, dispatched and started, each at its own start from 17:00 on."""
        self.accepted(count, **changes)
        self.now_ms = at("15:12")
        self.admit(baseline(pids(count)), NORTHGATE)
        self.now_ms = at("17:00")
        self.check("chk-2", count=count)
        own = {name: starts_at_ms(self.state.request("fsr-1").issued, name) for name in pids(count)}
        for name in sorted(own, key=lambda name: own[name]):
            self.now_ms = own[name]
            self.admit(noted(name, ExecutionKind.DISPATCHED), NORTHGATE)
            self.admit(noted(name, ExecutionKind.STARTED), NORTHGATE)

    def ended(self, count: int = 2, **changes: Any) -> None:
        """Started, completed, with samples and a service record for each, at 18:05."""
        self.started(count, **changes)
        self.now_ms = at("18:01")
        for name in pids(count):
            self.admit(noted(name, ExecutionKind.COMPLETED), NORTHGATE)
            self.admit(samples(name), NORTHGATE, tags={"root": f"root-{name}"})
        self.now_ms = at("18:05")
        for name in pids(count):
            self.admit(dsr(name), NORTHGATE)

    def mandated(self, count: int = 2) -> None:
        """A mandatory request, proven and checked, at 18:29; it starts at 18:30."""
        self.site()
        self.now_ms = at("18:29")
        self.admit(mandatory("fsr-1"), AURORA, evidence=proof())
        self.check(count=count, service=Service.LIMIT_MANDATORY)


def tags_of(what: Record) -> dict[str, str]:
    """The tags that a service would make: participation x-n is the driver's at EVSE n, each batch has its own root."""
    if isinstance(what, CheckRecorded):
        names = [one.participation for one in what.subjects]
        evses = {f"evse/{name}": tag(EVSES[int(name.rpartition("-")[2]) - 1]) for name in names}
        return evses | {f"evu/{name}": tag(f"evu/{DRIVER.party}") for name in names}
    if isinstance(what, RequestAnswered):
        places = {one.participation: one.participation.rpartition("-")[2] for one in what.offers}
        return {name: tag(EVSES[int(place) - 1]) for name, place in places.items()}
    if isinstance(what, SamplesCommitted):
        return {"root": f"root-{what.batch_id}"}
    return {}


def stream_of(what: Record) -> str:
    """The stream that the record names."""
    for field in ("fsr_id", "fsc_id", "query_id", "site_id", "delegation_id", "schedule_id"):
        value = getattr(what, field, None)
        if isinstance(value, str):
            return f"{what.STREAM}/{value}"
    return f"{what.STREAM}/one"


def pids(count: int) -> tuple[str, ...]:
    """p-1, p-2, ..."""
    return tuple(f"p-{number}" for number in range(1, count + 1))


def tag(evse_id: str) -> str:
    """A name for an EVSE that says nothing."""
    return hashlib.sha256(evse_id.encode()).hexdigest()


def tags(count: int) -> dict[str, str]:
    """Participation n is at EVSE n."""
    return {name: tag(evse) for name, evse in zip(pids(count), EVSES, strict=False)}


def site(evses: Sequence[str] = EVSES, version: int = 1, site_id: str = SITE) -> SiteConfigured:
    """A site whose EVSEs charge and discharge with half of `CAN_W` each way."""
    return SiteConfigured(
        site_id=site_id,
        version=version,
        import_limit_w=160_000,
        export_limit_w=100_000,
        congestion_point="CP-1",
        region="FI",
        evses=tuple(
            Evse(
                evse_id=evse,
                station_id=f"CS-{number}",
                connector=1,
                kind=CurrentKind.DC,
                max_charge_w=CAN_W // 2,
                max_discharge_w=CAN_W // 2,
                services=("CONGESTION",),
                response_time_ms=1000,
                meter=Meter(
                    serial=f"M{number}",
                    key_spki_sha256="1" * 64,
                    accuracy_ppm=10_000,
                    resolution_milliwh=1000,
                    sample_period_ms=1000,
                ),
                key_spki_sha256="2" * 64,
                firmware_sha256="3" * 64,
            )
            for number, evse in enumerate(evses, 1)
        ),
    )


TERMS = ServiceTerms(
    service=Service.CONGESTION,
    direction=Direction.UP,
    max_w=60_000,
    baseline=BaselineMethod.HIGH_X_OF_Y,
    scoring=Scoring.GROUP,
    tolerance_w=500,
    delivered_min_ppm=950_000,
    partial_min_ppm=600_000,
    price_micro_per_kwh=300_000,
    penalty_micro_per_kwh=450_000,
    currency="EUR",
)


ARMED = msgspec.structs.replace(TERMS, service=Service.FFR, baseline=BaselineMethod.PRE_EVENT)


def contract(fsc_id: str = "fsc-1", **changes: Any) -> ContractOffered:
    """An offer of aurora to northgate for congestion and FFR, up, at the whole site, all day."""
    offer = ContractOffered(
        fsc_id=fsc_id,
        version=1,
        kind=ContractKind.FO_CSO,
        fo="aurora",
        counterparty="northgate",
        site_id=SITE,
        services=(TERMS, ARMED),
        opt=OptPolicy(default_on_silence=Silence.IN, opt_deadline_s=1800, max_opt_outs=2),
        mandatory_ack=True,
        valid_from_ms=at("00:00"),
        valid_to_ms=at("23:59"),
        purposes=("settlement",),
    )
    return msgspec.structs.replace(offer, **changes)


def acceptance(fsc_id: str, offer: Fact, **changes: Any) -> ContractAccepted:
    """Acceptance of exactly that offer."""
    digest = hashlib.sha256(offer.statement.raw.encode()).hexdigest()
    record = offer.statement.record
    assert isinstance(record, ContractOffered)
    return ContractAccepted(fsc_id=fsc_id, version=record.version, offer_sha256=digest, **changes)


def request(fsr_id: str = "fsr-1", *, params: Params | None = None, **changes: Any) -> RequestIssued:
    """A voluntary request for 17:00 to 18:00; answer by 15:30, opt until 16:30. Its series is its window."""
    times = (changes.get("start_at_ms", at("17:00")), changes.get("end_at_ms", at("18:00")))
    issued = RequestIssued(
        fsr_id=fsr_id,
        site_id=SITE,
        fsc_ids=("fsc-1",),
        obligation=Obligation.VOLUNTARY,
        params=params or congestion(20_000, *times),
        respond_by_ms=at("15:30"),
        opt_deadline_ms=at("16:30"),
        start_at_ms=times[0],
        end_at_ms=times[1],
        evidence=Evidence(resolution_ms=1000),
    )
    return msgspec.structs.replace(issued, **changes)


def directive(**changes: Any) -> DirectiveGiven:
    """The grid operator's directive of 18:30."""
    given = DirectiveGiven(
        directive_id="dir-1",
        to="aurora",
        site_id=SITE,
        ground=Ground.GRID_STABILITY,
        legal_basis="EnWG 14a",
        import_cap_w=CAP.import_cap_w,
        not_before_ms=at("18:00"),
        not_after_ms=at("19:00"),
    )
    return msgspec.structs.replace(given, **changes)


def signed_directive(given: DirectiveGiven, by: Actor = GRID) -> str:
    """The directive as a statement of its signer."""
    return stated(given, by, "directive/dir-1", at("18:00"), "directive-0000001").raw


def proof(given: DirectiveGiven | None = None, by: Actor = GRID) -> facts.Evidence:
    """What a caller that verified the directive knows."""
    return facts.Evidence(directive=OpenedDirective(given or directive(), by))


def mandate(given: DirectiveGiven | None = None, by: Actor = GRID, **changes: Any) -> Mandate:
    """The mandate that carries the directive."""
    given = given or directive()
    raw = signed_directive(given, by)
    made = Mandate(
        ground=Ground.GRID_STABILITY,
        legal_basis="EnWG 14a",
        issuer=by.party,
        directive=raw,
        directive_sha256=hashlib.sha256(raw.encode()).hexdigest(),
        valid_until_ms=at("19:00"),
    )
    return msgspec.structs.replace(made, **changes)


def mandatory(fsr_id: str = "fsr-1", **changes: Any) -> RequestIssued:
    """The mandatory cap from 18:30 to 18:45."""
    fields: dict[str, Any] = {
        "fsc_ids": (),
        "obligation": Obligation.MANDATORY,
        "mandate": mandate(),
        "start_at_ms": at("18:30"),
        "end_at_ms": at("18:45"),
        "respond_by_ms": at("18:30"),
        "opt_deadline_ms": at("18:30"),
    }
    return request(fsr_id, **{"params": CAP, **fields, **changes})


def dimensions(statuses: Iterable[Status] = (Status.PASS,) * 6) -> tuple[DimensionResult, ...]:
    """One result a dimension, in their order."""
    return tuple(
        DimensionResult(dimension=dimension, status=status, code="check/ok")
        for dimension, status in zip(Dimension, statuses, strict=False)
    )


def subject(name: str, status: Status = Status.PASS, **changes: Any) -> CheckedSubject:
    """One checked participation; what fails is its conformity."""
    return CheckedSubject(
        participation=name,
        overall=status,
        dimensions=dimensions((*(Status.PASS,) * 5, status)),
        amount_w=5_000,
        **changes,
    )


def check(
    check_id: str = "chk-1",
    fsr_id: str = "fsr-1",
    *,
    names: Iterable[str] = (),
    now_ms: int,
    service: Service | None = None,
    **changes: Any,
) -> CheckRecorded:
    """A check that everything passes."""
    made = CheckRecorded(
        check_id=check_id,
        fsr_id=fsr_id,
        purpose=CheckPurpose.PRE_FSR,
        service=service or Service.CONGESTION,
        as_of_ms=now_ms,
        valid_until_ms=now_ms + 900_000,
        requester="aurora",
        overall=Status.PASS,
        requester_dimensions=dimensions()[:4],
        subjects=tuple(subject(name) for name in names),
        evidence=(),
    )
    return msgspec.structs.replace(made, **changes)


def offer(name: str, offered_w: int = 10_000, **changes: Any) -> Offer:
    """One participation, offered."""
    return Offer(participation=name, offered_w=offered_w, up_w=offered_w, **changes)


def answer(
    fsr_id: str = "fsr-1", *, check_id: str = "chk-1", names: Iterable[str] = ("p-1", "p-2"), **changes: Any
) -> RequestAnswered:
    """Acceptance of everything with 10 kW each."""
    made = RequestAnswered(
        fsr_id=fsr_id, answer=Answer.ACCEPTED, check_id=check_id, offers=tuple(offer(name) for name in names)
    )
    return msgspec.structs.replace(made, **changes)


def decided(
    name: str, choice: Choice = Choice.OUT, who: OptActor = OptActor.CSO, fsr_id: str = "fsr-1", revision: int = 1
) -> OptDecided:
    """An opt decision; a person's carries a commitment to their words."""
    words = {"evu_statement": "words", "reason": OptReason.MOBILITY_NEED} if who is OptActor.EVU else {}
    return OptDecided(
        opt_id=f"opt-{name}-{choice}",
        fsr_id=fsr_id,
        revision=revision,
        participation=name,
        actor=who,
        choice=choice,
        **words,
    )


def words(what: Record, by: Actor = DRIVER, **changes: Any) -> facts.Evidence:
    """A person's own statement, verified."""
    stream = changes.pop("stream", None) or stream_of(what)
    return facts.Evidence(
        person=by, person_statement=stated(what, by, stream, at("15:00"), "person-000000001", **changes)
    )


def baseline(names: Iterable[str], baseline_id: str = "base-1", **changes: Any) -> BaselineCommitted:
    """The contract's baseline."""
    made = BaselineCommitted(
        baseline_id=baseline_id,
        fsr_id="fsr-1",
        method=BaselineMethod.HIGH_X_OF_Y,
        version=1,
        participants=tuple(names),
        inputs_sha256="4" * 64,
        baseline_w=(80_000,) * 4,
    )
    return msgspec.structs.replace(made, **changes)


def noted(
    name: str, kind: ExecutionKind, fsr_id: str = "fsr-1", n_id: str | None = None, **changes: Any
) -> ExecutionNoted:
    """One fact of one participation."""
    return ExecutionNoted(n_id=n_id or f"n-{name}-{kind}", fsr_id=fsr_id, participation=name, kind=kind, **changes)


def samples(name: str, seq: int = 1, batch_id: str | None = None, fsr_id: str = "fsr-1") -> SamplesCommitted:
    """A batch of one participation."""
    return SamplesCommitted(
        batch_id=batch_id or f"batch-{name}-{seq}",
        fsr_id=fsr_id,
        participation=name,
        seq=seq,
        n=3600,
        dt_ms=1000,
        root="5" * 64,
    )


def dsr(name: str, dsr_id: str | None = None, **changes: Any) -> ServiceRecorded:
    """The service record of one participation, from its first batch."""
    made = ServiceRecorded(
        dsr_id=dsr_id or f"dsr-{name}", fsr_id="fsr-1", participation=name, batch_ids=(f"batch-{name}-1",)
    )
    return msgspec.structs.replace(made, **changes)


def proven(names: Iterable[str] = ("p-1", "p-2"), **changes: Any) -> WorkProven:
    """A proof with all participations and their first batches."""
    names = tuple(names)
    score, verdict = changes.get("score_ppm", 925_000), changes.get("verdict", Verdict.PARTIAL)
    made = WorkProven(
        pow_id="pow-1",
        fsr_id="fsr-1",
        check_id="chk-1",
        baseline_id="base-1",
        algorithm="CONGESTION/1",
        batch_ids=tuple(f"batch-{name}-1" for name in names),
        group=canonical.encode({"score_ppm": score, "verdict": verdict, "more": 1}).decode(),
        score_ppm=score,
        verdict=verdict,
        delivered_wh=37_000,
        parts=tuple(WorkPart(participation=name, dsr_id=f"dsr-{name}") for name in names),
    )
    return msgspec.structs.replace(made, **changes)
