"""The certificate office: no renewal slips past a revocation, and nobody finds a person by asking."""

import asyncio
import threading

from api.cli.demo import cast
from pki import keys, ocsp
from pki.asn1 import tlv
from pki.asn1.ocsp import ResponseStatus
from pki.responder import Responder
from pki.roles import Purpose, Role
from pki.store.listing import Sought
from pki.store.records import Issued, Reason
from tests.support.enrolling import certificates, der, enrol, invite, pkcs10, reenrol
from tests.support.house import House, require_problem

TURNS = 200


async def newcomer(door: House) -> tuple[bytes, Issued]:
    """A party's first certificate, as it shows it and as the office knows it."""
    assert door.service.office is not None
    (issued,) = certificates(await enrol(door, await invite(door), pkcs10(keys.generate())))
    authority = door.service.office.authority_of(Role.FO)
    return der(issued), door.service.office.store.get(authority.key_sha256, issued.serial_number)


async def test_a_renewal_that_waits_behind_the_revocation_of_its_certificate_is_refused(door: House) -> None:
    office = door.service.office
    assert office is not None
    leaf, held = await newcomer(door)
    gate = threading.Event()
    busy = asyncio.create_task(office.work(gate.wait))
    await asyncio.sleep(0)
    revoking = asyncio.create_task(office.revoke(held, Reason.KEY_COMPROMISE))
    await asyncio.sleep(0)
    renewing = asyncio.create_task(reenrol(door, leaf, pkcs10(keys.generate())))
    for _ in range(TURNS):
        await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(busy, revoking)
    require_problem(await renewing, 403, "api/renewal-refused")
    standing = office.listing.all(Sought(party_id="FI-NEW", purpose=Purpose.TLS_CLIENT, is_revoked=False))
    assert list(standing) == []


async def test_an_auditor_who_names_a_person_is_told_of_no_credential(door: House) -> None:
    made = {"role": "EVU", "party_id": "", "organisation": "", "purposes": ["TLS_CLIENT"]}
    reply = await door.post(cast.OPS, "/v1/credentials/invitations", made)
    person, code = reply.json()["party_id"], reply.json()["code"]
    (issued,) = certificates(await enrol(door, code, pkcs10(keys.generate())))
    for who, count in ((cast.OPS, 1), (cast.AUD, 0), (der(issued), 1)):
        found = (await door.ask(who, "GET", f"/v1/credentials?party={person}")).json()["credentials"]
        assert len(found) == count
    everybodys = (await door.ask(cast.AUD, "GET", "/v1/credentials?role=EVU&limit=1000")).json()["credentials"]
    assert len(everybodys) > 0
    assert all("party" not in one for one in everybodys)


async def test_a_padded_ocsp_request_is_answered_and_not_remembered(door: House) -> None:
    office = door.service.office
    assert office is not None
    _, held = await newcomer(door)
    authority, now_ms = office.authority_of(Role.FO), office.now_ms(Purpose.TLS_CLIENT)
    responder = Responder([authority])
    await office.work(lambda: responder.rotate(now_ms))
    plain = ocsp.ask(authority.certificate, (held.serial,), with_nonce=False).der
    many = ocsp.ask(authority.certificate, (held.serial, *range(1, 32)), with_nonce=False).der
    for asked, is_kept in ((plain, True), (padded(plain, 4_000), False), (many, False)):
        answer = responder.answer(asked, now_ms)
        assert answer.status is ResponseStatus.SUCCESSFUL
        assert (responder.kept(asked, now_ms) is not None) is is_kept


def padded(request: bytes, octets: int) -> bytes:
    """The same request with a requestorName (RFC 6960 section 4.1.1) of so many octets, which nobody looks at."""
    asked = tlv.only(tlv.only(request, tlv.SEQUENCE, "request"), tlv.SEQUENCE, "request")
    name = tlv.element(tlv.context(1), tlv.element(tlv.context(6, constructed=False), b"x" * octets))
    return tlv.sequence(tlv.sequence(name, asked))
