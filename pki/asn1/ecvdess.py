"""Types of ECV-DESS.asn1 as pyasn1 needs them; whoever meets no such value does not wait for them to be made."""

from typing import Any

from pyasn1.type import char as strings
from pyasn1.type import namedtype, univ

from pki.asn1 import der


def _text(number: int) -> Any:
    return strings.UTF8String().subtype(implicitTag=der.implicit(number))


def _octets(number: int) -> Any:
    return univ.OctetString().subtype(implicitTag=der.implicit(number))


def _integer(number: int) -> Any:
    return univ.Integer().subtype(implicitTag=der.implicit(number))


class TypeRef(univ.Sequence):  # type: ignore[misc]  # pyasn1 has no types
    """The type that was tested."""

    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("manufacturer", strings.UTF8String()),
        namedtype.NamedType("model", strings.UTF8String()),
        namedtype.OptionalNamedType("hardware", _text(0)),
        namedtype.OptionalNamedType("firmwareSha256", _octets(1)),
    )


class ThingRef(univ.Sequence):  # type: ignore[misc]
    """A thing, or a type."""

    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("kind", univ.Integer()),
        namedtype.OptionalNamedType("keySha256", univ.OctetString()),
        namedtype.OptionalNamedType("typeRef", TypeRef().subtype(implicitTag=der.implicit(0, constructed=True))),
        namedtype.OptionalNamedType("publicId", _text(1)),
        namedtype.OptionalNamedType("commitment", _octets(2)),
    )


class Claim(univ.Sequence):  # type: ignore[misc]
    """One certificate of a body."""

    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("standard", strings.UTF8String()),
        namedtype.NamedType("edition", strings.UTF8String()),
        namedtype.NamedType("scheme", univ.Integer()),
        namedtype.NamedType("certNumber", strings.UTF8String()),
        namedtype.NamedType("services", univ.BitString()),
        namedtype.NamedType("regions", univ.SequenceOf(componentType=strings.UTF8String())),
        namedtype.OptionalNamedType("maxChargeW", _integer(0)),
        namedtype.OptionalNamedType("maxDischargeW", _integer(1)),
        namedtype.OptionalNamedType("responseMs", _integer(2)),
        namedtype.OptionalNamedType("reportSha256", _octets(3)),
        namedtype.OptionalNamedType("reportUri", strings.IA5String().subtype(implicitTag=der.implicit(4))),
        namedtype.OptionalNamedType("gridCode", _text(5)),
        namedtype.OptionalNamedType("functions", univ.BitString().subtype(implicitTag=der.implicit(6))),
    )


class ConformityClaims(univ.Sequence):  # type: ignore[misc]
    """Things, and what holds of them."""

    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.DefaultedNamedType("version", univ.Integer(1).subtype(explicitTag=der.implicit(0, constructed=True))),
        namedtype.NamedType("things", univ.SequenceOf(componentType=ThingRef())),
        namedtype.NamedType("claims", univ.SequenceOf(componentType=Claim())),
    )


class InstallationLink(univ.Sequence):  # type: ignore[misc]
    """A thing is an instance of a type."""

    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.DefaultedNamedType("version", univ.Integer(1).subtype(explicitTag=der.implicit(0, constructed=True))),
        namedtype.NamedType("kind", univ.Integer()),
        namedtype.NamedType("keySha256", univ.OctetString()),
        namedtype.NamedType("typeRef", TypeRef()),
        namedtype.OptionalNamedType("recordSha256", univ.OctetString().subtype(implicitTag=der.implicit(1))),
    )
