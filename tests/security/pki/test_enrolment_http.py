"""Enrolment over HTTP, attacked: codes, EST, renewal, and who may see and revoke what."""

import asyncio
import base64
import ipaddress
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from api.cli.demo import cast
from api.flows.office_journal import serial_text
from api.web.routes.est import LABELS, PKCS10
from ledger.clock import SetClock, SystemClock
from pki import keys
from pki.asn1 import flexrole
from pki.ceremony import Ceremony
from pki.profiles import HOUR_MS
from pki.roles import Purpose
from pki.store.codes import MAX_ATTEMPTS
from pki.store.records import Issued, Reason
from tests.support import enrolling
from tests.support import house as houses
from tests.support.enrolling import certificate, certificates, der, enrol, handed_over, invite, pkcs10, reenrol
from tests.support.house import House, require_problem

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def made() -> Ceremony:
    return houses.perform()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, made: Ceremony) -> AsyncIterator[House]:
    """One service for all cases that leave everybody's credentials, and its clock, as they were."""
    async with House.open(tmp_path_factory.mktemp("house"), made) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def own_house(tmp_path: Path, made: Ceremony) -> AsyncIterator[House]:
    """A service of the case's own: it revokes, renews with the same key, forgets somebody or moves the clock."""
    async with House.open(tmp_path, made) as opened:
        yield opened


def held_by(house: House, who: str, purpose: Purpose = Purpose.TLS_CLIENT) -> Issued:
    """The party's certificate as the office knows it."""
    assert house.service.office is not None
    (held,) = house.service.office.store.find(spki_sha256=keys.spki_sha256(house.issued(who, purpose).key.public_key()))
    return held


def name_of(held: Issued) -> str:
    return f"{held.issuer_key_sha256}.{serial_text(held.serial)}"


async def revoke(house: House, who: str, held: Issued, reason: str = "keyCompromise") -> Any:
    return await house.post(who, f"/v1/credentials/{name_of(held)}/revocation", {"reason": reason})


# Codes


async def test_a_code_gives_the_credential_that_it_was_made_for_and_it_works_at_once(house: House) -> None:
    key = keys.generate()
    issued = certificate(await enrol(house, await invite(house), pkcs10(key)))
    assert issued.public_key() == key.public_key()
    reply = await house.ask(der(issued), "GET", "/v1/requests")
    assert reply.status == 200, reply.body


async def test_a_code_is_used_once_for_each_of_its_purposes(house: House) -> None:
    code = await invite(house, purposes=["TLS_CLIENT", "SIGNING"])
    first = certificate(await enrol(house, code, pkcs10(keys.generate()), label="tls-client"))
    second = certificate(await enrol(house, code, pkcs10(keys.generate()), label="signing"))
    assert first.serial_number != second.serial_number
    for label in ("tls-client", "signing"):
        spent = await enrol(house, code, pkcs10(keys.generate()), label=label)
        problem = require_problem(spent, 401, "api/code-refused")
        assert problem.found == "pki/code-spent"


async def test_a_lost_answer_is_given_again_to_the_same_key_and_to_nobody_else(house: House) -> None:
    code, key = await invite(house), keys.generate()
    first = certificate(await enrol(house, code, pkcs10(key)))
    assert certificate(await enrol(house, code, pkcs10(key))) == first
    require_problem(await enrol(house, code, pkcs10(keys.generate())), 401, "api/code-refused")


async def test_concurrent_double_issue_of_one_order(house: House) -> None:
    code = await invite(house, party_id="FI-ONCE")
    replies = await asyncio.gather(*(enrol(house, code, pkcs10(keys.generate())) for _ in range(64)))
    assert {reply.status for reply in replies} <= {200, 202, 401}
    assert sum(reply.status == 200 for reply in replies) == 1
    assert house.service.office is not None
    assert len(house.service.office.store.find(party_id="FI-ONCE")) == 1


async def test_one_key_that_asks_many_times_at_once_gets_one_certificate(house: House) -> None:
    code, request = await invite(house), pkcs10(keys.generate())
    replies = await asyncio.gather(*(enrol(house, code, request) for _ in range(16)))
    assert {reply.status for reply in replies} <= {200, 202}
    assert [reply.headers["retry-after"] for reply in replies if reply.status == 202] == ["1"] * sum(
        reply.status == 202 for reply in replies
    )
    assert len({certificate(reply) for reply in replies if reply.status == 200}) == 1


