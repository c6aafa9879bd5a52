"""What a statement says, read quickly and without believing it: for comparing, not for trusting."""

import binascii
from typing import Final

import msgspec

_FROM_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_STANDARD: Final = str.maketrans("-_", "+/")
_PADS: Final = ("", "=", "==", "=")
"""What is missing from a string of base64 by its length modulo four; of 1, nothing makes it one."""


class SaidClaims(msgspec.Struct, frozen=True, gc=False):
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
_strings = msgspec.json.Decoder(list[bytes])
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


def all_claims(payloads: list[str]) -> list[SaidClaims]:
    """The claims in each of these payloads; raises ValueError or msgspec.MsgspecError if one cannot be read, or is
    base64url only to a lenient reader such as `decode_part`.

    All leave base64 in one call. As many strings as payloads, and no escapes, mean that no payload has a quotation mark
    in it, so each string is one payload.
    """
    text = '","'.join([one + _PADS[len(one) & 3] for one in payloads])
    if "\\" in text:
        raise ValueError("not base64url")
    if "-" in text or "_" in text:
        text = text.translate(_STANDARD)
    octets = _strings.decode(f'["{text}"]')
    if len(octets) != len(payloads):
        raise ValueError("not base64url")
    return list(map(_claims.decode, octets))


def claims_of(data: bytes) -> SaidClaims | None:
    """What the statement in an entry's bytes says, or None if it cannot be read."""
    try:
        payload = _entry.decode(data).stmt.split(".")[1]
        return _claims.decode(decode_part(payload))
    except (ValueError, IndexError, binascii.Error, msgspec.MsgspecError):
        return None
