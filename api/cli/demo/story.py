"""The day, scene by scene, as its actors play it through their own clients."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from api import wire
from api.cli.demo import cast, props
from api.cli.demo.stage import Stage, StageClock
from api.client import discovery
from api.client.errors import RemoteProblem
from api.client.http import Request
from api.client.receipts import Receipt
from api.execution.simulator.demand import shared
from api.verification import work
from ledger.delivery import settlement
from ledger.delivery.verdicts.outcome import Period
from ledger.records.contracts import (
    BaselineMethod,
    ContractAccepted,
    ContractKind,
    ContractOffered,
    HoldersAsked,
)
from ledger.records.disclosure import Disclosure
from ledger.records.evidence import BaselineCommitted
from ledger.records.opt import Choice, OptActor, OptDecided, OptReason
from ledger.records.record import Record
from ledger.records.requests import Answer, Offer, RequestAnswered, RequestIssued
from ledger.records.services import Service
from ledger.records.sites import ClaimKind
from ledger.records.work import (
    CounterResult,
    DisputeReason,
    DisputeResolved,
    Resolution,
    Settled,
    SettlementLine,
    WorkCountered,
)
from pki.asn1.claims import Thing

Say = Callable[[str], None]


@dataclass(slots=True)
class Play:
    """One playing of the day: the stage, what was said of it, and what was learnt on the way."""

    stage: Stage
    say: Say
    offers: dict[str, str] = field(default_factory=dict)
    """SHA-256 of each contract's offer."""
    checked: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Each request's check, as the port sees it."""

    async def post(self, who: str, path: str, record: Record, stream: str, **more: Any) -> Receipt:
        """A party states something through its own client."""
        return await self.stage.clients[who].post_statement(path, record, stream, **more)

    async def ask(self, who: str, path: str, body: Any = None) -> Any:
        """A party asks for something that is no statement."""
        client = self.stage.clients[who]
        if body is None:
            return await client.get_json(path)
        answer = await client.transport.request(
            Request("POST", path, msgspec.json.encode(body), {"content-type": wire.JSON_MEDIA_TYPE})
        )
        return answer.json()

    async def goto(self, now_ms: int) -> None:
        """Time goes on to `now_ms`; on a real clock it has to pass."""
        clock = self.stage.clock
        if isinstance(clock, StageClock):
            clock.set_ms(now_ms)

    async def drive(self, now_ms: int, step_ms: int = 300_000) -> None:
        """Stations live on to `now_ms`, and the clock with them."""
        at_ms = self.stage.clock.now_ms()
        while at_ms < now_ms:
            at_ms = min(at_ms + step_ms, now_ms)
            await self.stage.fleet.advance_to(at_ms)
            await self.goto(at_ms)


# ---------------------------------------------------------------------------------------------------- morning


async def open_the_day(play: Play) -> None:
    """09:00: the site is declared, cars are plugged in, claims registered, contracts signed by both sides."""
    await play.goto(cast.at(9))
    await open_site(play)
    await register_claims(play)
    play.say("site, 8 sessions and 8 conformity claims (DC units, one AC pair, one EV and EVSE) on record")
    await sign_contracts(play)
    play.say(
        f"{len(play.offers)} contracts signed by both sides; 6 of them by EV users, relayed under random pseudonyms"
    )


async def open_site(play: Play) -> None:
    """The operator declares its site, and the cars that are plugged in."""
    stage, place = play.stage, play.stage.place
    await play.post(cast.CSO, "/v1/sites", props.site(stage.made, place), f"site/{place.site_id}")
    for bay in place.bays:
        person = stage.party_id(place.person(bay))
        session = props.session(bay, person, stage.car_keys[bay.name], cast.at(8), cast.at(23), place=place)
        await play.post(
            cast.CSO,
            f"/v1/sites/{place.site_id}/sessions",
            session,
            f"site/{place.site_id}",
            subjects=lambda _opened, person=person: person,
        )


Wanted = tuple[cast.Bay, ClaimKind, tuple[Thing, ...], Service]
"""A claim to be made: where, about what kind of thing, about which things, and that they can do what."""


