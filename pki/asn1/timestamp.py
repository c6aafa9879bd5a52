"""Time-stamp requests, responses and tokens as octets (RFC 3161, RFC 5652, RFC 5816); nothing is authenticated here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pki.asn1 import tlv
from pki.asn1.der import MalformedDer, OversizeDer
from pki.asn1.tlv import Members

MAX_RESPONSE_BYTES: Final = 65_536
MAX_CERTIFICATES: Final = 8
MAX_FRACTION_DIGITS: Final = 9
_SET: Final = 0x31
_MILLIS: Final = tlv.context(0, constructed=False)
_MICROS: Final = tlv.context(1, constructed=False)

SIGNED_DATA: Final = "1.2.840.113549.1.7.2"
TST_INFO: Final = "1.2.840.113549.1.9.16.1.4"
CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"
SIGNING_CERTIFICATE: Final = "1.2.840.113549.1.9.16.2.12"
SIGNING_CERTIFICATE_V2: Final = "1.2.840.113549.1.9.16.2.47"
SHA256: Final = "2.16.840.1.101.3.4.2.1"

_REQUEST: Final = "time-stamp request"
_RESPONSE: Final = "time-stamp response"
_TOKEN: Final = "time-stamp token"  # noqa: S105 -- not a password
_GRANTED: Final = frozenset({0, 1})


@dataclass(frozen=True, slots=True)
class TstInfo:
    """What a time-stamping authority says: these octets existed at this time."""

    policy: str
    hash_oid: str
    imprint: bytes
    serial: int
    at_ms: int
    accuracy_ms: int
    """By how much the time may be wrong, rounded up; 0 where the authority does not say."""
    nonce: int | None
    encoded: bytes
    """The TSTInfo as it stands in the token."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token with one signer, taken apart. Attributes are by object identifier, each with its one value."""

    info: TstInfo
    certificates: tuple[bytes, ...]
    signer: bytes
    """IssuerAndSerialNumber, or the key identifier, as it stands there with its tag."""
    digest_oid: str
    digest_algorithm: bytes
    """The AlgorithmIdentifier's content, as it stands there; so is that of the signature."""
    signature_oid: str
    signature_algorithm: bytes
    signature: bytes
    signed_attributes: bytes
    """As they were signed: with the tag of a SET."""
    attributes: dict[str, bytes]


def encode_request(imprint: bytes, nonce: int, policy: str | None = None) -> bytes:
    """A TimeStampReq for a SHA-256 digest, which asks for the signer's certificate, and for a policy by its OID."""
    hashed = tlv.sequence(tlv.sequence(tlv.identifier(SHA256), tlv.element(tlv.NULL)), tlv.octets(imprint))
    asked = () if policy is None else (tlv.identifier(policy),)
    return tlv.sequence(tlv.integer(1), hashed, *asked, tlv.integer(nonce), tlv.element(tlv.BOOLEAN, b"\xff"))


def encode_minimal(token: Token, certificates: Sequence[bytes]) -> bytes:
    """The token with these certificates and nothing else that its signature does not cover (RFC 5652, section 5)."""
    signer_info = tlv.sequence(
        tlv.integer(1),
        token.signer,
        tlv.element(tlv.SEQUENCE, token.digest_algorithm),
        tlv.element(tlv.context(0), tlv.only(token.signed_attributes, _SET, _TOKEN)),
        tlv.element(tlv.SEQUENCE, token.signature_algorithm),
        tlv.octets(token.signature),
    )
    content = tlv.sequence(tlv.identifier(TST_INFO), tlv.element(tlv.context(0), tlv.octets(token.info.encoded)))
    signed = tlv.sequence(
        tlv.integer(3),
        tlv.element(_SET, tlv.element(tlv.SEQUENCE, token.digest_algorithm)),
        content,
        tlv.element(tlv.context(0), b"".join(sorted(certificates))),
        tlv.element(_SET, signer_info),
    )
    return tlv.sequence(tlv.identifier(SIGNED_DATA), tlv.element(tlv.context(0), signed))


