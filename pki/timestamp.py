"""RFC 3161: an authority that knows neither us nor the log says that a digest existed at a time; checked offline.

Whether the authority's certificate was revoked is not asked: the policy names whom to believe, and a token outlives the
lists of its day.
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from pki import keys, path
from pki.asn1 import timestamp, tlv
from pki.asn1.timestamp import Token
from pki.errors import Refused

MAX_CHAIN: Final = 6
MAX_NONCE_BITS: Final = 64

_HASHES: Final[dict[str, Callable[[], hashes.HashAlgorithm]]] = {
    "2.16.840.1.101.3.4.2.1": hashes.SHA256,
    "2.16.840.1.101.3.4.2.2": hashes.SHA384,
    "2.16.840.1.101.3.4.2.3": hashes.SHA512,
}
_SIGNATURES: Final[dict[str, Callable[[], hashes.HashAlgorithm]]] = {
    "1.2.840.113549.1.1.11": hashes.SHA256,
    "1.2.840.113549.1.1.12": hashes.SHA384,
    "1.2.840.113549.1.1.13": hashes.SHA512,
    "1.2.840.10045.4.3.2": hashes.SHA256,
    "1.2.840.10045.4.3.3": hashes.SHA384,
    "1.2.840.10045.4.3.4": hashes.SHA512,
}
_RSA_ENCRYPTION: Final = "1.2.840.113549.1.1.1"


class TimestampRefused(Refused):
    """The token does not prove that these octets existed at its time, under the authorities that are trusted."""

    code = "pki/timestamp-refused"
    title = "Time stamp does not verify"


@dataclass(frozen=True, slots=True)
class VerifiedTimestamp:
    """The octets with this digest existed at `at_ms`, says the authority, give or take `accuracy_ms`."""

    at_ms: int
    accuracy_ms: int
    serial: int
    policy: str
    authority: str


def request(imprint: bytes, nonce: int, *, policy: str | None = None) -> bytes:
    """The request for a SHA-256 digest, to be posted as `application/timestamp-query` to any authority.

    With `policy`, for a stamp under the policy with this object identifier.
    """
    if len(imprint) != hashlib.sha256().digest_size or not 0 < nonce < 1 << MAX_NONCE_BITS:
        raise TimestampRefused("not a SHA-256 digest, or no nonce", expected="32 octets, up to 64 bits")
    return timestamp.encode_request(imprint, nonce, policy)


def open_response(response: bytes, *, imprint: bytes, nonce: int, roots: Sequence[x509.Certificate]) -> bytes:
    """The token in the answer to our own request, verified; raises as `verify_token` does."""
    token = timestamp.token_of(response)
    if timestamp.decode_token(token).info.nonce != nonce:
        raise TimestampRefused("the answer is to another request", expected=nonce)
    verify_token(token, imprint=imprint, roots=roots)
    return token


def verify_token(token: bytes, *, imprint: bytes, roots: Sequence[x509.Certificate]) -> VerifiedTimestamp:
    """What the token says about the SHA-256 digest `imprint`, once its signer's path leads to one of `roots`.

    RFC 3161, section 2.4.2: the signer is named by hash in the signed attributes, and its certificate serves for
    nothing but time stamps. Raises TimestampRefused; MalformedDer, OversizeDer or a path error for what is malformed.
    """
    found = timestamp.decode_token(token)
    if found.info.hash_oid != timestamp.SHA256 or not hmac.compare_digest(found.info.imprint, imprint):
        raise TimestampRefused(
            "the time stamp is for other octets", expected=imprint.hex(), found=found.info.imprint.hex()
        )
    certificates = [path.load(der) for der in found.certificates]
    signer = _signer(found, certificates)
    _require_attributes(found, signer)
    _require_signature(found, signer)
    _require_purpose(signer)
    _path(signer, certificates, roots, found.info.at_ms)
    info = found.info
    return VerifiedTimestamp(info.at_ms, info.accuracy_ms, info.serial, info.policy, signer.subject.rfc4514_string())


def minimal(token: bytes, *, roots: Sequence[x509.Certificate]) -> bytes:
    """The same token with the certificates of its path and nothing else that nobody signed.

    In what is left every octet counts: a token that differs from its minimal form carries what could be changed
    unnoticed. Raises as `verify_token` does.
    """
    found = timestamp.decode_token(token)
    certificates = [path.load(der) for der in found.certificates]
    chain = _path(_signer(found, certificates), certificates, roots, found.info.at_ms)
    return timestamp.encode_minimal(found, [one.public_bytes(Encoding.DER) for one in chain if one not in roots])


def anchor_of(token: bytes, *, roots: Sequence[x509.Certificate]) -> x509.Certificate:
    """The root to which the token's path leads; raises as `verify_token` does."""
    found = timestamp.decode_token(token)
    certificates = [path.load(der) for der in found.certificates]
    return _path(_signer(found, certificates), certificates, roots, found.info.at_ms)[-1]