async def register_claims(play: Play) -> None:
    """DC: the EVSE's claim. AC: E7 has one for the EV and one for the EVSE, E8 one for the matched pair."""
    stage = play.stage
    wanted: list[Wanted] = [
        (bay, ClaimKind.EVSE, (props.evse_thing(stage.made, bay),), Service.FFR) for bay in cast.DC_BAYS
    ]
    first, second = cast.AC_V2G_BAYS
    wanted += [
        (first, ClaimKind.EVSE, (props.evse_thing(stage.made, first),), Service.DROOP),
        (first, ClaimKind.EV, (props.car_thing(stage.car_keys[first.name]),), Service.DROOP),
        (
            second,
            ClaimKind.PAIR,
            (props.evse_thing(stage.made, second), props.car_thing(stage.car_keys[second.name])),
            Service.DROOP,
        ),
    ]
    await register(play, wanted)


async def register(play: Play, wanted: list[Wanted]) -> None:
    """The conformity body makes these claims, and the operator registers them."""
    stage, site_id = play.stage, play.stage.place.site_id
    for bay, kind, things, service in wanted:
        record, der = props.claim(stage.made, things, kind, service, stage.clock.now_ms(), site_id=site_id)
        person = None if kind is ClaimKind.EVSE else stage.party_id(stage.place.person(bay))
        await play.post(
            cast.CSO,
            f"/v1/sites/{site_id}/claims",
            record,
            f"site/{site_id}",
            subjects=lambda _opened, person=person: person,
            attachments=[props.attachment(der, person)],
        )


async def sign_contracts(play: Play) -> None:
    """FO with CSO (the site), with CSP (E5, E6), and with six EV users."""
    stage = play.stage
    site = props.contract(
        "fsc-site", ContractKind.FO_CSO, (cast.terms(Service.CONGESTION, 40_000),), counterparty=cast.CSO
    )
    csp = props.contract(
        "fsc-voltwise",
        ContractKind.FO_CSP,
        (cast.terms(Service.CONGESTION, 22_000),),
        counterparty=cast.CSP,
        evse_ids=tuple(bay.evse_id for bay in cast.CSP_BAYS),
    )
    await both_sign(play, site, cast.CSO)
    await both_sign(play, csp, cast.CSP)
    for bay in (*cast.DC_BAYS, *cast.AC_V2G_BAYS):
        service = Service.FFR if bay in cast.DC_BAYS else Service.DROOP
        person = stage.party_id(bay.person)
        text = props.contract(
            f"fsc-{bay.name.lower()}",
            ContractKind.FO_EVU,
            (cast.terms(service, 16_000 if service is Service.FFR else 22_000),),
            evu=person,
            evse_ids=(bay.evse_id,),
        )
        await both_sign(play, text, bay.person, subject=person)


async def both_sign(play: Play, text: ContractOffered, other: str, *, subject: str | None = None) -> None:
    """The operator offers, the other side accepts exactly that text."""
    client = play.stage.clients[cast.FO]
    signer = client.conversation.signer
    assert signer is not None  # noqa: S101 -- every operator signs
    signed = signer.sign(text, f"fsc/{text.fsc_id}", now_ms=play.stage.clock.now_ms())
    await client.submit("/v1/contracts", signed, subjects=lambda _opened: subject)
    digest = hashlib.sha256(signed.raw.encode()).hexdigest()
    play.offers[text.fsc_id] = digest
    accepted = ContractAccepted(fsc_id=text.fsc_id, version=text.version, offer_sha256=digest)
    await play.post(other, f"/v1/contracts/{text.fsc_id}/acceptance", accepted, f"fsc/{text.fsc_id}")


async def look_for_holders(play: Play) -> None:
    """14:00: the operator asks who holds a contract; it learns of its own alone."""
    await play.goto(cast.at(14))
    query = props.new_id("query")
    asked = HoldersAsked(
        query_id=query,
        site_id=cast.SITE,
        service=Service.CONGESTION,
        start_at_ms=cast.at(17),
        end_at_ms=cast.at(18),
        candidates=discovery.candidates(play.offers.values(), query),
    )
    receipt = await play.post(cast.FO, "/v1/contracts/discovery", asked, f"discovery/{query}")
    play.say(f"the question is entry {receipt.index}, its answer the next one: own contracts only")


# ---------------------------------------------------------------------------------------------------- one request


