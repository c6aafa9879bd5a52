"""Sample roots that a station has signed: OCPP's `-Signed` form of a DataTransfer, a flattened JWS (part 4, 7).

The format is `docs/spec/samples.md`. The JWS of OCPP covers neither the message's id nor the station, so both are in
what is signed, with EVSE, window, sequence and time. The key is the caller's, from the station's credential: a header
that brings one along is refused.
"""

import hashlib
from typing import Annotated, Final, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Meta

from ledger.delivery import samples
from ledger.delivery.errors import StationRootForeign, StationRootMalformed, StationRootSignature
from ledger.records import jws
from ledger.records.errors import SignatureInvalid, StatementMalformed
from ledger.records.evidence import MAX_SIGNED_ROOT_CHARS, SampleSchema

VENDOR: Final = "org.flexledger"
ROOT_MESSAGE: Final = "SampleRoot"
ACTION: Final = "DataTransfer"
CALL: Final = 2

Natural = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Part = Annotated[str, Meta(min_length=1, max_length=MAX_SIGNED_ROOT_CHARS)]


class Flattened(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A flattened JWS (RFC 7515 7.2.2) without an unprotected header."""

    payload: Part
    protected: Part
    signature: Part


class SignedRoot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """What the station says: this root of so many records, of this EVSE and window, ends included, at this time.

    `request_id` is that of the GetLog; `seq` counts what the station has signed.
    """

    request_id: Natural
    station_id: Annotated[str, Meta(min_length=1, max_length=64)]
    evse_id: Natural
    schema: SampleSchema
    root: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    n: Natural
    from_ms: Natural
    to_ms: Natural
    seq: Natural
    signed_at_ms: Natural


class _Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    vendor_id: Literal["org.flexledger"]
    message_id: Literal["SampleRoot"]
    data: SignedRoot


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing else may be in it: no key, no certificate, no address of one, nothing critical."""

    alg: str
    action: Literal["DataTransfer"] = msgspec.field(name="OCPPAction")
    message_type_id: Literal[2] = msgspec.field(name="OCPPMessageTypeId")
    x5t: Annotated[str, Meta(min_length=43, max_length=43)] = msgspec.field(name="x5t#S256")


class Unproven(msgspec.Struct, frozen=True, kw_only=True):
    """A signed message taken apart, not yet authenticated; `payload_sha256` (hex) knows it again under any id."""

    root: SignedRoot
    alg: str
    x5t: str
    payload_sha256: str
    parsed: jws.Parsed


def text_of(flattened: Flattened) -> str:
    """The JWS as one text, as it is kept."""
    return msgspec.json.encode(flattened).decode()


def sign(root: SignedRoot, key: ec.EllipticCurvePrivateKey, x5t: str) -> Flattened:
    """What a station sends; `x5t` is the base64url SHA-256 of its certificate."""
    payload = msgspec.json.encode(_Message(vendor_id=VENDOR, message_id=ROOT_MESSAGE, data=root))
    header = {"OCPPAction": ACTION, "OCPPMessageTypeId": CALL, "x5t#S256": x5t}
    protected, said, signature = jws.sign(payload, key, header).split(".")
    return Flattened(payload=said, protected=protected, signature=signature)


def read(text: str) -> Unproven:
    """Takes a signed message apart, strictly; authenticates nothing. Raises `StationRootMalformed`."""
    if len(text) > MAX_SIGNED_ROOT_CHARS:
        raise StationRootMalformed(
            "the signed message is too large", expected=f"at most {MAX_SIGNED_ROOT_CHARS}", found=len(text)
        )
    try:
        flattened = msgspec.json.decode(text, type=Flattened)
        payload = jws.decode_base64url(flattened.payload)
        head = jws.decode_base64url(flattened.protected)
        signature = jws.decode_base64url(flattened.signature)
        header = msgspec.json.decode(head, type=_Header)
        message = msgspec.json.decode(payload, type=_Message)
    except (msgspec.MsgspecError, StatementMalformed, RecursionError, ValueError) as error:
        raise StationRootMalformed("not a signed DataTransfer with a sample root", found=str(error)[:200]) from error
    signed = f"{flattened.protected}.{flattened.payload}".encode()
    return Unproven(
        root=message.data,
        alg=header.alg,
        x5t=header.x5t,
        payload_sha256=hashlib.sha256(payload).hexdigest(),
        parsed=jws.Parsed(text, {"alg": header.alg}, payload, signed, signature),
    )


def open_root(text: str, key: object, x5t: str) -> Unproven:
    """The message, now authenticated: signed with `key`, which is that of the certificate with this thumbprint.

    Raises `StationRootMalformed`, `StationRootForeign` (another certificate), `StationRootSignature` (also for every
    algorithm but ES256).
    """
    found = read(text)
    if not isinstance(key, ec.EllipticCurvePublicKey) or found.alg != "ES256":
        raise StationRootSignature("another algorithm than OCPP's", expected="ES256 and a P-256 key", found=found.alg)
    if found.x5t != x5t:
        raise StationRootForeign("another certificate signed", expected=x5t, found=found.x5t)
    try:
        jws.open_jws(found.parsed, key)
    except SignatureInvalid as error:
        raise StationRootSignature("not signed with the station's key", found=error.detail) from error
    return found


def require_of(root: SignedRoot, body: bytes, *, station_id: str, evse_id: int) -> None:
    """The words are about this body of this EVSE, were said after its last record, and name a window that holds it.

    Raises `StationRootForeign`, or `SamplesMalformed` for what is no body.
    """
    decoded = samples.decode(body)
    first_ms, last_ms = decoded[0].t_ms, decoded[-1].t_ms
    # What differs is named, not shown: it may be a person's.
    pairs: tuple[tuple[str, object, object], ...] = (
        ("station", station_id, root.station_id),
        ("EVSE", evse_id, root.evse_id),
        ("format", samples.schema_of(body).value, root.schema.value),
        ("number of samples", len(decoded), root.n),
        ("root", samples.root(body).hex(), root.root),
    )
    for what, expected, found in pairs:
        if expected != found:
            raise StationRootForeign(f"signed for another {what}")
    if not root.from_ms <= first_ms <= last_ms <= root.to_ms:
        raise StationRootForeign("signed for another window")
    if root.signed_at_ms < last_ms:
        raise StationRootForeign("signed before it was measured")
