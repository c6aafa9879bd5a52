"""`InstallationLink`, what an operator or a witness of an installation signs (ECV-DESS.asn1).

A type claim is about no thing in particular. The link says that the thing with this key is an instance of the type, and
which firmware it ran when it was looked at.
"""

import msgspec

from pki.asn1 import claims, der
from pki.asn1.claims import ThingKind, TypeRef

_WHAT = "installation link"


class InstallationLink(msgspec.Struct, frozen=True):
    """The thing with the key `spki_sha256` (hex) is an instance of `type_ref`, whose firmware is what it ran then."""

    kind: ThingKind
    spki_sha256: str
    type_ref: TypeRef
    record_sha256: str | None = None


def encode(value: InstallationLink) -> bytes:
    """The DER encoding; it is read back, so what is encoded is what `decode` accepts."""
    from pki.asn1 import ecvdess  # who meets no link does not wait for it

    record = ecvdess.InstallationLink()
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
    from pki.asn1 import ecvdess

    record = der.decode(data, ecvdess.InstallationLink(), limit=der.MAX_VALUE_BYTES, what=_WHAT)
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
