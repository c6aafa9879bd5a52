"""Attribute certificates of RFC 5755, in the one shape that we issue and accept.

Holder: `objectDigestInfo`. Issuer: v2Form with one directory name. One attribute, id-at-conformity or
id-at-installation, with one value. Extensions: the authority key identifier, and noRevAvail where no revocation list
speaks about it. ECDSA with SHA-256 or SHA-384. Everything else is refused, so a claim that targets another verifier,
carries a second attribute or a critical extension never gets further than here.
"""

import datetime as dt
from enum import StrEnum
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from pki import oids
from pki.asn1 import der

_WHAT = "attribute certificate"
_V2 = 1
_MAX_EXTENSIONS = 2
_TIME_FORMAT = "%Y%m%d%H%M%SZ"
MAX_SERIAL_BYTES = 20
_NULL: Final = b"\x05\x00"
_SIGNATURE_OIDS = {oids.ECDSA_WITH_SHA256.dotted_string, oids.ECDSA_WITH_SHA384.dotted_string}


class Attribute(StrEnum):
    """What an attribute certificate states; the value is the attribute's object identifier."""

    CONFORMITY = oids.AT_CONFORMITY.dotted_string
    INSTALLATION = oids.AT_INSTALLATION.dotted_string


class HolderKind(StrEnum):
    """What the holder's digest is over; the value is the otherObjectTypeID, empty for a public key."""

    KEY = ""
    PAIR = oids.OB_THING_PAIR.dotted_string
    TYPE = oids.OB_THING_TYPE.dotted_string


class AttributeInfo(msgspec.Struct, frozen=True):
    """What an attribute certificate says; times in Unix milliseconds on whole seconds, `issuer` a DER Name.

    `value` is the DER of the one value of the one attribute. `no_rev_avail` is RFC 5755 section 4.3.6.
    """

    holder_digest: bytes
    holder_kind: HolderKind
    issuer: bytes
    issuer_key_id: bytes
    serial: int
    not_before_ms: int
    not_after_ms: int
    attribute: Attribute
    value: bytes
    no_rev_avail: bool = False


class ParsedAttribute(msgspec.Struct, frozen=True):
    """An attribute certificate that was read but not authenticated: `info_der` is what the signature is over."""

    info: AttributeInfo
    info_der: bytes
    signature_oid: str
    signature: bytes


def encode_info(info: AttributeInfo, signature_oid: str) -> bytes:
    """`AttributeCertificateInfo` of `info`: the bytes that the attribute authority signs."""
    return der.encode(_info_record(info, signature_oid))


def assemble(info: AttributeInfo, signature_oid: str, signature: bytes) -> bytes:
    """The attribute certificate of `info` with its signature; it is read back before it is returned."""
    from pki.asn1 import rfc5755  # who meets no attribute certificate does not wait for it

    record = rfc5755.AttributeCertificate()
    record["acinfo"] = _info_record(info, signature_oid)
    record["signatureAlgorithm"]["algorithm"] = signature_oid
    record["signatureValue"] = rfc5755.bits(signature)
    data = der.encode(record)
    if parse(data).info != info:
        raise der.MalformedDer("the attribute certificate cannot be read back as it is")
    return data


def _info_record(info: AttributeInfo, signature_oid: str) -> Any:
    from pki.asn1 import rfc5755

    record = rfc5755.AttributeCertificateInfo()
    record["version"] = _V2
    digest_info = record["holder"]["objectDigestInfo"]
    digest_info["digestedObjectType"] = rfc5755.PUBLIC_KEY
    if info.holder_kind is not HolderKind.KEY:
        digest_info["digestedObjectType"] = rfc5755.OTHER_OBJECT
        digest_info["otherObjectTypeID"] = info.holder_kind.value
    digest_info["digestAlgorithm"]["algorithm"] = oids.SHA256.dotted_string
    digest_info["objectDigest"] = rfc5755.bits(info.holder_digest)
    names = record["issuer"]["v2Form"]["issuerName"]
    names.getComponentByPosition(0)["directoryName"] = rfc5755.directory_name(info.issuer)
    record["signature"]["algorithm"] = signature_oid
    record["serialNumber"] = info.serial
    record["attrCertValidityPeriod"]["notBeforeTime"] = _time(info.not_before_ms)
    record["attrCertValidityPeriod"]["notAfterTime"] = _time(info.not_after_ms)
    attribute = record["attributes"].getComponentByPosition(0)
    attribute["type"] = info.attribute.value
    attribute["values"].setComponentByPosition(0, rfc5755.encoded(info.value))
    extension = record["extensions"].getComponentByPosition(0)
    extension["extnID"] = ExtensionOID.AUTHORITY_KEY_IDENTIFIER.dotted_string
    extension["extnValue"] = _key_id_value(info.issuer_key_id)
    if info.no_rev_avail:
        extension = record["extensions"].getComponentByPosition(1)
        extension["extnID"] = oids.NO_REV_AVAIL.dotted_string
        extension["extnValue"] = _NULL
    return record


