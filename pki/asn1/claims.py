"""`ConformityClaims`, the attribute that a conformity body signs (ECV-DESS.asn1).

A claim is about one thing or about a matched pair of EV and EVSE. A thing is its key: the SHA-256 of its
SubjectPublicKeyInfo. It never carries a VIN, EMAID or any other name of a person's vehicle.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

from pyasn1.type import char as strings
from pyasn1.type import namedtype, univ

from pki.asn1 import der, flexrole
from pki.roles import Service

MAX_THINGS = 2
MAX_CLAIMS = 16
MAX_REGIONS = 16
MAX_WATT = 2_147_483_647
MAX_NAME = 64
MAX_EDITION = 32
MAX_REGION = 16
MAX_URI = 256
DIGEST_BYTES = 32
_WHAT = "set of conformity claims"
_Member = TypeVar("_Member", bound=IntEnum)


class ThingKind(IntEnum):
    """What kind of thing a claim is about."""

    EVSE = 1
    CHARGING_STATION = 2
    EV = 3
    FCSBE = 4


class Scheme(IntEnum):
    """How conformity was established, weakest first."""

    SELF_DECLARATION = 0
    TYPE_TEST = 1
    TYPE_EXAMINATION = 2
    PRODUCT_CERTIFICATION = 3
    WITNESSED_INSTALLATION = 4


@dataclass(frozen=True, slots=True)
class TypeRef:
    """The type that was tested; `firmware_sha256` (hex), if given, is the only firmware that the claim holds for."""

    manufacturer: str
    model: str
    hardware: str | None = None
    firmware_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class InstallationLink:
    """That this thing is an instance of its type: number of the type certificate, digest (hex) of the signed record."""

    type_cert_number: str
    record_sha256: str


@dataclass(frozen=True, slots=True)
class Thing:
    """A thing known by its key; `spki_sha256` and `commitment` are hex."""

    kind: ThingKind
    spki_sha256: str
    type_ref: TypeRef | None = None
    public_id: str | None = None
    commitment: str | None = None
    installation: InstallationLink | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """One certificate of the body: against which standard, for which services, where, within which limits."""

    standard: str
    edition: str
    scheme: Scheme
    cert_number: str
    services: frozenset[Service]
    regions: tuple[str, ...]
    max_charge_w: int | None = None
    max_discharge_w: int | None = None
    response_ms: int | None = None
    report_sha256: str | None = None
    report_uri: str | None = None
    grid_code: str | None = None


@dataclass(frozen=True, slots=True)
class ConformityClaims:
    """One thing, or a matched EVSE and EV in this order, with 1 to 16 claims that hold for all of it."""

    things: tuple[Thing, ...]
    claims: tuple[Claim, ...]


def _text(number: int) -> Any:
    return strings.UTF8String().subtype(implicitTag=der.implicit(number))


def _octets(number: int) -> Any:
    return univ.OctetString().subtype(implicitTag=der.implicit(number))


def _integer(number: int) -> Any:
    return univ.Integer().subtype(implicitTag=der.implicit(number))


class _TypeRef(univ.Sequence):  # type: ignore[misc]  # pyasn1 has no types
    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("manufacturer", strings.UTF8String()),
        namedtype.NamedType("model", strings.UTF8String()),
        namedtype.OptionalNamedType("hardware", _text(0)),
        namedtype.OptionalNamedType("firmwareSha256", _octets(1)),
    )


class _InstallationLink(univ.Sequence):  # type: ignore[misc]
    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("typeCertNumber", strings.UTF8String()),
        namedtype.NamedType("recordSha256", univ.OctetString()),
    )


class _Thing(univ.Sequence):  # type: ignore[misc]
    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("kind", univ.Integer()),
        namedtype.NamedType("keySha256", univ.OctetString()),
        namedtype.OptionalNamedType("typeRef", _TypeRef().subtype(implicitTag=der.implicit(0, constructed=True))),
        namedtype.OptionalNamedType("publicId", _text(1)),
        namedtype.OptionalNamedType("commitment", _octets(2)),
        namedtype.OptionalNamedType(
            "installation", _InstallationLink().subtype(implicitTag=der.implicit(3, constructed=True))
        ),
    )


class _Claim(univ.Sequence):  # type: ignore[misc]
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
    )


class _ConformityClaims(univ.Sequence):  # type: ignore[misc]
    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.DefaultedNamedType("version", univ.Integer(1).subtype(explicitTag=der.implicit(0, constructed=True))),
        namedtype.NamedType("things", univ.SequenceOf(componentType=_Thing())),
        namedtype.NamedType("claims", univ.SequenceOf(componentType=_Claim())),
    )


def encode(value: ConformityClaims) -> bytes:
    """The DER encoding; it is read back, so what is encoded is what `decode` accepts."""
    record = _ConformityClaims()
    for index, thing in enumerate(value.things):
        _fill_thing(record["things"].getComponentByPosition(index), thing)
    for index, claim in enumerate(value.claims):
        _fill_claim(record["claims"].getComponentByPosition(index), claim)
    if not value.things or not value.claims:
        raise der.MalformedDer("a claim needs a thing and a statement about it")
    data = der.encode(record)
    if decode(data) != value:
        raise der.MalformedDer("the claims cannot be read back as they are")
    return data


def _fill_thing(record: Any, thing: Thing) -> None:
    record["kind"] = int(thing.kind)
    record["keySha256"] = _digest_bytes(thing.spki_sha256)
    if thing.type_ref is not None:
        type_ref = record["typeRef"]
        type_ref["manufacturer"] = thing.type_ref.manufacturer
        type_ref["model"] = thing.type_ref.model
        _set(type_ref, "hardware", thing.type_ref.hardware)
        _set_digest(type_ref, "firmwareSha256", thing.type_ref.firmware_sha256)
    _set(record, "publicId", thing.public_id)
    _set_digest(record, "commitment", thing.commitment)
    if thing.installation is not None:
        record["installation"]["typeCertNumber"] = thing.installation.type_cert_number
        record["installation"]["recordSha256"] = _digest_bytes(thing.installation.record_sha256)


def _fill_claim(record: Any, claim: Claim) -> None:
    record["standard"] = claim.standard
    record["edition"] = claim.edition
    record["scheme"] = int(claim.scheme)
    record["certNumber"] = claim.cert_number
    record["services"] = flexrole.services_to_bits(claim.services)
    record["regions"].extend(claim.regions)
    _set(record, "maxChargeW", claim.max_charge_w)
    _set(record, "maxDischargeW", claim.max_discharge_w)
    _set(record, "responseMs", claim.response_ms)
    _set_digest(record, "reportSha256", claim.report_sha256)
    _set(record, "reportUri", claim.report_uri)
    _set(record, "gridCode", claim.grid_code)


def _set(record: Any, name: str, value: str | int | None) -> None:
    if value is not None:
        record[name] = value


def _set_digest(record: Any, name: str, value: str | None) -> None:
    if value is not None:
        record[name] = _digest_bytes(value)


def _digest_bytes(value: str) -> bytes:
    try:
        digest = bytes.fromhex(value)
    except ValueError as error:
        raise der.MalformedDer("a digest is not hexadecimal") from error
    if len(digest) != DIGEST_BYTES:
        raise der.MalformedDer("a digest has the wrong length", expected=DIGEST_BYTES, found=len(digest))
    return digest


def decode(data: bytes) -> ConformityClaims:
    """The value in `data`; raises `der.MalformedDer` or `der.OversizeDer`."""
    record = der.decode(data, _ConformityClaims(), limit=der.MAX_VALUE_BYTES, what=_WHAT)
    if int(record["version"]) != 1:
        raise der.MalformedDer("the claims have an unknown version", expected=1)
    _count(record["things"], MAX_THINGS, "things")
    _count(record["claims"], MAX_CLAIMS, "claims")
    things = tuple(_thing(item) for item in record["things"])
    if len(things) == MAX_THINGS and [thing.kind for thing in things] != [ThingKind.EVSE, ThingKind.EV]:
        raise der.MalformedDer("a pair is an EVSE and an EV, in this order")
    return ConformityClaims(things=things, claims=tuple(_claim(item) for item in record["claims"]))


def _count(items: Any, most: int, what: str) -> None:
    if not 1 <= len(items) <= most:
        raise der.MalformedDer(f"wrong number of {what}", expected=f"1 to {most}", found=len(items))


def _thing(record: Any) -> Thing:
    type_ref = installation = None
    if record["typeRef"].isValue:
        item = record["typeRef"]
        type_ref = TypeRef(
            manufacturer=der.text(item["manufacturer"], longest=MAX_NAME, what="manufacturer"),
            model=der.text(item["model"], longest=MAX_NAME, what="model"),
            hardware=_optional_text(item["hardware"], MAX_NAME, "hardware"),
            firmware_sha256=_optional_digest(item["firmwareSha256"]),
        )
    if record["installation"].isValue:
        item = record["installation"]
        installation = InstallationLink(
            type_cert_number=der.text(item["typeCertNumber"], longest=MAX_NAME, what="type certificate number"),
            record_sha256=_digest(item["recordSha256"]),
        )
    return Thing(
        kind=_member(ThingKind, record["kind"], "kind of thing"),
        spki_sha256=_digest(record["keySha256"]),
        type_ref=type_ref,
        public_id=_optional_text(record["publicId"], MAX_NAME, "public id"),
        commitment=_optional_digest(record["commitment"]),
        installation=installation,
    )


def _claim(record: Any) -> Claim:
    _count(record["regions"], MAX_REGIONS, "regions")
    return Claim(
        standard=der.text(record["standard"], longest=MAX_NAME, what="standard"),
        edition=der.text(record["edition"], longest=MAX_EDITION, what="edition"),
        scheme=_member(Scheme, record["scheme"], "scheme"),
        cert_number=der.text(record["certNumber"], longest=MAX_NAME, what="certificate number"),
        services=flexrole.services_from_bits(record["services"]),
        regions=tuple(der.text(item, longest=MAX_REGION, what="region") for item in record["regions"]),
        max_charge_w=_optional_integer(record["maxChargeW"]),
        max_discharge_w=_optional_integer(record["maxDischargeW"]),
        response_ms=_optional_integer(record["responseMs"]),
        report_sha256=_optional_digest(record["reportSha256"]),
        report_uri=_optional_text(record["reportUri"], MAX_URI, "report URI"),
        grid_code=_optional_text(record["gridCode"], MAX_NAME, "grid code"),
    )


def _member(kind: type[_Member], value: Any, what: str) -> _Member:
    try:
        return kind(int(value))
    except ValueError as error:
        raise der.MalformedDer(f"unknown {what}", found=int(value)) from error


def _digest(value: Any) -> str:
    digest = bytes(value)
    if len(digest) != DIGEST_BYTES:
        raise der.MalformedDer("a digest has the wrong length", expected=DIGEST_BYTES, found=len(digest))
    return digest.hex()


def _optional_digest(value: Any) -> str | None:
    return _digest(value) if value.isValue else None


def _optional_text(value: Any, longest: int, what: str) -> str | None:
    return der.text(value, longest=longest, what=what) if value.isValue else None


def _optional_integer(value: Any) -> int | None:
    if not value.isValue:
        return None
    number = int(value)
    if not 0 <= number <= MAX_WATT:
        raise der.MalformedDer("a limit is out of range", expected=f"0 to {MAX_WATT}")
    return number
