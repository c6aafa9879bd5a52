"""Canonical bytes: RFC 8785 (JCS) over a restricted grammar, so that two encoders can never differ.

Grammar (docs/spec/canonical.md): null, booleans, strings, integers with an absolute value of at most 2^53 - 1, arrays,
objects with ASCII member names; no floating point, no duplicate member, at most `MAX_DEPTH` deep. On this grammar
msgspec's sorted encoder is byte for byte JCS, which a test holds against an independent library.
"""

import re
from typing import Any, TypeVar

import msgspec

from ledger.records.errors import NotCanonical, RecordMalformed

MAX_INT = 2**53 - 1
MAX_DEPTH = 16

T = TypeVar("T")

_PLACED = re.compile(r"(.*) - at (`\$(?:\.[\w#]+|\[[\d.]*\])*`)", re.DOTALL)
_encoder = msgspec.json.Encoder(order="sorted")


def encode(value: Any) -> bytes:
    """The canonical bytes of `value`. The caller built it, so only the grammar's promises are checked cheaply."""
    return _encoder.encode(value)


def decode(data: bytes) -> Any:
    """The value that `data` says; raises `NotCanonical` unless these are its canonical bytes."""
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotCanonical("not JSON", found=type(error).__name__) from error
    _require_grammar(value, 0)
    again = _encoder.encode(value)
    if again != data:
        raise NotCanonical(
            "the bytes differ from their canonical form",
            expected=_shown(again, _first_difference(again, data)),
            found=_shown(data, _first_difference(again, data)),
            offset=_first_difference(again, data),
        )
    return value


def convert(value: Any, kind: type[T], what: str) -> T:
    """`value` as a `kind`; raises `RecordMalformed`, naming the place but never the value found there."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise RecordMalformed(f"{what} does not fit its schema", found=_place(str(error))) from error


def _require_grammar(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise NotCanonical("nested too deep", expected=f"at most {MAX_DEPTH} levels")
    if isinstance(value, dict):
        for name, member in value.items():
            if not name.isascii():
                raise NotCanonical("a member name is not ASCII")
            _require_grammar(member, depth + 1)
    elif isinstance(value, list):
        for member in value:
            _require_grammar(member, depth + 1)
    elif isinstance(value, float):
        raise NotCanonical("a number with a fraction or an exponent", expected="integers only")
    elif isinstance(value, int) and abs(value) > MAX_INT:
        raise NotCanonical("an integer is too large", expected=f"at most {MAX_INT}")


def _first_difference(left: bytes, right: bytes) -> int:
    for offset, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return offset
    return min(len(left), len(right))


def _shown(data: bytes, offset: int) -> str:
    """One byte at the offset: enough to find the place, too little to leak a value."""
    if offset >= len(data):
        return "the end"
    found = data[offset]
    return f"'{chr(found)}'" if 0x20 < found < 0x7F else f"octet 0x{found:02x}"


def _place(message: str) -> str:
    """The kind of fault and the place in a msgspec message, without any value of the caller's.

    msgspec repeats the caller's text for enumerations and unknown fields ("Invalid enum value 'x' - at `$.y`"), and
    that text may itself look like a place.
    """
    placed = _PLACED.fullmatch(message)
    fault, path = placed.groups() if placed else (message, "")
    for shown in ("Invalid enum value", "Object contains unknown field", "Invalid value"):
        if fault.startswith(shown):
            fault = shown
    return f"{fault} at {path}" if path else fault
