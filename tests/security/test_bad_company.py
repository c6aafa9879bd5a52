"""What comes beside a statement, where it is sent, and how often."""

import asyncio
from typing import Any

import msgspec
import pytest

from api import wire
from api.cli.demo import cast, props
from api.verification import work
from ledger.records import disclosure
from ledger.records.actor import Role
from ledger.records.contracts import (
    BaselineMethod,
)
from ledger.records.evidence import BaselineCommitted
from ledger.records.execution import ExecutionKind, ExecutionNoted
from ledger.records.log import Refused as RefusedRecord
from ledger.records.services import Service
from ledger.records.sites import ClaimKind
from pki.roles import Purpose
from tests.support import house as houses
from tests.support.house import CANARY, House
from tests.support.house_acts import (
    FSR,
    accepted,
    at,
    cancelled,
    checked,
    issued,
    out,
    refused,
    request,
    session,
)

# What comes along


async def test_disclosures_and_attachments_must_belong_to_the_statement(house: House) -> None:
    path, stream = f"/v1/sites/{cast.SITE}/sessions", f"site/{cast.SITE}"
    good = house.said(cast.CSO, session(), stream, subject=CANARY)
    other = house.said(cast.CSO, session(), stream, subject=CANARY)
    odd = disclosure.make(b"x" * 32, "nickname", CANARY).text
    cases: list[tuple[dict[str, Any], str]] = [
        ({"disclosures": other.disclosures}, "ledger/disclosure-foreign"),
        ({"disclosures": (*good.disclosures, good.disclosures[0])}, "ledger/disclosure-foreign"),
        ({"disclosures": (wire.SubmittedDisclosure(text=odd, subject=CANARY),)}, "ledger/disclosure-foreign"),
        ({"disclosures": (wire.SubmittedDisclosure(text=CANARY),)}, "ledger/disclosure-malformed"),
        ({"disclosures": (wire.SubmittedDisclosure(text="é"),)}, "ledger/disclosure-malformed"),
        ({"attachments": (wire.SubmittedAttachment(data=CANARY.encode()),)}, "api/attachment-foreign"),
    ]
    for change, code in cases:
        bad = msgspec.structs.replace(good, **change)
        await house.attack(cast.CSO, path, bad, status=400, code=code)


@pytest.mark.parametrize("name", ["", "Иван", "a\0b", "a\nb", "a" * 257, "\u202e"])
async def test_a_subject_that_is_no_name_is_refused_and_leaves_nothing(house: House, name: str) -> None:
    submitted = house.said(cast.CSO, session(), f"site/{cast.SITE}", subject=name)
    wanted = "api/body-malformed" if name in {"", "a" * 257} else "ledger/subject-name-refused"
    reply = await refused(house, cast.CSO, f"/v1/sites/{cast.SITE}/sessions", submitted)
    assert (reply.status, reply.json()["code"]) == (400, wanted)


async def test_a_certificate_that_is_none_is_not_remembered(house: House) -> None:
    known = len(house.service.directory._known)
    rogue = houses.perform().parties[cast.FO].credentials[Purpose.SIGNING].chain[0]
    good = house.said(cast.FO, cancelled(), f"fsr/{FSR}")
    junk = (good.certificates[0], b"\x30\x00", CANARY.encode(), rogue)
    spoilt = msgspec.structs.replace(good, certificates=junk)
    await house.attack(cast.FO, at("cancellation"), spoilt, status=409, code="rules/wrong-order", refusals=1)
    assert len(house.service.directory._known) <= known + 1
    await issued(house)
    assert await checked(house)


async def test_a_claim_without_its_document_or_with_another_one_is_refused(house: House) -> None:
    thing = (props.evse_thing(house.made, cast.BAYS[0]),)
    record, der = props.claim(house.made, thing, ClaimKind.EVSE, Service.FFR, house.clock.now_ms())
    path, stream = f"/v1/sites/{cast.SITE}/claims", f"site/{cast.SITE}"
    await house.attack(cast.CSO, path, house.said(cast.CSO, record, stream), status=400, code="api/attachment-foreign")
    other = wire.SubmittedAttachment(data=der + b"x")
    said = house.said(cast.CSO, record, stream, attachments=[other])
    await house.attack(cast.CSO, path, said, status=400, code="api/attachment-foreign")


async def test_a_baseline_without_its_inputs_or_with_others_is_refused(house: House) -> None:
    found = await accepted(house)
    document = work.baseline_document(BaselineMethod.HIGH_X_OF_Y, None)
    record = BaselineCommitted(
        baseline_id="baseline-1",
        fsr_id=FSR,
        method=BaselineMethod.HIGH_X_OF_Y,
        version=1,
        participants=tuple(sorted(found.values())),
        inputs_sha256=houses.sha256(document),
        baseline_w=(1, 2, 3),
    )
    said = house.said(cast.CSO, record, f"fsr/{FSR}")
    await house.attack(cast.CSO, at("baseline"), said, status=400, code="api/attachment-foreign")
    said = house.said(cast.CSO, record, f"fsr/{FSR}", attachments=[props.attachment(document)])
    await house.attack(cast.CSO, at("baseline"), said, status=400, code="api/baseline-other")