async def test_a_code_that_is_too_old_is_refused(own_house: House) -> None:
    code = await invite(own_house, lifetime_hours=1)
    assert own_house.service.office is not None
    own_house.service.office.machine_clock = SetClock(SystemClock().now_ms() + HOUR_MS)
    problem = require_problem(await enrol(own_house, code, pkcs10(keys.generate())), 401, "api/code-refused")
    assert problem.found == "pki/code-expired"


async def test_guessing_at_a_code_ends_it_and_tells_nothing(house: House) -> None:
    code = await invite(house)
    name = code.partition(":")[0]
    answers = [
        await enrol(house, guess, pkcs10(keys.generate())) for guess in ("nobody:secret", f"{name}:secret", name)
    ]
    problems = [require_problem(answer, 401, "api/code-refused") for answer in answers]
    assert len({(problem.detail, problem.found) for problem in problems}) == 1
    for _ in range(MAX_ATTEMPTS):
        require_problem(await enrol(house, f"{name}:guess", pkcs10(keys.generate())), 401, "api/code-refused")
    ended = require_problem(await enrol(house, code, pkcs10(keys.generate())), 401, "api/code-refused")
    assert ended.found == "pki/code-expired"


async def test_only_a_hash_of_a_code_is_kept(house: House) -> None:
    code = await invite(house)
    secret = code.partition(":")[2]
    assert len(secret) == 32
    files = [path for path in house.settings.data_dir.iterdir() if path.is_file()]
    assert [path.name for path in files if secret.encode() in path.read_bytes()] == []
    assert secret not in str(house.lines)


async def test_a_request_that_is_refused_leaves_the_code_good(house: House) -> None:
    code = await invite(house)
    weak = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    sent = weak.sign(rsa.generate_private_key(65537, 2048), hashes.SHA256()).public_bytes(Encoding.DER)
    require_problem(await enrol(house, code, sent), 400, "pki/weak-key")
    reused = pkcs10(house.issued(cast.FO, Purpose.TLS_CLIENT).key)
    require_problem(await enrol(house, code, reused), 409, "pki/key-reused")
    certificate(await enrol(house, code, pkcs10(keys.generate())))


@pytest.mark.parametrize("who", [cast.FO, cast.CSO, cast.AUD, cast.DPO, "EVU-E1"])
async def test_only_operations_invite(house: House, who: str) -> None:
    reply = await house.post(who, "/v1/credentials/invitations", enrolling.NEWCOMER)
    require_problem(reply, 403, "api/role-not-allowed")


@pytest.mark.parametrize(
    "change",
    [
        {"purposes": []},
        {"purposes": ["TLS_CLIENT", "TLS_CLIENT"]},
        {"purposes": ["ATTRIBUTE"]},
        {"role": "CSO", "purposes": ["TLS_SERVER"]},
        {"role": "EVU"},
        {"role": "EVU", "organisation": "", "party_id": "erika.mustermann"},
        {"role": "STATION"},
        {"station_id": "CS-1"},
        {"party_id": "FI-NEW\nFI-AUR"},
        {"organisation": ""},
        {"dns_names": ["*.example"]},
    ],
    ids=str,
)
async def test_an_invitation_that_cannot_be_kept_is_refused(house: House, change: dict[str, Any]) -> None:
    reply = await house.post(cast.OPS, "/v1/credentials/invitations", {**enrolling.NEWCOMER, **change})
    require_problem(reply, 400, "api/invitation-unfit")


# Requests


