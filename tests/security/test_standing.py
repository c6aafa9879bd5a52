"""Who may see and do what, where a role alone does not say it."""

import asyncio
from typing import Any

import msgspec
import pytest

from api.cli.demo import cast, props
from api.client import client as clients
from ledger.records import disclosure, jws
from ledger.records.services import Service
from ledger.records.sites import ClaimKind
from tests.support.house import CANARY, House
from tests.support.house_acts import (
    EVSE,
    FSR,
    accepted,
    at,
    issued,
    session,
)

# Who may see and do what beyond the role


async def test_what_is_not_the_callers_looks_like_what_is_not_there(house: House) -> None:
    await issued(house)

    async def answer(who: str, method: str, path: str, body: Any = None) -> dict[str, Any]:
        with house.leaves():
            reply = await house.ask(who, method, path, b"" if body is None else msgspec.json.encode(body))
        assert reply.status == 404
        found: dict[str, Any] = reply.json()
        del found["instance"]
        return found

    for who in (cast.RIVAL, cast.OTHER_CSO, cast.CSP):
        assert await answer(who, "GET", f"/v1/requests/{FSR}") == await answer(who, "GET", "/v1/requests/fsr-none")
    for who in (cast.RIVAL, cast.OTHER_CSO):
        there, absent = at("record"), at("record", "fsr-none")
        assert await answer(who, "GET", there) == await answer(who, "GET", absent)
    for who in (cast.OTHER_CSO, cast.CSP):
        mine, none = ({"fsr_id": name, "evse_ids": [EVSE]} for name in (FSR, "fsr-none"))
        assert await answer(who, "POST", "/v1/checks", mine) == await answer(who, "POST", "/v1/checks", none)
    assert await answer(cast.OTHER_CSO, "POST", at("proof"), {}) == await answer(
        cast.OTHER_CSO, "POST", at("proof", "fsr-none"), {}
    )
    for who, count in ((cast.RIVAL, 0), (cast.OTHER_CSO, 0), (cast.CSP, 0), (cast.FO, 1), (cast.CSO, 1), (cast.AUD, 1)):
        listed = (await house.ask(who, "GET", "/v1/requests")).json()
        assert len(listed["requests"]) == count, who


async def test_a_person_sees_own_participations_only(house: House) -> None:
    found = await accepted(house)
    for bay in cast.BAYS[:3]:
        told = (await house.ask(bay.person, "GET", "/v1/participations")).json()["participations"]
        assert [one["participation"] for one in told] == ([found[bay.name]] if bay.name in found else [])
    await house.attack(
        cast.BAYS[0].person, f"/v1/requests/{FSR}", b"", status=403, code="api/role-not-allowed", method="GET"
    )


async def test_the_operators_bundle_holds_nothing_about_persons(house: House) -> None:
    await accepted(house)
    persons = [house.party(bay.person) for bay in cast.BAYS[:2]]

    async def names(who: str) -> set[str]:
        bundle = (await house.ask(who, "GET", at("record"))).json()
        return {disclosure.parse(text).name for text in bundle["disclosures"]}

    assert "evu" in await names(cast.AUD)
    assert "evu" in await names(cast.CSO)
    assert await names(cast.FO) == set()
    told = (await house.ask(cast.FO, "GET", at("record"))).body.decode()
    assert not any(value in told or jws.encode_base64url(value.encode()) in told for value in persons)
    house.require_silent()


async def test_a_csp_speaks_for_its_own_contract_holders_only(house: House) -> None:
    """A consent to discharge is worth nothing if any provider can state it."""
    path, stream = f"/v1/sites/{cast.SITE}/sessions", f"site/{cast.SITE}"
    said = house.said(cast.CSP, session(EVSE), stream, subject=CANARY)
    await house.attack(cast.CSP, path, said, status=404, code="api/not-concerned")
    unnamed = clients.submission(house.sign(cast.CSP, session(EVSE), stream), None, (), said.certificates)
    unnamed = msgspec.structs.replace(unnamed, disclosures=())
    await house.attack(cast.CSP, path, unnamed, status=400, code="api/personal-missing")
    own = house.said(cast.CSP, session(cast.CSP_BAYS[0].evse_id), stream, subject=CANARY)
    assert (await house.post(cast.CSP, path, own)).status == 201


