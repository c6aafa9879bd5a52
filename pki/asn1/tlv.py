"""DER one element at a time, for what is written or read by the hundred thousand: CRL entries and OCSP answers.

pyasn1 needs a millisecond for an OCSP request, which is twenty signatures. These few functions know tags and lengths
and nothing else; what they do not expect, they refuse.
"""

import datetime as dt
from functools import lru_cache

from cryptography.x509 import ObjectIdentifier

from pki.asn1.der import MalformedDer

BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
NULL = 0x05
OBJECT_IDENTIFIER = 0x06
ENUMERATED = 0x0A
UTF8_STRING = 0x0C
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
SEQUENCE = 0x30
SET = 0x31
_CONTEXT = 0x80
_CONSTRUCTED = 0x20

_TAG_NUMBER = 0x1F
_LONG_LENGTH = 0x80
_MAX_LENGTH_BYTES = 4
_TIME_FORMAT = "%Y%m%d%H%M%SZ"
_TIME_BYTES = 15
_MAX_IDENTIFIER_BYTES = 64
_Z = 0x5A
_FIRST_LATE = b"20500101000000Z"
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def context(number: int, *, constructed: bool = True) -> int:
    """The tag octet of `[number]`."""
    return _CONTEXT | number | (_CONSTRUCTED if constructed else 0)


def element(tag: int, *parts: bytes) -> bytes:
    """One element with `parts` as its contents, its length in as few octets as can be."""
    content = b"".join(parts)
    size = len(content)
    if size < _LONG_LENGTH:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG_LENGTH | len(length))) + length + content


def sequence(*parts: bytes) -> bytes:
    """SEQUENCE."""
    return element(SEQUENCE, *parts)


