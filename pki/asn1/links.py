"""`InstallationLink`, what an operator or a witness of an installation signs (ECV-DESS.asn1).

A type claim is about no thing in particular. The link says that the thing with this key is an instance of the type, and
which firmware it ran when it was looked at.
"""

from dataclasses import dataclass

from pyasn1.type import namedtype, univ

from pki.asn1 import claims, der
from pki.asn1.claims import ThingKind, TypeRef

_WHAT = "installation link"


@dataclass(frozen=True, slots=True)
class InstallationLink:
    """The thing with the key `spki_sha256` (hex) is an instance of `type_ref`, whose firmware is what it ran then."""

    kind: ThingKind
    spki_sha256: str
    type_ref: TypeRef
    record_sha256: str | None = None


class _InstallationLink(univ.Sequence):  # type: ignore[misc]  # pyasn1 has no types
    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.DefaultedNamedType("version", univ.Integer(1).subtype(explicitTag=der.implicit(0, constructed=True))),
        namedtype.NamedType("kind", univ.Integer()),
        namedtype.NamedType("keySha256", univ.OctetString()),
        namedtype.NamedType("typeRef", claims.TypeRefAsn1()),
        namedtype.OptionalNamedType("recordSha256", univ.OctetString().subtype(implicitTag=der.implicit(1))),
    )


def encode(value: InstallationLink) -> bytes:
    """The DER encoding; it is read back, so what is encoded is what `decode` accepts."""
    record = _InstallationLink()
    record["kind"] = int(value.kind)
    record["keySha256"] = claims.digest_bytes(value.spki_sha256)
    claims.fill_type(record["typeRef"], value.type_ref)
    if value.record_sha256 is not None:
        record["recordSha256"] = claims.digest_bytes(value.record_sha256)
    data = der.encode(record)
    if decode(data) != value:
        raise der.MalformedDer("the link cannot be read back as it is")
    return data


def decode(data: bytes) -> InstallationLink:
    """The value in `data`; raises `der.MalformedDer` or `der.OversizeDer`."""
    record = der.decode(data, _InstallationLink(), limit=der.MAX_VALUE_BYTES, what=_WHAT)
    if int(record["version"]) != 1:
        raise der.MalformedDer("the link has an unknown version", expected=1)
    type_ref = claims.read_type(record["typeRef"])
    if type_ref.firmware_sha256 is None:
        raise der.MalformedDer("the link does not say which firmware the thing ran")
    return InstallationLink(
        kind=claims.member(ThingKind, record["kind"], "kind of thing"),
        spki_sha256=claims.read_digest(record["keySha256"]),
        type_ref=type_ref,
        record_sha256=claims.read_digest(record["recordSha256"]) if record["recordSha256"].isValue else None,
    )
