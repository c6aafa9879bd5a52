"""Asking and believing OCSP (RFC 6960 section 3.2, RFC 5019, RFC 9654): who answered, about what, and for how long.

A response is believed if the issuer signed it itself, or a responder that the issuer made for nothing else: directly
under it, with the usage OCSPSigning alone, with nocheck, within its own window. What it says then holds between its
times and nowhere else. No network, no clock.
"""

import hashlib
import secrets
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from pki import keys, oids
from pki.asn1 import ocsp as octets
from pki.asn1.der import MalformedDer, OversizeDer
from pki.asn1.ocsp import CertStatus, OcspResponse, ResponseStatus, Single
from pki.errors import Refused

NONCE_BYTES: Final = 32
"""RFC 9654 section 2.1: what a client sends."""

_DIGESTS: Final[dict[str, hashes.HashAlgorithm]] = {
    oids.ECDSA_WITH_SHA256.dotted_string: hashes.SHA256(),
    oids.ECDSA_WITH_SHA384.dotted_string: hashes.SHA384(),
}
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension)


class OcspMalformed(Refused):
    """Not an OCSP response in DER, or too large."""

    code = "pki/ocsp-malformed"
    title = "OCSP response cannot be read"


class OcspNotAnswered(Refused):
    """The responder did not answer: try later, not its authority, or it did not understand."""

    code = "pki/ocsp-not-answered"
    title = "OCSP responder did not answer"


class OcspSignature(Refused):
    """The signature of the response is not its responder's, or of an algorithm that is not allowed."""

    code = "pki/ocsp-signature"
    title = "OCSP response is not authentic"


class OcspResponder(Refused):
    """Whoever signed has no right to speak for this issuer (RFC 6960 section 4.2.2.2)."""

    code = "pki/ocsp-responder"
    title = "OCSP responder not authorised"


class OcspOtherCertificate(Refused):
    """The response is about other certificates, or about the same serial number of another issuer."""

    code = "pki/ocsp-other-certificate"
    title = "OCSP response is about something else"


class OcspNotInForce(Refused):
    """The response is stale, from the future, or does not say until when it holds."""

    code = "pki/ocsp-not-in-force"
    title = "OCSP response is not in force"


class OcspNonce(Refused):
    """The nonce that was asked for is absent or another one: the response may be replayed."""

    code = "pki/ocsp-nonce"
    title = "OCSP nonce missing or wrong"


class OcspUnknown(Refused):
    """The responder does not know the certificate: neither good nor revoked."""

    code = "pki/ocsp-unknown"
    title = "OCSP responder does not know the certificate"


class Question(msgspec.Struct, frozen=True):
    """A request (DER), and what its answer must match."""

    der: bytes
    issuer: x509.Certificate
    serials: tuple[int, ...]
    nonce: bytes | None


class Authentic(msgspec.Struct, frozen=True):
    """A response that may be believed about certificates of one issuer; `digest` is its SHA-256 (hex).

    It counts from `available_ms` on, which is when it was made and not when it says that something was known.
    """

    digest: str
    nonce: bytes | None
    available_ms: int
    responder_until_ms: int
    singles: tuple[Single, ...]

    def about(self, serial: int) -> Single:
        """What it says about this certificate; the newest if it says it twice. Raises OcspOtherCertificate."""
        found = [single for single in self.singles if single.cert_id.serial == serial]
        if not found:
            raise OcspOtherCertificate("the response says nothing about this certificate")
        return max(found, key=lambda single: (single.this_update_ms, single.status is CertStatus.REVOKED))

    def narrowed(self, serial: int) -> "Authentic":
        """The same with what it says about this certificate alone."""
        return msgspec.structs.replace(self, singles=tuple(one for one in self.singles if one.cert_id.serial == serial))

    def until_ms(self, single: Single) -> int | None:
        """Until when `single` holds: never longer than its responder; None if the response does not say."""
        if single.next_update_ms is None:
            return None
        return min(single.next_update_ms, self.responder_until_ms)

    def require_in_force(self, single: Single, at_ms: int) -> int:
        """Until when `single` holds, at `at_ms` within its times; or OcspNotInForce."""
        until_ms = self.until_ms(single)
        if until_ms is None:
            raise OcspNotInForce("the response does not say until when it holds")
        if not self.available_ms <= at_ms <= until_ms:
            raise OcspNotInForce(
                "the response does not hold at this time", expected=f"{self.available_ms} to {until_ms}", found=at_ms
            )
        return until_ms


def ask(issuer: x509.Certificate, serials: tuple[int, ...], *, with_nonce: bool = True) -> Question:
    """A request about certificates of `issuer`, by SHA-256, with a fresh nonce of 32 octets."""
    name, key_bits = issuer.subject.public_bytes(), key_bits_of(issuer)
    nonce = secrets.token_bytes(NONCE_BYTES) if with_nonce else None
    ids = [octets.cert_id(name, key_bits, serial) for serial in serials]
    return Question(octets.encode_request(ids, nonce), issuer, serials, nonce)


def answered(question: Question, data: bytes, at_ms: int) -> dict[int, Single]:
    """What the response in `data` says about every certificate of `question`, by serial number: GOOD or REVOKED.

    Raises what `authenticate` raises, OcspNonce, OcspOtherCertificate, OcspNotInForce, and OcspUnknown: a certificate
    that nobody knows is not good.
    """
    authentic = authenticate(data, question.issuer)
    if question.nonce is not None and authentic.nonce != question.nonce:
        raise OcspNonce("the nonce of the response is not the one that was sent")
    found: dict[int, Single] = {}
    for serial in question.serials:
        single = authentic.about(serial)
        authentic.require_in_force(single, at_ms)
        if single.status is CertStatus.UNKNOWN:
            raise OcspUnknown("the responder does not know the certificate")
        found[serial] = single
    return found


