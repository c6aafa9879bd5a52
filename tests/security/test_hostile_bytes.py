"""Bytes that no honest client sends are the sender's fault: a refusal with a code, never an internal error."""

import base64
import sys
from typing import Any

import pytest
import websockets.datastructures
import websockets.http11
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.cli.demo import cast
from api.execution.errors import StationRefused
from api.execution.ocpp.access import Doorkeeper, StationIdentity
from api.web.routes.est import PKCS10
from ledger.records.requests import RequestIssued
from pki import keys
from tests.support import enrolling
from tests.support.house import House, require_problem

COMMON_NAME = bytes.fromhex("0603550403")
SAN = bytes.fromhex("0603551d11")
EXTENSION_REQUEST = bytes.fromhex("06092a864886f70d01090e")
ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")


def tlv(tag: int, value: bytes) -> bytes:
    length = len(value)
    octets = [length] if length < 128 else [0x81, length] if length < 256 else [0x82, *length.to_bytes(2)]
    return bytes([tag, *octets]) + value


def named(attribute: bytes, value: bytes) -> bytes:
    return tlv(0x30, tlv(0x31, tlv(0x30, attribute + value)))


def forged_request(subject: bytes, alternative_names: bytes | None = None) -> bytes:
    """A PKCS#10 that proves possession of its key and whose names are these octets."""
    key = keys.generate()
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    asked = b""
    if alternative_names is not None:
        extensions = tlv(0x30, tlv(0x30, SAN + tlv(0x04, alternative_names)))
        asked = tlv(0x30, EXTENSION_REQUEST + tlv(0x31, extensions))
    info = tlv(0x30, b"\x02\x01\x00" + subject + spki + tlv(0xA0, asked))
    signature = key.sign(info, ec.ECDSA(hashes.SHA256()))
    return tlv(0x30, info + ECDSA_SHA256 + tlv(0x03, b"\x00" + signature))


NOBODY = tlv(0x30, b"")
NAMES: dict[str, tuple[bytes, bytes | None]] = {
    "text that is not UTF-8": (named(COMMON_NAME, tlv(0x0C, b"\xff\xfe")), None),
    "an empty relative name": (tlv(0x30, tlv(0x31, b"")), None),
    "an X.400 address": (NOBODY, tlv(0x30, tlv(0xA3, tlv(0x30, b"")))),
    "an EDI party": (NOBODY, tlv(0x30, tlv(0xA5, tlv(0x30, b"")))),
    "three octets of an IP address": (NOBODY, tlv(0x30, tlv(0x87, b"abc"))),
}


@pytest.mark.parametrize("name", NAMES)
async def test_a_renewal_under_names_that_cannot_be_read_is_refused(door: House, name: str) -> None:
    reply = await enrolling.reenrol(door, cast.FO, forged_request(*NAMES[name]))
    require_problem(reply, 403, "api/renewal-refused")


async def test_a_renewal_that_names_nobody_is_still_served(door: House) -> None:
    enrolling.certificate(await enrolling.reenrol(door, cast.FO, forged_request(NOBODY)))


@pytest.mark.parametrize("header", ["Basic \xe9\xe9", "Basic", "Basic ====", "Basic /////w==", "B\xe9sic YTpi"])
async def test_a_code_that_cannot_be_read_is_refused(door: House, header: str) -> None:
    sent = [("content-type", PKCS10), ("authorization", header)]
    reply = await door.ask(None, "POST", enrolling.path("simpleenroll"), base64.b64encode(b"request"), sent)
    require_problem(reply, 401, "api/code-refused")


@pytest.mark.parametrize("header", ["Basic \xe9\xe9", "Basic ====", "Basic /////w=="])
async def test_a_stations_password_that_cannot_be_read_is_refused(header: str) -> None:
    nobody: Any = None
    keeper = Doorkeeper(check_password=lambda user, _password: StationIdentity(user))
    request = websockets.http11.Request("/ocpp/CS-1", websockets.datastructures.Headers({"Authorization": header}))
    with pytest.raises(StationRefused):
        await keeper.admit(nobody, request)


@pytest.mark.parametrize(
    "since",
    [
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 99999999999999999999 Jan 2020 00:00:00 GMT",
        "Mon, 01 Jan 2020 00:00:00 +99999999999999999999",
        "Mon, 01 Jan 2020 00:00:00 -0000",
        "\xe9",
    ],
)
async def test_a_date_that_is_none_does_not_keep_anybody_from_a_revocation_list(door: House, since: str) -> None:
    reply = await door.ask(None, "GET", "/pki/fo.crl", headers=[("if-modified-since", since)])
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/pkix-crl"


@pytest.mark.parametrize("heard", ["9" * 17, "9" * 5_000, "-1", "1e3", "\xb2"])
async def test_a_last_event_that_is_no_index_is_refused(door: House, heard: str) -> None:
    reply = await door.ask(cast.FO, "GET", "/v1/events", headers=[("last-event-id", heard)])
    require_problem(reply, 400, "api/request-malformed")


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize("depth", [1_000, 100_000])
async def test_a_record_nested_without_end_is_refused(door: House, opening: bytes, closing: bytes, depth: int) -> None:
    nested = opening * depth + b"1" + closing * depth
    head = b'{"type":"%s","stream":"fsr/x","x5t":"%s","record":{"a":' % (RequestIssued.TYPE.encode(), b"a" * 43)
    reply = await door.post(cast.FO, "/v1/statements/prepare", head + nested + b"}}")
    # How deep the interpreter reads differs by its version; beyond that the record's schema refuses.
    is_read = depth == 1_000 and sys.version_info >= (3, 12)
    require_problem(reply, 400, "ledger/record-malformed" if is_read else "api/body-malformed")
