"""What rules refuse leaves exactly one refusal entry, and nothing of anybody in the vault."""

import asyncio
from typing import Any

import msgspec
import pytest

from api.cli.demo import cast, props
from api.verification import work
from ledger.records import statement
from ledger.records.contracts import (
    BaselineMethod,
    ContractKind,
    ContractOffered,
    ContractTerminated,
    TerminationReason,
)
from ledger.records.evidence import BaselineCommitted
from ledger.records.log import Refused as RefusedRecord
from ledger.records.opt import OptActor
from ledger.records.requests import Answer, Offer, RequestAnswered, RequestIssued
from ledger.records.services import Service
from ledger.records.work import CounterResult, DisputeResolved, Resolution, Settled, WorkCountered
from pki.roles import Purpose
from tests.support import house as houses
from tests.support.house import CANARY, MINUTE_MS, House
from tests.support.house_acts import (
    EVSE,
    FSR,
    START_MS,
    accepted,
    at,
    cancelled,
    checked,
    claims,
    issued,
    out,
    packed,
    request,
)

# What rules refuse: exactly one refusal entry, and nothing of anybody in the vault


async def test_a_refused_statement_leaves_nothing_personal_behind(house: House) -> None:
    """The offer names an unknown site, so a rule refuses it after its disclosures were in the vault."""
    offer = msgspec.structs.replace(
        props.contract(
            "fsc-nowhere", ContractKind.FO_EVU, (cast.terms(Service.FFR, 1_000),), evu=CANARY, evse_ids=(EVSE,)
        ),
        site_id="NOWHERE",
    )
    said = house.said(cast.FO, offer, "fsc/fsc-nowhere", subject=CANARY)
    await house.attack(cast.FO, "/v1/contracts", said, status=409, code="rules/site-unknown", refusals=1)
    everything = b"".join(file.read_bytes() for file in house.settings.data_dir.iterdir() if file.is_file())
    assert CANARY.encode() not in everything


async def test_a_refusal_takes_nothing_from_a_statement_that_was_accepted(house: House) -> None:
    """The same disclosure comes with a good statement and with one that is refused, at the same time."""
    play = house.play()
    offer = props.contract(
        "fsc-two", ContractKind.FO_EVU, (cast.terms(Service.FFR, 1_000),), evu=CANARY, evse_ids=(EVSE,)
    )
    signed = house.sign(cast.FO, offer, "fsc/fsc-two")
    good = house.submission(cast.FO, signed, subject=CANARY)
    event = statement.parse_statement(signed.raw).claims.event
    bad_claims = claims(
        house,
        cast.FO,
        type=ContractOffered.TYPE,
        stream="fsc/fsc-bad",
        event={**event, "fsc_id": "fsc-bad", "site_id": "NOWHERE"},
    )
    bad = msgspec.structs.replace(house.forged(cast.FO, packed(bad_claims)), disclosures=good.disclosures)
    replies = await asyncio.gather(
        house.post(cast.FO, "/v1/contracts", bad), house.post(cast.FO, "/v1/contracts", good)
    )
    assert [reply.status for reply in replies] == [409, 201]
    assert len(house.service.engines.vault.digests_of(CANARY)) == len(good.disclosures)
    del play


async def test_what_comes_before_its_time_is_refused(house: House) -> None:
    await issued(house)
    stream = f"fsr/{FSR}"
    early: list[tuple[str, str, Any, str]] = [
        (
            cast.FO,
            "counter",
            WorkCountered(fsr_id=FSR, pow_id="pow-1", result=CounterResult.AGREED),
            "rules/wrong-order",
        ),
        (
            cast.FO,
            "settlement",
            Settled(fsr_id=FSR, pow_id="pow-1", currency="EUR", lines=(), net_micro=0),
            "rules/wrong-order",
        ),
        (
            cast.FO,
            "resolution",
            DisputeResolved(fsr_id=FSR, pow_id="pow-1", resolution=Resolution.DISMISSED, ground="NO_GROUND"),
            "rules/wrong-order",
        ),
        (
            cast.CSO,
            "response",
            RequestAnswered(fsr_id=FSR, answer=Answer.ACCEPTED, check_id="check-none"),
            "rules/check-missing",
        ),
    ]
    for who, tail, record, code in early:
        said = house.said(who, record, stream)
        await house.attack(who, at(tail), said, status=409, code=code, refusals=1)
    await house.attack(cast.CSO, at("proof"), b"{}", status=409, code="api/nothing-to-prove")


