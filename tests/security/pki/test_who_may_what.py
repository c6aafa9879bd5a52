"""Who may end a credential, a code, or have another key follow: every role against every kind of target."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from api.cli.demo import cast
from api.web.routes import est
from pki import handover, keys
from pki.ceremony import Ceremony
from pki.roles import Purpose
from pki.store.records import Issued
from tests.support import house as houses
from tests.support.enrolling import certificate, der, enrol, handed_over, invite, path, pkcs10, reenrol
from tests.support.house import House, require_problem

pytestmark = pytest.mark.asyncio(loop_scope="module")
CLIENT, SERVER, SIGNING = Purpose.TLS_CLIENT, Purpose.TLS_SERVER, Purpose.SIGNING


@pytest.fixture(scope="module")
def made() -> Ceremony:
    return houses.perform()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, made: Ceremony) -> AsyncIterator[House]:
    async with House.open(tmp_path_factory.mktemp("house"), made) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def own_house(tmp_path: Path, made: Ceremony) -> AsyncIterator[House]:
    """For cases in which somebody loses a credential."""
    async with House.open(tmp_path, made) as opened:
        yield opened


def held_by(house: House, who: str, purpose: Purpose) -> Issued:
    """A party's or a station's certificate as the office knows it."""
    holder = house.made.parties.get(who) or house.made.stations[who]
    spki = keys.spki_sha256(holder.credentials[purpose].key.public_key())
    assert house.service.office is not None
    (held,) = house.service.office.store.find(spki_sha256=spki)
    return held


async def revoke(house: House, who: str | bytes, held: Issued, **changes: Any) -> Any:
    asked = {"reason": "keyCompromise", **changes}
    return await house.post(who, f"/v1/credentials/{held.issuer_key_sha256}.{held.serial:040x}/revocation", asked)


# Revoking

STATION = "CS-E1"
PERSON, ANOTHER_PERSON = "EVU-E1", "EVU-E2"
ACTORS = (cast.OPS, cast.FO, cast.CSO, cast.OTHER_CSO, cast.CSP, cast.CB, cast.AUD, cast.DPO, PERSON, STATION)
TARGETS = (
    (cast.FO, CLIENT),
    (cast.FO, SIGNING),
    (cast.CSO, CLIENT),
    (cast.CSO, SERVER),
    (cast.CSO, SIGNING),
    (cast.OTHER_CSO, SIGNING),
    (cast.CSP, SIGNING),
    (cast.CB, SIGNING),
    (cast.AUD, CLIENT),
    (cast.DPO, CLIENT),
    (cast.OPS, CLIENT),
    (PERSON, CLIENT),
    (ANOTHER_PERSON, CLIENT),
    (STATION, CLIENT),
)
MAY = {
    *((cast.OPS, *target) for target in TARGETS),
    (cast.FO, cast.FO, CLIENT),
    (cast.FO, cast.FO, SIGNING),
    (cast.CSO, cast.CSO, CLIENT),
    (cast.CSO, STATION, CLIENT),
    (cast.OTHER_CSO, cast.OTHER_CSO, SIGNING),
    (cast.CSP, cast.CSP, SIGNING),
    (cast.CB, cast.CB, SIGNING),
    (cast.DPO, cast.DPO, CLIENT),
    (PERSON, PERSON, CLIENT),
    (STATION, STATION, CLIENT),
}
"""Operations may end every credential, everybody else its own, and a charging station operator those of its stations."""


def connection(house: House, who: str) -> bytes:
    holder = house.made.parties.get(who) or house.made.stations[who]
    leaf: bytes = holder.credentials[CLIENT].chain[0]
    return leaf


def code_of_refusal(actor: str, target: str, purpose: Purpose) -> tuple[int, str]:
    if actor == cast.AUD:
        return 403, "api/role-not-allowed"
    if (actor, target) == (cast.CSO, cast.CSO) and purpose is not CLIENT:
        return 403, "api/service-credential"
    return 404, "api/credential-not-found"


@pytest.mark.parametrize("actor", ACTORS)
async def test_nobody_ends_a_credential_that_is_not_theirs_to_end(house: House, actor: str) -> None:
    assert house.service.office is not None
    for target, purpose in TARGETS:
        if (actor, target, purpose) in MAY:
            continue
        held = held_by(house, target, purpose)
        reply = await revoke(house, connection(house, actor), held)
        require_problem(reply, *code_of_refusal(actor, target, purpose))
        assert house.service.office.store.revocation_of(held.issuer_key_sha256, held.serial) is None


@pytest.mark.slow
async def test_everybody_ends_what_is_theirs_to_end(own_house: House) -> None:
    """Operations last, and everybody's own connection after all else of theirs: who has lost it can do nothing more.

    Before the very last, the key with which the service speaks: after that, it puts nothing on record.
    """
    turns = (STATION, cast.CSO, cast.OPS)
    own = (cast.OPS, cast.CSO, SIGNING)
    assert own in MAY
    order = sorted(
        MAY - {own}, key=lambda one: (one[0] in turns[1:] and turns.index(one[0]), one[1] == one[0], one[2] is CLIENT)
    )
    last = order.pop()
    assert last == (cast.OPS, cast.OPS, CLIENT)
    for actor, target, purpose in (*order, own):
        held = held_by(own_house, target, purpose)
        reply = await revoke(own_house, connection(own_house, actor), held)
        assert reply.status == 201, (actor, target, purpose, reply.body)
    size = own_house.size()
    reply = await revoke(own_house, connection(own_house, cast.OPS), held_by(own_house, cast.OPS, CLIENT))
    require_problem(reply, 503, "api/own-credential")
    assert own_house.size() == size


async def test_the_service_goes_on_after_its_own_party_tried_to_end_its_credentials(house: House) -> None:
    for purpose in (SERVER, SIGNING):
        problem = require_problem(
            await revoke(house, cast.CSO, held_by(house, cast.CSO, purpose)), 403, "api/service-credential"
        )
        assert (problem.expected, problem.found) == ("OPS", "CSO")
    await invite(house)
    assert (await house.ask(cast.FO, "GET", "/v1/requests")).status == 200


async def test_an_invalidity_date_is_for_operations_to_give(own_house: House) -> None:
    held = held_by(own_house, cast.FO, SIGNING)
    before_ms = held.not_before_ms
    reply = await revoke(own_house, cast.FO, held, invalid_from_ms=before_ms)
    require_problem(reply, 403, "api/role-not-allowed")
    too_late = await revoke(own_house, cast.OPS, held, invalid_from_ms=2**48)
    require_problem(too_late, 400, "pki/invalidity-date")
    done = await revoke(own_house, cast.OPS, held, invalid_from_ms=before_ms)
    assert (done.status, done.json()["invalid_from_ms"]) == (201, before_ms)


# Handing over


@pytest.mark.parametrize("who", [cast.FO, cast.CB])
async def test_another_signing_key_is_not_to_be_had_for_the_connection_alone(house: House, who: str) -> None:
    reply = await reenrol(house, who, pkcs10(keys.generate()), label="signing")
    require_problem(reply, 403, "pki/handover-unproven")


async def test_a_server_key_is_not_to_be_had_for_the_connection_alone(house: House) -> None:
    reply = await reenrol(house, cast.CSO, pkcs10(keys.generate()), label="tls-server")
    require_problem(reply, 403, "pki/handover-unproven")


async def test_the_same_signing_key_needs_no_other_proof_than_the_request(own_house: House) -> None:
    mine = own_house.issued(cast.FO, SIGNING)
    renewed = certificate(await reenrol(own_house, cast.FO, pkcs10(mine.key), label="signing"))
    assert renewed.public_key() == mine.certificate.public_key()


async def test_a_proof_that_is_not_the_old_keys_over_this_very_key_is_refused(house: House) -> None:
    new, other = keys.generate(), keys.generate()
    good = handed_over(house, cast.FO, SIGNING, new)
    wrong = {
        "for another key": handed_over(house, cast.FO, SIGNING, other),
        "by another party": handed_over(house, cast.RIVAL, SIGNING, new),
        "by the connection's key": handed_over(house, cast.FO, CLIENT, new),
        "by the new key": handover.prove(new, b"x"),
        "cut short": good[:-1],
        "too long": good + bytes(300),
        "empty": b"\x30\x00",
    }
    for why, proof in wrong.items():
        reply = await reenrol(house, cast.FO, pkcs10(new), label="signing", proof=proof)
        assert require_problem(reply, 403, "pki/handover-unproven"), why
    sent = (("content-type", est.PKCS10), (handover.HEADER, "not base64!"))
    reply = await house.ask(cast.FO, "POST", path("simplereenroll", "signing"), b"", sent)
    require_problem(reply, 400, "api/request-malformed")


async def test_a_proof_is_good_for_the_party_that_has_the_connection_only(house: House) -> None:
    """A replayed request with its proof, over another party's connection, is none."""
    new = keys.generate()
    proof = handed_over(house, cast.FO, SIGNING, new)
    reply = await reenrol(house, cast.RIVAL, pkcs10(new), label="signing", proof=proof)
    require_problem(reply, 403, "pki/handover-unproven")