def _signer(token: Token, certificates: Sequence[x509.Certificate]) -> x509.Certificate:
    for certificate in certificates:
        named = tlv.sequence(certificate.issuer.public_bytes(), tlv.integer(certificate.serial_number))
        if token.signer == named:
            return certificate
    raise TimestampRefused("the signer's certificate is not in the token", expected="certReq in the request")


def _require_attributes(token: Token, signer: x509.Certificate) -> None:
    """What is signed is this TSTInfo, by this certificate and not another one of the same key."""
    attributes = token.attributes
    if attributes.get(timestamp.CONTENT_TYPE) != tlv.identifier(timestamp.TST_INFO):
        raise TimestampRefused("the signature is over something else than a time stamp")
    digest = _digest(_hash(token.digest_oid), token.info.encoded)
    if attributes.get(timestamp.MESSAGE_DIGEST) != tlv.octets(digest):
        raise TimestampRefused("the signature is over another time stamp")
    is_v2 = timestamp.SIGNING_CERTIFICATE_V2 in attributes
    named = attributes.get(timestamp.SIGNING_CERTIFICATE_V2 if is_v2 else timestamp.SIGNING_CERTIFICATE)
    if named is None:
        raise TimestampRefused("the signature does not name its certificate", expected="SigningCertificate")
    oid, expected = timestamp.cert_hashes(named, is_v2=is_v2)
    # SHA-1 only says which certificate is meant; the path below is what is believed.
    algorithm = _hash(oid) if is_v2 else hashes.SHA1()  # noqa: S303
    if not hmac.compare_digest(signer.fingerprint(algorithm), expected):
        raise TimestampRefused("the signature names another certificate")


def _require_signature(token: Token, signer: x509.Certificate) -> None:
    made = _SIGNATURES.get(token.signature_oid)
    algorithm = _hash(token.digest_oid) if token.signature_oid == _RSA_ENCRYPTION else made() if made else None
    key = keys.key_of(signer)
    try:
        if isinstance(key, rsa.RSAPublicKey) and algorithm is not None:
            key.verify(token.signature, token.signed_attributes, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm is not None:
            key.verify(token.signature, token.signed_attributes, ec.ECDSA(algorithm))
        else:
            raise TimestampRefused("a kind of signature that is not read", expected="RSA or ECDSA with SHA-2")
    except InvalidSignature:
        raise TimestampRefused("the authority's signature is wrong") from None


def _require_purpose(signer: x509.Certificate) -> None:
    """RFC 3161, section 2.3: one extended key usage, and critical."""
    try:
        usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        raise TimestampRefused("the signer's certificate does not say what for") from None
    if not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise TimestampRefused(
            "the signer's certificate is not for time stamps alone", expected="critical timeStamping"
        )


def _path(
    signer: x509.Certificate, certificates: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], at_ms: int
) -> list[x509.Certificate]:
    """From the signer up to a root, each valid at the time of the stamp and allowed to issue the one below."""
    current, found = signer, list[x509.Certificate]()
    for _ in range(MAX_CHAIN):
        path.require_window(current, at_ms)
        found.append(current)
        if current in roots:
            return found
        issuer = next((one for one in (*roots, *certificates) if _issued(current, one)), None)
        if issuer is None or issuer == current:
            break
        current = issuer
    raise TimestampRefused("no path leads from the signer to an authority that is trusted")


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound):
        return False
    return bool(constraints.ca) and usage.key_cert_sign


def _hash(oid: str) -> hashes.HashAlgorithm:
    if oid not in _HASHES:
        raise TimestampRefused("a digest that is not read", expected="SHA-256, SHA-384 or SHA-512")
    return _HASHES[oid]()


def _digest(algorithm: hashes.HashAlgorithm, data: bytes) -> bytes:
    hasher = hashes.Hash(algorithm)
    hasher.update(data)
    return hasher.finalize()