async def test_a_baseline_after_the_start_is_refused(house: House) -> None:
    found = await accepted(house)
    house.clock.set_ms(START_MS + 1_000)
    document = work.baseline_document(BaselineMethod.HIGH_X_OF_Y, None)
    record = BaselineCommitted(
        baseline_id="baseline-late",
        fsr_id=FSR,
        method=BaselineMethod.HIGH_X_OF_Y,
        version=1,
        participants=tuple(sorted(found.values())),
        inputs_sha256=houses.sha256(document),
    )
    said = house.said(cast.CSO, record, f"fsr/{FSR}", attachments=[props.attachment(document)])
    await house.attack(cast.CSO, at("baseline"), said, status=409, code="rules/baseline-late", refusals=1)


async def test_another_operator_cannot_touch_a_request(house: House) -> None:
    await issued(house)
    said = house.said(cast.RIVAL, cancelled(), f"fsr/{FSR}")
    await house.attack(cast.RIVAL, at("cancellation"), said, status=409, code="rules/wrong-party", refusals=1)
    countered = WorkCountered(fsr_id=FSR, pow_id="pow-1", result=CounterResult.AGREED)
    said = house.said(cast.RIVAL, countered, f"fsr/{FSR}")
    await house.attack(cast.RIVAL, at("counter"), said, status=409, code="rules/wrong-party", refusals=1)
    stolen = request("fsr-stolen")
    said = house.said(cast.RIVAL, stolen, "fsr/fsr-stolen")
    await house.attack(cast.RIVAL, "/v1/requests", said, status=409, code="rules/wrong-party", refusals=1)
    ended = ContractTerminated(fsc_id="fsc-site", reason=TerminationReason.NOTICE)
    said = house.said(cast.RIVAL, ended, "fsc/fsc-site")
    path = "/v1/contracts/fsc-site/termination"
    await house.attack(cast.RIVAL, path, said, status=409, code="rules/wrong-party", refusals=1)


async def test_nobody_opts_for_somebody_else(house: House) -> None:
    found = await accepted(house)
    stream, mine = f"fsr/{FSR}", found["E1"]
    said = house.said(cast.FO, out(mine, OptActor.CSO), stream)
    await house.attack(cast.FO, at("decisions"), said, status=409, code="rules/fo-may-not-opt", refusals=1)
    said = house.said(cast.CSO, out(mine), stream)
    await house.attack(cast.CSO, at("decisions"), said, status=409, code="rules/person-unproven", refusals=1)
    said = house.said(cast.CSP, out(mine, OptActor.CSP), stream)
    await house.attack(cast.CSP, at("decisions"), said, status=404, code="api/not-concerned")
    said = house.said(cast.OTHER_CSO, out(mine, OptActor.CSO), stream)
    await house.attack(cast.OTHER_CSO, at("decisions"), said, status=409, code="rules/opt-no-standing", refusals=1)
    neighbour = cast.BAYS[1].person
    said = house.said(neighbour, out(mine), stream, subject=house.party(neighbour))
    await house.attack(neighbour, at("decisions"), said, status=404, code="api/not-concerned")


async def test_a_late_decision_is_refused_and_the_person_is_not_named(house: House) -> None:
    found = await accepted(house)
    house.clock.set_ms(cast.at(16))
    person = cast.BAYS[0].person
    said = house.said(person, out(found["E1"]), f"fsr/{FSR}", subject=house.party(person))
    await house.attack(person, at("decisions"), said, status=409, code="rules/opt-late", refusals=1)
    refusal = statement.parse_statement(house.entry(house.size() - 1).stmt).record
    assert isinstance(refusal, RefusedRecord)
    assert not isinstance(refusal.party, str)


