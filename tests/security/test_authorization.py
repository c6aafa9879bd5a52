"""Every role at every route, with an object of its own and of others. A route without a row fails here."""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from typing import cast as typed

import msgspec
import pytest
import pytest_asyncio

from api.app import create_app
from api.cli.demo import cast, props, story
from api.client.errors import Unreachable
from api.flows.webhooks import Answered
from api.settings import Limits
from api.verification import work
from api.web import schema
from api.web.identity import Require
from api.web.routes.taking import TAKEN
from ledger.records.contracts import (
    BaselineMethod,
    ContractAccepted,
    ContractKind,
    ContractResumed,
    ContractSuspended,
    ContractTerminated,
    ContractWithdrawn,
    HoldersAsked,
    SuspensionCause,
    TerminationReason,
)
from ledger.records.evidence import BaselineCommitted
from ledger.records.opt import Choice, OptActor, OptDecided, OptReason, OptScheduled, OptScheduleEnded
from ledger.records.parties import DelegationGiven, DelegationRevoked, PartyDeclared, Scope
from ledger.records.record import Record
from ledger.records.requests import (
    Answer,
    CancelReason,
    RequestAborted,
    RequestAnswered,
    RequestRevised,
    SetpointBatch,
    SetpointStepMoved,
)
from ledger.records.services import Service
from ledger.records.site_changes import GridReplaced, SiteChanged
from ledger.records.sites import ClaimKind, ClaimWithdrawn, SiteAvailable, Withdrawal
from ledger.records.work import CounterResult, DisputeResolved, Resolution, Settled, SettlementLine, WorkCountered
from pki.ceremony import Ceremony
from pki.roles import Purpose, Role
from tests.support import house as houses
from tests.support import house_acts
from tests.support.authorization import ACTS, CALLERS, LISTS, OWN, PUBLIC, QUERY, READS
from tests.support.house import House, Reply
from tests.support.house_acts import FSR

pytestmark = pytest.mark.asyncio(loop_scope="module")

AUTHORIZATION = frozenset(
    {
        "api/not-concerned",
        "api/role-not-allowed",
        "rules/writer-role",
        "rules/wrong-party",
        "rules/person-in-log",
        "rules/fo-may-not-opt",
        "rules/opt-no-standing",
        "rules/contract-not-counterparty",
        "rules/discovery-foreign",
        "api/webhook-unknown",
    }
)
"""Codes that say: not you."""
ZERO_BASELINE = work.baseline_document(BaselineMethod.ZERO, None)


@pytest.fixture(scope="module")
def made() -> Ceremony:
    return houses.perform()


@dataclass
class Scene:
    """A service with one of everything, and what each thing is called."""

    house: House
    names: Mapping[str, str]
    parts: Mapping[str, str]

    def path(self, template: str, **changes: str) -> str:
        named = {**self.names, **changes}
        for name, value in named.items():
            template = template.replace(f"{{{name}}}", value)
        assert "{" not in template
        return template

    def leaf(self, caller: str) -> bytes:
        who = CALLERS[caller]
        holder = self.house.made.stations[who] if caller == "station" else self.house.made.parties[who]
        return holder.credentials[Purpose.TLS_CLIENT].chain[0]

    async def ask(self, caller: str | None, method: str, path: str, body: Any = None) -> Reply:
        data = b"" if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body)
        return await self.house.ask(None if caller is None else self.leaf(caller), method, path, data)