def authenticate(data: bytes, issuer: x509.Certificate) -> Authentic:
    """The response in `data`, if `issuer` or a responder of its own signed it; only what is about its certificates.

    Raises OcspMalformed, OcspNotAnswered, OcspSignature, OcspResponder, OcspOtherCertificate if it is about none, and
    OcspNotInForce if its times contradict each other.
    """
    response = _read(data)
    responder = _responder(response, issuer)
    _require_signature(response, responder)
    name, key_bits = issuer.subject.public_bytes(), key_bits_of(issuer)
    singles = tuple(single for single in response.data.singles if single.cert_id.is_of(name, key_bits))
    if not singles:
        raise OcspOtherCertificate("the response is about no certificate of this issuer")
    produced_at_ms = response.data.produced_at_ms
    latest_ms = min((single.next_update_ms for single in singles if single.next_update_ms is not None), default=None)
    newest_ms = max(single.this_update_ms for single in singles)
    if newest_ms > produced_at_ms or (latest_ms is not None and latest_ms < produced_at_ms):
        raise OcspNotInForce("the response was made outside of its own times", found=produced_at_ms)
    until_ms = _window(responder, produced_at_ms)
    return Authentic(hashlib.sha256(data).hexdigest(), response.data.nonce, produced_at_ms, until_ms, singles)


def key_bits_of(certificate: x509.Certificate) -> bytes:
    """The key's BIT STRING without tag, length and unused bits: what issuerKeyHash and byKey are hashes of."""
    key = keys.require_authority_key(keys.key_of(certificate))
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def responder_id(certificate: x509.Certificate) -> bytes:
    """byKey: the SHA-1 of the responder's key bits (RFC 6960 section 4.2.1)."""
    return hashlib.sha1(key_bits_of(certificate), usedforsecurity=False).digest()


def _read(data: bytes) -> OcspResponse:
    try:
        status = octets.status_of(data)
        if status is not ResponseStatus.SUCCESSFUL:
            raise OcspNotAnswered("the responder did not answer", found=status.name.lower())
        return octets.parse_response(data)
    except (MalformedDer, OversizeDer) as error:
        raise OcspMalformed(error.detail, expected=error.expected, found=error.found) from error


def _responder(response: OcspResponse, issuer: x509.Certificate) -> x509.Certificate:
    """The certificate of whoever the response says has signed it: the issuer's, or one that it may believe."""
    if _is_named(response, issuer):
        return issuer
    for der in response.certificates:
        try:
            certificate = x509.load_der_x509_certificate(der)
            named = _is_named(response, certificate)
        except (*_UNREADABLE, keys.WeakKey):
            continue
        if named:
            _require_delegated(certificate, issuer)
            return certificate
    raise OcspResponder("the response does not come with the certificate of its responder")


def _is_named(response: OcspResponse, certificate: x509.Certificate) -> bool:
    own = responder_id(certificate) if response.data.by_key else certificate.subject.public_bytes()
    return own == response.data.responder


def _require_delegated(responder: x509.Certificate, issuer: x509.Certificate) -> None:
    """Directly under `issuer`, for OCSP alone, and never itself asked about (RFC 6960 section 4.2.2.2)."""
    try:
        responder.verify_directly_issued_by(issuer)
        extensions = {extension.oid: extension.value for extension in responder.extensions}
        critical = {extension.oid for extension in responder.extensions if extension.critical}
    except (*_UNREADABLE, InvalidSignature) as error:
        raise OcspResponder("the responder's certificate is not of this issuer") from error
    usages = extensions.get(ExtensionOID.EXTENDED_KEY_USAGE)
    if not isinstance(usages, x509.ExtendedKeyUsage) or list(usages) != [ExtendedKeyUsageOID.OCSP_SIGNING]:
        raise OcspResponder("the responder's key is not for signing OCSP responses, and for nothing else")
    if ExtensionOID.OCSP_NO_CHECK not in extensions:
        raise OcspResponder("whether the responder was revoked would have to be asked: it has no nocheck")
    usage, constraints = extensions.get(ExtensionOID.KEY_USAGE), extensions.get(ExtensionOID.BASIC_CONSTRAINTS)
    if not isinstance(usage, x509.KeyUsage) or not usage.digital_signature or usage.key_cert_sign:
        raise OcspResponder("the responder's key usage is not digitalSignature")
    if isinstance(constraints, x509.BasicConstraints) and constraints.ca:
        raise OcspResponder("the responder is an authority itself")
    if critical - {ExtensionOID.KEY_USAGE, ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.EXTENDED_KEY_USAGE}:
        raise OcspResponder("the responder's certificate has a critical extension that is not known")


def _require_signature(response: OcspResponse, responder: x509.Certificate) -> None:
    digest = _DIGESTS.get(response.signature_oid)
    if digest is None:
        raise OcspSignature("the response is signed with an algorithm that is not allowed")
    key = keys.require_authority_key(keys.key_of(responder))
    try:
        key.verify(response.signature, response.tbs, ec.ECDSA(digest))
    except InvalidSignature as error:
        raise OcspSignature("the response is not signed by its responder") from error


def _window(responder: x509.Certificate, produced_at_ms: int) -> int:
    """Until when the responder may speak; OcspResponder unless it might when it did."""
    begins_ms = int(responder.not_valid_before_utc.timestamp()) * 1000
    ends_ms = int(responder.not_valid_after_utc.timestamp()) * 1000
    if not begins_ms <= produced_at_ms <= ends_ms:
        raise OcspResponder("the responder's certificate was not valid then", found=produced_at_ms)
    return ends_ms
