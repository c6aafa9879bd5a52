"""Lists, authorities' certificates and OCSP as anybody gets them over HTTP, and how soon a revocation is seen there."""

import asyncio
import base64
import shutil
import subprocess
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from typing import cast as cast_to
from urllib.parse import quote

import httpx2
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID

from api.app import create_app
from api.cli.demo import cast
from api.cli.serve import status_listener
from api.flows.status import AuthorityUnknown, StatusDesk
from api.settings import StatusListen
from api.web.routes import status as routes
from ledger.clock import SetClock, SystemClock
from ledger.records import statement
from ledger.records.credentials import CREDENTIAL_STREAM, CredentialIssued, CredentialRevoked
from pki import ocsp, rollover, status
from pki.asn1 import ocsp as octets
from pki.asn1.ocsp import CertStatus, ResponseStatus
from pki.ceremony import Ceremony
from pki.keys import KeyFileAbsent
from pki.roles import Group, Purpose
from pki.status import Scope, StatusSet
from pki.store.records import Reason
from pki.trust import encoded
from tests.support import house as houses
from tests.support.house import House, Reply, asgi, require_problem

pytestmark = pytest.mark.slow  # takes seconds

CLIENT = Purpose.TLS_CLIENT
OCSP = (("content-type", routes.OCSP_REQUEST),)
NAMES = ("root", *(group.lower() for group in Group))


@pytest.fixture(scope="module")
def made() -> Ceremony:
    return houses.perform()


@pytest.fixture
async def door(tmp_path: Path, made: Ceremony) -> AsyncIterator[House]:
    async with House.open(tmp_path, made) as opened:
        yield opened


def _issuer(door: House, group: Group = Group.FO) -> x509.Certificate:
    found: x509.Certificate = door.made.hierarchy.issuing[group].certificate
    return found


def _serial(door: House, purpose: Purpose = CLIENT) -> int:
    return int(door.issued(cast.FO, purpose).certificate.serial_number)


async def _revoke(door: House, purpose: Purpose = CLIENT) -> None:
    office = door.service.office
    assert office is not None
    held = office.store.get(office.hierarchy.issuing[Group.FO].key_sha256, _serial(door, purpose))
    await office.revoke(held, Reason.KEY_COMPROMISE)


async def _ask(door: House, question: ocsp.Question) -> Reply:
    return await door.ask(None, "POST", "/pki/ocsp", question.der, OCSP)


def _now_ms() -> int:
    return SystemClock().now_ms()


@pytest.mark.parametrize("name", NAMES)
async def test_everybody_gets_every_authoritys_list_and_certificate(door: House, name: str) -> None:
    certificate = await door.ask(None, "GET", f"/pki/{name}.crt")
    assert (certificate.status, certificate.headers["content-type"]) == (200, "application/pkix-cert")
    issuer = x509.load_der_x509_certificate(certificate.body)
    crl = await door.ask(None, "GET", f"/pki/{name}.crl")
    assert (crl.status, crl.headers["content-type"]) == (200, "application/pkix-crl")
    scope = Scope.AUTHORITY if name == "root" else Scope.USER
    assert StatusSet([crl.body]).crl_for(issuer, _now_ms(), scope)
    assert (await door.ask(None, "GET", f"/crl/{name}.crl")).body == crl.body


async def test_the_list_is_where_certificates_say_that_it_is(door: House) -> None:
    leaf = door.issued(cast.FO, CLIENT).certificate
    for certificate in (leaf, _issuer(door)):
        point = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value[0]
        assert point.full_name is not None
        path = str(point.full_name[0].value).partition("://")[2].partition("/")[2]
        assert (await door.ask(None, "GET", f"/{path}")).status == 200


async def test_issuer_and_responder_are_where_certificates_say_that_they_are(door: House) -> None:
    leaf = door.issued(cast.FO, CLIENT).certificate
    issuing = _issuer(door)
    root = door.made.hierarchy.root.certificate
    for certificate, issuer in ((leaf, issuing), (issuing, root)):
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
        paths = {
            one.access_method: one.access_location.value.removeprefix("http://pki.flexledger.example") for one in access
        }
        reply = await door.ask(None, "GET", paths[AuthorityInformationAccessOID.CA_ISSUERS])
        assert (reply.status, reply.body) == (200, encoded(issuer))
        if certificate is leaf:
            question = ocsp.ask(issuing, (leaf.serial_number,))
            answer = await door.ask(None, "POST", paths[AuthorityInformationAccessOID.OCSP], question.der, OCSP)
            assert ocsp.answered(question, answer.body, _now_ms())[leaf.serial_number].status is CertStatus.GOOD


