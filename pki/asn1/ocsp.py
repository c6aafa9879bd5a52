"""OCSP requests and responses as octets (RFC 6960 section 4); nothing is authenticated here.

`cryptography` reads and writes them with one certificate only; clients may ask for several.
"""

import hashlib
from collections.abc import Callable, Sequence
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import Final

import msgspec
from cryptography.x509 import ObjectIdentifier

from pki.asn1 import tlv
from pki.asn1.der import MalformedDer, OversizeDer
from pki.asn1.tlv import Members

MAX_REQUEST_BYTES: Final = 8192
MAX_RESPONSE_BYTES: Final = 65_536
MAX_CERT_IDS: Final = 32
MAX_CERTIFICATES: Final = 4
MIN_NONCE_BYTES: Final = 1
MAX_NONCE_BYTES: Final = 128
"""Both: RFC 9654 section 2.1."""

NONCE: Final = ObjectIdentifier("1.3.6.1.5.5.7.48.1.2")
BASIC: Final = ObjectIdentifier("1.3.6.1.5.5.7.48.1.1")
INVALIDITY_DATE: Final = "2.5.29.24"
_SHA1: Final = "1.3.14.3.2.26"
_SHA256: Final = "2.16.840.1.101.3.4.2.1"
HASHES: Final[dict[str, Callable[[bytes], bytes]]] = {
    _SHA1: lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    _SHA256: lambda data: hashlib.sha256(data).digest(),
}
"""How a request may name an issuer; SHA-1 is what RFC 5019 clients send, and here it only finds, it proves nothing."""

_REQUEST: Final = "OCSP request"
_RESPONSE: Final = "OCSP response"
_NULL: Final = b"\x05\x00"
_BASIC_OID: Final = tlv.identifier(BASIC.dotted_string)
_RESPONDERS: Final = 64
_GOOD, _REVOKED, _UNKNOWN = (
    tlv.context(0, constructed=False),
    tlv.context(1),
    tlv.context(2, constructed=False),
)


class ResponseStatus(IntEnum):
    """OCSPResponseStatus."""

    SUCCESSFUL = 0
    MALFORMED_REQUEST = 1
    INTERNAL_ERROR = 2
    TRY_LATER = 3
    SIG_REQUIRED = 5
    UNAUTHORIZED = 6


class CertStatus(StrEnum):
    """CertStatus."""

    GOOD = "GOOD"
    REVOKED = "REVOKED"
    UNKNOWN = "UNKNOWN"


_SUCCESSFUL: Final = tlv.element(tlv.ENUMERATED, bytes((ResponseStatus.SUCCESSFUL,)))
_TAG_OF_STATUS: Final = {CertStatus.GOOD: _GOOD, CertStatus.REVOKED: _REVOKED, CertStatus.UNKNOWN: _UNKNOWN}


class CertId(msgspec.Struct, frozen=True):
    """A certificate as OCSP names it; `encoded` is the element as it was written, to be given back unchanged."""

    algorithm: str
    name_hash: bytes
    key_hash: bytes
    serial: int
    encoded: bytes

    def is_of(self, name: bytes, key_bits: bytes) -> bool:
        """Whether the issuer has this name (DER) and these key bits; never by an algorithm that is not in `HASHES`."""
        hashed = HASHES.get(self.algorithm)
        return hashed is not None and (hashed(name), hashed(key_bits)) == (self.name_hash, self.key_hash)


class OcspRequest(msgspec.Struct, frozen=True):
    """What is asked."""

    ids: tuple[CertId, ...]
    nonce: bytes | None


class Single(msgspec.Struct, frozen=True):
    """What a response says about one certificate; reasons are the numbers of CRLReason."""

    cert_id: CertId
    status: CertStatus
    this_update_ms: int
    next_update_ms: int | None
    revoked_at_ms: int | None = None
    reason: int | None = None
    invalid_from_ms: int | None = None


class ResponseData(msgspec.Struct, frozen=True):
    """The signed part. `responder` is the octets of a name or of a key hash, by `by_key`."""

    responder: bytes
    by_key: bool
    produced_at_ms: int
    singles: tuple[Single, ...]
    nonce: bytes | None


class OcspResponse(msgspec.Struct, frozen=True):
    """A successful response as it was read."""

    data: ResponseData
    tbs: bytes
    signature_oid: str
    signature: bytes
    certificates: tuple[bytes, ...]