def token_of(response: bytes) -> bytes:
    """The token in a TimeStampResp; raises MalformedDer, also where the authority granted nothing, and OversizeDer."""
    if len(response) > MAX_RESPONSE_BYTES:
        raise OversizeDer("the response is too large", expected=f"at most {MAX_RESPONSE_BYTES}", found=len(response))
    members = Members(tlv.only(response, tlv.SEQUENCE, _RESPONSE), _RESPONSE)
    status = tlv.read_integer(Members(members.take(tlv.SEQUENCE), _RESPONSE).take(tlv.INTEGER), _RESPONSE)
    if status not in _GRANTED:
        raise MalformedDer("the time-stamping authority granted nothing", expected="status 0 or 1", found=status)
    token = members.whole(tlv.SEQUENCE)
    members.end()
    return token


def decode_token(data: bytes) -> Token:
    """The token; raises MalformedDer, OversizeDer."""
    if len(data) > MAX_RESPONSE_BYTES:
        raise OversizeDer("the token is too large", expected=f"at most {MAX_RESPONSE_BYTES}", found=len(data))
    outer = Members(tlv.only(data, tlv.SEQUENCE, _TOKEN), _TOKEN)
    _require(outer.take(tlv.OBJECT_IDENTIFIER), SIGNED_DATA)
    signed = Members(tlv.only(outer.take(tlv.context(0)), tlv.SEQUENCE, _TOKEN), _TOKEN)
    outer.end()
    signed.take(tlv.INTEGER)
    signed.take(_SET)
    content = Members(signed.take(tlv.SEQUENCE), _TOKEN)
    _require(content.take(tlv.OBJECT_IDENTIFIER), TST_INFO)
    info = tlv.only(content.take(tlv.context(0)), tlv.OCTET_STRING, _TOKEN)
    content.end()
    certificates = _certificates(signed.optional(tlv.context(0)))
    signed.optional(tlv.context(1))
    signers = tlv.children(signed.take(_SET), _TOKEN)
    signed.end()
    if len(signers) != 1 or signers[0][0] != tlv.SEQUENCE:
        raise MalformedDer("a token has one signer", expected=1, found=len(signers))
    return _signed(_info(info), certificates, Members(signers[0][1], _TOKEN))


def cert_hashes(attribute: bytes, *, is_v2: bool) -> tuple[str, bytes]:
    """Algorithm and digest of the first certificate that a SigningCertificate attribute names (RFC 2634, RFC 5035)."""
    listed = Members(tlv.only(attribute, tlv.SEQUENCE, _TOKEN), _TOKEN).take(tlv.SEQUENCE)
    first = Members(Members(listed, _TOKEN).take(tlv.SEQUENCE), _TOKEN)
    algorithm = first.optional(tlv.SEQUENCE) if is_v2 else None
    digest = first.take(tlv.OCTET_STRING)
    if algorithm is None:
        return (SHA256 if is_v2 else "1.3.14.3.2.26"), digest
    return _oid(algorithm), digest


def _signed(info: TstInfo, certificates: tuple[bytes, ...], members: Members) -> Token:
    members.take(tlv.INTEGER)
    tag, sid = members.next()
    digest = members.take(tlv.SEQUENCE)
    attributes = members.take(tlv.context(0))
    signature_algorithm = members.take(tlv.SEQUENCE)
    signature = members.take(tlv.OCTET_STRING)
    members.optional(tlv.context(1))
    members.end()
    return Token(
        info=info,
        certificates=certificates,
        signer=tlv.element(tag, sid),
        digest_oid=_oid(digest),
        digest_algorithm=digest,
        signature_oid=_oid(signature_algorithm),
        signature_algorithm=signature_algorithm,
        signature=signature,
        signed_attributes=tlv.element(_SET, attributes),
        attributes=_attributes(attributes),
    )


