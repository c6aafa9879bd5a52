"""`flexledger enroll`: the first credentials of a party, fetched with a code, and one file that says where they are."""

import base64
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from api.cli.files import read_file
from api.cli.pki_offline import DONE, MAX_FILE_BYTES, answered, certificate_in, save_chain, say
from api.cli.words import one_of
from api.client import party as parties
from api.client.errors import AnswerMalformed
from api.client.http import Request, Transport
from api.errors import Refused
from pki import keys
from pki.errors import PkiError
from pki.names import parse_identity_uri
from pki.roles import Purpose

EST: Final = "/.well-known/est"
ROOT: Final = "root.pem"
MAX_ANSWER_BYTES: Final = 262_144
"""A few certificates in base64."""
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    UserWarning,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
DEFAULT: Final = (Purpose.TLS_CLIENT, Purpose.SIGNING)


class _About(msgspec.Struct, frozen=True, kw_only=True):
    """Which log it is, as the service itself says over the connection to which it proved its name."""

    origin: str
    vkey: str


class FolderTaken(Refused):
    """There is something already where credentials should be put."""

    code = "api/enroll-folder-taken"
    title = "Folder is not empty"


def run(code: str, *, service: str, ca: Path, out: Path, purposes: list[str], json: bool) -> int:
    """Exit code 0 when key and certificate of every purpose are in `out`, 2 when one could not be had.

    Keys are made first and stay: who runs it again in the same folder asks again with the same keys.
    """
    return answered(lambda: _enroll(code, service, ca, out, purposes, json), json=json)


def _enroll(code: str, service: str, ca: Path, out: Path, purposes: list[str], json: bool) -> int:
    wanted = [one_of(Purpose, one) for one in purposes] or list(DEFAULT)
    party, role = fetch(code, service=service, ca=ca, out=out, purposes=wanted)
    at = parties.FILE if Purpose.TLS_CLIENT in wanted else _certificate(out, wanted[0]).name
    document = {"party": party, "role": role, "folder": out.name, "purposes": [str(one) for one in wanted]}
    say(document, f"enrolled {role} {party}: {', '.join(wanted).lower()} in {out / at}", json=json)
    return DONE


def fetch(code: str, *, service: str, ca: Path, out: Path, purposes: Sequence[Purpose]) -> tuple[str, str]:
    """Key and certificate of every purpose are in `out`, with `party.toml` if it can connect; the party and its role.

    Raises `FolderTaken`, or what the service answered.
    """
    if (out / parties.FILE).exists():
        raise FolderTaken("somebody is enrolled there already", file=parties.FILE)
    if Purpose.TLS_CLIENT not in purposes and all(_certificate(out, one).exists() for one in purposes):
        raise FolderTaken("somebody is enrolled there already", file=_certificate(out, purposes[0]).name)
    certificate_in(ca)
    roots = read_file(ca, MAX_FILE_BYTES)
    os.umask(0o077)
    out.mkdir(parents=True, exist_ok=True)
    with Transport(service, ca=ca) as transport:
        about = transport.request(Request("GET", "/.well-known/flexledger")).decode(_About)
        authorities = certificates_in(transport.request(Request("GET", f"{EST}/cacerts")).body)
        issued = {purpose: _fetch(transport, code, purpose, out, authorities) for purpose in purposes}
    (out / ROOT).write_bytes(roots)
    party, role = _identity(next(iter(issued.values())))
    if Purpose.TLS_CLIENT in purposes:
        _party_file(out, service.rstrip("/"), about, party, role, purposes)
    return party, role


def _certificate(out: Path, purpose: Purpose) -> Path:
    return out / f"{purpose.lower()}.crt.pem"


def _key_file(out: Path, purpose: Purpose) -> Path:
    return out / f"{purpose.lower()}.key.pem"


def _fetch(
    transport: Transport, code: str, purpose: Purpose, out: Path, authorities: list[x509.Certificate]
) -> x509.Certificate:
    key = key_of_attempt(_key_file(out, purpose))
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    headers = {
        "content-type": "application/pkcs10",
        "authorization": f"Basic {base64.b64encode(code.encode()).decode()}",
    }
    body = base64.encodebytes(request.public_bytes(Encoding.DER))
    label = purpose.lower().replace("_", "-")
    answer = transport.request(Request("POST", f"{EST}/{label}/simpleenroll", body, headers, idempotent=True))
    found = certificates_in(answer.body)
    if len(found) != 1 or found[0].public_key() != key.public_key():
        raise AnswerMalformed("the answer is not the certificate that was asked for", expected="one, for this key")
    certificate = found[0]
    above = [one for one in authorities if one.subject == certificate.issuer]
    save_chain(_certificate(out, purpose), certificate, *above)
    return certificate


def key_of_attempt(path: Path) -> ec.EllipticCurvePrivateKey:
    """The key of an earlier attempt, for which the code may be spent already; else a new one."""
    if path.exists():
        return keys.load_private(path, None)
    key = keys.generate()
    keys.save_private(path, key, None)
    return key


def certificates_in(body: bytes) -> list[x509.Certificate]:
    """The certificates of an EST answer (certs-only PKCS#7 in base64), all of which can be read.

    Raises `AnswerMalformed`.
    """
    if len(body) > MAX_ANSWER_BYTES:
        raise AnswerMalformed("the answer is too large", expected=f"at most {MAX_ANSWER_BYTES} bytes", found=len(body))
    try:
        with warnings.catch_warnings():
            # What is no DER is read as BER otherwise, and what is crooked in a certificate passes with a remark.
            warnings.simplefilter("error", UserWarning)
            found = pkcs7.load_der_pkcs7_certificates(base64.b64decode(body))
            for one in found:
                # The library reads them when they are asked, and what is wrong with one is found out here.
                _ = (
                    one.subject,
                    one.issuer,
                    one.public_key(),
                    one.serial_number,
                    one.not_valid_after_utc,
                    one.extensions,
                )
    except _UNREADABLE:
        raise AnswerMalformed("the answer holds no certificates", expected="certs-only PKCS#7") from None
    return found


def _identity(certificate: x509.Certificate) -> tuple[str, str]:
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise AnswerMalformed("the certificate names nobody", expected="an identity URI") from None
    for uri in san.get_values_for_type(x509.UniformResourceIdentifier):
        try:
            identity, _ = parse_identity_uri(uri)
        except PkiError:
            continue
        return identity.party_id, identity.role.value
    raise AnswerMalformed("the certificate names nobody", expected="an identity URI")


def _party_file(out: Path, service: str, about: _About, party: str, role: str, purposes: Sequence[Purpose]) -> None:
    pairs = {
        one: parties.KeyPair(certificate=Path(_certificate(out, one).name), key=Path(_key_file(out, one).name))
        for one in purposes
    }
    made = parties.PartyFile(
        service=service,
        ca=Path(ROOT),
        origin=about.origin,
        vkeys=(about.vkey,),
        party=party,
        role=role,
        tls=pairs[Purpose.TLS_CLIENT],
        signing=pairs.get(Purpose.SIGNING),
    )
    parties.save(out / parties.FILE, made)
