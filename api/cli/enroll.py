"""`flexledger enroll`: the first credentials of a party, fetched with a code, and one file that says where they are."""

import base64
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from api.cli.pki_offline import DONE, answered, save_chain, say
from api.cli.words import one_of
from api.client.errors import AnswerMalformed
from api.client.http import Request, Transport
from api.errors import Refused
from pki import keys
from pki.errors import PkiError
from pki.names import parse_identity_uri
from pki.roles import Purpose

EST: Final = "/.well-known/est"
PARTY_FILE: Final = "party.toml"
DEFAULT: Final = (Purpose.TLS_CLIENT, Purpose.SIGNING)


class FolderTaken(Refused):
    """There is something already where credentials should be put."""

    code = "api/enroll-folder-taken"
    title = "Folder is not empty"


def run(code: str, *, service: str, ca: Path, out: Path, purposes: list[str], json: bool) -> int:
    """Exit code 0 when key and certificate of every purpose are in `out`, 2 when one could not be had.

    Keys are made first and stay: who runs it again in the same folder asks again with the same keys.
    """
    return answered(lambda: _enroll(code, service, ca, out, purposes, json))


def _enroll(code: str, service: str, ca: Path, out: Path, purposes: list[str], json: bool) -> int:
    wanted = [one_of(Purpose, one) for one in purposes] or list(DEFAULT)
    party, role = fetch(code, service=service, ca=ca, out=out, purposes=wanted)
    document = {"party": party, "role": role, "folder": out.name, "purposes": [str(one) for one in wanted]}
    say(document, f"enrolled {role} {party}: {', '.join(wanted).lower()} in {out / PARTY_FILE}", json=json)
    return DONE


def fetch(code: str, *, service: str, ca: Path, out: Path, purposes: Sequence[Purpose]) -> tuple[str, str]:
    """Key and certificate of every purpose, and `party.toml`, are in `out`; the party and its role.

    Raises `FolderTaken`, or what the service answered.
    """
    if (out / PARTY_FILE).exists():
        raise FolderTaken("somebody is enrolled there already", file=PARTY_FILE)
    os.umask(0o077)
    out.mkdir(parents=True, exist_ok=True)
    with Transport(service, ca=ca) as transport:
        about = transport.request(Request("GET", "/.well-known/flexledger")).json()
        authorities = _certificates(transport.request(Request("GET", f"{EST}/cacerts")).body)
        issued = {purpose: _fetch(transport, code, purpose, out, authorities) for purpose in purposes}
    (out / "root.pem").write_bytes(ca.read_bytes())
    party, role = _identity(next(iter(issued.values())))
    (out / PARTY_FILE).write_text(_party_file(service, str(about.get("origin", "")), party, role, purposes))
    return party, role


def _fetch(
    transport: Transport, code: str, purpose: Purpose, out: Path, authorities: list[x509.Certificate]
) -> x509.Certificate:
    key = _key(out / f"{purpose.lower()}.key.pem")
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    headers = {
        "content-type": "application/pkcs10",
        "authorization": f"Basic {base64.b64encode(code.encode()).decode()}",
    }
    body = base64.encodebytes(request.public_bytes(Encoding.DER))
    label = purpose.lower().replace("_", "-")
    answer = transport.request(Request("POST", f"{EST}/{label}/simpleenroll", body, headers, idempotent=True))
    (certificate,) = _certificates(answer.body)
    above = [one for one in authorities if one.subject == certificate.issuer]
    save_chain(out / f"{purpose.lower()}.crt.pem", certificate, *above)
    return certificate


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The key of an earlier attempt, for which the code may be spent already; else a new one."""
    if path.exists():
        return keys.load_private(path, None)
    key = keys.generate()
    keys.save_private(path, key, None)
    return key


def _certificates(body: bytes) -> list[x509.Certificate]:
    try:
        return pkcs7.load_der_pkcs7_certificates(base64.b64decode(body))
    except ValueError:
        raise AnswerMalformed("the answer holds no certificates", expected="certs-only PKCS#7") from None


def _identity(certificate: x509.Certificate) -> tuple[str, str]:
    san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    for uri in san.get_values_for_type(x509.UniformResourceIdentifier):
        try:
            identity, _ = parse_identity_uri(uri)
        except PkiError:
            continue
        return identity.party_id, identity.role.value
    raise AnswerMalformed("the certificate names nobody", expected="an identity URI")


def _party_file(service: str, origin: str, party: str, role: str, purposes: Sequence[Purpose]) -> str:
    """TOML: what a client of this party has to know; a JSON string is a TOML string."""

    def quoted(value: Any) -> str:
        return msgspec.json.encode(str(value)).decode()

    lines = [
        f"service = {quoted(service)}",
        f"origin = {quoted(origin)}",
        f"party = {quoted(party)}",
        f"role = {quoted(role)}",
        'ca = "root.pem"',
    ]
    for purpose in purposes:
        lines += ["", f"[{purpose.lower()}]", f'certificate = "{purpose.lower()}.crt.pem"']
        lines += [f'key = "{purpose.lower()}.key.pem"']
    return "\n".join(lines) + "\n"
