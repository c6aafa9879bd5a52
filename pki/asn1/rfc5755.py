"""Types of RFC 5755 in the one shape of `attributecert`, as pyasn1 needs them; who meets none does not load them."""

from typing import Any

from pyasn1.type import namedtype, namedval, univ, useful

from pki.asn1 import der

PUBLIC_KEY = 0
OTHER_OBJECT = 2
DIRECTORY_NAME = 4


class Algorithm(univ.Sequence):  # type: ignore[misc]
    """An algorithm without parameters."""

    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("algorithm", univ.ObjectIdentifier()),  # no parameters: RFC 5758 section 3.2
    )


class ObjectDigestInfo(univ.Sequence):  # type: ignore[misc]
    """What the holder is known by."""

    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType(
            "digestedObjectType",
            univ.Enumerated(
                namedValues=namedval.NamedValues(
                    ("publicKey", PUBLIC_KEY), ("publicKeyCert", 1), ("otherObjectTypes", OTHER_OBJECT)
                )
            ),
        ),
        namedtype.OptionalNamedType("otherObjectTypeID", univ.ObjectIdentifier()),
        namedtype.NamedType("digestAlgorithm", Algorithm()),
        namedtype.NamedType("objectDigest", univ.BitString()),
    )


class Holder(univ.Sequence):  # type: ignore[misc]
    """Whose the certificate is."""

    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType(
            "objectDigestInfo", ObjectDigestInfo().subtype(implicitTag=der.implicit(2, constructed=True))
        ),
    )


class GeneralName(univ.Choice):  # type: ignore[misc]
    """A directory name."""

    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType(
            "directoryName",  # EXPLICIT although the module is IMPLICIT, because Name is a CHOICE (X.680 31.2.7)
            univ.Any().subtype(explicitTag=der.implicit(DIRECTORY_NAME, constructed=True)),
        ),
    )


class V2Form(univ.Sequence):  # type: ignore[misc]
    """The issuer's name."""

    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("issuerName", univ.SequenceOf(componentType=GeneralName())),
    )


class Issuer(univ.Choice):  # type: ignore[misc]
    """The issuer in version 2."""

    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("v2Form", V2Form().subtype(implicitTag=der.implicit(0, constructed=True))),
    )


class Validity(univ.Sequence):  # type: ignore[misc]
    """From when until when."""

    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("notBeforeTime", useful.GeneralizedTime()),
        namedtype.NamedType("notAfterTime", useful.GeneralizedTime()),
    )


class Attribute(univ.Sequence):  # type: ignore[misc]
    """What is stated."""

    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("type", univ.ObjectIdentifier()),
        namedtype.NamedType("values", univ.SetOf(componentType=univ.Any())),
    )


class Extension(univ.Sequence):  # type: ignore[misc]
    """An extension."""

    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("extnID", univ.ObjectIdentifier()),
        namedtype.DefaultedNamedType("critical", univ.Boolean(False)),
        namedtype.NamedType("extnValue", univ.OctetString()),
    )


class AttributeCertificateInfo(univ.Sequence):  # type: ignore[misc]
    """What is signed."""

    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("version", univ.Integer()),
        namedtype.NamedType("holder", Holder()),
        namedtype.NamedType("issuer", Issuer()),
        namedtype.NamedType("signature", Algorithm()),
        namedtype.NamedType("serialNumber", univ.Integer()),
        namedtype.NamedType("attrCertValidityPeriod", Validity()),
        namedtype.NamedType("attributes", univ.SequenceOf(componentType=Attribute())),
        namedtype.NamedType("extensions", univ.SequenceOf(componentType=Extension())),
    )


class AttributeCertificate(univ.Sequence):  # type: ignore[misc]
    """The whole."""

    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("acinfo", AttributeCertificateInfo()),
        namedtype.NamedType("signatureAlgorithm", Algorithm()),
        namedtype.NamedType("signatureValue", univ.BitString()),
    )


def bits(octets: bytes) -> Any:
    """A BIT STRING of whole octets."""
    return univ.BitString.fromOctetString(octets)


def encoded(value: bytes) -> Any:
    """What is DER already."""
    return univ.Any(value)


def directory_name(name: bytes) -> Any:
    """The DER of a Name as a GeneralName has it."""
    return GeneralName.componentType["directoryName"].asn1Object.clone(name)