def _info(encoded: bytes) -> TstInfo:
    members = Members(tlv.only(encoded, tlv.SEQUENCE, _TOKEN), _TOKEN)
    if tlv.read_integer(members.take(tlv.INTEGER), _TOKEN) != 1:
        raise MalformedDer("another version of TSTInfo", expected=1)
    policy = tlv.read_identifier(members.take(tlv.OBJECT_IDENTIFIER), _TOKEN)
    hashed = Members(members.take(tlv.SEQUENCE), _TOKEN)
    hash_oid, imprint = _oid(hashed.take(tlv.SEQUENCE)), hashed.take(tlv.OCTET_STRING)
    hashed.end()
    serial = tlv.read_integer(members.take(tlv.INTEGER), _TOKEN)
    at_ms = _time(members.take(tlv.GENERALIZED_TIME))
    accuracy_ms = _accuracy(members.optional(tlv.SEQUENCE))
    members.optional(tlv.BOOLEAN)
    nonce = members.optional(tlv.INTEGER)
    members.optional(tlv.context(0))
    if members.optional(tlv.context(1)) is not None:
        raise MalformedDer("an extension of TSTInfo that nobody knows")
    members.end()
    number = None if nonce is None else tlv.read_integer(nonce, _TOKEN)
    return TstInfo(policy, hash_oid, imprint, serial, at_ms, accuracy_ms, number, encoded)


def _accuracy(content: bytes | None) -> int:
    """RFC 3161, section 2.4.2: seconds, thousandths and millionths of one, each left out where it is zero."""
    if content is None:
        return 0
    members = Members(content, _TOKEN)
    parts = [
        0 if found is None else tlv.read_integer(found, _TOKEN)
        for found in (members.optional(tag) for tag in (tlv.INTEGER, _MILLIS, _MICROS))
    ]
    members.end()
    seconds, millis, micros = parts
    if seconds < 0 or not 0 <= millis < 1000 or not 0 <= micros < 1000:
        raise MalformedDer("the token has an accuracy that there is not")
    return 1000 * seconds + millis + (micros > 0)


def _time(content: bytes) -> int:
    """RFC 3161 allows a fraction of a second, without zeros at its end; what is below a millisecond is cut off."""
    whole, dot, fraction = content.removesuffix(b"Z").partition(b".")
    if dot and (not fraction.isdigit() or fraction.endswith(b"0") or len(fraction) > MAX_FRACTION_DIGITS):
        raise MalformedDer("the token has a time with a broken fraction")
    return tlv.read_time(whole + content[-1:], _TOKEN) + int((fraction + b"000")[:3])


def _certificates(content: bytes | None) -> tuple[bytes, ...]:
    found = tuple(whole for tag, _, whole in tlv.children(content or b"", _TOKEN) if tag == tlv.SEQUENCE)
    if len(found) > MAX_CERTIFICATES:
        raise MalformedDer("the token has too many certificates", expected=MAX_CERTIFICATES, found=len(found))
    return found


def _attributes(content: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for tag, inner, _ in tlv.children(content, _TOKEN):
        if tag != tlv.SEQUENCE:
            raise MalformedDer("the token has an attribute that is none")
        members = Members(inner, _TOKEN)
        oid = tlv.read_identifier(members.take(tlv.OBJECT_IDENTIFIER), _TOKEN)
        values = tlv.children(members.take(_SET), _TOKEN)
        members.end()
        if len(values) != 1 or oid in found:
            raise MalformedDer("the token has an attribute twice")
        found[oid] = values[0][2]
    return found


def _oid(algorithm: bytes) -> str:
    return tlv.read_identifier(Members(algorithm, _TOKEN).take(tlv.OBJECT_IDENTIFIER), _TOKEN)


def _require(content: bytes, oid: str) -> None:
    if tlv.read_identifier(content, _TOKEN) != oid:
        raise MalformedDer("the token holds something else", expected=oid)