async def test_nothing_but_the_key_is_taken_from_a_request(house: House) -> None:
    wishes = (
        x509.BasicConstraints(ca=True, path_length=None),
        x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]),
        x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.63382.1.1"), b"\x30\x00"),
    )
    code = await invite(house)
    issued = certificate(
        await enrol(house, code, pkcs10(keys.generate(), subject=enrolling.named("FI-AUR"), extensions=wishes))
    )
    assert "FI-NEW" in issued.subject.rfc4514_string()
    assert "FI-AUR" not in issued.subject.rfc4514_string()
    assert not issued.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    san = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.DNSName) == []
    assert san.get_values_for_type(x509.IPAddress) == []
    usages = set(issued.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert ExtendedKeyUsageOID.SERVER_AUTH not in usages
    assert ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in usages


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "pki/csr-malformed"),
        (b"not base64!", 400, "api/request-malformed"),
        (base64.b64encode(b"\x30" * 200), 400, "pki/csr-malformed"),
        (base64.b64encode(b"\x30\x80" * 2000), 400, "pki/csr-malformed"),
        (base64.b64encode(b"a" * 9000), 413, "pki/csr-oversize"),
        (base64.b64encode(b"a" * 20000), 413, "api/body-too-large"),
    ],
    ids=["empty", "no base64", "junk", "deeply nested", "oversize", "too large to be read"],
)
async def test_hostile_bodies_are_refused_with_a_code_of_ones_own(
    house: House, body: bytes, status: int, code: str
) -> None:
    basic = base64.b64encode((await invite(house)).encode()).decode()
    sent = (("content-type", PKCS10), ("authorization", f"Basic {basic}"))
    require_problem(await house.ask(None, "POST", enrolling.path("simpleenroll"), body, sent), status, code)


@pytest.mark.parametrize(
    "authorization", ["", "Basic", "Basic !!!", "Basic 4pyT4pyT", "Bearer abc", "Digest x", "Basic " + "A" * 4000]
)
async def test_without_a_good_code_nobody_learns_how_requests_are_read(house: House, authorization: str) -> None:
    sent = (("content-type", PKCS10), ("authorization", authorization))
    reply = await house.ask(None, "POST", enrolling.path("simpleenroll"), b"bm9uc2Vuc2U=", sent)
    require_problem(reply, 401, "api/code-refused")
    assert reply.headers["www-authenticate"].startswith('Basic realm="')


async def test_a_request_of_another_media_type_is_refused(house: House) -> None:
    basic = base64.b64encode((await invite(house)).encode()).decode()
    sent = (("content-type", "application/json"), ("authorization", f"Basic {basic}"))
    reply = await house.ask(None, "POST", enrolling.path("simpleenroll"), b"{}", sent)
    require_problem(reply, 415, "api/media-type-unsupported")


@pytest.mark.parametrize("label", ["root", "TLS_CLIENT", "ocsp", "%2e%2e"])
async def test_a_label_that_is_no_purpose_is_no_resource(house: House, label: str) -> None:
    require_problem(await house.ask(None, "GET", enrolling.path("cacerts", label)), 404, "api/route-unknown")


@pytest.mark.parametrize("label", ["", *LABELS])
async def test_everyone_gets_the_authorities_and_what_a_request_should_hold(house: House, label: str) -> None:
    found = certificates(await house.ask(None, "GET", enrolling.path("cacerts", label)))
    assert house.made.hierarchy.root.certificate in found
    assert len(found) == 1 + len(house.made.hierarchy.issuing)
    attributes = await house.ask(None, "GET", enrolling.path("csrattrs", label))
    assert attributes.headers["content-type"] == "application/csrattrs"
    assert base64.b64decode(attributes.body)[:2] == b"\x30\x21"


@pytest.mark.parametrize("header", ["X-SSL-Cert", "Client-Cert", "X-SSL-Client-Cert", "Ssl-Client-Cert"])
async def test_a_certificate_in_a_header_is_nobodys(house: House, header: str) -> None:
    leaf = house.issued(cast.FO, Purpose.TLS_CLIENT).chain[0]
    value = f":{base64.b64encode(leaf).decode()}:"
    sent = (("content-type", PKCS10), (header, value))
    reply = await house.ask(None, "POST", enrolling.path("simplereenroll"), b"", sent)
    require_problem(reply, 401, "api/credential-missing")


# Renewal


async def test_a_credential_is_renewed_under_the_same_names_with_a_key_of_its_holders_choice(own_house: House) -> None:
    mine = own_house.issued(cast.FO, Purpose.TLS_CLIENT)
    for key in (mine.key, keys.generate()):
        request = pkcs10(key, subject=mine.certificate.subject)
        renewed = certificate(await reenrol(own_house, cast.FO, request))
        assert renewed.subject == mine.certificate.subject
        assert flexrole_of(renewed) == flexrole_of(mine.certificate)
        assert renewed.public_key() == key.public_key()
        assert (await own_house.ask(der(renewed), "GET", "/v1/requests")).status == 200


