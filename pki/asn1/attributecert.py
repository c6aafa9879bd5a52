"""Attribute certificates of RFC 5755, in the one shape that we issue and accept.

Holder: `objectDigestInfo`. Issuer: v2Form with one directory name. One attribute, id-at-conformity or
id-at-installation, with one value. Extensions: the authority key identifier, and noRevAvail where no revocation list
speaks about it. ECDSA with SHA-256 or SHA-384. Everything else is refused, so a claim that targets another verifier,
carries a second attribute or a critical extension never gets further than here.
"""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from cryptography import x509
from cryptography.x509.oid import ExtensionOID
from pyasn1.type import namedtype, namedval, univ, useful

from pki import oids
from pki.asn1 import der

_WHAT = "attribute certificate"
_V2 = 1
_PUBLIC_KEY = 0
_OTHER_OBJECT = 2
_DIRECTORY_NAME = 4
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


@dataclass(frozen=True, slots=True)
class AttributeInfo:
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


@dataclass(frozen=True, slots=True)
class ParsedAttribute:
    """An attribute certificate that was read but not authenticated: `info_der` is what the signature is over."""

    info: AttributeInfo
    info_der: bytes
    signature_oid: str
    signature: bytes


class _Algorithm(univ.Sequence):  # type: ignore[misc]  # pyasn1 has no types
    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("algorithm", univ.ObjectIdentifier()),  # no parameters: RFC 5758 section 3.2
    )


class _ObjectDigestInfo(univ.Sequence):  # type: ignore[misc]
    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType(
            "digestedObjectType",
            univ.Enumerated(
                namedValues=namedval.NamedValues(
                    ("publicKey", _PUBLIC_KEY), ("publicKeyCert", 1), ("otherObjectTypes", _OTHER_OBJECT)
                )
            ),
        ),
        namedtype.OptionalNamedType("otherObjectTypeID", univ.ObjectIdentifier()),
        namedtype.NamedType("digestAlgorithm", _Algorithm()),
        namedtype.NamedType("objectDigest", univ.BitString()),
    )


class _Holder(univ.Sequence):  # type: ignore[misc]
    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType(
            "objectDigestInfo", _ObjectDigestInfo().subtype(implicitTag=der.implicit(2, constructed=True))
        ),
    )


class _GeneralName(univ.Choice):  # type: ignore[misc]
    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType(
            "directoryName",  # EXPLICIT although the module is IMPLICIT, because Name is a CHOICE (X.680 31.2.7)
            univ.Any().subtype(explicitTag=der.implicit(_DIRECTORY_NAME, constructed=True)),
        ),
    )


class _V2Form(univ.Sequence):  # type: ignore[misc]
    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("issuerName", univ.SequenceOf(componentType=_GeneralName())),
    )


class _Issuer(univ.Choice):  # type: ignore[misc]
    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("v2Form", _V2Form().subtype(implicitTag=der.implicit(0, constructed=True))),
    )


class _Validity(univ.Sequence):  # type: ignore[misc]
    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("notBeforeTime", useful.GeneralizedTime()),
        namedtype.NamedType("notAfterTime", useful.GeneralizedTime()),
    )


class _Attribute(univ.Sequence):  # type: ignore[misc]
    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("type", univ.ObjectIdentifier()),
        namedtype.NamedType("values", univ.SetOf(componentType=univ.Any())),
    )


class _Extension(univ.Sequence):  # type: ignore[misc]
    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("extnID", univ.ObjectIdentifier()),
        namedtype.DefaultedNamedType("critical", univ.Boolean(False)),
        namedtype.NamedType("extnValue", univ.OctetString()),
    )


class _Info(univ.Sequence):  # type: ignore[misc]
    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("version", univ.Integer()),
        namedtype.NamedType("holder", _Holder()),
        namedtype.NamedType("issuer", _Issuer()),
        namedtype.NamedType("signature", _Algorithm()),
        namedtype.NamedType("serialNumber", univ.Integer()),
        namedtype.NamedType("attrCertValidityPeriod", _Validity()),
        namedtype.NamedType("attributes", univ.SequenceOf(componentType=_Attribute())),
        namedtype.NamedType("extensions", univ.SequenceOf(componentType=_Extension())),
    )


class _AttributeCertificate(univ.Sequence):  # type: ignore[misc]
    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("acinfo", _Info()),
        namedtype.NamedType("signatureAlgorithm", _Algorithm()),
        namedtype.NamedType("signatureValue", univ.BitString()),
    )


def encode_info(info: AttributeInfo, signature_oid: str) -> bytes:
    """`AttributeCertificateInfo` of `info`: the bytes that the attribute authority signs."""
    return der.encode(_info_record(info, signature_oid))


def assemble(info: AttributeInfo, signature_oid: str, signature: bytes) -> bytes:
    """The attribute certificate of `info` with its signature; it is read back before it is returned."""
    record = _AttributeCertificate()
    record["acinfo"] = _info_record(info, signature_oid)
    record["signatureAlgorithm"]["algorithm"] = signature_oid
    record["signatureValue"] = univ.BitString.fromOctetString(signature)
    data = der.encode(record)
    if parse(data).info != info:
        raise der.MalformedDer("the attribute certificate cannot be read back as it is")
    return data


def _info_record(info: AttributeInfo, signature_oid: str) -> Any:
    record = _Info()
    record["version"] = _V2
    digest_info = record["holder"]["objectDigestInfo"]
    digest_info["digestedObjectType"] = _PUBLIC_KEY if info.holder_kind is HolderKind.KEY else _OTHER_OBJECT
    if info.holder_kind is not HolderKind.KEY:
        digest_info["otherObjectTypeID"] = info.holder_kind.value
    digest_info["digestAlgorithm"]["algorithm"] = oids.SHA256.dotted_string
    digest_info["objectDigest"] = univ.BitString.fromOctetString(info.holder_digest)
    names = record["issuer"]["v2Form"]["issuerName"]
    names.getComponentByPosition(0)["directoryName"] = _GeneralName.componentType["directoryName"].asn1Object.clone(
        info.issuer
    )
    record["signature"]["algorithm"] = signature_oid
    record["serialNumber"] = info.serial
    record["attrCertValidityPeriod"]["notBeforeTime"] = _time(info.not_before_ms)
    record["attrCertValidityPeriod"]["notAfterTime"] = _time(info.not_after_ms)
    attribute = record["attributes"].getComponentByPosition(0)
    attribute["type"] = info.attribute.value
    attribute["values"].setComponentByPosition(0, univ.Any(info.value))
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
    record = der.decode(data, _AttributeCertificate(), limit=der.MAX_ATTRIBUTE_CERTIFICATE_BYTES, what=_WHAT)
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
    other = str(record["otherObjectTypeID"]) if record["otherObjectTypeID"].isValue else ""
    expected = _OTHER_OBJECT if other else _PUBLIC_KEY
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
