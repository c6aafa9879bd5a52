"""CRLs as octets (RFC 5280 section 5.1), so that a hundred thousand entries neither take long nor block anybody.

The library reads and signs a large CRL in calls that hold the interpreter for half a second. Here the entries are cut
out and read one by one; what is left is a CRL without entries, which the library reads.
"""

import re
from collections.abc import Iterable
from typing import Final

import msgspec
from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import CRLEntryExtensionOID

from pki.asn1 import tlv
from pki.asn1.der import MalformedDer
from pki.asn1.tlv import Members

CERTIFICATE_HOLD: Final = 6
REMOVE_FROM_CRL: Final = 8
_UNSPECIFIED: Final = 0
_REASONS: Final = frozenset({0, 1, 2, 3, 4, 5, 6, 8, 9, 10})

_WHAT: Final = "CRL"
_V2: Final = b"\x02\x01\x01"
_EMPTY_SIGNATURE: Final = tlv.bits(b"")
_CENTURY: Final = 50
_SECONDS_OF_DAY: Final = 86_400
# An entry as nearly all are: every length in one octet, a date in UTCTime. One expression is far faster than parts.
_USUAL: Final = re.compile(rb"\x30([\x00-\x7f])\x02([\x01-\x15])(.{1,21}?)\x17\x0d([0-9]{10})([0-5][0-9])Z", re.DOTALL)
_REASON: Final = CRLEntryExtensionOID.CRL_REASON
_INVALIDITY: Final = CRLEntryExtensionOID.INVALIDITY_DATE


class Split(msgspec.Struct, frozen=True):
    """A CRL in its parts. `bare` is the CRL without its entries and with no signature to speak of.

    `consistent` is whether the algorithm inside is the one outside, as it must be.
    """

    bare: bytes
    tbs: bytes
    entries: bytes
    signature: bytes
    consistent: bool


class Entries(msgspec.Struct, frozen=True):
    """What the entries say. `revoked_from_ms` is the earlier of revocation and invalidity date, by serial number."""

    revoked_from_ms: dict[int, int]
    on_hold: frozenset[int]
    removed: frozenset[int]


class Entry(msgspec.Struct, frozen=True):
    """One revocation to be written; `reason` None is unspecified, which is not written (section 5.3.1)."""

    serial: int
    revoked_at_ms: int
    reason: int | None = None
    invalid_from_ms: int | None = None


def split(data: bytes) -> Split:
    """The parts of the CRL in `data`; MalformedDer if it is none."""
    whole = Members(tlv.only(data, tlv.SEQUENCE, _WHAT), _WHAT)
    tbs = whole.whole(tlv.SEQUENCE)
    algorithm = whole.whole(tlv.SEQUENCE)
    signature = tlv.read_bits(whole.take(tlv.BIT_STRING), _WHAT)
    whole.end()
    members = Members(tlv.only(tbs, tlv.SEQUENCE, _WHAT), _WHAT)
    version = members.optional(tlv.INTEGER)
    inner = members.whole(tlv.SEQUENCE)
    head = [b"" if version is None else tlv.element(tlv.INTEGER, version), inner, members.whole(tlv.SEQUENCE)]
    head.extend(_times(members))
    entries = members.optional(tlv.SEQUENCE)
    extensions = members.optional(tlv.context(0))
    members.end()
    head.append(b"" if extensions is None else tlv.element(tlv.context(0), extensions))
    bare = tlv.sequence(tlv.sequence(*head), algorithm, _EMPTY_SIGNATURE)
    return Split(bare, tbs, entries or b"", signature, inner == algorithm)


def read_entries(content: bytes) -> Entries:
    """Every entry in `content`; MalformedDer for one that is none, or that has an extension other than the two known.

    A serial number that is there twice is revoked from the earlier of its dates.
    """
    revoked: dict[int, int] = {}
    on_hold: set[int] = set()
    removed: set[int] = set()
    minutes: dict[bytes, int] = {}
    said: dict[bytes, tuple[int, int | None]] = {}
    at, end = 0, len(content)
    while at < end:
        usual = _USUAL.match(content, at)
        if usual is None or usual[2][0] != len(usual[3]):
            serial, at_ms, after, stop = _read_entry(content, at)
        else:
            size, _, number, minute, second = usual.groups()
            after, stop = usual.end(), at + 2 + size[0]
            serial = tlv.read_integer(number, _WHAT)
            begun_ms = minutes.get(minute)
            if begun_ms is None:
                begun_ms = minutes[minute] = _read_time(tlv.UTC_TIME, minute + b"00Z")
            at_ms = begun_ms + 1000 * int(second)
        if not after <= stop <= end:
            raise MalformedDer("the CRL has an entry that is none")
        if after < stop:
            rest = content[after:stop]
            reason, invalid_from_ms = said.get(rest) or said.setdefault(rest, _read_extensions(rest))
            if invalid_from_ms is not None and invalid_from_ms < at_ms:
                at_ms = invalid_from_ms
            if reason == CERTIFICATE_HOLD:
                on_hold.add(serial)
            elif reason == REMOVE_FROM_CRL:
                removed.add(serial)
        before = revoked.get(serial)
        revoked[serial] = at_ms if before is None or at_ms < before else before
        at = stop
    for serial in removed:
        revoked.pop(serial, None)
    return Entries(revoked, frozenset(on_hold - removed), frozenset(removed))