async def issue(play: Play, text: RequestIssued) -> Receipt:
    """The operator asks."""
    return await play.post(cast.FO, "/v1/requests", text, f"fsr/{text.fsr_id}")


async def check(play: Play, fsr_id: str, bays: tuple[cast.Bay, ...]) -> dict[str, str]:
    """The port runs the six questions; returns participation by name of the bay."""
    names = {bay.evse_id: bay.name for bay in bays}
    answer = await play.ask(cast.CSO, "/v1/checks", {"fsr_id": fsr_id, "evse_ids": list(names)})
    play.checked[fsr_id] = answer
    found = {names[one["evse_id"]]: one["participation"] for one in answer["participations"]}
    failed = {names[one["evse_id"]]: one["failed"] for one in answer["participations"] if one["overall"] != "PASS"}
    play.say(
        f"check: {len(found) - len(failed)} of {len(found)} pass six dimensions" + (f"; {failed}" if failed else "")
    )
    return found


async def answer(
    play: Play,
    fsr_id: str,
    bays: Mapping[str, str],
    offered: Mapping[str, int],
    kind: Answer,
    *,
    down: bool = False,
    offered_var: int = 0,
) -> None:
    """The port accepts with these offers."""
    place = play.stage.place
    evses = {bay.name: bay.evse_id for bay in place.bays}
    under = {one["participation"]: one["fsc_id"] for one in play.checked[fsr_id]["participations"]}
    persons = {bay.evse_id: play.stage.party_id(place.person(bay)) for bay in place.bays}
    record = RequestAnswered(
        fsr_id=fsr_id,
        answer=kind,
        check_id=play.checked[fsr_id]["check_id"],
        offers=tuple(
            Offer(
                participation=bays[name],
                offered_w=power_w,
                up_w=power_w,
                down_w=power_w if down else 0,
                offered_var=offered_var,
                evse_id=evses[name],
                **({"fsc_id": under[bays[name]]} if under[bays[name]] else {}),
            )
            for name, power_w in offered.items()
        ),
    )

    def subject(opened: Disclosure) -> str | None:
        return persons.get(str(opened.value))

    await play.post(cast.CSO, f"/v1/requests/{fsr_id}/response", record, f"fsr/{fsr_id}", subjects=subject)


async def commit_baseline(
    play: Play, fsr_id: str, participants: list[str], method: BaselineMethod, inputs: Any = None
) -> None:
    """The counterfactual is fixed before the start."""
    document = work.baseline_document(method, inputs)
    record = BaselineCommitted(
        baseline_id=props.new_id("baseline"),
        fsr_id=fsr_id,
        method=method,
        version=1,
        participants=tuple(sorted(participants)),
        inputs_sha256=work.digest(document),
        baseline_w=work.baseline_series(inputs),
    )
    await play.post(
        cast.CSO,
        f"/v1/requests/{fsr_id}/baseline",
        record,
        f"fsr/{fsr_id}",
        attachments=[props.attachment(document)],
    )


async def opt_out(
    play: Play, bay: cast.Bay, fsr_id: str, participation: str, reason: OptReason, *, who: str | None = None
) -> Receipt:
    """An EV user signs an opt-out with their own key, over their own connection; `who`, if it is not the bay's user."""
    record = OptDecided(
        opt_id=props.new_id("opt"),
        fsr_id=fsr_id,
        participation=participation,
        actor=OptActor.EVU,
        choice=Choice.OUT,
        reason=reason,
    )
    who = who or bay.person
    person = play.stage.party_id(who)
    return await play.post(
        who,
        f"/v1/requests/{fsr_id}/decisions",
        record,
        f"fsr/{fsr_id}",
        subjects=lambda _opened: person,
    )


async def refused(acting: Awaitable[Any]) -> str:
    """The code with which an act is refused; raises AssertionError if it was not."""
    try:
        await acting
    except RemoteProblem as problem:
        return problem.code
    raise AssertionError("the act was not refused")


async def start(play: Play, fsr_id: str, start_at_ms: int, started: int) -> None:
    """The start has come, and at least `started` participations execute."""
    await play.drive(start_at_ms)

    async def all_started() -> bool:
        view = await play.ask(cast.CSO, f"/v1/requests/{fsr_id}")
        executing = [part for part in view["participations"] if part["status"] == "EXECUTING"]
        return len(executing) >= started

    await play.stage.until(f"{fsr_id} executing", all_started)