def cert_id(name: bytes, key_bits: bytes, serial: int, *, sha1: bool = False) -> CertId:
    """How to ask for the certificate with this serial number of the issuer with this name and these key bits."""
    algorithm = _SHA1 if sha1 else _SHA256
    hashed = HASHES[algorithm]
    name_hash, key_hash = hashed(name), hashed(key_bits)
    encoded = tlv.sequence(
        tlv.sequence(tlv.identifier(algorithm), _NULL), tlv.octets(name_hash), tlv.octets(key_hash), tlv.integer(serial)
    )
    return CertId(algorithm, name_hash, key_hash, serial, encoded)


def encode_request(ids: Sequence[CertId], nonce: bytes | None) -> bytes:
    """OCSPRequest, unsigned."""
    requests = tlv.sequence(*(tlv.sequence(one.encoded) for one in ids))
    extensions = b"" if nonce is None else tlv.element(tlv.context(2), tlv.sequence(_nonce_extension(nonce)))
    return tlv.sequence(tlv.sequence(requests, extensions))


def parse_request(data: bytes) -> OcspRequest:
    """What `data` asks; a signature on it is not looked at, for anybody may ask.

    Raises OversizeDer over 8 kB, else MalformedDer: for more than 32 certificates or none, for a nonce that is not of
    1 to 128 octets (RFC 9654 section 2.1), for a critical extension that is not the nonce.
    """
    if len(data) > MAX_REQUEST_BYTES:
        raise OversizeDer("the OCSP request is too large", expected=f"at most {MAX_REQUEST_BYTES}", found=len(data))
    whole = Members(tlv.only(data, tlv.SEQUENCE, _REQUEST), _REQUEST)
    tbs = Members(whole.take(tlv.SEQUENCE), _REQUEST)
    whole.optional(tlv.context(0))  # optionalSignature
    whole.end()
    tbs.optional(tlv.context(1))  # requestorName
    found = tlv.children(tbs.take(tlv.SEQUENCE), _REQUEST)
    extensions = tbs.optional(tlv.context(2))
    tbs.end()
    if not 1 <= len(found) <= MAX_CERT_IDS:
        raise MalformedDer("the OCSP request asks too much", expected=f"1 to {MAX_CERT_IDS}", found=len(found))
    ids = tuple(_requested(tag, content) for tag, content, _ in found)
    return OcspRequest(ids, None if extensions is None else _nonce_in(extensions, _REQUEST))


def encode_data(data: ResponseData) -> bytes:
    """ResponseData: the octets that the responder signs."""
    singles = tlv.sequence(*map(_encode_single, data.singles))
    nonce = b"" if data.nonce is None else tlv.element(tlv.context(1), tlv.sequence(_nonce_extension(data.nonce)))
    return tlv.sequence(
        _responder(data.responder, data.by_key), tlv.generalized_time(data.produced_at_ms), singles, nonce
    )


def assemble(tbs: bytes, signature_oid: str, signature: bytes, certificates: Sequence[bytes]) -> bytes:
    """OCSPResponse around the signed `tbs`, with the certificates (DER) that prove the responder's right."""
    basic = tlv.sequence(tbs, _algorithm(signature_oid), tlv.bits(signature), _inclusion(tuple(certificates)))
    body = tlv.sequence(_BASIC_OID, tlv.octets(basic))
    return tlv.sequence(_SUCCESSFUL, tlv.element(tlv.context(0), body))


# What every answer of one responder says again is written once.


@lru_cache(maxsize=_RESPONDERS)
def _responder(named: bytes, by_key: bool) -> bytes:  # a field of `ResponseData`
    return tlv.element(tlv.context(2), tlv.octets(named)) if by_key else tlv.element(tlv.context(1), named)


@lru_cache(maxsize=_RESPONDERS)
def _inclusion(certificates: tuple[bytes, ...]) -> bytes:
    return tlv.element(tlv.context(0), tlv.sequence(*certificates)) if certificates else b""


@lru_cache(maxsize=_RESPONDERS)
def _algorithm(signature_oid: str) -> bytes:
    return tlv.sequence(tlv.identifier(signature_oid))


def unsuccessful(status: ResponseStatus) -> bytes:
    """OCSPResponse that is no answer; such are not signed."""
    return tlv.sequence(_status(status))