# The wrong resource


async def test_a_statement_for_another_path_or_resource_is_refused(house: House) -> None:
    await issued(house)
    said = house.said(cast.FO, cancelled(), f"fsr/{FSR}")
    await house.attack(cast.FO, at("cancellation", "fsr-other"), said, status=400, code="api/type-not-taken")
    await house.attack(cast.FO, at("settlement"), said, status=400, code="api/type-not-taken")
    await house.attack(cast.FO, "/v1/requests", said, status=400, code="api/type-not-taken")


async def test_records_that_only_the_service_makes_are_taken_from_nobody(house: House) -> None:
    await issued(house)
    noted = ExecutionNoted(
        n_id="n-1", fsr_id=FSR, participation="p-1", kind=ExecutionKind.STARTED, at_ms=house.clock.now_ms()
    )
    refusal = RefusedRecord(
        code="rules/wrong-order", refused_type="fsr.issued", statement="0" * 64, refused_jti="0" * 20, role=Role.FO
    )
    for what in (noted, refusal):
        said = house.said(cast.CSO, what, f"fsr/{FSR}")
        for tail in ("response", "baseline", "decisions", "abort", "resolution"):
            await house.attack(cast.CSO, at(tail), said, status=400, code="api/type-not-taken")


# Said twice


async def test_a_replayed_statement_gets_the_first_answer_and_makes_no_entry(house: House) -> None:
    said = house.said(cast.FO, request(), f"fsr/{FSR}")
    first = await house.post(cast.FO, "/v1/requests", said)
    assert first.status == 201
    with house.leaves():
        again = await asyncio.gather(*(house.post(cast.FO, "/v1/requests", said) for _ in range(5)))
    for reply in again:
        assert reply.status == 200
        assert reply.json() == {**first.json(), "duplicate": True}


async def test_a_persons_replayed_decision_is_relayed_once(house: House) -> None:
    found = await accepted(house)
    person = cast.BAYS[0].person
    said = house.said(person, out(found["E1"]), f"fsr/{FSR}", subject=house.party(person))
    first = await house.post(person, at("decisions"), said)
    assert first.status == 201, first.body
    with house.leaves():
        again = await house.post(person, at("decisions"), said)
    assert (again.status, again.json()["index"], again.json()["duplicate"]) == (200, first.json()["index"], True)
    house.require_silent()


async def test_the_same_id_with_other_words_is_refused(house: House) -> None:
    jti = "0123456789abcdef0123456789abcdef"
    first = house.sign(cast.FO, request("fsr-one"), "fsr/fsr-one", jti=jti)
    assert (await house.post(cast.FO, "/v1/requests", house.submission(cast.FO, first))).status == 201
    other = house.submission(cast.FO, house.sign(cast.FO, request("fsr-two"), "fsr/fsr-two", jti=jti))
    await house.attack(cast.FO, "/v1/requests", other, status=409, code="ledger/jti-reused")
    private = house.sign(cast.CSO, session(), f"site/{cast.SITE}", jti=jti)
    path = f"/v1/sites/{cast.SITE}/sessions"
    assert (await house.post(cast.CSO, path, house.submission(cast.CSO, private))).status == 201
    again = house.submission(cast.CSO, house.sign(cast.CSO, session(), f"site/{cast.SITE}", jti=jti), subject=CANARY)
    await house.attack(cast.CSO, path, again, status=409, code="ledger/jti-reused")


async def test_a_counter_that_does_not_grow_is_refused(house: House) -> None:
    for number, fsr_id in ((7, "fsr-seven"), (9, "fsr-nine")):
        signed = house.sign(cast.FO, request(fsr_id), f"fsr/{fsr_id}", actor_seq=number)
        assert (await house.post(cast.FO, "/v1/requests", house.submission(cast.FO, signed))).status == 201
    for number in (9, 8):
        signed = house.sign(cast.FO, request("fsr-late"), "fsr/fsr-late", actor_seq=number)
        submitted = house.submission(cast.FO, signed)
        await house.attack(cast.FO, "/v1/requests", submitted, status=409, code="ledger/statement-reordered")


async def test_a_stream_that_moved_under_the_caller_is_not_written(house: House) -> None:
    await issued(house)
    signed = house.sign(cast.FO, cancelled(), f"fsr/{FSR}", exp_prev="ab" * 32)
    submitted = house.submission(cast.FO, signed)
    await house.attack(cast.FO, at("cancellation"), submitted, status=409, code="ledger/stream-moved")