class Away:
    """Receivers that nobody reaches."""

    def require_url(self, url: str) -> None:
        return

    async def post(self, url: str, body: bytes) -> Answered:
        raise Unreachable("away")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, made: Ceremony) -> AsyncIterator[Scene]:
    async with House.open(tmp_path_factory.mktemp("matrix"), made, poster=Away()) as house:
        play = house.play()
        await story.open_the_day(play)
        parts = await house_acts.accepted(house)
        asked = HoldersAsked(
            query_id=QUERY,
            site_id=cast.SITE,
            service=Service.CONGESTION,
            start_at_ms=house_acts.START_MS,
            end_at_ms=house_acts.END_MS,
        )
        await play.post(cast.FO, "/v1/contracts/discovery", asked, f"discovery/{QUERY}")
        await story.opt_out(play, cast.DC_BAYS[0], FSR, parts[cast.DC_BAYS[0].name], OptReason.BATTERY_CARE)
        exported = await house.post(cast.DPO, "/v1/exports", {"profile": "SETTLEMENT", "recipient": cast.FO})
        assert exported.status == 201
        credentials = (await house.ask(cast.FO, "GET", "/v1/credentials")).json()["credentials"]
        given = DelegationGiven(
            delegation_id="delegation-matrix",
            grantor_role=Role.CSO,
            grantor=cast.CSO,
            delegate=cast.CSP,
            scopes=(Scope.OPT,),
            until_ms=cast.at(23),
        )
        await play.post(cast.CSO, "/v1/delegations", given, "delegation/delegation-matrix")
        ahead = OptScheduled(
            schedule_id="schedule-matrix",
            actor=OptActor.CSO,
            party=cast.CSO,
            choice=Choice.IN,
            from_ms=cast.at(20),
            until_ms=cast.at(23),
        )
        await play.post(cast.CSO, "/v1/schedules", ahead, "schedule/schedule-matrix")
        hook = (await house.post(cast.FO, "/v1/webhooks", {"url": "https://receiver.example/"})).json()
        disclosed = (await house.ask(cast.FO, "GET", "/v1/disclosures")).json()["disclosures"]
        names = {
            "fsr_id": FSR,
            "fsc_id": "fsc-site",
            "site_id": cast.SITE,
            "station_id": cast.BAYS[0].station_id,
            "query_id": QUERY,
            "check_id": next(iter(house.service.desk.state.request(FSR).checks)),
            "claim_id": house.service.desk.state.site(cast.SITE).claims[0].claim_id,
            "participation": parts[cast.DC_BAYS[0].name],
            "index": str(disclosed[0]["index"]),
            "stream": f"fsr/{FSR}",
            "credential": next(one["name"] for one in credentials if one["purpose"] == "SIGNING"),
            "label": "signing",
            "webhook_id": hook["id"],
            "delegation_id": "delegation-matrix",
            "schedule_id": "schedule-matrix",
            "id": hook["id"],
            "number": "1",
            "request_id": "0" * 32,
        }
        yield Scene(house, names, parts)


def _routes() -> dict[tuple[str, str], tuple[Role, ...] | None]:
    """Every method and path of the application, with the roles of its guard; None where it has none."""
    closed = SimpleNamespace(settings=SimpleNamespace(origin="log.example", limits=Limits()))
    app = create_app(typed("Any", closed)).framework
    found: dict[tuple[str, str], tuple[Role, ...] | None] = {}
    for place, handler in schema._operations(app):
        guards = [one for one in handler.resolve_guards() if isinstance(one, Require)]
        assert len(guards) <= 1, place
        path, method = place
        if method not in ("OPTIONS", "HEAD"):
            found[method, path] = (guards[0].roles or tuple(Role)) if guards else None
    return found


ROUTES = _routes()


async def test_every_route_has_a_row_and_every_row_a_route() -> None:
    rows = {
        *PUBLIC,
        *OWN,
        *(("GET", path) for path in (*READS, *LISTS)),
        *((row.method, path) for path, row in ACTS.items()),
        *(("POST", path) for path in STATEMENTS),
    }
    assert rows == set(ROUTES)


async def test_what_has_no_guard_is_what_everybody_may_have() -> None:
    assert {place for place, roles in ROUTES.items() if roles is None} == PUBLIC


def _role(caller: str) -> Role:
    if caller == "station":
        return Role.STATION
    return Role[{"e1": "EVU", "e5": "EVU", "rival": "FO", "other": "CSO"}.get(caller, caller).upper()]


