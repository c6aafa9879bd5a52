"""For tests of enrolment: requests as strangers make them, sent to a house over its application or a socket."""

import base64
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import NameOID

from api.cli.demo import cast
from api.web.routes.est import PKCS10, PREFIX
from pki import handover, keys
from pki.roles import Purpose
from tests.support.house import House, Reply

NEWCOMER: dict[str, Any] = {
    "role": "FO",
    "party_id": "FI-NEW",
    "organisation": "Newcomer Oy",
    "purposes": ["TLS_CLIENT"],
}


def pkcs10(
    key: ec.EllipticCurvePrivateKey,
    *,
    subject: x509.Name | None = None,
    extensions: Sequence[x509.ExtensionType] = (),
) -> bytes:
    """A certification request in DER."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject or x509.Name([]))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def handed_over(house: House, who: str, purpose: Purpose, new: ec.EllipticCurvePrivateKey) -> bytes:
    """What the key that a party holds for a purpose signs, so that `new` may follow it."""
    held = house.issued(who, purpose)
    issuer = keys.spki_sha256(house.made.hierarchy.authority_of(house.made.parties[who].role).signer.public_key())
    said = handover.message(issuer, held.certificate.serial_number, keys.spki_sha256(new.public_key()))
    return handover.prove(held.key, said)


def named(common_name: str) -> x509.Name:
    """A subject with a common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


async def invite(house: House, who: str = cast.OPS, **changes: Any) -> str:
    """A code for a newcomer, or for whom the changes say."""
    reply = await house.post(who, "/v1/credentials/invitations", {**NEWCOMER, **changes})
    assert reply.status == 201, reply.body
    code: str = reply.json()["code"]
    return code


async def enrol(house: House, code: str, request: bytes, *, label: str = "", headers: Any = ()) -> Reply:
    """simpleenroll, with the code in HTTP Basic."""
    basic = base64.b64encode(code.encode()).decode()
    sent = (("content-type", PKCS10), ("authorization", f"Basic {basic}"), *headers)
    return await house.ask(None, "POST", path("simpleenroll", label), base64.encodebytes(request), sent)


async def reenrol(
    house: House, who: str | bytes | None, request: bytes, *, label: str = "", proof: bytes | None = None
) -> Reply:
    """simplereenroll over the connection of a party, or of whoever has this certificate; `proof` is of a handover."""
    sent = [("content-type", PKCS10)]
    if proof is not None:
        sent.append((handover.HEADER, base64.b64encode(proof).decode()))
    return await house.ask(who, "POST", path("simplereenroll", label), base64.encodebytes(request), sent)


def path(operation: str, label: str = "") -> str:
    """The path of an operation of EST."""
    return f"{PREFIX}/{label}/{operation}" if label else f"{PREFIX}/{operation}"


def certificates(reply: Reply) -> list[x509.Certificate]:
    """What a certs-only answer holds."""
    assert reply.status == 200, reply.body
    assert reply.headers["content-transfer-encoding"] == "base64"
    assert reply.headers["content-type"].startswith("application/pkcs7-mime")
    return pkcs7.load_der_pkcs7_certificates(base64.b64decode(reply.body))


def certificate(reply: Reply) -> x509.Certificate:
    """The one certificate of an answer."""
    (found,) = certificates(reply)
    assert reply.headers["content-type"] == "application/pkcs7-mime; smime-type=certs-only"
    return found


def der(found: x509.Certificate) -> bytes:
    """As a client would show it in a handshake."""
    return found.public_bytes(Encoding.DER)