def mandated(house: House, signer: str, named: str) -> RequestIssued:
    now_ms = house.clock.now_ms()
    end_ms = now_ms + 60 * MINUTE_MS
    mandate = props.mandate(house.issued(signer, Purpose.SIGNING), named, now_ms, end_ms)
    return props.request(
        "fsr-mandate",
        props.limit(),
        fsc_ids=(),
        start_at_ms=now_ms + MINUTE_MS,
        end_at_ms=end_ms,
        respond_by_ms=now_ms + MINUTE_MS,
        opt_deadline_ms=now_ms + MINUTE_MS,
        resolution_ms=1000,
        mandate=mandate,
    )


async def test_a_mandate_that_no_system_operator_signed_is_refused(house: House) -> None:
    for signer, named in ((cast.FO, cast.FO), (cast.FO, cast.SO), (cast.CSO, cast.SO)):
        said = house.said(cast.FO, mandated(house, signer, named), "fsr/fsr-mandate")
        await house.attack(cast.FO, "/v1/requests", said, status=409, code="rules/mandate-unproven", refusals=1)


async def test_a_mandate_of_a_stranger_with_the_right_name_is_refused(house: House) -> None:
    rogue = houses.perform().parties[cast.SO].credentials[Purpose.SIGNING]
    now_ms = house.clock.now_ms()
    good = mandated(house, cast.SO, cast.SO)
    forged = msgspec.structs.replace(good, mandate=props.mandate(rogue, cast.SO, now_ms, now_ms + 60 * MINUTE_MS))
    said = house.said(cast.FO, forged, "fsr/fsr-mandate")
    said = msgspec.structs.replace(said, certificates=(*said.certificates, rogue.chain[0]))
    await house.attack(cast.FO, "/v1/requests", said, status=409, code="rules/mandate-unproven", refusals=1)


async def test_an_opt_out_is_refused_while_a_verified_mandate_holds(house: House) -> None:
    said = house.said(cast.FO, mandated(house, cast.SO, cast.SO), "fsr/fsr-mandate")
    directive = house.issued(cast.SO, Purpose.SIGNING).chain[0]
    said = msgspec.structs.replace(said, certificates=(*said.certificates, directive))
    assert (await house.post(cast.FO, "/v1/requests", said)).status == 201
    found = await checked(house, "fsr-mandate")
    person = cast.BAYS[0].person
    wish = house.said(person, out(found["E1"], fsr_id="fsr-mandate"), "fsr/fsr-mandate", subject=house.party(person))
    path = at("decisions", "fsr-mandate")
    await house.attack(person, path, wish, status=409, code="rules/opt-mandatory", refusals=1)


async def test_one_evse_is_not_sold_twice(house: House) -> None:
    bay = cast.DC_BAYS[:1]
    await accepted(house, "fsr-first", bay, bay[0].config.max_charge_w + bay[0].config.max_discharge_w - 4_000)
    await issued(house, "fsr-second")
    found = await checked(house, "fsr-second", bay)
    record = RequestAnswered(
        fsr_id="fsr-second",
        answer=Answer.ACCEPTED,
        check_id=house.checks["fsr-second"]["check_id"],
        offers=(Offer(participation=found["E1"], offered_w=8_000, up_w=8_000, evse_id=EVSE, fsc_id="fsc-site"),),
    )
    said = house.said(cast.CSO, record, "fsr/fsr-second", subject=house.party(bay[0].person))
    path = at("response", "fsr-second")
    await house.attack(cast.CSO, path, said, status=409, code="rules/double-selling", refusals=1)


async def test_a_party_that_is_refused_too_often_fills_no_log(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.flows.desk.MAX_REFUSALS_AN_HOUR", 3)
    for count in range(5):
        said = house.said(cast.FO, cancelled(), f"fsr/{FSR}")
        status, code, refusals = (409, "rules/wrong-order", 1) if count < 3 else (429, "api/refusal-limit", 0)
        await house.attack(cast.FO, at("cancellation"), said, status=status, code=code, refusals=refusals)