@pytest.mark.parametrize("place", sorted(set(ROUTES) - PUBLIC), ids=" ".join)
async def test_nobody_and_roles_that_a_route_does_not_name_are_told_so_before_anything_is_looked_at(
    scene: Scene, place: tuple[str, str]
) -> None:
    method, template = place
    path = scene.path(template, **_named(template, scene))
    size = scene.house.size()
    anonymous = await scene.ask(None, method, path, b"{}" if method == "POST" else None)
    assert (anonymous.status, anonymous.json()["code"]) == (401, "api/credential-missing")
    for caller in CALLERS:
        if _role(caller) in (ROUTES[place] or ()):
            continue
        reply = await scene.ask(caller, method, path, b"{}" if method == "POST" else None)
        assert (reply.status, reply.json()["code"]) == (403, "api/role-not-allowed"), caller
    assert scene.house.size() == size


def _named(template: str, scene: Scene, *, nothing: bool = False) -> dict[str, str]:
    """What the parameters of a path stand for; with `nothing`, names of what is not there."""
    if template.startswith("/v1/credentials/"):
        return {"name": f"{'0' * 64}.01" if nothing else scene.names["credential"]}
    if template.startswith("/v1/streams/"):
        return {"kind": "fsr", "name": "fsr-none" if nothing else FSR}
    if nothing:
        return {name: f"{name.partition('_')[0]}-none" for name in scene.names}
    return {}


@pytest.mark.parametrize("template", READS)
async def test_an_object_is_shown_to_whom_it_concerns_and_is_not_there_for_anybody_else(
    scene: Scene, template: str
) -> None:
    row = READS[template]
    for caller in CALLERS:
        if _role(caller) not in (ROUTES["GET", template] or ()):
            assert caller not in row.sees.split()
            continue
        own = await scene.ask(caller, "GET", scene.path(template, **_named(template, scene)) + row.query)
        none = await scene.ask(caller, "GET", scene.path(template, **_named(template, scene, nothing=True)) + row.query)
        assert none.status == 404, (caller, none.body)
        if caller in row.sees.split():
            assert own.status == 200, (caller, own.body)
        else:
            assert _said(own) == _said(none), caller


def _said(reply: Reply) -> dict[str, Any]:
    """A problem without what differs each time."""
    told: dict[str, Any] = reply.json()
    assert reply.status == told["status"]
    return {name: value for name, value in told.items() if name != "instance"}


@pytest.mark.parametrize("template", LISTS)
async def test_a_list_holds_what_concerns_the_caller_and_nothing_else(scene: Scene, template: str) -> None:
    row = LISTS[template]
    name = scene.names["credential"] if row.name == "name" else scene.names[row.name]
    for caller in CALLERS:
        if _role(caller) not in (ROUTES["GET", template] or ()):
            assert caller not in row.sees.split()
            continue
        reply = await scene.ask(caller, "GET", template + row.query)
        assert reply.status == 200, (caller, reply.body)
        told = [str(one[row.name]) for one in reply.json()[row.member]]
        assert (name in told) == (caller in row.sees.split()), (caller, told)


BODIES: Mapping[str, Callable[[Scene], Any]] = {
    "": lambda _: None,
    "nothing": lambda _: {},
    "check": lambda _: {"fsr_id": FSR, "evse_ids": [cast.DC_BAYS[0].evse_id]},
    # A reason that nobody may give, so that the rightful are refused too, with another code, and nothing is revoked.
    "revocation": lambda _: {"reason": "none"},
}


@pytest.mark.parametrize("template", ACTS)
async def test_an_act_on_an_object_of_others_finds_nothing_there(scene: Scene, template: str) -> None:
    row = ACTS[template]
    path = scene.path(template, **_named(template, scene))
    # The rightful last: what they do may end the object.
    for caller in sorted(CALLERS, key=lambda one: one in row.may.split()):
        if _role(caller) not in (ROUTES[row.method, template] or ()):
            assert caller not in row.may.split()
            continue
        size = scene.house.size()
        body = {"reason": "superseded"} if row.body == "revocation" and caller not in row.may.split() else None
        reply = await scene.ask(caller, row.method, path, body or BODIES[row.body](scene))
        if caller in row.may.split():
            assert reply.status in (200, 201, 204, 400, 409), (caller, reply.body)
            assert reply.status < 300 or reply.json()["code"] not in AUTHORIZATION, caller
        else:
            assert reply.status in (403, 404), (caller, reply.body)
            assert scene.house.size() == size, caller