def parse(data: bytes) -> ParsedAttribute:
    """What `data` says, in the shape of this module or not at all; nothing is authenticated yet."""
    from pki.asn1 import rfc5755

    record = der.decode(data, rfc5755.AttributeCertificate(), limit=der.MAX_ATTRIBUTE_CERTIFICATE_BYTES, what=_WHAT)
    info = record["acinfo"]
    signature_oid = str(record["signatureAlgorithm"]["algorithm"])
    _expect(signature_oid in _SIGNATURE_OIDS, "the signature algorithm is not allowed")
    _expect(str(info["signature"]["algorithm"]) == signature_oid, "the two signature algorithms differ")
    _expect(int(info["version"]) == _V2, "the version is not v2")
    serial = int(info["serialNumber"])
    _expect(serial > 0 and serial.bit_length() < 8 * MAX_SERIAL_BYTES, "the serial number is out of range")
    holder_digest, holder_kind = _holder(info["holder"]["objectDigestInfo"])
    attribute, value = _attribute(info["attributes"])
    names = info["issuer"]["v2Form"]["issuerName"]
    _expect(len(names) == 1, "the issuer is not one directory name")
    return ParsedAttribute(
        info=AttributeInfo(
            holder_digest=holder_digest,
            holder_kind=holder_kind,
            issuer=bytes(names[0]["directoryName"]),
            issuer_key_id=_issuer_key_id(info["extensions"]),
            serial=serial,
            not_before_ms=_at_ms(info["attrCertValidityPeriod"]["notBeforeTime"]),
            not_after_ms=_at_ms(info["attrCertValidityPeriod"]["notAfterTime"]),
            attribute=attribute,
            value=value,
            no_rev_avail=_no_rev_avail(info["extensions"]),
        ),
        info_der=der.encode(info),
        signature_oid=signature_oid,
        signature=_whole_bytes(record["signatureValue"]),
    )


def _holder(record: Any) -> tuple[bytes, HolderKind]:
    from pki.asn1 import rfc5755

    other = str(record["otherObjectTypeID"]) if record["otherObjectTypeID"].isValue else ""
    expected = rfc5755.OTHER_OBJECT if other else rfc5755.PUBLIC_KEY
    known = other in set(HolderKind) and int(record["digestedObjectType"]) == expected
    _expect(known, "the holder is neither a key nor a pair of things nor a type")
    algorithm = str(record["digestAlgorithm"]["algorithm"])
    _expect(algorithm == oids.SHA256.dotted_string, "the holder's digest is not SHA-256")
    digest = _whole_bytes(record["objectDigest"])
    _expect(len(digest) == 32, "the holder's digest has the wrong length")
    return digest, HolderKind(other)


def _issuer_key_id(extensions: Any) -> bytes:
    _expect(1 <= len(extensions) <= _MAX_EXTENSIONS, "there are too few or too many extensions")
    _expect(not any(bool(one["critical"]) for one in extensions), "an extension is critical")
    oid = str(extensions[0]["extnID"])
    _expect(oid == ExtensionOID.AUTHORITY_KEY_IDENTIFIER.dotted_string, "the extension is unknown")
    # SEQUENCE { [0] IMPLICIT OCTET STRING }: compared as bytes, so no other member can hide in it.
    value = bytes(extensions[0]["extnValue"])
    key_id = value[4:]
    _expect(1 <= len(key_id) <= 64 and value == _key_id_value(key_id), "the authority key identifier is malformed")
    return key_id


def _no_rev_avail(extensions: Any) -> bool:
    if len(extensions) == 1:
        return False
    oid, value = str(extensions[1]["extnID"]), bytes(extensions[1]["extnValue"])
    _expect(oid == oids.NO_REV_AVAIL.dotted_string and value == _NULL, "the extension is unknown")
    return True


def _key_id_value(key_id: bytes) -> bytes:
    return x509.AuthorityKeyIdentifier(key_id, None, None).public_bytes()


def _attribute(attributes: Any) -> tuple[Attribute, bytes]:
    _expect(len(attributes) == 1, "there is not exactly one attribute")
    oid = str(attributes[0]["type"])
    _expect(oid in set(Attribute), "the attribute is unknown")
    _expect(len(attributes[0]["values"]) == 1, "the attribute has not exactly one value")
    return Attribute(oid), bytes(attributes[0]["values"][0])


def _whole_bytes(value: Any) -> bytes:
    _expect(len(value) % 8 == 0, "a bit string is not whole bytes")
    return bytes(value.asOctets())


def _time(at_ms: int) -> str:
    return dt.datetime.fromtimestamp(at_ms // 1000, tz=dt.UTC).strftime(_TIME_FORMAT)


def _at_ms(value: Any) -> int:
    written = str(value)
    try:
        moment = dt.datetime.strptime(written, _TIME_FORMAT).replace(tzinfo=dt.UTC)
    except ValueError as error:
        raise der.MalformedDer("a time is not in the form of RFC 5755") from error
    _expect(moment.strftime(_TIME_FORMAT) == written, "a time is not in the form of RFC 5755")
    return int(moment.timestamp()) * 1000


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise der.MalformedDer(f"attribute certificate: {otherwise}")