async def test_another_cso_registers_nothing_at_a_site_that_is_not_its_own(house: House) -> None:
    thing = (props.evse_thing(house.made, cast.BAYS[0]),)
    record, der = props.claim(house.made, thing, ClaimKind.EVSE, Service.FFR, house.clock.now_ms())
    stream = f"site/{cast.SITE}"
    said = house.said(cast.OTHER_CSO, record, stream, attachments=[props.attachment(der)])
    await house.attack(cast.OTHER_CSO, f"/v1/sites/{cast.SITE}/claims", said, status=404, code="api/not-concerned")
    said = house.said(cast.OTHER_CSO, session(), stream, subject=CANARY)
    path = f"/v1/sites/{cast.SITE}/sessions"
    await house.attack(cast.OTHER_CSO, path, said, status=409, code="rules/wrong-party", refusals=1)
    site = msgspec.structs.replace(props.site(house.made), version=2)
    said = house.said(cast.OTHER_CSO, site, stream)
    await house.attack(cast.OTHER_CSO, "/v1/sites", said, status=409, code="rules/wrong-party", refusals=1)


CHECKS: dict[str, tuple[Any, int, str]] = {
    "of an EVSE elsewhere": ({"fsr_id": FSR, "evse_ids": ["FI*OTH*E1"]}, 404, "api/not-concerned"),
    "of no EVSE-ID": ({"fsr_id": FSR, "evse_ids": [CANARY]}, 404, "api/not-concerned"),
    "of nothing": ({"fsr_id": FSR, "evse_ids": []}, 400, "api/body-malformed"),
    "of too many": ({"fsr_id": FSR, "evse_ids": [EVSE] * 257}, 400, "api/body-malformed"),
    "of no request": ({"fsr_id": "fsr-none", "evse_ids": [EVSE]}, 404, "api/not-concerned"),
}


@pytest.mark.parametrize("name", CHECKS)
async def test_a_check_is_refused(house: House, name: str) -> None:
    await issued(house)
    body, status, code = CHECKS[name]
    await house.attack(cast.CSO, "/v1/checks", body, status=status, code=code)


async def test_two_checks_at_once_introduce_an_evse_once(house: House) -> None:
    await issued(house)
    body = {"fsr_id": FSR, "evse_ids": [EVSE]}
    replies = await asyncio.gather(*(house.post(cast.CSO, "/v1/checks", body) for _ in range(3)))
    assert [reply.status for reply in replies] == [201] * 3
    assert len({reply.json()["participations"][0]["participation"] for reply in replies}) == 1


# The privacy officer


async def test_the_erasure_of_somebody_unknown_says_so_without_the_name(door: House) -> None:
    body = {"subject": CANARY, "basis": "OBJECTION"}
    await door.attack(cast.DPO, "/v1/subjects/erasure", body, status=404, code="ledger/subject-unknown")
    body = {"subject": CANARY, "basis": CANARY}
    await door.attack(cast.DPO, "/v1/subjects/erasure", body, status=400, code="api/body-malformed")


@pytest.mark.parametrize(
    "body",
    [
        {"profile": "ACCESS", "recipient": "FI-AUR"},
        {"profile": CANARY, "recipient": "FI-AUR"},
        {"profile": "RESEARCH", "recipient": f"{CANARY} <x>"},
        {"profile": "RESEARCH", "recipient": "../../etc"},
        {"profile": "RESEARCH"},
    ],
)
async def test_an_export_that_nobody_may_have_is_refused(door: House, body: Any) -> None:
    await door.attack(cast.DPO, "/v1/exports", body, status=400, code="api/body-malformed")
