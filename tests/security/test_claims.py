"""Conformity claims over HTTP: who registers, who sees, what is known of them, and what nobody gets past."""

import hashlib
from typing import Any

import msgspec

from api import wire
from api.cli.demo import cast, props
from ledger.records.services import Service
from ledger.records.sites import ClaimKind, ClaimRegistered, ClaimWithdrawn, InstallationLinked, Withdrawal
from pki.asn1 import attributecert
from pki.asn1.claims import ThingKind, TypeRef
from pki.asn1.links import InstallationLink
from pki.attribute import AttributeAuthority
from pki.roles import Purpose
from pki.store.records import Reason
from pki.tbs import Window
from tests.support.house import House

STREAM = f"site/{cast.SITE}"
PATH = f"/v1/sites/{cast.SITE}/claims"


def claim(house: House) -> tuple[ClaimRegistered, bytes]:
    thing = (props.evse_thing(house.made, cast.BAYS[0]),)
    return props.claim(house.made, thing, ClaimKind.EVSE, Service.FFR, house.clock.now_ms())


def link(house: House, who: str = cast.CSO, days: int = 20) -> tuple[InstallationLinked, bytes]:
    """An operator's link of the first bay's EVSE, and the record that registers it."""
    signing = house.issued(who, Purpose.SIGNING)
    by = AttributeAuthority(signing.certificate, signing.key, house.made.store, house.made.hierarchy.root.journal)
    now_ms = house.clock.now_ms()
    window = Window(now_ms, now_ms + days * 86_400_000)
    key = props.station_spki(house.made, cast.BAYS[0])
    content = InstallationLink(ThingKind.EVSE, key, TypeRef("Maker", "V2G-11", None, props.FIRMWARE))
    der = by.issue_link(content, window=window, now_ms=now_ms)
    return (
        InstallationLinked(
            claim_id=props.new_id("link"),
            site_id=cast.SITE,
            subject=ClaimKind.EVSE,
            issuer=house.party(who),
            not_before_ms=window.not_before_ms,
            not_after_ms=window.not_after_ms,
            link_sha256=hashlib.sha256(der).hexdigest(),
            thing=key,
        ),
        der,
    )


async def register(house: House, record: Any, der: bytes) -> None:
    said = house.said(cast.CSO, record, STREAM, attachments=[props.attachment(der)])
    reply = await house.post(cast.CSO, PATH, said)
    assert reply.status == 201, reply.body


async def status(house: House, claim_id: str, who: str = cast.CSO) -> Any:
    reply = await house.ask(who, "GET", f"/v1/claims/{claim_id}/status")
    assert reply.status == 200, reply.body
    return reply.json()


async def test_a_claim_and_a_link_are_registered_and_read_by_whom_they_concern(house: House) -> None:
    before = len((await house.ask(cast.CSO, "GET", f"/v1/claims?site_id={cast.SITE}")).json()["claims"])
    for record, der in (claim(house), link(house)):
        await register(house, record, der)
        whole = (await house.ask(cast.AUD, "GET", f"/v1/claims/{record.claim_id}")).json()
        assert whole["claim"]["kind"] == ("claim" if isinstance(record, ClaimRegistered) else "link")
        assert msgspec.convert(whole["document"], bytes) == der
        assert (await status(house, record.claim_id))["status"] == "GOOD"
    listed = (await house.ask(cast.CSO, "GET", f"/v1/claims?site_id={cast.SITE}")).json()["claims"]
    assert len(listed) == before + 2


async def test_what_is_not_the_callers_looks_like_what_is_not_there(house: House) -> None:
    record, der = claim(house)
    await register(house, record, der)
    for path in (f"/v1/claims/{record.claim_id}", f"/v1/claims/{record.claim_id}/status"):
        await house.attack(cast.OTHER_CSO, path, b"", status=404, code="api/not-concerned", method="GET")
        absent = path.replace(record.claim_id, "claim-none")
        await house.attack(cast.CSO, absent, b"", status=404, code="api/not-concerned", method="GET")
    await house.attack(
        cast.OTHER_CSO, f"/v1/claims?site_id={cast.SITE}", b"", status=404, code="api/not-concerned", method="GET"
    )
    assert (await house.ask(cast.OTHER_CSO, "GET", "/v1/claims")).json()["claims"] == []
    for who in (cast.FO, cast.CSP, cast.BAYS[0].person):
        await house.attack(who, "/v1/claims", b"", status=403, code="api/role-not-allowed", method="GET")


async def test_a_withdrawn_and_a_revoked_claim_say_so(house: House) -> None:
    withdrawn, first = claim(house)
    revoked, second = claim(house)
    await register(house, withdrawn, first)
    await register(house, revoked, second)
    gone = ClaimWithdrawn(claim_id=withdrawn.claim_id, site_id=cast.SITE, reason=Withdrawal.SUPERSEDED)
    path = f"/v1/claims/{withdrawn.claim_id}/withdrawal"
    await house.attack(
        cast.OTHER_CSO, path, house.said(cast.OTHER_CSO, gone, STREAM), status=404, code="api/not-concerned"
    )
    assert (await house.post(cast.CSO, path, house.said(cast.CSO, gone, STREAM))).status == 201
    assert (await status(house, withdrawn.claim_id))["status"] == "WITHDRAWN"
    laboratory = props.laboratory(house.made)
    laboratory.revoke(attributecert.parse(second).info.serial, Reason.PRIVILEGE_WITHDRAWN, house.clock.now_ms())
    house.service.engines.status.add(laboratory.crl(house.clock.now_ms(), allow_earlier=True))
    house.service.directory.evidence_moved()
    found = await status(house, revoked.claim_id)
    assert (found["status"], found["code"]) == ("REVOKED", "pki/revoked")


async def test_a_withdrawal_of_another_claim_than_the_path_names_is_refused(house: House) -> None:
    record, der = claim(house)
    await register(house, record, der)
    gone = ClaimWithdrawn(claim_id=record.claim_id, site_id=cast.SITE, reason=Withdrawal.ERROR)
    said = house.said(cast.CSO, gone, STREAM)
    await house.attack(cast.CSO, "/v1/claims/claim-other/withdrawal", said, status=400, code="api/type-not-taken")


async def test_a_link_by_another_operator_is_refused(house: House) -> None:
    record, der = link(house, cast.OTHER_CSO)
    said = house.said(cast.CSO, record, STREAM, attachments=[props.attachment(der)])
    reply = await house.post(cast.CSO, PATH, said)
    assert reply.status == 400
    assert reply.json()["code"] == "api/signer-unknown"


async def test_a_claim_comes_through_no_other_door_without_its_document(house: House) -> None:
    record, _ = claim(house)
    said = house.said(cast.CSO, record, STREAM)
    assert isinstance(said, wire.Submission)
    size = house.size()
    reply = await house.post(cast.CSO, "/v1/statements", {"statements": [msgspec.to_builtins(said)]})
    assert reply.status == 200, reply.body
    assert [one["problem"]["code"] for one in reply.json()["outcomes"]] == ["api/attachment-foreign"]
    assert house.size() == size