def flexrole_of(found: x509.Certificate) -> Any:
    oid = x509.ObjectIdentifier("1.3.6.1.4.1.32473.63382.1.1")
    return flexrole.decode(found.extensions.get_extension_for_oid(oid).value.public_bytes())


async def test_a_signing_credential_is_renewed_over_the_connection_of_its_party(house: House) -> None:
    new = keys.generate()
    proof = handed_over(house, cast.FO, Purpose.SIGNING, new)
    renewed = certificate(await reenrol(house, cast.FO, pkcs10(new), label="signing", proof=proof))
    assert renewed.subject == house.issued(cast.FO, Purpose.SIGNING).certificate.subject
    assert renewed.public_key() == new.public_key()


async def test_a_server_keeps_its_hosts_when_it_renews(house: House) -> None:
    mine = house.issued(cast.CSO, Purpose.TLS_SERVER).key
    renewed = certificate(await reenrol(house, cast.CSO, pkcs10(mine), label="tls-server"))
    san = renewed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.DNSName) == ["localhost"]


async def test_est_re_enrol_with_other_subject(house: House) -> None:
    for request in (
        pkcs10(keys.generate(), subject=enrolling.named(cast.CSO)),
        pkcs10(keys.generate(), extensions=[x509.SubjectAlternativeName([x509.DNSName("other.example")])]),
    ):
        require_problem(await reenrol(house, cast.FO, request), 403, "api/renewal-refused")


async def test_renewal_after_revocation(own_house: House) -> None:
    assert (await revoke(own_house, cast.OPS, held_by(own_house, cast.FO))).status == 201
    for label in ("", "signing"):
        reply = await reenrol(own_house, cast.FO, pkcs10(keys.generate()), label=label)
        problem = require_problem(reply, 401, "api/credential-refused")
        assert problem.found == "pki/revoked"


async def test_renewal_of_a_purpose_that_was_revoked(own_house: House) -> None:
    assert (await revoke(own_house, cast.OPS, held_by(own_house, cast.FO, Purpose.SIGNING))).status == 201
    refused = await reenrol(own_house, cast.FO, pkcs10(keys.generate()), label="signing")
    require_problem(refused, 403, "api/renewal-refused")
    certificate(await reenrol(own_house, cast.FO, pkcs10(keys.generate())))


async def test_renewal_with_revoked_key(own_house: House) -> None:
    first = certificate(await reenrol(own_house, cast.FO, pkcs10(keys.generate())))
    assert (await revoke(own_house, cast.OPS, held_by(own_house, cast.FO))).status == 201
    reply = await reenrol(own_house, der(first), pkcs10(own_house.issued(cast.FO, Purpose.TLS_CLIENT).key))
    require_problem(reply, 409, "pki/key-reused")


async def test_a_party_without_a_credential_of_a_purpose_cannot_renew_one(house: House) -> None:
    issued = certificate(await enrol(house, await invite(house, party_id="FI-BARE"), pkcs10(keys.generate())))
    for label in ("signing", "tls-server", "attribute"):
        reply = await reenrol(house, der(issued), pkcs10(keys.generate()), label=label)
        require_problem(reply, 403, "api/renewal-refused")


async def test_a_person_renews_until_they_are_forgotten(own_house: House) -> None:
    certificate(await reenrol(own_house, "EVU-E1", pkcs10(keys.generate())))
    assert own_house.service.office is not None
    own_house.service.office.forget_person(own_house.party("EVU-E1"))
    require_problem(await reenrol(own_house, "EVU-E1", pkcs10(keys.generate())), 403, "api/renewal-refused")


async def test_nobody_renews_without_a_connection_of_their_own(house: House) -> None:
    require_problem(await reenrol(house, None, pkcs10(keys.generate())), 401, "api/credential-missing")


# Seeing and revoking