# Statements: everybody's own words, well signed, about an object of others


@dataclass(frozen=True)
class Words:
    """A statement about an object, and who may say it."""

    may: str
    what: Callable[[Scene, Role], Record]
    """The words, as the role would say them."""
    stream: str
    attachments: tuple[bytes, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    """What the path names, where it is not the usual thing."""


def _offered(scene: Scene, _: Role) -> Record:
    text = props.contract("fsc-matrix", ContractKind.FO_CSO, (cast.terms(Service.FFR, 1_000),), counterparty=cast.CSO)
    return msgspec.structs.replace(text, fsc_id="fsc-matrix")


def _offer_digest(scene: Scene) -> str:
    return scene.house.service.desk.state.contract("fsc-site").latest.sha256


def _answered(scene: Scene, _: Role) -> Record:
    return RequestAnswered(fsr_id=FSR, answer=Answer.REJECTED, check_id=scene.names["check_id"], offers=())


def _revised(_scene: Scene, _: Role) -> Record:
    asked = house_acts.request()
    return RequestRevised(
        fsr_id=FSR,
        revision=2,
        params=asked.params,
        respond_by_ms=asked.respond_by_ms,
        opt_deadline_ms=asked.opt_deadline_ms,
        start_at_ms=asked.start_at_ms,
        end_at_ms=asked.end_at_ms,
        evidence=asked.evidence,
    )


def _baseline(scene: Scene, _role: Role) -> Record:
    return BaselineCommitted(
        baseline_id="baseline-matrix",
        fsr_id=FSR,
        method=BaselineMethod.ZERO,
        version=1,
        participants=tuple(sorted(scene.parts.values())),
        inputs_sha256=hashlib.sha256(ZERO_BASELINE).hexdigest(),
    )


def _decided(scene: Scene, role: Role) -> Record:
    return OptDecided(
        opt_id="opt-matrix",
        fsr_id=FSR,
        participation=scene.parts[cast.DC_BAYS[0].name],
        actor=OptActor.EVU if role is Role.EVU else OptActor("CSP" if role is Role.CSP else "CSO"),
        choice=Choice.IN,
    )


def _withdrawn(scene: Scene, _: Role) -> Record:
    return ClaimWithdrawn(claim_id=scene.names["claim_id"], site_id=cast.SITE, reason=Withdrawal.ERROR)


def _claim(scene: Scene, _: Role) -> Record:
    thing = props.evse_thing(scene.house.made, cast.DC_BAYS[0])
    record, _der = props.claim(scene.house.made, (thing,), ClaimKind.EVSE, Service.FFR, scene.house.clock.now_ms())
    return record


def _delegated(scene: Scene, role: Role) -> Record:
    """A person's own right, or that of the port's operator or of another CSP."""
    if role is Role.EVU:
        return DelegationGiven(
            delegation_id="delegation-new",
            grantor_role=Role.EVU,
            delegate=cast.CSP,
            scopes=(Scope.OPT,),
            until_ms=cast.at(23),
        )
    return DelegationGiven(
        delegation_id="delegation-new",
        grantor_role=role,
        grantor=cast.CSO if role is Role.CSO else "FI-ELSE",
        delegate=cast.RIVAL,
        scopes=(Scope.OPT,),
        until_ms=cast.at(23),
    )


def _scheduled(scene: Scene, role: Role) -> Record:
    """The same, of schedules."""
    return OptScheduled(
        schedule_id="schedule-new",
        actor=OptActor(role.value),
        choice=Choice.IN,
        from_ms=cast.at(20),
        until_ms=cast.at(23),
        **({} if role is Role.EVU else {"party": cast.CSO if role is Role.CSO else "FI-ELSE"}),
    )


STATEMENTS: Mapping[str, Words] = {
    "/v1/parties": Words("fo", lambda _, role: PartyDeclared(party_id=cast.FO, version=1, role=role), "party/declared"),
    "/v1/sites/{site_id}/availability": Words(
        "cso",
        lambda *_: SiteAvailable(
            site_id=cast.SITE, from_ms=cast.at(20), until_ms=cast.at(23), up_w=1_000, down_w=0, duration_s=900
        ),
        f"site/{cast.SITE}",
    ),
    "/v1/sites/{site_id}/changes": Words(
        "cso",
        lambda *_: SiteChanged(
            site_id=cast.SITE,
            base_version=1,
            changes=(GridReplaced(import_limit_w=150_000, export_limit_w=100_000, congestion_point="CP-2"),),
        ),
        f"site/{cast.SITE}",
    ),
    "/v1/delegations": Words("cso e1 e5", _delegated, "delegation/delegation-new"),
    "/v1/delegations/{delegation_id}/revocation": Words(
        "cso csp", lambda *_: DelegationRevoked(delegation_id="delegation-matrix"), "delegation/delegation-matrix"
    ),
    "/v1/schedules": Words("cso e1 e5", _scheduled, "schedule/schedule-new"),
    "/v1/schedules/{schedule_id}/end": Words(
        "cso", lambda *_: OptScheduleEnded(schedule_id="schedule-matrix"), "schedule/schedule-matrix"
    ),
    "/v1/contracts": Words("fo cso", _offered, "fsc/fsc-matrix"),
    "/v1/contracts/{fsc_id}/acceptance": Words(
        "cso",
        lambda s, _: ContractAccepted(fsc_id="fsc-site", version=1, offer_sha256=_offer_digest(s)),
        "fsc/fsc-site",
    ),
    "/v1/contracts/{fsc_id}/withdrawal": Words(
        "fo",
        lambda *_: ContractWithdrawn(fsc_id="fsc-voltwise", version=1),
        "fsc/fsc-voltwise",
        names={"fsc_id": "fsc-voltwise"},
    ),
    "/v1/contracts/{fsc_id}/suspension": Words(
        "fo csp",
        lambda *_: ContractSuspended(fsc_id="fsc-voltwise", cause=SuspensionCause.NOTICE),
        "fsc/fsc-voltwise",
        names={"fsc_id": "fsc-voltwise"},
    ),
    "/v1/contracts/{fsc_id}/resumption": Words(
        "fo csp",
        lambda *_: ContractResumed(fsc_id="fsc-voltwise", cause=SuspensionCause.NOTICE),
        "fsc/fsc-voltwise",
        names={"fsc_id": "fsc-voltwise"},
    ),
    "/v1/contracts/{fsc_id}/termination": Words(
        "fo csp",
        lambda *_: ContractTerminated(fsc_id="fsc-voltwise", reason=TerminationReason.NOTICE),
        "fsc/fsc-voltwise",
        names={"fsc_id": "fsc-voltwise"},
    ),
    "/v1/contracts/discovery": Words(
        "fo rival",
        lambda *_: HoldersAsked(
            query_id="query-again",
            site_id=cast.SITE,
            service=Service.CONGESTION,
            start_at_ms=house_acts.START_MS,
            end_at_ms=house_acts.END_MS,
        ),
        "discovery/query-again",
    ),
    "/v1/requests": Words("fo", lambda *_: house_acts.request("fsr-matrix"), "fsr/fsr-matrix"),
    "/v1/requests/{fsr_id}/response": Words("cso", _answered, f"fsr/{FSR}"),
    "/v1/requests/{fsr_id}/revision": Words("fo", _revised, f"fsr/{FSR}"),
    "/v1/requests/{fsr_id}/setpoints": Words(
        "fo",
        lambda *_: SetpointBatch(fsr_id=FSR, batch=1, steps=(SetpointStepMoved(at_ms=house_acts.START_MS, power_w=0),)),
        f"fsr/{FSR}",
    ),
    "/v1/requests/{fsr_id}/cancellation": Words("fo", lambda *_: house_acts.cancelled(), f"fsr/{FSR}"),
    "/v1/requests/{fsr_id}/abort": Words(
        "fo cso", lambda *_: RequestAborted(fsr_id=FSR, reason=CancelReason.COMMS_LOST), f"fsr/{FSR}"
    ),
    "/v1/requests/{fsr_id}/decisions": Words("e1 cso", _decided, f"fsr/{FSR}"),
    "/v1/requests/{fsr_id}/baseline": Words("cso", _baseline, f"fsr/{FSR}", attachments=(ZERO_BASELINE,)),
    "/v1/requests/{fsr_id}/counter": Words(
        "fo", lambda *_: WorkCountered(fsr_id=FSR, pow_id="pow-none", result=CounterResult.AGREED), f"fsr/{FSR}"
    ),
    "/v1/requests/{fsr_id}/resolution": Words(
        "fo cso aud",
        lambda *_: DisputeResolved(
            fsr_id=FSR, pow_id="pow-none", resolution=Resolution.DISMISSED, ground="CONTRACT_SCORES_GROUP"
        ),
        f"fsr/{FSR}",
    ),
    "/v1/requests/{fsr_id}/settlement": Words(
        "fo",
        lambda *_: Settled(
            fsr_id=FSR,
            pow_id="pow-none",
            currency="EUR",
            lines=(
                SettlementLine(
                    start_at_ms=house_acts.START_MS,
                    duration_ms=900_000,
                    delivered_milliwh=0,
                    deficiency_milliwh=0,
                    pay_micro=0,
                    penalty_micro=0,
                ),
            ),
            net_micro=0,
        ),
        f"fsr/{FSR}",
    ),
    "/v1/sites": Words("cso", lambda s, _: props.site(s.house.made), f"site/{cast.SITE}"),
    "/v1/sites/{site_id}/sessions": Words(
        "cso", lambda s, _: house_acts.session(evu=s.house.party(cast.DC_BAYS[0].person)), f"site/{cast.SITE}"
    ),
    "/v1/sites/{site_id}/claims": Words("cso", _claim, f"site/{cast.SITE}"),
    "/v1/claims/{claim_id}/withdrawal": Words("cso", _withdrawn, f"site/{cast.SITE}"),
}


@pytest.mark.parametrize("template", STATEMENTS)
async def test_nobody_speaks_for_others(scene: Scene, template: str) -> None:
    """Who may not say it is told `not you`; who may is told anything else, so the words are no excuse."""
    row = STATEMENTS[template]
    house = scene.house
    path = scene.path(template, **row.names)
    attachments = [props.attachment(one) for one in row.attachments]
    callers = [
        one
        for one in CALLERS
        if one != "station"
        and _role(one) in (ROUTES["POST", template] or ())
        and Purpose.SIGNING in house.made.parties[CALLERS[one]].credentials
    ]
    assert set(row.may.split()) <= set(callers)
    for caller in sorted(callers, key=lambda one: one in row.may.split()):
        who = CALLERS[caller]
        record = row.what(scene, _role(caller))
        assert type(record) in TAKEN
        submission = house.said(
            who, record, row.stream, subject=house.party(cast.DC_BAYS[0].person), attachments=attachments
        )
        size = house.size()
        reply = await scene.ask(caller, "POST", path, submission)
        code = "" if reply.status < 400 else reply.json()["code"]
        if caller in row.may.split():
            assert code not in AUTHORIZATION, (caller, reply.body)
        else:
            assert code in AUTHORIZATION, (caller, reply.body)
            assert house.size() <= size + 1  # one refusal entry at most


async def test_a_person_exercises_no_right_of_the_port_that_relays_it(scene: Scene) -> None:
    """The relay speaks with the port's own key, so what it relays must be a person's right and nothing else."""
    house, person = scene.house, cast.DC_BAYS[0].person
    everybody = house.party(person)
    given = msgspec.structs.replace(_delegated(scene, Role.CSO), delegation_id="delegation-of-others")
    ahead = msgspec.structs.replace(_scheduled(scene, Role.CSO), schedule_id="schedule-of-others")
    told = [
        ("/v1/delegations", given, "delegation/delegation-of-others"),
        ("/v1/schedules", ahead, "schedule/schedule-of-others"),
        (scene.path("/v1/requests/{fsr_id}/decisions"), _decided(scene, Role.CSO), f"fsr/{FSR}"),
    ]
    for path, record, stream in told:
        size = house.size()
        reply = await house.post(person, path, house.said(person, record, stream, subject=everybody))
        assert (reply.status, reply.json()["code"]) == (404, "api/not-concerned"), path
        assert house.size() == size