def test_every_generation_of_an_authority_has_an_address_of_its_own(made: Ceremony) -> None:
    now_ms = _now_ms()
    rolled, second = rollover.follow_issuing(made.hierarchy, Group.FO, now_ms=now_ms)
    lists = rolled.crl(now_ms + 1000)
    directory = SimpleNamespace(
        anchors=rolled.anchors(),
        issuers=lambda: [encoded(one.certificate) for one in (*rolled.issuing.values(), *rolled.former)],
        status=StatusSet(lists.values()),
        on_evidence=lambda _told: None,
    )
    desk = StatusDesk(cast_to("Any", directory), None, SetClock(now_ms + 1000))
    for name, authority in (("fo", rolled.former[0]), ("fo-g2", second)):
        assert desk.certificate(name) == authority.certificate
        assert desk.crl(name).der == lists[name]
    with pytest.raises(AuthorityUnknown):
        desk.certificate("fo-g3")


async def test_headers_say_from_when_and_until_when(door: House) -> None:
    reply = await door.ask(None, "GET", "/pki/fo.crl")
    crl = x509.load_der_x509_crl(reply.body)
    assert parsedate_to_datetime(reply.headers["last-modified"]) == crl.last_update_utc
    assert parsedate_to_datetime(reply.headers["expires"]) == crl.next_update_utc
    assert reply.headers["cache-control"] == "public, max-age=60, must-revalidate"
    for asked in (("if-none-match", reply.headers["etag"]), ("if-modified-since", reply.headers["last-modified"])):
        again = await door.ask(None, "GET", "/pki/fo.crl", headers=(asked,))
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", reply.headers["etag"])
    older = ("if-modified-since", "Mon, 01 Jan 2024 00:00:00 GMT")
    assert (await door.ask(None, "GET", "/pki/fo.crl", headers=(older,))).status == 200
    unreadable = ("if-modified-since", "yesterday")
    assert (await door.ask(None, "GET", "/pki/fo.crl", headers=(unreadable,))).status == 200
    head = await door.ask(None, "HEAD", "/pki/fo.crl")
    assert (head.status, head.body, head.headers["etag"]) == (200, b"", reply.headers["etag"])


@pytest.mark.parametrize("path", ["/pki/nobody.crl", "/pki/nobody.crt", "/pki/fo.pem", "/pki/fo", "/crl/fo.crt"])
async def test_what_there_is_not_is_a_problem(door: House, path: str) -> None:
    require_problem(await door.ask(None, "GET", path), 404, "api/authority-unknown")


async def test_ocsp_is_answered_for_what_the_office_issued(door: House) -> None:
    question = ocsp.ask(_issuer(door), (_serial(door), 7))
    reply = await _ask(door, question)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/ocsp-response")
    assert reply.headers["cache-control"] == "no-store"
    authentic = ocsp.authenticate(reply.body, _issuer(door))
    assert [one.status for one in authentic.singles] == [CertStatus.GOOD, CertStatus.UNKNOWN]
    assert authentic.nonce == question.nonce


async def test_a_signer_is_made_when_somebody_asks_and_is_on_record(door: House) -> None:
    before = door.size()
    question = ocsp.ask(_issuer(door), (_serial(door),), with_nonce=False)
    for _ in range(2):
        assert (await _ask(door, question)).status == 200
    said = [door.entry(index) for index in range(before, door.size())]
    records = [statement.parse_statement(entry.stmt).record for entry in said if entry.stream == CREDENTIAL_STREAM]
    assert [type(record).__name__ for record in records] == ["CredentialIntended", "CredentialIssued"]
    assert isinstance(records[1], CredentialIssued)


def _forms(der: bytes) -> dict[str, str]:
    text = base64.b64encode(der).decode()
    return {
        "escaped": quote(text, safe=""),
        "as it is": text,
        "without padding": text.rstrip("="),
        "escaped without padding": quote(text.rstrip("="), safe=""),
    }


@pytest.mark.parametrize("form", ["escaped", "as it is", "without padding", "escaped without padding"])
async def test_ocsp_get_with_padding_or_without(door: House, form: str) -> None:
    # Serial numbers until the base64 has each of the characters that paths and forms treat specially.
    serials = (_serial(door), *range(1, 12))
    ders = [ocsp.ask(_issuer(door), (serial,), with_nonce=False).der for serial in serials]
    texts = "".join(base64.b64encode(der).decode() for der in ders)
    assert {"+", "/", "="} <= set(texts)
    for serial, der in zip(serials, ders, strict=True):
        reply = await door.ask(None, "GET", f"/pki/ocsp/{_forms(der)[form]}")
        assert reply.status == 200
        single = ocsp.authenticate(reply.body, _issuer(door)).about(serial)
        assert single.status is (CertStatus.GOOD if serial == serials[0] else CertStatus.UNKNOWN)