def integer(value: int) -> bytes:
    """INTEGER, as short as two's complement can be."""
    return element(INTEGER, value.to_bytes((value + (value < 0)).bit_length() // 8 + 1, "big", signed=True))


def octets(value: bytes) -> bytes:
    """OCTET STRING."""
    return element(OCTET_STRING, value)


def bits(value: bytes) -> bytes:
    """BIT STRING of whole octets."""
    return element(BIT_STRING, b"\x00", value)


def named_bits(places: set[int]) -> bytes:
    """The contents of a BIT STRING that names `places`, at least one: no zero after the last (X.690 section 11.2.2)."""
    last = max(places)
    number = sum(1 << (last - place) for place in places)
    unused = -(last + 1) % 8
    return bytes((unused,)) + (number << unused).to_bytes((last + 8) // 8, "big")


def signed(content: bytes, algorithm: str, signature: bytes) -> bytes:
    """A certificate or a list around its signed `content`; ECDSA has no parameters (RFC 5758 section 3.2)."""
    return sequence(content, sequence(identifier(algorithm)), bits(signature))


@lru_cache(maxsize=64)
def identifier(dotted: str) -> bytes:
    """OBJECT IDENTIFIER."""
    first, second, *rest = map(int, dotted.split("."))
    content = bytearray()
    for number in (40 * first + second, *rest):
        septets = [number & 0x7F]
        while number := number >> 7:
            septets.append(number & 0x7F | 0x80)
        content += bytes(reversed(septets))
    return element(OBJECT_IDENTIFIER, bytes(content))


def generalized_time(at_ms: int) -> bytes:
    """GeneralizedTime of the second in which `at_ms` lies."""
    return element(GENERALIZED_TIME, _written(at_ms // 1000))


def time(at_ms: int) -> bytes:
    """The Time of RFC 5280: UTCTime up to 2049, GeneralizedTime after it."""
    written = _written(at_ms // 1000)
    return element(UTC_TIME, written[2:]) if written < _FIRST_LATE else element(GENERALIZED_TIME, written)


def extension(oid: ObjectIdentifier, value: bytes, *, critical: bool = False) -> bytes:
    """An Extension of RFC 5280 with `value` (DER) inside."""
    flag = element(BOOLEAN, b"\xff") if critical else b""
    return sequence(identifier(oid.dotted_string), flag, octets(value))


def header(content: bytes, at: int, what: str) -> tuple[int, int, int]:
    """The tag of the element at `at`, where its contents start and where they end."""
    end, start = len(content), at + 2
    if start > end:
        raise MalformedDer(f"the {what} ends too early")
    tag, size = content[at], content[at + 1]
    if tag & _TAG_NUMBER == _TAG_NUMBER:
        raise MalformedDer(f"the {what} has an element that does not fit")
    if size >= _LONG_LENGTH:
        count = size & ~_LONG_LENGTH
        size = int.from_bytes(content[start : start + count], "big")
        if not 1 <= count <= _MAX_LENGTH_BYTES or size < _LONG_LENGTH or size >> (8 * (count - 1)) == 0:
            raise MalformedDer(f"the {what} has a length that DER does not allow")
        start += count
    if start + size > end:
        raise MalformedDer(f"the {what} has an element that does not fit")
    return tag, start, start + size


def children(content: bytes, what: str) -> list[tuple[int, bytes, bytes]]:
    """The elements that `content` consists of: tag, contents, and the element whole.

    Raises MalformedDer for a high tag number, an indefinite or not minimal length, and for anything left over.
    """
    found = []
    at, end = 0, len(content)
    while at < end:
        tag, start, stop = header(content, at, what)
        found.append((tag, content[start:stop], content[at:stop]))
        at = stop
    return found


class Members:
    """The members of a SEQUENCE, taken one by one in their order."""

    __slots__ = ("_at", "_content", "_what")

    def __init__(self, content: bytes, what: str) -> None:
        self._content = content
        self._at = 0
        self._what = what

    def take(self, tag: int) -> bytes:
        """The contents of the next element, which has this tag; or MalformedDer."""
        found, start, stop = header(self._content, self._at, self._what)
        if found != tag:
            raise MalformedDer(f"the {self._what} is not of the expected form", expected=f"tag {tag:#04x}")
        self._at = stop
        return self._content[start:stop]

    def optional(self, tag: int) -> bytes | None:
        """The contents of the next element if it has this tag, else None and nothing is taken."""
        if self._at < len(self._content) and self._content[self._at] == tag:
            return self.take(tag)
        return None

    def whole(self, tag: int) -> bytes:
        """The next element with tag and length, which has this tag; or MalformedDer."""
        begun = self._at
        self.take(tag)
        return self._content[begun : self._at]

    def next(self) -> tuple[int, bytes]:
        """Tag and contents of the next element, whatever it is; or MalformedDer."""
        tag, start, stop = header(self._content, self._at, self._what)
        self._at = stop
        return tag, self._content[start:stop]

    def end(self) -> None:
        """Passes if every element was taken; or MalformedDer."""
        if self._at != len(self._content):
            raise MalformedDer(f"the {self._what} has an element too many")


def only(data: bytes, tag: int, what: str) -> bytes:
    """The contents of `data`, which is one element of this tag; or MalformedDer."""
    found, start, stop = header(data, 0, what)
    if found != tag or stop != len(data):
        raise MalformedDer(f"the {what} is not of the expected form", expected=f"tag {tag:#04x}")
    return data[start:stop]


def read_integer(content: bytes, what: str) -> int:
    """The number; MalformedDer unless it is as short as it can be."""
    if not content or (len(content) > 1 and (content[0], content[1] >> 7) in {(0x00, 0), (0xFF, 1)}):
        raise MalformedDer(f"the {what} has a number that is not minimal")
    return int.from_bytes(content, "big", signed=True)


def read_bits(content: bytes, what: str) -> bytes:
    """The octets of a BIT STRING that has nothing but whole ones."""
    if not content or content[0] != 0:
        raise MalformedDer(f"the {what} has a bit string that is not whole octets")
    return content[1:]


def read_named_bits(content: bytes, *, known: int, what: str) -> set[int]:
    """The places that the contents of a BIT STRING name, all below `known`; the last bit is one of them."""
    bits = content[1:]
    if not bits or content[0] > 7 or 8 * len(bits) - content[0] > known:
        raise MalformedDer(f"the {what} is not a named-bit list of known bits")
    named = {place for place in range(8 * len(bits)) if bits[place // 8] & (0x80 >> place % 8)}
    if 8 * len(bits) - content[0] - 1 != max(named, default=-1):
        raise MalformedDer(f"the {what} is not a named-bit list of known bits")
    return named


def read_time(content: bytes, what: str) -> int:
    """Unix milliseconds of a GeneralizedTime in the form of RFC 5280 section 4.1.2.5.2: seconds, and Z."""
    day, clock = content[:8], content[8:14]
    if len(content) != _TIME_BYTES or content[14] != _Z or not (day.isdigit() and clock.isdigit()):
        raise MalformedDer(f"the {what} has a time that is not in the form of RFC 5280")
    hour, minute, second = int(clock[:2]), int(clock[2:4]), int(clock[4:])
    begun_s = _day(day)
    if begun_s is None or hour > 23 or minute > 59 or second > 59:
        raise MalformedDer(f"the {what} has a time that there is not")
    return (begun_s + 3600 * hour + 60 * minute + second) * 1000


@lru_cache(maxsize=4096)
def _day(digits: bytes) -> int | None:
    """The second in which the day begins; None if there is no such day."""
    try:
        moment = dt.datetime(int(digits[:4]), int(digits[4:6]), int(digits[6:]), tzinfo=dt.UTC)
    except ValueError:
        return None
    return (moment - _EPOCH) // dt.timedelta(seconds=1)


@lru_cache(maxsize=256)
def read_identifier(content: bytes, what: str) -> str:
    """The dotted form of an OBJECT IDENTIFIER."""
    if not 1 <= len(content) <= _MAX_IDENTIFIER_BYTES or content[-1] & 0x80:
        raise MalformedDer(f"the {what} has a broken object identifier")
    numbers: list[int] = []
    number, begun = 0, False
    for octet in content:
        if octet == 0x80 and not begun:
            raise MalformedDer(f"the {what} has an object identifier that is not minimal")
        number, begun = number << 7 | octet & 0x7F, True
        if not octet & 0x80:
            numbers.append(number)
            number, begun = 0, False
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def read_extensions(content: bytes, what: str) -> dict[str, tuple[bool, bytes]]:
    """Critical flag and value of every extension in the Extensions `content`; MalformedDer for one that is twice."""
    found: dict[str, tuple[bool, bytes]] = {}
    for tag, inner, _ in children(content, what):
        if tag != SEQUENCE:
            raise MalformedDer(f"the {what} has an extension that is none")
        members = Members(inner, what)
        oid = read_identifier(members.take(OBJECT_IDENTIFIER), what)
        flag = members.optional(BOOLEAN)
        if flag not in {None, b"\xff"} or oid in found:
            raise MalformedDer(f"the {what} has an extension twice, or one with a broken flag")
        found[oid] = (flag is not None, members.take(OCTET_STRING))
        members.end()
    if not found:
        raise MalformedDer(f"the {what} has an empty list of extensions")
    return found


@lru_cache(maxsize=4096)
def _written(at_s: int) -> bytes:
    return (_EPOCH + dt.timedelta(seconds=at_s)).strftime(_TIME_FORMAT).encode()