async def test_with_a_code_the_office_consents_to_another_signing_key(house: House) -> None:
    code = await invite(house, party_id=cast.FO, organisation="Aurora Flex", purposes=["SIGNING"])
    key = keys.generate()
    assert certificate(await enrol(house, code, pkcs10(key), label="signing")).public_key() == key.public_key()


# Withdrawing codes


async def test_a_withdrawn_code_is_good_for_nothing(house: House) -> None:
    code = await invite(house, purposes=["TLS_CLIENT", "SIGNING"])
    certificate(await enrol(house, code, pkcs10(keys.generate()), label="tls-client"))
    name = code.partition(":")[0]
    listed = (await house.ask(cast.OPS, "GET", "/v1/credentials/invitations")).json()["invitations"]
    (mine,) = [one for one in listed if one["id"] == name]
    assert (mine["party_id"], mine["purposes"]) == ("FI-NEW", ["SIGNING"])
    assert code.partition(":")[2] not in str(listed)
    assert (await house.ask(cast.OPS, "DELETE", f"/v1/credentials/invitations/{name}")).status == 204
    refused = await enrol(house, code, pkcs10(keys.generate()), label="signing")
    require_problem(refused, 401, "api/code-refused")
    again = await house.ask(cast.OPS, "DELETE", f"/v1/credentials/invitations/{name}")
    require_problem(again, 404, "api/invitation-not-found")