def status_of(data: bytes) -> ResponseStatus:
    """The status of the OCSPResponse in `data`; MalformedDer, OversizeDer."""
    if len(data) > MAX_RESPONSE_BYTES:
        raise OversizeDer("the OCSP response is too large", expected=f"at most {MAX_RESPONSE_BYTES}", found=len(data))
    members = Members(tlv.only(data, tlv.SEQUENCE, _RESPONSE), _RESPONSE)
    number = tlv.read_integer(members.take(tlv.ENUMERATED), _RESPONSE)
    if number not in set(ResponseStatus):
        raise MalformedDer("the OCSP response has an unknown status", found=number)
    if number != ResponseStatus.SUCCESSFUL:
        members.end()
    return ResponseStatus(number)


def parse_response(data: bytes) -> OcspResponse:
    """The successful response in `data`; raises MalformedDer, OversizeDer, and MalformedDer for one without answer."""
    if status_of(data) is not ResponseStatus.SUCCESSFUL:
        raise MalformedDer("the OCSP response has no answer")
    members = Members(tlv.only(data, tlv.SEQUENCE, _RESPONSE), _RESPONSE)
    members.take(tlv.ENUMERATED)
    body = Members(tlv.only(members.take(tlv.context(0)), tlv.SEQUENCE, _RESPONSE), _RESPONSE)
    members.end()
    if tlv.read_identifier(body.take(tlv.OBJECT_IDENTIFIER), _RESPONSE) != BASIC.dotted_string:
        raise MalformedDer("the OCSP response is not a basic one")
    basic = Members(tlv.only(body.take(tlv.OCTET_STRING), tlv.SEQUENCE, _RESPONSE), _RESPONSE)
    body.end()
    tbs = basic.whole(tlv.SEQUENCE)
    algorithm = Members(basic.take(tlv.SEQUENCE), _RESPONSE)
    signature_oid = tlv.read_identifier(algorithm.take(tlv.OBJECT_IDENTIFIER), _RESPONSE)
    algorithm.end()  # no parameters with ECDSA: RFC 5758 section 3.2
    signature = tlv.read_bits(basic.take(tlv.BIT_STRING), _RESPONSE)
    included = basic.optional(tlv.context(0))
    basic.end()
    return OcspResponse(_data(tbs), tbs, signature_oid, signature, _included(included))


def _included(content: bytes | None) -> tuple[bytes, ...]:
    if content is None:
        return ()
    found = tlv.children(tlv.only(content, tlv.SEQUENCE, _RESPONSE), _RESPONSE)
    if not 1 <= len(found) <= MAX_CERTIFICATES:
        raise MalformedDer("the OCSP response has too many certificates", expected=f"at most {MAX_CERTIFICATES}")
    return tuple(whole for _, _, whole in found)


def _data(tbs: bytes) -> ResponseData:
    members = Members(tlv.only(tbs, tlv.SEQUENCE, _RESPONSE), _RESPONSE)
    tag, responder = members.next()
    by_key = tag == tlv.context(2)
    if not by_key and tag != tlv.context(1):
        raise MalformedDer("the OCSP response does not name its responder")
    if by_key:
        responder = tlv.only(responder, tlv.OCTET_STRING, _RESPONSE)
    produced_at_ms = tlv.read_time(members.take(tlv.GENERALIZED_TIME), _RESPONSE)
    singles = tuple(_single(tag, content) for tag, content, _ in tlv.children(members.take(tlv.SEQUENCE), _RESPONSE))
    extensions = members.optional(tlv.context(1))
    members.end()
    nonce = None if extensions is None else _nonce_in(extensions, _RESPONSE)
    return ResponseData(responder, by_key, produced_at_ms, singles, nonce)


def _encode_single(single: Single) -> bytes:
    said = b""
    if single.revoked_at_ms is not None:
        reason = b"" if single.reason is None else tlv.element(tlv.ENUMERATED, bytes((single.reason,)))
        said = tlv.generalized_time(single.revoked_at_ms) + (tlv.element(tlv.context(0), reason) if reason else b"")
    until = b""
    if single.next_update_ms is not None:
        until = tlv.element(tlv.context(0), tlv.generalized_time(single.next_update_ms))
    more = b""
    if single.invalid_from_ms is not None:
        value = tlv.generalized_time(single.invalid_from_ms)
        more = tlv.element(tlv.context(1), tlv.sequence(tlv.extension(ObjectIdentifier(INVALIDITY_DATE), value)))
    begun = tlv.generalized_time(single.this_update_ms)
    return tlv.sequence(single.cert_id.encoded, tlv.element(_TAG_OF_STATUS[single.status], said), begun, until, more)