async def run(
    play: Play, fsr_id: str, start_at_ms: int, end_at_ms: int, started: int, *, step_ms: int = 300_000
) -> None:
    """The service executes at the start; stations live through it; evidence is on record after the end."""
    await start(play, fsr_id, start_at_ms, started)
    await finish(play, fsr_id, end_at_ms, started, step_ms=step_ms)


async def finish(play: Play, fsr_id: str, end_at_ms: int, started: int, *, step_ms: int = 300_000) -> None:
    """Stations live through a running request; evidence is on record after its end."""
    await play.drive(end_at_ms, step_ms)

    async def all_kept() -> bool:
        view = await play.ask(cast.CSO, f"/v1/requests/{fsr_id}")
        return bool(view["service_records"] >= started)

    await play.stage.until(f"evidence of {fsr_id}", all_kept)


async def prove(play: Play, fsr_id: str) -> dict[str, Any]:
    """The port makes the proof of work; returns what stands in the log."""
    await play.ask(cast.CSO, f"/v1/requests/{fsr_id}/proof", {})
    view = await play.ask(cast.CSO, f"/v1/requests/{fsr_id}")
    proof: dict[str, Any] = view["proof"]
    play.say(f"proof of work: {proof['verdict']}, score {proof['score_ppm']} ppm, {proof['delivered_wh']} Wh")
    return proof


# ---------------------------------------------------------------------------------------------------- the next day


async def agree(play: Play, fsr_id: str, proof: Mapping[str, Any]) -> None:
    """The operator agrees to a proof."""
    record = WorkCountered(fsr_id=fsr_id, pow_id=proof["pow_id"], result=CounterResult.AGREED)
    await play.post(cast.FO, f"/v1/requests/{fsr_id}/counter", record, f"fsr/{fsr_id}")


async def dispute(play: Play, fsr_id: str, proof: Mapping[str, Any], contested: str) -> None:
    """The operator disputes one resource; both sides sign that the contract scores the group."""
    record = WorkCountered(
        fsr_id=fsr_id,
        pow_id=proof["pow_id"],
        result=CounterResult.DISPUTED,
        reason=DisputeReason.RESOURCE_BELOW_ORDER,
        contested=(contested,),
    )
    await play.post(cast.FO, f"/v1/requests/{fsr_id}/counter", record, f"fsr/{fsr_id}")
    for party in (cast.FO, cast.CSO):
        end = DisputeResolved(
            fsr_id=fsr_id, pow_id=proof["pow_id"], resolution=Resolution.DISMISSED, ground="CONTRACT_SCORES_GROUP"
        )
        await play.post(party, f"/v1/requests/{fsr_id}/resolution", end, f"fsr/{fsr_id}")


async def settle(play: Play, fsr_id: str, proof: Mapping[str, Any]) -> Settled:
    """What it was worth, line by line."""
    terms = cast.terms(Service.CONGESTION, 40_000)
    periods = msgspec.json.decode(proof["group"])["periods"]
    settled = settlement.settle(
        [msgspec.convert(period, Period) for period in periods],
        settlement.Terms(
            price_micro_per_kwh=terms.price_micro_per_kwh,
            penalty_micro_per_kwh=terms.penalty_micro_per_kwh,
            currency=terms.currency,
        ),
    )
    record = Settled(
        fsr_id=fsr_id,
        pow_id=proof["pow_id"],
        currency=terms.currency,
        lines=tuple(
            SettlementLine(
                start_at_ms=line.start_at_ms,
                duration_ms=line.duration_ms,
                delivered_milliwh=line.delivered_milliwh,
                deficiency_milliwh=line.deficiency_milliwh,
                pay_micro=line.pay_micro,
                penalty_micro=line.penalty_micro,
            )
            for line in settled.lines
        ),
        net_micro=settled.net_micro,
    )
    await play.post(cast.FO, f"/v1/requests/{fsr_id}/settlement", record, f"fsr/{fsr_id}")
    return record


def even_offers(names: list[str], total_w: int) -> dict[str, int]:
    """A group's order in shares that differ by at most one watt."""
    return dict(zip(names, shared(total_w, len(names)), strict=True))