async def listed(house: House, who: str, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = "0"
    while after is not None:
        reply = await house.ask(who, "GET", f"/v1/credentials?limit=7&after={after}{query}")
        assert reply.status == 200, reply.body
        found += reply.json()["credentials"]
        after = reply.json()["next"]
    return found


async def test_operations_and_auditors_see_all_and_an_auditor_no_persons_name(house: House) -> None:
    ours = await listed(house, cast.OPS)
    theirs = await listed(house, cast.AUD)
    assert [one["name"] for one in ours] == [one["name"] for one in theirs]
    assert len({one["name"] for one in ours}) == len(ours) > 40
    persons = {house.party(bay.person) for bay in cast.BAYS}
    assert persons <= {one["party"] for one in ours}
    assert persons.isdisjoint({one.get("party") for one in theirs})
    assert all(isinstance(one["entry"], int) for one in ours)


async def test_a_party_sees_its_own_and_cannot_ask_for_anothers(house: House) -> None:
    assert {(one["party"], one["role"]) for one in await listed(house, cast.FO)} == {(cast.FO, "FO")}
    assert {one["role"] for one in await listed(house, cast.CSO)} == {"CSO", "STATION"}
    assert {one["party"] for one in await listed(house, "EVU-E1")} == {house.party("EVU-E1")}
    reply = await house.ask(cast.FO, "GET", f"/v1/credentials?party={cast.CSO}")
    require_problem(reply, 404, "api/credential-not-found")
    foreign = name_of(held_by(house, cast.CSO))
    require_problem(await house.ask(cast.FO, "GET", f"/v1/credentials/{foreign}"), 404, "api/credential-not-found")


@pytest.mark.parametrize("name", ["x", "a.b", "00.11", "ab" * 32 + ".zz", "ab" * 32 + "." + "f" * 400])
async def test_a_name_that_names_nothing_is_not_found(house: House, name: str) -> None:
    require_problem(await house.ask(cast.OPS, "GET", f"/v1/credentials/{name}"), 404, "api/credential-not-found")


async def test_one_credential_is_shown_with_its_certificate_and_its_place_in_the_log(house: House) -> None:
    held = held_by(house, cast.FO)
    shown = (await house.ask(cast.FO, "GET", f"/v1/credentials/{name_of(held)}")).json()
    assert x509.load_pem_x509_certificate(shown["certificate"].encode()).public_bytes(Encoding.DER) == held.der
    assert house.entry(shown["entry"]).stream == "log/credentials"


async def test_a_party_revokes_its_own_and_nobody_elses(own_house: House) -> None:
    foreign = await revoke(own_house, cast.FO, held_by(own_house, cast.CSO))
    require_problem(foreign, 404, "api/credential-not-found")
    reply = await revoke(own_house, cast.FO, held_by(own_house, cast.FO))
    assert (reply.status, reply.json()["reason"]) == (201, "keyCompromise")
    require_problem(await own_house.ask(cast.FO, "GET", "/v1/requests"), 401, "api/credential-refused")


@pytest.mark.parametrize("who", [cast.AUD])
async def test_an_auditor_revokes_nothing(house: House, who: str) -> None:
    require_problem(await revoke(house, who, held_by(house, who)), 403, "api/role-not-allowed")


async def test_a_party_does_not_know_what_befell_an_authority(house: House) -> None:
    reply = await revoke(house, cast.FO, held_by(house, cast.FO), Reason.CA_COMPROMISE.value)
    require_problem(reply, 403, "api/role-not-allowed")


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"reason":"certificateHold"}', b'{"reason":"keyCompromise","x":1}', b"[]"]
)
async def test_a_revocation_without_a_good_reason_is_refused(house: House, body: bytes) -> None:
    reply = await house.post(cast.OPS, f"/v1/credentials/{name_of(held_by(house, cast.FO))}/revocation", body)
    require_problem(reply, 400, "api/body-malformed")


async def test_revoked_then_token_still_cached(own_house: House) -> None:
    """The cached answer about a connection dies with the credential, whoever revoked it."""
    assert (await own_house.ask(cast.FO, "GET", "/v1/requests")).status == 200
    assert (await revoke(own_house, cast.OPS, held_by(own_house, cast.FO))).status == 201
    problem = require_problem(await own_house.ask(cast.FO, "GET", "/v1/requests"), 401, "api/credential-refused")
    assert problem.found == "pki/revoked"


async def test_a_revocation_that_is_asked_for_sixty_four_times_at_once_is_one(own_house: House) -> None:
    held = held_by(own_house, cast.RIVAL)
    replies = await asyncio.gather(*(revoke(own_house, cast.OPS, held) for _ in range(64)))
    assert {reply.status for reply in replies} == {201}
    assert len({reply.json()["revoked_at_ms"] for reply in replies}) == 1