def _single(tag: int, content: bytes) -> Single:
    if tag != tlv.SEQUENCE:
        raise MalformedDer("the OCSP response has an answer that is none")
    members = Members(content, _RESPONSE)
    named = _cert_id(members.whole(tlv.SEQUENCE), _RESPONSE)
    status, revoked_at_ms, reason = _cert_status(*members.next())
    this_update_ms = tlv.read_time(members.take(tlv.GENERALIZED_TIME), _RESPONSE)
    until = members.optional(tlv.context(0))
    extensions = members.optional(tlv.context(1))
    members.end()
    return Single(
        cert_id=named,
        status=status,
        this_update_ms=this_update_ms,
        next_update_ms=None if until is None else _only_time(until),
        revoked_at_ms=revoked_at_ms,
        reason=reason,
        invalid_from_ms=None if extensions is None else _invalid_from(extensions),
    )


def _cert_status(tag: int, content: bytes) -> tuple[CertStatus, int | None, int | None]:
    if tag in {_GOOD, _UNKNOWN} and not content:
        return (CertStatus.GOOD if tag == _GOOD else CertStatus.UNKNOWN), None, None
    if tag != _REVOKED:
        raise MalformedDer("the OCSP response has a status that there is not")
    members = Members(content, _RESPONSE)
    at_ms = tlv.read_time(members.take(tlv.GENERALIZED_TIME), _RESPONSE)
    reason = members.optional(tlv.context(0))
    members.end()
    number = None if reason is None else tlv.read_integer(tlv.only(reason, tlv.ENUMERATED, _RESPONSE), _RESPONSE)
    return CertStatus.REVOKED, at_ms, number


def _invalid_from(content: bytes) -> int | None:
    """The invalidity date among the extensions of one answer; MalformedDer for another one that is critical."""
    found = tlv.read_extensions(tlv.only(content, tlv.SEQUENCE, _RESPONSE), _RESPONSE)
    if any(critical for oid, (critical, _) in found.items() if oid != INVALIDITY_DATE):
        raise MalformedDer("the OCSP response has a critical extension that is not known")
    return _only_time(found[INVALIDITY_DATE][1]) if INVALIDITY_DATE in found else None


def _only_time(content: bytes) -> int:
    return tlv.read_time(tlv.only(content, tlv.GENERALIZED_TIME, _RESPONSE), _RESPONSE)


def _requested(tag: int, content: bytes) -> CertId:
    if tag != tlv.SEQUENCE:
        raise MalformedDer("the OCSP request asks for something that is no certificate")
    members = Members(content, _REQUEST)
    named = _cert_id(members.whole(tlv.SEQUENCE), _REQUEST)
    extensions = members.optional(tlv.context(0))
    members.end()
    if extensions is not None:
        found = tlv.read_extensions(tlv.only(extensions, tlv.SEQUENCE, _REQUEST), _REQUEST)
        if any(critical for critical, _ in found.values()):
            raise MalformedDer("the OCSP request has a critical extension that is not known")
    return named


def _cert_id(whole: bytes, what: str) -> CertId:
    members = Members(tlv.only(whole, tlv.SEQUENCE, what), what)
    algorithm = Members(members.take(tlv.SEQUENCE), what)
    oid = tlv.read_identifier(algorithm.take(tlv.OBJECT_IDENTIFIER), what)
    if algorithm.optional(tlv.NULL):
        raise MalformedDer(f"the {what} has parameters of a digest that there are not")
    algorithm.end()
    name_hash, key_hash = members.take(tlv.OCTET_STRING), members.take(tlv.OCTET_STRING)
    serial = tlv.read_integer(members.take(tlv.INTEGER), what)
    members.end()
    return CertId(oid, name_hash, key_hash, serial, whole)


def _nonce_in(content: bytes, what: str) -> bytes | None:
    found = tlv.read_extensions(tlv.only(content, tlv.SEQUENCE, what), what)
    if any(critical for oid, (critical, _) in found.items() if oid != NONCE.dotted_string):
        raise MalformedDer(f"the {what} has a critical extension that is not known")
    if NONCE.dotted_string not in found:
        return None
    nonce = tlv.only(found[NONCE.dotted_string][1], tlv.OCTET_STRING, what)
    if not MIN_NONCE_BYTES <= len(nonce) <= MAX_NONCE_BYTES:
        raise MalformedDer(f"the {what} has a nonce of a wrong length", expected="1 to 128", found=len(nonce))
    return nonce


def _nonce_extension(nonce: bytes) -> bytes:
    return tlv.extension(NONCE, tlv.octets(nonce))


def _status(status: ResponseStatus) -> bytes:
    return tlv.element(tlv.ENUMERATED, bytes((status,)))
