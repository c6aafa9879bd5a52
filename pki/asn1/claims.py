"""`ConformityClaims`, the attribute that a conformity body signs (ECV-DESS.asn1).

A claim is about one thing or about a matched pair of EV and EVSE. A thing is its key: the SHA-256 of its
SubjectPublicKeyInfo. Or it is a type, which has no key; its instances are named by installation links
(`pki.asn1.links`). It never carries a VIN, EMAID or any other name of a person's vehicle.
"""

import hashlib
from enum import IntEnum
from typing import Any, TypeVar

import msgspec

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


class DerFunction(IntEnum):
    """What equipment does at its connection point; the value is its bit in `DerFunctions`."""

    FREQUENCY_WATT = 0
    VOLT_WATT = 1
    VOLT_VAR = 2
    WATT_VAR = 3
    FIXED_POWER_FACTOR = 4
    FIXED_VAR = 5
    ACTIVE_POWER_LIMIT = 6
    RAMP_RATE = 7
    ENTER_SERVICE = 8
    FREQUENCY_RIDE_THROUGH = 9
    VOLTAGE_RIDE_THROUGH = 10
    ISLANDING_DETECTION = 11
    ACTIVE_POWER_SETPOINT = 12
    FAST_FREQUENCY_RESPONSE = 13


class TypeRef(msgspec.Struct, frozen=True):
    """The type that was tested; `firmware_sha256` (hex), if given, is the only firmware that the claim holds for."""

    manufacturer: str
    model: str
    hardware: str | None = None
    firmware_sha256: str | None = None


class Thing(msgspec.Struct, frozen=True):
    """A thing known by its key, or a type if `spki_sha256` is None; `spki_sha256` and `commitment` are hex."""

    kind: ThingKind
    spki_sha256: str | None
    type_ref: TypeRef | None = None
    public_id: str | None = None
    commitment: str | None = None


class Claim(msgspec.Struct, frozen=True):
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
    functions: frozenset[DerFunction] = frozenset()


class ConformityClaims(msgspec.Struct, frozen=True):
    """One thing or type, or a matched EVSE and EV in this order, with 1 to 16 claims that hold for all of it."""

    things: tuple[Thing, ...]
    claims: tuple[Claim, ...]


def encode(value: ConformityClaims) -> bytes:
    """The DER encoding; it is read back, so what is encoded is what `decode` accepts."""
    from pki.asn1 import ecvdess  # who meets no claim does not wait for it

    record = ecvdess.ConformityClaims()
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


def thing_digest(thing: Thing) -> bytes:
    """What a holder field binds: the digest of the key, or for a type the SHA-256 over the DER of its `ThingRef`."""
    if thing.spki_sha256 is not None:
        return digest_bytes(thing.spki_sha256)
    from pki.asn1 import ecvdess

    record = ecvdess.ThingRef()
    _fill_thing(record, thing)
    return hashlib.sha256(der.encode(record)).digest()


def _fill_thing(record: Any, thing: Thing) -> None:
    record["kind"] = int(thing.kind)
    _set_digest(record, "keySha256", thing.spki_sha256)
    if thing.type_ref is not None:
        fill_type(record["typeRef"], thing.type_ref)
    _set(record, "publicId", thing.public_id)
    _set_digest(record, "commitment", thing.commitment)


def fill_type(record: Any, type_ref: TypeRef) -> None:
    """`TypeRef` with the values of `type_ref`."""
    record["manufacturer"] = type_ref.manufacturer
    record["model"] = type_ref.model
    _set(record, "hardware", type_ref.hardware)
    _set_digest(record, "firmwareSha256", type_ref.firmware_sha256)


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
    if claim.functions:
        record["functions"] = der.named_bits({int(one) for one in claim.functions}).subtype(implicitTag=der.implicit(6))


def _set(record: Any, name: str, value: str | int | None) -> None:
    if value is not None:
        record[name] = value


def _set_digest(record: Any, name: str, value: str | None) -> None:
    if value is not None:
        record[name] = digest_bytes(value)