def encode_tbs(
    *,
    algorithm: str,
    issuer: bytes,
    this_update_ms: int,
    next_update_ms: int,
    entries: Iterable[Entry],
    extensions: Iterable[tuple[ObjectIdentifier, bool, bytes]],
) -> bytes:
    """TBSCertList: the octets that the issuer signs. Extensions are identifier, critical, value (DER)."""
    written = _encode_entries(entries)
    return tlv.sequence(
        _V2,
        tlv.sequence(tlv.identifier(algorithm)),
        issuer,
        tlv.time(this_update_ms),
        tlv.time(next_update_ms),
        tlv.sequence(*written) if written else b"",
        tlv.element(
            tlv.context(0),
            tlv.sequence(*(tlv.extension(oid, value, critical=critical) for oid, critical, value in extensions)),
        ),
    )


def _encode_entries(entries: Iterable[Entry]) -> list[bytes]:
    written = []
    days: dict[int, bytes] = {}
    said: dict[tuple[int | None, int | None], bytes] = {(None, None): b""}
    for entry in entries:
        day, second = divmod(entry.revoked_at_ms // 1000, _SECONDS_OF_DAY)
        head = days.get(day)
        if head is None:
            head = days[day] = tlv.time(entry.revoked_at_ms)[:-7]
        moment = b"%s%02d%02d%02dZ" % (head, second // 3600, second // 60 % 60, second % 60)
        about = (entry.reason, entry.invalid_from_ms)
        rest = said.get(about)
        if rest is None:
            rest = said[about] = _encode_extensions(*about)
        serial = entry.serial.to_bytes(entry.serial.bit_length() // 8 + 1, "big")
        size = 2 + len(serial) + len(moment) + len(rest)
        if size < 0x80:
            written.append(b"\x30%c\x02%c%s%s%s" % (size, len(serial), serial, moment, rest))
        else:
            written.append(tlv.sequence(tlv.integer(entry.serial), moment, rest))
    return written


def _encode_extensions(reason: int | None, invalid_from_ms: int | None) -> bytes:
    found = []
    if reason is not None:
        found.append(tlv.extension(_REASON, tlv.element(tlv.ENUMERATED, bytes((reason,)))))
    if invalid_from_ms is not None:
        found.append(tlv.extension(_INVALIDITY, tlv.generalized_time(invalid_from_ms)))
    return tlv.sequence(*found)


def _read_entry(content: bytes, at: int) -> tuple[int, int, int, int]:
    """Serial number and revocation date of the entry at `at`, where its extensions begin, and where it ends."""
    tag, start, stop = tlv.header(content, at, _WHAT)
    number_tag, begin, middle = tlv.header(content, start, _WHAT)
    time_tag, written, after = tlv.header(content, middle, _WHAT)
    if (tag, number_tag) != (tlv.SEQUENCE, tlv.INTEGER):
        raise MalformedDer("the CRL has an entry that is none")
    at_ms = _read_time(time_tag, content[written:after])
    return tlv.read_integer(content[begin:middle], _WHAT), at_ms, after, stop


def _times(members: Members) -> list[bytes]:
    """thisUpdate and, where there is one, nextUpdate, whole."""
    found = []
    for tag in (tlv.UTC_TIME, tlv.GENERALIZED_TIME) * 2:
        content = members.optional(tag)
        if content is not None:
            found.append(tlv.element(tag, content))
    return found


def _read_time(tag: int, content: bytes) -> int:
    if tag == tlv.UTC_TIME and len(content) == 13 and content[:2].isdigit():
        content = (b"20" if int(content[:2]) < _CENTURY else b"19") + content
    elif tag != tlv.GENERALIZED_TIME:
        raise MalformedDer("the CRL has an entry without a date")
    return tlv.read_time(content, _WHAT)


def _read_extensions(rest: bytes) -> tuple[int, int | None]:
    """Reason (unspecified if there is none) and invalidity date."""
    found = tlv.read_extensions(tlv.only(rest, tlv.SEQUENCE, _WHAT), _WHAT)
    if found.keys() - {_REASON.dotted_string, _INVALIDITY.dotted_string}:
        raise MalformedDer("an entry of the CRL has an unknown extension")
    reason, invalid_from_ms = _UNSPECIFIED, None
    if _REASON.dotted_string in found:
        value = tlv.only(found[_REASON.dotted_string][1], tlv.ENUMERATED, _WHAT)
        reason = tlv.read_integer(value, _WHAT)
        if reason not in _REASONS:
            raise MalformedDer("an entry of the CRL has a reason that there is not", found=reason)
    if _INVALIDITY.dotted_string in found:
        content = tlv.only(found[_INVALIDITY.dotted_string][1], tlv.GENERALIZED_TIME, _WHAT)
        invalid_from_ms = tlv.read_time(content, _WHAT)
    return reason, invalid_from_ms