@pytest.mark.parametrize("who", [cast.FO, cast.CSO, cast.AUD, cast.DPO, "EVU-E1"])
async def test_only_operations_see_and_withdraw_codes(house: House, who: str) -> None:
    name = (await invite(house)).partition(":")[0]
    for method, place in (("GET", ""), ("DELETE", f"/{name}")):
        reply = await house.ask(who, method, f"/v1/credentials/invitations{place}")
        require_problem(reply, 403, "api/role-not-allowed")


async def test_who_loses_a_credential_loses_the_codes_that_are_open(own_house: House) -> None:
    theirs = {"party_id": cast.FO, "organisation": "Aurora Flex", "purposes": ["SIGNING"]}
    code, others = await invite(own_house, **theirs), await invite(own_house)
    held = held_by(own_house, cast.FO, CLIENT)
    assert (await revoke(own_house, cast.OPS, held, reason="privilegeWithdrawn")).status == 201
    require_problem(await enrol(own_house, code, pkcs10(keys.generate())), 401, "api/code-refused")
    certificate(await enrol(own_house, others, pkcs10(keys.generate())))
    # What is made afterwards is the office's new word.
    certificate(await enrol(own_house, await invite(own_house, **theirs), pkcs10(keys.generate())))


async def test_a_credential_that_is_only_replaced_leaves_the_codes_as_they_are(own_house: House) -> None:
    code = await invite(own_house, party_id=cast.FO, organisation="Aurora Flex", purposes=["SIGNING"])
    held = held_by(own_house, cast.FO, SIGNING)
    assert (await revoke(own_house, cast.OPS, held, reason="superseded")).status == 201
    certificate(await enrol(own_house, code, pkcs10(keys.generate()), label="signing"))


async def test_what_waits_for_its_turn_when_its_code_is_withdrawn_is_not_issued(own_house: House) -> None:
    code = await invite(own_house, party_id="FI-LATE")
    office = own_house.service.office
    assert office is not None
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()
    turn = asyncio.ensure_future(office.work(lambda: asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(30)))
    withdrawn = asyncio.ensure_future(
        own_house.ask(cast.OPS, "DELETE", f"/v1/credentials/invitations/{code.partition(':')[0]}")
    )
    await asyncio.sleep(0)
    waiting = asyncio.ensure_future(enrol(own_house, code, pkcs10(keys.generate())))
    for _ in range(1000):
        if office._waiting == 3:  # the gate, the withdrawal, and what waits behind it
            break
        await asyncio.sleep(0.01)
    gate.set()
    await turn
    assert (await withdrawn).status == 204
    require_problem(await waiting, 401, "api/code-refused")
    assert office.store.find(party_id="FI-LATE") == []


async def test_the_connections_own_key_is_replaced_as_before(own_house: House) -> None:
    renewed = certificate(await reenrol(own_house, cast.FO, pkcs10(keys.generate())))
    assert (await own_house.ask(der(renewed), "GET", "/v1/requests")).status == 200