def digest_bytes(value: str) -> bytes:
    """The 32 bytes behind a hex digest; raises `der.MalformedDer`."""
    try:
        digest = bytes.fromhex(value)
    except ValueError as error:
        raise der.MalformedDer("a digest is not hexadecimal") from error
    if len(digest) != DIGEST_BYTES:
        raise der.MalformedDer("a digest has the wrong length", expected=DIGEST_BYTES, found=len(digest))
    return digest


def decode(data: bytes) -> ConformityClaims:
    """The value in `data`; raises `der.MalformedDer` or `der.OversizeDer`."""
    from pki.asn1 import ecvdess

    record = der.decode(data, ecvdess.ConformityClaims(), limit=der.MAX_VALUE_BYTES, what=_WHAT)
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
    thing = Thing(
        kind=member(ThingKind, record["kind"], "kind of thing"),
        spki_sha256=_optional_digest(record["keySha256"]),
        type_ref=read_type(record["typeRef"]) if record["typeRef"].isValue else None,
        public_id=_optional_text(record["publicId"], MAX_NAME, "public id"),
        commitment=_optional_digest(record["commitment"]),
    )
    if thing.spki_sha256 is None and (thing.type_ref is None or thing.public_id or thing.commitment):
        raise der.MalformedDer("a thing has a key, or it is a type and nothing else")
    return thing


def read_type(record: Any) -> TypeRef:
    """The value in a decoded `TypeRef`; raises `der.MalformedDer`."""
    return TypeRef(
        manufacturer=der.text(record["manufacturer"], longest=MAX_NAME, what="manufacturer"),
        model=der.text(record["model"], longest=MAX_NAME, what="model"),
        hardware=_optional_text(record["hardware"], MAX_NAME, "hardware"),
        firmware_sha256=_optional_digest(record["firmwareSha256"]),
    )


def _claim(record: Any) -> Claim:
    _count(record["regions"], MAX_REGIONS, "regions")
    return Claim(
        standard=der.text(record["standard"], longest=MAX_NAME, what="standard"),
        edition=der.text(record["edition"], longest=MAX_EDITION, what="edition"),
        scheme=member(Scheme, record["scheme"], "scheme"),
        cert_number=der.text(record["certNumber"], longest=MAX_NAME, what="certificate number"),
        services=flexrole.services_from_bits(record["services"]),
        regions=tuple(der.text(item, longest=MAX_REGION, what="region") for item in record["regions"]),
        max_charge_w=_optional_integer(record["maxChargeW"]),
        max_discharge_w=_optional_integer(record["maxDischargeW"]),
        response_ms=_optional_integer(record["responseMs"]),
        report_sha256=_optional_digest(record["reportSha256"]),
        report_uri=_optional_text(record["reportUri"], MAX_URI, "report URI"),
        grid_code=_optional_text(record["gridCode"], MAX_NAME, "grid code"),
        functions=_functions(record["functions"]),
    )


def _functions(value: Any) -> frozenset[DerFunction]:
    if not value.isValue:
        return frozenset()
    bits = der.bits_named(value, known=len(DerFunction), what="list of DER functions")
    return frozenset(DerFunction(bit) for bit in bits)


def member(kind: type[_Member], value: Any, what: str) -> _Member:
    """The member of an enumeration with this number; raises `der.MalformedDer`."""
    try:
        return kind(int(value))
    except ValueError as error:
        raise der.MalformedDer(f"unknown {what}", found=int(value)) from error


def read_digest(value: Any) -> str:
    """The 32 bytes of an octet string, as hex; raises `der.MalformedDer`."""
    digest = bytes(value)
    if len(digest) != DIGEST_BYTES:
        raise der.MalformedDer("a digest has the wrong length", expected=DIGEST_BYTES, found=len(digest))
    return digest.hex()


def _optional_digest(value: Any) -> str | None:
    return read_digest(value) if value.isValue else None


def _optional_text(value: Any, longest: int, what: str) -> str | None:
    return der.text(value, longest=longest, what=what) if value.isValue else None


def _optional_integer(value: Any) -> int | None:
    if not value.isValue:
        return None
    number = int(value)
    if not 0 <= number <= MAX_WATT:
        raise der.MalformedDer("a limit is out of range", expected=f"0 to {MAX_WATT}")
    return number