async def test_an_answer_without_nonce_may_be_cached_as_rfc_5019_says(door: House) -> None:
    path = f"/pki/ocsp/{_forms(ocsp.ask(_issuer(door), (_serial(door),), with_nonce=False).der)['escaped']}"
    reply = await door.ask(None, "GET", path)
    single = ocsp.authenticate(reply.body, _issuer(door)).about(_serial(door))
    assert reply.headers["cache-control"] == "public, max-age=60, must-revalidate, no-transform"
    assert parsedate_to_datetime(reply.headers["last-modified"]).timestamp() * 1000 == single.this_update_ms
    assert single.next_update_ms is not None
    assert parsedate_to_datetime(reply.headers["expires"]).timestamp() * 1000 == single.next_update_ms
    again = await door.ask(None, "GET", path, headers=(("if-none-match", reply.headers["etag"]),))
    assert again.status == 304


def _get_path(door: House, serial: int, *, with_nonce: bool = False) -> str:
    question = ocsp.ask(_issuer(door), (serial,), with_nonce=with_nonce)
    return f"/pki/ocsp/{_forms(question.der)['escaped']}"


def _count_answers(door: House, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The requests that come to the handler from here on."""
    asked: list[bytes] = []
    answer = door.service.status.answer

    async def counted(request: bytes) -> Any:
        asked.append(request)
        return await answer(request)

    monkeypatch.setattr(door.service.status, "answer", counted)
    return asked


async def test_what_was_answered_a_moment_ago_is_given_again_octet_for_octet_without_the_handler(
    door: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ms = _now_ms()
    monkeypatch.setattr(door.service.status, "now_ms", lambda: now_ms)
    asked = _count_answers(door, monkeypatch)
    path = _get_path(door, _serial(door))
    first, again = [await door.ask(None, "GET", path) for _ in range(2)]
    assert (again.status, again.headers, again.body) == (first.status, first.headers, first.body)
    assert (first.status, len(asked)) == (200, 1)
    head = await door.ask(None, "HEAD", path)
    assert (head.status, head.headers, head.body) == (200, first.headers, b"")
    assert len(asked) == 1


async def test_a_revocation_ends_an_answer_that_was_given_again(door: House, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _count_answers(door, monkeypatch)
    path = _get_path(door, _serial(door))
    _, good = [await door.ask(None, "GET", path) for _ in range(2)]
    assert len(asked) == 1
    assert ocsp.authenticate(good.body, _issuer(door)).about(_serial(door)).status is CertStatus.GOOD
    await _revoke(door)
    reply = await door.ask(None, "GET", path)
    assert ocsp.authenticate(reply.body, _issuer(door)).about(_serial(door)).status is CertStatus.REVOKED


async def test_what_is_for_one_caller_is_never_given_again(door: House, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _count_answers(door, monkeypatch)
    path = _get_path(door, _serial(door), with_nonce=True)
    for _ in range(2):
        assert (await door.ask(None, "GET", path)).headers["cache-control"] == "no-store"
    assert len(asked) == 2


async def test_answers_that_are_given_again_are_counted_for_their_callers_rate(door: House) -> None:
    few = msgspec.structs.replace(door.settings.limits, requests_per_s=1, burst=3)
    door.service.settings = msgspec.structs.replace(door.settings, limits=few)
    door.app = create_app(door.service).app
    path = _get_path(door, _serial(door))
    replies = [await door.ask(None, "GET", path) for _ in range(5)]
    assert [one.status for one in replies[:3]] == [200, 200, 200]
    require_problem(replies[-1], 429, "api/rate-limited")


async def test_only_so_many_heads_are_remembered(door: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MAX_HEADS", 3)
    made = routes.GivenAgain(lambda: door.service.status)
    for serial in range(1, 9):
        path = _get_path(door, serial)
        assert (await door.ask(None, "GET", path)).status == 200
        assert made._head(cast_to("Any", {"raw_path": path.encode(), "headers": []})) is not None
        assert len(made._heads) <= 3


@pytest.mark.parametrize("encoded", ["!!!", "MAA", "a" * 9000])
async def test_ocsp_get_of_something_else_is_a_malformed_request(door: House, encoded: str) -> None:
    reply = await door.ask(None, "GET", f"/pki/ocsp/{encoded}")
    assert octets.status_of(reply.body) is ResponseStatus.MALFORMED_REQUEST


async def test_ocsp_get_with_a_nul_in_its_address_is_a_bad_request(door: House) -> None:
    require_problem(await door.ask(None, "GET", "/pki/ocsp/%00"), 400, "api/request-malformed")


async def test_ocsp_post_of_another_media_type_is_refused(door: House) -> None:
    require_problem(await door.ask(None, "POST", "/pki/ocsp", b"{}"), 415, "api/media-type-unsupported")


async def test_ocsp_post_of_another_authority_is_unauthorized(door: House) -> None:
    stranger = houses.perform().hierarchy.issuing[Group.FO].certificate
    reply = await _ask(door, ocsp.ask(stranger, (7,)))
    assert octets.status_of(reply.body) is ResponseStatus.UNAUTHORIZED


async def test_revoke_then_crl_and_ocsp_and_ledger_say_it_together(door: House) -> None:
    question = ocsp.ask(_issuer(door), (_serial(door),), with_nonce=False)
    assert ocsp.answered(question, (await _ask(door, question)).body, _now_ms())[_serial(door)].status == "GOOD"
    before = await door.ask(None, "GET", "/pki/fo.crl")
    epoch = door.service.directory.epoch
    await _revoke(door)
    found = ocsp.answered(question, (await _ask(door, question)).body, _now_ms())[_serial(door)]
    assert (found.status, found.reason) == (CertStatus.REVOKED, 1)
    after = await door.ask(None, "GET", "/pki/fo.crl")
    assert x509.load_der_x509_crl(after.body).get_revoked_certificate_by_serial_number(_serial(door)) is not None
    assert after.headers["etag"] != before.headers["etag"]
    (said,) = [
        record
        for index in range(door.size())
        if door.entry(index).stream == CREDENTIAL_STREAM
        and isinstance(record := statement.parse_statement(door.entry(index).stmt).record, CredentialRevoked)
    ]
    assert int(said.serial, 16) == _serial(door)
    assert door.service.directory.epoch > epoch
    with pytest.raises(status.Revoked):
        door.service.directory.validate(door.issued(cast.FO, CLIENT).chain[0], _now_ms(), purpose=CLIENT)


async def test_revoked_then_still_cached_is_refused_on_the_same_connection(door: House) -> None:
    assert (await door.ask(cast.FO, "GET", "/v1/requests/none")).status == 404  # let in, and remembered
    await _revoke(door)
    require_problem(await door.ask(cast.FO, "GET", "/v1/requests/none"), 401, "api/credential-refused")


async def test_without_a_signer_it_is_try_later_and_the_office_is_left_alone_for_a_while(door: House) -> None:
    asked = []

    def never(_authority: Any, now_ms: int) -> Any:
        asked.append(now_ms)
        raise KeyFileAbsent("the token is not there")

    desk: StatusDesk = door.service.status
    desk._responder._make = never
    for _ in range(3):
        reply = await _ask(door, ocsp.ask(_issuer(door), (_serial(door),)))
        assert octets.status_of(reply.body) is ResponseStatus.TRY_LATER
    assert len(asked) == 1


async def test_the_plain_listener_has_nothing_else(door: House) -> None:
    app = routes.plain_app(door.app)
    assert (await asgi(app, None, "GET", "/pki/fo.crl")).status == 200
    for path in ("/v1/requests", "/checkpoint", "/", "/openapi.json", "/pkix"):
        require_problem(await asgi(app, None, "GET", path), 404, "api/route-unknown")


async def test_on_the_wire_an_answer_has_one_date(door: House) -> None:
    settings = msgspec.structs.replace(door.settings, status_listen=StatusListen(port=0))
    async with (
        status_listener(settings, door.app, asyncio.Event()) as port,
        httpx2.AsyncClient(trust_env=False) as http,
    ):
        for path in ("/pki/fo.crl", _get_path(door, _serial(door)), _get_path(door, _serial(door))):
            reply = await http.get(f"http://127.0.0.1:{port}{path}")
            assert (reply.status_code, len(reply.headers.get_list("date"))) == (200, 1)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl command")
async def test_openssl_asks_the_plain_listener(door: House, tmp_path: Path) -> None:
    for name, certificate in (
        ("root.pem", door.made.hierarchy.root.certificate),
        ("fo.pem", _issuer(door)),
        ("leaf.pem", door.issued(cast.FO, CLIENT).certificate),
    ):
        (tmp_path / name).write_bytes(x509.load_der_x509_certificate(encoded(certificate)).public_bytes(Encoding.PEM))
    settings = msgspec.structs.replace(door.settings, status_listen=StatusListen(port=0))
    async with status_listener(settings, door.app, asyncio.Event()) as port:
        for expected in ("good", "revoked"):
            arguments = ["ocsp", "-CAfile", "root.pem", "-verify_other", "fo.pem", "-issuer", "fo.pem"]
            arguments += ["-cert", "leaf.pem", "-url", f"http://127.0.0.1:{port}/pki/ocsp"]
            done = await asyncio.to_thread(
                subprocess.run,
                ["openssl", *arguments],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            assert "Response verify OK" in done.stderr, done.stderr
            assert f"leaf.pem: {expected}" in done.stdout
            await _revoke(door)
