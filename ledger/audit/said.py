"""What a statement says, read quickly and without believing it: for comparing, not for trusting."""

import binascii
from typing import Final

import msgspec

_FROM_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")


class SaidClaims(msgspec.Struct, frozen=True):
    """The members of a statement that its entry repeats, read without believing them."""

    iss: str
    aud: str
    jti: str
    stream: str
    type: str
    v: int
    actor_seq: int | None = None


class SaidClosing(msgspec.Struct, frozen=True):
    """The event of a closing record."""

    closed: str
    n: int


class SaidEvent(msgspec.Struct, frozen=True):
    """A statement of which only the event matters."""

    event: SaidClosing


class SaidHeader(msgspec.Struct, frozen=True):
    """The look-up hint in a statement's header."""

    x5t: str = msgspec.field(name="x5t#S256")


class SaidEntry(msgspec.Struct, frozen=True):
    """An entry of which only the statement matters."""

    stmt: str


_entry = msgspec.json.Decoder(SaidEntry)
_claims = msgspec.json.Decoder(SaidClaims)
_event = msgspec.json.Decoder(SaidEvent)
_header = msgspec.json.Decoder(SaidHeader)


def claims(payload: bytes) -> SaidClaims:
    """The claims in a payload; raises msgspec.MsgspecError."""
    return _claims.decode(payload)


def closing(payload: bytes) -> SaidClosing:
    """The event in the payload of a closing record; raises msgspec.MsgspecError."""
    return _event.decode(payload).event


def hint(header: str) -> str:
    """The `x5t#S256` in a header; raises ValueError or msgspec.MsgspecError."""
    return _header.decode(decode_part(header)).x5t


def decode_part(text: str) -> bytes:
    """The octets of one part of a JWS, leniently: whether it is canonical base64url is for `parse_statement` to say."""
    return binascii.a2b_base64(text.encode("ascii").translate(_FROM_URL_SAFE) + b"==")


def decode_payload(text: str) -> bytes:
    """The same for a payload: JSON in ASCII has next to none of the characters in which the two alphabets differ."""
    octets = binascii.a2b_base64(text + "==")
    # What is of no alphabet or the other one was passed over, so something is missing then.
    return octets if len(octets) == len(text) * 3 // 4 else decode_part(text)


def claims_of(data: bytes) -> SaidClaims | None:
    """What the statement in an entry's bytes says, or None if it cannot be read."""
    try:
        payload = _entry.decode(data).stmt.split(".")[1]
        return _claims.decode(decode_part(payload))
    except (ValueError, IndexError, binascii.Error, msgspec.MsgspecError):
        return None
