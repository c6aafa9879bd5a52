"""Reading DER that others wrote: bounded, canonical, or refused.

pyasn1 by itself accepts trailing bytes, long lengths, encoded defaults and padded integers. So a value counts only if
writing it again gives the same bytes, and the shape is walked before pyasn1 sees it, so that neither nesting nor size
can be used against it.
"""

import unicodedata
from typing import Any

from pki.errors import Refused

MAX_VALUE_BYTES = 4096  # a role extension or a set of claims
MAX_ATTRIBUTE_CERTIFICATE_BYTES = 16_384
MAX_DEPTH = 12
MAX_ELEMENTS = 2048

_CONSTRUCTED = 0x20
_TAG_NUMBER = 0x1F
_LONG_LENGTH = 0x80
_LENGTH_BYTES = 2  # lengths to 65 535, more than any cap above


class MalformedDer(Refused):
    """The bytes are not the canonical encoding of the type that they should hold."""

    code = "pki/malformed-der"
    title = "Malformed DER"


class OversizeDer(Refused):
    """The bytes exceed the cap for their type."""

    code = "pki/oversize-der"
    title = "DER value too large"


def decode(data: bytes, spec: Any, *, limit: int, what: str) -> Any:
    """The value of type `spec` in `data`, of which `data` is the one DER encoding (X.690 section 10 and 11).

    Raises OversizeDer beyond `limit` bytes and MalformedDer for everything else.
    """
    require_size(data, limit=limit, what=what)
    walk(data, what)
    from pyasn1.codec.der import decoder, encoder  # most of what is read is read by `tlv`, without it
    from pyasn1.error import PyAsn1Error

    try:
        value, rest = decoder.decode(data, asn1Spec=spec)
        again = encoder.encode(value)
    except (PyAsn1Error, ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        raise MalformedDer(f"the {what} cannot be decoded") from error
    if rest or again != data:
        raise MalformedDer(f"the {what} is not in canonical form")
    return value


def require_size(data: bytes, *, limit: int, what: str) -> None:
    """Raises OversizeDer beyond `limit` bytes."""
    if len(data) > limit:
        raise OversizeDer(f"the {what} is too large", expected=f"at most {limit} bytes", found=len(data))


def encode(value: Any) -> bytes:
    """The DER encoding of a pyasn1 value."""
    from pyasn1.codec.der import encoder

    return bytes(encoder.encode(value))


def child(data: bytes, number: int, what: str) -> bytes:
    """The whole encoding of element `number` (from 0) inside the one element that `data` is; or MalformedDer."""
    at, end = _header(data, 0, len(data), what)
    for _ in range(number):
        _start, at = _header(data, at, end, what)
    _start, stop = _header(data, at, end, what)
    return data[at:stop]


def walk(data: bytes, what: str) -> None:
    """Pass over every element: definite minimal lengths that fit, low tag numbers, bounded depth and count."""
    ends = [len(data)]
    at = 0
    elements = 0
    while at < len(data):
        while at == ends[-1] and len(ends) > 1:
            ends.pop()
        start, end = _header(data, at, ends[-1], what)
        elements += 1
        if elements > MAX_ELEMENTS:
            raise MalformedDer(f"the {what} has too many elements", expected=f"at most {MAX_ELEMENTS}")
        if data[at] & _CONSTRUCTED:
            if len(ends) > MAX_DEPTH:
                raise MalformedDer(f"the {what} is nested too deeply", expected=f"at most {MAX_DEPTH} levels")
            if end > start:
                ends.append(end)
            at = start
        else:
            at = end
    if not data:
        raise MalformedDer(f"the {what} is empty")


def _header(data: bytes, at: int, limit: int, what: str) -> tuple[int, int]:
    """Where the content of the element at `at` starts and ends; it ends at `limit` at the latest."""
    start = at + 2
    if start > limit or data[at] & _TAG_NUMBER == _TAG_NUMBER:
        raise MalformedDer(f"the {what} has an element that does not fit")
    length = data[at + 1]
    if length & _LONG_LENGTH:
        size = length & ~_LONG_LENGTH
        if not 1 <= size <= _LENGTH_BYTES or start + size > limit:
            raise MalformedDer(f"the {what} has a length that DER does not allow")
        length = int.from_bytes(data[start : start + size], "big")
        if length < _LONG_LENGTH or length >> (8 * (size - 1)) == 0:
            raise MalformedDer(f"the {what} has a length that is not minimal")
        start += size
    if start + length > limit:
        raise MalformedDer(f"the {what} has an element that does not fit")
    return start, start + length


def text(value: object, *, longest: int, what: str) -> str:
    """`value` as text of 1 to `longest` characters in NFC, without control, bidi, surrogate or unassigned ones."""
    found = str(value)
    if not 1 <= len(found) <= longest:
        raise MalformedDer(f"the {what} has the wrong length", expected=f"1 to {longest}", found=len(found))
    if found.isascii() and found.isprintable():  # as nearly all are: none of the below can be in it
        return found
    for character in found:
        category = unicodedata.category(character)
        if category.startswith("C") or category in {"Zl", "Zp"}:
            raise MalformedDer(f"the {what} has a character that is not allowed", found=f"U+{ord(character):04X}")
    if unicodedata.normalize("NFC", found) != found:
        raise MalformedDer(f"the {what} is not in Unicode normal form C")
    return found


def implicit(number: int, *, constructed: bool = False) -> Any:
    """The context tag `[number]` of a module with IMPLICIT TAGS."""
    from pyasn1.type import tag

    form = tag.tagFormatConstructed if constructed else tag.tagFormatSimple
    return tag.Tag(tag.tagClassContext, form, number)


def named_bits(bits: set[int]) -> Any:
    """A named-bit list: as long as its highest bit and no longer (X.690 section 11.2.2)."""
    from pyasn1.type import univ

    if not bits:
        return univ.BitString("")
    return univ.BitString([int(bit in bits) for bit in range(max(bits) + 1)])


def bits_named(value: Any, *, known: int, what: str) -> set[int]:
    """The bits that are set, all below `known`; a trailing zero bit is refused."""
    flags = tuple(value)
    if not 1 <= len(flags) <= known or not flags[-1]:
        raise MalformedDer(f"the {what} is not a named-bit list of known bits")
    return {bit for bit, flag in enumerate(flags) if flag}
